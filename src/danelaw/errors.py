"""Every error that danelaw raises on purpose, named by what the caller does next.

::

    DanelawError
    ├── ConfigError       the user edits the config; holds every problem found
    ├── InputError        the user gives another file, name or option
    ├── RetryLater        nobody does anything until ``not_before``; then it is tried again
    ├── Refused           a person is needed; nothing was changed
    │   └── Unsuited      a service's own configuration does not suit a preset
    ├── Lost              somebody else changed the thing first; look again and plan again
    ├── UnsafePlan        a step would break an invariant; a defect of ours, nothing was done
    ├── StateCorrupt      the stored state contradicts itself; a person restores it
    └── LeaseHeld         another run is at work; exit status 75

    KeyboardInterrupt
    └── Stopped           the process was told to stop (SIGTERM, SIGINT, SIGHUP)

A check that fails is a value, never an exception. No message ever carries a private key or a TSIG secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


class DanelawError(Exception):
    """What was found and what to do about it, in one or two lines for people."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of the configuration.

    ``where`` is the key with its table (``certificate."example.org".tlsa[0].ttl``), ``found`` and ``expected`` are
    short phrases for people. A warning that is a sentence of its own stands in ``found``, with nothing expected.
    """

    file: str
    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        if not self.expected:
            return f"{self.file}: {self.where}: {self.found}"
        return f"{self.file}: {self.where}: found {self.found}; expected {self.expected}"


class ConfigError(DanelawError):
    """The configuration is refused. ``problems`` holds everything that was wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(DanelawError):
    """A file, name or option that the user gave cannot be used."""


class RetryLater(DanelawError):
    """It failed for now and is worth another try. ``not_before`` is None where nobody said when."""

    def __init__(self, message: str, not_before: datetime | None = None) -> None:
        self.not_before = not_before
        super().__init__(message)


class Refused(DanelawError):
    """It cannot work until a person changes something."""


class Unsuited(Refused):
    """What a service's own configuration says does not suit a preset: what was found, and what to set."""

    def __init__(self, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(f"{found}; {expected}")


class Lost(DanelawError):
    """A compare-and-swap found something else than what was expected; nothing was changed."""


class UnsafePlan(DanelawError):
    """A step would make an invariant newly false. It was not taken."""

    def __init__(self, invariant: str, message: str) -> None:
        self.invariant = invariant
        super().__init__(f"{invariant}: {message}")


class StateCorrupt(DanelawError):
    """The stored state contradicts itself or cannot be read."""


class LeaseHeld(DanelawError):
    """Another run holds the lease of what this run wants to touch."""


class Stopped(KeyboardInterrupt):
    """The process was told to stop; what is owed is done on the way out.

    It comes once at the most, and anywhere. No `except DanelawError` takes it for a failure of what it interrupts, and
    an event loop lets it through.
    """
