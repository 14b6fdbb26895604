"""The numbered invariants: each lets through what is right and refuses what is not; no rule goes past them."""

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest

from danelaw.errors import UnsafePlan
from danelaw.lifecycle import predict, steps
from danelaw.lifecycle.case import Answers, Case
from danelaw.lifecycle.invariants import INVARIANTS, Change, broken
from danelaw.lifecycle.keys import retired_keys
from danelaw.model import (
    Activate,
    Generation,
    Obtain,
    OwnRecord,
    Promote,
    Prove,
    Publish,
    Reload,
    Rest,
    Retire,
    Stage,
    Step,
    TlsaRecord,
)
from fakes.facts import DAY, HOUR, MINUTE, NAME, OURS, OWNER, SMTP, START, THEIRS, certificate, of_key, of_leaf
from fakes.rolling import MAIL, OLD, THREE_ONE_ONE, THREE_ZERO_ONE, Rolling, W, contents, pin, steady

ALIEN = TlsaRecord(3, 1, 1, bytes(32))
OTHER = certificate("another", "another key")


def numbers(story: Rolling, step: Step) -> set[int]:
    """Return the numbers of the invariants that a step would make newly false."""
    after = predict(story.desired, story.facts, step, story.now)
    return {number for number, _ in broken(Change(story.desired, story.facts, step, after, story.now))}


def swap(story: Rolling, *wanted: TlsaRecord, ttl: int = 3600) -> Publish:
    assert not isinstance(story.dns.primary, str)
    return Publish(OWNER, OWNER, "home", story.dns.primary, tuple(sorted(wanted)), ttl, "a rule that is wrong")


def golive(story: Rolling, n: int = 2) -> Activate:
    row = story.of(MAIL, n)
    return Activate(NAME, MAIL, n, row.leaf_sha256, "a rule that is wrong")


def staged(**fields: object) -> Rolling:
    """Return a story whose next key was published, and a chain over it staged, as if nothing had been waited for."""
    story = steady(**fields)  # type: ignore[arg-type]
    story.ask("emergency", "accept-outage")
    while not isinstance(story.next(), Activate):
        story.take()
    story.cancel()
    return story


def test_they_are_numbered_as_they_are_documented() -> None:
    names = [each.__name__ for each in INVARIANTS]
    assert names == ["covered", "ours", "not_emptied", "kept", "known", "needed", "one_at_a_time"]


# --- 1 covered -------------------------------------------------------------------------------------------------------


def test_going_live_before_caches_are_over_breaks_the_first_and_after_it_none() -> None:
    story = staged()
    assert numbers(story, golive(story)) == {1}
    story.change(next_key=True)
    story.later(W + HOUR).look()
    assert numbers(story, golive(story)) == set()


def test_one_second_decides() -> None:
    story = staged()
    story.change(next_key=True)
    end = max(row.first_at for row in story.facts.rrsets) + W
    story.now = end - MINUTE
    assert numbers(story.look(), golive(story)) == {1}
    story.now = end
    assert numbers(story.look(), golive(story)) == set()


def test_withdrawing_what_is_presented_here_or_elsewhere_breaks_the_first() -> None:
    story = steady(next_key=True)
    new = story.following
    assert 1 in numbers(story, swap(story, pin(new)))
    story.at[THEIRS] = (OTHER,)
    story.serve(OWNER, (*story.dns.primary, of_key(OTHER)))
    story.later(MINUTE).look()
    assert 1 in numbers(story, swap(story, of_key(OLD), pin(new)))
    assert 1 not in numbers(story, swap(story, of_key(OLD), of_key(OTHER)))


def test_withdrawing_what_stands_in_the_files_alone_breaks_the_first() -> None:
    """Any restart presents it."""
    story = steady()
    story.serve(OWNER, (of_key(OLD), of_key(OTHER)))
    story.later(MINUTE).look()
    story.runs[MAIL] = OTHER
    story.later(MINUTE).look()
    assert story.at[OURS] == (OTHER,)
    assert 1 in numbers(story, swap(story, of_key(OTHER)))


