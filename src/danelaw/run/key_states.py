"""How a certificate's keys stand, and where its rollover is: from what is stored, as `status` shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from danelaw import dane
from danelaw.lifecycle.cutover import cutover
from danelaw.lifecycle.gate import acceptable, claims_at, held
from danelaw.lifecycle.imagined import imagined_chain
from danelaw.lifecycle.keys import (
    current_key,
    is_put_away,
    next_key,
    retired_keys,
    rollover_at,
    settling,
    wanted_rollover,
)
from danelaw.lifecycle.wanted import is_over_key, is_settling
from danelaw.model import CertificateSpec, Desired, Facts, KeyFact, TlsaRecord
from danelaw.run.report import Json, instant

Phase = Literal["steady", "publishing", "ripening", "ordering", "cutover", "settling", "retiring"]
"""Where a rollover is: there is none; the next key is made and its records published; caches that lack these are waited
for; a certificate over it is ordered; services go over; the old records stay until another proof; the old key is kept
until nothing can need it."""


def keys_json(desired: Desired, facts: Facts, spec: CertificateSpec, now: datetime) -> list[Json]:
    """Return each key that is not put away yet: the current one first, then the next, then the retired ones."""
    current, coming = current_key(facts, spec.name), next_key(facts, spec)
    found: list[Json] = []
    if current is not None:
        found.append(_key("current", current))
    if coming is not None:
        added = published_at(desired, facts, spec, coming)
        ripe = ripe_at(desired, facts, spec, coming, now)
        found.append(
            _key("next", coming)
            | {"published_at": instant(added) if added else None, "ripe_at": instant(ripe) if ripe else None}
        )
    for key in retired_keys(facts, spec.name):
        if not is_put_away(key):
            until = needed_until(desired, facts, key, now)
            found.append(_key("retired", key) | {"needed_until": instant(until) if until else None})
    return found


def _key(state: str, key: KeyFact) -> Json:
    since = key.current_since or key.made_at
    return {
        "state": state,
        "spki_sha256": key.spki_sha256,
        "algorithm": key.algorithm,
        "origin": key.origin,
        "since": instant(since),
        "compromised_at": instant(key.compromised_at) if key.compromised_at else None,
    }


def records_over(desired: Desired, key: KeyFact, owner: str) -> set[TlsaRecord]:
    """Return the records that are claimed at an owner name over a key alone."""
    claims = [claim for claim in claims_at(desired, owner) if claim.certificate == key.certificate]
    return {
        dane.tlsa_record(each, spki_der=key.spki_der) for claim in claims for each in claim.records if is_over_key(each)
    }


def published_at(desired: Desired, facts: Facts, spec: CertificateSpec, key: KeyFact) -> datetime | None:
    """Return when the last of a key's records was added; None while one is missing at any claimed owner name."""
    instants: list[datetime] = []
    for owner in dict.fromkeys(claim.endpoint.owner for claim in spec.claims):
        for record in records_over(desired, key, owner):
            added = [
                row.added_at
                for row in facts.own_records
                if (row.owner, row.record) == (owner, record) and row.withdrawn_at is None
            ]
            if not added:
                return None
            instants.append(max(added))
    return max(instants, default=None)


def ripe_at(desired: Desired, facts: Facts, spec: CertificateSpec, key: KeyFact, now: datetime) -> datetime | None:
    """Return when no cache can lack a key's records any more, past or to come; None: not published, or nobody knows."""
    added = published_at(desired, facts, spec, key)
    if added is None:
        return None
    chain, ends = imagined_chain(facts, spec, key, now), [added]
    for owner in dict.fromkeys(claim.endpoint.owner for claim in spec.claims):
        claims = claims_at(desired, owner)
        for item in held(facts, desired, owner, added):
            if acceptable(item.rdatas, chain, claims, owner, now):
                continue
            if item.until is None:
                return None
            ends.append(item.until)
    return max(ends)


def needed_until(desired: Desired, facts: Facts, key: KeyFact, now: datetime) -> datetime | None:
    """Return until when a certificate over a key is valid or its records may be held; None: nothing needs it now."""
    chains = [row.chain for row in facts.chains if row.chain.spki_sha256 == key.spki_sha256]
    ends = [row.chain.not_after for row in facts.chains if row.chain in chains and row.revoked_at is None]
    for owner in {row.owner for row in facts.own_records}:
        over = records_over(desired, key, owner)
        ends.extend(item.until for item in held(facts, desired, owner, now) if item.until and over & set(item.rdatas))
    return max((end for end in ends if end > now), default=None)


def phase(desired: Desired, facts: Facts, spec: CertificateSpec, now: datetime) -> Phase:
    """Return where a certificate's rollover is."""
    if wanted_rollover(facts, spec, now) is not None:
        coming = next_key(facts, spec)
        if coming is None or published_at(desired, facts, spec, coming) is None:
            return "publishing"
        ripe, cut = ripe_at(desired, facts, spec, coming, now), cutover(facts, spec, now)
        if cut is not None and cut.chain is not None:
            return "cutover"
        return "ordering" if ripe is not None and ripe <= now else "ripening"
    if settling(facts, spec) is not None and is_settling(facts, spec, now):
        return "settling"
    return "retiring" if any(not is_put_away(key) for key in retired_keys(facts, spec.name)) else "steady"


def rollover_json(desired: Desired, facts: Facts, spec: CertificateSpec, now: datetime) -> Json:
    """Return a certificate's rollover: where it is, why, and the next instant at which something changes by itself.

    ``scheduled_at`` is when the config asks for one.
    """
    where, wanted = phase(desired, facts, spec, now), wanted_rollover(facts, spec, now)
    due = rollover_at(facts, spec)
    following = _next(desired, facts, spec, where, now)
    return {
        "phase": where,
        "why": wanted.why if wanted else None,
        "emergency": wanted.emergency if wanted else False,
        "next": instant(following) if following else None,
        "scheduled_at": instant(due) if due else None,
    }


def _next(desired: Desired, facts: Facts, spec: CertificateSpec, where: Phase, now: datetime) -> datetime | None:
    coming, replaced = next_key(facts, spec), settling(facts, spec)
    match where:
        case "ripening" if coming is not None:
            return ripe_at(desired, facts, spec, coming, now)
        case "settling" if replaced is not None:
            return replaced.until
        case "retiring":
            return _last(
                [
                    needed_until(desired, facts, key, now)
                    for key in retired_keys(facts, spec.name)
                    if not is_put_away(key)
                ]
            )
        case "steady":
            return rollover_at(facts, spec)
        case _:
            return None


def _last(instants: Sequence[datetime | None]) -> datetime | None:
    return max((at for at in instants if at is not None), default=None)
