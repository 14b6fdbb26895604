"""What this host is known by, and how it sleeps."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from danelaw.run.system import SystemClock, this_host


def test_the_machine_id_counts_and_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    first = this_host(path)
    assert first == this_host(path)
    assert first not in {socket.gethostname(), "0123456789abcdef0123456789abcdef"}
    path.write_text("f123456789abcdef0123456789abcdef\n")
    assert this_host(path) != first


@pytest.mark.parametrize("content", [None, "", "uninitialized\n", "é" * 32])
def test_without_one_the_host_name_does(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "machine-id"
    if content is not None:
        path.write_text(content)
    assert this_host(path) == socket.gethostname()


class SetWhileAsleep(SystemClock):
    """Is set after it was read once."""

    def __init__(self, by: timedelta) -> None:
        self.by, self.read = by, 0

    def now(self) -> datetime:
        self.read += 1
        return super().now() + (self.by if self.read > 1 else timedelta(0))


@pytest.mark.parametrize("by", [timedelta(0), timedelta(days=-300), timedelta(days=300)])
def test_a_sleep_lasts_as_long_as_it_was_to_or_ends_sooner(by: timedelta) -> None:
    began = time.monotonic()
    SetWhileAsleep(by).sleep_until(datetime.now(UTC) + timedelta(seconds=0.05))
    assert time.monotonic() - began >= 0.04


def test_nobody_sleeps_for_what_has_passed() -> None:
    SystemClock().sleep_until(datetime.now(UTC) - timedelta(days=1))


def test_the_boot_clock_goes_on_and_the_boot_stays_the_same() -> None:
    (first, then), (second, now) = SystemClock().boot(), SystemClock().boot()
    assert first == second != ""
    assert then <= now
