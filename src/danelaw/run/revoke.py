"""Revocation (RFC 8555 section 7.6): signed with the account's key, or with the certificate's own where that leaked.

CAs take a revocation by the certificate's key as proof that somebody else may have it, and some revoke every other
certificate over that key by it. So a key signs only where it is known to be compromised.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from danelaw import dane
from danelaw.errors import DanelawError, InputError, Refused
from danelaw.lifecycle.disk import active_generation
from danelaw.lifecycle.keys import current_key
from danelaw.lifecycle.rollout import rollout
from danelaw.model import Authority, Chain, ChainFact, Desired, Effect, Fact, Facts, KeyFact, Signer
from danelaw.run.look import look
from danelaw.run.rings import Rings

REASONS = {"unspecified": 0, "keyCompromise": 1, "superseded": 4, "cessationOfOperation": 5}
"""RFC 5280 section 5.3.1; the ones that ACME CAs accept."""

COMPROMISE = "keyCompromise"

REVOCATION = "revoke"
"""The kind of its effect."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was revoked, and whether it was live (then its renewal is due at once)."""

    certificate: str
    chain: Chain
    live: bool


def revoke(rings: Rings, facts: Facts, certificate: str, leaf_sha256: str, reason: int) -> tuple[list[Fact], str]:
    """Revoke a certificate that was issued to us; return the facts made and the evidence.

    Raises `Refused` or `RetryLater`. One that is revoked already is a success.
    """
    row = next(row for row in facts.chains if (row.certificate, row.chain.leaf_sha256) == (certificate, leaf_sha256))
    signer = signer_of(rings, facts, row.chain.spki_sha256)
    _authority(rings, row).revoke(row.chain.leaf_der, reason, signer)
    return _revoked(rings, facts, row, reason), f"revoked at {row.ca}, reason {reason}, {_signed_by(signer)}"


def signer_of(rings: Rings, facts: Facts, spki_sha256: str) -> Signer | None:
    """Return who signs a revocation: a key that is compromised and held here, else (None) the account's.

    Whoever has the key can revoke by it, so the CA need not believe us (RFC 8555 section 7.6).
    """
    for key in facts.keys:
        if key.spki_sha256 == spki_sha256 and key.compromised_at and key.origin != "elsewhere" and not key.destroyed_at:
            return rings.host.sign(key)
    return None


def revoke_now(
    desired: Desired, rings: Rings, name: str | None, chain: Chain | None, reason: str, *, yes: bool
) -> Revoked:
    """Revoke the newest certificate of a name, or the one given, without replacing it first.

    One that is live is refused unless ``yes``. Of keyCompromise the key is marked first, so that a rollover follows.
    Raises `InputError`, `Refused`, `RetryLater`, and `LeaseHeld` where a run is at work.
    """
    with rings.store.lease(row_of(desired, rings.store.snapshot(), name, chain).certificate):
        facts = look(desired, rings)
        row = row_of(desired, facts, name, chain)
        live_at = places_of(desired, rings, facts, row.chain)
        if live_at and not yes:
            raise Refused(
                f"certificate {row.chain.leaf_sha256[:16]}… of {row.certificate} is live at {first(live_at)}; "
                "replace it there first, or revoke it all the same with --yes"
            )
        if reason == COMPROMISE:
            rings.store.record(compromised(facts, row.chain.spki_sha256, rings.clock.now()))
            facts = rings.store.snapshot()
        rings.tell("step", f"{row.certificate}: revoke {row.chain.leaf_sha256[:16]}…: {reason}")
        _carry_out(rings, facts, row, REASONS[reason])
        return Revoked(row.certificate, row.chain, bool(live_at))


def _carry_out(rings: Rings, facts: Facts, row: ChainFact, reason: int) -> None:
    detail = json.dumps({"certificate": row.certificate, "leaf_sha256": row.chain.leaf_sha256, "reason": reason})
    effect = rings.store.begin(REVOCATION, row.certificate, detail, rings.clock.now())
    try:
        signer = signer_of(rings, facts, row.chain.spki_sha256)
        _authority(rings, row).revoke(row.chain.leaf_der, reason, signer)
    except DanelawError as error:
        rings.store.end(effect, "failed", str(error), rings.clock.now())
        raise
    made = _revoked(rings, facts, row, reason)
    rings.store.end(effect, "done", f"revoked, reason {reason}, {_signed_by(signer)}", rings.clock.now(), made)
    rings.tell("done", f"revoked at {row.ca}, {_signed_by(signer)}")


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
    signer = signer_of(rings, facts, row.chain.spki_sha256)
    try:
        authority.revoke(row.chain.leaf_der, detail["reason"], signer)
    except Refused as error:
        rings.store.end(effect.id, "failed", str(error), rings.clock.now())
        raise
    made = _revoked(rings, facts, row, detail["reason"])
    evidence = f"revoked, reason {detail['reason']}, {_signed_by(signer)}"
    rings.store.end(effect.id, "done", evidence, rings.clock.now(), made)


