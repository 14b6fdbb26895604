"""What a person asks for and the core answers later: a rollover, its cancellation, the revocation of what is live.

A request is one row in the store and needs no lease: a run that is at work sees it at its next look.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from danelaw.errors import InputError, Refused
from danelaw.lifecycle.gate import Held, acceptable, claims_at, held, span
from danelaw.lifecycle.imagined import imagined_chain
from danelaw.lifecycle.keys import current_key, next_key, obstacle, open_rollover, retired_keys, wanted_rollover
from danelaw.lifecycle.watched import counted
from danelaw.model import CertificateSpec, ChainFact, Desired, Fact, Facts, Intent, IntentKind, IntentOption, TlsaRecord
from danelaw.run.revoke import COMPROMISE, REASONS, compromised
from danelaw.run.rings import Rings


def spec_of(desired: Desired, name: str) -> CertificateSpec:
    """Return a certificate's part of the config. Raises `InputError` that says which there are."""
    for spec in desired.certificates:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in desired.certificates) or "none"
    raise InputError(f"no certificate is called {name!r}; the config has {known}")


def ask_rollover(
    desired: Desired,
    rings: Rings,
    name: str,
    *,
    emergency: bool = False,
    accept_outage: bool = False,
    by: str = "danelaw rollover",
) -> Intent:
    """Ask that a certificate's key be replaced by its next one; return the request as it is stored.

    One that is in course is made more urgent, never less. Raises `InputError` for an unknown name or options that
    contradict each other, `Refused` where there is nothing to replace, where it cannot be replaced, or where it is
    being replaced already.
    """
    if accept_outage and not emergency:
        raise InputError("--accept-outage goes with --emergency alone: every other rollover waits and breaks nothing")
    spec, facts, now = spec_of(desired, name), rings.store.snapshot(), rings.clock.now()
    found = obstacle(spec)
    if found is not None:
        raise Refused(f"the key of {name} cannot be replaced: {found[0]}; {found[1]}")
    if current_key(facts, name) is None:
        raise Refused(f"{name} has no key yet, so there is none to replace; run danelaw apply first")
    options: list[IntentOption] = ["emergency"] if emergency else []
    options += ["accept-outage"] if accept_outage else []
    _refuse_twice(facts, spec, options, now)
    asked = Intent(name, "rollover", by, _after_all(facts, name, "rollover", now), options=tuple(options))
    rings.store.record([asked])
    return asked


