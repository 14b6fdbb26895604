"""What a timeline says of given facts: when records stand, how long caches may hold them, whose keys they are."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from danelaw.lifecycle import step as next_step
from danelaw.lifecycle.timeline import timeline as planned
from danelaw.model import (
    Activate,
    Chain,
    ChainFact,
    Desired,
    Effect,
    Endpoint,
    Facts,
    Intent,
    KeyFact,
    OwnRecord,
    Publish,
    Rest,
    RRsetSeen,
    Server,
    TlsaRecord,
    Wait,
)
from danelaw.web.timeline import zone as zones
from danelaw.web.timeline.build import FUTURE, MOST_MARKS, PAST, concerns, timeline_of
from danelaw.web.timeline.foreseen import foreseen, seen_again
from danelaw.web.timeline.spans import Group, Row, Timeline
from danelaw.web.timeline.views import stored_plan
from fakes import rollovers
from fakes.facts import (
    DAY,
    HOUR,
    MINUTE,
    NAME,
    OURS,
    OWNER,
    SECOND,
    SMTP,
    START,
    THEIRS,
    Story,
    certificate,
    desired,
    of_key,
    of_leaf,
)

OLD, NEW = certificate("old leaf", "old key"), certificate("new leaf", "new key")


def shown(facts: Facts, now: datetime, wanted: Desired | None = None) -> Timeline:
    """Return the timeline of facts alone, without a plan."""
    return timeline_of(wanted or desired(), facts, (), now, NAME)


def of_story(name: str) -> Timeline:
    moment = rollovers.told(rollovers.STORIES[name]())
    return timeline_of(*moment, NAME)


def group(timeline: Timeline, kind: str) -> Group:
    return next(each for each in timeline.groups if each.kind == kind)


def row(timeline: Timeline, kind: str, place: int) -> list[tuple[datetime, datetime | None, str, str]]:
    """Return the spans of a row: from when to when, of which kind and role."""
    return spans(group(timeline, kind).rows[place])


def spans(found: Row) -> list[tuple[datetime, datetime | None, str, str]]:
    return [(each.start, each.end, each.kind, each.role) for each in found.spans]


def key(chain: Chain, since: datetime | None, made: datetime = START - 400 * DAY) -> KeyFact:
    return KeyFact(chain.spki_sha256, NAME, chain.spki_der, "rsa", "", "", "made", made_at=made, current_since=since)


def seen(server: str, rdatas: tuple[TlsaRecord, ...], first: datetime, last: datetime, ttl: int = 3600) -> RRsetSeen:
    return RRsetSeen(OWNER, server, "NOERROR", rdatas, ttl, ttl, 0, None, first, last)


def zone_facts(*rows: RRsetSeen, keys: tuple[KeyFact, ...] = ()) -> Facts:
    last = max(each.last_at for each in rows)
    names = dict.fromkeys(each.server for each in rows)
    listed = tuple(Server(OWNER, name, 86400, START - 99 * DAY, last) for name in names)
    return Facts(rrsets=rows, servers=listed, keys=keys)


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "wait"), [(3600, 2 * HOUR), (60, 16 * MINUTE), (0, 15 * MINUTE)])
def test_a_record_stands_from_publication_to_withdrawal_and_is_cached_until_w_later(ttl: int, wait: timedelta) -> None:
    facts = zone_facts(
        seen("ns1", (of_key(OLD),), START, START + HOUR, ttl),
        seen("ns1", (of_key(NEW),), START + 2 * HOUR, START + 9 * HOUR, ttl),
        keys=(key(OLD, START - DAY), key(NEW, START + DAY)),
    )
    timeline = shown(facts, START + 9 * HOUR)
    # Between two looks it counts as what the earlier one saw: nobody can say when it changed.
    assert row(timeline, "Records", 0) == [
        (START, START + 2 * HOUR, "served", "current"),
        (START + 2 * HOUR, START + 2 * HOUR + wait, "cached", "current"),
    ]
    assert row(timeline, "Records", 1) == [
        (START + 2 * HOUR, START + DAY, "served", "next"),
        (START + DAY, None, "served", "current"),
    ]
    assert row(timeline, "Answers", 0) == [
        (START, START + 2 * HOUR, "served", "answer"),
        (START + 2 * HOUR, START + 2 * HOUR + wait, "cached", "answer"),
    ]


def test_a_record_is_withdrawn_when_the_last_server_is_seen_without_it() -> None:
    facts = zone_facts(
        seen("ns1", (of_key(OLD),), START, START + HOUR),
        seen("ns2", (of_key(OLD),), START, START + HOUR),
        seen("ns1", (of_key(NEW),), START + 2 * HOUR, START + 4 * HOUR),
        seen("ns2", (of_key(OLD),), START + 2 * HOUR, START + 4 * HOUR),
        seen("ns1", (of_key(NEW),), START + 5 * HOUR, START + 9 * HOUR),
        seen("ns2", (of_key(NEW),), START + 5 * HOUR, START + 9 * HOUR),
        keys=(key(OLD, START - DAY),),
    )
    old, new = (row(shown(facts, START + 9 * HOUR), "Records", place) for place in (0, 1))
    assert old == [
        (START, START + 2 * HOUR, "served", "current"),
        (START + 2 * HOUR, START + 5 * HOUR, "partly", "current"),
        (START + 5 * HOUR, START + 7 * HOUR, "cached", "current"),
    ]
    assert new == [
        (START + 2 * HOUR, START + 5 * HOUR, "partly", "foreign"),
        (START + 5 * HOUR, None, "served", "foreign"),
    ]


def test_what_a_server_serves_that_ns_names_no_more_ends() -> None:
    rows = (
        seen("gone", (of_key(OLD),), START, START + HOUR),
        seen("ns1", (of_key(NEW),), START, START + 9 * DAY),
    )
    facts = zone_facts(*rows)
    listed = replace(facts.servers[0], last_at=START + HOUR)
    timeline = shown(replace(facts, servers=(listed, facts.servers[1])), START + 9 * DAY)
    assert row(timeline, "Records", 0)[0][:2] == (START, START + HOUR)
    still = shown(facts, START + 9 * DAY)
    assert row(still, "Records", 0)[0][:2] == (START, None)  # named by the newest NS, so it may serve it yet


def test_a_record_of_ours_is_published_when_it_was_added_and_not_when_it_was_seen() -> None:
    rows = (
        seen("ns1", (), START, START + HOUR),
        seen("ns1", (of_key(OLD),), START + 2 * HOUR, START + 3 * HOUR),
    )
    facts = zone_facts(*rows, keys=(key(OLD, START - DAY),))
    added = OwnRecord(OWNER, of_key(OLD), "home", START + HOUR)
    assert row(shown(replace(facts, own_records=(added,)), START + 3 * HOUR), "Records", 0) == [
        (START + HOUR, START + 2 * HOUR, "partly", "current"),
        (START + 2 * HOUR, None, "served", "current"),
    ]
    long_ago = replace(added, added_at=START - 9 * DAY)  # and lost since, by somebody else
    for own in ((), (long_ago,)):
        assert row(shown(replace(facts, own_records=own), START + 3 * HOUR), "Records", 0) == [
            (START + 2 * HOUR, None, "served", "current")
        ]


def test_whose_a_record_is() -> None:
    full = TlsaRecord(3, 1, 0, OLD.spki_der)
    facts = zone_facts(
        seen("ns1", (of_key(OLD), full, of_leaf(OLD), of_key(NEW), of_leaf(NEW)), START, START),
        keys=(key(OLD, START - DAY),),
    )
    issued = replace(facts, chains=(ChainFact(NAME, OLD, "ca", START - DAY),))
    notes = {each.label: each.note for each in group(shown(issued, START), "Records").rows}
    assert [notes[str(each)] for each in (of_key(OLD), full, of_leaf(OLD))] == ["current key"] * 3
    assert [notes[str(each)] for each in (of_key(NEW), of_leaf(NEW))] == ["not our key"] * 2
    ours = replace(issued, own_records=(OwnRecord(OWNER, of_key(NEW), "home", START - DAY),))
    notes = {each.label: each.note for each in group(shown(ours, START), "Records").rows}
    assert notes[str(of_key(NEW))] == "not our key, published here"
    assert notes[str(of_leaf(NEW))] == "not our key"


def test_a_key_of_another_certificate_is_named_with_it() -> None:
    theirs = replace(key(OLD, START - DAY), certificate="other.example.org")
    facts = zone_facts(seen("ns1", (of_key(OLD),), START, START), keys=(theirs,))
    assert group(shown(facts, START), "Records").rows[0].note == "current key of other.example.org"
    both = replace(facts, keys=(theirs, key(OLD, None)))
    assert group(shown(both, START), "Records").rows[0].note == "next key"  # here it is that, whatever it is there


def test_owner_names_of_one_story_are_shown_once() -> None:
    ports = (25, 465, 587)
    owners = [f"_{port}._tcp.mail.example.org." for port in ports]
    wanted = desired(claimed=tuple(Endpoint("mail.example.org", port, "smtp") for port in ports))
    keys = (key(OLD, START - DAY),)

    def told(*late: timedelta) -> Timeline:
        rows: list[RRsetSeen] = []
        for owner, by in zip(owners, late, strict=True):
            change, now = START + HOUR + by, START + 9 * HOUR
            rows.append(replace(seen("ns1", (of_key(OLD),), START + by, START + by), owner=owner))
            rows.append(replace(seen("ns1", (of_key(OLD), of_key(NEW)), change, now), owner=owner))
        servers = tuple(Server(owner, "ns1", 86400, START - 99 * DAY, START + 9 * HOUR) for owner in owners)
        return shown(Facts(rrsets=tuple(rows), servers=servers, keys=keys), START + 9 * HOUR, wanted)

    one = told(0 * HOUR, MINUTE, 2 * MINUTE)
    assert [each.heading for each in one.groups][:2] == [
        "TLSA records of _25, _465 and _587 at mail.example.org",
        "Answers that senders may hold of _25, _465 and _587 at mail.example.org",
    ]
    two = told(0 * HOUR, HOUR, MINUTE)
    assert [each.heading for each in two.groups][:4:2] == [
        "TLSA records of _25 and _587 at mail.example.org",
        "TLSA records of _465._tcp.mail.example.org.",
    ]
    assert len(one.groups) == len(two.groups) - 2 == 4


def test_what_is_planned_for_this_very_instant_is_not_yet_so() -> None:
    story = rollovers.done()
    story.note(Intent(NAME, "rollover", "danelaw rollover", story.now)).later(SECOND)
    moment = rollovers.told(story)
    timeline = timeline_of(*moment, NAME)
    assert [each.at for each in timeline.marks if each.kind == "cutover"][-1] == timeline.now
    notes = [each.note for each in group(timeline, "Keys").rows]
    assert notes == ["retired key, ECDSA", "current key, ECDSA", "next key, ECDSA", "next key, ECDSA"]


def test_what_stood_before_the_first_look_counts_as_long_as_the_gate_says() -> None:
    facts = zone_facts(seen("ns1", (of_key(OLD),), START - 99 * DAY, START))
    timeline = shown(facts, START - 99 * DAY, desired(history=DAY))
    unknown = group(timeline, "Answers").rows[0]
    assert (unknown.label, spans(unknown)) == ("unknown", [(START - 99 * DAY, START - 98 * DAY, "cached", "answer")])
    absent = zone_facts(seen("ns1", (), START - 99 * DAY, START))
    assert group(shown(absent, START - 99 * DAY, desired(history=DAY)), "Answers").rows == ()
    long_ago = group(shown(facts, START, desired(history=DAY)), "Answers").rows
    assert [each.label for each in long_ago] == ["a"]


def test_however_many_records_there_are_the_last_are_shown_and_the_others_counted() -> None:
    records = tuple(TlsaRecord(3, 1, 1, bytes([n]) * 32) for n in range(40))
    found = group(shown(zone_facts(seen("ns1", records, START, START)), START), "Records")
    assert len(found.rows) == zones.MOST_RECORDS
    assert found.left_out == f"{40 - zones.MOST_RECORDS} records are not shown"
    one = group(shown(zone_facts(seen("ns1", records[:1], START, START)), START), "Records")
    assert (len(one.rows), one.left_out) == (1, "")


def test_what_was_over_long_ago_is_left_out() -> None:
    now = START + PAST + 3 * HOUR + SECOND
    facts = zone_facts(
        seen("ns1", (of_key(OLD),), START, START),
        seen("ns1", (of_key(NEW),), START + HOUR, now),
    )
    assert [each.label for each in group(shown(facts, now), "Records").rows] == [str(of_key(NEW))]
    assert len(group(shown(facts, now - 2 * SECOND), "Records").rows) == 2
    assert group(shown(facts, now), "Records").rows[0].letter == "a"


def refused(timeline: Timeline) -> list[tuple[datetime, datetime | None, str]]:
    return [
        (each.start, each.end, each.kind)
        for found in group(timeline, "Answers").rows
        for each in found.spans
        if each.role == "refused"
    ]


@pytest.mark.parametrize("name", rollovers.STORIES)
def test_no_answer_that_a_sender_may_hold_ever_refuses_what_is_presented(name: str) -> None:
    """Promise 1 in the picture, seen and planned."""
    assert refused(of_story(name)) == []


def test_the_naive_way_is_shown_as_the_outage_that_it_is() -> None:
    """The new key goes live first, then its record is published in the old one's place."""
    story = Story(now=START)
    story.deployed(1, OLD).published(of_key(OLD)).look()
    story.later(DAY).deployed(2, NEW).look()
    assert refused(shown(story.facts, story.now)) == [(START + DAY, None, "served")]
    story.later(MINUTE).dns.serve(of_key(NEW))
    story.look().later(9 * HOUR).look()
    assert refused(shown(story.facts, story.now)) == [
        (START + DAY, START + DAY + MINUTE, "served"),
        (START + DAY + MINUTE, START + DAY + 2 * HOUR, "cached"),  # surely: it was seen last a minute before
    ]
    story.dns.security = "insecure"  # nobody asks for the records then
    story.later(HOUR).look()
    assert refused(shown(story.facts, story.now)) == []


