"""What the plaintext dialogues before TLS have in common: state machines that are fed bytes and own no socket.

::

    dialogue = start("smtp", "[192.0.2.1]")
    send(dialogue.opening)
    while not dialogue.done:
        send(dialogue.receive(read()))

Everything received is hostile: pieces, replies and the whole dialogue are bounded, and bytes behind the last reply are
refused, since whoever sent them wants plaintext to be taken for what came under TLS (RFC 3207 section 6). Time is
bounded by whoever owns the socket.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Generic, NamedTuple, TypeVar

from danelaw.probe.failures import Failed

MAX_PIECE = 8192
"""Octets in one line or tag. RFC 5321 section 4.5.3.1.5 allows 512 to SMTP, but IMAP's capabilities are longer."""

MAX_TOTAL = 65536
"""Octets before TLS, all told."""

INJECTED = "sent plaintext behind its reply to STARTTLS (injected, or a broken server): TLS was not started"

_QUOTED = 160

Piece = TypeVar("Piece")


class DialogueFailed(Failed):
    """TLS cannot be started here; the text names the stage and what was found."""


class Need(NamedTuple):
    """What a script needs next: ``send`` is sent, then one piece of what it ``expects`` is read."""

    send: bytes
    expects: str


class Dialogue(ABC, Generic[Piece]):
    """One dialogue up to the point where TLS starts. A script is sent pieces: lines, or tags.

    ``opening`` is what is said before anything came. ``done`` says that TLS starts now; ``expects`` what was awaited
    last, for whoever runs out of patience; ``banner`` is the first line that came, printable and short.
    """

    def __init__(self, script: Generator[Need, Piece, None], *, may_interject: bool = False) -> None:
        self._script = script
        self._may_interject = may_interject
        self._pending = b""
        self._total = 0
        self.done = False
        self.banner = ""
        self.opening, self.expects = next(script)

    def receive(self, data: bytes) -> bytes:
        """Take what the server sent; return what to send back, possibly nothing. Raises `DialogueFailed`."""
        room = MAX_TOTAL - self._total
        self._total += len(data)
        self._pending += data[:room]
        answer = b""
        while not self.done and (piece := self._take()) is not None:
            answer += self._tell(piece)
        if self._total > MAX_TOTAL:
            raise DialogueFailed("flood", f"sent more than {MAX_TOTAL} octets where {self.expects} was expected")
        return answer

    @property
    def unfinished(self) -> bytes:
        """Return the octets that came and are no whole line or tag yet."""
        return self._pending

    @abstractmethod
    def _take(self) -> Piece | None:
        """Take the next whole piece from what is pending; None where there is none yet. Raises `DialogueFailed`."""

    def _refuse_length(self, size: int) -> None:
        if size > MAX_PIECE:
            raise DialogueFailed(
                "flood", f"sent a line of more than {MAX_PIECE} octets where {self.expects} was expected"
            )

    def _tell(self, piece: Piece) -> bytes:
        try:
            need = self._script.send(piece)
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


def quote(line: str | bytes) -> str:
    """Return what a server sent as one short quoted line of printable ASCII."""
    return f"'{printable(line)}'"


def printable(line: str | bytes) -> str:
    """Return what a server sent as one short line of printable ASCII."""
    text = line[: 4 * _QUOTED].decode("ascii", "replace") if isinstance(line, bytes) else line
    text = text.strip()
    clean = "".join(c if " " <= c <= "~" else "?" for c in text[: _QUOTED + 1])
    return f"{clean[:_QUOTED]}…" if len(clean) > _QUOTED else clean
