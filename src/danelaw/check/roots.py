"""The CA certificates that this system trusts, for records of usages 0 and 1 (RFC 6698 section 2.1.1)."""

import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from danelaw import pki
from danelaw.errors import InputError

HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""Names of the files in a folder of CA certificates that OpenSSL reads (openssl-rehash(1))."""

MOST_ROOTS = 10_000

LARGEST = 1 << 20
"""Bytes; a file that is larger counts for nothing."""


def system_roots() -> tuple[bytes, ...]:
    """Return the certificates of the file and of the folder where OpenSSL looks here, DER, each once."""
    paths = ssl.get_default_verify_paths()
    return roots_in(paths.cafile, paths.capath)


def roots_in(cafile: str | None, capath: str | None) -> tuple[bytes, ...]:
    """Return the certificates of a file and of a folder as OpenSSL keeps one, DER, each once; none of what is not."""
    return tuple(dict.fromkeys(_found(cafile, capath)))[:MOST_ROOTS]


def _found(cafile: str | None, capath: str | None) -> Iterable[bytes]:
    files = [Path(cafile)] if cafile else []
    if capath:
        with suppress(OSError):  # no such folder: then none are there
            files += sorted(each for each in Path(capath).iterdir() if HASHED.fullmatch(each.name))
    for path in files:
        # one unreadable file of a system's hundred hides no other
        with suppress(OSError, InputError), path.open("rb") as file:
            data = file.read(LARGEST + 1)
            yield from pki.certificates(data) if len(data) <= LARGEST else ()
