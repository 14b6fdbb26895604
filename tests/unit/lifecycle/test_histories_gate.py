"""Histories after which a chain may go live, beside those after which it may not: servers that come, go and say little.

The chain over the new key always has its record; what is asked is how long the old RRset, which refuses it, counts.
"""

from datetime import timedelta

import pytest

from chains import HOST, NOW, issue, three
from danelaw import dane, pki
from danelaw.lifecycle.gate import acceptable
from danelaw.model import RecordSpec
from fakes.facts import DAY, HOUR, MINUTE, OWNER, SECOND, Dns, Story, certificate, desired, of_key

OLD = certificate("the old one", "the old key")
NEW = certificate("the new one")
W = 2 * HOUR
"""w of an RRset with a TTL of an hour, by which every story here goes."""
NS_TTL = DAY


def moving(*, ns1: bool = True, ns2: bool = False) -> Story:
    """Return a story in which some servers have the new RRset and the others still the old one."""
    story = Story()
    answers = {"ns1": ns1, "ns2": ns2}
    story.dns = Dns(servers={name: (of_key(NEW if moved else OLD),) for name, moved in answers.items()})
    return story.look()


# --- a server that left the zone's NS --------------------------------------------------------------------------------


def test_a_dropped_server_counts_until_nobody_can_know_it_and_w_more() -> None:
    story = moving().later(HOUR).look()
    end = story.now + NS_TTL + W
    story.dns.dropped = {"ns2"}
    for at in (1, 12, 23.9, 24.1, 25.9):
        story.later(end - NS_TTL - W + at * HOUR - story.now).look()
        assert story.blocked(NEW) == ["cached"]
    assert story.blocked_until(NEW) == end
    assert not story.later(end - story.now).look().blocked(NEW)


def test_a_dropped_server_that_moves_on_stops_counting_w_later() -> None:
    story = moving().later(HOUR).look()
    story.dns.dropped = {"ns2"}
    story.later(HOUR).look()
    story.dns.servers["ns2"] = (of_key(NEW),)
    story.later(MINUTE).look()
    assert story.blocked_until(NEW) == story.now + W
    assert not story.later(W).look().blocked(NEW)


def until_dropped(*, first_ttl: int, then_ttl: int) -> timedelta:
    """Return how long after its last listing a dropped server counts, by the NS TTLs that were seen."""
    story = Story()
    story.dns = Dns(servers={"ns1": (of_key(NEW),), "ns2": (of_key(OLD),)}, ns_ttl=first_ttl)
    story.look().later(HOUR)
    story.dns.ns_ttl = then_ttl
    story.look()
    listed = story.now
    story.dns.dropped = {"ns2"}
    story.later(DAY).look()
    return story.blocked_until(NEW) - listed if story.blocked(NEW) else timedelta(0)


def test_the_largest_ns_ttl_ever_seen_counts() -> None:
    assert until_dropped(first_ttl=86400, then_ttl=60) == DAY + W
    assert until_dropped(first_ttl=60, then_ttl=86400) == DAY + W
    assert not until_dropped(first_ttl=60, then_ttl=60)


def test_a_server_that_fell_silent_and_was_then_dropped_counts_as_long() -> None:
    story = moving().later(HOUR)
    story.dns.servers["ns2"] = "silent"
    story.look()
    end = story.now + NS_TTL + W
    story.dns.dropped = {"ns2"}
    for at in (1, 23.9, 24.1, 25.9):
        story.later(end - NS_TTL - W + at * HOUR - story.now).look()
        assert story.blocked(NEW) == ["cached"]
    assert not story.later(end - story.now).look().blocked(NEW)


def test_a_silent_server_that_stays_in_the_ns_set_counts_while_its_signatures_may_hold() -> None:
    story = moving().later(HOUR)
    story.dns.servers["ns2"] = "silent"
    story.look().later(13 * DAY).look()
    assert story.blocked(NEW) == ["cached"]
    assert not story.later(4 * DAY).look().blocked(NEW)


# --- a server that was down when danelaw came ------------------------------------------------------------------------


def coming(*, down: bool, records: bool = False) -> Story:
    """Return a story whose second server answers a minute later than the first, which has nothing."""
    story = Story(desired(history=DAY))
    story.dns = Dns(servers={"ns1": (), "ns2": "silent" if down else ()})
    story.look().later(MINUTE)
    story.dns.servers["ns2"] = (of_key(NEW),) if records else ()
    return story.look()


def test_history_counts_from_the_first_answer_of_a_server_that_was_down_at_the_first_look() -> None:
    story = coming(down=True)
    assert story.blocked(NEW) == ["history"]
    assert story.blocked_until(NEW) == story.now + DAY
    assert not story.later(DAY).look().blocked(NEW)


def test_absence_at_every_server_at_the_first_look_leaves_nothing_unknown() -> None:
    assert not coming(down=False).blocked(NEW)


def test_a_server_that_joins_the_zone_later_was_no_part_of_what_stood_there_before() -> None:
    story = Story(desired(history=DAY))
    story.dns = Dns(servers={"ns1": ()})
    story.look().later(MINUTE)
    story.dns.servers["ns2"] = ()
    assert not story.look().blocked(NEW)


def test_a_server_that_never_answers_holds_while_nobody_knows_better() -> None:
    story = Story(desired(history=DAY))
    story.dns = Dns(servers={"ns1": (), "ns2": "silent"}, signed=None)
    assert story.look().blocked(NEW) == ["unreachable"]
    assert not story.later(DAY + SECOND).look().blocked(NEW)


