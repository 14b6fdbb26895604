"""Many handshakes at once, in one thread: each is a script that says what it waits for, and one loop wakes them all.

All connections of a request are open, and through STARTTLS, before the first of them shakes hands: a server with
several workers then answers from several of them, and one that still presents the old chain is found.
"""

import errno
import os
import selectors
import socket
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address

from OpenSSL import SSL

from danelaw import pki
from danelaw.errors import InputError
from danelaw.model import Chain, Clock, KeyAlgorithm, ProbeRequest, ProbeResult
from danelaw.names import format_host_port
from danelaw.probe import starttls, tls

MAX_OPEN = 64
"""Connections open at once; further requests wait for their turn."""

GATE = 0.8
"""The part of the timeout after which those that are ready no longer wait for the others (greet delays last 6 s)."""

STALLED = 1.0
"""Seconds without another connection getting ready, after which those that are ready go on.

Postfix, just reloaded, now and then lets one connection wait until another one ends; and ours wait for each other.
"""

PAUSE = timedelta(milliseconds=200)
"""What a server gets to notice that our connections are over."""

_GATE = 0
"""Awaited instead of a selector event: the other connections of the request."""

_Script = Generator[int, None, Chain]


class _Failed(Exception):
    """A connection failed; the text goes on from "192.0.2.1:25 "."""


@dataclass(slots=True)
class _Attempt:
    """One connection. ``stage`` completes "within 10 s ..." for when time runs out.

    ``greeted``: the server has said something in plain text; ``turned_away``: it hung up before it said anything.
    """

    socket: socket.socket
    stage: str = "the connection"
    script: _Script | None = None
    awaits: int | None = None
    chain: Chain | None = None
    problem: str | None = None
    not_offered: bool = False
    hung_up: bool = False
    greeted: bool = False
    turned_away: bool = False

    @property
    def ended(self) -> bool:
        return self.chain is not None or self.problem is not None


@dataclass(slots=True)
class _Group:
    """The connections of one request. ``gate_at`` and ``deadline`` are seconds since boot.

    ``ready`` is how many were ready at the gate when last counted.
    """

    request: ProbeRequest
    gate_at: float = 0.0
    ready: int = 0
    deadline: float = 0.0
    attempts: list[_Attempt] = field(default_factory=list)
    problem: str | None = None  # before there was any connection

    @property
    def result(self) -> ProbeResult:
        """Return what the connections brought, all of them having ended."""
        chains = tuple(attempt.chain for attempt in self.attempts if attempt.chain is not None)
        failed = [attempt for attempt in self.attempts if attempt.problem is not None]
        if self.attempts and all(attempt.not_offered for attempt in self.attempts):
            return ProbeResult(self.request, (), not_offered=True)
        problem = self.problem or next((attempt.problem for attempt in failed), None)
        if problem is None:
            return ProbeResult(self.request, chains)
        where = format_host_port(*self.request.connect)
        count = f" ({len(failed)} of {len(self.attempts)} handshakes failed)" if len(self.attempts) > 1 else ""
        return ProbeResult(self.request, chains, problem=f"{where} {problem}{count}")

    @property
    def is_doubtful(self) -> bool:
        """Return whether the server hung up on every request for one kind of certificate, which may be its answer."""
        return self.request.algorithm is not None and bool(self.attempts) and all(a.hung_up for a in self.attempts)

    @property
    def taken_at_once(self) -> int | None:
        """Return how many connections were served where only others were turned away; None where that is not so."""
        failed = [attempt for attempt in self.attempts if attempt.problem is not None]
        if failed and all(attempt.turned_away for attempt in failed):
            return len(self.attempts) - len(failed) or None
        return None

    @property
    def running(self) -> list[_Attempt]:
        return [attempt for attempt in self.attempts if not attempt.ended]


