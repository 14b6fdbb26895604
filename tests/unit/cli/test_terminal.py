"""Lines for people: wrapped and coloured on a terminal, untouched elsewhere."""

import io

import pytest

from danelaw.cli.terminal import write_line

LONG = "now                   example.org: go live with generation 1 of " + "/etc/ssl/somewhere/fullchain.pem: why " * 3


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def written(out: io.StringIO, line: str) -> str:
    write_line(out, line)
    return out.getvalue()


def test_elsewhere_a_line_is_a_line() -> None:
    assert written(io.StringIO(), LONG) == f"{LONG}\n"


def test_on_a_terminal_it_is_wrapped_below_its_text() -> None:
    first, *more = written(Terminal(), LONG).splitlines()
    assert "example.org" in first
    assert more
    assert all(line.startswith(" " * 22) and len(line) <= 80 for line in more)


def test_no_word_is_broken() -> None:
    digest = "ab" * 64
    assert digest in written(Terminal(), f"next  {digest} is longer than the terminal is wide")


def test_the_first_word_is_coloured_on_a_terminal_alone() -> None:
    assert written(Terminal(), "HOLD  x: y") == "\x1b[33mHOLD\x1b[0m  x: y\n"
    assert written(io.StringIO(), "HOLD  x: y") == "HOLD  x: y\n"


def test_other_words_are_not() -> None:
    assert written(Terminal(), "Holding  x") == "Holding  x\n"
