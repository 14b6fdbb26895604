"""What goes wrong, and when a process dies.

A crash is kill -9: nothing of the incarnation runs afterwards. Python would still run its ``finally`` blocks, so every
ring of a dead incarnation raises at any further touch, and what such a block wanted to do does not happen.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from random import Random
from types import TracebackType
from typing import Any, TypeVar, cast

from simulation.timeline import Timeline

T = TypeVar("T")


class SimulatedCrash(BaseException):
    """The process is gone, wherever it was."""


def nobody(*_: object) -> Any:
    """Object to nothing."""


class Faults:
    """Random faults until ``calm_from``, scaled by ``intensity``; counted by kind.

    ``armed`` are faults that strike at their next opportunity, whatever chance says.
    """

    def __init__(self, rng: Random, timeline: Timeline, intensity: float, calm_from: datetime) -> None:
        self._rng = rng
        self._timeline = timeline
        self.intensity = intensity
        self.calm_from = calm_from
        self.counts: Counter[str] = Counter()
        self.armed: Counter[str] = Counter()

    @property
    def calm(self) -> bool:
        return self._timeline.now >= self.calm_from

    def strikes(self, kind: str, probability: float) -> bool:
        """Tell whether something goes wrong at this opportunity."""
        if self.armed[kind] > 0 and not self.calm:
            self.armed[kind] -= 1
            self.counts[kind] += 1
            return True
        if self.calm or self._rng.random() >= probability * self.intensity:
            return False
        self.counts[kind] += 1
        return True


class Life:
    """One incarnation of the process: it dies at its ``fuse``-th touch of the world, where there is a fuse."""

    def __init__(self, fuse: int | None) -> None:
        self._fuse = fuse
        self.dead = False

    def check(self) -> None:
        """End here if the process is dead already."""
        if self.dead:
            raise SimulatedCrash

    def point(self) -> None:
        """Mark an instant at which the process may die."""
        self.check()
        if self._fuse is not None:
            self._fuse -= 1
            if self._fuse <= 0:
                self.dead = True
                raise SimulatedCrash


class _Mortal:
    """A ring in the hands of one incarnation: it may die before each call and after it, before hearing the answer."""

    def __init__(self, ring: object, life: Life) -> None:
        self._ring = ring
        self._life = life

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._ring, name)
        life = self._life

        def call(*args: Any, **kwargs: Any) -> Any:
            life.point()
            result = method(*args, **kwargs)
            if isinstance(result, AbstractContextManager):
                return MortalContext(result, life)
            life.point()
            return result

        return call


class MortalContext(AbstractContextManager[Any]):
    """A context that a dead incarnation never leaves: the lease stays taken, the listener goes with the process."""

    _left_behind: list[object] = []  # noqa: RUF012 (a generator that is collected would run its finally block)

    def __init__(self, context: AbstractContextManager[Any], life: Life) -> None:
        self._context = context
        self._life = life

    def __enter__(self) -> Any:
        self._life.point()
        return self._context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._life.dead:
            self._left_behind.append(self._context)
            return None
        return self._context.__exit__(kind, error, trace)


def mortal(ring: T, life: Life) -> T:
    """Give a ring to one incarnation."""
    return cast("T", _Mortal(ring, life))
