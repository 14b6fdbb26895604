"""`make demo-rollover`: a key is replaced on real servers while senders try every 50 ms; then the naive way beside it.

The secondary name server is frozen when the rollover begins, and thawed some seconds later: danelaw waits for it, and
then for the caches.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from demo.naive import replace_naively
from demo.verdicts import verdicts
from scenario import Site, Watcher
from world import ServiceName, World, layout
from world.contained import run_contained

NEEDED: tuple[ServiceName, ...] = ("bind", "knot", "unbound", "pebble", "postfix", "apache")
OWNER = f"_25._tcp.mail.{layout.DOMAIN}."
CHECKOUT = Path(__file__).resolve().parents[2]
TTL, MARGIN, SETTLE, FROZEN = 3, 1, 3, 4
"""Seconds. Real ones: an hour, a quarter of an hour, a day; here nobody wants to wait so long."""


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def styled(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text


def heading(text: str) -> None:
    say(styled("1;4", f"\n== {text}"))


@contextmanager
def senders() -> Iterator[list[Watcher]]:
    """Let senders look records up and shake hands all the time: at each name server, and through a resolver's cache."""
    watchers = [
        Watcher(OWNER, servers=(layout.NS1, layout.NS2), margin=MARGIN),
        Watcher(OWNER, servers=(layout.RESOLVER,), recursive=True, margin=MARGIN),
    ]
    with ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(watcher)
        yield watchers


def tally(watchers: Sequence[Watcher]) -> tuple[int, int]:
    """Return how many samples there are, and how many of them a sender would have refused."""
    return sum(len(each.samples) for each in watchers), sum(len(each.invalid) for each in watchers)


def samples(watchers: Sequence[Watcher], since: float) -> str:
    total, invalid = tally(watchers)
    text = f"{time.monotonic() - since:6.1f} s  {total:5} samples, {invalid} DANE-invalid"
    return styled("31" if invalid else "32", text)


def safely(site: Site, watchers: Sequence[Watcher]) -> bool:
    """Roll over by danelaw, and show what it says beside the samples."""
    started = time.monotonic()
    thaw = threading.Timer(FROZEN, site.world.secondary.thaw)
    site.world.secondary.freeze()
    say(f"{layout.NS2} is frozen for {FROZEN} s: what it serves lacks the next key's record.")
    say(f"$ danelaw rollover {layout.DOMAIN} --wait")
    thaw.start()
    with site.start("rollover", layout.DOMAIN, "--wait") as running:
        assert running.stdout
        for line in running.stdout:
            say(f"{samples(watchers, started)}  {line.rstrip()[:110]}")
    thaw.join()
    say(samples(watchers, started))
    return running.returncode == 0


def naively(world: World, watchers: Sequence[Watcher]) -> None:
    """Roll over as it is done by hand, and go on watching until caches are over."""
    started = time.monotonic()
    say("The new key goes live, then the record is replaced, by nsupdate, in the same second.")
    replace_naively(world, OWNER, TTL)
    while (spent := time.monotonic() - started) < 2 * TTL + MARGIN:
        time.sleep(min(1.0, 2 * TTL + MARGIN - spent))  # time passes; what is shown is what was counted in it
        say(samples(watchers, started))


def agreed(world: World) -> bool:
    found = list(verdicts(world))
    for verdict in found:
        say(f"  {'ok ' if verdict.good else 'NO '} {verdict.tool}: {verdict.said[:90]}")
    return all(verdict.good for verdict in found)


def main() -> int:
    started = time.monotonic()
    page = CHECKOUT / "build" / "demo-rollover.html"
    page.parent.mkdir(exist_ok=True)
    with World(NEEDED, key_type="p256", ttl=1) as world, tempfile.TemporaryDirectory() as folder:
        say(f"The world is up after {time.monotonic() - started:.1f} s: {', '.join(sorted(world.services))}.")
        options = f'settle = "{SETTLE}s"'
        site = Site(world, Path(folder), services=("postfix",), ttl=TTL, margin=f"{MARGIN}s", extra=options)
        site.json("apply", "--wait")
        heading("A key is replaced by danelaw")
        with senders() as watchers:
            well = safely(site, watchers)
        total, invalid = tally(watchers)
        heading("What other people's tools say now")
        well = agreed(world) and well
        site.danelaw("status", "--html", str(page))
        heading("The same, the naive way")
        with senders() as others:
            time.sleep(1)  # senders hold the old record then
            naively(world, others)
        refused = tally(others)[1]
    owner = CHECKOUT.stat()
    for path in (page.parent, page):
        os.chown(path, owner.st_uid, owner.st_gid)
    heading("In short")
    say(f"danelaw: {total} samples, {invalid} invalid. The naive way: {refused} invalid ones. The picture: {page}")
    return 0 if well and not invalid and refused else 1


if __name__ == "__main__":
    sys.exit(run_contained(main, lambda _first: None))
