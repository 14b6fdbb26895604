"""Look-ups and looks at zones whose name servers misbehave: each ends in bounded time, with a sentence."""

import struct
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from danelaw.dns import message as wire
from danelaw.dns.authoritative import AuthoritativeView
from danelaw.model import ResolverSpec, TlsaRecord
from danelaw.model.outside import LookupType
from fakes.dns_peer import Peer, answer_to
from integration.dns_peers import CLOCK, asked_for, find, find_all, hostile, proxied, rr
from integration.dns_servers import (
    DEAD,
    GOOD,
    PEER,
    RESOLVER,
    RESOLVER_PORT,
    DnsServers,
    running,
)

pytestmark = pytest.mark.world

TLSA = TlsaRecord(3, 1, 1, bytes.fromhex(GOOD))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServers]:
    with running(tmp_path_factory.mktemp("dns")) as servers:
        yield servers


@pytest.fixture(scope="module")
def iterating(servers: DnsServers) -> ResolverSpec:
    return ResolverSpec(trust_anchor=str(servers.trust_anchor), root_hints=str(servers.root_hints))


# -- servers that misbehave --------------------------------------------------------------------------------------------


def without_tlsa(question: wire.Question, answer: bytes) -> bytes | None:
    return None if question.rrtype == wire.TLSA else answer


def test_name_server_that_drops_tlsa_queries_is_told_from_one_that_fails(iterating: ResolverSpec) -> None:
    begin = time.monotonic()
    with proxied(without_tlsa):
        address, tlsa = find_all(
            iterating, ("mail.proxied.test", "A"), ("_25._tcp.mail.proxied.test", "TLSA"), timeout=4.0
        )
    assert time.monotonic() - begin < 5
    assert (address.security, address.addresses) == ("secure", ("127.0.0.25",))
    assert (tlsa.security, tlsa.rcode, tlsa.failed, tlsa.ours) == ("indeterminate", "TIMEOUT", True, False)
    assert tlsa.why.startswith(
        f"the name servers of proxied.test answer other questions, and none for _25._tcp.mail.proxied.test TLSA: {PEER}"
    )


def test_the_same_server_when_it_answers(iterating: ResolverSpec) -> None:
    with proxied(lambda _, answer: answer):
        found = find(iterating, "_25._tcp.mail.proxied.test", "TLSA")
    assert (found.security, found.tlsa) == ("secure", (TLSA,))


@pytest.mark.parametrize(("code", "rcode"), [(2, "SERVFAIL"), (5, "REFUSED"), (4, "NOTIMP"), (1, "FORMERR")])
def test_error_is_told_from_silence(iterating: ResolverSpec, code: int, rcode: str) -> None:
    with hostile(lambda query: answer_to(query, rcode=code)):
        found = find(iterating, "_25._tcp.mail.hostile.test", "TLSA", timeout=3.0)
    assert (found.security, found.rcode, found.ours) == ("indeterminate", rcode, False)
    assert f"no name server of hostile.test answers for _25._tcp.mail.hostile.test TLSA: {PEER}" in found.why
    assert f"answers {rcode}" in found.why


def test_lame_server_is_named(iterating: ResolverSpec) -> None:
    def upwards(query: bytes) -> bytes:
        answer = answer_to(query, flags=0x8000)
        return (
            answer[:8]
            + struct.pack("!HH", 1, 0)
            + answer[12:]
            + rr(".", wire.NS, wire.name_wire(wire.name_of("a.root")))
        )

    with hostile(upwards):
        found = find(iterating, "_25._tcp.mail.hostile.test", "TLSA", timeout=3.0)
    assert (found.security, found.rcode, found.ours) == ("indeterminate", "SERVFAIL", False)
    assert f"{PEER} (is lame: its answer is not authoritative)" in found.why


