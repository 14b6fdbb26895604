"""The store: every fact comes back as it went in, durably, all or none; leases end with their holders."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from danelaw.errors import LeaseHeld, RetryLater, StateCorrupt
from danelaw.lifecycle.clock import instants, levelled
from danelaw.model import (
    FACT_KEYS,
    ChainFact,
    ClockSeen,
    ClockStepped,
    Effect,
    Endpoint,
    Fact,
    Facts,
    Generation,
    Intent,
    KeyFact,
    OnDisk,
    OrderFact,
    OwnerFact,
    OwnRecord,
    Presented,
    Primary,
    RRsetSeen,
    Server,
    Silent,
    TlsaRecord,
    Unreachable,
)
from danelaw.store import SqliteStore
from danelaw.store.agenda import FileStat, nothing_due, same, stat_file, store_path, sure_stat
from danelaw.store.columns import micros
from danelaw.store.schema import MIGRATIONS, migrate
from local_state import NOW, StandingClock, chain_of, in_child

OWNER = "_25._tcp.mail.example.test."
SMTP = Endpoint("mail.example.test", 25, "smtp")
PINNED = Endpoint("mail.example.test", 25, "smtp", connect="192.0.2.9")
RECORD = TlsaRecord(3, 1, 1, bytes(range(32)))
EMPTY = TlsaRecord(255, 0, 7, b"")
LATER = NOW + timedelta(hours=1)

BOGUS = OwnerFact(
    owner=OWNER,
    zone="example.test",
    target=OWNER,
    security="bogus",
    why="no signature",
    validated=(RECORD,),
    wildcard=True,
    host_wildcard=False,
    left_out=("::1",),
    problem="words",
    first_at=NOW,
    last_at=LATER,
)


def every_fact() -> list[Fact]:
    """Return at least one of each kind, nothing left at its default in one and everything in another."""
    chain = chain_of("mail.example.test")
    return [
        KeyFact("ab", "example", b"\0\xff", "rsa", "h", "/k.pem", "adopted", NOW, LATER, LATER, LATER, LATER),
        KeyFact("ab", "other", b"", "ecdsa", "h", "/k.pem", "made", NOW),
        ChainFact("example", chain, "le", NOW, LATER, 0),
        OrderFact("https://ca.test/1", "example", "le", "ab", b"\x30", NOW, LATER, "no such name: ü"),
        OrderFact("https://ca.test/2", "example", "le", "ab", b"\x30", NOW),
        Intent("example", "renew", "root", NOW, LATER),
        Intent("example", "revoke", "root", NOW, LATER, ("emergency", "accept-outage"), "ab", 1),
        RRsetSeen(OWNER, "192.0.2.1", "NOERROR", (RECORD, EMPTY), 60, 3600, 5, LATER, NOW, LATER),
        RRsetSeen(OWNER, "192.0.2.2", "NXDOMAIN", (), 0, 0, 0, None, NOW, NOW),
        Server(OWNER, "192.0.2.1", 86400, NOW, LATER),
        Unreachable(OWNER, "192.0.2.3", "silent", NOW, LATER),
        replace(
            BOGUS, owner="_443._tcp.x.", wildcard=False, host_wildcard=True, validated=(), left_out=(), problem=None
        ),
        BOGUS,
        Primary(OWNER, (RECORD,), 60, NOW),
        OwnRecord(OWNER, RECORD, "home", NOW, LATER),
        OwnRecord(OWNER, EMPTY, "home", NOW),
        Presented(SMTP, "192.0.2.25", mine=True, chain=chain, first_at=NOW, last_at=LATER),
        Presented(PINNED, "192.0.2.25", mine=False, chain=chain, first_at=NOW, last_at=LATER),
        Silent(SMTP, "192.0.2.26", mine=True, problem="refused", first_at=NOW, last_at=LATER),
        Silent(PINNED, "192.0.2.26", mine=False, problem="refused", first_at=NOW, last_at=LATER),
        Generation("h", "/a /b", 1, "cd", {"/a": "11", "/b": "22"}, NOW, LATER, LATER, LATER, LATER, 3, "/a cert"),
        Generation("h", "/a /b", 0, "", {}, NOW),
        OnDisk("/a /b", {"/a": "11"}, NOW),
        ClockSeen("h", "boot-1", 0.1, NOW),
        ClockStepped(NOW, "boot-1", -3600.25),
    ]


def all_of(facts: Facts) -> list[Fact]:
    return [fact for field in fields(facts) if field.name != "effects" for fact in getattr(facts, field.name)]


def seen(server: str, first_at: datetime, last_at: datetime | None = None) -> RRsetSeen:
    return RRsetSeen(OWNER, server, "NOERROR", (RECORD,), 60, 60, 0, None, first_at, last_at or first_at)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return store_path(str(tmp_path / "state"))


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def store(path: str, clock: StandingClock) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, clock, "h")) as opened:
        yield opened


def reopened(path: str) -> Facts:
    with closing(SqliteStore(path, StandingClock(), "h")) as again:
        return again.snapshot()


# -------------------------------------------------------------------------------------------------------------- facts


def test_the_sample_has_every_kind_of_fact() -> None:
    assert {type(fact) for fact in every_fact()} == set(FACT_KEYS)


def test_every_fact_comes_back_as_it_was(store: SqliteStore, path: str) -> None:
    store.record(every_fact())
    for facts in (store.snapshot(), reopened(path)):
        found = all_of(facts)
        assert len(found) == len(every_fact())
        assert all(fact in found for fact in every_fact())


def test_a_store_in_memory_keeps_facts_too(clock: StandingClock) -> None:
    with closing(SqliteStore(":memory:", clock, "h")) as store:
        store.record(every_fact())
        assert len(all_of(store.snapshot())) == len(every_fact())


def test_an_instant_in_another_zone_is_the_same_instant(store: SqliteStore, path: str) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    store.record([seen("a", elsewhere), replace(seen("a", NOW), ttl=7)])
    assert store.snapshot().rrsets == reopened(path).rrsets == (replace(seen("a", NOW), ttl=7),)
    assert reopened(path).rrsets[0].first_at.tzinfo is UTC


@pytest.mark.parametrize("before", every_fact(), ids=lambda fact: type(fact).__name__)
def test_a_known_key_replaces_its_row_and_another_key_does_not(store: SqliteStore, path: str, before: Fact) -> None:
    rest = [field.name for field in fields(before) if field.name not in FACT_KEYS[type(before)]]
    changes: dict[str, Any] = {
        name: {str: f"{value}x", int: 77, float: 7.7, datetime: LATER + timedelta(days=9)}.get(type(value), value)
        for name in rest
        for value in [getattr(before, name)]
    }
    after = replace(before, **changes)
    assert after != before
    store.record([before])
    store.record([after])
    assert all_of(store.snapshot()) == all_of(reopened(path)) == [after]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (seen("a", NOW), seen("a", LATER)),
        (seen("a", NOW), seen("b", NOW)),
        (
            Silent(SMTP, "a", mine=True, problem="p", first_at=NOW, last_at=NOW),
            Silent(PINNED, "a", mine=True, problem="p", first_at=NOW, last_at=NOW),
        ),
        (
            Presented(SMTP, "a", mine=True, chain=chain_of("a.test"), first_at=NOW, last_at=NOW),
            Presented(SMTP, "a", mine=True, chain=chain_of("b.test"), first_at=NOW, last_at=NOW),
        ),
        (OwnRecord(OWNER, RECORD, "home", NOW), OwnRecord(OWNER, EMPTY, "home", NOW)),
    ],
)
def test_other_keys_are_other_rows(store: SqliteStore, path: str, one: Fact, two: Fact) -> None:
    store.record([one, two])
    assert all_of(store.snapshot()) == all_of(reopened(path)) == [one, two]


def test_facts_come_oldest_first_and_in_the_order_of_writing_where_they_are_as_old(
    store: SqliteStore, path: str
) -> None:
    store.record([seen("late", LATER), seen("b", NOW), seen("a", NOW)])
    store.record([seen("b", NOW, LATER)])
    for facts in (store.snapshot(), reopened(path)):
        assert [row.server for row in facts.rrsets] == ["b", "a", "late"]


def test_words_from_outside_may_hold_anything(store: SqliteStore, path: str) -> None:
    store.record([Unreachable(OWNER, "a", "lone \udc80 surrogate, NUL \0, é", NOW, NOW)])
    assert store.snapshot().unreachable == reopened(path).unreachable
    assert reopened(path).unreachable[0].problem == "lone \\udc80 surrogate, NUL \0, é"


def test_what_cannot_be_stored_takes_its_batch_with_it(store: SqliteStore, path: str) -> None:
    naive = datetime(2026, 1, 1)
    with pytest.raises(TypeError):
        store.record([seen("a", NOW), seen("b", naive)])
    assert all_of(store.snapshot()) == all_of(reopened(path)) == []
    store.record([seen("a", NOW)])
    assert len(reopened(path).rrsets) == 1


def test_another_connection_s_writes_are_seen(store: SqliteStore, path: str, clock: StandingClock) -> None:
    assert store.snapshot().rrsets == ()
    with closing(SqliteStore(path, clock, "h")) as other:
        other.record([seen("a", NOW)])
        assert store.snapshot().rrsets == (seen("a", NOW),)
        store.record([seen("b", NOW)])
        other.record([seen("a", NOW, LATER)])
        expected = (seen("a", NOW, LATER), seen("b", NOW))
        assert store.snapshot().rrsets == other.snapshot().rrsets == expected


def test_a_snapshot_of_a_small_state_takes_less_than_a_millisecond(clock: StandingClock) -> None:
    with closing(SqliteStore(":memory:", clock, "h")) as store:
        store.record(every_fact())
        took = []
        for _ in range(50):
            store.record([seen("a", NOW, clock.now())])
            began = time.perf_counter()
            store.snapshot()
            took.append(time.perf_counter() - began)
        assert sorted(took)[25] < 0.001


# ------------------------------------------------------------------------------------------------------------ effects


def test_an_effect_is_there_before_and_after(store: SqliteStore, path: str) -> None:
    effect = store.begin("publish", OWNER, "3 1 1", NOW)
    assert reopened(path).effects == (Effect(effect, "publish", OWNER, "3 1 1", NOW),)
    store.end(effect, "failed", "REFUSED", LATER, [seen("a", NOW)], retry_at=LATER)
    ended = Effect(effect, "publish", OWNER, "3 1 1", NOW, LATER, "failed", "REFUSED", LATER)
    for facts in (store.snapshot(), reopened(path)):
        assert facts.effects == (ended,)
        assert facts.rrsets == (seen("a", NOW),)


def test_effects_keep_rising(store: SqliteStore, path: str, clock: StandingClock) -> None:
    first, second = store.begin("a", "", "", NOW), store.begin("b", "", "", NOW)
    with closing(SqliteStore(path, clock, "h")) as other:
        third = other.begin("c", "", "", NOW)
    assert first < second < third
    assert [effect.id for effect in store.snapshot().effects] == [first, second, third]


def test_an_effect_that_is_not_open_cannot_end_and_its_facts_are_not_stored(store: SqliteStore) -> None:
    effect = store.begin("a", "", "", NOW)
    store.end(effect, "done", "", NOW)
    for number in (effect, effect + 1):
        with pytest.raises(StateCorrupt, match="is not open"):
            store.end(number, "failed", "", LATER, [seen("a", NOW)])
    assert store.snapshot().rrsets == ()
    assert store.snapshot().effects[0].outcome == "done"


# ------------------------------------------------------------------------------------------------------ levelled facts


def everything(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table as it is in the file."""
    with closing(sqlite3.connect(path)) as raw:
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: sorted(raw.execute(f'SELECT * FROM "{name}"'), key=repr) for name in names}  # noqa: S608


