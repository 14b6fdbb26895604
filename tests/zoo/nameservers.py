"""The zoo's names: ``zoo.`` is signed and whole, the zones below it are odd, each in its own way."""

import selectors
import shutil
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from world import World, layout
from world.nameservers import Named
from world.tools import run
from world.zones import Kind, Times, ds_of
from zoo.animal import Home

ZOO_NS = "127.26.53.1"
"""The name server of ``zoo.``."""
ODD_NS = "127.26.53.2"
"""That of the zones below it, or the one behind theirs."""
BEHIND_NS = "127.26.53.3"
"""The other one of ``differs.zoo.``, which shows what stood there before the key changed."""
ODD_ADDRESSES: Mapping[Home, str] = {"drops.zoo": "127.26.53.4", "fails.zoo": "127.26.53.5", "lies.zoo": "127.26.53.6"}
"""Servers that ask `ODD_NS` and do not always tell."""
ADDRESSES = (ZOO_NS, ODD_NS, BEHIND_NS, *ODD_ADDRESSES.values())

KINDS: Mapping[Home, Kind] = {
    "open.zoo": "insecure",
    "bogus.zoo": "bogus",
    "drops.zoo": "secure",
    "fails.zoo": "secure",
    "lies.zoo": "secure",
    "differs.zoo": "secure",
}
_SERVERS: Mapping[Home, Sequence[str]] = {
    "zoo": (ZOO_NS,),
    "open.zoo": (ODD_NS,),
    "bogus.zoo": (ODD_NS,),
    "differs.zoo": (ODD_NS, BEHIND_NS),
    **{home: (address,) for home, address in ODD_ADDRESSES.items()},
}


_RCODES: Mapping[Home, dns.rcode.Rcode] = {"fails.zoo": dns.rcode.SERVFAIL, "lies.zoo": dns.rcode.NXDOMAIN}
"""What some of them answer to questions for TLSA records."""

_RESOLVER_OPTIONS = {"infra-cache-max-rtt": "1000", "outbound-msg-retry": "2"}
"""The resolver gives up a name server that does not answer after a few seconds: some tools have no more patience."""

_UDP_LIMIT = 1232
"""Octets that an answer over UDP may have."""


@dataclass(frozen=True, slots=True)
class ZooTimes(Times):
    """TTLs that nobody needs to be warned of: an hour."""

    ttl: int = 3600
    negative_ttl: int = 60

    def policy(self) -> str:
        """Return the world's policy with signatures for two weeks."""
        policy = super(ZooTimes, self).policy()
        return policy.replace("signatures-validity 1d", "signatures-validity 14d").replace(
            "signatures-validity-dnskey 1d", "signatures-validity-dnskey 14d"
        )


def home_of(name: str) -> Home:
    """Return the zone that an absolute name without the final dot is in."""
    return max((home for home in _SERVERS if f".{name}".endswith(f".{home}")), key=len)


