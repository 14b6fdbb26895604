"""DNS answers built octet by octet, the malformed ones too."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from danelaw.dns import message as wire


def rr(owner: str, rrtype: int, rdata: bytes = b"", ttl: int = 300) -> bytes:
    return wire.record(wire.name_of(owner), rrtype, wire.IN, ttl, rdata)


def rrsig(
    owner: str,
    covers: int,
    *,
    labels: int,
    original_ttl: int = 300,
    expires: datetime = datetime(2026, 12, 1, tzinfo=UTC),
) -> bytes:
    until = int(expires.timestamp()) % 2**32
    fixed = struct.pack("!HBBIIIH", covers, 13, labels, original_ttl, until, 0, 4711)
    return rr(owner, wire.RRSIG, fixed + wire.name_wire(wire.name_of("example.org")) + b"signature")


def message(
    owner: str,
    rrtype: int,
    answer: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    additional: Sequence[bytes] = (),
    flags: int = 0x8400,
) -> bytes:
    """An answer, authoritative unless ``flags`` say otherwise."""
    head = struct.pack("!HHHHHH", 1, flags, 1, len(answer), len(authority), len(additional))
    question = wire.name_wire(wire.name_of(owner)) + struct.pack("!HH", rrtype, wire.IN)
    return head + question + b"".join((*answer, *authority, *additional))
