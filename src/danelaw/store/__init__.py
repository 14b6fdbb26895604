"""Where facts, effects, leases and the agenda are kept: SQLite, from the standard library.

``SqliteStore`` is looked up when it is first asked for, so that `danelaw.store.agenda`, which answers "nothing is due"
and imports sqlite3 alone, does not pay for the vocabulary and for cryptography.
"""

TYPE_CHECKING = False  # as type checkers read it: typing would cost as much as all of a run with nothing due
if TYPE_CHECKING:
    from danelaw.store.sqlite import SqliteStore

__all__ = ["SqliteStore"]


def __getattr__(name: str) -> type["SqliteStore"]:
    """Import the store on its first use (PEP 562)."""
    if name == "SqliteStore":
        from danelaw.store.sqlite import SqliteStore  # noqa: PLC0415 -- this is what keeps the fast path fast

        return SqliteStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
