"""danelaw.probe.dialer: single handshakes in an event loop, with servers that behave and servers that do not."""

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw.model import AppProtocol, Handshake, KeyAlgorithm, Shaken
from danelaw.probe import Dialer
from fakes.peers import Peer, shake_hands, speak_smtp
from fakes.raw_tls import ALERT, records
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


@pytest.mark.parametrize(("server_name", "sent"), [("", HOST), ("example.net", "example.net")])
def test_sni_is_the_host_s_unless_another_name_is_preferred(
    serving: Callable[..., ssl.SSLContext], server_name: str, sent: str
) -> None:
    context, asked = serving(ECDSA), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        assert shake(replace(question(peer.address), server_name=server_name)).chain is not None
    assert set(asked) == {sent}


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


def test_an_address_that_may_not_be_reached_is_not_dialled() -> None:
    """The address asked about is the one about to be dialled, not the one that the question names."""
    asked: list[str] = []
    came = threading.Event()

    def may_reach(address: str) -> bool:
        asked.append(address)
        return address != "127.0.0.1"

    with Peer(lambda _stream, _: came.set()) as peer:
        dialer = Dialer(RunningClock(), timeout=5, may_reach=may_reach)
        shaken = asyncio.run(dialer.shake(Handshake(HOST, "192.0.2.1", 25, "smtp"), peer.address))
    assert (shaken.failure, asked) == ("forbidden", ["127.0.0.1"])
    assert shaken.detail.endswith(" is an address that this check may not connect to")
    assert not came.is_set()


def test_ehlo_says_what_it_was_told() -> None:
    said = []

    def talk(stream: socket.socket, _: int) -> None:
        stream.sendall(b"220 mx\r\n")
        said.append(stream.recv(100))

    with Peer(talk) as peer:
        asyncio.run(Dialer(RunningClock(), ehlo_name="probe.example.org").shake(question(peer.address, "smtp")))
    assert said == [b"EHLO probe.example.org\r\n"]


def test_the_last_message_says_goodbye(serving: Callable[..., ssl.SSLContext]) -> None:
    context, said = serving(ECDSA), []

    def talk(stream: socket.socket, _: int) -> None:
        speak_smtp(stream)
        with context.wrap_socket(stream.dup(), server_side=True) as server:
            said.extend([server.recv(100), server.recv(100)])

    with Peer(talk) as peer:
        assert shake(question(peer.address, "smtp")).chain
    assert said == [b"QUIT\r\n", b""]


# --- many, late, cancelled -------------------------------------------------------------------------------------------


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  (the listing of descriptors, not of files)


def test_hundreds_at_once_in_one_loop(serving: Callable[..., ssl.SSLContext]) -> None:
    """Half of the servers never speak: they cost one timeout in all, and nothing stays open."""
    context = serving(ECDSA)

    async def many(good: tuple[str, int], silent: tuple[str, int]) -> list[Shaken]:
        patient, hasty = Dialer(RunningClock(), timeout=20), Dialer(RunningClock(), timeout=1)
        good_ones = [patient.shake(question(good, "smtp")) for _ in range(100)]
        return await asyncio.gather(*good_ones, *(hasty.shake(question(silent, "smtp")) for _ in range(100)))

    def talk(stream: socket.socket, _: int) -> None:
        speak_smtp(stream)
        shake_hands(stream, context)

    before, began = descriptors(), time.monotonic()
    with Peer(talk) as good, socket.create_server(("127.0.0.1", 0), backlog=500) as silent:
        shaken = asyncio.run(many(good.address, silent.getsockname()))
    assert [s.failure for s in shaken] == [None] * 100 + ["silent"] * 100
    assert time.monotonic() - began < 15
    assert descriptors() == before


@pytest.mark.parametrize("protocol", ["smtp", "tls"])
def test_cancelling_closes_the_connection(protocol: AppProtocol) -> None:
    came, left = threading.Event(), threading.Event()

    def talk(stream: socket.socket, _: int) -> None:
        came.set()
        stream.recv(10_000)
        if protocol == "smtp" or not stream.recv(1):
            left.set()

    async def cancelled(address: tuple[str, int]) -> None:
        shaking = asyncio.create_task(Dialer(RunningClock()).shake(question(address, protocol)))
        assert await asyncio.to_thread(came.wait, 10)
        shaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shaking
        assert await asyncio.to_thread(left.wait, 10)

    before = descriptors()
    with Peer(talk) as peer:
        asyncio.run(cancelled(peer.address))
    assert descriptors() == before


