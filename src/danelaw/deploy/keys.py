"""Private keys: adopted or made, kept in ``state_dir/keys/<SPKI SHA-256>.pem``, and never given out.

The copy of a key that had a password is kept without it, like every other: services read their own copies without one,
and a renewal at night finds nobody to ask; a password in a file beside it would keep nobody out. Of a certificate that
has a CSR and no key there is the public half only.

A key is on disk, synced, before anybody hears of it, and a key file is never written over. A key that was made is known
by a marker for its certificate before it gets its final name: a run that was killed in between finds the same key again
and does not make another.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from danelaw import pki
from danelaw.deploy import files
from danelaw.errors import InputError, Refused, StateCorrupt
from danelaw.model import CertificateSpec, Clock, KeyFact, KeyType, ReadyCsr

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MAX_KEY_BYTES = 1 << 16
ACCOUNTS = "accounts/*/account.pem"
"""Where the keys of our ACME accounts are, below the state folder."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
            return self._fact(spec, self._source(spec, spec.key).spki_der, "adopted")
        if spec.csr is not None:
            return self._elsewhere(spec, spec.csr)
        pending = self._pending(spec)
        return None if pending is None else self._fact(spec, pending.spki_der, "made")

    def take(self, spec: CertificateSpec) -> KeyFact:
        """Adopt ``spec.key``, or make a key of ``spec.key_type``; on disk before this returns, and idempotent.

        Of a CSR without a key there is nothing to keep: its public half is returned. Raises `Refused` that says what is
        wrong with the file, `RetryLater` where the disk is full.
        """
        adopted = None if spec.key is None else self._source(spec, spec.key)
        if adopted is None and spec.csr is not None:
            return self._elsewhere(spec, spec.csr)
        with files.explained(self._folder):
            files.make_folder(self._state_dir, 0o711)
            files.make_folder(self._folder, 0o700)
            with self._locked():
                key = self._make(spec) if adopted is None else self._adopt(adopted)
            return self._fact(spec, key.spki_der, "made" if adopted is None else "adopted")

    def warnings(self, spec: CertificateSpec) -> list[str]:
        """Return what is accepted of a certificate's key file and not advised; what is refused `peek` says."""
        if spec.key is None or spec.key_password_file is None:
            return []
        try:
            locked = self._source(replace(spec, csr=None), spec.key).opened.locked
        except Refused:
            return []
        return [] if locked else [f"{spec.key} has no password; take key_password_file out of the config"]

    def pem(self, key: KeyFact) -> bytes:
        """Return the key's PEM, for a deployed file. Raises `StateCorrupt` where it is gone or is another key."""
        return self._load(key.spki_sha256).block

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        """Return the ready CSR, byte for byte, or one over the key, DER, signed with SHA-256.

        Raises `Refused` where the ready one is over another key, or the key is elsewhere and no CSR is named any more;
        `StateCorrupt`, `InputError`.
        """
        if spec.csr is not None:
            if spec.csr.spki_der != key.spki_der:
                raise Refused(
                    f"{spec.csr.path}: found a CSR over another key ({_short(spec.csr.spki_der)}) than the one in use "
                    f"({key.spki_sha256[:16]}…); make it again over that one: a change of key is not yet supported"
                )
            return spec.csr.csr_der
        if key.origin == "elsewhere" and not self._path(key.spki_sha256).exists():
            raise Refused(
                f"{spec.name}: its key ({key.spki_sha256[:16]}…) is kept elsewhere, so danelaw cannot sign for it; "
                "name a CSR over it as csr, or its file as key"
            )
        request: x509.CertificateSigningRequest = pki.csr_builder(spec.names, spec.subject).sign(
            self._load(key.spki_sha256).opened.private, SHA256()
        )
        return request.public_bytes(Encoding.DER)

    # ----------------------------------------------------------------------------------------------------------------

    def _path(self, spki_sha256: str) -> Path:
        return self._folder / f"{spki_sha256}.pem"

    def _marker(self, spec: CertificateSpec) -> Path:
        """Return the link that says which key was made for a certificate; its name may hold anything, so its digest."""
        return self._folder / f"made-{hashlib.sha256(spec.name.encode()).hexdigest()[:32]}"

    def _fact(self, spec: CertificateSpec, spki_der: bytes, origin: Literal["adopted", "made", "elsewhere"]) -> KeyFact:
        spki_sha256 = _sha256(spki_der)
        path = self._path(spki_sha256)
        with files.explained(path):
            try:
                # When it came here, as told by our own clock (`_write`): the same each time we are asked.
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
            origin=origin,
            made_at=made_at,
        )

    def _elsewhere(self, spec: CertificateSpec, csr: ReadyCsr) -> KeyFact:
        """Return the public half of a key that only the CSR tells of."""
        self._refuse_account_key(csr.path, csr.spki_der)
        return self._fact(spec, csr.spki_der, "elsewhere")

    def _source(self, spec: CertificateSpec, path: str) -> "_Key":
        """Return the key that the config names, after every check. Raises `Refused`."""
        with files.explained(path):
            found = files.read(path, MAX_KEY_BYTES)
        if found is None:
            raise Refused(f"{path}: not found; expected the file of the key that is in use")
        _refuse_public(path, found)
        password = None if spec.key_password_file is None else _password(spec.key_password_file)
        key = _open(found.data, path, password, whole=False)
        if not self._path(key.spki_sha256).exists():  # else this was done when it was adopted
            key = _open(found.data, path, password)
            self._refuse_account_key(path, key.spki_der)
        if spec.csr is not None and spec.csr.spki_der != key.spki_der:
            raise Refused(
                f"{spec.csr.path}: found a CSR over another key ({_short(spec.csr.spki_der)}) than {path} "
                f"({key.spki_sha256[:16]}…); make it again: openssl req -new -key {path}"
            )
        return key

    def _refuse_account_key(self, path: str, spki_der: bytes) -> None:
        """Refuse the key of any ACME account of ours as a certificate's key (RFC 8555 section 11.1)."""
        with files.explained(self._state_dir):
            for account in sorted(self._state_dir.glob(ACCOUNTS)):
                if _spki_of(account) == spki_der:
                    raise Refused(
                        f"{path}: found the key of our ACME account ({account}), which CAs refuse in certificates; "
                        "name another one, or none: then danelaw makes one"
                    )

    def _adopt(self, key: "_Key") -> "_Key":
        path = self._path(key.spki_sha256)
        if path.exists():
            return self._load(key.spki_sha256)
        self._write(path, key.block)
        return key

    def _make(self, spec: CertificateSpec) -> "_Key":
        """Make a key, or finish the making of one. Order: the key whole, then the marker, then its final name."""
        marker, making = self._marker(spec), self._making(spec)
        key = self._pending(spec)
        if key is None:
            private = _generate(spec.key_type)
            block = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self._write(making, block)
            key = _open(block, making, whole=False)
        final = self._path(key.spki_sha256)
        if not marker.is_symlink():
            files.put_link(marker, final.name)
        if not final.exists():
            making.rename(final)
            files.sync_folder(self._folder)
        return key

    def _making(self, spec: CertificateSpec) -> Path:
        return self._marker(spec).with_suffix(".pem")

    def _pending(self, spec: CertificateSpec) -> "_Key | None":
        """Return the key that was made for a certificate, under its final name or still on the way there."""
        marker, making = self._marker(spec), self._making(spec)
        with files.explained(marker):
            for path in (marker, making):
                found = files.read(path, MAX_KEY_BYTES)
                if found is not None:
                    return _open(found.data, path, whole=False)
            if marker.is_symlink():
                raise StateCorrupt(f"{self._folder / marker.readlink()}: the key is gone; restore it from a backup")
        return None

    def _load(self, spki_sha256: str) -> "_Key":
        path = self._path(spki_sha256)
        with files.explained(path):
            found = files.read(path, MAX_KEY_BYTES)
        if found is None:
            raise StateCorrupt(f"{path}: the key is gone; restore it from a backup")
        key = _open(found.data, path)
        if key.spki_sha256 != spki_sha256:
            raise StateCorrupt(f"{path}: holds another key than its name says; restore it from a backup")
        return key

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


