"""The words of danelaw as frozen values: what is desired, what was seen or done, what to do next, and the Protocols.

Everything here is plain data. Instants are aware UTC datetimes, spans are ``timedelta``; whole seconds appear only
where DNS has them (``ttl``). Digests are lower-case hexadecimal. DNS names are lower-case A-labels without the final
dot (``mail.example.org``); owner names are written with it (``_25._tcp.mail.example.org.``).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

# --------------------------------------------------------------------------------------------------------------------
# Names of things
# --------------------------------------------------------------------------------------------------------------------

AppProtocol = Literal["smtp", "smtps", "imap", "imaps", "pop3", "pop3s", "https", "tls"]
"""How TLS starts at an endpoint: ``smtp``, ``imap`` and ``pop3`` by STARTTLS, the others at once."""

KeyAlgorithm = Literal["rsa", "ecdsa"]
KeyType = Literal["p256", "p384", "rsa2048", "rsa3072", "rsa4096"]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where a service is offered: what the TLSA owner name ``_25._tcp.mail.example.org.`` stands for.

    ``connect`` pins one address to look at (a ``prove`` table's ``connect``); None means every address of the host.
    """

    host: str
    port: int
    protocol: AppProtocol
    connect: str | None = None

    @property
    def owner(self) -> str:
        """Return the TLSA owner name (RFC 6698 section 3)."""
        return f"_{self.port}._tcp.{self.host}."

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class RecordSpec(NamedTuple):
    """The three parameters of a TLSA record (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching_type: int

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching_type}"


@dataclass(frozen=True, slots=True, order=True)
class TlsaRecord:
    """One TLSA record's data. Any parameters and any data length: what is unusable must be representable."""

    usage: int
    selector: int
    matching_type: int
    data: bytes

    @property
    def spec(self) -> RecordSpec:
        """Return usage, selector and matching type."""
        return RecordSpec(self.usage, self.selector, self.matching_type)

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching_type} {self.data.hex()}"


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate chain as presented or issued, leaf first; everything that the core asks about it, parsed once.

    ``algorithm`` is the leaf key's, ``"other"`` where it is neither RSA nor ECDSA. ``names`` are the leaf's DNS names.
    """

    certificates_der: tuple[bytes, ...] = field(repr=False)
    leaf_sha256: str
    spki_der: bytes = field(repr=False)
    spki_sha256: str
    algorithm: Literal["rsa", "ecdsa", "other"]
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]

    @property
    def leaf_der(self) -> bytes:
        """Return the leaf certificate, DER."""
        return self.certificates_der[0]


# --------------------------------------------------------------------------------------------------------------------
# What is desired (made by config)
# --------------------------------------------------------------------------------------------------------------------

FilePart = Literal["cert", "chain", "key"]


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One deployed file: an absolute path, the PEM parts it holds in order, and whose it is (None: as it stands)."""

    path: str
    parts: tuple[FilePart, ...]
    mode: int | None = None
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """Files written for services, their config test, their reload, and the endpoints that prove them.

    ``addresses`` replaces the addresses of this host where it is not empty.
    """

    certificate: str
    files: tuple[FileSpec, ...]
    endpoints: tuple[Endpoint, ...]
    test: tuple[str, ...] | None = None
    reload: tuple[str, ...] | None = None
    timeout: timedelta = timedelta(seconds=60)
    addresses: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Return what a deployment is known by: its sorted paths."""
        return " ".join(sorted(f.path for f in self.files))

    @property
    def shape(self) -> str:
        """Return what the files look like, contents aside: a change of it makes a new generation due."""
        return "; ".join(
            f"{f.path} {'+'.join(f.parts)} {'' if f.mode is None else oct(f.mode)} {f.owner or ''}:{f.group or ''}"
            for f in sorted(self.files, key=lambda f: f.path)
        )

    @property
    def has_key(self) -> bool:
        """Return whether the private key is among the deployed parts."""
        return any("key" in f.parts for f in self.files)


@dataclass(frozen=True, slots=True)
class TlsaClaim:
    """The records that one certificate wants at one endpoint's owner name.

    ``prune``: False removes nothing of other people, True other people's selector-0 records, a tuple exactly those.
    """

    certificate: str
    endpoint: Endpoint
    records: tuple[RecordSpec, ...]
    publisher: str
    ttl: int
    prune: bool | tuple[TlsaRecord, ...] = False


@dataclass(frozen=True, slots=True)
class Http01:
    """How http-01 is answered: files below a webroot, or our own listeners (address, port)."""

    webroot: str | None = None
    listen: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """What danelaw manages: DNS names, one key at a time, its TLSA claims and its deployments."""

    name: str
    names: tuple[str, ...]
    ca: str
    http01: Http01
    key: str | None = None
    key_type: KeyType = "p256"
    subject: Mapping[str, str] = field(default_factory=dict)
    pre_challenge: tuple[str, ...] | None = None
    post_challenge: tuple[str, ...] | None = None
    timeout: timedelta = timedelta(seconds=60)
    claims: tuple[TlsaClaim, ...] = ()
    deployments: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that the core needs of the configuration."""

    certificates: tuple[CertificateSpec, ...]
    lookup_margin: timedelta = timedelta(minutes=15)
    history: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CaSpec:
    """An ACME CA: its directory's URL, our contacts, and the root file of its HTTPS where it is private."""

    name: str
    directory: str
    contact: tuple[str, ...]
    agree_tos: bool
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True)
class PublisherSpec:
    """A publisher by RFC 2136. ``server`` None: the zone's SOA MNAME; ``zone`` None: found by SOA."""

    name: str
    server: str | None = None
    port: int = 53
    zone: str | None = None
    tsig_key: str | None = None


