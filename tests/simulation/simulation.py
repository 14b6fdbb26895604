"""One history from a seed: runs of the real `apply` on a timer, crashes among them, and what is asked of it all."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from danelaw.errors import UnsafePlan
from danelaw.lifecycle import renewal_at
from danelaw.model import Activate, Prove, Reload, TlsaRecord
from danelaw.run import runner
from danelaw.run.obtain import WINDOW
from danelaw.run.rings import Outcome
from simulation.faults import Life, SimulatedCrash
from simulation.scenarios import DAYS, Kind, World, build
from simulation.senders import Judge
from simulation.timeline import START

CRASHES = 0.12
"""How often a run is killed while faults last, at intensity 1."""

HOUR = timedelta(hours=1)

LONGEST_RUN = 20_000
"""Touches of the world; a run that makes more never ends."""


@dataclass
class Report:
    """What a history was like, and what was wrong with it."""

    seed: int
    kind: Kind
    days: float
    runs: int = 0
    crashes: int = 0
    renewals: int = 0
    checks: int = 0
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = f", {len(self.violations)} VIOLATIONS" if self.violations else ""
        return (
            f"seed {self.seed} ({self.kind}): {self.days:.0f} days, {self.runs} runs, {self.crashes} crashes, "
            f"{self.steps} steps, {self.renewals} certificates, {sum(self.faults.values())} faults, "
            f"{self.checks} checks{wrong}"
        )


class Simulation:
    """A world and the timer that runs `apply` in it."""

    def __init__(self, seed: int, kind: Kind | None = None, *, verbose: bool = False) -> None:
        self.world = build(seed, kind)
        self.report = Report(seed, self.world.kind, 0)
        self._rng = Random(seed * 2 + 1)  # noqa: S311 (nothing secret)
        self._verbose = verbose
        self._restless = 0
        self._eager = self._rng.random() < 0.15

    def play(self) -> Report:
        """Let the whole history happen, then judge it."""
        timeline = self.world.timeline
        end = START + timedelta(days=DAYS)
        while timeline.now < end:
            outcome = self._run()
            timeline.advance_to(max(self._next(outcome), timeline.now + timedelta(seconds=1)))
            self._meddle()
        self._judge()
        return self.report

    def _run(self) -> Outcome | None:
        world, report = self.world, self.report
        dies = self._rng.random() < CRASHES * world.faults.intensity and not world.faults.calm
        life = Life(self._rng.randrange(1, 90) if dies else LONGEST_RUN)
        options = runner.Options(wait=self._rng.random() < 0.1)
        report.runs += 1
        try:
            outcome = runner.apply(world.desired, world.rings(life), options)
        except SimulatedCrash:
            if not dies:
                report.violations.append(f"{world.timeline.now}: a run did not end")
            report.crashes += 1
            self._say("CRASH")
            return None
        except UnsafePlan as error:
            report.violations.append(f"{world.timeline.now}: {error}")
            return None
        report.steps += len(outcome.steps)
        report.violations.extend(f"{world.timeline.now}: {text}" for text in outcome.failed if "promise 1:" in text)
        for step in outcome.steps:
            self._say(str(step))
        self._say(str(outcome.rest))
        for text in outcome.failed:
            self._say(f"failed: {text}")
            if "is refused: a sender may hold" in text:  # the runner reports `UnsafePlan` and carries on
                report.violations.append(f"{world.timeline.now}: {text}")
        if not world.web.up and not self._is_owed(outcome):
            report.violations.append(f"{world.timeline.now}: the web server is down after a run that says nothing")
        report.violations.extend(self._unproven(outcome))
        return outcome

    def _unproven(self, outcome: Outcome) -> list[str]:
        """Promise 5: what was taken for proven in this run is what every service presents."""
        last = {step.deployment: step for step in outcome.steps if isinstance(step, Activate | Reload | Prove)}
        facts = self.world.store.snapshot()
        return [
            f"{self.world.timeline.now}: {service.endpoint} at {service.address} does not present what was proven"
            for step in last.values()
            if isinstance(step, Prove)
            for row in facts.generations
            if (row.deployment, row.n) == (step.deployment, step.n)
            and row.proven_at
            and row.proven_at == max(at for at in (row.proven_at, row.reloaded_at, row.failed_at) if at)
            for deployment in self.world.spec.deployments
            if deployment.id == step.deployment
            for service in self.world.services
            if service.endpoint in deployment.endpoints and not service.down
            if [chain.leaf_sha256 for chain in service.workers] != [row.leaf_sha256]
        ]

    def _is_owed(self, outcome: Outcome) -> bool:
        """Tell whether the start of the web server is stored as owed, and its failure was told."""
        owed = [e for e in self.world.store.snapshot().effects if e.kind == WINDOW and e.ended_at is None]
        return bool(owed) and any("post_challenge" in text for text in outcome.failed)

    def _say(self, text: str) -> None:
        if self._verbose:
            print(f"{self.world.timeline.now:%Y-%m-%d %H:%M:%S} {text}")

    def _next(self, outcome: Outcome | None) -> datetime:
        """Return when the timer runs next: hourly or so where something is open, else now and then."""
        now = self.world.timeline.now
        if outcome is None:
            return now + timedelta(minutes=self._rng.uniform(0.1, 60))
        waits = outcome.rest.waits
        quiet = not outcome.rest.holds and all(wait.code == "renewal" for wait in waits)
        self._restless = 0 if quiet else min(self._restless + 1, 10)
        if quiet:
            pause = timedelta(days=self._rng.uniform(5, 40))
        else:
            pause = timedelta(hours=min(self._rng.uniform(0.7, 1.3) * 1.5**self._restless, 24))
        patient = {"renewal", "cached", "history", "backoff"}
        ends = [wait.until for wait in waits if self._eager or (wait.code in patient and wait.until - now > HOUR / 4)]
        jitter = timedelta(seconds=self._rng.uniform(0, 120))
        return min([now + pause, *(end + jitter for end in ends if end > now)])

    def _meddle(self) -> None:
        while self.world.meddling and self.world.meddling[0][0] <= self.world.timeline.now:
            _, edit = self.world.meddling.pop(0)
            edit()

    def _judge(self) -> None:
        world, report = self.world, self.report
        now = world.timeline.now
        report.days = (now - START).total_seconds() / 86400
        report.renewals = len(world.authority.issued)
        report.faults = world.faults.counts
        judge = Judge(world.desired.lookup_margin)
        served = [row for server in world.zone.listed for row in server.served]
        shown = [row for service in world.services for row in service.shown]
        report.violations.extend(str(refusal) for refusal in judge.refusals(served, shown, now))
        report.checks = judge.checks
        report.violations.extend(_trespasses(world))
        report.violations.extend(_unfinished(world))
        report.violations.extend(_hammering(world))


def _trespasses(world: World) -> list[str]:
    """Promise 4: only its own records were removed, and those that `prune` names."""
    return [
        f"removed other people's record {record} at {owner}"
        for owner, record in world.zone.removed_by_danelaw
        if (owner, record) not in world.zone.added_by_danelaw and not world.prunable(record)
    ]


def _hammering(world: World) -> list[str]:
    """Let's Encrypt's limit: five certificates of one set of names in seven days."""
    instants = [at for at, _ in world.authority.issued]
    return [
        f"more than five certificates in the week from {first}"
        for first, sixth in zip(instants, instants[5:], strict=False)
        if sixth - first < timedelta(days=7)
    ]


def _unfinished(world: World) -> list[str]:
    """Liveness: faults are over since long, so everything is as the config wants it."""
    wrong = []
    now = world.timeline.now
    facts = world.store.snapshot()
    if not world.web.up:
        wrong.append("the web server is down")
    wrong.extend(f"the effect {row.kind} of {row.subject} is open" for row in facts.effects if not row.ended_at)
    issued = world.authority.issued[-1][1] if world.authority.issued else None
    if issued is None or renewal_at(issued) < now - timedelta(days=2):
        wrong.append("the certificate was not renewed")
    wrong.extend(
        f"{service.endpoint} at {service.address} does not present the newest certificate"
        for service in world.services
        if service.down or not issued or [c.leaf_sha256 for c in service.workers] != [issued.leaf_sha256]
    )
    for claim in world.spec.claims:
        owner = claim.endpoint.owner
        expected = {_expected(world, spec) for spec in claim.records} | world.expected_foreign[owner]
        for server in world.zone.servers:
            rrset = server.version.get(owner)
            found = set(rrset.rdatas) if rrset else set()
            if found != expected:
                wrong.append(f"{owner} at {server.address}: {_short(found)} instead of {_short(expected)}")
    return [f"at the end: {text}" for text in wrong]


def _expected(world: World, spec: tuple[int, int, int]) -> TlsaRecord:

    digest = hashlib.sha256 if spec[2] == 1 else hashlib.sha512
    return TlsaRecord(*spec, digest(world.key.spki_der).digest())


def _short(records: set[TlsaRecord]) -> str:
    return "{" + ", ".join(str(record)[:14] for record in sorted(records)) + "}"


def simulate(seed: int, kind: Kind | None = None, *, verbose: bool = False) -> Report:
    """Play one seed."""
    return Simulation(seed, kind, verbose=verbose).play()
