"""Whatever a server says, and however the network cuts it: one verdict before TLS, and one kind of failure in it."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from typing import get_args

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw.model import KeyAlgorithm
from danelaw.probe import tls
from danelaw.probe.dialogue import DialogueFailed
from danelaw.probe.starttls import StartTlsProtocol, start
from danelaw.probe.tls import Client, HandshakeFailed
from fakes.raw_tls import CERTIFICATE, HANDSHAKE, certificate, message, records, server_hello

HEADER = b"<?xml version='1.0'?><stream:stream version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>"
PIECES: dict[StartTlsProtocol, list[bytes]] = {
    "smtp": [b"220 mx\r\n", b"220-mx\r\n", b"250-mx\r\n", b"250 STARTTLS\r\n", b"454 no\r\n", b"250 ", b"\r\n"],
    "imap": [b"* OK\r\n", b"* CAPABILITY STARTTLS\r\n", b"a1 OK\r\n", b"a2 OK\r\n", b"a2 NO\r\n", b"* BYE\r\n"],
    "pop3": [b"+OK\r\n", b"STLS\r\n", b".\r\n", b"-ERR\r\n", b"+O"],
    "xmpp-client": [
        HEADER,
        b"<stream:features>",
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>",
        b"<required/>",
        b"</starttls>",
        b"</stream:features>",
        b"<stream:features/>",
        b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        b"<stream:error/>",
        b"</stream:stream>",
        b"<a b='>",
        b"<!-- -->",
        b"<?x?>",
        b"'>",
        b" \n",
        b"&amp;",
    ],
}
PIECES["xmpp-server"] = PIECES["xmpp-client"]
# What a good server says, turn by turn, so that the deeper places are reached too.
GOOD: dict[StartTlsProtocol, list[bytes]] = {
    "smtp": [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n"],
    "imap": [b"* OK\r\n", b"* CAPABILITY STARTTLS\r\na1 OK\r\n", b"a2 OK\r\n"],
    "pop3": [b"+OK\r\n", b"+OK\r\nSTLS\r\n.\r\n", b"+OK\r\n"],
    "xmpp-client": [
        HEADER + b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
        b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ],
}
GOOD["xmpp-server"] = GOOD["xmpp-client"]


@st.composite
def speeches(draw: st.DrawFn) -> tuple[StartTlsProtocol, list[bytes]]:
    """Draw a protocol and what a server says in it: some good turns, and then any."""
    protocol: StartTlsProtocol = draw(st.sampled_from(get_args(StartTlsProtocol)))
    good = GOOD[protocol][: draw(st.integers(0, 3))]
    turn = st.lists(st.sampled_from(PIECES[protocol]) | st.binary(max_size=12), max_size=6).map(b"".join)
    return protocol, good + draw(st.lists(turn, max_size=3))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut data at some places."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(bounds)]


def verdict(protocol: StartTlsProtocol, segments: list[bytes]) -> tuple[str, str, str, bytes]:
    """Feed segments until TLS starts or fails; return the kind, what is said of it, the banner, all answers.

    Where it fails there are none: what would have been answered in the same breath is not sent.
    """
    dialogue = start(protocol, "[127.0.0.1]", "example.org")
    answers = b""
    for segment in segments:
        if dialogue.done:
            break
        try:
            answers += dialogue.receive(segment)
        except DialogueFailed as failed:
            return failed.kind, str(failed), dialogue.banner, b""
    return "done" if dialogue.done else "waiting", dialogue.expects, dialogue.banner, answers


@settings(max_examples=150, deadline=None)
@given(speeches(), st.lists(st.integers(0, 1000), max_size=12))
def test_how_what_is_said_is_cut_changes_nothing(
    speech: tuple[StartTlsProtocol, list[bytes]], places: list[int]
) -> None:
    """But for what a server said before it was asked, which only shows where it comes with what it was asked for."""
    protocol, turns = speech
    whole = verdict(protocol, turns)
    if whole[0] == "injected" or "before it was asked" in whole[1]:
        return
    assert verdict(protocol, [piece for turn in turns for piece in cut(turn, places)]) == whole
    assert verdict(protocol, [turn[at : at + 1] for turn in turns for at in range(len(turn))]) == whole


@settings(max_examples=100, deadline=None)
@given(speeches())
def test_tls_starts_only_where_it_was_asked_for(speech: tuple[StartTlsProtocol, list[bytes]]) -> None:
    protocol, turns = speech
    kind, _, banner, answers = verdict(protocol, turns)
    assert kind != "done" or b"STARTTLS" in answers or b"STLS" in answers or b"<starttls " in answers
    assert banner.isprintable()
    assert len(banner) < 200


# --- TLS -------------------------------------------------------------------------------------------------------------

ECDSA, RSA = issue(HOST, issue("Root", ca=True), key=p256()), issue(HOST, key=rsa2048())
CONTEXTS: dict[KeyAlgorithm | None, SSL.Context] = {
    None: tls.context(None),
    "rsa": tls.context("rsa"),
    "ecdsa": tls.context("ecdsa"),
}
CANNED = records(HANDSHAKE, server_hello()) + records(HANDSHAKE, certificate(*ECDSA.chain_der))


def server(identity: Issued, version: int) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.use_certificate(identity.certificate)
    assert isinstance(identity.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    context.use_privatekey(identity.key)
    made = SSL.Connection(context, None)
    made.set_accept_state()
    return made


def answer(made: SSL.Connection, said: bytes) -> bytes:
    """Let a server answer."""
    made.bio_write(said)
    with suppress(SSL.WantReadError):
        made.do_handshake()
    try:
        return made.bio_read(100_000)
    except SSL.WantReadError:
        return b""


versions = st.sampled_from([SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
identities = st.sampled_from([ECDSA, RSA])
changes = st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=4), st.integers(0, 4)), max_size=4)


def change(data: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
    """Replace some octets (place, what comes there, how many go)."""
    for place, new, gone in edits:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + gone :]
    return data


def listen(client: Client, segments: list[bytes]) -> tuple[str, bytes]:
    """Feed segments until the handshake ends; return the kind of failure and all that was answered."""
    said = b""
    for segment in segments:
        if client.done:
            break
        try:
            said += client.receive(segment)
        except HandshakeFailed as failed:
            return failed.kind, said
    return "done" if client.done else "waiting", said


@settings(max_examples=40, deadline=None)
@given(identities, versions, st.lists(st.integers(0, 5000), max_size=8))
def test_a_chain_comes_through_however_it_is_cut(identity: Issued, version: int, places: list[int]) -> None:
    client, peer = Client(CONTEXTS[None], HOST, None), server(identity, version)
    said = client.begin()
    while not client.done:
        flight = answer(peer, said)
        assert flight
        kind, said = listen(client, cut(flight, places))
        assert kind in {"waiting", "done"}
    assert client.certificates()[0] == identity.der
    assert client.last_words(b"QUIT\r\n")


KINDS = {"waiting", "done", "not-tls", "tls-failed", "tls-refused", "bad-certificate", "old-tls", "not-offered"}


@settings(max_examples=100, deadline=None)
@given(identities, versions, st.sampled_from(tuple(CONTEXTS)), changes)
def test_a_changed_flight_fails_in_words(
    identity: Issued, version: int, algorithm: KeyAlgorithm | None, edits: list[tuple[int, bytes, int]]
) -> None:
    client, peer = Client(CONTEXTS[algorithm], HOST, algorithm), server(identity, version)
    try:
        flight = change(answer(peer, client.begin()), edits)
    except SSL.Error:
        return  # the server has no certificate of that kind
    assert listen(client, [flight] if flight else [])[0] in KINDS
    client.last_words()


@settings(max_examples=100, deadline=None)
@given(changes, st.lists(st.integers(0, 5000), max_size=8))
def test_how_a_changed_flight_is_cut_changes_nothing(edits: list[tuple[int, bytes, int]], places: list[int]) -> None:
    flight = change(CANNED, edits)
    heard = []
    for segments in ([flight], cut(flight, places), [flight[at : at + 1] for at in range(len(flight))]):
        client = Client(CONTEXTS[None], HOST, None)
        client.begin()
        heard.append(listen(client, segments)[0])
    assert heard[0] == heard[1] == heard[2]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_certificate_message_has_a_kind(body: bytes) -> None:
    client = Client(CONTEXTS[None], HOST, None)
    client.begin()
    flight = records(HANDSHAKE, server_hello() + message(CERTIFICATE, body))
    assert listen(client, [flight])[0] in {"tls-failed", "bad-certificate", "waiting"}
