"""What the facts will be after a step that works: for the check of invariants and for `plan`."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.lifecycle.disk import active_generation, chain_of
from danelaw.lifecycle.gate import owner_state, relevant_servers, unreachable_now
from danelaw.lifecycle.imagined import imagined_chain
from danelaw.lifecycle.keys import algorithm_of, current_key, next_key, next_type
from danelaw.lifecycle.reloads import reloaded_too
from danelaw.lifecycle.sight import latest_rows, presented_now
from danelaw.lifecycle.watched import counted
from danelaw.model import (
    Activate,
    CertificateSpec,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Facts,
    Generation,
    IntentKind,
    KeyFact,
    Obtain,
    OnDisk,
    OwnRecord,
    Presented,
    Primary,
    Promote,
    Prove,
    Publish,
    Reload,
    Retire,
    Revoke,
    RRsetSeen,
    Silent,
    Stage,
    Step,
    TakeKey,
    TakeNextKey,
)


def predict(desired: Desired, facts: Facts, step: Step, now: datetime) -> Facts:
    """Return the facts after a step that works, seen by a look right after it."""
    match step:
        case TakeKey() | TakeNextKey():
            return _taken(desired, facts, step, now)
        case Promote():
            return _promoted(facts, step, now)
        case Retire():
            instants = {"destroyed_at": now} if step.how == "shred" else {"archived_at": now}
            return _with_key(facts, step.certificate, step.spki_sha256, **instants)
        case Revoke():
            rows = tuple(
                replace(row, revoked_at=now, reason=step.reason) if row.chain.leaf_sha256 == step.leaf_sha256 else row
                for row in facts.chains
            )
            return _closed(replace(facts, chains=rows), step.certificate, "revoke", now)
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
    spec = spec_of(desired, step.certificate)
    key = next(key for key in facts.keys if key.spki_sha256 == step.spki_sha256)
    row = ChainFact(spec.name, imagined_chain(facts, spec, key, now), spec.ca, now)
    issued = replace(facts, chains=(*facts.chains, row))
    return issued if step.ahead else _closed(issued, spec.name, "renew", now)


def spec_of(desired: Desired, certificate: str) -> CertificateSpec:
    """Return a certificate's part of the config."""
    return next(spec for spec in desired.certificates if spec.name == certificate)


def _taken(desired: Desired, facts: Facts, step: TakeKey | TakeNextKey, now: datetime) -> Facts:
    """Return the facts with a key that came here: the first, the private half of one that is known, or a next one."""
    spec, current = spec_of(desired, step.certificate), current_key(facts, step.certificate)
    if isinstance(step, TakeKey) and current is not None:
        coming = next_key(facts, spec)
        known = coming if coming is not None and coming.origin == "elsewhere" else current
        return _with_key(facts, step.certificate, known.spki_sha256, origin="adopted")
    spki_der = f"key number {len(facts.keys) + 1}, to be made for {step.certificate}".encode()
    if isinstance(step, TakeNextKey) and spec.spare is not None:
        spki_der = spec.spare.spki_der
    is_next = isinstance(step, TakeNextKey)
    key = KeyFact(
        spki_sha256=hashlib.sha256(spki_der).hexdigest(),
        certificate=step.certificate,
        spki_der=spki_der,
        algorithm=algorithm_of(next_type(facts, spec)),
        host="",
        path="",
        origin="elsewhere" if is_next and spec.spare else "made",
        made_at=now,
        current_since=None if is_next else now,
    )
    return replace(facts, keys=(*facts.keys, key))


def _promoted(facts: Facts, step: Promote, now: datetime) -> Facts:
    promoted = _with_key(facts, step.certificate, step.spki_sha256, current_since=now)
    return _closed(promoted, step.certificate, "rollover", now)


def _with_key(facts: Facts, certificate: str, spki_sha256: str, **values: object) -> Facts:
    return replace(
        facts,
        keys=tuple(
            replace(key, **values) if (key.certificate, key.spki_sha256) == (certificate, spki_sha256) else key  # type: ignore[arg-type]
            for key in facts.keys
        ),
    )


def _closed(facts: Facts, certificate: str, kind: IntentKind, now: datetime) -> Facts:
    """Return the facts with every request of a kind answered."""
    return replace(
        facts,
        intents=tuple(
            replace(row, closed_at=now)
            if (row.certificate, row.kind) == (certificate, kind) and not row.closed_at
            else row
            for row in facts.intents
        ),
    )


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
    before = active_generation(facts, step.deployment)
    active = _mark(facts, step.deployment, step.n, active_at=now, reloaded_at=None, proven_at=None)
    generation = next(row for row in active.generations if (row.deployment, row.n) == (step.deployment, step.n))
    disk = OnDisk(step.deployment, generation.files, now)
    active = replace(active, on_disk=(*(row for row in active.on_disk if row.deployment != step.deployment), disk))
    chain = chain_of(facts, generation)
    if chain is None:
        return active
    replaced = before.leaf_sha256 if before else ""
    seen = _presents(desired, deployment_of(desired, step), facts, chain, replaced, now)
    return replace(active, presented=(*active.presented, *seen))


def _presents(
    desired: Desired, deployment: Deployment, facts: Facts, chain: Chain, replaced: str, now: datetime
) -> list[Presented]:
    """Return the sights of a chain at every address of this host.

    The other algorithm's certificate stays, unless it stood in these very files: ``replaced`` is that leaf.
    """
    later = now + timedelta(microseconds=1)
    rows = []
    for endpoint in counted(facts, desired, deployment):
        known: list[Presented | Silent] = [*facts.presented, *facts.silent]
        mine = {row.address for row in known if row.endpoint == endpoint and row.mine}
        for address in sorted(mine):
            stays = [
                replace(row, last_at=later)
                for row in presented_now(facts, endpoint, address)
                if row.chain.algorithm != chain.algorithm and row.chain.leaf_sha256 != replaced
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
