"""Simultaneous handshakes, in one thread without an event loop: what proofs are made of.

All connections of a request are open, and through STARTTLS, before the first of them shakes hands: a server with
several workers then answers from several of them, and one that still presents the old chain is found.
"""

import selectors
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from OpenSSL import SSL

from danelaw.model import Clock, KeyAlgorithm, ProbeRequest, ProbeResult
from danelaw.names import format_host_port
from danelaw.probe import tls
from danelaw.probe.conversation import GATED, Approach, Conversation, Outcome
from danelaw.probe.doubt import is_not_offered

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


@dataclass(slots=True)
class _Attempt:
    """One conversation, and what it awaits."""

    conversation: Conversation
    awaits: int | None = None

    @property
    def outcome(self) -> Outcome | None:
        return self.conversation.outcome


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
    def outcomes(self) -> list[Outcome]:
        return [attempt.outcome for attempt in self.attempts if attempt.outcome is not None]

    @property
    def result(self) -> ProbeResult:
        """Return what the connections brought, all of them having ended."""
        outcomes = self.outcomes
        chains = tuple(outcome.chain for outcome in outcomes if outcome.chain is not None)
        failed = [outcome for outcome in outcomes if outcome.failure is not None]
        if outcomes and all(outcome.failure == "not-offered" for outcome in outcomes):
            return ProbeResult(self.request, (), not_offered=True)
        problem = self.problem or next((outcome.problem for outcome in failed), None)
        if problem is None:
            return ProbeResult(self.request, chains)
        where = format_host_port(*self.request.connect)
        count = f" ({len(failed)} of {len(outcomes)} handshakes failed)" if len(outcomes) > 1 else ""
        return ProbeResult(self.request, chains, problem=f"{where} {problem}{count}")

    @property
    def is_doubtful(self) -> bool:
        """Return whether the server hung up on every request for one kind of certificate, which may be its answer."""
        return self.request.algorithm is not None and bool(self.attempts) and all(o.hung_up for o in self.outcomes)

    @property
    def taken_at_once(self) -> int | None:
        """Return how many connections were served where only others were turned away; None where that is not so."""
        failed = [outcome for outcome in self.outcomes if outcome.failure is not None]
        if failed and all(outcome.failure == "turned-away" for outcome in failed):
            return len(self.attempts) - len(failed) or None
        return None

    @property
    def running(self) -> list[_Attempt]:
        return [attempt for attempt in self.attempts if attempt.outcome is None]


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
        """Carry out every request, concurrently; results in the order of the requests. Never raises for a peer."""
        groups = self._run(requests)
        results = [group.result for group in groups]
        self._come_back(groups, results)
        self._settle_doubts(groups, results)
        return results

    def _settle_doubts(self, groups: Sequence[_Group], results: list[ProbeResult]) -> None:
        """Find out what hanging up meant, of all doubtful servers at once."""
        doubts = {
            at: is_not_offered(group.request.algorithm)
            for at, group in enumerate(groups)
            if group.is_doubtful and group.request.algorithm is not None
        }
        ask = {at: next(doubt) for at, doubt in doubts.items()}
        while ask:
            again = self._run([replace(groups[at].request, algorithm=kind, handshakes=1) for at, kind in ask.items()])
            heard = [(group.outcomes or [Outcome(failure="no-route")])[0] for group in again]
            for at, outcome in zip(tuple(ask), heard, strict=True):
                try:
                    ask[at] = doubts[at].send(outcome)
                except StopIteration as end:
                    del ask[at]
                    if end.value:
                        results[at] = ProbeResult(groups[at].request, (), not_offered=True)

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
                for _ in range(size):
                    group.attempts.append(_Attempt(Conversation(self._approach(group.request), group.request.connect)))
            except OSError as error:
                for attempt in group.attempts:
                    attempt.conversation.close()
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
            ready = [attempt for attempt in group.running if attempt.awaits == GATED]
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
        instants += [group.gate_at for group in active if any(a.awaits == GATED for a in group.running)]
        for key, _ in selector.select(max(0.0, min(instants) - now)):
            _advance(key.data, selector)

    def _expire(self, active: list[_Group], selector: selectors.BaseSelector) -> None:
        now = self._seconds()
        for group in active:
            if now >= group.deadline:
                for attempt in group.running:
                    attempt.conversation.late(self._timeout)
                    _close(attempt, selector)

    def _approach(self, request: ProbeRequest) -> Approach:
        context = self._contexts[request.algorithm]
        endpoint = request.endpoint
        return Approach(
            endpoint.protocol,
            endpoint.host,
            request.algorithm,
            context,
            origin=endpoint.host,
            ehlo_name=self._ehlo_name,
        )


def _advance(attempt: _Attempt, selector: selectors.BaseSelector) -> None:
    """Carry a connection on to its next wait or its end."""
    _await(attempt, attempt.conversation.advance(), selector)


def _await(attempt: _Attempt, awaits: int | None, selector: selectors.BaseSelector) -> None:
    if awaits is None:
        _close(attempt, selector)
    elif awaits != attempt.awaits:
        if attempt.awaits:
            selector.unregister(attempt.conversation.stream)
        if awaits != GATED:
            selector.register(attempt.conversation.stream, awaits, attempt)
        attempt.awaits = awaits


def _close(attempt: _Attempt, selector: selectors.BaseSelector) -> None:
    if attempt.awaits:
        selector.unregister(attempt.conversation.stream)
    attempt.awaits = None
    attempt.conversation.close()
