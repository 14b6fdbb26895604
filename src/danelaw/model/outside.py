"""What a sender asks of the outside, and what it hears: `dane.sender` names the questions, the rings answer them.

A question says nothing of how it is answered, so that the same code runs blocking, in an event loop, and over answers
recorded earlier. Every question gets an answer, in bounded time: a failure is an answer too.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from danelaw.model.looks import OwnerLook, Security
from danelaw.model.things import AppProtocol, Chain, KeyAlgorithm, TlsaRecord

LookupType = Literal["A", "AAAA", "CNAME", "MX", "SRV", "TLSA", "TXT"]


class MxRecord(NamedTuple):
    """One MX record. ``host`` is "" for the null MX (RFC 7505), and as found otherwise, lower case, no final dot."""

    preference: int
    host: str


class SrvRecord(NamedTuple):
    """One SRV record (RFC 2782). ``target`` is "" where the service is decidedly not available."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True, order=True)
class Lookup:
    """A validated look-up of one name, lower-case A-labels (``_25._tcp.mail`` too) without the final dot."""

    name: str
    rrtype: LookupType


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What validation says of a name and type, and the records, unless they are bogus.

    ``security`` is that of the whole answer, the CNAMEs that lead to it included. ``canonical`` is where those ended
    (the name itself without any). ``rcode`` is ``TIMEOUT`` where nothing came. ``why`` says in our words why it is
    bogus or failed, naming the step; ``ours``: because of this machine (no network, trust anchor, resolver down), not
    of the target. ``ttl`` is in seconds, ``original_ttl`` the largest and ``expires`` the earliest of the RRSIGs over
    the records, 0 and None without any. ``malformed`` counts records whose data is none. ``warnings`` are sentences on
    how the zones are signed: NSEC3 iterations, outdated algorithms. ``texts`` are the strings of each TXT record as
    one, octets that are not printable and backslashes escaped as in zone files (RFC 1035 section 5.1).
    """

    lookup: Lookup
    security: Security
    rcode: str
    addresses: tuple[str, ...] = ()
    mx: tuple[MxRecord, ...] = ()
    srv: tuple[SrvRecord, ...] = ()
    tlsa: tuple[TlsaRecord, ...] = ()
    texts: tuple[str, ...] = ()
    canonical: str = ""
    ttl: int = 0
    original_ttl: int = 0
    expires: datetime | None = None
    malformed: int = 0
    why: str = ""
    ours: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Return whether this is a look-up error, "bogus" and "indeterminate" included (RFC 7672 section 2.1.1)."""
        return self.security in {"bogus", "indeterminate"}


@dataclass(frozen=True, slots=True, order=True)
class Authorities:
    """Every authoritative server's own answer about a TLSA owner name (with the final dot)."""

    owner: str


@dataclass(frozen=True, slots=True)
class Handshake:
    """One TLS handshake at one address, asking for one kind of certificate (None: any).

    ``host`` is sent as SNI: the TLSA base domain (RFC 7671 section 10.2), without secure records the host's own name,
    or the address itself where there is no name; ``server_name`` in its place where another name is preferred.
    ``origin`` is the domain that is served, where the protocol says it (the ``to`` of XMPP's stream), else "".
    """

    host: str
    address: str
    port: int
    protocol: AppProtocol
    algorithm: KeyAlgorithm | None = None
    origin: str = ""
    server_name: str = ""


FailureKind = Literal[
    "no-route",  # ours: this machine has no way there (no IPv6, network down)
    "forbidden",  # ours: the address is one that this check may not connect to
    "not-asked",  # ours: the check ended before it came to this
    "refused",  # nothing listens there
    "unreachable",  # the network says so, not our own machine
    "timeout",  # no connection within the limit
    "silent",  # connected, and then what was awaited did not come in time
    "hung-up",  # it closed or reset the connection in the dialogue before TLS
    "turned-away",  # it closed before it said anything: too many connections, or a filter
    "greylisted",  # 4xx before STARTTLS
    "rejected",  # 5xx before STARTTLS
    "not-spoken",  # what it says is not that protocol
    "flood",  # endless lines, or too much of them
    "no-starttls",
    "starttls-refused",
    "injected",  # plaintext behind its reply to STARTTLS
    "not-tls",
    "old-tls",
    "no-certificate",
    "bad-certificate",  # what it presents as its certificate is none
    "tls-refused",  # an alert
    "tls-failed",
    "not-offered",  # it has no certificate of the kind asked for
]
"""Why a handshake brought no chain."""


@dataclass(frozen=True, slots=True)
class Shaken:
    """What a handshake brought: a chain, or the failure, its kind and in words that name the address.

    ``version`` is TLS's name for the version (``TLSv1.3``), ``banner`` the first line that the server said in plain
    text, printable and short. ``through`` is what was dialled where `[connect]` put something else in the address's
    place.
    """

    handshake: Handshake
    chain: Chain | None = None
    failure: FailureKind | None = None
    detail: str = ""
    version: str = ""
    banner: str = ""
    through: str = ""


@dataclass(frozen=True, slots=True, order=True)
class PolicyFetch:
    """A domain's MTA-STS policy over HTTPS (RFC 8461 section 3.3)."""

    domain: str


@dataclass(frozen=True, slots=True)
class PolicyFound:
    """The policy's text, or why there is none, in words. ``ours``: because of this machine."""

    fetch: PolicyFetch
    text: str | None
    problem: str = ""
    ours: bool = False


Question = Lookup | Authorities | Handshake | PolicyFetch
Answer = LookedUp | OwnerLook | Shaken | PolicyFound
