"""How TLS is started in plain text: SMTP, IMAP and POP3, read line by line; XMPP has a module of its own."""

from collections.abc import Callable, Generator
from typing import Any, Literal, TypeGuard, get_args

from danelaw.model import AppProtocol, FailureKind
from danelaw.probe.dialogue import Dialogue, DialogueFailed, Need, printable, quote
from danelaw.probe.xmpp import XmppDialogue

StartTlsProtocol = Literal["smtp", "imap", "pop3", "xmpp-client", "xmpp-server"]

_Script = Generator[Need, str, None]


class LineDialogue(Dialogue[str]):
    """A dialogue in lines. They end in LF, with or without CR."""

    def _take(self) -> str | None:
        line, end, rest = self._pending.partition(b"\n")
        self._refuse_length(len(line))
        if not end:
            return None
        self._pending = rest
        self.banner = self.banner or printable(line)
        return line.removesuffix(b"\r").decode("utf-8", "replace")


def is_needed(protocol: AppProtocol) -> TypeGuard[StartTlsProtocol]:
    """Return whether TLS starts after a dialogue in plain text."""
    return protocol in get_args(StartTlsProtocol)


def start(protocol: StartTlsProtocol, ehlo_name: str, to: str = "") -> Dialogue[Any]:
    """Return a new dialogue.

    ``ehlo_name`` is what SMTP's EHLO says: a host name or an address literal. ``to`` is the domain that an XMPP stream
    is opened to.
    """
    starts: dict[StartTlsProtocol, Callable[[], Dialogue[Any]]] = {
        "smtp": lambda: LineDialogue(_smtp(ehlo_name)),
        # IMAP's server may send untagged lines whenever it likes (RFC 9051 section 7).
        "imap": lambda: LineDialogue(_imap(), may_interject=True),
        "pop3": lambda: LineDialogue(_pop3()),
        "xmpp-client": lambda: XmppDialogue("jabber:client", to),
        "xmpp-server": lambda: XmppDialogue("jabber:server", to),
    }
    return starts[protocol]()


# --------------------------------------------------------------------------------------------------------------------
# SMTP (RFC 5321, RFC 3207)
# --------------------------------------------------------------------------------------------------------------------


def _smtp(ehlo_name: str) -> _Script:
    code, lines = yield from _smtp_reply(b"", "its banner")
    if code != 220:
        # RFC 5321 section 3.1. Greylisting before STARTTLS shuts DANE senders out (RFC 7672 section 9.2).
        how = "refuses for now in its banner (greylisting, or busy)" if code // 100 == 4 else "refuses in its banner"
        raise DialogueFailed(_refusal(code), f"{how}: {quote(lines[0])}")
    code, lines = yield from _smtp_reply(f"EHLO {ehlo_name}\r\n".encode("ascii", "replace"), "its reply to EHLO")
    if code != 250:
        raise DialogueFailed(_refusal(code), f"refuses EHLO: {quote(lines[0])}")
    keywords = {line[4:].split(" ", 1)[0].upper() for line in lines[1:]}
    if "STARTTLS" not in keywords:
        raise DialogueFailed("no-starttls", "does not offer STARTTLS in its reply to EHLO")
    code, lines = yield from _smtp_reply(b"STARTTLS\r\n", "its reply to STARTTLS")
    if code != 220:
        raise DialogueFailed("starttls-refused", f"offers STARTTLS and refuses it: {quote(lines[0])}")


