"""What servers say to a question adds up to one sentence; the servers are peers on loopback, reached through a map."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import pytest

from danelaw.dns import message as wire
from danelaw.dns.exchange import NoAnswer
from danelaw.dns.message import Message, Name, name_of
from danelaw.dns.silence import Said, resolver_says, servers_say
from danelaw.dns.zones import Asker, Finder
from fakes.dns_answers import rr
from fakes.dns_peer import Peer, Reply, answer_to

OWNER = "_25._tcp.mail.example.org."
QUESTION = "_25._tcp.mail.example.org TLSA"


class Nothing:
    """A discovery that finds nothing: all is in the map."""

    async def lookup(self, name: Name, rrtype: int) -> Message:
        raise NoAnswer(f"{name} {rrtype} is not in the map")


def say(*replies: Reply, may_reach: Callable[[str], bool] | None = None, rrtype: int = wire.TLSA) -> Said:
    """Ask servers of ``example.org`` that reply so; addresses in sentences read A, B, …"""

    async def run(peers: Sequence[Peer]) -> Said:
        asker = Asker(1, 0.5, may_reach)
        finder = Finder(Nothing(), asker, {name_of("example.org"): [peer.address for peer in peers]})
        try:
            return await servers_say(finder, asker, name_of(OWNER), rrtype, "TLSA")
        finally:
            await finder.close()
            await asker.close()

    with ExitStack() as ending:
        peers = [ending.enter_context(Peer(reply)) for reply in replies]
        said = asyncio.run(run(peers))
    why = said.why
    for letter, address in zip("ABCDEFG", sorted(peer.address for peer in peers), strict=False):
        why = why.replace(str(address), letter)
    return Said(said.rcode, why, said.ours)


def silent(query: bytes) -> None:
    del query


def refusing(query: bytes) -> bytes:
    return answer_to(query, rcode=5)


def failing(query: bytes) -> bytes:
    return answer_to(query, rcode=2)


def lame(query: bytes) -> bytes:
    return answer_to(query, flags=0x8000)


def without_tlsa(query: bytes) -> bytes | None:
    question = wire.parse(query).question
    return None if question is None or question.rrtype == wire.TLSA else answer_to(query)


def alias(*chain: str) -> Reply:
    """Answer with the CNAME that leads from a name of the chain to the next."""

    def reply(query: bytes) -> bytes:
        question = wire.parse(query).question
        assert question is not None
        name = wire.text_of(question.name)
        if name not in chain[:-1]:
            return answer_to(query)
        target = wire.name_wire(name_of(chain[chain.index(name) + 1]))
        return answer_to(query, records=rr(name, wire.CNAME, target), count=1)

    return reply


def test_servers_that_answer_say_nothing_of_a_failure() -> None:
    assert say(answer_to) == Said()
    assert say(silent, answer_to) == Said()
    assert say(lambda query: answer_to(query, rcode=3)) == Said()


@pytest.mark.parametrize(
    ("reply", "rcode", "problem"),
    [
        (refusing, "REFUSED", "answers REFUSED"),
        (failing, "SERVFAIL", "answers SERVFAIL"),
        (lame, "SERVFAIL", "is lame: its answer is not authoritative"),
    ],
)
def test_servers_that_give_no_answer_are_quoted(reply: Reply, rcode: str, problem: str) -> None:
    expected = f"no name server of example.org answers for {QUESTION}: A ({problem})"
    assert say(reply) == Said(rcode, expected)


def test_one_that_refuses_beside_one_that_fails() -> None:
    said = say(refusing, failing, silent)
    assert said.rcode == "REFUSED"
    for problem in ("answers REFUSED", "answers SERVFAIL", "no answer within 0.5 s"):
        assert problem in said.why


def test_silence_about_one_type_is_told_from_silence() -> None:
    alive = (
        f"the name servers of example.org answer other questions, and none for {QUESTION}: A (no answer within 0.5 s)"
    )
    assert say(without_tlsa) == Said("TIMEOUT", alive)
    assert say(silent) == Said("TIMEOUT", "no name server of example.org answers at all: A (no answer within 0.5 s)")


def test_many_silent_servers_are_counted() -> None:
    said = say(*[silent] * 6)
    assert said.why.count("no answer within") == 4
    assert said.why.endswith(" and 2 more")


def test_servers_that_may_not_be_asked() -> None:
    said = say(answer_to, may_reach=lambda _: False)
    assert said == Said(
        "", "no name server of example.org can be asked from here: A (may not be asked: its address is not public)"
    )


def test_cnames_are_followed() -> None:
    target = "dane.example.org."
    assert say(alias(OWNER, target)) == Said()
    assert say(alias(OWNER, target, OWNER)) == Said("", f"the CNAMEs at {OWNER[:-1]} run in a circle")
    assert say(alias(OWNER, *(f"n{n}.example.org." for n in range(30)))) == Said(
        "", f"{OWNER[:-1]} starts a chain of more than 16 CNAMEs"
    )
    # where the CNAME itself is asked for, it is the answer
    assert say(alias(OWNER, target, OWNER), rrtype=wire.CNAME) == Said()


def test_cname_into_a_zone_that_is_not_found() -> None:
    assert say(alias(OWNER, "dane.example.net.")).why.startswith("no zone is found for dane.example.net.")


@pytest.mark.parametrize(
    ("reply", "rcode", "said"), [(silent, "TIMEOUT", "gives no"), (refusing, "REFUSED", "answers REFUSED")]
)
def test_what_a_resolver_says(reply: Reply, rcode: str, said: str) -> None:
    with Peer(reply) as peer:
        found = asyncio.run(resolver_says(peer.address, name_of(OWNER), wire.TLSA, "TLSA", 0.2))
    assert found.rcode == rcode
    assert found.why.startswith(f"the resolver {peer.address} {said}")
    assert found.why.endswith(f"for {QUESTION}")


def test_a_resolver_that_answers() -> None:
    with Peer(answer_to) as peer:
        assert asyncio.run(resolver_says(peer.address, name_of(OWNER), wire.TLSA, "TLSA", 2.0)) == Said()