def test_nothing_is_levelled_where_nothing_lies_ahead(store: SqliteStore, path: str) -> None:
    store.record(every_fact())
    before = everything(path)
    assert store.level(LATER) == 0
    assert everything(path) == before


def test_what_lies_ahead_is_levelled_in_every_table(store: SqliteStore, path: str) -> None:
    store.record(every_fact())
    effect = store.begin("publish", OWNER, "{}", NOW)
    store.end(effect, "failed", "no", LATER, retry_at=LATER + timedelta(hours=2))
    expected, at = levelled(store.snapshot(), NOW), NOW
    assert store.level(at) == 2
    for facts in (store.snapshot(), reopened(path)):
        assert facts == expected
        assert all(each < NOW for fact in all_of(facts) for each in instants(fact))
    assert store.snapshot().effects[0].retry_at == NOW + timedelta(hours=2) - timedelta(microseconds=1)
    assert store.level(at) == 0


def test_levelled_rows_may_take_each_others_keys(store: SqliteStore, path: str) -> None:
    us = timedelta(microseconds=1)
    rows = [seen("a", NOW + n * us) for n in (5, -3, -1, 0, -2)]
    steps = [ClockStepped(NOW + n * us, "boot-1", float(n)) for n in (5, -3, -1, 0, -2)]
    store.record([*rows, *steps])
    assert store.level(NOW) == 5
    assert reopened(path).rrsets == tuple(seen("a", NOW - n * us) for n in (5, 4, 3, 2, 1))
    assert [(row.at - NOW) // us for row in reopened(path).clock_steps] == [-5, -4, -3, -2, -1]
    assert [row.seconds for row in reopened(path).clock_steps] == [-3, -2, -1, 0, 5]


def test_equal_instants_keep_the_order_of_writing(store: SqliteStore, path: str) -> None:
    store.record([seen("b", LATER), seen("a", LATER)])
    store.level(NOW)
    for facts in (store.snapshot(), reopened(path)):
        assert [row.server for row in facts.rrsets] == ["b", "a"]


def test_a_store_that_was_just_opened_is_levelled_too(store: SqliteStore, path: str, clock: StandingClock) -> None:
    store.record([seen("a", LATER)])
    with closing(SqliteStore(path, clock, "h")) as other:
        assert other.level(NOW) == 1
        assert store.snapshot() == other.snapshot()
    assert store.level(NOW) == 0


def test_what_another_process_stored_since_is_not_ahead(store: SqliteStore, path: str, clock: StandingClock) -> None:
    """Its clock was read later than ours, that is all."""
    store.snapshot()
    with closing(SqliteStore(path, clock, "h")) as other:
        other.record([seen("a", NOW + timedelta(milliseconds=3))])
    assert store.level(NOW) == 0
    assert store.snapshot().rrsets[0].first_at > NOW


def test_a_store_is_levelled_whole_or_not_at_all(store: SqliteStore, path: str) -> None:
    store.record(every_fact())
    before = everything(path)
    store._db.execute("CREATE TEMP TRIGGER no BEFORE INSERT ON generation BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StateCorrupt, match="no"):
        store.level(NOW)
    assert everything(path) == before
    assert len(all_of(store.snapshot())) == len(every_fact())
    store._db.execute("DROP TRIGGER no")
    assert store.level(NOW) == 2


# ------------------------------------------------------------------------------------------------------------- leases


def held_by_child(path: str, until: Callable[[], None]) -> None:
    with closing(SqliteStore(path, StandingClock(), "h")) as store, store.lease("mail"):
        until()


def test_a_lease_is_held_and_given_back(store: SqliteStore) -> None:
    with (
        store.lease("mail"),
        store.lease("web"),
        pytest.raises(LeaseHeld, match=rf"process {os.getpid()}, since 2026-03-01 12:00:00 UTC"),
        store.lease("mail"),
    ):
        pytest.fail("it was taken twice")
    with store.lease("mail"):
        pass


def test_a_lease_is_given_back_where_the_work_fails(store: SqliteStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lease("mail"):
        raise ZeroDivisionError
    with store.lease("mail"):
        pass


def test_the_lease_of_a_dead_process_is_taken_at_once_even_of_a_zombie(store: SqliteStore, path: str) -> None:
    pid = os.fork()
    if pid == 0:
        held_by_child(path, lambda: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(1)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie as long as we do not wait
    with store.lease("mail"):
        pass
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_the_lease_of_a_living_process_is_not_taken(store: SqliteStore, path: str) -> None:
    (holds_read, holds_write), (go_read, go_write) = os.pipe(), os.pipe()

    def wait() -> None:
        os.write(holds_write, b"x")
        os.close(go_write)
        os.read(go_read, 1)  # until the parent closes its end

    pid = os.fork()
    if pid == 0:
        held_by_child(path, wait)
        os._exit(0)
    os.read(holds_read, 1)
    with pytest.raises(LeaseHeld, match=f"process {pid}"), store.lease("mail"):
        pytest.fail("it was taken twice")
    os.close(go_write)
    assert os.waitpid(pid, 0)[1] == 0
    with store.lease("mail"):
        pass
    for descriptor in (holds_read, holds_write, go_read):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("change", "end"),
    [
        ("started = started + 1", "dead"),  # the pid was used again
        ("boot_id = 'boot-0'", "dead"),  # from before a reboot
        ("pid = 4194305", "dead"),  # above the kernel's largest
        ("host = 'elsewhere'", "alive"),  # cannot be seen from here
        ("since = since + 1", "alive"),
    ],
)
def test_who_counts_as_dead(store: SqliteStore, change: str, end: str) -> None:
    with store.lease("mail"):
        store._db.execute(f"UPDATE lease SET {change}")  # noqa: S608 -- the cases above
        if end == "dead":
            with store.lease("mail"):
                pass
        else:
            with pytest.raises(LeaseHeld), store.lease("mail"):
                pytest.fail("it was taken twice")


# ---------------------------------------------------------------------------------------------------- what goes wrong


def test_the_file_is_ours_alone_whatever_the_umask(tmp_path: Path, clock: StandingClock) -> None:
    before = os.umask(0)
    try:
        with closing(SqliteStore(store_path(str(tmp_path / "new" / "state")), clock, "h")) as store:
            store.record([seen("a", NOW)])
            modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    assert modes.pop("new") == modes.pop("new/state") == 0o711
    assert modes.pop("new/state/facts") == 0o700
    assert set(modes) == {f"new/state/facts/facts.sqlite{end}" for end in ("", "-wal", "-shm")}
    assert set(modes.values()) == {0o600}


@pytest.mark.usefixtures("store")
def test_a_file_that_others_could_read_is_closed_to_them(path: str, clock: StandingClock) -> None:
    Path(path).chmod(0o644)
    with closing(SqliteStore(path, clock, "h")):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_many_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        path = store_path(str(tmp_path / str(attempt)))
        go_read, go_write = os.pipe()
        pids = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                os.close(go_write)
                os.read(go_read, 1)
                with closing(SqliteStore(path, StandingClock(), "h")) as store:
                    store.begin("a", "", "", NOW)
                os._exit(0)
            pids.append(pid)
        os.close(go_write)
        os.close(go_read)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0, 0]
        assert len(reopened(path).effects) == 4


def test_a_newer_danelaw_s_file_is_left_alone(store: SqliteStore, path: str, clock: StandingClock) -> None:
    store._db.execute("PRAGMA user_version = 99")
    with pytest.raises(StateCorrupt, match=r"newer danelaw \(schema 99"):
        SqliteStore(path, clock, "h")


def test_an_older_file_is_taken_forward_with_its_facts_or_not_at_all(store: SqliteStore, path: str) -> None:
    store.record([seen("a", NOW)])
    more = ("ALTER TABLE server ADD COLUMN more TEXT", "CREATE TABLE later (a)")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        with pytest.raises(sqlite3.OperationalError):
            migrate(raw, path, [*MIGRATIONS, (*more, "CREATE TABLE later (a)")])
        assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert reopened(path).rrsets == (seen("a", NOW),)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        migrate(raw, path, [*MIGRATIONS, more])
        migrate(raw, path, [*MIGRATIONS, more])
        assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        assert raw.execute("SELECT count(*) FROM rrset_seen, later").fetchone() == (0,)
        assert raw.execute("SELECT count(*) FROM rrset_seen").fetchone() == (1,)
    with pytest.raises(StateCorrupt, match="newer danelaw"):
        reopened(path)


def test_the_keys_of_a_store_that_knew_no_next_keys_are_current(path: str, clock: StandingClock) -> None:
    Path(path).parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        migrate(raw, path, MIGRATIONS[:2])
        for name, age in (("one", 0), ("two", 7)):
            raw.execute(
                'INSERT INTO "key" VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)',
                (name, name, b"spki", "rsa", "h", "/k.pem", "made", micros(NOW) + age),
            )
        raw.execute("INSERT INTO intent VALUES ('one', 'renew', 'root', ?, NULL)", (micros(NOW),))
        raw.execute("INSERT INTO agenda VALUES (1, ?, ?, ?)", (CONFIG_DIGEST, micros(LATER), micros(NOW)))
    with closing(SqliteStore(path, clock, "h")) as store:
        facts = store.snapshot()
        later = NOW + timedelta(microseconds=7)
        assert [(key.certificate, key.made_at, key.current_since) for key in facts.keys] == [
            ("one", NOW, NOW),
            ("two", later, later),
        ]
        assert facts.intents == (Intent("one", "renew", "root", NOW),)
        # A next key that is recorded from now on stays one.
        new = KeyFact("new", "one", b"spki", "rsa", "h", "/n.pem", "made", LATER)
        store.record([new])
        assert reopened(path).keys[-1] == new
    assert nothing_due(str(Path(path).parents[1]), [], lambda: CONFIG_DIGEST, NOW) is None  # there may be more to do


def test_a_page_that_was_written_over(store: SqliteStore, path: str) -> None:
    store.record(every_fact())
    store.close()
    with Path(path).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * 20))
    with pytest.raises(StateCorrupt, match="restore the file from a backup"):
        reopened(path)


