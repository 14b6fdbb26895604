"""A key is replaced on real servers, watched every 50 ms: with a frozen secondary, with kill -9, and the naive way."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.naive import replace_naively
from demo.verdicts import verdicts
from scenario import Site, Watcher
from scenario.handshake import PLACES, presented
from world import ServiceName, World, layout
from world.server import wait_until

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "knot", "unbound", "pebble", "postfix", "apache")
OWNER = f"_25._tcp.mail.{layout.DOMAIN}."
TTL, MARGIN, SETTLE = 2, 1, 2
"""Seconds, as the config has them: w is max(2 TTL, TTL + MARGIN)."""
A_HOLD = 20
"""Seconds that caches hold the record which the naive way replaces: time for many samples on a busy machine too."""
A_LOOK = 20
"""Seconds that an order and two looks may take on a machine that is busy; alone they take two."""


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1) as world:
        yield world


@pytest.fixture
def site(shared: World, tmp_path: Path) -> Iterator[Site]:
    """Return a site that danelaw has taken over: one key, its record, live and proven."""
    shared.present(shared.initial)
    shared.publish(OWNER, [])
    shared.resolver.flush(layout.DOMAIN)  # nobody remembers another test's records
    site = configured(shared, tmp_path)
    site.json("apply", "--wait")
    yield site
    shared.secondary.thaw()


def configured(world: World, folder: Path, extra: str = "") -> Site:
    options = f'settle = "{SETTLE}s"\n{extra}'
    return Site(world, folder, services=("postfix",), ttl=TTL, margin=f"{MARGIN}s", extra=options)


@contextmanager
def watched() -> Iterator[list[Watcher]]:
    """Watch from each authoritative server, and through the resolver's cache."""
    watchers = [
        Watcher(OWNER, servers=(layout.NS1, layout.NS2), margin=MARGIN),
        Watcher(OWNER, servers=(layout.RESOLVER,), recursive=True, margin=MARGIN),
    ]
    with ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(watcher)
        yield watchers


def agree(world: World) -> None:
    """Fail where a tool of others refuses the host: Postfix's, OpenSSL's, GnuTLS's, BIND's."""
    assert not [f"{verdict.tool}: {verdict.said}" for verdict in verdicts(world) if not verdict.good]


def served_leaves() -> set[bytes]:
    """Return what Postfix presents at every port and address."""
    return {presented(*place) for place in PLACES["postfix"]}


def records(site: Site, server: str) -> list[str]:
    return sorted(site.world.dig(OWNER, "TLSA", "+short", "+norecurse", server=server).lower().splitlines())


def began(site: Site, kind: str) -> datetime:
    """Return when the last effect of a kind began, by SQLite itself."""
    with closing(sqlite3.connect(f"file:{site.state_dir}/facts/facts.sqlite?mode=ro", uri=True)) as database:
        (micros,) = database.execute("SELECT max(began_at) FROM effect WHERE kind = ?", [kind]).fetchone()
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def test_a_frozen_secondary_holds_the_cutover_and_no_sample_is_invalid(site: Site, shared: World) -> None:
    """The next key's record is made now: what the frozen server serves lacks it, and the old key stays live."""
    before, old = served_leaves(), records(site, layout.NS1)
    shared.secondary.freeze()
    with watched() as watchers, site.start("rollover", layout.DOMAIN, "--wait") as running:
        assert running.stdout
        said = list(itertools.takewhile(lambda line: "waiting until" not in line, running.stdout))
        assert any("make its next key" in line for line in said)
        assert not any("go live" in line for line in said)
        assert records(site, layout.NS2) == old
        assert len(records(site, layout.NS1)) == 2
        assert served_leaves() == before
        agree(shared)
        shared.secondary.thaw()
        rest = list(running.stdout)
        assert running.wait(timeout=60) == 0, "".join(rest)
    agree(shared)
    assert any("go live" in line for line in rest)
    assert served_leaves() != before
    for server in (layout.NS1, layout.NS2):
        assert len(records(site, server)) == 1
        assert records(site, server) != old
    for watcher in watchers:
        assert watcher.handshakes > 20
        seen = {sample.rrset for sample in watcher.samples}
        assert {len(rrset) for rrset in seen} == {1, 2}
        assert len(seen) == 3 or watcher.recursive  # old alone, both, new alone: the cache may have both still
        assert not watcher.invalid
    assert_in_time(site, rest)


def assert_in_time(site: Site, said: list[str]) -> None:
    """Fail where the cutover began before G allowed it, or later than a look after the last wait for it ended."""
    waited = [line for line in itertools.takewhile(lambda line: "go live" not in line, said) if "waiting until" in line]
    ends = waited[-1].split("waiting until ")[1].split("Z")[0]
    until = datetime.strptime(ends, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert until <= began(site, "activate") <= until + timedelta(seconds=A_LOOK)


def test_the_naive_way_is_seen_to_break_mail(site: Site, shared: World) -> None:
    """The same probes: a new key goes live first, then nsupdate, as the hand-made chain does."""
    standing = [" ".join([*record.split()[:3], "".join(record.split()[3:])]) for record in records(site, layout.NS1)]
    shared.publish(OWNER, standing, A_HOLD)
    with watched() as watchers:
        wait_until(lambda: all(watcher.samples for watcher in watchers), "nothing is seen", str)
        replace_naively(shared, OWNER, A_HOLD)
        wait_until(lambda: all(len(watcher.invalid) > 10 for watcher in watchers), "no sample is invalid", str)


FIRST = "host.take_next_key:after:1"
INSIDE = (
    "publisher.swap:after:1",  # the next key's record is at the primary
    "authority.advance:after:2",
    "host.stage:after:1",
    "host.activate:after:1",  # between rename and reload
    "host.run:after:1",
    "prober.probe:after:3",
    "publisher.swap:before:1",  # the old record is about to be withdrawn
    "publisher.swap:after:1",
)


def test_killed_again_and_again_and_no_sample_is_invalid(site: Site) -> None:
    before = served_leaves()
    with watched() as watchers:
        assert site.killed(FIRST, "rollover", layout.DOMAIN, "--wait").status == -9
        for point in INSIDE:
            run = site.killed(point, "apply", "--wait")
            assert run.status == -9, (point, run)
        done = site.danelaw("apply", "--wait")
        assert done.status == 0, done
    assert served_leaves() != before
    (record,) = records(site, layout.NS1)
    status = site.json("status")["certificates"][0]
    assert record.startswith("3 1 1")
    assert status["key"]["spki_sha256"][:16] in record.replace(" ", "")
    for watcher in watchers:
        assert watcher.handshakes > 20
        assert not watcher.invalid
