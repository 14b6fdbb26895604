"""Keys that leak, are kept elsewhere or are done with, story by story."""

from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw.errors import UnsafePlan
from danelaw.lifecycle.case import Case
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.steps import _check
from danelaw.model import Intent, IntentOption, KeyFact, Rest, Retire, SpareKey, Step
from fakes.facts import DAY, HOUR, MINUTE, NAME, OWNER, START, certificate
from fakes.rolling import MAIL, OLD, Rolling, W, halfway, pin, steady

ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]
RENEWED = ORDER[:5]

# --- keys that leaked, and revocation --------------------------------------------------------------------------------


def test_a_leaked_current_key_is_replaced_at_once_and_its_record_withdrawn_at_once() -> None:
    story = steady(next_key=True)
    old = story.current
    story.leak(old)
    assert story.steps() == [*ORDER, "take-next-key", "publish"]
    assert not story.stands(old)


def test_a_leaked_next_key_is_replaced_by_another_next_one() -> None:
    story = steady(next_key=True)
    leaked = story.following
    story.leak(leaked)
    assert story.steps() == ["take-next-key", "publish"]
    assert not story.stands(leaked)
    assert story.live() == OLD


def test_a_next_key_that_leaks_while_it_is_live_somewhere_goes_and_then_its_record() -> None:
    story = halfway()
    leaked = story.following
    story.leak(leaked)
    said = story.run(MINUTE)
    assert said[:2] == ["take-next-key", "publish"]
    assert story.live(MAIL).spki_sha256 != leaked.spki_sha256
    assert not story.stands(leaked)
    assert "promote" in story.run(5 * HOUR)


def test_the_chain_over_a_leaked_key_is_not_renewed_once_the_ca_has_blocked_it() -> None:
    story = steady()
    row = story.facts.chains[0]
    story.note(replace(row, revoked_at=story.now, reason=1))
    story.leak(story.current)
    said = story.run(W + HOUR)
    assert said == ["take-next-key", "publish", *ORDER, "publish"]
    assert chain_of(story.facts, story.active()) == story.live()


# --- a spare key -----------------------------------------------------------------------------------------------------


SPARE = certificate("over the spare", "the spare key")


def with_spare() -> Rolling:
    return steady(spare=SpareKey("spare.pub", SPARE.spki_der), key="/etc/ssl/first.key")


def test_the_public_half_of_a_spare_key_is_published_and_nothing_else_comes_of_it() -> None:
    story = with_spare()
    assert story.following.origin == "elsewhere"
    assert story.stands(story.following)
    assert story.run(5 * DAY, DAY) == []


def test_a_rollover_to_a_spare_key_waits_for_its_private_half() -> None:
    story = with_spare()
    story.ask()
    assert story.steps() == []
    assert "name its file as `key`" in story.holds()["spare-key"].remedy
    story.note(replace(story.following, path="/media/spare.key"))  # as a look finds it there
    story.change(key="/media/spare.key")
    assert story.steps() == ["take-key", *ORDER]


def test_a_spare_key_that_comes_here_is_the_request() -> None:
    story = with_spare()
    story.note(replace(story.following, path="/media/spare.key"))
    story.change(key="/media/spare.key")
    assert story.steps() == ["take-key", *ORDER]
    assert story.live().spki_sha256 == SPARE.spki_sha256
    assert "make another spare key" in story.holds()["spare-used"].remedy


def test_a_spare_key_cannot_be_gone_over_to_by_any_emergency() -> None:
    story = with_spare()
    story.leak(story.current)
    story.ask("emergency", "accept-outage")
    assert story.steps() == []
    assert "spare-key" in story.holds()
    assert story.live() == OLD


# --- revocation ------------------------------------------------------------------------------------------------------


def revocation(story: Rolling, reason: int, *options: IntentOption) -> None:
    """Ask for what `danelaw revoke` asks for."""
    row = story.facts.chains[0]
    story.note(
        Intent(NAME, "revoke", "me", story.now, leaf_sha256=row.chain.leaf_sha256, reason=reason, options=options)
    )
    if reason == 1:
        story.leak(next(key for key in story.facts.keys if key.spki_sha256 == row.chain.spki_sha256))
    elif not options:
        story.note(Intent(NAME, "renew", "me", story.now))


def test_what_is_live_is_replaced_over_the_same_key_and_then_revoked() -> None:
    story = steady()
    revocation(story, 4)
    assert story.steps() == [*RENEWED, "revoke"]
    assert story.live().spki_sha256 == OLD.spki_sha256
    assert story.facts.chains[0].revoked_at is not None
    assert story.dns.primary == (pin(story.current),)


def test_what_is_live_is_not_revoked_while_its_replacement_is_not_proven() -> None:
    story = steady()
    revocation(story, 4)
    story.refused = {OLD.spki_sha256}
    assert story.steps() == ["obtain"]
    story.refused.clear()
    story.later(MINUTE).look().take()
    story.unproven = {(MAIL, story.facts.chains[-1].chain.leaf_sha256)}
    assert "revoke" not in story.run(DAY)
    assert story.live() == OLD
    story.unproven.clear()
    assert story.run(2 * DAY)[-1] == "revoke"


def test_with_yes_it_is_revoked_at_once_and_then_renewed() -> None:
    story = steady()
    revocation(story, 4, "yes")
    assert story.steps() == ["revoke", *RENEWED]


def test_a_leaked_key_is_gone_over_from_first_and_then_revoked_and_put_away() -> None:
    story = steady(next_key=True)
    old = story.current
    revocation(story, 1)
    assert story.steps() == [*ORDER, "take-next-key", "publish", "revoke"]
    until = story.waits()["retiring"].until
    assert until == max(row.first_at for row in story.facts.rrsets) + W
    assert story.run(until - story.now - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE) == ["retire"]
    assert put_away(story, old)


