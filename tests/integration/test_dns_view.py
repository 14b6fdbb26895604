"""The authoritative and the validated view, against BIND, Knot and Unbound, and against servers that misbehave."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from danelaw.dns import message as wire
from danelaw.dns.authoritative import AuthoritativeView
from danelaw.errors import InputError
from danelaw.model import OwnerLook, ResolverSpec, Server, TlsaRecord
from fakes.dns_clock import ShiftedClock
from fakes.dns_peer import Peer, answer_to
from integration.dns_servers import (
    DEAD,
    GOOD,
    PRIMARY,
    RESOLVER,
    RESOLVER_PORT,
    ROOT,
    SECONDARY,
    DnsServers,
    running,
)

pytestmark = pytest.mark.world

TLSA = TlsaRecord(3, 1, 1, bytes.fromhex(GOOD))
MALFORMED = TlsaRecord(3, 1, 1, bytes.fromhex("abcdef01"))
CLOCK = ShiftedClock()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServers]:
    with running(tmp_path_factory.mktemp("dns")) as servers:
        yield servers


@pytest.fixture(scope="module")
def iterating(servers: DnsServers) -> ResolverSpec:
    return ResolverSpec(trust_anchor=str(servers.trust_anchor), root_hints=str(servers.root_hints))


@pytest.fixture(params=["iterating", "forwarding"])
def spec(request: pytest.FixtureRequest, iterating: ResolverSpec) -> ResolverSpec:
    if request.param == "iterating":
        return iterating
    return replace(iterating, address=RESOLVER, port=RESOLVER_PORT, root_hints=None)


def look(spec: ResolverSpec, owner: str, known: Sequence[Server] = (), **mapped: Sequence[str]) -> OwnerLook:
    view = AuthoritativeView(spec, {"peer.test": mapped["peers"]} if mapped else {}, CLOCK, tries=2, limit=0.4)
    (found,) = view.look([owner], known)
    assert found.owner == owner
    return found


def test_each_server_and_the_validated_view_of_a_signed_zone(spec: ResolverSpec) -> None:
    found = look(spec, "_25._tcp.mail.example.test.")
    assert (found.zone, found.target, found.problem) == ("example.test", found.owner, None)
    # the delegation's TTL is longer than that of the zone's own NS records, which are served for as long
    assert found.servers == {PRIMARY: 7200, SECONDARY: 7200}
    assert [reading.server for reading in found.readings] == [PRIMARY, SECONDARY]
    for reading in found.readings:
        assert reading.rdatas == (TLSA, MALFORMED)  # the malformed one hides nothing, and is not hidden
        assert (reading.rcode, reading.ttl, reading.original_ttl, reading.cname_ttl) == ("NOERROR", 600, 600, 0)
        assert reading.rrsig_expires is not None
        assert timedelta(days=1) < reading.rrsig_expires - CLOCK.now() < timedelta(days=30)
        assert not reading.wildcard
    assert found.left_out == ("2001:db8::53",)
    assert found.unanswered == ()
    assert not found.host_wildcard
    assert found.validated is not None
    assert (found.validated.security, found.validated.rcode) == ("secure", "NOERROR")
    assert found.validated.rdatas == (TLSA, MALFORMED)


def test_absence_is_read_as_absence(spec: ResolverSpec) -> None:
    found = look(spec, "_443._tcp.mail.example.test.")
    assert [(r.rcode, r.rdatas, r.ttl) for r in found.readings] == [("NXDOMAIN", (), 0)] * 2
    assert found.validated is not None
    assert (found.validated.security, found.validated.rcode, found.validated.rdatas) == ("secure", "NXDOMAIN", ())


def test_many_owners_in_one_look(iterating: ResolverSpec) -> None:
    owners = [f"_{port}._tcp.mail.example.test." for port in (25, 443, 465, 587, 1025, 1143)]
    view = AuthoritativeView(iterating, {}, CLOCK)
    assert [found.owner for found in view.look(owners, [])] == owners
    assert view.look([], []) == []


def test_cname_at_the_owner_name_is_followed(spec: ResolverSpec) -> None:
    found = look(spec, "_465._tcp.mail.example.test.")
    assert (found.zone, found.target) == ("example.test", "_tlsa.mail.example.test.")
    for reading in found.readings:
        assert (reading.rdatas, reading.ttl, reading.cname_ttl) == ((TLSA,), 60, 120)
        assert reading.target == found.target
    assert found.validated is not None
    assert found.validated.rdatas == (TLSA,)


def test_cname_into_another_zone(spec: ResolverSpec) -> None:
    found = look(spec, "_587._tcp.mail.example.test.")
    assert (found.zone, found.target) == ("insecure.test", "_tlsa.mail.insecure.test.")
    assert {(reading.ttl, reading.cname_ttl) for reading in found.readings} == {(90, 120)}
    assert found.validated is not None
    assert found.validated.security == "insecure"


def test_cname_circle_is_a_problem_in_words(spec: ResolverSpec) -> None:
    assert "circle" in str(look(spec, "_993._tcp.mail.example.test.").problem)


def test_unsigned_zone_is_insecure(spec: ResolverSpec) -> None:
    found = look(spec, "_25._tcp.mail.insecure.test.")
    assert [(r.rdatas, r.original_ttl, r.rrsig_expires, r.wildcard) for r in found.readings] == [
        ((TLSA,), 0, None, False)
    ] * 2
    assert found.validated is not None
    assert (found.validated.security, found.validated.why) == ("insecure", "")


# expired ten minutes ago, which libunbound would let pass for an hour and more
@pytest.mark.parametrize(("zone", "reason"), [("bogus.test", "DS"), ("expired.test", "signature expired")])
def test_bogus_zone_is_read_all_the_same_and_says_why(spec: ResolverSpec, zone: str, reason: str) -> None:
    found = look(spec, f"_25._tcp.mail.{zone}.")
    assert [reading.rdatas for reading in found.readings] == [(TLSA,)] * 2
    assert found.validated is not None
    assert found.validated.security == "bogus"
    assert reason in found.validated.why
    addresses, security, why = AuthoritativeView(spec, {}, CLOCK).addresses(f"mail.{zone}")
    assert (addresses, security) == ((), "bogus")
    assert reason in why


def test_addresses(spec: ResolverSpec) -> None:
    view = AuthoritativeView(spec, {}, CLOCK)
    assert view.addresses("mail.example.test") == (("127.0.0.25", "::1"), "secure", "")
    assert view.addresses("mail.insecure.test") == (("127.0.0.25",), "insecure", "")
    assert view.addresses("nothing.example.test") == ((), "secure", "")


def test_dead_server_is_named_and_the_others_are_read(iterating: ResolverSpec) -> None:
    found = look(iterating, "_25._tcp.mail.lagging.test.")
    assert [reading.server for reading in found.readings] == [PRIMARY, SECONDARY]
    assert [(miss.server, miss.owner) for miss in found.unanswered] == [(DEAD, found.owner)]
    assert DEAD in found.servers
    assert found.validated is not None
    assert found.validated.security == "secure"


def test_zone_whose_servers_are_all_dead(iterating: ResolverSpec) -> None:
    view = AuthoritativeView(iterating, {}, CLOCK, tries=2, limit=0.4, resolve_limit=1.0)
    begin = time.monotonic()
    (found,) = view.look(["_25._tcp.x.gone.test."], [])
    assert time.monotonic() - begin < 5
    assert found.zone == "gone.test"
    assert found.readings == ()
    assert [miss.server for miss in found.unanswered] == [DEAD]
    assert found.validated is not None
    assert found.validated.security == "indeterminate"
    assert found.validated.why


def test_name_servers_without_a_known_address_are_named(iterating: ResolverSpec) -> None:
    view = AuthoritativeView(iterating, {}, CLOCK, tries=1, limit=0.3, resolve_limit=1.0)
    (found,) = view.look(["_25._tcp.mail.adrift.test."], [])
    assert [reading.server for reading in found.readings] == [PRIMARY]
    # it has no address: nobody can ask it. It has one, maybe, that cannot be found now: others may know it
    assert found.left_out == ("nothing.example.test. (has no address)",)
    assert [miss.server for miss in found.unanswered] == ["ns.deep.gone.test."]
    assert set(found.servers) == {PRIMARY, "ns.deep.gone.test."}


@pytest.mark.parametrize("mapped", [{}, {"example.test": [f"{PRIMARY}:53"]}])
def test_zone_of_the_ports_alone(spec: ResolverSpec, mapped: dict[str, list[str]]) -> None:
    view = AuthoritativeView(spec, mapped, CLOCK)
    owner = "_25._tcp.deleg.example.test."
    (found,) = view.look([owner], [])
    assert (found.zone, found.target) == ("_tcp.deleg.example.test", owner)
    assert [(reading.server, reading.rdatas) for reading in found.readings] == [(SECONDARY, (TLSA,))]
    assert view.zone_cut(owner) == ("_tcp.deleg.example.test.", "ns1.example.test.", (SECONDARY,))


def test_missing_domain_is_a_problem_in_words(spec: ResolverSpec) -> None:
    found = look(spec, "_25._tcp.mail.nosuch.test.")
    assert found.problem == "there is no domain nosuch.test.: test. says NXDOMAIN"


@pytest.mark.parametrize("zone", ["example.test", "insecure.test"])
def test_wildcards_are_told_from_names(iterating: ResolverSpec, zone: str) -> None:
    wild = look(iterating, f"_25._tcp.foo.wild.{zone}.")
    assert wild.host_wildcard
    assert [(reading.rdatas, reading.wildcard) for reading in wild.readings] == [((TLSA,), True)] * 2
    explicit = look(iterating, f"_25._tcp.explicit.wild.{zone}.")
    assert not explicit.host_wildcard
    assert [(reading.rdatas, reading.wildcard) for reading in explicit.readings] == [((), False)] * 2


def test_wrong_trust_anchor_is_our_own_fault_and_not_bogus(iterating: ResolverSpec) -> None:
    found = look(replace(iterating, trust_anchor=None), "_25._tcp.mail.example.test.")  # the real root's
    assert found.validated is not None
    assert found.validated.security == "indeterminate"
    assert "root zone's keys do not validate" in found.validated.why
    assert len(found.readings) == 2


def test_no_network_is_indeterminate_and_not_bogus(iterating: ResolverSpec, tmp_path: Path) -> None:
    hints = tmp_path / "root.hints"
    hints.write_text(f". 3600 NS a.root.\na.root. 3600 A {DEAD}\n")
    view = AuthoritativeView(replace(iterating, root_hints=str(hints)), {}, CLOCK, tries=1, limit=0.3, resolve_limit=1)
    (found,) = view.look(["_25._tcp.mail.example.test."], [])
    assert found.problem is not None
    assert "no zone is found" in found.problem
    assert found.validated is not None
    assert found.validated.security == "indeterminate"
    assert found.validated.why
    addresses, security, why = view.addresses("mail.example.test")
    assert (addresses, security) == ((), "indeterminate")
    assert why


def test_unusable_trust_anchor_is_refused(iterating: ResolverSpec, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.ds.*cannot be read"):
        look(replace(iterating, trust_anchor=str(tmp_path / "missing.ds")), "_25._tcp.mail.example.test.")
    (tmp_path / "bad.ds").write_text(". IN DS this is no anchor\n")
    with pytest.raises(InputError, match=r"bad\.ds"):
        look(replace(iterating, trust_anchor=str(tmp_path / "bad.ds")), "_25._tcp.mail.example.test.")


def test_each_look_sees_the_world_as_it_is_now(servers: DnsServers, iterating: ResolverSpec) -> None:
    view = AuthoritativeView(iterating, {}, CLOCK, tries=1, limit=0.4)
    owner = "_25._tcp.mail.example.test."
    assert [r.server for r in view.look([owner], [])[0].readings] == [PRIMARY, SECONDARY]
    servers.stop("secondary")
    try:
        (found,) = view.look([owner], [])
        assert [reading.server for reading in found.readings] == [PRIMARY]
        assert [miss.server for miss in found.unanswered] == [SECONDARY]
    finally:
        servers.start("secondary")
        servers.wait_ready()


# -- servers dropped from NS ------------------------------------------------------------------------------------------


def test_dropped_server_is_asked_for_as_long_as_its_ns_record_may_be_cached(iterating: ResolverSpec) -> None:
    owner, now = "_25._tcp.mail.example.test.", CLOCK.now()

    def known(server: str, age: int) -> Server:
        at = now - timedelta(seconds=age)
        return Server(owner, server, 3600, at, at)

    found = look(iterating, owner, [known(ROOT, 3000), known(PRIMARY, 10)])
    # test.'s server refers to the zone: no authoritative answer
    assert [miss.server for miss in found.unanswered] == [ROOT]
    # else it would be seen again and again, and never forgotten
    assert ROOT not in found.servers
    assert look(iterating, owner, [known(ROOT, 3700)]).unanswered == ()
    assert look(iterating, "_443._tcp.mail.example.test.", [known(ROOT, 3000)]).unanswered == ()


# -- servers that misbehave, through [authoritative] -------------------------------------------------------------------

OWNER = "_25._tcp.mail.peer.test."


def rr(owner: str, rrtype: int, rdata: bytes, ttl: int = 300) -> bytes:
    return wire.record(wire.name_of(owner), rrtype, wire.IN, ttl, rdata)


def serving(records: dict[tuple[str, int], list[bytes]]) -> Peer:
    """Return a server of ``peer.test`` that serves these records with authority."""

    def reply(query: bytes) -> bytes:
        question = wire.parse(query).question
        assert question is not None
        name = wire.text_of(question.name)
        found = records.get((name, question.rrtype)) or records.get((name, wire.CNAME)) or []
        kind = question.rrtype if (name, question.rrtype) in records else wire.CNAME
        return answer_to(query, records=b"".join(rr(name, kind, rdata) for rdata in found), count=len(found))

    return Peer(reply)


def test_map_replaces_the_list(iterating: ResolverSpec) -> None:
    with serving({(OWNER, wire.TLSA): [wire.tlsa_rdata(TLSA), b"\3\1\1", b"\3"]}) as peer:
        found = look(iterating, OWNER, peers=[str(peer.address)])
    assert found.zone == "peer.test"
    assert found.servers == {str(peer.address): 0}
    assert [reading.rdatas for reading in found.readings] == [(TlsaRecord(3, 1, 1, b""), TLSA)]


def test_no_authoritative_answer_is_no_answer(iterating: ResolverSpec) -> None:
    other = wire.query(1, wire.name_of("other.test"), wire.TLSA)
    replies = {
        "answers REFUSED": lambda query: answer_to(query, rcode=5),
        "answers SERVFAIL": lambda query: answer_to(query, rcode=2),
        "is lame": lambda query: answer_to(query, flags=0x8000),
        "no answer in 2 tries": lambda _: None,
        "no answer in 2 tries of 0.4 s": lambda query: answer_to(query[:2] + other[2:]),  # to another question
        "no answer in": lambda query: answer_to(bytes((query[0] ^ 1, query[1])) + query[2:]),  # another identifier
    }
    for said, reply in replies.items():
        with Peer(reply) as peer:
            found = look(iterating, OWNER, peers=[str(peer.address)])
        assert found.readings == (), said
        assert [miss.problem.startswith(said) for miss in found.unanswered] == [True], found.unanswered


def test_flood_of_what_is_no_answer_ends(iterating: ResolverSpec) -> None:
    sound = serving({(OWNER, wire.TLSA): [wire.tlsa_rdata(TLSA)]})
    with sound, Peer(lambda query: answer_to(bytes((query[0] ^ 1, query[1])) + query[2:]), copies=40) as flood:
        found = look(iterating, OWNER, peers=[str(flood.address)])
        beside = look(iterating, OWNER, peers=[str(flood.address), str(sound.address)])
    said = "it sends message after message that is no answer"
    assert [miss.problem for miss in found.unanswered] == [said]
    assert [reading.rdatas for reading in beside.readings] == [(TLSA,)]
    assert [miss.problem for miss in beside.unanswered] == [said]


def test_silent_servers_are_bounded_together(iterating: ResolverSpec) -> None:
    with Peer(lambda _: None) as one, Peer(lambda _: None, host="127.0.0.2") as two:
        begin = time.monotonic()
        found = look(iterating, OWNER, peers=[str(one.address), str(two.address)])
        assert time.monotonic() - begin < 2.5
    assert len(found.unanswered) == 2


def test_what_does_not_fit_comes_by_tcp(iterating: ResolverSpec) -> None:
    many = [wire.tlsa_rdata(TlsaRecord(3, 1, 1, bytes([n]) * 32)) for n in range(60)]
    records = b"".join(rr(OWNER, wire.TLSA, rdata) for rdata in many)

    def whole(query: bytes) -> bytes:
        return answer_to(query, records=records, count=len(many))

    with Peer(lambda query: answer_to(query, flags=0x8600), whole) as peer:
        found = look(iterating, OWNER, peers=[str(peer.address)])
    assert len(found.readings[0].rdatas) == 60


def test_old_server_without_edns(iterating: ResolverSpec) -> None:
    def reply(query: bytes) -> bytes:
        if query[11]:  # an OPT record in the additional section
            return answer_to(query, rcode=1)
        return answer_to(query, records=rr(OWNER, wire.TLSA, wire.tlsa_rdata(TLSA)), count=1)

    with Peer(reply) as peer:
        found = look(iterating, OWNER, peers=[str(peer.address)])
    assert found.readings[0].rdatas == (TLSA,)


def test_servers_that_disagree_about_a_cname_all_count(iterating: ResolverSpec) -> None:
    target = "_dane.peer.test."
    old, new = TlsaRecord(3, 1, 1, b"o" * 32), TlsaRecord(3, 1, 1, b"n" * 32)
    alias = {(OWNER, wire.CNAME): [wire.name_wire(wire.name_of(target))], (target, wire.TLSA): [wire.tlsa_rdata(new)]}
    plain = {(OWNER, wire.TLSA): [wire.tlsa_rdata(old)], (target, wire.TLSA): [wire.tlsa_rdata(new)]}
    with serving(alias) as one, serving(plain) as two:
        found = look(iterating, OWNER, peers=[str(one.address), str(two.address)])
    assert found.target == target
    assert {reading.rdatas for reading in found.readings} == {(old,), (new,)}
    assert {reading.server: reading.rdatas for reading in found.readings} == {
        str(one.address): (new,),
        str(two.address): (new,),
        f"{two.address} at {OWNER}": (old,),
    }
    assert set(found.servers) == {reading.server for reading in found.readings}


def test_endless_chain_of_cnames_ends(iterating: ResolverSpec) -> None:
    def reply(query: bytes) -> bytes:
        question = wire.parse(query).question
        assert question is not None
        name = wire.text_of(question.name)
        longer = wire.name_wire(wire.name_of(f"a{len(name)}.peer.test."))
        return answer_to(query, records=rr(name, wire.CNAME, longer), count=1)

    with Peer(reply) as peer:
        found = look(iterating, f"_25._tcp.{'m' * 30}.peer.test.", peers=[str(peer.address)])
    assert found.problem is not None


def test_name_that_is_none(iterating: ResolverSpec) -> None:
    assert "no DNS name" in str(look(iterating, f"_25._tcp.{'m' * 64}.example.test.").problem)
