"""Lines on a terminal: wrapped below their own text, coloured by their first word. Elsewhere they are as they are."""

import os
import shutil
import sys
import textwrap
from contextlib import suppress
from datetime import timedelta
from typing import TextIO

COLOURS = {
    "HOLD": "33",
    "FAILED": "31",
    "lost": "33",
    "next": "36",
    "done": "32",
    "now": "1",
    "note": "35",
    "matches": "32",
    "differs": "31",
}

NARROW = 60
"""Columns below which nothing is wrapped."""


def write_line(out: TextIO, line: str) -> None:
    """Write one line, for a person where one looks on."""
    line = line.replace("\n", "\n        ")  # what a command said stands below its first line
    if out.isatty():
        line = _coloured(_wrapped(line, shutil.get_terminal_size().columns))
    out.write(f"{line}\n")


class Countdown:
    """One line that is written anew each second, on a terminal; nothing elsewhere, where a line was said already."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = False

    def __call__(self, left: timedelta | None, why: str) -> None:
        """Show how long a wait still lasts; None: take the line away. A terminal that has gone ends no run."""
        if not self._out.isatty() or (left is None and not self._shown):
            return
        text = "" if left is None else f"      {_clock(left)}  {why}"[: max(shutil.get_terminal_size().columns - 1, 10)]
        with suppress(OSError):
            self._out.write(f"\r{text}\x1b[K")
            self._out.flush()
        self._shown = left is not None


def _clock(left: timedelta) -> str:
    """Return a span as days and H:MM:SS, rounded up: 0:00:00 is the end."""
    seconds = max(-(-left // timedelta(seconds=1)), 0)
    days, rest = divmod(seconds, 86400)
    return (f"{days} d " if days else "") + f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"


def _wrapped(line: str, columns: int) -> str:
    """Break a line at spaces, its continuation indented to where the text after the last double space begins."""
    if len(line) <= columns or columns < NARROW:
        return line
    indent = line.find("  ", 1) + 2 if "  " in line[1:24] else 0
    while indent < len(line) and line[indent] == " ":
        indent += 1
    second = line.find("  ", indent, indent + 12)
    indent = min(second + 2 if second >= 0 else indent, columns // 3)
    return "\n".join(
        textwrap.wrap(
            line,
            columns,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        )
    )


def _coloured(line: str) -> str:
    head = line.split(maxsplit=1)[0] if line.strip() else ""
    colour = COLOURS.get(head)
    return f"\x1b[{colour}m{head}\x1b[0m{line[len(head) :]}" if colour and line.startswith(head) else line


def unwritten(error: OSError) -> None:
    """Say that standard output takes no more, unless it is because nobody reads on, and write no more to it.

    What is still in its buffer is lost, and Python does not complain of that when it ends.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"danelaw: what there is to say cannot be written: {error.strerror or error}\n")
