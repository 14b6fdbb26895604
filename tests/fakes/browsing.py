"""A real browser, Debian's Chromium led by Playwright, and how a page is looked at in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

OVERLAPS = """() => [...document.querySelectorAll('svg.picture:not(.sample)')].flatMap(svg => {
    if (svg.getBoundingClientRect().width === 0) return [];
    const texts = [...svg.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()]);
    const boxes = [...svg.querySelectorAll('rect')].map(each => each.getBoundingClientRect());
    const outer = svg.getBoundingClientRect();
    const found = [];
    texts.forEach(([text, a], n) => {
        if (a.right > outer.right || a.left < outer.left) found.push(`${text} leaves the picture`);
        texts.slice(n + 1).forEach(([other, b]) => {
            const across = a.left < b.right - 1 && b.left < a.right - 1;
            if (across && a.top < b.bottom - 3 && b.top < a.bottom - 3) found.push(`${text} overlaps ${other}`);
        });
        boxes.forEach(box => {
            const starts = a.left > box.left && a.left < box.right && a.top > box.top - 2 && a.bottom < box.bottom + 2;
            if (starts && a.right > box.right) found.push(`${text} leaves its box`);
        });
    });
    return texts.length ? found : ['no text at all'];
})"""
"""Texts of the visible pictures that overlap each other, or leave their box or the picture."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium without a window. Playwright keeps an event loop in this thread for as long as it runs."""
    path = shutil.which("chromium")
    assert path, "there is no chromium; scripts/set-up installs it"
    with sync_playwright() as playwright:
        # The tests run as root, where Chromium's own sandbox does not; what it shows is ours.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@contextmanager
def looking(browser: Browser, *, but: str = "net::ERR_ABORTED", **options: Any) -> Iterator[Page]:
    """Open a tab with Playwright's options of a context. It must have nothing to complain of (CSP, scripts, loads).

    ``but``: what it may complain of; by default of what was left while it came (the stream, at the end).
    """
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    yield page
    context.close()
    left = [each for each in complaints if but not in each]
    assert not left, left


def fits(page: Page) -> bool:
    """Return whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
