"""Facts: what was seen or done, and when. Each dataclass is a table, `FACT_KEYS` its natural key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from danelaw.model.looks import Security
from danelaw.model.things import Chain, Endpoint, KeyAlgorithm, TlsaRecord


@dataclass(frozen=True, slots=True)
class KeyFact:
    """A private key that this host holds, or (``elsewhere``) the public half of one that is kept elsewhere.

    ``certificate`` whose key it is; ``origin`` where it came from; ``path`` where it is kept here. ``current_since``:
    when it became the certificate's current key, None of a next key; the latest is current, those before are retired.
    """

    spki_sha256: str
    certificate: str
    spki_der: bytes = field(repr=False)
    algorithm: KeyAlgorithm
    host: str
    path: str
    origin: Literal["adopted", "made", "elsewhere"]
    made_at: datetime
    compromised_at: datetime | None = None
    destroyed_at: datetime | None = None
    current_since: datetime | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChainFact:
    """A chain that a CA issued to us."""

    certificate: str
    chain: Chain
    ca: str
    obtained_at: datetime
    revoked_at: datetime | None = None
    reason: int | None = None


@dataclass(frozen=True, slots=True)
class OrderFact:
    """An ACME order, so that a crash does not lose it."""

    url: str
    certificate: str
    ca: str
    spki_sha256: str
    csr_der: bytes = field(repr=False)
    opened_at: datetime
    closed_at: datetime | None = None
    problem: str | None = None


IntentKind = Literal["renew", "rollover", "revoke", "adopt"]
IntentOption = Literal["emergency", "accept-outage", "yes"]


@dataclass(frozen=True, slots=True)
class Intent:
    """What a person asked for and no step has answered yet; open ones of one kind and certificate are one.

    ``renew`` (``--force-renewal``), ``rollover``, ``revoke`` (``leaf_sha256`` and ``reason`` say what and why), and
    ``adopt``. ``options`` are ``emergency`` (no settling), ``accept-outage`` (caches are not waited for) and ``yes``
    (revoke what is live).
    """

    certificate: str
    kind: IntentKind
    by: str
    asked_at: datetime
    closed_at: datetime | None = None
    options: tuple[IntentOption, ...] = ()
    leaf_sha256: str = ""
    reason: int | None = None


@dataclass(frozen=True, slots=True)
class RRsetSeen:
    """One server's RRset at one owner name, from ``first_at`` to ``last_at`` as read.

    A new row starts when anything but the instants changed at this server *or at any other server of the owner name*
    (`lifecycle.sight` says why), so ``first_at`` is always a real reading at or after the last change seen anywhere.
    """

    owner: str
    server: str
    rcode: Literal["NOERROR", "NXDOMAIN"]
    rdatas: tuple[TlsaRecord, ...]
    ttl: int
    original_ttl: int
    cname_ttl: int
    rrsig_expires: datetime | None
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is authoritative for an owner name, as listed at parent or child."""

    owner: str
    server: str
    ns_ttl: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server that gave no answer about an owner name, since ``first_at`` without a break."""

    owner: str
    server: str
    problem: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class OwnerFact:
    """What the last look said about an owner name beside its RRsets."""

    owner: str
    zone: str
    target: str
    security: Security
    why: str
    validated: tuple[TlsaRecord, ...]
    wildcard: bool
    host_wildcard: bool
    left_out: tuple[str, ...]
    problem: str | None
    first_at: datetime
    last_at: datetime

    @property
    def aliased(self) -> bool:
        """Tell whether a CNAME leads from the owner name to where its records stand."""
        return self.target not in {"", self.owner}


@dataclass(frozen=True, slots=True)
class Primary:
    """What the server that a publisher updates holds at an owner name (it may be hidden: no NS names it)."""

    owner: str
    rdatas: tuple[TlsaRecord, ...]
    ttl: int
    at: datetime


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A TLSA record that danelaw added. Only these are withdrawn (promise 4)."""

    owner: str
    record: TlsaRecord
    publisher: str
    added_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """A chain that an endpoint presented at an address, from ``first_at`` to ``last_at`` as seen.

    What it presents now are the rows with the largest ``last_at`` of the (endpoint, address); several while old workers
    linger. ``mine``: the address is this host's.
    """

    endpoint: Endpoint
    address: str
    mine: bool
    chain: Chain
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Silent:
    """An endpoint that did not complete a handshake at an address, since ``first_at`` without a break."""

    endpoint: Endpoint
    address: str
    mine: bool
    problem: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of deployed files. ``n`` counts from 1; 0 is what stood there before danelaw came.

    The active generation is the one with the latest ``active_at``. ``leaf_sha256`` is "" where generation 0 holds
    nothing that we could read a certificate from. ``files`` are the digests of the files' contents by path, ``shape``
    the `Deployment.shape` that it was written for.
    """

    host: str
    deployment: str
    n: int
    leaf_sha256: str
    files: Mapping[str, str]
    staged_at: datetime
    active_at: datetime | None = None
    reloaded_at: datetime | None = None
    proven_at: datetime | None = None
    failed_at: datetime | None = None
    tries: int = 0
    shape: str = ""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """The digests of the files that stand at a deployment's paths."""

    deployment: str
    files: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """How this host's clocks stood at its last look: the wall clock beside the seconds since boot."""

    host: str
    boot_id: str
    boot_seconds: float
    at: datetime


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The wall clock went another way than the boot clock, by ``seconds``, or a boot came in between.

    ``at`` is the wall clock when that was noticed: nothing before it proves that time has passed.
    """

    at: datetime
    boot_id: str
    seconds: float


EffectOutcome = Literal["done", "failed", "lost", "interrupted"]
"""``lost``: somebody else was first; ``interrupted``: a crash or a stop, which is no failed try."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One change of the world, stored before it begins and after it ended (``ended_at`` None: it may have happened)."""

    id: int
    kind: str
    subject: str
    detail: str
    began_at: datetime
    ended_at: datetime | None = None
    outcome: EffectOutcome | None = None
    evidence: str = ""
    retry_at: datetime | None = None


