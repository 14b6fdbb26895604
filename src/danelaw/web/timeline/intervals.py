"""From when to when: what several observers saw, laid over each other."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

What = TypeVar("What")


class Interval(NamedTuple):
    """A time from ``start`` up to ``end``, which it does not hold; ``end`` None: nobody saw it end."""

    start: datetime
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Tell whether an instant is in it."""
        return self.start <= at and (self.end is None or at < self.end)


class Sighting(NamedTuple, Generic[What]):
    """What one observer saw, from when to when."""

    start: datetime
    end: datetime | None
    what: What


Tracks = Mapping[str, Sequence[Sighting[What]]]
"""What each observer saw, by ``start``, no two sightings of one at once."""


def present(tracks: Tracks[What], has: Callable[[What], bool]) -> list[tuple[Interval, bool]]:
    """Return when any observer saw something, and whether all who saw anything then saw it, in order.

    Intervals that touch and agree are one.
    """
    bounds = sorted({bound for track in tracks.values() for each in track for bound in (each.start, each.end) if bound})
    starts = {name: [each.start for each in track] for name, track in tracks.items()}
    found: list[tuple[Interval, bool]] = []
    for place, at in enumerate(bounds):
        until = bounds[place + 1] if place + 1 < len(bounds) else None
        seen = []
        for name, track in tracks.items():
            before = bisect_right(starts[name], at)
            each = track[before - 1] if before else None
            if each is not None and (each.end is None or each.end > at):
                seen.append(has(each.what))
        if not any(seen):
            continue
        if found and found[-1][0].end == at and found[-1][1] == all(seen):
            found[-1] = (Interval(found[-1][0].start, until), all(seen))
        else:
            found.append((Interval(at, until), all(seen)))
    return found


def joined(intervals: Iterable[Interval]) -> list[Interval]:
    """Return intervals in order, those that overlap or touch as one."""
    found: list[Interval] = []
    for each in sorted(intervals, key=lambda each: each.start):
        last = found[-1] if found else None
        if last is None or (last.end is not None and last.end < each.start):
            found.append(each)
        elif last.end is not None and (each.end is None or each.end > last.end):
            found[-1] = Interval(last.start, each.end)
    return found


def cut(interval: Interval, at: Iterable[datetime]) -> list[Interval]:
    """Return an interval in pieces, cut at those instants that lie within it."""
    bounds = sorted({each for each in at if each > interval.start and (interval.end is None or each < interval.end)})
    starts, ends = [interval.start, *bounds], [*bounds, interval.end]
    return [Interval(start, end) for start, end in zip(starts, ends, strict=True)]