def test_a_rollover_past_the_caches_shows_its_cost_beforehand() -> None:
    story = rollovers.steady()
    urgent = Intent(NAME, "rollover", "danelaw rollover", story.now, options=("emergency", "accept-outage"))
    story.note(urgent).look().later(SECOND)
    timeline = timeline_of(*rollovers.told(story), NAME)
    ((start, end, _),) = [each for each in refused(timeline) if each[2] == "cached"]
    assert timeline.now <= start
    assert end == timeline.now + 2 * HOUR
    assert "emergency rollover asked for" in {each.text for each in timeline.marks}


# --- keys and certificates -------------------------------------------------------------------------------------------


def test_a_key_is_made_presented_retired_and_destroyed() -> None:
    story = Story(now=START)
    story.deployed(1, OLD).look()
    story.later(DAY).deployed(2, NEW).look()
    story.later(DAY).look()
    keys = (
        replace(key(OLD, START - DAY, START - 2 * DAY), destroyed_at=START + 2 * DAY),
        key(NEW, START + DAY, START),
    )
    timeline = shown(replace(story.facts, keys=keys), story.now)
    assert row(timeline, "Keys", 0) == [
        (START - 2 * DAY, START + DAY, "kept", "current"),  # the first key never was the next one
        (START + DAY, START + 2 * DAY, "kept", "retired"),
        (START, START + DAY, "live", "current"),
    ]
    assert row(timeline, "Keys", 1) == [
        (START, START + DAY, "kept", "next"),
        (START + DAY, None, "kept", "current"),
        (START + DAY, None, "live", "current"),
    ]
    notes = [each.note for each in group(timeline, "Keys").rows]
    assert notes == ["retired key, RSA, destroyed", "current key, RSA"]
    assert [(each.at, each.kind) for each in timeline.marks if each.kind in {"cutover", "retired"}] == [
        (START + DAY, "cutover"),
        (START + 2 * DAY, "retired"),
    ]


