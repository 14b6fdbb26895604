"""Pages of a mail host whose key is rolled over by the runner itself, on a store: before, during, and after."""

from dataclasses import replace
from datetime import timedelta

from danelaw.model import Intent
from danelaw.run.plan import plan, planned
from danelaw.run.runner import apply
from danelaw.web.timeline.build import timeline_of
from danelaw.web.timeline.pages import managed, managed_page, plan_page
from danelaw.web.timeline.spans import Span, Timeline
from fakes.run_world import NAME, MailWorld, certificate, key_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def shown(world: MailWorld) -> Timeline:
    """Return what the page of a plan made now shows, and see that there is such a page."""
    found = planned(world.desired, world.rings)
    now = world.clock.now()
    assert "<svg" in plan_page(world.desired, *found, (), now)
    at = min((entry.at for entry in found.entries if entry.now), default=now)
    return timeline_of(world.desired, found.facts, found.entries, at, NAME)


def labels(timeline: Timeline, kind: str) -> list[str]:
    return [row.label for group in timeline.groups if group.kind == kind for row in group.rows]


def roles(timeline: Timeline, kind: str) -> list[str]:
    return [row.note.partition(",")[0] for group in timeline.groups if group.kind == kind for row in group.rows]


def spans(timeline: Timeline, kind: str) -> list[Span]:
    return [span for group in timeline.groups if group.kind == kind for row in group.rows for span in row.spans]


def test_a_rollover_from_the_first_key_to_the_third() -> None:
    world = MailWorld(replace(certificate(), next_key=True, settle=DAY))
    before = shown(world)
    assert labels(before, "Keys") == ["a key to be made"] * 2
    assert sorted(roles(before, "Records")) == roles(before, "Keys") == ["current key", "next key"]
    assert apply(world.desired, world.rings).exit_status == 0
    steady = shown(world)
    assert sorted(roles(steady, "Records")) == ["current key", "next key"]
    assert "to be" not in " ".join(labels(steady, "Keys") + labels(steady, "Certificates"))

    world.clock.instant += DAY
    now = world.clock.now()
    world.store.record([Intent(NAME, "rollover", "danelaw rollover", now)])
    asked = shown(world)
    # The next key's record has long been in every cache: nothing is waited for.
    (cutover,) = [mark.at for mark in asked.marks if mark.kind == "cutover"]
    assert timedelta(0) <= cutover - now < timedelta(seconds=1)
    assert labels(asked, "Certificates")[-1] == "a certificate to be ordered"

    assert apply(world.desired, world.rings).exit_status == 0
    world.clock.instant += HOUR
    settling = shown(world)
    assert [mark.kind for mark in settling.marks if mark.kind == "cutover"] == ["cutover"]
    assert roles(settling, "Keys") == ["retired key", "current key", "next key"]
    assert [span.kind for span in spans(settling, "Records") if span.role == "retired"] == ["served", "cached"]
    (settled,) = [mark.at for mark in settling.marks if mark.kind == "settled"]
    assert abs(settled - cutover - DAY) < timedelta(minutes=1)

    world.clock.instant += 2 * DAY
    assert apply(world.desired, world.rings).exit_status == 0
    world.clock.instant += DAY
    done = shown(world)
    assert [span.end < done.now for span in spans(done, "Records") if span.role == "retired" and span.end] == [True] * 2
    facts = world.store.snapshot()
    found = managed(world.desired, facts, (), world.clock.now())
    assert found.views[0].refused == ()  # what was presented was never refused, by any answer that caches held
    html = managed_page(found, served=False)
    assert "Over time" in html
    assert "What needs a person" not in html


def test_a_key_that_would_be_adopted_is_shown_with_its_own_digest() -> None:
    world = MailWorld()
    world.change(key="/etc/ssl/live.key")
    world.host.keys[NAME] = key_of(NAME)
    found = planned(world.desired, world.rings)
    (key,) = found.facts.keys
    assert world.store.snapshot().keys == ()
    timeline = shown(world)
    assert labels(timeline, "Keys") == [f"{key.spki_sha256[:16]}…"]
    assert timeline.to_be_made == ()
    assert roles(timeline, "Records") == ["current key"]


def test_a_plan_is_the_same_with_its_facts_and_without() -> None:
    world = MailWorld()
    with_facts, without = planned(world.desired, world.rings).entries, plan(world.desired, world.rings)
    assert [type(each.what) for each in with_facts] == [type(each.what) for each in without]
    assert world.store.snapshot().effects == ()
