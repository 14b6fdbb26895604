"""Servers on 127.0.0.1 that do exactly what a test wants, good or bad; their threads end with the test."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Talk = Callable[[socket.socket, int], object]
"""What to do with a connection; the second argument counts connections from 0."""

LIMIT = 20.0
"""Seconds after which a peer gives up by itself, so that no test hangs."""


class Peer:
    """Accepts connections and gives each to ``talk`` in a thread of its own. A context manager."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        host, port = self._listener.getsockname()
        self.address: tuple[str, int] = (host, port)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._acceptor = threading.Thread(target=self._accept)
        self.over = threading.Event()
        """Set when the test is over: what a silent server waits for."""

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._acceptor.join(LIMIT)
        for stream in self._open:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)
        for stream in self._open:
            stream.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            stream.settimeout(LIMIT)
            number = len(self._open)
            self._open.append(stream)
            thread = threading.Thread(target=self._serve, args=(stream, number))
            self._threads.append(thread)
            thread.start()

    def _serve(self, stream: socket.socket, number: int) -> None:
        with suppress(OSError):  # the prober hung up, as it may
            self._talk(stream, number)
            stream.shutdown(socket.SHUT_RDWR)


def reset(stream: socket.socket) -> None:
    """Break a connection: the other end gets a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.close()


def speak_smtp(stream: socket.socket, after: bytes = b"220 go\r\n") -> None:
    """Be an SMTP server up to its reply to STARTTLS."""
    stream.sendall(b"220 mx ESMTP\r\n")
    assert stream.recv(100).startswith(b"EHLO ")
    stream.sendall(b"250-mx\r\n250 STARTTLS\r\n")
    assert stream.recv(100) == b"STARTTLS\r\n"
    stream.sendall(after)


def shake_hands(stream: socket.socket, context: ssl.SSLContext) -> None:
    """Be a TLS server on a connection until the client hangs up."""
    with context.wrap_socket(stream.dup(), server_side=True, do_handshake_on_connect=False) as server:
        server.settimeout(LIMIT)
        with suppress(OSError):
            server.do_handshake()
            server.recv(1)
