"""Private keys: adopted or made, kept in ``state_dir/keys/<SPKI SHA-256>.pem``, and never given out.

The copy of a key that had a password is kept without it, like every other: services read their own copies without one,
and a renewal at night finds nobody to ask; a password in a file beside it would keep nobody out. Of a certificate that
has a CSR and no key there is the public half only.

A key is on disk, synced, before anybody hears of it, and a key file is never written over. A key that was made is known
by a marker for its certificate before it gets its final name: a run that was killed in between finds the same key again
and does not make another. A certificate has two markers: the link ``made-…`` names its first key, ``next-…`` its newest
next key. The latter is spent once the store knows the key that it names; then it goes over to the key after that.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
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
from danelaw.deploy import files, retired
from danelaw.deploy.signer import KeySigner
from danelaw.errors import InputError, Refused, StateCorrupt
from danelaw.model import CertificateSpec, Clock, KeyFact, KeyType, ReadyCsr, SpareKey

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
            self._make_folder()
            with self._locked():
                if adopted is None:
                    key = self._make(self._marker(spec, "made"), spec.key_type or "p256", self._pending(spec))
                else:
                    key = self._adopt(adopted)
            return self._fact(spec, key.spki_der, "made" if adopted is None else "adopted")

    def take_next(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        """Make a next key, or return the public half that the config names; on disk before this returns.

        ``known``: the certificate's keys that the store knows. A key that it does not know is one that a killed run
        made, and is returned again, if it is of ``spec.key_type``. Raises `Refused`, and `RetryLater` where the disk is
        full.
        """
        if spec.spare is not None:
            return self._spare(spec, spec.spare, known)
        with files.explained(self._folder):
            self._make_folder()
            with self._locked():
                key = self._make_next(spec, frozenset(row.spki_sha256 for row in known))
            return self._fact(spec, key.spki_der, "made", current=False)

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

    def sign(self, key: KeyFact) -> KeySigner:
        """Return what signs with the key, one that was archived too.

        Raises `Refused` where it is kept elsewhere, `StateCorrupt` where it is gone or is another key.
        """
        if key.origin == "elsewhere" and not self._kept(key.spki_sha256).exists():
            raise Refused(
                f"{key.certificate}: its key ({key.spki_sha256[:16]}…) is kept elsewhere, so danelaw cannot sign by it"
            )
        return KeySigner(self._load(key.spki_sha256).opened.private)

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
        if key.origin == "elsewhere" and not self._kept(key.spki_sha256).exists():
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

    def _kept(self, spki_sha256: str) -> Path:
        """Return where a key is, or would be: one that was archived can still be read."""
        path, archived = self._path(spki_sha256), retired.archived(self._folder, spki_sha256)
        return archived if archived.exists() and not path.exists() else path

    def _marker(self, spec: CertificateSpec, which: Literal["made", "next"]) -> Path:
        """Return the link that says which key was made for a certificate; its name may hold anything, so its digest."""
        return self._folder / f"{which}-{hashlib.sha256(spec.name.encode()).hexdigest()[:32]}"

    def _make_folder(self) -> None:
        files.make_folder(self._state_dir, 0o711)
        files.make_folder(self._folder, 0o700)

    def _fact(
        self,
        spec: CertificateSpec,
        spki_der: bytes,
        origin: Literal["adopted", "made", "elsewhere"],
        *,
        current: bool = True,
    ) -> KeyFact:
        """Return what is to be known of a key; ``current``: it is the first one, which is current from the start."""
        spki_sha256 = _sha256(spki_der)
        path = self._kept(spki_sha256)
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
            current_since=made_at if current else None,
        )

    def _elsewhere(self, spec: CertificateSpec, csr: ReadyCsr) -> KeyFact:
        """Return the public half of a key that only the CSR tells of."""
        self._refuse_account_key(csr.path, csr.spki_der)
        return self._fact(spec, csr.spki_der, "elsewhere")

    def _spare(self, spec: CertificateSpec, spare: SpareKey, known: Sequence[KeyFact]) -> KeyFact:
        """Return the public half of a next key that is kept elsewhere; what is known of it already stays."""
        try:
            pki.check_public_key(spare.spki_der)
        except InputError as error:
            raise Refused(f"{spare.path}: {error}") from None
        self._refuse_account_key(spare.path, spare.spki_der)
        for row in known:
            if row.spki_der != spare.spki_der:
                continue
            if row.compromised_at or row.destroyed_at:
                raise Refused(f"{spare.path}: found a key that is compromised or destroyed; name another one")
            if row.current_since or row.archived_at:
                raise Refused(
                    f"{spare.path}: found the key that {spec.name} has or had ({row.spki_sha256[:16]}…); "
                    "name the public half of another one, made where it is to be kept"
                )
            return row
        return self._fact(spec, spare.spki_der, "elsewhere", current=False)

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

    def _make_next(self, spec: CertificateSpec, known: frozenset[str]) -> "_Key":
        """Make a next key, or find the one that a killed run made and nobody heard of.

        One of another type than is asked for now is passed over: no record was ever published for it.
        """
        marker = self._marker(spec, "next")
        key_type = spec.key_type or "p256"
        spent = marker.is_symlink() and marker.readlink().stem in known
        for path in (_making(marker),) if spent else (marker, _making(marker)):
            found = files.read(path, MAX_KEY_BYTES)
            key = None if found is None else _open(found.data, path, whole=False)
            if key is not None and pki.key_type(key.spki_der) == key_type:
                return self._make(marker, key_type, key)
        return self._make(marker, key_type, None)

    def _make(self, marker: Path, key_type: KeyType, key: "_Key | None") -> "_Key":
        """Make a key, or finish the making of ``key``. Order: the key whole, then the marker, then its final name."""
        making = _making(marker)
        if key is None:
            private = _generate(key_type)
            block = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self._write(making, block)
            key = _open(block, making, whole=False)
        final = self._path(key.spki_sha256)
        if not marker.is_symlink() or str(marker.readlink()) != final.name:
            files.put_link(marker, final.name)
        if not final.exists():
            making.rename(final)
            files.sync_folder(self._folder)
        return key

    def _pending(self, spec: CertificateSpec) -> "_Key | None":
        """Return the first key that was made for a certificate, under its final name or still on the way there."""
        marker = self._marker(spec, "made")
        with files.explained(marker):
            for path in (marker, _making(marker)):
                found = files.read(path, MAX_KEY_BYTES)
                if found is not None:
                    return _open(found.data, path, whole=False)
            if marker.is_symlink():
                raise StateCorrupt(f"{self._folder / marker.readlink()}: the key is gone; restore it from a backup")
        return None

    def _load(self, spki_sha256: str) -> "_Key":
        path = self._kept(spki_sha256)
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

    def put_away(self, key: KeyFact, how: Literal["archive", "shred"]) -> KeyFact:
        """Archive or shred a key, as `retired` says; idempotent. Of one that is kept elsewhere nothing is here."""
        if key.origin == "elsewhere" and not self._kept(key.spki_sha256).exists():
            return replace(key, archived_at=key.archived_at or self._clock.now())
        with files.explained(self._folder):
            self._make_folder()
            with self._locked():
                if how == "shred":
                    retired.shred(self._folder, self._state_dir / "live", key)
                where = retired.archive(self._folder, key.spki_sha256) if how == "archive" else None
        if where is None:
            return replace(key, destroyed_at=key.destroyed_at or self._clock.now())
        return replace(key, path=str(where), archived_at=key.archived_at or self._clock.now())

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


def _making(marker: Path) -> Path:
    """Return the name of a key that is being made."""
    return marker.with_suffix(".pem")


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


def _generate(key_type: KeyType) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
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
