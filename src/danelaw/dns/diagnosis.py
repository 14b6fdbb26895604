"""Why a name is bogus, or got no answer, in our words: the step from the root down at which it breaks.

libunbound alone gives the verdict. Here its way is walked again, without validation and only to explain: root, DS and
DNSKEY of each zone, the records, or the proof that there are none. Where nothing is found wrong, libunbound's own
sentence is said, in our words where they are known.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Protocol

import dns.exception
import dns.name
import dns.zonefile

from danelaw.dns import message as wire
from danelaw.dns.denial import Proofs, Uncounted, Unproven, signed_proofs
from danelaw.dns.exchange import Address, NoAnswer
from danelaw.dns.message import Malformed, Message, Name, text_of
from danelaw.dns.sentences import in_our_words
from danelaw.dns.signatures import (
    DS,
    DnskeyData,
    DsData,
    RRset,
    Verifier,
    Zone,
    by_wildcard,
    find,
    known_ds,
    rrsets,
    trust,
    type_name,
)
from danelaw.dns.unbound import Context, forwarder
from danelaw.dns.zones import Asker, Discovery, Finder, Forwarded, Iterated, NoZone
from danelaw.dns.zones import Zone as Served
from danelaw.model import ResolverSpec
from danelaw.model.outside import Lookup

_DISCOVERY, _TRY = 2.4, 0.5
"""Seconds for a look-up from the root down and for a try at one server, at most: less where the limit is short."""

_MOST_LABELS = 24
_MOST_ALIASES = 8
_MOST_NAMED = 4
_LONGEST = 800
"""How many labels of a name and CNAMEs are walked, how many servers a sentence names, how many characters it has."""


async def explain(
    spec: ResolverSpec,
    lookup: Lookup,
    now: datetime,
    why: str,
    *,
    limit: float = 6.0,
    may_reach: Callable[[str], bool] | None = None,
    discovery: Discovery | None = None,
) -> str:
    """Return in a sentence or two why a look-up is bogus or indeterminate, naming the step.

    ``why`` is libunbound's own sentence, which is all that is said where nothing else is found. It asks without
    validation, through ``discovery`` (None: a resolver of its own) and takes ``limit`` seconds at most. ``may_reach``
    says of an address whether it may be asked. Nothing that comes from the network makes it raise.
    """
    found = None
    try:
        async with asyncio.timeout(limit * 0.95):  # so that who waits no longer than ``limit`` gets what is said then
            found = await _explain(spec, lookup, now, limit, may_reach, discovery)
    except TimeoutError:
        found = None
    except Exception:  # noqa: BLE001 - an explanation is an extra: no fault in it, or in a library, may hide the verdict
        found = None
    return (found or in_our_words(why))[:_LONGEST]


async def _explain(
    spec: ResolverSpec,
    lookup: Lookup,
    now: datetime,
    limit: float,
    may_reach: Callable[[str], bool] | None,
    discovery: Discovery | None,
) -> str | None:
    patience = min(limit * 0.4, _DISCOVERY)
    async with AsyncExitStack() as ending:
        through = forwarder(spec)
        if discovery is None and through is None:
            context = Context(spec, validate=False, timeout=patience, may_reach=may_reach)
            discovery = Iterated(await ending.enter_async_context(context))
        elif discovery is None and through is not None:
            discovery = Forwarded(through, 1, patience)
        assert discovery is not None  # noqa: S101 - one of the three
        remembering = Remembering(discovery)
        ending.push_async_callback(remembering.close)
        asker = Asker(2, min(limit * 0.08, _TRY), may_reach)
        ending.push_async_callback(asker.close)
        finder = Finder(remembering, asker, {})
        ending.push_async_callback(finder.close)
        servers = Servers(finder, asker)
        return await Walk(remembering, servers, _anchors(spec), now).explain(lookup)


def _anchors(spec: ResolverSpec) -> Sequence[DsData | DnskeyData]:
    """Return the trust anchors, none where they cannot be read."""
    if spec.trust_anchor is None:
        text = resources.files("danelaw.dns").joinpath("root.ds").read_text(encoding="ascii")
    else:
        text = Path(spec.trust_anchor).read_text(encoding="utf-8", errors="replace")
    try:
        found = dns.zonefile.read_rrsets(text, default_ttl=0, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError):
        return ()
    return [rdata for rrset in found for rdata in rrset if isinstance(rdata, DsData | DnskeyData)]


class Remembering:
    """A discovery that asks each question once, and goes on asking while others wait."""

    def __init__(self, discovery: Discovery) -> None:
        self._discovery = discovery
        self._asked: dict[tuple[Name, int], asyncio.Task[Message]] = {}

    def begin(self, name: Name, rrtype: int) -> asyncio.Task[Message]:
        """Ask, and do not wait."""
        key = (name, rrtype)
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._discovery.lookup(name, rrtype))
        return self._asked[key]

    async def lookup(self, name: Name, rrtype: int) -> Message:
        """See `Discovery`."""
        return await asyncio.shield(self.begin(name, rrtype))

    async def close(self) -> None:
        """End what is still under way."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Direct(Protocol):
    """Asks the servers that are responsible, past any resolver."""

    async def ask(self, name: Name, rrtype: int) -> Message | str:
        """Return an answer with authority, or say what each server does in its place."""
        ...


