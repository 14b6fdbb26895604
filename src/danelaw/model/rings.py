"""Protocols of the rings, with the values that they alone pass on."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from danelaw.model.desired import CertificateSpec, Deployment, ServiceSetup
from danelaw.model.facts import EffectOutcome, Fact, Facts, Generation, KeyFact, Server
from danelaw.model.looks import OwnerLook, ProbeRequest, ProbeResult, Security, Visit, Visited
from danelaw.model.things import Chain, KeyAlgorithm, TlsaRecord


class Clock(Protocol):
    """Time, injected: nothing else in danelaw asks for it."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        ...

    def boot(self) -> tuple[str, float]:
        """Return the boot id and the seconds since boot."""
        ...

    def sleep_until(self, at: datetime) -> None:
        """Sleep until the wall clock reaches ``at``; where it is set meanwhile, no longer than it was to be."""
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


class Visitor(Protocol):
    """Fetches over HTTP what a CA would fetch."""

    def visit(self, visits: Sequence[Visit]) -> Sequence[Visited]:
        """Carry out every visit, concurrently and in bounded time; results in the order of the visits."""
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

    def revoke(self, leaf_der: bytes, reason: int, signer: "Signer | None" = None) -> None:
        """Revoke a certificate, signed with the account's key or the certificate's own (RFC 8555 section 7.6)."""
        ...


class Signer(Protocol):
    """Signs with one private key, and shows its public half."""

    @property
    def spki_der(self) -> bytes:
        """Return the public half, SubjectPublicKeyInfo, DER."""
        ...

    def signature(self, message: bytes) -> bytes:
        """Return the signature as JWS has it: ES256 (r and s, 32 octets each), ES384 or RS256 (RFC 7518 section 3)."""
        ...


class Host(Protocol):
    """This machine's keys and files. Private keys never leave it."""

    def peek_key(self, spec: CertificateSpec) -> KeyFact | None:
        """Return what `take_key` would adopt, changing nothing; None where a key is still to be made."""
        ...

    def take_key(self, spec: CertificateSpec) -> KeyFact:
        """Adopt ``spec.key`` into the state, or make a key; stored durably before it returns; idempotent.

        Of ``spec.csr`` without a key the public half is returned, and nothing is stored.
        """
        ...

    def take_next_key(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        """Make a next key of ``spec.key_type``, or return ``spec.spare``; stored durably before it returns.

        ``known`` are the certificate's keys of which the store knows. One made by a run that died before it was heard
        of is found again: no second one is made. `Refused` where ``spec.spare`` is a key in use.
        """
        ...

    def put_away(self, key: KeyFact, how: Literal["archive", "shred"]) -> KeyFact:
        """Move a key's file among the archived ones, or overwrite and remove it; idempotent.

        Returns the key as it is known from now on: ``path`` where it is, ``archived_at`` or ``destroyed_at`` set.
        """
        ...

    def sign(self, key: KeyFact) -> Signer:
        """Return what signs with a private key that does not leave this host (RFC 8555 section 7.6: revocation)."""
        ...

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        """Return ``spec.csr`` byte for byte, or a new CSR over the key, DER; `Refused` where it is over another."""
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

    def let_go(self, deployment: Deployment) -> None:
        """Make ordinary files, contents unchanged, of what stands at a deployment's paths. Idempotent."""
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

    def level(self, at: datetime) -> int:
        """Move what was seen or done after ``at``, by a clock set back since, to just before; return how many instants.

        In one transaction, order kept. What lies ahead is judged by the last snapshot.
        """
        ...

    def lease(self, component: str) -> AbstractContextManager[None]:
        """Hold a component's lease. Raises `LeaseHeld` where a living process has it."""
        ...


class Survey(Protocol):
    """The services of this host, as their own configurations describe them."""

    def look(
        self, service: str, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        """Return what a preset's service reads, how it is tested and reloaded, and where it offers TLS.

        ``names`` are the certificate's, ``algorithm`` is its key's. ``has_files``: the config gives the files, so that
        the service's own are not needed and not refused. Raises `Unsuited` that says what was found and what to set.
        """
        ...
