"""What each server of a zone itself says to a question that a resolver got no answer to: nothing, or what."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, NoAnswer
from danelaw.dns.message import Message, Name, text_of
from danelaw.dns.zones import Asker, Finder, NoZone, Zone

_SHOWN = 4
"""How many servers a sentence names."""


@dataclass(frozen=True, slots=True)
class Said:
    """``rcode`` is ``TIMEOUT`` where none of the servers said a thing, "" where they do answer or none is known."""

    rcode: str
    why: str


async def servers_say(finder: Finder, asker: Asker, name: Name, rrtype: int, type_name: str) -> Said:
    """Ask every server of the zone that a name is in; return what that adds up to."""
    question = f"{text_of(name).removesuffix('.')} {type_name}"
    try:
        zone = await finder.zone_of(name)
    except NoZone as error:
        return Said("", str(error))
    answers = await asker.ask_all(zone.servers, name, rrtype)
    where = text_of(zone.name).removesuffix(".") or "the root"
    if not answers:
        found = [f"{ns} ({problem})" for ns, problem in zone.unresolved.items()] + list(zone.left_out)
        return Said("", f"no name server of {where} can be asked from here: {', '.join(found[:_SHOWN])}")
    silent = {server: str(answer) for server, answer in answers.items() if isinstance(answer, NoAnswer)}
    refusing = {
        server: f"answers {answer.rcode}"
        for server, answer in answers.items()
        if isinstance(answer, Message) and answer.rcode not in {"NOERROR", "NXDOMAIN"}
    }
    if len(silent) + len(refusing) < len(answers):
        return Said("", "")
    if refusing:
        rcodes = [answer.rcode for answer in answers.values() if isinstance(answer, Message)]
        rcode = "SERVFAIL" if "SERVFAIL" in rcodes else rcodes[0]
        return Said(rcode, f"no name server of {where} answers for {question}: {_listed({**refusing, **silent})}")
    if await _alive(asker, zone):
        why = f"the name servers of {where} answer other questions, and none for {question}: {_listed(silent)}"
        return Said("TIMEOUT", why)
    return Said("TIMEOUT", f"no name server of {where} answers at all: {_listed(silent)}")


async def _alive(asker: Asker, zone: Zone) -> bool:
    """Tell whether a server that is silent about the name answers for the zone itself."""
    answers = await asyncio.gather(*(asker.ask_all(zone.servers, zone.name, rrtype) for rrtype in (wire.NS, wire.SOA)))
    return any(isinstance(answer, Message) for each in answers for answer in each.values())


def _listed(problems: Mapping[Address, str]) -> str:
    shown = [f"{server} {problem}" for server, problem in sorted(problems.items())[:_SHOWN]]
    more = len(problems) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
