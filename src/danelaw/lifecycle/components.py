"""Which certificates must be planned, checked and locked as one."""

from collections.abc import Iterable
from dataclasses import replace

from danelaw.model import CertificateSpec, Desired, Facts


def components(desired: Desired, names: Iterable[str] = ()) -> tuple[Desired, ...]:
    """Split what is desired into parts that share no owner name, endpoint, file or reload.

    With ``names``, only the parts that hold one of those certificates.
    """
    parts: list[tuple[set[str], list[CertificateSpec]]] = []
    for spec in desired.certificates:
        ties, specs = _ties(spec), [spec]
        for other in [part for part in parts if part[0] & ties]:
            parts.remove(other)
            ties |= other[0]
            specs = [*other[1], *specs]
        parts.append((ties, specs))
    wanted = set(names)
    order = {spec.name: place for place, spec in enumerate(desired.certificates)}
    return tuple(
        replace(desired, certificates=tuple(sorted(specs, key=lambda spec: order[spec.name])))
        for _, specs in parts
        if not wanted or wanted & {spec.name for spec in specs}
    )


def ahead_of(certificate: str) -> str:
    """Return what orders over a certificate's next key are about: their failures do not hold up its renewals."""
    return f"{certificate} (next key)"


def subjects(desired: Desired) -> frozenset[str]:
    """Return everything that an effect on a component can be about: certificates, owner names, deployments."""
    found: set[str] = set()
    for spec in desired.certificates:
        found |= {spec.name, ahead_of(spec.name)}
        found |= {claim.endpoint.owner for claim in spec.claims}
        found |= {deployment.id for deployment in spec.deployments}
    return frozenset(found)


def own_facts(desired: Desired, facts: Facts) -> Facts:
    """Return the facts that decisions on a component depend on, so that these cost no more where there are others.

    Keys stay whole: what left the config is known by them. So do chains over keys that are another certificate's too,
    and the generations of where they went live: what one is done with, the other may need.
    """
    if {row.certificate for row in facts.keys} <= {spec.name for spec in desired.certificates}:
        return facts
    deployments = [deployment for spec in desired.certificates for deployment in spec.deployments]
    endpoints = {claim.endpoint for spec in desired.certificates for claim in spec.claims}
    endpoints |= {endpoint for each in deployments for endpoint in (*each.endpoints, *each.watched)}
    owners, about = {endpoint.owner for endpoint in endpoints}, subjects(desired)
    shared = _shared(facts, about)
    places = about | {row.deployment for row in facts.generations if row.leaf_sha256 in shared}
    generations = tuple(row for row in facts.generations if row.deployment in places)
    leaves = {row.leaf_sha256 for row in generations if row.deployment in about} | shared
    return replace(
        facts,
        chains=tuple(row for row in facts.chains if row.certificate in about or row.chain.leaf_sha256 in leaves),
        orders=tuple(row for row in facts.orders if row.certificate in about),
        intents=tuple(row for row in facts.intents if row.certificate in about),
        rrsets=tuple(row for row in facts.rrsets if row.owner in owners),
        servers=tuple(row for row in facts.servers if row.owner in owners),
        unreachable=tuple(row for row in facts.unreachable if row.owner in owners),
        owners=tuple(row for row in facts.owners if row.owner in owners),
        own_records=tuple(row for row in facts.own_records if row.owner in owners),
        presented=tuple(row for row in facts.presented if row.endpoint in endpoints or row.chain.leaf_sha256 in leaves),
        silent=tuple(row for row in facts.silent if row.endpoint in endpoints),
        generations=generations,
        primaries=tuple(row for row in facts.primaries if row.owner in owners),
        on_disk=tuple(row for row in facts.on_disk if row.deployment in about),
        effects=tuple(row for row in facts.effects if row.subject in about),
    )


def _shared(facts: Facts, about: frozenset[str]) -> frozenset[str]:
    """Return the leaves of others over keys that a component has too."""
    ours = {row.spki_sha256 for row in facts.keys if row.certificate in about}
    both = ours & {row.spki_sha256 for row in facts.keys if row.certificate not in about}
    rows = (row for row in facts.chains if row.chain.spki_sha256 in both) if both else ()
    return frozenset(row.chain.leaf_sha256 for row in rows)


def _ties(spec: CertificateSpec) -> set[str]:
    found = {f"owner {claim.endpoint.owner}" for claim in spec.claims}
    for deployment in spec.deployments:
        found |= {f"owner {endpoint.owner}" for endpoint in (*deployment.endpoints, *deployment.watched)}
        found |= {f"file {file.path}" for file in deployment.files}
        found |= {f"reload {service.reload}" for service in deployment.services if service.reload}
        found.add(f"deployment {deployment.id}")
    return found
