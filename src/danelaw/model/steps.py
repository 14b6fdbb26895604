"""Steps, waits and holds: what lifecycle answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from danelaw.model.things import TlsaRecord


@dataclass(frozen=True, slots=True)
class TakeKey:
    """Adopt the key at ``path``, or make one where ``path`` is None."""

    certificate: str
    path: str | None
    why: str


@dataclass(frozen=True, slots=True)
class TakeNextKey:
    """Make a certificate's next key, or take the public half of the one that is kept elsewhere."""

    certificate: str
    path: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Obtain:
    """Order a certificate over a key, or carry on an open order. ``ahead``: over the next key, for a rollover."""

    certificate: str
    spki_sha256: str
    why: str
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Promote:
    """Every service presents a chain over the next key: it is the current one from now on, the other is retired."""

    certificate: str
    spki_sha256: str
    retires: str
    why: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Put a key away that nothing needs any more, or destroy it."""

    certificate: str
    spki_sha256: str
    how: Literal["archive", "shred"]
    why: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """Revoke a certificate (RFC 8555 section 7.6)."""

    certificate: str
    leaf_sha256: str
    reason: int
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


Step = TakeKey | TakeNextKey | Obtain | Publish | Stage | Activate | Reload | Prove | Promote | Retire | Revoke


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
