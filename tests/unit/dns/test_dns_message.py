import struct
from datetime import UTC, datetime, timedelta

import dns.message
import dns.rrset
import pytest

from danelaw.dns import message as wire
from danelaw.dns.message import Malformed, label_count, name_of, parse
from danelaw.model import TlsaRecord
from fakes.dns_answers import message, rr, rrsig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OWNER = "_25._tcp.mail.example.org."


def test_reads_what_a_library_writes() -> None:
    query = dns.message.make_query(OWNER, "TLSA", want_dnssec=True)
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text(OWNER, 600, "IN", "CNAME", "_Dane.example.net."))
    response.answer.append(dns.rrset.from_text("_dane.example.net.", 60, "IN", "TLSA", f"3 1 1 {'ab' * 32}"))
    response.authority.append(dns.rrset.from_text("example.net.", 300, "IN", "NS", "ns.example.net."))
    response.additional.append(dns.rrset.from_text("ns.example.net.", 300, "IN", "A", "192.0.2.1"))
    octets = response.to_wire()
    parsed = parse(octets)
    assert (parsed.id, parsed.rcode, parsed.aa, parsed.tc, parsed.is_response) == (
        query.id,
        "NOERROR",
        False,
        False,
        True,
    )
    assert parsed.question == wire.Question(name_of(OWNER), wire.TLSA)
    assert parsed.answers(name_of(OWNER), wire.CNAME)[0].target == name_of("_dane.example.net.")
    assert wire.tlsa(parsed.answer) == (TlsaRecord(3, 1, 1, b"\xab" * 32),)
    assert wire.addresses(parsed.additional) == ("192.0.2.1",)
    assert parsed.authority[0].target == name_of("ns.example.net.")


def test_query_is_read_by_a_library() -> None:
    parsed = dns.message.from_wire(wire.query(7, name_of(OWNER), wire.TLSA, flags=wire.RD | wire.CD))
    assert (parsed.id, parsed.question[0].to_text()) == (7, f"{OWNER} IN TLSA")
    assert (parsed.edns, parsed.payload, parsed.ednsflags) == (0, 1232, 0x8000)
    assert parsed.flags == wire.RD | wire.CD
    assert dns.message.from_wire(wire.query(7, name_of(OWNER), wire.TLSA, edns=False)).edns == -1


def test_one_bad_record_hides_no_good_one() -> None:
    datas = [b"\3\1\1" + b"\xab" * 32, b"\3\1\1\xab", b"\3\1\1", b"\3\1", b"", b"\3\1\2" + b"\xab" * 300]
    parsed = parse(message(OWNER, wire.TLSA, [rr(OWNER, wire.TLSA, data) for data in (*datas, datas[0])]))
    assert wire.tlsa(parsed.answer) == (
        TlsaRecord(3, 1, 1, b""),
        TlsaRecord(3, 1, 1, b"\xab"),
        TlsaRecord(3, 1, 1, b"\xab" * 32),
        TlsaRecord(3, 1, 2, b"\xab" * 300),
    )
    for record in wire.tlsa(parsed.answer):
        assert wire.tlsa_from_rdata(wire.tlsa_rdata(record)) == record


def test_malformed_rdata_of_other_types_is_survived() -> None:
    records = [rr(OWNER, wire.CNAME, b"\x3fshort"), rr(OWNER, wire.A, b"\1"), rr(OWNER, wire.RRSIG, b"\0")]
    parsed = parse(message(OWNER, wire.TLSA, records))
    assert parsed.answer[0].target is None
    assert wire.addresses(parsed.answer) == ()
    assert wire.signatures(parsed.answer, name_of(OWNER), (wire.TLSA,), NOW) == ()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0" * 11,
        struct.pack("!HHHHHH", 1, 0x8400, 1, 0, 0, 0),  # a question is promised
        struct.pack("!HHHHHH", 1, 0x8400, 0, 1, 0, 0) + b"\0",
        struct.pack("!HHHHHH", 1, 0x8400, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",  # a name that points at itself
        struct.pack("!HHHHHH", 1, 0x8400, 0, 1, 0, 0) + b"\0" + struct.pack("!HHIH", 52, 1, 0, 9) + b"short",
        struct.pack("!HHHHHH", 1, 0x8400, 0, 65535, 0, 0) + b"\0" + struct.pack("!HHIH", 52, 1, 0, 0),
    ],
)
def test_octets_that_are_no_message(octets: bytes) -> None:
    with pytest.raises(Malformed):
        parse(octets)


def test_truncated_answer_proves_nothing() -> None:
    parsed = parse(message(OWNER, wire.TLSA, [rr(OWNER, wire.TLSA, b"\3\1\1x")], flags=0x8600)[:-2])
    assert parsed.tc
    assert parsed.answer == ()


