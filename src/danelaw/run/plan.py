"""The plan: a real look, an imagined future; nothing is changed and nothing is stored."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from danelaw.errors import DanelawError
from danelaw.lifecycle.clock import levelled, moves
from danelaw.lifecycle.components import components
from danelaw.lifecycle.merge import merge
from danelaw.lifecycle.records import current_key
from danelaw.lifecycle.timeline import ENDLESS, Entry, timeline
from danelaw.model import Desired, Effect, EffectOutcome, Fact, Facts, Hold, KeyFact, TakeKey, Wait
from danelaw.run.act import KINDS
from danelaw.run.adopt import other_machine
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

    def level(self, at: datetime) -> int:
        """Level the facts in memory."""
        found = moves(self._facts, at)
        self._facts = levelled(self._facts, at)
        return len(found)

    def lease(self, component: str) -> AbstractContextManager[None]:
        """Hold nothing: a plan disturbs nobody."""
        del component
        return nullcontext()


def imagined_look(desired: Desired, rings: Rings, names: Sequence[str] = ()) -> Facts:
    """Look at what is desired of some certificates, or all, and return all facts; nothing is stored."""
    store = Forgetful(rings.store.snapshot())
    for part in components(desired, names):
        look(part, replace(rings, store=store))
    return store.snapshot()


class Planned(NamedTuple):
    """A plan with the facts that it was made of: those stored, what a look added, and keys that would be adopted."""

    entries: list[Entry]
    facts: Facts


def plan(desired: Desired, rings: Rings, names: Sequence[str] = ()) -> list[Entry]:
    """Return what `apply` would do. The public half of a key that would be adopted is read, and nothing is kept."""
    return planned(desired, rings, names).entries


def planned(desired: Desired, rings: Rings, names: Sequence[str] = ()) -> Planned:
    """Return what `apply` would do (see `plan`), and the facts that this follows from."""
    entries: list[Entry] = []
    adopted: list[KeyFact] = []
    store = Forgetful(rings.store.snapshot())
    for part in components(desired, names):
        facts = look(part, replace(rings, store=store))
        now = rings.clock.now()
        if holds := other_machine(part, facts, rings.host_id):
            entries.extend(Entry(now, hold, now=True) for hold in holds)
            continue
        keys, refused = adoptable(rings, part, facts)
        tries = tuple(_refused_try(name, why, now) for name, why in refused.items())
        facts = replace(facts, effects=(*facts.effects, *tries))
        entries.extend(_held(entry, refused) for entry in timeline(part, facts, now, keys))
        adopted.extend(keys.values())
    known = store.snapshot()
    in_order = sorted(_last_of_each(entries), key=lambda entry: entry.at)
    return Planned(in_order, replace(known, keys=(*known.keys, *adopted)))


def _last_of_each(entries: Sequence[Entry]) -> list[Entry]:
    """Leave out what a later step of the plan makes untrue: of what is only told, the last word on each subject."""
    told = {_told(entry.what): entry for entry in entries if isinstance(entry.what, Wait)}
    return [
        entry
        for entry in entries
        if not isinstance(entry.what, Wait)
        or entry.what.code not in ENDLESS - {"backoff"}
        or told[_told(entry.what)] is entry
    ]


def _told(wait: Wait) -> tuple[str, str, str]:
    """Return what a wait is about; of several retired keys each has one of its own."""
    return wait.code, wait.subject, wait.why if wait.code == "retiring" else ""


def _refused_try(name: str, why: str, now: datetime) -> Effect:
    """Return what trying to take a refused key would leave behind, so that the rest is planned as it will be."""
    return Effect(0, KINDS[TakeKey], name, "{}", now, now, "failed", why)


def _held(entry: Entry, refused: Mapping[str, str]) -> Entry:
    """Show a key that is refused as what it is: nothing that waiting would mend."""
    what = entry.what
    if isinstance(what, Wait) and what.code == "backoff" and what.subject in refused:
        hold = Hold("key", what.subject, refused[what.subject], "mend that, then run apply")
        return replace(entry, what=hold)
    return entry


def adoptable(rings: Rings, part: Desired, facts: Facts) -> tuple[dict[str, KeyFact], dict[str, str]]:
    """Return by certificate the keys that would be adopted, as their files hold them, and why others are refused."""
    found, refused = {}, {}
    for spec in part.certificates:
        if current_key(facts, spec.name) is not None:
            continue
        try:
            key = rings.host.peek_key(spec)
        except DanelawError as error:
            refused[spec.name] = str(error)
            continue
        if key is not None:
            found[spec.name] = key
    return found, refused
