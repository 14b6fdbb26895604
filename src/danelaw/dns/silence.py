"""What each server of a zone itself says to a question that a resolver got no answer to: nothing, or what."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, NoAnswer, ask
from danelaw.dns.message import Message, Name, text_of
from danelaw.dns.zones import Asker, Finder, NoZone, Zone

_SHOWN = 4
"""How many servers a sentence names."""

_LONGEST_CHAIN = 16
"""How many CNAMEs are followed; resolvers give up at 8 to 16."""

_Answers = Mapping[Address, Message | NoAnswer]


@dataclass(frozen=True, slots=True)
class Said:
    """``rcode`` is ``TIMEOUT`` where none of the servers said a thing, "" where they do answer or none is known.

    ``ours``: it is this machine that could not ask any of them.
    """

    rcode: str = ""
    why: str = ""
    ours: bool = False


async def servers_say(finder: Finder, asker: Asker, name: Name, rrtype: int, type_name: str) -> Said:
    """Ask every server of the zone that a name is in, and of those that CNAMEs lead to; return what that adds up to."""
    first, seen = name, {name}
    try:
        while True:
            zone, answers = await _ask_zone(finder, asker, name, rrtype)
            said = await _added_up(asker, zone, answers, f"{_shown(name)} {type_name}")
            targets = {
                rr.target
                for answer in answers.values()
                if isinstance(answer, Message) and rrtype != wire.CNAME
                for rr in answer.answers(name, wire.CNAME)
                if rr.target is not None
            }
            if said.rcode or said.why or not targets:
                return said
            name = min(targets)
            if name in seen:
                return Said("", f"the CNAMEs at {_shown(first)} run in a circle")
            if len(seen) == _LONGEST_CHAIN:
                return Said("", f"{_shown(first)} starts a chain of more than {_LONGEST_CHAIN} CNAMEs")
            seen.add(name)
    except NoZone as error:
        return Said("", str(error))


async def resolver_says(resolver: Address, name: Name, rrtype: int, type_name: str, limit: float) -> Said:
    """Ask the configured resolver, validation aside; return what it says, within ``limit`` seconds."""
    question = f"{_shown(name)} {type_name}"
    try:
        answer = await ask(resolver, name, rrtype, flags=wire.RD | wire.CD, tries=1, limit=limit)
    except NoAnswer:
        return Said("TIMEOUT", f"the resolver {resolver} gives no answer for {question}")
    if answer.rcode in {"NOERROR", "NXDOMAIN"}:
        return Said()
    return Said(answer.rcode, f"the resolver {resolver} answers {answer.rcode} for {question}")


async def _ask_zone(finder: Finder, asker: Asker, name: Name, rrtype: int) -> tuple[Zone, _Answers]:
    zone = await finder.zone_of(name)
    while True:
        answers = await asker.ask_all(zone.servers, name, rrtype)
        below = await finder.referred(zone, answers.values(), name)
        if below is None:
            return zone, answers
        zone = below


async def _added_up(asker: Asker, zone: Zone, answers: _Answers, question: str) -> Said:
    where = _shown(zone.name)
    if not answers:
        found = [f"{ns} ({problem})" for ns, problem in zone.unresolved.items()] + list(zone.left_out)
        return Said("", f"no name server of {where} can be asked from here: {', '.join(found[:_SHOWN])}")
    silent = {server: str(answer) for server, answer in answers.items() if isinstance(answer, NoAnswer)}
    refusing = {
        server: problem
        for server, answer in answers.items()
        if isinstance(answer, Message) and (problem := _refusal(answer))
    }
    if len(silent) + len(refusing) < len(answers):
        return Said()
    if all(isinstance(answer, NoAnswer) and answer.ours for answer in answers.values()):
        return Said("TIMEOUT", f"no name server of {where} can be asked from here: {_listed(silent)}", ours=True)
    if refusing:
        rcodes = [answer.rcode for answer in answers.values() if isinstance(answer, Message)]
        rcode = next((code for code in rcodes if code not in {"SERVFAIL", "NOERROR", "NXDOMAIN"}), "SERVFAIL")
        return Said(rcode, f"no name server of {where} answers for {question}: {_listed({**refusing, **silent})}")
    if await _alive(asker, zone):
        why = f"the name servers of {where} answer other questions, and none for {question}: {_listed(silent)}"
        return Said("TIMEOUT", why)
    return Said("TIMEOUT", f"no name server of {where} answers at all: {_listed(silent)}")


def _refusal(answer: Message) -> str:
    """Return in what way an answer is none, "" where it is one."""
    if answer.rcode not in {"NOERROR", "NXDOMAIN"}:
        return f"answers {answer.rcode}"
    return "" if answer.aa else "is lame: its answer is not authoritative"


async def _alive(asker: Asker, zone: Zone) -> bool:
    """Tell whether a server that is silent about the name answers for the zone itself."""
    answers = await asyncio.gather(*(asker.ask_all(zone.servers, zone.name, rrtype) for rrtype in (wire.NS, wire.SOA)))
    return any(isinstance(answer, Message) for each in answers for answer in each.values())


def _listed(problems: Mapping[Address, str]) -> str:
    shown = [f"{server} ({problem})" for server, problem in sorted(problems.items())[:_SHOWN]]
    more = len(problems) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _shown(name: Name) -> str:
    return text_of(name).removesuffix(".") or "the root"