def test_dead_servers_are_silent_within_the_limit(iterating: ResolverSpec) -> None:
    begin = time.monotonic()
    with hostile(lambda _: None) as peer:
        gone, mute = find_all(iterating, ("x.gone.test", "A"), ("mail.hostile.test", "A"), timeout=3.0)
    assert time.monotonic() - begin < 4
    assert (gone.security, gone.rcode, gone.ours) == ("indeterminate", "TIMEOUT", False)
    assert (
        gone.why == f"no name server of gone.test answers at all: {DEAD} (nothing listens there (connection refused))"
    )
    assert (mute.security, mute.rcode, mute.ours) == ("indeterminate", "TIMEOUT", False)
    assert mute.why.startswith(f"no name server of hostile.test answers at all: {PEER} (no answer within")
    assert len(peer.asked) > 2


def test_names_with_dead_servers_keep_no_other_waiting(iterating: ResolverSpec) -> None:
    dead: list[tuple[str, LookupType]] = [(f"n{n}.hostile.test", "A") for n in range(100)]
    live: list[tuple[str, LookupType]] = [(f"n{n}.wild.example.test", "A") for n in range(50)]
    with hostile(lambda _: None):
        found = find_all(iterating, *dead, *live, timeout=3.0)
    assert {(each.rcode, each.ours) for each in found[:100]} == {("TIMEOUT", False)}
    assert {each.addresses for each in found[100:]} == {("127.0.0.26",)}


def test_failures_behind_a_resolver(iterating: ResolverSpec) -> None:
    spec = replace(iterating, address=RESOLVER, port=RESOLVER_PORT, root_hints=None)
    gone, circle = find_all(spec, ("x.gone.test", "A"), ("_993._tcp.mail.example.test", "TLSA"), timeout=2.0)
    who = f"the resolver {RESOLVER}:{RESOLVER_PORT}"
    assert (gone.security, gone.ours) == ("indeterminate", False)
    assert gone.why.startswith(who)
    assert (circle.rcode, circle.ours) == ("SERVFAIL", False)
    assert circle.why == f"{who} answers SERVFAIL for _993._tcp.mail.example.test TLSA"


def test_malformed_records_are_counted_and_hide_no_other(iterating: ResolverSpec) -> None:
    datas = {
        wire.A: [b"\x7f\0\0\1", b"\x7f\0\1"],
        wire.MX: [b"\0\12\4mail\xc0\x0c", b"\0\12"],
        wire.TLSA: [wire.tlsa_rdata(TLSA), b"\3\1"],
        wire.TXT: [b"\4good", b"\5bad"],
        wire.SRV: [b"\0\1\0\2\3\xe1\0", b"\0\1"],
    }

    def reply(query: bytes) -> bytes:
        question = asked_for(query)
        found = datas.get(question.rrtype, [])
        name = wire.text_of(question.name)
        return answer_to(query, records=b"".join(rr(name, question.rrtype, d) for d in found), count=len(found))

    types: tuple[LookupType, ...] = ("A", "MX", "TLSA", "TXT", "SRV")
    with hostile(reply):
        found = {each.lookup.rrtype: each for each in find_all(iterating, *(("x.hostile.test", t) for t in types))}
    for rrtype, each in found.items():
        # libunbound reads the names in MX and SRV data itself, and takes nothing from a server that sends others
        assert each.failed or each.malformed == 1, rrtype
    assert found["A"].addresses == ("127.0.0.1",)
    assert found["TLSA"].tlsa == (TLSA,)
    assert found["TXT"].texts == ("good",)


def test_answers_of_64_kib_and_those_that_are_no_message(iterating: ResolverSpec) -> None:
    many = [wire.tlsa_rdata(TlsaRecord(3, 1, 1, n.to_bytes(60, "big"))) for n in range(800)]

    def truncated(query: bytes) -> bytes:
        return answer_to(query, flags=0x8600 if asked_for(query).rrtype == wire.TLSA else 0x8400)

    def whole(query: bytes) -> bytes:
        records = b"".join(b"\xc0\x0c" + rr(".", wire.TLSA, data)[1:] for data in many)
        return answer_to(query, records=records, count=len(many))

    def loops(query: bytes) -> bytes:
        itself = struct.pack("!H", 0xC000 | len(answer_to(query)))
        return answer_to(query, records=(itself + rr(".", wire.TLSA, b"\3\1\1")[1:]) * 50, count=50)

    with hostile(truncated, whole):
        found = find(iterating, "_25._tcp.large.hostile.test", "TLSA")
    assert (found.security, len(found.tlsa)) == ("insecure", 800)
    with hostile(loops):
        found = find(iterating, "_25._tcp.loops.hostile.test", "TLSA", timeout=2.0)
    assert (found.security, found.tlsa) == ("indeterminate", ())
    assert found.why


