"""Look, decide, act, look again: until everything rests."""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from danelaw.config import Config
from danelaw.errors import InputError
from danelaw.lifecycle import step as next_step
from danelaw.lifecycle.components import components, subjects
from danelaw.model import Desired, Fact, Hold, Intent, Rest, Step, Wait
from danelaw.run.act import act
from danelaw.run.look import deployments_of, look
from danelaw.run.recover import recover
from danelaw.run.rings import Outcome, Rings
from danelaw.store import SqliteStore
from danelaw.store.agenda import stat_file

SETTLING = frozenset({"lagging", "validated", "cached"})
"""Waits that a moment of patience often ends: servers that fetch what was just published."""

PATIENCE = timedelta(seconds=30)
"""How long a run without ``--wait`` looks again before it leaves such a wait to the next run."""

LONG = timedelta(seconds=2)
"""A wait that is announced."""


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

    Raises `LeaseHeld` where another run is at work.
    """
    _check_names(desired, options.names)
    if options.force_renewal:
        rings.store.record(_intents(desired, options, rings.clock.now()))
    forgive = rings.clock.now() if options.retry_now else None
    taken: list[Step] = []
    failed = list(_recover_orphans(desired, rings))
    parts = components(desired, options.names)
    rests: dict[int, Rest] = {}
    open_parts = set(range(len(parts)))
    patience = {number: rings.clock.now() + PATIENCE for number in open_parts}
    recovered: set[int] = set()
    while open_parts:
        for number in sorted(open_parts):
            with _lease(rings, parts[number]):
                if number not in recovered:
                    failed.extend(recover(rings, subjects(parts[number]), deployments_of(parts[number])))
                    recovered.add(number)
                facts = look(parts[number], rings)
                answer = next_step(parts[number], facts, rings.clock.now(), rings.chance, forgive)
                if isinstance(answer, Rest):
                    rests[number] = answer
                    open_parts.discard(number)
                    continue
                taken.append(answer)
                failure = act(parts[number], rings, facts, answer)
                if failure:
                    failed.append(failure)
                patience[number] = rings.clock.now() + PATIENCE
        if not open_parts:
            open_parts = _sleep(rings, rests, options, patience)
    return Outcome(tuple(taken), tuple(failed), _joined(rests.values()))


def _sleep(rings: Rings, rests: dict[int, Rest], options: Options, patience: dict[int, datetime]) -> set[int]:
    """Sleep until the next wait worth staying for ends; return the parts to look at again, none: the run is over."""
    now = rings.clock.now()
    ends: dict[int, Wait] = {}
    for number, rest in rests.items():
        worth = [
            wait
            for wait in rest.waits
            if (options.wait and wait.code not in {"renewal", "backoff"})
            or (wait.code in SETTLING and wait.until <= patience[number])
        ]
        if worth:
            ends[number] = min(worth, key=lambda wait: wait.until)
    if not ends:
        return set()
    first = min(ends.values(), key=lambda wait: wait.until)
    if first.until - now > LONG:
        rings.tell("progress", f"waiting until {first.until:%Y-%m-%d %H:%M:%SZ}: {first.why}")
    rings.clock.sleep_until(first.until)
    return {number for number, wait in ends.items() if wait.until <= first.until}


def run_recover(desired: Desired, rings: Rings) -> list[str]:
    """Do only what an interrupted run owes; return what failed."""
    failed = list(_recover_orphans(desired, rings))
    for part in components(desired):
        with _lease(rings, part):
            failed.extend(recover(rings, subjects(part), deployments_of(part)))
    return failed


def _recover_orphans(desired: Desired, rings: Rings) -> Sequence[str]:
    """Do what is owed to certificates that have left the config."""
    known = subjects(desired)
    orphans = {e.subject for e in rings.store.snapshot().effects if e.ended_at is None and e.subject not in known}
    failed: list[str] = []
    for subject in sorted(orphans):
        with rings.store.lease(subject):
            failed.extend(recover(rings, frozenset({subject})))
    return failed


def _lease(rings: Rings, part: Desired) -> ExitStack:
    """Hold the leases of a component's certificates, in one order so that two runs cannot wait for each other."""
    stack = ExitStack()
    try:
        for name in sorted(spec.name for spec in part.certificates):
            stack.enter_context(rings.store.lease(name))
    except BaseException:
        stack.close()
        raise
    return stack


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


def next_look(rest: Rest, now: datetime) -> datetime:
    """Return when a run is due again: at the first wait's end, and for the proofs at most a day from now.

    At once where a person is needed or a failure is backed off from: each run says so, by its exit status too.
    """
    if rest.holds or any(wait.code == "backoff" for wait in rest.waits):
        return now
    return min([wait.until for wait in rest.waits] + [now + timedelta(days=1)])


def chosen(desired: Desired, names: Collection[str]) -> Desired:
    """Return what is desired of the certificates named, all without a name. Raises `InputError` for an unknown one."""
    _check_names(desired, names)
    return replace(
        desired, certificates=tuple(spec for spec in desired.certificates if not names or spec.name in names)
    )


def keep_agenda(config: Config, rings: Rings, store: SqliteStore, rest: Rest) -> None:
    """Store when to look again, with the files whose change would make that sooner."""
    paths = {file.path for spec in config.desired.certificates for d in spec.deployments for file in d.files}
    paths |= {spec.key for spec in config.desired.certificates if spec.key}
    now = rings.clock.now()
    store.set_agenda(config.digest, next_look(rest, now), now, [stat_file(path) for path in sorted(paths)])
