"""Addresses of another host under the same name: looked at, covered before and after, and left alone."""

import pytest

from danelaw.lifecycle.here import DNS_SAYS, not_here
from danelaw.lifecycle.records import publication
from danelaw.model import Chain, Hold, Publish, Rest, TlsaRecord
from fakes.facts import HOUR, OURS, OWNER, SMTP, THEIRS, Records, Story, certificate, desired, of_key, of_leaf

MINE = certificate("our certificate")
RENEWED = certificate("our renewed certificate")
SAME_KEY = certificate("their certificate over our key")
OTHER = certificate("their certificate", "their key")


def beside(theirs: Chain | str, *records: TlsaRecord, prune: bool | Records = False) -> Story:
    """Return a story in which our chain is live and proven, and another host presents something, with these records."""
    story = Story(desired(prune=prune)).deployed(1, MINE)
    story.dns.serve(*records)
    story.at[THEIRS] = theirs if isinstance(theirs, str) else (theirs,)
    return story.look()


def publish(story: Story) -> Publish:
    answer = publication(story.facts, story.desired, OWNER, story.now)
    assert isinstance(answer, Publish), answer
    return answer


def hold(story: Story) -> Hold:
    answer = publication(story.facts, story.desired, OWNER, story.now)
    assert isinstance(answer, Hold), answer
    return answer


class TestFirstRecords:
    def test_they_come_where_the_other_host_presents_the_key_too(self) -> None:
        assert publish(beside(SAME_KEY)).wanted == (of_key(MINE),)

    def test_another_key_holds_them_and_is_named(self) -> None:
        found = hold(beside(OTHER))
        assert (found.code, THEIRS in found.why) == ("first-other-key", True)

    def test_so_does_silence(self) -> None:
        found = hold(beside("connection refused"))
        assert (found.code, THEIRS in found.why) == ("first-silent", True)


class TestTheirRecords:
    def test_ours_is_published_beside(self) -> None:
        found = publish(beside(OTHER, of_key(OTHER), prune=True))
        assert set(found.wanted) == {of_key(MINE), of_key(OTHER)}
        assert "not ours, and no prune names it" in found.why

    def test_prune_leaves_what_they_present(self) -> None:
        """Their `3 0 1` matches what they present: true means what any renewal of ours makes stale."""
        found = publish(beside(OTHER, of_leaf(OTHER), of_leaf(MINE), prune=True))
        assert set(found.wanted) == {of_key(MINE), of_key(OTHER), of_leaf(OTHER)}
        assert f"leave {of_leaf(OTHER)} (not ours, and another host presents what it matches)" in found.why

    def test_prune_takes_it_where_our_records_match_them_as_well(self) -> None:
        found = publish(beside(SAME_KEY, of_leaf(SAME_KEY), prune=True))
        assert set(found.wanted) == {of_key(MINE)}

    def test_prune_takes_what_is_named_in_full(self) -> None:
        found = publish(beside(OTHER, of_leaf(OTHER), prune=(of_leaf(OTHER),)))
        assert set(found.wanted) == {of_key(MINE), of_key(OTHER)}

    def test_prune_takes_it_once_they_present_another(self) -> None:
        story = beside(OTHER, of_leaf(OTHER), of_key(OTHER), of_key(MINE), prune=True)
        assert publication(story.facts, story.desired, OWNER, story.now) is None
        story.at[THEIRS] = (certificate("their renewed certificate", "their key"),)
        story.later(HOUR).look()
        assert set(publish(story).wanted) == {of_key(MINE), of_key(OTHER)}


def test_a_renewal_goes_live_beside_them_and_changes_no_record() -> None:
    story = beside(OTHER, of_key(OTHER), of_key(MINE)).later(3 * HOUR).issued(RENEWED).look()
    kinds = []
    while not isinstance(step := story.take(), Rest):
        kinds.append(type(step).__name__)
        assert len(kinds) < 9
    assert kinds == ["Stage", "Activate", "Reload", "Prove"]
    assert [row.chain for row in story.facts.presented if row.address == THEIRS] == [OTHER]


def test_a_repair_that_helps_us_alone_is_made_and_the_other_host_named() -> None:
    stale = of_key(certificate("gone", "a key that nobody has"))
    story = beside(OTHER, stale)
    assert of_key(MINE) in publish(story).wanted
    story.take()
    found = hold(story)
    assert (found.code, THEIRS in found.why, OURS in found.why) == ("refused-live", True, False)


class TestNotHere:
    def test_an_endpoint_with_an_address_of_ours_is_here(self) -> None:
        story = beside(OTHER)
        assert not_here(story.facts, story.deployment, story.now) == ""

    @pytest.mark.parametrize("sight", [(OTHER,), "connection refused"])
    def test_one_without_is_not_and_nothing_goes_live(self, sight: tuple[Chain, ...] | str) -> None:
        story = Story().issued(MINE)
        story.at[THEIRS] = sight
        story.look()
        assert not_here(story.facts, story.deployment, story.now) == f"none of {THEIRS} at {SMTP} is this host's"
        story.take()
        rest = story.next()
        assert isinstance(rest, Rest)
        (found,) = [each for each in rest.holds if each.code == "not-here"]
        assert "`addresses`" in found.remedy

    def test_what_dns_does_not_say_is_told_as_that(self) -> None:
        story = Story().issued(MINE)
        story.at[THEIRS] = f"{DNS_SAYS}mail.example.org has no address"
        story.look()
        words = not_here(story.facts, story.deployment, story.now)
        assert words == f"{SMTP}: {DNS_SAYS}mail.example.org has no address"

    def test_one_that_nobody_looked_at_is_not_judged(self) -> None:
        assert not_here(Story().facts, Story().deployment, Story().now) == ""