def _refuse_twice(facts: Facts, spec: CertificateSpec, options: Collection[IntentOption], now: datetime) -> None:
    """Refuse a request that changes nothing about a rollover that is in course."""
    asked = open_rollover(facts, spec.name)
    if asked is not None:
        if set(options) <= set(asked.options):
            more = "" if "emergency" in asked.options else "; --emergency makes it urgent"
            raise Refused(
                f"a rollover of {spec.name} is in course, asked for at {asked.asked_at:%Y-%m-%d %H:%M:%SZ}; "
                f"danelaw plan {spec.name} says what it waits for{more}; --cancel takes it back"
            )
        return
    wanted = wanted_rollover(facts, spec, now)
    if wanted is not None and (not options or (wanted.emergency and "accept-outage" not in options)):
        raise Refused(
            f"a rollover of {spec.name} is in course: {wanted.why}; danelaw plan {spec.name} says what it waits for"
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """An RRset that senders may hold and that refuses the next key: their mail waits until they ask again.

    ``until`` is when the last cache has dropped it, where every server lets go of it now.
    """

    owner: str
    records: tuple[TlsaRecord, ...]
    until: datetime
    why: str


def outage_cost(desired: Desired, facts: Facts, name: str, now: datetime) -> tuple[Cost, ...]:
    """Return what `--accept-outage` costs, by what was seen last; empty: the next key may go live without any.

    Where there is no next key yet, every RRset that may be held refuses it.
    """
    spec = spec_of(desired, name)
    key = next_key(facts, spec)
    chain = imagined_chain(facts, spec, key, now) if key else None
    owners = dict.fromkeys(
        endpoint.owner for deployment in spec.deployments for endpoint in counted(facts, desired, deployment)
    )
    return tuple(
        Cost(owner, item.rdatas, item.until or now + _longest(desired, facts, item), item.why)
        for owner in owners
        for item in held(facts, desired, owner, now)
        if chain is None or not acceptable(item.rdatas, chain, claims_at(desired, owner), owner, now)
    )


def _longest(desired: Desired, facts: Facts, item: Held) -> timedelta:
    """Return how long a cache may hold an RRset that is served now (w of it, see `lifecycle.gate`)."""
    rows = [row for row in facts.rrsets if (row.owner, row.rdatas) == (item.owner, item.rdatas)]
    return span(rows, desired.lookup_margin)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Requests that were taken back; ``still`` is why the key is replaced all the same, where it is."""

    intents: tuple[Intent, ...]
    still: str | None = None


def cancel_rollover(desired: Desired, rings: Rings, name: str) -> Cancelled:
    """Take back what was asked of a certificate's key. What went live over the next key goes back by the next runs.

    Raises `InputError` for an unknown name, `Refused` where there is nothing to take back: nobody asked, or every
    service presents the next key already, which is the current one since.
    """
    spec, facts, now = spec_of(desired, name), rings.store.snapshot(), rings.clock.now()
    rows = [row for row in facts.intents if (row.certificate, row.kind) == (name, "rollover")]
    asked = [row for row in rows if row.closed_at is None]
    if not asked:
        raise Refused(_why_nothing(facts, spec, rows, now))
    closed = tuple(replace(row, closed_at=now) for row in asked)
    rings.store.record(closed)
    wanted = wanted_rollover(rings.store.snapshot(), spec, now)
    return Cancelled(closed, None if wanted is None else wanted.why)


def _why_nothing(facts: Facts, spec: CertificateSpec, rows: Sequence[Intent], now: datetime) -> str:
    current = current_key(facts, spec.name)
    wanted = wanted_rollover(facts, spec, now)
    if wanted is not None:
        return (
            f"nobody asked for the rollover of {spec.name} that is in course, so it cannot be taken back: {wanted.why}"
        )
    since = current.current_since if current else None
    if since is not None and retired_keys(facts, spec.name) and any(row.closed_at == since for row in rows):
        return (
            f"too late to cancel: the next key of {spec.name} is its current one since {since:%Y-%m-%d %H:%M:%SZ}, "
            f"proven everywhere; danelaw rollover {spec.name} goes on to another key"
        )
    return f"no rollover of {spec.name} is in course, so there is nothing to cancel"


def ask_revocation(rings: Rings, row: ChainFact, reason: str, *, by: str = "danelaw revoke") -> tuple[Intent, ...]:
    """Ask that a certificate which is live be replaced and then revoked; return the requests as they are stored.

    keyCompromise marks the key at once, and an emergency rollover follows from that; any other reason asks for a
    renewal over the same key first. ``reason`` is one of `revoke.REASONS`.
    """
    facts, now = rings.store.snapshot(), rings.clock.now()
    name, leaf = row.certificate, row.chain.leaf_sha256
    asked = [
        Intent(name, "revoke", by, _after_all(facts, name, "revoke", now), leaf_sha256=leaf, reason=REASONS[reason])
    ]
    made: list[Fact] = []
    if reason == COMPROMISE:
        made.extend(compromised(facts, row.chain.spki_sha256, now))
    elif not any(other.obtained_at > row.obtained_at and _stands_in(other, row) for other in facts.chains):
        asked.append(Intent(name, "renew", by, _after_all(facts, name, "renew", now)))
    open_ones = [
        replace(each, closed_at=now)
        for each in facts.intents
        if each.kind == "revoke" and each.leaf_sha256 == leaf and each.closed_at is None
    ]
    rings.store.record([*made, *open_ones, *asked])
    return tuple(asked)


def _stands_in(other: ChainFact, row: ChainFact) -> bool:
    """Tell whether a certificate takes another's place already."""
    return (
        other.certificate == row.certificate
        and other.chain.spki_sha256 == row.chain.spki_sha256
        and other.revoked_at is None
        and set(row.chain.names) <= set(other.chain.names)
    )


def _after_all(facts: Facts, name: str, kind: IntentKind, now: datetime) -> datetime:
    """Return now, or just after the latest request of a kind: no two are one row, whatever the clock says."""
    latest = [row.asked_at for row in facts.intents if (row.certificate, row.kind) == (name, kind)]
    return max([now, *(at + timedelta(microseconds=1) for at in latest)])
