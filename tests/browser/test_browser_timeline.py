"""The page of a plan in a real browser: wide and narrow, light and dark, by keyboard, on paper, and hostile."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from danelaw.web.timeline.pages import managed, managed_page, plan_page
from fakes import rollovers
from fakes.browsing import OVERLAPS, fits, looking

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}

CUT = """() => {
    const bars = [...document.querySelectorAll('.full, .part')].map(each => each.getBoundingClientRect());
    const holds = (bar, text) => bar.left <= text.left && text.right <= bar.right && bar.top <= text.top + 4;
    return [...document.querySelectorAll('.inside')].filter(each =>
        !bars.some(bar => holds(bar, each.getBoundingClientRect()))).map(each => each.textContent);
}"""
"""Words in bars that stick out of them."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of all stories, as URLs of files."""
    folder = tmp_path_factory.mktemp("plans")
    moments = {name: rollovers.told(make()) for name, make in rollovers.STORIES.items()}
    moments["hostile"] = rollovers.hostile()
    pages = {name: plan_page(each.desired, each.entries, each.facts, (), each.now) for name, each in moments.items()}
    story = rollovers.settling()
    pages["managed"] = managed_page(managed(story.desired, story.facts, (), story.now), served=False)
    found = {}
    for name, page in pages.items():
        path = Path(folder, f"{name}.html")
        path.write_text(page)
        found[name] = path.as_uri()
    return found


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_overlaps_or_sticks_out(browser: Browser, files: dict[str, str], size: dict[str, int]) -> None:
    with looking(browser, viewport=size) as page:
        for name, url in files.items():
            page.goto(url)
            assert page.evaluate(OVERLAPS) == [], name
            assert page.evaluate(CUT) == [], name
            assert fits(page), name
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            assert fits(page), name


def test_a_narrow_picture_scrolls_sideways_under_its_labels(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport=NARROW) as page:
        page.goto(files["settling"])
        region = page.get_by_role("group", name="The picture of example.org")
        labels = page.locator(".sideways .rows")
        now = page.locator(".sideways svg:not([class*=labels]) .now").first
        assert not page.evaluate("each => each.getBoundingClientRect().left < innerWidth", now.element_handle())
        for _ in range(9):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "sideways":
                break
        else:
            pytest.fail("a keyboard does not get there, and could not scroll it")
        before = labels.bounding_box()
        region.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
        assert labels.bounding_box() == before
        assert page.evaluate("document.documentElement.scrollLeft") == 0
    with looking(browser, viewport=WIDE) as page:
        page.goto(files["settling"])
        assert page.locator(".sideways:visible").count() == 0


def test_dark_mode_changes_the_bars_and_their_hatching(browser: Browser, files: dict[str, str]) -> None:
    fills, hatches = [], []
    for scheme in ("light", "dark"):
        with looking(browser, viewport=WIDE, color_scheme=scheme) as page:
            page.goto(files["asked"])
            fills.append(page.evaluate("getComputedStyle(document.querySelector('svg .full.role-current')).fill"))
            hatches.append(page.evaluate("getComputedStyle(document.querySelector('.role-next .hatch')).stroke"))
    assert fills == ["rgb(26, 112, 53)", "rgb(98, 207, 131)"]
    assert hatches == ["rgb(10, 86, 181)", "rgb(127, 181, 255)"]


def test_a_planned_bar_is_painted_with_its_hatching(browser: Browser, files: dict[str, str]) -> None:
    """A fill that leads nowhere would paint nothing: the bar's own colours are looked for in the picture."""
    with looking(browser, viewport=WIDE) as page:
        page.goto(files["asked"])
        bar = page.locator(".wide-only .ahead.role-next").first
        assert len(bar.screenshot()) > 250  # one colour alone is less
        count = page.evaluate(
            """() => [...document.querySelectorAll('[fill^=url]')].filter(each =>
                !document.querySelector(each.getAttribute('fill').slice(4, -1))).length"""
        )
        assert count == 0


def test_paper_shows_the_wide_picture_and_its_table(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport={"width": 720, "height": 1000}, color_scheme="dark") as page:
        page.goto(files["settling"])
        assert not page.get_by_text("may be cached").first.is_visible()
        page.emulate_media(media="print")
        assert page.locator(".wide-only svg").is_visible()
        assert not page.locator(".sideways").is_visible()
        assert page.locator("td", has_text="may be cached").first.is_visible()
        assert len(page.pdf()) > 10_000


def test_who_does_not_see_it_hears_what_it_says(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport=WIDE, java_script_enabled=False) as page:
        page.goto(files["asked"])
        image = page.get_by_role("img", name="example.org: records, caches, keys and certificates over time")
        assert image.count() == 1
        assert "cutover 2026-06-02 14:00" in (image.locator("desc").text_content() or "")
        page.locator("summary", has_text="The picture as a table").click()
        row = page.get_by_role("row", name="a 3 1 1").filter(has_text="may be cached")
        assert "2026-06-03 14:00 2026-06-03 16:00 planned" in " ".join(row.first.inner_text().split())


def test_a_hostile_page_runs_nothing(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport=NARROW) as page:
        page.goto(files["hostile"])
        assert page.evaluate("document.scripts.length + document.images.length") == 0
        assert "<script>alert(1)</script>" in page.locator("main").inner_text()
        assert page.locator("h2").first.inner_text() == "What needs a person"
