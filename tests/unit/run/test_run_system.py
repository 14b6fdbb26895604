"""What this host is known by."""

import socket
from pathlib import Path

import pytest

from danelaw.run.system import this_host


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
