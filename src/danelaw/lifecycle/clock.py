"""Whether the wall clock went as time does, and what was stored by a clock that was ahead.

Every wait here is told by the wall clock, which anybody may set. The boot clock nobody sets; it counts while the
machine is suspended, and begins anew with each boot. Where the two disagree, nothing that passed before proves
anything about what caches hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, TypeVar

from danelaw.model import ClockSeen, ClockStepped, Effect, Fact, Facts

SLACK = 2.0
"""Seconds by which the clocks may disagree: a leap second, and the moment between reading one and the other."""

DRIFT = 0.001
"""The part of what has passed by which they may disagree beyond that; NTP slews by 500 ppm at most."""

UP_AGAIN = 3600.0
"""Seconds that a machine may have been off: more proves nothing, since a clock that is ahead looks the same."""

MOST = 1e11
"""Seconds, some 3,000 years: no step is said to be longer."""

MICROSECOND = timedelta(microseconds=1)

_AHEAD = frozenset({"rrsig_expires", "retry_at"})
"""Fields of facts that say what is to come, and not what was seen or done."""

_Row = TypeVar("_Row", bound=Fact | Effect)


def stepped(seen: ClockSeen, now: datetime, boot: tuple[str, float]) -> ClockStepped | None:
    """Return the step that the wall clock made since it was ``seen``, or None where it went as time does.

    ``boot`` is the boot id and the seconds since boot as they are at ``now``. In one boot, the wall clock must have
    gone as far as the boot clock. After another boot (or where the boot clock went back, as in a machine put back to a
    snapshot), it must not have gone back, nor further than since that boot and an hour.
    """
    boot_id, boot_seconds = boot
    passed = (now - seen.at).total_seconds()
    counted = boot_seconds - seen.boot_seconds
    if boot_id == seen.boot_id and counted >= -SLACK:
        drift, proven = passed - counted, abs(passed - counted) <= SLACK + DRIFT * max(counted, 0.0)
    elif passed < 0:
        drift, proven = passed, False
    else:
        drift, proven = passed - boot_seconds, passed <= boot_seconds + UP_AGAIN
    if proven:
        return None
    return ClockStepped(now, boot_id, max(-MOST, min(drift, MOST)) if isfinite(drift) else passed)


def ahead_by(facts: Facts, since: datetime) -> timedelta:
    """Return how far the wall clock may be ahead of time, by the steps that it made after an instant.

    So much later is what was to end at an instant that others named, such as a signature. Zero where it was set back.
    """
    seconds = sum(step.seconds for step in facts.clock_steps if step.at > since)
    return timedelta(seconds=max(0.0, min(seconds, MOST)))


def instants(row: Fact | Effect) -> Iterator[datetime]:
    """Yield the instants of what a row says was seen or done."""
    for name in _INSTANTS[type(row)]:
        at = getattr(row, name)
        if at is not None:
            yield at


def moves(facts: Facts, at: datetime) -> dict[datetime, datetime]:
    """Return where the instants go that lie after ``at``, by a clock that has been set back to it since: just before.

    They keep their order and stay apart, those before that they would meet included. Empty where none lies after.
    """
    known = sorted({each for row in _rows(facts) for each in instants(row)}, reverse=True)
    found: dict[datetime, datetime] = {}
    if not known or known[0] <= at:
        return found
    last = at
    for each in known:
        if each < last:
            break
        last = found[each] = last - MICROSECOND
    return found


def moved(row: _Row, moves: Mapping[datetime, datetime]) -> _Row:
    """Return a row with its instants where `moves` puts them; itself where none of them is moved.

    What is to be tried again keeps its distance from the try: a CA says "in an hour", and means it.
    """
    changes: dict[str, Any] = {
        name: moves[at] for name in _INSTANTS[type(row)] if (at := getattr(row, name)) is not None and at in moves
    }
    if not changes:
        return row
    ended, retry = (row.ended_at, row.retry_at) if isinstance(row, Effect) else (None, None)
    if ended and retry and ended in moves and ended < retry:
        changes["retry_at"] = moves[ended] + (retry - ended)
    return replace(row, **changes)


def levelled(facts: Facts, at: datetime) -> Facts:
    """Return the facts with nothing seen or done after ``at`` (`moves`); the facts themselves where nothing was."""
    found = moves(facts, at)
    if not found:
        return facts
    changes = {each.name: tuple(moved(row, found) for row in getattr(facts, each.name)) for each in fields(Facts)}
    return replace(facts, **changes)


def _rows(facts: Facts) -> Iterator[Fact | Effect]:
    for each in fields(facts):
        yield from getattr(facts, each.name)


def _instants() -> dict[type, tuple[str, ...]]:
    """Map each kind of row to its fields that hold instants, read from the annotations themselves.

    How the clocks were seen to stand is left as it was: that is what the next look compares with.
    """
    kinds = [each.type.__args__[0] for each in fields(Facts)]  # type: ignore[union-attr]
    return {
        kind: ()
        if kind is ClockSeen
        else tuple(f.name for f in fields(kind) if f.type in {datetime, datetime | None} and f.name not in _AHEAD)
        for kind in kinds
    }


_INSTANTS = _instants()
