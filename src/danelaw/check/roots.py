"""The CA certificates that this system trusts, for clients of usages 0 and 1 (RFC 6698 section 2.1.1)."""

import ssl
from functools import cache
from pathlib import Path

from danelaw import pki
from danelaw.errors import InputError
from danelaw.pki import pem

LARGEST = 16 << 20
"""Bytes of a bundle that is read."""


@cache
def system_roots() -> tuple[bytes, ...]:
    """Return the certificates of the bundle that OpenSSL uses here, DER; none where there is no such file."""
    path = ssl.get_default_verify_paths().cafile
    return () if path is None or not Path(path).is_file() else roots_in(path)


def roots_in(path: str) -> tuple[bytes, ...]:
    """Return the certificates of a PEM file, DER. Raises `InputError` where it cannot be read or holds none."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a PEM file of CA certificates") from None
    found = tuple(block.der for block in pem.blocks(data) if block.label == "CERTIFICATE")
    usable = tuple(each for each in found if pki.load(each) is not None)
    if not usable:
        raise InputError(f"{path}: no CA certificate in it; give a PEM file of CA certificates")
    return usable
