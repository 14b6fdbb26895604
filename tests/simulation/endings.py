"""How a history must end once faults are over, and what must never be lost on the way.

What is wanted is worked out here from the config and from which key became current when, with nothing of the core's.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from danelaw.lifecycle import renewal_at
from danelaw.model import CertificateSpec, ChainFact, Facts, KeyFact, RecordSpec, TlsaRecord
from simulation.scenarios import World

SPARE_DAYS = timedelta(days=5)
"""How much longer than its waits something may take."""


def unfinished(world: World) -> list[str]:
    """Liveness: faults are over since long, so everything is as the config wants it."""
    wrong = []
    facts = world.store.snapshot()
    if not world.web.up:
        wrong.append("the web server is down")
    wrong.extend(f"the effect {row.kind} of {row.subject} is open" for row in facts.effects if not row.ended_at)
    if world.restored:
        return [f"at the end: {text}" for text in wrong]  # it holds, or it is safe: that is all that can be asked
    for spec in world.desired.certificates:
        wrong.extend(f"{spec.name}: {text}" for text in _not_renewed(world, facts, spec))
        wrong.extend(f"{spec.name}: {text}" for text in _not_rolled_over(world, facts, spec))
    wrong.extend(_not_published(world, facts))
    return [f"at the end: {text}" for text in wrong]


def own_current(facts: Facts, certificate: str) -> KeyFact | None:
    """Return the key that became a certificate's last."""
    return max(
        (key for key in facts.keys if key.certificate == certificate and key.current_since),
        key=lambda key: (key.current_since, key.spki_sha256),
        default=None,
    )


def own_next(facts: Facts, spec: CertificateSpec) -> KeyFact | None:
    """Return the newest key that waits for its turn."""
    current = own_current(facts, spec.name)
    algorithm = ("rsa" if spec.key_type.startswith("rsa") else "ecdsa") if spec.key_type else None
    if algorithm is None and current is not None:
        algorithm = current.algorithm
    waiting = [
        key
        for key in facts.keys
        if key.certificate == spec.name
        and not (key.current_since or key.compromised_at or key.destroyed_at or key.archived_at)
        and (key.spki_der == spec.spare.spki_der if spec.spare else key.algorithm == algorithm and key.origin == "made")
    ]
    return max(waiting, key=lambda key: (key.made_at, key.spki_sha256), default=None)


def newest_over(facts: Facts, key: KeyFact) -> ChainFact | None:
    """Return the newest certificate over a key that was not revoked."""
    rows = [row for row in facts.chains if row.chain.spki_sha256 == key.spki_sha256 and not row.revoked_at]
    return max(
        (row for row in rows if row.certificate == key.certificate), key=lambda row: row.obtained_at, default=None
    )


def _not_renewed(world: World, facts: Facts, spec: CertificateSpec) -> list[str]:
    now = world.timeline.now
    key = own_current(facts, spec.name)
    newest = newest_over(facts, key) if key else None
    if newest is None or renewal_at(newest.chain) < now - timedelta(days=2):
        return ["the certificate was not renewed"]
    proven = {endpoint for deployment in spec.deployments for endpoint in deployment.endpoints}
    return [
        f"{service.endpoint} at {service.address} does not present the newest certificate"
        for service in world.services
        if service.endpoint in proven
        and (service.down or world.presented_for(spec.name, service) != [newest.chain.leaf_sha256])
    ]


def _not_rolled_over(world: World, facts: Facts, spec: CertificateSpec) -> list[str]:
    now, current = world.timeline.now, own_current(facts, spec.name)
    if current is None or current.current_since is None:
        return ["it has no key"]
    wrong = [
        f"the {row.kind} asked for at {row.asked_at} has not ended"
        for row in facts.intents
        if row.certificate == spec.name and not row.closed_at
    ]
    if current.compromised_at:
        wrong.append("its current key is compromised")
    slowest = max((rows.ttl_held for server in world.zone.listed for rows in server.served), default=timedelta(0))
    strict = timedelta(days=16) if any(claim.strict for claim in spec.claims) else timedelta(0)
    takes = 3 * slowest + strict + spec.settle + SPARE_DAYS
    if spec.rollover and current.current_since + spec.rollover + takes < now:
        wrong.append(f"its key is current since {current.current_since}")
    wants_next = spec.next_key or spec.spare is not None
    if wants_next and own_next(facts, spec) is None:
        wrong.append("no next key stands ready")
    wrong.extend(_not_put_away(world, facts, spec, current, now - takes))
    heard_of = {key.spki_sha256 for key in facts.keys}
    lost = [spki for spki in world.host.keys.shelf.made.get(spec.name, ()) if spki not in heard_of]
    if lost and world.rolls and not world.restored and wants_next:
        wrong.append(f"{len(lost)} keys were made that nobody knows of")
    return wrong


