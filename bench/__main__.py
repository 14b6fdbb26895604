"""`make bench`: every figure of docs/bench.md, measured, printed, and written into that page."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import certbot, checking, renewal
from bench.measure import Bench, Command
from bench.report import Aim, Row, aims_table, circumstances, put_between, rates_table, said_version, table
from bench.sites import certbot_site, danelaw_site
from world.contained import run_contained
from world.tools import program

PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
PYTHON = sys.executable
DANELAW = str(Path(sys.executable).with_name("danelaw"))
BARE = Command("bare", [PYTHON, "-c", "pass"])

SHORT, LONG, RENEWALS, CHECKS = 40, 7, 15, 7
"""How many runs of what takes milliseconds, of what takes seconds, of the renewal, and of the check of many."""


def say(text: str) -> None:
    """Say how far it has come, to whoever waits."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def turns(what: str, runs: int) -> Callable[[int], None]:
    """Return what says, now and then, how far a measurement has come."""
    step = max(1, runs // 5)

    def turn(number: int) -> None:
        if number % step == 0:
            say(f"{what}: {number} of {runs} rounds")

    return turn


def idle(*, quick: bool, certbot_program: Path, folder: Path) -> tuple[list[Row], list[Aim]]:
    """Measure start-up and runs with nothing due."""
    counts = (1, 1000) if quick else (1, 1000, 10_000)
    due: dict[int, Command] = {}
    for count in counts:
        say(f"a site of {count:,} certificates")
        site = folder / f"danelaw-{count}"
        site.mkdir()
        config = danelaw_site(site, count)
        due[count] = Command(f"danelaw {count}", [DANELAW, "--config", str(config), "apply"])
    theirs: dict[int, Command] = {}
    for count in 1, 1000:
        say(f"{count:,} lineages of certbot's")
        site = folder / f"certbot-{count}"
        site.mkdir()
        theirs[count] = Command(f"certbot {count}", certbot.renew(certbot_program, certbot_site(site, count)))
    versions = [Command("version", [DANELAW, "--version"]), Command("certbot", [str(certbot_program), "--version"])]
    short, long = (5, 2) if quick else (SHORT, LONG)
    with Bench() as bench:
        small = bench.in_turns(
            [BARE, *versions, *due.values(), theirs[1]], short, turns("start-up, nothing due", short)
        )
        large = bench.in_turns([BARE, due[1000], theirs[1000]], long, turns("nothing due, 1,000 of each", long))
    bare = small["bare"]
    rows = [
        Row("bare Python, `python3 -c pass`", bare, bare),
        Row("`danelaw --version`", small["version"], bare, small["certbot"]),
        Row("`certbot --version`", small["certbot"], bare),
        Row("nothing due, 1 certificate", small["danelaw 1"], bare, small["certbot 1"]),
        Row("certbot: nothing due, 1 certificate", small["certbot 1"], bare),
        Row("nothing due, 1,000 certificates", large["danelaw 1000"], large["bare"], large["certbot 1000"]),
        Row("certbot: nothing due, 1,000 certificates", large["certbot 1000"], large["bare"]),
    ]
    if 10_000 in due:
        rows.append(Row("nothing due, 10,000 certificates", small["danelaw 10000"], bare))
    faster = large["certbot 1000"].times(large["danelaw 1000"])
    aims = [
        Aim("`--version` at most 1.2 times bare Python", small["version"].times(bare), most=1.2),
        Aim(
            "nothing due with 1,000 certificates at most 3.5 times bare Python",
            small["danelaw 1000"].times(bare),
            most=3.5,
        ),
        Aim("nothing due with 1,000 certificates 20 times faster than certbot", faster, least=20),
    ]
    return rows, aims


def renewals(*, quick: bool, certbot_program: Path, folder: Path) -> tuple[list[Row], list[Aim]]:
    """Measure whole renewals, in the test world."""
    runs = 2 if quick else RENEWALS
    say("the test world, with a certificate of danelaw's and one of certbot's")
    found = renewal.measure(BARE, DANELAW, certbot_program, folder, runs, turns("renewals", runs))
    rows = [
        Row("renewal: order, deployment to Postfix, reload, proof", found["danelaw"], found["bare"], found["certbot"]),
        Row("certbot's renewal: the order alone", found["certbot"], found["bare"]),
    ]
    what = "a renewal with deployment and proof 5 times faster than certbot's bare renewal"
    return rows, [Aim(what, found["certbot"].times(found["danelaw"]), least=5)]


def checks(*, quick: bool, folder: Path) -> tuple[list[str], list[Aim]]:
    """Measure checks of many endpoints, in the test world."""
    runs, hosts = (2, 40) if quick else (CHECKS, checking.HOSTS)
    say(f"the test world, with {hosts} hosts to be checked")
    found = checking.measure(DANELAW, folder, runs, turns("checks", runs), hosts)
    ours = found["danelaw"]
    aims = [
        Aim("20 times as many endpoints a second as smtp-dane-verify", found["smtp-dane-verify"].times(ours), least=20),
        Aim("half as many endpoints a second as bare handshakes", found["handshakes"].times(ours), least=0.5),
    ]
    return rates_table(hosts, found), aims


def bench(*, quick: bool, folder: Path) -> int:
    """Measure all, print it, and, unless ``quick``, write it into the page."""
    at, load = datetime.now(UTC), os.getloadavg()[0]  # noqa: TID251 (when it was measured)
    say("certbot goes into an environment of its own, for this run")
    certbot_program = certbot.install(folder)
    rows, aims = idle(quick=quick, certbot_program=certbot_program, folder=folder)
    more_rows, more_aims = renewals(quick=quick, certbot_program=certbot_program, folder=folder)
    rates, last_aims = checks(quick=quick, folder=folder)
    versions = {
        "danelaw": said_version(DANELAW, "--version"),
        "certbot": said_version(str(certbot_program), "--version"),
        "Pebble": said_version("dpkg-query", "--show", "pebble"),
        "Postfix": said_version(program("postconf"), "-hd", "mail_version"),
    }
    lines = [
        circumstances(at, load, versions),
        "",
        *table([*rows, *more_rows]),
        "",
        *rates,
        "",
        *aims_table([*aims, *more_aims, *last_aims]),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if quick:
        say("a quick run is too short to be written down")
    else:
        PAGE.write_text(put_between(PAGE.read_text(), lines))
        say(f"written into {PAGE}")
    return 0


def main() -> int:
    """Run it all in a folder that is gone afterwards."""
    arguments = argparse.ArgumentParser(prog="bench", description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="few runs, for trying; the page stays as it is")
    quick: bool = arguments.parse_args().quick
    with tempfile.TemporaryDirectory(prefix="danelaw-bench-") as folder:
        return bench(quick=quick, folder=Path(folder))


if __name__ == "__main__":
    sys.exit(run_contained(main, lambda _first: None))