class Servers:
    """The authoritative servers, asked directly where a resolver gets no answer from them."""

    def __init__(self, finder: Finder, asker: Asker) -> None:
        self._finder = finder
        self._asker = asker

    async def ask(self, name: Name, rrtype: int) -> Message | str:
        """See `Direct`; it is the first answer with authority."""
        what = f"{text_of(name)} {type_name(rrtype)}"
        # the parent answers for a DS, and refers to the zone for all else
        sought = name.parent() if rrtype == DS and name != dns.name.root else name
        try:
            zone = await self._finder.zone_of(sought)
            for _ in range(_MOST_LABELS):
                answers = await self._asker.ask_all(zone.servers, name, rrtype)
                below = await self._finder.referred(zone, answers.values(), sought)
                if below is None:
                    return _judged(zone, what, answers)
                zone = below
        except NoZone as error:
            return str(error)
        return f"the delegations on the way to {what} do not end"


def _judged(zone: Served, what: str, answers: Mapping[Address, Message | NoAnswer]) -> Message | str:
    problems = [f"{server}: {problem}" for server, problem in zone.unresolved.items()]
    for server, answer in answers.items():
        if isinstance(answer, NoAnswer):
            problems.append(f"{server}: {answer}")
        elif answer.rcode not in {"NOERROR", "NXDOMAIN"}:
            problems.append(f"{server} answers {answer.rcode}")
        elif not answer.aa:
            problems.append(f"{server} is lame: its answer is not authoritative")
        else:
            return answer
    more = f", and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
    each = "; ".join(problems[:_MOST_NAMED]) or "it has none that can be asked from here"
    return f"no server of {text_of(zone.name)} answers for {what}: {each}{more}"


class _Broken(Exception):
    """The step at which it breaks, in words."""


