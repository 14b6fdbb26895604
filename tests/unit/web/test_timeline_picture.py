"""The picture of a timeline and the pages around it: whole as XML, planned things hatched, strangers' text harmless."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from danelaw.model import Facts, Intent, TlsaRecord
from danelaw.run.notes import Note
from danelaw.run.plan import planned
from danelaw.web.timeline.build import timeline_of
from danelaw.web.timeline.pages import managed, managed_page, plan_page
from danelaw.web.timeline.picture import narrow, picture
from danelaw.web.timeline.spans import Timeline
from danelaw.web.timeline.views import MOST_PICTURES, views
from fakes import rollovers
from fakes.facts import DAY, HOUR, NAME, SECOND, START, desired
from fakes.run_world import MailWorld, certificate
from fakes.web_pages import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def of_story(name: str) -> Timeline:
    return timeline_of(*rollovers.told(rollovers.STORIES[name]()), NAME)


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - what we wrote ourselves


def bars(root: ET.Element, look: str) -> list[tuple[int, int, str]]:
    """Return where the bars of a look begin and end, with their tooltips."""
    found = []
    for each in root.iter(f"{SVG}path"):
        if look in (each.get("class") or "").split():
            title = each.find(f"{SVG}title")
            start, width = re.findall(r"M(-?\d+) \d+h(\d+)", each.get("d") or "")[0]
            found.append((int(start), int(start) + int(width), (title.text or "") if title is not None else ""))
    return found


def now_x(root: ET.Element) -> int:
    line = next(each for each in root.iter(f"{SVG}path") if each.get("class") == "now")
    return int(re.findall(r"M(\d+) ", line.get("d") or "")[0])


@pytest.mark.parametrize("name", rollovers.STORIES)
def test_each_is_one_svg_with_title_and_description(name: str) -> None:
    timeline = of_story(name)
    pictures = (picture(timeline), *narrow(timeline))
    for svg in pictures:
        root = read(svg)
        title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert description is not None
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            *("svg", "title", "desc", "style", "g", "path", "text", "pattern"),
        }
    names = [each.get("id") for svg in pictures for each in read(svg).iter() if each.get("id")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", rollovers.STORIES)
def test_what_is_planned_is_hatched_and_what_was_seen_is_not(name: str) -> None:
    timeline = of_story(name)
    for svg in (picture(timeline), narrow(timeline)[1]):
        root = read(svg)
        now = now_x(root)
        assert all(start >= now for start, _, _ in bars(root, "ahead"))
        assert all(end <= now + 2 for look in ("full", "part") for _, end, _ in bars(root, look))  # 2: a bar's least
        spans = [span for group in timeline.groups for row in group.rows for span in row.spans]
        goes_on = any(span.end is None or span.end > timeline.now for span in spans)
        assert bool(bars(root, "ahead")) == goes_on
        patterns = {each.get("id") for each in root.iter(f"{SVG}pattern")}
        used = {each.get("fill", "")[5:-1] for each in root.iter(f"{SVG}path") if each.get("fill")}
        assert used <= patterns


def test_a_bar_says_in_its_tooltip_what_it_is() -> None:
    timeline = of_story("asked")
    root = read(picture(timeline))
    (tail,) = [tip for _, _, tip in bars(root, "ahead") if tip.startswith("may be cached (retired")]
    assert re.fullmatch(r"may be cached \(retired key\) from [-\d]+ [:\d]+ until [-\d]+ [:\d]+, planned", tail)
    (first,) = [tip for _, _, tip in bars(root, "full") if tip.startswith("served (current")]
    assert first.endswith(", the end planned")


def test_the_description_says_all_rows_and_marks() -> None:
    timeline = of_story("done")
    description = read(picture(timeline)).find(f"{SVG}desc")
    assert description is not None
    text = description.text or ""
    assert f"Now is {timeline.now:%Y-%m-%d %H:%M} UTC." in text
    for group in timeline.groups:
        for row in group.rows:
            assert row.note in text
    for mark in timeline.marks:
        assert f"{mark.text} {mark.at:%Y-%m-%d %H:%M}" in text


def test_nothing_known_is_a_picture_all_the_same() -> None:
    timeline = timeline_of(desired(), Facts(), (), START, NAME)
    root = read(picture(timeline))
    assert [each.text for each in root.iter(f"{SVG}text") if each.text == "none"] == ["none"] * 4
    assert bars(root, "full") == []


def test_however_many_marks_there_are_they_do_not_lie_on_each_other() -> None:
    timeline = of_story("asked")
    many = tuple(replace(timeline.marks[0], at=timeline.start + n * HOUR, text=f"mark {n}") for n in range(40))
    root = read(picture(replace(timeline, marks=many)))
    places = [tuple(map(int, re.findall(r"\d+", each.get("transform") or ""))) for each in root.iter(f"{SVG}g")]
    for number, (x, y) in enumerate(places):
        assert all(abs(x - other) >= 18 or y != below for other, below in places[number + 1 :])
    assert 5 < len(places) <= 40


def test_a_mark_that_lies_beyond_the_picture_is_not_put_at_its_edge() -> None:
    timeline = of_story("asked")
    beyond = replace(timeline.marks[0], at=timeline.end + DAY, text="far off")
    within = replace(beyond, at=timeline.end)
    assert "far off" not in picture(replace(timeline, marks=(beyond,))).partition("</desc>")[2]
    assert "far off" in picture(replace(timeline, marks=(within,))).partition("</desc>")[2]


def test_now_has_room_where_the_picture_ends_with_it() -> None:
    timeline = of_story("asked")
    root = read(picture(replace(timeline, end=timeline.now)))
    (word,) = [each for each in root.iter(f"{SVG}text") if each.text == "now"]
    assert int(word.get("x") or 0) <= 1000 - 30 - 2


def test_a_sheet_beyond_its_ends_shows_that_it_goes_on() -> None:
    timeline = of_story("asked")
    long = replace(timeline, start=timeline.now - HOUR, end=timeline.now + HOUR)
    root = read(picture(long))
    found = [*bars(root, "full"), *bars(root, "ahead")]
    assert min(start for start, _, _ in found) == 240 + 6
    assert max(end for _, end, _ in found) == 1000 - 7
    within = [*bars(read(picture(timeline)), "full"), *bars(read(picture(timeline)), "ahead")]
    assert 240 + 6 in {start for start, _, _ in within}  # the key was made long before


# --- pages -----------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def page_of(moment: rollovers.Moment, said: tuple[Note, ...] = ()) -> str:
    return plan_page(moment.desired, moment.entries, moment.facts, said, moment.now)


@pytest.mark.parametrize("name", rollovers.STORIES)
def test_a_plan_is_one_page_that_needs_nothing_else(name: str) -> None:
    html = page_of(rollovers.told(rollovers.STORIES[name]()))
    found = Elements()
    found.feed(html)
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(found.tags)
    assert not any(key.startswith("on") or key == "style" for key, _ in found.attributes)
    assert not any(key in {"src", "href"} and not (value or "").startswith("#") for key, value in found.attributes)
    names = [value for key, value in found.attributes if key == "id"]
    assert len(names) == len(set(names))
    assert "default-src 'none'" in html


def test_holds_come_first_and_what_strangers_wrote_is_text() -> None:
    html = page_of(rollovers.hostile(), (Note("n", NAME, HOSTILE),))
    assert "<script>alert(1)" not in html
    assert "<img" not in html
    assert "\u202e" not in html
    assert html.index("What needs a person") < html.index("<svg xmlns")
    assert "A person is needed." in html
    assert "1 hold, 2 steps now" in html
    found = Elements()
    found.feed(html)
    assert "script" not in found.tags
    calm = page_of(rollovers.told(rollovers.asked()))
    assert "What needs a person" not in calm
    assert "There is something to do now." in calm


def test_a_refusal_is_said_above_the_picture() -> None:
    story = rollovers.steady()
    urgent = Intent(NAME, "rollover", "danelaw rollover", story.now, options=("emergency", "accept-outage"))
    html = page_of(rollovers.told(story.note(urgent).look().later(SECOND)))
    text = " ".join(re.sub(r"<[^>]+>", "", html[: html.index("<figure>")]).split())
    assert "Whoever holds the answer a refuses what is presented, from 2026-06-02 12:00 UTC until 2026-06-02" in text
    assert "14:00 UTC, as planned." in text
    assert "refuses what is presented, from" not in page_of(rollovers.told(rollovers.asked()))


def test_the_steps_say_when_at_the_earliest_what_why_and_what_senders_hold_then() -> None:
    moment = rollovers.told(rollovers.asked())
    (view,) = views(moment.desired, moment.facts, moment.entries, moment.now)
    first, second = view.moments[:2]
    assert (first.at, first.now) == (moment.now, True)
    assert [line.does for line in first.lines] == [f"{NAME}: make its next key", f"publish at {first.cached[0][0]}"]
    assert first.lines[1].why == "add b (3 1 1 of a key to be made)"
    assert first.cached[0][1] == "a"
    assert (second.at, second.now) == (moment.now + 2 * HOUR, False)
    assert second.lines[0].wait == "cached"
    assert second.lines[0].does == ""
    assert "(to be made)" in " ".join(line.does for line in second.lines)
    assert second.cached[0][1] == "a + b"
    assert [each.at for each in view.moments] == sorted(each.at for each in view.moments)
    html = page_of(moment)
    assert "Senders may hold of <code>_25._tcp.mail.example.org.</code> then: a + b." in html
    later = timeline_of(*moment, NAME)
    assert not any(spki[:16] in html for spki in later.to_be_made)  # a digest that nobody will ever see


def test_a_record_that_stands_goes_by_its_letter_and_its_digest() -> None:
    moment = rollovers.told(rollovers.settling())
    (view,) = views(moment.desired, moment.facts, moment.entries, moment.now)
    (withdrawn,) = [line.why for each in view.moments for line in each.lines if line.does.startswith("publish")]
    assert re.fullmatch(r"withdraw a \(3 1 1 [0-9a-f]{16}…\) \(ours\)", withdrawn)


def test_only_the_certificates_asked_for_are_shown() -> None:
    moment = rollovers.told(rollovers.asked())
    for names, found in (((NAME,), [NAME]), (("other",), []), ((), [NAME])):
        shown = views(moment.desired, moment.facts, moment.entries, moment.now, names)
        assert [each.name for each in shown] == found


@pytest.mark.parametrize("name", ["steady", "settling", "new"])
def test_what_is_managed_has_its_picture_in_its_card(name: str) -> None:
    story = rollovers.STORIES[name]()
    found = managed(story.desired, story.facts, (), story.now)
    assert [each.name for each in found.views] == [NAME]
    for served in (False, True):
        html = managed_page(found, served=served, home="/" if served else "")
        assert html.count("<h3>Over time</h3>") == 1
        assert ("Content-Security-Policy" in html) != served
        assert ('href="/"' in html) == served
    assert managed_page(found._replace(views=()), served=True, home="/").count("Over time") == 0


def test_however_many_certificates_there_are_all_have_their_steps() -> None:
    specs = [
        certificate(f"c{n}.example", f"mail{n}.example.org", f"/etc/ssl/{n}.pem") for n in range(MOST_PICTURES + 2)
    ]
    world = MailWorld(*specs)
    found = planned(world.desired, world.rings)
    html = plan_page(world.desired, *found, (), world.clock.now())
    assert html.count("<figure>") == MOST_PICTURES
    assert html.count("No picture: there are too many") == 2
    assert html.count(": make its key") == MOST_PICTURES + 2
    assert re.findall(r"<h2 id=\"certificate-\d+\">(.*)</h2>", html) == [spec.name for spec in specs]
    few = plan_page(world.desired, *found, (), world.clock.now(), [specs[-1].name])
    assert few.count("<figure>") == 1


def test_many_records_and_owners_make_a_page_of_bounded_size() -> None:
    story = rollovers.steady()
    records = tuple(TlsaRecord(3, 1, 1, bytes([n]) * 32) for n in range(200))
    story.dns.serve(*records)
    story.look().later(DAY).look().later(HOUR)
    html = page_of(rollovers.told(story))
    assert len(html) < 400_000
    assert "records are not shown" in html
