"""The check of the service: over one outside for all visitors, which is made anew before what it remembers is old.

A resolver remembers records for their TTL, but whoever has just repaired a zone wants to see it repaired. So no
outside is used for longer than a minute; those who still use the old one finish with it, and then it is left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from danelaw.check.answers import Answers, unasked
from danelaw.check.examine import examine
from danelaw.check.shared import Shared
from danelaw.dane.sender import Wishes
from danelaw.model import Answer, Clock, LookedUp, OwnerLook, PolicyFound, Question, Report, Shaken, Target
from danelaw.names import is_public_address
from danelaw.web.limits import Networks

MOST_SHARED = 1000
"""Answers that are remembered for other checks."""

MOST_HEARD = 8 << 20
"""Octets of answers that one check hears; those of an ordinary domain take some 50 KiB."""

FRESH = 60.0
"""Seconds for which an outside is used, and an answer given again."""

TIME_LIMIT = 60.0
"""Seconds for one check."""


def may_reach(allowed: Networks) -> Callable[[str], bool]:
    """Return the predicate of addresses that a stranger's domain may lead to: public ones, and those allowed."""
    return lambda address: is_public_address(address) or address in allowed


class Frugal:
    """Answers for one check, which end where it has heard enough: nobody fills this machine with chains."""

    def __init__(self, outside: Answers, most: int = MOST_HEARD) -> None:
        self._outside, self._most, self._heard = outside, most, 0

    async def answer(self, question: Question) -> Answer:
        """Return the answer to a question, or that it was not put."""
        if self._heard > self._most:
            return unasked(question, f"the answers to this check were longer than {self._most} octets before")
        answer = await self._outside.answer(question)
        self._heard += weight(answer)
        return answer


def weight(answer: Answer) -> int:
    """Return about how many octets an answer brought."""
    match answer:
        case Shaken():
            return 500 + (sum(map(len, answer.chain.certificates_der)) if answer.chain else 0)
        case LookedUp():
            records = len(answer.addresses) + len(answer.mx) + len(answer.srv) + len(answer.tlsa)
            return 500 + 100 * records + sum(map(len, answer.texts)) + sum(len(each.data) for each in answer.tlsa)
        case PolicyFound():
            return 500 + len(answer.text or "")
        case OwnerLook():
            return 500 + sum(500 + sum(len(each.data) for each in reading.rdatas) for reading in answer.readings)


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
            return await examine(target, Frugal(outside), self._clock, self._wishes, tell, time_limit=TIME_LIMIT)

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
                fresh = _Used(Shared(outside, MOST_SHARED, self._fresh), ending, now + self._fresh)
                await self.close()
                used = self._current = fresh
            used.users += 1
            return used