class Walk:
    """One walk from the root to a name, and on along its CNAMEs."""

    def __init__(
        self, discovery: Remembering, servers: Direct, anchors: Sequence[DsData | DnskeyData], now: datetime
    ) -> None:
        self._discovery = discovery
        self._servers = servers
        self._anchors = anchors
        self._now = now
        self._verifier = Verifier(now)

    async def explain(self, lookup: Lookup) -> str | None:
        """Return where the way to a name and type breaks; None where nothing is found wrong."""
        try:
            name: Name | None = wire.name_of(lookup.name)
            rrtype = int(dns.rdatatype.from_text(lookup.rrtype))
        except (Malformed, dns.exception.DNSException):
            return None
        passed: list[Name] = []
        try:
            while name is not None:
                if name in passed or len(passed) >= _MOST_ALIASES:
                    reason = "run in a circle" if name in passed else f"are more than {_MOST_ALIASES}"
                    return f"the CNAMEs from {text_of(passed[0])} {reason}"
                if len(name.labels) > _MOST_LABELS:
                    return None
                passed.append(name)
                name = await self._one(name, rrtype)
        except _Broken as found:
            return str(found)
        return None

    async def _one(self, name: Name, rrtype: int) -> Name | None:
        """Walk down to a name, and judge its answer; return where a CNAME leads from it. Raises `_Broken`."""
        downwards = [name.split(count)[1] for count in range(1, len(name.labels) + 1)]
        for each in downwards:  # all at once: below a dead zone each takes its whole time
            for kind in (DS, wire.SOA):
                self._discovery.begin(each, kind)
        self._discovery.begin(name, rrtype)
        zone: Zone | None = await self._keys(dns.name.root, self._anchors, "the trust anchor says")
        for each in downwards[1:]:
            assert zone is not None  # noqa: S101 - the loop ends with it
            zone = await self._below(zone, each)
            if zone is None:
                break
        return await self._answer(zone, name, rrtype)

    async def _ask(self, name: Name, rrtype: int) -> Message:
        """Ask through the resolver, and the servers themselves where it gets no answer. Raises `_Broken`."""
        try:
            return await self._discovery.lookup(name, rrtype)
        except NoAnswer:
            found = await self._servers.ask(name, rrtype)
        if isinstance(found, str):
            raise _Broken(found)
        return found

    async def _keys(self, name: Name, anchors: Sequence[DsData | DnskeyData], above: str) -> Zone:
        """Return a zone with its keys, trusted by what the zone above says of them. Raises `_Broken`."""
        try:
            await self._discovery.lookup(name, wire.SOA)  # asked for already: where it is dead, that is known by now
        except NoAnswer:
            found = await self._servers.ask(name, wire.DNSKEY)
        else:
            found = await self._ask(name, wire.DNSKEY)
        keys = None if isinstance(found, str) else find(rrsets(found, found.answer), name, wire.DNSKEY)
        if keys is None:
            # a lame server says as much as one that has no keys
            found = await self._servers.ask(name, wire.DNSKEY) if not isinstance(found, str) else found
            keys = None if isinstance(found, str) else find(rrsets(found, found.answer), name, wire.DNSKEY)
        if isinstance(found, str):
            raise _Broken(found)
        if keys is None:
            remedy = "sign the zone, or remove the DS at the parent"
            raise _Broken(f"{above} that {text_of(name)} is signed, and {text_of(name)} has no DNSKEY: {remedy}")
        zone = trust(self._verifier, keys, anchors, above) if anchors else Zone(name, _dnskeys(keys))
        if isinstance(zone, str):
            root = name == dns.name.root
            hint = f" (trust anchor or clock of this machine are wrong; it is {self._now:%Y-%m-%d %H:%M} UTC here)"
            raise _Broken(f"{zone}{hint}" if root else zone)
        return zone

    async def _below(self, zone: Zone, name: Name) -> Zone | None:
        """Go one label down: into the zone there, on in the same zone, or (None) into what is not signed."""
        try:
            answer = await self._discovery.lookup(name, DS)
        except NoAnswer:
            if not await self._is_delegated(name):
                return zone  # what is wrong there is found where it matters
            answer = await self._ask(name, DS)
        sets = rrsets(answer, answer.answer)
        ds = find(sets, name, DS)
        if ds is not None:
            self._check(ds, zone)
            known = known_ds(ds)
            return await self._keys(name, known, f"{zone} says by its DS") if known else None
        if answer.answer:  # a CNAME: nothing is cut there
            return zone
        proofs, fault = self._proofs(answer, zone)
        if not (proofs.is_cut(name) or await self._is_delegated(name)):
            return zone
        try:
            proofs.no_type(name, DS)
        except Uncounted:
            return None
        except Unproven as unproven:
            remedy = f"sign {zone} again, so that it says that {text_of(name)} is not signed"
            raise _Broken(fault or f"{unproven}: {remedy}") from None
        return None

    async def _is_delegated(self, name: Name) -> bool:
        try:
            answer = await self._discovery.lookup(name, wire.SOA)
        except NoAnswer:
            return False
        return bool(answer.answers(name, wire.SOA))

    async def _answer(self, zone: Zone | None, name: Name, rrtype: int) -> Name | None:
        """Judge the answer itself; return where it leads. Raises `_Broken`."""
        try:
            answer = await self._ask(name, rrtype)
        except _Broken:
            if (target := await self._alias(name)) is None:
                raise
            return target  # a server that follows CNAMEs gives up on a circle, and shows each of them
        sets = rrsets(answer, answer.answer)
        alias = find(sets, name, wire.CNAME)
        found = alias if alias is not None and rrtype != wire.CNAME else find(sets, name, rrtype)
        if zone is not None and found is not None:
            above = [rrset for rrset in sets if rrset.rrtype == wire.DNAME and name.is_subdomain(rrset.name)]
            if (
                above and not found.signatures
            ):  # the DNAME is signed, the CNAME made of it is not (RFC 6672 section 5.3.1)
                found = above[0]
            self._check(found, zone)
            self._check_wildcard(found, answer, zone)
        elif zone is not None:
            self._check_absence(answer, zone, name, rrtype)
        targets = [rr.target for rr in answer.answers(name, wire.CNAME) if rr.target is not None]
        return targets[0] if targets and rrtype != wire.CNAME else None

    async def _alias(self, name: Name) -> Name | None:
        try:
            answer = await self._discovery.lookup(name, wire.CNAME)
        except NoAnswer:
            return None
        return next((rr.target for rr in answer.answers(name, wire.CNAME)), None)

    def _check(self, rrset: RRset, zone: Zone) -> None:
        fault = self._verifier.fault(rrset, zone)
        if fault:
            raise _Broken(fault)

    def _check_wildcard(self, rrset: RRset, answer: Message, zone: Zone) -> None:
        labels = next(by_wildcard(rrset), None)
        if labels is not None:
            proofs, fault = self._proofs(answer, zone)
            try:
                proofs.no_closer(rrset.name, labels)
            except Uncounted:
                return
            except Unproven as unproven:
                raise _Broken(fault or str(unproven)) from None

    def _check_absence(self, answer: Message, zone: Zone, name: Name, rrtype: int) -> None:
        proofs, fault = self._proofs(answer, zone)
        try:
            if answer.rcode == "NXDOMAIN":
                proofs.no_name(name)
            else:
                proofs.no_type(name, rrtype)
        except Uncounted:
            return
        except Unproven as unproven:
            raise _Broken(fault or str(unproven)) from None
        soa = find(rrsets(answer, answer.authority), zone.name, wire.SOA)
        if soa is not None:
            self._check(soa, zone)

    def _proofs(self, answer: Message, zone: Zone) -> tuple[Proofs, str]:
        """Return what proves absence in an answer, and why some of it does not count."""
        good, fault = [], ""
        for rrset in signed_proofs(rrsets(answer, answer.authority)):
            found = self._verifier.fault(rrset, zone)
            fault = fault or found
            if not found:
                good.append(rrset)
        return Proofs(zone.name, good), fault


def _dnskeys(keys: RRset) -> tuple[DnskeyData, ...]:
    return tuple(key for key in keys.data if isinstance(key, DnskeyData))
