import struct
from datetime import UTC, datetime, timedelta

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import pytest

from danelaw.dns import message as wire
from danelaw.dns.message import name_of
from danelaw.dns.tsig import ALGORITHMS, BadTsig, ClocksApart, KeyRejected, TsigKey, sign, verify

SECRET = b"a secret that nobody may see"
OTHER = b"another secret"


def key_of(algorithm: str = "hmac-sha256", secret: bytes = SECRET, bits: int | None = None) -> TsigKey:
    return TsigKey("home.example.org.", algorithm, secret, bits)


def ring(key: TsigKey) -> dict[dns.name.Name, dns.tsig.Key]:
    name = name_of(key.name)
    return {name: dns.tsig.Key(name, key.secret, name_of(ALGORITHMS[key.algorithm]))}


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def query() -> bytes:
    return wire.query(4711, name_of("example.org"), wire.SOA)


def answered(key: TsigKey, sent: bytes, mac: bytes, *, tsig_error: int = 0, other: bytes = b"") -> bytes:
    """Return the answer of the library that is our oracle."""
    asked = dns.message.from_wire(sent, keyring=ring(key))
    answer = dns.message.make_response(asked, tsig_error=tsig_error)
    if tsig_error:
        answer.set_rcode(dns.rcode.NOTAUTH)
        answer.use_tsig(ring(key), name_of(key.name), tsig_error=tsig_error, other_data=other)
    answer.request_mac = mac
    return answer.to_wire()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_library_verifies_ours_and_we_verify_its(algorithm: str) -> None:
    key = key_of(algorithm)
    sent, mac = sign(query(), key, now())
    answer = answered(key, sent, mac)  # raises where our signature is wrong
    verify(answer, wire.parse(answer), key, mac, now())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_other_secret_other_request_and_other_octets_are_caught(algorithm: str) -> None:
    key = key_of(algorithm)
    sent, mac = sign(query(), key, now())
    answer = answered(key, sent, mac)
    with pytest.raises(BadTsig, match="its signature is wrong"):
        verify(answer, wire.parse(answer), key_of(algorithm, OTHER), mac, now())
    with pytest.raises(BadTsig, match="its signature is wrong"):
        verify(answer, wire.parse(answer), key, mac[::-1], now())
    forged = answer[:3] + bytes((answer[3] ^ 3,)) + answer[4:]  # another RCODE
    with pytest.raises(BadTsig, match="its signature is wrong"):
        verify(forged, wire.parse(forged), key, mac, now())


def test_mac_cut_to_the_bits_of_the_key() -> None:
    key = key_of(bits=128)
    sent, mac = sign(query(), key, now())
    whole_sent, whole = sign(query(), key_of(), now())
    assert (len(mac), len(whole), whole[:16]) == (16, 32, mac)
    assert len(whole_sent) == len(sent) + 16


def test_unsigned_answer_is_not_believed() -> None:
    answer = dns.message.make_response(dns.message.from_wire(query())).to_wire()
    with pytest.raises(BadTsig, match="not signed"):
        verify(answer, wire.parse(answer), key_of(), b"mac", now())


def test_signature_must_come_last() -> None:
    key = key_of()
    sent, mac = sign(query(), key, now())
    answer = answered(key, sent, mac)
    (additional,) = struct.unpack("!H", answer[10:12])
    more = answer[:10] + struct.pack("!H", additional + 1) + answer[12:]
    more += wire.record(name_of("example.org"), wire.A, wire.IN, 5, b"\1\2\3\4")
    with pytest.raises(BadTsig, match="not signed"):
        verify(more, wire.parse(more), key, mac, now())


def test_answer_signed_with_another_key() -> None:
    key = key_of()
    sent, mac = sign(query(), key, now())
    answer = answered(key, sent, mac)
    other = TsigKey("other.example.org.", "hmac-sha256", SECRET)
    with pytest.raises(BadTsig, match="another key"):
        verify(answer, wire.parse(answer), other, mac, now())
    with pytest.raises(BadTsig, match="another key"):
        verify(answer, wire.parse(answer), key_of("hmac-sha512"), mac, now())


def test_stale_answer_is_not_believed() -> None:
    key = key_of()
    sent, mac = sign(query(), key, now())
    answer = answered(key, sent, mac)
    verify(answer, wire.parse(answer), key, mac, now() + timedelta(seconds=290))
    with pytest.raises(ClocksApart):
        verify(answer, wire.parse(answer), key, mac, now() + timedelta(seconds=310))


def test_bad_time_says_what_the_servers_clock_shows() -> None:
    # RFC 8945 section 5.2.3
    key = key_of()
    sent, mac = sign(query(), key, now())
    theirs = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    answer = answered(key, sent, mac, tsig_error=18, other=struct.pack("!Q", int(theirs.timestamp()))[2:])
    with pytest.raises(ClocksApart) as caught:
        verify(answer, wire.parse(answer), key, mac, now())
    assert caught.value.theirs == theirs


def unsigned_error(error: int, rcode: int = 9) -> bytes:
    """Return what a server sends that does not know the key (RFC 8945 section 5.3.2)."""
    rdata = wire.name_wire(name_of("hmac-sha256.")) + struct.pack("!HIHHHHH", 0, 0, 300, 0, 4711, error, 0)
    tsig = wire.record(name_of("home.example.org"), wire.TSIG, wire.CLASS_ANY, 0, rdata)
    return struct.pack("!HHHHHH", 4711, 0x8000 | rcode, 0, 0, 0, 1) + tsig


@pytest.mark.parametrize(("error", "named"), [(16, "BADSIG"), (17, "BADKEY")])
def test_rejected_key(error: int, named: str) -> None:
    answer = unsigned_error(error)
    with pytest.raises(KeyRejected, match=named):
        verify(answer, wire.parse(answer), key_of(), b"mac", now())


@pytest.mark.parametrize(("error", "rcode"), [(0, 0), (0, 9), (17, 0), (18, 9), (22, 9)])
def test_empty_mac_proves_nothing_else(error: int, rcode: int) -> None:
    answer = unsigned_error(error, rcode)
    with pytest.raises(BadTsig):
        verify(answer, wire.parse(answer), key_of(), b"mac", now())


@pytest.mark.parametrize("rdata", [b"", b"\0", b"\xff" * 20, wire.name_wire(name_of("hmac-sha256.")) + b"\0" * 9])
def test_malformed_tsig_record(rdata: bytes) -> None:
    tsig = wire.record(name_of("home.example.org"), wire.TSIG, wire.CLASS_ANY, 0, rdata)
    answer = struct.pack("!HHHHHH", 1, 0x8000, 0, 0, 0, 1) + tsig
    with pytest.raises(BadTsig, match="malformed"):
        verify(answer, wire.parse(answer), key_of(), b"mac", now())


def test_no_text_shows_the_secret() -> None:
    key = key_of()
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert "secret" not in text.replace("hmac", "")
        assert SECRET.decode() not in text


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [("hmac-md5", "must not be used"), ("hmac-sha1", "should not be used"), ("hmac-sha256", None)],
)
def test_old_algorithms_warn(algorithm: str, said: str | None) -> None:
    # RFC 8945 section 6
    warning = key_of(algorithm).warning
    if said is None:
        assert warning is None
    else:
        assert said in str(warning)
        assert "tsig-keygen -a hmac-sha256 home.example.org" in str(warning)
