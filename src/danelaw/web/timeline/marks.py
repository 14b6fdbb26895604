"""What happens when: requests, cutovers, proofs, the end of settling, what is due."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.timeline import Entry
from danelaw.model import CertificateSpec, Facts, Prove, Revoke, Wait
from danelaw.web.timeline.lives import Life, Lives, digest
from danelaw.web.timeline.spans import Mark, MarkKind

WAITS: dict[str, tuple[MarkKind, str]] = {
    "renewal": ("renewal", "renewal due"),
    "scheduled": ("asked", "rollover due"),
    "backoff": ("again", "tried again"),
    "settling": ("settled", "settled"),
    "retiring": ("retired", "old key may go"),
}
"""Waits whose end is worth a mark, by their codes."""


def marks_of(
    spec: CertificateSpec, facts: Facts, lives: Lives, entries: Sequence[Entry], since: datetime, now: datetime
) -> tuple[Mark, ...]:
    """Return what happened to a certificate since an instant and what is planned, in order, each once.

    ``facts`` are those of the plan's end (`foreseen`), ``entries`` those of the plan that concern the certificate.
    """
    found = [*_asked(spec, facts), *_keys(spec, facts, lives), *_proofs(spec, facts), *_planned(entries)]
    found += [Mark(row.at, "clock", "the clock was set") for row in facts.clock_steps]
    found += [
        Mark(row.revoked_at, "revoked", "revoked")
        for row in facts.chains
        if row.certificate == spec.name and row.revoked_at is not None and row.revoked_at <= now
    ]
    own = lives.of_certificate(spec.name)
    found += [Mark(at, "settled", "settled") for at in _settled(spec, facts, own) if at <= now]
    kept = sorted({mark for mark in found if mark.at >= since}, key=lambda mark: (mark.at, mark.kind, mark.text))
    return tuple(kept)


def _asked(spec: CertificateSpec, facts: Facts) -> Iterator[Mark]:
    words = {"rollover": "rollover asked for", "renew": "renewal asked for", "revoke": "revocation asked for"}
    for row in facts.intents:
        if row.certificate == spec.name and row.kind in words:
            urgent = "emergency " if "emergency" in row.options else ""
            yield Mark(row.asked_at, "asked", urgent + words[row.kind])


def _keys(spec: CertificateSpec, facts: Facts, lives: Lives) -> Iterator[Mark]:
    """Yield when each key but the first went live, and what became of it."""
    own = lives.of_certificate(spec.name)
    first = min((life.key.current_since for life in own if life.key.current_since), default=None)
    for life in own:
        key = life.key
        if key.compromised_at:
            yield Mark(key.compromised_at, "compromised", "key compromised")
        if life.gone_at:
            yield Mark(life.gone_at, "retired", "old key destroyed" if key.destroyed_at else "old key put away")
        if first is None or key.current_since == first:
            continue
        went_live = _went_live(spec, facts, key.spki_sha256, first)
        at = min([*went_live, *([key.current_since] if key.current_since else [])], default=None)
        if at is not None:
            yield Mark(at, "cutover", "cutover")


def _went_live(spec: CertificateSpec, facts: Facts, spki_sha256: str, since: datetime) -> list[datetime]:
    deployments = {deployment.id for deployment in spec.deployments}
    found = []
    for row in facts.generations:
        if row.deployment in deployments and row.active_at and row.active_at >= since:
            chain = chain_of(facts, row)
            if chain is not None and chain.spki_sha256 == spki_sha256:
                found.append(row.active_at)
    return found


def _proofs(spec: CertificateSpec, facts: Facts) -> Iterator[Mark]:
    deployments = {deployment.id for deployment in spec.deployments}
    for row in facts.effects:
        if row.kind == "prove" and row.subject in deployments and row.ended_at and row.outcome in {"done", "failed"}:
            failed = row.outcome == "failed"
            yield Mark(row.ended_at, "failed" if failed else "proof", "proof failed" if failed else "proven")


def _settled(spec: CertificateSpec, facts: Facts, own: Iterable[Life]) -> Iterator[datetime]:
    """Yield when each cutover had settled; in an emergency nothing settles."""
    urgent = {row.closed_at for row in facts.intents if row.certificate == spec.name and "emergency" in row.options}
    for life in own:
        retired = life.turns.retired
        if retired is not None and life.key.compromised_at is None and retired not in urgent:
            yield retired + spec.settle


def _planned(entries: Iterable[Entry]) -> Iterator[Mark]:
    waits: dict[tuple[str, str], Wait] = {}  # the last of each: a new certificate is due later than the one before
    for entry in entries:
        match entry.what:
            case Wait() as wait if wait.code in WAITS:
                waits[wait.code, wait.subject] = wait
            case Prove():
                yield Mark(entry.at, "proof", "proof")
            case Revoke() as step:
                yield Mark(entry.at, "revoked", f"revoke {digest(step.leaf_sha256)}")
            case _:  # what a span's end says already
                pass
    for wait in waits.values():
        yield Mark(wait.until, *WAITS[wait.code])
