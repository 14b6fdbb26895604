"""The records at one owner name over time: from publication to withdrawal, and until no cache holds them any more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from danelaw import dane
from danelaw.lifecycle.gate import (
    GRACE,
    Held,
    held,
    is_strict,
    owner_state,
    relevant_servers,
    span,
)
from danelaw.lifecycle.sight import SIGNED_ANEW, counted_from
from danelaw.model import Chain, Desired, Facts, RRsetSeen, TlsaRecord
from danelaw.web.timeline.intervals import Interval, Sighting, Tracks, cut, joined, present
from danelaw.web.timeline.lives import Life, Lives, digest, is_instant, spans_of
from danelaw.web.timeline.sights import Sights
from danelaw.web.timeline.spans import ROLE_WORDS, Group, Kind, Role, Row, Span, count, is_after

Records = tuple[TlsaRecord, ...]


class Tail(NamedTuple):
    """An RRset, when it was served, and until when a sender may hold it (None: nobody can say).

    ``sure``: w after it was seen last. What the gate counts beyond (when the next look came, servers that nobody hears,
    clocks that were set) may be, and need not.
    """

    rrset: Records
    served: Interval
    until: datetime | None
    sure: datetime | None


MOST_RECORDS = 10
MOST_ANSWERS = 8

A_LOOK = timedelta(days=1)
"""A record that was added this long before it was first seen counts as published when it was added."""


class Zone:
    """One owner name. ``before`` are the facts of now, ``facts`` those of the plan's end, which hold the former."""

    def __init__(self, desired: Desired, before: Facts, facts: Facts, owner: str, now: datetime) -> None:
        self.desired, self.before, self.facts, self.owner, self.now = desired, before, facts, owner, now
        self.by_rrset: dict[Records, list[RRsetSeen]] = {}
        for row in sorted((row for row in facts.rrsets if row.owner == owner), key=lambda row: row.first_at):
            self.by_rrset.setdefault(_in_order(row), []).append(row)
        self.tracks = _tracks(facts, owner, now)
        self.tails = self._tails()

    @property
    def records(self) -> list[TlsaRecord]:
        """Return every record that was or will be seen here, in the order of appearance."""
        return list(dict.fromkeys(record for rrset in self.by_rrset for record in rrset))

    def is_ours(self, record: TlsaRecord) -> bool:
        """Tell whether danelaw added a record here."""
        return any((row.owner, row.record) == (self.owner, record) for row in self.facts.own_records)

    def served(self, record: TlsaRecord) -> list[tuple[Interval, bool]]:
        """Return when a record is served, and whether by every server; from when it was added, where that is known."""
        found = present(self.tracks, lambda rdatas: record in rdatas)
        added = [row.added_at for row in self.facts.own_records if (row.owner, row.record) == (self.owner, record)]
        ended: datetime | None = None
        told: list[tuple[Interval, bool]] = []
        for interval, everywhere in found:
            start = interval.start
            earlier = [at for at in added if start - A_LOOK <= at < start and (ended is None or at > ended)]
            if earlier and everywhere and ended != start:
                told.append((Interval(min(earlier), start), False))
            elif earlier and ended != start:
                start = min(earlier)
            told.append((Interval(start, interval.end), everywhere))
            ended = interval.end
        return told

    def cached(self, record: TlsaRecord, start: datetime, end: datetime) -> datetime | None:
        """Return until when a sender may hold an RRset with a record that was served from ``start`` to ``end``."""
        until = [
            tail.until
            for tail in self.tails
            if record in tail.rrset and tail.served.end is not None and start < tail.served.end <= end
        ]
        return None if None in until else max([end, *filter(None, until)])

    def unknown(self) -> Interval | None:
        """Return for how long what nobody saw counts: where an RRset stood at the first look, another may have before.

        None where none stood there, or that is over; a server that did not answer then is left to the gate.
        """
        first = min((row.first_at for row in self.facts.servers if row.owner == self.owner), default=None)
        rows = [row for rows in self.by_rrset.values() for row in rows if row.first_at == first]
        if first is None or not any(row.rdatas for row in rows):
            return None
        wait = span(rows, self.desired.lookup_margin, self.desired.history)
        until = counted_from(self.before, first) + wait
        return Interval(first, until) if until > self.now else None

    def refusing(self, rrset: Records) -> list[Interval]:
        """Return when an address presents a chain that senders refuse who hold this RRset.

        None where the zone is not signed: nobody uses the records (RFC 7672 section 2.2).
        """
        state = owner_state(self.before, self.owner)
        if state is not None and state.security == "insecure":
            return []
        smtp, host = self.owner.startswith("_25."), self.owner.split(".", 2)[2].rstrip(".")
        if not any(dane.usable(record, smtp=smtp) for record in rrset):
            return []
        # What every sender refuses: the gate is stricter, by what is claimed now, which was another thing then.
        return joined(
            each
            for chain, times in self._presented
            for each in times
            if not dane.accepts(rrset, chain, (host,), each.start, smtp=smtp)
        )

    @cached_property
    def _presented(self) -> list[tuple[Chain, list[Interval]]]:
        """Return when each chain was or will be presented here."""
        sights = Sights.at_owner(self.owner, self.facts, self.now)
        return [
            (chain, sights.live(lambda seen, leaf=chain.leaf_sha256: seen.leaf_sha256 == leaf))  # type: ignore[misc]
            for chain in sights.chains
        ]

    def _tails(self) -> list[Tail]:
        holding = {tuple(sorted(item.rdatas)): item for item in held(self.before, self.desired, self.owner, self.now)}
        found: list[Tail] = []
        for rrset, rows in self.by_rrset.items():
            times = joined(interval for interval, _ in present(self.tracks, lambda seen, rrset=rrset: seen == rrset))  # type: ignore[misc]
            for number, interval in enumerate(times):
                coming = times[number + 1].start if number + 1 < len(times) else None
                tail = self._tail(rrset, rows, interval, holding.get(rrset))
                if coming is not None:
                    tail = tail._replace(until=min(tail.until or coming, coming))
                found.append(tail)
        return sorted(found, key=lambda tail: tail.served.start)

    def _tail(self, rrset: Records, rows: Iterable[RRsetSeen], served: Interval, item: Held | None) -> Tail:
        """Return L + w of an RRset, where it has an L; what the gate says of now counts before what is reckoned."""
        if served.end is None:
            return Tail(rrset, served, None, None)
        known = [row for row in rows if row.first_at < served.end]
        wait = span(known, self.desired.lookup_margin)
        until = served.end + wait
        seen = max((row.last_at for row in known), default=served.end)
        sure = until if served.end >= self.now else min(seen, served.end) + wait
        signed = [row.rrsig_expires for row in known if row.rrsig_expires]
        if signed and is_strict(self.desired, self.owner):
            until = max(until, max(signed) + SIGNED_ANEW + GRACE)
        if item is not None and item.until is not None and served.end < self.now:
            until = item.until
        elif item is None and served.end < self.now:
            until = min(until, self.now)
        return Tail(rrset, served, until, sure)