def test_another_program_s_database_is_left_alone(tmp_path: Path, clock: StandingClock) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StateCorrupt, match="another program"):
        SqliteStore(str(path), clock, "h")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_a_file_that_is_no_database(tmp_path: Path, clock: StandingClock) -> None:
    path = tmp_path / "facts.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StateCorrupt, match="not a database"):
        SqliteStore(str(path), clock, "h")


def test_a_path_that_cannot_be_opened(tmp_path: Path, clock: StandingClock) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RetryLater, match="Not a directory"):
        SqliteStore(str(tmp_path / "file" / "facts.sqlite"), clock, "h")
    with pytest.raises(RetryLater, match="cannot be opened"):
        SqliteStore(str(tmp_path), clock, "h")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rrset_seen SET rdatas = '3 1 nonsense'",
        "UPDATE rrset_seen SET first_at = 'yesterday'",
        "UPDATE generation SET files = '[1]'",
        "UPDATE generation SET files = '{'",
        "UPDATE certificate_chain SET chain_pem = 'gone'",
        "DELETE FROM certificate_chain",
        "DROP TABLE silent",
    ],
)
def test_damaged_rows_are_one_clear_error(store: SqliteStore, path: str, damage: str) -> None:
    store.record(every_fact())
    store._db.execute(damage)
    with pytest.raises(StateCorrupt, match="backup"):
        reopened(path)


