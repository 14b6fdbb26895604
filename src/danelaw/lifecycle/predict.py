"""What the facts will be after a step that works: for the check of invariants and for `plan`."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.gate import owner_state, relevant_servers, unreachable_now
from danelaw.lifecycle.records import current_key
from danelaw.lifecycle.reloads import reloaded_too
from danelaw.lifecycle.sight import latest_rows, presented_now
from danelaw.lifecycle.watched import counted
from danelaw.model import (
    Activate,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Facts,
    Generation,
    KeyAlgorithm,
    KeyFact,
    Obtain,
    OnDisk,
    OwnRecord,
    Presented,
    Primary,
    Prove,
    Publish,
    Reload,
    RRsetSeen,
    Silent,
    Stage,
    Step,
    TakeKey,
)

LIFETIME = timedelta(days=90)
"""Of a certificate that nobody has issued yet."""


def predict(desired: Desired, facts: Facts, step: Step, now: datetime) -> Facts:
    """Return the facts after a step that works, seen by a look right after it."""
    match step:
        case TakeKey() if (known := current_key(facts, step.certificate)) is not None:
            here = replace(known, origin="adopted")
            return replace(facts, keys=tuple(here if key is known else key for key in facts.keys))
        case TakeKey():
            spki_der = f"the key to be made for {step.certificate}".encode()
            digest = hashlib.sha256(spki_der).hexdigest()
            spec = next(spec for spec in desired.certificates if spec.name == step.certificate)
            algorithm: KeyAlgorithm = "rsa" if spec.key_type.startswith("rsa") else "ecdsa"
            key = KeyFact(digest, step.certificate, spki_der, algorithm, "", "", "made", now)
            return replace(facts, keys=(*facts.keys, key))
        case Obtain():
            return _obtained(desired, facts, step, now)
        case Publish():
            return _published(facts, step, now)
        case Stage():
            shape = deployment_of(desired, step).shape
            new = Generation("", step.deployment, step.n, step.leaf_sha256, {}, now, shape=shape)
            return replace(facts, generations=(*facts.generations, new))
        case Activate():
            return _activated(desired, facts, step, now)
        case Reload():
            for row in reloaded_too(desired, facts, deployment_of(desired, step), now):
                facts = _mark(facts, row.deployment, row.n, reloaded_at=now)
            return _mark(facts, step.deployment, step.n, reloaded_at=now)
        case Prove():
            return _mark(facts, step.deployment, step.n, proven_at=now)


def _obtained(desired: Desired, facts: Facts, step: Obtain, now: datetime) -> Facts:
    spec = next(spec for spec in desired.certificates if spec.name == step.certificate)
    key = next(key for key in facts.keys if key.spki_sha256 == step.spki_sha256)
    leaf_der = f"the certificate to be issued for {step.certificate} at {now}".encode()
    chain = Chain(
        certificates_der=(leaf_der,),
        leaf_sha256=hashlib.sha256(leaf_der).hexdigest(),
        spki_der=key.spki_der,
        spki_sha256=key.spki_sha256,
        algorithm=key.algorithm,
        not_before=now,
        not_after=now + LIFETIME,
        names=spec.names,
    )
    closed = tuple(
        replace(row, closed_at=now) if row.certificate == spec.name and not row.closed_at else row
        for row in facts.intents
    )
    return replace(facts, chains=(*facts.chains, ChainFact(spec.name, chain, spec.ca, now)), intents=closed)


def _published(facts: Facts, step: Publish, now: datetime) -> Facts:
    gone = set(step.expected) - set(step.wanted)
    own = tuple(
        replace(row, withdrawn_at=now) if row.owner == step.owner and row.record in gone else row
        for row in facts.own_records
    )
    own += tuple(
        OwnRecord(step.owner, record, step.publisher, now) for record in step.wanted if record not in step.expected
    )
    primary = Primary(step.owner, step.wanted, step.ttl, now)
    published = replace(
        facts,
        own_records=own,
        primaries=(*(row for row in facts.primaries if row.owner != step.owner), primary),
    )
    return settled(published, step.owner, now)


def settled(facts: Facts, owner: str, now: datetime) -> Facts:
    """Return the facts after a look at which every server that answers serves what the primary holds."""
    primary = next((row for row in facts.primaries if row.owner == owner), None)
    if primary is None:
        return facts
    rows = []
    latest = latest_rows(row for row in facts.rrsets if row.owner == owner)
    stays: dict[RRsetSeen, RRsetSeen] = {}
    silent = {row.server for row in unreachable_now(facts, owner, now)}
    for server in sorted(relevant_servers(facts, owner, now) - silent):
        last = latest.get(server)
        if last is not None and last.rdatas == primary.rdatas:
            stays[last] = replace(last, last_at=now)
            continue
        expires = last.rrsig_expires if last else None
        ttl = primary.ttl if primary.rdatas else 0
        rows.append(RRsetSeen(owner, server, "NOERROR", primary.rdatas, ttl, ttl, 0, expires, now, now))
    state = owner_state(facts, owner)
    owners = facts.owners
    if state is not None:
        secure = replace(state, validated=primary.rdatas, last_at=now)
        owners = (*(row for row in facts.owners if row != state), secure)
    return replace(facts, rrsets=(*(stays.get(row, row) for row in facts.rrsets), *rows), owners=owners)


def _activated(desired: Desired, facts: Facts, step: Activate, now: datetime) -> Facts:
    active = _mark(facts, step.deployment, step.n, active_at=now, reloaded_at=None, proven_at=None)
    generation = next(row for row in active.generations if (row.deployment, row.n) == (step.deployment, step.n))
    disk = OnDisk(step.deployment, generation.files, now)
    active = replace(active, on_disk=(*(row for row in active.on_disk if row.deployment != step.deployment), disk))
    chain = chain_of(facts, generation)
    if chain is None:
        return active
    return replace(
        active, presented=(*active.presented, *_presents(desired, deployment_of(desired, step), facts, chain, now))
    )


def _presents(desired: Desired, deployment: Deployment, facts: Facts, chain: Chain, now: datetime) -> list[Presented]:
    """Return the sights of a chain at every address of this host, the other algorithm's certificate staying."""
    later = now + timedelta(microseconds=1)
    rows = []
    for endpoint in counted(facts, desired, deployment):
        known: list[Presented | Silent] = [*facts.presented, *facts.silent]
        mine = {row.address for row in known if row.endpoint == endpoint and row.mine}
        for address in sorted(mine):
            stays = [
                replace(row, last_at=later)
                for row in presented_now(facts, endpoint, address)
                if row.chain.algorithm != chain.algorithm
            ]
            rows.extend([*stays, Presented(endpoint, address, True, chain, later, later)])  # noqa: FBT003 (a fact's field)
    return rows


def deployment_of(desired: Desired, step: Stage | Activate | Reload | Prove) -> Deployment:
    """Return the deployment that a step is about."""
    return next(
        deployment
        for spec in desired.certificates
        for deployment in spec.deployments
        if deployment.id == step.deployment
    )


def _mark(facts: Facts, deployment: str, n: int, **instants: datetime | None) -> Facts:
    return replace(
        facts,
        generations=tuple(
            replace(row, **instants) if (row.deployment, row.n) == (deployment, n) else row  # type: ignore[arg-type]
            for row in facts.generations
        ),
    )
