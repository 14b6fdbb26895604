"""Histories of going live and back: nothing flaps, what fails backs off, and a clock that is wrong makes no loop."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from danelaw.lifecycle.due import open_intent
from danelaw.model import Activate, Chain, Intent, Obtain, Reload, Rest
from danelaw.run.act import after_all, went_live
from fakes.facts import (
    DAY,
    HOUR,
    MINUTE,
    NAME,
    OURS,
    SECOND,
    START,
    Story,
    certificate,
    in_a_word,
    of_key,
    of_leaf,
)

FIRST = certificate("the first")
SECOND_ONE = certificate("the second", until=START + 80 * DAY)
FOREIGN = certificate("the ecdsa one", "a foreign key", algorithm="ecdsa")


def renewed(*, first: Chain = FIRST, proven: bool = True) -> Story:
    """Return a story of a certificate that went live over the same key after another, a month later."""
    story = Story().later(-30 * DAY).deployed(1, first)
    story.published(of_key(FIRST)).look().later(30 * DAY)
    story.issued(SECOND_ONE).staged(2, SECOND_ONE).look()
    story.later(MINUTE).live(2, SECOND_ONE, proven=proven)
    return story.later(10 * SECOND).look()


# --- records that refuse what is live --------------------------------------------------------------------------------


def test_a_foreign_chain_of_another_algorithm_moves_none_of_ours() -> None:
    story = renewed()
    story.at[OURS] = (SECOND_ONE, FOREIGN)
    story.later(MINUTE).look()
    assert story.told(10 * MINUTE) == []
    assert set(story.holds()) == {"refused-live"}


def test_our_chain_that_the_records_refuse_goes_back_once() -> None:
    story = renewed()
    story.later(DAY).look()
    story.dns.serve(of_leaf(FIRST))
    story.dns.primary = "no answer"
    story.later(MINUTE).look()
    step = story.take()
    assert isinstance(step, Activate)
    assert (step.n, step.back) == (1, True)
    assert "activate" not in story.told(HOUR, every=MINUTE)


def test_a_repair_that_fails_backs_off() -> None:
    story = renewed().later(DAY)
    story.dns.serve(of_leaf(FIRST))
    story.dns.primary = "no answer"
    story.later(MINUTE).look()
    assert isinstance(story.fail(), Activate)
    assert not isinstance(story.next(), Activate)
    assert isinstance(story.later(MINUTE).look().next(), Activate)


# --- going back ------------------------------------------------------------------------------------------------------


def test_a_proof_that_failed_puts_the_earlier_generation_back() -> None:
    step = renewed(proven=False).next()
    assert isinstance(step, Activate)
    assert (step.n, step.back) == (1, True)


def test_going_back_that_fails_backs_off() -> None:
    story = renewed(proven=False)
    assert isinstance(story.fail(), Activate)
    for wait in (MINUTE, 10 * MINUTE, 100 * MINUTE, DAY):
        assert not isinstance(story.next(), Activate)
        assert "backoff" in story.waits()
        story.later(wait - SECOND * 10).look()
        assert not isinstance(story.next(), Activate)
        story.later(10 * SECOND).look()
        assert isinstance(story.fail(), Activate)


def test_an_expired_generation_is_no_way_back() -> None:
    story = renewed(first=certificate("the first", until=START - HOUR), proven=False)
    rest = story.next()
    assert isinstance(rest, Rest)
    assert "has expired or was revoked" in str(rest.waits)
    assert isinstance(story.later(MINUTE).look().next(), Reload)


def test_a_revoked_generation_is_no_way_back() -> None:
    story = renewed(proven=False)
    revoked = [replace(row, revoked_at=START) for row in story.facts.chains if row.chain == FIRST]
    rest = story.note(*revoked).next()
    assert isinstance(rest, Rest)
    assert "has expired or was revoked" in str(rest.waits)


def test_an_expired_or_revoked_generation_is_no_repair() -> None:
    story = renewed(first=certificate("the first", until=START + HOUR)).later(DAY)
    story.dns.serve(of_leaf(certificate("the first", until=START + HOUR)))
    story.dns.primary = "no answer"
    assert not isinstance(story.look().next(), Activate)


# --- a clock that is wrong -------------------------------------------------------------------------------------------


def activated(story: Story, step: Activate) -> None:
    """Carry out an activation as `run.act` does, by this host's clock."""
    row = went_live(story.generation(step.n), after_all(story.facts, step.deployment, story.now))
    story.note(row)
    story.disk, story.at[OURS] = row.files, (SECOND_ONE,)
    story.ended(step, "done")
    story.later(5 * SECOND).look()


def set_back(by: timedelta) -> Story:
    """Return a story in which the clock was set back just after a deployment, and another one is due."""
    story = Story().issued(FIRST).staged(1, FIRST)
    story.published(of_key(FIRST)).look().later(5 * DAY + by).live(1, FIRST, proven=True).look()
    story.later(2 * MINUTE - by)
    return story.issued(SECOND_ONE).staged(2, SECOND_ONE).look()


