"""The private keys of this host, as its state folder holds them: taken, made ahead, archived, shredded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from danelaw.errors import Refused, RetryLater, StateCorrupt
from danelaw.lifecycle.keys import algorithm_of
from danelaw.model import CertificateSpec, KeyFact
from simulation.faults import Faults, nobody
from simulation.mint import SimKey, csr_for, pooled_key
from simulation.timeline import Timeline

NAME = "mx1"

FIRST_MADE = 10
"""Keys that this host makes are the pool's from this number on; those before are there on the first day."""

FULL = RetryLater("no space left on the device")


@dataclass(frozen=True)
class SimSigner:
    """`model.Signer` over a key of this host."""

    key: SimKey

    @property
    def spki_der(self) -> bytes:
        return self.key.spki_der

    def signature(self, message: bytes) -> bytes:
        private = self.key.private
        if isinstance(private, ec.EllipticCurvePrivateKey):
            return private.sign(message, ec.ECDSA(hashes.SHA256()))
        return private.sign(message, padding.PKCS1v15(), hashes.SHA256())


@dataclass
class Shelf:
    """What the state folder holds; keys are known by their SPKI's digest. ``made`` are those made here."""

    here: dict[str, SimKey] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    shredded: set[str] = field(default_factory=set)
    first: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=dict)

    def copy(self) -> "Shelf":
        made = {name: list(keys) for name, keys in self.made.items()}
        return Shelf(dict(self.here), set(self.archived), set(self.shredded), dict(self.first), made)


class SimKeys:
    """What `SimHost` does with keys. ``files`` are those that the config may name, by path.

    ``needed`` says why a key that is being put away is needed still; what it says is kept in ``wrong``.
    """

    def __init__(self, timeline: Timeline, faults: Faults, files: Mapping[str, SimKey], spare: SimKey | None) -> None:
        self._timeline = timeline
        self._faults = faults
        self._spare = spare
        self.files = dict(files)
        self.shelf = Shelf()
        self._known = {key.spki_sha256: key for key in (*files.values(), *([spare] if spare else []))}
        self.deployed: Callable[[str], str | None] = nobody
        """Says the digest of the key in a deployed file."""
        self._number = FIRST_MADE
        self.needed: Callable[[KeyFact, Literal["archive", "shred"]], str | None] = nobody
        self.wrong: list[str] = []

    def peek(self, spec: CertificateSpec) -> KeyFact | None:
        return self._fact(spec, self._read(spec.key), "adopted") if spec.key else None

    def _read(self, path: str) -> SimKey:
        if path in self.files:
            return self.files[path]
        spki = self.deployed(path)
        if spki is None or spki not in self._known:
            raise Refused(f"{path}: no key")
        return self._known[spki]

    def take(self, spec: CertificateSpec) -> KeyFact:
        if self._faults.strikes("the disk is full", 0.02):
            raise FULL
        if spec.key:
            key = self._read(spec.key)
            self.shelf.here.setdefault(key.spki_sha256, key)
            return self._fact(spec, key, "adopted")
        if spec.name not in self.shelf.first:
            self.shelf.first[spec.name] = self._make(spec, self._spare).spki_sha256
        return self._fact(spec, self.shelf.here[self.shelf.first[spec.name]], "made")

    def take_next(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        if self._faults.strikes("the disk is full", 0.02):
            raise FULL
        if spec.spare is not None:
            return self._public_half(spec, known)
        unheard = [
            self.shelf.here[spki]
            for spki in self.shelf.made.get(spec.name, ())
            if spki in self.shelf.here and spki not in {key.spki_sha256 for key in known}
        ]
        fitting = [key for key in unheard if key.algorithm == algorithm_of(spec.key_type or "p256")]
        key = fitting[-1] if fitting else self._make(spec)
        if self._faults.strikes("the disk is full once the key is made", 0.02):
            raise FULL
        return replace(self._fact(spec, key, "made"), current_since=None)

    def _public_half(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        assert spec.spare is not None
        if any(key.spki_der == spec.spare.spki_der and key.current_since for key in known):
            raise Refused(f"{spec.spare.path}: a key in use")
        key = next(key for key in self.files.values() if key.spki_der == spec.spare.spki_der)
        return replace(self._fact(spec, key, "elsewhere"), path="", current_since=None)

    def _make(self, spec: CertificateSpec, key: SimKey | None = None) -> SimKey:
        if key is None:
            key = pooled_key(self._number, algorithm_of(spec.key_type or "p256"))
            self._number += 1
        self.shelf.here[key.spki_sha256] = self._known[key.spki_sha256] = key
        self.shelf.made.setdefault(spec.name, []).append(key.spki_sha256)
        return key

    def put_away(self, key: KeyFact, how: Literal["archive", "shred"]) -> KeyFact:
        if self._faults.strikes("the disk is full", 0.02):
            raise FULL
        if why := self.needed(key, how):
            self.wrong.append(f"{self._timeline.now}: the key {key.spki_sha256[:12]}… is put away, and {why}")
        now = self._timeline.wall
        if how == "shred":
            self.shelf.here.pop(key.spki_sha256, None)
            self.shelf.shredded.add(key.spki_sha256)
            return replace(key, destroyed_at=now)
        self.shelf.archived.add(key.spki_sha256)
        return replace(key, archived_at=now, path=f"/var/lib/danelaw/keys/archived/{key.spki_sha256}")

    def sign(self, key: KeyFact) -> SimSigner:
        return SimSigner(self.held(key))

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        return csr_for(self.held(key), spec.names)

    def held(self, key: KeyFact) -> SimKey:
        """Return a private key. Raises `StateCorrupt` where it is not here any more, as the real host does."""
        if key.spki_sha256 not in self.shelf.here:
            raise StateCorrupt(f"the key {key.spki_sha256[:16]}… is gone")
        return self.shelf.here[key.spki_sha256]

    def _fact(self, spec: CertificateSpec, key: SimKey, origin: Literal["adopted", "made", "elsewhere"]) -> KeyFact:
        now: datetime = self._timeline.wall
        return KeyFact(
            spki_sha256=key.spki_sha256,
            certificate=spec.name,
            spki_der=key.spki_der,
            algorithm=key.algorithm,
            host=NAME,
            path=f"/var/lib/danelaw/keys/{key.spki_sha256}",
            origin=origin,
            made_at=now,
            current_since=now,
        )
