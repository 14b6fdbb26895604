"""The plan: a real look, an imagined future; nothing is changed and nothing is stored."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime

from danelaw.errors import DanelawError
from danelaw.lifecycle.components import components
from danelaw.lifecycle.merge import merge
from danelaw.lifecycle.records import current_key
from danelaw.lifecycle.timeline import Entry, timeline
from danelaw.model import Desired, EffectOutcome, Fact, Facts, KeyFact
from danelaw.run.look import look
from danelaw.run.rings import Rings


class Forgetful:
    """`model.Store` over facts in memory: what is recorded is gone with it, and no effect can begin."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def snapshot(self) -> Facts:
        """Return all facts."""
        return self._facts

    def record(self, facts: Sequence[Fact]) -> None:
        """Keep facts in memory."""
        self._facts = merge(self._facts, facts)

    def begin(self, kind: str, subject: str, detail: str, at: datetime) -> int:
        """Refuse: a plan has no effects."""
        raise NotImplementedError(f"a plan began {kind} of {subject} ({detail}) at {at}")

    def end(
        self,
        effect: int,
        outcome: EffectOutcome,
        evidence: str,
        at: datetime,
        facts: Sequence[Fact] = (),
        retry_at: datetime | None = None,
    ) -> None:
        """Refuse: a plan has no effects."""
        raise NotImplementedError(f"a plan ended {effect} {outcome} {evidence} {at} {facts} {retry_at}")

    def lease(self, component: str) -> AbstractContextManager[None]:
        """Hold nothing: a plan disturbs nobody."""
        del component
        return nullcontext()


def plan(desired: Desired, rings: Rings, names: Sequence[str] = ()) -> list[Entry]:
    """Return what `apply` would do. The public half of a key that would be adopted is read, and nothing is kept."""
    entries: list[Entry] = []
    for part in components(desired, names):
        store = Forgetful(rings.store.snapshot())
        facts = look(part, replace(rings, store=store))
        now = rings.clock.now()
        entries.extend(timeline(part, facts, now, adoptable(rings, part, facts)))
    return sorted(entries, key=lambda entry: entry.at)


def adoptable(rings: Rings, part: Desired, facts: Facts) -> dict[str, KeyFact]:
    """Return the keys that would be adopted, by certificate, as their files hold them."""
    found = {}
    for spec in part.certificates:
        if current_key(facts, spec.name) is not None:
            continue
        try:
            key = rings.host.peek_key(spec)
        except DanelawError as error:
            rings.tell("progress", f"{spec.name}: {error}")
            continue
        if key is not None:
            found[spec.name] = key
    return found
