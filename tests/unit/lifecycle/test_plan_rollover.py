"""Plans of rollovers and transitions: what, when at the earliest, and what a cached answer holds then."""

from datetime import datetime, timedelta

import pytest

from danelaw import dane
from danelaw.lifecycle.timeline import LONGEST, Entry, timeline
from danelaw.model import (
    Activate,
    Hold,
    Intent,
    KeyFact,
    Obtain,
    Promote,
    Publish,
    RecordSpec,
    Rest,
    SpareKey,
    Step,
    Wait,
)
from fakes.facts import DAY, HOUR, MINUTE, NAME, OWNER, SMTP, START, in_a_word, of_key, of_leaf
from fakes.rolling import IMAPS, MAIL, OLD, THREE_ONE_ONE, THREE_ZERO_ONE, Rolling, W, pin, steady, wish

THREE_ONE_TWO = RecordSpec(3, 1, 2)
LIVE = ["obtain", "stage", "activate", "reload", "prove", "promote"]
MADE = ["take-next-key", "publish"]
SETTLED = ["prove", "publish"]


def plan(story: Rolling) -> list[Entry]:
    entries = timeline(story.desired, story.facts, story.now)
    assert len(entries) < LONGEST / 2
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert all(entry.now == (entry.at == story.now) for entry in entries)
    return entries


def steps(entries: list[Entry]) -> list[tuple[str, timedelta]]:
    """Return the steps of a plan with how long after its first entry each comes."""
    start = entries[0].at if entries else START
    return [(in_a_word(entry.what), entry.at - start) for entry in entries if not isinstance(entry.what, Wait | Hold)]


def words(entries: list[Entry]) -> list[str]:
    return [word for word, _ in steps(entries)]


def when(entries: list[Entry], kind: type[Step]) -> datetime:
    return next(entry.at for entry in entries if isinstance(entry.what, kind))


def waits(entries: list[Entry]) -> dict[str, datetime]:
    return {entry.what.code: entry.what.until for entry in entries if isinstance(entry.what, Wait)}


def cached(entry: Entry, owner: str = OWNER) -> set[frozenset[str]]:
    """Return what senders may hold at an entry, each RRset as the first digits of its records."""
    return {frozenset(str(record)[:14] for record in rrset) for rrset in dict(entry.cached)[owner]}


def short(*keys: KeyFact) -> frozenset[str]:
    return frozenset(str(pin(key))[:14] for key in keys)


# --- rollovers -------------------------------------------------------------------------------------------------------


def test_a_plan_without_a_rollover_has_no_step() -> None:
    assert words(plan(steady())) == []
    assert words(plan(steady(next_key=True))) == []


def test_in_the_steady_state_all_but_the_settling_is_now() -> None:
    story = steady(next_key=True)
    story.ask()
    entries = plan(story)
    assert words(entries) == [*LIVE, *MADE, *SETTLED]
    assert [entry.now for entry in entries if not isinstance(entry.what, Wait)] == [True] * 8 + [False] * 2
    assert steps(entries)[-1] == ("publish", DAY)
    assert waits(entries)["retiring"] == OLD.not_after


def test_on_demand_the_order_comes_w_after_the_publication() -> None:
    story = steady()
    story.ask()
    entries = plan(story)
    assert words(entries) == [*MADE, *LIVE, *SETTLED]
    assert when(entries, Obtain) - when(entries, Publish) == W == waits(entries)["cached"] - story.now


def test_what_is_planned_is_what_happens() -> None:
    for fields in ({}, {"next_key": True}, {"records": (THREE_ZERO_ONE,)}, {"settle": timedelta(0)}):
        story = steady(SMTP, IMAPS, **fields)
        story.ask()
        planned = words(plan(story))
        assert story.run(2 * DAY, MINUTE * 30) == planned, fields


def test_a_cached_answer_is_shown_with_each_entry() -> None:
    story = steady()
    old = story.current
    story.ask()
    entries = plan(story)
    assert cached(entries[0]) == {short(old)}
    made = next(entry for entry in entries if isinstance(entry.what, Wait) and entry.what.code == "cached")
    assert len(cached(made)) == 2, "the old RRset may be held, and the new one is served"
    live = next(entry for entry in entries if isinstance(entry.what, Activate))
    assert len(cached(live)) == 1, "the old one is over"
    assert short(old) not in cached(live)


def test_whatever_a_plan_puts_live_every_cached_answer_accepts() -> None:
    story = steady(SMTP, IMAPS, next_key=False)
    story.ask()
    facts_of = {row.chain.leaf_sha256: row.chain for row in story.facts.chains}
    for entry in plan(story):
        if isinstance(entry.what, Activate):
            assert entry.what.leaf_sha256 not in facts_of
            for _, rrsets in entry.cached:
                assert all(len(rrset) == 2 for rrset in rrsets), "each has a record of the next key"


def test_an_emergency_waits_where_it_has_to_and_settles_never() -> None:
    story = steady()
    story.ask("emergency")
    entries = plan(story)
    assert words(entries) == [*MADE, *LIVE, "publish"]
    assert when(entries, Obtain) - story.now == W
    assert "settling" not in waits(entries)


def test_an_accepted_outage_is_planned_as_now() -> None:
    story = steady()
    story.ask("emergency", "accept-outage")
    entries = plan(story)
    assert words(entries) == [*MADE, *LIVE, "publish"]
    assert all(entry.now for entry in entries)


