"""Whole processes, timed in turns so that the machine's mood falls on all of them alike."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Command:
    """A command to time."""

    name: str
    argv: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """Seconds of wall clock and CPU, MiB of resident memory at the peak."""

    wall: float
    cpu: float
    mib: float


class Bench:
    """A context manager around the launcher."""

    def __enter__(self) -> Self:
        launcher = Path(__file__).with_name("launcher.py")
        self._launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", launcher], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._launcher.communicate()

    def once(self, command: Command) -> Figure:
        """Run a command once. Raises RuntimeError with its words where it fails."""
        if self._launcher.stdin is None or self._launcher.stdout is None:
            raise RuntimeError("the launcher has no pipes")
        self._launcher.stdin.write(f"{json.dumps(list(command.argv))}\n")
        self._launcher.stdin.flush()
        status, wall, cpu, kib, said = json.loads(self._launcher.stdout.readline())
        if status:
            raise RuntimeError(f"{command.name} ended with {status}: {said}")
        return Figure(wall, cpu, kib / 1024)

    def in_turns(self, commands: Sequence[Command], runs: int) -> dict[str, Figure]:
        """Run each command ``runs`` times, round and round; return the medians by name."""
        found: dict[str, list[Figure]] = {command.name: [] for command in commands}
        for _ in range(runs):
            for command in commands:
                found[command.name].append(self.once(command))
        return {name: median(figures) for name, figures in found.items()}


def median(figures: Sequence[Figure]) -> Figure:
    """Return the medians of each figure by itself."""
    return Figure(
        statistics.median(figure.wall for figure in figures),
        statistics.median(figure.cpu for figure in figures),
        statistics.median(figure.mib for figure in figures),
    )
