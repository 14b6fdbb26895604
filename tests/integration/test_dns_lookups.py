"""Validated look-ups for a check, against BIND, Knot and Unbound."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from danelaw.dns import message as wire
from danelaw.dns.authoritative import AuthoritativeView
from danelaw.dns.lookups import Lookups
from danelaw.errors import InputError
from danelaw.model import OwnerLook, ResolverSpec, TlsaRecord
from danelaw.model.outside import LookedUp, Lookup, MxRecord, SrvRecord
from fakes.dns_peer import Peer, answer_to
from integration.dns_peers import CLOCK, asked_for, find, find_all, hostile, rr
from integration.dns_servers import (
    DEAD,
    GOOD,
    PRIMARY,
    PRIVATE,
    RESOLVER,
    RESOLVER_PORT,
    ROOT,
    SECONDARY,
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


@pytest.fixture(params=["iterating", "forwarding"])
def spec(request: pytest.FixtureRequest, iterating: ResolverSpec) -> ResolverSpec:
    if request.param == "iterating":
        return iterating
    return replace(iterating, address=RESOLVER, port=RESOLVER_PORT, root_hints=None)


def lasts(found: LookedUp, ttl: int) -> bool:
    """Tell whether a TTL is what it was set to, less the time that a resolver remembered it."""
    return ttl - 60 < found.ttl <= ttl


# -- what stands in DNS ------------------------------------------------------------------------------------------------


def test_every_type_of_a_signed_zone(spec: ResolverSpec) -> None:
    ipv4, ipv6, mx, null, srv, none, texts, tlsa = find_all(
        spec,
        ("mail.example.test", "A"),
        ("mail.example.test", "AAAA"),
        ("example.test", "MX"),
        ("null.example.test", "MX"),
        ("_imaps._tcp.example.test", "SRV"),
        ("_pop3s._tcp.example.test", "SRV"),
        ("txt.example.test", "TXT"),
        ("_25._tcp.mail.example.test", "TLSA"),
    )
    assert (ipv4.addresses, ipv6.addresses) == (("127.0.0.25",), ("::1",))
    assert mx.mx == (MxRecord(5, r"mx\032odd.example.org"), MxRecord(10, "mail.example.test"))
    assert null.mx == (MxRecord(0, ""),)
    assert srv.srv == (SrvRecord(1, 2, 993, "mail.example.test"),)
    assert none.srv == (SrvRecord(0, 0, 0, ""),)
    assert texts.texts == ("second", r"v=TLSRPTv1; rua=\195\188\\")
    assert tlsa.tlsa == (TLSA, TlsaRecord(3, 1, 1, bytes.fromhex("abcdef01")))
    assert lasts(tlsa, 600)
    assert lasts(ipv4, 300)
    assert (tlsa.original_ttl, ipv4.original_ttl) == (600, 300)
    for found in (ipv4, ipv6, mx, null, srv, none, texts, tlsa):
        assert (found.security, found.rcode, found.canonical) == ("secure", "NOERROR", found.lookup.name)
        assert found.expires is not None
        assert timedelta(days=1) < found.expires - CLOCK.now() < timedelta(days=30)
        assert (found.failed, found.ours, found.why, found.malformed, found.warnings) == (False, False, "", 0, ())
        parts = (found.addresses, found.mx, found.srv, found.tlsa, found.texts)
        assert sum(map(bool, parts)) == 1  # of its own type alone


def test_absence_is_proven(spec: ResolverSpec) -> None:
    nothing, empty = find_all(spec, ("nothing.example.test", "A"), ("mail.example.test", "TLSA"))
    assert (nothing.security, nothing.rcode, nothing.addresses) == ("secure", "NXDOMAIN", ())
    assert (empty.security, empty.rcode, empty.tlsa) == ("secure", "NOERROR", ())
    assert lasts(nothing, 60)
    assert (nothing.original_ttl, nothing.expires) == (0, None)


def test_odd_names_are_asked_for_and_found(spec: ResolverSpec) -> None:
    odd, long, wild = find_all(
        spec, (r"mx\032odd.example.test", "A"), (f"{'m' * 64}.example.test", "A"), (r"\200\.x.wild.example.test", "A")
    )
    assert (odd.security, odd.rcode, odd.canonical) == ("secure", "NXDOMAIN", r"mx\032odd.example.test")
    assert (long.failed, long.rcode) == (True, "FORMERR")
    assert "is no DNS name" in long.why
    assert (wild.addresses, wild.canonical) == (("127.0.0.26",), r"\200\.x.wild.example.test")


def test_unsigned_zone_is_insecure(spec: ResolverSpec) -> None:
    found = find(spec, "_25._tcp.mail.insecure.test", "TLSA")
    assert (found.security, found.tlsa, lasts(found, 300)) == ("insecure", (TLSA,), True)
    assert (found.original_ttl, found.expires, found.failed, found.why) == (0, None, False, "")


@pytest.mark.parametrize("zone", ["bogus.test", "expired.test"])
def test_bogus_gives_no_records_and_says_why(spec: ResolverSpec, zone: str) -> None:
    found = find(spec, f"_25._tcp.mail.{zone}", "TLSA")
    assert (found.security, found.failed, found.ours) == ("bogus", True, False)
    assert (found.tlsa, found.ttl, found.expires) == ((), 0, None)
    assert zone in found.why


def test_how_a_zone_is_signed_is_said(spec: ResolverSpec) -> None:
    hashed, plain = find_all(spec, ("_26._tcp.mail.hashed.test", "TLSA"), ("_26._tcp.mail.example.test", "TLSA"))
    assert (hashed.security, hashed.rcode) == ("secure", "NXDOMAIN")
    assert hashed.warnings == ("hashed.test has 12 NSEC3 iterations; only 0 is taken by every resolver",)
    assert plain.warnings == ()


# -- CNAMEs ------------------------------------------------------------------------------------------------------------


def test_cnames_are_followed_and_the_whole_answer_is_judged(spec: ResolverSpec) -> None:
    far, away, lost, broken, sub = find_all(
        spec,
        ("far.example.test", "A"),
        ("away.example.test", "A"),
        ("lost.example.test", "A"),
        ("broken.example.test", "A"),
        ("a.sub.example.test", "A"),
    )
    assert (far.security, far.canonical, far.addresses) == ("secure", "mail.example.test", ("127.0.0.25",))
    # a secure alias of an insecure host: the whole is insecure
    assert (away.security, away.canonical, away.addresses) == ("insecure", "mail.insecure.test", ("127.0.0.25",))
    assert away.expires is not None  # of the alias
    assert (lost.security, lost.rcode, lost.canonical) == ("secure", "NXDOMAIN", "nothing.example.test")
    assert (broken.security, broken.canonical, broken.addresses) == ("bogus", "mail.bogus.test", ())
    # a DNAME's CNAME leads on as well
    assert (sub.security, sub.canonical, sub.addresses) == ("secure", "a.wild.example.test", ("127.0.0.26",))


def test_first_cname_alone(spec: ResolverSpec) -> None:
    far, away, broken, none = find_all(
        spec,
        ("far.example.test", "CNAME"),
        ("away.example.test", "CNAME"),
        ("broken.example.test", "CNAME"),
        ("mail.example.test", "CNAME"),
    )
    assert (far.security, far.canonical) == ("secure", "near.example.test")
    assert (away.security, away.canonical) == ("secure", "mail.insecure.test")
    assert (broken.security, broken.canonical) == ("secure", "mail.bogus.test")
    assert (none.security, none.rcode, none.canonical) == ("secure", "NOERROR", "mail.example.test")


def test_circle_of_cnames_fails_in_words(iterating: ResolverSpec) -> None:
    found = find(iterating, "_993._tcp.mail.example.test", "TLSA")
    assert (found.security, found.rcode, found.ours) == ("indeterminate", "SERVFAIL", False)
    assert found.why == "the CNAMEs at _993._tcp.mail.example.test run in a circle"


# -- when it is us -----------------------------------------------------------------------------------------------------


def test_wrong_trust_anchor_is_ours(iterating: ResolverSpec) -> None:
    found = find(replace(iterating, trust_anchor=None), "mail.example.test", "A")  # the real root's
    assert (found.security, found.ours, found.addresses) == ("indeterminate", True, ())
    assert "the root zone's keys do not validate from here" in found.why


def test_no_way_to_the_root_servers_is_ours(iterating: ResolverSpec, tmp_path: Path) -> None:
    hints = tmp_path / "root.hints"
    hints.write_text(f". 3600 NS a.root.\na.root. 3600 A {DEAD}\n")
    found = find(replace(iterating, root_hints=str(hints)), "mail.example.test", "A", timeout=2.0)
    assert (found.security, found.ours) == ("indeterminate", True)
    assert "from here" in found.why


def test_network_that_goes_away_later_is_ours_too(servers: DnsServers, iterating: ResolverSpec) -> None:
    async def run() -> tuple[LookedUp, LookedUp]:
        async with Lookups(iterating, CLOCK, timeout=3.0) as lookups:
            before = await lookups.find(Lookup("mail.example.test", "A"))  # now the root's keys are remembered
            for name in ("root", "primary", "secondary"):
                servers.stop(name)
            return before, await lookups.find(Lookup("other.example.test", "A"))

    try:
        before, after = asyncio.run(run())
    finally:
        servers.start_all()
    assert (before.security, before.ours) == ("secure", False)
    assert (after.security, after.ours) == ("indeterminate", True)
    assert after.why.startswith(f"the root server {ROOT} cannot be heard from here: nothing listens there")


def test_resolver_that_is_down_is_ours(iterating: ResolverSpec) -> None:
    with Peer(lambda _: None) as peer:
        spec = replace(iterating, address=peer.address.host, port=peer.address.port, root_hints=None)
        silent = find(spec, "mail.example.test", "A", timeout=2.0)
    with Peer(lambda query: answer_to(query, rcode=5)) as peer:
        spec = replace(iterating, address=peer.address.host, port=peer.address.port, root_hints=None)
        refusing = find(spec, "mail.example.test", "A", timeout=2.0)
    assert silent.why.startswith("the resolver 127.0.0.1:")
    assert (silent.security, silent.rcode, silent.ours) == ("indeterminate", "TIMEOUT", True)
    assert "cannot be heard from here" in silent.why
    assert (refusing.security, refusing.ours) == ("indeterminate", True)
    assert "answers REFUSED for the root zone" in refusing.why


def test_unusable_trust_anchor_is_refused(iterating: ResolverSpec, tmp_path: Path) -> None:
    (tmp_path / "bad.ds").write_text(". IN DS this is no anchor\n")
    with pytest.raises(InputError, match=r"bad\.ds"):
        find(replace(iterating, trust_anchor=str(tmp_path / "bad.ds")), "mail.example.test", "A")


# -- who may be asked --------------------------------------------------------------------------------------------------


def no_ten(address: str) -> bool:
    return not address.startswith("10.")


def private() -> Peer:
    """Be the name server of ``private.test``, at an address of 10.0.0.0/8."""
    return Peer(lambda query: answer_to(query, records=_address(query), count=1), host=PRIVATE, port=53)


def _address(query: bytes) -> bytes:
    question = asked_for(query)
    return rr(wire.text_of(question.name), question.rrtype, b"\x7f\0\0\1" * (4 if question.rrtype == wire.AAAA else 1))


def test_private_name_servers_are_not_asked(iterating: ResolverSpec) -> None:
    with private() as peer:
        (found,) = find_all(iterating, ("mail.private.test", "A"), timeout=2.0, may_reach=no_ten)
        assert peer.asked == []
        look = asyncio.run(
            AuthoritativeView(iterating, {}, CLOCK, resolve_limit=2.0, may_reach=no_ten).look_async(
                ["_25._tcp.mail.private.test."], []
            )
        )
        assert peer.asked == []
        allowed = find(iterating, "mail.private.test", "A")
        assert peer.asked != []
    assert (found.security, found.addresses, found.ours) == ("indeterminate", (), False)
    assert f"{PRIVATE} (may not be asked: its address is not public)" in found.why
    assert look[0].left_out == (f"{PRIVATE} (may not be asked: its address is not public)",)
    assert look[0].problem == "no name server of private.test. can be asked"
    assert (look[0].servers, look[0].readings) == ({}, ())
    assert (allowed.security, allowed.addresses) == ("insecure", ("127.0.0.1",))


def test_configured_resolver_may_be_private(iterating: ResolverSpec) -> None:
    spec = replace(iterating, address=RESOLVER, port=RESOLVER_PORT, root_hints=None)
    (found,) = find_all(spec, ("mail.example.test", "A"), may_reach=lambda address: not address.startswith("127."))
    assert (found.security, found.addresses) == ("secure", ("127.0.0.25",))  # and answers are nobody's dial yet


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_answers_are_remembered_for_their_ttl_and_no_longer(iterating: ResolverSpec) -> None:
    addresses = [b"\x7f\0\0\1"]

    def reply(query: bytes) -> bytes:
        question = asked_for(query)
        if question.rrtype != wire.A or not wire.text_of(question.name).startswith("moving"):
            return answer_to(query)
        return answer_to(query, records=rr("moving.hostile.test", wire.A, addresses[0], ttl=1), count=1)

    async def run(peer: Peer) -> tuple[list[LookedUp], LookedUp]:
        async with Lookups(iterating, CLOCK) as lookups:
            wanted = Lookup("moving.hostile.test", "A")
            first = await lookups.find(wanted)
            addresses[0] = b"\x7f\0\0\2"
            asked = len(peer.asked)
            second = await lookups.find(wanted)
            assert len(peer.asked) == asked or second.addresses == ("127.0.0.2",)  # a second may have gone by
            last = second
            for _ in range(100):
                if last.addresses != first.addresses:
                    break
                await asyncio.sleep(0.05)
                last = await lookups.find(wanted)
            return [first, second], last

    with hostile(reply) as peer:
        remembered, fresh = asyncio.run(run(peer))
    assert remembered[0].addresses == ("127.0.0.1",)
    assert remembered[1].addresses in {("127.0.0.1",), ("127.0.0.2",)}
    assert fresh.addresses == ("127.0.0.2",)


# -- several at once, and the end --------------------------------------------------------------------------------------


def test_cancelled_look_up_leaves_the_others_alone(iterating: ResolverSpec) -> None:
    async def run() -> list[LookedUp | BaseException]:
        async with Lookups(iterating, CLOCK, timeout=5.0) as lookups:
            names = ["x.hostile.test", *(f"n{n}.wild.example.test" for n in range(50)), "y.hostile.test"]
            tasks = [asyncio.create_task(lookups.find(Lookup(name, "A"))) for name in names]
            await asyncio.wait(tasks[1:2])
            for task in (tasks[0], tasks[10], tasks[-1]):
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    with hostile(lambda _: None):
        found = asyncio.run(run())
    good = [each for each in found if isinstance(each, LookedUp)]
    assert len(found) - len(good) in {2, 3}  # one of the three may have been done
    assert {each.addresses for each in good} == {("127.0.0.26",)}


def test_closing_ends_what_runs(iterating: ResolverSpec) -> None:
    async def run() -> list[LookedUp]:
        async with Lookups(iterating, CLOCK, timeout=30.0) as lookups:
            tasks = [asyncio.create_task(lookups.find(Lookup(f"x{n}.hostile.test", "A"))) for n in range(20)]
            await asyncio.wait(tasks, timeout=0.1)
        found = await asyncio.gather(*tasks)
        return [*found, await lookups.find(Lookup("late.example.test", "A"))]

    begin = time.monotonic()
    with hostile(lambda _: None):
        found = asyncio.run(run())
    assert time.monotonic() - begin < 5
    assert {(each.security, each.rcode, each.ours) for each in found} == {("indeterminate", "TIMEOUT", True)}


# -- the authoritative view in an event loop ---------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def shared(spec: ResolverSpec, *, through: bool) -> AsyncIterator[Lookups | None]:
    if not through:
        yield None
        return
    async with Lookups(spec, CLOCK) as lookups:
        yield lookups


@pytest.mark.parametrize("through", ["lookups", "resolvers of its own"])
def test_many_looks_at_once_share_nothing_wrongly(spec: ResolverSpec, through: str) -> None:
    owners = [f"_25._tcp.mail.{zone}." for zone in ("example.test", "insecure.test", "bogus.test", "expired.test")]
    view = AuthoritativeView(spec, {}, CLOCK, limit=0.4)

    async def run() -> list[Sequence[OwnerLook]]:
        async with shared(spec, through=through == "lookups") as lookups:
            return list(await asyncio.gather(*(view.look_async([owner], [], lookups) for owner in owners * 5)))

    found = asyncio.run(run())
    blocking = view.look(owners, [])
    for one in range(0, len(found), 4):
        for (look,), expected in zip(found[one : one + 4], blocking, strict=True):
            assert (look.owner, look.servers, look.readings) == (expected.owner, expected.servers, expected.readings)
            assert look.validated is not None
            assert expected.validated is not None
            assert look.validated.security == expected.validated.security
            assert list(look.servers) == [PRIMARY, SECONDARY]
    assert ROOT not in blocking[0].servers
