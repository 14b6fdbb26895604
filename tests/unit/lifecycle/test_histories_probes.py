"""Histories of handshakes: those that fail or see old workers end nothing, and addresses that went away still count."""

from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw.lifecycle import new_violations, predict
from danelaw.lifecycle.sight import presented_now
from danelaw.model import Chain, Endpoint, Hold, Publish, Wait
from fakes.facts import (
    DAY,
    HOUR,
    MINUTE,
    OURS,
    OWNER,
    SECOND,
    SMTP,
    START,
    THEIRS,
    Dns,
    Records,
    Story,
    certificate,
    desired,
    of_key,
    of_leaf,
)

MINE = certificate("ours")
OLD = certificate("the old one", "the old key")
ECDSA = certificate("the ecdsa one", "another key", algorithm="ecdsa")
DAY_AND_M = DAY + 15 * MINUTE
"""How long an address that DNS gave may be connected to after it was taken out."""


def steady(*, prune: bool = False) -> Story:
    """Return a story in which our record and chain have been live for days."""
    story = Story(desired(prune=prune))
    story.published(of_key(MINE)).deployed(1, MINE).look()
    return story.later(5 * DAY).look().later(MINUTE)


# --- one handshake of several fails ----------------------------------------------------------------------------------


def two_algorithms() -> Story:
    """Return a story of a server with our RSA and somebody's ECDSA certificate, whose records `prune` names."""
    story = Story(desired(prune=True))
    story.dns.serve(of_leaf(MINE), of_leaf(ECDSA))
    story.deployed(1, MINE)
    story.at[OURS] = (MINE, ECDSA)
    return story.look().later(MINUTE)


def test_a_handshake_that_fails_for_one_algorithm_ends_nothing() -> None:
    story = two_algorithms()
    story.fails[OURS, "ecdsa"] = "timed out"
    story.look()
    assert {row.chain for row in presented_now(story.facts, SMTP, OURS)} == {MINE, ECDSA}
    step = story.next()
    assert isinstance(step, Publish)
    assert of_key(ECDSA) in step.wanted


def test_an_algorithm_that_is_not_offered_any_more_has_ended() -> None:
    story = two_algorithms()
    story.at[OURS] = (MINE,)
    story.look()
    assert [row.chain for row in presented_now(story.facts, SMTP, OURS)] == [MINE]
    step = story.next()
    assert isinstance(step, Publish)
    assert step.wanted == (of_key(MINE),)


def test_a_chain_that_another_replaced_has_ended() -> None:
    story = two_algorithms()
    newer = certificate("the newer ecdsa one", "another key", algorithm="ecdsa")
    story.at[OURS] = (MINE, newer)
    assert {row.chain for row in presented_now(story.look().facts, SMTP, OURS)} == {MINE, newer}


# --- old workers -----------------------------------------------------------------------------------------------------


def old_workers(*, proven: bool) -> Story:
    """Return a story in which one of eight handshakes saw the old chain, and single ones see the new one alone."""
    story = Story(desired(prune=(of_key(OLD),)))
    story.published(of_key(MINE)).dns.serve(of_key(MINE), of_key(OLD))
    story.at[OURS] = (OLD,)
    story.look().later(DAY).issued(MINE).staged(1, MINE).live(1, MINE, proven=proven)
    if not proven:
        story.at[OURS] = (MINE, OLD)
        story.look()
    story.at[OURS] = (MINE,)
    return story.later(30 * SECOND).look()


def test_nothing_is_withdrawn_while_a_deployment_that_proves_the_owner_name_is_not_proven() -> None:
    story = old_workers(proven=False)
    for _ in range(20):
        assert not isinstance(story.fail(), Publish)
        story.later(10 * MINUTE).look()
    done = story.later(DAY).look().told(MINUTE)
    assert done.index("prove") < done.index("publish")
    assert story.dns.primary == (of_key(MINE),)


