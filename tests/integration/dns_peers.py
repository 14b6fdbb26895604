"""Look-ups through one resolver, and name servers that do what a test says, beside those of `DnsServers`."""

import asyncio
import socket
from collections.abc import Callable

from danelaw.dns import message as wire
from danelaw.dns.lookups import Lookups
from danelaw.model import ResolverSpec
from danelaw.model.outside import LookedUp, Lookup, LookupType
from fakes.dns_clock import ShiftedClock
from fakes.dns_peer import Peer, Reply
from integration.dns_servers import PEER, PRIMARY

CLOCK = ShiftedClock()


def find_all(
    spec: ResolverSpec,
    *wanted: tuple[str, LookupType],
    timeout: float = 8.0,
    may_reach: Callable[[str], bool] | None = None,
) -> list[LookedUp]:
    """Look all up, at once, by one resolver."""

    async def run() -> list[LookedUp]:
        async with Lookups(spec, CLOCK, timeout=timeout, may_reach=may_reach) as lookups:
            return await asyncio.gather(*(lookups.find(Lookup(*each)) for each in wanted))

    found = asyncio.run(run())
    assert [(each.lookup.name, each.lookup.rrtype) for each in found] == list(wanted)
    return found


def find(spec: ResolverSpec, name: str, rrtype: LookupType, timeout: float = 8.0) -> LookedUp:
    (found,) = find_all(spec, (name, rrtype), timeout=timeout)
    return found


def asked_for(query: bytes) -> wire.Question:
    question = wire.parse(query).question
    assert question is not None
    return question


def proxied(change: Callable[[wire.Question, bytes], bytes | None]) -> Peer:
    """Be a name server of ``proxied.test`` that passes questions on to the primary, and may change the answer."""

    def reply(query: bytes) -> bytes | None:
        question = asked_for(query)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.settimeout(5)
            upstream.connect((PRIMARY, 53))
            upstream.send(query)
            return change(question, upstream.recv(65535))

    return Peer(reply, host=PEER, port=53)


def hostile(udp: Reply, tcp: Reply | None = None) -> Peer:
    """Be the name server of ``hostile.test``, which is not signed."""
    return Peer(udp, tcp, host=PEER, port=53)


def rr(owner: str, rrtype: int, rdata: bytes, ttl: int = 300) -> bytes:
    return wire.record(wire.name_of(owner), rrtype, wire.IN, ttl, rdata)
