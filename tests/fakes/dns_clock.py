"""A clock that shows the real time, or one that is wrong by a given span."""

from datetime import UTC, datetime, timedelta


class ShiftedClock:
    """Implements `danelaw.model.Clock`."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def boot(self) -> tuple[str, float]:
        return "boot", 0.0

    def sleep_until(self, at: datetime) -> None:
        raise AssertionError(f"nobody sleeps here until {at}")


class FixedClock(ShiftedClock):
    """Stands still at an instant."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at

    def now(self) -> datetime:
        return self.at