def test_what_was_kept_is_withdrawn_once_it_is_proven() -> None:
    step = old_workers(proven=True).next()
    assert isinstance(step, Publish)
    assert step.wanted == (of_key(MINE),)


def test_a_new_record_is_published_though_the_withdrawal_has_to_wait() -> None:
    story = old_workers(proven=False)
    story.dns.serve(of_key(OLD))
    step = story.later(MINUTE).look().next()
    while not isinstance(step, Publish):
        story.fail()
        step = story.next()
    assert set(step.wanted) == {of_key(MINE), of_key(OLD)}


# --- an address that was taken out of DNS ----------------------------------------------------------------------------


def taken_out(span: timedelta, presented: Chain = OLD) -> Story:
    """Return a story in which an address that presented another chain was taken out of DNS so long ago."""
    story = Story(desired(prune=(of_key(OLD),)))
    story.published(of_key(MINE)).dns.serve(of_key(MINE), of_key(OLD))
    story.deployed(1, MINE)
    story.at[THEIRS] = (presented,)
    story.look()
    del story.at[THEIRS]
    return story.later(span).look()


@pytest.mark.parametrize("span", [MINUTE, 2 * HOUR, DAY, DAY_AND_M - SECOND])
def test_an_address_that_was_taken_out_of_dns_counts_for_a_day_and_the_margin(span: timedelta) -> None:
    story = taken_out(span)
    assert story.publication() is None
    assert of_key(OLD) in story.dns.servers["ns1"]


def test_an_address_that_was_taken_out_longer_ago_does_not_count() -> None:
    step = taken_out(DAY_AND_M).next()
    assert isinstance(step, Publish)
    assert step.wanted == (of_key(MINE),)


def test_an_address_that_was_taken_out_and_presented_ours_does_not_keep_other_records() -> None:
    step = taken_out(MINUTE, MINE).next()
    assert isinstance(step, Publish)
    assert step.wanted == (of_key(MINE),)


# --- silence ---------------------------------------------------------------------------------------------------------


def silent_for(span: timedelta, *, add: bool = False) -> Story:
    """Return a story in which another host's address is silent so long, and a record is to go, or to come."""
    story = Story(desired(prune=(of_key(OLD),)))
    story.published(of_key(MINE)).dns.serve(of_key(MINE), of_key(OLD))
    story.deployed(1, MINE)
    story.at[THEIRS] = (MINE,)
    if add:
        story.dns.serve(of_leaf(MINE))
    story.look().later(MINUTE)
    story.at[THEIRS] = "connection refused"
    return story.look().later(span).look()


@pytest.mark.parametrize("span", [7 * DAY, 20 * DAY])
def test_an_address_that_is_silent_for_a_week_makes_a_withdrawal_a_hold(span: timedelta) -> None:
    held = silent_for(span).publication()
    assert isinstance(held, Hold)
    assert held.code == "silent"
    assert THEIRS in held.why


def test_an_address_that_is_silent_for_less_does_not() -> None:
    step = silent_for(7 * DAY - SECOND).next()
    assert isinstance(step, Publish)
    assert step.wanted == (of_key(MINE),)


def test_an_addition_is_no_withdrawal() -> None:
    step = silent_for(20 * DAY, add=True).next()
    assert isinstance(step, Publish)
    assert set(step.wanted) == {of_key(MINE), of_leaf(MINE)}


def test_our_own_silent_service_is_a_hold_while_dns_gives_its_address() -> None:
    story = steady()
    story.at[OURS] = "connection refused"
    story.look().later(HOUR).look()
    assert "silent-live" in story.holds()


def test_our_own_silent_service_is_none_once_its_address_has_left_dns() -> None:
    story = steady()
    story.at["192.0.2.26"] = (MINE,)
    story.at[OURS] = "connection refused"
    story.look().later(MINUTE)
    del story.at[OURS]
    assert not story.look().holds()


