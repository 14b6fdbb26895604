"""Many targets: bounded per server and in all, shared answers, and constant memory over a hundred thousand lines."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from danelaw.check.answers import Answers
from danelaw.check.exits import exit_status
from danelaw.check.feed import LONGEST_LINE, lines_of
from danelaw.check.gates import Gates
from danelaw.check.looks import Looks
from danelaw.check.many import Judged, NotJudged, Result, examine_many
from danelaw.check.shared import Shared
from danelaw.errors import Refused
from danelaw.model import Answer, Lookup, OwnerLook, Question, Report, Target
from fakes import reports
from fakes.outside import FakeOutside

MX = reports.looked_up("example.org", "MX", mx=())


async def gather(lines: Iterator[str], examine: object, jobs: int = 4) -> list[Result]:
    return [result async for result in examine_many(lines, examine, jobs=jobs)]  # type: ignore[arg-type]


async def good(target: Target) -> Report:
    await asyncio.sleep(0)
    return replace(reports.report(), target=target)


# --- lines -----------------------------------------------------------------------------------------------------------


def test_every_line_gets_a_result_and_a_bad_one_says_so_with_its_number() -> None:
    lines = [
        "# mine\n",
        "\n",
        "example.org\n",
        "  b.example.org:25  # the old one\n",
        "no domain!\n",
        "\t",
        "c.example",
    ]
    found = {result.line: result for result in asyncio.run(gather(iter(lines), good))}
    assert sorted(found) == [3, 4, 5, 7]
    first, second, bad = found[3], found[4], found[5]
    assert isinstance(first, Judged)
    assert isinstance(second, Judged)
    assert (first.text, str(first.report.target), str(second.report.target)) == (
        "example.org",
        "example.org",
        "b.example.org:25",
    )
    assert isinstance(bad, NotJudged)
    assert (bad.text, bad.status) == ("no domain!", 4)
    assert "not letters, digits and inner hyphens" in bad.problem
    assert exit_status(result.status for result in found.values()) == 4


def test_results_come_when_they_are_done_and_not_in_order() -> None:
    async def uneven(target: Target) -> Report:
        for _ in range(50 if target.name == "slow.example" else 1):
            await asyncio.sleep(0)
        return await good(target)

    found = asyncio.run(gather(iter(["slow.example", *(f"n{i}.example" for i in range(8))]), uneven))
    assert found[-1].line == 1
    assert len(found) == 9


def test_no_more_than_jobs_at_once_and_no_line_before_it_is_wanted() -> None:
    taken = 0
    running: list[int] = [0, 0]

    def lines() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"n{taken}.example"

    async def examine(target: Target) -> Report:
        running[0] += 1
        running[1] = max(running)
        report = await good(target)
        running[0] -= 1
        return report

    async def some() -> None:
        async with aclosing(examine_many(lines(), examine, jobs=3)) as results:
            count = 0
            async for _ in results:
                count += 1
                # in work, in the queue, and put after it; a consumer that dawdles holds the rest up
                assert taken <= count + 3 * 3
                if count == 100:
                    break

    asyncio.run(some())
    assert running[1] == 3


def test_closing_it_cancels_what_runs() -> None:
    outside = FakeOutside(silent=lambda question: question == Lookup("silent.example", "MX"))

    async def examine(target: Target) -> Report:
        await outside.answer(Lookup(target.name, "MX"))
        return reports.report()

    async def first() -> None:
        async with aclosing(examine_many(iter(["silent.example", "a.example"]), examine, jobs=2)) as results:
            async for _ in results:
                assert outside.open == 1
                break
        assert outside.open == 0

    asyncio.run(first())


def test_a_defect_at_one_target_does_not_end_the_others() -> None:
    async def examine(target: Target) -> Report:
        if target.name == "odd.example":
            raise KeyError("odd")
        return await good(target)

    found = asyncio.run(gather(iter(["a.example", "odd.example", "b.example"]), examine, jobs=1))
    assert [result.status for result in found] == [0, 4, 0]
    assert isinstance(found[1], NotJudged)
    assert found[1].problem == "danelaw failed at odd.example: KeyError: 'odd'"


def test_what_is_wrong_with_this_machine_ends_it_all() -> None:
    async def examine(target: Target) -> Report:
        raise Refused(f"libunbound cannot be loaded ({target})")

    with pytest.raises(Refused, match="libunbound"):
        asyncio.run(gather((f"n{i}.example" for i in range(1000)), examine))


def test_no_lines_no_results() -> None:
    assert asyncio.run(gather(iter([]), good)) == []


def test_a_hundred_thousand_lines_need_no_more_memory_than_a_thousand() -> None:
    made = reports.report()
    blocks: list[int] = []

    async def examine(target: Target) -> Report:
        await asyncio.sleep(0)
        return replace(made, target=target)

    async def stream() -> int:
        count = 0
        lines = (f"domain-number-{number}.example\n" for number in range(100_000))
        async for result in examine_many(lines, examine, jobs=100):
            count += result.status == 0
            if count % 1000 == 0:
                blocks.append(sys.getallocatedblocks())
        return count

    assert asyncio.run(stream()) == 100_000
    # all live small objects of the process; each result alone is some ten of them, and there were 99,000 more
    assert max(blocks[1:]) - blocks[0] < 5_000


# --- files and pipes -------------------------------------------------------------------------------------------------


async def read(path: str | int) -> list[str]:
    with open(path, encoding="utf-8") as file:  # noqa: PTH123, ASYNC230 - a descriptor, too
        return [line async for line in lines_of(file)]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a\nb\n", ["a", "b"]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"m\xc3\xbcnchen.de\n\xff\n", ["m\u00fcnchen.de", "\ufffd"]),
        (b"x.example\n" * 20_000, ["x.example"] * 20_000),
    ],
    ids=["empty", "lines", "no end of line", "octets", "many"],
)
def test_the_lines_of_a_file_and_of_a_pipe_are_the_same(tmp_path: Path, data: bytes, lines: list[str]) -> None:
    path = tmp_path / "targets"
    path.write_bytes(data)
    assert asyncio.run(read(str(path))) == lines
    ours, theirs = os.pipe()
    writer = threading.Thread(target=lambda: _fill(theirs, data))
    writer.start()
    assert asyncio.run(read(ours)) == lines
    writer.join()


def _fill(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as pipe:
        pipe.write(data)


def test_a_slow_pipe_holds_nothing_up_and_is_left_at_once() -> None:
    ours, theirs = os.pipe()

    async def first() -> str:
        with open(ours, encoding="utf-8") as file:  # noqa: PTH123, ASYNC230 - a descriptor
            os.write(theirs, b"a.example\nb.exam")
            async with aclosing(examine_many(lines_of(file), good, jobs=4)) as results:
                async for result in results:
                    return result.text
        raise AssertionError("no result")

    assert asyncio.run(first()) == "a.example"  # though the other end says nothing more, and is not closed
    os.close(theirs)


@pytest.mark.parametrize("longest", [b"x" * 5_000_000, b" " * 5_000_000, b"b.example" + b" " * LONGEST_LINE + b"#"])
def test_a_line_without_end_is_one_that_names_no_target_and_the_others_go_on(tmp_path: Path, longest: bytes) -> None:
    path = tmp_path / "targets"
    path.write_bytes(b"a.example\n" + longest + b"\nc.example\n" + b"x" * 3 * LONGEST_LINE)

    async def judged() -> list[Result]:
        with path.open(encoding="utf-8") as file:
            return [result async for result in examine_many(lines_of(file), good, jobs=1)]

    results = asyncio.run(judged())
    assert [(each.line, each.status) for each in results] == [(1, 0), (2, 4), (3, 0), (4, 4)]
    for each in results:
        assert isinstance(each, Judged) or "expected a domain" in each.problem
        assert len(each.text) <= 300


def test_the_longest_line_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "targets"
    path.write_bytes(b"x" * LONGEST_LINE + b"\n" + b"y" * (LONGEST_LINE + 1) + b"\n#" + b"z" * 5_000_000 + b"\nz")
    whole, cut, comment, last = asyncio.run(read(str(path)))
    assert whole == "x" * LONGEST_LINE
    assert cut == "y" * LONGEST_LINE + "…"
    assert (comment[:2], comment[-1], last) == ("#z", "…", "z")


# --- shared answers --------------------------------------------------------------------------------------------------


def test_many_who_ask_the_same_at_once_are_one_question() -> None:
    outside = FakeOutside([MX])

    async def ask() -> list[Answer]:
        shared = Shared(outside)
        return [*await asyncio.gather(*(shared.answer(MX.lookup) for _ in range(50))), await shared.answer(MX.lookup)]

    assert asyncio.run(ask()) == [MX] * 51
    assert outside.asked == [MX.lookup]


def test_an_answer_is_forgotten_for_newer_ones_and_after_its_time() -> None:
    outside = FakeOutside([MX, reports.looked_up("a.example", "A"), reports.looked_up("b.example", "A")])

    async def ask(shared: Answers) -> int:
        outside.asked.clear()
        await shared.answer(MX.lookup)
        await shared.answer(Lookup("a.example", "A"))
        await shared.answer(Lookup("b.example", "A"))
        await shared.answer(MX.lookup)
        return outside.asked.count(MX.lookup)

    assert asyncio.run(ask(Shared(outside, keep=3))) == 1
    assert asyncio.run(ask(Shared(outside, keep=2))) == 2
    assert asyncio.run(ask(Shared(outside, seconds=0))) == 2


def test_a_failure_of_this_machine_is_not_remembered_and_one_of_the_target_is() -> None:
    ours = reports.looked_up("ours.example", "A", "indeterminate", "TIMEOUT", ours=True)
    theirs = reports.looked_up("theirs.example", "A", "bogus", "SERVFAIL")
    dead = reports.shaken(failure="refused")
    no_way = reports.shaken(reports.V6, failure="no-route")
    outside = FakeOutside([ours, theirs, dead, no_way])

    async def ask() -> dict[Question, int]:
        shared = Shared(outside)
        for _ in range(3):
            for question in outside.answers:
                await shared.answer(question)
        return {question: outside.asked.count(question) for question in outside.answers}

    assert list(asyncio.run(ask()).values()) == [3, 1, 1, 3]


def test_who_no_longer_waits_takes_nothing_from_those_who_do() -> None:
    outside = FakeOutside(silent=lambda _: True)
    question = Lookup("silent.example", "A")

    async def ask() -> None:
        shared = Shared(outside)
        impatient = asyncio.create_task(shared.answer(question))
        patient = asyncio.create_task(shared.answer(question))
        await asyncio.sleep(0.01)
        impatient.cancel()
        await asyncio.sleep(0.01)
        assert (outside.open, patient.done()) == (1, False)
        patient.cancel()
        await asyncio.gather(patient, return_exceptions=True)
        again = asyncio.create_task(shared.answer(question))  # at the very moment at which the old one is given up
        await asyncio.sleep(0.01)
        assert (outside.open, len(outside.asked), again.done()) == (1, 2, False)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    asyncio.run(ask())


def test_a_failure_of_ours_reaches_all_who_wait_and_is_not_remembered() -> None:
    class Failing(FakeOutside):
        async def answer(self, question: Question) -> Answer:
            await super().answer(question)
            raise Refused("no libunbound")

    outside = Failing()

    async def ask() -> None:
        shared = Shared(outside)
        found = await asyncio.gather(*(shared.answer(MX.lookup) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [Refused] * 3
        with pytest.raises(Refused):
            await shared.answer(MX.lookup)

    asyncio.run(ask())
    assert len(outside.asked) == 2


# --- gates -----------------------------------------------------------------------------------------------------------


def test_a_server_gets_its_few_at_once_and_a_busy_one_holds_nobody_else_up() -> None:
    async def run() -> tuple[dict[str, int], int, list[str]]:
        gates = Gates(each=2, altogether=3)
        now: dict[str, int] = {}
        most: dict[str, int] = {}
        altogether = 0
        order: list[str] = []

        async def go(key: str) -> None:
            nonlocal altogether
            async with gates.passing(key):
                now[key] = now.get(key, 0) + 1
                most[key] = max(most.get(key, 0), now[key])
                altogether = max(altogether, sum(now.values()))
                order.append(key)
                await asyncio.sleep(0.001)
                now[key] -= 1

        await asyncio.gather(*(go("busy") for _ in range(10)), *(go(f"other{i}") for i in range(3)))
        assert not gates._by_key
        return most, altogether, order

    most, altogether, order = asyncio.run(run())
    assert most == {"busy": 2, "other0": 1, "other1": 1, "other2": 1}
    assert altogether == 3
    assert order[2] == "other0"  # third in all, though eight wait before it for the busy one


def test_a_cancelled_waiter_leaves_its_place() -> None:
    async def run() -> None:
        gates = Gates(each=1, altogether=1)
        async with gates.passing("a"):
            waiting = asyncio.create_task(_enter(gates, "a"))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert not gates._by_key
        await asyncio.wait_for(_enter(gates, "b"), 1)

    asyncio.run(run())


async def _enter(gates: Gates, key: str) -> None:
    async with gates.passing(key):
        pass


# --- looks at servers ------------------------------------------------------------------------------------------------


class Sights:
    """Opens what looks at owner names, and counts; a look at ``slow.`` waits until it is let go."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0
        self.let_go = asyncio.Event()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Callable[[str], Awaitable[OwnerLook]]]:
        self.opened += 1
        self.open += 1
        number = self.opened

        async def look(owner: str) -> OwnerLook:
            await asyncio.sleep(0)
            if owner == "slow.":
                await self.let_go.wait()
            return OwnerLook(owner, str(number), owner, {}, ())

        try:
            yield look
        finally:
            self.open -= 1


