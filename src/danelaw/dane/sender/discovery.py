"""From a target to the hosts and ports where it is served: by MX (RFC 7672 section 2.2.1), by SRV (RFC 7673)."""

from dataclasses import dataclass

from danelaw.dane.sender.asking import Asking
from danelaw.model import AppProtocol, Discovery, LookedUp, Target

MAX_HOSTS = 32
"""Hosts that are looked at; a domain may list thousands."""

SMTP_PORT = 25

FALLBACK_PORTS = {"xmpp-client": 5222, "xmpp-server": 5269}
"""Where a service is when no SRV record says it (RFC 6120 section 3.2.2)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A host and port to look at. ``preference`` is the MX's, or the SRV's priority; None where nothing listed it."""

    host: str
    port: int
    protocol: AppProtocol
    preference: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Where a target is served. ``secure``: DANE clients may rely on how it was found.

    ``next_hops`` are names that the leaf may also bear (RFC 7672 section 3.2.2): the domain and its expansion.
    ``senders_of_mail``: those who come are mail servers (RFC 7672), not clients of another service. ``service``: the
    domain whose service was found by SRV records, "" elsewhere.
    """

    discovery: Discovery
    places: tuple[Place, ...] = ()
    secure: bool = True
    next_hops: tuple[str, ...] = ()
    senders_of_mail: bool = True
    service: str = ""


def discover(target: Target, asking: Asking) -> Found | None:
    """Return where a target is served, None while an answer is missing."""
    if target.port is not None:
        place = Place(target.name, target.port, target.protocol)
        mail = target.protocol == "smtp" and target.port == SMTP_PORT
        # RFC 7672 section 3.2.2; of other services the base domain is the one name (RFC 7671 section 10.2).
        return Found(Discovery("given"), (place,), next_hops=(target.name,) if mail else (), senders_of_mail=mail)
    if target.service:
        return _by_srv(target, asking)
    return _by_mx(target.name, asking)


def _by_mx(domain: str, asking: Asking) -> Found | None:
    found = asking.lookup(domain, "MX")
    if found is None:
        return None
    if found.failed:
        return Found(Discovery("error", found))
    if found.rcode == "NXDOMAIN":
        return Found(Discovery("missing", found))
    hosts: dict[str, int] = {}
    for preference, host in sorted(found.mx):
        hosts.setdefault(host, preference)
    if list(hosts) == [""]:
        return Found(Discovery("null", found))  # RFC 7505 section 3
    hosts.pop("", None)  # a null MX beside others says nothing (RFC 7505 section 3: it must stand alone)
    if not hosts:
        # RFC 5321 section 5.1: the domain is its own host. The leaf may have its name; where an alias of it ends is a
        # name for the leaf only as the base domain (RFC 7672 section 3.2.2).
        return Found(Discovery("implicit", found), (Place(domain, SMTP_PORT, "smtp"),), next_hops=(domain,))
    places = [Place(host, SMTP_PORT, "smtp", preference) for host, preference in hosts.items()]
    left_out = tuple(place.host for place in places[MAX_HOSTS:])
    secure = found.security == "secure"
    next_hops = tuple(dict.fromkeys((domain, found.canonical or domain))) if secure else ()
    return Found(Discovery("listed", found, left_out), tuple(places[:MAX_HOSTS]), secure, next_hops)


def _by_srv(target: Target, asking: Asking) -> Found | None:
    """Find a service by its SRV records (RFC 7673 section 3.1)."""
    found = asking.lookup(f"_{target.service}._tcp.{target.name}", "SRV")
    if found is None:
        return None
    if found.failed:
        return Found(Discovery("error", found), senders_of_mail=False)
    served = [record for record in sorted(found.srv) if record.target]
    if not served:
        return _without_srv(target, found, asking)
    secure = found.security == "secure"
    priorities: dict[tuple[str, int], int] = {}
    for srv in served:
        priorities.setdefault((srv.target, srv.port), srv.priority)
    places = [Place(host, port, target.protocol, priority) for (host, port), priority in priorities.items()]
    kept = tuple(places[:MAX_HOSTS])
    left_out = tuple(place.host for place in places[MAX_HOSTS:])
    # RFC 7673 section 4.1: the service domain is a reference name either way.
    names = (target.name,)
    discovery = Discovery("listed", found, left_out)
    return Found(discovery, kept, secure, names, senders_of_mail=False, service=target.name)


def _without_srv(target: Target, found: LookedUp, asking: Asking) -> Found | None:
    port = FALLBACK_PORTS.get(target.service)
    if found.srv or port is None:
        return Found(Discovery("null", found), senders_of_mail=False)
    address = asking.lookup(target.name, "A")
    if address is None:
        return None
    if address.rcode == "NXDOMAIN":
        return Found(Discovery("missing", found), senders_of_mail=False)
    places = (Place(target.name, port, target.protocol),)
    # RFC 7673 section 3.1: where no SRV records exist clients go on without DANE.
    return Found(Discovery("implicit", found), places, secure=False, next_hops=(target.name,), senders_of_mail=False)
