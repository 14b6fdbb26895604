"""Lines for people: wrapped and coloured on a terminal, untouched elsewhere."""

import io
from datetime import timedelta

import pytest

from danelaw.cli.terminal import Countdown, write_line

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


def test_a_countdown_is_one_line_that_is_written_anew_and_taken_away() -> None:
    out = Terminal()
    countdown = Countdown(out)
    countdown(timedelta(days=1, hours=2, minutes=3, seconds=4), "caches")
    countdown(timedelta(seconds=3, milliseconds=1), LONG)
    countdown(None, "")
    first, second, last = out.getvalue().split("\r")[1:]
    assert first == "      1 d 2:03:04  caches\x1b[K"
    assert second.startswith("      0:00:04  now")
    assert len(second.removesuffix("\x1b[K")) == 79  # a line that is longer would be two
    assert last == "\x1b[K"
    countdown(None, "")  # there is nothing to take away
    assert out.getvalue().count("\r") == 3


def test_elsewhere_nothing_counts_down() -> None:
    out = io.StringIO()
    Countdown(out)(timedelta(seconds=9), "caches")
    assert out.getvalue() == ""


def test_a_terminal_that_has_gone_ends_no_wait() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    Countdown(Gone())(timedelta(seconds=9), "caches")
