"""Every transition between sets of records, keys and endpoints: the steps that lead there, and what is waited for.

Jumps that would break an invariant are holds that name it, with the way round.
"""

import pytest

from danelaw import dane
from danelaw.model import Intent, Obtain, Promote, Publish, RecordSpec
from fakes.facts import (
    DAY,
    MINUTE,
    NAME,
    OURS,
    OWNER,
    THEIRS,
    certificate,
    of_key,
    of_leaf,
)
from fakes.rolling import (
    OLD,
    THREE_ONE_ONE,
    THREE_ZERO_ONE,
    Rolling,
    W,
    pin,
    steady,
    wish,
)

THREE_ONE_TWO, TWO_ONE_ONE = RecordSpec(3, 1, 2), RecordSpec(2, 1, 1)
ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]
LIVE = ORDER[1:5]


def specs(story: Rolling, owner: str = OWNER) -> list[str]:
    """Return the combinations that stand at the primary, one for each record."""
    return [str(record.spec) for zone in story.zones if zone.owner == owner for record in zone.primary]  # type: ignore[union-attr]


def published(story: Rolling) -> list[tuple[int, int]]:
    """Return how many records each publication added and withdrew."""
    steps = [step for _, step in story.done if isinstance(step, Publish)]
    return [(len({*step.wanted} - {*step.expected}), len({*step.expected} - {*step.wanted})) for step in steps]


def renew(story: Rolling) -> None:
    story.note(Intent(NAME, "renew", "me", story.now))


# --- the first records -----------------------------------------------------------------------------------------------


def unpublished(**fields: object) -> Rolling:
    """Return a story in which a certificate is live, and no record stands."""
    story = Rolling(wish(**fields))  # type: ignore[arg-type]
    story.presents = {}
    return story.put(story.deployment, 1, OLD).look().later(MINUTE).look()


def test_the_first_records_have_the_next_key_among_them_which_waits_for_nothing() -> None:
    story = unpublished(next_key=True)
    assert story.steps() == ["take-next-key", "publish"]
    assert set(story.dns.primary) == {pin(story.current), pin(story.following)}
    story.ask()
    assert story.steps()[:6] == ORDER


def test_where_a_record_stood_before_the_next_key_waits() -> None:
    story = unpublished(next_key=True)
    story.serve(OWNER, (pin(story.current),))
    story.later(MINUTE).look()
    assert story.steps() == ["take-next-key", "publish"]
    story.ask()
    assert story.steps() == []
    assert "cached" in story.waits()


def test_the_first_records_come_last() -> None:
    story = unpublished()
    story.at[THEIRS] = (certificate("another", "another key"),)
    story.later(MINUTE).look()
    assert story.steps() == []
    hold = story.holds()["first-other-key"]
    assert THEIRS in hold.why
    assert "invariant 1" in hold.why
    assert "deploy the certificate there too" in hold.remedy


# --- from one set of records to another ------------------------------------------------------------------------------


def test_the_leafs_record_becomes_the_keys_in_one_update() -> None:
    story = steady(records=(THREE_ZERO_ONE,))
    story.change(records=(THREE_ONE_ONE,))
    assert story.steps() == ["publish"]
    assert published(story) == [(1, 1)]
    assert story.dns.primary == (of_key(OLD),)
    renew(story)
    assert story.steps() == ["obtain", "stage"], "what the old record refuses waits for caches"
    assert "cached" in story.waits()
    assert story.run(W + MINUTE, W + MINUTE) == LIVE[1:]


def test_with_a_new_key_the_records_of_both_come_in_the_place_of_the_leafs() -> None:
    story = steady(records=(THREE_ZERO_ONE,))
    story.change(records=(THREE_ONE_ONE,))
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    assert published(story) == [(2, 1)]
    assert specs(story) == ["3 1 1", "3 1 1"]
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE) == ORDER


def test_the_keys_record_becomes_the_leafs_in_one_update_and_renewals_are_due_earlier() -> None:
    story = steady()
    due = story.waits()["renewal"].until
    story.change(records=(THREE_ZERO_ONE,))
    assert story.steps() == ["publish"]
    assert story.dns.primary == (of_leaf(OLD),)
    assert story.waits()["renewal"].until == due - W - DAY


