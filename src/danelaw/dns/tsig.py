"""TSIG: shared keys from the files that administrators have, and signing with them (RFC 8945).

A secret is held in one field that no repr shows; no error names anything but the file, the key and the algorithm.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from danelaw.dns import message as wire
from danelaw.dns.message import Malformed, Message, Name, Record

FUDGE = 300
"""How many seconds the two clocks may be apart (RFC 8945 section 10 recommends this)."""

BADSIG, BADKEY, BADTIME, BADTRUNC = 16, 17, 18, 22

ALGORITHMS = {
    "hmac-md5": "hmac-md5.sig-alg.reg.int.",
    "hmac-sha1": "hmac-sha1.",
    "hmac-sha224": "hmac-sha224.",
    "hmac-sha256": "hmac-sha256.",
    "hmac-sha384": "hmac-sha384.",
    "hmac-sha512": "hmac-sha512.",
}
"""Our name of each algorithm, and its name on the wire (RFC 8945 section 6)."""


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A shared key. ``name`` has its final dot; ``algorithm`` is a key of `ALGORITHMS`.

    ``mac_bits`` is the length that MACs are cut to, None for whole ones: ``hmac-sha256-128`` in BIND's files means
    hmac-sha256 cut to 128 bits (RFC 8945 section 5.2.2.1), and so it is here.
    """

    name: str
    algorithm: str
    secret: bytes = field(repr=False)
    mac_bits: int | None = None

    @property
    def warning(self) -> str | None:
        """Return why the algorithm should be replaced (RFC 8945 section 6), None where it need not be."""
        if self.algorithm not in {"hmac-md5", "hmac-sha1"}:
            return None
        verb = "must not" if self.algorithm == "hmac-md5" else "should not"
        make = f"`tsig-keygen -a hmac-sha256 {self.name.removesuffix('.')}`"
        return f"TSIG key {self.name} uses {self.algorithm}, which {verb} be used any more; make a new one with {make}"


class BadTsig(Exception):
    """An answer's signature is missing or wrong: the answer is not believed. The text says what is wrong."""


class KeyRejected(Exception):
    """The server says that it does not accept our key or signature. Necessarily unsigned (RFC 8945 section 5.3.2)."""

    def __init__(self, error: int) -> None:
        self.error = error
        super().__init__({BADSIG: "BADSIG", BADKEY: "BADKEY", BADTRUNC: "BADTRUNC"}.get(error, str(error)))


class ClocksApart(Exception):
    """Ours and the server's clock differ by more than the fudge; ``theirs`` is what the server's says."""

    def __init__(self, theirs: datetime) -> None:
        self.theirs = theirs
        super().__init__(theirs.isoformat())


def sign(query: bytes, key: TsigKey, now: datetime) -> tuple[bytes, bytes]:
    """Return a message with its TSIG record, and the MAC, which the answer's will be computed over."""
    times = struct.pack("!QH", int(now.timestamp()), FUDGE)[2:]  # 48 bits of time, 16 of fudge
    mac = _mac(key, b"", query, times, 0, b"")
    size = len(mac) if key.mac_bits is None else key.mac_bits // 8
    mac = mac[:size]
    rdata = _algorithm(key) + times + struct.pack("!H", len(mac)) + mac + query[:2] + struct.pack("!HH", 0, 0)
    (additional,) = struct.unpack("!H", query[10:12])
    head = query[:10] + struct.pack("!H", additional + 1)
    return head + query[12:] + wire.record(wire.name_of(key.name), wire.TSIG, wire.CLASS_ANY, 0, rdata), mac


def verify(answer: bytes, parsed: Message, key: TsigKey, request_mac: bytes, now: datetime) -> None:
    """Check an answer's signature (RFC 8945 section 5.4). Returns where it is good.

    Raises `BadTsig` where it is missing or wrong, `KeyRejected` or `ClocksApart` where the server says so.
    """
    signed = [rr for rr in parsed.additional if rr.rrtype == wire.TSIG]
    if len(signed) != 1 or parsed.additional[-1] is not signed[0]:
        raise BadTsig("it is not signed")
    record = signed[0]
    found = _fields(record)
    if found.error in {BADSIG, BADKEY} and not found.mac and parsed.rcode == "NOTAUTH":
        raise KeyRejected(found.error)
    if record.name != wire.name_of(key.name) or found.algorithm != wire.name_of(ALGORITHMS[key.algorithm]):
        raise BadTsig("it is signed with another key")
    (additional,) = struct.unpack("!H", answer[10:12])
    unsigned = found.original_id + answer[2:10] + struct.pack("!H", additional - 1) + answer[12 : record.offset]
    mac = _mac(key, request_mac, unsigned, found.times, found.error, found.other)
    shortest = max(10, len(mac) // 2) if key.mac_bits is None else key.mac_bits // 8
    if not shortest <= len(found.mac) <= len(mac) or not hmac.compare_digest(mac[: len(found.mac)], found.mac):
        raise BadTsig("its signature is wrong")
    if found.error == BADTIME and len(found.other) == 6:  # RFC 8945 section 5.2.3: the server's clock
        raise ClocksApart(_instant(found.other))
    if found.error:
        raise KeyRejected(found.error)
    signed_at = _instant(found.times[:6])
    if abs(signed_at - now) > timedelta(seconds=int.from_bytes(found.times[6:], "big")):
        raise ClocksApart(signed_at)


@dataclass(frozen=True, slots=True)
class _Fields:
    algorithm: Name
    times: bytes
    mac: bytes
    original_id: bytes
    error: int
    other: bytes


def _fields(record: Record) -> _Fields:
    """Split TSIG data (RFC 8945 section 4.2)."""
    try:
        reader = wire.Reader(record.rdata)
        algorithm, times = reader.name(), reader.octets(8)
        mac = reader.octets(*reader.numbers("!H"))
        original_id = reader.octets(2)
        (error,) = reader.numbers("!H")
        return _Fields(algorithm, times, mac, original_id, error, reader.octets(*reader.numbers("!H")))
    except Malformed:
        raise BadTsig("its TSIG record is malformed") from None


def _mac(key: TsigKey, request_mac: bytes, unsigned: bytes, times: bytes, error: int, other: bytes) -> bytes:
    """Compute a whole MAC (RFC 8945 section 4.3)."""
    digest = hmac.new(key.secret, digestmod=getattr(hashlib, key.algorithm.removeprefix("hmac-")))
    if request_mac:
        digest.update(struct.pack("!H", len(request_mac)) + request_mac)
    digest.update(unsigned)
    digest.update(wire.name_wire(wire.name_of(key.name)) + struct.pack("!HI", wire.CLASS_ANY, 0))
    digest.update(_algorithm(key) + times + struct.pack("!HH", error, len(other)) + other)
    return digest.digest()


def _algorithm(key: TsigKey) -> bytes:
    return wire.name_wire(wire.name_of(ALGORITHMS[key.algorithm]))


def _instant(octets: bytes) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(int.from_bytes(octets, "big"), 2**37))
