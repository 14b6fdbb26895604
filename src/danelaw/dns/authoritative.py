"""The outside's DNS as it is now: each address of each authoritative server, and the validated view beside it.

`AuthoritativeView` implements `model.DnsView`. It never reads resolv.conf, never believes an AD bit, and never takes
silence for absence: a server that does not answer with authority is `model.Unanswered`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from danelaw.dns import blindness
from danelaw.dns import message as wire
from danelaw.dns.delegations import merged
from danelaw.dns.exchange import Address, NoAnswer, has_route, parse_address
from danelaw.dns.gathered import Found, Gathered
from danelaw.dns.message import Malformed, Message, Name, text_of
from danelaw.dns.reading import Alias, Answered, Bad, Referred, Verdict, end_of_chain, read, zone_signing
from danelaw.dns.remembered import Remembered
from danelaw.dns.unbound import Context, Resolution, forwarder
from danelaw.dns.wildcard import from_wildcard_alone, synthesized
from danelaw.dns.zones import MAX_SERVERS, Asker, Discovery, Finder, Forwarded, Iterated, NoZone, Zone
from danelaw.errors import InputError
from danelaw.model import Clock, OwnerLook, Reading, ResolverSpec, Security, Server, Validated

if TYPE_CHECKING:  # `apply` looks without it
    from danelaw.dns.lookups import Lookups

T = TypeVar("T")

_LONGEST_CHAIN = 8
"""How many CNAMEs are followed; resolvers give up at 8 to 16."""

_OWNERS_AT_ONCE = 32
"""A thousand certificates must not drown the resolver in look-ups that then run out of time."""

_MOST_OF_STRANGERS = 32
"""How many servers of a zone are asked in a stranger's name: 13 names with two addresses each fit, a flood does not."""


