"""The real outside: DNS as we validate it, handshakes, and the web, asked politely.

The rings below neither know each other nor how many others ask; both are seen to here. Whatever a target does becomes
an answer; what escapes as an error is wrong with this machine or with what the user gave.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from danelaw.check.gates import Gates
from danelaw.check.looks import Looks
from danelaw.check.policy import PolicyFetcher
from danelaw.dns.authoritative import AuthoritativeView
from danelaw.dns.lookups import Lookups
from danelaw.model import (
    Answer,
    Authorities,
    Clock,
    Handshake,
    LookedUp,
    Lookup,
    OwnerLook,
    PolicyFetch,
    Question,
    ResolverSpec,
    Shaken,
)
from danelaw.names import mapped
from danelaw.probe.dialer import Dialer

PER_SERVER = 4
"""Handshakes at once with one address and port: what the most modest mail server takes from one client."""

AT_ONCE = 64
"""Handshakes at once in all."""

MOST_AT_ONCE = 512
"""More would need more open files than a process usually has (1024)."""


class Outside:
    """Answers questions from the network. An async context manager, which may be entered again after it was left.

    ``resolver``, ``authoritative`` and ``connect`` are the config's tables of these names; ``connect`` is parsed as
    `names.parse_host_port` does. ``may_reach`` tells of an address whether it may be connected to, and is asked about
    the very one that would be. ``timeout`` bounds a handshake and ``lookup_timeout`` a look-up, in seconds. ``roots``
    is a file of CA certificates (PEM) for policies over HTTPS, None the system's. ``per_server`` and ``at_once`` bound
    the handshakes at one time. Raises `InputError` where an address or a file cannot be used.
    """

    def __init__(
        self,
        clock: Clock,
        resolver: ResolverSpec | None = None,
        *,
        authoritative: Mapping[str, Sequence[str]] | None = None,
        connect: Mapping[str, tuple[str, int]] | None = None,
        may_reach: Callable[[str], bool] | None = None,
        timeout: float = 10.0,
        lookup_timeout: float = 8.0,
        ehlo_name: str | None = None,
        roots: str | None = None,
        per_server: int = PER_SERVER,
        at_once: int = AT_ONCE,
    ) -> None:
        self._clock = clock
        self._resolver = resolver or ResolverSpec()
        self._connect = dict(connect or {})
        self._may_reach = may_reach
        self._lookup_timeout = lookup_timeout
        self._dialer = Dialer(clock, timeout=timeout, ehlo_name=ehlo_name, may_reach=may_reach)
        self._view = AuthoritativeView(self._resolver, authoritative or {}, clock, may_reach=may_reach)
        self._policies = PolicyFetcher(
            self._look_up, connect=self._connect, may_reach=may_reach, roots=roots, timeout=2 * timeout
        )
        self._per_server, self._at_once = per_server, at_once
        self._ending: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        """Make the resolver. Raises `Refused` without libunbound, `InputError` for unusable files of the resolver."""
        async with AsyncExitStack() as opened:
            self._lookups = await opened.enter_async_context(
                Lookups(self._resolver, self._clock, timeout=self._lookup_timeout, may_reach=self._may_reach)
            )
            self._ending = opened.pop_all()
        self._handshakes = Gates(self._per_server, self._at_once)
        self._looks = Looks(lambda: self._view.looking(self._lookups))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Throw the resolver away with its cache."""
        ending, self._ending = self._ending, None
        if ending is not None:
            await ending.aclose()

    async def answer(self, question: Question) -> Answer:
        """Return the answer to a question; see `check.answers.Answers`."""
        match question:
            case Lookup():
                return await self._look_up(question)
            case Handshake():
                return await self._shake(question)
            case Authorities():
                return await self._look(question)
            case PolicyFetch():
                return await self._policies.fetch(question)

    async def _look_up(self, lookup: Lookup) -> LookedUp:
        return await self._lookups.find(lookup)

    async def _look(self, question: Authorities) -> OwnerLook:
        return await self._looks.look(question.owner)

    async def _shake(self, handshake: Handshake) -> Shaken:
        through = mapped(self._connect, handshake.host, handshake.address, handshake.port)
        dialled = through or (handshake.address, handshake.port)
        async with self._handshakes.passing(dialled):
            return await self._dialer.shake(handshake, through)
