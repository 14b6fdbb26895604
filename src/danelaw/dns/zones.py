"""Which zone a name is in, and every server of it: each address of each NS, at the parent and in the zone itself.

Where a zone and its servers are is learnt from a resolver without validation (what stands in a bogus zone is wanted as
well) and then from the servers themselves: the delegation from the parent's, the NS RRset from each of the zone's own.
A resolver alone would show one of the two sets. ``[authoritative]`` of the config replaces all of this for its zones.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import dns.name

from danelaw.dns import message as wire
from danelaw.dns.delegations import Delegation, delegation_in, merged, referral_in, zone_in
from danelaw.dns.exchange import Address, NoAnswer, ask, has_route
from danelaw.dns.message import Message, Name, text_of
from danelaw.dns.unbound import Context

_PARENT_SERVERS = 6
"""How many of the parent's addresses are asked for the delegation; top-level zones have up to 26."""

MAX_SERVERS = 64
"""How many addresses a zone may have before the rest is left out: hostile NS sets are bounded."""


_PATIENCE = 0.2
"""Seconds for which a zone is looked for by one look-up, before the names above are looked up beside it."""

_FORBIDDEN = "may not be asked: its address is not public"


class NoZone(Exception):
    """No zone could be found for a name; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone and its servers, each with the largest TTL of the NS records that lead to it (0: from the config).

    ``unresolved`` maps NS names to why their address is not known; ``left_out`` are servers without a route from here,
    those that may not be asked, and NS names that have no address at all.
    """

    name: Name
    servers: Mapping[Address, int]
    unresolved: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


class Discovery(Protocol):
    """Finds data without validating it."""

    async def lookup(self, name: Name, rrtype: int) -> Message:
        """Return an answer with RCODE NOERROR or NXDOMAIN. Raises `NoAnswer` otherwise."""
        ...


class Iterated:
    """Discovery from the root down, by a libunbound context without validator; ``limit`` as in `Context.resolve`."""

    def __init__(self, context: Context, limit: float | None = None) -> None:
        self._context = context
        self._limit = limit

    async def lookup(self, name: Name, rrtype: int) -> Message:
        """Look a name up; see `Discovery`."""
        found = await self._context.resolve(name, rrtype, self._limit)
        if found.message is None or found.rcode not in {"NOERROR", "NXDOMAIN"}:
            raise NoAnswer(found.why or f"{text_of(name)}: {found.rcode}")
        return found.message


class Forwarded:
    """Discovery through the configured resolver, with checking disabled (CD, RFC 4035 section 3.2.2)."""

    def __init__(self, resolver: Address, tries: int, limit: float) -> None:
        self._resolver = resolver
        self._tries = tries
        self._limit = limit

    async def lookup(self, name: Name, rrtype: int) -> Message:
        """Look a name up; see `Discovery`."""
        flags = wire.RD | wire.CD
        try:
            answer = await ask(self._resolver, name, rrtype, flags=flags, tries=self._tries, limit=self._limit)
        except NoAnswer as error:
            raise NoAnswer(f"the resolver {self._resolver}: {error}") from None
        if answer.rcode not in {"NOERROR", "NXDOMAIN"}:
            raise NoAnswer(f"the resolver {self._resolver} answers {answer.rcode} for {text_of(name)}")
        return answer


