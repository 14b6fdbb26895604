"""One handshake as a script: connect, the dialogue up to STARTTLS, TLS. It says what it waits for and owns no loop.

::

    conversation = Conversation(approach, ("192.0.2.1", 25))
    while (awaits := conversation.advance()) is not None:
        …wait until conversation.stream is readable (READ) or writable (WRITE)…
    conversation.close()
    conversation.outcome

Whoever drives it also bounds its time: `late` ends it. Size is bounded here.
"""

import errno
import os
import selectors
import socket
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from OpenSSL import SSL

from danelaw import pki
from danelaw.errors import InputError
from danelaw.model import AppProtocol, Chain, FailureKind, KeyAlgorithm
from danelaw.pki.chain import MAX_CERTIFICATES
from danelaw.probe import starttls, tls
from danelaw.probe.dialogue import INJECTED, Dialogue, printable, quote
from danelaw.probe.failures import Failed

GATED = 0
READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
"""What a script awaits: the driver's leave to shake hands, or its socket."""

_PIECE = 16384
"""Octets read at once."""

# What is said under TLS, with our last message, so that servers log no broken connection. Where TLS comes first, it
# would be said before the server's greeting.
_FAREWELLS: dict[AppProtocol, bytes] = {"smtp": b"QUIT\r\n", "imap": b"a3 LOGOUT\r\n", "pop3": b"QUIT\r\n"}


