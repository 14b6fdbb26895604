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
    with served(patience=0.3, each=4) as service:
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


def send_until_cut_off(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"\r\n" * 100)


def test_a_request_is_answered(hasty: Served) -> None:
    with connect(hasty) as peer:
        peer.sendall(REQUEST)
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        peer.sendall(REQUEST)  # the connection goes on
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("first", "sent"),
    [(b"", b""), (b"", b"GET / HTTP/1.1\r\nHo"), (REQUEST, b"GET / HTTP/1.1\r\nHo")],
    ids=["nothing", "half a head", "one and a half"],
)
def test_who_says_no_more_is_cut_off(hasty: Served, first: bytes, sent: bytes) -> None:
    with connect(hasty) as peer:
        if first:
            peer.sendall(first)
            assert peer.recv(65536).startswith(b"HTTP/1.1 200")
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


def test_one_client_has_so_many_connections_and_no_more(hasty: Served) -> None:
    with ExitStack() as ending:
        peers = [ending.enter_context(connect(hasty)) for _ in range(4)]
        for peer in peers:
            peer.sendall(REQUEST)
            assert peer.recv(65536).startswith(b"HTTP/1.1 200")
        with connect(hasty) as fifth:
            assert until_closed(fifth) == b""
    with connect(hasty) as again:
        again.sendall(REQUEST)
        assert again.recv(65536).startswith(b"HTTP/1.1 200")


def test_what_is_no_request_is_refused_without_a_word_in_the_log(
    hasty: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000):
        with connect(hasty) as peer:
            peer.sendall(sent)
            assert until_closed(peer).startswith(b"HTTP/1.1 400")
    assert capfd.readouterr().err == ""
    assert hasty.said == []
