"""Whatever the octets are, a message is read or is `Malformed`: nothing else is ever raised."""

import contextlib
from datetime import UTC, datetime

import dns.exception
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from danelaw.dns import message as wire
from danelaw.dns.message import Malformed, Message, Reader, name_of, parse
from danelaw.dns.reading import Alias, Answered, Bad, Referred, read
from danelaw.dns.tsig import BadTsig, ClocksApart, KeyRejected, TsigKey, sign, verify
from danelaw.model import TlsaRecord
from fakes.dns_answers import message, rr, rrsig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OWNER, ZONE = "_25._tcp.mail.example.org.", "example.org."
KEY = TsigKey("home.", "hmac-sha256", b"secret")
SAMPLES = (
    message(
        OWNER,
        wire.TLSA,
        [rr(OWNER, wire.TLSA, b"\3\1\1" + b"x" * 32), rrsig(OWNER, wire.TLSA, labels=5)],
        [rr(ZONE, wire.NS, wire.name_wire(name_of("ns.example.org")))],
        [rr("ns.example.org", wire.A, b"\1\2\3\4"), b"\0" + bytes.fromhex("0029 04d0 00 00 8000 0000")],
    ),
    message(OWNER, wire.TLSA, [rr(OWNER, wire.CNAME, b"\xc0\x0c"), rr(OWNER, wire.CNAME, b"\1a\xc0\x0c")]),
    sign(wire.query(1, name_of(OWNER), wire.TLSA), KEY, NOW)[0],
)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Real messages with some octets changed, cut out or put in."""
    octets = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(octets)))
        octets[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(octets)


def use(parsed: Message, octets: bytes) -> None:
    """Do with a message all that is ever done with one."""
    assert all(len(record.data) >= 0 for record in wire.tlsa(parsed.answer))
    wire.addresses((*parsed.answer, *parsed.additional))
    wire.signatures(parsed.answer, name_of(OWNER), (wire.TLSA,), NOW)
    assert isinstance(read(parsed, name_of(OWNER), name_of(ZONE), NOW), Answered | Alias | Referred | Bad)
    for record in (*parsed.answer, *parsed.authority, *parsed.additional):
        assert name_of(wire.text_of(record.name)) == record.name
    with contextlib.suppress(BadTsig, KeyRejected, ClocksApart):
        verify(octets, parsed, KEY, b"", NOW)


@given(st.binary(max_size=200) | mangled())
def test_parser_reads_or_refuses(octets: bytes) -> None:
    with contextlib.suppress(Malformed):
        use(parse(octets), octets)


@given(st.lists(st.binary(max_size=70), max_size=12))
def test_every_tlsa_record_with_parameters_is_seen(datas: list[bytes]) -> None:
    parsed = parse(message(OWNER, wire.TLSA, [rr(OWNER, wire.TLSA, data) for data in datas]))
    expected = {TlsaRecord(data[0], data[1], data[2], data[3:]) for data in datas if len(data) >= 3}
    assert set(wire.tlsa(parsed.answer)) == expected
    assert list(wire.tlsa(parsed.answer)) == sorted(expected)


@given(st.text(max_size=80))
def test_names_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(Malformed):
        name = name_of(text)
        assert name_of(wire.text_of(name)) == name


PIECES = (
    st.binary(min_size=1, max_size=5).map(lambda label: bytes([len(label)]) + label)
    | st.integers(0, 40).map(lambda to: bytes([0xC0, to]))
    | st.just(b"\0")
    | st.just(b"\x3f" + b"l" * 63)
    | st.binary(max_size=2)
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.integers(0, 40))
@example(b"\1a\xc0\0", 0)  # runs into itself
@example((b"\x3f" + b"l" * 63) * 3 + b"\x3d" + b"l" * 61 + b"\0", 0)  # 255 octets
@example((b"\x3f" + b"l" * 63) * 3 + b"\x3e" + b"l" * 62 + b"\0", 0)  # 256
@example(b"\1a\0\1b\xc0\0", 3)
@example(b"\1a\0\1b\xc0", 3)
@example(b"\1a\0\x40", 3)
def test_names_are_those_that_another_reader_reads(octets: bytes, at: int) -> None:
    try:
        name, used = dns.name.from_wire(octets, at)
    except (dns.exception.DNSException, ValueError):
        with pytest.raises(Malformed):
            Reader(octets).name_at(at)
    else:
        ours, ours_used = Reader(octets).name_at(at)
        assert (ours.labels, ours_used) == (name.labels, used)
