"""Compare the clocks at each look, before anything is decided by what the wall clock says."""

from datetime import datetime, timedelta

from danelaw.lifecycle.clock import levelled, stepped
from danelaw.lifecycle.merge import merge
from danelaw.model import Clock, ClockSeen, ClockStepped, Fact, Facts
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
    now, clocks = _as_they_stand(facts, rings)
    rings.store.level(now)
    for step in clocks:
        if isinstance(step, ClockStepped):
            rings.tell("progress", _said(step, last_seen(facts, rings.host_id)))
    return now, clocks


def known_now(rings: Rings) -> Facts:
    """Return all facts as the next look will take them, by how the clocks stand; nothing is stored and nothing told."""
    facts = rings.store.snapshot()
    now, clocks = _as_they_stand(facts, rings)
    return merge(levelled(facts, now), [each for each in clocks if isinstance(each, ClockStepped)])


def uptime(clock: Clock) -> timedelta:
    """Return the time since boot: what a run's own limits are measured by, since nobody sets that clock."""
    return timedelta(seconds=clock.boot()[1])


def last_seen(facts: Facts, host: str) -> ClockSeen | None:
    """Return how a host's clocks stood last; those of the host that wrote the state where this one never looked."""
    own = [row for row in facts.clocks if row.host == host]
    return max(own or facts.clocks, key=lambda row: row.at, default=None)


def decided_at(facts: Facts, rings: Rings) -> datetime:
    """Return the instant of the last look: what is decided by it must not rest on a clock that was set since."""
    seen = last_seen(facts, rings.host_id)
    return seen.at if seen else rings.clock.now()


def _as_they_stand(facts: Facts, rings: Rings) -> tuple[datetime, list[Fact]]:
    # Read after the facts: an honest clock says an instant after all that are among them.
    boot, now = rings.clock.boot(), rings.clock.now()
    seen = last_seen(facts, rings.host_id)
    step = stepped(seen, now, boot) if seen else None
    stand = ClockSeen(rings.host_id, *boot, now)
    return now, [stand] if step is None else [stand, step]


def _said(step: ClockStepped, seen: ClockSeen | None) -> str:
    span = timedelta(seconds=round(abs(step.seconds)))
    if step.seconds < 0:
        return f"the clock was set back by {span}: waits count from now"
    if seen is None or seen.boot_id == step.boot_id:
        return f"the clock was set forward by {span}: waits count from now"
    return f"the machine was started anew, and nothing tells whether {span} passed before: waits count from now"