@pytest.mark.parametrize("by", [timedelta(0), MINUTE, HOUR, DAY])
def test_a_clock_that_was_set_back_after_a_deployment_makes_no_loop_of_activations(by: timedelta) -> None:
    story = set_back(by)
    said: list[str] = []
    while not isinstance(step := story.next(), Rest) and len(said) < 10:
        said.append(in_a_word(step))
        if isinstance(step, Activate):
            activated(story, step)
        else:
            story.take()
    assert said.count("activate") == 1
    assert story.generation(2).active_at is not None


def test_an_active_generation_is_the_one_that_was_activated_last_whatever_the_clock_says() -> None:
    story = set_back(HOUR)
    now = story.now
    latest = story.generation(1).active_at
    assert latest is not None
    assert after_all(story.facts, story.deployment.id, now) > latest > now
    later = now + 2 * HOUR
    assert after_all(story.facts, story.deployment.id, later) == later


def came(until: datetime, ago: timedelta) -> Story:
    """Return a story of a certificate that ends at ``until`` by our clock and was obtained so long ago."""
    story = Story().later(-10 * DAY)
    due = certificate("the one that is due", since=START - 80 * DAY, until=START + 10 * DAY)
    story.deployed(1, due).published(of_key(due)).look()
    story.later(10 * DAY - ago)
    new = certificate("the new one", since=until - 90 * DAY, until=until)
    story.deployed(2, new).look()
    return story.later(ago).look()


@pytest.mark.parametrize("until", [START - DAY, START + DAY, START + 29 * DAY])
def test_a_certificate_that_is_due_the_moment_it_is_issued_is_a_hold_and_not_ordered_again(until: datetime) -> None:
    story = came(until, MINUTE)
    assert "obtain" not in story.told(HOUR, every=10 * MINUTE)
    assert "clock" in story.holds()


def test_it_is_ordered_again_a_day_later() -> None:
    assert isinstance(came(START + DAY, DAY).next(), Obtain)


def test_a_certificate_that_is_young_when_it_comes_waits_for_its_renewal() -> None:
    story = came(START + 89 * DAY, MINUTE)
    assert story.waits().keys() == {"renewal"}


# --- what a person asked for -----------------------------------------------------------------------------------------


def asked(*ago: timedelta, newest_chain: timedelta) -> str | None:
    """Return who asked for the renewal that is open, of requests and a chain so long ago."""
    story = Story().issued(SECOND_ONE, START - newest_chain)
    story.note(*(Intent(NAME, "renew", f"{span}", START - span) for span in ago))
    intent = open_intent(story.facts, NAME)
    assert isinstance(story.published(of_key(FIRST)).look().next(), Obtain) is (intent is not None)
    return intent.by if intent else None


def test_the_newest_open_request_counts() -> None:
    assert asked(3 * DAY, DAY, newest_chain=2 * DAY) == str(DAY)
    assert asked(DAY, 3 * DAY, newest_chain=2 * DAY) == str(DAY)


def test_a_request_that_the_newest_chain_has_answered_does_not() -> None:
    assert asked(3 * DAY, newest_chain=2 * DAY) is None
    assert asked(newest_chain=2 * DAY) is None


# --- a state that does not know what is live -------------------------------------------------------------------------

LATER_KEY = certificate("over a later key", "a later key")


@pytest.mark.parametrize("is_on_disk", [True, False])
def test_a_restored_backup_does_not_put_back_the_key_that_it_knows(*, is_on_disk: bool) -> None:
    """What went live since the backup is known to nobody here: neither a reload nor the files of before are right."""
    story = renewed()
    story.at[OURS] = (LATER_KEY,)
    story.published(of_key(FIRST), of_key(LATER_KEY))
    if is_on_disk:
        story.disk = dict.fromkeys(story.generation(2).files, "files of a later key")
    story.later(2 * HOUR).look()
    assert {"activate", "reload", "go back"}.isdisjoint(story.told(3 * HOUR, every=MINUTE))
    hold = story.holds()["unknown-live"]
    assert LATER_KEY.spki_sha256[:16] in hold.why
    assert f"danelaw adopt {NAME}" in hold.remedy


def test_a_chain_over_the_current_key_that_somebody_else_deployed_is_replaced_by_ours() -> None:
    story = renewed()
    story.at[OURS] = (certificate("issued elsewhere over our key"),)
    story.disk = dict.fromkeys(story.generation(2).files, "files of somebody else")
    story.later(2 * HOUR).look()
    assert "activate" in story.told(HOUR, every=MINUTE)
    assert "unknown-live" not in story.holds()


def test_a_generation_over_a_destroyed_key_does_not_come_back() -> None:
    """Its files went with the key; while the key is there, it does."""
    old = certificate("over the key before", "the key before")
    story = Story().later(-30 * DAY).deployed(1, old)
    (key,) = story.facts.keys
    story.note(replace(key, current_since=key.made_at - DAY))
    story.published(of_key(old), of_key(FIRST)).look().later(30 * DAY)
    story.issued(FIRST).staged(2, FIRST).look()
    story.later(MINUTE).live(2, FIRST, proven=False)
    story.later(10 * SECOND).look()
    step = story.next()
    assert isinstance(step, Activate)
    assert (step.n, step.back) == (1, True)
    key = next(key for key in story.facts.keys if key.spki_sha256 == old.spki_sha256)
    story.note(replace(key, destroyed_at=story.now))
    assert not isinstance(story.next(), Activate)
