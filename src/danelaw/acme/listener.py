"""Answer http-01 by a listener of our own: HTTP/1.1, a few tokens, nothing else.

It stands on port 80 of a public host for some seconds, so whoever talks to it is bounded: one request of at most 8 KiB
in five seconds, a connection each, the oldest dropped when there are too many. One thread and a selector serve all, so
that clients that say nothing cost a few bytes and never a thread that the CA would wait for.
"""

import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self

from danelaw.acme.deaf import start_deaf
from danelaw.acme.ports import holder
from danelaw.errors import Refused
from danelaw.names import format_host_port

if TYPE_CHECKING:
    from types import TracebackType

_PREFIX = "/.well-known/acme-challenge/"
_LARGEST_REQUEST = 8192
_MOST_CONNECTIONS = 256
_BACKLOG = 1024
_FAMILIES = {"0.0.0.0": "IPv4", "::": "IPv6"}  # noqa: S104 (what they stand for, not a choice)
_NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@dataclass(slots=True)
class _Client:
    """One connection: what it said so far, what it is still to be told, and when we lose patience (monotonic)."""

    sock: socket.socket
    deadline: float
    received: bytearray
    pending: bytes = b""
    state: Literal["reading", "writing", "draining"] = "reading"


class ListenerSolver:
    """Answers challenges on ``addresses``, each (IPv4 or IPv6 address, port): `model.Solver` and a context manager.

    It listens from entering to leaving. An IPv6 address listens for IPv6 only, so that ``0.0.0.0`` and ``::`` may stand
    side by side; ``::`` without any IPv4 address at its port listens for both. Of several addresses, ``0.0.0.0`` or
    ``::`` is left out where this host does not have the family. ``patience`` is how long one connection may take in
    all.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], patience: timedelta = timedelta(seconds=5)) -> None:
        self._patience = patience.total_seconds()
        self._addresses = tuple(addresses)
        self._answers: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._cleanup: ExitStack | None = None
        self.bound: tuple[tuple[str, int], ...] = ()
        """The addresses really listened on, where it listens: port 0 lets the system choose one."""
        self.left_out: tuple[str, ...] = ()
        """What was asked for and is not listened on, in words, where it listens."""

    def __enter__(self) -> Self:
        """Listen. Raises `Refused` where an address cannot be had, naming who holds it."""
        # Being told to stop may come between any two lines here: `__exit__` knows of each thing before it begins.
        self._cleanup = stack = ExitStack()
        try:
            sockets = [stack.enter_context(sock) for sock in self._bind()]
            wake, woken = socket.socketpair()
            stack.enter_context(wake)
            stack.enter_context(woken)
            server = _Server(sockets, woken, self._answer, self._patience)
            thread = threading.Thread(target=server.serve, name="http-01 listener", daemon=True)

            def stop() -> None:
                if thread.ident is not None:
                    wake.send(b".")
                    thread.join()

            stack.callback(stop)
            start_deaf(thread)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self.bound = tuple(sock.getsockname()[:2] for sock in sockets)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if self._cleanup is not None:
            self._cleanup.close()
        self._cleanup, self.bound = None, ()

    def present(self, domain: str, token: str, key_authorization: str) -> None:
        """Answer the token from now on."""
        with self._lock:
            self._answers[domain, token] = key_authorization

    def clean_up(self, domain: str, token: str) -> None:
        """Answer it no more."""
        with self._lock:
            self._answers.pop((domain, token), None)

    def check_free(self) -> str | None:
        """Return in words why it could not listen now (who holds the port), None where it could."""
        try:
            for sock in self._bind():
                sock.close()
        except Refused as refused:
            return str(refused)
        return None

    def _answer(self, token: str) -> str | None:
        with self._lock:
            # by the token alone: behind redirects, the name asked for need not be the name that is proven
            return next((answer for (_, known), answer in self._answers.items() if known == token), None)

    def _bind(self) -> list[socket.socket]:
        bound: list[socket.socket] = []
        left_out: list[str] = []
        try:
            for address, port in self._addresses:
                both = address == "::" and all(":" in other for other, at in self._addresses if at == port)
                try:
                    bound.append(_listen(address, port, both=both))
                except OSError as error:
                    why = _why(address, port, error, both=both)
                    if address not in _FAMILIES or error.errno not in _NO_FAMILY or len(self._addresses) == 1:
                        raise Refused(why) from error
                    left_out.append(why)
        except BaseException:
            for sock in bound:
                sock.close()
            raise
        if not bound:
            raise Refused("; ".join(left_out))
        self.left_out = tuple(left_out)
        return bound


def _listen(address: str, port: int, *, both: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections in TIME_WAIT are no obstacle
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
        sock.settimeout(0)
    except BaseException:
        sock.close()
        raise
    return sock


def _why(address: str, port: int, error: OSError, *, both: bool) -> str:
    where = format_host_port(address, port)
    if error.errno in _NO_FAMILY and address in _FAMILIES:
        return f"{where} is not listened on: this host has no {_FAMILIES[address]}"
    if error.errno == errno.EADDRINUSE:
        who = holder(address, port, both=both) or "another process"
        return f"{where} is held by {who}; stop it by pre_challenge, or use http01.webroot"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{where} may not be listened on by this user; run danelaw as root or give it CAP_NET_BIND_SERVICE"
    return f"{where} cannot be listened on: {error.strerror or error}; correct http01.listen"


class _Server:
    """The loop. Everything in it runs on one thread; ``woken`` becomes readable when it is to end."""

    def __init__(
        self,
        listening: Sequence[socket.socket],
        woken: socket.socket,
        answer: Callable[[str], str | None],
        patience: float,
    ) -> None:
        self._listening = listening
        self._woken = woken
        self._answer = answer
        self._patience = patience
        self._clients: dict[int, _Client] = {}  # by file descriptor, oldest first

    def serve(self) -> None:
        """Serve until woken, then close every connection."""
        with selectors.DefaultSelector() as selector:
            for sock in (*self._listening, self._woken):
                selector.register(sock, selectors.EVENT_READ)
            try:
                while self._round(selector):
                    pass
            finally:
                for client in self._clients.values():
                    client.sock.close()

    def _round(self, selector: selectors.BaseSelector) -> bool:
        """Serve whoever is ready; return False when woken."""
        for key, _ in selector.select(timeout=min(1.0, self._patience) if self._clients else None):
            if key.fileobj is self._woken:
                return False
            client = self._clients.get(key.fd)
            if client is None:
                if key.fileobj in self._listening:
                    self._accept(selector, key.fileobj)  # type: ignore[arg-type]
            elif not self._advance(client):
                self._drop(selector, client)
            else:
                wanted = selectors.EVENT_WRITE if client.state == "writing" else selectors.EVENT_READ
                selector.modify(client.sock, wanted)
        now = time.monotonic()  # the patience of a socket, not an instant that anything is decided by
        for client in [client for client in self._clients.values() if client.deadline < now]:
            self._drop(selector, client)
        return True

    def _accept(self, selector: selectors.BaseSelector, listening: socket.socket) -> None:
        for _ in range(_BACKLOG):
            try:
                sock, _address = listening.accept()
            except OSError:
                return  # no more, or no descriptors left: those that are served now will free some
            if len(self._clients) >= _MOST_CONNECTIONS:
                self._drop(selector, next(iter(self._clients.values())))
            sock.settimeout(0)
            self._clients[sock.fileno()] = _Client(sock, time.monotonic() + self._patience, bytearray())
            selector.register(sock, selectors.EVENT_READ)

    def _drop(self, selector: selectors.BaseSelector, client: _Client) -> None:
        selector.unregister(client.sock)
        del self._clients[client.sock.fileno()]
        client.sock.close()

    def _advance(self, client: _Client) -> bool:
        """Carry a connection on; return False when it is over."""
        try:
            if client.state == "reading":
                return self._read(client)
            if client.state == "writing":
                client.pending = client.pending[client.sock.send(client.pending) :]
                if not client.pending:
                    # closing with unread input would reset the connection and take the answer with it
                    client.sock.shutdown(socket.SHUT_WR)
                    client.state = "draining"
                return True
            return bool(client.sock.recv(4096))
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False

    def _read(self, client: _Client) -> bool:
        chunk = client.sock.recv(4096)
        client.received += chunk
        head, end, _ = bytes(client.received).partition(b"\r\n\r\n")
        if end:
            client.pending = self._response(head)
        elif len(client.received) > _LARGEST_REQUEST:
            client.pending = _message("431 Request Header Fields Too Large", b"")
        elif not chunk:
            return False
        if client.pending:
            client.state = "writing"
        return True

    def _response(self, head: bytes) -> bytes:
        request = head.split(b"\r\n", 1)[0].decode("ascii", "replace").split(" ")
        if len(request) != 3 or not request[2].startswith("HTTP/1."):
            return _message("400 Bad Request", b"")
        method, target, _ = request
        if method not in {"GET", "HEAD"}:
            return _message("405 Method Not Allowed", b"", "Allow: GET, HEAD\r\n")
        path = target.partition("?")[0]
        answer = self._answer(path.removeprefix(_PREFIX)) if path.startswith(_PREFIX) else None
        if answer is None:
            return _message("404 Not Found", b"")
        return _message("200 OK", answer.encode("ascii"), head_only=method == "HEAD")


def _message(status: str, body: bytes, more: str = "", *, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n"
        f"{more}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else body)
