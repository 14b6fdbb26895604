"""Checks of many targets, as a stream: from an iterator of lines to results as they come, in constant memory."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass

from danelaw.check.targets import parse_target
from danelaw.errors import DanelawError, InputError
from danelaw.model import Report, Target

JOBS = 32
"""Targets at once."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A line, counted from 1, and the report on the target that it names."""

    line: int
    text: str
    report: Report

    @property
    def status(self) -> int:
        """Return the report's exit status."""
        return self.report.status


@dataclass(frozen=True, slots=True)
class NotJudged:
    """A line that names no target, or whose check failed here; ``problem`` says why, for people."""

    line: int
    text: str
    problem: str

    @property
    def status(self) -> int:
        """Return 4: it cannot be told."""
        return 4


Result = Judged | NotJudged


async def examine_many(
    lines: Iterable[str] | AsyncIterable[str],
    examine: Callable[[Target], Awaitable[Report]],
    *,
    jobs: int = JOBS,
    parse: Callable[[str], Target] = parse_target,
) -> AsyncGenerator[Result, None]:
    """Yield a result for every line but blank ones and comments (``#``), in the order in which they are done.

    At most ``jobs`` targets are looked at at once, and lines are taken no faster than results are. ``lines`` may be
    without end; what may block comes by `feed.lines_of`. ``examine`` returns a report; what it or ``lines`` raise of
    `DanelawError` (our own resolver is unusable) ends it all. Closing the generator cancels what runs.
    """
    source = _Source(lines)
    done: asyncio.Queue[Result | None] = asyncio.Queue(maxsize=jobs)
    failures: list[DanelawError] = []

    async def work() -> None:
        try:
            while taken := await source.take():
                await done.put(await _result(*taken, parse, examine))
        except DanelawError as error:
            failures.append(error)
        await done.put(None)

    workers = [asyncio.ensure_future(work()) for _ in range(jobs)]
    try:
        running = len(workers)
        while running and not failures:
            result = await done.get()
            if result is None:
                running -= 1
            else:
                yield result
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    if failures:
        raise failures[0]


class _Source:
    """Lines that name something, with their numbers, for several who each take the next one when they are free."""

    def __init__(self, lines: Iterable[str] | AsyncIterable[str]) -> None:
        self._lines = aiter(lines) if isinstance(lines, AsyncIterable) else _async(lines)
        self._number = 0
        self._turn = asyncio.Lock()

    async def take(self) -> tuple[int, str] | None:
        """Return the next one, None at the end."""
        async with self._turn:
            async for line in self._lines:
                self._number += 1
                text = line.partition("#")[0].strip()
                if text:
                    return self._number, text
        return None


async def _async(lines: Iterable[str]) -> AsyncGenerator[str, None]:
    for line in lines:
        yield line


async def _result(
    line: int, text: str, parse: Callable[[str], Target], examine: Callable[[Target], Awaitable[Report]]
) -> Result:
    try:
        target = parse(text)
    except InputError as error:
        return NotJudged(line, text[:300], str(error))
    try:
        return Judged(line, text, await examine(target))
    except DanelawError:
        raise
    except Exception as error:  # noqa: BLE001 - a defect of ours at one target must not end the other 99,999
        return NotJudged(line, text, f"danelaw failed at {target}: {type(error).__name__}: {str(error)[:200]}")