def test_a_schedule_says_when() -> None:
    story = steady(next_key=True, rollover=405 * DAY)
    entries = plan(story)
    assert words(entries) == []
    assert waits(entries)["scheduled"] == START + 5 * DAY


def test_a_leaked_key_is_planned_away_with_its_record() -> None:
    story = steady(next_key=True)
    story.leak(story.current)
    entries = plan(story)
    assert words(entries) == [*LIVE, *MADE]
    assert story.current.spki_sha256 not in {
        record.data.hex() for entry in entries if isinstance(entry.what, Publish) for record in entry.what.wanted
    }


def test_a_spare_key_is_a_hold_and_no_plan_goes_past_it() -> None:
    story = steady(spare=SpareKey("spare.pub", b"the spare key"))
    story.ask()
    entries = plan(story)
    assert words(entries) == []
    assert [entry.what.code for entry in entries if isinstance(entry.what, Hold)] == ["spare-key"]


def test_a_plan_changes_nothing() -> None:
    story = steady()
    story.ask()
    before = story.facts
    plan(story)
    assert story.facts == before


# --- transitions -----------------------------------------------------------------------------------------------------


def unpublished(**fields: object) -> Rolling:
    story = Rolling(wish(**fields))  # type: ignore[arg-type]
    story.presents = {}
    return story.put(story.deployment, 1, OLD).look().later(MINUTE).look()


def test_the_first_publication_with_a_next_key_in_it() -> None:
    story = unpublished(next_key=True)
    assert words(plan(story)) == MADE
    story.ask()
    entries = plan(story)
    assert words(entries) == [*MADE, *LIVE, *MADE, *SETTLED]
    assert when(entries, Promote) == story.now, "absence refuses nothing"
    assert dict(entries[0].cached)[OWNER] == ()


@pytest.mark.parametrize(
    ("before", "after", "added", "gone"),
    [
        ((THREE_ZERO_ONE,), (THREE_ONE_ONE,), 1, 1),
        ((THREE_ONE_ONE,), (THREE_ZERO_ONE,), 1, 1),
        ((THREE_ONE_ONE,), (THREE_ONE_ONE, THREE_ONE_TWO), 1, 0),
        ((THREE_ONE_TWO,), (THREE_ONE_ONE,), 1, 1),
    ],
    ids=str,
)
def test_other_records_of_the_same_key_are_one_update(
    before: tuple[RecordSpec, ...], after: tuple[RecordSpec, ...], added: int, gone: int
) -> None:
    story = steady(records=before) if THREE_ONE_TWO not in before else told_twice(before)
    story.change(records=after)
    (step,) = [entry.what for entry in plan(story) if not isinstance(entry.what, Wait | Hold)]
    assert isinstance(step, Publish)
    assert (len({*step.wanted} - {*step.expected}), len({*step.expected} - {*step.wanted})) == (added, gone)


def told_twice(records: tuple[RecordSpec, ...]) -> Rolling:
    """Return a story that came to its records by a change."""
    story = steady()
    story.change(records=records)
    story.steps()
    return story.later(DAY).look()


def test_the_leafs_record_becomes_the_keys_with_a_new_key() -> None:
    story = steady(records=(THREE_ZERO_ONE,))
    story.change(records=(THREE_ONE_ONE,))
    story.ask()
    entries = plan(story)
    assert words(entries) == [*MADE, *LIVE, *SETTLED]
    swap = next(entry.what for entry in entries if isinstance(entry.what, Publish))
    assert swap.expected == (of_leaf(OLD),)
    assert of_key(OLD) in swap.wanted
    assert len(swap.wanted) == 2
    assert when(entries, Obtain) - story.now == W


def test_a_renewal_over_records_of_the_leaf_is_published_before_it_is_live() -> None:
    story = steady(records=(THREE_ZERO_ONE,))
    story.note(Intent(NAME, "renew", "me", story.now))
    entries = plan(story)
    assert words(entries) == ["obtain", "publish", "stage", "activate", "reload", "prove", "publish"]
    assert when(entries, Activate) - when(entries, Publish) == W


def test_rsa_to_ecdsa() -> None:
    story = steady()
    story.change(key_type="p256")
    assert words(plan(story)) == []
    story.ask()
    assert words(plan(story)) == [*MADE, *LIVE, *SETTLED]


def test_another_ttl_is_a_step_of_its_own() -> None:
    story = steady(next_key=True)
    story.change(ttl=1800)
    assert words(plan(story)) == ["publish"]
    story.ask()
    assert words(plan(story)) == ["publish", *LIVE, *MADE, *SETTLED]


def test_a_deaf_server_is_planned_for_until_its_signatures_are_over() -> None:
    story = steady()
    story.frozen = {"ns2"}
    story.ask()
    story.steps()
    story.deaf = {"ns2"}
    story.later(2 * HOUR).look()
    entries = plan(story)
    assert waits(entries)["cached"] == when(entries, Obtain)
    assert any("ns2" in entry.what.why for entry in entries if isinstance(entry.what, Hold | Wait))


def test_a_plan_that_has_come_to_its_end_is_rest() -> None:
    story = steady(next_key=True)
    story.ask()
    story.run(2 * DAY)
    assert words(plan(story)) == []
    assert isinstance(story.next(), Rest)
    assert story.active(MAIL).proven_at is not None
    assert not isinstance(story.dns.primary, str)
    assert dane.covers(story.dns.primary, story.live())