def test_a_full_disk_stores_nothing_of_the_batch_and_heals(store: SqliteStore, path: str) -> None:
    store.record([seen("before", NOW)])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    batch = [seen(f"server-{n}", NOW) for n in range(2000)]
    with pytest.raises(RetryLater, match="full"):
        store.record(batch)
    assert [row.server for row in store.snapshot().rrsets] == ["before"]
    assert [row.server for row in reopened(path).rrsets] == ["before"]
    store._db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    store.record(batch)
    assert len(reopened(path).rrsets) == 2001


def test_a_store_that_cannot_be_written(store: SqliteStore) -> None:
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(RetryLater, match="cannot be written"):
        store.record([seen("a", NOW)])
    assert store.snapshot().rrsets == ()


def test_killed_at_any_statement_the_batch_is_there_whole_or_not(tmp_path: Path) -> None:
    batch = every_fact()
    outcomes = set()
    for nth in range(1, 100):
        path = str(tmp_path / f"{nth}.sqlite")
        with closing(SqliteStore(path, StandingClock(), "h")) as store:
            effect = store.begin("a", "", "", NOW)

        def work(path: str = path, nth: int = nth, effect: int = effect) -> None:
            store = SqliteStore(path, StandingClock(), "h")
            left = nth

            def count(_: str) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            store._db.set_trace_callback(count)
            store.end(effect, "done", "", NOW, batch)

        status = in_child(work)
        facts = reopened(path)
        ended = facts.effects[0].outcome == "done"
        assert len(all_of(facts)) == (len(batch) if ended else 0)
        outcomes.add((status == 0, ended))
        if status == 0:
            break
    assert outcomes == {(False, False), (False, True), (True, True)}