def _revoked(rings: Rings, facts: Facts, row: ChainFact, reason: int) -> list[Fact]:
    """Return the facts of a revocation that happened: the chain, where it is ours, and the requests it answers."""
    now = rings.clock.now()
    made: list[Fact] = [replace(row, revoked_at=now, reason=reason)] if row in facts.chains else []
    made.extend(
        replace(intent, closed_at=now)
        for intent in facts.intents
        if intent.kind == "revoke" and intent.leaf_sha256 == row.chain.leaf_sha256 and intent.closed_at is None
    )
    return made


def compromised(facts: Facts, spki_sha256: str, at: datetime) -> list[KeyFact]:
    """Return the facts of a key that somebody else may have: of every certificate that it is, or was, a key of."""
    return [
        replace(key, compromised_at=at)
        for key in facts.keys
        if key.spki_sha256 == spki_sha256 and key.compromised_at is None
    ]


def _authority(rings: Rings, row: ChainFact) -> Authority:
    authority = rings.authorities.get(row.ca)
    if authority is None:
        raise Refused(f"{row.certificate}: its CA {row.ca!r} is not in the config any more; put its [acme] table back")
    return authority


def _signed_by(signer: Signer | None) -> str:
    return "signed by the account's key" if signer is None else "signed by its own key"


# --- what a revocation is about ---------------------------------------------------------------------------------------


def first(places: Sequence[str], most: int = 3) -> str:
    """Return the first few places in words."""
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


def row_of(desired: Desired, facts: Facts, name: str | None, chain: Chain | None) -> ChainFact:
    """Return the certificate of a name that services present, else its newest; or the one given, known here or not.

    A newer one may be staged and wait: whoever revokes a name means what is live. Raises `InputError`.
    """
    if chain is not None:
        known = next((row for row in facts.chains if row.chain.leaf_sha256 == chain.leaf_sha256), None)
        if known is not None:
            return _unrevoked(known)
        if not desired.certificates:
            raise InputError("the config has no certificate, so there is no CA to ask")
        spec = desired.certificates[0]
        return ChainFact("(not issued through this state)", chain, spec.ca, chain.not_before)
    rows = [row for row in facts.chains if row.certificate == name]
    if not rows:
        known_names = ", ".join(sorted({row.certificate for row in facts.chains})) or "none"
        raise InputError(f"no certificate of {name!r} is in the state; it has those of: {known_names}")
    deployments = [each.id for spec in desired.certificates if spec.name == name for each in spec.deployments]
    active = [row.leaf_sha256 for each in deployments if (row := active_generation(facts, each)) is not None]
    live = [row for row in rows if row.chain.leaf_sha256 in active and row.revoked_at is None]
    return _unrevoked(max(live or rows, key=lambda row: row.obtained_at))


def _unrevoked(row: ChainFact) -> ChainFact:
    if row.revoked_at is not None:
        raise InputError(
            f"certificate {row.chain.leaf_sha256[:16]}… of {row.certificate} was revoked already, "
            f"{row.revoked_at:%Y-%m-%d %H:%M:%SZ}; name another one by --cert FILE"
        )
    return row


def places_of(desired: Desired, rings: Rings, facts: Facts, chain: Chain) -> Sequence[str]:
    """Return where a certificate is live: the deployments whose files hold it, and what was seen to present it."""
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
        if (active := rollout(facts, desired, spec, deployment, now).active) and active.leaf_sha256 == chain.leaf_sha256
    }
    return [*sorted(deployed), *sorted(presented)]


def in_use(desired: Desired, facts: Facts, chain: Chain) -> tuple[str, ...]:
    """Return the certificates of the config whose current key a chain is over."""
    return tuple(
        spec.name
        for spec in desired.certificates
        if (key := current_key(facts, spec.name)) is not None and key.spki_sha256 == chain.spki_sha256
    )


def others_over(facts: Facts, chain: Chain, now: datetime) -> tuple[ChainFact, ...]:
    """Return every other certificate over a chain's key that is neither revoked nor expired: a leak concerns them too.

    Some CAs revoke them all where one is revoked for keyCompromise.
    """
    return tuple(
        row
        for row in facts.chains
        if row.chain.spki_sha256 == chain.spki_sha256
        and row.chain.leaf_sha256 != chain.leaf_sha256
        and row.revoked_at is None
        and row.chain.not_after > now
    )


def replayable_until(facts: Facts, chain: Chain) -> datetime | None:
    """Return until when somebody may replay an RRset with a record that a chain matches: its last signature's end.

    An RRset that was signed goes on being believed until then, withdrawn or not (RFC 4034 section 3.1.5). None where
    none was seen to be signed. Records of a CA name no key of ours.
    """
    return max(
        (
            row.rrsig_expires
            for row in facts.rrsets
            if row.rrsig_expires is not None
            and any(record.usage in {1, 3} and dane.matches(record, chain) for record in row.rdatas)
        ),
        default=None,
    )
