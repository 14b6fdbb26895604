"""What stands in an answer's records, as the types of `model.outside` have it. Pure: records in, values out.

Everything here is read from hostile octets: a record whose data is none is counted and hides no other.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import assert_never

import dns.name

from danelaw.dns import message as wire
from danelaw.dns.message import Message, Name, Record
from danelaw.model import TlsaRecord
from danelaw.model.outside import LookupType, MxRecord, SrvRecord

RRTYPES: dict[LookupType, int] = {
    "A": wire.A,
    "AAAA": wire.AAAA,
    "CNAME": wire.CNAME,
    "MX": wire.MX,
    "SRV": wire.SRV,
    "TLSA": wire.TLSA,
    "TXT": wire.TXT,
}

_LONGEST_CHAIN = 32
"""How many CNAMEs of one answer are followed; resolvers give up at 8 to 16."""

_OUTDATED = {
    1: "RSAMD5",
    3: "DSA",
    5: "RSASHA1",
    6: "DSA-NSEC3-SHA1",
    7: "RSASHA1-NSEC3-SHA1",
    12: "ECC-GOST",
}
"""Algorithms that zones must not be signed with any more, or should not (RFC 8624 section 3.1)."""

_TOO_MANY_ITERATIONS = 150
"""Above it, BIND and Unbound say insecure (RFC 9276 section 3.2 allows it above 0)."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The records of one type. At most one of the tuples has anything; fields as in `model.outside.LookedUp`."""

    addresses: tuple[str, ...] = ()
    mx: tuple[MxRecord, ...] = ()
    srv: tuple[SrvRecord, ...] = ()
    tlsa: tuple[TlsaRecord, ...] = ()
    texts: tuple[str, ...] = ()
    malformed: int = 0


def end_of_chain(answer: Message, name: Name) -> Name:
    """Return where the CNAMEs of an answer lead from a name (those that a DNAME gave stand there too, RFC 6672 3.1)."""
    seen = {name}
    for _ in range(_LONGEST_CHAIN):
        targets = [rr.target for rr in answer.answers(name, wire.CNAME) if rr.target is not None]
        if not targets or targets[0] in seen:
            break
        name = targets[0]
        seen.add(name)
    return name


def read(records: Sequence[Record], rrtype: LookupType) -> Contents:
    """Return what stands in the records of one name and type, sorted and without doubles."""
    match rrtype:
        case "A" | "AAAA":
            length = 4 if rrtype == "A" else 16
            good = {ip_address(rr.rdata) for rr in records if len(rr.rdata) == length}
            addresses = tuple(str(address) for address in sorted(good, key=lambda address: address.packed))
            return Contents(addresses=addresses, malformed=sum(len(rr.rdata) != length for rr in records))
        case "MX":
            mx = [_mx(rr) for rr in records]
            return Contents(mx=tuple(sorted({rr for rr in mx if rr is not None})), malformed=mx.count(None))
        case "SRV":
            srv = [_srv(rr) for rr in records]
            return Contents(srv=tuple(sorted({rr for rr in srv if rr is not None})), malformed=srv.count(None))
        case "TLSA":
            return Contents(tlsa=wire.tlsa(records), malformed=sum(len(rr.rdata) < 3 for rr in records))
        case "TXT":
            texts = [text(rr.rdata) for rr in records]
            return Contents(texts=tuple(sorted({t for t in texts if t is not None})), malformed=texts.count(None))
        case "CNAME":
            return Contents(malformed=sum(rr.target is None for rr in records))
        case _:
            assert_never(rrtype)


def host(name: Name) -> str:
    """Return a name in presentation form, lower case, without the final dot; "" for the root.

    Octets that are no letters, digits or hyphens are escaped as in zone files (RFC 1035 section 5.1).
    """
    return wire.text_of(name)[:-1]


def text(rdata: bytes) -> str | None:
    r"""Return the strings of a TXT record as one (RFC 1035 section 3.3.14), None where they are none.

    What is not printable ASCII is written ``\DDD``, a backslash ``\\`` (RFC 1035 section 5.1), so that no two texts
    look the same.
    """
    strings, at = [], 0
    while at < len(rdata):
        end = at + 1 + rdata[at]
        strings.append(rdata[at + 1 : end])
        at = end
    if at != len(rdata) or not strings:
        return None
    return "".join(_shown(octet) for octet in b"".join(strings))


def _shown(octet: int) -> str:
    if octet == 0x5C:
        return "\\\\"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03}"


def _mx(rr: Record) -> MxRecord | None:
    if rr.target is None:
        return None
    (preference,) = struct.unpack("!H", rr.rdata[:2])
    return MxRecord(preference, host(rr.target))


def _srv(rr: Record) -> SrvRecord | None:
    if rr.target is None:
        return None
    priority, weight, port = struct.unpack("!HHH", rr.rdata[:6])
    return SrvRecord(priority, weight, port, host(rr.target))


def earliest_end(answer: Message, now: datetime) -> datetime | None:
    """Return when the first signature in an answer's answer section ends, of the records and of the CNAMEs to them.

    One that has ended already beside others that have not is left over, and says nothing: no answer rests on it.
    """
    ends = [
        signature.expires
        for rr in answer.answer
        if rr.rrtype == wire.RRSIG
        for signature in wire.signatures([rr], rr.name, _EVERY_TYPE, now)
    ]
    return min([end for end in ends if end > now] or ends, default=None)


_EVERY_TYPE = range(65536)


def warnings(answer: Message) -> tuple[str, ...]:
    """Return sentences on how the zones of an answer are signed: outdated algorithms, NSEC3 iterations."""
    found: set[str] = set()
    for rr in (*answer.answer, *answer.authority):
        if rr.rrtype == wire.RRSIG and len(rr.rdata) >= 19:
            algorithm = _OUTDATED.get(rr.rdata[2])
            if algorithm is not None:
                zone = host(wire.signer(rr) or rr.name) or "."
                signed = f"{zone} is signed with {algorithm} (algorithm {rr.rdata[2]})"
                found.add(f"{signed}, which resolvers cease to validate")
        elif rr.rrtype == wire.NSEC3 and len(rr.rdata) >= 5:
            (iterations,) = struct.unpack("!H", rr.rdata[2:4])
            zone = host(rr.name.parent()) if rr.name != dns.name.root else "."
            if iterations > _TOO_MANY_ITERATIONS:
                found.add(
                    f"{zone} has {iterations} NSEC3 iterations; above {_TOO_MANY_ITERATIONS} resolvers take what is "
                    "proven by them for insecure, or fail"
                )
            elif iterations:
                # RFC 9276 section 3.1: they must be 0
                found.add(f"{zone} has {iterations} NSEC3 iterations; only 0 is taken by every resolver")
    return tuple(sorted(found))
