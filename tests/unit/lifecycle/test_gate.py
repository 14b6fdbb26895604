"""Formula G, case by case: each chain that may go live has a twin, a moment or a server away, that may not."""

from datetime import datetime, timedelta

import pytest

from danelaw.lifecycle.gate import acceptable, go_live, held, span
from danelaw.model import TlsaRecord
from fakes.story import (
    ALIEN,
    CERT_256,
    NEW,
    OLD,
    OWNER,
    SPKI_512,
    STALE,
    START,
    A,
    B,
    Story,
    desired,
    minutes,
    record,
)

BAD = (record(OLD, CERT_256),)
GOOD = (record(NEW),)
HOUR = 60.0


def blocks(story: Story, at: float) -> list[tuple[str, datetime | None]]:
    return [(item.code, item.until) for item in go_live(story.facts, story.desired, OWNER, NEW, minutes(at))]


def switched(ttl: int = 3600, **more: int) -> Story:
    """Both servers had the bad RRset; the good one was seen at A and B from minute 10."""
    story = Story()
    story.look(0, {A: BAD, B: BAD}, ttl=ttl, **more)  # type: ignore[arg-type]
    return story.look(10, {A: GOOD, B: GOOD}, ttl=300)


@pytest.mark.parametrize(
    ("ttl", "more", "wait"),
    [
        (60, {}, 16),  # T + M: twice a minute is too short
        (3600, {}, 120),  # 2 T
        (0, {}, 15),  # M alone
        (300, {"original_ttl": 7200}, 240),  # what a validator may extend it to
        (7200, {"original_ttl": 300}, 240),
    ],
)
def test_w_counts_from_the_last_server_without_it(ttl: int, more: dict[str, int], wait: float) -> None:
    story = switched(ttl, **more)
    end = 10 + wait
    story.look(end - 1, {A: GOOD, B: GOOD}, ttl=300)
    assert ("cached", minutes(end)) in blocks(story, end - 1)
    story.look(end, {A: GOOD, B: GOOD}, ttl=300)
    assert blocks(story, end) == []


def test_a_cname_prolongs_what_it_leads_to() -> None:
    without, through = switched(600), switched(600, cname_ttl=3600)
    ends = [
        max(item.until or START for item in held(s.facts, s.desired, OWNER, minutes(10))) for s in (without, through)
    ]
    assert ends[1] - ends[0] >= timedelta(minutes=60)


def test_one_server_that_still_serves_it_blocks_without_an_end() -> None:
    story = Story().look(0, {A: BAD, B: BAD}).look(10, {A: GOOD, B: BAD}).look(600, {A: GOOD, B: BAD})
    assert ("cached", None) in blocks(story, 600)
    story.look(601, {A: GOOD, B: GOOD})
    assert ("cached", minutes(721)) in blocks(story, 602)  # and its own wait begins when it is seen without
    story.look(721, {A: GOOD, B: GOOD})
    assert blocks(story, 721) == []


def test_a_reading_is_worth_two_minutes() -> None:
    story = switched().look(600, {A: GOOD, B: GOOD})
    assert blocks(story, 602) == []
    assert [code for code, _ in blocks(story, 602.1)] == ["look"]


def test_nothing_is_known_before_the_first_look() -> None:
    assert [code for code, _ in blocks(Story(), 0)] == ["look"]


def test_a_look_that_found_no_servers_is_a_hold() -> None:
    story = Story().look(0, {}, problem="no such zone")
    (item,) = go_live(story.facts, story.desired, OWNER, NEW, minutes(0))
    assert item.remedy


def test_absence_everywhere_at_the_first_look_blocks_nothing() -> None:
    story = Story(desired(history=timedelta(days=1))).look(0, {A: (), B: ()}, signed_for=None)
    assert blocks(story, 0) == []


def test_what_stood_before_the_first_look_counts_for_history() -> None:
    story = Story(desired(history=timedelta(days=1))).look(0, {A: GOOD, B: GOOD}, ttl=300)
    assert blocks(story, 0) == [("history", minutes(24 * HOUR))]
    story.look(24 * HOUR, {A: GOOD, B: GOOD}, ttl=300)
    assert blocks(story, 24 * HOUR) == []


def test_history_of_nothing_still_waits_for_w() -> None:
    story = Story().look(0, {A: GOOD, B: GOOD}, ttl=3600)
    assert blocks(story, 0) == [("history", minutes(120))]


class TestUnreachable:
    def test_one_that_served_a_good_rrset_last_blocks_nothing(self) -> None:
        story = switched().look(600, {A: GOOD, B: None})
        assert blocks(story, 600) == []

    def test_one_that_served_a_bad_one_last_blocks_while_signatures_hold(self) -> None:
        story = Story().look(0, {A: BAD, B: BAD}).look(10, {A: GOOD, B: None}).look(900, {A: GOOD, B: None})
        ((code, until),) = blocks(story, 900)
        assert code == "cached"
        assert until is not None
        assert minutes(0) + timedelta(days=11) <= until <= minutes(0) + timedelta(days=13)

    def test_signing_the_good_one_anew_does_not_prolong_that(self) -> None:
        story = Story().look(0, {A: BAD, B: BAD}).look(10, {A: GOOD, B: None})
        for day in range(1, 14):
            story.look(day * 24 * HOUR, {A: GOOD, B: None})
        assert blocks(story, 13 * 24 * HOUR) == []

    def test_one_that_was_never_seen_may_serve_anything(self) -> None:
        story = Story().look(0, {A: BAD, B: None}).look(10, {A: GOOD, B: None}).look(900, {A: GOOD, B: None})
        assert "unreachable" in [code for code, _ in blocks(story, 900)]
        for day in range(1, 14):
            story.look(day * 24 * HOUR, {A: GOOD, B: None})
        assert blocks(story, 13 * 24 * HOUR) == []

    def test_where_nothing_was_ever_signed_it_does_not_block_for_ever(self) -> None:
        story = Story(desired(history=timedelta(hours=1))).look(0, {A: (), B: None}, signed_for=None)
        assert "unreachable" in [code for code, _ in blocks(story, 0)]
        story.look(200, {A: (), B: None}, signed_for=None)
        assert blocks(story, 200) == []


