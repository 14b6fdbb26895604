"""DNS messages on the wire, read without trust (RFC 1035 section 4, RFC 4034, RFC 6698 section 2.1).

An answer is parsed record by record, and the record data that matters is parsed here. A library that knows TLSA refuses
a whole answer for one digest of the wrong length; here one bad record never hides the good ones beside it. Whatever the
octets are, `parse` returns a `Message` or raises `Malformed`, nothing else.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address

import dns.exception
import dns.name

from danelaw.model import TlsaRecord

Name = dns.name.Name

A, NS, CNAME, SOA, MX, TXT, AAAA, SRV, DNAME, OPT, RRSIG = 1, 2, 5, 6, 15, 16, 28, 33, 39, 41, 46
DNSKEY, NSEC3, TLSA, TSIG = 48, 50, 52, 250
IN, CLASS_NONE, CLASS_ANY = 1, 254, 255

QR, AA, TC, RD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010
OPCODE_MASK = 0x7800

_RCODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    16: "BADVERS",
}
_NAME_AT = {NS: 0, CNAME: 0, SOA: 0, DNAME: 0, MX: 2, SRV: 6}
"""Where in the data of a record the name stands that we read (RFC 1035 section 3.3, RFC 2782, RFC 6672 section 2.1)."""

_MAX_RECORDS = 1024
"""Records of one message; 64 KiB hold five times as many, whose names could cost half a second to read."""

_NAMES_KEPT = 4096
"""Names that are made once and used again (a megabyte at most): an answer repeats those of the answer before it."""

_LONGEST_NAME, _LONGEST_LABEL, _POINTER = 255, 63, 0xC0
"""Octets of a name and of a label, and how a pointer begins (RFC 1035 sections 2.3.4, 4.1.4)."""

_UDP_PAYLOAD = 1232  # fits every path without fragments; what is longer comes by TCP


class Malformed(Exception):
    """The octets are no DNS message."""


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record. ``target`` is the name in CNAME, DNAME, NS, MX and SRV data and the MNAME of SOA data.

    It is None where there is none that can be read.
    ``ttl`` is in seconds, a week where its top bit was set (RFC 8767 section 4). ``offset`` is where the record starts.
    """

    name: Name
    rrtype: int
    rrclass: int
    ttl: int
    rdata: bytes
    target: Name | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked."""

    name: Name
    rrtype: int
    rrclass: int = IN


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed message. A truncated one (``tc``) has no records: what is left of them proves nothing.

    ``octets`` is all of it as it came: names in record data may point back into it.
    """

    id: int
    flags: int
    rcode: str
    question: Question | None
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    octets: bytes = field(default=b"", repr=False, compare=False)

    @property
    def is_response(self) -> bool:
        """Return whether QR is set."""
        return bool(self.flags & QR)

    @property
    def aa(self) -> bool:
        """Return whether the server says that it is authoritative for the (first) name."""
        return bool(self.flags & AA)

    @property
    def tc(self) -> bool:
        """Return whether the answer did not fit."""
        return bool(self.flags & TC)

    def answers(self, name: Name, *rrtypes: int) -> tuple[Record, ...]:
        """Return the answer section's records at a name of any of the types, class IN."""
        return tuple(r for r in self.answer if r.rrtype in rrtypes and r.rrclass == IN and _same(r.name, name))


@dataclass(frozen=True, slots=True)
class Signature:
    """What matters of an RRSIG (RFC 4034 section 3.1). ``labels`` leaves the root and a leading ``*`` out."""

    name: Name
    covers: int
    labels: int
    original_ttl: int
    expires: datetime

    @property
    def by_wildcard(self) -> bool:
        """Return whether a wildcard gave the RRset (RFC 4035 section 5.3.4)."""
        return self.labels < label_count(self.name)


WEEK = 7 * 24 * 3600
"""Seconds: what RFC 8767 section 4 has resolvers cap a TTL at."""


def _same(one: Name, other: Name) -> bool:
    return one is other or one == other  # mostly they are one: `_name` makes each once


def label_count(name: Name) -> int:
    """Return the number of labels as RRSIG counts them: without the root and a leading ``*`` (RFC 4034 3.1.3)."""
    labels = len(name.labels) - 1
    return labels - 1 if labels and name.labels[0] == b"*" else labels


_PLAIN_OCTETS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?", re.ASCII)
"""Most names: without escapes, and without characters that come in several cases or forms."""


@lru_cache(_NAMES_KEPT)
def name_of(text: str) -> Name:
    """Return an absolute name, lower case. Raises `Malformed` where the text is no DNS name."""
    try:
        if _PLAIN.fullmatch(text):
            return _name((*text.lower().removesuffix(".").encode().split(b"."), b""))
        return dns.name.from_text(text.lower(), idna_codec=None)
    except (dns.exception.DNSException, ValueError) as error:
        raise Malformed(f"{text!r} is no DNS name ({error})") from None


