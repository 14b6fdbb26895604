"""What a page shows of a plan: per certificate its picture, the same in a table, and the steps as a list."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, TypeGuard

from markupsafe import Markup

from danelaw.errors import DanelawError
from danelaw.lifecycle.components import components, own_facts
from danelaw.lifecycle.timeline import Entry
from danelaw.lifecycle.timeline import timeline as planned
from danelaw.model import Desired, Facts, Hold, Step, TlsaRecord, Wait
from danelaw.run.act import describe
from danelaw.web.timeline.alike import ANSWERS, in_words
from danelaw.web.timeline.build import concerns, timeline_of
from danelaw.web.timeline.chart import sample_bar, sample_flag
from danelaw.web.timeline.foreseen import seen_again
from danelaw.web.timeline.lives import digest
from danelaw.web.timeline.picture import narrow, picture
from danelaw.web.timeline.spans import ROLE_WORDS, Kind, MarkKind, Role, Span, Timeline
from danelaw.web.timeline.zone import named

MOST_PICTURES = 40
"""On one page."""


class Line(NamedTuple):
    """One line of a plan: what happens, or what is waited for (``wait`` is its code, "" for a step), and why."""

    does: str
    why: str
    wait: str


class Moment(NamedTuple):
    """What a plan has for one instant. ``cached``: of each owner name, in words, what senders may hold until then."""

    at: datetime
    now: bool
    lines: tuple[Line, ...]
    cached: tuple[tuple[str, str], ...]


class View(NamedTuple):
    """One certificate on a page; without pictures where there are too many."""

    timeline: Timeline
    wide: Markup
    labels: Markup
    chart: Markup
    moments: tuple[Moment, ...]

    @property
    def refused(self) -> tuple[tuple[str, str, Span], ...]:
        """Return when whoever holds an answer refuses what is presented: the answer, where, and from when to when."""
        return tuple(
            (row.label, group.heading.removeprefix(ANSWERS), span)
            for group in self.timeline.groups
            for row in group.rows
            for span in row.spans
            if span.role == "refused"
        )

    @property
    def name(self) -> str:
        """Return the certificate's name in the config."""
        return self.timeline.name


def views(
    desired: Desired, facts: Facts, entries: Sequence[Entry], now: datetime, names: Sequence[str] = ()
) -> tuple[View, ...]:
    """Return what a page shows of each certificate, or of those named; ``entries`` are a plan made of ``facts``.

    Only the first `MOST_PICTURES` have a picture and a table.
    """
    found: list[View] = []
    for part in components(desired, names):
        about = [entry for entry in entries if any(concerns(entry, spec) for spec in part.certificates)]
        # Parts are looked at one after the other: each was planned at an instant of its own.
        at = min((entry.at for entry in about if entry.now), default=now)
        known = own_facts(part, facts)
        for spec in part.certificates:
            if spec.name in (names or (spec.name,)):
                own = [entry for entry in about if concerns(entry, spec)]
                found.append(_view(timeline_of(part, known, about, at, spec.name), own, len(found)))
    order = [spec.name for spec in desired.certificates]
    return tuple(sorted(found, key=lambda view: order.index(view.name)))


def _view(timeline: Timeline, entries: Sequence[Entry], number: int) -> View:
    moments = _moments(timeline, entries)
    if number >= MOST_PICTURES:
        return View(timeline, Markup(), Markup(), Markup(), moments)
    name = f"timeline-{number}"
    labels, chart = narrow(timeline, name=f"{name}-narrow")
    wide = picture(timeline, name=name, style=False)
    return View(timeline, wide, labels, chart, moments)


def _moments(timeline: Timeline, entries: Sequence[Entry]) -> tuple[Moment, ...]:
    """Return a plan's steps and waits by their instants: those of steps, and of waits those at which they end.

    Of several waits for one renewal the last counts: a new certificate is due later than the one before.
    """
    renewals = {entry.what.subject: entry for entry in entries if _is_renewal(entry.what)}
    found: dict[datetime, list[Entry]] = {}
    for entry in entries:
        what = entry.what
        if isinstance(what, Hold) or (_is_renewal(what) and renewals[what.subject] is not entry):
            continue
        found.setdefault(what.until if isinstance(what, Wait) else entry.at, []).append(entry)
    return tuple(_moment(timeline, at, found[at]) for at in sorted(found))