@dataclass(frozen=True, slots=True)
class Approach:
    """How to shake hands with an endpoint.

    ``host`` is sent as SNI. ``origin`` is the domain that XMPP's stream is opened to, ``ehlo_name`` what SMTP's EHLO
    says; by default the address literal of our end (RFC 5321 section 4.1.3).
    """

    protocol: AppProtocol
    host: str
    algorithm: KeyAlgorithm | None
    context: SSL.Context
    origin: str = ""
    ehlo_name: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a conversation ended. ``problem`` goes on from "192.0.2.1:25 ".

    ``hung_up``: the server closed the connection on our first TLS message without a word, which may be its way to say
    that it has no certificate of the kind asked for.
    """

    chain: Chain | None = None
    failure: FailureKind | None = None
    problem: str = ""
    version: str = ""
    banner: str = ""
    hung_up: bool = False


class Conversation:
    """One connection. Raises OSError where this machine cannot even begin.

    ``stage`` completes "did not bring ... within 10 s" for when time runs out.
    """

    def __init__(self, approach: Approach, connect: tuple[str, int]) -> None:
        family, self._address = _resolve(connect)
        self.stream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.stage = "the connection"
        self.outcome: Outcome | None = None
        self._approach = approach
        self._script: Generator[int, None, Chain] | None = self._converse()
        self._connected = False
        self._greeted = False  # the server has said something in plain text
        self._dialogue: Dialogue[Any] | None = None
        self._client: tls.Client | None = None

    def advance(self) -> int | None:
        """Carry on to the next wait and return what is awaited, None at the end; never raises for a peer."""
        if self._script is None:
            return None
        try:
            return next(self._script)
        except StopIteration as end:
            self._end(chain=end.value)
        except Failed as failed:
            self._end(failed.kind, str(failed), hung_up=isinstance(failed, tls.HungUp))
        except OSError as error:  # a reset while reading or writing
            self._broken(error)
        return None

    def late(self, limit: float) -> None:
        """End it: its time, ``limit`` seconds, is over."""
        problem = f"did not bring {self.stage} within {limit:g} s"
        self._end("silent" if self._connected else "timeout", problem + self._unfinished())

    def close(self) -> None:
        """Close the connection; harmless when it is closed."""
        if self._script is not None:
            self._script.close()
            self._script = None
        self.stream.close()

    def _end(
        self,
        failure: FailureKind | None = None,
        problem: str = "",
        chain: Chain | None = None,
        *,
        hung_up: bool = False,
    ) -> None:
        """Keep the outcome. Who hung up before a word has turned us away, whatever we were about to do."""
        hung_up = hung_up and self._client is not None and not self._client.heard
        if hung_up and not self._greeted:
            failure = "turned-away"
        version = self._client.version if self._client is not None else ""
        banner = self._dialogue.banner or printable(self._dialogue.unfinished) if self._dialogue is not None else ""
        self.outcome = Outcome(chain, failure, problem, version, banner, hung_up)
        self._script = None

    def _broken(self, error: OSError) -> None:
        why = error.strerror or error
        if self._client is not None:
            self._end("tls-failed", f"broke the connection in the TLS handshake: {why}", hung_up=True)
            return
        kind: FailureKind = "hung-up" if self._greeted else "turned-away"
        self._end(kind, f"broke the connection where {self.stage} was expected: {why}")

    def _unfinished(self) -> str:
        """Tell what the server said last and did not end."""
        found = self._dialogue.unfinished if self._dialogue is not None and not self._dialogue.done else b""
        return f" (found {quote(found)} without an end)" if found else ""

    def _converse(self) -> Generator[int, None, Chain]:
        yield from self._connect()
        protocol = self._approach.protocol
        if starttls.is_needed(protocol):
            ehlo_name = self._approach.ehlo_name or _address_literal(self.stream)
            self._dialogue = starttls.start(protocol, ehlo_name, self._approach.origin)
            yield from self._start_tls(self._dialogue)
        self.stage = "the other connections of this proof"
        yield GATED
        if self._dialogue is not None:
            self._refuse_more()
        self.stage = "the end of the TLS handshake"
        return (yield from self._shake_hands())

    def _connect(self) -> Generator[int, None, None]:
        code = self.stream.connect_ex(self._address)
        at_once = code != errno.EINPROGRESS
        if not at_once:
            yield WRITE
            code = self.stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == errno.ECONNREFUSED:
            raise Failed("refused", "refuses the connection: nothing listens there")
        if code == errno.ECONNRESET:  # it was made, and is gone already
            raise Failed("turned-away", "broke the connection before it said anything")
        if code == errno.ETIMEDOUT:
            raise Failed("timeout", f"cannot be reached: {os.strerror(code)}")
        if code and at_once:  # nobody was asked yet: our own stack says no
            raise Failed("no-route", f"cannot be reached from here: {os.strerror(code)}")
        if code:
            raise Failed("unreachable", f"cannot be reached: {os.strerror(code)}")
        self._connected = True

    def _start_tls(self, dialogue: Dialogue[Any]) -> Generator[int, None, None]:
        self.stage = dialogue.expects
        yield from self._write(dialogue.opening)
        while not dialogue.done:
            self.stage = dialogue.expects
            yield READ
            data = self._read()
            if data is None:
                continue
            if not data:
                kind: FailureKind = "hung-up" if self._greeted else "turned-away"
                raise Failed(kind, f"hung up where {dialogue.expects} was expected{self._unfinished()}")
            self._greeted = True
            yield from self._write(dialogue.receive(data))

    def _refuse_more(self) -> None:
        """Whatever came before our first TLS message is no TLS: plaintext in a segment of its own."""
        with suppress(OSError):
            if self._read():
                raise Failed("injected", INJECTED)

    def _shake_hands(self) -> Generator[int, None, Chain]:
        client = self._client = tls.Client(self._approach.context, self._approach.host, self._approach.algorithm)
        yield from self._write(client.begin())
        while not client.done:
            yield READ
            data = self._read()
            if data is None:
                continue
            if not data:
                raise tls.HungUp
            try:
                answer = client.receive(data)
            except Failed:
                self._write_once(client.last_words())
                raise
            if not client.done:
                yield from self._write(answer)
        certificates_der = client.certificates()
        self._write_once(answer + client.last_words(_FAREWELLS.get(self._approach.protocol, b"")))
        return presented(certificates_der, self._approach.algorithm)

    def _read(self) -> bytes | None:
        try:
            return self.stream.recv(_PIECE)
        except BlockingIOError:
            return None

    def _write(self, data: bytes) -> Generator[int, None, None]:
        while data:
            try:
                data = data[self.stream.send(data) :]
            except BlockingIOError:
                yield WRITE

    def _write_once(self, data: bytes) -> None:
        """Send what nobody waits for: it is as good as over."""
        with suppress(OSError):
            if data:
                self.stream.send(data)


def presented(certificates_der: tuple[bytes, ...], algorithm: KeyAlgorithm | None) -> Chain:
    """Return the chain that was presented where one kind was asked for. Raises `Failed`."""
    if not certificates_der:
        raise Failed("no-certificate", "presented no certificate")
    if len(certificates_der) > MAX_CERTIFICATES:
        found = f"presented {len(certificates_der)} certificates; expected {MAX_CERTIFICATES} at most"
        raise Failed("bad-certificate", found)
    try:
        chain = _parsed(certificates_der)
    except InputError as error:
        raise Failed("bad-certificate", f"presented a chain that cannot be used: {error}") from None
    if algorithm is not None and chain.algorithm != algorithm:
        # A server that answers with what it has got, as RFC 8446 section 4.4.2.2 lets it.
        raise tls.not_offered(algorithm, f"it presented one of kind {chain.algorithm}")
    return chain


@lru_cache(maxsize=64)
def _parsed(certificates_der: tuple[bytes, ...]) -> Chain:
    """Parse a chain; the handshakes with one server mostly bring the same."""
    return pki.chain_from_der(certificates_der)


def _resolve(connect: tuple[str, int]) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Return family and socket address of a literal address; no name is ever looked up here. Raises OSError."""
    found = socket.getaddrinfo(*connect, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    return found[0][0], found[0][4]


def _address_literal(stream: socket.socket) -> str:
    """Return our end as an address literal (RFC 5321 section 4.1.3)."""
    address = ip_address(stream.getsockname()[0].partition("%")[0])
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"