def put_away(story: Rolling, key: KeyFact) -> bool:
    row = next(row for row in story.facts.keys if row.spki_sha256 == key.spki_sha256)
    return bool(row.archived_at or row.destroyed_at)


def test_a_leaked_key_that_cannot_be_replaced_is_on_hold_and_not_revoked() -> None:
    story = steady()
    story.change(deployments=())
    revocation(story, 1)
    assert story.steps() == []
    whys = [hold.why for hold in rest(story).holds if hold.code == "no-rollover"]
    assert any("is to be revoked, and its key cannot be replaced" in why for why in whys)
    assert story.facts.chains[0].revoked_at is None


def rest(story: Rolling) -> Rest:
    step = story.next()
    assert isinstance(step, Rest)
    return step


# --- retirement ------------------------------------------------------------------------------------------------------


def rolled(**fields: object) -> Rolling:
    """Return a story that is through a rollover, its old key's records withdrawn."""
    story = steady(next_key=True, **fields)  # type: ignore[arg-type]
    story.ask()
    story.run(DAY + HOUR)
    assert not story.stands(story.retired[0])
    return story


@pytest.mark.parametrize(("how", "field"), [("archive", "archived_at"), ("shred", "destroyed_at")])
def test_a_key_is_put_away_when_its_last_certificate_is_over(how: str, field: str) -> None:
    story = rolled(retired_keys=how)
    old = story.retired[0]
    assert story.waits()["retiring"].until == OLD.not_after
    story.now = OLD.not_after - MINUTE
    assert "retire" not in story.look().run(MINUTE - timedelta(seconds=50), MINUTE)
    story.now = OLD.not_after + MINUTE
    assert story.look().steps() == ["retire"]
    row = next(row for row in story.facts.keys if row.spki_sha256 == old.spki_sha256)
    assert getattr(row, field) is not None
    assert story.run(DAY) == []


def forced(story: Rolling) -> str:
    """Return what is said of a step that puts the old key away all the same; "" where nothing is."""
    key = next(key for key in story.facts.keys if key.spki_sha256 == OLD.spki_sha256)
    step: Step = Retire(NAME, key.spki_sha256, "archive", "a rule that is wrong")
    try:
        _check(Case(story.desired, story.facts, story.now, ()), step)
    except UnsafePlan as error:
        return str(error)
    return ""


def test_no_key_is_put_away_while_a_service_presents_it() -> None:
    story = steady(next_key=True)
    assert "live or stands at" in forced(story)


def test_no_key_is_put_away_while_its_record_stands_or_a_cache_may_hold_it() -> None:
    story = steady(next_key=True)
    story.ask()
    story.steps()
    assert "a sender may hold it" in forced(story)
    story.run(DAY + HOUR)
    assert "a sender may hold it" in forced(story)
    story.run(W)
    assert forced(story) == ""


def test_a_record_of_it_by_somebody_elses_hand_keeps_a_key() -> None:
    story = rolled()
    old = story.retired[0]
    story.serve(OWNER, (*story.dns.primary, pin(old)))
    story.note(*(replace(row, withdrawn_at=START) for row in story.facts.own_records if row.record == pin(old)))
    story.now = OLD.not_after + DAY
    assert "retire" not in story.look().steps()
    assert not put_away(story, old)


def test_a_key_that_another_certificate_has_too_is_kept_until_that_is_done_with_it() -> None:
    story = rolled()
    old = story.retired[0]
    other = replace(old, certificate="other.example", current_since=START)
    story.note(other)
    story.now = OLD.not_after + MINUTE
    assert story.look().steps() == []
    newer = replace(other, spki_sha256="newer", spki_der=b"newer", current_since=START + DAY)
    story.note(newer)
    assert story.steps() == ["retire"]


def test_a_certificate_of_another_name_that_is_valid_still_keeps_their_key() -> None:
    story = rolled()
    old = story.retired[0]
    longer = certificate("of the other name", "the first key", until=START + 90 * DAY)
    other = replace(old, certificate="other.example", current_since=START)
    newer = replace(other, spki_sha256="newer", spki_der=b"newer", current_since=START + DAY)
    row = replace(story.facts.chains[0], certificate="other.example", chain=longer)
    story.note(other, newer, row)
    story.now = OLD.not_after + MINUTE
    assert story.look().steps() == []
    assert story.waits()["retiring"].until == longer.not_after


def test_a_record_over_a_key_that_another_certificate_has_too_is_withdrawn_all_the_same() -> None:
    story = steady(next_key=True)
    old = story.current
    story.note(replace(old, certificate="other.example"))
    story.ask()
    story.run(DAY + HOUR)
    assert not story.stands(old)


def test_a_key_that_another_certificates_services_went_back_to_is_kept() -> None:
    story = rolled()
    old = story.retired[0]
    other = replace(old, certificate="other.example", current_since=START)
    newer = replace(other, spki_sha256="newer", spki_der=b"newer", current_since=START + DAY)
    chain = certificate("of the other name", "the first key", until=START + 50 * DAY)
    row = replace(story.facts.chains[0], certificate="other.example", chain=chain)
    theirs = replace(story.of(MAIL, 1), deployment="/other.pem", leaf_sha256=chain.leaf_sha256)
    story.note(other, newer, row, theirs)
    story.now = OLD.not_after + MINUTE
    assert story.look().steps() == []
    assert not put_away(story, old)
    story.note(replace(theirs, n=9, leaf_sha256=story.live().leaf_sha256, active_at=story.now))
    assert story.steps() == ["retire"]
