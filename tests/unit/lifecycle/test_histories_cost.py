"""What a decision costs grows with what was seen, and no faster: counted in calls, which no other process disturbs."""

import cProfile
import pstats
from collections.abc import Callable

from danelaw.lifecycle import held
from danelaw.lifecycle.timeline import timeline
from fakes.facts import DAY, OWNER, Story, certificate, of_key, of_leaf

MINE = certificate("ours")


def long_story(renewals: int) -> Story:
    """Return a story of renewals with a selector-0 record, so that each makes an RRset of its own, days apart."""
    story = Story().deployed(1, MINE)
    for n in range(1, renewals + 1):
        leaf = certificate(f"leaf {n}", since=story.now, until=story.now + 90 * DAY)
        story.published(of_key(MINE), of_leaf(leaf)).deployed(n, leaf)
        story.look_for(6 * DAY, every=2 * DAY)
    return story


def calls(work: Callable[[], object]) -> int:
    """Return how many function calls and steps of generators a piece of work takes."""
    profile = cProfile.Profile()
    profile.runcall(work)
    stats = pstats.Stats(profile)
    return int(stats.total_calls)  # type: ignore[attr-defined]  # documented, and not in the stubs


def growth(work: Callable[[Story], object]) -> float:
    """Return how much more work it is after four times as many renewals."""
    few, many = (long_story(renewals) for renewals in (20, 80))
    return calls(lambda: work(many)) / calls(lambda: work(few))


def test_what_senders_may_hold_is_found_in_linear_time() -> None:
    assert growth(lambda story: held(story.facts, story.desired, OWNER, story.now)) < 5


def test_a_step_is_found_in_linear_time() -> None:
    assert growth(lambda story: story.next()) < 5


def test_a_plan_is_made_in_linear_time() -> None:
    assert growth(lambda story: timeline(story.desired, story.facts, story.now)) < 5
