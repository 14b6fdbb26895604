"""Which files the configuration stands in, their digest, and the head of the first.

A run with nothing due needs the paths and the head alone, and os for them (docs/architecture.md, "Nothing due"); what
costs more is imported where a file is not as plain, or not as old, as most are. Whatever looks odd here is left to
`danelaw.config.load`, which says what is wrong.
"""

# ruff: noqa: PTH100, PTH116, PTH118, PTH120, PTH123, PTH208 - pathlib would add its imports to the run with nothing due

import os
import stat

DEFAULT_PATH = "/etc/danelaw/danelaw.toml"
DEFAULT_STATE_DIR = "/var/lib/danelaw"

MAX_BYTES = 16 * 1024 * 1024
"""More than any hand-written config has; a larger file is a mistake (a device, a log), not a config."""

PLAIN_HEAD = 8192
"""Bytes in which the first table of nearly every config begins."""


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
    import hashlib  # noqa: PLC0415 - OpenSSL comes with it

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
        if not stat.S_ISREG(os.stat(path).st_mode):  # a named pipe would keep us waiting
            return None
        with open(path, "rb", buffering=0) as file:
            start = file.read(PLAIN_HEAD)
        state_dir = _plain_state_dir(start) or _state_dir(read(path))
    except (OSError, ValueError, RecursionError):
        return None
    if state_dir is None:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(path)), state_dir))


def _plain_state_dir(start: bytes) -> str | None:
    """Return ``state_dir`` where all before the first table is comments and ``key = "plain words"``, else None.

    Such lines mean the same to every reader of TOML; what is less plain is tomllib's to read, at some 20 ms.
    """
    found: dict[str, str] = {}
    *lines, _cut = start.split(b"\n")
    for data in lines:
        line = data.removesuffix(b"\r").decode().strip(" \t")
        if line.startswith("["):
            return found.get("state_dir", DEFAULT_STATE_DIR)
        if not line.replace("\t", " ").isprintable():
            return None
        if not line or line.startswith("#"):
            continue
        key, _, value = (part.strip(" \t") for part in line.partition("="))
        before, words, after = (*value.split('"', 2), "", "")[:3] if value.count('"') > 1 else (value, "", "")
        plain = key.isascii() and key.isidentifier() and key not in found and not before
        if not plain or not words or "\\" in words or "\t" in words or after.lstrip(" \t")[:1] not in {"", "#"}:
            return None
        found[key] = words
    return None


def _state_dir(contents: bytes) -> str | None:
    """Return ``state_dir`` as tomllib reads it. Raises `ValueError` where it does not parse up to the first table."""
    import re  # noqa: PLC0415 - see `_plain_state_dir`
    import tomllib  # noqa: PLC0415

    table = re.search(rb"^[ \t]*\[", contents, re.MULTILINE)
    top = tomllib.loads(contents[: table.start() if table else None].decode())
    state_dir = top.get("state_dir", DEFAULT_STATE_DIR)
    return state_dir if isinstance(state_dir, str) and state_dir else None
