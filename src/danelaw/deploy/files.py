"""Files that are there whole or not at all, and never open to more readers than they end up with.

Each call returns when what it did survives a power cut: file and folder are synced. A file is written under another
name in the same folder, private to us at first, given its owner and mode, and put in place by one rename.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from danelaw.errors import Refused, RetryLater

MAX_BYTES = 1 << 20
"""No key, certificate or chain comes near this; what is larger is not ours to copy."""

_LATER = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EIO: "the disk failed; check the kernel's log",
    errno.EMFILE: "too many open files; try again",
    errno.ENFILE: "too many open files; try again",
    errno.ENOMEM: "out of memory; try again",
}
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class Ownership(NamedTuple):
    """Whose a file is and who may read it: permission bits, numeric owner and group."""

    mode: int
    uid: int
    gid: int


class Found(NamedTuple):
    """A regular file as it stands."""

    data: bytes
    ownership: Ownership

    @property
    def sha256(self) -> str:
        """Return the digest of the content."""
        return hashlib.sha256(self.data).hexdigest()


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` into `RetryLater` (full, failing) or `Refused` (a person is needed), in words."""
    try:
        yield
    except OSError as error:
        named = error.filename2 or error.filename
        where = named if isinstance(named, str | Path) else path
        if error.errno in _LATER:
            raise RetryLater(f"{where}: {_LATER[error.errno]}") from error
        raise Refused(f"{where}: {error.strerror}; check the path, its owner and how it is mounted") from error


def read(path: str | Path, limit: int = MAX_BYTES) -> Found | None:
    """Return a regular file, links followed; None where nothing stands there.

    Raises `Refused` where it is no regular file or larger than ``limit`` bytes, `OSError` where it cannot be read.
    """
    try:
        # O_NONBLOCK: a FIFO must not make us wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{path}: found {kind(found.st_mode)}; expected a file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise Refused(f"{path}: found more than {limit} bytes; expected keys and certificates only")
    return Found(data, Ownership(stat.S_IMODE(found.st_mode) & 0o777, found.st_uid, found.st_gid))


def write_new(path: Path, data: bytes, ownership: Ownership | None = None) -> None:
    """Write a file that must not be there yet, synced; its folder is the caller's to sync.

    It is 0600 and ours until it is whole; without ``ownership`` it stays so.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    try:
        # The umask can only take bits away, from the owner too: say it again.
        os.fchmod(descriptor, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if ownership is not None:
            made = os.fstat(descriptor)
            # Owner before mode: no group gets to read what is meant for another.
            if (made.st_uid, made.st_gid) != (ownership.uid, ownership.gid):
                os.fchown(descriptor, ownership.uid, ownership.gid)
            os.fchmod(descriptor, ownership.mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_file(path: Path, data: bytes, ownership: Ownership | None = None) -> None:
    """Replace what stands at ``path``, a link itself included, by a file: one rename, synced."""
    clear_leftover(path)
    write_new(beside(path), data, ownership)
    beside(path).rename(path)
    sync_folder(path.parent)


def put_link(path: Path, target: str) -> None:
    """Replace what stands at ``path`` by a symbolic link: one rename, synced."""
    clear_leftover(path)
    beside(path).symlink_to(target)
    beside(path).rename(path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Take a file or link away, synced."""
    path.unlink()
    sync_folder(path.parent)


def beside(path: Path) -> Path:
    """Return the name under which a file is written before the rename; the same each time, so that none is left."""
    return path.parent / f".danelaw-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.new"


def clear_leftover(path: Path) -> None:
    """Take away what a killed run left beside ``path``."""
    with suppress(FileNotFoundError):
        beside(path).unlink()


def make_folder(path: Path, mode: int) -> None:
    """Make a folder with exactly these permissions; one that is there is only ever opened up as far as ``mode`` says.

    So an administrator's 0755 stays, and a 0700 becomes traversable where services must read through it.
    """
    try:
        found = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        make_parents(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(mode)
        sync_folder(path.parent)
        return
    if mode & ~found:
        path.chmod(found | mode)


def make_parents(path: Path) -> None:
    """Make missing folders above one of ours."""
    if not path.exists():
        make_parents(path.parent)
        path.mkdir(mode=0o755, exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make a folder's entries survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def kind(mode: int) -> str:
    """Return what a path that is no regular file is, with its article."""
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a device, socket or pipe" if not stat.S_ISREG(mode) else "a file"