def test_a_server_dropped_from_ns_counts_until_caches_forget_it() -> None:
    story = Story().look(0, {A: GOOD, B: BAD}).look(10, {A: GOOD, B: BAD}, listed=[A])
    story.look(30, {A: GOOD}, listed=[A])
    assert blocks(story, 30) != []
    story.look(400, {A: GOOD}, listed=[A])
    assert blocks(story, 400) == []


def test_a_server_that_is_behind_may_pass_through_what_it_never_showed() -> None:
    x, r, q = (record(NEW, SPKI_512),), BAD, GOOD
    behind = Story(desired(records=())).look(0, {A: x, B: x}).look(10, {A: r, B: x}).look(20, {A: q, B: x})
    caught_up = behind.look(700, {A: q, B: x}).look(705, {A: q, B: q})
    found = {item.rdatas: item.until for item in held(caught_up.facts, caught_up.desired, OWNER, minutes(705))}
    assert found[r] == minutes(705 + 120)
    # Twin: one that was never behind does not bring it back.
    level = Story(desired(records=())).look(0, {A: x, B: x}).look(10, {A: r, B: r}).look(20, {A: q, B: q})
    level.look(700, {A: q, B: q}).look(705, {A: x, B: x})
    assert r not in {item.rdatas for item in held(level.facts, level.desired, OWNER, minutes(705))}


class TestAcceptable:
    claims = desired().certificates[0].claims

    @pytest.mark.parametrize(
        ("rdatas", "accepted"),
        [
            ((), True),
            ((record(NEW),), True),
            ((record(ALIEN),), False),
            ((record(ALIEN), record(NEW)), True),
            ((record(OLD, CERT_256),), False),
            ((record(NEW), record(OLD, CERT_256)), True),  # other people's selector 0 beside ours that matches
            ((record(ALIEN), record(OLD, CERT_256)), False),
            ((record(NEW), record(ALIEN, SPKI_512)), False),  # Postfix takes the strongest digest only
            ((record(NEW), record(NEW, SPKI_512)), True),
            ((TlsaRecord(3, 1, 1, b"short"),), True),  # nothing usable refuses nothing
            ((TlsaRecord(1, 1, 1, STALE.data),), True),  # usage 1 is undefined at port 25
        ],
    )
    def test_at_port_25(self, rdatas: tuple[TlsaRecord, ...], accepted: bool) -> None:  # noqa: FBT001 (a table)
        assert acceptable(rdatas, NEW, self.claims, OWNER, START) is accepted

    def test_usage_1_counts_elsewhere(self) -> None:
        pkix = TlsaRecord(1, 1, 1, STALE.data)
        assert not acceptable((pkix,), NEW, (), "_993._tcp.mail.example.org.", START)


def test_a_chain_that_nobody_can_read_goes_live_beside_absence_only() -> None:
    story = switched().look(600, {A: GOOD, B: GOOD})
    assert go_live(story.facts, story.desired, OWNER, None, minutes(600))
    empty = Story().look(0, {A: (), B: ()}, signed_for=None)
    assert go_live(empty.facts, empty.desired, OWNER, None, START) == []


def test_unclaimed_records_that_refuse_it_are_a_hold() -> None:
    story = Story(desired(claimed=False)).look(0, {A: BAD, B: BAD})
    assert any(item.remedy for item in go_live(story.facts, story.desired, OWNER, NEW, START))
    claimed = Story().look(0, {A: BAD, B: BAD})
    assert not any(item.remedy for item in go_live(claimed.facts, claimed.desired, OWNER, NEW, START))


def test_w_of_no_rows_is_the_margin() -> None:
    assert span([], timedelta(minutes=15)) == timedelta(minutes=15)
    assert span([], timedelta(minutes=15), timedelta(days=1)) == timedelta(days=1)


def test_what_the_primary_holds_is_about_to_be_served() -> None:
    story = switched().look(600, {A: GOOD, B: GOOD}, primary=BAD)
    assert ("cached", None) in blocks(story, 600)
    story.look(601, {A: GOOD, B: GOOD}, primary=GOOD)
    assert blocks(story, 601) == []


def test_a_dead_server_that_had_moved_on_does_not_bring_it_back() -> None:
    story = Story().look(0, {A: BAD, B: BAD}).look(10, {A: GOOD, B: BAD}).look(20, {A: None, B: GOOD})
    story.look(600, {A: None, B: GOOD}).look(601, {A: GOOD, B: GOOD})
    assert blocks(story, 601) == []
    # Twin: one that had not, does.
    story = Story().look(0, {A: BAD, B: BAD}).look(10, {A: None, B: GOOD}).look(601, {A: GOOD, B: GOOD})
    assert ("cached", minutes(721)) in blocks(story, 601)