class Asker:
    """Asks servers directly, each question once a look, not too many at a time, dead ones not for ever.

    ``may_reach`` says of an address whether it may be asked.
    """

    def __init__(self, tries: int, limit: float, may_reach: Callable[[str], bool] | None = None) -> None:
        self._tries = tries
        self._limit = limit
        self._may_reach = may_reach
        self._gate = asyncio.Semaphore(64)
        self._memo: dict[tuple[Address, Name, int], asyncio.Task[Message]] = {}
        self._silent: set[Address] = set()

    def allowed(self, server: Address) -> bool:
        """Return whether a server may be asked."""
        return self._may_reach is None or self._may_reach(server.host)

    async def ask(self, server: Address, name: Name, rrtype: int) -> Message:
        """Return the server's answer. Raises `NoAnswer`."""
        return await asyncio.shield(self._begun(server, name, rrtype))

    async def ask_all(self, servers: Iterable[Address], name: Name, rrtype: int) -> dict[Address, Message | NoAnswer]:
        """Return each server's answer, or why it gave none; they are all asked at once."""
        found: dict[Address, Message | NoAnswer] = {}
        for server, task in [(server, self._begun(server, name, rrtype)) for server in servers]:
            try:
                found[server] = await asyncio.shield(task)
            except NoAnswer as error:
                found[server] = error
        return found

    def _begun(self, server: Address, name: Name, rrtype: int) -> "asyncio.Task[Message]":
        """Return the task that asks a question, the one that runs already if it was asked."""
        key = (server, name, rrtype)
        if key not in self._memo:
            self._memo[key] = asyncio.create_task(self._ask(*key))
        return self._memo[key]

    async def _ask(self, server: Address, name: Name, rrtype: int) -> Message:
        if not self.allowed(server):
            raise NoAnswer(_FORBIDDEN, sent=False)
        async with self._gate:
            # one that was silent all the time a moment ago gets one more chance for each further question
            tries = 1 if server in self._silent else self._tries
            try:
                return await ask(server, name, rrtype, tries=tries, limit=self._limit)
            except NoAnswer:
                self._silent.add(server)
                raise

    async def close(self) -> None:
        """End what is still under way."""
        tasks = list(self._memo.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Finder:
    """Finds zones and their servers; remembers them for as long as one look lasts.

    ``most`` addresses of a zone's servers are asked, and as many names of servers are looked up.
    """

    def __init__(
        self,
        discovery: Discovery,
        asker: Asker,
        mapped: Mapping[Name, Sequence[Address]],
        route: Callable[[Address], bool] = has_route,
        most: int = MAX_SERVERS,
    ) -> None:
        self._most = most
        self._discovery = discovery
        self._asker = asker
        self.mapped = mapped
        self._route = route
        self._zones: dict[Name, asyncio.Task[Zone]] = {}
        self._dead: dict[Name, NoAnswer] = {}

    async def zone_of(self, name: Name, proven: Name | None = None) -> Zone:
        """Return the zone that a name is in, as far as the resolver can see. Raises `NoZone`.

        Its name is not looked for where it is ``proven``.

        Where the servers of a zone cut further down are all dead, this is the zone above, which refers to it: `below`.
        """
        for zone in _upwards(name) if self.mapped else ():
            if zone in self.mapped:
                return await self._remember(zone, partial(self._from_map, zone))
        zone = proven or await self._cut(name)
        return await self._remember(zone, partial(self._servers, zone, None))

    def routed(self, server: Address) -> bool:
        """Return whether a server may be asked, and this host has a route to it."""
        return self._asker.allowed(server) and self._route(server)

    async def below(self, referral: Delegation, zone: Name) -> Zone:
        """Return the zone that a referral leads to."""
        return await self._remember(zone, partial(self._servers, zone, referral))

    async def referred(self, zone: Zone, answers: Iterable[Message | NoAnswer], name: Name) -> Zone | None:
        """Return the zone below that servers refer to for a name; None where none does, or one has an answer."""
        heard = [answer for answer in answers if isinstance(answer, Message)]
        cuts = [referral_in(answer, zone.name, name) for answer in heard if not answer.aa]
        cut = next((cut for cut in cuts if cut is not None), None)
        if cut is None or any(answer.aa for answer in heard):
            return None
        return await self.below(merged([delegation_in(answer, cut) for answer in heard]), cut)

    async def addresses(self, host: Name) -> tuple[str, ...]:
        """Return a host's addresses, unvalidated. Raises `NoAnswer` where neither family could be looked up."""
        found = await asyncio.gather(
            *(self._lookup(host, rrtype) for rrtype in (wire.A, wire.AAAA)), return_exceptions=True
        )
        messages = [answer for answer in found if isinstance(answer, Message)]
        if len(messages) < len(found):
            for problem in found:
                if isinstance(problem, BaseException) and not (messages and isinstance(problem, NoAnswer)):
                    raise problem
        return wire.addresses(rr for message in messages for rr in message.answer)

    async def close(self) -> None:
        """End what is still under way."""
        tasks = list(self._zones.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _remember(self, zone: Name, find: Callable[[], Coroutine[None, None, Zone]]) -> Zone:
        if zone not in self._zones:
            self._zones[zone] = asyncio.create_task(find())
        return await asyncio.shield(self._zones[zone])

    async def _lookup(self, name: Name, rrtype: int) -> Message:
        """Look a name up, unless a zone above it was found to be dead in this look: each try takes its whole time."""
        for above in _upwards(name) if self._dead else ():
            if above in self._dead:
                raise NoAnswer(str(self._dead[above]))
        return await self._discovery.lookup(name, rrtype)

    async def _from_map(self, zone: Name) -> Zone:
        return self._routed(zone, dict.fromkeys(self.mapped[zone], 0), {}, [])

    async def _cut(self, name: Name) -> Name:
        """Find the closest zone at or above a name by SOA (RFC 2308 section 3: negative answers carry it)."""
        candidates = _upwards(name)
        first = asyncio.ensure_future(self._discovery.lookup(name, wire.SOA))
        lookups = [first]
        try:
            await asyncio.wait(lookups, timeout=_PATIENCE)  # whatever it says mostly tells
            if first.done() and not first.exception() and (zone := zone_in(first.result(), name)):
                return zone
            # all at once: below a zone whose servers are dead, each look-up takes its whole time
            lookups += [asyncio.ensure_future(self._discovery.lookup(above, wire.SOA)) for above in candidates[1:]]
            found = await asyncio.gather(*lookups, return_exceptions=True)
        finally:
            for lookup in lookups:
                lookup.cancel()
        problems = []
        for candidate, answer in zip(candidates, found, strict=True):
            if isinstance(answer, NoAnswer):
                problems.append(str(answer))
                self._dead[candidate] = answer
            elif isinstance(answer, BaseException):
                raise answer
            elif (zone := zone_in(answer, candidate)) is not None:
                return zone
        raise NoZone(f"no zone is found for {text_of(name)}: {problems[-1] if problems else 'no SOA record anywhere'}")

    async def _servers(self, zone: Name, referral: Delegation | None) -> Zone:
        """Collect every address of every NS, at the parent and in the zone, until no new one turns up."""
        ttls: dict[Name, int] = {}
        glue: dict[Name, set[str]] = {}

        def add(delegation: Delegation) -> None:
            for ns, ttl in delegation.ns.items():
                ttls[ns] = max(ttl, ttls.get(ns, 0))
                glue.setdefault(ns, set()).update(delegation.glue.get(ns, ()))

        if referral is not None:
            add(referral)
        for delegation in await asyncio.gather(self._listed(zone), self._delegated(zone)):
            add(delegation)
        asked: set[Address] = set()
        found = _Addresses({}, {}, [])
        while True:
            found = await self._resolve(ttls, glue)
            new = [a for a in found.servers if a not in asked and self.routed(a)][: self._most - len(asked)]
            if not new:
                break
            asked.update(new)
            for answer in (await self._asker.ask_all(new, zone, wire.NS)).values():
                if isinstance(answer, Message) and answer.aa:
                    add(delegation_in(answer, zone))
        if not found.servers and not found.unresolved and not found.without:
            raise NoZone(f"{text_of(zone)} has no name servers")
        return self._routed(zone, found.servers, found.unresolved, found.without)

    async def _listed(self, zone: Name) -> Delegation:
        try:
            return delegation_in(await self._lookup(zone, wire.NS), zone)
        except NoAnswer:
            return Delegation({})

    async def _delegated(self, zone: Name) -> Delegation:
        """Ask the parent's servers for the delegation, without recursion."""
        if zone == dns.name.root:
            return Delegation({})
        try:
            parent = await self._cut(zone.parent())
            listed = await self._lookup(parent, wire.NS)
        except (NoAnswer, NoZone):
            return Delegation({})
        hosts = await self._resolve(delegation_in(listed, parent).ns, {})
        servers = [server for server in hosts.servers if self.routed(server)][:_PARENT_SERVERS]
        answers = (await self._asker.ask_all(servers, zone, wire.NS)).values()
        heard = [answer for answer in answers if isinstance(answer, Message) and answer.rcode == "NOERROR"]
        return merged(delegation_in(answer, zone) for answer in heard)

    async def _resolve(self, ttls: Mapping[Name, int], glue: Mapping[Name, set[str]]) -> "_Addresses":
        """Find the addresses of NS names; glue counts beside what the names resolve to."""
        names = list(ttls)[: self._most]
        found = await asyncio.gather(*(self.addresses(ns) for ns in names), return_exceptions=True)
        result = _Addresses({}, {}, [f"{len(ttls) - len(names)} more names"] if len(ttls) > len(names) else [])
        for ns, answer in zip(names, found, strict=True):
            hosts = set(glue.get(ns, ()))
            if isinstance(answer, NoAnswer):
                if not hosts:
                    result.unresolved[text_of(ns)] = f"its address is not known: {answer}"
            elif isinstance(answer, BaseException):
                raise answer
            else:
                hosts.update(answer)
                if not hosts:
                    result.without.append(f"{text_of(ns)} (has no address)")
            for host in sorted(hosts):
                address = Address(host)
                result.servers[address] = max(ttls[ns], result.servers.get(address, 0))
        return result

    def _routed(
        self, zone: Name, servers: Mapping[Address, int], unresolved: Mapping[str, str], without: Sequence[str]
    ) -> Zone:
        """Leave out, and name, what may not be asked, and a family that this host has no route for (rules.md, L)."""
        kept = dict(list(servers.items())[: self._most])
        more = [f"{len(servers) - len(kept)} more addresses"] if len(servers) > len(kept) else []
        allowed = {server: ttl for server, ttl in kept.items() if self._asker.allowed(server)}
        families = {server.is_ipv6 for server in allowed if self._route(server)}
        # where no family works at all, the host is cut off: then all are asked, and all are missed
        reached = {server: ttl for server, ttl in allowed.items() if not families or server.is_ipv6 in families}
        forbidden = [f"{server} ({_FORBIDDEN})" for server in kept if server not in allowed]
        unrouted = [str(server) for server in allowed if server not in reached]
        return Zone(
            zone, dict(sorted(reached.items())), unresolved, tuple(sorted([*unrouted, *forbidden, *without, *more]))
        )


@dataclass(frozen=True, slots=True)
class _Addresses:
    servers: dict[Address, int]
    unresolved: dict[str, str]
    without: list[str]


def _upwards(name: Name) -> list[Name]:
    names = [name]
    while names[-1] != dns.name.root:
        names.append(names[-1].parent())
    return names