def test_an_address_that_presents_the_old_key_again_is_seen_to() -> None:
    story = Story(now=START)
    story.deployed(1, OLD).look().later(HOUR).deployed(2, NEW).look()
    story.later(HOUR).live(1, OLD, proven=True).look().later(HOUR).look()
    live = [each for each in row(shown(story.facts, story.now), "Keys", 0) if each[2] == "live"]
    assert [each[:2] for each in live] == [(START, START + HOUR), (START + 2 * HOUR, None)]
    other = [each for each in row(shown(story.facts, story.now), "Keys", 1) if each[2] == "live"]
    assert [each[:2] for each in other] == [(START + HOUR, START + 2 * HOUR)]


def live(timeline: Timeline, place: int) -> list[tuple[datetime, datetime | None]]:
    return [(each[0], each[1]) for each in row(timeline, "Keys", place) if each[2] == "live"]


def test_what_fell_silent_or_left_dns_presents_nothing_any_more() -> None:
    story = Story(now=START)
    story.deployed(1, OLD)
    story.at[THEIRS] = (OLD,)
    story.look().later(DAY).deployed(2, NEW).look()
    assert live(shown(story.facts, story.now), 0) == [(START, None)]  # the other address does
    both = replace(story, presents={SMTP: dict(story.at)}, looked=set(story.looked))
    story.at[THEIRS] = "connection refused"
    story.later(HOUR).look().later(HOUR).look()
    assert live(shown(story.facts, story.now), 0) == [(START, START + DAY + HOUR)]
    del both.at[THEIRS]
    both.later(HOUR).look()
    assert live(shown(both.facts, both.now), 0) == [(START, None)]  # who knows the address may go there yet
    both.later(2 * DAY).look()
    assert live(shown(both.facts, both.now), 0) == [(START, START + DAY)]