@dataclass(frozen=True, slots=True)
class _Key:
    """A private key that was read, with its digest."""

    opened: pki.Opened
    spki_sha256: str

    @property
    def block(self) -> bytes:
        return self.opened.block

    @property
    def spki_der(self) -> bytes:
        return self.opened.spki_der


def _open(data: bytes, path: str | Path, password: bytes | None = None, *, whole: bool = True) -> _Key:
    """Return the one private key in a file. Raises `Refused`; not "from" another error, which could quote the key."""
    try:
        opened = pki.open_private_key(data, password, whole=whole)
    except InputError as error:
        raise Refused(f"{path}: {error}") from None
    return _Key(opened, _sha256(opened.spki_der))


def _spki_of(path: Path) -> bytes | None:
    """Return the SPKI of a key of ours; None where it cannot be read, which is said where it is used."""
    try:
        found = files.read(path, MAX_KEY_BYTES)
        return None if found is None else _open(found.data, path, whole=False).spki_der
    except Refused:
        return None


def _refuse_public(path: str, found: files.Found) -> None:
    if found.ownership.mode & 0o006:
        raise Refused(f"{path}: the whole world can read or change it (mode {found.ownership.mode:04o}); chmod o-rw it")


def _password(path: str) -> bytes:
    """Return the password in a file, without the end of its line. Raises `Refused`, which never shows it."""
    with files.explained(path):
        found = files.read(path, 2 * pki.MAX_PASSWORD_BYTES)
    if found is None:
        raise Refused(f"{path}: not found; expected the file of the key's password")
    _refuse_public(path, found)
    try:
        return pki.password_line(found.data)
    except InputError as error:
        raise Refused(f"{path}: {error}") from None


def _generate(key_type: KeyType) -> PrivateKey:
    match key_type:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "rsa2048" | "rsa3072" | "rsa4096":
            return rsa.generate_private_key(65537, int(key_type.removeprefix("rsa")))


def _sha256(spki_der: bytes) -> str:
    return hashlib.sha256(spki_der).hexdigest()


def _short(spki_der: bytes) -> str:
    return f"{_sha256(spki_der)[:16]}…"
