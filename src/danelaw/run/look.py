"""Look at everything that a decision depends on, now: DNS, the endpoints, the files."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from danelaw.errors import DanelawError
from danelaw.lifecycle import see_owner, see_probes
from danelaw.lifecycle.here import DNS_SAYS
from danelaw.lifecycle.keys import next_key
from danelaw.lifecycle.merge import merge
from danelaw.lifecycle.sight import looked_at
from danelaw.model import (
    Deployment,
    Desired,
    Endpoint,
    Fact,
    Facts,
    KeyAlgorithm,
    KeyFact,
    OnDisk,
    OwnerLook,
    Primary,
    ProbeRequest,
    ProbeResult,
    Silent,
    TlsaRecord,
)
from danelaw.names import mapped
from danelaw.run.clocks import compare
from danelaw.run.ours import Ours, our_addresses
from danelaw.run.rings import Rings

ALGORITHMS: tuple[KeyAlgorithm | None, ...] = (None, "rsa", "ecdsa")
"""Unrestricted first; what a server with two certificates presents is undefined unless one kind is asked for."""


NOWHERE = "?"
"""Stands for the address of an endpoint that has none and never had one here."""


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses at which an endpoint is looked at, or why there are none, in words."""

    addresses: tuple[str, ...]
    problem: str = ""


def endpoints_of(desired: Desired) -> list[Endpoint]:
    """Return every endpoint that is claimed or proven, in a stable order."""
    found: dict[Endpoint, None] = {}
    for spec in desired.certificates:
        found |= dict.fromkeys(claim.endpoint for claim in spec.claims)
        for deployment in spec.deployments:
            found |= dict.fromkeys(deployment.endpoints)
    return list(found)


def watched_of(desired: Desired) -> list[Endpoint]:
    """Return every endpoint that is watched, in a stable order."""
    return list(dict.fromkeys(endpoint for each in deployments_of(desired) for endpoint in each.watched))


def deployments_of(desired: Desired) -> list[Deployment]:
    """Return every deployment."""
    return [deployment for spec in desired.certificates for deployment in spec.deployments]


def look(desired: Desired, rings: Rings) -> Facts:
    """Look at the world, store what was seen, and return all facts."""
    facts = rings.store.snapshot()
    endpoints = endpoints_of(desired)
    watched = [endpoint for endpoint in watched_of(desired) if endpoint not in endpoints]
    owner_looks = rings.dns.look(list(dict.fromkeys(e.owner for e in (*endpoints, *watched))), facts.servers)
    primaries = _primaries(desired, rings, owner_looks)
    places = every_place(rings, endpoints) | _watched_places(rings, facts, watched, owner_looks)
    requests = [
        request
        for endpoint, found in places.items()
        for request in probes(rings, endpoint, found.addresses, ALGORITHMS)
    ]
    results = [*rings.prober.probe(requests)]
    disk = [(d.id, rings.host.live(d)) for d in deployments_of(desired)]
    at, clocks = compare(rings)
    facts = rings.store.snapshot()
    results.extend(_lost_from_sight(facts, places, at))
    seen: list[Fact] = [*clocks]
    for owner_look in owner_looks:
        seen.extend(see_owner(facts, owner_look, at))
    seen.extend(Primary(owner, rdatas, ttl, at) for owner, (rdatas, ttl) in primaries.items())
    seen.extend(see(facts, results, our_addresses(desired, rings), at))
    seen.extend(OnDisk(deployment, files, at) for deployment, files in disk)
    rings.store.record(seen)
    facts = rings.store.snapshot()
    return merge(facts, [*_nowhere(facts, places, at), *_come_here(desired, rings, facts)])


def glance(desired: Desired, rings: Rings, sight: Facts) -> Facts:
    """Look at the files alone and return all facts; ``sight`` is the last look, which stands for all else."""
    at = rings.clock.now()
    rings.store.record([OnDisk(d.id, rings.host.live(d), at) for d in deployments_of(desired)])
    facts = rings.store.snapshot()
    return merge(facts, [*(row for row in sight.silent if row.address == NOWHERE), *_come_here(desired, rings, facts)])


def _come_here(desired: Desired, rings: Rings, facts: Facts) -> Iterable[KeyFact]:
    """Return the next keys that were kept elsewhere and whose private half stands in the config's `key` now.

    The core is told at each look by the ``path``, which is that file's then. It is stored once the key is adopted.
    """
    for spec in desired.certificates:
        coming = next_key(facts, spec)
        if coming is None or coming.origin != "elsewhere" or spec.key is None:
            continue
        with suppress(DanelawError):  # what is wrong with the file `notes` says
            found = rings.host.peek_key(spec)
            if found is not None and found.spki_sha256 == coming.spki_sha256:
                yield replace(coming, path=spec.key)