def test_killed_at_any_statement_the_store_is_level_or_as_it_was(tmp_path: Path) -> None:
    outcomes = set()
    for nth in range(1, 400, 5):
        path = str(tmp_path / f"{nth}.sqlite")
        with closing(SqliteStore(path, StandingClock(), "h")) as store:
            store.record(every_fact())
            before = store.snapshot()

        def work(path: str = path, nth: int = nth) -> None:
            store = SqliteStore(path, StandingClock(), "h")
            left = nth

            def count(_: str) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            store._db.set_trace_callback(count)
            store.level(NOW)

        status = in_child(work)
        found = reopened(path)
        assert found in (before, levelled(before, NOW))
        outcomes.add((status == 0, found == before))
        if status == 0:
            break
    assert (False, True) in outcomes
    assert (True, False) in outcomes


# ------------------------------------------------------------------------------------------------------------- agenda


CONFIG_DIGEST = "digest"


@dataclass
class Looked:
    """A state folder after a look: what it says is due, asked as ``apply`` asks it."""

    state_dir: str
    watched: Path
    absent: Path
    config: Path

    def due(self, now: datetime = NOW, digest: str = CONFIG_DIGEST, config: Sequence[Path] | None = None) -> bool:
        paths = [str(path) for path in (config if config is not None else [self.config])]
        return nothing_due(self.state_dir, paths, lambda: digest, now) is None


