"""Play histories: ``python -m simulation --years 1000`` on all cores, or single seeds (docs/simulation.md)."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice

from simulation.scenarios import KINDS, PAIRS, Kind
from simulation.simulation import Report, simulate

MIXTURE = (
    *((1, True),) * 6,
    *((1, False),) * 3,
    (2, True),
)
"""Of ten histories: certificates, and whether keys are rolled over."""


@dataclass(frozen=True)
class Play:
    """One history to be played."""

    seed: int
    certificates: int
    rollovers: bool
    kind: Kind | None = None
    verbose: bool = False

    def __str__(self) -> str:
        kind = f" --kind '{self.kind}'" if self.kind else ""
        return (
            f"python -m simulation --seeds 1 --first {self.seed} --certificates {self.certificates}{kind}"
            f"{' --rollovers' if self.rollovers else ''} --verbose"
        )


def play(what: Play) -> tuple[Play, Report]:
    """Play one history; what a process of the pool does."""
    report = simulate(
        what.seed, what.kind, certificates=what.certificates, rollovers=what.rollovers, verbose=what.verbose
    )
    return what, report


def plays(options: argparse.Namespace) -> list[Play]:
    """Return the histories that were asked for."""
    seeds = range(options.first, options.first + (options.years or options.seeds))
    if options.years:
        mixture = islice(cycle(MIXTURE), len(seeds))
        return [Play(seed, *each) for seed, each in zip(seeds, mixture, strict=True)]
    return [Play(seed, options.certificates, options.rollovers, options.kind, options.verbose) for seed in seeds]


def reports(asked: list[Play], jobs: int) -> Iterator[tuple[Play, Report]]:
    """Play them, on several cores where that is worth it."""
    if jobs == 1 or len(asked) == 1:
        yield from map(play, asked)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(play, asked, chunksize=4)


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--years", type=int, default=0, help="so many histories of all sorts, a year or more each")
    parser.add_argument("--seeds", type=int, default=100, help="how many histories of one sort")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=(*KINDS, *PAIRS), help="one kind of beginning only")
    parser.add_argument("--certificates", type=int, choices=(1, 2), default=1, help="2: RSA beside ECDSA")
    parser.add_argument("--rollovers", action="store_true", help="keys are rolled over")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--verbose", action="store_true", help="print every step as it happens")
    options = parser.parse_args()
    started = time.monotonic()
    totals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    days = 0.0
    asked = plays(options)
    for what, report in reports(asked, 1 if options.verbose else options.jobs):
        totals.update(
            runs=report.runs,
            crashes=report.crashes,
            steps=report.steps,
            certificates=report.renewals,
            rollovers=report.rollovers,
            violations=len(report.violations),
        )
        totals["client checks"] += report.clients
        totals["of them by what a cache held"] += report.held
        totals["spans compared by the judge"] += report.checks
        days += report.days
        faults.update(report.faults)
        if report.violations or options.verbose:
            print(f"{report}\n    {what}")
            for violation in report.violations[:6]:
                print(f"    {violation}")
        sys.stdout.flush()
    print(f"{days / 365:.0f} years in {time.monotonic() - started:.0f} s ({len(asked)} histories)")
    for name, count in totals.items():
        print(f"{count:9,} {name}")
    print(f"{sum(faults.values()):9,} faults and changes, by kind:")
    for kind, count in sorted(faults.items()):
        print(f"    {count:9,} {kind}")
    return 1 if totals["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
