"""Looks at the servers of many owner names, which share for a moment what they found of zones and their servers."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from danelaw.model import OwnerLook

AT_ONCE = 32
"""Owner names looked at at one time; for each up to 64 servers may be asked."""

MOMENT = 2.0
"""Seconds for which what was found is good for further names: a server's own answer must not be an old one."""

Looking = Callable[[], AbstractAsyncContextManager[Callable[[str], Awaitable[OwnerLook]]]]
"""Opens what looks at one owner name (`AuthoritativeView.looking`)."""


@dataclass(slots=True)
class _Sight:
    """What looks begun at about the same time share."""

    look: Callable[[str], Awaitable[OwnerLook]]
    ending: AsyncExitStack
    until: float
    users: int = 0


class Looks:
    """Looks through what ``looking`` opens, anew after ``moment`` seconds; nothing is kept when the last is done."""

    def __init__(self, looking: Looking, moment: float = MOMENT) -> None:
        self._looking, self._moment = looking, moment
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._sight: _Sight | None = None

    async def look(self, owner: str) -> OwnerLook:
        """Return what every server says about a TLSA owner name (with the final dot)."""
        async with self._gate:
            sight = await self._current()
            sight.users += 1
            try:
                return await sight.look(owner)
            finally:
                sight.users -= 1
                if not sight.users:  # the next one may wait for long, and would find what is old
                    if self._sight is sight:
                        self._sight = None
                    await sight.ending.aclose()

    async def _current(self) -> _Sight:
        now = asyncio.get_running_loop().time()
        if self._sight is None or now >= self._sight.until:
            ending = AsyncExitStack()
            look = await ending.enter_async_context(self._looking())
            self._sight = _Sight(look, ending, now + self._moment)
        return self._sight