def settled(path: Path) -> FileStat:
    """Return how a file stands, as of an hour later."""
    return sure_stat(str(path), datetime.now(UTC) + timedelta(hours=1))


@pytest.fixture
def looked(store: SqliteStore, tmp_path: Path) -> Looked:
    found = Looked(str(tmp_path / "state"), tmp_path / "watched.pem", tmp_path / "absent", tmp_path / "danelaw.toml")
    found.watched.write_text("x")
    found.config.write_text("y")
    store.set_agenda(
        CONFIG_DIGEST, LATER, NOW, [settled(found.watched), settled(found.absent)], [settled(found.config)]
    )
    return found


def test_without_a_store_there_is_no_agenda(tmp_path: Path, store: SqliteStore) -> None:
    store.record([])  # it is there, and nobody has looked
    for folder in "state", "nothing-here":
        assert nothing_due(str(tmp_path / folder), [], lambda: "", NOW) is None
    assert not (tmp_path / "nothing-here").exists()


def test_nothing_is_due(looked: Looked, store: SqliteStore) -> None:
    def never() -> str:
        raise AssertionError("the config's times alone tell that it is the same")

    config = [str(looked.config)]
    assert nothing_due(looked.state_dir, config, never, NOW) == (NOW, LATER)
    assert not looked.due(LATER - timedelta(microseconds=1))
    store.set_agenda("new", LATER + timedelta(days=1), LATER)
    assert nothing_due(looked.state_dir, [], never, LATER) == (LATER, LATER + timedelta(days=1))


