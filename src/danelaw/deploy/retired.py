"""Keys that nothing needs any more: archived, or destroyed with every copy that danelaw made of them.

::

    state_dir/keys/archive/<SPKI SHA-256>.pem        one that was archived
    state_dir/keys/archive/<SPKI SHA-256>.shredded   written before one is destroyed, so that a run which was killed
                                                     half-way is told from a key that somebody else took away

Destroying a key overwrites its files with zeros, syncs and removes them. On journalling and copy-on-write file systems,
on SSDs and in backups that is the best effort, and no promise: earlier blocks may stay readable there. Copies that
danelaw made of it are earlier generations of deployed files and what it found at their paths; a generation goes whole.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from danelaw import pki
from danelaw.deploy import files
from danelaw.deploy.generations import CURRENT, PATHS
from danelaw.errors import InputError, Refused, StateCorrupt
from danelaw.model import KeyFact

_BLOCK = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


def archived(keys: Path, spki_sha256: str) -> Path:
    """Return where a key of the folder ``keys`` is once it is archived."""
    return keys / "archive" / f"{spki_sha256}.pem"


def archive(keys: Path, spki_sha256: str) -> Path | None:
    """Move a key among the archived ones and return where it is; None where it was destroyed already. Idempotent.

    Raises `StateCorrupt` where it is nowhere, and nobody said that it may be; `OSError`.
    """
    path, kept = keys / f"{spki_sha256}.pem", archived(keys, spki_sha256)
    files.make_folder(kept.parent, 0o700)
    if path.exists():
        _forget_markers(keys, path.name)
        path.rename(kept)
    elif not kept.exists():
        if _tombstone(keys, spki_sha256).exists():
            return None
        raise _gone(keys, path, spki_sha256)
    files.sync_folder(kept.parent)
    files.sync_folder(keys)
    return kept


def shred(keys: Path, live: Path, key: KeyFact) -> None:
    """Destroy a key's files, and below ``live`` the generations over it. Idempotent.

    Raises `Refused`, before anything is destroyed, where services read a generation over it; `StateCorrupt` where the
    key is nowhere, and nobody said that it may be; `OSError`.
    """
    path, kept = keys / f"{key.spki_sha256}.pem", archived(keys, key.spki_sha256)
    tombstone = _tombstone(keys, key.spki_sha256)
    files.make_folder(kept.parent, 0o700)
    if not (path.exists() or kept.exists() or tombstone.exists()):
        raise _gone(keys, path, key.spki_sha256)
    copies = list(_copies(live, key))
    for copy in copies:
        _refuse_live(copy, key)
    if not tombstone.exists():
        files.put_file(tombstone, b"")
    _forget_markers(keys, path.name)
    for copy in copies:
        _destroy_copy(copy, key)
    for one in (path, kept):
        if one.exists():
            _overwrite(one)
            files.remove(one)


# --------------------------------------------------------------------------------------------------------------------


def _tombstone(keys: Path, spki_sha256: str) -> Path:
    return archived(keys, spki_sha256).with_suffix(".shredded")


def _gone(keys: Path, path: Path, spki_sha256: str) -> StateCorrupt:
    return StateCorrupt(
        f"{path}: the key is gone, and danelaw did not put it away; restore it from a backup, "
        f"or, where you destroyed it, say so: touch {_tombstone(keys, spki_sha256)}"
    )


def _forget_markers(keys: Path, name: str) -> None:
    """Take away the links that say that a key was made for a certificate: it is not to be found by them again."""
    for marker in sorted(keys.iterdir()):
        if marker.is_symlink() and str(marker.readlink()) == name:
            files.remove(marker)


def _copies(live: Path, key: KeyFact) -> Iterator[Path]:
    """Yield what holds copies of the key below ``live``: a generation's folder, one being written, a file found."""
    if not live.is_dir():
        return
    for deployment in sorted(path for path in live.iterdir() if path.is_dir()):
        for each in sorted(deployment.iterdir()):
            if each.name == "found":
                yield from (file for file in sorted(each.iterdir()) if _holds(file, key))
            elif each.is_dir() and not each.is_symlink() and any(_holds(file, key) for file in each.iterdir()):
                yield each


def _refuse_live(copy: Path, key: KeyFact) -> None:
    """Refuse where services read this generation, or its files at their paths. Raises `Refused`."""
    deployment = copy.parent
    if not copy.name.isdecimal():
        return
    paths = _paths(deployment)
    named = ", ".join(paths) or f"what leads to {deployment / CURRENT}"
    linked = False
    with suppress(FileNotFoundError):
        linked = str((deployment / CURRENT).readlink()) == copy.name
    if linked or any(_holds(Path(path), key) for path in paths):
        raise Refused(
            f"{named}: services still read the key {key.spki_sha256[:16]}… there, so it is not destroyed; "
            "deploy another one there, or remove these paths where nothing reads them"
        )


def _paths(deployment: Path) -> list[str]:
    """Return the paths that a deployment's files are for; none where an earlier danelaw staged them."""
    found = files.read(deployment / PATHS)
    with suppress(ValueError):
        named = json.loads(found.data) if found is not None else []
        if isinstance(named, list):
            return [path for path in named if isinstance(path, str)]
    return []


def _holds(path: Path, key: KeyFact) -> bool:
    """Tell whether a file holds the key, in any form that needs no password."""
    try:
        found = files.read(path)
    except (Refused, OSError):  # no file, or none that we could read
        return False
    for block in _BLOCK.finditer(found.data if found is not None else b""):
        with suppress(InputError):
            if pki.open_private_key(block[0] + b"\n", whole=False).spki_der == key.spki_der:
                return True
    return False


def _destroy_copy(copy: Path, key: KeyFact) -> None:
    """Destroy a generation's folder whole, or a file. A numbered folder is there whole or not at all."""
    if not copy.is_dir():
        _overwrite(copy)
        files.remove(copy)
        return
    if copy.name.isdecimal():
        leaving = copy.with_name(f".{copy.name}.old")
        if leaving.exists():
            shutil.rmtree(leaving)
        copy = copy.rename(leaving)
        files.sync_folder(copy.parent)
    for file in sorted(copy.iterdir()):
        if _holds(file, key):
            _overwrite(file)
            file.unlink()
    shutil.rmtree(copy)
    files.sync_folder(copy.parent)


def _overwrite(path: Path) -> None:
    """Write zeros over a file in place, synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        left = os.fstat(descriptor).st_size
        while left:
            left -= os.write(descriptor, bytes(min(left, 1 << 16)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