@dataclass(frozen=True, slots=True)
class ResolverSpec:
    """How names are validated. ``address`` None: iterate from the root."""

    address: str | None = None
    port: int = 53
    trust_anchor: str | None = None
    root_hints: str | None = None


# --------------------------------------------------------------------------------------------------------------------
# What a look brings (made by dns and probe; lifecycle.sight turns it into facts)
# --------------------------------------------------------------------------------------------------------------------

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
    """

    request: ProbeRequest
    chains: tuple[Chain, ...]
    not_offered: bool = False
    problem: str | None = None


# --------------------------------------------------------------------------------------------------------------------
# Facts (stored; each dataclass is a table, KEY its natural key)
# --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyFact:
    """A private key that this host holds. ``certificate`` whose key it is; ``origin`` where it came from."""

    spki_sha256: str
    certificate: str
    spki_der: bytes = field(repr=False)
    algorithm: KeyAlgorithm
    host: str
    path: str
    origin: Literal["adopted", "made"]
    made_at: datetime
    compromised_at: datetime | None = None
    destroyed_at: datetime | None = None


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


@dataclass(frozen=True, slots=True)
class Intent:
    """What a person asked for and no step has answered yet (``--force-renewal``)."""

    certificate: str
    kind: Literal["renew"]
    by: str
    asked_at: datetime
    closed_at: datetime | None = None


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
    effects: tuple[Effect, ...] = ()


# --------------------------------------------------------------------------------------------------------------------
# Steps, waits and holds (made by lifecycle)
# --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TakeKey:
    """Adopt the key at ``path``, or make one where ``path`` is None."""

    certificate: str
    path: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Obtain:
    """Order a certificate over a key, or carry on an open order."""

    certificate: str
    spki_sha256: str
    why: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Swap the RRset at ``target``: what is expected there for what is wanted there, in one update."""

    owner: str
    target: str
    publisher: str
    expected: tuple[TlsaRecord, ...]
    wanted: tuple[TlsaRecord, ...]
    ttl: int
    why: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Write a generation of a deployment's files where no service reads them."""

    certificate: str
    deployment: str
    n: int
    leaf_sha256: str
    why: str


@dataclass(frozen=True, slots=True)
class Activate:
    """Put a staged (or an earlier) generation where services read it. This is going live."""

    certificate: str
    deployment: str
    n: int
    leaf_sha256: str
    why: str
    back: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """Run a deployment's config test, then its reload."""

    certificate: str
    deployment: str
    n: int
    why: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Eight simultaneous handshakes, twice, at every address of this host and every endpoint of the deployment."""

    certificate: str
    deployment: str
    n: int
    leaf_sha256: str
    why: str


Step = TakeKey | Obtain | Publish | Stage | Activate | Reload | Prove


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for ``subject`` until ``until``; ``code`` is stable, ``why`` a sentence for people."""

    code: str
    subject: str
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing can be done for ``subject`` until a person acts: ``remedy`` says how."""

    code: str
    subject: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rest:
    """No step now."""

    waits: tuple[Wait, ...] = ()
    holds: tuple[Hold, ...] = ()


# --------------------------------------------------------------------------------------------------------------------
# Protocols of the rings
# --------------------------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, injected: nothing else in danelaw asks for it."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        ...

    def boot(self) -> tuple[str, float]:
        """Return the boot id and the seconds since boot."""
        ...

    def sleep_until(self, at: datetime) -> None:
        """Sleep until the wall clock reaches ``at``."""
        ...


class Chance(Protocol):
    """Randomness that decides nothing secret, injected."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        ...


class Progress(Protocol):
    """Somebody who wants to hear what takes longer than a second."""

    def __call__(self, text: str) -> None:
        """Say one line."""
        ...