class NameServers:
    """BIND for all zones, and those who do not always tell. A context manager inside a `World`.

    ``lines`` are zone file lines with absolute names; ``before`` those of ``differs.zoo.`` that its other server has.
    """

    def __init__(self, world: World, lines: Iterable[str], before: Iterable[str]) -> None:
        self._world, self._lines, self._before = world, tuple(lines), tuple(before)
        self._odd: list[_OddServer] = []

    def __enter__(self) -> Self:
        world, times = self._world, ZooTimes()
        for address in ADDRESSES:
            world.namespace.add_address(address)
        zoo, odd, behind = (
            Named(name, (address,), world.folder, what=what, times=times, writers=[world.owner_key])
            for name, address, what in (
                ("zoo", ZOO_NS, "zoo."),
                ("zoo-odd", ODD_NS, "the zones below zoo."),
                ("zoo-behind", BEHIND_NS, "differs.zoo. as it was"),
            )
        )
        delegations = []
        for home, kind in KINDS.items():
            key = odd.add(home, self._text(home, self._lines), kind)
            delegations += self._delegation(home)
            if key is not None:
                delegations.append(f"{home}. DS {ds_of(key, matching=kind != 'bogus')}")
        behind.add("differs.zoo", self._text("differs.zoo", self._before))
        for file in (behind.folder / "keys").iterdir():
            file.unlink()
        for file in (odd.folder / "keys").glob("Kdiffers.zoo.*"):
            shutil.copy(file, behind.folder / "keys")
        key = zoo.add("zoo", self._text("zoo", [*self._lines, *delegations]))
        assert key
        for server in zoo, odd, behind:
            world.servers.append(server)
            server.launch()
        self._odd = [_OddServer(address, home) for home, address in ODD_ADDRESSES.items()]
        root = [*self._delegation("zoo"), f"zoo. DS {ds_of(key)}"]
        world.nsupdate(layout.ROOT_NS, "", [f"add {_with_ttl(line)}" for line in root])
        for server in zoo, odd, behind:
            server.wait()
        control = ("unbound-control", "-c", world.resolver.folder / "unbound.conf", "set_option")
        for option, value in _RESOLVER_OPTIONS.items():
            run(*control, f"{option}:", value)
        world.resolver.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in self._odd:
            server.end()

    @staticmethod
    def _delegation(home: Home) -> list[str]:
        lines = []
        for number, address in enumerate(_SERVERS[home], 1):
            lines += [f"{home}. NS ns{number}.{home}.", f"ns{number}.{home}. A {address}"]
        return lines

    def _text(self, home: Home, lines: Iterable[str]) -> str:
        here = [line for line in lines if home_of(line.split(" ", 1)[0].rstrip(".")) == home]
        glue = [
            line for line in lines if line not in here and (" NS " in line or " DS " in line or line.startswith("ns"))
        ]
        times = ZooTimes()
        own = self._delegation(home)
        return "\n".join(
            [f"$ORIGIN {home}.", times.soa(f"ns1.{home}."), *own, *here, *(glue if home == "zoo" else ()), ""]
        )


def _with_ttl(line: str) -> str:
    name, rest = line.split(" ", 1)
    return f"{name} 3600 {rest}"


class _OddServer:
    """A name server that asks the one behind it, and does not always tell what it heard. One thread."""

    def __init__(self, address: str, home: Home) -> None:
        self._home = home
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, 53))
        self._tcp = socket.create_server((address, 53))
        self._over, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name=home)
        self._thread.start()

    def end(self) -> None:
        """Stop answering."""
        self._wake.close()
        self._thread.join()
        for own in self._udp, self._tcp, self._over:
            own.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for own in self._udp, self._tcp, self._over:
                selector.register(own, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._over:
                        return
                    with suppress(OSError, EOFError, dns.exception.DNSException):
                        self._over_udp() if key.fileobj is self._udp else self._over_tcp()

    def _over_udp(self) -> None:
        wire, client = self._udp.recvfrom(65535)
        query = dns.message.from_wire(wire)
        if (answer := self._answer(query)) is None:
            return
        packet = answer.to_wire()
        if len(packet) > _UDP_LIMIT:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC | dns.flags.AA
            packet = short.to_wire()
        self._udp.sendto(packet, client)

    def _over_tcp(self) -> None:
        stream, _ = self._tcp.accept()
        stream.settimeout(2)
        with stream:
            query, _ = dns.query.receive_tcp(stream)
            if (answer := self._answer(query)) is not None:
                dns.query.send_tcp(stream, answer.to_wire())

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        (question,) = query.question
        asks_tlsa = question.rdtype == dns.rdatatype.TLSA
        if self._home == "drops.zoo" and asks_tlsa:
            return None
        if asks_tlsa and (rcode := _RCODES.get(self._home)) is not None:
            refusal = dns.message.make_response(query)
            refusal.set_rcode(rcode)
            refusal.flags |= dns.flags.AA
            return refusal
        return dns.query.tcp(query, ODD_NS, timeout=5)