def text_of(name: Name) -> str:
    """Return a name in lower case with its final dot."""
    return _text(name.labels)


@lru_cache(_NAMES_KEPT)
def _text(labels: tuple[bytes, ...]) -> str:
    if len(labels) > 1 and not b"".join(labels).translate(None, delete=_PLAIN_OCTETS):
        return b".".join(labels).lower().decode("ascii")
    return Name(labels).canonicalize().to_text()


def rcode_name(code: int) -> str:
    """Return an RCODE's mnemonic, ``RCODE23`` where it has none that we know."""
    return _RCODES.get(code, f"RCODE{code}")


def name_wire(name: Name) -> bytes:
    """Return a name's octets, uncompressed."""
    octets = name.to_wire()
    assert octets is not None  # noqa: S101 - to_wire returns None only where it is given a file to write to
    return octets


def query(ident: int, name: Name, rrtype: int, *, flags: int = 0, edns: bool = True) -> bytes:
    """Return a query, with the DO bit set (RFC 3225) unless ``edns`` is off."""
    wire = struct.pack("!HHHHHH", ident, flags, 1, 0, 0, 1 if edns else 0)
    wire += name_wire(name) + struct.pack("!HH", rrtype, IN)
    if edns:
        wire += b"\0" + struct.pack("!HHIH", OPT, _UDP_PAYLOAD, 0x8000, 0)
    return wire


def record(name: Name, rrtype: int, rrclass: int, ttl: int, rdata: bytes = b"") -> bytes:
    """Return one record's octets, its name uncompressed."""
    return name_wire(name) + struct.pack("!HHIH", rrtype, rrclass, ttl, len(rdata)) + rdata


def parse(wire: bytes) -> Message:
    """Parse a message. Raises `Malformed`, and nothing else, where the octets are none."""
    return _parse(wire)


def tlsa(records: Iterable[Record]) -> tuple[TlsaRecord, ...]:
    """Return the TLSA data among records, sorted and without doubles, whatever its length (RFC 6698 section 2.1).

    Data of fewer than three octets has no parameters and is left out: no client reads it as a TLSA record.
    """
    return tuple(sorted({tlsa_from_rdata(r.rdata) for r in records if r.rrtype == TLSA and len(r.rdata) >= 3}))


def tlsa_from_rdata(rdata: bytes) -> TlsaRecord:
    """Return TLSA data of three octets or more."""
    return TlsaRecord(rdata[0], rdata[1], rdata[2], rdata[3:])


def tlsa_rdata(tlsa_record: TlsaRecord) -> bytes:
    """Return the octets of TLSA data, whatever its length."""
    return bytes((tlsa_record.usage, tlsa_record.selector, tlsa_record.matching_type)) + tlsa_record.data


def signatures(records: Iterable[Record], name: Name, covers: Iterable[int], now: datetime) -> tuple[Signature, ...]:
    """Return the RRSIGs at a name over any of the types; malformed ones are left out.

    ``now`` places the 32-bit expiration in its century (RFC 4034 section 3.1.5: serial number arithmetic).
    """
    found = []
    for rr in records:
        if rr.rrtype != RRSIG or not _same(rr.name, name) or len(rr.rdata) < 19:
            continue
        covered, _algorithm, labels, original_ttl, expiration = struct.unpack("!HBBII", rr.rdata[:12])
        if covered in covers:
            found.append(Signature(name, covered, labels, _ttl(original_ttl), _instant(expiration, now)))
    return tuple(found)


def covers(rrsig: Record, rrtype: int) -> bool:
    """Return whether an RRSIG is one over records of a type."""
    return rrsig.rdata[:2] == struct.pack("!H", rrtype)


def signer(rrsig: Record) -> Name | None:
    """Return the zone that an RRSIG names as its signer, never compressed (RFC 4034 section 3.1.7); None: none."""
    try:
        labels, _ = _labels(rrsig.rdata, 18)
    except (IndexError, Malformed):
        return None
    return _name(labels)


def addresses(records: Iterable[Record], *names: Name) -> tuple[str, ...]:
    """Return the addresses in A and AAAA records, of the given names only where there are any, in order."""
    usable = (r for r in records if (r.rrtype, len(r.rdata)) in {(A, 4), (AAAA, 16)})
    return tuple(dict.fromkeys(str(ip_address(r.rdata)) for r in usable if not names or r.name in names))


def _instant(seconds: int, now: datetime) -> datetime:
    current = int(now.timestamp())
    distance = (seconds - current + 0x80000000) % 0x100000000 - 0x80000000
    return datetime.fromtimestamp(current, tz=UTC) + timedelta(seconds=distance)


