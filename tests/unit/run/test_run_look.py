"""What is looked at, and what is said where an address cannot be had."""

from datetime import timedelta

from danelaw.lifecycle.sight import presented_now, silent_now
from danelaw.run.look import NOWHERE, look
from danelaw.run.runner import apply
from danelaw.run.status import status
from fakes.run_world import ADDRESS, HOST, SMTP, MailWorld

HOUR = timedelta(hours=1)


def settled() -> MailWorld:
    """Return a world in which all is done."""
    world = MailWorld()
    assert apply(world.desired, world.rings).exit_status == 0
    world.clock.instant += HOUR
    return world


def test_a_settled_host_is_quiet() -> None:
    world = settled()
    outcome = apply(world.desired, world.rings)
    assert (outcome.exit_status, outcome.failed, outcome.rest.holds) == (0, (), ())
    assert silent_now(world.store.snapshot(), SMTP, ADDRESS) is None


def test_bogus_addresses_are_a_silence_that_a_person_hears_of() -> None:
    world = settled()
    world.zone.hosts[HOST] = ((), "bogus", "no signature over mail.example.org A")
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert any("no signature over mail.example.org A" in hold.why for hold in outcome.rest.holds)
    row = silent_now(world.store.snapshot(), SMTP, ADDRESS)
    assert row is not None
    assert row.mine


def test_a_host_without_addresses_is_one_too() -> None:
    world = settled()
    world.zone.hosts[HOST] = ((), "secure", "")
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert any(f"{HOST} has no address" in hold.why for hold in outcome.rest.holds)


def test_the_silence_ends_with_the_trouble() -> None:
    world = settled()
    good = world.zone.addresses(HOST)
    world.zone.hosts[HOST] = ((), "indeterminate", "no answer")
    apply(world.desired, world.rings)
    world.zone.hosts[HOST] = good
    world.clock.instant += HOUR
    assert apply(world.desired, world.rings).exit_status == 0
    assert silent_now(world.store.snapshot(), SMTP, ADDRESS) is None


def test_what_was_presented_before_stays_known() -> None:
    world = settled()
    before = presented_now(world.store.snapshot(), SMTP, ADDRESS)
    world.zone.hosts[HOST] = ((), "bogus", "expired")
    facts = look(world.desired, world.rings)
    assert presented_now(facts, SMTP, ADDRESS) == before


def test_an_endpoint_that_never_had_an_address_is_said_and_not_stored() -> None:
    world = MailWorld()
    world.zone.hosts[HOST] = ((), "indeterminate", "no answer")
    facts = look(world.desired, world.rings)
    row = silent_now(facts, SMTP, NOWHERE)
    assert row is not None
    assert "no answer" in row.problem
    assert not row.mine
    assert world.store.snapshot().silent == ()
    del world.zone.hosts[HOST]
    assert silent_now(look(world.desired, world.rings), SMTP, NOWHERE) is None


def test_no_records_are_published_for_a_host_without_addresses() -> None:
    world = MailWorld()
    world.zone.hosts[HOST] = ((), "bogus", "expired")
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert world.zone.swaps == []


def test_status_shows_the_silence() -> None:
    world = settled()
    world.zone.hosts[HOST] = ((), "bogus", "expired")
    apply(world.desired, world.rings)
    shown = status(world.desired, world.store.snapshot(), world.clock.now(), ())
    (address,) = shown["certificates"][0]["endpoints"][0]["addresses"]
    assert address["silent_since"]
