"""One CA of the tests' own, one authority of ours at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from danelaw.acme import AcmeAuthority
from danelaw.acme.account import account_folder
from danelaw.model import CaSpec
from fakes.acme_ca import FakeCa
from fakes.acme_surroundings import JumpingClock, MemorySolver, Said


@pytest.fixture
def ca() -> Iterator[FakeCa]:
    with FakeCa() as running:
        yield running


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def solver(ca: FakeCa) -> MemorySolver:
    memory = MemorySolver()
    ca.lookup = memory.lookup
    return memory


@pytest.fixture
def authority(ca: FakeCa, clock: JumpingClock, said: Said, tmp_path: Path) -> Iterator[AcmeAuthority]:
    spec = CaSpec("test", ca.directory, ("igor@example.org",), agree_tos=True)
    with AcmeAuthority(spec, str(tmp_path), clock, said) as running:
        yield running


@pytest.fixture
def folder(ca: FakeCa, tmp_path: Path) -> Path:
    return account_folder(str(tmp_path), ca.directory)
