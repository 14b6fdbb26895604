"""The facts as they will be when a plan has run its course: what was seen and what is planned are then read alike."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from danelaw.lifecycle.predict import predict, settled
from danelaw.lifecycle.timeline import Entry
from danelaw.model import Desired, Endpoint, Facts, Hold, KeyFact, Obtain, Presented, Silent, Wait


def foreseen(desired: Desired, facts: Facts, entries: Iterable[Entry]) -> Facts:
    """Return the facts after every step of a plan, each at its instant. Nothing before the first of them is changed."""
    reached: datetime | None = None
    for entry in sorted(entries, key=lambda entry: entry.at):
        if reached is not None and entry.at > reached:
            for owner in sorted({row.owner for row in facts.owners}):
                facts = settled(facts, owner, entry.at)  # servers that were behind have caught up by then
        reached = entry.at
        if isinstance(entry.what, Wait | Hold):
            continue
        if isinstance(entry.what, Obtain):
            facts = _adopted(facts, entry.what)
        facts = predict(desired, facts, entry.what, entry.at)
    return facts


def _adopted(facts: Facts, step: Obtain) -> Facts:
    """Return the facts with the key that a plan orders over.

    A plan reads the public half of a key that would be adopted, and keeps it nowhere: here it stands as one to be made.
    """
    own = [key for key in facts.keys if key.certificate == step.certificate]
    if any(key.spki_sha256 == step.spki_sha256 for key in own):
        return facts
    imagined = max(own, key=lambda key: key.made_at)
    here: KeyFact = replace(imagined, spki_sha256=step.spki_sha256)
    return replace(facts, keys=tuple(here if key is imagined else key for key in facts.keys))


def seen_again(facts: Facts, now: datetime) -> Facts:
    """Return the facts as a look at ``now`` would leave them that found everything as the last one did."""
    looked: dict[str, datetime] = {}
    for state in facts.owners:
        looked[state.owner] = max(looked.get(state.owner, state.last_at), state.last_at)
    rows: list[Presented | Silent] = [*facts.presented, *facts.silent]
    met: dict[tuple[Endpoint, str], datetime] = {}
    for row in rows:
        place = (row.endpoint, row.address)
        met[place] = max(met.get(place, row.last_at), row.last_at)

    def at(owner: str, last_at: datetime) -> datetime:
        return max(now, last_at) if looked.get(owner) == last_at else last_at

    def there(row: Presented | Silent) -> datetime:
        return max(now, row.last_at) if met[row.endpoint, row.address] == row.last_at else row.last_at

    return replace(
        facts,
        rrsets=tuple(replace(row, last_at=at(row.owner, row.last_at)) for row in facts.rrsets),
        servers=tuple(replace(row, last_at=at(row.owner, row.last_at)) for row in facts.servers),
        unreachable=tuple(replace(row, last_at=at(row.owner, row.last_at)) for row in facts.unreachable),
        owners=tuple(replace(row, last_at=at(row.owner, row.last_at)) for row in facts.owners),
        primaries=tuple(replace(row, at=at(row.owner, row.at)) for row in facts.primaries),
        presented=tuple(replace(row, last_at=there(row)) for row in facts.presented),
        silent=tuple(replace(row, last_at=there(row)) for row in facts.silent),
    )