def see(facts: Facts, results: Iterable[ProbeResult], ours: Ours, at: datetime) -> list[Fact]:
    """Return the rows that handshakes, finished at ``at``, add or extend."""
    by_endpoint: dict[Endpoint, list[ProbeResult]] = {}
    for result in results:
        by_endpoint.setdefault(result.request.endpoint, []).append(result)
    return [fact for endpoint, found in by_endpoint.items() for fact in see_probes(facts, found, ours.at(endpoint), at)]


def _watched_places(
    rings: Rings, facts: Facts, watched: Iterable[Endpoint], looks: Iterable[OwnerLook]
) -> dict[Endpoint, Places]:
    """Return where watched endpoints are looked at: only those where records stand or stood, and that have an address.

    The others are left alone, and what cannot be found out about them is nobody's concern.
    """
    stood = {row.owner for row in facts.rrsets if row.rdatas}
    stood |= {each.owner for each in looks if any(reading.rdatas for reading in each.readings)}
    found = every_place(rings, [endpoint for endpoint in watched if endpoint.owner in stood])
    return {endpoint: places for endpoint, places in found.items() if places.addresses}


def _lost_from_sight(facts: Facts, places: Mapping[Endpoint, Places], at: datetime) -> Iterable[ProbeResult]:
    """Return handshakes that failed, where an endpoint's addresses are not to be had, at those that it had last.

    Old sights would stand for what is presented now otherwise, and nobody would hear of it.
    """
    for endpoint, found in places.items():
        for address in () if found.addresses else looked_at(facts, endpoint, timedelta(0), at):
            yield ProbeResult(ProbeRequest(endpoint, address, (address, endpoint.port)), (), problem=found.problem)


def _nowhere(facts: Facts, places: Mapping[Endpoint, Places], at: datetime) -> Iterable[Silent]:
    """Return a silence at `NOWHERE` for each endpoint of which no address was ever known.

    The core is told at each look, and it is not stored: it is over as soon as there is an address.
    """
    for endpoint, found in places.items():
        if not found.addresses and not looked_at(facts, endpoint, timedelta(0), at):
            yield Silent(endpoint, NOWHERE, mine=False, problem=found.problem, first_at=at, last_at=at)


def _primaries(
    desired: Desired, rings: Rings, looks: Iterable[OwnerLook]
) -> dict[str, tuple[tuple[TlsaRecord, ...], int]]:
    """Read what each publisher's server holds at the claimed owner names; a server that does not answer is left out."""
    by_owner = {claim.endpoint.owner: claim.publisher for spec in desired.certificates for claim in spec.claims}
    found = {}
    for owner_look in looks:
        publisher = by_owner.get(owner_look.owner)
        if publisher is None or publisher not in rings.publishers or owner_look.problem:
            continue
        try:
            found[owner_look.owner] = rings.publishers[publisher].read(owner_look.target)
        except DanelawError as error:
            rings.tell("progress", f"{publisher}: {error}")
    return found


def every_place(rings: Rings, endpoints: Iterable[Endpoint]) -> dict[Endpoint, Places]:
    """Return where each endpoint is looked at; a host that has several is looked up once."""
    hosts: dict[str, Places] = {}
    found = {}
    for endpoint in endpoints:
        own = endpoint.connect or str(endpoint) in rings.connect
        found[endpoint] = places_of(rings, endpoint) if own or endpoint.host not in hosts else hosts[endpoint.host]
        if not own:
            hosts[endpoint.host] = found[endpoint]
    return found


def places_of(rings: Rings, endpoint: Endpoint) -> Places:
    """Return the addresses at which an endpoint is looked at: pinned, mapped, or those of DNS."""
    if endpoint.connect:
        return Places((endpoint.connect,))
    if str(endpoint) in rings.connect:
        return Places((rings.connect[str(endpoint)][0],))
    addresses, security, why = rings.dns.addresses(endpoint.host)
    if addresses:
        return Places(addresses)
    if security in {"bogus", "indeterminate"}:
        problem = f"the addresses of {endpoint.host} cannot be looked up ({security}): {why or 'no reason given'}"
    else:
        problem = f"{endpoint.host} has no address" + (f": {why}" if why else "")
    return Places((), f"{DNS_SAYS}{problem}")


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
        dialled = mapped(rings.connect, endpoint.host, address, endpoint.port) or (address, endpoint.port)
        requests.extend(ProbeRequest(endpoint, address, dialled, algorithm, handshakes) for algorithm in algorithms)
    return requests
