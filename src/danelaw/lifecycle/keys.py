"""A certificate's keys: current, next, retired; and whether one is to be rolled over.

The current key is the one that became so last, the next key waits for its turn with its records published beside (RFC
7671 section 8.1), a retired one was current before. Only `Promote` makes a next key the current one, and only once
every service was proven to present it: an order that fails or is given up changes nothing here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from danelaw import pki
from danelaw.model import CertificateSpec, Facts, Intent, KeyAlgorithm, KeyFact, KeyType


def current_key(facts: Facts, certificate: str) -> KeyFact | None:
    """Return a certificate's current key, which is the one that became so last."""
    return max(
        (key for key in facts.keys if key.certificate == certificate and key.current_since and not key.destroyed_at),
        key=_since,
        default=None,
    )


def next_key(facts: Facts, spec: CertificateSpec) -> KeyFact | None:
    """Return the key that a rollover goes over to: the newest that was never current; None where there is none.

    One that was made of another type than is wanted now is none: another one is made, and its records are withdrawn.
    """
    waiting = [
        key
        for key in facts.keys
        if key.certificate == spec.name
        and not (key.current_since or key.compromised_at or key.destroyed_at or key.archived_at)
    ]
    if spec.spare is not None:
        waiting = [key for key in waiting if key.spki_der == spec.spare.spki_der]
    else:
        algorithm = algorithm_of(next_type(facts, spec))
        waiting = [key for key in waiting if key.origin == "made" and key.algorithm == algorithm]
    return max(waiting, key=lambda key: (key.made_at, key.spki_sha256), default=None)


def next_type(facts: Facts, spec: CertificateSpec) -> KeyType:
    """Return the type that the next key is to be of: the config's, or that of the current one."""
    if spec.key_type is not None:
        return spec.key_type
    current = current_key(facts, spec.name)
    if current is None:
        return "p256"
    return pki.key_type(current.spki_der) or ("rsa2048" if current.algorithm == "rsa" else "p256")


def algorithm_of(key_type: KeyType) -> KeyAlgorithm:
    """Return the algorithm of keys of a type."""
    return "rsa" if key_type.startswith("rsa") else "ecdsa"


def retired_keys(facts: Facts, certificate: str) -> tuple[KeyFact, ...]:
    """Return the keys that were current before, the latest first; also those put away."""
    current = current_key(facts, certificate)
    return tuple(
        sorted(
            (key for key in facts.keys if key.certificate == certificate and key.current_since and key != current),
            key=_since,
            reverse=True,
        )
    )


def _since(key: KeyFact) -> datetime:
    assert key.current_since is not None  # noqa: S101 (asked of keys that have one)
    return key.current_since


def is_put_away(key: KeyFact) -> bool:
    """Tell whether a key is no longer where chains over it could be deployed from."""
    return bool(key.destroyed_at or key.archived_at)


def obstacle(spec: CertificateSpec) -> tuple[str, str] | None:
    """Return why a certificate's key cannot be rolled over, and what to do; None where it can."""
    if spec.csr is not None:
        return f"{spec.csr.path} is over one key, and a rollover needs another", "take csr out of the config first"
    if not spec.deployments:
        return (
            "danelaw deploys it nowhere, so another key would reach no service",
            "add a deploy table for the service that presents it",
        )
    for deployment in spec.deployments:
        if not deployment.has_key:
            paths = ", ".join(file.path for file in deployment.files)
            return (
                f"the deployment of {paths} carries no key, so what reads it would go on with the old one",
                'let danelaw write the key that the service reads: a key file there, or "key" among its parts',
            )
    return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """That a key is to be replaced: why, since when, and how urgently.

    ``emergency``: nothing settles, the old key's records go as soon as nothing presents it. ``past_caches``: a person
    accepts that senders which hold the old records refuse what is presented, until those expire.
    """

    why: str
    since: datetime
    emergency: bool = False
    past_caches: bool = False


def open_rollover(facts: Facts, certificate: str) -> Intent | None:
    """Return the newest request to roll over that neither was answered nor taken back."""
    return max(
        (
            row
            for row in facts.intents
            if (row.certificate, row.kind) == (certificate, "rollover") and not row.closed_at
        ),
        key=lambda row: row.asked_at,
        default=None,
    )


def wanted_rollover(facts: Facts, spec: CertificateSpec, now: datetime) -> Wanted | None:
    """Return whether a certificate's key is to be replaced now, and why."""
    current = current_key(facts, spec.name)
    if current is None or current.current_since is None:
        return None
    asked = open_rollover(facts, spec.name)
    past_caches = asked is not None and "accept-outage" in asked.options
    if current.compromised_at:
        return Wanted("its key is compromised", current.compromised_at, emergency=True, past_caches=past_caches)
    if asked is not None:
        emergency = "emergency" in asked.options
        return Wanted(f"a rollover was asked for by {asked.by}", asked.asked_at, emergency, past_caches)
    coming = next_key(facts, spec)
    if spec.spare is not None and coming is not None and coming.origin == "adopted":
        return Wanted("its next key, which was kept elsewhere, has come here", coming.made_at)
    due = rollover_at(facts, spec)
    if due is not None and due <= now:
        return Wanted(f"its key is current for {_days(spec.rollover)}", due)
    return None


def rollover_at(facts: Facts, spec: CertificateSpec) -> datetime | None:
    """Return when the schedule asks for a rollover; None where there is no schedule."""
    current = current_key(facts, spec.name)
    if spec.rollover is None or current is None or current.current_since is None:
        return None
    return current.current_since + spec.rollover


def _days(period: timedelta | None) -> str:
    days = period.total_seconds() / 86400 if period else 0
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"


def wants_next_key(facts: Facts, spec: CertificateSpec, now: datetime) -> bool:
    """Tell whether a next key is to be there, its records published beside the current one's."""
    if obstacle(spec) is not None:
        return False
    return spec.next_key or spec.spare is not None or wanted_rollover(facts, spec, now) is not None


@dataclass(frozen=True, slots=True)
class Settling:
    """A retired key whose records stay until ``until``, when the new one is proven again (promise 1, RFC 7671 8.1)."""

    key: KeyFact
    until: datetime


def settling(facts: Facts, spec: CertificateSpec) -> Settling | None:
    """Return the key that was replaced last with the end of its settling; None where none was."""
    current = current_key(facts, spec.name)
    retired = retired_keys(facts, spec.name)
    if current is None or current.current_since is None or not retired or is_put_away(retired[0]):
        return None
    replaced = retired[0]
    urgent = replaced.compromised_at is not None or any(
        row.certificate == spec.name and "emergency" in row.options and row.closed_at == current.current_since
        for row in facts.intents
    )
    return Settling(replaced, current.current_since + (timedelta(0) if urgent else spec.settle))