class AuthoritativeView:
    """Reads TLSA owner names from their authoritative servers, and validates them.

    ``mapped`` is the config's ``[authoritative]``: zone to ``address:port``, in place of what NS records say.
    ``tries`` of ``limit`` seconds each bound a question to one server, ``resolve_limit`` seconds a look-up from the
    root down, and ``look_limit`` seconds one owner name as a whole, whatever the network does. ``may_reach`` says of an
    address whether a server there may be asked; others are named in ``left_out``. Raises `InputError` where an address
    of ``mapped`` or ``resolver`` cannot be read. One view may serve several event loops and many looks at once: they
    share nothing but what is written here.
    """

    def __init__(
        self,
        resolver: ResolverSpec,
        mapped: Mapping[str, Sequence[str]],
        clock: Clock,
        *,
        tries: int = 3,
        limit: float = 1.5,
        resolve_limit: float = 8.0,
        look_limit: float = 45.0,
        route: Callable[[Address], bool] = has_route,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._resolver = resolver
        self._may_reach = may_reach
        self._forwarder = forwarder(resolver)
        self._clock = clock
        self._tries, self._limit = tries, limit
        self._resolve_limit, self._look_limit = resolve_limit, look_limit
        self._route = route
        self._mapped: dict[Name, tuple[Address, ...]] = {}
        for zone, servers in mapped.items():
            try:
                self._mapped[wire.name_of(zone)] = tuple(parse_address(server) for server in servers)
            except Malformed as error:
                raise InputError(f"[authoritative]: {error}") from None

    def look(self, owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        """Look at each TLSA owner name, all at once; one `OwnerLook` each, in order. See `model.DnsView`.

        Raises `Refused` without libunbound, `InputError` where trust anchor or root hints are unusable.
        """
        return asyncio.run(self.look_async(owners, known)) if owners else []

    async def look_async(
        self, owners: Sequence[str], known: Sequence[Server], lookups: "Lookups | None" = None
    ) -> Sequence[OwnerLook]:
        """Look as `look` does, within a running event loop.

        Through ``lookups``, where they are given, zones are found and names validated: that costs no resolver of its
        own, and what those remember may be as old as its TTL. The servers' own answers are as fresh as ever.
        """

        async def every(look: "_Look") -> list[OwnerLook]:
            return list(await asyncio.gather(*(look.owner(owner, known) for owner in owners)))

        return await self._within(every, lookups) if owners else []

    @asynccontextmanager
    async def looking(self, lookups: "Lookups") -> AsyncIterator[Callable[[str], Awaitable[OwnerLook]]]:
        """Give what looks at one owner name, as `look_async` does, for names that come one after another.

        They share what is found of zones and their servers, and no server is asked the same twice: so it should not
        last for more than a few seconds.
        """
        async with AsyncExitStack() as ending:
            look = await self._begun(ending, lookups)
            yield lambda owner: look.owner(owner, ())

    def addresses(self, host: str) -> tuple[tuple[str, ...], Security, str]:
        """Return a host's addresses, how they validate, and why where they do not. Bogus ones are not returned."""
        return asyncio.run(self._within(lambda look: look.addresses(wire.name_of(host))))

    def zone_cut(self, name: str) -> tuple[str, str, tuple[str, ...]]:
        """Return the zone that a name is in, its SOA MNAME, and its servers' addresses, names with the final dot.

        Raises `NoZone` where none is found or its SOA cannot be read.
        """
        return asyncio.run(self._within(lambda look: look.zone_cut(wire.name_of(name))))

    async def _within(self, work: Callable[["_Look"], Awaitable[T]], lookups: "Lookups | None" = None) -> T:
        """Do work with resolvers whose caches are empty, so that it sees what is there now, or with those given."""
        async with AsyncExitStack() as ending:
            return await work(await self._begun(ending, lookups))

    async def _begun(self, ending: AsyncExitStack, lookups: "Lookups | None") -> "_Look":
        validating: Context | Remembered
        if lookups is not None:
            validating, discovery = lookups.resolver, lookups.discovery(self._resolve_limit)
        else:
            validating = await ending.enter_async_context(self._fresh(validate=True))
            discovery = await self._discovery(ending)
        asker = Asker(self._tries, self._limit, self._may_reach)
        ending.push_async_callback(asker.close)
        most = MAX_SERVERS if self._may_reach is None else _MOST_OF_STRANGERS
        finder = Finder(discovery, asker, self._mapped, self._route, most)
        ending.push_async_callback(finder.close)
        return _Look(validating, finder, asker, self._clock, self._look_limit)

    def _fresh(self, *, validate: bool) -> Context:
        return Context(self._resolver, validate=validate, timeout=self._resolve_limit, may_reach=self._may_reach)

    async def _discovery(self, ending: AsyncExitStack) -> Discovery:
        if self._forwarder is None:
            return Iterated(await ending.enter_async_context(self._fresh(validate=False)))
        return Forwarded(self._forwarder, self._tries, self._limit)


class _Look:
    """One look: everything read once, nothing remembered after it."""

    def __init__(
        self, validating: Context | Remembered, finder: Finder, asker: Asker, clock: Clock, limit: float
    ) -> None:
        self._validating = validating
        self._remembered = validating if isinstance(validating, Remembered) else None
        self._finder = finder
        self._asker = asker
        self._clock = clock
        self._limit = limit
        self._gate = asyncio.Semaphore(_OWNERS_AT_ONCE)

    async def owner(self, owner: str, known: Sequence[Server]) -> OwnerLook:
        """Look at one owner name, within the time limit."""
        try:
            name = wire.name_of(owner)
            async with self._gate, asyncio.timeout(self._limit):
                if self._known(name) is not None:  # then there is nothing to wait for
                    validated, look = await self._validated(name), await self._read(owner, name, known)
                else:
                    validated, look = await asyncio.gather(self._validated(name), self._read(owner, name, known))
        except Malformed as error:
            return _nothing(owner, str(error))
        except TimeoutError:
            return _nothing(owner, f"looking at {owner} took longer than {self._limit:g} s")
        return replace(look, validated=validated)

    async def addresses(self, host: Name) -> tuple[tuple[str, ...], Security, str]:
        """See `AuthoritativeView.addresses`."""
        found = await asyncio.gather(*(self._resolve(host, rrtype) for rrtype in (wire.A, wire.AAAA)))
        order: tuple[Security, ...] = ("bogus", "indeterminate", "insecure", "secure")
        worst = min(found, key=lambda resolution: order.index(resolution.security))
        if worst.security in {"bogus", "indeterminate"}:
            return (), worst.security, worst.why
        records = [rr for resolution in found if resolution.message for rr in resolution.message.answer]
        return wire.addresses(records), worst.security, ""

    async def zone_cut(self, name: Name) -> tuple[str, str, tuple[str, ...]]:
        """See `AuthoritativeView.zone_cut`."""
        try:
            async with asyncio.timeout(self._limit):
                zone, _ = await self._ask_zone(name)
                answers = await self._asker.ask_all(zone.servers, zone.name, wire.SOA)
        except TimeoutError:
            raise NoZone(f"looking for the zone of {text_of(name)} took longer than {self._limit:g} s") from None
        for answer in answers.values():
            soa = answer.answers(zone.name, wire.SOA) if isinstance(answer, Message) and answer.aa else ()
            if soa and soa[0].target is not None:
                return text_of(zone.name), text_of(soa[0].target), tuple(str(server) for server in zone.servers)
        raise NoZone(f"no server of {text_of(zone.name)} gives its SOA record")

    async def _resolve(self, name: Name, rrtype: int) -> Resolution:
        """Resolve with validation; where all is bogus since the root's own keys are, say that in its place."""
        return await blindness.resolve(self._validating, name, rrtype)

    def _known(self, name: Name) -> Resolution | None:
        """Return what validation said a moment ago, if it was asked."""
        return self._remembered.known(name, wire.TLSA) if self._remembered else None

    async def _validated(self, name: Name) -> Validated:
        found = await self._resolve(name, wire.TLSA)
        records = wire.tlsa(found.message.answer) if found.message else ()
        return Validated(found.security, found.rcode, records, found.why)

    async def _read(self, owner: str, name: Name, known: Sequence[Server]) -> OwnerLook:
        """Ask every server of the zone at the end of the CNAME chain, and of those on the way that do not see it."""
        extra = self._dropped(owner, known)
        found: Found = {}
        waiting = [name]
        validated = self._known(name)
        try:
            while waiting:
                current = waiting.pop(0)
                if len(found) == _LONGEST_CHAIN:
                    return _nothing(owner, f"{owner} starts a chain of more than {_LONGEST_CHAIN} CNAMEs")
                found[current] = await self._ask_zone(current, zone_signing(validated, current))
                targets = {verdict.target for verdict in found[current][1].values() if isinstance(verdict, Alias)}
                waiting += sorted(targets - set(found) - set(waiting))
        except NoZone as error:
            return _nothing(owner, str(error))
        target = end_of_chain(name, {each: verdicts.values() for each, (_, verdicts) in found.items()})
        if target is None:
            return _nothing(owner, f"the CNAMEs at {owner} run in a circle")
        gathered = Gathered(owner, name, target, found)
        gathered.add_all()
        gathered.add_dropped(await self._ask_dropped(extra, list(found), found[target][0].name, gathered.listed))
        readings = await self._mark_wildcards(gathered, found[target][0])
        zone = found[target][0]
        if not gathered.servers and not gathered.unanswered:
            return _nothing(owner, f"no name server of {text_of(zone.name)} can be asked", gathered.left_out)
        wild = target == name and await self._host_wildcard(name, zone, readings)
        problem = await self._missing_zone(name, zone)
        return OwnerLook(
            owner=owner,
            zone=text_of(zone.name).removesuffix(".") or ".",
            target=text_of(target),
            servers=gathered.servers,
            readings=tuple(readings),
            unanswered=tuple(gathered.unanswered),
            left_out=gathered.left_out,
            host_wildcard=wild,
            problem=problem,
        )

    async def _ask_zone(self, name: Name, proven: Name | None = None) -> tuple[Zone, dict[str, Verdict]]:
        """Ask every server of the zone that a name is in, going down where they refer to a zone below."""
        zone = await self._finder.zone_of(name, proven)
        while True:
            answers = await self._asker.ask_all(zone.servers, name, wire.TLSA)
            verdicts: dict[str, Verdict] = {
                str(server): self._verdict(answer, name, zone.name) for server, answer in answers.items()
            }
            referrals = [verdict for verdict in verdicts.values() if isinstance(verdict, Referred)]
            if not referrals or any(isinstance(verdict, Answered | Alias) for verdict in verdicts.values()):
                return zone, verdicts
            zone = await self._finder.below(merged(r.delegation for r in referrals), referrals[0].zone)

    def _verdict(self, answer: Message | NoAnswer, name: Name, zone: Name) -> Verdict:
        if isinstance(answer, NoAnswer):
            return Bad(str(answer))
        return read(answer, name, zone, self._clock.now())

    def _dropped(self, owner: str, known: Sequence[Server]) -> list[Address]:
        """Return the servers that NS named less than its TTL ago (rules.md, L); whether it still does, shows later."""
        now = self._clock.now()
        recent = [s.server for s in known if s.owner == owner and s.last_at + timedelta(seconds=s.ns_ttl) > now]
        found = []
        for text in recent:
            try:
                found.append(parse_address(text))
            except InputError:
                continue  # an NS name without address, or a label of `Gathered`: nothing that could be asked
        return found

    async def _ask_dropped(
        self, extra: Sequence[Address], names: Sequence[Name], zone: Name, listed: set[str]
    ) -> dict[str, Verdict]:
        """Ask dropped servers about each name of the chain; a reading of one counts, else that it follows, else why."""
        result: dict[str, Verdict] = {}
        asked = [server for server in extra if str(server) not in listed and self._finder.routed(server)]
        for name in names:
            for server, answer in (await self._asker.ask_all(asked, name, wire.TLSA)).items():
                verdict = self._verdict(answer, name, zone)
                if not isinstance(result.get(str(server)), Answered):
                    better = isinstance(verdict, Answered | Alias) or str(server) not in result
                    result[str(server)] = verdict if better else result[str(server)]
        return result

    async def _mark_wildcards(self, gathered: Gathered, zone: Zone) -> list[Reading]:
        """Find out, where no RRSIG says it, whether a wildcard gave an RRset."""
        marked = []
        for reading, answered, name in gathered.readings:
            wildcard, server = answered.wildcard, gathered.address(reading.server)
            if answered.rdatas and not answered.signed and server is not None:
                wildcard = await synthesized(self._asker, server, name, wire.TLSA, zone.name)
            marked.append(replace(reading, wildcard=wildcard))
        return marked

    async def _host_wildcard(self, owner: Name, zone: Zone, readings: Sequence[Reading]) -> bool:
        """Tell whether the host's own address comes from a wildcard only (RFC 4592 section 2.2.2)."""
        if len(owner.labels) < 4:
            return False
        host = owner.parent().parent()
        if host == zone.name or not host.is_subdomain(zone.name):
            return False
        # Where records of its own are below it, a name exists, and no wildcard answers (RFC 4592 section 2.2.2).
        answered = {reading.server for reading in readings if reading.wildcard or not reading.rdatas}
        servers = [server for server in zone.servers if str(server) in answered]
        now = self._clock.now()
        found = await asyncio.gather(
            *(from_wildcard_alone(self._asker, server, host, zone.name, now) for server in servers)
        )
        return any(found)

    async def _missing_zone(self, name: Name, zone: Zone) -> str | None:
        """Say so where a whole domain does not exist: its absence from a top-level zone is no absence of records."""
        if len(zone.name.labels) > 2 or zone.name in self._finder.mapped:
            return None
        domain = Name(name.labels[-len(zone.name.labels) - 1 :])
        for answer in (await self._asker.ask_all(list(zone.servers)[:4], domain, wire.SOA)).values():
            if isinstance(answer, Message) and answer.aa and answer.rcode == "NXDOMAIN":
                return f"there is no domain {text_of(domain)}: {text_of(zone.name)} says NXDOMAIN"
        return None


def _nothing(owner: str, problem: str, left_out: tuple[str, ...] = ()) -> OwnerLook:
    return OwnerLook(owner, "", owner, {}, (), left_out=left_out, problem=problem)
