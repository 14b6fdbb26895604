"""The store of one host: a SQLite file that survives kill -9, a full disk and two runs at once.

Every write is one transaction, on disk (WAL, synchronous=FULL) before the call returns, or not there at all; a lease
alone does not wait for the disk. What was read is kept in memory until somebody writes, this store or another process,
so that a look with nothing new costs microseconds.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from danelaw.errors import DanelawError, InputError, LeaseHeld, RetryLater, StateCorrupt
from danelaw.lifecycle.clock import instants, moved, moves
from danelaw.model import Chain, ChainFact, Clock, Effect, EffectOutcome, Fact, Facts, Presented
from danelaw.pki import pem
from danelaw.pki.chain import chain_from_der, chain_pem
from danelaw.store.agenda import EPOCH, FileStat, instant
from danelaw.store.columns import maybe_micros, micros, text
from danelaw.store.opening import opening
from danelaw.store.process import Holder, Processes
from danelaw.store.schema import migrate
from danelaw.store.tables import TABLES, Row, Table, chain_sha256

BUSY_SECONDS = 10.0
"""How long to wait for another process's transaction; ours take milliseconds."""

# SQLite's primary result codes (sqlite.org/rescode.html) after which another try may succeed, and what to do first.
_AGAIN = {
    sqlite3.SQLITE_PERM: "may not be written; run danelaw as root",
    sqlite3.SQLITE_BUSY: "another process is writing to it; try again",
    sqlite3.SQLITE_LOCKED: "another process is writing to it; try again",
    sqlite3.SQLITE_READONLY: "cannot be written; check its owner and whether the file system is mounted read-only",
    sqlite3.SQLITE_IOERR: "the disk failed; check the kernel's log",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its folder exists, is ours and is not mounted read-only",
}
_T = TypeVar("_T")
_Written: TypeAlias = tuple[Table, Row, Fact]


