"""Checks for visitors: bounded in number, time and bytes, and shared by those who ask the same."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from danelaw.errors import Refused
from danelaw.model import Report, Target
from danelaw.web.jobs import MOST_LINES, Full, Jobs, Limits, Result
from danelaw.web.metrics import Metrics
from fakes.checks import FakeCheck


def kept(report: Report, job_id: str) -> Result:
    """What is kept of a report here: as many bytes as its target's first label says."""
    name = report.target.name.partition(".")[0]
    return Result(b"x" * (int(name) if name.isdigit() else 10), job_id.encode(), report.status)


class Made:
    """Jobs over a fake check, a clock to be set, and what was complained of."""

    def __init__(self, check: FakeCheck, limits: Limits) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.metrics = Metrics(self.said.append)
        self.jobs = Jobs(check, kept, limits, self.metrics, now=lambda: self.now)


def play(check: FakeCheck, story: Callable[[Made], Coroutine[Any, Any, None]], limits: Limits | None = None) -> Made:
    async def run() -> Made:
        made = Made(check, limits or Limits())
        async with asyncio.timeout(20):
            await story(made)
        await made.jobs.close()
        return made

    return asyncio.run(run())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_check_runs_and_its_result_is_kept() -> None:
    async def story(made: Made) -> None:
        job = made.jobs.ask(Target("example.org"))
        await job.ended()
        assert job.state == "done"
        assert job.result is not None
        await settle()
        assert made.jobs.find(job.id) is job
        assert made.jobs.find(job.id + "x") is None
        assert made.jobs.gauges() == {"running": 0, "waiting": 0, "kept": 1, "kept_bytes": 10 + len(job.id)}
        assert len(job.id) >= 20

    made = play(FakeCheck(), story)
    assert made.metrics.checks == {"0": 1}


def test_names_of_results_differ() -> None:
    async def story(made: Made) -> None:
        jobs = [made.jobs.ask(Target(f"x{n}.example.org")) for n in range(20)]
        assert len({job.id for job in jobs}) == 20

    play(FakeCheck(), story)


def test_so_many_run_and_so_many_wait_and_no_more() -> None:
    check = FakeCheck()

    async def story(made: Made) -> None:
        check.gate = asyncio.Event()
        jobs = [made.jobs.ask(Target(f"{n}.example.org")) for n in range(5)]
        await settle()
        assert [job.state for job in jobs] == ["running", "running", "waiting", "waiting", "waiting"]
        assert made.jobs.gauges()["waiting"] == 3
        with pytest.raises(Full):
            made.jobs.ask(Target("another.example.org"))
        assert made.jobs.ask(Target("1.example.org")) is jobs[1]  # who asks the same needs no place
        check.gate.set()
        await asyncio.gather(*(job.ended() for job in jobs))
        await settle()
        assert made.jobs.ask(Target("another.example.org")).state == "waiting"

    play(check, story, Limits(at_once=2, waiting=3))
    assert check.most == 2


def test_within_a_minute_the_same_question_has_the_same_answer() -> None:
    check = FakeCheck()

    async def story(made: Made) -> None:
        first = made.jobs.ask(Target("example.org"))
        assert made.jobs.ask(Target("example.org")) is first
        assert made.jobs.ask(Target("example.org", 25)) is not first
        await first.ended()
        made.now = 59.0
        assert made.jobs.ask(Target("example.org")) is first
        made.now = 61.0
        second = made.jobs.ask(Target("example.org"))
        assert second is not first
        await second.ended()
        assert made.jobs.find(first.id) is first

    play(check, story, Limits(fresh=60))
    assert len(check.asked) == 3


def test_a_failed_check_is_tried_again() -> None:
    check = FakeCheck(failure=Refused("libunbound is missing; install libunbound8"))

    async def story(made: Made) -> None:
        first = made.jobs.ask(Target("example.org"))
        await first.ended()
        assert (first.state, first.problem) == ("failed", "libunbound is missing; install libunbound8")
        assert made.jobs.ask(Target("example.org")) is not first

    made = play(check, story)
    assert made.said == []


def test_a_defect_is_told_to_the_administrator_and_named_to_the_visitor() -> None:
    async def story(made: Made) -> None:
        job = made.jobs.ask(Target("example.org"))
        await job.ended()
        assert job.problem == "a defect of danelaw itself: KeyError"

    made = play(FakeCheck(failure=KeyError("secret")), story)
    assert made.said == ["the check of example.org failed: KeyError: 'secret'"]
    assert made.metrics.defects == 1
    assert made.metrics.checks == {"failed": 1}


