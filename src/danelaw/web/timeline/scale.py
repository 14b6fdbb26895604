"""A scale of time on which seconds and months both have room: even between two instants at which something happens.

From one such instant to the next, a stretch is as wide as the logarithm of its length: a wait of two hours beside a
certificate of 90 days is about a quarter as wide, not a thousandth.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from math import log2
from typing import NamedTuple

UNIT = 600.0
"""Seconds up to which lengths are about proportional; above, they count by their logarithm."""

LEAST = 5.0
"""Units of the picture between two instants, where there are not too many."""

AT_ONCE = timedelta(seconds=1)
"""What is no further apart happens at once."""


class Stretch(NamedTuple):
    """Where the time from one knot to the next lies on the scale."""

    start: datetime
    end: datetime
    left: float
    right: float


class Scale:
    """Instants as places between ``left`` and ``left + width``."""

    def __init__(self, instants: Iterable[datetime], left: float, width: float) -> None:
        knots: list[datetime] = []
        for at in sorted(set(instants)):
            if not knots or at - knots[-1] > AT_ONCE:
                knots.append(at)
        weights = [log2(1 + (after - before).total_seconds() / UNIT) for before, after in pairwise(knots)]
        least = min(LEAST, width / (2 * max(len(weights), 1)))
        room, total = width - least * len(weights), sum(weights) or 1.0
        places = [left]
        for weight in weights:
            places.append(places[-1] + least + room * weight / total)
        self.knots, self.places = knots, places

    @property
    def stretches(self) -> list[Stretch]:
        """Return the even parts of the scale, in order."""
        return [
            Stretch(*instants, *places)
            for instants, places in zip(pairwise(self.knots), pairwise(self.places), strict=True)
        ]

    def x(self, at: datetime) -> float:
        """Return where an instant lies; what lies outside is put at the end that it is beyond."""
        number = bisect_right(self.knots, at)
        if number == 0:
            return self.places[0]
        if number == len(self.knots):
            return self.places[-1]
        before, after = self.knots[number - 1], self.knots[number]
        share = (at - before) / (after - before)
        return self.places[number - 1] + share * (self.places[number] - self.places[number - 1])


UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def length(period: timedelta) -> str:
    """Return how long a stretch is, in one unit or two: ``45 s``, ``2 h``, ``2 h 30 min``, ``60 d``."""
    rest, said = max(round(period.total_seconds()), 0), list[str]()
    for name, size in UNITS:
        number, rest = divmod(rest, size)
        if said:
            return f"{said[0]} {number} {name}" if number else said[0]
        if number >= 10:
            return f"{number} {name}"
        if number:
            said.append(f"{number} {name}")
    return said[0] if said else "0 s"
