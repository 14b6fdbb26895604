"""Compare the clocks at each look, before anything is decided by what the wall clock says."""

from datetime import datetime, timedelta

from danelaw.lifecycle.clock import stepped
from danelaw.model import ClockSeen, ClockStepped, Fact, Facts
from danelaw.run.rings import Rings


def keep_clocks(rings: Rings) -> None:
    """Do what `compare` does, and store what it found. Needs no lease: no component's facts are changed by it alone."""
    rings.store.record(compare(rings)[1])


def compare(rings: Rings) -> tuple[datetime, list[Fact]]:
    """Compare the clocks with how they were seen last; return the instant, and how they stand, to be stored with it.

    A step in between is told, and among them. Where anything is known to have been seen or done later than now, the
    store is levelled (`Store.level`), however small the step: what is seen from now on is newer.
    """
    facts = rings.store.snapshot()
    # In this order: an honest clock says an instant after all that are in the snapshot.
    boot, now = rings.clock.boot(), rings.clock.now()
    rings.store.level(now)
    seen = last_seen(facts, rings.host_id)
    clocks: list[Fact] = [ClockSeen(rings.host_id, *boot, now)]
    step = stepped(seen, now, boot) if seen else None
    if step is not None:
        rings.tell("progress", _said(step, same_boot=seen is not None and seen.boot_id == step.boot_id))
        clocks.append(step)
    return now, clocks


def last_seen(facts: Facts, host: str) -> ClockSeen | None:
    """Return how a host's clocks stood last; those of the host that wrote the state where this one never looked."""
    own = [row for row in facts.clocks if row.host == host]
    return max(own or facts.clocks, key=lambda row: row.at, default=None)


def decided_at(facts: Facts, rings: Rings) -> datetime:
    """Return the instant of the last look: what is decided by it must not rest on a clock that was set since."""
    seen = last_seen(facts, rings.host_id)
    return seen.at if seen else rings.clock.now()


def _said(step: ClockStepped, *, same_boot: bool) -> str:
    span = timedelta(seconds=round(abs(step.seconds)))
    if step.seconds < 0:
        return f"the clock was set back by {span}: waits count from now"
    if same_boot:
        return f"the clock was set forward by {span}: waits count from now"
    return f"the machine was started anew, and nothing tells whether {span} passed before: waits count from now"
