"""Validated look-ups for a check: one resolver with its cache serves many of them, several at once.

What validation says comes from libunbound; the records are read from the answer's octets by us. Where it fails, the
zone's own servers are asked why, and whether it is this machine that is blind. `Lookups.find` never raises for what
the network does, and takes no longer than its limit.
"""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from danelaw.dns import contents
from danelaw.dns import message as wire
from danelaw.dns.blindness import Blindness
from danelaw.dns.contents import RRTYPES, Contents
from danelaw.dns.diagnosis import explain
from danelaw.dns.exchange import has_route
from danelaw.dns.message import Malformed, Name
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
        self._ending = AsyncExitStack()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._plain: asyncio.Task[Discovery] | None = None
        self._running: set[asyncio.Task[LookedUp]] = set()
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open the resolver. Raises `Refused` without libunbound, `InputError` where a file of the spec is unusable."""
        context = Context(self._spec, timeout=self._timeout, lasting=True, may_reach=self._may_reach)
        self._context = await self._ending.enter_async_context(context)
        self._blindness = Blindness(self._context, self._forwarder, limit=self._timeout / 4, may_reach=self._may_reach)
        self._ending.push_async_callback(self._blindness.close)
        return self

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
    def context(self) -> Context:
        """The validating resolver itself."""
        return self._context

    async def discovery(self) -> Discovery:
        """Return what finds data without validating it, opened when it is first needed."""
        if self._plain is None:
            self._plain = asyncio.create_task(self._open_plain())
        return await asyncio.shield(self._plain)

    async def _open_plain(self) -> Discovery:
        if self._forwarder is not None:
            return Forwarded(self._forwarder, _TRIES, self._timeout * _DISCOVERY)
        limit = self._timeout * _DISCOVERY
        plain = Context(self._spec, validate=False, timeout=limit, lasting=True, may_reach=self._may_reach)
        return Iterated(await self._ending.enter_async_context(plain))

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
            task = asyncio.create_task(self._find(lookup, name))
            self._running.add(task)
            try:
                return await task
            except asyncio.CancelledError:
                if self._closed.is_set() and task.cancelled() and not _cancelled_from_outside():
                    return _given_up(lookup)
                raise
            finally:
                self._running.discard(task)

    async def _find(self, lookup: Lookup, name: Name) -> LookedUp:
        end = asyncio.get_running_loop().time() + self._timeout
        resolving = asyncio.create_task(self._context.resolve(name, RRTYPES[lookup.rrtype]))
        asking: asyncio.Task[tuple[Said, str]] | None = None
        try:
            done, _ = await asyncio.wait({resolving}, timeout=self._timeout * _PATIENCE)
            if not done or resolving.result().security in {"bogus", "indeterminate"}:
                asking = asyncio.create_task(self._why(lookup, name))
                await self._either(resolving, asking, end)
            if not resolving.done():
                late = Resolution("TIMEOUT", "indeterminate", f"no answer within {self._timeout:g} s")
                return await self._failed(lookup, late, asking, end)
            found = resolving.result()
            if found.security in {"bogus", "indeterminate"}:
                return await self._failed(lookup, found, asking, end)
            return self._good(lookup, name, found)
        finally:
            tasks = [task for task in (resolving, asking) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _either(
        self, resolving: "asyncio.Task[Resolution]", asking: "asyncio.Task[tuple[Said, str]]", end: float
    ) -> None:
        """Wait for the answer, or until it is known that there will be none."""
        left = end - asyncio.get_running_loop().time()
        done, _ = await asyncio.wait({resolving, asking}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if asking in done and resolving not in done:
            said, blind = asking.result()
            if not said.rcode and not blind:  # its servers do answer: then what is missing may still come
                await asyncio.wait({resolving}, timeout=max(end - asyncio.get_running_loop().time(), 0))

    async def _why(self, lookup: Lookup, name: Name) -> tuple[Said, str]:
        """Return what the zone's servers say to the question, and why this machine is blind ("": it is not)."""
        said, blind = await asyncio.gather(self._said(lookup, name), self._blindness.why())
        return said, blind

    async def _said(self, lookup: Lookup, name: Name) -> Said:
        rrtype = RRTYPES[lookup.rrtype]
        if self._forwarder is not None:
            return await resolver_says(self._forwarder, name, rrtype, lookup.rrtype, self._timeout / 2)
        asker = Asker(_TRIES, self._timeout * _TRY, self._may_reach)
        finder = Finder(await self.discovery(), asker, {}, has_route)
        try:
            return await servers_say(finder, asker, name, rrtype, lookup.rrtype)
        finally:
            await finder.close()
            await asker.close()

    async def _failed(
        self, lookup: Lookup, found: Resolution, asking: "asyncio.Task[tuple[Said, str]] | None", end: float
    ) -> LookedUp:
        """Say why there is no answer, or a bogus one: because of us, of silent servers, or of the signatures."""
        loop = asyncio.get_running_loop()
        said, blind = Said(), ""
        if asking is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    said, blind = await asking
        if blind:
            return LookedUp(lookup, "indeterminate", found.rcode, canonical=lookup.name, why=blind, ours=True)
        if found.security == "bogus":
            why = found.why
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    limit = max(end - loop.time(), 0.1)
                    why = await explain(
                        self._spec, lookup, self._clock.now(), found.why, limit=limit, may_reach=self._may_reach
                    )
            return LookedUp(lookup, "bogus", found.rcode, canonical=self._canonical(lookup, found), why=why)
        return LookedUp(
            lookup, "indeterminate", said.rcode or found.rcode, canonical=lookup.name, why=said.why or found.why
        )

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
