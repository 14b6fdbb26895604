"""``python -m simulation --seeds N --first K [--kind KIND] [--certificates 2] [--verbose]``: play histories."""

import argparse
import sys
import time
from collections import Counter

from simulation.scenarios import KINDS, PAIRS
from simulation.simulation import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=(*KINDS, *PAIRS), help="one kind of beginning only")
    parser.add_argument("--certificates", type=int, choices=(1, 2), default=1, help="2: RSA beside ECDSA")
    parser.add_argument("--rollovers", action="store_true", help="keys are rolled over")
    parser.add_argument("--verbose", action="store_true", help="print every step as it happens")
    options = parser.parse_args()
    started = time.process_time()
    totals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for seed in range(options.first, options.first + options.seeds):
        report = simulate(
            seed, options.kind, certificates=options.certificates, rollovers=options.rollovers, verbose=options.verbose
        )
        totals.update(runs=report.runs, crashes=report.crashes, steps=report.steps, checks=report.checks)
        totals.update(
            certificates=report.renewals,
            rollovers=report.rollovers,
            clients=report.clients,
            held=report.held,
            days=round(report.days),
            broken=bool(report.violations),
        )
        faults.update(report.faults)
        kinds[report.kind] += 1
        if report.violations or options.verbose:
            print(report)
            for violation in report.violations[:6]:
                print(f"    {violation}")
    seconds = time.process_time() - started
    print(f"{options.seeds} seeds in {seconds:.1f} s ({1000 * seconds / options.seeds:.0f} ms each), {dict(kinds)}")
    counted = ", ".join(f"{count} {name}" for name, count in totals.items() if name != "days")
    print(f"{totals['days'] / 365:.0f} years, {counted}")
    for kind, count in sorted(faults.items()):
        print(f"    {count:7} {kind}")
    return 1 if totals["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
