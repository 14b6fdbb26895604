"""Keys over time: whose role each plays when, and which records are of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from danelaw import dane
from danelaw.errors import InputError
from danelaw.model import Chain, Facts, KeyFact, TlsaRecord
from danelaw.web.timeline.intervals import Interval, cut
from danelaw.web.timeline.spans import Kind, Role, Span

A_MOMENT = timedelta(milliseconds=1)
"""What is predicted of one step comes microseconds apart, to have an order: that is no time at all."""


def is_instant(interval: Interval) -> bool:
    """Tell whether an interval is no longer than a moment, or none at all (strangers write dates)."""
    return interval.end is not None and interval.end - interval.start < A_MOMENT


class Turns(NamedTuple):
    """When a key became the current one, and when the next one did; None: never, as far as anybody sees.

    The certificate's first key is current from the beginning: what it was before it was taken over, no other was.
    """

    current: datetime | None
    retired: datetime | None

    @classmethod
    def of(cls, key: KeyFact, keys: Iterable[KeyFact]) -> "Turns":
        """Tell a key's turns, of all keys."""
        since = key.current_since
        if since is None:
            return cls(None, None)
        turns = [
            each.current_since
            for each in keys
            if each.certificate == key.certificate and each.current_since is not None
        ]
        first = since == min(turns)
        return cls(EVER if first else since, min((at for at in turns if at > since), default=None))

    def role(self, at: datetime | None = None) -> Role:
        """Return what the key is at an instant, or after all that is known of it."""
        if self.retired is not None and (at is None or self.retired <= at):
            return "retired"
        return "current" if self.current is not None and (at is None or self.current <= at) else "next"


EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Life:
    """A key with its turns.

    ``to_be_made``: nobody has it yet, and its digest is a plan's own. ``stands`` is its role now, or when it is made.
    """

    key: KeyFact
    turns: Turns
    to_be_made: bool
    stands: Role

    @property
    def gone_at(self) -> datetime | None:
        """Return when it was put away or destroyed."""
        return self.key.destroyed_at or self.key.archived_at

    def spans(self, interval: Interval, kind: Kind) -> list[Span]:
        """Return an interval as spans, cut where the key's role changes."""
        changes = [at for at in self.turns if at is not None]
        pieces = cut(interval, changes)
        return [Span(*each, kind, self.turns.role(each.start)) for each in pieces if not is_instant(each)]


@dataclass(frozen=True, slots=True)
class Lives:
    """All keys of the facts, and the chains by which records of whole certificates are told."""

    lives: tuple[Life, ...]
    chains: tuple[Chain, ...]

    @classmethod
    def of(cls, before: Facts, facts: Facts) -> "Lives":
        """Tell when each key becomes current, and when the next one does; what is not ``before`` is to be made."""
        found = []
        known = {(key.certificate, key.spki_sha256): key for key in before.keys}
        for key in facts.keys:
            stood = known.get((key.certificate, key.spki_sha256))
            turns = Turns.of(key, facts.keys)
            # What is planned for this very instant is not yet so.
            stands = Turns.of(stood, before.keys).role() if stood else turns.role(key.made_at)
            found.append(Life(key, turns, stood is None, stands))
        chains: dict[str, Chain] = {row.chain.leaf_sha256: row.chain for row in facts.chains}
        for seen in facts.presented:
            chains.setdefault(seen.chain.leaf_sha256, seen.chain)
        return cls(tuple(found), tuple(chains.values()))

    def of_certificate(self, name: str) -> tuple[Life, ...]:
        """Return a certificate's keys, in the order in which they came."""
        own = (life for life in self.lives if life.key.certificate == name)
        return tuple(sorted(own, key=lambda life: life.key.made_at))

    def of_key(self, spki_sha256: str, certificate: str = "") -> Life | None:
        """Return a key by its digest; where several certificates have it, that one's, else the first one's."""
        same = [life for life in self.lives if life.key.spki_sha256 == spki_sha256]
        return next((life for life in same if life.key.certificate == certificate), same[0] if same else None)

    def of_record(self, record: TlsaRecord, certificate: str = "") -> Life | Role:
        """Return the key that a record is of, by itself or by a certificate over it; or whose it is instead.

        Where several certificates have the key, ``certificate`` is the one asked about.
        """
        for life in self.lives:
            if _is_of(record, life.key):
                return self.of_key(life.key.spki_sha256, certificate) or life
        matching = [chain for chain in self.chains if dane.matches(record, chain)]
        if matching and record.usage in {0, 2}:
            return "issuer"
        return next(filter(None, (self.of_key(chain.spki_sha256, certificate) for chain in matching)), "foreign")


def _is_of(record: TlsaRecord, key: KeyFact) -> bool:
    if record.usage not in {1, 3} or record.selector != 1:
        return False
    try:
        return dane.tlsa_record(record.spec, spki_der=key.spki_der) == record
    except InputError:  # parameters that nobody knows, or a key too large for a record
        return False


def spans_of(owner: Life | Role, interval: Interval, kind: Kind) -> Sequence[Span]:
    """Return an interval of a record as spans, cut where its key's role changes."""
    if isinstance(owner, Life):
        return owner.spans(interval, kind)
    return () if is_instant(interval) else (Span(*interval, kind, owner),)


def digest(sha256: str) -> str:
    """Return a digest's first characters, as every message has them."""
    return f"{sha256[:16]}…"