def _tracks(facts: Facts, owner: str, now: datetime) -> Tracks[Records]:
    """Return what each server served: until it was seen to serve something else, fell silent, or was named no more."""
    by_server: dict[str, list[RRsetSeen]] = {}
    for row in sorted((row for row in facts.rrsets if row.owner == owner), key=lambda row: row.first_at):
        by_server.setdefault(row.server, []).append(row)
    listed = relevant_servers(facts, owner, now)
    tracks: dict[str, list[Sighting[Records]]] = {}
    for server, own in by_server.items():
        silences = [row.first_at for row in facts.unreachable if (row.owner, row.server) == (owner, server)]
        track: list[Sighting[Records]] = []
        for row, after in zip_longest(own, own[1:]):
            silent = min((at for at in silences if at > row.last_at), default=None)
            ends = [at for at in (after.first_at if after else None, silent) if at is not None]
            end = min(ends, default=None if server in listed else row.last_at)
            rrset = _in_order(row)
            if track and track[-1].what == rrset and track[-1].end == row.first_at:
                track[-1] = Sighting(track[-1].start, end, rrset)  # signing anew begins a row, and changes nothing
            else:
                track.append(Sighting(row.first_at, end, rrset))
        tracks[server] = track
    return tracks


def _in_order(row: RRsetSeen) -> Records:
    return tuple(sorted(row.rdatas))


