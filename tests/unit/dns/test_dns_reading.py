from datetime import UTC, datetime, timedelta

import pytest

from danelaw.dns import message as wire
from danelaw.dns.message import name_of, parse
from danelaw.dns.reading import Alias, Answered, Bad, Referred, Verdict, read, zone_signing
from danelaw.dns.unbound import Resolution
from danelaw.model import Security, TlsaRecord
from fakes.dns_answers import message, rr, rrsig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OWNER, ZONE = "_25._tcp.mail.example.org.", "example.org."
GOOD = rr(OWNER, wire.TLSA, b"\3\1\1" + b"\xab" * 32, ttl=600)
TLSA = TlsaRecord(3, 1, 1, b"\xab" * 32)


def verdict(*answer: bytes, authority: tuple[bytes, ...] = (), flags: int = 0x8400, zone: str = ZONE) -> Verdict:
    octets = message(OWNER, wire.TLSA, answer, authority, flags=flags)
    return read(parse(octets), name_of(OWNER), name_of(zone), NOW)


def alias(target: str, ttl: int = 300, owner: str = OWNER) -> bytes:
    return rr(owner, wire.CNAME, wire.name_wire(name_of(target)), ttl)


def test_rrset_with_its_largest_ttls_and_latest_end() -> None:
    early, late = NOW + timedelta(days=3), NOW + timedelta(days=8)
    found = verdict(
        GOOD,
        rrsig(OWNER, wire.TLSA, labels=5, original_ttl=60, expires=late),
        rrsig(OWNER, wire.TLSA, labels=5, original_ttl=3600, expires=early),
    )
    assert found == Answered("NOERROR", (TLSA,), 600, 3600, late, wildcard=False, signed=True)


def test_unsigned_rrset() -> None:
    assert verdict(GOOD) == Answered("NOERROR", (TLSA,), 600)


def test_wildcard_shows_in_the_label_count() -> None:
    found = verdict(GOOD, rrsig(OWNER, wire.TLSA, labels=2))
    assert isinstance(found, Answered)
    assert found.wildcard
    found = verdict(GOOD, rrsig(OWNER, wire.TLSA, labels=5))
    assert isinstance(found, Answered)
    assert not found.wildcard


@pytest.mark.parametrize(("flags", "rcode"), [(0x8400, "NOERROR"), (0x8403, "NXDOMAIN")])
def test_absence_with_authority_is_proof(flags: int, rcode: str) -> None:
    found = verdict(flags=flags)
    assert isinstance(found, Answered)
    assert (found.rcode, found.rdatas) == (rcode, ())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (0x8000, "is lame"),
        (0x8003, "is lame"),
        (0x8402, "answers SERVFAIL"),
        (0x8405, "answers REFUSED"),
        (0x8001, "answers FORMERR"),
        (0x840B, "answers RCODE11"),
    ],
)
@pytest.mark.parametrize("records", [(), (GOOD,)])
def test_anything_else_proves_nothing(flags: int, said: str, records: tuple[bytes, ...]) -> None:
    found = verdict(*records, flags=flags)
    assert isinstance(found, Bad)
    assert found.problem.startswith(said)


def test_records_with_nxdomain_contradict_themselves() -> None:
    assert isinstance(verdict(GOOD, flags=0x8403), Bad)


def test_records_of_other_names_do_not_count() -> None:
    other = rr("_26._tcp.mail.example.org.", wire.TLSA, b"\3\1\1x")
    assert verdict(other) == Answered("NOERROR")


def test_cname_with_the_largest_ttl_that_leads_on() -> None:
    signed = rrsig(OWNER, wire.CNAME, labels=5, original_ttl=7200)
    assert verdict(alias("_dane.example.org.", 60), signed) == Alias(name_of("_dane.example.org."), 7200)
    # an NXDOMAIN beside a CNAME speaks of its target (RFC 2308 section 2.1)
    assert verdict(alias("_dane.example.org.", 60), flags=0x8403) == Alias(name_of("_dane.example.org."), 60)


