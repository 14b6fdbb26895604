"""One world per test process, and fresh ones for tests that break things."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from world import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The world that tests share: take a zone of your own with `World.zone`, and put back what you change."""
    with World(key_type="p256") as world:
        yield world


@pytest.fixture
def fresh_world() -> Iterator[Callable[..., World]]:
    """Make worlds that are a test's own, with `World`'s arguments. Each lies inside the one before."""
    with ExitStack() as ending:
        yield lambda *args, **options: ending.enter_context(World(*args, **options))
