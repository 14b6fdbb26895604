"""Look, decide, act, look again: until everything rests."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from danelaw.errors import DanelawError, InputError, LeaseHeld, RetryLater, StateCorrupt
from danelaw.lifecycle import step as next_step
from danelaw.lifecycle.components import components, subjects
from danelaw.lifecycle.timeline import ENDLESS
from danelaw.model import (
    Activate,
    Desired,
    Effect,
    Fact,
    Facts,
    Hold,
    Intent,
    Obtain,
    Promote,
    Prove,
    Publish,
    Reload,
    Rest,
    Retire,
    Revoke,
    Stage,
    Step,
    TakeKey,
    TakeNextKey,
    Wait,
)
from danelaw.run.act import NO_CHANGE, act, came_to_nothing, describe
from danelaw.run.adopt import other_machine
from danelaw.run.clocks import decided_at, keep_clocks, uptime
from danelaw.run.look import glance, look
from danelaw.run.recover import certificate_of, is_owed, open_effects, recover
from danelaw.run.rings import Outcome, Rings
from danelaw.run.senders import refusals

SETTLING = frozenset({"lagging", "validated", "cached"})
"""Waits that a moment of patience often ends: servers that fetch what was just published."""

PATIENCE = timedelta(seconds=30)
"""How long a run without ``--wait`` looks again before it leaves such a wait to the next run."""

LONG = timedelta(seconds=2)
"""A wait that is announced."""

TICK = timedelta(seconds=1)
"""How often a countdown is written anew."""

UNSEEN = (TakeKey, TakeNextKey, Obtain, Stage)
"""Steps that change nothing that a look would see."""

FOLLOWERS: Mapping[type[Step], tuple[type[Step], ...]] = {
    **dict.fromkeys((TakeKey, TakeNextKey, Obtain, Stage, Promote, Retire, Revoke), UNSEEN),
    Activate: (*UNSEEN, Reload),
    Reload: (*UNSEEN, Reload, Prove),
}
"""What may follow a step that worked without another look: what nobody sees, and what finishes what has gone live.

Nothing goes live, is published or withdrawn, no key is promoted or put away, nothing is revoked, and no run comes to
rest, but on a look of its own.
"""

PAY_AGAIN = timedelta(minutes=1)
"""How soon a `post_challenge` that failed is tried again: meanwhile a web server is down."""

MOST_STEPS = 20
"""So many steps a certificate, owner name and deployment in one run; a way to rest takes five or so."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked of one run."""

    names: tuple[str, ...] = ()
    wait: bool = False
    retry_now: bool = False
    force_renewal: bool = False
    by: str = "a person"


def apply(desired: Desired, rings: Rings, options: Options = Options()) -> Outcome:
    """Do all that is safe now; return what was done and what is left.

    Components do not wait for each other: what one fails at is said at the end, and the others are served. Raises
    `LeaseHeld` where other runs are at work on all of them.
    """
    _check_names(desired, options.names)
    keep_clocks(rings)
    if options.force_renewal:
        rings.store.record(_intents(desired, options, rings.clock.now()))
    run = _Run(desired, rings, options)
    run.recover()
    while True:
        run.pay()
        for part in run.parts:
            if part.is_open:
                run.turn(part)
        if not any(part.is_open for part in run.parts) and not run.sleep():
            break
    run.raise_if_held()
    changed = [spec for part in run.parts if part.changed for spec in part.desired.certificates]
    run.failed.extend(refusals(replace(desired, certificates=tuple(changed)), rings))
    rests = [part.rest for part in run.parts if part.rest is not None]
    return Outcome(tuple(run.taken), tuple(dict.fromkeys(run.failed)), _joined(rests))


def run_recover(desired: Desired, rings: Rings) -> list[str]:
    """Do only what an interrupted run owes; return what failed. Raises `LeaseHeld` as `apply` does."""
    keep_clocks(rings)
    run = _Run(desired, rings, Options())
    run.recover()
    run.raise_if_held()
    return [*run.failed, *(str(part.held) for part in run.parts if part.held)]


