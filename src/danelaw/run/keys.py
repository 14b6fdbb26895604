"""Carry out what is done to a certificate's keys: taken, made ahead, made the current one, put away.

A next key becomes current by `promoted` alone. An order that fails, a run that dies, or a rollover that is taken back
leaves every key as it is.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.errors import Refused
from danelaw.lifecycle.keys import current_key, next_type
from danelaw.model import CertificateSpec, Fact, Facts, KeyFact, Promote, Retire
from danelaw.run.rings import Rings


def key_of(facts: Facts, certificate: str, spki_sha256: str) -> KeyFact | None:
    """Return a certificate's key by its digest: the current one, the next or a retired one."""
    return next((key for key in facts.keys if (key.certificate, key.spki_sha256) == (certificate, spki_sha256)), None)


def take_key(rings: Rings, facts: Facts, spec: CertificateSpec) -> KeyFact:
    """Take a certificate's first key, or the private half of one that it has. Raises `Refused`.

    The private half of a next key that was kept elsewhere comes here as the next key still: nothing presents it yet.
    """
    current, found = current_key(facts, spec.name), rings.host.peek_key(spec)
    if current is None:
        taken = rings.host.take_key(spec)
        return replace(taken, current_since=taken.current_since or rings.clock.now())
    known = key_of(facts, spec.name, found.spki_sha256) if found is not None else None
    waits = known is not None and known.origin != "made" and not known.current_since
    if known is None or not (known == current or waits):
        raise Refused(
            f"{spec.key}: found another key than the one in use ({current.spki_sha256[:16]}…); name the file of that "
            "one. To go over to another key: danelaw rollover, or next_key_public for one that you make yourself"
        )
    if known == current and current.origin != "elsewhere":
        raise Refused(
            f"{spec.key}: found the key in use ({current.spki_sha256[:16]}…), and the next key is to come here; bring "
            "the private half of the spare key here, and name its file as key"
        )
    taken = rings.host.take_key(spec)
    return replace(
        taken,
        origin="adopted" if waits else taken.origin,
        current_since=known.current_since,
        compromised_at=known.compromised_at,
    )


def take_next_key(rings: Rings, facts: Facts, spec: CertificateSpec) -> KeyFact:
    """Make a certificate's next key, or take the public half of the one that is kept elsewhere. Raises `Refused`."""
    known = [key for key in facts.keys if key.certificate == spec.name]
    taken = rings.host.take_next_key(replace(spec, key_type=next_type(facts, spec)), known)
    return key_of(facts, spec.name, taken.spki_sha256) or replace(taken, current_since=None)


def after_all_keys(facts: Facts, certificate: str, now: datetime) -> datetime:
    """Return now, or just after a certificate's latest key became current: the newest is the current one."""
    earlier = [key.current_since for key in facts.keys if key.certificate == certificate and key.current_since]
    return max([now, *(at + timedelta(microseconds=1) for at in earlier)])


def promoted(facts: Facts, step: Promote, now: datetime) -> list[Fact]:
    """Return the facts of a next key that becomes current: after every earlier one, whatever a clock set back says.

    The rollover that was asked for is answered at that very instant.
    """
    key = key_of(facts, step.certificate, step.spki_sha256)
    assert key is not None  # noqa: S101 (the core promotes only keys that it knows)
    since = after_all_keys(facts, step.certificate, now)
    made: list[Fact] = [replace(key, current_since=since)]
    made.extend(
        replace(intent, closed_at=since)
        for intent in facts.intents
        if (intent.certificate, intent.kind) == (step.certificate, "rollover") and intent.closed_at is None
    )
    return made


def retired(rings: Rings, facts: Facts, step: Retire) -> KeyFact:
    """Put a key away, or destroy it; return it as it is known from now on. Raises `Refused` or `RetryLater`."""
    key = key_of(facts, step.certificate, step.spki_sha256)
    assert key is not None  # noqa: S101 (the core retires only keys that it knows)
    return rings.host.put_away(key, step.how)
