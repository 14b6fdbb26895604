"""The CA certificates that this machine trusts, for records of usages 0 and 1."""

import ssl
from contextlib import suppress
from pathlib import Path

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian's ca-certificates keeps them all in one file."""


def system_roots() -> tuple[bytes, ...]:
    """Return them, DER; () where there are none. OpenSSL's own file counts, else `BUNDLE`."""
    for path in (ssl.get_default_verify_paths().cafile, BUNDLE):
        if path is not None and Path(path).is_file():
            with suppress(OSError):  # ssl.SSLError is one: a file without certificates
                return roots_of(path)
    return ()


def roots_of(path: str) -> tuple[bytes, ...]:
    """Return the CA certificates of a PEM file, DER. Raises OSError where there are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=path)
    return tuple(context.get_ca_certs(binary_form=True))
