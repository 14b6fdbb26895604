"""What `apply` would do now and later, and why: `step` and `predict` unfolded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from danelaw.lifecycle.gate import held
from danelaw.lifecycle.predict import predict as predicted
from danelaw.lifecycle.predict import settled
from danelaw.lifecycle.steps import step as next_step
from danelaw.model import Desired, Facts, Hold, KeyFact, Rest, Step, TakeKey, TlsaRecord, Wait

LONGEST = 100
"""Entries; a plan that is longer than this goes round in circles."""

ENDLESS = frozenset({"renewal", "backoff", "scheduled", "retiring"})
"""Waits that a plan shows and does not look behind, and that nobody stays for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a plan: at ``at``, a step, a wait or a hold. ``now``: it would happen at once.

    ``cached``: of each owner name, by name, every RRset that a sender may hold at that instant.
    """

    at: datetime
    what: Step | Wait | Hold
    now: bool
    cached: tuple[tuple[str, tuple[tuple[TlsaRecord, ...], ...]], ...] = ()


def timeline(
    desired: Desired, facts: Facts, now: datetime, adoptable: Mapping[str, KeyFact] = MappingProxyType({})
) -> list[Entry]:
    """Return the steps in order with their earliest instants, what they wait for, and what is left.

    ``adoptable`` are the keys that would be adopted, by certificate, so that the plan shows their records.
    """
    entries: list[Entry] = []
    at = now
    shown: set[Wait | Hold] = set()
    while len(entries) < LONGEST:
        answer = next_step(desired, facts, at)
        if not isinstance(answer, Rest):
            entries.append(Entry(at, answer, at == now, cached_at(desired, facts, at)))
            key = adoptable.get(answer.certificate) if isinstance(answer, TakeKey) else None
            facts = replace(facts, keys=(*facts.keys, key)) if key else predicted(desired, facts, answer, at)
            continue
        rests: list[Wait | Hold] = [*answer.holds, *answer.waits]
        fresh = [item for item in rests if _sameness(item) not in shown]
        shown |= {_sameness(item) for item in fresh}
        cached = cached_at(desired, facts, at) if fresh else ()
        entries.extend(Entry(at, item, at == now, cached) for item in fresh)
        ends = [wait.until for wait in answer.waits if wait.code not in ENDLESS and wait.until > at]
        if not ends:
            break
        at = min(ends)
        facts = _later(facts, at)
    return entries


def cached_at(
    desired: Desired, facts: Facts, at: datetime
) -> tuple[tuple[str, tuple[tuple[TlsaRecord, ...], ...]], ...]:
    """Return by owner name every RRset that a sender may hold at an instant, what nobody saw excepted."""
    owners = sorted({claim.endpoint.owner for spec in desired.certificates for claim in spec.claims})
    return tuple((owner, tuple(sorted({item.rdatas for item in held(facts, desired, owner, at)}))) for owner in owners)


def _sameness(item: Wait | Hold) -> Wait | Hold:
    """Return a wait as it is, but for short ones that are asked anew at every look, without their instant."""
    if isinstance(item, Wait) and item.code in {"lagging", "validated"}:
        return replace(item, until=datetime.min)  # noqa: DTZ901 (a mark, not an instant)
    return item


def _later(facts: Facts, at: datetime) -> Facts:
    """Return the facts as a look at a later instant finds them, where everything did what it should."""
    for owner in sorted({row.owner for row in facts.owners}):
        facts = settled(facts, owner, at)
    newest = {(row.owner, row.server): row.first_at for row in facts.rrsets}
    states = {row.owner: row.first_at for row in facts.owners}
    sights = {(row.endpoint, row.address): row.last_at for row in sorted(facts.presented, key=lambda row: row.last_at)}
    return replace(
        facts,
        rrsets=tuple(
            replace(row, last_at=at) if newest[row.owner, row.server] == row.first_at else row for row in facts.rrsets
        ),
        owners=tuple(replace(row, last_at=at) if states[row.owner] == row.first_at else row for row in facts.owners),
        primaries=tuple(replace(row, at=at) for row in facts.primaries),
        presented=tuple(
            replace(row, last_at=at) if row.last_at == sights[row.endpoint, row.address] else row
            for row in facts.presented
        ),
    )
