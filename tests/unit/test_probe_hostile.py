"""danelaw.probe among hostile servers: one kind of failure each, in bounded time, and never an exception."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ObjectIdentifier

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw.model import AppProtocol, Endpoint, Handshake, ProbeRequest, Shaken
from danelaw.probe import Dialer, Handshakes
from danelaw.probe.tls import MAX_HANDSHAKE
from fakes.peers import Peer, reset, shake_hands, speak_smtp
from fakes.raw_tls import (
    ALERT,
    CERTIFICATE,
    HANDSHAKE,
    HELLO_REQUEST,
    SERVER_HELLO_DONE,
    certificate,
    message,
    records,
    say,
    server_hello,
)
from fakes.running_clock import RunningClock

LEAF = issue(HOST, key=p256())


def shake(talk: Callable[[socket.socket, int], object], protocol: AppProtocol = "smtp", timeout: float = 1.0) -> Shaken:
    """Shake hands with a server of a test's; it always ends in time, and says where it failed."""
    began = time.monotonic()
    with Peer(talk) as peer:
        shaken = asyncio.run(Dialer(RunningClock(), timeout=timeout).shake(Handshake(HOST, *peer.address, protocol)))
        assert time.monotonic() - began < timeout + 4
    if shaken.failure is not None:
        assert shaken.chain is None
        assert shaken.detail.startswith(f"127.0.0.1:{peer.address[1]} ")
        assert shaken.detail.isprintable()
        assert len(shaken.detail) < 400
    return shaken


def speaking(*said: bytes) -> Callable[[socket.socket, int], object]:
    """Make a server that says each of these after whatever came, and then waits until the client is gone."""

    def talk(stream: socket.socket, _: int) -> None:
        for number, line in enumerate(said):
            if number:
                stream.recv(10_000)
            stream.sendall(line)
        while stream.recv(10_000):
            pass

    return talk


BANNER, OFFER = b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n"


# --- before there is a connection ------------------------------------------------------------------------------------


def dial(address: tuple[str, int], timeout: float = 5.0) -> Shaken:
    return asyncio.run(Dialer(RunningClock(), timeout=timeout).shake(Handshake(HOST, *address, "smtp")))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    shaken = dial(address)
    assert shaken.failure == "refused"
    assert shaken.detail == f"127.0.0.1:{address[1]} refuses the connection: nothing listens there"


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255", "mail.example.org", "", "127.0.0.1x"])
def test_what_our_own_machine_refuses_is_no_fault_of_the_target_s(address: str) -> None:
    shaken = dial((address, 25))
    assert shaken.failure == "no-route"
    assert "cannot be reached from here: " in shaken.detail