def test_a_next_look_that_only_a_clock_ahead_could_name_is_not_believed(looked: Looked, store: SqliteStore) -> None:
    ahead = NOW + timedelta(days=1)
    store.set_agenda(CONFIG_DIGEST, ahead + timedelta(microseconds=1), NOW)
    assert looked.due(config=[])
    store.set_agenda(CONFIG_DIGEST, ahead, NOW)
    assert not looked.due(config=[])


@pytest.mark.parametrize("now", [LATER, NOW - timedelta(seconds=1)], ids=["due", "clock set back"])
def test_it_is_due_in_its_time(looked: Looked, now: datetime) -> None:
    assert looked.due(now)


@pytest.mark.parametrize("how", ["written", "same size and mtime", "replaced", "removed", "appeared", "mode", "intent"])
def test_a_change_since_the_look_asks_for_another(store: SqliteStore, looked: Looked, tmp_path: Path, how: str) -> None:
    old = looked.watched.stat().st_mtime_ns
    match how:
        case "written":
            looked.watched.write_text("longer")
        case "same size and mtime":
            looked.watched.write_text("z")
            os.utime(looked.watched, ns=(old, old))
        case "replaced":
            other = tmp_path / "other"
            other.write_text("y")
            os.utime(other, ns=(old, old))
            other.rename(looked.watched)
        case "removed":
            looked.watched.unlink()
        case "appeared":
            looked.absent.touch()
        case "mode":
            looked.watched.chmod(0o606)
        case "intent":
            store.record([Intent("example", "renew", "root", NOW)])
    assert looked.due()


