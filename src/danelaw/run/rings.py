"""Everything that touches the world, in one value, injected here alone, so that a simulation can replace it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from danelaw.model import (
    Authority,
    CertificateSpec,
    Chance,
    Clock,
    DnsView,
    Host,
    Prober,
    Publisher,
    Report,
    Rest,
    Solver,
    Step,
    Store,
    Target,
    Visitor,
)

SolverFactory = Callable[[CertificateSpec], AbstractContextManager[Solver]]
"""Makes a certificate's challenges answerable inside the context. Raises `RetryLater` where its port is not free."""

Senders = Callable[[Sequence[Target]], Sequence[Report]]
"""What senders make of endpoints, in the order in which they are given."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run, for people and for ``--json``.

    ``kind``: ``step`` (about to be taken), ``done``, ``failed``, ``lost`` (somebody else was first), ``progress``, and
    ``detail``, which is said to those who ask for more (``-v``).
    """

    kind: str
    at: datetime
    text: str
    step: Step | None = None


Listener = Callable[[Event], None]


Countdown = Callable[[timedelta | None, str], None]
"""Shows how long a wait still lasts and what it is for, about once a second; None: it is over."""


def nobody(event: Event) -> None:
    """Hear nothing."""
    del event


@dataclass(frozen=True, slots=True)
class Rings:
    """The world: clock, chance, store, host, DNS, handshakes, publishers and CAs by name, challenge answers."""

    clock: Clock
    chance: Chance
    store: Store
    host: Host
    dns: DnsView
    prober: Prober
    publishers: Mapping[str, Publisher]
    authorities: Mapping[str, Authority]
    solver: SolverFactory
    connect: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    listener: Listener = nobody
    visitor: Visitor | None = None
    """None: nobody looks whether challenges reach this host."""
    senders: Senders | None = None
    """None: nobody looks as senders do."""
    countdown: Countdown | None = None
    """None: nobody watches a wait go by."""
    host_id: str = ""
    """What this host is known by in the store, whose clocks are compared."""

    def tell(self, kind: str, text: str, step: Step | None = None) -> None:
        """Tell the listener what happens."""
        self.listener(Event(kind, self.clock.now(), text, step))


Around = Callable[[Rings], Rings]
"""Puts something around rings, before anything uses them: how tests kill a run inside an effect of the real world."""


def nothing(rings: Rings) -> Rings:
    """Put nothing around them."""
    return rings


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: the steps taken, those that failed, and what is left to wait for."""

    steps: tuple[Step, ...]
    failed: tuple[str, ...]
    rest: Rest

    @property
    def exit_status(self) -> int:
        """Return 0 where all is done or waits for a known instant, 1 where something failed or needs a person."""
        backing_off = any(wait.code == "backoff" for wait in self.rest.waits)
        return 1 if self.failed or self.rest.holds or backing_off else 0
