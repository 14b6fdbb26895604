"""Virtual time: a clock that moves only when somebody spends time, and what happens by itself on the way."""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

START = datetime(2027, 1, 4, 3, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)


class Timeline:
    """The wall clock of the simulated world, and the events to come."""

    def __init__(self) -> None:
        self._now = START
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    @property
    def now(self) -> datetime:
        return self._now

    def at(self, when: datetime, happens: Callable[[], None]) -> None:
        """Let something happen at an instant, or at once where that has passed."""
        heapq.heappush(self._events, (max(when, self._now), next(self._numbers), happens))

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        self.at(self._now + timedelta(seconds=seconds), happens)

    def advance_to(self, when: datetime) -> None:
        while self._events and self._events[0][0] <= when:
            at, _, happens = heapq.heappop(self._events)
            self._now = max(self._now, at)
            happens()
        self._now = max(self._now, when)

    def spend(self, seconds: float) -> None:
        self.advance_to(self._now + timedelta(seconds=seconds))

    def tick(self) -> datetime:
        """Return the wall clock; no two readings are the same."""
        self.advance_to(self._now + TICK)
        return self._now


class SimClock:
    """`model.Clock` of one incarnation: each boots anew, so that the lease of one that crashed is a dead process's."""

    def __init__(self, timeline: Timeline, boot_id: str) -> None:
        self._timeline = timeline
        self._boot_id = boot_id

    def now(self) -> datetime:
        return self._timeline.tick()

    def boot(self) -> tuple[str, float]:
        return self._boot_id, (self._timeline.now - START).total_seconds()

    def sleep_until(self, at: datetime) -> None:
        self._timeline.advance_to(at)


class SimChance:
    """`model.Chance` from the seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def fraction(self) -> float:
        return self._rng.random()