def test_adding_a_combination_for_some_chains_only_breaks_the_first() -> None:
    story = steady()
    story.change(records=(THREE_ONE_ONE, THREE_ZERO_ONE))
    assert 1 in numbers(story, swap(story, of_key(OLD), of_leaf(OTHER)))
    assert 1 not in numbers(story, swap(story, of_key(OLD), of_leaf(OLD)))


def test_what_is_refused_already_may_be_repaired_and_nothing_may_join() -> None:
    story = steady()
    story.serve(OWNER, (ALIEN,))
    story.later(MINUTE).look()
    assert numbers(story, swap(story, ALIEN, of_key(OLD))) == set()
    story.at[THEIRS] = (OTHER,)
    story.serve(OWNER, (ALIEN, of_key(OTHER)))
    story.later(MINUTE).look()
    assert 1 in numbers(story, swap(story, ALIEN, of_key(OLD)))


# --- 2 ours ----------------------------------------------------------------------------------------------------------


def test_only_what_danelaw_added_or_prune_names_is_withdrawn() -> None:
    story = steady()
    theirs = of_leaf(OTHER)
    story.serve(OWNER, (of_key(OLD), theirs))
    story.later(MINUTE).look()
    away = swap(story, of_key(OLD))
    assert numbers(story, away) == {2}
    story.note(OwnRecord(OWNER, theirs, "home", START))
    assert numbers(story, away) == set()
    story.note(OwnRecord(OWNER, theirs, "home", START, withdrawn_at=START))
    assert numbers(story, away) == {2}
    for prune in (True, (theirs,)):
        story.change(claims=tuple(replace(claim, prune=prune) for claim in story.spec.claims))
        assert numbers(story, away) == set()


# --- 3 not emptied ---------------------------------------------------------------------------------------------------


def test_no_claimed_name_is_left_without_a_record() -> None:
    story = steady()
    assert 3 in numbers(story, swap(story))
    assert 3 not in numbers(story, swap(story, of_key(OLD), ALIEN))


# --- 4 kept ----------------------------------------------------------------------------------------------------------


def test_a_next_keys_record_goes_only_where_the_config_wants_none() -> None:
    story = steady(next_key=True)
    away = swap(story, of_key(OLD))
    assert numbers(story, away) == {4}
    story.change(next_key=False)
    assert numbers(story, away) == set()


def test_the_record_of_a_key_that_settles_is_kept_too() -> None:
    story = steady(next_key=True)
    story.ask()
    story.steps()
    old = retired_keys(story.facts, NAME)[0]
    away = swap(story, *(record for record in story.dns.primary if record != pin(old)))  # type: ignore[arg-type]
    assert numbers(story, away) == {4}
    story.later(DAY).look().take()
    assert numbers(story, away) == set()


# --- 5 known ---------------------------------------------------------------------------------------------------------


def test_what_goes_live_is_over_a_key_that_is_here() -> None:
    story = staged(next_key=True)
    assert numbers(story, golive(story)) == set()
    new = story.following
    for field in ("archived_at", "destroyed_at"):
        story.note(replace(new, **{field: story.now}))  # type: ignore[arg-type]
        assert 5 in numbers(story, golive(story))
    story.facts = replace(
        story.facts, keys=tuple(key for key in story.facts.keys if key.spki_sha256 != new.spki_sha256)
    )
    assert 5 in numbers(story, golive(story))


def test_of_what_stood_there_before_danelaw_came_nobody_asks_for_a_key() -> None:
    story = steady()
    story.note(Generation("", MAIL, 0, "", contents(MAIL, OTHER), START))
    assert 5 not in numbers(story, golive(story, 0))


# --- 6 needed --------------------------------------------------------------------------------------------------------


