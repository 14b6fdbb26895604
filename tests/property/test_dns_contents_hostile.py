"""Whatever the octets of an answer are, what stands in it is read, counted or passed over: nothing is ever raised."""

import asyncio
import contextlib
import ipaddress
import itertools
import struct
from datetime import UTC, datetime

import dns.name
from hypothesis import given
from hypothesis import strategies as st

from danelaw.dns import contents
from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, NoAnswer
from danelaw.dns.message import Malformed, Message, Name, name_of, parse
from danelaw.dns.silence import Said, servers_say
from danelaw.dns.zones import Asker, Finder
from danelaw.model.outside import LookupType
from danelaw.names import NOT_PUBLIC, is_public_address
from fakes.dns_answers import message, rr, rrsig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OWNER = "example.org."
NETWORKS = [ipaddress.ip_network(network) for network in NOT_PUBLIC]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Answers with every type, some octets changed, cut out or put in."""
    target = wire.name_wire(name_of("mail.example.org"))
    records = [
        rr(OWNER, wire.CNAME, target),
        rr(OWNER, wire.MX, b"\0\12\4mail\xc0\x0c"),
        rr(OWNER, wire.SRV, b"\0\1\0\2\0\3" + target),
        rr(OWNER, wire.TXT, b"\3abc\2de"),
        rr(OWNER, wire.A, b"\x7f\0\0\1"),
        rr(OWNER, wire.TLSA, b"\3\1\1" + bytes(32)),
        rrsig(OWNER, wire.MX, labels=2),
        rr("0p9m.example.org", wire.NSEC3, struct.pack("!BBHB", 1, 0, 5, 0)),
    ]
    octets = bytearray(message(OWNER, wire.MX, draw(st.permutations(records)), records[6:]))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(octets)))
        octets[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(octets)


@given(st.binary(max_size=200) | mangled())
def test_every_answer_is_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(Malformed):
        answer = parse(octets)
        name = name_of(OWNER)
        assert isinstance(contents.end_of_chain(answer, name), dns.name.Name)
        contents.earliest_end(answer, NOW)
        assert all(text.isascii() and text.isprintable() for text in contents.warnings(answer))
        for rrtype, number in contents.RRTYPES.items():
            records = [rr for rr in (*answer.answer, *answer.authority) if rr.rrtype == number]
            found = contents.read(records, rrtype)
            hosts = [mx.host for mx in found.mx] + [srv.target for srv in found.srv]
            assert all(contents.host(name_of(host or ".")) == host for host in hosts)
            assert all(text.isascii() and text.isprintable() for text in (*found.texts, *hosts))
            assert found.malformed <= len(records)


@given(st.sampled_from(["A", "AAAA", "MX", "SRV", "TLSA", "TXT"]), st.lists(st.binary(max_size=40), max_size=8))
def test_every_record_is_read_or_counted(rrtype: LookupType, datas: list[bytes]) -> None:
    number = contents.RRTYPES[rrtype]
    records = parse(message(OWNER, number, [rr(OWNER, number, data) for data in set(datas)])).answer
    found = contents.read(records, rrtype)
    values = {*found.addresses, *found.mx, *found.srv, *found.tlsa, *found.texts}
    bad = sum(contents.read([record], rrtype).malformed for record in records)
    assert found.malformed == bad
    assert bool(values) == (bad < len(records))


@given(st.lists(st.binary(max_size=255), min_size=1, max_size=5))
def test_texts_can_be_told_apart(strings: list[bytes]) -> None:
    text = contents.text(b"".join(bytes((len(s),)) + s for s in strings))
    assert text is not None
    octets, at = bytearray(), 0
    while at < len(text):  # RFC 1035 section 5.1, backwards
        if text[at] != "\\":
            octets.append(ord(text[at]))
            at += 1
        elif text[at + 1] == "\\":
            octets.append(0x5C)
            at += 2
        else:
            octets.append(int(text[at + 1 : at + 4]))
            at += 4
    assert bytes(octets) == b"".join(strings)


edges = [int(edge) for net in NETWORKS if net.version == 4 for edge in (net[0], net[-1])]
edges6 = [int(edge) for net in NETWORKS if net.version == 6 for edge in (net[0], net[-1])]


@given(
    st.builds(
        lambda at, by: ipaddress.IPv4Address(max(0, min(2**32 - 1, at + by))),
        st.sampled_from(edges),
        st.integers(-2, 2),
    )
    | st.builds(ipaddress.IPv4Address, st.integers(0, 2**32 - 1))
    | st.builds(
        lambda at, by: ipaddress.IPv6Address(max(0, min(2**128 - 1, at + by))),
        st.sampled_from(edges6),
        st.integers(-2, 2),
    )
    | st.builds(ipaddress.IPv6Address, st.integers(0, 2**128 - 1))
)
def test_the_list_of_networks_holds_every_address_that_is_not_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    listed = any(address in network for network in NETWORKS if network.version == address.version)
    assert listed or is_public_address(str(address))


class Arbitrary(Asker):
    """Servers that answer each question with the next of some octets, or with nothing where those are no message."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__(1, 0.1)
        self._answers = itertools.cycle(answers)

    async def ask(self, server: Address, name: Name, rrtype: int) -> Message:
        try:
            return parse(next(self._answers))
        except Malformed as error:
            raise NoAnswer(f"{server} {name} {rrtype}: {error}") from None


class Nothing:
    """A discovery that finds nothing."""

    async def lookup(self, name: Name, rrtype: int) -> Message:
        raise NoAnswer(f"{name} {rrtype}")


@given(st.lists(mangled(), min_size=1, max_size=6), st.sampled_from(list(contents.RRTYPES.values())))
def test_whatever_servers_say_adds_up_to_a_sentence(answers: list[bytes], rrtype: int) -> None:
    asker = Arbitrary(answers)
    servers = [Address("192.0.2.1"), Address("192.0.2.2")]
    finder = Finder(Nothing(), asker, {name_of(OWNER): servers}, lambda _: True)

    async def run() -> Said:
        try:
            return await servers_say(finder, asker, name_of(OWNER), rrtype, "MX")
        finally:
            await finder.close()

    said = asyncio.run(run())
    assert said.why.isprintable()
    assert bool(said.why) or not said.rcode
