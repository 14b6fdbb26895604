"""Where one deployment stands, derived from its generations and from what its endpoints present."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from danelaw.lifecycle.cutover import aim
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.gate import acceptable, claims_at, fresh_primary, owner_state
from danelaw.lifecycle.keys import current_key
from danelaw.lifecycle.sight import looked_at, presented_now, silent_now
from danelaw.lifecycle.watched import counted
from danelaw.model import (
    CertificateSpec,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Facts,
    Generation,
    Presented,
    Silent,
)

Phase = Literal["none", "drifted", "reload", "prove", "failed", "proven"]
"""Of the active generation: there is none; its files were changed by somebody; the services have to read it; it has to
be proven; its reload or proof failed; every address presents it."""

QUIET = timedelta(hours=1)
"""Files that change again so soon after we wrote them have another writer."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A deployment, the chain that it should present (``current``: of the current key or the next), its generations.

    ``staged`` is the newest generation that holds the current chain; ``earlier`` are those that were active before, the
    latest first. ``algorithm`` is that of the active generation's chain, of its key where nobody can read that chain,
    None where there is neither. ``strays`` are other chains of that algorithm that this host presents now, ``absent``
    what it presents where it has no chain of it at all.
    """

    spec: CertificateSpec
    deployment: Deployment
    phase: Phase
    current: ChainFact | None
    active: Generation | None
    staged: Generation | None
    generations: tuple[Generation, ...]
    earlier: tuple[Generation, ...]
    next_n: int
    algorithm: str | None
    strays: tuple[Presented, ...]
    absent: tuple[Presented, ...]
    silent: tuple[Silent, ...]
    failure: str

    @property
    def is_current_active(self) -> bool:
        """Tell whether the active generation holds the current chain."""
        return self.active is not None and self.staged is not None and self.active.n == self.staged.n

    @property
    def done(self) -> bool:
        """Tell whether the current chain is live and proven."""
        return self.is_current_active and self.phase == "proven"

    @property
    def previous(self) -> Generation | None:
        """Return the generation to go back to: the last one before the active one that has not failed itself."""
        return next((row for row in self.earlier if not has_failed(row)), None)


def has_failed(generation: Generation) -> bool:
    """Tell whether a generation's reload or proof failed since it was last proven: going back to it mends nothing."""
    failed, proven = generation.failed_at, generation.proven_at
    return failed is not None and (proven is None or proven < failed)


def rollout(
    facts: Facts,
    desired: Desired,
    spec: CertificateSpec,
    deployment: Deployment,
    now: datetime,
    forgive: datetime | None = None,
) -> Rollout:
    """Derive where a deployment stands. Failures up to ``forgive`` delay nothing."""
    subject = deployment.id
    generations = [row for row in facts.generations if row.deployment == subject]
    went_live = sorted((row for row in generations if row.active_at), key=lambda row: (row.active_at or now, row.n))
    active = went_live[-1] if went_live else None
    key = current_key(facts, spec.name)
    current = aim(facts, desired, spec, deployment, now, forgive)
    staged = max(
        (
            row
            for row in generations
            if row.n and current and row.leaf_sha256 == current.chain.leaf_sha256 and row.shape == deployment.shape
        ),
        key=lambda row: row.n,
        default=None,
    )
    earlier = [row for row in reversed(went_live[:-1]) if active is None or row.leaf_sha256 != active.leaf_sha256]
    if active is not None and active.n and not any(row.n == 0 for row in earlier):
        earlier.extend(row for row in generations if row.n == 0)
    destroyed = {key.spki_sha256 for key in facts.keys if key.certificate == spec.name and key.destroyed_at}
    if destroyed:  # their files went with them
        earlier = [row for row in earlier if (it := chain_of(facts, row)) is None or it.spki_sha256 not in destroyed]
    ours = chain_of(facts, active) if active else None
    algorithm = ours.algorithm if ours else key.algorithm if key else None
    strays, absent = _others(facts, deployment, active, algorithm, now) if active else ((), ())
    silent = tuple(
        row
        for endpoint in deployment.endpoints
        for address in looked_at(facts, endpoint, timedelta(0), now)
        if (row := silent_now(facts, endpoint, address)) is not None and row.mine
    )
    return Rollout(
        spec=spec,
        deployment=deployment,
        phase=_phase(facts, deployment, active, strays, absent),
        current=current,
        active=active,
        staged=staged,
        generations=tuple(generations),
        earlier=tuple(earlier),
        next_n=max((row.n for row in generations), default=0) + 1,
        algorithm=algorithm,
        strays=strays,
        absent=absent,
        silent=silent,
        failure=_failure(facts, generations, subject),
    )


def _phase(
    facts: Facts,
    deployment: Deployment,
    active: Generation | None,
    strays: tuple[Presented, ...],
    absent: tuple[Presented, ...],
) -> Phase:
    if active is None or active.active_at is None:
        return "none"
    subject = deployment.id
    disk = next((row for row in facts.on_disk if row.deployment == subject), None)
    if disk is not None and disk.at > active.active_at and dict(disk.files) != dict(active.files):
        return "drifted"
    given = active.reloaded_at if active.reloaded_at and active.reloaded_at >= active.active_at else None
    if active.failed_at and active.failed_at >= (given or active.active_at):
        return "failed"
    if given is None:
        return "reload"
    if active.proven_at is None or active.proven_at < given:
        return "prove"
    moved = any(row.first_at > active.proven_at for row in strays)
    return "reload" if moved or any(row.last_at > active.proven_at for row in absent) else "proven"


def _others(
    facts: Facts, deployment: Deployment, active: Generation, algorithm: str | None, now: datetime
) -> tuple[tuple[Presented, ...], tuple[Presented, ...]]:
    """Return what this host presents in the place of the active generation's chain: strays, then where it is absent.

    The other algorithm's chain, which may stand beside it, is another deployment's concern.
    """
    strays: list[Presented] = []
    absent: list[Presented] = []
    for endpoint in deployment.endpoints:
        for address in looked_at(facts, endpoint, timedelta(0), now):
            rows = [row for row in presented_now(facts, endpoint, address) if row.mine and row.last_at <= now]
            alike = [row for row in rows if algorithm in {None, row.chain.algorithm}]
            strays.extend(row for row in alike if row.chain.leaf_sha256 != active.leaf_sha256)
            if active.leaf_sha256 and not alike:
                absent.extend(rows)
    return tuple(strays), tuple(absent)


def _failure(facts: Facts, generations: Sequence[Generation], subject: str) -> str:
    """Return what the last reload or proof failed at; the reload may have been another deployment's."""
    instants = [row.failed_at for row in generations if row.failed_at]
    for effect in reversed(facts.effects):
        if effect.outcome != "failed" or effect.kind not in {"reload", "prove"} or effect.ended_at is None:
            continue
        shared = any(effect.began_at <= at <= effect.ended_at for at in instants)
        if effect.subject == subject or (effect.kind == "reload" and shared):
            return effect.evidence
    return ""


def refuses(facts: Facts, desired: Desired, deployment: Deployment, chain: Chain, now: datetime) -> bool:
    """Tell whether the records at some endpoint of a deployment, as they stand now, refuse a chain."""
    for endpoint in counted(facts, desired, deployment):
        primary, state = fresh_primary(facts, endpoint.owner), owner_state(facts, endpoint.owner)
        rdatas = primary.rdatas if primary else (state.validated if state else ())
        claims = claims_at(desired, endpoint.owner)
        if rdatas and not acceptable(rdatas, chain, claims, endpoint.owner, now):
            return True
    return False
