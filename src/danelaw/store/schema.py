"""The tables, as migrations: each entry takes the file one version up, and no entry is ever changed.

Instants are whole microseconds since 1970, UTC. Digests are lower-case hexadecimal. TLSA records are text as people
write them (``3 1 1 60785a…``), one a line where there are several. What may be unknown is NULL, except in keys, where
SQLite would take two NULLs for different values: there it is the empty string.
"""

import sqlite3
from collections.abc import Sequence

from danelaw.errors import StateCorrupt

APPLICATION_ID = 0x64616E65
"""``dane``: tells our file from another program's (``PRAGMA application_id``)."""

VERSION_1 = (
    """CREATE TABLE certificate_chain (
        chain_sha256 TEXT PRIMARY KEY,        -- over the certificates' DER, leaf first
        chain_pem TEXT NOT NULL)""",
    """CREATE TABLE "key" (
        spki_sha256 TEXT NOT NULL, certificate TEXT NOT NULL, spki_der BLOB NOT NULL, algorithm TEXT NOT NULL,
        host TEXT NOT NULL, path TEXT NOT NULL, origin TEXT NOT NULL, made_at INTEGER NOT NULL,
        compromised_at INTEGER, destroyed_at INTEGER,
        PRIMARY KEY (spki_sha256, certificate))""",
    """CREATE TABLE chain (
        leaf_sha256 TEXT PRIMARY KEY, certificate TEXT NOT NULL, chain_sha256 TEXT NOT NULL, ca TEXT NOT NULL,
        obtained_at INTEGER NOT NULL, revoked_at INTEGER, reason INTEGER)""",
    """CREATE TABLE ca_order (
        url TEXT PRIMARY KEY, certificate TEXT NOT NULL, ca TEXT NOT NULL, spki_sha256 TEXT NOT NULL,
        csr_der BLOB NOT NULL, opened_at INTEGER NOT NULL, closed_at INTEGER, problem TEXT)""",
    """CREATE TABLE intent (
        certificate TEXT NOT NULL, kind TEXT NOT NULL, "by" TEXT NOT NULL, asked_at INTEGER NOT NULL,
        closed_at INTEGER,
        PRIMARY KEY (certificate, kind, asked_at))""",
    """CREATE TABLE rrset_seen (
        owner TEXT NOT NULL, server TEXT NOT NULL, rcode TEXT NOT NULL, rdatas TEXT NOT NULL, ttl INTEGER NOT NULL,
        original_ttl INTEGER NOT NULL, cname_ttl INTEGER NOT NULL, rrsig_expires INTEGER,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (owner, server, first_at))""",
    """CREATE TABLE server (
        owner TEXT NOT NULL, server TEXT NOT NULL, ns_ttl INTEGER NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (owner, server))""",
    """CREATE TABLE unreachable (
        owner TEXT NOT NULL, server TEXT NOT NULL, problem TEXT NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (owner, server, first_at))""",
    """CREATE TABLE owner (
        owner TEXT NOT NULL, zone TEXT NOT NULL, target TEXT NOT NULL, security TEXT NOT NULL, why TEXT NOT NULL,
        validated TEXT NOT NULL, wildcard INTEGER NOT NULL, host_wildcard INTEGER NOT NULL,
        left_out TEXT NOT NULL,               -- a JSON list
        problem TEXT, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (owner, first_at))""",
    """CREATE TABLE primary_rrset (
        owner TEXT PRIMARY KEY, rdatas TEXT NOT NULL, ttl INTEGER NOT NULL, at INTEGER NOT NULL)""",
    """CREATE TABLE own_record (
        owner TEXT NOT NULL, record TEXT NOT NULL, publisher TEXT NOT NULL, added_at INTEGER NOT NULL,
        withdrawn_at INTEGER,
        PRIMARY KEY (owner, record, added_at))""",
    """CREATE TABLE presented (
        endpoint_host TEXT NOT NULL, port INTEGER NOT NULL, protocol TEXT NOT NULL, connect TEXT NOT NULL,
        address TEXT NOT NULL, mine INTEGER NOT NULL, chain_sha256 TEXT NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (endpoint_host, port, protocol, connect, address, chain_sha256, first_at))""",
    """CREATE TABLE silent (
        endpoint_host TEXT NOT NULL, port INTEGER NOT NULL, protocol TEXT NOT NULL, connect TEXT NOT NULL,
        address TEXT NOT NULL, mine INTEGER NOT NULL, problem TEXT NOT NULL,
        first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
        PRIMARY KEY (endpoint_host, port, protocol, connect, address, first_at))""",
    """CREATE TABLE generation (
        host TEXT NOT NULL, deployment TEXT NOT NULL, n INTEGER NOT NULL, leaf_sha256 TEXT NOT NULL,
        files TEXT NOT NULL,                  -- a JSON object: digest by path
        staged_at INTEGER NOT NULL, active_at INTEGER, reloaded_at INTEGER, proven_at INTEGER, failed_at INTEGER,
        tries INTEGER NOT NULL, shape TEXT NOT NULL,
        PRIMARY KEY (host, deployment, n))""",
    """CREATE TABLE on_disk (
        deployment TEXT PRIMARY KEY, files TEXT NOT NULL, at INTEGER NOT NULL)""",
    """CREATE TABLE effect (
        id INTEGER PRIMARY KEY AUTOINCREMENT, -- rises even where the last row was deleted
        host TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL,
        began_at INTEGER NOT NULL, ended_at INTEGER, outcome TEXT, evidence TEXT NOT NULL DEFAULT '',
        retry_at INTEGER)""",
    "CREATE INDEX effect_open ON effect (id) WHERE ended_at IS NULL",
    """CREATE TABLE agenda (
        one INTEGER PRIMARY KEY CHECK (one = 1), config_digest TEXT NOT NULL, look_at INTEGER NOT NULL,
        looked_at INTEGER NOT NULL)""",
    """CREATE TABLE agenda_file (
        path TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, inode INTEGER NOT NULL)""",
    """CREATE TABLE lease (
        component TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL,
        boot_id TEXT NOT NULL, since INTEGER NOT NULL)""",
)

