"""Owner names whose records tell one story are shown once: a key's record stands at every port of a host."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from danelaw.web.timeline.spans import Group, Row, Span
from danelaw.web.words import listed

NEAR = timedelta(minutes=5)
"""By so much the instants of two owner names may differ, since they are published and looked at one after the other."""

ANSWERS = "Answers that senders may hold of "


class Told(NamedTuple):
    """The records and answers of some owner names, as they are shown of the first."""

    owners: tuple[str, ...]
    records: Group
    answers: Group

    @property
    def groups(self) -> tuple[Group, Group]:
        """Return both groups with all owner names in their headings."""
        names = in_words(self.owners)
        return (
            replace(self.records, heading=f"TLSA records of {names}"),
            replace(self.answers, heading=ANSWERS + names),
        )


def merged(found: Iterable[Told]) -> list[Told]:
    """Return what is told, each story once, in the order met."""
    stories: list[Told] = []
    for each in found:
        place = next((n for n, other in enumerate(stories) if _alike(each, other)), None)
        if place is None:
            stories.append(each)
        else:
            stories[place] = stories[place]._replace(owners=(*stories[place].owners, *each.owners))
    return stories


def _alike(one: Told, other: Told) -> bool:
    return _same(one.records, other.records) and _same(one.answers, other.answers)


def _same(one: Group, other: Group) -> bool:
    if len(one.rows) != len(other.rows) or one.left_out != other.left_out:
        return False
    return all(_same_row(*rows) for rows in zip(one.rows, other.rows, strict=True))


def _same_row(one: Row, other: Row) -> bool:
    if (one.label, one.note, one.letter) != (other.label, other.note, other.letter):
        return False
    spans, others = _lasting(one), _lasting(other)
    return len(spans) == len(others) and all(
        (a.kind, a.role) == (b.kind, b.role) and _near(a.start, b.start) and _near(a.end, b.end)
        for a, b in zip(spans, others, strict=True)
    )


def _lasting(row: Row) -> list[Span]:
    return [span for span in row.spans if span.end is None or span.end - span.start > NEAR]


def _near(one: datetime | None, other: datetime | None) -> bool:
    return one == other if one is None or other is None else abs(one - other) <= NEAR


def in_words(owners: Iterable[str]) -> str:
    """Return owner names in few words: one as it is, several of a host as ``_25 and _465 at mail.example.org``."""
    hosts: dict[str, list[str]] = {}
    for owner in owners:
        port, _, rest = owner.partition(".")
        hosts.setdefault(rest, []).append(port)
    return "; ".join(
        f"{ports[0]}.{rest}" if len(ports) == 1 else f"{listed(ports)} at {rest.removeprefix('_tcp.').rstrip('.')}"
        for rest, ports in hosts.items()
    )
