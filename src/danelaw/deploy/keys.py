"""Private keys: adopted or made, kept in ``state_dir/keys/<SPKI SHA-256>.pem``, and never given out.

A key is on disk, synced, before anybody hears of it, and a key file is never written over. A key that was made is known
by a marker for its certificate before it gets its final name: a run that was killed in between finds the same key again
and does not make another.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from danelaw import pki
from danelaw.deploy import files
from danelaw.errors import InputError, Refused, StateCorrupt
from danelaw.model import CertificateSpec, Clock, KeyFact, KeyType

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MAX_KEY_BYTES = 1 << 16
ACCEPTED = "expected one private key as PEM (PKCS#8, PKCS#1 or SEC 1) without a password"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRIVATE = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")


class Keys:
    """The private keys of this host's state folder."""

    def __init__(self, state_dir: Path, host: str, clock: Clock) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / "keys"
        self._host = host
        self._clock = clock

    def peek(self, spec: CertificateSpec) -> KeyFact | None:
        """Return what `take` would return, changing nothing; None where a key is still to be made."""
        if spec.key is not None:
            _, private = _source(spec.key)
            return self._fact(spec, private)
        pending = self._pending(spec)
        return None if pending is None else self._fact(spec, pending[1])

    def take(self, spec: CertificateSpec) -> KeyFact:
        """Adopt ``spec.key``, or make a key of ``spec.key_type``; on disk before this returns, and idempotent.

        Raises `Refused` that says what is wrong with the file, `RetryLater` where the disk is full.
        """
        adopted = None if spec.key is None else _source(spec.key)
        with files.explained(self._folder):
            files.make_folder(self._state_dir, 0o711)
            files.make_folder(self._folder, 0o700)
            with self._locked():
                private = self._make(spec) if adopted is None else self._adopt(*adopted)
            return self._fact(spec, private)

    def pem(self, key: KeyFact) -> bytes:
        """Return the key's PEM, for a deployed file. Raises `StateCorrupt` where it is gone or is another key."""
        return self._load(key.spki_sha256)[0]

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        """Return a CSR over the key, DER, signed with SHA-256. Raises `StateCorrupt`, `InputError`."""
        request: x509.CertificateSigningRequest = pki.csr_builder(spec.names, spec.subject).sign(
            self._load(key.spki_sha256)[1], SHA256()
        )
        return request.public_bytes(Encoding.DER)

    # ----------------------------------------------------------------------------------------------------------------

    def _path(self, spki_sha256: str) -> Path:
        return self._folder / f"{spki_sha256}.pem"

    def _marker(self, spec: CertificateSpec) -> Path:
        """Return the link that says which key was made for a certificate; its name may hold anything, so its digest."""
        return self._folder / f"made-{hashlib.sha256(spec.name.encode()).hexdigest()[:32]}"

    def _fact(self, spec: CertificateSpec, private: PrivateKey) -> KeyFact:
        spki_der = _spki(private)
        spki_sha256 = hashlib.sha256(spki_der).hexdigest()
        path = self._path(spki_sha256)
        with files.explained(path):
            try:
                # When it came here, as told by our own clock (`_dated`): the same each time we are asked.
                made_at = _EPOCH + timedelta(microseconds=path.stat().st_mtime_ns // 1000)
            except FileNotFoundError:
                made_at = self._clock.now()
        return KeyFact(
            spki_sha256=spki_sha256,
            certificate=spec.name,
            spki_der=spki_der,
            algorithm=pki.check_public_key(spki_der),
            host=self._host,
            path=str(path),
            origin="made" if spec.key is None else "adopted",
            made_at=made_at,
        )

    def _adopt(self, block: bytes, private: PrivateKey) -> PrivateKey:
        path = self._path(_spki_sha256(private))
        if path.exists():
            return self._load(_spki_sha256(private))[1]
        self._write(path, block)
        return private

    def _make(self, spec: CertificateSpec) -> PrivateKey:
        """Make a key, or finish the making of one. Order: the key whole, then the marker, then its final name."""
        marker, making = self._marker(spec), self._making(spec)
        pending = self._pending(spec)
        if pending is None:
            private = _generate(spec.key_type)
            self._write(making, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        else:
            private = pending[1]
        final = self._path(_spki_sha256(private))
        if not marker.is_symlink():
            files.put_link(marker, final.name)
        if not final.exists():
            making.rename(final)
            files.sync_folder(self._folder)
        return private

    def _making(self, spec: CertificateSpec) -> Path:
        return self._marker(spec).with_suffix(".pem")

    def _pending(self, spec: CertificateSpec) -> tuple[bytes, PrivateKey] | None:
        """Return the key that was made for a certificate, under its final name or still on the way there."""
        marker, making = self._marker(spec), self._making(spec)
        with files.explained(marker):
            for path in (marker, making):
                found = files.read(path, MAX_KEY_BYTES)
                if found is not None:
                    return _parse(found.data, path)
            if marker.is_symlink():
                raise StateCorrupt(f"{self._folder / marker.readlink()}: the key is gone; restore it from a backup")
        return None

    def _load(self, spki_sha256: str) -> tuple[bytes, PrivateKey]:
        path = self._path(spki_sha256)
        with files.explained(path):
            found = files.read(path, MAX_KEY_BYTES)
        if found is None:
            raise StateCorrupt(f"{path}: the key is gone; restore it from a backup")
        block, private = _parse(found.data, path)
        if _spki_sha256(private) != spki_sha256:
            raise StateCorrupt(f"{path}: holds another key than its name says; restore it from a backup")
        return block, private

    def _write(self, path: Path, block: bytes) -> None:
        """Write a key file that is not there yet, under the lock: whole or not at all, dated by our own clock."""
        files.clear_leftover(path)
        files.write_new(files.beside(path), block)
        now = (self._clock.now() - _EPOCH) // timedelta(microseconds=1) * 1000
        os.utime(files.beside(path), ns=(now, now))
        files.beside(path).rename(path)
        files.sync_folder(self._folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other runs out: two certificates of different components may adopt one key."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _source(path: str) -> tuple[bytes, PrivateKey]:
    """Return the key that the config names. Raises `Refused`."""
    with files.explained(path):
        found = files.read(path, MAX_KEY_BYTES)
    if found is None:
        raise Refused(f"{path}: not found; {ACCEPTED}")
    if found.ownership.mode & 0o006:
        raise Refused(f"{path}: the whole world can read or change it (mode {found.ownership.mode:04o}); chmod o-rw it")
    return _parse(found.data, path)


def _parse(data: bytes, path: str | Path) -> tuple[bytes, PrivateKey]:
    """Return the one private key in ``data``: its PEM block as it stands there, and the key. Raises `Refused`.

    No error here is raised "from" another: what cryptography says could quote the key.
    """
    blocks = list(_PRIVATE.finditer(data))
    if len(blocks) != 1:
        raise Refused(f"{path}: found {_what(data, len(blocks))}; {ACCEPTED}")
    block = blocks[0][0].replace(b"\r\n", b"\n") + b"\n"
    if blocks[0][1] == b"ENCRYPTED PRIVATE KEY" or b"Proc-Type:" in block:
        raise Refused(f"{path}: found a key with a password; {ACCEPTED} (openssl pkey -in OLD -out NEW)")
    try:
        private = load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Refused(f"{path}: found a private key that cannot be read; {ACCEPTED}") from None
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        pki.check_public_key(public)
    except InputError as error:
        raise Refused(f"{path}: {error}") from None
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Refused(f"{path}: found another kind of key; {ACCEPTED}")
    return block, private


def _what(data: bytes, private_keys: int) -> str:
    if private_keys > 1:
        return f"{private_keys} private keys"
    labels = [label.decode("ascii") for label in dict.fromkeys(_LABEL.findall(data))]
    if any("PRIVATE KEY" in label for label in labels):
        return "a private key that is cut off"
    if "CERTIFICATE" in labels:
        return "a certificate and no private key"
    if labels:
        return f"PEM of {', '.join(labels)}"
    if data[:1] == b"\x30":
        return "what looks like DER (openssl pkey -inform DER -in OLD -out NEW turns it into PEM)"
    return "no PEM" if data.strip() else "an empty file"


def _generate(key_type: KeyType) -> PrivateKey:
    match key_type:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "rsa2048" | "rsa3072" | "rsa4096":
            return rsa.generate_private_key(65537, int(key_type.removeprefix("rsa")))


def _spki(private: PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _spki_sha256(private: PrivateKey) -> str:
    return hashlib.sha256(_spki(private)).hexdigest()