# -- hostile zones and the authoritative view --------------------------------------------------------------------------


def hundreds(query: bytes) -> bytes:
    """Answer NS with 300 names of name servers, and glue of 127.77.0.0/16 for each, where nobody listens."""
    question = asked_for(query)
    name = wire.text_of(question.name)
    if question.rrtype != wire.NS or name != "hostile.test.":
        return answer_to(query)
    hosts = [f"n{n}.hostile.test." for n in range(300)]
    names = b"".join(rr(name, wire.NS, wire.name_wire(wire.name_of(host))) for host in hosts)
    glue = b"".join(rr(host, wire.A, bytes((127, 77, n // 256, n % 256))) for n, host in enumerate(hosts))
    answer = answer_to(query, records=names, count=len(hosts))
    return answer[:10] + struct.pack("!H", len(hosts)) + answer[12:] + glue


def no_seventy_seven(address: str) -> bool:
    return not address.startswith("127.77.")


def test_hundreds_of_name_servers_are_bounded(iterating: ResolverSpec) -> None:
    owner = "_25._tcp.mail.hostile.test."
    begin = time.monotonic()
    with hostile(hundreds):
        (careful,), (found,) = (
            AuthoritativeView(iterating, {}, CLOCK, tries=1, limit=0.3, resolve_limit=0.4, may_reach=may_reach).look(
                [owner], []
            )
            for may_reach in (no_seventy_seven, None)
        )
    assert time.monotonic() - begin < 12
    assert len(found.servers) == 64
    assert any("connection refused" in miss.problem for miss in found.unanswered)  # there they were asked
    assert "237 more names" in found.left_out
    assert list(careful.servers) == [PEER]
    assert [reading.server for reading in careful.readings] == [PEER]
    assert "269 more names" in careful.left_out
    assert careful.left_out
    for server in set(careful.left_out) - {"269 more names"}:
        assert server.startswith("127.77.")
        assert server.endswith(" (may not be asked: its address is not public)")


def test_servers_of_a_map_are_left_out_too(iterating: ResolverSpec) -> None:
    owner = "_25._tcp.mail.mapped.test."
    with Peer(lambda query: answer_to(query, records=rr(owner, wire.TLSA, wire.tlsa_rdata(TLSA)), count=1)) as peer:
        mapped = {"mapped.test": [str(peer.address)]}
        (refused,) = AuthoritativeView(iterating, mapped, CLOCK, may_reach=lambda _: False).look([owner], [])
        assert peer.asked == []
        (taken,) = AuthoritativeView(iterating, mapped, CLOCK, may_reach=lambda _: True).look([owner], [])
    assert refused.left_out == (f"{peer.address} (may not be asked: its address is not public)",)
    assert (refused.readings, refused.unanswered) == ((), ())
    assert [reading.rdatas for reading in taken.readings] == [(TLSA,)]


def test_endless_chain_of_cnames_fails_in_words(iterating: ResolverSpec) -> None:
    def reply(query: bytes) -> bytes:
        question = asked_for(query)
        name = wire.text_of(question.name)
        if question.rrtype != wire.TLSA:
            return answer_to(query)
        longer = wire.name_wire(wire.name_of(f"a{len(name)}.hostile.test."))
        return answer_to(query, records=rr(name, wire.CNAME, longer), count=1)

    with hostile(reply):
        found = find(iterating, f"_25._tcp.{'m' * 30}.hostile.test", "TLSA", timeout=4.0)
    assert (found.security, found.tlsa, found.ours) == ("indeterminate", (), False)
    assert "CNAMEs" in found.why
