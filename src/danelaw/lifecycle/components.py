"""Which certificates must be planned, checked and locked as one."""

from collections.abc import Iterable
from dataclasses import replace

from danelaw.model import CertificateSpec, Desired


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


def subjects(desired: Desired) -> frozenset[str]:
    """Return everything that an effect on a component can be about: certificates, owner names, deployments."""
    found: set[str] = set()
    for spec in desired.certificates:
        found.add(spec.name)
        found |= {claim.endpoint.owner for claim in spec.claims}
        found |= {deployment.id for deployment in spec.deployments}
    return frozenset(found)


def _ties(spec: CertificateSpec) -> set[str]:
    found = {f"owner {claim.endpoint.owner}" for claim in spec.claims}
    for deployment in spec.deployments:
        found |= {f"owner {endpoint.owner}" for endpoint in (*deployment.endpoints, *deployment.watched)}
        found |= {f"file {file.path}" for file in deployment.files}
        found |= {f"reload {service.reload}" for service in deployment.services if service.reload}
        found.add(f"deployment {deployment.id}")
    return found
