"""The web service in a real browser: a domain is typed, the check watched, the verdict read and the picture opened."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from fakes import web_pages
from fakes.browsing import OVERLAPS, fits, looking
from fakes.checks import FakeCheck
from fakes.served import Served, served

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def service() -> Iterator[Served]:
    """A service whose checks find mismatches, and wait for the test to let them."""
    check = FakeCheck(web_pages.mismatching(), lines=("looking up MX of example.org", f"2 handshakes {HOSTILE}"))
    with served(check, gated=True) as running:
        yield running


def watched(page: Page, service: Served, ask: str = "example.org") -> None:
    """Type a domain, watch the check run, and let it end."""
    page.goto(service.url)
    page.get_by_label("Domain, or host:port").fill(ask)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Checking {ask}")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_domain_is_typed_watched_and_read(browser: Browser, service: Served, size: dict[str, int]) -> None:
    with looking(browser, viewport=size) as page:
        watched(page, service)
        log = page.get_by_role("log")
        expect(log.get_by_role("listitem")).to_have_count(2)
        expect(log).to_contain_text("looking up MX of example.org")
        expect(log).to_contain_text("<script>alert(1)</script>")
        assert fits(page)
        place = page.url
        assert re.fullmatch(re.escape(service.url) + r"/r/[\w-]{22}", place)
        service.open_gate()
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text("No sender that obeys DANE delivers to example.org.")
        assert page.url == place
        assert fits(page)
        page.locator("summary", has_text="The picture in words").click()
        assert page.evaluate(OVERLAPS) == []
        assert page.locator("svg.picture:visible").count() == 1
        assert "presents chain A" in page.locator(".in-words").inner_text()


def test_a_keyboard_is_enough(browser: Browser, service: Served) -> None:
    with looking(browser, viewport=WIDE) as page:
        page.goto(service.url)
        expect(page.get_by_label("Domain, or host:port")).to_be_focused()  # by itself, once the page is drawn
        page.keyboard.type("example.org")
        page.keyboard.press("Tab")
        expect(page.locator("#protocol")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Checking example.org")
        service.open_gate()
        expect(page.get_by_role("heading", name="Findings")).to_be_visible()
        reached = ""
        for _ in range(12):
            page.keyboard.press("Tab")
            reached = page.evaluate("document.activeElement.innerText")
            if "what is good" in reached:
                break
        page.keyboard.press("Enter")
        expect(page.get_by_text("The record of the next key is published already.")).to_be_visible()


def test_without_scripts_the_page_refreshes_itself(browser: Browser, service: Served) -> None:
    with looking(browser, viewport=NARROW, java_script_enabled=False) as page:
        watched(page, service)
        expect(page.get_by_role("listitem").first).to_have_text("looking up MX of example.org")
        service.open_gate()
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text("No sender that obeys DANE delivers to example.org.", timeout=15_000)


def test_what_is_typed_is_never_run(browser: Browser, service: Served) -> None:
    with looking(browser, but="status of 400", viewport=WIDE) as page:
        page.goto(service.url)
        page.get_by_label("Domain, or host:port").fill(HOSTILE)
        with page.expect_response("**/check") as answer:
            page.get_by_role("button", name="Check").click()
        assert answer.value.status == 400
        expect(page.get_by_role("alert")).to_contain_text("is a URL")
        assert page.get_by_label("Domain, or host:port").input_value() == HOSTILE
        assert page.evaluate("document.scripts.length + document.images.length") == 0


def test_dark_mode_is_followed(browser: Browser, service: Served) -> None:
    with looking(browser, viewport=NARROW, color_scheme="dark") as page:
        page.goto(service.url)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 20)"
        field = page.get_by_label("Domain, or host:port")
        assert field.evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(22, 25, 29)"


def test_a_result_can_be_asked_for_once_more(browser: Browser, service: Served) -> None:
    with looking(browser, viewport=WIDE) as page:
        watched(page, service, "mail.example.org:25")
        service.open_gate()
        expect(page.get_by_role("heading", name="Findings")).to_be_visible()
        first = page.url
        page.get_by_role("button", name="Check again").click()
        expect(page.get_by_role("heading", name="Findings")).to_be_visible()
        assert page.url == first  # asked for within the minute
    assert [str(target) for target in service.check.asked] == ["mail.example.org:25"]