@pytest.mark.parametrize("how", ["written", "replaced", "removed", "another beside it", "another in its place"])
def test_where_the_configs_times_differ_its_digest_decides(looked: Looked, tmp_path: Path, how: str) -> None:
    config = [looked.config]
    match how:
        case "written":
            looked.config.write_text("y")
        case "replaced":
            other = tmp_path / "other"
            other.write_text("y")
            other.rename(looked.config)
        case "removed":
            looked.config.unlink()
        case "another beside it":
            config.append(tmp_path / "conf.d" / "a.toml")
        case "another in its place":
            config = [looked.watched]
    assert looked.due(digest="other", config=config)
    assert not looked.due(digest=CONFIG_DIGEST, config=config)


def test_a_config_that_cannot_be_read_any_more_makes_us_look(looked: Looked) -> None:
    def unreadable() -> str:
        raise PermissionError

    looked.config.unlink()
    assert nothing_due(looked.state_dir, [str(looked.config)], unreadable, NOW) is None


@pytest.mark.parametrize("age_ms", [-5, 0, 40, 60, 60_000])
def test_a_file_that_was_just_changed_may_change_again_without_a_trace(tmp_path: Path, age_ms: int) -> None:
    path = tmp_path / "file"
    path.touch()
    while path.stat().st_ctime_ns % 10**9 == 0:
        path.touch()
    found = sure_stat(str(path), datetime.fromtimestamp(path.stat().st_ctime_ns / 1e9 + age_ms / 1e3, UTC))
    sure = age_ms > 50
    assert (found == stat_file(str(path))) is sure
    assert same([found]) is sure


def test_what_was_answered_asks_for_nothing(store: SqliteStore, looked: Looked) -> None:
    store.record([Intent("example", "renew", "root", NOW, closed_at=NOW)])
    assert not looked.due()


def test_an_effect_ends_the_agenda_until_somebody_has_looked_again(store: SqliteStore, looked: Looked) -> None:
    """Whatever the run does later: killed between two effects, it leaves no silence behind."""
    effect = store.begin("publish", "", "", NOW)
    assert looked.due()
    store.end(effect, "done", "", NOW)
    assert looked.due()
    store.set_agenda(CONFIG_DIGEST, LATER, NOW)
    assert not looked.due()
    store.begin("publish", "", "", NOW)
    store.set_agenda(CONFIG_DIGEST, LATER, NOW)
    assert looked.due()


def test_a_folder_may_have_any_name(tmp_path: Path, clock: StandingClock) -> None:
    state = str(tmp_path / "50%3f? of #1")
    with closing(SqliteStore(store_path(state), clock, "h")) as store:
        store.set_agenda("digest", LATER, NOW)
    assert nothing_due(state, [], lambda: "digest", NOW) == (NOW, LATER)


@pytest.mark.parametrize("content", [b"", b"garbage" * 500])
def test_a_file_that_cannot_be_read_is_no_agenda(tmp_path: Path, content: bytes) -> None:
    path = Path(store_path(str(tmp_path)))
    path.parent.mkdir()
    path.write_bytes(content)
    assert nothing_due(str(tmp_path), [], lambda: "", NOW) is None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE agenda SET look_at = 1e300",
        "UPDATE agenda SET looked_at = 'x'",
        "UPDATE agenda_file SET path = CAST(x'ff' AS TEXT)",
        "UPDATE agenda_file SET path = 'a' || char(0)",
        "UPDATE agenda_config SET path = x'00'",
        "DROP TABLE agenda_config",
    ],
)
def test_a_damaged_row_makes_us_look(looked: Looked, damage: str) -> None:
    with closing(sqlite3.connect(store_path(looked.state_dir))) as database:
        database.execute(damage)
        database.commit()
    assert looked.due(digest="other")


def test_the_fast_path_imports_little() -> None:
    code = (
        "import sys, sqlite3; before = set(sys.modules)\n"
        "import danelaw.store.agenda; print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(found) <= {"danelaw", "danelaw.store", "danelaw.store.agenda"}