def test_records_of_leaves_are_published_ripe_live_and_withdrawn_each_time() -> None:
    story = steady(records=(THREE_ZERO_ONE,))
    for _ in range(2):
        renew(story)
        assert story.steps() == ["obtain", "publish", "stage"]
        assert specs(story) == ["3 0 1", "3 0 1"]
        assert story.run(W, W) == [*LIVE[1:], "publish"]
        assert story.dns.primary == (of_leaf(story.live()),)
        story.later(DAY).look()


def test_a_rollover_over_records_of_leaves_orders_first_and_waits_then() -> None:
    story = steady(records=(THREE_ZERO_ONE,), next_key=True)
    story.ask()
    assert story.steps() == ["obtain", "publish"]
    assert story.run(W, W)[:5] == [*LIVE, "promote"]
    assert specs(story) == ["3 0 1", "3 0 1"], "the old key's while it settles"
    story.run(DAY)
    assert story.dns.primary == (of_leaf(story.live()),)


def test_a_second_digest_comes_for_all_keys_at_once_and_goes_at_once() -> None:
    story = steady(next_key=True)
    story.done.clear()
    story.change(records=(THREE_ONE_ONE, THREE_ONE_TWO))
    assert story.steps() == ["publish"]
    story.change(records=(THREE_ONE_ONE,))
    assert story.steps() == ["publish"]
    assert published(story) == [(2, 0), (0, 2)]


def test_a_second_digest_in_the_middle_of_a_rollover_holds_nothing_up() -> None:
    story = steady(next_key=True)
    story.ask()
    story.take()
    story.done.clear()
    story.change(records=(THREE_ONE_ONE, THREE_ONE_TWO))
    assert story.steps()[:6] == ["publish", *LIVE, "promote"]
    assert published(story) == [(2, 0), (2, 0)]


def test_another_digest_alone_makes_a_rollover_wait_for_the_old_one() -> None:
    story = steady(records=(THREE_ONE_TWO,))
    story.ask()
    story.steps()
    story.change(records=(THREE_ONE_ONE,))
    assert story.steps() == ["publish"]
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE) == ORDER


def test_another_ttl_is_a_step_of_its_own_and_rollovers_go_on() -> None:
    story = steady(next_key=True)
    story.done.clear()
    story.change(ttl=1800, records=(THREE_ONE_ONE, THREE_ONE_TWO))
    story.ask()
    assert story.steps()[:2] == ["publish", "publish"]
    first, second = (step for _, step in story.done[:2])
    assert isinstance(first, Publish)
    assert isinstance(second, Publish)
    assert (first.ttl, second.ttl) == (3600, 1800)
    assert second.expected == second.wanted


def test_a_longer_ttl_makes_the_next_rollover_wait_longer() -> None:
    story = steady()
    story.change(ttl=2 * 3600)
    assert story.steps() == ["publish"]
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    assert story.waits()["cached"].until - story.when(Publish) >= 2 * W


def test_another_type_of_key_is_that_of_the_next_one_and_nothing_changes_until_then() -> None:
    story = steady()
    story.change(key_type="p256")
    assert story.steps() == []
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    assert story.following.algorithm == "ecdsa"
    assert story.run(W, W) == ORDER
    assert story.live().algorithm == "ecdsa"
    story.run(DAY)
    assert story.dns.primary == (pin(story.current),)


def test_a_next_key_of_the_old_type_gives_way_to_one_of_the_new_in_one_update() -> None:
    story = steady(next_key=True)
    old = story.following
    story.done.clear()
    story.change(key_type="p256")
    assert story.steps() == ["take-next-key", "publish"]
    assert published(story) == [(1, 1)]
    assert not story.stands(old)
    story.change(key_type=None)
    assert story.steps() == ["publish"]
    assert story.following == old, "it was kept"


# --- what is asked of every publication ------------------------------------------------------------------------------


@pytest.mark.parametrize("records", [(THREE_ONE_ONE,), (THREE_ZERO_ONE,), (THREE_ONE_ONE, THREE_ONE_TWO)])
def test_no_combination_is_ever_there_for_some_keys_only(records: tuple[RecordSpec, ...]) -> None:
    """RFC 7671 section 8: what is live has a record of each combination at every instant."""
    story = steady(next_key=True)
    story.change(records=records)
    story.ask()
    story.run(2 * DAY)
    for _, step in story.done:
        if isinstance(step, Publish):
            assert any(dane.covers(step.wanted, row.chain) for row in story.facts.chains)
    assert story.when(Promote) > story.when(Obtain)
    assert story.at[OURS] == (story.live(),)