VERSION_2 = (
    "DELETE FROM agenda",
    "DROP TABLE agenda_file",
    # How files stood at the look, in their order: those that were deployed, and those of the config.
    """CREATE TABLE agenda_file (
        path TEXT NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
        inode INTEGER NOT NULL)""",
    """CREATE TABLE agenda_config (
        path TEXT NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, size INTEGER NOT NULL,
        inode INTEGER NOT NULL)""",
)

VERSION_3 = (
    "DELETE FROM agenda",  # what was nothing to do for the danelaw before may be a next key to make
    'ALTER TABLE "key" ADD COLUMN current_since INTEGER',
    'ALTER TABLE "key" ADD COLUMN archived_at INTEGER',
    'UPDATE "key" SET current_since = made_at',  # there were no others than current keys
    "ALTER TABLE intent ADD COLUMN options TEXT NOT NULL DEFAULT ''",  # one a line
    "ALTER TABLE intent ADD COLUMN leaf_sha256 TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE intent ADD COLUMN reason INTEGER",
    """CREATE TABLE clock_seen (
        host TEXT PRIMARY KEY, boot_id TEXT NOT NULL, boot_seconds REAL NOT NULL, at INTEGER NOT NULL)""",
    """CREATE TABLE clock_stepped (
        at INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, seconds REAL NOT NULL)""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (VERSION_1, VERSION_2, VERSION_3)
"""Statements that lead from version n to n + 1, by n."""


def migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Take the file to the newest version, in one transaction.

    Raises `StateCorrupt` where it is another program's or a newer danelaw's; `sqlite3.Error` where it cannot be read.
    """
    if _version(connection, path, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another process may have been faster.
        for statements in migrations[_version(connection, path, len(migrations)) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: str, newest: int) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION_ID and not (empty and application == 0 and version == 0):
        raise StateCorrupt(f"{path}: a database of another program; give state_dir a folder of its own")
    if not 0 <= version <= newest:
        raise StateCorrupt(
            f"{path}: written by a newer danelaw (schema {version}, this one knows {newest}); install that one"
        )
    return version
