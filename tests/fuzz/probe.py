"""A coverage-guided fuzzer of what is read from servers before TLS and in it: no exception but our own, no hang.

It is no test that `make test` runs. By hand, in an environment that has danelaw and atheris::

    python tests/fuzz/probe.py -max_total_time=300 [CORPUS]

The first octet chooses the protocol (one of them is TLS itself), the second where what follows is cut.
"""

import sys
from collections.abc import Callable

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # in the fuzzer's environment alone

with atheris.instrument_imports(include=["danelaw.probe"]):
    from danelaw.probe import tls
    from danelaw.probe.dialogue import MAX_PIECE, DialogueFailed
    from danelaw.probe.starttls import StartTlsProtocol, start

PROTOCOLS: tuple[StartTlsProtocol, ...] = ("smtp", "imap", "pop3", "xmpp-client", "xmpp-server")
CONTEXT = tls.context(None)


def feed(receive: Callable[[bytes], bytes], is_done: Callable[[], bool], said: bytes, size: int) -> str:
    """Feed what a server said in pieces of ``size``; return what came of it."""
    for at in range(0, len(said), size):
        if is_done():
            return "done"
        try:
            receive(said[at : at + size])
        except (DialogueFailed, tls.HandshakeFailed) as failed:
            return f"{failed.kind}: {failed}"
    return "done" if is_done() else "waiting"


def one(data: bytes) -> None:
    """Let a server say ``data``, whole and in pieces."""
    if len(data) < 2:
        return
    which, size, said = data[0] % (len(PROTOCOLS) + 1), data[1] + 1, data[2:]
    if which == len(PROTOCOLS):
        client = tls.Client(CONTEXT, "mail.example.org", None)
        client.begin()
        feed(client.receive, lambda: client.done, said, size)
        client.last_words()
        return
    verdicts = []
    for piece in (size, len(said) or 1):
        dialogue = start(PROTOCOLS[which], "[192.0.2.1]", "example.org")
        verdicts.append(feed(dialogue.receive, lambda d=dialogue: d.done, said, piece))  # type: ignore[misc]
        assert len(dialogue.banner) < 200
        assert dialogue.banner.isprintable()
        assert len(dialogue.unfinished) <= MAX_PIECE + size or dialogue.done or ":" in verdicts[-1]
    ahead = "injected" in verdicts[1] or "before it was asked" in verdicts[1]
    assert ahead or verdicts[0] == verdicts[1], verdicts


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