def test_looks_at_the_same_moment_share_what_they_find_and_later_ones_do_not() -> None:
    async def run() -> None:
        sights = Sights()
        looks = Looks(sights.looking)
        found = await asyncio.gather(*(looks.look(f"a{n}.") for n in range(30)))
        assert {look.owner for look in found} == {f"a{n}." for n in range(30)}
        assert (sights.opened, sights.open) == (1, 0)
        await looks.look("later.")
        assert (sights.opened, sights.open) == (2, 0)

    asyncio.run(run())


def test_a_look_that_lasts_keeps_nobody_at_what_is_old() -> None:
    async def run() -> None:
        sights = Sights()
        looks = Looks(sights.looking, moment=0.0)
        slow = asyncio.create_task(looks.look("slow."))
        await asyncio.sleep(0)
        assert (await looks.look("a.")).zone == "2"
        assert (sights.opened, sights.open) == (2, 1)
        sights.let_go.set()
        assert (await slow).zone == "1"
        assert sights.open == 0

    asyncio.run(run())


def test_a_look_that_is_given_up_leaves_nothing_open() -> None:
    async def run() -> None:
        sights = Sights()
        slow = asyncio.create_task(Looks(sights.looking).look("slow."))
        await asyncio.sleep(0.01)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        assert (sights.opened, sights.open) == (1, 0)

    asyncio.run(run())