def test_a_chain_that_lingers_beside_the_new_one_ends_when_it_was_seen_last() -> None:
    story = Story(now=START)
    story.deployed(1, OLD).look().later(HOUR).deployed(2, NEW)
    story.at[OURS] = (NEW, replace(OLD, algorithm="ecdsa"))
    story.look().later(MINUTE).look()
    story.at[OURS] = (NEW,)
    story.later(HOUR).look().later(DAY).look()
    lingering = live(shown(story.facts, story.now), 0)[-1]
    assert lingering[1] == START + HOUR + MINUTE
    assert live(shown(story.facts, story.now), 1) == [(START + HOUR, None)]


def test_a_server_that_fell_silent_served_what_it_did_until_then() -> None:
    story = Story(now=START)
    story.has_key(OLD).dns.serve(of_key(OLD))
    story.look()
    story.dns.servers["ns2"] = "timeout"
    story.later(HOUR).look()
    story.dns.servers["ns1"] = (of_key(NEW),)
    story.later(HOUR).look().later(HOUR).look()
    served = [each for each in row(shown(story.facts, story.now), "Records", 0) if each[2] != "cached"]
    assert served[0][0] == START
    assert served[-1][1] == START + 2 * HOUR
    cached = row(shown(story.facts, story.now), "Records", 0)[-1]
    assert cached[2] == "cached"
    assert (cached[1] or START) > START + 10 * DAY  # the gate: it may serve it yet, while its signatures hold


