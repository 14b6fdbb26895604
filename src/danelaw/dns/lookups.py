"""Validated look-ups for a check: one resolver with its cache serves many of them, several at once.

What validation says comes from libunbound; the records are read from the answer's octets by us. Where it fails, the
zone's own servers are asked why, and whether it is this machine that is blind. `Lookups.find` never raises for what
the network does, and takes no longer than its limit.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from danelaw.dns import contents
from danelaw.dns import message as wire
from danelaw.dns.blindness import Blindness
from danelaw.dns.contents import RRTYPES, Contents
from danelaw.dns.exchange import has_route
from danelaw.dns.message import Malformed, Name
from danelaw.dns.remembered import Remembered
from danelaw.dns.silence import Said, resolver_says, servers_say
from danelaw.dns.unbound import Context, Resolution, forwarder
from danelaw.dns.zones import Asker, Discovery, Finder, Forwarded, Iterated
from danelaw.model import Clock, ResolverSpec
from danelaw.model.outside import LookedUp, Lookup

_AT_ONCE = 256
"""Look-ups that libunbound works on at once; the others wait for their turn, which counts for nobody's limit."""

_PATIENCE = 0.2
"""The part of the limit after which an answer is late, and why that is begins to be asked."""

# What is then asked has the rest of the limit, at 8 s: finding a zone whose servers are dead takes 1.2 s; asking those
# for its NS records 2 tries of 0.8 s, for the question itself one more; so the sentence is there at 5.2 s.
_DISCOVERY = 0.15
_TRY = 0.1
_TRIES = 2


