"""Whatever octets come, a diagnosis is a sentence or nothing, and it ends."""

import asyncio

import dns.rdata
from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.dns.diagnosis import Remembering, Walk
from danelaw.dns.exchange import NoAnswer
from danelaw.dns.message import Malformed, Message, Name
from danelaw.model.outside import Lookup
from fakes.dns_tree import NOW, OWNER, ROOT, Tree, signed

ANCHOR = dns.rdata.from_text("IN", "DS", ROOT.ds("."))
HEADER = 12


class Spoilt(Tree):
    """Octets changed anywhere in any answer; one that is no message is no answer."""

    async def lookup(self, name: Name, rrtype: int) -> Message:
        try:
            return await super().lookup(name, rrtype)
        except Malformed as error:
            raise NoAnswer(str(error)) from None

    async def ask(self, name: Name, rrtype: int) -> Message | str:
        try:
            return await super().ask(name, rrtype)
        except Malformed as error:
            return str(error)


def walk(tree: Tree) -> str | None:
    async def walking() -> str | None:
        remembering = Remembering(tree)
        try:
            return await Walk(remembering, tree, [ANCHOR], NOW).explain(Lookup(OWNER, "TLSA"))  # type: ignore[list-item]  # a DS
        finally:
            await remembering.close()

    return asyncio.run(walking())


def denying() -> Spoilt:
    """Return the tree with a denial by NSEC and NSEC3 both, so that both are read."""
    tree = Spoilt()
    name = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.bad.test."
    nsec = signed("bad.test.", "mail.bad.test.", "NSEC", "ns.bad.test. A RRSIG NSEC")
    nsec3 = signed("bad.test.", name, "NSEC3", "1 0 5 aabb 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG")
    tree.deny(OWNER, "TLSA", nsec, nsec3, rcode=3)
    return tree


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_octets_raise_nothing(data: st.DataObject) -> None:
    tree = data.draw(st.sampled_from([Spoilt, denying]))()
    for _ in range(data.draw(st.integers(1, 3))):
        question = data.draw(st.sampled_from(sorted(tree.replies, key=str)))
        octets = tree.replies[question]
        assert isinstance(octets, bytes)
        changed = bytearray(octets)
        for _ in range(data.draw(st.integers(1, 4))):
            changed[data.draw(st.integers(HEADER, len(octets) - 1))] = data.draw(st.integers(0, 255))
        tree.replies[question] = bytes(changed)
    said = walk(tree)
    assert said is None or (said.isprintable() and len(said) < 2000)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_answers_to_other_questions_raise_nothing(data: st.DataObject) -> None:
    tree = Spoilt()
    replies = sorted(tree.replies.items(), key=str)
    for question, _ in replies:
        tree.replies[question] = data.draw(st.sampled_from(replies))[1]
    said = walk(tree)
    assert said is None or said.isprintable()