def test_a_certificate_is_valid_until_it_is_over_or_revoked() -> None:
    story = Story(now=START)
    story.deployed(1, OLD).look()
    assert row(shown(story.facts, story.now), "Certificates", 0) == [
        (START, OLD.not_after, "valid", "current"),
        (START, OLD.not_after, "live", "current"),  # nobody plans to present it any longer
    ]
    revoked = replace(story.facts.chains[0], revoked_at=START + HOUR)
    timeline = shown(replace(story.facts, chains=(revoked,)), START + 2 * HOUR)
    assert row(timeline, "Certificates", 0)[0] == (START, START + HOUR, "valid", "current")
    assert row(timeline, "Certificates", 0)[1] == (START, None, "live", "current")  # revoked, and presented still
    assert group(timeline, "Certificates").rows[0].note == f"revoked {START:%Y-%m-%d}"
    assert [each.text for each in timeline.marks if each.kind == "revoked"] == ["revoked"]


def test_a_certificate_found_here_is_shown_and_one_of_another_host_is_not() -> None:
    story = Story(now=START)
    story.at.update({"192.0.2.25": (OLD,), "198.51.100.25": (NEW,)})
    story.look()
    (found,) = group(shown(story.facts, story.now), "Certificates").rows
    assert found.label.startswith(OLD.leaf_sha256[:16])
    assert found.note.endswith(", found here")