# --- who turns away --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["hangs up", "421"])
@pytest.mark.parametrize("algorithm", [None, "ecdsa"])
def test_a_server_with_too_many_connections_is_asked_again(
    serving: Callable[..., ssl.SSLContext], how: str, algorithm: KeyAlgorithm | None
) -> None:
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number:
            speak_smtp(stream)
            shake_hands(stream, context)
        elif how == "421":
            stream.sendall(b"421 4.7.0 mx Error: too many connections from 127.0.0.1\r\n")

    with Peer(talk) as peer:
        shaken = shake(question(peer.address, "smtp", algorithm))
    assert (shaken.failure, shaken.detail) == (None, "")
    assert shaken.chain is not None


@pytest.mark.parametrize(
    ("said", "kind"), [(b"", "turned-away"), (b"421 busy\r\n", "greylisted"), (b"554 no\r\n", "rejected")]
)
def test_a_server_that_turns_away_each_time_is_asked_while_there_is_time(said: bytes, kind: str) -> None:
    asked: list[int] = []

    def talk(stream: socket.socket, number: int) -> None:
        asked.append(number)
        stream.sendall(said)

    with Peer(talk) as peer:
        assert shake(question(peer.address, "smtp"), timeout=1).failure == kind
    assert asked == ([0] if kind == "rejected" else [0, 1])


@pytest.mark.parametrize("word", [b"", records(ALERT, b"\x01\x00")], ids=["Dovecot", "Courier"])
@pytest.mark.parametrize(("asked", "failure"), [("rsa", "not-offered"), ("ecdsa", "turned-away")])
def test_hanging_up_may_be_how_a_server_says_that_a_kind_is_not_offered(
    serving: Callable[..., ssl.SSLContext], asked: KeyAlgorithm, failure: str, word: bytes
) -> None:
    """Courier says close_notify before it does."""
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number == 1:  # asked for any
            shake_hands(stream, context)
        else:
            stream.recv(10_000)
            stream.sendall(word)

    with Peer(talk) as peer:
        shaken = shake(question(peer.address, "tls", asked), timeout=1)
    assert (shaken.failure, shaken.chain) == (failure, None)


def test_a_server_that_hung_up_because_it_was_busy_is_asked_again(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number:
            shake_hands(stream, context)
        else:
            stream.recv(10_000)

    with Peer(talk) as peer:
        assert shake(question(peer.address, "tls", "ecdsa")).chain is not None


def test_hanging_up_under_starttls_is_no_busy_server(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        speak_smtp(stream)
        if number == 1:
            shake_hands(stream, context)
        stream.recv(10_000)

    with Peer(talk) as peer:
        assert shake(question(peer.address, "smtp")).failure == "tls-failed"
    with Peer(talk) as peer:
        assert shake(question(peer.address, "smtp", "rsa")).failure == "not-offered"


def test_a_busy_server_does_not_make_hanging_up_another_answer(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number in {1, 3}:
            return  # too many connections
        speak_smtp(stream)
        if number == 2:
            shake_hands(stream, context)
        stream.recv(10_000)

    with Peer(talk) as peer:
        assert shake(question(peer.address, "smtp", "rsa")).failure == "not-offered"


def test_a_server_that_takes_two_at_once_serves_ten(serving: Callable[..., ssl.SSLContext]) -> None:
    """They do not come back all at once, where eight would be turned away again."""
    context, room = serving(ECDSA), threading.Semaphore(2)

    def talk(stream: socket.socket, _: int) -> None:
        if not room.acquire(blocking=False):
            stream.sendall(b"421 4.7.0 mx Error: too many connections from 127.0.0.1\r\n")
            return
        try:
            speak_smtp(stream)
            shake_hands(stream, context)
            peer.over.wait(0.1)
        finally:
            room.release()

    async def ten(address: tuple[str, int]) -> list[Shaken]:
        dialer = Dialer(RunningClock())
        return await asyncio.gather(*(dialer.shake(question(address, "smtp")) for _ in range(10)))

    with Peer(talk) as peer:
        shaken = asyncio.run(ten(peer.address))
    assert [s.failure for s in shaken] == [None] * 10
