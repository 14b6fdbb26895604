"""A check that does what a test tells it to: it waits at a gate, says lines, and returns a report made by hand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from danelaw.model import Report, Target
from fakes import reports


@dataclass
class FakeCheck:
    """`web.jobs.Examiner`: every check says ``lines``, waits for ``gate`` where there is one, and raises or returns."""

    report: Report = field(default_factory=reports.report)
    lines: tuple[str, ...] = ("looking up MX of example.org", "2 handshakes at 1 endpoint")
    gate: asyncio.Event | None = None
    failure: Exception | None = None
    asked: list[Target] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def __call__(self, target: Target, tell: Callable[[str], None]) -> Report:
        self.asked.append(target)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for line in self.lines:
                tell(line)
            if self.gate is not None:
                await self.gate.wait()
            if self.failure is not None:
                raise self.failure
            return replace(self.report, target=target)
        finally:
            self.running -= 1
