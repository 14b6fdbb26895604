"""Look at everything that a decision depends on, now: DNS, the endpoints, the files."""

from collections.abc import Iterable, Sequence

from danelaw.errors import DanelawError
from danelaw.lifecycle import see_owner, see_probes
from danelaw.model import (
    Deployment,
    Desired,
    Endpoint,
    Fact,
    Facts,
    KeyAlgorithm,
    OnDisk,
    OwnerLook,
    Primary,
    ProbeRequest,
    TlsaRecord,
)
from danelaw.run.rings import Rings

ALGORITHMS: tuple[KeyAlgorithm | None, ...] = (None, "rsa", "ecdsa")
"""Unrestricted first; what a server with two certificates presents is undefined unless one kind is asked for."""


def endpoints_of(desired: Desired) -> list[Endpoint]:
    """Return every endpoint that is claimed or proven, in a stable order."""
    found: dict[Endpoint, None] = {}
    for spec in desired.certificates:
        found |= dict.fromkeys(claim.endpoint for claim in spec.claims)
        for deployment in spec.deployments:
            found |= dict.fromkeys(deployment.endpoints)
    return list(found)


def deployments_of(desired: Desired) -> list[Deployment]:
    """Return every deployment."""
    return [deployment for spec in desired.certificates for deployment in spec.deployments]


def look(desired: Desired, rings: Rings) -> Facts:
    """Look at the world, store what was seen, and return all facts."""
    facts = rings.store.snapshot()
    endpoints = endpoints_of(desired)
    owner_looks = rings.dns.look(list(dict.fromkeys(e.owner for e in endpoints)), facts.servers)
    primaries = _primaries(desired, rings, owner_looks)
    requests = [
        request
        for endpoint in endpoints
        for request in probes(rings, endpoint, addresses_of(rings, endpoint), ALGORITHMS)
    ]
    results = rings.prober.probe(requests)
    disk = [(d.id, rings.host.live(d)) for d in deployments_of(desired)]
    at = rings.clock.now()
    seen: list[Fact] = []
    for owner_look in owner_looks:
        seen.extend(see_owner(facts, owner_look, at))
    seen.extend(Primary(owner, rdatas, ttl, at) for owner, (rdatas, ttl) in primaries.items())
    seen.extend(see_probes(facts, results, my_addresses(desired, rings), at))
    seen.extend(OnDisk(deployment, files, at) for deployment, files in disk)
    rings.store.record(seen)
    return rings.store.snapshot()


def _primaries(
    desired: Desired, rings: Rings, looks: Iterable[OwnerLook]
) -> dict[str, tuple[tuple[TlsaRecord, ...], int]]:
    """Read what each publisher's server holds at the claimed owner names; a server that does not answer is left out."""
    by_owner = {claim.endpoint.owner: claim.publisher for spec in desired.certificates for claim in spec.claims}
    found = {}
    for owner_look in looks:
        publisher = by_owner.get(owner_look.owner)
        if publisher is None or owner_look.problem:
            continue
        try:
            found[owner_look.owner] = rings.publishers[publisher].read(owner_look.target)
        except DanelawError as error:
            rings.tell("progress", f"{publisher}: {error}")
    return found


def my_addresses(desired: Desired, rings: Rings) -> frozenset[str]:
    """Return the addresses that are this host's: its interfaces', `[connect]`'s, and those that `addresses` names."""
    named = (address for deployment in deployments_of(desired) for address in deployment.addresses)
    mapped = (address for address, _ in rings.connect.values())
    pinned = (endpoint.connect for endpoint in endpoints_of(desired) if endpoint.connect)
    return rings.host.addresses() | frozenset(named) | frozenset(mapped) | frozenset(pinned)


def addresses_of(rings: Rings, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the addresses at which an endpoint is looked at: pinned, mapped, or those of DNS."""
    if endpoint.connect:
        return (endpoint.connect,)
    if str(endpoint) in rings.connect:
        return (rings.connect[str(endpoint)][0],)
    addresses, _, _ = rings.dns.addresses(endpoint.host)
    return addresses


def probes(
    rings: Rings,
    endpoint: Endpoint,
    addresses: Iterable[str],
    algorithms: Sequence[KeyAlgorithm | None],
    handshakes: int = 1,
) -> list[ProbeRequest]:
    """Return the handshakes to make with an endpoint at addresses, `[connect]` applied."""
    requests: list[ProbeRequest] = []
    for address in addresses:
        shown = f"[{address}]" if ":" in address else address
        mapped = rings.connect.get(str(endpoint)) or rings.connect.get(f"{shown}:{endpoint.port}")
        dialled = mapped or (address, endpoint.port)
        requests.extend(ProbeRequest(endpoint, address, dialled, algorithm, handshakes) for algorithm in algorithms)
    return requests