_FAILED = {"bogus", "indeterminate"}


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What the servers say to a question that failed, and why this machine is blind ("": it is not)."""

    said: Said = field(default_factory=Said)
    blind: str = ""


class Lookups:
    """Validated look-ups through one resolver, to be used with ``async with`` inside one event loop.

    ``timeout`` seconds bound each look-up. ``may_reach`` says of an address whether a name server there may be asked
    (a public service asks no private ones); the resolver of ``spec`` may be anywhere. What was found is remembered for
    its TTL at most, in caches of bounded size.
    """

    def __init__(
        self,
        spec: ResolverSpec,
        clock: Clock,
        *,
        timeout: float = 8.0,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._timeout = timeout
        self._may_reach = may_reach
        self._forwarder = forwarder(spec)
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._running: set[asyncio.Task[LookedUp]] = set()
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open the resolver. Raises `Refused` without libunbound, `InputError` where a file of the spec is unusable."""
        async with AsyncExitStack() as opened:
            self._context = await opened.enter_async_context(self._lasting(validate=True))
            if self._forwarder is None:
                self._plain = await opened.enter_async_context(self._lasting(validate=False))
            self._resolver = Remembered(self._context)
            self._blindness = Blindness(
                self._context, self._forwarder, limit=max(self._timeout / 4, 1.0), may_reach=self._may_reach
            )
            opened.push_async_callback(self._blindness.close)
            self._ending = opened.pop_all()
        return self

    def _lasting(self, *, validate: bool) -> Context:
        return Context(self._spec, validate=validate, timeout=self._timeout, lasting=True, may_reach=self._may_reach)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the resolver; look-ups that still run end at once, without an answer."""
        self._closed.set()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._ending.aclose()

    @property
    def resolver(self) -> Remembered:
        """The validating resolver itself."""
        return self._resolver

    def discovery(self, limit: float) -> Discovery:
        """Return what finds data without validating it, each within ``limit`` seconds."""
        if self._forwarder is None:
            return Iterated(self._plain, limit)
        return Forwarded(self._forwarder, _TRIES, limit / _TRIES)

    async def find(self, lookup: Lookup) -> LookedUp:
        """Look one name and type up.

        Raises `InputError` where libunbound refuses trust anchor or root hints, and nothing else.
        """
        try:
            name = wire.name_of(lookup.name)
        except Malformed as error:
            return LookedUp(lookup, "indeterminate", "FORMERR", canonical=lookup.name, why=str(error))
        async with self._turn:
            if self._closed.is_set():
                return _given_up(lookup)
            end = asyncio.get_running_loop().time() + self._timeout
            resolving = self._resolver.begin(name, RRTYPES[lookup.rrtype])
            try:
                if not resolving.done():
                    await asyncio.wait({resolving}, timeout=self._timeout * _PATIENCE)
                if resolving.done() and resolving.result().security not in _FAILED:
                    return self._good(lookup, name, resolving.result())
                return await self._explained(lookup, name, resolving, end)
            finally:
                resolving.cancel()

    async def _explained(
        self, lookup: Lookup, name: Name, resolving: "asyncio.Future[Resolution]", end: float
    ) -> LookedUp:
        """Return what is found with patience, or why nothing is, unless the resolver is closed meanwhile."""
        if self._closed.is_set():
            return _given_up(lookup)
        task = asyncio.create_task(self._patiently(lookup, name, resolving, end))
        self._running.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._closed.is_set() and task.cancelled() and not _cancelled_from_outside():
                return _given_up(lookup)
            raise
        finally:
            self._running.discard(task)

    async def _patiently(
        self, lookup: Lookup, name: Name, resolving: "asyncio.Future[Resolution]", end: float
    ) -> LookedUp:
        bogus = resolving.done() and resolving.result().security == "bogus"
        asking = asyncio.create_task(self._trouble(lookup, name, servers=not bogus))
        try:
            trouble = await self._either(resolving, asking, end)
            late = Resolution("TIMEOUT", "indeterminate", f"no answer within {self._timeout:g} s")
            found = resolving.result() if resolving.done() else late
            if found.security not in _FAILED:
                return self._good(lookup, name, found)
            return await self._failed(lookup, found, trouble, end)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _either(
        self, resolving: "asyncio.Future[Resolution]", asking: "asyncio.Task[_Trouble]", end: float
    ) -> "_Trouble":
        """Wait for a good answer, or until it is known why there is none."""
        loop = asyncio.get_running_loop()
        waiting: set[asyncio.Future[Any]] = {asking} if resolving.done() else {resolving, asking}
        while waiting and loop.time() < end:
            done, waiting = await asyncio.wait(waiting, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            if resolving in done and resolving.result().security not in _FAILED:
                break
            # where its servers do answer, what is missing may still come
            if asking in done and (asking.result().said.rcode or asking.result().blind):
                break
        return asking.result() if asking.done() else _Trouble()

    async def _trouble(self, lookup: Lookup, name: Name, *, servers: bool) -> "_Trouble":
        """Find out why this machine is blind, if it is, and what the zone's ``servers`` say to the question."""
        said, blind = await asyncio.gather(
            self._said(lookup, name) if servers else asyncio.sleep(0, Said()), self._blindness.why()
        )
        return _Trouble(said, blind)

    async def _said(self, lookup: Lookup, name: Name) -> Said:
        rrtype = RRTYPES[lookup.rrtype]
        if self._forwarder is not None:
            return await resolver_says(self._forwarder, name, rrtype, lookup.rrtype, self._timeout / 2)
        asker = Asker(_TRIES, self._timeout * _TRY, self._may_reach)
        finder = Finder(self.discovery(self._timeout * _DISCOVERY), asker, {}, has_route)
        try:
            return await servers_say(finder, asker, name, rrtype, lookup.rrtype)
        finally:
            await finder.close()
            await asker.close()

    async def _failed(self, lookup: Lookup, found: Resolution, trouble: "_Trouble", end: float) -> LookedUp:
        """Say why there is no answer, or a bogus one: because of us, of silent servers, or of the signatures."""
        if trouble.blind:
            return LookedUp(lookup, "indeterminate", found.rcode, canonical=lookup.name, why=trouble.blind, ours=True)
        why, left = trouble.said.why or found.why, end - asyncio.get_running_loop().time()
        if left > 0 and (found.security == "bogus" or not trouble.said.why):
            from danelaw.dns.diagnosis import explain  # noqa: PLC0415 (start-up: most look-ups do not fail)

            now, may_reach = self._clock.now(), self._may_reach
            why = await explain(self._spec, lookup, now, found.why, limit=left, may_reach=may_reach)
        rcode, canonical = found.rcode, self._canonical(lookup, found)
        if found.security == "indeterminate":
            rcode, canonical = trouble.said.rcode or rcode, lookup.name
        ours = found.security == "indeterminate" and trouble.said.ours
        return LookedUp(lookup, found.security, rcode, canonical=canonical, why=why, ours=ours)

    def _canonical(self, lookup: Lookup, found: Resolution) -> str:
        name = wire.name_of(lookup.name)
        return contents.host(contents.end_of_chain(found.message, name) if found.message else name)

    def _good(self, lookup: Lookup, name: Name, found: Resolution) -> LookedUp:
        """Read a secure or insecure answer."""
        if found.message is None:
            return LookedUp(
                lookup, "indeterminate", found.rcode, canonical=lookup.name, why="the answer cannot be read as DNS"
            )
        now, message, rrtype = self._clock.now(), found.message, RRTYPES[lookup.rrtype]
        target = name if rrtype == wire.CNAME else contents.end_of_chain(message, name)
        records = message.answers(target, rrtype)
        read = contents.read(records, lookup.rrtype) if records else Contents()
        signatures = wire.signatures(message.answer, target, (rrtype,), now)
        return LookedUp(
            lookup,
            found.security,
            found.rcode,
            read.addresses,
            read.mx,
            read.srv,
            read.tlsa,
            read.texts,
            canonical=contents.host(contents.end_of_chain(message, name)),
            ttl=max((rr.ttl for rr in records), default=found.ttl),
            original_ttl=max((s.original_ttl for s in signatures), default=0),
            expires=contents.earliest_end(message, now),
            malformed=read.malformed,
            warnings=contents.warnings(message),
        )


def _given_up(lookup: Lookup) -> LookedUp:
    why = "it was given up before an answer came"
    return LookedUp(lookup, "indeterminate", "TIMEOUT", canonical=lookup.name, why=why, ours=True)


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
