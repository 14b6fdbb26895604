"""When to look again: what lets ``apply`` say "nothing is due" without looking.

This module imports os, sqlite3 and what comes with it, on purpose: no typing, no dataclasses, no model, no
cryptography. It only reads; `SqliteStore.set_agenda` writes. Whatever cannot be read is no agenda: the caller then
looks, which is always right.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

STORE_FILE = "facts/facts.sqlite"
"""Where the store is, below the state folder."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LONGEST = timedelta(days=1)
"""Proofs are no further apart (`run.agenda.next_look`)."""

FileStat = tuple[str, int, int, int, int]
"""A file as it stood: its path, mtime and ctime in ns, size, inode; `ABSENT` or `UNSURE`. A link is followed."""

ABSENT = (-1, -1, -1, -1)
UNSURE = (-2, -2, -2, -2)
"""It was changed so lately that another change might leave no trace in its times: it equals nothing."""

TICK_NS, LONG_TICK_NS = 50_000_000, 2_500_000_000
"""More than how far apart the times of a file are that differ: 10 ms where the kernel keeps them (time(7): a jiffy),
2 s in file systems that keep whole seconds (FAT)."""


def store_path(state_dir: str) -> str:
    """Return the path of the store's file."""
    return os.path.join(state_dir, STORE_FILE)  # noqa: PTH118 -- pathlib is not imported on the fast path


def stat_file(path: str) -> FileStat:
    """Return how a file stands now."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- pathlib is not imported on the fast path
    except OSError:
        return (path, *ABSENT)
    return (path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def sure_stat(path: str, now: datetime) -> FileStat:
    """Return how a file stands now, `UNSURE` where it was changed so lately that this could hide a later change.

    Who reads the file after this and finds what is known knows of every change until then and after.
    """
    found = stat_file(path)
    ctime_ns = found[2]
    tick_ns = TICK_NS if ctime_ns % 1_000_000_000 else LONG_TICK_NS
    now_ns = (now - EPOCH) // timedelta(microseconds=1) * 1000
    return found if found[1:] == ABSENT or ctime_ns + tick_ns < now_ns else (path, *UNSURE)


def same(files: Iterable[FileStat]) -> bool:
    """Tell whether all files stand as they stood."""
    stat = os.stat
    for path, mtime_ns, ctime_ns, size, inode in files:
        try:
            found = stat(path)
        except OSError:
            if mtime_ns != -1:
                return False
            continue
        if (
            found.st_mtime_ns != mtime_ns
            or found.st_ctime_ns != ctime_ns
            or found.st_size != size
            or found.st_ino != inode
        ):
            return False
    return True


def nothing_due(
    state_dir: str, config: Sequence[str], digest: Callable[[], str], now: datetime
) -> tuple[datetime, datetime] | None:
    """Return (when the last look was, when the next one is due) where nothing can be due, or None: look.

    Nothing can be due where that is ahead of ``now``, nothing was asked for or begun since, and neither the config's
    files nor those that were deployed have changed. ``config`` are the config's paths in order, ``digest`` returns
    their digest where their times alone cannot tell; it may raise `OSError`.
    """
    path = store_path(state_dir)
    if not os.path.exists(path):  # noqa: PTH110 -- pathlib is not imported on the fast path
        return None
    try:
        # By hand: urllib.parse would cost more than the query. These three end or change a URI's path.
        uri = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        connection = sqlite3.connect(f"file:{uri}?mode=ro", uri=True, timeout=2.0, isolation_level=None)
    except sqlite3.Error:
        return None
    try:
        connection.execute("BEGIN")  # one instant for all that is read
        return _nothing_due(connection, config, digest, now)
    except (sqlite3.Error, OSError, TypeError, ValueError, OverflowError):  # damaged rows among them
        return None
    finally:
        connection.close()


def _nothing_due(
    connection: sqlite3.Connection, config: Sequence[str], digest: Callable[[], str], now: datetime
) -> tuple[datetime, datetime] | None:
    row = connection.execute(
        "SELECT config_digest, looked_at, look_at FROM agenda"
        " WHERE NOT EXISTS (SELECT 1 FROM intent WHERE closed_at IS NULL)"
        " AND NOT EXISTS (SELECT 1 FROM effect WHERE ended_at IS NULL)"
    ).fetchone()
    if row is None:
        return None
    looked_at, look_at = instant(row[1]), instant(row[2])
    # A clock that was set back makes us look, also by what it said of the next look when it was ahead.
    if not looked_at <= now < look_at <= now + LONGEST:
        return None
    files = "SELECT path, mtime_ns, ctime_ns, size, inode FROM agenda_{} ORDER BY rowid"
    read: list[FileStat] = connection.execute(files.format("config")).fetchall()
    if ([file[0] for file in read] != list(config) or not same(read)) and digest() != row[0]:
        return None
    if not same(connection.execute(files.format("file"))):
        return None
    return looked_at, look_at


def instant(microseconds: int) -> datetime:
    """Return the instant that the store writes as whole microseconds since 1970, UTC."""
    return EPOCH + timedelta(microseconds=microseconds)
