"""Which files the configuration stands in, their digest, and the head of the first.

Only os, hashlib and tomllib: a run with nothing due compares the digest, opens the state, and stops
(architecture.md, "Start-up"). Whatever looks odd here is left to `danelaw.config.load`, which says what is wrong.
"""

# ruff: noqa: PTH100, PTH116, PTH118, PTH120, PTH123, PTH208 - pathlib would add its imports to the run with nothing due

import hashlib
import os
import re
import stat
import tomllib

DEFAULT_PATH = "/etc/danelaw/danelaw.toml"
DEFAULT_STATE_DIR = "/var/lib/danelaw"

MAX_BYTES = 16 * 1024 * 1024
"""More than any hand-written config has; a larger file is a mistake (a device, a log), not a config."""

_TABLE = re.compile(rb"^[ \t]*\[", re.MULTILINE)


def paths(path: str) -> tuple[str, ...]:
    """Return the absolute paths of the config's files: itself, then ``conf.d/*.toml`` beside it in order of name.

    Hidden files are no config (editors leave them). Raises `OSError` where conf.d cannot be listed.
    """
    first = os.path.abspath(path)
    folder = os.path.join(os.path.dirname(first), "conf.d")
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        names = []
    return (first, *(os.path.join(folder, n) for n in names if n.endswith(".toml") and not n.startswith(".")))


def read(path: str) -> bytes:
    """Return one file's contents. Raises `OSError`, also for what is no file, or larger than any config."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would keep us waiting
        raise OSError("no regular file")
    with open(path, "rb") as file:
        contents = file.read(MAX_BYTES + 1)
    if len(contents) > MAX_BYTES:
        raise OSError(f"more than {MAX_BYTES // 2**20} MiB")
    return contents


def digest_of(files: dict[str, bytes]) -> str:
    """Return the SHA-256 of paths and contents, each with its length, in order; hexadecimal."""
    sha256 = hashlib.sha256()
    for path, contents in files.items():
        name = os.fsencode(path)
        sha256.update(b"%d %d\n" % (len(name), len(contents)))
        sha256.update(name)
        sha256.update(contents)
    return sha256.hexdigest()


def digest(path: str) -> str:
    """Return the digest of the config's files as they stand now, equal to ``load(path).digest``. Raises `OSError`."""
    return digest_of({each: read(each) for each in paths(path)})


def head(path: str) -> str | None:
    """Return ``state_dir`` from what stands before the first table, absolute.

    None where the file cannot be read or does not parse so far: `danelaw.config.load` then says why. A cut inside a
    multi-line value leaves it unterminated, so it never parses to something else.
    """
    try:
        contents = read(path)
        table = _TABLE.search(contents)
        top = tomllib.loads(contents[: table.start() if table else None].decode())
    except (OSError, ValueError, RecursionError):
        return None
    state_dir = top.get("state_dir", DEFAULT_STATE_DIR)
    if not isinstance(state_dir, str) or not state_dir:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(path)), state_dir))
