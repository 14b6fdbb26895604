"""Handshakes in an event loop, hundreds at once: what a check asks of the outside."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from OpenSSL import SSL

from danelaw.model import Clock, Handshake, KeyAlgorithm, Shaken
from danelaw.names import format_host_port
from danelaw.probe import tls
from danelaw.probe.conversation import READ, WRITE, Approach, Conversation, Outcome
from danelaw.probe.doubt import is_not_offered

PAUSES = (0.3, 0.9, 2.0)
"""Seconds to wait before a server is asked again that takes no more connections for now."""

SPREAD = 0.1
"""Seconds that each of those waits longer than the one before it, so that they do not all come back at once."""


class Dialer:
    """Handshakes over TCP, each one awaited by itself.

    ``timeout`` is in seconds, for each question from connecting to its end, pauses included. ``ehlo_name`` is what
    SMTP's EHLO says; by default the address literal of our end (RFC 5321 section 4.1.3). ``may_reach`` is asked about
    the very address that is about to be dialled. Raises `Refused` where this machine's OpenSSL cannot ask for one kind
    of certificate.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        timeout: float = 10.0,
        ehlo_name: str | None = None,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._clock = clock
        self._timeout = timeout
        self._ehlo_name = ehlo_name
        self._may_reach = may_reach
        self._waiting: Counter[tuple[str, int]] = Counter()  # who came too often, by what is dialled
        self._contexts: Mapping[KeyAlgorithm | None, SSL.Context] = {
            None: tls.context(None),
            "rsa": tls.context("rsa"),
            "ecdsa": tls.context("ecdsa"),
        }
        self._anonymous = tls.anonymous_context()

    async def shake(self, handshake: Handshake, connect: tuple[str, int] | None = None) -> Shaken:
        """Shake hands once; ``connect`` is what is really dialled. Never raises for a peer.

        A server that turned us away before it said anything, or with code 421, may take only so many connections of one
        address: it is asked again after a pause, while there is time. One that hung up where one kind of certificate
        was asked for is asked again too, to learn what that meant; that may take three times as long. One that refuses
        is asked for TLS without a certificate, so that one that has none is told from one that wants something else.
        """
        dialled = connect or (handshake.address, handshake.port)
        outcome = await self._ask(handshake, dialled)
        where = format_host_port(*dialled)
        return Shaken(
            handshake,
            outcome.chain,
            outcome.failure,
            f"{where} {outcome.problem}" if outcome.problem else "",
            outcome.version,
            outcome.banner,
            where if connect else "",
        )

    async def _ask(self, handshake: Handshake, dialled: tuple[str, int]) -> Outcome:
        algorithm = handshake.algorithm
        outcome = await self._patiently(handshake, algorithm, dialled)
        if algorithm is None and outcome.failure == "tls-refused":
            bare = await self._once(handshake, None, dialled, context=self._anonymous)
            return bare if bare.failure == "no-certificate" else outcome
        if algorithm is None or not outcome.hung_up:
            return outcome
        if await self._is_not_offered(handshake, algorithm, dialled):
            failed = tls.not_offered(algorithm, "it hangs up where that is asked for, and not else")
            return replace(outcome, failure=failed.kind, problem=str(failed))
        return await self._patiently(handshake, algorithm, dialled, hanging_up_is_busy=True)

    async def _is_not_offered(self, handshake: Handshake, algorithm: KeyAlgorithm, dialled: tuple[str, int]) -> bool:
        doubt = is_not_offered(algorithm)
        kind = next(doubt)
        while True:
            try:
                kind = doubt.send(await self._patiently(handshake, kind, dialled))
            except StopIteration as end:
                return bool(end.value)

    async def _patiently(
        self,
        handshake: Handshake,
        algorithm: KeyAlgorithm | None,
        dialled: tuple[str, int],
        *,
        hanging_up_is_busy: bool = False,
    ) -> Outcome:
        """Shake hands, and again after a pause while the server takes no more connections.

        Hanging up on one kind of certificate may be an answer: no pause for that, unless it is known to be none.
        """
        until = self._clock.now() + timedelta(seconds=self._timeout)
        outcome = await self._once(handshake, algorithm, dialled)
        for pause in PAUSES:
            wait = pause + SPREAD * self._waiting[dialled]
            left = (until - self._clock.now()).total_seconds() - wait
            answered = outcome.hung_up and algorithm is not None and not hanging_up_is_busy
            if answered or not _is_busy(outcome) or left <= 0:
                break
            await self._pause(dialled, wait)
            again = await self._once(handshake, algorithm, dialled, left)
            if again.failure in {"silent", "timeout"}:
                break
            outcome = again
        return outcome

    async def _pause(self, dialled: tuple[str, int], wait: float) -> None:
        self._waiting[dialled] += 1
        try:
            await asyncio.sleep(wait)
        finally:
            self._waiting[dialled] -= 1
            if not self._waiting[dialled]:
                del self._waiting[dialled]

    async def _once(
        self,
        handshake: Handshake,
        algorithm: KeyAlgorithm | None,
        dialled: tuple[str, int],
        limit: float | None = None,
        context: SSL.Context | None = None,
    ) -> Outcome:
        if self._may_reach is not None and not self._may_reach(dialled[0]):
            return Outcome(failure="forbidden", problem="is an address that this check may not connect to")
        approach = Approach(
            handshake.protocol,
            handshake.server_name or handshake.host,
            algorithm,
            context or self._contexts[algorithm],
            origin=handshake.origin or handshake.host,
            ehlo_name=self._ehlo_name,
        )
        try:
            call = _Call(Conversation(approach, dialled))
        except OSError as error:
            return Outcome(failure="no-route", problem=f"cannot be reached from here: {error.strerror or error}")
        return await call.ended(self._timeout if limit is None else limit)


