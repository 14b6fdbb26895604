"""What stands in records, built octet by octet, the malformed ones too."""

import struct
from datetime import UTC, datetime, timedelta

import pytest

from danelaw.dns import contents
from danelaw.dns import message as wire
from danelaw.dns.message import Message, name_of, parse
from danelaw.model import TlsaRecord
from danelaw.model.outside import LookupType, MxRecord, SrvRecord
from fakes.dns_answers import message, rr, rrsig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OWNER = "example.org."
MX = wire.name_wire(name_of("mx.example.org"))


def read(rrtype: LookupType, *datas: bytes) -> contents.Contents:
    """Read records of these data as an answer brings them."""
    number = contents.RRTYPES[rrtype]
    parsed = parse(message(OWNER, number, [rr(OWNER, number, data) for data in datas]))
    return contents.read(parsed.answers(name_of(OWNER), number), rrtype)


def test_mx_records_in_order_of_preference() -> None:
    upper = wire.name_wire(name_of("mail.example.org")).upper()
    found = read("MX", b"\0\24" + MX, b"\0\12\4MAIL\xc0\x0c", b"\0\12" + upper)
    assert found.mx == (MxRecord(10, "mail.example.org"), MxRecord(20, "mx.example.org"))
    assert found.malformed == 0


def test_null_mx() -> None:
    assert read("MX", b"\0\0\0").mx == (MxRecord(0, ""),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\12",  # no name
        b"\0\12\4mai",  # it ends in a label
        b"\0\12\4mail",  # no root
        b"\0\12" + MX + b"x",  # something behind it
        b"\0\12\xc0\xff",  # a pointer that leads forward
        b"\0\12\x7fmail\0",  # no kind of label
        b"\0\12" + b"\1a" * 130 + b"\0",  # too long a name
    ],
)
def test_mx_data_that_is_none_hides_no_other(data: bytes) -> None:
    found = read("MX", data, b"\0\12" + MX)
    assert (found.mx, found.malformed) == ((MxRecord(10, "mx.example.org"),), 1)


def test_srv_records() -> None:
    found = read(
        "SRV", struct.pack("!HHH", 1, 2, 5222) + MX, b"\0\0\0\0\0\0\0", b"\0\1\0\2\0", struct.pack("!HHH", 1, 2, 3)
    )
    assert found.srv == (SrvRecord(0, 0, 0, ""), SrvRecord(1, 2, 5222, "mx.example.org"))
    assert found.malformed == 2


def test_addresses_of_one_family_alone() -> None:
    assert read("A", b"\x0a\0\0\2", b"\x0a\0\0\1", b"\x0a\0\0\1", b"\x0a\0\0", b"") == contents.Contents(
        addresses=("10.0.0.1", "10.0.0.2"), malformed=2
    )
    assert read("AAAA", bytes(15) + b"\1", bytes(4)) == contents.Contents(addresses=("::1",), malformed=1)


def test_tlsa_data_without_parameters_is_counted() -> None:
    found = read("TLSA", b"\3\1\1" + bytes(32), b"\3\1", b"", b"\3\1\1")
    assert found.tlsa == (TlsaRecord(3, 1, 1, b""), TlsaRecord(3, 1, 1, bytes(32)))
    assert found.malformed == 2


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\4v=a;\3 b=", "v=a; b="),
        (b"\0", ""),
        (b"\0\1a\0", "a"),
        (b"\3a\\b", r"a\\b"),
        (b"\4\xc3\xa4\0\x7f", r"\195\164\000\127"),
        (b"\xff" + b"x" * 255 + b"\xff" + b"y" * 255, "x" * 255 + "y" * 255),
    ],
)
def test_texts(data: bytes, text: str) -> None:
    assert read("TXT", data) == contents.Contents(texts=(text,))


@pytest.mark.parametrize("data", [b"", b"\5a", b"\1", b"\1ab", b"\0\xff"])
def test_text_data_that_is_none_hides_no_other(data: bytes) -> None:
    assert read("TXT", data, b"\4good") == contents.Contents(texts=("good",), malformed=1)


