"""One history from a seed: runs of the real `apply` on a timer, crashes among them, and what is asked of it all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import cast

from danelaw.errors import RetryLater, UnsafePlan
from danelaw.model import Activate, Prove, Reload, Rest, Step
from danelaw.run import runner
from danelaw.run.act import describe
from danelaw.run.obtain import WINDOW
from danelaw.run.rings import Outcome
from simulation.clients import Clients
from simulation.endings import lost_keys, unfinished
from simulation.faults import Life, SimulatedCrash
from simulation.pairs import build_pair
from simulation.rollovers import react, turn_over
from simulation.scenarios import DAYS, PAIRS, Kind, Single, World, build
from simulation.senders import Judge
from simulation.timeline import START

CRASHES = 0.12
"""How often a run is killed while faults last, at intensity 1."""

HOUR = timedelta(hours=1)

LONGEST_RUN = 100_000
"""Touches of the world; a run that makes more never ends."""


PATIENCE = 20_000
"""Touches of the world until a person gives a run up that waits."""

AT_REST = frozenset({"renewal", "scheduled", "retiring"})
"""Waits of a world in which nothing is in course."""

PATIENT = AT_REST | {"cached", "history", "backoff", "settling"}
"""Waits whose end is worth waking for."""

REST_DAYS = 45
"""How long a history may go on until all is at rest."""

CLIENTS = 300
"""Instants at which clients ask, in a history."""


@dataclass
class Report:
    """What a history was like, and what was wrong with it."""

    seed: int
    kind: Kind
    days: float
    runs: int = 0
    crashes: int = 0
    renewals: int = 0
    rollovers: int = 0
    checks: int = 0
    clients: int = 0
    held: int = 0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = f", {len(self.violations)} VIOLATIONS" if self.violations else ""
        return (
            f"seed {self.seed} ({self.kind}): {self.days:.0f} days, {self.runs} runs, {self.crashes} crashes, "
            f"{self.steps} steps, {self.renewals} certificates, {self.rollovers} rollovers, "
            f"{sum(self.faults.values())} faults, {self.clients} clients, {self.checks} checks{wrong}"
        )


class Simulation:
    """A world and the timer that runs `apply` in it."""

    def __init__(self, world: World, seed: int, *, verbose: bool = False) -> None:
        self.world = world
        self.report = Report(seed, world.kind, 0)
        self._rng = Random(seed * 2 + 1)  # noqa: S311 (nothing secret)
        self._verbose = verbose
        self._restless = 0
        self._retry = False
        self._rest: Rest | None = None
        self._eager = self._rng.random() < 0.15
        self._promised: dict[str, set[str]] = {}

    def play(self) -> Report:
        """Let the whole history happen, then judge it."""
        timeline = self.world.timeline
        end = START + timedelta(days=DAYS)
        while timeline.now < end or (self.is_busy() and timeline.now < end + timedelta(days=REST_DAYS)):
            outcome = self.run()
            timeline.advance_to(max(self.next_run(outcome), timeline.now + timedelta(seconds=1)))
            self._meddle()
        self.judge()
        return self.report

    def is_busy(self) -> bool:
        """Tell whether a rollover is in course: a history ends where all is at rest."""
        rest = self._rest
        return self.world.rolls and (rest is None or bool(rest.holds) or any(w.code not in AT_REST for w in rest.waits))

    def run(self, fuse: int | None = None, *, wait: bool | None = None) -> Outcome | None:
        """Let the timer run `apply` once; return its outcome, None where it was killed or failed as a whole."""
        world, report = self.world, self.report
        dies = self._rng.random() < CRASHES * world.faults.intensity and not world.faults.calm
        if dies and fuse is None:
            fuse = self._rng.randrange(1, 90)
        strict = any(claim.strict for spec in world.desired.certificates for claim in spec.claims)
        stays = self._rng.random() < 0.1 and not strict if wait is None else wait  # a strict wait is one of weeks
        if stays and fuse is None:
            fuse = PATIENCE  # nobody sits before a terminal for days
        life = Life(LONGEST_RUN if fuse is None else fuse)
        options = runner.Options(wait=stays, retry_now=self._retry)
        report.runs += 1
        boots = world.timeline.boots
        self._rest = None
        try:
            outcome = runner.apply(world.desired, world.rings(life), options)
        except SimulatedCrash:
            if fuse is None and world.timeline.boots == boots:
                report.violations.append(f"{world.timeline.now}: a run did not end")
            report.crashes += 1
            world.store.forget()
            self._say("CRASH")
            self._keep_promises()
            return None
        except UnsafePlan as error:
            report.violations.append(f"{world.timeline.now}: {error}")
            return None
        except RetryLater as error:  # the state's disk is full
            self._say(str(error))
            if world.faults.calm or not world.store.is_full:
                report.violations.append(f"{world.timeline.now}: {error}")
            return None
        report.steps += len(outcome.steps)
        self._rest = outcome.rest
        self._retry = react(world, outcome)  # the person does what is asked for
        report.violations.extend(
            f"{world.timeline.now}: {text}" for text in outcome.failed if text.startswith("promise 1:")
        )
        for step in outcome.steps:
            self._say(f"{describe(step)}: {step.why}")
        self._say("; ".join(_said(outcome)))
        for text in outcome.failed:
            self._say(f"failed: {text}")
            if "invariant " in text and " is refused: " in text:  # the runner reports `UnsafePlan` and carries on
                report.violations.append(f"{world.timeline.now}: {text}")
        if not world.web.up and not self._is_owed(outcome):
            report.violations.append(f"{world.timeline.now}: the web server is down after a run that says nothing")
        report.violations.extend(self._unproven(outcome))
        if not world.faults.intensity and not world.rolls:
            report.violations.extend(f"{world.timeline.now}: {text}" for text in _clumsy(world, outcome.steps))
        self._keep_promises()
        return outcome

    def _keep_promises(self) -> None:
        """See that a next key which was published is kept: it is there, and stays so until it is the current one."""
        if self.world.rolls:
            self._promised, wrong = lost_keys(self.world, self._promised)
            self.report.violations.extend(wrong)
            self.world.touched = self.world.touched and self.is_busy()

    def _unproven(self, outcome: Outcome) -> list[str]:
        """Promise 5: what was taken for proven in this run is what every service presents."""
        last = {step.deployment: step for step in outcome.steps if isinstance(step, Activate | Reload | Prove)}
        facts = self.world.store.snapshot()
        deployments = [each for spec in self.world.desired.certificates for each in spec.deployments]
        return [
            f"{self.world.timeline.now}: {service.endpoint} at {service.address} does not present what was proven"
            for step in last.values()
            if isinstance(step, Prove)
            for row in facts.generations
            if (row.deployment, row.n) == (step.deployment, step.n)
            and row.proven_at
            and row.proven_at == max(at for at in (row.proven_at, row.reloaded_at, row.failed_at) if at)
            for deployment in deployments
            if deployment.id == step.deployment
            for service in self.world.services
            if service.endpoint in deployment.endpoints and not service.down
            if self.world.presented_for(step.certificate, service) != [row.leaf_sha256]
        ]

    def _is_owed(self, outcome: Outcome) -> bool:
        """Tell whether the start of the web server is stored as owed, and its failure was told."""
        owed = [e for e in self.world.store.snapshot().effects if e.kind == WINDOW and e.ended_at is None]
        return bool(owed) and any("post_challenge" in text for text in outcome.failed)

    def _say(self, text: str) -> None:
        if self._verbose:
            print(f"{self.world.timeline.now:%Y-%m-%d %H:%M:%S} {text}")

    def next_run(self, outcome: Outcome | None) -> datetime:
        """Return when the timer runs next: hourly or so where something is open, else now and then."""
        now = self.world.timeline.now
        if outcome is None:
            return now + timedelta(minutes=self._rng.uniform(0.1, 60))
        waits = outcome.rest.waits
        quiet = not outcome.rest.holds and all(wait.code in AT_REST for wait in waits)
        self._restless = 0 if quiet else min(self._restless + 1, 10)
        if quiet:
            pause = timedelta(days=self._rng.uniform(5, 40))
        else:
            pause = timedelta(hours=min(self._rng.uniform(0.7, 1.3) * 1.5**self._restless, 24))
        until = self.world.timeline.true_at
        ends = [
            until(wait.until)
            for wait in waits
            if self._eager or quiet or (wait.code in PATIENT and until(wait.until) - now > HOUR / 4)
        ]
        jitter = timedelta(seconds=self._rng.uniform(0, 120))
        asked = [at for at, _ in self.world.meddling[:1] if self.world.rolls]  # who asks also runs it
        return min([now + pause, *(end + jitter for end in ends if end > now), *asked])

    def _meddle(self) -> None:
        while self.world.meddling and self.world.meddling[0][0] <= self.world.timeline.now:
            _, edit = self.world.meddling.pop(0)
            edit()

    def judge(self) -> None:
        """Ask everybody that could have been, and some who were; and see that all ended well."""
        world, report = self.world, self.report
        now = world.timeline.now
        report.days = (now - START).total_seconds() / 86400
        report.renewals = len(world.authority.issued)
        report.rollovers = sum(key.current_since is not None for key in world.store.snapshot().keys) - len(world.keys)
        report.faults = world.faults.counts
        report.violations.extend(refused(world, report, CLIENTS if world.rolls else CLIENTS // 4))
        report.violations.extend([] if world.restored else _trespasses(world))
        report.violations.extend(unfinished(world))
        report.violations.extend(_hammering(world))
        report.violations.extend(world.wrong)
        report.violations.extend(world.host.keys.wrong)
        report.violations.extend(world.authority.wrong)
        if not world.faults.intensity and not world.rolls:
            report.violations.extend(_failed_without_a_fault(world))


def refused(world: World, report: Report, clients: int) -> list[str]:
    """Return what senders refuse, or refused: promise 1."""
    margin = world.desired.lookup_margin
    judge = Judge(margin, world.is_accepted)
    served = [row for server in world.zone.listed for row in server.served]
    shown = [row for service in world.services for row in service.shown]
    wrong = [str(refusal) for refusal in judge.refusals(served, shown, world.timeline.now)]
    asked = Clients(Random(report.seed), judge, served, shown)  # noqa: S311 (nothing secret)
    wrong += asked.ask(clients, world.timeline.now, margin)
    report.checks, report.clients, report.held = judge.checks, asked.checks, asked.held
    return wrong


def _said(outcome: Outcome) -> list[str]:
    waits = [
        f"waits {wait.code} {wait.until:%m-%d %H:%M}" + (f": {wait.why}" if wait.code not in PATIENT else "")
        for wait in outcome.rest.waits
    ]
    return waits + [f"HOLD {hold.code} {hold.subject}: {hold.why}" for hold in outcome.rest.holds]


def _trespasses(world: World) -> list[str]:
    """Promise 4: only its own records were removed, and those that `prune` names."""
    return [
        f"removed other people's record {record} at {owner}"
        for owner, record in world.zone.removed_by_danelaw
        if (owner, record) not in world.zone.added_by_danelaw and not world.prunable(record)
    ]


def _clumsy(world: World, steps: Sequence[Step]) -> list[str]:
    """Say where a reload was followed by another that one of them would have done for, nothing having gone live."""
    read_by = {d.id: set(d.services) for spec in world.desired.certificates for d in spec.deployments}
    row = [step for step in steps if isinstance(step, Activate | Reload)]
    return [
        f"{second.deployment} is reloaded right after {first.deployment}"
        for first, second in pairwise(row)
        if isinstance(first, Reload) and isinstance(second, Reload)
        if read_by[first.deployment] <= read_by[second.deployment]
        or read_by[second.deployment] <= read_by[first.deployment]
    ]


def _failed_without_a_fault(world: World) -> list[str]:
    return [
        f"{row.kind} of {row.subject} failed in a world without faults: {row.evidence}"
        for row in world.store.snapshot().effects
        if row.outcome == "failed" and row.kind in {"reload", "prove"}
    ]


def _hammering(world: World) -> list[str]:
    """Let's Encrypt's limit: five certificates of one set of names in seven days."""
    wrong: list[str] = []
    for spki in dict.fromkeys(chain.spki_sha256 for _, chain in world.authority.issued):
        instants = [at for at, chain in world.authority.issued if chain.spki_sha256 == spki]
        wrong.extend(
            f"more than five certificates in the week from {first}"
            for first, sixth in zip(instants, instants[5:], strict=False)
            if sixth - first < timedelta(days=7)
        )
    return wrong


def simulate(
    seed: int, kind: Kind | None = None, *, certificates: int = 1, rollovers: bool = False, verbose: bool = False
) -> Report:
    """Play the history of one seed and judge it."""
    return Simulation(world_of(seed, kind, certificates, rollovers=rollovers), seed, verbose=verbose).play()


def world_of(seed: int, kind: Kind | None = None, certificates: int = 1, *, rollovers: bool = False) -> World:
    """Draw the world of a seed."""
    if kind in PAIRS or (kind is None and certificates > 1):
        world = build_pair(seed, kind)
    else:
        world = build(seed, cast("Single | None", kind))
    return turn_over(world, Random(seed * 3 + 2)) if rollovers else world  # noqa: S311 (nothing secret)
