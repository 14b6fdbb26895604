"""The outside of the service: made anew before what it remembers is old, and never while somebody uses it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from danelaw.check.answers import Answers, unasked
from danelaw.errors import Refused
from danelaw.model import Answer, LookedUp, Lookup, Question, Target, TlsaRecord
from danelaw.web.examining import Examining, Frugal, weight
from fakes import reports
from fakes.running_clock import RunningClock


class Outsides:
    """Makes outsides that know nothing, and keeps count of them."""

    def __init__(self) -> None:
        self.made = 0
        self.open: set[int] = set()
        self.asked: list[tuple[int, Question]] = []
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.used: dict[int, asyncio.Event] = {}

    async def uses(self, number: int) -> None:
        """Wait until an outside is asked."""
        await self.used.setdefault(number, asyncio.Event()).wait()

    @asynccontextmanager
    async def make(self) -> AsyncIterator[Answers]:
        if self.failure is not None:
            raise self.failure
        self.made += 1
        number = self.made
        self.open.add(number)
        yield Blind(self, number)
        self.open.remove(number)


class Blind:
    """One outside, whose every answer is that it could not ask."""

    def __init__(self, outsides: Outsides, number: int) -> None:
        self._outsides, self._number = outsides, number

    async def answer(self, question: Question) -> Answer:
        self._outsides.asked.append((self._number, question))
        self._outsides.used.setdefault(self._number, asyncio.Event()).set()
        if self._outsides.gate is not None:
            await self._outsides.gate.wait()
        assert self._number in self._outsides.open, "it was left while it was used"
        return unasked(question, "there is no network")


def play(story: Callable[[Outsides, Examining], Coroutine[Any, Any, None]], fresh: float) -> Outsides:
    async def run() -> Outsides:
        outsides = Outsides()
        examining = Examining(outsides.make, RunningClock(), fresh=fresh)
        async with asyncio.timeout(20):
            await story(outsides, examining)
        await examining.close()
        return outsides

    outsides = asyncio.run(run())
    assert outsides.open == set()
    return outsides


def silent(line: str) -> None:
    del line


def test_one_outside_serves_all_while_it_is_fresh_and_no_question_is_put_twice() -> None:
    async def story(outsides: Outsides, examining: Examining) -> None:
        reports = await asyncio.gather(*(examining(Target("example.org"), silent) for _ in range(5)))
        assert {report.status for report in reports} == {4}
        assert len(set(outsides.asked)) == len(outsides.asked) > 0

    assert play(story, fresh=60.0).made == 1


def test_a_stale_outside_is_made_anew() -> None:
    async def story(outsides: Outsides, examining: Examining) -> None:
        await examining(Target("example.org"), silent)
        asked = len(outsides.asked)
        await examining(Target("example.org"), silent)
        assert len(outsides.asked) == 2 * asked
        assert outsides.open == {2}

    assert play(story, fresh=0.0).made == 2


def test_who_still_uses_the_old_one_finishes_with_it() -> None:
    async def story(outsides: Outsides, examining: Examining) -> None:
        outsides.gate = asyncio.Event()
        first = asyncio.create_task(examining(Target("example.org"), silent))
        await outsides.uses(1)
        second = asyncio.create_task(examining(Target("example.net"), silent))
        await outsides.uses(2)
        assert outsides.open == {1, 2}
        outsides.gate.set()
        await asyncio.gather(first, second)
        assert outsides.open == {2}

    assert play(story, fresh=0.0).made == 2


class Chatty:
    """An outside whose every answer is long."""

    async def answer(self, question: Question) -> Answer:
        assert isinstance(question, Lookup)
        return replace(reports.looked_up(question.name, question.rrtype), texts=("x" * 4000,))


def test_a_check_that_has_heard_enough_asks_no_more() -> None:
    async def heard() -> list[Answer]:
        frugal = Frugal(Chatty(), most=10_000)
        return [await frugal.answer(Lookup(f"{n}.example.org", "TXT")) for n in range(5)]

    answers = asyncio.run(heard())
    assert [isinstance(each, LookedUp) and each.ours for each in answers] == [False, False, False, True, True]
    last = answers[-1]
    assert isinstance(last, LookedUp)
    assert last.why == "the answers to this check were longer than 10000 octets before"


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (reports.shaken(presented=reports.chain()), 1000),
        (reports.shaken(failure="timeout"), 1),
        (reports.looked_up("x", "TXT", texts=("x" * 3000,)), 3000),
        (reports.looked_up("x", "TLSA", tlsa=(TlsaRecord(3, 1, 0, b"x" * 3000),)), 3000),
        (reports.policy("x" * 3000), 3000),
        (reports.servers("x.", [TlsaRecord(3, 1, 0, b"x" * 3000)]), 6000),
    ],
)
def test_every_answer_has_its_weight(answer: Answer, least: int) -> None:
    assert least <= weight(answer) <= 2 * least + 2000


def test_a_machine_that_cannot_look_says_so_and_is_asked_again() -> None:
    async def story(outsides: Outsides, examining: Examining) -> None:
        outsides.failure = Refused("libunbound is missing; install libunbound8")
        with pytest.raises(Refused, match="libunbound8"):
            await examining(Target("example.org"), silent)
        outsides.failure = None
        assert (await examining(Target("example.org"), silent)).status == 4

    play(story, fresh=60.0)