def test_a_certificate_that_ends_before_it_begins_is_valid_at_no_time() -> None:
    story = Story(now=START)
    odd = certificate("odd", "whose?", since=START + DAY, until=START - DAY)
    story.at["192.0.2.25"] = (odd,)
    story.look()
    assert row(shown(story.facts, story.now), "Certificates", 0) == [(START, None, "live", "foreign")]


# --- marks -----------------------------------------------------------------------------------------------------------


def proof(at: datetime, outcome: str) -> Effect:
    subject = desired().certificates[0].deployments[0].id
    return Effect(1, "prove", subject, "{}", at, at, outcome)  # type: ignore[arg-type]


def test_proofs_are_marked_and_other_deployments_are_not() -> None:
    effects = (
        proof(START, "done"),
        proof(START + HOUR, "failed"),
        proof(START + HOUR, "interrupted"),
        replace(proof(START, "done"), subject="/elsewhere"),
    )
    timeline = shown(Facts(effects=effects), START + DAY)
    assert [(each.at, each.kind) for each in timeline.marks] == [(START, "proof"), (START + HOUR, "failed")]


def test_nothing_settles_in_an_emergency() -> None:
    keys = (key(OLD, START - DAY), key(NEW, START))
    asked = Intent(NAME, "rollover", "danelaw rollover", START - HOUR, START)
    now = START + 2 * DAY
    settled = [each.at for each in shown(Facts(keys=keys, intents=(asked,)), now).marks if each.kind == "settled"]
    assert settled == [START + DAY]
    urgent = replace(asked, options=("emergency",))
    assert "settled" not in {each.kind for each in shown(Facts(keys=keys, intents=(urgent,)), now).marks}
    leaked = (replace(keys[0], compromised_at=START - HOUR), keys[1])
    marks = shown(Facts(keys=leaked), now).marks
    assert [each.kind for each in marks] == ["compromised", "cutover"]


# --- what is planned -------------------------------------------------------------------------------------------------


