"""A clock that runs, for tests with real sockets."""

import time
from datetime import UTC, datetime


class RunningClock:
    """`model.Clock` over this machine's."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boot(self) -> tuple[str, float]:
        return "this-boot", time.monotonic()

    def sleep_until(self, at: datetime) -> None:
        time.sleep(max(0.0, (at - self.now()).total_seconds()))
