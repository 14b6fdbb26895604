"""The cutover: when services may go over to the next key, and which chain each of them should present meanwhile.

The records of the next key stand beside the current one's until no cache can lack them (formula G). Then a certificate
over it is ordered, and every deployment goes live with that, each by its own rename, reload and proof. Until all are
proven the current key stays current: it is renewed when due, and what fails goes back to it, whose records still stand.
"""

from dataclasses import dataclass
from datetime import datetime

from danelaw.lifecycle.disk import active_generation, chain_of
from danelaw.lifecycle.due import back_off, current_chain
from danelaw.lifecycle.gate import Blocked, acceptable, claims_at, fresh_primary
from danelaw.lifecycle.imagined import imagined_chain
from danelaw.lifecycle.keys import Wanted, current_key, next_key, obstacle, wanted_rollover
from danelaw.lifecycle.wanted import is_over_key
from danelaw.lifecycle.watched import blocked, counted
from danelaw.model import CertificateSpec, Chain, ChainFact, Deployment, Desired, Facts, Generation, KeyFact

PASSABLE = frozenset({"cached", "history", "unreachable"})
"""What ``--accept-outage`` goes past: senders that may hold records which refuse the chain."""


@dataclass(frozen=True, slots=True)
class Cutover:
    """A rollover that has its next key here. ``chain``: the newest certificate over it, None before it was ordered."""

    spec: CertificateSpec
    key: KeyFact
    wanted: Wanted
    chain: ChainFact | None


def cutover(facts: Facts, spec: CertificateSpec, now: datetime) -> Cutover | None:
    """Return the rollover that a certificate is in, None where none is wanted or its next key is not here."""
    wanted = wanted_rollover(facts, spec, now)
    coming = next_key(facts, spec)
    if wanted is None or coming is None or coming.origin == "elsewhere" or obstacle(spec) is not None:
        return None
    return Cutover(spec, coming, wanted, current_chain(facts, spec, coming.spki_sha256, now))


def unripe(facts: Facts, desired: Desired, cut: Cutover, now: datetime) -> list[Blocked]:
    """Return what keeps a certificate over the next key from being ordered: its records are not ripe everywhere.

    Records that change with each certificate cannot be published before it is ordered; they are waited for after that.
    """
    if not all(is_over_key(each) for claim in cut.spec.claims for each in claim.records):
        return []
    chain = imagined_chain(facts, cut.spec, cut.key, now)
    found = [item for each in cut.spec.deployments for item in held_up(facts, desired, cut, each, chain, now)]
    return list(dict.fromkeys(found))


def held_up(
    facts: Facts, desired: Desired, cut: Cutover, deployment: Deployment, chain: Chain, now: datetime
) -> list[Blocked]:
    """Return what keeps a chain over the next key from going live; what a person accepts an outage for is no obstacle.

    That is senders' caches, once the server that takes the updates has records that accept the chain.
    """
    found = blocked(facts, desired, deployment, chain, now)
    if not cut.wanted.past_caches:
        return found
    owners = {endpoint.owner for endpoint in counted(facts, desired, deployment)}
    published = {
        owner
        for owner in owners
        if (primary := fresh_primary(facts, owner)) is not None
        and acceptable(primary.rdatas, chain, claims_at(desired, owner), owner, now)
    }
    return [item for item in found if item.code not in PASSABLE or item.owner not in published]


def wish(facts: Facts, spec: CertificateSpec, now: datetime) -> ChainFact | None:
    """Return the chain that all of a certificate's deployments are to present in the end."""
    cut = cutover(facts, spec, now)
    if cut is not None and cut.chain is not None:
        return cut.chain
    key = current_key(facts, spec.name)
    return current_chain(facts, spec, key.spki_sha256, now) if key else None


