"""The plaintext dialogues before TLS, as state machines that are fed bytes and own no socket.

::

    dialogue = start("smtp", "[192.0.2.1]")
    while not dialogue.done:
        send(dialogue.receive(read()))

Everything received is hostile: lines, replies and the whole dialogue are bounded, and bytes behind the last reply are
refused, since whoever sent them wants plaintext to be taken for what came under TLS (RFC 3207 section 6). Time is
bounded by whoever owns the socket.
"""

from collections.abc import Callable, Generator
from typing import Literal, NamedTuple

from danelaw.model import FailureKind
from danelaw.probe.failures import Failed

StartTlsProtocol = Literal["smtp", "imap", "pop3"]

MAX_LINE = 8192
"""Octets in one line. RFC 5321 section 4.5.3.1.5 allows 512 to SMTP, but IMAP's capabilities are longer."""

MAX_TOTAL = 65536
"""Octets before TLS, all told."""

_QUOTED = 160


INJECTED = "sent plaintext behind its reply to STARTTLS (injected, or a broken server): TLS was not started"


class DialogueFailed(Failed):
    """TLS cannot be started here; the text names the stage and what was found."""


class _Need(NamedTuple):
    """What a script needs next: ``send`` is sent, then one line of what it ``expects`` is read."""

    send: bytes
    expects: str


_Script = Generator[_Need, str, None]


class Dialogue:
    """One dialogue up to the point where TLS starts.

    ``done`` says that TLS starts now; ``expects`` what was awaited last, for whoever runs out of patience; ``banner``
    is the first line that came, printable and short.
    """

    def __init__(self, script: _Script, *, may_interject: bool) -> None:
        self._script = script
        self._may_interject = may_interject
        self._pending = b""
        self._total = 0
        self.done = False
        self.banner = ""
        self.expects = next(script).expects

    def receive(self, data: bytes) -> bytes:
        """Take what the server sent; return what to send back, possibly nothing. Raises `DialogueFailed`."""
        self._total += len(data)
        if self._total > MAX_TOTAL:
            raise DialogueFailed("flood", f"sent more than {MAX_TOTAL} octets where {self.expects} was expected")
        self._pending += data
        answer = b""
        while not self.done and (line := self._line()) is not None:
            answer += self._tell(line)
        return answer

    def _line(self) -> str | None:
        line, end, rest = self._pending.partition(b"\n")
        if len(line) > MAX_LINE:
            raise DialogueFailed(
                "flood", f"sent a line of more than {MAX_LINE} octets where {self.expects} was expected"
            )
        if not end:
            return None
        self._pending = rest
        self.banner = self.banner or printable(line)
        return line.removesuffix(b"\r").decode("utf-8", "replace")

    def _tell(self, line: str) -> bytes:
        try:
            need = self._script.send(line)
        except StopIteration:
            self.done = True
            if self._pending:
                raise DialogueFailed("injected", INJECTED) from None
            return b""
        if need.send and self._pending and not self._may_interject:
            raise DialogueFailed(
                "not-spoken", f"went on behind {self.expects} before it was asked: found {quote(self._pending)}"
            )
        self.expects = need.expects
        return need.send


def start(protocol: StartTlsProtocol, ehlo_name: str) -> Dialogue:
    """Return a new dialogue; ``ehlo_name`` is what SMTP's EHLO says: a host name or an address literal."""
    scripts: dict[StartTlsProtocol, Callable[[], _Script]] = {
        "smtp": lambda: _smtp(ehlo_name),
        "imap": _imap,
        "pop3": _pop3,
    }
    # IMAP's server may send untagged lines whenever it likes (RFC 9051 section 7).
    return Dialogue(scripts[protocol](), may_interject=protocol == "imap")


def quote(line: str | bytes) -> str:
    """Return what a server sent as one short quoted line of printable ASCII."""
    return f"'{printable(line)}'"


def printable(line: str | bytes) -> str:
    """Return what a server sent as one short line of printable ASCII."""
    text = line[: 4 * _QUOTED].decode("ascii", "replace") if isinstance(line, bytes) else line
    text = text.strip()
    clean = "".join(c if " " <= c <= "~" else "?" for c in text[: _QUOTED + 1])
    return f"{clean[:_QUOTED]}…" if len(clean) > _QUOTED else clean


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


def _smtp_reply(send: bytes, expects: str) -> Generator[_Need, str, tuple[int, list[str]]]:
    """Read one reply of one or more lines (RFC 5321 section 4.2.1); return its code and its lines."""
    lines = [(yield _Need(send, expects))]
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
        lines.append((yield _Need(b"", expects)))


# --------------------------------------------------------------------------------------------------------------------
# IMAP (RFC 9051)
# --------------------------------------------------------------------------------------------------------------------


def _imap() -> _Script:
    line = yield _Need(b"", "its greeting")
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


def _imap_response(tag: str, command: str) -> Generator[_Need, str, tuple[list[str], list[str]]]:
    """Send a command; return the untagged lines and the words of the tagged one, its status in upper case."""
    expects = f"its reply to {command}"
    untagged: list[str] = []
    line = yield _Need(f"{tag} {command}\r\n".encode("ascii"), expects)
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
        line = yield _Need(b"", expects)


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
        while (line := (yield _Need(b"", "its reply to CAPA"))) != ".":
            capabilities.add(line.split(" ", 1)[0].upper())
        if "STLS" not in capabilities:
            raise DialogueFailed("no-starttls", "does not offer STLS among its capabilities")
    line = yield from _pop3_status(b"STLS\r\n", "its reply to STLS")  # RFC 2595 section 4
    if line.startswith("-ERR"):
        raise DialogueFailed("starttls-refused", f"refuses STLS: {quote(line)}")


def _pop3_status(send: bytes, expects: str) -> Generator[_Need, str, str]:
    line = yield _Need(send, expects)
    if not line.startswith(("+OK", "-ERR")):
        raise DialogueFailed(
            "not-spoken", f"sent something that is not POP3 where {expects} was expected: {quote(line)}"
        )
    return line
