"""danelaw.probe.dialer: single handshakes in an event loop, with servers that behave and servers that do not."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw.model import AppProtocol, Handshake, KeyAlgorithm, Shaken
from danelaw.probe import Dialer
from fakes.peers import Peer, shake_hands
from fakes.running_clock import RunningClock

ROOT = issue("Root", ca=True, key=rsa2048())
ECDSA, RSA = issue(HOST, ROOT, key=p256()), issue(HOST, ROOT, key=rsa2048())


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., ssl.SSLContext]:
    """Make a server's context of one or more certificates."""

    def make(*identities: Issued, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        for identity in identities:
            chain, key, _ = identity.write(tmp_path, str(identity.certificate.serial_number))
            context.load_cert_chain(chain, key)
        return context

    return make


def question(
    address: tuple[str, int], protocol: AppProtocol = "tls", algorithm: KeyAlgorithm | None = None
) -> Handshake:
    return Handshake(HOST, address[0], address[1], protocol, algorithm)


def shake(handshake: Handshake, connect: tuple[str, int] | None = None, timeout: float = 5.0) -> Shaken:
    shaken = asyncio.run(Dialer(RunningClock(), timeout=timeout).shake(handshake, connect))
    assert shaken.handshake == handshake
    return shaken


def speak_smtp(stream: socket.socket, after: bytes = b"220 go\r\n") -> None:
    stream.sendall(b"220 mx ESMTP\r\n")
    assert stream.recv(100).startswith(b"EHLO ")
    stream.sendall(b"250-mx\r\n250 STARTTLS\r\n")
    assert stream.recv(100) == b"STARTTLS\r\n"
    stream.sendall(after)


def test_a_chain_its_version_and_the_banner(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA, RSA)

    def talk(stream: socket.socket, _: int) -> None:
        speak_smtp(stream)
        shake_hands(stream, context)

    with Peer(talk) as peer:
        shaken = shake(question(peer.address, "smtp", "rsa"))
    assert shaken.chain is not None
    assert shaken.chain.certificates_der == (RSA.der, ROOT.der)
    assert (shaken.failure, shaken.detail, shaken.through) == (None, "", "")
    assert (shaken.version, shaken.banner) == ("TLSv1.3", "220 mx ESMTP")


def test_what_was_really_dialled_is_said() -> None:
    with Peer(lambda stream, _: stream.sendall(b"554 no\r\n")) as peer:
        shaken = shake(Handshake(HOST, "192.0.2.1", 25, "smtp"), peer.address)
    where = f"127.0.0.1:{peer.address[1]}"
    assert (shaken.chain, shaken.failure, shaken.through, shaken.banner) == (None, "rejected", where, "554 no")
    assert shaken.detail == f"{where} refuses in its banner: '554 no'"
