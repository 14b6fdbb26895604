"""Clients that take their time or too many places, against the real server on a loopback port."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fakes.served import Served, served

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A service whose patience is short."""
    with served(patience=0.6) as service:
        yield service


@pytest.fixture(scope="module")
def patient() -> Iterator[Served]:
    """A service as it is, but for how many connections a client may have."""
    with served(each=4) as service:
        yield service


def connect(service: Served) -> socket.socket:
    return socket.create_connection(service.address, timeout=20)


def until_closed(peer: socket.socket) -> bytes:
    """Return what comes until the server closes; a reset ends it too."""
    found = b""
    try:
        while data := peer.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def ask(peer: socket.socket) -> None:
    """Put the request, and hear the whole answer."""
    peer.sendall(REQUEST)
    found = b""
    while not found.endswith(b"ok\n"):
        data = peer.recv(65536)
        assert data, found
        found += data
    assert found.startswith(b"HTTP/1.1 200 OK\r\n")


def is_answered(service: Served) -> bool:
    with connect(service) as peer:
        try:
            ask(peer)
        except (AssertionError, OSError):
            return False
    return True


def send_until_cut_off(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"\r\n" * 100)


def test_a_request_is_answered_and_the_connection_goes_on(patient: Served) -> None:
    with connect(patient) as peer:
        ask(peer)
        ask(peer)


@pytest.mark.parametrize(
    ("first", "sent"),
    [(False, b""), (False, b"GET / HTTP/1.1\r\nHo"), (True, b"GET / HTTP/1.1\r\nHo")],
    ids=["nothing", "half a head", "one and a half"],
)
def test_who_says_no_more_is_cut_off(hasty: Served, first: bool, sent: bytes) -> None:  # noqa: FBT001 - a parameter
    with connect(hasty) as peer:
        if first:
            ask(peer)
        peer.sendall(sent)
        assert until_closed(peer) == b""


def test_a_body_that_nobody_wants_holds_nothing(hasty: Served) -> None:
    with connect(hasty) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")
        assert until_closed(peer).startswith(b"HTTP/1.1 200")


def test_who_does_not_read_is_cut_off(hasty: Served) -> None:
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(20)
        peer.connect(hasty.address)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)  # ten megabytes of pages
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_until_cut_off(peer)


def test_one_client_has_so_many_connections_and_no_more(patient: Served) -> None:
    with ExitStack() as ending:
        peers = [ending.enter_context(connect(patient)) for _ in range(4)]
        for peer in peers:
            ask(peer)
        with connect(patient) as fifth:
            assert until_closed(fifth) == b""
    assert any(is_answered(patient) for _ in range(1000))  # as soon as the server has seen them go


def test_what_is_no_request_is_refused_without_a_word_in_the_log(
    patient: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000):
        with connect(patient) as peer:
            peer.sendall(sent)
            assert until_closed(peer).startswith(b"HTTP/1.1 400")
    assert capfd.readouterr().err == ""
    assert patient.said == []
