"""What stands at the paths that services read. It is as good as live: any restart, by anybody, presents it."""

from danelaw.model import Chain, Deployment, Desired, Endpoint, Facts, Generation, Presented, Silent


def chain_of(facts: Facts, generation: Generation) -> Chain | None:
    """Return the chain that a generation holds, from what was issued or seen; None where nobody here knows it."""
    leaf = generation.leaf_sha256
    issued = (row.chain for row in facts.chains if row.chain.leaf_sha256 == leaf)
    seen = (row.chain for row in facts.presented if row.chain.leaf_sha256 == leaf)
    return next(issued, None) or next(seen, None)


def active_generation(facts: Facts, deployment: str) -> Generation | None:
    """Return the generation of a deployment that went live last; None where none did."""
    return max(
        (row for row in facts.generations if row.deployment == deployment and row.active_at),
        key=lambda row: (row.active_at, row.n),
        default=None,
    )


def standing_chain(facts: Facts, deployment: Deployment) -> Chain | None:
    """Return the chain in the files that stand at a deployment's paths; None where no generation of ours has them.

    The files are judged and not what was noted of going live: a run may have died in between.
    """
    subject = deployment.id
    disk = next((row for row in facts.on_disk if row.deployment == subject), None)
    if disk is None:
        return None
    for generation in reversed(facts.generations):
        if generation.deployment == subject and generation.files and generation.files == disk.files:
            return chain_of(facts, generation)
    return None


def standing_at(facts: Facts, desired: Desired, endpoint: Endpoint, address: str) -> tuple[Chain, ...]:
    """Return the chains that stand on disk behind an endpoint at an address; none where the address is not ours."""
    rows: list[Presented | Silent] = [*facts.presented, *facts.silent]
    if not any(row.mine for row in rows if row.endpoint == endpoint and row.address == address):
        return ()
    found = (
        standing_chain(facts, deployment)
        for spec in desired.certificates
        for deployment in spec.deployments
        if endpoint in deployment.endpoints or endpoint in deployment.watched
    )
    return tuple(chain for chain in found if chain is not None)