def _is_busy(outcome: Outcome) -> bool:
    """Return whether a server may only have too many connections now: so Courier (it hangs up) and Postfix (421)."""
    return outcome.failure == "turned-away" or (outcome.failure == "greylisted" and outcome.banner.startswith("421"))


class _Call:
    """A conversation on the running event loop."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._descriptor = conversation.stream.fileno()
        self._awaits: int | None = None
        self._over: asyncio.Future[Outcome] = self._loop.create_future()

    async def ended(self, limit: float) -> Outcome:
        """Carry the conversation on until it ends or ``limit`` seconds are over. Safe to cancel."""
        timer = self._loop.call_later(limit, self._late, limit)
        try:
            self._advance()
            return await self._over
        finally:
            timer.cancel()
            self._await(None)
            self._conversation.close()

    def _advance(self) -> None:
        try:
            awaits = self._conversation.advance()
            while awaits is not None and awaits not in {READ, WRITE}:
                awaits = self._conversation.advance()  # nobody else is waited for
            self._await(awaits)
        except Exception as error:  # noqa: BLE001 (a defect of ours must reach who awaits, not the loop's log)
            self._await(None)
            if not self._over.done():
                self._over.set_exception(error)
            return
        self._tell()

    def _late(self, limit: float) -> None:
        self._conversation.late(limit)
        self._await(None)
        self._tell()

    def _tell(self) -> None:
        if self._conversation.outcome is not None and not self._over.done():
            self._over.set_result(self._conversation.outcome)

    def _await(self, awaits: int | None) -> None:
        if awaits == self._awaits:
            return
        if self._awaits == READ:
            self._loop.remove_reader(self._descriptor)
        elif self._awaits == WRITE:
            self._loop.remove_writer(self._descriptor)
        self._awaits = awaits
        if awaits == READ:
            self._loop.add_reader(self._descriptor, self._advance)
        elif awaits == WRITE:
            self._loop.add_writer(self._descriptor, self._advance)
