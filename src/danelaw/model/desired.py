"""What is desired: the configuration as the core sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from danelaw.model.things import AppProtocol, Endpoint, KeyType, RecordSpec, TlsaRecord

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
class Service:
    """What reads deployed files: its config test and its reload, argument lists; None where there is nothing to run.

    ``name`` is a preset's, "" where the config gives the commands. Deployments with an equal one share its reloads.
    """

    name: str
    test: tuple[str, ...] | None = None
    reload: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """Files written for services, and the endpoints that prove them.

    ``watched`` are endpoints that the services offer too and that are not proven: the records there count all the same
    (promise 1). ``addresses`` replaces the addresses of this host where it is not empty.
    """

    certificate: str
    files: tuple[FileSpec, ...]
    endpoints: tuple[Endpoint, ...]
    services: tuple[Service, ...] = ()
    watched: tuple[Endpoint, ...] = ()
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
    ``strict``: what changes waits until the signatures of the old RRset have expired too. ``external``: something that
    danelaw does not deploy to presents it.
    """

    certificate: str
    endpoint: Endpoint
    records: tuple[RecordSpec, ...]
    publisher: str
    ttl: int
    prune: bool | tuple[TlsaRecord, ...] = False
    strict: bool = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class Http01:
    """How http-01 is answered: a file below each of the webroots, or our own listeners (address, port)."""

    webroots: tuple[str, ...] = ()
    listen: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ReadyCsr:
    """A CSR that the config names: the file, its bytes as they are sent to the CA, and its key's SPKI."""

    path: str
    csr_der: bytes = field(repr=False)
    spki_der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpareKey:
    """The public half of a next key that is kept elsewhere: the file that the config names, and its SPKI."""

    path: str
    spki_der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateSpec:
    """What danelaw manages: DNS names, one key at a time, its TLSA claims and its deployments.

    ``key`` is adopted, and opened by the password in ``key_password_file``. With ``csr`` and no ``key`` the private
    key is kept elsewhere, and no deployment carries it. ``key_type`` is that of keys made here; None: the first is
    P-256, a next one is of the type of the one that it replaces.

    ``rollover``: a key is replaced when it was current for so long; None: when somebody asks. ``next_key``: the next
    key is made and published ahead; ``spare`` is its public half where it is kept elsewhere. ``settle``: after a
    cutover, prove again so much later, then withdraw the old key's records. ``retired_keys``: what becomes of a key
    that nothing needs any more. ``intermediates`` are CA certificates, DER, that the CA may issue from, beside those
    seen: records of usage 2 are published for all of them.
    """

    name: str
    names: tuple[str, ...]
    ca: str
    http01: Http01
    key: str | None = None
    key_password_file: str | None = None
    csr: ReadyCsr | None = None
    key_type: KeyType | None = None
    subject: Mapping[str, str] = field(default_factory=dict)
    pre_challenge: tuple[str, ...] | None = None
    post_challenge: tuple[str, ...] | None = None
    timeout: timedelta = timedelta(seconds=60)
    claims: tuple[TlsaClaim, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    rollover: timedelta | None = None
    next_key: bool = False
    spare: SpareKey | None = None
    settle: timedelta = timedelta(hours=24)
    retired_keys: Literal["archive", "shred"] = "archive"
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that the core needs of the configuration."""

    certificates: tuple[CertificateSpec, ...]
    lookup_margin: timedelta = timedelta(minutes=15)
    history: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Intermediates:
    """The CA certificates that a CA may issue from: the file that the config names, and each certificate's DER."""

    path: str
    certificates_der: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CaSpec:
    """An ACME CA: its directory's URL, our contacts, and the root file of its HTTPS where it is private."""

    name: str
    directory: str
    contact: tuple[str, ...]
    agree_tos: bool
    ca_bundle: str | None = None
    intermediates: Intermediates | None = None


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


@dataclass(frozen=True, slots=True)
class ServeSpec:
    """Whom `danelaw serve` trusts, networks as `ipaddress` writes them (``127.0.0.0/8``).

    ``allow``: where checks may connect to although it is not public. ``proxies``: those whose ``X-Forwarded-For`` is
    believed.
    """

    allow: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceSetup:
    """What a service's own configuration says, as far as a deployment to it needs it.

    ``files`` are what it reads now for one key algorithm: the paths, and the parts that it wants there, in order.
    ``ports`` are those where it offers TLS, with how; ``hosts`` the names that it goes by there (virtual hosts, its own
    name), empty where it answers to any. ``warnings`` are sentences: what works and is not advised. ``beside`` are
    names that the same files are presented under and the certificate lacks.
    """

    service: Service
    files: tuple[FileSpec, ...]
    ports: tuple[tuple[int, AppProtocol], ...]
    hosts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