@dataclass(slots=True, eq=False)
class _Part:
    """A component in one run: ``rest`` is how it came to rest, ``is_open`` whether it is looked at (again).

    ``done`` is the step that was carried out last and worked, ``stuck`` are those that worked and changed nothing.
    ``sight`` is what was seen last, while all that was done since is stored and has changed nothing else than files.
    ``changed``: what senders meet may not be what it was. ``patience`` and ``pay_at`` are uptimes.
    """

    desired: Desired
    patience: timedelta
    rest: Rest | None = None
    is_open: bool = True
    recovered: bool = False
    held: LeaseHeld | None = None
    pay_at: timedelta | None = None
    done: Step | None = None
    sight: Facts | None = None
    stuck: set[Step] = field(default_factory=set)
    steps: int = 0
    changed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its certificates, in the order in which their leases are taken."""
        return tuple(sorted(spec.name for spec in self.desired.certificates))

    def owns(self, effect: Effect) -> bool:
        """Tell whether an effect belongs to this component: begun under its lease, or (stored of old) about it."""
        certificate = certificate_of(effect)
        return certificate in self.names or (certificate == effect.subject and effect.subject in subjects(self.desired))

    def owes(self, effect: Effect) -> bool:
        """Tell whether an effect is a web server of this component that may be stopped."""
        return is_owed(effect) and self.owns(effect)

    @property
    def most_steps(self) -> int:
        """Return how many steps a run may take in it."""
        return MOST_STEPS * len(subjects(self.desired))


class _Run:
    """One run: its components, what was done and what failed."""

    def __init__(self, desired: Desired, rings: Rings, options: Options) -> None:
        self._desired = desired
        self._rings = rings
        self._options = options
        self._forgive = rings.clock.now() if options.retry_now else None
        self._held: list[LeaseHeld] = []
        self._had_a_lease = False
        self._told: Wait | None = None
        self.parts = [_Part(part, uptime(rings.clock) + PATIENCE) for part in components(desired, options.names)]
        self.taken: list[Step] = []
        self.failed: list[str] = []

    def recover(self) -> None:
        """Do what interrupted runs owe, in every component before anything else is done in any."""
        self._recover_orphans()
        for part in self.parts:
            try:
                with self._apart(part), self._lease(part):
                    self._recover(part)
            except LeaseHeld as held:
                part.held = held  # its turn asks once more

    def _recover(self, part: _Part) -> None:
        part.held = None
        if other_machine(part.desired, self._rings.store.snapshot(), self._rings.host_id):
            return  # what that one owes is not owed here
        if not part.recovered:
            self.failed.extend(recover(self._rings, part.desired, part.owns))
            part.recovered = True
            part.pay_at = uptime(self._rings.clock) + PAY_AGAIN

    def _recover_orphans(self) -> None:
        """Do what is owed to certificates that have left the config, each under its own lease."""
        parts = [_Part(part, PATIENCE) for part in components(self._desired)]
        orphans = {
            certificate_of(effect)
            for effect in open_effects(self._rings.store.snapshot())
            if not any(part.owns(effect) for part in parts)
        }
        for name in sorted(orphans):
            try:
                with self._rings.store.lease(name):
                    self._had_a_lease = True
                    self.failed.extend(recover(self._rings, Desired(()), _begun_under(name)))
            except LeaseHeld as held:
                self._held.append(held)

    def pay(self) -> None:
        """Try once more, each minute, to start the web servers that may be stopped, whatever became of the rest."""
        for part in self._owing():
            up = uptime(self._rings.clock)
            if part.pay_at is not None and up < part.pay_at:
                continue
            part.pay_at = up + PAY_AGAIN
            with suppress(LeaseHeld), self._apart(part), self._lease(part):
                self.failed.extend(recover(self._rings, part.desired, part.owes))

    def _owing(self) -> list[_Part]:
        """Return the components whose web server may be stopped."""
        windows = [effect for effect in open_effects(self._rings.store.snapshot()) if is_owed(effect)]
        return [part for part in self.parts if any(part.owes(window) for window in windows)]

    def turn(self, part: _Part) -> None:
        """Look at one component, and take one step or come to rest."""
        try:
            with self._apart(part), self._lease(part):
                self._recover(part)
                facts, answer = self._decide(part)
                if isinstance(answer, Rest):
                    part.rest, part.is_open, part.done, part.sight = answer, False, None, None
                else:
                    self._take(part, facts, answer)
        except LeaseHeld as held:
            part.held, part.is_open, part.rest = held, False, None
            self._held.append(held)

    def _decide(self, part: _Part) -> tuple[Facts, Step | Rest]:
        """Look, and return what was seen and what follows; what the run itself did since its look needs no other."""
        if part.sight is not None and part.done is not None:
            facts = glance(part.desired, self._rings, part.sight)
            answer = self._next(part, facts, self._rings.clock.now())
            if isinstance(answer, FOLLOWERS[type(part.done)]) and answer != part.done:
                return facts, answer
        part.sight = look(part.desired, self._rings)
        return part.sight, self._next(part, part.sight, decided_at(part.sight, self._rings))

    def _next(self, part: _Part, facts: Facts, now: datetime) -> Step | Rest:
        holds = other_machine(part.desired, facts, self._rings.host_id)
        if holds:
            return Rest(holds=holds)
        return next_step(part.desired, facts, now, self._rings.chance, self._forgive)

    def _take(self, part: _Part, facts: Facts, step: Step) -> None:
        if step in part.stuck or part.steps >= part.most_steps:
            why = NO_CHANGE if step in part.stuck else f"{part.steps} steps in one run, and no rest"
            raise RetryLater(f"{describe(step)}: {why}; this is a defect of danelaw or of a service: report it")
        sight, part.sight = part.sight, None
        part.steps += 1
        part.patience = uptime(self._rings.clock) + PATIENCE
        if step == part.done:
            part.stuck.add(step)
            self.failed.append(came_to_nothing(part.desired, self._rings, facts, step))
            return
        self.taken.append(step)
        part.done = None
        outcome, failure = act(part.desired, self._rings, facts, step)
        if failure:
            self.failed.append(failure)
        part.changed = part.changed or isinstance(step, Publish | Prove)
        if outcome == "done":
            part.done, part.sight = step, sight if type(step) in FOLLOWERS else None

    def sleep(self) -> bool:
        """Sleep until the next wait worth staying for ends, and open the parts to look at; False: the run is over."""
        now = self._rings.clock.now()
        ends = {part: wait for part in self.parts if (wait := self._worth(part)) is not None}
        if not ends:
            return False
        first = min(ends.values(), key=lambda wait: wait.until)
        up = uptime(self._rings.clock)
        until = min([first.until, *(now + ((part.pay_at or up) - up) for part in self._owing())])
        if until - now > LONG and first != self._told:
            self._rings.tell("progress", f"waiting until {first.until:%Y-%m-%d %H:%M:%SZ}: {first.why}")
            self._told = first
        self._pass_until(until, first)
        for part, wait in ends.items():
            part.is_open = wait.until <= until
        return True

    def _pass_until(self, until: datetime, first: Wait) -> None:
        """Sleep, and show how long it still lasts to whoever looks on; the clock may be set meanwhile."""
        countdown = self._rings.countdown
        if countdown is None or until - self._rings.clock.now() <= LONG:
            self._rings.clock.sleep_until(until)
            return
        last = now = self._rings.clock.now()
        try:
            while last <= now < until:  # a clock that was set back asks for another look
                countdown(first.until - now, first.why)
                self._rings.clock.sleep_until(min(until, self._rings.clock.now() + TICK))
                last, now = now, self._rings.clock.now()
        finally:
            countdown(None, "")

    def _worth(self, part: _Part) -> Wait | None:
        """Return the first wait of a component that is worth staying for."""
        waits = part.rest.waits if part.rest else ()
        latest = self._rings.clock.now() + part.patience - uptime(self._rings.clock)
        worth = [
            wait
            for wait in waits
            if (self._options.wait and wait.code not in ENDLESS) or (wait.code in SETTLING and wait.until <= latest)
        ]
        return min(worth, key=lambda wait: wait.until, default=None)

    def raise_if_held(self) -> None:
        """Raise `LeaseHeld` where nothing at all could be done; else what others are at work on is a failure."""
        held = [*self._held, *(part.held for part in self.parts if part.held and part.held not in self._held)]
        if held and not self._had_a_lease:
            raise held[0]
        self.failed.extend(str(each) for each in self._held)

    @contextmanager
    def _lease(self, part: _Part) -> Iterator[None]:
        with _lease(self._rings, part.names):
            self._had_a_lease = True
            yield

    @contextmanager
    def _apart(self, part: _Part) -> Iterator[None]:
        """Keep what one component fails at from the others: it is said, and its turn in this run is over."""
        try:
            yield
        except (LeaseHeld, StateCorrupt):
            raise
        except DanelawError as error:
            part.is_open, part.rest = False, None
            self.failed.append(f"{', '.join(part.names)}: {error}")


def _begun_under(name: str) -> Callable[[Effect], bool]:
    """Return what tells whether an effect was begun under the lease of a certificate."""
    return lambda effect: certificate_of(effect) == name


@contextmanager
def _lease(rings: Rings, names: Sequence[str]) -> Iterator[None]:
    """Hold the leases of a component's certificates, in one order so that two runs cannot wait for each other."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(rings.store.lease(name))
        yield


def _intents(desired: Desired, options: Options, now: datetime) -> list[Fact]:
    names = options.names or tuple(spec.name for spec in desired.certificates)
    return [Intent(name, "renew", options.by, now) for name in names]


def _check_names(desired: Desired, names: Collection[str]) -> None:
    known = [spec.name for spec in desired.certificates]
    for name in names:
        if name not in known:
            raise InputError(f"no certificate is called {name!r}; the config has {', '.join(known) or 'none'}")


def _joined(rests: Collection[Rest]) -> Rest:
    waits = [wait for rest in rests for wait in rest.waits]
    holds: list[Hold] = [hold for rest in rests for hold in rest.holds]
    return Rest(tuple(sorted(waits, key=lambda wait: wait.until)), tuple(holds))


def chosen(desired: Desired, names: Collection[str]) -> Desired:
    """Return what is desired of the certificates named, all without a name. Raises `InputError` for an unknown one."""
    _check_names(desired, names)
    return replace(
        desired, certificates=tuple(spec for spec in desired.certificates if not names or spec.name in names)
    )
