"""Checks that run for visitors: so many at once, so many waiting, and their results for a while.

Nothing here grows with the number of visitors: jobs, lines of progress, results and their bytes are bounded, and what
is over a bound is refused at once (`Full`), or forgotten, the oldest first.
"""

import asyncio
import secrets
import zlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from danelaw.errors import DanelawError
from danelaw.model import Report, Target
from danelaw.web.metrics import Metrics
from danelaw.web.words import shown

JobState = Literal["waiting", "running", "done", "failed"]

MOST_LINES = 100
"""Lines of progress that are kept of a job: the last ones."""

RETRY = 10
"""Seconds after which a visitor may hope for a place."""


class Examiner(Protocol):
    """Who checks: `check.examine` over the real outside, or a fake."""

    async def __call__(self, target: Target, tell: Callable[[str], None]) -> Report:
        """Return the report on a target; ``tell`` hears lines of progress. May raise `DanelawError`."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service bears: ``at_once`` checks run and ``waiting`` wait, each for ``seconds`` at most.

    Up to ``kept`` results of ``kept_bytes`` in all (as compressed) are kept, for ``lifetime`` seconds. Who asks for a
    target within ``fresh`` seconds of an earlier result gets that.
    """

    at_once: int = 8
    waiting: int = 64
    seconds: float = 90.0
    kept: int = 2000
    kept_bytes: int = 64 << 20
    lifetime: float = 86400.0
    fresh: float = 60.0


class Full(Exception):
    """So many checks wait already that another would wait too long."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a check: the page and the JSON document, compressed."""

    page: bytes
    document: bytes
    status: int

    @classmethod
    def of(cls, page: str, document: str, status: int) -> "Result":
        """Return a result of a page and a document."""
        return cls(zlib.compress(page.encode()), zlib.compress(document.encode()), status)

    @property
    def size(self) -> int:
        """Return how many bytes it takes."""
        return len(self.page) + len(self.document)


@dataclass(slots=True)
class Job:
    """One check. ``problem`` says why there is no ``result``, where it failed; ``stopped``: the service ends."""

    id: str
    target: Target
    state: JobState = "waiting"
    result: Result | None = None
    problem: str = ""
    stopped: bool = False
    over_at: float = 0.0
    lines: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _told: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        """Return whether nothing more will come."""
        return self.state in {"done", "failed"}

    def tell(self, line: str) -> None:
        """Hear a line of progress."""
        self._told += 1
        self.lines.append((self._told, shown(line.removeprefix(f"{self.target}: "), 300)))
        self._wake()

    def end(self, state: JobState, at: float, result: Result | None = None, problem: str = "") -> None:
        """End, with a result or a problem."""
        self.state, self.over_at, self.result, self.problem = state, at, result, problem
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self, pulse: float) -> AsyncIterator[str]:
        """Yield the lines of progress as they come, "" after each ``pulse`` seconds without one, until it is over."""
        seen = 0
        while True:
            changed = self._changed
            for number, line in list(self.lines):
                if number > seen:
                    seen = number
                    yield line
            if self.over:
                return
            if changed.is_set():
                continue
            try:
                await asyncio.wait_for(changed.wait(), pulse)
            except TimeoutError:
                yield ""

    async def ended(self) -> None:
        """Wait until it is over."""
        while not self.over:
            await self._changed.wait()


class Jobs:
    """All checks of the service; made and used inside one event loop.

    ``render`` makes of a report what is kept; it is called in a thread. ``new_id`` gives names that nobody guesses,
    ``now`` the seconds of some clock, by default the loop's.
    """

    def __init__(
        self,
        examine: Examiner,
        render: Callable[[Report, str], Result],
        limits: Limits,
        metrics: Metrics,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(16),
        now: Callable[[], float] | None = None,
    ) -> None:
        self._examine, self._render, self._limits = examine, render, limits
        self._metrics, self._new_id = metrics, new_id
        self._now = now or asyncio.get_running_loop().time
        self._turn = asyncio.Semaphore(limits.at_once)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._latest: dict[Target, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._bytes = 0

    def gauges(self) -> dict[str, float]:
        """Return how many jobs run and wait, and what is kept."""
        states = [self._jobs[each].state for each in self._tasks]
        running, waiting = states.count("running"), states.count("waiting")
        return {
            "running": running,
            "waiting": waiting,
            "kept": len(self._jobs) - running - waiting,
            "kept_bytes": self._bytes,
        }

    def find(self, job_id: str) -> Job | None:
        """Return a job by its name; None where there is none, or no longer."""
        self._forget()
        return self._jobs.get(job_id)

    def latest(self, target: Target) -> Job | None:
        """Return the job that another question about a target is answered by: one that runs, or ended just now."""
        self._forget()
        job = self._latest.get(target)
        if job is None or job.state == "failed" or (job.over and self._now() - job.over_at >= self._limits.fresh):
            return None
        return job

    def ask(self, target: Target) -> Job:
        """Return the job that answers for a target, begun now unless there is one (`latest`). Raises `Full`."""
        job = self.latest(target)
        if job is not None:
            return job
        if len(self._tasks) >= self._limits.at_once + self._limits.waiting:
            raise Full
        job = Job(self._new_id(), target)
        self._jobs[job.id] = self._latest[target] = job
        task = self._tasks[job.id] = asyncio.create_task(self._run(job))
        task.add_done_callback(lambda _: self._ended(job))
        return job

    async def close(self) -> None:
        """End everything that runs or waits; whoever follows it hears so."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        async with self._turn:
            job.state = "running"
            began = self._now()
            result, problem = await self._outcome(job)
        self._bytes += result.size if result else 0
        self._metrics.checked(str(result.status) if result else "failed", self._now() - began)
        job.end("done" if result else "failed", self._now(), result, problem)

    async def _outcome(self, job: Job) -> tuple[Result | None, str]:
        """Return the result, or why there is none."""
        try:
            async with asyncio.timeout(self._limits.seconds):
                report = await self._examine(job.target, job.tell)
            return await asyncio.to_thread(self._render, report, job.id), ""
        except TimeoutError:
            return None, f"the check took longer than {self._limits.seconds:g} s"
        except DanelawError as error:
            return None, shown(error)
        except Exception as error:  # noqa: BLE001 - a defect of ours at one target; the service goes on, and says so
            self._metrics.complain(f"the check of {job.target} failed: {type(error).__name__}: {error}")
            return None, f"a defect of danelaw itself: {type(error).__name__}"

    def _ended(self, job: Job) -> None:
        if not job.over:  # cancelled
            job.stopped = True
            job.end("failed", self._now(), problem="the service was stopped")
        self._tasks.pop(job.id, None)
        self._forget()

    def _forget(self) -> None:
        """Forget what is too old, or too much, the oldest first; never what still runs."""
        now, limits = self._now(), self._limits
        for job in list(self._jobs.values()):
            too_many = len(self._jobs) - len(self._tasks) > limits.kept or self._bytes > limits.kept_bytes
            if not job.over or job.id in self._tasks:
                continue
            if not too_many and now - job.over_at < limits.lifetime:
                return  # those behind it are younger
            del self._jobs[job.id]
            self._bytes -= job.result.size if job.result else 0
            if self._latest.get(job.target) is job:
                del self._latest[job.target]
