"""What a look brings: made by dns and probe, turned into facts by `lifecycle.sight`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from danelaw.model.things import Chain, Endpoint, KeyAlgorithm, TlsaRecord

Security = Literal["secure", "insecure", "bogus", "indeterminate"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One authoritative server's answer about one TLSA owner name.

    ``rcode`` is ``NOERROR`` or ``NXDOMAIN`` (anything else is `Unanswered`). ``rdatas`` is sorted; empty means absence.
    ``original_ttl`` and ``rrsig_expires`` are the largest over the RRSIGs, 0 and None without any. ``cname_ttl`` is the
    largest TTL (served or original) of the CNAMEs that lead to ``target``, 0 where there is none. ``wildcard``: the
    RRSIG's label count shows that a wildcard gave the answer (RFC 4035 section 5.3.4).
    """

    owner: str
    server: str
    rcode: Literal["NOERROR", "NXDOMAIN"]
    rdatas: tuple[TlsaRecord, ...]
    ttl: int
    original_ttl: int = 0
    cname_ttl: int = 0
    rrsig_expires: datetime | None = None
    target: str = ""
    wildcard: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A server that gave no authoritative answer: silent, REFUSED, SERVFAIL, lame."""

    owner: str
    server: str
    problem: str


@dataclass(frozen=True, slots=True)
class Validated:
    """The validated view of one name and type. ``why`` says in a sentence why it is bogus or indeterminate."""

    security: Security
    rcode: str
    rdatas: tuple[TlsaRecord, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class OwnerLook:
    """Everything that a look at one TLSA owner name brought.

    ``servers`` maps each server asked (``192.0.2.53`` or ``127.0.53.1:5353`` where the port is not 53) to the NS TTL;
    ``left_out`` names servers of a family that this host has no route for. ``target`` is where the records live after
    CNAMEs (the owner itself without one), ``zone`` the zone that holds it. ``host_wildcard``: the host's own address
    comes from a wildcard only (RFC 4592: adding a name below it would take the address away). ``problem``: why nothing
    could be learnt at all (no such zone, parent bogus …), in words for people; None otherwise.
    """

    owner: str
    zone: str
    target: str
    servers: Mapping[str, int]
    readings: tuple[Reading, ...]
    unanswered: tuple[Unanswered, ...] = ()
    left_out: tuple[str, ...] = ()
    validated: Validated | None = None
    host_wildcard: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Shake hands with one endpoint at one address.

    ``connect`` is the (address, port) really dialled (``[connect]`` maps it). ``algorithm`` asks for one kind of
    certificate only; None is unrestricted. ``handshakes`` are made simultaneously.
    """

    endpoint: Endpoint
    address: str
    connect: tuple[str, int]
    algorithm: KeyAlgorithm | None = None
    handshakes: int = 1


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the handshakes presented: a chain for each that succeeded.

    ``not_offered``: the server answered but has no certificate of the algorithm asked for (a TLS alert).
    ``problem``: the first failure in words, None where every handshake succeeded or the algorithm is not offered.
    ``at_once``: how many connections the server took at once, where those were fewer than asked for; None else.
    """

    request: ProbeRequest
    chains: tuple[Chain, ...]
    not_offered: bool = False
    problem: str | None = None
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """Fetch ``http://name/path`` at one address of the name, as a CA does for http-01 (RFC 8555 section 8.3)."""

    name: str
    address: str
    path: str


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit met: the ``body`` of an answer 200, None for anything else; ``found`` says what it was, in words.

    ``silent``: no answer over HTTP came, which may be different from elsewhere.
    """

    visit: Visit
    body: bytes | None
    found: str
    silent: bool = False