def test_a_planned_rollover_goes_live_when_the_last_answer_without_the_next_key_is_out_of_every_cache() -> None:
    timeline = of_story("asked")
    assert timeline.now == START + DAY + 10 * SECOND
    (cutover,) = [each.at for each in timeline.marks if each.kind == "cutover"]
    alone = row(timeline, "Answers", 0)
    assert alone == [
        (START, timeline.now, "served", "answer"),
        (timeline.now, timeline.now + 2 * HOUR, "cached", "answer"),
    ]
    assert cutover == timeline.now + 2 * HOUR
    settled = cutover + DAY
    assert row(timeline, "Records", 0) == [
        (START, cutover, "served", "current"),
        (cutover, settled, "served", "retired"),
        (settled, settled + 2 * HOUR, "cached", "retired"),
    ]
    assert row(timeline, "Records", 1) == [
        (timeline.now, cutover, "served", "next"),
        (cutover, None, "served", "current"),
    ]
    assert row(timeline, "Records", 2) == [(cutover, None, "served", "next")]
    assert [each.label for each in group(timeline, "Answers").rows] == ["a", "a + b", "a + b + c", "b + c"]
    assert [each.at for each in timeline.marks if each.kind == "settled"] == [settled]
    assert [each.label for each in group(timeline, "Keys").rows][1:] == ["a key to be made"] * 2
    assert [each.label for each in group(timeline, "Records").rows][1:] == ["3 1 1 of a key to be made"] * 2
    assert group(timeline, "Certificates").rows[1].label == "a certificate to be ordered"


def test_nobody_plans_anything_where_nothing_is_to_be_done() -> None:
    moment = rollovers.told(rollovers.done())
    timeline = timeline_of(*moment, NAME)
    for each in timeline.groups:
        for found in each.rows:
            assert "to be" not in found.label
            assert all(span.start <= timeline.now for span in found.spans)
    assert {each.kind for each in timeline.marks if each.at > timeline.now} == {"renewal", "retired"}
    assert timeline.to_be_made == ()


def test_a_server_that_is_behind_holds_the_cutover_from_when_it_has_caught_up() -> None:
    moment = rollovers.told(rollovers.behind())
    timeline = timeline_of(*moment, NAME)
    records = {each.letter: spans(each) for each in group(timeline, "Records").rows}
    partly = [each for each in records["c"] if each[2] == "partly"]
    caught_up = max(each[1] or timeline.end for each in partly)
    assert caught_up > timeline.now
    (cutover,) = [each.at for each in timeline.marks if each.kind == "cutover"]
    assert cutover == caught_up + 2 * HOUR
    assert records["b"][0][3] == "foreign"


def test_once_it_happened_it_is_seen_where_it_was_planned() -> None:
    """What was planned and then done as planned is one picture, but for the seconds that doing takes."""
    before, after = of_story("asked"), of_story("settling")
    assert [each.label for each in group(after, "Answers").rows] == ["a", "a + b", "a + b + c", "b + c"]
    cutovers = [next(each.at for each in found.marks if each.kind == "cutover") for found in (before, after)]
    assert timedelta(0) <= cutovers[1] - cutovers[0] < HOUR + MINUTE  # it looks once an hour
    assert cutovers[1] < after.now < cutovers[1] + DAY
    assert [each.role for each in group(after, "Records").rows[0].spans][:2] == ["current", "retired"]


def test_the_latest_marks_are_shown_and_the_others_counted() -> None:
    effects = tuple(proof(START + n * HOUR, "done") for n in range(MOST_MARKS + 5))
    timeline = shown(Facts(effects=effects), START + 9 * DAY)
    assert (len(timeline.marks), timeline.earlier_marks) == (MOST_MARKS, 5)
    assert timeline.marks[-1].at == effects[-1].began_at
    few = shown(Facts(effects=effects[:3]), START + 9 * DAY)
    assert (len(few.marks), few.earlier_marks) == (3, 0)


def test_of_several_plans_to_renew_the_last_counts() -> None:
    moment = rollovers.told(rollovers.asked())
    waits = [each.what.until for each in moment.entries if isinstance(each.what, Wait) and each.what.code == "renewal"]
    assert len(waits) == 2
    timeline = timeline_of(*moment, NAME)
    assert [each.at for each in timeline.marks if each.kind == "renewal"] == [max(waits)]


