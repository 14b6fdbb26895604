"""The page as a file, in a real browser: wide and narrow, light and dark, by keyboard, on paper, and hostile."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from danelaw.web.page import page as page_of
from fakes import web_pages
from fakes.browsing import OVERLAPS, fits, looking

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of all reports, as URLs of files."""
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, make in web_pages.REPORTS.items():
        path = Path(folder, f"{name}.html")
        path.write_text(page_of(make()))
        found[name] = path.as_uri()
    return found


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_overlaps_or_sticks_out(browser: Browser, files: dict[str, str], size: dict[str, int]) -> None:
    with looking(browser, viewport=size) as page:
        for name, url in files.items():
            page.goto(url)
            assert page.evaluate(OVERLAPS) == [], name
            assert fits(page), name
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
            assert fits(page), name
            assert page.title() == page.locator("h1").inner_text()
            assert page.locator("svg.picture:visible").count() == 1


def test_dark_mode_changes_the_page_and_the_picture(browser: Browser, files: dict[str, str]) -> None:
    grounds, boxes = [], []
    for scheme in ("light", "dark"):
        with looking(browser, viewport=WIDE, color_scheme=scheme) as page:
            page.goto(files["mismatching"])
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            boxes.append(page.evaluate("getComputedStyle(document.querySelector('svg .frame')).fill"))
    assert grounds == ["rgb(246, 247, 249)", "rgb(15, 17, 20)"]
    assert boxes == ["rgb(255, 255, 255)", "rgb(22, 25, 29)"]


def test_a_keyboard_is_enough(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport=WIDE) as page:
        page.goto(files["mismatching"])
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = []
        for _ in range(20):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.tagName + ' ' + document.activeElement.innerText"))
            if reached[-1].startswith("SUMMARY mail.example.org:25"):
                break
        assert any(each.startswith("A RFC 7672") for each in reached)
        assert any(each.startswith("SUMMARY The picture in words") for each in reached)
        assert not page.locator("h3").first.is_visible()
        page.keyboard.press("Enter")
        assert page.locator("h3").first.is_visible()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_paper_shows_what_is_folded(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport={"width": 720, "height": 1000}, color_scheme="dark") as page:
        page.goto(files["mismatching"])
        assert not page.locator("h3").first.is_visible()
        page.emulate_media(media="print")
        assert page.locator("h3").first.is_visible()
        assert page.locator(".wide-only svg").is_visible()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert len(page.pdf()) > 10_000


def test_without_scripts_all_is_there(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport=NARROW, java_script_enabled=False) as page:
        page.goto(files["mismatching"])
        page.locator("summary", has_text="mail.example.org:25").click()
        assert page.locator("h4", has_text="Chain A").first.is_visible()


def test_the_picture_has_a_name_and_a_description_for_those_who_do_not_see_it(
    browser: Browser, files: dict[str, str]
) -> None:
    with looking(browser, viewport=WIDE) as page:
        page.goto(files["mismatching"])
        image = page.get_by_role("img", name="No sender that obeys DANE delivers to example.org.")
        assert image.count() == 1
        assert "mail.example.org:25: does not deliver" in (image.locator("desc").text_content() or "")
        for name in ("Findings", "What each sender does", "The picture", "Details"):
            assert page.get_by_role("region", name=name, exact=True).count() == 1


def test_a_hostile_page_runs_nothing(browser: Browser, files: dict[str, str]) -> None:
    with looking(browser, viewport=WIDE) as page:
        page.goto(files["hostile"])
        assert page.evaluate("document.scripts.length + document.images.length") == 0
        assert "<script>alert(1)</script>" in page.locator("main").inner_text()