def test_a_check_without_end_is_ended() -> None:
    check = FakeCheck()

    async def story(made: Made) -> None:
        check.gate = asyncio.Event()
        job = made.jobs.ask(Target("example.org"))
        await job.ended()
        assert job.problem == "the check took longer than 0.05 s"
        assert check.running == 0

    play(check, story, Limits(seconds=0.05))


def test_the_oldest_results_go_where_there_are_too_many() -> None:
    async def story(made: Made) -> None:
        jobs = []
        for n in range(5):
            jobs.append(made.jobs.ask(Target(f"x{n}.example.org")))
            await jobs[-1].ended()
            await settle()
        assert [made.jobs.find(job.id) is job for job in jobs] == [False, False, True, True, True]

    play(FakeCheck(), story, Limits(kept=3))


def test_the_oldest_results_go_where_they_are_too_large() -> None:
    async def story(made: Made) -> None:
        jobs = []
        for n in ("400", "401", "402"):
            jobs.append(made.jobs.ask(Target(f"{n}.example.org")))
            await jobs[-1].ended()
            await settle()
        assert [made.jobs.find(job.id) is job for job in jobs] == [False, True, True]
        assert made.jobs.gauges()["kept_bytes"] <= 1000

    play(FakeCheck(), story, Limits(kept_bytes=1000))


def test_results_go_when_they_are_old() -> None:
    async def story(made: Made) -> None:
        job = made.jobs.ask(Target("example.org"))
        await job.ended()
        await settle()
        made.now = 86399.0
        assert made.jobs.find(job.id) is job
        made.now = 86400.0
        assert made.jobs.find(job.id) is None
        assert made.jobs.gauges() == {"running": 0, "waiting": 0, "kept": 0, "kept_bytes": 0}

    play(FakeCheck(), story)


def test_what_runs_is_never_forgotten() -> None:
    check = FakeCheck()

    async def story(made: Made) -> None:
        check.gate = asyncio.Event()
        slow = made.jobs.ask(Target("slow.example.org"))
        await settle()
        made.now = 1_000_000.0
        assert made.jobs.find(slow.id) is slow
        check.gate.set()

    play(check, story, Limits(kept=0, lifetime=1))


def test_lines_come_as_they_are_told_and_end_with_the_check() -> None:
    check = FakeCheck(lines=("one", "two"))

    async def story(made: Made) -> None:
        check.gate = asyncio.Event()
        job = made.jobs.ask(Target("example.org"))
        heard: list[str] = []

        async def follow() -> None:
            async for line in job.follow(20):
                heard.append(line)
                if line == "three":
                    assert check.gate is not None
                    check.gate.set()

        follower = asyncio.create_task(follow())
        await settle()
        assert heard == ["one", "two"]
        job.tell("three")
        await follower
        assert heard == ["one", "two", "three"]
        late = [line async for line in job.follow(20)]
        assert late == ["one", "two", "three"]

    play(check, story)


def test_a_stream_without_news_has_a_pulse() -> None:
    check = FakeCheck(lines=())

    async def story(made: Made) -> None:
        check.gate = asyncio.Event()
        job = made.jobs.ask(Target("example.org"))
        async for line in job.follow(0.01):
            assert line == ""
            check.gate.set()

    play(check, story)


def test_lines_are_bounded_and_printable() -> None:
    check = FakeCheck(lines=(*(str(n) for n in range(500)), "x" * 9999, "a\r\n\x00b"))

    async def story(made: Made) -> None:
        job = made.jobs.ask(Target("example.org"))
        await job.ended()
        assert len(job.lines) == MOST_LINES
        assert [line for _, line in job.lines][-2:] == ["x" * 299 + "…", "a  \\u0000b"]

    play(check, story)


def test_closing_ends_everything_and_says_so() -> None:
    check = FakeCheck()

    async def story(made: Made) -> None:
        check.gate = asyncio.Event()
        jobs = [made.jobs.ask(Target(f"{n}.example.org")) for n in range(3)]
        await settle()
        waiting = [asyncio.create_task(job.ended()) for job in jobs]
        await made.jobs.close()
        await asyncio.gather(*waiting)
        assert {job.problem for job in jobs} == {"the service was stopped"}
        assert all(job.stopped for job in jobs)
        assert check.running == 0

    play(check, story, Limits(at_once=1))