class Handshakes:
    """`model.Prober`: handshakes over TCP.

    ``timeout`` is in seconds, for each handshake from connecting to its end. ``ehlo_name`` is what SMTP's EHLO says;
    by default the address literal of our end (RFC 5321 section 4.1.3). Raises `Refused` where this machine's OpenSSL
    cannot ask for one kind of certificate.
    """

    def __init__(self, clock: Clock, *, timeout: float = 10.0, ehlo_name: str | None = None) -> None:
        self._clock = clock
        self._timeout = timeout
        self._ehlo_name = ehlo_name
        self._contexts: Mapping[KeyAlgorithm | None, SSL.Context] = {
            None: tls.context(None),
            "rsa": tls.context("rsa"),
            "ecdsa": tls.context("ecdsa"),
        }

    def probe(self, requests: Sequence[ProbeRequest]) -> Sequence[ProbeResult]:
        """Carry out every request, concurrently; results in the order of the requests. Never raises for a peer.

        Dovecot and others hang up where an alert should say that there is no certificate of the kind asked for. So
        where that happened, any kind is asked for, and then the same kind again: if the server presents another kind
        and hangs up again, the kind is not offered.
        """
        groups = self._run(requests)
        results = [group.result for group in groups]
        self._come_back(groups, results)
        doubtful = [at for at, group in enumerate(groups) if group.is_doubtful]
        anyhow = self._run([replace(requests[at], algorithm=None, handshakes=1) for at in doubtful])
        talking = [at for at, group in zip(doubtful, anyhow, strict=True) if _presents_another(group, requests[at])]
        again = self._run([replace(requests[at], handshakes=1) for at in talking])
        for at, group in zip(talking, again, strict=True):
            if group.is_doubtful or group.result.not_offered:
                results[at] = ProbeResult(requests[at], (), not_offered=True)
        return results

    def _come_back(self, groups: Sequence[_Group], results: list[ProbeResult]) -> None:
        """Where a server took only so many connections at once, ask again with so many, until it is as many in all.

        Courier's POP3 server takes four of an address by default. Where some of so many are turned away too, fewer are
        asked for, from the start; who turns away a single one has another reason, and the problem stays what it was.
        """
        left = {at: taken for at, group in enumerate(groups) if (taken := group.taken_at_once) is not None}
        chains = {at: list(results[at].chains) for at in left}
        asked = dict.fromkeys(left, 0)
        while left:
            self._clock.sleep_until(self._clock.now() + PAUSE)
            again = self._run([replace(groups[at].request, handshakes=taken) for at, taken in left.items()])
            for (at, taken), group in zip(tuple(left.items()), again, strict=True):
                request = groups[at].request
                asked[at] += taken
                chains[at] += group.result.chains
                if group.taken_at_once is not None:
                    left[at], asked[at] = group.taken_at_once, 0
                elif len(group.result.chains) < taken:
                    del left[at]
                elif asked[at] >= request.handshakes:
                    results[at] = ProbeResult(request, tuple(chains[at]), at_once=taken)
                    del left[at]

    def _run(self, requests: Sequence[ProbeRequest]) -> Sequence[_Group]:
        groups = [_Group(request) for request in requests]
        waiting = deque(groups)
        active: list[_Group] = []
        with selectors.DefaultSelector() as selector:
            try:
                while waiting or active:
                    self._admit(waiting, active, selector)
                    self._open_gates(active, selector)
                    self._wake(active, selector)
                    self._expire(active, selector)
                    active = [group for group in active if group.running]
            finally:
                for group in active:
                    for attempt in group.running:
                        _close(attempt, selector)
        return groups

    def _seconds(self) -> float:
        return self._clock.boot()[1]

    def _admit(self, waiting: deque[_Group], active: list[_Group], selector: selectors.BaseSelector) -> None:
        """Start requests while there is room; one that is larger than all the room starts alone."""
        while waiting:
            size = max(1, waiting[0].request.handshakes)
            if active and sum(len(group.running) for group in active) + size > MAX_OPEN:
                return
            group = waiting.popleft()
            now = self._seconds()
            group.gate_at, group.deadline = now + GATE * self._timeout, now + self._timeout
            try:
                family, address = _resolve(group.request.connect)
                for _ in range(size):
                    attempt = _Attempt(socket.socket(family, socket.SOCK_STREAM))
                    group.attempts.append(attempt)
                    attempt.socket.settimeout(0)
                    attempt.script = self._converse(attempt, group.request, address)
            except OSError as error:
                for attempt in group.attempts:
                    attempt.socket.close()
                group.attempts.clear()
                group.problem = f"cannot be reached from here: {error.strerror or error}"
                continue
            active.append(group)
            for attempt in group.attempts:
                _advance(attempt, selector)

    def _open_gates(self, active: list[_Group], selector: selectors.BaseSelector) -> None:
        """Let the handshakes of a request begin once all its connections are ready, failed, or late."""
        now = self._seconds()
        for group in active:
            ready = [attempt for attempt in group.running if attempt.awaits == _GATE]
            if len(ready) > group.ready:
                latest = group.deadline - (1 - GATE) * self._timeout
                group.ready, group.gate_at = len(ready), min(latest, now + STALLED)
            if ready and (len(ready) == len(group.running) or now >= group.gate_at):
                for attempt in ready:
                    _advance(attempt, selector)

    def _wake(self, active: list[_Group], selector: selectors.BaseSelector) -> None:
        """Wait for the network, or for the next instant that matters, and carry on what can be carried on."""
        if not selector.get_map():
            return
        now = self._seconds()
        instants = [group.deadline for group in active if group.running]
        instants += [group.gate_at for group in active if any(a.awaits == _GATE for a in group.running)]
        for key, _ in selector.select(max(0.0, min(instants) - now)):
            _advance(key.data, selector)

    def _expire(self, active: list[_Group], selector: selectors.BaseSelector) -> None:
        now = self._seconds()
        for group in active:
            if now >= group.deadline:
                for attempt in group.running:
                    attempt.problem = f"did not bring {attempt.stage} within {self._timeout:g} s"
                    _close(attempt, selector)

    def _converse(self, attempt: _Attempt, request: ProbeRequest, address: tuple[object, ...]) -> _Script:
        """Connect, start TLS, shake hands; yield the event awaited each time, return the chain presented."""
        yield from _connect(attempt.socket, address)
        protocol = request.endpoint.protocol
        if protocol in {"smtp", "imap", "pop3"}:
            dialogue = starttls.start(protocol, self._ehlo_name or _address_literal(attempt.socket))
            yield from _start_tls(attempt, dialogue)
        attempt.stage = "the other connections of this proof"
        yield _GATE
        attempt.stage = "the end of the TLS handshake"
        client = tls.connection(self._contexts[request.algorithm], attempt.socket, request.endpoint.host)
        while True:
            state = client.get_state_string()
            try:
                client.do_handshake()
                break
            except SSL.WantReadError:
                yield selectors.EVENT_READ
            except SSL.WantWriteError:
                yield selectors.EVENT_WRITE
            except SSL.Error as error:
                raise tls.failure(error, state, request.algorithm) from None
        certificates_der = tls.peer_chain(client)
        with suppress(SSL.Error):
            client.shutdown()  # one close_notify, so that servers log no broken connection
        return _chain(certificates_der, request.algorithm)


