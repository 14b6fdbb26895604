"""The check of the service: over one outside for all visitors, which is made anew before what it remembers is old.

A resolver remembers records for their TTL, but whoever has just repaired a zone wants to see it repaired. So no
outside is used for longer than a minute; those who still use the old one finish with it, and then it is left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from danelaw.check.answers import Answers
from danelaw.check.examine import examine
from danelaw.check.shared import Shared
from danelaw.dane.sender import Wishes
from danelaw.model import Clock, Report, Target
from danelaw.names import is_public_address
from danelaw.web.limits import Networks

FRESH = 60.0
"""Seconds for which an outside is used, and an answer given again."""

TIME_LIMIT = 60.0
"""Seconds for one check."""


def may_reach(allowed: Networks) -> Callable[[str], bool]:
    """Return the predicate of addresses that a stranger's domain may lead to: public ones, and those allowed."""
    return lambda address: is_public_address(address) or address in allowed


@dataclass(slots=True)
class _Used:
    outside: Answers
    ending: AsyncExitStack
    until: float
    users: int = 0


class Examining:
    """`jobs.Examiner` over the real outside. ``make`` returns a new one, to be entered; `close` leaves the last."""

    def __init__(
        self,
        make: Callable[[], AbstractAsyncContextManager[Answers]],
        clock: Clock,
        wishes: Wishes | None = None,
        *,
        fresh: float = FRESH,
    ) -> None:
        self._make, self._clock, self._wishes, self._fresh = make, clock, wishes, fresh
        self._current: _Used | None = None
        self._entering = asyncio.Lock()

    async def __call__(self, target: Target, tell: Callable[[str], None]) -> Report:
        """Return the report on a target. Raises `Refused` or `InputError` where this machine cannot look."""
        async with self._outside() as outside:
            return await examine(target, outside, self._clock, self._wishes, tell, time_limit=TIME_LIMIT)

    async def close(self) -> None:
        """Leave the outside."""
        used, self._current = self._current, None
        if used is not None and not used.users:
            await used.ending.aclose()

    @asynccontextmanager
    async def _outside(self) -> AsyncIterator[Answers]:
        used = await self._enter()
        try:
            yield used.outside
        finally:
            used.users -= 1
            if not used.users and used is not self._current:
                await used.ending.aclose()

    async def _enter(self) -> _Used:
        async with self._entering:
            now = asyncio.get_running_loop().time()
            used = self._current
            if used is None or now >= used.until:
                async with AsyncExitStack() as opened:
                    outside = await opened.enter_async_context(self._make())
                    ending = opened.pop_all()
                fresh = _Used(Shared(outside, seconds=self._fresh), ending, now + self._fresh)
                await self.close()
                used = self._current = fresh
            used.users += 1
            return used