class DnsView(Protocol):
    """The outside's DNS, as read now."""

    def look(self, owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        """Look at each TLSA owner name; ``known`` are servers to ask too (dropped from NS less than its TTL ago)."""
        ...

    def addresses(self, host: str) -> tuple[tuple[str, ...], Security, str]:
        """Return a host's addresses, how they validate, and why where they do not."""
        ...


class Prober(Protocol):
    """Handshakes with endpoints."""

    def probe(self, requests: Sequence[ProbeRequest]) -> Sequence[ProbeResult]:
        """Carry out every request, concurrently; results in the order of the requests."""
        ...


class Publisher(Protocol):
    """Changes TLSA RRsets in one DNS."""

    def read(self, target: str) -> tuple[tuple[TlsaRecord, ...], int]:
        """Return the RRset (sorted) and its TTL as the server that takes the updates holds it; raises as `swap`."""
        ...

    def swap(self, target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        """Replace exactly ``expected`` by ``wanted`` at ``target`` in one transaction; return the evidence.

        Raises `Lost` where something else stands there, `Refused` or `RetryLater` where the server says no.
        """
        ...


@dataclass(frozen=True, slots=True)
class OrderState:
    """An ACME order as the CA last described it (RFC 8555 section 7.1.3). ``problem``: why it is invalid, in words."""

    url: str
    status: Literal["pending", "ready", "processing", "valid", "invalid"]
    csr_der: bytes = field(repr=False)
    chain_pem: str | None = field(default=None, repr=False)
    problem: str | None = None


class Solver(Protocol):
    """Makes http-01 challenges answerable."""

    def present(self, domain: str, token: str, key_authorization: str) -> None:
        """Make the answer available at ``http://domain/.well-known/acme-challenge/token``."""
        ...

    def clean_up(self, domain: str, token: str) -> None:
        """Take the answer away again; never fails on what is gone already."""
        ...


class Authority(Protocol):
    """One ACME CA with our account at it."""

    def open(self, names: Sequence[str], csr_der: bytes) -> OrderState:
        """Open a new order."""
        ...

    def advance(self, order: OrderState, solver: Solver | None) -> OrderState:
        """Take an order one status further: validate, finalize or download.

        ``solver`` None: the order is not pending, nothing needs validation. Raises `RetryLater` or `Refused`.
        """
        ...

    def revoke(self, leaf_der: bytes, reason: int) -> None:
        """Revoke a certificate, signed with the account's key (RFC 8555 section 7.6)."""
        ...


class Host(Protocol):
    """This machine's keys and files. Private keys never leave it."""

    def peek_key(self, spec: CertificateSpec) -> KeyFact | None:
        """Return what `take_key` would adopt, changing nothing; None where a key is still to be made."""
        ...

    def take_key(self, spec: CertificateSpec) -> KeyFact:
        """Adopt ``spec.key`` into the state, or make a key; stored durably before it returns; idempotent."""
        ...

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        """Return a CSR over the key, DER."""
        ...

    def stage(self, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
        """Write generation ``n`` where no service reads it, and generation 0 of what stands there at the first time."""
        ...

    def generation(self, deployment: Deployment, n: int) -> Generation:
        """Return a generation as it is on disk, 0 included."""
        ...

    def activate(self, deployment: Deployment, generation: Generation) -> None:
        """Put a generation where services read it, by one rename. Idempotent."""
        ...

    def live(self, deployment: Deployment) -> Mapping[str, str]:
        """Return the digests of what stands at the deployment's paths now, absent files left out."""
        ...

    def writable(self, deployment: Deployment) -> Sequence[str]:
        """Return what would keep the deployment's files from being written or owned as asked, in words."""
        ...

    def run(self, argv: Sequence[str], timeout: timedelta) -> str:
        """Run a command without a shell; return its output's tail. Raises `RetryLater` where it fails."""
        ...

    def addresses(self) -> frozenset[str]:
        """Return the addresses of this host's interfaces."""
        ...


class Store(Protocol):
    """Where facts are kept."""

    def snapshot(self) -> Facts:
        """Return all facts."""
        ...

    def record(self, facts: Sequence[Fact]) -> None:
        """Store facts durably, each replacing the row of its natural key, all or none."""
        ...

    def begin(self, kind: str, subject: str, detail: str, at: datetime) -> int:
        """Store durably that an effect begins; return its id."""
        ...

    def end(
        self,
        effect: int,
        outcome: EffectOutcome,
        evidence: str,
        at: datetime,
        facts: Sequence[Fact] = (),
        retry_at: datetime | None = None,
    ) -> None:
        """Store how an effect ended, with the facts that it made, in one transaction."""
        ...

    def lease(self, component: str) -> AbstractContextManager[None]:
        """Hold a component's lease. Raises `LeaseHeld` where a living process has it."""
        ...
