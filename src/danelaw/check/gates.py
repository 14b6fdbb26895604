"""How many may do something at once: in all, and to one server."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Gate:
    free: asyncio.Semaphore
    users: int = 0


@dataclass(slots=True)
class Gates:
    """At most ``each`` at once for one key, and ``altogether`` in all; who came first goes first.

    Who waits for a busy server takes nobody's place meanwhile. Of a server that nobody wants, nothing is kept.
    """

    each: int
    altogether: int
    _all: asyncio.Semaphore = field(init=False)
    _by_key: dict[Hashable, _Gate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._all = asyncio.Semaphore(self.altogether)

    @asynccontextmanager
    async def passing(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for a place, and hold it inside the context."""
        gate = self._by_key.get(key) or self._by_key.setdefault(key, _Gate(asyncio.Semaphore(self.each)))
        gate.users += 1
        try:
            async with gate.free, self._all:
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._by_key[key]