Fact = (
    KeyFact
    | ChainFact
    | OrderFact
    | Intent
    | RRsetSeen
    | Server
    | Unreachable
    | OwnerFact
    | OwnRecord
    | Presented
    | Silent
    | Generation
    | Primary
    | OnDisk
    | ClockSeen
    | ClockStepped
)

FACT_KEYS: Mapping[type, tuple[str, ...]] = {
    KeyFact: ("spki_sha256", "certificate"),
    ChainFact: ("chain",),  # by leaf_sha256
    OrderFact: ("url",),
    Intent: ("certificate", "kind", "asked_at"),
    RRsetSeen: ("owner", "server", "first_at"),
    Server: ("owner", "server"),
    Unreachable: ("owner", "server", "first_at"),
    OwnerFact: ("owner", "first_at"),
    OwnRecord: ("owner", "record", "added_at"),
    Presented: ("endpoint", "address", "chain", "first_at"),  # chain by its certificates
    Silent: ("endpoint", "address", "first_at"),
    Generation: ("host", "deployment", "n"),
    Primary: ("owner",),
    OnDisk: ("deployment",),
    ClockSeen: ("host",),
    ClockStepped: ("at",),
}
"""What identifies a row; recording a fact with a known key replaces that row."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known, oldest first in each tuple. The core sees nothing else."""

    keys: tuple[KeyFact, ...] = ()
    chains: tuple[ChainFact, ...] = ()
    orders: tuple[OrderFact, ...] = ()
    intents: tuple[Intent, ...] = ()
    rrsets: tuple[RRsetSeen, ...] = ()
    servers: tuple[Server, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    owners: tuple[OwnerFact, ...] = ()
    own_records: tuple[OwnRecord, ...] = ()
    presented: tuple[Presented, ...] = ()
    silent: tuple[Silent, ...] = ()
    generations: tuple[Generation, ...] = ()
    primaries: tuple[Primary, ...] = ()
    on_disk: tuple[OnDisk, ...] = ()
    clocks: tuple[ClockSeen, ...] = ()
    clock_steps: tuple[ClockStepped, ...] = ()
    effects: tuple[Effect, ...] = ()