def _presents_another(group: _Group, request: ProbeRequest) -> bool:
    return any(chain.algorithm != request.algorithm for chain in group.result.chains)


def _chain(certificates_der: Sequence[bytes], algorithm: KeyAlgorithm | None) -> Chain:
    if not certificates_der:
        raise _Failed("presented no certificate")
    try:
        chain = pki.chain_from_der(certificates_der)
    except InputError as error:
        raise _Failed(f"presented a chain that cannot be used: {error}") from None
    if algorithm is not None and chain.algorithm != algorithm:
        # A server that answers with what it has got, as RFC 8446 section 4.4.2.2 lets it.
        raise tls.not_offered(algorithm, f"it presented one of kind {chain.algorithm}")
    return chain


def _connect(stream: socket.socket, address: tuple[object, ...]) -> Generator[int, None, None]:
    code = stream.connect_ex(address)
    if code == errno.EINPROGRESS:
        yield selectors.EVENT_WRITE
        code = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == errno.ECONNREFUSED:
        raise _Failed("refuses the connection: nothing listens there")
    if code:
        raise _Failed(f"cannot be reached: {os.strerror(code)}")


def _start_tls(attempt: _Attempt, dialogue: starttls.Dialogue) -> Generator[int, None, None]:
    while not dialogue.done:
        attempt.stage = dialogue.expects
        yield selectors.EVENT_READ
        try:
            data = attempt.socket.recv(4096)
        except BlockingIOError:
            continue
        if not data:
            attempt.turned_away = not attempt.greeted
            raise _Failed(f"hung up where {dialogue.expects} was expected")
        attempt.greeted = True
        answer = dialogue.receive(data)
        while answer:
            try:
                answer = answer[attempt.socket.send(answer) :]
            except BlockingIOError:
                yield selectors.EVENT_WRITE


def _advance(attempt: _Attempt, selector: selectors.BaseSelector) -> None:
    """Carry a connection on to its next wait or its end."""
    if attempt.script is None:
        return
    try:
        awaits = next(attempt.script)
    except StopIteration as end:
        attempt.chain = end.value
    except tls.HandshakeFailed as error:
        attempt.problem, attempt.not_offered, attempt.hung_up = str(error), error.not_offered, error.hung_up
        attempt.turned_away = error.hung_up and not attempt.greeted
    except (_Failed, starttls.DialogueFailed) as error:
        attempt.problem = str(error)
    except OSError as error:  # a reset while reading or writing
        attempt.turned_away = isinstance(error, ConnectionResetError) and not attempt.greeted
        attempt.problem = f"broke the connection where {attempt.stage} was expected: {error.strerror or error}"
    else:
        _await(attempt, awaits, selector)
        return
    _close(attempt, selector)


def _await(attempt: _Attempt, awaits: int, selector: selectors.BaseSelector) -> None:
    if attempt.awaits == awaits:
        return
    if attempt.awaits:
        selector.unregister(attempt.socket)
    if awaits != _GATE:
        selector.register(attempt.socket, awaits, attempt)
    attempt.awaits = awaits


def _close(attempt: _Attempt, selector: selectors.BaseSelector) -> None:
    if attempt.awaits:
        selector.unregister(attempt.socket)
    attempt.awaits = None
    if attempt.script is not None:
        attempt.script.close()
        attempt.script = None
    attempt.socket.close()


def _resolve(connect: tuple[str, int]) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Return family and socket address of a literal address; no name is ever looked up here. Raises OSError."""
    found = socket.getaddrinfo(*connect, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    return found[0][0], found[0][4]


def _address_literal(stream: socket.socket) -> str:
    """Return our end as an address literal (RFC 5321 section 4.1.3)."""
    address = ip_address(stream.getsockname()[0].partition("%")[0])
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"
