"""What a live endpoint presents now, at every address and for each kind of key; for commands that keep no state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from danelaw.model import Chain, Clock, DnsView, Endpoint, KeyAlgorithm, Prober, ProbeRequest, Security
from danelaw.names import format_host_port

ALGORITHMS: tuple[KeyAlgorithm | None, ...] = (None, "rsa", "ecdsa")
"""Unrestricted first: Ed25519 and the like are seen there alone."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a look at live endpoints needs. ``connect`` maps an endpoint or ``ADDRESS:PORT`` to what is dialled."""

    clock: Clock
    dns: DnsView
    prober: Prober
    connect: Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Presented:
    """One chain, and the addresses that present it: as dialled, ``ADDRESS:PORT`` where `[connect]` says so."""

    chain: Chain
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """An endpoint as it was at an instant: its distinct chains, and what could not be learnt, in words.

    ``security`` is that of its addresses in DNS, None where DNS was not asked.
    """

    at: datetime
    presented: tuple[Presented, ...]
    problems: tuple[str, ...] = ()
    security: Security | None = None


def look_live(endpoint: Endpoint, outside: Outside) -> Live:
    """Shake hands with an endpoint at each of its addresses, and return all that it presents.

    Every address is asked for any certificate, for an RSA one and for an ECDSA one, all at once; that one of the two
    is not offered is no problem.
    """
    addresses, security, problem = _addresses(endpoint, outside)
    where, now = format_host_port(endpoint.host, endpoint.port), outside.clock.now()
    if not addresses:
        return Live(now, (), (f"{where}: {problem}",), security)
    requests = [
        ProbeRequest(endpoint, address, _dialled(endpoint, address, outside), algorithm)
        for address in addresses
        for algorithm in ALGORITHMS
    ]
    chains: dict[Chain, dict[str, None]] = {}
    problems: dict[str, str] = {}
    for result in outside.prober.probe(requests):
        shown = _shown(result.request)
        for chain in result.chains:
            chains.setdefault(chain, {})[shown] = None
        if result.problem:
            # The problem starts with what was dialled, which may be the endpoint itself.
            same = result.problem.startswith(f"{where} ")
            problems.setdefault(shown, result.problem if same else f"{where}: {result.problem}")
    presented = tuple(Presented(chain, tuple(places)) for chain, places in chains.items())
    return Live(now, presented, tuple(problems.values()), security)


def _addresses(endpoint: Endpoint, outside: Outside) -> tuple[tuple[str, ...], Security | None, str]:
    if endpoint.connect:
        return (endpoint.connect,), None, ""
    if str(endpoint) in outside.connect:
        return (outside.connect[str(endpoint)][0],), None, ""
    addresses, security, why = outside.dns.addresses(endpoint.host)
    if security in {"bogus", "indeterminate"}:
        return (), security, f"its addresses cannot be looked up ({security}): {why or 'no reason given'}"
    addresses = tuple(sorted(addresses, key=lambda each: (ip_address(each).version, ip_address(each))))
    return addresses, security, f"{endpoint.host} has no address" + (f": {why}" if why else "")


def _dialled(endpoint: Endpoint, address: str, outside: Outside) -> tuple[str, int]:
    place = outside.connect.get(format_host_port(address, endpoint.port))
    return outside.connect.get(str(endpoint)) or place or (address, endpoint.port)


def _shown(request: ProbeRequest) -> str:
    plain = request.connect == (request.address, request.endpoint.port)
    return request.address if plain else format_host_port(*request.connect)