def _is_renewal(what: Step | Wait | Hold) -> TypeGuard[Wait]:
    return isinstance(what, Wait) and what.code == "renewal"


def _moment(timeline: Timeline, at: datetime, entries: Sequence[Entry]) -> Moment:
    """Return one instant of a plan: what was waited for until then, and the steps that follow."""
    waits = [_line(timeline, each.what) for each in entries if isinstance(each.what, Wait)]
    steps = [entry for entry in entries if not isinstance(entry.what, Wait)]
    held = steps[0].cached if steps else ()
    lines = (*dict.fromkeys(waits), *(_line(timeline, each.what) for each in steps))
    owners: dict[str, list[str]] = {}
    for owner, rrsets in held:
        owners.setdefault(_held(rrsets, timeline.letters), []).append(owner)
    cached = tuple((in_words(names), said) for said, names in owners.items())
    return Moment(at, bool(steps) and steps[0].now, lines, cached)


def _line(timeline: Timeline, what: Step | Wait | Hold) -> Line:
    if isinstance(what, Wait | Hold):
        return Line("", _named(timeline, what.why), what.code)
    return Line(_named(timeline, describe(what)), _named(timeline, what.why), "")


def _named(timeline: Timeline, text: str) -> str:
    """Return a sentence in which records go by their letters too, and keys that nobody has yet by no digest."""
    for record, letter in timeline.letters.items():
        made = any(record.data == bytes.fromhex(spki) for spki in timeline.to_be_made)
        short = f"{record.spec} of a key to be made" if made else f"{record.spec} {record.data.hex()[:16]}…"
        text = text.replace(str(record), f"{letter} ({short})")
    for spki in timeline.to_be_made:
        text = text.replace(digest(spki), "(to be made)")
    return text


def _held(rrsets: Iterable[tuple[TlsaRecord, ...]], letters: Mapping[TlsaRecord, str]) -> str:
    return ", or ".join(named(rrset, letters) for rrset in rrsets) or "nothing"


def stored_plan(desired: Desired, facts: Facts, now: datetime) -> list[Entry]:
    """Return the plan that follows from what is stored, without a look: as if everything stood as it was seen last."""
    entries: list[Entry] = []
    for part in components(desired):
        with suppress(DanelawError):  # a defect in a decision: apply says it
            entries.extend(planned(part, seen_again(own_facts(part, facts), now), now))
    return sorted(entries, key=lambda entry: entry.at)


def legend() -> list[tuple[Markup, str]]:
    """Return what the signs of a picture mean, each with the sign itself."""
    roles: tuple[Role, ...] = ("current", "next", "retired", "issuer", "foreign", "answer", "refused")
    kinds: tuple[tuple[Kind, str], ...] = (
        ("partly", "pale: served by some servers only"),
        ("cached", "low: withdrawn, and caches may hold it"),
        ("kept", "thin: kept, or valid; thick: presented"),
    )
    marks: tuple[tuple[MarkKind, str], ...] = (
        ("asked", "asked for, or due by the schedule"),
        ("cutover", "cutover: the next key goes live"),
        ("proof", "proof"),
        ("settled", "settled: the old key's records go"),
        ("renewal", "renewal due"),
        ("retired", "the old key goes"),
        ("failed", "what failed or was revoked"),
    )
    found = [(sample_bar("served", role), ROLE_WORDS[role]) for role in roles]
    found.append((sample_bar("served", "current", planned=True), "hatched: planned, at the earliest then"))
    found += [(sample_bar(kind, "current"), text) for kind, text in kinds]
    return found + [(sample_flag(kind), text) for kind, text in marks]
