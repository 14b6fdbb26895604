"""One history from a seed: runs of the real `apply` on a timer, crashes among them, and what is asked of it all."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from danelaw.errors import UnsafePlan
from danelaw.lifecycle import renewal_at
from danelaw.model import Activate, CertificateSpec, Prove, Reload, Step, TlsaRecord
from danelaw.run import runner
from danelaw.run.obtain import WINDOW
from danelaw.run.rings import Outcome
from simulation.faults import Life, SimulatedCrash
from simulation.mint import SimKey
from simulation.pairs import build_pair
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

    def __init__(self, seed: int, kind: Kind | None = None, *, certificates: int = 1, verbose: bool = False) -> None:
        self.world = _world(seed, kind, certificates)
        self.report = Report(seed, self.world.kind, 0)
        self._rng = Random(seed * 2 + 1)  # noqa: S311 (nothing secret)
        self._verbose = verbose
        self._restless = 0
        self._retry = False
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
        options = runner.Options(wait=self._rng.random() < 0.1, retry_now=self._retry)
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
        self._retry = any(hold.code == "lost" for hold in outcome.rest.holds)  # the person does what is asked for
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
        if not world.faults.intensity:
            report.violations.extend(f"{world.timeline.now}: {text}" for text in _clumsy(world, outcome.steps))
        return outcome

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
        ends = [
            wait.until
            for wait in waits
            if self._eager or quiet or (wait.code in patient and wait.until - now > HOUR / 4)
        ]
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
        if not world.faults.intensity:
            report.violations.extend(_failed_without_a_fault(world))


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
    for key in world.keys.values():
        instants = [at for at, chain in world.authority.issued if chain.spki_sha256 == key.spki_sha256]
        wrong.extend(
            f"more than five certificates in the week from {first}"
            for first, sixth in zip(instants, instants[5:], strict=False)
            if sixth - first < timedelta(days=7)
        )
    return wrong


def _unfinished(world: World) -> list[str]:
    """Liveness: faults are over since long, so everything is as the config wants it."""
    wrong = []
    now = world.timeline.now
    facts = world.store.snapshot()
    if not world.web.up:
        wrong.append("the web server is down")
    wrong.extend(f"the effect {row.kind} of {row.subject} is open" for row in facts.effects if not row.ended_at)
    for spec in world.desired.certificates:
        wrong.extend(f"{spec.name}: {text}" for text in _not_renewed(world, spec, now))
    claims = [claim for spec in world.desired.certificates for claim in spec.claims]
    for owner in dict.fromkeys(claim.endpoint.owner for claim in claims):
        ours = [claim for claim in claims if claim.endpoint.owner == owner]
        expected = {_expected(world.keys[claim.certificate], spec) for claim in ours for spec in claim.records}
        expected |= world.expected_foreign[owner]
        for server in world.zone.servers:
            rrset = server.version.get(owner)
            found = set(rrset.rdatas) if rrset else set()
            if found != expected:
                wrong.append(f"{owner} at {server.address}: {_short(found)} instead of {_short(expected)}")
    return [f"at the end: {text}" for text in wrong]


def _not_renewed(world: World, spec: CertificateSpec, now: datetime) -> list[str]:
    key = world.keys[spec.name]
    issued = [chain for _, chain in world.authority.issued if chain.spki_sha256 == key.spki_sha256]
    if not issued or renewal_at(issued[-1]) < now - timedelta(days=2):
        return ["the certificate was not renewed"]
    proven = {endpoint for deployment in spec.deployments for endpoint in deployment.endpoints}
    return [
        f"{service.endpoint} at {service.address} does not present the newest certificate"
        for service in world.services
        if service.endpoint in proven
        and (service.down or world.presented_for(spec.name, service) != [issued[-1].leaf_sha256])
    ]


def _expected(key: SimKey, spec: tuple[int, int, int]) -> TlsaRecord:
    digest = hashlib.sha256 if spec[2] == 1 else hashlib.sha512
    return TlsaRecord(*spec, digest(key.spki_der).digest())


def _short(records: set[TlsaRecord]) -> str:
    return "{" + ", ".join(str(record)[:14] for record in sorted(records)) + "}"


def _world(seed: int, kind: Kind | None, certificates: int) -> World:
    match kind:
        case "beside" | "both" | "both first":
            return build_pair(seed, kind)
        case None if certificates == 2:
            return build_pair(seed)
        case _:
            return build(seed, kind)


def simulate(seed: int, kind: Kind | None = None, *, certificates: int = 1, verbose: bool = False) -> Report:
    """Play one seed, of one certificate or of two."""
    return Simulation(seed, kind, certificates=certificates, verbose=verbose).play()