# --- records that refuse an address ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prune", [False, True])
def test_records_that_are_right_and_refuse_another_host_are_a_hold(*, prune: bool) -> None:
    story = steady(prune=prune)
    story.at[THEIRS] = (OLD,)
    holds = story.look().holds()
    assert set(holds) == {"refused-live"}
    assert THEIRS in holds["refused-live"].why


def test_records_that_are_right_and_refuse_another_algorithm_are_a_hold() -> None:
    story = steady()
    story.at[OURS] = (MINE, ECDSA)
    assert set(story.look().holds()) == {"refused-live"}


def test_records_that_accept_every_address_are_none() -> None:
    story = steady()
    story.at[THEIRS] = (certificate("another leaf of ours"),)
    assert not story.look().holds()


IMAPS = Endpoint("mail.example.org", 993, "imaps")


@pytest.mark.parametrize(("rdatas", "codes"), [((of_key(OLD),), {"unclaimed"}), ((of_key(MINE),), set()), ((), set())])
def test_records_of_a_proven_endpoint_that_nobody_claims_must_accept_it_too(rdatas: Records, codes: set[str]) -> None:
    story = Story(desired(proven=(SMTP, IMAPS)))
    story.elsewhere = [Dns(IMAPS.owner, {"ns1": rdatas})]
    story.presents[IMAPS] = {OURS: (MINE,)}
    story.published(of_key(MINE)).deployed(1, MINE).look().later(DAY).look()
    assert set(story.holds()) == codes


def broken() -> Story:
    """Return a story in which the records refuse our address, and another host's too."""
    story = Story()
    story.deployed(1, MINE)
    story.dns.serve(of_key(OLD))
    story.at[THEIRS] = (certificate("a third", "a third key"),)
    return story.look().later(DAY).look()


def test_an_address_that_cannot_be_repaired_does_not_block_the_repair_of_the_others() -> None:
    story = broken()
    step = story.take()
    assert isinstance(step, Publish)
    assert of_key(MINE) in step.wanted
    story.later(DAY).look()
    assert THEIRS in story.holds()["refused-live"].why
    assert OURS not in story.holds()["refused-live"].why


# --- an endpoint that is pinned to an address ------------------------------------------------------------------------


def pinned_to_theirs(chain: Chain) -> Publish | Wait | Hold | None:
    """Return what is said of a first publication where a `prove` pins an address that DNS does not give."""
    pinned = Endpoint("mail.example.org", 25, "smtp", connect=THEIRS)
    story = Story(desired(proven=(SMTP, pinned)))
    story.presents[pinned] = {THEIRS: (chain,)}
    return story.deployed(1, MINE).look().later(DAY).look().publication()


def test_a_pinned_endpoint_at_a_claimed_owner_name_is_judged_before_a_publication() -> None:
    held = pinned_to_theirs(OLD)
    assert isinstance(held, Hold)
    assert held.code == "first-other-key"
    assert THEIRS in held.why
    assert isinstance(pinned_to_theirs(MINE), Publish)


def test_a_change_that_would_refuse_what_the_records_accept_is_no_repair() -> None:
    story = broken()
    step = story.next()
    assert isinstance(step, Publish)
    worse = replace(step, wanted=(of_key(certificate("a fifth", "a fifth key")),))
    story.dns.serve(of_key(OLD), of_key(MINE))  # now only the other host is refused
    story.later(MINUTE).look()
    after = predict(story.desired, story.facts, worse, story.now)
    assert [item.address for item in new_violations(story.desired, story.facts, after, story.now)] == [OURS]


def test_a_story_has_no_step_left_where_all_is_well() -> None:
    story = steady()
    assert story.told(HOUR, every=MINUTE) == []
    assert set(story.waits()) == {"renewal"}
    assert isinstance(story.waits()["renewal"], Wait)
    assert story.now > START
    assert OWNER in {row.owner for row in story.facts.owners}
