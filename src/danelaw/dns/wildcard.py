"""Whether a wildcard gave an answer (RFC 4592), also where no RRSIG tells."""

import asyncio
from datetime import datetime

import dns.name

from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, NoAnswer
from danelaw.dns.message import Message, Name
from danelaw.dns.zones import Asker

_BELOW = "_danelaw-looks-for-a-wildcard"
"""A label that nobody has. Below a name that exists, no wildcard above it answers (RFC 4592 section 3.3.1)."""

_HOST_TYPES = (wire.A, wire.AAAA, wire.CNAME)


async def from_wildcard_alone(asker: Asker, server: Address, host: Name, zone: Name, now: datetime) -> bool:
    """Tell whether all that a server has at a host (A, AAAA, CNAME) comes from a wildcard."""
    found = []
    for answer in await asyncio.gather(*(_answer(asker, server, host, rrtype) for rrtype in (wire.A, wire.AAAA))):
        records = answer.answers(host, *_HOST_TYPES) if answer else ()
        for rrtype in {rr.rrtype for rr in records}:
            signatures = wire.signatures(answer.answer, host, (rrtype,), now) if answer else ()
            if signatures:
                found.append(all(s.by_wildcard for s in signatures))  # RFC 4035 section 5.3.4
            else:
                found.append(await synthesized(asker, server, host, rrtype, zone))
    return bool(found) and all(found)


async def synthesized(asker: Asker, server: Address, name: Name, rrtype: int, zone: Name) -> bool:
    """Tell, in an unsigned zone, whether a server makes an RRset up from a wildcard.

    A wildcard above a name that exists does not reach below it; one above a name that does not exist does. So the same
    RRset below the name, and at a wildcard above it, means that the name itself is not there.
    """
    own = await _rdatas(asker, server, name, rrtype)
    if not own:
        return False
    try:
        below = Name((_BELOW.encode(), *name.labels))
    except dns.name.NameTooLong:
        return False
    if await _rdatas(asker, server, below, rrtype) != own:
        return False
    parent = name.parent()
    while parent.is_subdomain(zone):
        if await _rdatas(asker, server, Name((b"*", *parent.labels)), rrtype) == own:
            return True
        if parent == dns.name.root:
            break
        parent = parent.parent()
    return False


async def _rdatas(asker: Asker, server: Address, name: Name, rrtype: int) -> set[bytes]:
    answer = await _answer(asker, server, name, rrtype)
    records = answer.answers(name, rrtype) if answer else ()
    return {wire.name_wire(rr.target) if rr.target else rr.rdata for rr in records}  # names may be compressed in rdata


async def _answer(asker: Asker, server: Address, name: Name, rrtype: int) -> Message | None:
    try:
        answer = await asker.ask(server, name, rrtype)
    except NoAnswer:
        return None
    return answer if answer.aa and answer.rcode in {"NOERROR", "NXDOMAIN"} else None