# --- a CNAME and the RRset behind it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "cname_ttl", "w"),
    [
        (3600, 0, 2 * HOUR),
        (3600, 3600, 2 * HOUR + 15 * MINUTE),  # the CNAME's hour, the RRset's hour, the margin
        (3600, 86400, 2 * DAY),
        (60, 0, 16 * MINUTE),
        (60, 300, 21 * MINUTE),
        (0, 0, 15 * MINUTE),
    ],
)
def test_the_ttls_of_a_cname_and_of_what_it_leads_to_add_up(ttl: int, cname_ttl: int, w: timedelta) -> None:
    story = Story()
    story.dns = Dns(servers={"ns1": (of_key(OLD),)}, ttl=ttl, cname_ttl=cname_ttl)
    story.look().later(HOUR)
    story.dns.serve(of_key(NEW))
    story.look()
    assert story.blocked_until(NEW) == story.now + w
    assert story.later(w - SECOND).look().blocked(NEW) == ["cached"]
    assert not story.later(SECOND).look().blocked(NEW)


# --- a server of the NS set that says nothing itself -----------------------------------------------------------------


@pytest.mark.parametrize("span", [3 * HOUR, 2 * DAY])
def test_an_ns_name_whose_address_was_missed_once_does_not_block_later(span: timedelta) -> None:
    story = moving(ns2=True)
    label = "ns2.example.net."
    servers = dict(story.dns.servers)
    story.dns.servers = {"ns1": servers["ns1"], label: "its address is not known"}
    story.later(W).look()
    assert story.blocked(NEW) == ["unreachable"]
    story.dns.servers = servers
    story.later(span).look()
    assert not story.blocked(NEW)


def test_an_ns_name_whose_address_is_missed_still_blocks() -> None:
    story = moving()
    story.dns.servers = {"ns1": (of_key(NEW),), "ns2.example.net.": "its address is not known"}
    story.later(HOUR).look().later(3 * HOUR).look()
    assert "unreachable" in story.blocked(NEW)


def test_a_server_that_answers_with_a_cname_now_counts_as_without_the_rrset_from_then_on() -> None:
    story = moving(ns1=False).later(HOUR)
    story.dns.target, story.dns.servers = "_dane.example.org.", {"target1": (of_key(NEW),)}
    story.look()
    moved = story.now
    assert story.blocked_until(NEW) == moved + W
    assert story.later(W - SECOND).look().blocked(NEW) == ["cached"]
    assert not story.later(SECOND).look().blocked(NEW)


def test_a_server_beside_it_that_serves_the_rrset_itself_still_counts() -> None:
    story = moving(ns1=False).later(HOUR)
    story.dns.target, story.dns.servers = "_dane.example.org.", {"target1": (of_key(NEW),), "ns2": (of_key(OLD),)}
    story.look()
    assert story.later(W + HOUR).look().blocked(NEW) == ["cached"]


def lost_route(*, moved: bool) -> Story:
    story = moving(ns2=moved).later(HOUR)
    del story.dns.servers["ns2"]
    story.dns.left_out = ("ns2",)
    return story.look()


@pytest.mark.parametrize("span", [W, 20 * HOUR, 2 * DAY, 13 * DAY])
def test_a_server_that_this_host_lost_its_route_to_counts_as_unreachable(span: timedelta) -> None:
    assert lost_route(moved=False).look_for(span, every=span / 20).blocked(NEW) == ["cached"]


def test_a_server_without_a_route_counts_no_longer_than_its_signatures_may_hold() -> None:
    assert not lost_route(moved=False).look_for(17 * DAY, every=DAY).blocked(NEW)


def test_a_server_without_a_route_that_had_moved_on_before_does_not_count() -> None:
    assert not lost_route(moved=True).later(W).look().blocked(NEW)


# --- certificates that a CA's record pins ----------------------------------------------------------------------------


def pinned(name: str, days: float = 30) -> bool:
    """Tell whether ``2 1 1`` at mail.example.org lets a chain for a name go live, so many days before its end."""
    _, intermediate, _ = three()
    chain = pki.chain_from_der(issue(name, intermediate, days=30).chain_der)
    record = dane.tlsa_record(RecordSpec(2, 1, 1), chain)
    return acceptable((record,), chain, (), OWNER, NOW + timedelta(days=30 - days))


def test_a_ca_s_record_accepts_a_valid_chain_of_the_host() -> None:
    assert pinned(HOST)
    assert pinned("*.example.org")


@pytest.mark.parametrize("name", ["www.example.org", "example.org", "*.mail.example.org"])
def test_a_ca_s_record_accepts_no_chain_of_another_host(name: str) -> None:
    assert not pinned(name)


def test_a_ca_s_record_accepts_no_chain_that_has_expired() -> None:
    assert pinned(HOST, days=0.5)
    assert not pinned(HOST, days=-0.5)


def test_a_leaf_s_record_asks_for_neither_name_nor_date() -> None:
    chain = pki.chain_from_der(issue("www.example.org", days=30).chain_der)
    record = dane.tlsa_record(RecordSpec(3, 1, 1), chain)
    assert acceptable((record,), chain, (), OWNER, NOW + timedelta(days=400))
    other = pki.chain_from_der(issue("www.example.org", days=30).chain_der)
    assert not acceptable((record,), other, (), OWNER, NOW)
