"""Revocation, signed with the account's key (RFC 8555 section 7.6)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from danelaw.errors import DanelawError, InputError, Refused
from danelaw.lifecycle.records import current_key
from danelaw.lifecycle.rollout import rollout
from danelaw.model import Chain, ChainFact, Desired, Effect, Facts
from danelaw.run.look import look
from danelaw.run.rings import Rings

REASONS = {"unspecified": 0, "keyCompromise": 1, "superseded": 4, "cessationOfOperation": 5}
"""RFC 5280 section 5.3.1; the ones that ACME CAs accept."""

REVOCATION = "revoke"
"""The kind of its effect."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was revoked, and whether it was live (then its renewal is due at once)."""

    certificate: str
    chain: Chain
    live: bool


def revoke(desired: Desired, rings: Rings, name: str | None, chain: Chain | None, reason: str, *, yes: bool) -> Revoked:
    """Revoke the newest certificate of a name, or the one given.

    One that is live is refused unless ``yes``. keyCompromise of a key in use is refused: it blocks the key for ever,
    and with it what is live. Raises `InputError`, `Refused`, `RetryLater`, and `LeaseHeld` where a run is at work.
    """
    with rings.store.lease(_row(desired, rings.store.snapshot(), name, chain).certificate):
        return _revoke(desired, rings, name, chain, reason, yes=yes)


def _revoke(
    desired: Desired, rings: Rings, name: str | None, chain: Chain | None, reason: str, *, yes: bool
) -> Revoked:
    facts = look(desired, rings)
    row = _row(desired, facts, name, chain)
    live_at = _live_at(desired, rings, facts, row.chain)
    keys = {key.spki_sha256 for spec in desired.certificates if (key := current_key(facts, spec.name))}
    if reason == "keyCompromise" and row.chain.spki_sha256 in keys:
        raise Refused(
            f"the key of {row.certificate} is in use, and revoking for keyCompromise blocks it for ever; "
            "a rollover to another key comes first, which danelaw cannot do yet"
        )
    if live_at and not yes:
        raise Refused(
            f"certificate {row.chain.leaf_sha256[:16]}… of {row.certificate} is live at {_first(live_at)}; "
            "renew first (apply --force-renewal) and name this one by --cert FILE, or revoke it all the same with --yes"
        )
    rings.tell("step", f"{row.certificate}: revoke {row.chain.leaf_sha256[:16]}…: {reason}")
    detail = json.dumps({"leaf_sha256": row.chain.leaf_sha256, "reason": REASONS[reason]})
    effect = rings.store.begin(REVOCATION, row.certificate, detail, rings.clock.now())
    try:
        rings.authorities[row.ca].revoke(row.chain.leaf_der, REASONS[reason])
    except DanelawError as error:
        rings.store.end(effect, "failed", str(error), rings.clock.now())
        raise
    _end(rings, effect, row if row in facts.chains else None, REASONS[reason])
    rings.tell("done", f"revoked at {row.ca}")
    return Revoked(row.certificate, row.chain, bool(live_at))


def finish(rings: Rings, facts: Facts, effect: Effect) -> None:
    """Carry out a revocation that an interrupted run began, since nobody knows how far it came.

    One revoked already is a success. Raises `RetryLater`, and then it is still owed, or `Refused`.
    """
    detail = json.loads(effect.detail)
    row = next((row for row in facts.chains if row.chain.leaf_sha256 == detail["leaf_sha256"]), None)
    authority = rings.authorities.get(row.ca) if row else None
    if row is None or authority is None:
        rings.store.end(effect.id, "interrupted", "its CA or its certificate is not known here", rings.clock.now())
        return
    rings.tell("progress", f"{row.certificate}: revoke {row.chain.leaf_sha256[:16]}…, which an interrupted run owes")
    try:
        authority.revoke(row.chain.leaf_der, detail["reason"])
    except Refused as error:
        rings.store.end(effect.id, "failed", str(error), rings.clock.now())
        raise
    _end(rings, effect.id, row, detail["reason"])


def _end(rings: Rings, effect: int, row: ChainFact | None, reason: int) -> None:
    now = rings.clock.now()
    done = [replace(row, revoked_at=now, reason=reason)] if row else []
    rings.store.end(effect, "done", f"revoked, reason {reason}", now, done)


def _first(places: Sequence[str], most: int = 3) -> str:
    """Return the first few places in words."""
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


def _row(desired: Desired, facts: Facts, name: str | None, chain: Chain | None) -> ChainFact:
    if chain is not None:
        known = next((row for row in facts.chains if row.chain.leaf_sha256 == chain.leaf_sha256), None)
        if known is not None:
            return _unrevoked(known)
        if not desired.certificates:
            raise InputError("the config has no certificate, so there is no CA to ask")
        first = desired.certificates[0]
        return ChainFact("(not issued through this state)", chain, first.ca, chain.not_before)
    rows = [row for row in facts.chains if row.certificate == name]
    if not rows:
        known_names = ", ".join(sorted({row.certificate for row in facts.chains})) or "none"
        raise InputError(f"no certificate of {name!r} is in the state; it has those of: {known_names}")
    return _unrevoked(max(rows, key=lambda row: row.obtained_at))


def _unrevoked(row: ChainFact) -> ChainFact:
    if row.revoked_at is not None:
        raise InputError(
            f"certificate {row.chain.leaf_sha256[:16]}… of {row.certificate} was revoked already, "
            f"{row.revoked_at:%Y-%m-%d %H:%M:%SZ}; name another one by --cert FILE"
        )
    return row


def _live_at(desired: Desired, rings: Rings, facts: Facts, chain: Chain) -> Sequence[str]:
    now = rings.clock.now()
    presented = {
        f"{row.endpoint} ({row.address})"
        for row in facts.presented
        if row.chain.leaf_sha256 == chain.leaf_sha256
        and not any(
            other.endpoint == row.endpoint and other.address == row.address and other.last_at > row.last_at
            for other in facts.presented
        )
    }
    deployed = {
        deployment.id
        for spec in desired.certificates
        for deployment in spec.deployments
        if (active := rollout(facts, spec, deployment, now).active) and active.leaf_sha256 == chain.leaf_sha256
    }
    return [*sorted(deployed), *sorted(presented)]
