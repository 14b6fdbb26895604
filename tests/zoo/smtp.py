"""Servers with manners, of mail all but a few.

One thread listens for all of them, and each connection has a thread of its own.
"""

import selectors
import socket
import ssl
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from zoo.animal import Manners

PATIENCE = 20.0
"""Seconds after which a connection is given up, so that none outlives the zoo for long."""


FLOOD = 7.0
"""Seconds for which one floods: Postfix would listen for ever."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What one address presents: keys with chains, PEM, in one file each; ``page`` is what a web server shows."""

    host: str
    manners: Manners
    combined_pems: Sequence[bytes]
    page: str = ""


class MailServers:
    """Servers at port 25 (and 443), by address. A context manager, in the namespaces of the entering thread."""

    def __init__(self, presented: Mapping[str, Presented]) -> None:
        self._presented = presented
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._open: set[socket.socket] = set()
        self._over, self._wake = socket.socketpair()
        self._ended = threading.Event()
        self._listener = threading.Thread(target=self._listen, name="zoo")

    def __enter__(self) -> Self:
        self._selector = selectors.DefaultSelector()
        for address, one in self._presented.items():
            if one.manners in {"deaf", "postfix"}:
                continue
            self._contexts[address] = _context(one)
            listener = socket.create_server((address, 443 if one.manners == "web" else 25), backlog=64)
            self._selector.register(listener, selectors.EVENT_READ, address)
        self._selector.register(self._over, selectors.EVENT_READ, None)
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._wake.close()
        self._listener.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # sockets all of them
        self._selector.close()
        for stream in list(self._open):
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                with suppress(OSError):
                    stream, _ = key.fileobj.accept()  # type: ignore[union-attr]  # a listening socket
                    stream.settimeout(PATIENCE)
                    self._open.add(stream)
                    threading.Thread(target=self._serve, args=(stream, key.data), daemon=True).start()

    def _serve(self, stream: socket.socket, address: str) -> None:
        one = self._presented[address]
        with stream, suppress(OSError):  # the client hung up, as it may
            _TALKS.get(one.manners, _proper)(_Talk(stream, one, self._contexts[address], self._ended))
        self._open.discard(stream)


@dataclass(frozen=True, slots=True)
class _Talk:
    """A connection, with what is needed to serve it."""

    stream: socket.socket
    server: Presented
    context: ssl.SSLContext
    ended: threading.Event

    def say(self, *lines: str) -> None:
        self.stream.sendall("".join(f"{line}\r\n" for line in lines).encode())


_VERSIONS: Mapping[Manners, tuple[ssl.TLSVersion, ssl.TLSVersion]] = {
    "old": (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1),
    "tls12": (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
    "tls13": (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
}
"""The lowest and the highest that they speak, where that is not what everybody does."""


def _context(one: Presented) -> ssl.SSLContext:
    if one.manners != "by-name":
        return _context_over(one.combined_pems, _VERSIONS.get(one.manners))
    own, others = (_context_over([pem]) for pem in one.combined_pems)

    def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = own if name == one.host else others

    others.sni_callback = choose
    return others


def _context_over(
    combined_pems: Sequence[bytes], versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # weak keys and old versions are what some of them are about
    for pem in combined_pems:
        with tempfile.NamedTemporaryFile() as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
    if versions is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TLS 1.0 is outdated is the point
            context.minimum_version, context.maximum_version = versions
    return context


def _greet(talk: _Talk, *, starttls: bool = True) -> bool:
    """Say hello, answer EHLO, and return whether STARTTLS came."""
    talk.say(f"220 {talk.server.host} ESMTP")
    return _answer(talk.stream, starttls=starttls)


def _answer(stream: socket.socket, *, starttls: bool) -> bool:
    """Answer commands until QUIT, the end, or a STARTTLS that is welcome."""
    with stream.makefile("rb") as lines:
        while command := lines.readline(1000):
            match command.strip().upper().split(b" ")[0]:
                case b"EHLO":
                    stream.sendall(b"250-zoo\r\n250-STARTTLS\r\n250 8BITMIME\r\n" if starttls else b"250 zoo\r\n")
                case b"STARTTLS" if starttls:
                    return True
                case b"QUIT":
                    stream.sendall(b"221 bye\r\n")
                    return False
                case b"DATA":
                    stream.sendall(b"354 go on\r\n")
                    while lines.readline(1000).strip() != b".":
                        pass
                    stream.sendall(b"250 taken\r\n")
                case b"STARTTLS" | b"":
                    stream.sendall(b"502 no\r\n")
                case _:
                    stream.sendall(b"250 ok\r\n")
    return False


def _proper(talk: _Talk) -> None:
    if _greet(talk):
        talk.say("220 go ahead")
        _tls(talk)


def _tls(talk: _Talk) -> None:
    with talk.context.wrap_socket(talk.stream, server_side=True) as stream:
        _answer(stream, starttls=False)


def _plain(talk: _Talk) -> None:
    _greet(talk, starttls=False)


def _refuses(talk: _Talk) -> None:
    if _greet(talk):
        talk.say("454 TLS not available due to temporary reason")
        _answer(talk.stream, starttls=True)


def _greylists(talk: _Talk) -> None:
    talk.say("450 4.7.1 greylisted, come back in five minutes")
    _answer(talk.stream, starttls=False)


def _rejects(talk: _Talk) -> None:
    talk.say("554 5.7.1 no service for you")
    _answer(talk.stream, starttls=False)


def _garbled(talk: _Talk) -> None:
    if _greet(talk):
        talk.say("220 go ahead")
        talk.stream.recv(1000)
        talk.say("250 this is no TLS record")


def _injects(talk: _Talk) -> None:
    if _greet(talk):
        talk.say("220 go ahead", "250 injected")
        _tls(talk)


def _hangs_up(talk: _Talk) -> None:
    if _greet(talk):
        talk.say("220 go ahead")
        talk.stream.recv(65536)  # what is unread would make it a reset


def _slow(talk: _Talk) -> None:
    talk.ended.wait(2)
    _proper(talk)


def _web(talk: _Talk) -> None:
    with talk.context.wrap_socket(talk.stream, server_side=True) as stream, stream.makefile("rb") as lines:
        while lines.readline(1000).strip():
            pass
        body = talk.server.page.encode()
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        stream.sendall(head.encode() + body)


def _long_line(talk: _Talk) -> None:
    talk.say(f"220 {'x' * 65536}")
    if _answer(talk.stream, starttls=True):
        talk.say("220 go ahead")
        _tls(talk)


def _silent(talk: _Talk) -> None:
    talk.ended.wait(PATIENCE)


def _floods(talk: _Talk) -> None:
    end = time.monotonic() + FLOOD
    while not talk.ended.wait(0.1) and time.monotonic() < end:
        talk.say(*(f"220-{'and on it goes ' * 30}" for _ in range(100)))


_TALKS: Mapping[Manners, Callable[[_Talk], None]] = {
    "plain": _plain,
    "refuses": _refuses,
    "greylists": _greylists,
    "rejects": _rejects,
    "garbled": _garbled,
    "injects": _injects,
    "hangs-up": _hangs_up,
    "slow": _slow,
    "long-line": _long_line,
    "silent": _silent,
    "web": _web,
    "floods": _floods,
}