def test_cname_from_a_dname() -> None:
    dname = rr("mail.example.org.", wire.DNAME, wire.name_wire(name_of("mail.example.net.")), 900)
    assert verdict(dname, alias("_25._tcp.mail.example.net.", 0)) == Alias(name_of("_25._tcp.mail.example.net."), 900)


def test_several_or_broken_cnames_lead_nowhere() -> None:
    assert isinstance(verdict(alias("a.example.org."), alias("b.example.org.")), Bad)
    assert isinstance(verdict(rr(OWNER, wire.CNAME, b"\x3f")), Bad)


def ns(zone: str, target: str) -> bytes:
    return rr(zone, wire.NS, wire.name_wire(name_of(target)), 7200)


def test_referral_below() -> None:
    found = verdict(authority=(ns("mail.example.org.", "ns.example.net."),), flags=0x8000)
    assert isinstance(found, Referred)
    assert found.zone == name_of("mail.example.org.")
    assert found.delegation.ns == {name_of("ns.example.net."): 7200}


@pytest.mark.parametrize("cut", ["example.org.", "org.", ".", "other.example.org.", "_26._tcp.mail.example.org."])
def test_referral_elsewhere_is_lame(cut: str) -> None:
    assert isinstance(verdict(authority=(ns(cut, "ns.example.net."),), flags=0x8000), Bad)


SIGNED = (GOOD, rrsig(OWNER, wire.TLSA, labels=5))
SOA = rr(ZONE, wire.SOA, wire.name_wire(name_of("ns1.example.org")) * 2 + bytes(20))
DENIED = (SOA, rrsig(ZONE, wire.SOA, labels=2), rrsig(OWNER, 47, labels=5))


def proven(
    *answer: bytes, authority: tuple[bytes, ...] = (), name: str = OWNER, security: Security = "secure"
) -> str | None:
    parsed = parse(message(OWNER, wire.TLSA, answer, authority))
    zone = zone_signing(Resolution("NOERROR", security, message=parsed), name_of(name))
    return None if zone is None else wire.text_of(zone)


def test_the_signer_of_a_validated_rrset_is_its_zone() -> None:
    assert proven(*SIGNED) == ZONE
    assert proven(alias("mail.example.net"), rrsig(OWNER, wire.CNAME, labels=5)) == ZONE
    for security in ("insecure", "bogus", "indeterminate"):
        assert proven(*SIGNED, security=security) is None


def test_a_validated_denial_carries_its_zone() -> None:
    assert proven(authority=DENIED) == ZONE
    assert proven(authority=(SOA,)) is None
    assert proven(authority=DENIED, security="insecure") is None


def test_what_proves_nothing_of_the_zone() -> None:
    assert zone_signing(None, name_of(OWNER)) is None
    assert zone_signing(Resolution("NOERROR", "secure"), name_of(OWNER)) is None
    # a DNAME is signed in place of the CNAME that it gave
    assert proven(alias("mail.example.net"), authority=DENIED) is None
    # what is said of one name is not said of another
    assert proven(*SIGNED, name="_25._tcp.mx.example.org.") is None
    assert proven(authority=DENIED, name="_25._tcp.mx.example.org.") is None
    # nobody signs for what is above
    elsewhere = "_25._tcp.mail.example.net."
    assert proven(rr(elsewhere, wire.TLSA, b"\3\1\1"), rrsig(elsewhere, wire.TLSA, labels=5), name=elsewhere) is None
    cut = rrsig(OWNER, wire.TLSA, labels=5)[:-20]
    length = len(rr(OWNER, wire.RRSIG)) - 2
    cut = cut[:length] + (len(cut) - length - 2).to_bytes(2, "big") + cut[length + 2 :]
    assert proven(GOOD, cut) is None
