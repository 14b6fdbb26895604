"""Walk a tutorial: run every command in it, and hold what it prints against what the page shows.

A page is Markdown. In its ``console`` blocks a line that begins with ``$ `` is a command of bash (lines up to the next
``$ ``, ``EOF`` included, belong to it where it opens a here-document); what follows is its output as the page shows it,
where ``…`` stands for anything on a line, a line of ``…`` alone for any lines, and blanks for blanks and tabs.
``# exit status N`` behind a command says how it ends; without it, it ends with 0.
"""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HEADING = re.compile(r"#{1,6} (.*)")
_STATUS = re.compile(r"\s+# exit status ([0-9]+)$")
_HERE = re.compile(r"<<-?\s*'?(\w+)'?")
ANYTHING = "…"
TIME_LIMIT = 300
"""Seconds; a walk that hangs is a failure."""


class Astray(AssertionError):
    """A command ended otherwise than the page says, or printed something else."""


@dataclass(frozen=True)
class Walked:
    """A command of a page as it ran."""

    command: str
    output: str


@dataclass(frozen=True)
class Step:
    """A command of a page: where it stands, how it must end, and the lines that it must print."""

    heading: str
    line: int
    command: str
    shown: tuple[str, ...]
    status: int = 0


def steps(page: str) -> Iterator[Step]:
    """Return the commands of a page in order."""
    heading, lines = "", page.splitlines()
    at = 0
    while at < len(lines):
        if match := _HEADING.fullmatch(lines[at]):
            heading = match[1]
        if lines[at] == "```console":
            end = lines.index("```", at)
            yield from _block(heading, at + 1, lines[at + 1 : end])
            at = end
        at += 1


def _block(heading: str, start: int, lines: Sequence[str]) -> Iterator[Step]:
    at = 0
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise Astray(f"line {start + at + 1}: output without a command")
        first, command, status = at, lines[at][2:], 0
        if match := _STATUS.search(command):
            command, status = command[: match.start()], int(match[1])
        at += 1
        if here := _HERE.search(command):
            end = lines.index(here[1], at)
            command = "\n".join([command, *lines[at : end + 1], ""])
            at = end + 1
        while command.endswith("\\"):
            command = f"{command}\n{lines[at]}"
            at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith("$ "):
            shown.append(lines[at].rstrip())
            at += 1
        yield Step(heading, start + first + 1, command, tuple(shown), status)


def run(step: Step, env: Mapping[str, str], folder: Path, say: Callable[[str], None] | None = None) -> Walked:
    """Run a command as a person in a terminal of ``folder`` would; ``say`` gets each line as it comes.

    Raises `Astray`.
    """
    lines = []
    with subprocess.Popen(
        ["bash", "-c", step.command],
        env=dict(env),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        limit = threading.Timer(TIME_LIMIT, process.kill)
        limit.start()
        assert process.stdout
        for line in process.stdout:
            lines.append(line.rstrip())
            if say:
                say(lines[-1])
        status = process.wait()
        limit.cancel()
    said = "\n".join(lines)
    if status != step.status:
        raise Astray(f"line {step.line}: {step.command!r} ended with {status}, not {step.status}:\n{said}")
    if not matches(step.shown, lines):
        wanted = "\n".join(step.shown)
        raise Astray(f"line {step.line}: {step.command!r} printed\n{said}\nwhere the page shows\n{wanted}")
    return Walked(step.command, said)


def matches(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Tell whether lines as a page shows them stand for lines as they were printed."""
    if not shown:
        return not printed
    if shown[0].strip() == ANYTHING:
        return any(matches(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and _is_like(shown[0], printed[0]) and matches(shown[1:], printed[1:])


def _is_like(shown: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in " ".join(shown.split()).split(ANYTHING))
    return re.fullmatch(pattern, " ".join(printed.split())) is not None