def test_ttl_with_its_top_bit_set_is_a_week() -> None:
    # RFC 8767 section 4
    parsed = parse(message(OWNER, wire.TLSA, [rr(OWNER, wire.TLSA, b"\3\1\1x", ttl=0x80000001)]))
    assert parsed.answer[0].ttl == 604800
    parsed = parse(message(OWNER, wire.TLSA, [rr(OWNER, wire.TLSA, b"\3\1\1x", ttl=0x7FFFFFFF)]))
    assert parsed.answer[0].ttl == 0x7FFFFFFF


def test_extended_rcode() -> None:
    opt = b"\0" + struct.pack("!HHIH", wire.OPT, 1232, 0x01 << 24, 0)
    assert parse(struct.pack("!HHHHHH", 1, 0x8000, 0, 0, 0, 1) + opt).rcode == "BADVERS"
    assert parse(struct.pack("!HHHHHH", 1, 0x8007, 0, 0, 0, 1) + opt).rcode == "RCODE23"


def test_signature_says_ttl_end_and_wildcard() -> None:
    expires = NOW + timedelta(days=9)
    records = [
        rrsig(OWNER, wire.TLSA, labels=5, original_ttl=3600, expires=expires),
        rrsig(OWNER, wire.TLSA, labels=2, original_ttl=60, expires=expires - timedelta(days=1)),
        rrsig(OWNER, wire.CNAME, labels=5),
        rrsig("other.example.org.", wire.TLSA, labels=3),
    ]
    parsed = parse(message(OWNER, wire.TLSA, records))
    whole, wild = wire.signatures(parsed.answer, name_of(OWNER), (wire.TLSA,), NOW)
    assert (whole.original_ttl, whole.expires, whole.by_wildcard) == (3600, expires, False)
    assert (wild.original_ttl, wild.by_wildcard) == (60, True)


def test_expiration_wraps_around_in_2106() -> None:
    # RFC 4034 section 3.1.5: serial number arithmetic
    now = datetime(2106, 2, 7, 6, tzinfo=UTC)
    expires = now + timedelta(days=10)
    parsed = parse(message(OWNER, wire.TLSA, [rrsig(OWNER, wire.TLSA, labels=5, expires=expires)]))
    assert wire.signatures(parsed.answer, name_of(OWNER), (wire.TLSA,), now)[0].expires == expires


def test_labels_are_counted_as_rrsig_does() -> None:
    # RFC 4034 section 3.1.3
    assert [label_count(name_of(n)) for n in (".", "org.", "mail.example.org.", "*.example.org.")] == [0, 1, 3, 2]


@pytest.mark.parametrize("text", ["a" * 64 + ".org", "a..org", ".".join(["abcdefg"] * 40)])
def test_text_that_is_no_name(text: str) -> None:
    with pytest.raises(Malformed, match="no DNS name"):
        name_of(text)


def test_names_are_lower_case_and_absolute() -> None:
    assert wire.text_of(name_of("Mail.Example.ORG")) == "mail.example.org."


def test_more_records_than_anybody_needs_are_no_message() -> None:
    records = [rr(".", wire.TLSA, b"\3\1\1")] * 1025
    assert len(parse(message(".", wire.TLSA, records[:1000], records[:14], records[:10])).answer) == 1000
    with pytest.raises(Malformed, match="it has 1025 records"):
        parse(message(".", wire.TLSA, records[:1000], records[:14], records[:11]))


def test_names_that_point_to_names_read_before() -> None:
    name, other = name_of(OWNER), name_of("mx.example.org")
    # the first record's name is the question's, its target ends in the question's; the second's name is that target
    question = 12
    target = question + len(wire.name_wire(name)) + 4 + 12
    end = question + len(wire.name_wire(name_of("_25._tcp.mail"))) - 1
    first = struct.pack("!HHHIH", 0xC000 | question, wire.CNAME, 1, 60, 5) + b"\2mx" + struct.pack("!H", 0xC000 | end)
    second = struct.pack("!HHHIH", 0xC000 | target, wire.A, 1, 60, 4) + bytes(4)
    parsed = parse(message(OWNER, wire.TLSA, [first, second, second]))
    assert [record.name for record in parsed.answer] == [name, other, other]
    assert parsed.answer[0].target == other


def test_pointers_that_lead_nowhere_are_no_message() -> None:
    at = 12 + len(wire.name_wire(name_of(OWNER))) + 4
    for pointer in (at, at + 12, 0x3FFF):
        with pytest.raises(Malformed):
            parse(message(OWNER, wire.TLSA, [struct.pack("!HHHIH", 0xC000 | pointer, wire.A, 1, 60, 0)]))
