"""PEM (RFC 7468) without surprises: blocks by label, bounded, whatever text stands between them ignored."""

import base64
import binascii
import re
from typing import NamedTuple

from danelaw.errors import InputError

MAX_BYTES = 1 << 20
"""No honest chain, key or CSR comes near this."""

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----\s*?\n(.*?)-----END \1-----", re.DOTALL)


class Block(NamedTuple):
    """One PEM block: its label (``CERTIFICATE``), its content decoded, and its own text."""

    label: str
    der: bytes
    text: bytes


def check_size(data: bytes) -> bytes:
    """Return ``data``. Raises `InputError` where it is empty or larger than `MAX_BYTES`."""
    if not data.strip():
        raise InputError("found nothing in it; expected a certificate, a chain, a CSR or a key, as PEM or DER")
    if len(data) > MAX_BYTES:
        raise InputError(f"found {len(data)} bytes; expected a certificate, a chain, a CSR or a key of at most 1 MiB")
    return data


def blocks(data: bytes) -> list[Block]:
    """Return the PEM blocks in ``data``, in order. Raises `InputError` where one is cut or is not base64."""
    data = check_size(data)
    found = []
    for match in _BLOCK.finditer(data):
        label = match[1].decode("ascii")
        # RFC 1421 headers occur only in old encrypted keys; those are recognised by their text and never decoded.
        der = b"" if b":" in match[2] else _decode(label, match[2])
        found.append(Block(label, der, match[0]))
    if len(found) != data.count(b"-----BEGIN "):
        raise InputError("found a PEM block that is cut off; every -----BEGIN needs its own -----END line")
    return found


def encode(label: str, der: bytes) -> str:
    """Return ``der`` as one PEM block with 64 columns and a final newline (RFC 7468 section 2)."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _decode(label: str, body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        # "from None": the text may be a private key's.
        raise InputError(f"found a PEM block {label} that is not base64; copy the file again") from None
