"""Compare-and-swap by RFC 2136 against BIND and Knot."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import pytest
from dns.rdtypes.ANY.SOA import SOA

from danelaw.dns.authoritative import AuthoritativeView
from danelaw.dns.update import Rfc2136Publisher
from danelaw.errors import Lost, Refused, RetryLater
from danelaw.model import PublisherSpec, ResolverSpec, TlsaRecord
from fakes.dns_clock import ShiftedClock
from fakes.dns_peer import Peer, answer_to
from integration.dns_servers import (
    ALGORITHMS,
    GOOD,
    PRIMARY,
    ROOT,
    SECONDARY,
    TSIG_SECRET,
    DnsServers,
    key_clause,
    running,
)

pytestmark = pytest.mark.world

OURS = TlsaRecord(3, 1, 1, bytes.fromhex("11" * 32))
NEXT = TlsaRecord(3, 1, 1, bytes.fromhex("22" * 32))
STALE = TlsaRecord(3, 0, 1, bytes.fromhex("33" * 32))
SHORT = TlsaRecord(3, 1, 1, bytes.fromhex("abcdef"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServers]:
    with running(tmp_path_factory.mktemp("dns"), resolver=False) as servers:
        yield servers


Make = Callable[..., Rfc2136Publisher]


@pytest.fixture
def publisher(servers: DnsServers, tmp_path: Path) -> Make:
    def make(
        key: str | None = "hmac-sha256.key",
        algorithm: str = "hmac-sha256",
        *,
        secret: str = TSIG_SECRET,
        server: str | None = PRIMARY,
        port: int = 53,
        zone: str | None = None,
        ahead: timedelta = timedelta(0),
    ) -> Rfc2136Publisher:
        path = tmp_path / "tsig.conf"
        if key is not None:
            path.touch(0o600)
            path.write_text(key_clause(key, algorithm, secret))
        clock = ShiftedClock(ahead)
        resolver = ResolverSpec(trust_anchor=str(servers.trust_anchor), root_hints=str(servers.root_hints))
        spec = PublisherSpec("home", server, port, zone, str(path) if key is not None else None)
        return Rfc2136Publisher(spec, AuthoritativeView(resolver, {}, clock), clock, limit=3.0)

    return make


def add_as_somebody_else(owner: str, ttl: int, record: TlsaRecord) -> None:
    ring = dns.tsigkeyring.from_text({"hmac-sha256.key": ("hmac-sha256", TSIG_SECRET)})
    update = dns.update.UpdateMessage("example.test", keyring=ring)
    update.add(owner, ttl, "TLSA", str(record))
    assert dns.query.tcp(update, PRIMARY, timeout=3).rcode() == dns.rcode.NOERROR


def serial(servers: DnsServers) -> int:
    soa = servers.dig(PRIMARY, "example.test", "SOA").answer[0][0]
    assert isinstance(soa, SOA)
    return soa.serial


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_publishes_changes_and_withdraws_with_every_algorithm(publisher: Make, algorithm: str) -> None:
    mine = publisher(f"{algorithm}.key", algorithm)
    owner = f"_25._tcp.{algorithm}.example.test."
    assert mine.read(owner) == ((), 0)
    evidence = mine.swap(owner, (), (OURS,), 300)
    assert evidence.startswith(f"{PRIMARY} took the update of example.test. at {owner}: added 1, deleted 0")
    assert f"signed with {algorithm}.key." in evidence
    assert TSIG_SECRET not in evidence
    assert mine.read(owner) == ((OURS,), 300)
    mine.swap(owner, (OURS,), (OURS, NEXT), 300)
    assert mine.read(owner) == ((OURS, NEXT), 300)
    mine.swap(owner, (OURS, NEXT), (NEXT,), 300)
    assert mine.read(owner) == ((NEXT,), 300)
    mine.swap(owner, (NEXT,), (), 300)
    assert mine.read(owner) == ((), 0)


def test_finds_server_by_soa_where_none_is_configured(publisher: Make) -> None:
    mine = publisher(server=None)
    assert PRIMARY in mine.swap("_26._tcp.mail.example.test.", (), (OURS,), 300)
    assert mine.read("_26._tcp.mail.example.test.") == ((OURS,), 300)


def test_finds_server_by_name(publisher: Make) -> None:
    mine = publisher(server="ns1.example.test", zone="example.test")
    mine.swap("_27._tcp.mail.example.test.", (), (OURS,), 300)
    assert mine.read("_27._tcp.mail.example.test.") == ((OURS,), 300)


def test_server_name_without_address_is_refused(publisher: Make) -> None:
    with pytest.raises(Refused, match=r"nothing\.example\.test has no address.*\[dns\.home\]"):
        publisher(server="nothing.example.test").read("_25._tcp.mail.example.test.")


def test_replaces_in_one_transaction_and_leaves_the_rest(servers: DnsServers, publisher: Make) -> None:
    owner = "_25._tcp.mail.example.test."
    good, short = TlsaRecord(3, 1, 1, bytes.fromhex(GOOD)), TlsaRecord(3, 1, 1, bytes.fromhex("abcdef01"))
    mine = publisher()
    assert mine.read(owner) == ((good, short), 600)
    before = serial(servers)
    mine.swap(owner, (short, good), (good, short, STALE), 600)
    mine.swap(owner, (short, good, STALE), (good, short, OURS), 600)
    assert mine.read(owner) == (tuple(sorted((good, short, OURS))), 600)
    # BIND may count one more for its signatures; it never counts fewer than the transactions
    assert serial(servers) >= before + 2
    texts = servers.dig(PRIMARY, owner, "TXT").answer
    assert any(rrset.rdtype == dns.rdatatype.TXT for rrset in texts)
    # a record of a wrong length is expressible, and deleted exactly
    mine.swap(owner, (good, short, OURS), (good, OURS), 600)
    assert mine.read(owner) == (tuple(sorted((good, OURS))), 600)
    mine.swap(owner, (good, OURS), (good, short), 600)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((OURS, STALE), (OURS,)),  # somebody added one
        ((OURS,), (OURS, STALE)),  # somebody took one away
        ((OURS,), ()),  # somebody published first
        ((), (OURS,)),  # somebody withdrew all
        ((SHORT,), (OURS,)),  # somebody replaced it
    ],
)
def test_concurrent_change_is_lost_and_changes_nothing(
    servers: DnsServers, publisher: Make, there: tuple[TlsaRecord, ...], expected: tuple[TlsaRecord, ...]
) -> None:
    owner = "_28._tcp.mail.example.test."
    mine = publisher()
    now, _ = mine.read(owner)
    if set(now) != set(there):
        mine.swap(owner, now, there, 300)
    before = serial(servers)
    seen = str(there[0]) if there else "no TLSA"
    with pytest.raises(Lost, match=seen):
        mine.swap(owner, expected, (NEXT,), 300)
    assert mine.read(owner)[0] == tuple(sorted(there))
    assert serial(servers) == before


@pytest.mark.parametrize("expected", [(), (OURS,)])
def test_nothing_is_added_beside_a_cname(
    servers: DnsServers, publisher: Make, expected: tuple[TlsaRecord, ...]
) -> None:
    owner = "_465._tcp.mail.example.test."
    before = serial(servers)
    with pytest.raises(Lost, match=r"is a CNAME to _tlsa\.mail\.example\.test\."):
        publisher().swap(owner, expected, (NEXT,), 300)
    assert serial(servers) == before
    with pytest.raises(Lost, match="CNAME"):
        publisher().read(owner)


def test_ttl_is_a_step_of_its_own(publisher: Make) -> None:
    owner = "_29._tcp.mail.example.test."
    mine = publisher()
    mine.swap(owner, (), (OURS, NEXT), 60)
    assert mine.read(owner) == ((OURS, NEXT), 60)
    assert "TTL 3600" in mine.swap(owner, (OURS, NEXT), (OURS, NEXT), 3600)
    assert mine.read(owner) == ((OURS, NEXT), 3600)


def test_knot_takes_the_same_updates(servers: DnsServers, publisher: Make) -> None:
    mine = publisher(server=SECONDARY, zone="knot.test")
    owner, good = "_25._tcp.mail.knot.test.", TlsaRecord(3, 1, 1, bytes.fromhex(GOOD))
    assert mine.read(owner) == ((good,), 600)
    mine.swap(owner, (good,), (good, OURS), 600)
    mine.swap(owner, (good, OURS), (OURS,), 600)
    assert mine.read(owner) == ((OURS,), 600)
    mine.swap(owner, (OURS,), (OURS,), 120)
    assert mine.read(owner) == ((OURS,), 120)
    mine.swap(owner, (OURS,), (OURS, STALE), 999)
    assert mine.read(owner) == ((STALE, OURS), 999)  # as rules.md says: an add with another TTL changes all
    mine.swap(owner, (STALE, OURS), (OURS,), 120)
    assert mine.read(owner) == ((OURS,), 999)  # and a deletion changes none
    with pytest.raises(Lost):
        mine.swap(owner, (good,), (NEXT,), 120)
    with pytest.raises(Lost, match="CNAME"):
        mine.swap("_465._tcp.mail.knot.test.", (), (NEXT,), 120)
    assert mine.read(owner) == ((OURS,), 999)
    assert servers.dig(SECONDARY, owner, "TXT").answer
    assert "knot.test" in publisher(server=SECONDARY).swap("_26._tcp.mail.knot.test.", (), (OURS,), 60)


def refused(mine: Rfc2136Publisher) -> str:
    with pytest.raises(Refused) as caught:
        mine.swap("_30._tcp.mail.example.test.", (), (OURS,), 300)
    assert TSIG_SECRET not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("zone", ["example.test", None])
def test_wrong_keys_are_refused_with_the_remedy(servers: DnsServers, publisher: Make, zone: str | None) -> None:
    assert "does not know TSIG key nobody.key. with hmac-sha256 (BADKEY)" in refused(publisher("nobody.key", zone=zone))
    assert "(BADKEY)" in refused(publisher("hmac-md5.key", "hmac-sha256", zone=zone))  # another algorithm
    wrong = publisher(secret=TSIG_SECRET.swapcase(), zone=zone)
    assert "another secret for TSIG key hmac-sha256.key. (BADSIG)" in refused(wrong)
    stranger = refused(publisher("stranger.key", zone=zone))
    assert "does not let TSIG key stranger.key. do this" in stranger
    assert "update policy" in stranger
    assert "no tsig_key" in refused(publisher(None, zone=zone))
    assert not servers.dig(PRIMARY, "_30._tcp.mail.example.test.", "TLSA").answer


@pytest.mark.parametrize(("hours", "how"), [(2, "behind"), (-2, "ahead of")])
def test_wrong_clock_is_refused_with_both_times(publisher: Make, hours: int, how: str) -> None:
    said = refused(publisher(ahead=timedelta(hours=hours), zone="example.test"))
    assert re.search(rf"its clock is 7(199|200|201) s {how} ours \(BADTIME", said)


def test_wrong_server_and_zone_are_refused(publisher: Make) -> None:
    said = refused(publisher("hmac-sha256.key", server=PRIMARY, zone="test"))
    assert "(NOTAUTH)" in said
    assert "`zone`" in said
    with pytest.raises((Refused, RetryLater), match=r"NOTAUTH|not believed|BADKEY"):
        publisher(server=ROOT, zone="example.test").swap("_30._tcp.mail.example.test.", (), (OURS,), 300)


def test_dead_server_is_tried_later(publisher: Make) -> None:
    with pytest.raises(RetryLater, match=rf"{PRIMARY}:5399: no TCP connection"):
        publisher(port=5399, zone="example.test").swap("_25._tcp.mail.example.test.", (), (OURS,), 300)


def test_update_of_somebody_else_is_seen(publisher: Make) -> None:
    add_as_somebody_else("_31._tcp.mail", 300, STALE)
    mine = publisher()
    assert mine.read("_31._tcp.mail.example.test.") == ((STALE,), 300)
    mine.swap("_31._tcp.mail.example.test.", (STALE,), (), 300)
    assert mine.read("_31._tcp.mail.example.test.") == ((), 0)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer_to, r"\(NOERROR\) is not believed: it is not signed"),
        (lambda query: answer_to(query, rcode=5), r"\(REFUSED\) is not believed: it is not signed"),
        (lambda query: query[:2] + b"junk", "not believed: not a DNS message"),
        (lambda query: query, "is not believed|no answer"),
        (lambda _: b"", "whether the update was made, the next look shows"),
    ],
)
def test_nothing_but_a_signed_answer_is_believed(publisher: Make, reply: Callable[[bytes], bytes], said: str) -> None:
    with Peer(reply) as peer:
        mine = publisher(server=peer.address.host, port=peer.address.port, zone="example.test")
        with pytest.raises(RetryLater, match=said):
            mine.swap("_25._tcp.mail.example.test.", (), (OURS,), 300)
        assert len(peer.asked) == 1  # an update is not sent twice


def test_silent_server_is_bounded(publisher: Make) -> None:
    with Peer(lambda _: None) as peer:
        mine = publisher(server=peer.address.host, port=peer.address.port, zone="example.test")
        with pytest.raises(RetryLater, match="no answer by TCP within 3 s; whether the update was made"):
            mine.swap("_25._tcp.mail.example.test.", (), (OURS,), 300)