def test_a_key_is_put_away_when_nothing_is_over_it_and_no_record_of_it_is_held() -> None:
    story = steady(next_key=True)
    away = Retire(NAME, OLD.spki_sha256, "archive", "a rule that is wrong")
    assert numbers(story, away) == {6}, "it is live"
    story.ask("emergency")
    story.steps()
    assert numbers(story, away) == {6}, "caches hold its record"
    story.later(W + HOUR).look()
    assert numbers(story, away) == set()
    story.serve(OWNER, (*story.dns.primary, pin(story.retired[0])))
    story.later(MINUTE).look()
    assert numbers(story, away) == {6}, "its record stands, by whomever"


def test_a_key_whose_files_stand_is_needed_though_nothing_presents_it() -> None:
    story = steady(next_key=True)
    story.ask("emergency")
    story.steps()
    story.later(W + HOUR).look()
    story.files[MAIL] = OLD
    story.later(MINUTE).look()
    assert numbers(story, Retire(NAME, OLD.spki_sha256, "shred", "a rule that is wrong")) == {6}


# --- 7 one at a time -------------------------------------------------------------------------------------------------


def test_records_that_stay_keep_their_ttl_unless_nothing_else_changes() -> None:
    story = steady()
    assert numbers(story, swap(story, of_key(OLD), ALIEN, ttl=60)) == {7}
    assert numbers(story, swap(story, of_key(OLD), ALIEN)) == set()
    assert numbers(story, swap(story, of_key(OLD), ttl=60)) == set()


# --- no rule goes past them ------------------------------------------------------------------------------------------


def decide(story: Rolling, step: Step) -> Step | Rest:
    """Decide where one rule of the core answers with a step, whatever the case is."""

    def wrong(case: Case) -> Answers:
        assert case.now == story.now
        return iter((step,))

    with patch.object(steps, "RULES", (wrong,)):
        return story.next()


def wrong_steps() -> Iterator[tuple[str, Rolling, Step]]:
    story = staged()
    yield "1", story, golive(story)
    story = steady()
    yield "1", story, swap(story, ALIEN)
    story = steady()
    story.serve(OWNER, (of_key(OLD), of_leaf(OTHER)))
    story.later(MINUTE).look()
    yield "2", story, swap(story, of_key(OLD))
    story = steady(next_key=True)
    yield "4", story, swap(story, of_key(OLD))
    yield "6", story, Retire(NAME, OLD.spki_sha256, "shred", "a rule that is wrong")
    yield "7", story, swap(story, *story.dns.primary, ALIEN, ttl=60)
    story = staged(next_key=True)
    story.note(replace(story.following, archived_at=story.now))
    yield "5", story, golive(story)


@pytest.mark.parametrize("number", range(7))
def test_a_rule_that_is_wrong_is_refused_with_the_number_of_what_it_would_break(number: int) -> None:
    which, story, step = list(wrong_steps())[number]
    with pytest.raises(UnsafePlan) as refused:
        decide(story, step)
    assert f"invariant {which}" in str(refused.value) + repr(refused.value.__dict__)


def test_accepting_an_outage_is_about_the_first_alone() -> None:
    story = staged()
    story.ask("emergency", "accept-outage")
    assert decide(story, golive(story)) == golive(story)
    new = story.following
    story.note(replace(new, archived_at=story.now))
    with pytest.raises(UnsafePlan):
        decide(story, golive(story))


def test_accepting_an_outage_is_about_the_next_keys_going_live_alone() -> None:
    story = staged()
    story.ask("emergency", "accept-outage")
    with pytest.raises(UnsafePlan):
        decide(story, swap(story, ALIEN))
    with pytest.raises(UnsafePlan):
        decide(story, replace(golive(story), back=True))


def test_steps_that_change_nothing_outside_pass_all() -> None:
    story = staged(next_key=True)
    key, leaf = story.following, story.of(MAIL, 2).leaf_sha256
    for step in (
        Obtain(NAME, key.spki_sha256, "", ahead=True),
        Stage(NAME, MAIL, 3, leaf, ""),
        Reload(NAME, MAIL, 1, ""),
        Prove(NAME, MAIL, 1, OLD.leaf_sha256, ""),
        Promote(NAME, key.spki_sha256, OLD.spki_sha256, ""),
    ):
        assert numbers(story, step) == set()
    assert SMTP.owner == OWNER