class SqliteStore:
    """`model.Store` in one SQLite file, or in memory (``":memory:"``).

    Opening makes the file (0600) and its folder (0700; folders above it 0711), and takes an older schema to the
    newest one. Raises `StateCorrupt` where the file is damaged, another program's or a newer danelaw's, and
    `RetryLater` where the disk is full, read-only or failing; so does every method. Not for use by several threads.
    """

    def __init__(self, path: str, clock: Clock, host: str, processes: Processes | None = None) -> None:
        self._path = path
        self._clock = clock
        self._host = host
        self._processes = processes or Processes()
        self._chains: dict[str, Chain] = {}
        self._rows: dict[type, dict[Row, Fact]] = {kind: {} for kind in TABLES}
        self._effects: dict[int, Effect] = {}
        self._facts = Facts()
        self._changed: set[str] = set()  # the fields of Facts that are to be built anew
        self._seen_version: int | None = None
        self._latest = EPOCH  # no instant of the rows above is later
        with self._explained(), opening(Path(path)) if path != ":memory:" else nullcontext():
            # check_same_thread stays on: a snapshot shared by two threads would be a race.
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")  # `_write` sets it for each transaction
                migrate(self._db, path)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file. Nothing is lost without it."""
        self._db.close()

    def snapshot(self) -> Facts:
        """Return all facts, oldest first in each tuple, as of one instant."""
        with self._explained():
            # Read before the rows: a commit in between then only costs another reading next time.
            version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen_version:
                self._load()
                self._seen_version = version
        return self._built()

    def record(self, facts: Sequence[Fact]) -> None:
        """Store facts durably, each replacing the row of its natural key, all or none."""
        if not facts:
            return
        with self._explained():
            self._remember(self._write(lambda: self._upsert(facts)))

    def begin(self, kind: str, subject: str, detail: str, at: datetime) -> int:
        """Store durably that an effect begins; return its id, higher than every one before.

        The world is about to change: the agenda goes in the same transaction, so that a run killed later is no silence.
        """
        values = (self._host, text(kind), text(subject), text(detail), micros(at))

        def put() -> int:
            self._db.execute("DELETE FROM agenda")
            made: int = self._db.execute(
                "INSERT INTO effect (host, kind, subject, detail, began_at) VALUES (?, ?, ?, ?, ?) RETURNING id", values
            ).fetchone()[0]
            return made

        with self._explained():
            effect: int = self._write(put)
            self._remember_effect(effect)
        return effect

    def end(
        self,
        effect: int,
        outcome: EffectOutcome,
        evidence: str,
        at: datetime,
        facts: Sequence[Fact] = (),
        retry_at: datetime | None = None,
    ) -> None:
        """Store how an effect ended, with the facts that it made, in one transaction.

        Raises `StateCorrupt` where there is no such effect, or it has ended before.
        """
        values = (micros(at), outcome, text(evidence), None if retry_at is None else micros(retry_at), effect)

        def finish() -> list[_Written]:
            ended = self._db.execute(
                "UPDATE effect SET ended_at = ?, outcome = ?, evidence = ?, retry_at = ?"
                " WHERE id = ? AND ended_at IS NULL",
                values,
            )
            if ended.rowcount != 1:
                raise StateCorrupt(f"{self._path}: effect {effect} is not open; another run may have ended it")
            return self._upsert(facts)

        with self._explained():
            self._remember(self._write(finish))
            self._remember_effect(effect)

    def level(self, at: datetime) -> int:
        """Move what was seen or done after ``at`` to just before it, order kept; return how many instants were moved.

        What lies after ``at`` is judged by the last snapshot: what another process has stored since may be later for
        the reason alone that its clock was read later.
        """
        if self._seen_version is None:
            self.snapshot()
        if self._latest <= at:
            return 0
        with self._explained():
            try:
                return self._write(lambda: self._level(at))
            finally:
                self._seen_version = None  # read again what is there now

    @contextmanager
    def lease(self, component: str) -> Iterator[None]:
        """Hold a component's lease. Raises `LeaseHeld` where a living process has it; a dead one's is taken at once."""
        boot_id = self._clock.boot()[0]
        mine = self._processes.this(self._host, boot_id)
        with self._explained():
            self._write(lambda: self._take_lease(component, mine), durably=False)
        try:
            yield
        finally:
            # Where this fails, the lease ends with this process all the same; what went wrong before is what counts.
            with suppress(DanelawError), self._explained():
                self._write(lambda: self._release_lease(component, mine), durably=False)

    def set_agenda(
        self,
        config_digest: str,
        look_at: datetime,
        looked_at: datetime,
        files: Sequence[FileStat] = (),
        config: Sequence[FileStat] = (),
    ) -> None:
        """Store when to look again, replacing what was said before.

        ``files`` are those whose change matters, ``config`` those of the configuration, in order.
        """
        values = (config_digest, micros(look_at), micros(looked_at))

        def put() -> None:
            self._db.execute("DELETE FROM agenda")
            self._db.execute("INSERT INTO agenda (one, config_digest, look_at, looked_at) VALUES (1, ?, ?, ?)", values)
            self._db.execute("DELETE FROM agenda_file")
            self._db.executemany("INSERT INTO agenda_file VALUES (?, ?, ?, ?, ?)", files)
            self._db.execute("DELETE FROM agenda_config")
            self._db.executemany("INSERT INTO agenda_config VALUES (?, ?, ?, ?, ?)", config)

        with self._explained():
            self._write(put)

    # ----------------------------------------------------------------------------------------------------------------

    def _built(self) -> Facts:
        """Return the facts of the rows that are kept in memory."""
        if self._changed:
            self._facts = replace(self._facts, **{name: self._oldest_first(name) for name in self._changed})
            self._changed.clear()
        return self._facts

    def _oldest_first(self, name: str) -> tuple[Any, ...]:
        if name == "effects":
            return tuple(self._effects.values())
        table = next(table for table in TABLES.values() if table.field == name)
        # Rows come in the order of their first writing, and the sort is stable: so equal instants keep that order.
        return tuple(sorted(self._rows[table.fact].values(), key=table.age))

    def _write(self, work: Callable[[], _T], *, durably: bool = True) -> _T:
        """Carry out ``work`` in one transaction: all of it, durably, or none.

        Not ``durably``: at once for every process, and a power cut may lose it before the next durable write. A lease
        is over after one anyway (its boot id), so that nobody waits for the disk on its account.
        """
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durably else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite itself rolls back after some errors (a full disk); the file is whole either way.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _upsert(self, facts: Sequence[Fact]) -> list[_Written]:
        """Write facts, inside a transaction; return their rows' keys and what a reader of those rows gets."""
        written: list[_Written] = []
        for fact in facts:
            table = TABLES[type(fact)]
            if isinstance(fact, ChainFact | Presented):
                self._write_chain(fact.chain)
            row = table.write(fact)
            self._db.execute(table.upsert, row)
            written.append((table, row[: table.key], table.read(row, self._chain)))
        return written

    def _level(self, at: datetime) -> int:
        """Level the rows, inside a transaction. A table is written anew: one row's new key may be another's old one."""
        self._read_all()
        found = moves(self._built(), at)
        for table in TABLES.values():
            rows = [*self._rows[table.fact].values()]
            level = [moved(row, found) for row in rows]
            if any(new is not old for new, old in zip(level, rows, strict=True)):
                self._db.execute(f"DELETE FROM {table.name}")  # noqa: S608 -- names from there
                self._upsert(level)
        for effect in self._effects.values():
            if (new := moved(effect, found)) is not effect:
                self._db.execute(
                    "UPDATE effect SET began_at = ?, ended_at = ?, retry_at = ? WHERE id = ?",
                    (micros(new.began_at), maybe_micros(new.ended_at), maybe_micros(new.retry_at), new.id),
                )
        return len(found)

    def _write_chain(self, chain: Chain) -> None:
        digest = chain_sha256(chain)
        self._chains[digest] = chain  # what a digest stands for stays true if the transaction is rolled back
        self._db.execute(
            "INSERT OR IGNORE INTO certificate_chain (chain_sha256, chain_pem) VALUES (?, ?)",
            (digest, chain_pem(chain)),
        )

    def _remember(self, written: list[_Written]) -> None:
        """Bring what is kept in memory up to date, after the commit."""
        for table, key, fact in written:
            self._rows[table.fact][key] = fact
            self._latest = max([self._latest, *instants(fact)])
            self._changed.add(table.field)

    def _remember_effect(self, effect: int) -> None:
        self._effects.update(self._read_effects("WHERE id = ?", effect))
        self._latest = max([self._latest, *instants(self._effects[effect])])
        self._changed.add("effects")

    def _load(self) -> None:
        """Read everything, as of one instant."""
        self._db.execute("BEGIN")
        try:
            self._read_all()
        finally:
            self._db.execute("COMMIT")

    def _read_all(self) -> None:
        """Read everything, inside a transaction. Raises `StateCorrupt` where a row says what no fact can."""
        reading = "effect"
        try:
            self._effects = self._read_effects("ORDER BY id")
            self._changed.add("effects")
            for table in TABLES.values():
                reading = table.name
                found = self._db.execute(table.select)
                self._rows[table.fact] = {row[: table.key]: table.read(row, self._chain) for row in found}
                self._changed.add(table.field)
            rows = [*self._effects.values(), *(fact for known in self._rows.values() for fact in known.values())]
            self._latest = max((at for row in rows for at in instants(row)), default=EPOCH)
        except (ValueError, TypeError, AttributeError, OverflowError, InputError) as error:
            raise StateCorrupt(
                f"{self._path}: a row of {reading} cannot be read ({error}); restore the file from a backup"
            ) from error

    def _read_effects(self, which: str, *values: int) -> dict[int, Effect]:
        rows = self._db.execute(
            f"SELECT id, kind, subject, detail, began_at, ended_at, outcome, evidence, retry_at FROM effect {which}",  # noqa: S608 -- a clause from this module
            values,
        )
        return {
            row[0]: Effect(
                id=row[0],
                kind=row[1],
                subject=row[2],
                detail=row[3],
                began_at=instant(row[4]),
                ended_at=None if row[5] is None else instant(row[5]),
                outcome=row[6],
                evidence=row[7],
                retry_at=None if row[8] is None else instant(row[8]),
            )
            for row in rows
        }

    def _chain(self, digest: str) -> Chain:
        """Return the chain of a digest; parsed once."""
        if digest not in self._chains:
            row = self._db.execute(
                "SELECT chain_pem FROM certificate_chain WHERE chain_sha256 = ?", (digest,)
            ).fetchone()
            if row is None:
                raise StateCorrupt(f"{self._path}: the chain {digest} is missing; restore the file from a backup")
            self._chains[digest] = chain_from_der([block.der for block in pem.blocks(row[0].encode())])
        return self._chains[digest]

    def _take_lease(self, component: str, mine: Holder) -> None:
        row = self._db.execute(
            "SELECT host, pid, started, boot_id, since FROM lease WHERE component = ?", (component,)
        ).fetchone()
        if row is not None and self._processes.lives(holder := Holder(*row[:4]), self._host, mine.boot_id):
            since = f"{instant(row[4]):%Y-%m-%d %H:%M:%S} UTC"
            where, remedy = "", ""
            if holder.host != self._host:
                where = f" on another host, {holder.host}"
                remedy = (
                    "; where that host is gone, or is this one by an earlier name, end the lease:"  # noqa: S608 (for a person to run)
                    f' sqlite3 {self._path} "DELETE FROM lease WHERE pid = {holder.pid}"'
                )
            raise LeaseHeld(
                f"{component}: another run is at work{where} (process {holder.pid}, since {since});"
                f" nothing was done{remedy}"
            )
        self._db.execute(
            "INSERT OR REPLACE INTO lease (component, host, pid, started, boot_id, since) VALUES (?, ?, ?, ?, ?, ?)",
            (component, *mine, micros(self._clock.now())),
        )

    def _release_lease(self, component: str, mine: Holder) -> None:
        self._db.execute(
            "DELETE FROM lease WHERE component = ? AND host = ? AND pid = ? AND started = ? AND boot_id = ?",
            (component, *mine),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into ours, in words."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a closed store, another thread: a defect of ours, not of the state
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF  # without the extended part
            if code in _AGAIN:
                raise RetryLater(f"{self._path}: {_AGAIN[code]} ({error}); nothing was stored") from error
            raise StateCorrupt(f"{self._path}: {error}; restore the file from a backup") from error
        except OSError as error:
            raise RetryLater(f"{error.filename or self._path}: {error.strerror}; nothing was stored") from error
