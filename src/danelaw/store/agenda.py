"""When to look again: what lets ``apply`` say "nothing is due" without looking, in some 30 ms.

This module imports os, sqlite3 and little else on purpose: no dataclasses, no model, no cryptography. It only reads;
`SqliteStore.set_agenda` writes. Whatever cannot be read is no agenda: the caller then looks, which is always right.
"""

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

STORE_FILE = "facts/facts.sqlite"
"""Where the store is, below the state folder."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FileStat(NamedTuple):
    """A file as it stood at the look: -1 everywhere where it was absent. A link is followed."""

    path: str
    mtime_ns: int
    size: int
    inode: int


class Agenda(NamedTuple):
    """What the last look left behind.

    ``look_at`` is the earliest instant at which anything may be due, ``looked_at`` when that was computed, both aware
    UTC. ``open_intents`` and ``open_effects`` are counted as they are now: above 0, somebody asked for something, or a
    run was killed in the middle, and there is something to look at whatever ``look_at`` says.
    """

    config_digest: str
    look_at: datetime
    looked_at: datetime
    files: tuple[FileStat, ...]
    open_intents: int
    open_effects: int

    def nothing_due(self, config_digest: str, now: datetime) -> bool:
        """Return whether nothing can be due: same config, same files, nothing asked for or owed, and too early."""
        return (
            self.config_digest == config_digest
            and self.looked_at <= now < self.look_at  # a clock that was set back makes us look
            and self.open_intents == 0
            and self.open_effects == 0
            and all(stat_file(file.path) == file for file in self.files)
        )


def store_path(state_dir: str) -> str:
    """Return the path of the store's file."""
    return os.path.join(state_dir, STORE_FILE)  # noqa: PTH118 -- pathlib is not imported on the fast path


def stat_file(path: str) -> FileStat:
    """Return how a file stands now."""
    try:
        found = os.stat(path)  # noqa: PTH116 -- pathlib is not imported on the fast path
    except OSError:
        return FileStat(path, -1, -1, -1)
    return FileStat(path, found.st_mtime_ns, found.st_size, found.st_ino)


def read_agenda(state_dir: str) -> Agenda | None:
    """Return the agenda of a state folder, or None where there is none that can be read."""
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
        return select_agenda(connection)
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def select_agenda(connection: sqlite3.Connection) -> Agenda | None:
    """Read the agenda through an open connection. Raises `sqlite3.Error` where the tables are not there."""
    row = connection.execute(
        "SELECT config_digest, look_at, looked_at,"
        " (SELECT count(*) FROM intent WHERE closed_at IS NULL),"
        " (SELECT count(*) FROM effect WHERE ended_at IS NULL)"
        " FROM agenda"
    ).fetchone()
    if row is None:
        return None
    files = connection.execute("SELECT path, mtime_ns, size, inode FROM agenda_file ORDER BY path")
    try:
        return Agenda(row[0], instant(row[1]), instant(row[2]), tuple(FileStat(*file) for file in files), *row[3:])
    except (TypeError, OverflowError):  # a damaged row
        return None


def instant(microseconds: int) -> datetime:
    """Return the instant that the store writes as whole microseconds since 1970, UTC."""
    return EPOCH + timedelta(microseconds=microseconds)
