"""The words of a timeline: rows of spans, marks, and whose each record and key is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from danelaw.model import TlsaRecord

Role = Literal["current", "next", "retired", "issuer", "foreign", "answer", "refused"]
"""Whose a span is: a certificate's current, next or retired key's; a CA's, pinned by usage 0 or 2; nobody's here.

``answer``: a whole RRset, whose records have roles of their own; *refused*: who holds it refuses what is presented.
"""

Kind = Literal["served", "partly", "cached", "kept", "valid", "live"]
"""What a span says of its row: records are served by every server or *partly*, by some; then *cached* by resolvers.

Keys are *kept*, certificates *valid*, and both *live* while an address presents them.
"""

MarkKind = Literal[
    "asked", "cutover", "proof", "failed", "settled", "renewal", "again", "retired", "revoked", "compromised", "clock"
]

ROLE_WORDS: Mapping[Role, str] = {
    "current": "current key",
    "next": "next key",
    "retired": "retired key",
    "issuer": "a CA's",
    "foreign": "not our key",
    "answer": "a whole answer (RRset)",
    "refused": "refuses what is presented",
}

KIND_WORDS: Mapping[Kind, str] = {
    "served": "served",
    "partly": "served by some servers",
    "cached": "may be cached",
    "kept": "kept",
    "valid": "valid",
    "live": "presented",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A row from ``start`` to ``end`` (None: as far as anybody sees). What lies after now is planned."""

    start: datetime
    end: datetime | None
    kind: Kind
    role: Role


@dataclass(frozen=True, slots=True)
class Row:
    """A record, a whole answer, a key or a certificate: ``label`` is its own text, ``note`` ours about it."""

    label: str
    note: str
    spans: tuple[Span, ...]
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together: ``kind`` in a word, the heading in more. ``left_out``: what is not shown, in words."""

    kind: str
    heading: str
    rows: tuple[Row, ...]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happens at an instant."""

    at: datetime
    kind: MarkKind
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the picture of one certificate shows, from ``start`` to ``end``; both are shown.

    ``letters`` names each record in the order met: ``a``, ``b`` and so on. ``to_be_made`` are keys that nobody has yet,
    by the digests that a plan gives them meanwhile; ``earlier_marks`` how many marks are left out.
    """

    name: str
    now: datetime
    start: datetime
    end: datetime
    groups: tuple[Group, ...]
    marks: tuple[Mark, ...]
    letters: Mapping[TlsaRecord, str] = field(default_factory=dict)
    to_be_made: tuple[str, ...] = ()
    earlier_marks: int = 0


def count(number: int, one: str, several: str) -> str:
    """Return how many are not shown, in words; "" for none."""
    return f"{number} {one if number == 1 else several} not shown" if number else ""


def is_after(spans: Iterable[Span], since: datetime) -> bool:
    """Tell whether any span reaches beyond an instant."""
    return any(each.end is None or each.end > since for each in spans)


def words_of(span: Span, now: datetime) -> dict[str, str]:
    """Return a span for the table: what, whose, from, until, and how it is known."""
    until = "" if span.end is None else f"{span.end:%Y-%m-%d %H:%M}"
    known = "planned" if span.start >= now else "so far" if span.end is None else "seen"
    if span.start < now and span.end is not None and span.end > now:
        known = "the end is planned"
    return {
        "what": KIND_WORDS[span.kind],
        "role": ROLE_WORDS[span.role],
        "start": f"{span.start:%Y-%m-%d %H:%M}",
        "end": until,
        "known": known,
    }
