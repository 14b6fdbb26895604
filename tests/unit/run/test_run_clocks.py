"""A clock that was set ends no wait early, and what a clock that was ahead stored does not outlive it."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from danelaw import dane
from danelaw.lifecycle import step as next_step
from danelaw.lifecycle.clock import instants
from danelaw.model import (
    Activate,
    ClockSeen,
    ClockStepped,
    Facts,
    Intent,
    OwnerLook,
    ProbeRequest,
    ProbeResult,
    RecordSpec,
    Rest,
    Server,
    Step,
    Validated,
)
from danelaw.run.clocks import keep_clocks, known_now
from danelaw.run.look import look
from danelaw.run.plan import plan
from danelaw.run.runner import Options, apply, run_recover
from fakes.run_world import HOST, NAME, SMTP, MailWorld, TickingClock
from local_state import chain_of

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
W = 2 * HOUR
"""Twice the TTL of the record that refuses the new chain."""

SPKI = (
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)


class Waiting(MailWorld):
    """A world whose new certificate waits until caches have forgotten the record of another key, which is live."""

    def __init__(self) -> None:
        old = chain_of(HOST, SPKI)
        super().__init__(old=old)
        self.zone.records[SMTP.owner] = (dane.tlsa_record(RecordSpec(3, 1, 1), old),)
        assert not self.goes_live()
        self.since = self.clock.instant

    def goes_live(self) -> bool:
        """Run once; tell whether the new certificate went live."""
        return went_live(apply(self.desired, self.rings).steps)

    @property
    def steps(self) -> list[float]:
        """The steps that were stored, in seconds."""
        return [round(row.seconds) for row in self.store.snapshot().clock_steps]

    @property
    def progress(self) -> list[str]:
        return [event.text for event in self.told if event.kind == "progress" and "waits count from now" in event.text]


def went_live(steps: tuple[Step, ...]) -> bool:
    return any(isinstance(step, Activate) for step in steps)


def latest(facts: Facts) -> datetime:
    return max(at for each in fields(facts) for row in getattr(facts, each.name) for at in instants(row))


def test_where_time_passes_the_wait_ends() -> None:
    world = Waiting()
    world.clock.instant += W - MINUTE
    assert not world.goes_live()
    world.clock.instant += MINUTE
    assert world.goes_live()
    assert (world.steps, world.progress) == ([], [])


@pytest.mark.parametrize("by", [HOUR, W, DAY, 30 * DAY])
def test_where_the_clock_is_set_forward_it_counts_from_then(by: timedelta) -> None:
    world = Waiting()
    world.clock.instant += W - MINUTE
    world.clock.step(by)
    assert not world.goes_live()
    assert world.steps == [by.total_seconds()]
    assert world.progress == [f"the clock was set forward by {by}: waits count from now"]
    world.clock.instant += W - MINUTE
    assert not world.goes_live()
    world.clock.instant += MINUTE
    assert world.goes_live()
    assert world.steps == [by.total_seconds()]


@pytest.mark.parametrize("by", [HOUR, 10 * DAY])
def test_where_it_is_set_back_the_wait_is_no_longer_than_it_is(by: timedelta) -> None:
    world = Waiting()
    world.clock.step(-by)
    assert not world.goes_live()
    assert world.steps == [-by.total_seconds()]
    assert world.progress == [f"the clock was set back by {by}: waits count from now"]
    world.clock.instant += W
    assert world.goes_live()


def test_a_clock_that_was_ahead_for_a_while_leaves_nothing_behind() -> None:
    world = Waiting()
    world.clock.step(10 * DAY)
    assert not world.goes_live()
    world.clock.instant += MINUTE
    world.clock.step(-10 * DAY)
    assert not world.goes_live()
    assert latest(world.store.snapshot()) <= world.clock.instant
    world.clock.instant += W
    assert world.goes_live()


def test_a_boot_explains_what_has_passed_since_and_an_hour_more() -> None:
    world = Waiting()
    world.clock.instant += W - MINUTE
    look(world.desired, world.rings)
    world.clock.instant += MINUTE
    world.clock.boot_id, world.clock.booted_at = "boot-2", world.clock.instant - SECOND
    assert world.goes_live()
    assert world.steps == []


def test_what_a_boot_does_not_explain_proves_nothing() -> None:
    world = Waiting()
    world.clock.instant += W
    world.clock.boot_id, world.clock.booted_at = "boot-2", world.clock.instant - SECOND
    assert not world.goes_live()
    assert len(world.progress) == 1
    assert "started anew" in world.progress[0]
    world.clock.instant += W
    assert world.goes_live()


class SetMeanwhile(TickingClock):
    """Is set when somebody sleeps, or when it is asked to be, and goes on as time does then."""

    jumps: list[timedelta]

    def sleep_until(self, at: datetime) -> None:
        if self.jumps:
            self.step(self.jumps.pop(0))
        super().sleep_until(at)


@pytest.mark.parametrize("jump", [W, W - SECOND, 30 * DAY, -HOUR, -30 * DAY])
def test_a_run_that_stays_for_a_wait_does_not_fall_for_it(jump: timedelta) -> None:
    world = Waiting()
    clock = SetMeanwhile(world.clock.instant)
    clock.boot_id, clock.booted_at, clock.jumps = world.clock.boot_id, world.clock.booted_at, [jump]
    world.clock = clock
    assert went_live(apply(world.desired, world.rings, Options(wait=True)).steps)
    assert true_time(world) >= world.since + W
    assert jump.total_seconds() in world.steps


def true_time(world: MailWorld) -> datetime:
    return world.clock.instant - world.clock.error


def test_a_proof_loses_its_patience_whatever_the_clock_says() -> None:
    world = MailWorld()
    apply(world.desired, world.rings)
    world.ca.anew = True
    probe, began = world.services.probe, true_time(world)

    def fail(requests: Sequence[ProbeRequest]) -> Sequence[ProbeResult]:
        """Let proofs fail, and the clock be set back in the midst of the first."""
        if requests[0].handshakes == 1:
            return probe(requests)
        if world.clock.error == timedelta(0):
            world.clock.step(-30 * DAY)
        return [ProbeResult(request, (), problem="refused") for request in requests]

    world.services.probe = fail  # type: ignore[method-assign]
    outcome = apply(world.desired, world.rings, Options(force_renewal=True))
    assert any("refused" in failure for failure in outcome.failed)
    assert world.clock.error == -30 * DAY
    assert true_time(world) - began < 10 * MINUTE


@pytest.mark.parametrize("by", [timedelta(0), -30 * DAY])
def test_a_run_loses_its_patience_with_servers_that_lag_whatever_the_clock_says(by: timedelta) -> None:
    world = MailWorld()
    began = true_time(world)
    look = world.zone.look

    def lag(owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        """Let validation lag behind what is published, and the clock be set once it does."""
        if SMTP.owner in world.zone.records and world.clock.error != by:
            world.clock.step(by)
        return [replace(each, validated=Validated("secure", "NOERROR", ())) for each in look(owners, known)]

    world.zone.look = lag  # type: ignore[method-assign]
    outcome = apply(world.desired, world.rings)
    assert [wait.code for wait in outcome.rest.waits if wait.code != "renewal"] == ["validated"]
    assert world.clock.error == by
    assert 25 * SECOND < true_time(world) - began < 5 * MINUTE


@pytest.mark.parametrize("jump", [timedelta(0), -30 * DAY])
def test_a_countdown_that_the_clock_runs_away_from_ends_in_a_look(jump: timedelta) -> None:
    world = Waiting()
    shown: list[timedelta | None] = []

    def countdown(left: timedelta | None, why: str) -> None:
        del why
        if len(shown) == 5:
            world.clock.step(jump)
        shown.append(left)

    rings = replace(world.rings, countdown=countdown)
    assert went_live(apply(world.desired, rings, Options(wait=True)).steps)
    assert shown.count(None) == (2 if jump else 1)
    assert true_time(world) - world.since < W + MINUTE


def test_a_clock_set_between_look_and_decision_decides_nothing() -> None:
    world = Waiting()
    addresses = world.host.addresses

    def set_meanwhile() -> frozenset[str]:
        """Asked by the look, after it has compared the clocks."""
        if world.clock.error == timedelta(0):
            world.clock.step(DAY)
        return addresses()

    world.host.addresses = set_meanwhile  # type: ignore[method-assign]
    assert not world.goes_live()
    assert world.clock.error == DAY
    assert not world.goes_live()
    assert world.steps == [DAY.total_seconds()]


def test_a_second_is_no_step_but_what_is_seen_after_it_is_newer() -> None:
    world = Waiting()
    world.clock.step(-SECOND)
    facts = look(world.desired, world.rings)
    assert world.steps == []
    assert latest(facts) <= world.clock.instant
    assert max(row.last_at for row in facts.presented) == max(row.last_at for row in facts.rrsets)
    assert max(row.last_at for row in facts.rrsets) == latest(facts)


@pytest.mark.parametrize("run", [apply, run_recover])
def test_every_run_compares_the_clocks_before_it_does_anything(run: Callable[..., object]) -> None:
    world = Waiting()
    world.clock.step(-DAY)
    world.told.clear()
    run(world.desired, world.rings)
    assert world.steps == [-DAY.total_seconds()]
    assert world.told[0].text in world.progress
    assert latest(world.store.snapshot()) <= world.clock.instant


def test_what_was_asked_while_the_clock_was_ahead_is_answered() -> None:
    world = MailWorld()
    apply(world.desired, world.rings)
    world.clock.step(DAY)
    world.store.record([Intent(NAME, "renew", "root", world.clock.now())])
    world.clock.step(-DAY)
    apply(world.desired, world.rings)
    assert all(intent.closed_at for intent in world.store.snapshot().intents)
    assert len(world.ca.status) == 2


def test_a_plan_sees_it_too_and_stores_nothing() -> None:
    world = Waiting()
    before = world.store.snapshot()
    for by in (DAY, -2 * DAY):
        world.clock.step(by)
        world.told.clear()
        entries = plan(world.desired, world.rings)
        assert len(world.progress) == 1
        first = next(entry.at for entry in entries if isinstance(entry.what, Activate))
        assert world.clock.instant + W - MINUTE < first < world.clock.instant + W + MINUTE
    assert world.store.snapshot() == before


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_what_is_known_now_counts_from_the_step_and_is_not_stored(by: timedelta) -> None:
    world = Waiting()
    world.clock.instant += W - MINUTE
    before = world.store.snapshot()
    assert known_now(world.rings) == before
    world.clock.step(by)
    world.told.clear()
    facts = known_now(world.rings)
    assert [round(row.seconds) for row in facts.clock_steps] == [by.total_seconds()]
    assert latest(facts) == facts.clock_steps[0].at <= world.clock.instant
    assert world.store.snapshot() == before
    assert world.told == []
    assert isinstance(next_step(world.desired, facts, world.clock.instant), Rest)


def test_clocks_are_compared_with_this_hosts_own() -> None:
    world = Waiting()
    elsewhere = ClockSeen("elsewhere", "boot-9", 5.0, world.clock.instant + DAY)
    world.store.record([elsewhere])
    keep_clocks(world.rings)
    assert world.steps == []
    assert elsewhere in world.store.snapshot().clocks


def test_a_state_that_another_host_left_is_compared_with_that() -> None:
    """A backup, restored on a machine whose clock is ahead or that was set up much later."""
    world = Waiting()
    world.clock.instant += DAY
    moved = replace(world.rings, host_id="new", store=world.store)
    world.clock.boot_id, world.clock.booted_at = "boot-9", world.clock.instant - MINUTE
    keep_clocks(moved)
    assert len(world.steps) == 1
    assert {row.host for row in world.store.snapshot().clocks} == {"", "new"}


def test_a_new_state_knows_of_no_step() -> None:
    world = MailWorld()
    keep_clocks(world.rings)
    keep_clocks(world.rings)
    facts = world.store.snapshot()
    assert facts.clock_steps == ()
    assert [(row.host, row.boot_id, row.at) for row in facts.clocks] == [("", "boot-1", world.clock.instant)]


def test_a_state_from_before_clocks_were_compared_is_levelled() -> None:
    world = MailWorld()
    world.store.record([ClockStepped(world.clock.instant + DAY, "boot-0", 1.0)])
    keep_clocks(world.rings)
    assert world.store.snapshot().clock_steps[0].at < world.clock.instant
