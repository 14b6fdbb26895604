"""XMPP's way to TLS (RFC 6120 section 5), read tag by tag: no XML parser that could be made to expand anything.

RFC 6120 section 11.1 forbids comments, DTDs and processing instructions: they are refused. Entities are left as they
stand, text is dropped, and nothing is kept but the names of the elements that are open.
"""

import re
from collections.abc import Generator
from typing import Literal, NamedTuple

from danelaw.probe.dialogue import MAX_PIECE, Dialogue, DialogueFailed, Need, printable, quote

ContentNamespace = Literal["jabber:client", "jabber:server"]

MAX_DEPTH = 16
"""Elements inside each other."""

STREAMS = "http://etherx.jabber.org/streams"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"

_STARTTLS = f"<starttls xmlns='{TLS}'/>".encode()

# From "<" to the ">" that is in no attribute's value; then what that must look like.
_WHOLE = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_NAME = rb"[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?"
_VALUE = rb"(?:\"[^\"<]*\"|'[^'<]*')"
_TAG = re.compile(
    rb"<(?P<end>/?)(?P<name>"
    + _NAME
    + rb")(?P<attributes>(?:\s+"
    + _NAME
    + rb"\s*=\s*"
    + _VALUE
    + rb")*)\s*(?P<empty>/?)>"
)
_ATTRIBUTE = re.compile(rb"(" + _NAME + rb")\s*=\s*(" + _VALUE + rb")")
_DECLARATION = re.compile(rb"<\?xml\s[^<>?]*\?>")


class Tag(NamedTuple):
    """One tag. ``name`` has its namespace in braces: ``{jabber:client}message``."""

    name: str
    begins: bool
    ends: bool
    version: str
    text: str


class XmppDialogue(Dialogue[Tag]):
    """The dialogue of one stream; ``banner`` is the server's stream header."""

    def __init__(self, content: ContentNamespace, to: str) -> None:
        self._open: list[tuple[bytes, dict[bytes, bytes]]] = []  # elements, each with the namespaces known inside it
        super().__init__(_stream(content, to))

    def _take(self) -> Tag | None:
        if not self._drop_text():
            return None
        if self._pending.startswith(b"<!"):
            raise self._not_spoken(b"<!")
        if (whole := _WHOLE.match(self._pending)) is None:
            self._refuse_length(len(self._pending))
            return None
        text = whole[0]
        self._refuse_length(len(text))
        self._pending = self._pending[whole.end() :]
        if not self._open and not self.banner and _DECLARATION.fullmatch(text):
            return self._take()
        self.banner = self.banner or printable(text)
        if (tag := _TAG.fullmatch(text)) is None:
            raise self._not_spoken(text)
        return self._read(tag)

    def _drop_text(self) -> bool:
        """Drop what stands before the next tag, which must be white space outside of the stream.

        Returns whether a tag begins and what kind it is can be told.
        """
        text, found, _ = self._pending.partition(b"<")
        if text.strip() and not self._open:
            first, line_end, _ = text.lstrip().partition(b"\n")
            if found or line_end or len(first) > MAX_PIECE:
                self.banner = self.banner or printable(first)
                raise self._not_spoken(first)
            return False
        self._pending = self._pending[len(text) :]
        return len(self._pending) > 1

    def _read(self, tag: re.Match[bytes]) -> Tag:
        """Read a tag in the place where it stands. Raises `DialogueFailed`."""
        name, text = tag["name"], tag[0]
        attributes = {key: value[1:-1] for key, value in _ATTRIBUTE.findall(tag["attributes"])}
        if tag["end"]:
            if attributes or tag["empty"] or not self._open or self._open[-1][0] != name:
                raise self._not_spoken(text)
            _, spaces = self._open.pop()
        else:
            spaces = dict(self._open[-1][1]) if self._open else {}
            spaces.update((key[6:], value) for key, value in attributes.items() if re.fullmatch(rb"xmlns(:.*)?", key))
            if not tag["empty"]:
                self._open.append((name, spaces))
            if len(self._open) > MAX_DEPTH:
                raise DialogueFailed("flood", f"nests more than {MAX_DEPTH} elements where {self.expects} was expected")
        prefix, colon, local = name.rpartition(b":")
        space = spaces.get(prefix if colon else b"", b"")
        return Tag(
            f"{{{_text(space)}}}{_text(local)}",
            not tag["end"],
            bool(tag["end"] or tag["empty"]),
            _text(attributes.get(b"version", b"")),
            _text(text),
        )

    def _not_spoken(self, found: bytes) -> DialogueFailed:
        return _not_spoken(self.expects, _text(found))


def _stream(content: ContentNamespace, to: str) -> Generator[Need, Tag, None]:
    from xml.sax.saxutils import quoteattr  # noqa: PLC0415 (start-up: it imports all of urllib)

    # RFC 6120 section 4.2: the initiating entity speaks first.
    header = (
        f"<?xml version='1.0'?><stream:stream to={quoteattr(to)} version='1.0' xmlns='{content}'"
        f" xmlns:stream='{STREAMS}'>"
    )
    expects = "its stream header"
    tag = yield Need(header.encode(), expects)
    if tag.name != f"{{{STREAMS}}}stream" or tag.ends:
        raise _not_spoken(expects, tag.text)
    if not tag.version:
        # RFC 6120 section 4.7.5: then it is older, and sends no features.
        raise DialogueFailed("no-starttls", f"does not speak XMPP 1.0, which STARTTLS needs: {quote(tag.text)}")
    offer, inside = yield from _element(b"", "its stream features")
    if offer.name != f"{{{STREAMS}}}features":
        raise _not_spoken("its stream features", offer.text)
    if f"{{{TLS}}}starttls" not in inside:
        raise DialogueFailed("no-starttls", "does not offer STARTTLS among its stream features")
    answer, _ = yield from _element(_STARTTLS, "its reply to STARTTLS")
    if answer.name == f"{{{TLS}}}failure":  # RFC 6120 section 5.4.2.2
        raise DialogueFailed("starttls-refused", f"offers STARTTLS and refuses it: {quote(answer.text)}")
    if answer.name != f"{{{TLS}}}proceed":
        raise _not_spoken("its reply to STARTTLS", answer.text)


def _element(send: bytes, expects: str) -> Generator[Need, Tag, tuple[Tag, list[str]]]:
    """Read one whole element of the stream; return its first tag and the names of what is directly inside it."""
    first = tag = yield Need(send, expects)
    if not tag.begins:
        raise DialogueFailed("hung-up", f"closes the stream where {expects} was expected")
    inside: list[str] = []
    depth = 0 if tag.ends else 1
    while depth:
        tag = yield Need(b"", expects)
        if tag.begins and depth == 1:
            inside.append(tag.name)
        depth += tag.begins - tag.ends
    if first.name == f"{{{STREAMS}}}error":  # RFC 6120 section 4.9
        condition = next((name[len(ERRORS) + 2 :] for name in inside if name.startswith(f"{{{ERRORS}}}")), "no reason")
        raise DialogueFailed("rejected", f"sent an error where {expects} was expected: {quote(condition)}")
    return first, inside


def _not_spoken(expects: str, found: str) -> DialogueFailed:
    return DialogueFailed("not-spoken", f"sent something that is not XMPP where {expects} was expected: {quote(found)}")


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace")
