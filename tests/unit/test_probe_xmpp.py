"""danelaw.probe.xmpp: the dialogue, fed in one piece and octet by octet."""

import pytest

from danelaw.probe.dialogue import MAX_PIECE, MAX_TOTAL, DialogueFailed
from danelaw.probe.xmpp import MAX_DEPTH, XmppDialogue

HEADER = (
    b"<?xml version='1.0'?><stream:stream from='example.org' id='1' xmlns='jabber:client' version='1.0'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
TLS = b"xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
OFFER = b"<stream:features><starttls " + TLS + b"><required/></starttls></stream:features>"
PROCEED = b"<proceed " + TLS + b"/>"


def play(turns: list[bytes], *, by: int) -> tuple[XmppDialogue, list[bytes]]:
    """Feed what the server says, turn by turn, in pieces of ``by`` octets; return what was answered to each turn."""
    dialogue = XmppDialogue("jabber:client", "example.org")
    answers = []
    for turn in turns:
        assert not dialogue.done
        answers.append(b"".join(dialogue.receive(turn[at : at + by]) for at in range(0, len(turn), by)))
    return dialogue, answers


@pytest.mark.parametrize("by", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "turns",
    [
        [HEADER + OFFER, PROCEED],
        [HEADER, OFFER, PROCEED],
        [HEADER.replace(b"<?xml version='1.0'?>", b"") + OFFER, PROCEED],
        [HEADER.replace(b"<?xml", b" \r\n<?xml").replace(b"'", b'"') + b" \n" + OFFER + b"", PROCEED],
        [HEADER + OFFER, b" \r\n<proceed a='<&gt;\">' ".replace(b"<&", b"&") + TLS + b"></proceed>"],
        [HEADER + b"<stream:features><a b='>'>text &x; <c/></a><t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/>"
         b"</stream:features>", PROCEED],
        [HEADER.replace(b"stream:", b"s:").replace(b":stream=", b":s=") + OFFER.replace(b"stream:", b"s:"), PROCEED],
    ],
)  # fmt: skip
def test_tls_starts(turns: list[bytes], by: int) -> None:
    dialogue, answers = play(turns, by=by)
    assert dialogue.done
    assert answers[-2:] == [b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", b""]
    assert dialogue.banner.startswith("<s")


def test_the_stream_is_opened_to_the_domain_and_not_to_the_host() -> None:
    opening = XmppDialogue("jabber:server", "a'b<.example").opening
    assert b" to=\"a'b&lt;.example\" version='1.0' xmlns='jabber:server' " in opening
    assert opening.startswith(b"<?xml version='1.0'?><stream:stream ")


@pytest.mark.parametrize("by", [1, 1 << 20])
@pytest.mark.parametrize(
    ("turns", "kind", "says"),
    [
        ([b"220 mx ESMTP\r\n"], "not-spoken", "not XMPP where its stream header was expected: '220 mx ESMTP'"),
        ([b"HTTP/1.1 400 <html>"], "not-spoken", "'HTTP/1.1 400'"),
        ([b"<html>"], "not-spoken", "'<html>'"),
        ([b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + HEADER], "not-spoken", "'<!'"),
        ([HEADER + b"<!-- x -->" + OFFER], "not-spoken", "'<!'"),
        ([HEADER + b"<?php x?>"], "not-spoken", "'<.php x.>'"),
        ([HEADER + b"<stream:features><![CDATA[<]]>"], "not-spoken", "where its stream features was expected: '<!'"),
        ([HEADER + b"<stream:features></x>"], "not-spoken", "'</x>'"),
        ([HEADER + b"<stream:features a=b>"], "not-spoken", "'<stream:features a=b>'"),
        ([HEADER + b"<message/>"], "not-spoken", "'<message/>'"),
        ([HEADER.replace(b" version='1.0' ", b" ")], "no-starttls", "does not speak XMPP 1.0"),
        ([HEADER.replace(b"etherx", b"other")], "not-spoken", "stream header"),
        ([HEADER + b"</stream:stream>"], "hung-up", "closes the stream where its stream features was expected"),
        ([HEADER + b"<stream:features/>"], "no-starttls", "does not offer STARTTLS"),
        ([HEADER + b"<stream:features><starttls xmlns='x'/></stream:features>"], "no-starttls", "does not offer"),
        ([HEADER + b"<stream:features><a><starttls " + TLS + b"/></a></stream:features>"], "no-starttls", "not offer"),
        ([HEADER + b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"],
         "rejected", "sent an error where its stream features was expected: 'host-unknown'"),
        ([HEADER + OFFER, b"<failure " + TLS + b"/></stream:stream>"], "starttls-refused", "offers STARTTLS and"),
        ([HEADER + OFFER, b"<stream:error/>"], "rejected", "'no reason'"),
        ([HEADER + OFFER, b"<proceed/>"], "not-spoken", "'<proceed/>'"),
        ([HEADER + OFFER, PROCEED.replace(b"/>", b">") + b"x" * 70_000], "flood", "more than 65536 octets"),
        ([HEADER + b"<a>" * MAX_DEPTH], "flood", f"nests more than {MAX_DEPTH} elements"),
        ([b"<a b='" + b">" * MAX_PIECE], "flood", f"more than {MAX_PIECE} octets"),
        ([b" " * MAX_TOTAL + b" "], "flood", f"more than {MAX_TOTAL} octets"),
        ([b"x" * (MAX_PIECE + 1)], "not-spoken", "'xxx"),
    ],
)  # fmt: skip
def test_tls_does_not_start_and_the_stage_is_named(turns: list[bytes], kind: str, says: str, by: int) -> None:
    with pytest.raises(DialogueFailed, match=says) as caught:
        play(turns, by=by)
    assert caught.value.kind == kind


@pytest.mark.parametrize("more", [b" ", b"<", b"\x16\x03", b"<stream:features/>"])
def test_plaintext_behind_proceed_is_refused(more: bytes) -> None:
    with pytest.raises(DialogueFailed) as caught:
        play([HEADER + OFFER, PROCEED + more], by=1 << 20)
    assert caught.value.kind == "injected"


def test_what_was_sent_ahead_is_refused() -> None:
    with pytest.raises(DialogueFailed, match="before it was asked") as caught:
        play([HEADER + OFFER + PROCEED], by=1 << 20)
    assert caught.value.kind == "not-spoken"