def record_group(zone: Zone, lives: Lives, letters: dict[TlsaRecord, str], since: datetime, certificate: str) -> Group:
    """Return the records at an owner name as rows, those that were gone before ``since`` left out.

    Each is named by a letter, which is added to ``letters``. Keys of another certificate than this are named as such.
    """
    rows = []
    for record in zone.records:
        owner = lives.of_record(record, certificate)
        spans: list[Span] = []
        served = zone.served(record)
        for interval, everywhere in served:
            spans.extend(spans_of(owner, interval, "served" if everywhere else "partly"))
        whole = joined(interval for interval, _ in served)
        for number, interval in enumerate(whole):
            if interval.end is None:
                continue
            until = zone.cached(record, interval.start, interval.end)
            if number + 1 < len(whole):
                until = min(until or whole[number + 1].start, whole[number + 1].start)
            if until is None or until > interval.end:
                spans.extend(spans_of(owner, Interval(interval.end, until), "cached"))
        if is_after(spans, since):
            rows.append((record, owner, tuple(spans)))
    shown = rows[-MOST_RECORDS:]
    for record, _, _ in shown:
        letters.setdefault(record, letter(len(letters)))
    return Group(
        "Records",
        zone.owner,
        tuple(
            Row(*_said_of(zone, record, owner, certificate), spans, letters[record]) for record, owner, spans in shown
        ),
        count(len(rows) - len(shown), "record is", "records are"),
    )


def _said_of(zone: Zone, record: TlsaRecord, owner: Life | Role, certificate: str) -> tuple[str, str]:
    """Return what a record is called, and whose it is."""
    if not isinstance(owner, Life):
        published = ", published here" if owner == "foreign" and zone.is_ours(record) else ""
        return str(record), ROLE_WORDS[owner] + published
    whose = ROLE_WORDS[owner.stands]
    if owner.key.certificate != certificate:
        whose += f" of {owner.key.certificate}"
    return (f"{record.spec} of a key to be made" if owner.to_be_made else str(record)), whose


def answer_group(zone: Zone, letters: dict[TlsaRecord, str], since: datetime) -> Group:
    """Return the whole RRsets of an owner name as rows: what a sender that asked once may still hold."""
    times: dict[Records, list[Tail]] = {}
    for tail in zone.tails:
        if tail.rrset and (tail.until is None or tail.until > since):
            times.setdefault(tail.rrset, []).append(tail)
    known = []
    for rrset, tails in list(times.items())[-MOST_ANSWERS:]:
        refusing = zone.refusing(rrset)
        spans = [span for tail in tails for span in _judged(tail, refusing)]
        known.append(Row(named(rrset, letters), _many(rrset), tuple(spans)))
    unknown = zone.unknown()
    before = [Row("unknown", "before the first look", (Span(*unknown, "cached", "answer"),))] if unknown else []
    return Group(
        "Answers",
        zone.owner,
        (*before, *known),
        count(len(times) - len(known), "earlier answer is", "earlier answers are"),
    )


def _judged(tail: Tail, refusing: Sequence[Interval]) -> Iterator[Span]:
    """Yield an answer as spans, those apart in which whoever holds it refuses what is presented."""
    served, until, sure = tail.served, tail.until, tail.sure
    if sure is not None:
        refusing = [Interval(each.start, min(each.end or sure, sure)) for each in refusing if each.start < sure]
    changes = [at for each in refusing for at in each if at is not None]
    times: list[tuple[Interval, Kind]] = [(served, "served")]
    if served.end is not None and (until is None or until > served.end):
        times.append((Interval(served.end, until), "cached"))
    for interval, kind in times:
        for piece in cut(interval, changes):
            if not is_instant(piece):
                refuses = any(each.holds(piece.start) for each in refusing)
                yield Span(*piece, kind, "refused" if refuses else "answer")


def named(rrset: Sequence[TlsaRecord], letters: Mapping[TlsaRecord, str]) -> str:
    """Return an RRset by its records' letters: ``a + b``."""
    return " + ".join(sorted(letters.get(record, digest(record.data.hex())) for record in rrset)) or "no records"


def _many(rrset: Records) -> str:
    return f"{len(rrset)} records" if len(rrset) > 1 else "alone"


def letter(number: int) -> str:
    """Return a record's name: ``a`` to ``z``, then ``a2`` and so on."""
    return chr(ord("a") + number % 26) + ("" if number < 26 else str(number // 26 + 1))
