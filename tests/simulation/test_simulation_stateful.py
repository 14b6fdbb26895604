"""Histories whose every event Hypothesis draws: what goes wrong is told in the fewest events that show it.

Nothing happens by chance here: faults are armed, servers frozen, clocks set and processes killed by rules.
"""

import os
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from danelaw.model import CertificateSpec, TlsaRecord
from simulation import rollovers
from simulation.scenarios import Single, build
from simulation.simulation import Simulation, refused
from simulation.timeline import START

STORIES = int(os.environ.get("STORIES", "20"))

FAULTS = (
    "a NOTIFY is lost",
    "a command hangs",
    "a config test fails",
    "a handshake fails",
    "a reload fails",
    "a reload is ignored",
    "a reload is slow",
    "a service comes back slowly",
    "old workers linger",
    "an update is refused",
    "an update is lost to another",
    "an update's answer is lost",
    "the CA cannot validate",
    "the CA is overloaded",
    "the CA refuses",
    "the CA's answer is lost",
    "the disk is full",
    "the disk is full once the key is made",
    "the primary is silent",
    "the resolver fails",
)

CHANGES = rollovers.CLAIM_CHANGES | rollovers.KEY_CHANGES | rollovers.SINGLE_CHANGES

LONG = timedelta(days=900)
"""How late faults may still come."""

MOST_RUNS = 400
"""So many runs bring everything to rest."""


class Stories(RuleBasedStateMachine):
    """A mail host with one certificate, and everything that may happen to it."""

    @initialize(
        seed=st.integers(0, 40),
        kind=st.sampled_from(("migration", "first", "kept", "newkey", "broken")),
        rollover=st.sampled_from((None, 30, 60)),
        ahead=st.booleans(),
        settle=st.sampled_from((0, 6, 24)),
        strict=st.booleans(),
    )
    def begin(self, seed: int, kind: Single, rollover: int | None, ahead: bool, settle: int, strict: bool) -> None:  # noqa: FBT001 (drawn by name)
        world = build(seed, kind, by_chance=False)
        world.rolls = True
        world.faults.calm_from = START + LONG
        for service in world.services:
            service.slow_start = 0.1  # only where it is armed
        period = timedelta(days=rollover) if rollover else None

        def policy(spec: CertificateSpec) -> CertificateSpec:
            claims = tuple(replace(claim, strict=strict) for claim in spec.claims)
            wanted = replace(spec, claims=claims, rollover=period, next_key=ahead)
            return replace(wanted, settle=timedelta(hours=settle), retired_keys="shred")

        world.edit(world.spec.name, policy)
        world.keys_needed()
        self.world, self.sim = world, Simulation(world, seed)

    @rule(hours=st.sampled_from((0.02, 0.5, 3, 26, 100, 700)))
    def time_passes(self, hours: float) -> None:
        self.world.timeline.spend(hours * 3600)

    @rule()
    def run(self) -> None:
        self.sim.run(wait=False)

    @rule(touches=st.integers(1, 120))
    def run_and_die(self, touches: int) -> None:
        self.sim.run(touches, wait=False)

    @rule(kind=st.sampled_from(FAULTS), times=st.integers(1, 3))
    def goes_wrong_next(self, kind: str, times: int) -> None:
        self.world.faults.armed[kind] += times

    @rule(number=st.integers(0, 3), how=st.sampled_from(("frozen", "deaf", "dead", "well")))
    def server(self, number: int, how: str) -> None:
        zone = self.world.zone
        which = zone.servers[1:][number % len(zone.servers[1:])]
        zone.set(which, frozen=how == "frozen", deaf=how == "deaf", dead=how == "dead")

    @rule(number=st.integers(0, 3), what=st.sampled_from(("restart", "fork")))
    def service(self, number: int, what: str) -> None:
        service = self.world.services[number % len(self.world.services)]
        service.restart() if what == "restart" else service.fork()

    @rule(hours=st.sampled_from((-200, -30, -1, 0, 1, 30, 200)))
    def clock(self, hours: int) -> None:
        rollovers.sets_clock(self.world, timedelta(hours=hours))()

    @rule(seconds=st.sampled_from((30, 4000)))
    def reboot(self, seconds: int) -> None:
        self.world.reboot(seconds)
        self.world.timeline.spend(seconds + 1)

    @rule(what=st.sampled_from(sorted(CHANGES)))
    def config(self, what: str) -> None:
        self.world.edit(self.world.spec.name, CHANGES[what])

    @rule(emergency=st.booleans())
    def ask(self, emergency: bool) -> None:  # noqa: FBT001 (drawn by name)
        rollovers.asks(self.world, self.world.spec.name, emergency=emergency)()

    @rule()
    def cancel(self) -> None:
        rollovers.cancels(self.world, self.world.spec.name)()

    @rule(reason=st.sampled_from(("keyCompromise", "superseded")))
    def revoke(self, reason: str) -> None:
        rollovers.revokes(self.world, self.world.spec.name, reason)()

    @rule(octet=st.integers(0, 3), there=st.booleans())
    def another_writer(self, octet: int, there: bool) -> None:  # noqa: FBT001 (drawn by name)
        record = TlsaRecord(3, 1, 1, bytes([octet] * 32))
        owner = self.world.spec.claims[0].endpoint.owner
        ours = {each for _, each in self.world.zone.added_by_danelaw}
        if not ours & set(self.world.zone.rdatas(owner)):
            return  # what stood there before us is other people's, and theirs to mend
        self.world.zone.put_beside(owner, lambda known: known | {record} if there else known - {record})
        expected = self.world.expected_foreign[owner]
        expected.discard(record)
        if record in self.world.zone.rdatas(owner):
            expected.add(record)

    @precondition(lambda self: hasattr(self, "sim"))
    @invariant()
    def nobody_refuses(self) -> None:
        wrong = [
            *self.sim.report.violations,
            *self.world.wrong,
            *self.world.host.keys.wrong,
            *self.world.authority.wrong,
        ]
        wrong += refused(self.world, self.sim.report, 0)
        assert not wrong, "\n".join(wrong[:3])

    def teardown(self) -> None:
        """End all faults: then everything comes to rest, as it is wanted."""
        if not hasattr(self, "sim"):
            return
        world, timeline = self.world, self.world.timeline
        rollovers.sets_clock(world)()
        world.faults.armed.clear()
        world.faults.calm_from = timeline.now
        for server in world.zone.servers[1:]:
            world.zone.set(server)
        timeline.spend(3 * 86400)
        for _ in range(MOST_RUNS):
            outcome = self.sim.run(wait=False)
            timeline.advance_to(max(self.sim.next_run(outcome), timeline.now + timedelta(seconds=1)))
            if not self.sim.is_busy():
                break
        self.sim.judge()
        assert not self.sim.report.violations, "\n".join(self.sim.report.violations[:3])


TestStories = Stories.TestCase
TestStories.settings = settings(
    max_examples=STORIES, stateful_step_count=25, deadline=None, derandomize="STORIES" not in os.environ
)