def _refusal(code: int) -> FailureKind:
    return {4: "greylisted", 5: "rejected"}.get(code // 100, "not-spoken")  # type: ignore[return-value]  # literals


def _smtp_reply(send: bytes, expects: str) -> Generator[Need, str, tuple[int, list[str]]]:
    """Read one reply of one or more lines (RFC 5321 section 4.2.1); return its code and its lines."""
    lines = [(yield Need(send, expects))]
    while True:
        line = lines[-1]
        code = line[:3]
        if not (code.isascii() and code.isdigit() and "2" <= code[0] <= "5") or line[3:4] not in {"", " ", "-"}:
            raise DialogueFailed(
                "not-spoken", f"sent something that is not SMTP where {expects} was expected: {quote(line)}"
            )
        if code != lines[0][:3]:
            raise DialogueFailed("not-spoken", f"sent two codes in {expects}: {quote(lines[0])} and {quote(line)}")
        if line[3:4] != "-":
            return int(code), lines
        lines.append((yield Need(b"", expects)))


# --------------------------------------------------------------------------------------------------------------------
# IMAP (RFC 9051)
# --------------------------------------------------------------------------------------------------------------------


def _imap() -> _Script:
    line = yield Need(b"", "its greeting")
    words = line.upper().split(None, 2)
    if words[:2] == ["*", "PREAUTH"]:
        raise DialogueFailed(
            "no-starttls", f"greets as already authenticated, where STARTTLS is forbidden: {quote(line)}"
        )
    if words[:2] == ["*", "BYE"]:
        raise DialogueFailed("rejected", f"refuses in its greeting: {quote(line)}")
    if words[:2] != ["*", "OK"]:
        raise DialogueFailed(
            "not-spoken", f"sent something that is not IMAP where its greeting was expected: {quote(line)}"
        )
    untagged, result = yield from _imap_response("a1", "CAPABILITY")
    if result[1:2] != ["OK"]:
        raise DialogueFailed("rejected", f"refuses CAPABILITY: {quote(' '.join(result))}")
    words = [word for line in untagged for word in line.upper().split() if line.upper().startswith("* CAPABILITY ")]
    if "STARTTLS" not in words:
        raise DialogueFailed("no-starttls", "does not offer STARTTLS among its capabilities")
    _, result = yield from _imap_response("a2", "STARTTLS")  # RFC 9051 section 6.2.1
    if result[1:2] != ["OK"]:
        raise DialogueFailed("starttls-refused", f"offers STARTTLS and refuses it: {quote(' '.join(result))}")


def _imap_response(tag: str, command: str) -> Generator[Need, str, tuple[list[str], list[str]]]:
    """Send a command; return the untagged lines and the words of the tagged one, its status in upper case."""
    expects = f"its reply to {command}"
    untagged: list[str] = []
    line = yield Need(f"{tag} {command}\r\n".encode("ascii"), expects)
    while True:
        if line.upper().startswith("* BYE"):
            raise DialogueFailed("hung-up", f"hangs up where {expects} was expected: {quote(line)}")
        if line.startswith(f"{tag} "):
            words = line.split(" ", 2)
            return untagged, [words[0], words[1].upper(), *words[2:]]
        if not line.startswith("* "):
            raise DialogueFailed(
                "not-spoken", f"sent something that is not IMAP where {expects} was expected: {quote(line)}"
            )
        untagged.append(line)
        line = yield Need(b"", expects)


# --------------------------------------------------------------------------------------------------------------------
# POP3 (RFC 1939, RFC 2449, RFC 2595)
# --------------------------------------------------------------------------------------------------------------------


def _pop3() -> _Script:
    line = yield from _pop3_status(b"", "its greeting")
    if line.startswith("-ERR"):
        raise DialogueFailed("rejected", f"refuses in its greeting: {quote(line)}")
    line = yield from _pop3_status(b"CAPA\r\n", "its reply to CAPA")
    if line.startswith("+OK"):  # a server without CAPA may know STLS all the same
        capabilities: set[str] = set()
        while (line := (yield Need(b"", "its reply to CAPA"))) != ".":
            capabilities.add(line.split(" ", 1)[0].upper())
        if "STLS" not in capabilities:
            raise DialogueFailed("no-starttls", "does not offer STLS among its capabilities")
    line = yield from _pop3_status(b"STLS\r\n", "its reply to STLS")  # RFC 2595 section 4
    if line.startswith("-ERR"):
        raise DialogueFailed("starttls-refused", f"refuses STLS: {quote(line)}")


def _pop3_status(send: bytes, expects: str) -> Generator[Need, str, str]:
    line = yield Need(send, expects)
    if not line.startswith(("+OK", "-ERR")):
        raise DialogueFailed(
            "not-spoken", f"sent something that is not POP3 where {expects} was expected: {quote(line)}"
        )
    return line
