"""One world per test process, and fresh ones for tests that break things."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from scenario.mailhost import MailHost
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


@pytest.fixture
def mailhost(world: World, tmp_path: Path) -> Iterator[Callable[..., MailHost]]:
    """Make mail hosts in zones of their own behind the shared world's Postfix, with `MailHost.configure`'s options."""
    count = itertools.count()

    def make(**options: Any) -> MailHost:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        return MailHost(world, world.zone(f"z{name}.test").name, folder, **options)

    yield make
    world.postfix.present(world.initial)