def obstacles(
    facts: Facts, desired: Desired, spec: CertificateSpec, deployment: Deployment, chain: Chain, now: datetime
) -> list[Blocked]:
    """Return what keeps a chain from going live at a deployment: formula G, and what a person accepts of it."""
    cut = cutover(facts, spec, now)
    if cut is not None and cut.key.spki_sha256 == chain.spki_sha256:
        return held_up(facts, desired, cut, deployment, chain, now)
    return blocked(facts, desired, deployment, chain, now)


def aim(
    facts: Facts,
    desired: Desired,
    spec: CertificateSpec,
    deployment: Deployment,
    now: datetime,
    forgive: datetime | None = None,
) -> ChainFact | None:
    """Return the chain that a deployment should present now; None where there is none yet.

    In a cutover it is the next key's, as soon as every deployment of the certificate may go over. Where that failed it
    is what the key presented now has to show, until it is tried again.
    """
    key = current_key(facts, spec.name)
    if key is None:
        return None
    over_current = current_chain(facts, spec, key.spki_sha256, now)
    active = active_generation(facts, deployment.id)
    live = chain_of(facts, active) if active else None
    cut = cutover(facts, spec, now)
    if cut is not None and cut.chain is not None:
        if live is not None and live.spki_sha256 == cut.key.spki_sha256:
            return over_current if over_current and _is_stuck(facts, deployment, cut, now, forgive) else cut.chain
        if not rests(facts, deployment, cut.chain, now, forgive) and may_all_go(facts, desired, cut, now):
            return cut.chain
        return over_current
    if over_current is None or live is None or live.spki_sha256 == key.spki_sha256:
        return over_current
    # Its services went back to an earlier key: as long as the new one is not tried again, that one is kept alive.
    if rests(facts, deployment, over_current, now, forgive):
        return current_chain(facts, spec, live.spki_sha256, now) or over_current
    return over_current


def _is_stuck(facts: Facts, deployment: Deployment, cut: Cutover, now: datetime, forgive: datetime | None) -> bool:
    """Tell whether what went live over the next key has failed, and no earlier generation is left to go back to.

    All of them have expired or were revoked: then a new one over the current key is the way back.
    """
    active = active_generation(facts, deployment.id)
    if active is None or cut.chain is None or not rests(facts, deployment, cut.chain, now, forgive):
        return False
    over = {row.chain.leaf_sha256 for row in facts.chains if row.revoked_at or row.chain.not_after <= now}
    rows = [row for row in facts.generations if row.deployment == deployment.id and (row.active_at or not row.n)]
    return all(row == active or row.leaf_sha256 in over for row in rows)


def rests(facts: Facts, deployment: Deployment, row: ChainFact, now: datetime, forgive: datetime | None = None) -> bool:
    """Tell whether a chain was not proven at a deployment, and is to be tried again later only."""
    tried = [
        each
        for each in facts.generations
        if each.deployment == deployment.id and each.leaf_sha256 == row.chain.leaf_sha256
    ]
    until = retry_generation_at(max(tried, key=lambda each: each.n), forgive) if tried else None
    return until is not None and until > now


def may_all_go(facts: Facts, desired: Desired, cut: Cutover, now: datetime) -> bool:
    """Tell whether G allows the next key's chain at every deployment that has not gone over yet."""
    assert cut.chain is not None  # noqa: S101 (asked once there is a certificate)
    for deployment in cut.spec.deployments:
        active = active_generation(facts, deployment.id)
        live = chain_of(facts, active) if active else None
        if live is not None and live.spki_sha256 == cut.key.spki_sha256:
            continue
        if held_up(facts, desired, cut, deployment, cut.chain.chain, now):
            return False
    return True


def retry_generation_at(generation: Generation, forgive: datetime | None) -> datetime | None:
    """Return when a generation that failed is tried again; None where it never failed or is forgiven."""
    if generation.failed_at is None or (forgive is not None and generation.failed_at <= forgive):
        return None
    return generation.failed_at + back_off(max(generation.tries, 1))