def _ttl(seconds: int) -> int:
    # RFC 2181 section 8 has 0 for it; newer resolvers take it for large and cap it: a wait must count the longer.
    return WEEK if seconds & 0x80000000 else seconds


class Reader:
    """Octets and how far they were read. Its methods raise `Malformed`."""

    def __init__(self, wire: bytes, at: int = 0) -> None:
        self.wire = wire
        self.at = at
        self._known: dict[int, Name] = {}

    def name(self) -> Name:
        """Read a name, which may be compressed."""
        name, used = self.name_at(self.at)
        self.at += used
        return name

    def name_at(self, start: int) -> tuple[Name, int]:
        """Return the name that starts at an octet, and how many octets it takes there."""
        wire = self.wire
        # most names of an answer point to one that was read before
        if len(wire) > start + 1 and wire[start] >= _POINTER:
            known = self._known.get((wire[start] & 0x3F) << 8 | wire[start + 1])
            if known is not None:
                return known, 2
        try:
            labels, used = _labels(wire, start)
        except IndexError:
            raise Malformed("not a DNS message: it ends within a name") from None
        name = self._known[start] = _name(labels)
        return name, used

    def octets(self, count: int) -> bytes:
        """Read that many octets."""
        found = self.wire[self.at : self.at + count]
        if len(found) < count:
            raise Malformed("not a DNS message: it ends too early")
        self.at += count
        return found

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Read numbers, laid out as `struct` says."""
        return struct.unpack(layout, self.octets(struct.calcsize(layout)))


@lru_cache(_NAMES_KEPT)
def _name(labels: tuple[bytes, ...]) -> Name:
    return Name(labels)


def _labels(wire: bytes, start: int) -> tuple[tuple[bytes, ...], int]:
    """Return the labels of the name at an octet, and how many octets it takes there (RFC 1035 section 4.1.4).

    A pointer leads to octets before all that were read of the name so far: so no name is read for ever. Raises
    `IndexError` where the octets end too early, `Malformed` for what is no name.
    """
    labels: list[bytes] = []
    at, begin, end, used, total = start, start, len(wire), 0, 1
    while (count := wire[at]) != 0:
        if count <= _LONGEST_LABEL:
            after = at + 1 + count
            total += 1 + count
            if after >= end or total > _LONGEST_NAME:
                raise Malformed("not a DNS message: a name is too long, or runs into itself")
            labels.append(wire[at + 1 : after])
            at = after
        elif count >= _POINTER:
            target = (count & 0x3F) << 8 | wire[at + 1]
            used = used or at + 2 - start
            if target >= begin:
                raise Malformed("not a DNS message: a name points forwards")
            at, begin, end = target, target, begin
        else:
            raise Malformed("not a DNS message: a label of an unknown kind")
    labels.append(b"")
    return tuple(labels), used or at + 1 - start


def _parse(wire: bytes) -> Message:
    reader = Reader(wire)
    ident, flags, *counts = reader.numbers("!HHHHHH")
    question = None
    for _ in range(counts[0]):
        name = reader.name()
        rrtype, rrclass = reader.numbers("!HH")
        question = question or Question(name, rrtype, rrclass)
    code = flags & 0x000F
    if flags & TC:
        return Message(ident, flags, rcode_name(code), question)
    if sum(counts[1:]) > _MAX_RECORDS:
        raise Malformed(f"not a DNS message that anybody needs: it has {sum(counts[1:])} records")
    answer, authority, additional = (tuple(_record(reader) for _ in range(count)) for count in counts[1:])
    for rr in additional:
        if rr.rrtype == OPT:  # RFC 6891 section 6.1.3: the upper eight bits of the RCODE
            code |= (rr.ttl >> 24) << 4
    return Message(ident, flags, rcode_name(code), question, answer, authority, additional, wire)


_FIXED = struct.Struct("!HHIH")


def _record(reader: Reader) -> Record:
    offset = reader.at
    name = reader.name()
    rrtype, rrclass, ttl, length = _FIXED.unpack(reader.octets(10))
    start = reader.at
    rdata = reader.octets(length)
    target = _name_in(reader, start, length, rrtype) if rrtype in _NAME_AT else None
    return Record(name, rrtype, rrclass, ttl if rrtype == OPT else _ttl(ttl), rdata, target, offset)


def _name_in(reader: Reader, start: int, length: int, rrtype: int) -> Name | None:
    """Return the name in record data, which may point back into the message; None if there is none."""
    before = _NAME_AT[rrtype]
    try:
        name, used = reader.name_at(start + before)
    except Malformed:
        return None
    used += before
    return name if used == length or (rrtype == SOA and used < length) else None
