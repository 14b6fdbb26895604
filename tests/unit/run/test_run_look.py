"""What is looked at, and what is said where an address cannot be had."""

from dataclasses import replace
from datetime import timedelta

from danelaw.lifecycle.sight import presented_now, silent_now
from danelaw.run.act import KINDS
from danelaw.run.look import NOWHERE, look
from danelaw.run.notes import notes
from danelaw.run.ours import our_addresses
from danelaw.run.rings import Outcome
from danelaw.run.runner import apply
from danelaw.run.status import status
from fakes.run_world import ADDRESS, HOST, IMAPS, SMTP, MailWorld

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


def test_a_silence_that_is_the_services_and_one_that_is_dnss_have_remedies_of_their_own() -> None:
    world = settled()
    world.services.silent.add(ADDRESS)
    (hold,) = apply(world.desired, world.rings).rest.holds
    assert hold.remedy == "start the service"
    world = settled()
    world.zone.hosts[HOST] = ((), "bogus", "expired")
    (hold,) = apply(world.desired, world.rings).rest.holds
    assert hold.remedy == f"mend what DNS says of {HOST}; apply looks again"


# --- which addresses are this host's ---------------------------------------------------------------------------------

OTHER = "198.51.100.7"
STEPS_LIVE = {"activate", "reload", "prove"}


def kinds(outcome: Outcome) -> set[str]:
    return {KINDS[type(step)] for step in outcome.steps}


def test_nothing_goes_live_where_no_address_is_this_hosts() -> None:
    world = MailWorld()
    world.zone.hosts[HOST] = ((OTHER,), "secure", "")
    outcome = apply(world.desired, world.rings)
    assert kinds(outcome).isdisjoint(STEPS_LIVE)
    (hold,) = [hold for hold in outcome.rest.holds if hold.code == "not-here"]
    assert hold.why == f"none of {OTHER} at {SMTP} is this host's"
    assert world.host.disk == {}


def test_nor_while_its_address_was_never_known() -> None:
    world = MailWorld()
    world.change(names=("www.example.org",))
    world.zone.hosts[HOST] = ((), "indeterminate", "no answer")
    outcome = apply(world.desired, world.rings)
    assert kinds(outcome).isdisjoint(STEPS_LIVE)
    assert any("cannot be looked up (indeterminate): no answer" in hold.why for hold in outcome.rest.holds)
    del world.zone.hosts[HOST]
    assert kinds(apply(world.desired, world.rings)) >= STEPS_LIVE


def test_addresses_take_the_place_of_the_interfaces_for_their_deployment() -> None:
    world = MailWorld()
    world.zone.hosts[HOST] = ((OTHER, ADDRESS), "secure", "")
    world.change(deployments=(replace(world.deployment, addresses=(OTHER,)),))
    ours = our_addresses(world.desired, world.rings)
    assert ours.at(SMTP) == {OTHER}
    assert ours.at(IMAPS) == {ADDRESS}
    assert ours.anywhere == {ADDRESS, OTHER}
    facts = look(world.desired, world.rings)
    assert {row.address: row.mine for row in facts.silent} == {OTHER: True, ADDRESS: False}


def test_connect_makes_either_side_this_hosts() -> None:
    world = MailWorld()
    world.connect |= {f"{OTHER}:25": ("10.0.0.25", 2525), str(IMAPS): ("10.0.0.93", 993)}
    ours = our_addresses(world.desired, world.rings)
    assert ours.at(SMTP) == {ADDRESS, OTHER, "10.0.0.25", "10.0.0.93"}
    world.change(deployments=(replace(world.deployment, addresses=(ADDRESS,)),))
    ours = our_addresses(world.desired, world.rings)
    assert ours.at(SMTP) == {ADDRESS}  # the map is a way to another host, then
    assert ours.at(replace(SMTP, connect="127.0.0.1")) == {ADDRESS, "127.0.0.1"}


def test_what_another_host_presents_is_looked_at_and_its_silence_said() -> None:
    world = settled()
    world.zone.hosts[HOST] = ((ADDRESS, OTHER), "secure", "")
    world.services.silent.add(OTHER)
    world.clock.instant += HOUR
    outcome = apply(world.desired, world.rings)
    assert (outcome.exit_status, outcome.failed) == (0, ())
    (note,) = [
        note for note in notes(world.desired, world.store.snapshot(), world.host) if note.code == "silent-elsewhere"
    ]
    assert note.text.startswith(f"{OTHER} at {SMTP} is another host's and silent since ")
    world.services.silent.clear()
    world.clock.instant += HOUR
    apply(world.desired, world.rings)
    codes = {note.code for note in notes(world.desired, world.store.snapshot(), world.host)}
    assert "silent-elsewhere" not in codes


def test_an_address_that_becomes_this_hosts_is_so_from_the_next_look() -> None:
    world = settled()
    world.zone.hosts[HOST] = ((ADDRESS, OTHER), "secure", "")
    world.services.silent.add(OTHER)
    for own in (False, True, False):
        world.host.own = frozenset({ADDRESS, OTHER} if own else {ADDRESS})
        world.clock.instant += HOUR
        look(world.desired, world.rings)
        row = silent_now(world.store.snapshot(), SMTP, OTHER)
        assert row is not None
        assert row.mine is own
