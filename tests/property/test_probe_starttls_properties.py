"""Whatever a server says before TLS, and however it is cut into segments: one verdict, or `DialogueFailed`."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.probe.dialogue import Dialogue, DialogueFailed
from danelaw.probe.starttls import StartTlsProtocol, start

PIECES = [
    b"220 mx\r\n",
    b"220-mx\r\n",
    b"250-STARTTLS\r\n",
    b"250 STARTTLS\r\n",
    b"250-mx\r\n",
    b"* OK\r\n",
    b"* CAPABILITY STARTTLS\r\n",
    b"a1 OK\r\n",
    b"a2 OK\r\n",
    b"+OK\r\n",
    b"STLS\r\n",
    b".\r\n",
    b"-ERR\r\n",
    b"\n",
    b"\xff\x00",
]
protocols = st.sampled_from(["smtp", "imap", "pop3"])
speech = st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12)


def feed(dialogue: Dialogue[Any], segments: list[bytes]) -> tuple[str, bytes]:
    """Feed segments until TLS starts or fails; return the verdict and all that was answered."""
    answers = b""
    for segment in segments:
        if dialogue.done:
            break
        try:
            answers += dialogue.receive(segment)
        except DialogueFailed as failed:
            return str(failed).split(" ", 1)[0], answers
    return ("done" if dialogue.done else "waiting"), answers


@settings(max_examples=300, deadline=None)
@given(protocols, speech)
def test_any_speech_ends_in_words_or_in_tls(protocol: StartTlsProtocol, said: list[bytes]) -> None:
    dialogue = start(protocol, "[127.0.0.1]")
    verdict, answers = feed(dialogue, said)
    assert dialogue.expects.startswith("its ")
    # TLS starts only after the command that asks for it.
    command = b"STLS\r\n" if protocol == "pop3" else b"STARTTLS\r\n"
    assert verdict != "done" or answers.endswith(command)


@settings(max_examples=300, deadline=None)
@given(protocols, speech)
def test_segments_by_octet_say_the_same_as_by_line(protocol: StartTlsProtocol, said: list[bytes]) -> None:
    """Octet by octet nothing is ever sent ahead, so only what was sent ahead may be judged otherwise."""
    whole = b"".join(said)
    lines = feed(start(protocol, "[127.0.0.1]"), whole.splitlines(keepends=True))
    octets = feed(start(protocol, "[127.0.0.1]"), [whole[at : at + 1] for at in range(len(whole))])
    if whole.count(b"\r") == whole.count(b"\r\n"):  # a bare CR ends a line for splitlines only
        assert lines == octets