def _not_put_away(world: World, facts: Facts, spec: CertificateSpec, current: KeyFact, due: datetime) -> Iterable[str]:
    """Yield the retired keys that nothing has needed for long, and that still lie there."""
    for key in facts.keys:
        if key.certificate != spec.name or not key.current_since or key == current or key.origin == "elsewhere":
            continue
        if any(other.spki_sha256 == key.spki_sha256 and other is not key for other in facts.keys):
            continue  # two certificates share it
        chains = [row for row in facts.chains if row.chain.spki_sha256 == key.spki_sha256]
        digest = hashlib.sha256(key.spki_der).digest()
        leaves = {hashlib.sha256(row.chain.leaf_der).digest() for row in chains}
        served = [
            row.end
            for server in world.zone.listed
            for row in server.served
            if any(record.data == digest or record.data in leaves for record in row.rrset.rdatas)
        ]
        over = all(row.revoked_at or row.chain.not_after < due for row in chains)
        gone = all(end is not None and end < due for end in served)
        put_away = key.archived_at if spec.retired_keys == "archive" else key.destroyed_at
        if over and gone and not (put_away or key.archived_at or key.destroyed_at):
            yield f"the retired key {key.spki_sha256[:12]}… is not put away"


def _not_published(world: World, facts: Facts) -> list[str]:
    wrong = []
    claims = [claim for spec in world.desired.certificates for claim in spec.claims]
    specs = {spec.name: spec for spec in world.desired.certificates}
    for owner in dict.fromkeys(claim.endpoint.owner for claim in claims):
        expected: set[TlsaRecord] = set()
        for claim in claims:
            if claim.endpoint.owner == owner:
                keys = wanted_keys(facts, specs[claim.certificate])
                expected |= {record for key in keys for each in claim.records for record in _records(facts, key, each)}
        expected |= world.expected_foreign[owner]
        for server in world.zone.servers:
            rrset, _ = world.zone.seen_at(server, owner)
            found = set(rrset.rdatas) if rrset else set()
            if found != expected:
                wrong.append(f"{owner} at {server.address}: {_short(found)} instead of {_short(expected)}")
    return wrong


def wanted_keys(facts: Facts, spec: CertificateSpec) -> list[KeyFact]:
    """Return the keys whose records stand there once all is at rest."""
    coming = own_next(facts, spec) if spec.next_key or spec.spare else None
    return [key for key in (own_current(facts, spec.name), coming) if key is not None]


def _records(facts: Facts, key: KeyFact, spec: RecordSpec) -> set[TlsaRecord]:
    digest = hashlib.sha256 if spec[2] == 1 else hashlib.sha512
    if spec[1] == 1:
        return {TlsaRecord(*spec, digest(key.spki_der).digest())}
    newest = newest_over(facts, key)
    return {TlsaRecord(*spec, digest(newest.chain.leaf_der).digest())} if newest else set()


def _short(records: set[TlsaRecord]) -> str:
    return ", ".join(sorted(str(record)[:14] for record in records)) or "nothing"


def lost_keys(world: World, promised: dict[str, set[str]]) -> tuple[dict[str, set[str]], list[str]]:
    """Return the next keys whose records are published now, by certificate, and what became of earlier ones.

    A next key that was published stays known, its private half stays here, and its record stays until it is the
    current key, unless somebody changed what is wanted.
    """
    facts = world.store.snapshot()
    wrong = []
    shelf = world.host.keys.shelf
    known = {(key.certificate, key.spki_sha256): key for key in facts.keys}
    published = {record.data for owner in world.expected_foreign for record in world.zone.rdatas(owner)}
    for name, keys in () if world.restored else promised.items():
        for spki in keys:
            key = known.get((name, spki))
            if key is None or (key.origin != "elsewhere" and spki not in shelf.here):
                wrong.append(f"{world.timeline.now}: the next key {spki[:12]}… of {name} is lost")
            elif not (key.current_since or key.compromised_at or world.touched) and _is_gone(key, published):
                wrong.append(f"{world.timeline.now}: the record of the next key {spki[:12]}… of {name} is gone")
    wrong.extend(_unsettled(world, facts, published))
    coming: dict[str, set[str]] = {}
    for key in facts.keys:
        if not (key.current_since or key.compromised_at or key.destroyed_at) and not _is_gone(key, published):
            coming.setdefault(key.certificate, set()).add(key.spki_sha256)
    return coming, wrong


def _unsettled(world: World, facts: Facts, published: set[bytes]) -> Iterable[str]:
    """Yield the keys replaced a moment ago whose records are gone although they are to stay while all settles."""
    for spec in world.desired.certificates:
        since = world.promoted.get(spec.name)
        if since is None or world.touched or world.restored or world.timeline.now >= since + spec.settle:
            continue
        keys = [key for key in facts.keys if key.certificate == spec.name and key.current_since]
        urgent = any("emergency" in row.options and row.certificate == spec.name for row in facts.intents)
        replaced = sorted(keys, key=lambda key: str(key.current_since))[-2:-1]
        for key in replaced:
            if not (urgent or key.compromised_at) and _is_gone(key, published) and _is_over_keys(spec):
                yield f"{world.timeline.now}: the records of {key.spki_sha256[:12]}… went before all had settled"


def _is_over_keys(spec: CertificateSpec) -> bool:
    return all(each[1] == 1 for claim in spec.claims for each in claim.records)


def _is_gone(key: KeyFact, published: set[bytes]) -> bool:
    return not {hashlib.sha256(key.spki_der).digest(), hashlib.sha512(key.spki_der).digest()} & published