def test_a_connection_that_is_never_taken() -> None:
    """A queue that is full drops what comes, as a filter does."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        shaken = dial(listener.getsockname(), timeout=0.5)
    assert shaken.failure == "timeout"
    assert shaken.detail.endswith(" did not bring the connection within 0.5 s")


# --- before TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kind", "banner"),
    [
        ((b"451 4.7.1 greylisted\r\n",), "greylisted", "451 4.7.1 greylisted"),
        ((b"554-no\r\n554 never\r\n",), "rejected", "554-no"),
        ((BANNER, b"451 later\r\n"), "greylisted", "220 mx"),
        ((BANNER, b"502 what\r\n"), "rejected", "220 mx"),
        ((BANNER, b"220 what\r\n"), "not-spoken", "220 mx"),
        ((BANNER, b"250 mx\r\n"), "no-starttls", "220 mx"),
        ((BANNER, OFFER, b"454 4.7.0 not now\r\n"), "starttls-refused", "220 mx"),
        ((BANNER, OFFER, b"220 go\r\n250 injected\r\n"), "injected", "220 mx"),
        ((BANNER, OFFER, b"220 go\r\n", b"500 what\r\n"), "not-tls", "220 mx"),
        ((b"SSH-2.0-x\x1b[31m\r\n",), "not-spoken", "SSH-2.0-x?[31m"),
        ((b"\r\n",), "not-spoken", ""),
        ((b"220 \x00\xff\xfe\r\n", b"250 \x80\r\n"), "no-starttls", "220 ???"),
        ((b"220 " + b"x" * 8200,), "flood", f"220 {'x' * 156}…"),
        ((b"220-" + b"x" * 65_536 + b"\r\n",), "flood", f"220-{'x' * 156}…"),
        ((b"220-x\r\n" * 20_000,), "flood", "220-x"),
        ((BANNER, b"250-x\r\n" * 20_000), "flood", "220 mx"),
    ],
)
def test_what_is_said_before_tls_has_a_kind(said: tuple[bytes, ...], kind: str, banner: str) -> None:
    shaken = shake(speaking(*said), timeout=5)
    assert (shaken.failure, shaken.banner) == (kind, banner)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((), "its banner within 0.5 s"),
        ((b"220 mx ESMTP\r220 mx\r",), "its banner within 0.5 s (found '220 mx ESMTP?220 mx' without an end)"),
        ((b"220-mx\r\n",), "its banner within 0.5 s"),
        ((BANNER, b"250-mx\r\n250-STARTTLS\r\n"), "its reply to EHLO within 0.5 s"),
        ((BANNER, OFFER), "its reply to STARTTLS within 0.5 s"),
        ((BANNER, OFFER, b"220 go\r\n"), "the end of the TLS handshake within 0.5 s"),
    ],
)
def test_what_never_comes_is_named(said: tuple[bytes, ...], found: str) -> None:
    shaken = shake(speaking(*said) if said else (lambda stream, _: stream.recv(1)), timeout=0.5)
    assert shaken.failure == "silent"
    assert shaken.detail.endswith(f" did not bring {found}")


@pytest.mark.parametrize("line", [b"220-mx\r\n", b"220 no end of this line "])
def test_an_octet_at_a_time_does_not_buy_time(line: bytes) -> None:
    def talk(stream: socket.socket, _: int) -> None:
        for at in range(10_000):
            stream.sendall(line[at % len(line) :][:1])
            time.sleep(0.01)

    assert shake(talk, timeout=0.5).failure == "silent"


@pytest.mark.parametrize("end", [lambda _: None, reset], ids=["closes", "resets"])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ((), "turned-away"),
        ((BANNER,), "hung-up"),
        ((BANNER, OFFER), "hung-up"),
        ((BANNER, OFFER, b"220 go\r\n"), "tls-failed"),
        ((BANNER, OFFER, b"220 go\r\n", records(HANDSHAKE, server_hello())), "tls-failed"),
    ],
    ids=["at once", "after EHLO", "after STARTTLS", "after ClientHello", "after ServerHello"],
)
def test_who_leaves_at_each_stage(said: tuple[bytes, ...], kind: str, end: Callable[[socket.socket], None]) -> None:
    def talk(stream: socket.socket, _: int) -> None:
        for line in said:
            stream.sendall(line)
            if not line.startswith(b"\x16"):
                stream.recv(10_000)
        end(stream)

    assert shake(talk).failure == kind


@pytest.mark.parametrize("end", [lambda _: None, reset], ids=["closes", "resets"])
def test_who_leaves_where_tls_comes_first(end: Callable[[socket.socket], None]) -> None:
    def talk(stream: socket.socket, _: int) -> None:
        stream.recv(10_000)
        end(stream)

    assert shake(talk, "tls").failure == "turned-away"


def test_plaintext_in_a_segment_of_its_own_is_injected_too() -> None:
    """Whatever came before our first TLS message; here a second connection is waited for."""

    def talk(stream: socket.socket, number: int) -> None:
        if number == 1:
            stream.sendall(BANNER)
            stream.recv(100)
            assert peer.over.wait(0) is False
            ready.recv(1)
            stream.sendall(b"554 no\r\n")
            return
        speak_smtp(stream)
        time.sleep(0.05)
        stream.sendall(b"250 injected\r\n")
        told.sendall(b"x")
        stream.recv(100)

    told, ready = socket.socketpair()
    with told, ready, Peer(talk) as peer:
        request = ProbeRequest(Endpoint(HOST, 25, "smtp"), "192.0.2.1", peer.address, None, 2)
        (result,) = Handshakes(RunningClock(), timeout=5).probe([request])
    assert result.problem is not None
    assert "sent plaintext behind its reply to STARTTLS" in result.problem


def test_who_speaks_first_where_tls_comes_first_is_quoted() -> None:
    shaken = shake(speaking(b"220 mx ESMTP\r\n"), "smtps")
    assert shaken.failure == "not-tls"
    assert shaken.detail.endswith("where the handshake was expected: '220 mx ESMTP'")


# --- in TLS ----------------------------------------------------------------------------------------------------------


def hello(*messages: bytes) -> bytes:
    return records(HANDSHAKE, server_hello()) + b"".join(records(HANDSHAKE, each) for each in messages)


def changed(old: bytes, new: bytes) -> bytes:
    assert old in LEAF.der
    return LEAF.der.replace(old, new)


@pytest.mark.parametrize(
    ("flight", "kind", "says"),
    [
        (hello(certificate()), "tls-failed", ""),
        (hello(certificate(b"")), "bad-certificate", ""),
        (hello(certificate(b"hello world")), "bad-certificate", ""),
        (hello(certificate(b"\x30\x03abc")), "bad-certificate", ""),
        (hello(certificate(LEAF.der[:-10])), "bad-certificate", ""),
        (hello(certificate(LEAF.der + b"xx")), "bad-certificate", ""),
        (hello(certificate(LEAF.der, b"\x30\x03abc")), "bad-certificate", ""),
        (hello(certificate(b"\x30\x82\xff\xf0" + b"\0" * 0xFFF0)), "bad-certificate", ""),
        (hello(certificate(changed(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030199")))),
         "bad-certificate", ""),
        (hello(certificate(changed(LEAF.spki_der[-64:], b"\xff" * 64))), "bad-certificate", ""),
        (hello(certificate(issue(HOST, key=rsa2048()).der), message(SERVER_HELLO_DONE, b"")), "tls-failed", ""),
        (hello(certificate(LEAF.der), message(SERVER_HELLO_DONE, b"")), "tls-failed", ""),
        (hello(certificate(*[LEAF.der] * 300)), "tls-failed", "excessive message size"),
        (hello(message(CERTIFICATE, b"\0" * 1000, 16_000_000)), "tls-failed", "excessive message size"),
        (hello(message(CERTIFICATE, b"\0\xff\xff\0")), "tls-failed", ""),
        (records(HANDSHAKE, message(HELLO_REQUEST, b"") * 4000) * 100, "tls-failed", f"more than {MAX_HANDSHAKE} "),
        (hello() * 2, "tls-failed", "unexpected message"),
        (records(20, b"\1") * 10_000, "tls-failed", ""),
        (records(HANDSHAKE, b"") * 10_000, "tls-failed", ""),
        (records(ALERT, b"\x01\x5a") * 10_000, "tls-failed", ""),
        (records(23, b"hello"), "tls-failed", "unexpected message"),
        (hello() + records(ALERT, b"\x01\x00"), "tls-failed", "hung up in the TLS handshake"),
        (records(ALERT, b"\x02\x50"), "tls-refused", "refused the TLS handshake: "),
        (records(HANDSHAKE, server_hello(b"\x03\x00")).replace(b"\x16\x03\x03", b"\x16\x03\x00"), "old-tls", ""),
        (b"\x16" + b"garbage" * 100, "not-tls", ""),
        (b"\x16\x03\x03\xff\xff" + b"x" * 70_000, "not-tls", ""),
        (b"\x80\x2e\x01\x03", "not-tls", ""),
        (b"\0" * 100_000, "not-tls", ""),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not-tls", "'HTTP/1.1 400 Bad Request"),
    ],
)  # fmt: skip
def test_what_no_tls_library_would_say_has_a_kind(flight: bytes, kind: str, says: str) -> None:
    shaken = shake(lambda stream, _: say(stream, flight), "tls", timeout=5)
    assert shaken.failure == kind
    assert says in shaken.detail


def test_a_server_without_secure_renegotiation_is_listened_to() -> None:
    """OpenSSL would break off at its first message; so this fails where the server stops, and no earlier."""
    flight = records(HANDSHAKE, server_hello(extensions=b""))
    assert shake(lambda stream, _: say(stream, flight), "tls", timeout=0.3).failure == "silent"


def test_hello_requests_for_ever_do_not_hold_up_the_others() -> None:
    """A library that reads from its socket by itself would skip them as long as they come."""

    def endless(stream: socket.socket, _: int) -> None:
        stream.recv(10_000)
        while True:
            stream.sendall(records(HANDSHAKE, message(HELLO_REQUEST, b"") * 4000))

    assert shake(endless, "tls", timeout=5).failure == "tls-failed"


# --- chains that are strange and real --------------------------------------------------------------------------------


def serve(folder: Path, chain_der: tuple[bytes, ...], key: Issued, version: ssl.TLSVersion) -> ssl.SSLContext:
    served = Issued(key.key, x509.load_der_x509_certificate(chain_der[0]), chain_der[1:])
    chain, key_path, _ = served.write(folder, "served")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(chain, key_path)
    return context


VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)


@VERSIONS
@pytest.mark.parametrize("count", [100, 101])
def test_a_hundred_certificates_are_a_chain_and_more_are_not(
    tmp_path: Path, count: int, version: ssl.TLSVersion
) -> None:
    chain_der = (LEAF.der, *(issue(f"CA {n}", ca=True, key=LEAF.key).der for n in range(count - 1)))
    context = serve(tmp_path, chain_der, LEAF, version)
    shaken = shake(lambda stream, _: shake_hands(stream, context), "tls", timeout=10)
    if count == 100:
        assert shaken.chain is not None
        assert shaken.chain.certificates_der == chain_der
    else:
        assert shaken.failure == "bad-certificate"
        assert shaken.detail.endswith("presented 101 certificates; expected 100 at most")


@VERSIONS
@pytest.mark.parametrize(("size", "failure"), [(64_000, None), (110_000, "tls-failed")])
def test_a_certificate_may_be_large_and_not_larger(
    tmp_path: Path, size: int, failure: str | None, version: ssl.TLSVersion
) -> None:
    builder = (
        x509.CertificateBuilder()
        .subject_name(LEAF.certificate.subject)
        .issuer_name(LEAF.certificate.subject)
        .public_key(LEAF.key.public_key())
        .serial_number(1)
        .not_valid_before(LEAF.certificate.not_valid_before_utc)
        .not_valid_after(LEAF.certificate.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"x" * size), critical=False)
    )
    large = Issued(LEAF.key, builder.sign(p256(), hashes.SHA256()))
    context = serve(tmp_path, large.chain_der, LEAF, version)
    shaken = shake(lambda stream, _: shake_hands(stream, context), "tls", timeout=10)
    assert shaken.failure == failure
    if failure is None:
        assert shaken.chain is not None
        assert shaken.chain.leaf_der == large.der


def test_what_comes_behind_the_handshake_is_not_read(tmp_path: Path) -> None:
    context = serve(tmp_path, LEAF.chain_der, LEAF, ssl.TLSVersion.TLSv1_3)
    context.num_tickets = 200

    def talk(stream: socket.socket, _: int) -> None:
        with context.wrap_socket(stream.dup(), server_side=True) as server:
            while True:
                server.sendall(b"220-endless banner\r\n" * 800)

    assert shake(talk, "smtps", timeout=5).chain is not None
