"""Make the store's file, for its owner alone and durably, before SQLite does."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Make the store's folder and its file before SQLite does, and keep other processes out while it is opened.

    Nobody else reads them, whatever the umask says. The lock is needed once: SQLite does not wait for another process
    that turns a new file's journal into a WAL at the same instant.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700 if folder == path.parent else 0o711)
        _sync(folder.parent)
    lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # SQLite gives its -wal and -shm files the mode of this one. A file that is there is not opened here: closing it
        # again would drop the locks that another connection of this process has on it (sqlite.org/howtocorrupt.html).
        if not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            os.fsync(lock)
        if path.stat().st_mode & 0o077 and path.is_file():
            path.chmod(0o600)
        yield
    finally:
        os.close(lock)


def _sync(folder: Path) -> None:
    """Make a folder's new entry survive a power cut; SQLite does it for its journals, not for its file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
