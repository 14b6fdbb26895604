"""Rollovers, story by story: what starts one, what it waits for, what comes of one that fails or is taken back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw.errors import UnsafePlan
from danelaw.model import (
    Activate,
    IntentOption,
    Obtain,
    Promote,
    Prove,
    Publish,
    ReadyCsr,
    Rest,
    Step,
    TlsaRecord,
)
from fakes.facts import DAY, HOUR, MINUTE, NAME, OWNER, SECOND, SMTP, START, certificate, in_a_word
from fakes.rolling import IMAP, IMAPS, MAIL, OLD, Rolling, W, halfway, pin, steady

ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]
RENEWED = ["obtain", "stage", "activate", "reload", "prove"]
SHORT = certificate("a short one", "the first key", since=START - 60 * DAY, until=START + 33 * DAY)
"""Its renewal is due 3 days after the start, a day after stories begin."""


def asked(*options: IntentOption, **fields: object) -> Rolling:
    """Return a story with a next key in every cache whose rollover was asked for."""
    story = steady(next_key=True, **fields)  # type: ignore[arg-type]
    story.ask(*options)
    return story


def word(story: Rolling) -> str:
    step = story.next()
    return "rest" if isinstance(step, Rest) else in_a_word(step)


# --- the steady state, and what starts a rollover --------------------------------------------------------------------


def test_with_a_next_key_two_records_stand_and_nothing_else_happens() -> None:
    story = steady(next_key=True)
    assert set(story.dns.primary) == {pin(story.current), pin(story.following)}
    assert story.run(20 * DAY, DAY) == []
    assert story.live() == OLD


def test_without_one_nothing_is_made_until_somebody_asks() -> None:
    story = steady()
    assert story.run(DAY) == []
    assert story.coming is None
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]


def test_in_the_steady_state_a_rollover_waits_for_nothing_but_to_settle() -> None:
    story = asked()
    old, new = story.current, story.following
    assert story.steps() == [*ORDER, "take-next-key", "publish"]
    assert story.current.spki_sha256 == new.spki_sha256
    assert story.live().spki_sha256 == new.spki_sha256
    assert story.stands(old)
    assert story.waits()["settling"].until == story.when(Promote) + DAY
    assert story.run(DAY - HOUR) == []
    assert story.stands(old)
    assert story.run(2 * HOUR) == ["prove", "publish"]
    assert not story.stands(old)
    assert story.stands(story.following)


def test_on_demand_the_order_waits_w_from_the_last_sight_to_the_second() -> None:
    story = steady()
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    without = max(row.first_at for row in story.facts.rrsets)
    assert story.waits()["cached"].until == without + W
    story.now = without + W - SECOND
    assert isinstance(story.look().next(), Rest)
    story.now = without + W
    step = story.look().next()
    assert isinstance(step, Obtain)
    assert step.ahead
    assert story.steps() == ORDER


def test_a_schedule_starts_one_to_the_second() -> None:
    story = steady(next_key=True, rollover=405 * DAY)
    due = story.waits()["scheduled"].until
    assert due == START + 5 * DAY
    story.now = due - SECOND
    assert story.look().steps() == []
    story.now = due + SECOND
    assert story.look().steps()[:6] == ORDER


def test_a_schedule_that_is_gone_from_the_config_takes_its_rollover_back() -> None:
    story = steady(next_key=True, rollover=405 * DAY)
    story.unproven = {(MAIL, story.following.spki_sha256)}
    story.later(4 * DAY).look()
    assert story.steps()[:5] == ORDER[:5]
    story.unproven.clear()
    story.change(rollover=None)
    assert story.run(3 * DAY) == []
    assert story.live().spki_sha256 == OLD.spki_sha256


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"csr": ReadyCsr("/etc/ssl/my.csr", b"", b"")}, "/etc/ssl/my.csr"),
        ({"deployments": ()}, "deploys it nowhere"),
    ],
)
def test_where_a_key_cannot_be_replaced_that_is_said(fields: dict[str, object], found: str) -> None:
    story = steady()
    story.change(**fields)  # type: ignore[arg-type]
    assert story.steps() == []
    assert "no-rollover" not in story.holds()
    story.ask()
    assert story.steps() == []
    hold = story.holds()["no-rollover"]
    assert found in hold.why
    assert hold.remedy
    assert story.coming is None


# --- in an emergency -------------------------------------------------------------------------------------------------


def test_an_emergency_in_the_steady_state_waits_for_nothing_at_all() -> None:
    story = asked("emergency")
    old = story.current
    assert story.steps() == [*ORDER, "take-next-key", "publish"]
    assert not story.stands(old)
    assert story.now - story.when(Obtain) == timedelta(seconds=40)


def test_an_emergency_without_a_ripe_record_says_when_and_waits() -> None:
    story = steady()
    story.ask("emergency")
    assert story.steps() == ["take-next-key", "publish"]
    until = story.waits()["cached"].until
    story.now = until - SECOND
    assert story.look().steps() == []
    story.now = until
    assert story.look().steps() == [*ORDER, "publish"]


def test_accepting_an_outage_goes_past_what_caches_hold() -> None:
    story = steady()
    story.ask("emergency", "accept-outage")
    assert story.steps() == ["take-next-key", "publish", *ORDER, "publish"]


def test_an_accepted_outage_is_told_until_the_last_cache_is_over() -> None:
    story = steady()
    story.ask("emergency", "accept-outage")
    said: list[str] = []
    while not isinstance(step := story.take(), Rest):
        said += [step.why] if isinstance(step, Activate) else []
    assert said == ["a person accepted that senders refuse it which hold earlier records"]
    wait = story.waits()["outage"]
    assert "refuse what is live" in wait.why
    story.run(wait.until - story.now - timedelta(seconds=1))
    assert story.waits()["outage"].until == wait.until
    story.run(timedelta(minutes=1))
    assert "outage" not in story.waits()


def test_a_rollover_that_waits_has_no_outage_to_tell_of() -> None:
    story = steady(next_key=True)
    story.ask()
    story.run(3 * HOUR)
    assert "outage" not in story.waits()


def test_accepting_an_outage_goes_past_a_server_that_lags_or_is_deaf() -> None:
    for story in (steady(), steady()):
        story.ask("emergency", "accept-outage")
        story.frozen = {"ns2"}
        assert story.steps() == ["take-next-key", "publish", *ORDER, "publish"]
        story.deaf = {"ns2"}


def test_accepting_an_outage_does_not_go_past_a_primary_without_the_record() -> None:
    story = steady()
    story.ask("emergency", "accept-outage")
    assert in_a_word(story.take()) == "take-next-key"  # type: ignore[arg-type]
    assert word(story) == "publish"
    assert isinstance(story.fail("REFUSED"), Publish)
    assert {"backoff", "cached"} <= story.waits().keys()
    assert story.coming is not None
    assert not story.stands(story.coming)


def test_accepting_an_outage_does_not_go_past_a_look_that_is_too_old() -> None:
    story = steady(next_key=True)
    story.ask("emergency", "accept-outage")
    assert in_a_word(story.take()) == "obtain"  # type: ignore[arg-type]
    assert in_a_word(story.take()) == "stage"  # type: ignore[arg-type]
    story.later(3 * MINUTE)
    assert isinstance(story.next(), Rest)
    assert "look" in story.waits()
    assert word(story.look()) == "activate"


def test_accepting_an_outage_does_not_go_past_records_that_nobody_here_claims() -> None:
    story = steady(SMTP, IMAPS)
    foreign = (TlsaRecord(3, 1, 1, bytes.fromhex(OLD.spki_sha256)),)
    story.change(claims=story.spec.claims[:1])
    story.ask("emergency", "accept-outage")
    assert story.elsewhere[0].primary == foreign
    assert story.steps() == ["take-next-key", "publish"]
    hold = story.holds()["unclaimed"]
    assert IMAPS.owner in hold.why
    assert "claim the endpoint" in hold.remedy


def test_the_same_going_live_without_that_word_is_no_plan() -> None:
    """Nothing but what a person accepts goes past the first invariant, whatever rule would have it."""
    story = steady()
    intent = story.ask("emergency", "accept-outage")
    while word(story) != "activate":
        story.take()
    story.note(replace(intent, options=("emergency",)))
    assert word(story) == "rest"
    with pytest.raises(UnsafePlan, match="invariant 1"):
        check(story, Activate(NAME, MAIL, 2, story.generation(2).leaf_sha256, "a rule that is wrong"))


def check(story: Rolling, step: Step) -> None:
    """Ask of a step what is asked of every one before it is taken."""
    from danelaw.lifecycle.case import Case  # noqa: PLC0415 - here alone
    from danelaw.lifecycle.steps import _check  # noqa: PLC0415 - here alone

    _check(Case(story.desired, story.facts, story.now, ()), step)


# --- taken back ------------------------------------------------------------------------------------------------------


def test_taken_back_before_anything_was_made_leaves_nothing() -> None:
    story = steady()
    story.ask()
    story.cancel()
    assert story.steps() == []
    assert story.coming is None


def test_taken_back_after_the_publication_withdraws_the_record_and_keeps_the_key() -> None:
    story = steady()
    story.ask()
    story.steps()
    new = story.following
    story.cancel()
    assert story.steps() == ["publish"]
    assert story.dns.primary == (pin(story.current),)
    story.ask()
    assert story.steps() == ["publish"], "the key that was made is used, and none is made anew"
    assert story.following == new
    assert "cached" in story.waits(), "its record has to be ripe again"


def test_taken_back_between_order_and_going_live_changes_nothing_that_is_live() -> None:
    story = asked()
    story.take()
    story.take()
    story.cancel()
    assert story.run(3 * DAY) == []
    assert story.live() == OLD
    story.ask()
    assert story.steps()[:4] == ORDER[2:], "what was ordered and staged is used"


def test_taken_back_when_one_of_two_went_over_it_goes_back_through_the_gate() -> None:
    story = halfway()
    story.cancel()
    assert story.steps() == ["activate", "reload", "prove"]
    assert story.live(MAIL) == story.live(IMAP) == OLD
    assert story.stands(story.following)


def test_what_went_over_does_not_go_back_to_what_records_refuse_by_now() -> None:
    story = halfway()
    alien = TlsaRecord(3, 1, 1, bytes(32))
    story.serve(OWNER, (pin(story.following), alien))  # by somebody else's hand
    story.later(MINUTE).look()
    story.cancel()
    assert [each for each in story.steps() if each != "publish"] == []
    assert story.live(MAIL).spki_sha256 == story.following.spki_sha256
    assert story.run(W + HOUR)[-3:] == ["activate", "reload", "prove"], "once the records of both are ripe again"
    assert story.live(MAIL) == OLD


def test_taken_back_after_the_promotion_is_too_late() -> None:
    story = asked()
    story.steps()
    new = story.live()
    story.cancel()
    assert story.run(DAY - HOUR) == []
    assert story.live() == new


# --- what fails ------------------------------------------------------------------------------------------------------


def test_orders_that_fail_again_and_again_consume_no_key_and_hold_up_no_renewal() -> None:
    story = asked(first=SHORT)
    new, record = story.following, pin(story.following)
    story.refused = {new.spki_sha256}
    said = story.run(6 * DAY, HOUR)
    assert said.count("take-next-key") == 0
    assert {step.spki_sha256 for _, step in story.done if isinstance(step, Obtain) and step.ahead} == {new.spki_sha256}
    renewed = [at for at, step in story.done if isinstance(step, Obtain) and not step.ahead]
    assert len(renewed) == 1
    assert renewed[0] - (START + 2 * DAY) < DAY + 2 * HOUR
    assert story.live().spki_sha256 == story.current.spki_sha256
    assert story.live() != SHORT
    assert record in story.dns.primary
    assert story.following == new
    story.refused.clear()
    assert story.run(2 * DAY)[:6] == ORDER


def test_the_back_off_of_one_order_is_not_the_others() -> None:
    story = asked(first=SHORT)
    story.refused = {story.following.spki_sha256, story.current.spki_sha256}
    story.later(2 * DAY).look()
    assert story.steps() == ["obtain", "obtain"]
    waits = story.next()
    assert isinstance(waits, Rest)
    subjects = [wait.subject for wait in waits.waits if wait.code == "backoff"]
    assert sorted(subjects) == [NAME, f"{NAME} (next key)"]


def test_an_order_whose_end_is_unknown_is_made_again_over_the_same_key() -> None:
    story = asked()
    step = story.next()
    assert isinstance(step, Obtain)
    story.ended(step, "interrupted", "killed")
    story.later(SECOND).look()
    assert story.next() == step


def test_what_is_not_proven_goes_back_to_the_old_keys_generation_and_is_tried_again_later() -> None:
    story = asked()
    new = story.following
    story.unproven = {(MAIL, new.spki_sha256)}
    assert story.steps() == [*ORDER[:5], "go back", "reload", "prove"]
    assert story.live() == OLD
    assert story.current.spki_sha256 == OLD.spki_sha256
    assert story.stands(new)
    assert story.waits()["backoff"].until == story.when(Prove, -2) + MINUTE
    tries = story.run(7 * DAY).count("go back")
    assert 8 <= tries <= 10, "after 10 and 100 minutes, then daily"
    story.unproven.clear()
    assert story.run(DAY)[:4] == ["activate", "reload", "prove", "promote"]


def test_a_reload_that_fails_is_a_failed_try_like_any_other() -> None:
    story = asked()
    story.unloaded = {(MAIL, story.following.spki_sha256)}
    assert story.steps() == [*ORDER[:4], "go back", "reload", "prove"]
    assert story.live() == OLD
    story.unloaded.clear()
    assert story.run(HOUR)[:4] == ["activate", "reload", "prove", "promote"]


def test_one_of_two_that_fails_for_a_week_keeps_the_rollover_open_and_both_renewed() -> None:
    story = halfway(first=SHORT)
    assert "promote" not in story.run(7 * DAY)
    assert len([step for _, step in story.done if isinstance(step, Obtain) and not step.ahead]) == 1
    assert story.live(IMAP).spki_sha256 == story.current.spki_sha256
    assert story.live(IMAP) != SHORT, "the renewal over the old key is deployed while the new one waits"
    assert {pin(story.current), pin(story.following)} <= set(story.dns.primary)
    story.unproven.clear()
    assert "promote" in story.run(DAY)


def test_where_all_that_could_come_back_has_expired_a_new_one_over_the_old_key_takes_its_place() -> None:
    story = asked(first=SHORT)
    story.unproven = {(MAIL, story.following.spki_sha256)}
    story.refused = {story.current.spki_sha256}
    story.run(31 * DAY, 6 * HOUR)
    assert SHORT.not_after < story.now
    story.refused.clear()
    story.run(2 * DAY, HOUR)
    assert story.live().spki_sha256 == story.current.spki_sha256
    assert story.live().not_after > story.now
    assert story.active().proven_at is not None


# --- after the promotion ---------------------------------------------------------------------------------------------


def failing_to_settle() -> Rolling:
    story = asked()
    story.steps()
    story.unproven = {(MAIL, story.current.spki_sha256)}
    return story


def test_a_proof_that_fails_when_it_has_settled_keeps_every_record() -> None:
    story = failing_to_settle()
    old = story.retired[0]
    assert story.run(3 * DAY)[:4] == ["prove", "go back", "reload", "prove"]
    assert story.live() == OLD
    assert {pin(old), pin(story.current), pin(story.following)} == set(story.dns.primary)
    story.unproven.clear()
    assert story.run(2 * DAY) == ["activate", "reload", "prove", "publish"]
    assert not story.stands(old)


def test_the_key_that_services_went_back_to_is_renewed_and_not_put_away() -> None:
    story = failing_to_settle()
    story.run(75 * DAY, 12 * HOUR)
    old = story.retired[0]
    assert story.live().spki_sha256 == old.spki_sha256
    assert story.live().not_after > story.now + 10 * DAY
    assert old.archived_at is None
    assert story.stands(old)


def test_a_second_rollover_before_the_first_has_settled_keeps_what_is_needed() -> None:
    story = asked()
    story.steps()
    first, second = story.retired[0], story.current
    story.later(3 * HOUR).look()
    story.ask()
    assert story.steps()[:6] == ORDER
    assert story.stands(second)
    assert not story.stands(first), "nothing presents it, and what was proven last is what settles"
    assert story.stands(story.current)