def test_cname_data_that_is_none() -> None:
    assert read("CNAME", MX) == contents.Contents()
    assert read("CNAME", b"\4mail", MX + b"x").malformed == 2


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (".", ""),
        ("Mail.Example.ORG.", "mail.example.org"),
        (r"a\032b\.c.\255.org", r"a\032b\.c.\255.org"),
        (r"\000.org", r"\000.org"),
    ],
)
def test_hosts_in_presentation_form(name: str, shown: str) -> None:
    assert contents.host(name_of(name)) == shown
    assert contents.host(name_of(shown or ".")) == shown


def answer(*records: bytes, authority: tuple[bytes, ...] = ()) -> Message:
    return parse(message(OWNER, wire.A, records, authority))


def cname(owner: str, target: str) -> bytes:
    return rr(owner, wire.CNAME, wire.name_wire(name_of(target)))


def test_cnames_are_followed_to_their_end_and_circles_end() -> None:
    name = name_of(OWNER)
    assert contents.end_of_chain(answer(), name) == name
    chain = answer(cname("b.org", "C.org"), cname(OWNER, "b.org"), cname("x.org", "y.org"))
    assert contents.end_of_chain(chain, name) == name_of("c.org")
    circle = answer(cname(OWNER, "b.org"), cname("b.org", OWNER))
    assert contents.end_of_chain(circle, name) == name_of("b.org")
    long = answer(cname(OWNER, "0.org"), *(cname(f"{n}.org", f"{n + 1}.org") for n in range(500)))
    assert contents.end_of_chain(long, name) == name_of("31.org")


def test_the_earliest_end_of_all_signatures() -> None:
    early, late = NOW + timedelta(days=2), NOW + timedelta(days=9)
    signed = answer(rrsig(OWNER, wire.CNAME, labels=2, expires=early), rrsig("b.org", wire.A, labels=2, expires=late))
    assert contents.earliest_end(signed, NOW) == early
    assert contents.earliest_end(signed, early) == late  # the first is over, and the answer rests on the other
    assert contents.earliest_end(signed, late) == early
    assert contents.earliest_end(answer(rr(OWNER, wire.RRSIG, b"short")), NOW) is None
    # what proves absence is another thing than the records
    assert contents.earliest_end(answer(authority=(rrsig(OWNER, wire.SOA, labels=2),)), NOW) is None


def with_algorithm(number: int) -> bytes:
    fixed = struct.pack("!HBBIIIH", wire.A, number, 2, 300, 0, 0, 4711)
    return rr(OWNER, wire.RRSIG, fixed + wire.name_wire(name_of("Example.org")) + b"signature")


def nsec3(iterations: int) -> bytes:
    data = struct.pack("!BBHB", 1, 0, iterations, 0) + b"\x14" + bytes(20)
    return rr("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.org", wire.NSEC3, data)


@pytest.mark.parametrize(("number", "name"), [(1, "RSAMD5"), (3, "DSA"), (5, "RSASHA1"), (7, "RSASHA1-NSEC3-SHA1")])
def test_outdated_algorithms_are_said(number: int, name: str) -> None:
    expected = f"example.org is signed with {name} (algorithm {number}), which resolvers cease to validate"
    assert contents.warnings(answer(with_algorithm(number), with_algorithm(13))) == (expected,)
    assert contents.warnings(answer(authority=(with_algorithm(number),))) == (expected,)


def test_nsec3_iterations_are_said() -> None:
    assert contents.warnings(answer(authority=(nsec3(10), nsec3(10)))) == (
        "example.org has 10 NSEC3 iterations; only 0 is taken by every resolver",
    )
    (many,) = contents.warnings(answer(authority=(nsec3(151),)))
    assert many == (
        "example.org has 151 NSEC3 iterations; above 150 resolvers take what is proven by them for insecure, or fail"
    )


def test_nothing_is_said_of_zones_signed_as_they_should_be() -> None:
    short = rr("a.example.org", wire.NSEC3, b"\1\0\0"), rr(OWNER, wire.RRSIG, b"\0\1\5")
    good = [with_algorithm(number) for number in (8, 10, 13, 14, 15, 16)]
    assert contents.warnings(answer(*good, authority=(nsec3(0), *short))) == ()
    assert contents.warnings(answer(rr(".", wire.NSEC3, struct.pack("!BBHB", 1, 0, 3, 0)))) == (
        ". has 3 NSEC3 iterations; only 0 is taken by every resolver",
    )
