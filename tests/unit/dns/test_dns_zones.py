"""How a zone is looked for: by one look-up where that tells, by all names above at once where it does not."""

import asyncio
from collections.abc import Mapping

import pytest

from danelaw.dns import message as wire
from danelaw.dns.exchange import NoAnswer
from danelaw.dns.message import Message, Name, name_of, parse, text_of
from danelaw.dns.zones import Asker, Finder, NoZone
from fakes.dns_answers import message, rr

OWNER = "_25._tcp.mail.example.org."
ABOVE = ["_tcp.mail.example.org.", "mail.example.org.", "example.org.", "org.", "."]


def soa(zone: str) -> bytes:
    return rr(zone, wire.SOA, wire.name_wire(name_of("ns1.example.org")) * 2 + bytes(20))


class Told:
    """A discovery that answers as it is told, else never; it notes which SOA it is asked for."""

    def __init__(self, answers: Mapping[str, bytes | NoAnswer]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def lookup(self, name: Name, rrtype: int) -> Message:
        if rrtype != wire.SOA:
            raise NoAnswer("nobody asks for more here")
        self.asked.append(text_of(name))
        answer = self._answers.get(text_of(name))
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, NoAnswer):
            raise answer
        assert answer is not None
        return parse(answer)


def zone_found(told: Told, proven: str | None = None) -> str:
    """Return the zone whose servers are then looked for, which nobody knows here."""

    async def run() -> str:
        asker = Asker(1, 0.5)
        finder = Finder(told, asker, {})
        try:
            with pytest.raises(NoZone) as raised:
                await finder.zone_of(name_of(OWNER), None if proven is None else name_of(proven))
            return str(raised.value).partition(" ")[0]
        finally:
            await finder.close()
            await asker.close()

    return asyncio.run(run())


def denied(name: str, zone: str) -> bytes:
    return message(name, wire.SOA, authority=[soa(zone)])


ORG = {"org.": message("org.", wire.SOA, [soa("org.")])}


def test_one_answer_mostly_tells() -> None:
    told = Told({OWNER: denied(OWNER, "example.org."), **ORG})
    assert zone_found(told) == "example.org."
    assert told.asked == [OWNER, "org."]  # the second to learn who delegates it


def test_what_is_proven_is_not_looked_for() -> None:
    told = Told(ORG)
    assert zone_found(told, "example.org.") == "example.org."
    assert told.asked == ["org."]


@pytest.mark.parametrize(
    "first",
    [
        NoAnswer("the servers are dead"),
        message(OWNER, wire.SOA, [rr(OWNER, wire.CNAME, b"\1a\0")], [soa("example.org.")]),  # the SOA of its target
        message(OWNER, wire.SOA, authority=[soa("example.net.")]),
        message(OWNER, wire.SOA),
    ],
)
def test_where_it_does_not_all_names_above_are_asked(first: bytes | NoAnswer) -> None:
    answers: dict[str, bytes | NoAnswer] = {name: NoAnswer("dead") for name in ABOVE}
    told = Told({**answers, "mail.example.org.": denied("mail.example.org.", "example.org."), OWNER: first, **ORG})
    assert zone_found(told) == "example.org."
    assert told.asked == [OWNER, *ABOVE, "org."]


def test_the_closest_that_answers_counts_though_those_above_do() -> None:
    told = Told(
        {
            **{name: message(name, wire.SOA, [soa(name)]) for name in ABOVE[2:]},
            **{name: NoAnswer("dead") for name in (OWNER, *ABOVE[:2])},
        }
    )
    assert zone_found(told) == "example.org."
