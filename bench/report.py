"""The table: what was measured, beside the aims, as docs/bench.md shows it."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.measure import Runs, Spread

BEGIN, END = "<!-- bench: what is between these lines is written by make bench -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Row:
    """One command. ``bare`` and ``certbot`` ran in the same turns; ``certbot`` None: it has none to compare."""

    what: str
    ours: Runs
    bare: Runs
    certbot: Runs | None = None


@dataclass(frozen=True)
class Aim:
    """What is aimed at, and what was found: ``most`` times as long as another, or ``least`` times as fast."""

    what: str
    found: Spread
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        """Tell whether the median meets it."""
        if self.most is not None:
            return self.found.median <= self.most
        return self.least is None or self.found.median >= self.least


def table(rows: Sequence[Row]) -> list[str]:
    """Return the rows as lines of Markdown."""
    lines = [
        "| | runs | ms: median (lowest to highest) | CPU ms | peak MiB | times bare Python | certbot takes, times |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        wall = row.ours.wall
        faster = "" if row.certbot is None else spread_text(row.certbot.times(row.ours))
        lines.append(
            f"| {row.what} | {len(row.ours.figures)} | {ms(wall.median)} ({ms(wall.low)} to {ms(wall.high)})"
            f" | {ms(row.ours.cpu)} | {row.ours.mib:.1f} | {spread_text(row.ours.times(row.bare))} | {faster} |"
        )
    return lines


def rates_table(endpoints: int, found: Mapping[str, Runs]) -> list[str]:
    """Return how many endpoints a second each command managed, as lines of Markdown."""
    lines = [
        f"| {endpoints} endpoints | runs | a second: median (lowest to highest) | CPU ms an endpoint | peak MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, runs in found.items():
        wall = runs.wall
        lines.append(
            f"| {name} | {len(runs.figures)} | {endpoints / wall.median:.0f}"
            f" ({endpoints / wall.high:.0f} to {endpoints / wall.low:.0f})"
            f" | {ms(runs.cpu / endpoints)} | {runs.mib:.1f} |"
        )
    return lines


def aims_table(aims: Sequence[Aim]) -> list[str]:
    """Return the aims as lines of Markdown."""
    lines = ["| aim | found: median (lowest to highest) | |", "| --- | --- | --- |"]
    lines.extend(f"| {aim.what} | {spread_text(aim.found)} | {'met' if aim.met else 'missed'} |" for aim in aims)
    return lines


def spread_text(found: Spread) -> str:
    """Return a ratio in words."""
    return f"{ratio(found.median)} ({ratio(found.low)} to {ratio(found.high)})"


def ratio(value: float) -> str:
    """Return a ratio with two figures after the point where it is below 10, else one."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ms(seconds: float) -> str:
    """Return seconds as milliseconds: one figure after the point below 100, none above, thousands set apart."""
    value = seconds * 1000
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def circumstances(at: datetime, load: float, versions: Mapping[str, str]) -> str:
    """Return what the figures depend on, as a line of Markdown; ``load`` is the machine's before the run."""
    cores = os.cpu_count() or 1
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured on {at:%Y-%m-%d}: {cores} cores ({processor()}), {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}, {named}. Load before the run: {load:.1f}."
    )


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's model."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def said_version(*argv: str) -> str:
    """Return the last word of the first line that a program says of itself; "?" where it says nothing."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    words = (done.stdout or done.stderr).strip().partition("\n")[0].split()
    return words[-1] if words else "?"


def put_between(page: str, lines: Sequence[str]) -> str:
    """Return a page with lines in place of what stands between the two marks. Raises ValueError without them."""
    before, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}, each once")
    return "".join((before, begin, "\n", "\n".join(lines), "\n\n", end, after))
