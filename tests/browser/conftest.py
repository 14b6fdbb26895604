"""A browser for the tests of one file."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from fakes.browsing import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; without it these tests fail."""
    with chromium() as launched:
        yield launched
