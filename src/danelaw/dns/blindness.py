"""Whether it is this machine that cannot see: no network, a trust anchor that is not the root's, a resolver down.

What fails then says nothing of the name that was asked for.
"""

import asyncio
from collections.abc import Callable

from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, NoAnswer, ask, has_route
from danelaw.dns.message import Name, name_of
from danelaw.dns.remembered import Resolver
from danelaw.dns.unbound import Context, Resolution

_ROOT = name_of(".")

_FRESH = 5.0
"""Seconds for which an answer about ourselves holds: a thousand names that fail at once ask for it once."""

_ASKED = 3
"""How many root servers' addresses are asked before this machine is called blind."""


async def resolve(resolver: Resolver, name: Name, rrtype: int) -> Resolution:
    """Resolve with validation; where all is bogus since the root's own keys are, say that."""
    found = await resolver.begin(name, rrtype)
    if found.security != "bogus":
        return found
    why = await root_trouble(resolver)
    return Resolution(found.rcode, "indeterminate", why, found.message) if why else found


async def root_trouble(resolver: Resolver) -> str:
    """Return why the root's keys cannot be validated from here, "" where they can."""
    root = await resolver.begin(_ROOT, wire.DNSKEY)
    if root.security == "secure":
        return ""
    return f"the root zone's keys do not validate from here (network, or trust anchor): {root.why or root.security}"


class Blindness:
    """Finds out, for a lasting context, whether this machine is blind now. ``resolver`` is the one it asks through."""

    def __init__(
        self, context: Context, resolver: Address | None, *, limit: float, may_reach: Callable[[str], bool] | None
    ) -> None:
        self._context = context
        self._resolver = resolver
        self._limit = limit
        self._may_reach = may_reach
        self._task: asyncio.Task[str] | None = None
        self._until = 0.0
        self._validated = False

    async def why(self) -> str:
        """Return why this machine is blind, "" where it sees; within ``limit`` seconds."""
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._until):
            self._task = asyncio.create_task(self._look())
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        """End what is still under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> str:
        heard = False
        try:
            async with asyncio.timeout(self._limit):
                problem = await self._unheard()
                heard = not problem
                problem = problem or await root_trouble(self._context)
                self._validated = self._validated or not problem
        except TimeoutError:
            # where the root is heard, and its keys were validated before, the resolver is merely busy
            busy = heard and self._validated
            problem = "" if busy else f"from here, nothing is heard of the root zone within {self._limit:g} s"
        self._until = asyncio.get_running_loop().time() + _FRESH
        return problem

    async def _unheard(self) -> str:
        """Ask, past every cache, the configured resolver or some root servers; return "" where one answers."""
        if self._resolver is not None:
            return await self._silent([self._resolver], "the resolver", wire.RD)
        servers = await self._root_servers()
        if not servers:
            return "from here, the addresses of the root servers are not found (network, or root hints)"
        return await self._silent(servers, "the root server", 0)

    async def _silent(self, servers: list[Address], who: str, flags: int) -> str:
        limit = self._limit / 3
        asked = [asyncio.create_task(self._problem(s, flags, limit)) for s in servers]
        try:
            for each in asyncio.as_completed(asked):
                problem = await each
                if not problem:
                    return ""
            return f"{who} {problem}"
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _problem(self, server: Address, flags: int, limit: float) -> str:
        try:
            answer = await ask(server, _ROOT, wire.SOA, flags=flags, tries=2, limit=limit)
        except NoAnswer as error:
            return f"{server} cannot be heard from here: {error}"
        return "" if answer.rcode == "NOERROR" else f"{server} answers {answer.rcode} for the root zone"

    async def _root_servers(self) -> list[Address]:
        found = await self._context.resolve(_ROOT, wire.NS)
        names = [rr.target for rr in found.message.answers(_ROOT, wire.NS)] if found.message else []
        wanted = [(name, rrtype) for name in names[:_ASKED] if name is not None for rrtype in (wire.A, wire.AAAA)]
        tasks = [asyncio.create_task(self._context.resolve(*each)) for each in wanted]
        if tasks:  # what is remembered is there at once; what is not cannot be had, if nothing can be heard
            await asyncio.wait(tasks, timeout=self._limit / 6)
        hosts = [task.result() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        addresses = [Address(host) for one in hosts if one.message for host in wire.addresses(one.message.answer)]
        allowed = [a for a in addresses if self._may_reach is None or self._may_reach(a.host)]
        # where no family has a route, asking says so
        return ([a for a in allowed if has_route(a)] or allowed)[:_ASKED]
