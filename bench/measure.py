"""Whole processes, timed in turns so that the machine's mood falls on all of them alike."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
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
    """One run: seconds of wall clock and CPU (children counted), MiB of resident memory at the peak."""

    wall: float
    cpu: float
    mib: float


@dataclass(frozen=True)
class Spread:
    """The median of several runs, the lowest and the highest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Runs:
    """All runs of one command, in the order of the turns. Raises ValueError where there is none."""

    figures: Sequence[Figure]

    @property
    def wall(self) -> Spread:
        """Return seconds."""
        return spread([figure.wall for figure in self.figures])

    @property
    def cpu(self) -> float:
        """Return the median of the CPU seconds."""
        return spread([figure.cpu for figure in self.figures]).median

    @property
    def mib(self) -> float:
        """Return the highest peak, MiB."""
        return max(figure.mib for figure in self.figures)

    def times(self, other: "Runs") -> Spread:
        """Return how many times another's time this takes, turn by turn. Raises ValueError: not in turns."""
        pairs = zip(self.figures, other.figures, strict=True)
        return spread([ours.wall / theirs.wall for ours, theirs in pairs])


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of some values. Raises ValueError where there is none."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(statistics.median(values), min(values), max(values))


class Bench:
    """A context manager around the launcher. ``env`` is what commands find beside the environment of this process.

    Whatever says how Python is to behave is taken away: everybody's modules are compiled once and kept, as they are
    where they were installed.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._env = {**kept, **(env or {})}

    def __enter__(self) -> Self:
        launcher = Path(__file__).with_name("launcher.py")
        self._launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", launcher],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._env,
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

    def in_turns(
        self, commands: Sequence[Command], runs: int, turn: Callable[[int], None] = lambda _number: None
    ) -> dict[str, Runs]:
        """Run each command ``runs`` times, round and round, after one round that does not count.

        ``turn`` hears the number of each round that begins.
        """
        found: dict[str, list[Figure]] = {command.name: [] for command in commands}
        for number in range(runs + 1):
            turn(number)
            for command in commands:
                figure = self.once(command)
                if number:
                    found[command.name].append(figure)
        return {name: Runs(tuple(figures)) for name, figures in found.items()}
