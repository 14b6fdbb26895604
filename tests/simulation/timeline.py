"""Virtual time: true time, which goes on by itself, the wall clock that this host believes, and what happens meanwhile.

True time moves only when somebody spends it, and never jumps; the judge knows no other. The wall clock is that plus an
error, which jumps. The boot clock counts true time since the last boot, whatever the wall clock says.
"""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

START = datetime(2027, 1, 4, 3, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
NAP = timedelta(hours=1)
"""How long `SystemClock` sleeps at once, so that a wall clock set forward ends a sleep."""


class Timeline:
    """The clocks of the simulated world, and the events to come."""

    def __init__(self) -> None:
        self._now = START
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.error = timedelta(0)
        """How far the wall clock is ahead of true time."""
        self.booted_at = START - timedelta(days=30)
        self.boots = 1

    @property
    def now(self) -> datetime:
        """Return true time."""
        return self._now

    @property
    def wall(self) -> datetime:
        """Return what this host takes for the time."""
        return self._now + self.error

    @property
    def boot(self) -> tuple[str, float]:
        return f"boot {self.boots}", (self._now - self.booted_at).total_seconds()

    def true_at(self, wall: datetime) -> datetime:
        """Return when the wall clock shows an instant, if nobody sets it before."""
        return wall - self.error

    def reboot(self) -> None:
        self.boots += 1
        self.booted_at = self._now

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
        """Return the wall clock; no two readings of true time are the same."""
        self.advance_to(self._now + TICK)
        return self.wall


class SimClock:
    """`model.Clock`: what this host's clocks say, to a process that may die in its sleep."""

    def __init__(self, timeline: Timeline, check: Callable[[], None] = lambda: None) -> None:
        self._timeline = timeline
        self._check = check

    def now(self) -> datetime:
        return self._timeline.tick()

    def boot(self) -> tuple[str, float]:
        return self._timeline.boot

    def sleep_until(self, at: datetime) -> None:
        """Sleep in naps until the wall clock, which may be set meanwhile, reaches ``at``."""
        timeline = self._timeline
        while (left := at - timeline.wall) > timedelta(0):
            timeline.advance_to(timeline.now + min(left, NAP))
            self._check()


class SimChance:
    """`model.Chance` from the seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def fraction(self) -> float:
        return self._rng.random()
