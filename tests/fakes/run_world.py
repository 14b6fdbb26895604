"""A mail host in memory, for the run layer: one certificate, one deployment, one owner name. Every ring is a fake.

`MailWorld` holds what a test turns: addresses, what is presented, what stands in the zone, which commands fail.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from danelaw.errors import DanelawError, Lost, Refused, RetryLater
from danelaw.model import (
    CertificateSpec,
    Chain,
    Deployment,
    Desired,
    Endpoint,
    FileSpec,
    Generation,
    Http01,
    KeyFact,
    OrderState,
    OwnerLook,
    ProbeRequest,
    ProbeResult,
    Reading,
    RecordSpec,
    Security,
    Server,
    Service,
    Signer,
    Solver,
    TlsaClaim,
    TlsaRecord,
    Validated,
    Visitor,
)
from danelaw.pki import check_public_key, csr_builder
from danelaw.pki.chain import chain_pem
from danelaw.run.rings import Event, Rings, Senders
from danelaw.store import SqliteStore
from fakes.acme_surroundings import MemorySolver
from local_state import StandingClock, chain_of, leaf_key

HOST = "mail.example.org"
SMTP = Endpoint(HOST, 25, "smtp")
IMAPS = Endpoint("imap.example.org", 993, "imaps")
NAME = "example.org"
ADDRESS = "192.0.2.25"
START = ("systemctl", "start", "apache2")
STOP = ("systemctl", "stop", "apache2")
RELOAD = ("systemctl", "reload", "postfix")

Look = tuple[tuple[str, ...], Security, str]


def certificate(name: str = NAME, host: str = HOST, path: str = "/etc/ssl/mail.pem") -> CertificateSpec:
    """Return a certificate with one owner name and one deployment."""
    endpoint = Endpoint(host, 25, "smtp")
    return CertificateSpec(
        name=name,
        names=(host,),
        ca="ca",
        http01=Http01(listen=(("192.0.2.25", 80),)),
        claims=(TlsaClaim(name, endpoint, (RecordSpec(3, 1, 1),), "home", 3600),),
        deployments=(
            Deployment(
                name, (FileSpec(path, ("cert", "chain", "key")),), (endpoint,), (Service("", None, (*RELOAD, name)),)
            ),
        ),
    )


class TickingClock(StandingClock):
    """A clock of which no two readings are the same."""

    def now(self) -> datetime:
        self.instant += timedelta(milliseconds=1)
        return self.instant


class Zone:
    """`model.DnsView` and `model.Publisher` over the same records."""

    def __init__(self) -> None:
        self.records: dict[str, tuple[TlsaRecord, ...]] = {}
        self.hosts: dict[str, Look] = {}
        self.swaps: list[tuple[TlsaRecord, ...]] = []
        self.deaf = False
        self.look_fails: dict[str, DanelawError] = {}

    def look(self, owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        del known
        for owner in owners:
            if owner in self.look_fails:
                raise self.look_fails[owner]
        return [self._look(owner) for owner in owners]

    def _look(self, owner: str) -> OwnerLook:
        rdatas = self.records.get(owner, ())
        readings = (Reading(owner, "192.0.2.53", "NOERROR", rdatas, 3600 if rdatas else 0, 3600 if rdatas else 0),)
        return OwnerLook(
            owner,
            "example.org",
            owner,
            {"192.0.2.53": 3600},
            readings,
            validated=Validated("secure", "NOERROR", rdatas),
        )

    def addresses(self, host: str) -> Look:
        return self.hosts.get(host, ((ADDRESS,), "secure", ""))

    def read(self, target: str) -> tuple[tuple[TlsaRecord, ...], int]:
        return self.records.get(target, ()), 3600 if target in self.records else 0

    def swap(self, target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        del ttl
        if tuple(expected) != self.records.get(target, ()):
            raise Lost(f"{target} changed")
        self.swaps.append(tuple(wanted))
        if not self.deaf:  # else it says yes and does nothing
            self.records[target] = tuple(sorted(wanted))
        return "updated"


class Services:
    """`model.Prober`: what each address presents; nothing: it refuses the connection."""

    def __init__(self, presents: Callable[[str], Chain | None]) -> None:
        self.presents = presents
        self.silent: set[str] = set()
        self.at_once: int | None = None
        self.asked: list[ProbeRequest] = []

    def probe(self, requests: Sequence[ProbeRequest]) -> Sequence[ProbeResult]:
        self.asked.extend(requests)
        return [self._result(request) for request in requests]

    def _result(self, request: ProbeRequest) -> ProbeResult:
        chain = self.presents(request.endpoint.host)
        if chain is None or request.address in self.silent:
            return ProbeResult(request, (), problem="connection refused")
        if request.algorithm not in {None, chain.algorithm}:
            return ProbeResult(request, (), not_offered=True)
        return ProbeResult(request, (chain,) * request.handshakes, at_once=self.at_once)


@dataclass
class Machine:
    """`model.Host`. ``failing`` are commands that fail, ``ran`` all that were run."""

    now: Callable[[], datetime]
    live_chain: Chain | None = None
    live_chains: dict[str, Chain | None] = field(default_factory=dict)
    """By host, what was put live since; before it, ``live_chain``."""
    failing: set[tuple[str, ...]] = field(default_factory=set)
    ran: list[tuple[str, ...]] = field(default_factory=list)
    disk: dict[str, dict[str, str]] = field(default_factory=dict)
    staged: dict[tuple[str, int], Chain | None] = field(default_factory=dict)
    forgets: bool = False
    """Whether a generation put live is not there afterwards."""
    keys: dict[str, KeyFact | DanelawError] = field(default_factory=dict)
    """By certificate, what its key file holds, or why that is refused; without it a key is made."""
    own: frozenset[str] = frozenset({ADDRESS})
    private: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = field(default_factory=dict)
    """By SPKI digest, the next keys that were made; every other key is `leaf_key`."""
    made: dict[str, list[KeyFact]] = field(default_factory=dict)
    """By certificate, the next keys that were made, the newest last."""
    put: list[tuple[str, str]] = field(default_factory=list)
    """What was put away and how: (SPKI digest, "archive" or "shred")."""
    free: list[str] = field(default_factory=list)
    """The deployments whose paths are ordinary files again."""

    def peek_key(self, spec: CertificateSpec) -> KeyFact | None:
        found = self.keys.get(spec.name)
        if isinstance(found, DanelawError):
            raise found
        return found

    def take_key(self, spec: CertificateSpec) -> KeyFact:
        return self.peek_key(spec) or key_of(spec.name)

    def take_next_key(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        if spec.spare is not None:
            if any(key.spki_der == spec.spare.spki_der and key.current_since for key in known):
                raise Refused(f"{spec.spare.path}: found the public half of a key in use")
            return fact_of(spec.name, spec.spare.spki_der, self.now(), "elsewhere")
        is_rsa = (spec.key_type or "p256").startswith("rsa")
        heard = {key.spki_sha256 for key in known}
        unheard = [key for key in self.made.get(spec.name, []) if key.spki_sha256 not in heard]
        if unheard and (unheard[-1].algorithm == "rsa") == is_rsa:
            return unheard[-1]
        private = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        spki_der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made = fact_of(spec.name, spki_der, self.now(), "made")
        self.private[made.spki_sha256] = private
        self.made.setdefault(spec.name, []).append(made)
        return made

    def put_away(self, key: KeyFact, how: Literal["archive", "shred"]) -> KeyFact:
        self.put.append((key.spki_sha256, how))
        if how == "archive":
            return replace(key, path=f"/keys/archive/{key.spki_sha256}", archived_at=key.archived_at or self.now())
        return replace(key, destroyed_at=key.destroyed_at or self.now())

    def sign(self, key: KeyFact) -> Signer:
        return MemorySigner(key.spki_der)

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        if spec.csr is not None:
            if spec.csr.spki_der != key.spki_der:
                raise Refused(f"{spec.csr.path}: found a CSR over another key")
            return spec.csr.csr_der
        private = self.private.get(key.spki_sha256, leaf_key())
        request: x509.CertificateSigningRequest = csr_builder(spec.names, spec.subject).sign(private, SHA256())
        return request.public_bytes(Encoding.DER)

    def stage(self, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
        del key
        self.staged.setdefault((deployment.id, 0), None)
        self.staged[deployment.id, n] = chain
        return self.generation(deployment, n)

    def generation(self, deployment: Deployment, n: int) -> Generation:
        chain = self.staged[deployment.id, n]
        files = {} if chain is None else {file.path: f"{n}" for file in deployment.files}
        leaf = chain.leaf_sha256 if chain else ""
        return Generation("h", deployment.id, n, leaf, files, self.now())

    def activate(self, deployment: Deployment, generation: Generation) -> None:
        if not self.forgets:
            self.disk[deployment.id] = dict(generation.files)
            chain = self.staged[deployment.id, generation.n]
            self.live_chains |= dict.fromkeys((endpoint.host for endpoint in deployment.endpoints), chain)

    def let_go(self, deployment: Deployment) -> None:
        self.free.append(deployment.id)

    def live(self, deployment: Deployment) -> Mapping[str, str]:
        return self.disk.get(deployment.id, {})

    def writable(self, deployment: Deployment) -> Sequence[str]:
        del deployment
        return []

    def run(self, argv: Sequence[str], timeout: timedelta) -> str:
        del timeout
        self.ran.append(tuple(argv))
        if tuple(argv) in self.failing:
            raise RetryLater(f"{' '.join(argv)}: exit status 1")
        return "ok"

    def addresses(self) -> frozenset[str]:
        return self.own


@dataclass(frozen=True)
class MemorySigner:
    """`model.Signer` whose signatures nobody looks at."""

    spki_der: bytes

    def signature(self, message: bytes) -> bytes:
        return sha256(self.spki_der + message).digest()


@dataclass
class Ca:
    """`model.Authority`. ``answers`` are what it does when a pending order is to be validated, in turn; then all works.

    ``status`` is what each of its orders is now, by URL. ``anew``: a renewal is another certificate, over the same key.
    """

    answers: list[DanelawError | str] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    opens_as: str = "pending"
    revoked: list[tuple[bytes, int]] = field(default_factory=list)
    signed_by: list[bytes | None] = field(default_factory=list)
    """For each revocation, the SPKI of the certificate's key that signed it; None: the account's."""
    names: dict[str, str] = field(default_factory=dict)
    anew: bool = False

    def open(self, names: Sequence[str], csr_der: bytes) -> OrderState:
        url = f"https://ca.test/order/{len(self.status) + 1}"
        self.names[url] = names[0]
        self.status[url] = self.opens_as
        return self._state(OrderState(url, "pending", csr_der))

    def advance(self, order: OrderState, solver: Solver | None) -> OrderState:
        now = self.status[order.url]
        if now != order.status or now == "invalid" or (now == "pending" and solver is None):
            return self._state(order)
        if now == "pending":
            assert solver is not None
            solver.present(HOST, "token", "token.thumbprint")
            answer = self.answers.pop(0) if self.answers else "ready"
            if isinstance(answer, DanelawError):
                raise answer
            self.status[order.url] = answer
        elif now == "ready":
            self.status[order.url] = "valid"
        else:
            issue = chain_of.__wrapped__ if self.anew else chain_of
            return replace(order, chain_pem=chain_pem(issue(self.names[order.url], *_over(order.csr_der))))
        return self._state(order)

    def revoke(self, leaf_der: bytes, reason: int, signer: Signer | None = None) -> None:
        self.revoked.append((leaf_der, reason))
        self.signed_by.append(None if signer is None else signer.spki_der)

    def _state(self, order: OrderState) -> OrderState:
        status = self.status[order.url]
        problem = "the CA does not like it" if status == "invalid" else None
        return replace(order, status=status, problem=problem)  # type: ignore[arg-type]


class NoChance:
    """`model.Chance` that never varies."""

    def fraction(self) -> float:
        return 0.5


class MailWorld:
    """Everything, with its rings; ``told`` is what the runs said."""

    def __init__(self, *specs: CertificateSpec, old: Chain | None = None) -> None:
        self.clock = TickingClock()
        self.desired = Desired(specs or (certificate(),), timedelta(0), timedelta(0))
        self.store = SqliteStore(":memory:", self.clock, "h")
        self.zone = Zone()
        self.host = Machine(self.clock.now, live_chain=old)
        self.services = Services(lambda host: self.host.live_chains.get(host, self.host.live_chain))
        self.ca = Ca()
        self.solver = MemorySolver()
        self.told: list[Event] = []
        self.connect: dict[str, tuple[str, int]] = {}
        self.solver_fails: list[DanelawError] = []
        self.visitor: Visitor | None = None
        self.senders: Senders | None = None

    @property
    def spec(self) -> CertificateSpec:
        return self.desired.certificates[0]

    @property
    def deployment(self) -> Deployment:
        return self.spec.deployments[0]

    def change(self, **fields: object) -> None:
        """Change the first certificate's config."""
        first, *others = self.desired.certificates
        self.desired = replace(self.desired, certificates=(replace(first, **fields), *others))  # type: ignore[arg-type]

    @property
    def rings(self) -> Rings:
        return Rings(
            clock=self.clock,
            chance=NoChance(),
            store=self.store,
            host=self.host,
            dns=self.zone,
            prober=self.services,
            publishers={"home": self.zone},
            authorities={"ca": self.ca},
            solver=self._solver,
            connect=self.connect,
            listener=self.told.append,
            visitor=self.visitor,
            senders=self.senders,
        )

    @contextmanager
    def _solver(self, spec: CertificateSpec) -> Iterator[Solver]:
        del spec
        if self.solver_fails:
            raise self.solver_fails.pop(0)
        yield self.solver


def _over(csr_der: bytes) -> tuple[bytes, ...]:
    """Return the SPKI of a CSR where it is not that of `leaf_key`, as `chain_of` takes it."""
    key = x509.load_der_x509_csr(csr_der).public_key()
    return (
        () if key == leaf_key().public_key() else (key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),)
    )


def fact_of(name: str, spki_der: bytes, at: datetime, origin: Literal["made", "elsewhere"]) -> KeyFact:
    """Return a next key as a certificate's."""
    spki_sha256 = sha256(spki_der).hexdigest()
    algorithm = check_public_key(spki_der)
    return KeyFact(spki_sha256, name, spki_der, algorithm, "h", f"/keys/{spki_sha256}", origin, at)


def key_of(name: str) -> KeyFact:
    """Return the key of every leaf that `chain_of` makes, as a certificate's."""
    spki_der = leaf_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    spki_sha256 = chain_of(HOST).spki_sha256
    at = StandingClock().instant
    return KeyFact(spki_sha256, name, spki_der, "ecdsa", "h", "/keys/1", "made", at, current_since=at)
