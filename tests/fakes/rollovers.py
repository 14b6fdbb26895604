"""Stories of a key rollover, stopped at the points that a picture of it must show well, and one of hostile text."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from danelaw.lifecycle.timeline import Entry, timeline
from danelaw.model import ChainFact, Desired, Facts, Hold, Intent, KeyFact, Rest, TlsaRecord, Wait
from fakes.facts import (
    A_LOOK,
    DAY,
    HOUR,
    MINUTE,
    NAME,
    OURS,
    OWNER,
    START,
    Story,
    certificate,
    desired,
    of_key,
    of_leaf,
)
from fakes.web_pages import HOSTILE

CURRENT = certificate("the first leaf", "the first key", algorithm="ecdsa")
FOREIGN = TlsaRecord(3, 1, 1, b"\x77" * 32)


class Moment(NamedTuple):
    """A story as a page is made of it."""

    desired: Desired
    facts: Facts
    entries: Sequence[Entry]
    now: datetime


def told(story: Story) -> Moment:
    """Return a story with the plan that follows."""
    return Moment(story.desired, story.facts, timeline(story.desired, story.facts, story.now), story.now)


def steady() -> Story:
    """One key, its record published a day ago and proven; a next key is wanted, and there is none yet."""
    story = Story(desired=desired(), now=START)
    story.desired = replace(story.desired, certificates=(replace(story.spec, next_key=True),))
    made = START - 400 * DAY
    story.note(
        KeyFact(CURRENT.spki_sha256, NAME, CURRENT.spki_der, "ecdsa", "", "", "made", made, current_since=made),
        ChainFact(NAME, CURRENT, "ca", CURRENT.not_before),
    )
    story.published(of_key(CURRENT)).staged(1, CURRENT).live(1, CURRENT, proven=True).look()
    return story.later(DAY).look().later(A_LOOK)


def asked() -> Story:
    """A rollover was asked for a moment ago."""
    story = steady()
    story.note(Intent(NAME, "rollover", "danelaw rollover", story.now))
    return story.look().later(A_LOOK)


def behind() -> Story:
    """The next key's record is published beside somebody's record, and one server does not serve it yet."""
    story = steady()
    story.dns.serve(FOREIGN, *story.dns.primary)
    story.look().later(HOUR).note(Intent(NAME, "rollover", "danelaw rollover", story.now))
    story.look().later(A_LOOK)
    before = story.dns.servers["ns2"]
    while story.dns.primary == before:
        assert not isinstance(story.take(), Rest)
    story.dns.servers["ns2"] = before
    return story.later(10 * MINUTE).look().later(10 * MINUTE).look()


def settling() -> Story:
    """The cutover was some hours ago; the old key's record stands beside until it has settled."""
    story = asked()
    while not isinstance(story.take(), Rest):
        pass
    story.look_for(2 * HOUR + A_LOOK, HOUR)
    while not isinstance(story.take(), Rest):
        pass
    return story.later(5 * HOUR).look()


def done() -> Story:
    """The cutover has settled, and the old key's record is withdrawn."""
    story = settling().later(20 * HOUR).look()
    while not isinstance(story.take(), Rest):
        pass
    return story.later(3 * HOUR).look()


def new() -> Story:
    """Nothing is there yet: no key, no records, nothing presented."""
    story = Story(desired=desired())
    story.at[OURS] = "connection refused"
    return story.look().later(A_LOOK)


def taken_over() -> Story:
    """A certificate and its record stand there, made by hand; what stood before is unknown."""
    story = Story(desired=desired(history=DAY))
    by_hand = certificate("made by hand", "a key by hand")
    story.at[OURS] = (by_hand,)
    story.dns.serve(of_leaf(by_hand))
    return story.look().later(A_LOOK)


STORIES: dict[str, Callable[[], Story]] = {
    "steady": steady,
    "asked": asked,
    "behind": behind,
    "settling": settling,
    "done": done,
    "new": new,
    "taken over": taken_over,
}


def hostile() -> Moment:
    """All that strangers could have written into a plan: why something holds, and what is waited for."""
    moment = told(asked())
    said = [
        Entry(moment.now, Hold("foreign", OWNER, f"{HOSTILE} stands there", f"remove {HOSTILE}"), now=True),
        Entry(moment.now, Wait("backoff", NAME, moment.now + HOUR, f"the CA said {HOSTILE}"), now=True),
    ]
    return moment._replace(entries=[*said, *moment.entries])
