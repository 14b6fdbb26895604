"""Histories of records that do not arrive, or arrive too late: waits have an end, and after it a person hears of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw.lifecycle import violations
from danelaw.model import Hold, Primary, Publish, Stage, Wait
from fakes.facts import DAY, HOUR, MINUTE, OURS, OWNER, SECOND, START, Story, certificate, desired, of_key, of_leaf

MINE = certificate("ours")
OLD = certificate("the old one", "the old key")
W = 2 * HOUR


def code(answer: Publish | Wait | Hold | None) -> tuple[type, str] | None:
    """Return what kind of rest it is, and its code."""
    return (type(answer), answer.code) if isinstance(answer, Wait | Hold) else None


# --- a change that nobody serves -------------------------------------------------------------------------------------


def hidden(span: timedelta, *, serves: bool = False) -> Story:
    """Return a story in which an update was taken by a hidden primary so long ago, and daily looks since."""
    story = Story().deployed(1, MINE)
    story.dns.serve(of_key(MINE), of_leaf(MINE))
    story.look().later(5 * DAY).look()
    story.published(of_key(MINE))
    if not serves:
        story.dns.servers = dict.fromkeys(story.dns.servers, tuple(sorted((of_key(MINE), of_leaf(MINE)))))
    return story.look_for(span, every=max(span / 10, MINUTE))


@pytest.mark.parametrize("span", [10 * MINUTE, 50 * MINUTE])
def test_servers_that_lag_are_a_wait_for_an_hour(span: timedelta) -> None:
    assert code(hidden(span).publication()) == (Wait, "lagging")


@pytest.mark.parametrize("span", [65 * MINUTE, DAY, 4 * DAY, 20 * DAY])
def test_what_nobody_serves_is_a_hold_after_an_hour_whatever_is_signed_anew(span: timedelta) -> None:
    assert code(hidden(span).publication()) == (Hold, "lagging")


@pytest.mark.parametrize("span", [10 * MINUTE, 4 * DAY])
def test_what_everybody_serves_is_neither(span: timedelta) -> None:
    assert hidden(span, serves=True).publication() is None


def test_an_update_of_ours_starts_the_hour_anew() -> None:
    story = hidden(4 * DAY)
    story.dns.serve(of_key(MINE))
    story.later(MINUTE).desired = replace(
        story.desired,
        certificates=tuple(
            replace(spec, claims=tuple(replace(claim, ttl=1800) for claim in spec.claims))
            for spec in story.desired.certificates
        ),
    )
    step = story.look().next()
    assert isinstance(step, Publish)
    assert step.ttl == 1800
    story.ended(step, "done")
    story.dns.primary, story.dns.ttl = step.wanted, 1800
    story.dns.servers["ns2"] = (of_leaf(MINE),)
    story.later(MINUTE).look().later(30 * MINUTE).look()
    assert code(story.publication()) == (Wait, "lagging")
    assert code(story.later(30 * MINUTE).look().publication()) == (Hold, "lagging")


def test_one_server_that_does_not_answer_is_named_with_since_when() -> None:
    story = hidden(DAY, serves=True)
    story.dns.servers["ns2"] = "connection refused"
    story.later(START + 6 * DAY + HOUR - story.now).look()
    assert code(story.publication()) == (Wait, "lagging")
    story.look_for(61 * MINUTE, every=5 * MINUTE)
    held = story.publication()
    assert code(held) == (Hold, "lagging")
    assert held is not None
    assert "ns2 has not answered since 2026-06-07 13:00:00Z: connection refused" in held.why


def test_a_server_whose_route_was_lost_is_no_lagging_one() -> None:
    story = hidden(DAY, serves=True)
    del story.dns.servers["ns2"]
    story.dns.left_out = ("ns2",)
    assert story.look_for(3 * HOUR, every=10 * MINUTE).publication() is None


# --- a resolver that lags --------------------------------------------------------------------------------------------


def stale(span: timedelta, *, lags: bool = True) -> Story:
    """Return a story in which the validated view still shows the old RRset, so long after every server moved on."""
    story = Story().deployed(1, MINE)
    story.dns.serve(of_key(MINE), of_leaf(MINE))
    story.look().later(5 * DAY).look()
    if lags:
        story.dns.validated = tuple(sorted((of_key(MINE), of_leaf(MINE))))
    story.published(of_key(MINE)).later(MINUTE).look()
    return story.later(span).look()


@pytest.mark.parametrize("span", [MINUTE, W - MINUTE, W + HOUR - MINUTE])
def test_a_validated_view_that_lags_is_a_wait_until_what_was_held_has_ended_and_an_hour_more(span: timedelta) -> None:
    assert code(stale(span).publication()) == (Wait, "validated")


@pytest.mark.parametrize("span", [W + HOUR + MINUTE, 10 * DAY])
def test_a_validated_view_that_lags_for_longer_is_a_hold(span: timedelta) -> None:
    assert code(stale(span).publication()) == (Hold, "validated")


def test_a_validated_view_that_agrees_is_neither() -> None:
    assert stale(10 * DAY, lags=False).publication() is None


def test_it_is_a_hold_too_where_signatures_are_made_anew_meanwhile() -> None:
    story = stale(MINUTE)
    assert code(story.look_for(12 * DAY, every=DAY).publication()) == (Hold, "validated")


# --- what the primary held at an earlier look ------------------------------------------------------------------------


def renewed(at: timedelta) -> Story:
    """Return a story whose last reading of the primary, which showed records of the old leaf alone, is so old."""
    story = Story().deployed(1, MINE)
    story.published(of_key(MINE)).look().later(5 * DAY).look()
    story.dns.primary = "no answer"
    story.note(Primary(OWNER, (of_leaf(MINE),), 3600, story.now - at))
    newer = certificate("the next one")
    return story.issued(newer).staged(2, newer)


def test_an_old_reading_of_the_primary_decides_nothing() -> None:
    story = renewed(4 * DAY)
    assert not violations(story.desired, story.facts, story.now)
    assert story.told(MINUTE)[:3] == ["activate", "reload", "prove"]


def test_a_reading_of_the_last_look_decides() -> None:
    story = renewed(timedelta(0))
    step = story.next()
    assert isinstance(step, Publish)
    assert step.expected == (of_leaf(MINE),)


def test_an_old_reading_of_the_primary_calls_for_no_repair() -> None:
    story = Story().deployed(1, MINE)
    story.published(of_key(MINE)).look().later(5 * DAY).look()
    newer = certificate("the next one", "our key")
    story.later(MINUTE).deployed(2, newer).look()
    story.dns.primary = "no answer"
    story.note(Primary(OWNER, (of_leaf(MINE),), 3600, story.now)).later(SECOND)
    assert not isinstance(story.look().next(), Publish | Stage)
    assert story.told(MINUTE) == []
    assert story.at[OURS] == (newer,)


# --- records that are there already ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prune", [False, True])
def test_nothing_is_published_while_another_host_would_be_refused(*, prune: bool) -> None:
    story = Story(desired(prune=prune)).deployed(1, MINE)
    story.at["198.51.100.25"] = (OLD,)
    story.look().later(DAY).look()
    assert code(story.publication()) == (Hold, "first-other-key")
    story.at["198.51.100.25"] = (MINE,)
    assert isinstance(story.later(MINUTE).look().next(), Publish)
