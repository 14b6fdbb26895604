"""One exchange, bounded in time whatever the server does: silence, a drip of headers, a drip of body."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from danelaw.acme.transport import Transport, Unreachable

HALF_A_SECOND = timedelta(seconds=0.5)


class Heard(list[str]):
    """`model.Progress`: the lines that were said."""

    def __call__(self, text: str) -> None:
        self.append(text)


@contextlib.contextmanager
def server(first: bytes, drip: bytes, rounds: int = 100) -> Iterator[str]:
    """Say ``first``, then ``drip`` every tenth of a second until the client is gone; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            sock, _ = listening.accept()
            with sock, contextlib.suppress(OSError):
                sock.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    sock.recv(65536)
                sock.sendall(first)
                for _ in range(rounds):
                    sock.sendall(drip)
                    with contextlib.suppress(TimeoutError):
                        if sock.recv(65536) == b"":
                            return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/dir"
        thread.join()


@pytest.mark.parametrize(
    ("first", "drip"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["silence", "headers", "body", "half a body", "chunks"],
)
def test_an_answer_that_does_not_end_is_given_up(first: bytes, drip: bytes) -> None:
    transport = Transport(None, "danelaw/test", HALF_A_SECOND)
    began = time.monotonic()
    with server(first, drip) as url:
        with pytest.raises(Unreachable):
            transport.exchange("GET", url)
        assert 0.4 < time.monotonic() - began < 3
        transport.close()


def test_an_answer_that_takes_its_time_and_ends_is_read() -> None:
    transport = Transport(None, "danelaw/test", HALF_A_SECOND)
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"x") as url:
        assert transport.exchange("GET", url).body == b"xxxx"
        transport.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_answer_that_is_cut_short_is_no_answer(answer: bytes) -> None:
    transport = Transport(None, "danelaw/test", HALF_A_SECOND)
    with server(answer, b"", rounds=0) as url:
        with pytest.raises(Unreachable):
            transport.exchange("GET", url)
        transport.close()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x15\x03\x01\r\n\r\n"])
def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    transport = Transport(None, "danelaw/test", HALF_A_SECOND)
    with server(answer, b"") as url:
        with pytest.raises(Unreachable):
            transport.exchange("GET", url)
        transport.close()


def test_a_ca_that_is_waited_for_is_named_once() -> None:
    said = Heard()
    transport = Transport(None, "danelaw/test", HALF_A_SECOND, say=said, patience=0.05)
    with server(b"", b"") as url:
        with pytest.raises(Unreachable):
            transport.exchange("GET", url)
        transport.close()
    assert said == [f"waiting for {url.split('/')[2]} to answer"]


def test_of_a_ca_that_answers_nothing_is_said() -> None:
    said = Heard()
    transport = Transport(None, "danelaw/test", HALF_A_SECOND, say=said, patience=60)
    before = set(threading.enumerate())
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"") as url:
        assert transport.exchange("GET", url).body == b"x"
        transport.close()
    for timer in set(threading.enumerate()) - before:
        timer.join()  # it was cancelled, else this takes a minute
    assert said == []