@pytest.mark.parametrize("name", rollovers.STORIES)
def test_what_is_foreseen_begins_now_and_leaves_the_past_alone(name: str) -> None:
    moment = rollovers.told(rollovers.STORIES[name]())
    coming = foreseen(moment.desired, moment.facts, moment.entries)
    past = [each for each in coming.rrsets if each.first_at < moment.now]
    assert [replace(each, last_at=START) for each in past] == [
        replace(each, last_at=START) for each in moment.facts.rrsets
    ]
    assert coming.effects == moment.facts.effects
    made = [each for each in coming.keys if each.spki_sha256 not in {key.spki_sha256 for key in moment.facts.keys}]
    assert all(each.made_at >= moment.now for each in made)
    assert foreseen(moment.desired, moment.facts, ()) == moment.facts


@pytest.mark.parametrize("name", rollovers.STORIES)
def test_every_picture_is_within_its_bounds_and_holds_now(name: str) -> None:
    timeline = of_story(name)
    assert timeline.now - PAST <= timeline.start <= timeline.now <= timeline.end <= timeline.now + FUTURE
    for each in timeline.groups:
        for found in each.rows:
            assert found.spans
            assert all(span.end is None or span.start < span.end for span in found.spans), found
    assert list(timeline.letters.values()) == sorted(timeline.letters.values())


def test_what_happens_in_the_facts_is_what_the_picture_shows() -> None:
    """No step of the plan is missing: each publication changes an answer, each going live a key's or chain's life."""
    moment = rollovers.told(rollovers.asked())
    timeline = timeline_of(*moment, NAME)
    starts = {each.start for found in group(timeline, "Answers").rows for each in found.spans}
    for entry in moment.entries:
        if isinstance(entry.what, Publish):
            assert entry.at in starts
        if isinstance(entry.what, Activate):
            live = [each for found in group(timeline, "Keys").rows for each in found.spans if each.kind == "live"]
            assert any(abs(each.start - entry.at) < SECOND for each in live)


def test_a_plan_of_what_is_stored_goes_on_from_the_last_look() -> None:
    """Without a look nothing is ripe: the core asks for one. Here the last one stands in for it."""
    moment = rollovers.told(rollovers.behind())
    later = moment.now + 3 * DAY
    bare = planned(moment.desired, moment.facts, later)
    assert not any(isinstance(each.what, Activate) for each in bare)
    stored = stored_plan(moment.desired, moment.facts, later)
    assert any(isinstance(each.what, Activate) for each in stored)
    assert min(each.at for each in stored) == later


def test_seen_again_says_no_more_than_that_a_look_found_the_same() -> None:
    story = rollovers.behind()
    later = story.now + 3 * HOUR
    again = seen_again(story.facts, later)
    looked = replace(story, now=later).look().facts
    ends = {(each.server, each.rdatas, each.first_at): each.last_at for each in looked.rrsets}
    for each in again.rrsets:
        assert ends[each.server, each.rdatas, each.first_at] == each.last_at
    assert {each.last_at for each in again.presented} <= {each.last_at for each in looked.presented}
    answers: list[Callable[[Facts], object]] = [
        lambda facts: type(next_step(story.desired, facts, later)),
        lambda facts: isinstance(next_step(story.desired, facts, later), Rest),
    ]
    assert [each(again) for each in answers] == [each(looked) for each in answers]
    assert seen_again(story.facts, story.now - DAY) == story.facts  # nothing is set back


def test_lines_of_a_plan_go_to_the_certificates_that_they_are_about() -> None:
    moment = rollovers.told(rollovers.asked())
    spec = moment.desired.certificates[0]
    assert all(concerns(each, spec) for each in moment.entries)
    other = replace(spec, name="other", claims=(), deployments=())
    assert not any(concerns(each, other) for each in moment.entries)


def test_nothing_known_is_a_timeline_all_the_same() -> None:
    timeline = shown(Facts(), START)
    assert (timeline.start, timeline.end) == (START, START)
    assert [each.rows for each in timeline.groups] == [(), (), (), ()]
    assert timeline.marks == ()
