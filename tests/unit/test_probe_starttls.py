"""danelaw.probe.starttls: the dialogues, fed in one piece and octet by octet."""

import pytest

from danelaw.probe.dialogue import MAX_PIECE, MAX_TOTAL, DialogueFailed, quote
from danelaw.probe.starttls import StartTlsProtocol, start

NAME = "[127.0.0.1]"


def play(protocol: StartTlsProtocol, turns: list[bytes], *, by: int) -> list[bytes]:
    """Feed what the server says, turn by turn, in pieces of ``by`` octets; return what was answered to each turn."""
    dialogue = start(protocol, NAME)
    answers = []
    for turn in turns:
        assert not dialogue.done
        answer = b""
        for at in range(0, len(turn), by):
            answer += dialogue.receive(turn[at : at + by])
        answers.append(answer)
    assert dialogue.done
    return answers


EHLO, STARTTLS = f"EHLO {NAME}\r\n".encode(), b"STARTTLS\r\n"
CAPABILITY, TAGGED = b"a1 CAPABILITY\r\n", b"a2 STARTTLS\r\n"


@pytest.mark.parametrize("by", [1, 1 << 20])
@pytest.mark.parametrize(
    ("protocol", "turns", "answers"),
    [
        (
            "smtp",
            [b"220 mx ESMTP\r\n", b"250-mx\r\n250-SIZE 10\r\n250 STARTTLS\r\n", b"220 2.0.0 Ready\r\n"],
            [EHLO, STARTTLS, b""],
        ),
        (
            "smtp",
            [b"220-mx\r\n220-no spam\r\n220\r\n", b"250-mx\n250-starttls\n250 HELP\n", b"220\n"],
            [EHLO, STARTTLS, b""],
        ),
        (
            "imap",
            [b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\n", b"a2 OK begin\r\n"],
            [CAPABILITY, TAGGED, b""],
        ),
        (
            "imap",
            [
                b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
                b"* 3 EXISTS\r\n* capability starttls logindisabled\r\na1 ok\r\n",
                b"* OK wait\r\na2 OK\r\n",
            ],
            [CAPABILITY, TAGGED, b""],
        ),
        (
            "pop3",
            [b"+OK ready <1@mx>\r\n", b"+OK\r\nTOP\r\nSTLS\r\n.\r\n", b"+OK begin\r\n"],
            [b"CAPA\r\n", b"STLS\r\n", b""],
        ),
        ("pop3", [b"+OK\r\n", b"-ERR unknown\r\n", b"+OK\r\n"], [b"CAPA\r\n", b"STLS\r\n", b""]),
    ],
)
def test_tls_starts(protocol: StartTlsProtocol, turns: list[bytes], answers: list[bytes], by: int) -> None:
    assert play(protocol, turns, by=by) == answers


BANNER, OFFER = b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n"
GREETING, CAPABLE = b"* OK\r\n", b"* CAPABILITY STARTTLS\r\na1 OK\r\n"


@pytest.mark.parametrize(
    ("protocol", "turns", "says"),
    [
        (
            "smtp",
            [b"421 4.3.2 come back later\r\n"],
            "for now in its banner .*greylist.*'421 4.3.2 come back later'",
        ),
        ("smtp", [b"554 5.7.1 no\r\n"], "refuses in its banner: '554 5.7.1 no'"),
        ("smtp", [b"SSH-2.0-OpenSSH_9\r\n"], "not SMTP where its banner was expected: 'SSH-2.0-OpenSSH_9'"),
        ("smtp", [b"220 a\r\n220 b\r\n"], "went on behind its banner before it was asked: found '220 b'"),
        ("smtp", [b"220-a\r\n250 b\r\n"], "two codes in its banner"),
        ("smtp", [b"\r\n"], "not SMTP"),
        ("smtp", [b"22\xd9\xa0 x\r\n"], "not SMTP"),
        ("smtp", [BANNER, b"502 what\r\n"], "refuses EHLO: '502 what'"),
        ("smtp", [BANNER, b"250-STARTTLS\r\n250 HELP\r\n"], "does not offer STARTTLS"),  # that is its name, no keyword
        ("smtp", [BANNER, b"250-mx\r\n250 XSTARTTLS\r\n"], "does not offer STARTTLS"),
        ("smtp", [BANNER, OFFER, b"454 4.7.0 TLS not available\r\n"], "offers STARTTLS and refuses it: '454 4.7.0"),
        ("smtp", [BANNER, OFFER, b"220 go\r\n250 injected\r\n"], "sent plaintext behind its reply to STARTTLS"),
        ("smtp", [BANNER, OFFER + b"220 go\r\n"], "before it was asked"),
        ("imap", [b"* PREAUTH hello\r\n"], "already authenticated"),
        ("imap", [b"* BYE busy\r\n"], "refuses in its greeting"),
        ("imap", [b"220 mx\r\n"], "not IMAP"),
        ("imap", [GREETING, b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n"], "does not offer STARTTLS"),
        ("imap", [GREETING, b"* OK STARTTLS\r\na1 OK\r\n"], "does not offer STARTTLS"),
        ("imap", [GREETING, b"a1 BAD what\r\n"], "refuses CAPABILITY"),
        ("imap", [GREETING, b"* BYE too slow\r\n"], "hangs up"),
        ("imap", [GREETING, b"+ go on\r\n"], "not IMAP"),
        ("imap", [GREETING, CAPABLE, b"a2 NO sorry\r\n"], "offers STARTTLS and refuses it: 'a2 NO sorry'"),
        ("imap", [GREETING, CAPABLE, b"a2 OK\r\n* OK injected\r\n"], "sent plaintext behind"),
        ("imap", [GREETING, b"a1 \r\n"], "refuses CAPABILITY"),
        ("pop3", [b"-ERR busy\r\n"], "refuses in its greeting"),
        ("pop3", [b"* OK\r\n"], "not POP3"),
        ("pop3", [b"+OK\r\n", b"+OK\r\nTOP\r\n.\r\n"], "does not offer STLS"),
        ("pop3", [b"+OK\r\n", b"-ERR\r\n", b"-ERR no\r\n"], "refuses STLS"),
        ("pop3", [b"+OK\r\n", b"-ERR\r\n", b"+OK\r\n+OK injected\r\n"], "sent plaintext behind"),
    ],
)
def test_tls_does_not_start_and_the_stage_is_named(protocol: StartTlsProtocol, turns: list[bytes], says: str) -> None:
    with pytest.raises(DialogueFailed, match=says):
        play(protocol, turns, by=1 << 20)


@pytest.mark.parametrize(
    ("protocol", "opening", "line"),
    [
        ("smtp", b"", b"220-more\r\n"),
        ("imap", b"* OK\r\n", b"* OK more\r\n"),
        ("pop3", b"+OK\r\n", b"+OK\r\n"),
    ],
)
def test_endless_talk_is_cut(protocol: StartTlsProtocol, opening: bytes, line: bytes) -> None:
    dialogue = start(protocol, NAME)
    dialogue.receive(opening)
    fits = (MAX_TOTAL - len(opening)) // len(line)
    for _ in range(fits):
        assert not dialogue.done
        dialogue.receive(line)
    with pytest.raises(DialogueFailed, match=f"more than {MAX_TOTAL} octets"):
        dialogue.receive(line)


def test_an_endless_line_is_cut() -> None:
    dialogue = start("smtp", NAME)
    dialogue.receive(b"2" * MAX_PIECE)
    with pytest.raises(DialogueFailed, match=f"line of more than {MAX_PIECE} octets where its banner"):
        dialogue.receive(b"2")


def test_the_stage_is_known_at_any_time() -> None:
    dialogue = start("smtp", NAME)
    assert dialogue.expects == "its banner"
    dialogue.receive(BANNER)
    assert dialogue.expects == "its reply to EHLO"
    dialogue.receive(b"250-mx\r\n")
    assert dialogue.expects == "its reply to EHLO"
    dialogue.receive(b"250 STARTTLS\r\n")
    assert dialogue.expects == "its reply to STARTTLS"


def test_what_is_quoted_is_short_and_printable() -> None:
    assert quote(b"\x1b[31m\xffred\x07\r\n") == "'?[31m?red?'"
    assert quote("é" * 3) == "'???'"
    assert len(quote("x" * 10_000)) < 200
