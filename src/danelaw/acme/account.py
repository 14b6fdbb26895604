"""Our account at a CA (RFC 8555 section 7.3): its key, made once and kept; its URL, cached; found again, or made anew.

The key is on disk before the CA hears of it, so that no crash leaves an account without its key. Everything lies in
``state_dir/accounts/<digest of the directory's URL>``: ``account.pem`` (0600) and ``account.json``, which may be lost.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from danelaw.acme.jws import AccountKey, thumbprint
from danelaw.acme.messages import usable_url
from danelaw.acme.problem import AcmeProblem, Forgotten
from danelaw.acme.protocol import Answer, Session
from danelaw.errors import Refused, StateCorrupt
from danelaw.model import CaSpec, Progress

_LARGEST_FILE = 1 << 16


def account_folder(state_dir: str, directory_url: str) -> Path:
    """Return where the account at one directory is kept."""
    return Path(state_dir) / "accounts" / hashlib.sha256(directory_url.encode()).hexdigest()[:32]


def load_or_make_key(folder: Path) -> AccountKey:
    """Return the account's key, making one (P-256) where there is none; it is stored durably before it returns.

    Raises `Refused` where others may read the file or we cannot, `StateCorrupt` where it holds no usable key.
    """
    path = folder / "account.pem"
    try:
        folder.parents[1].mkdir(mode=0o711, parents=True, exist_ok=True)  # the state's own folder
        for private in (folder.parent, folder):  # parents=True would leave the parent open to all
            private.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            _store(path, pem, replace=False)  # of two runs at once one wins, and both read the winner's
        return _read_key(path)
    except OSError as error:
        raise Refused(f"{path}: the account's key cannot be kept there: {error.strerror}") from error


def _read_key(path: Path) -> AccountKey:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise Refused(f"{path}: mode {stat.S_IMODE(mode):04o} lets others at the account's key; make it 0600")
        pem = file.read(_LARGEST_FILE)
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        # without the cause: no part of a key file belongs into an exception
        raise StateCorrupt(f"{path}: holds no unencrypted private key in PEM; restore it, or move it away") from None
    if isinstance(key, rsa.RSAPrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise StateCorrupt(f"{path}: an ACME account key is P-256 or RSA; restore it, or move it away")


@dataclass(frozen=True, slots=True)
class _Known:
    """What account.json remembers: the account's URL and the contact that the CA was last told."""

    kid: str
    contact: tuple[str, ...]


class Account:
    """Signs requests as our account, which it finds, makes, updates and makes again as needed."""

    def __init__(self, session: Session, ca: CaSpec, folder: Path, progress: Progress) -> None:
        self._session = session
        self._ca = ca
        self._path = folder / "account.json"
        self._progress = progress
        self._contact = tuple(contact if ":" in contact else f"mailto:{contact}" for contact in ca.contact)
        self._kid: str | None = None

    def post(self, url: str, payload: Mapping[str, Any] | None, accept: str | None = None) -> Answer:
        """Send a request signed by the account; where the CA lost the account, find it or make it again, once.

        Raises what `Session.post` raises, and `Refused` where the terms are not agreed to.
        """
        kid = self.kid()
        try:
            return self._session.post(url, payload, kid, accept)
        except AcmeProblem as problem:
            if problem.kind != "accountDoesNotExist":
                raise
        self._progress(f"{self._ca.name}: the CA does not know our account {kid} any more")
        self._kid = self._sign_in(None)
        return self._session.post(url, payload, self._kid, accept)

    def fetch(self, url: str, accept: str | None = None) -> Answer:
        """Fetch an order, an authorization or a certificate by POST-as-GET (RFC 8555 section 6.3).

        Raises what `post` raises, and `Forgotten` where the CA says that it does not have it, or not for us.
        """
        try:
            return self.post(url, None, accept)
        except AcmeProblem as error:
            status = error.problem.status
            if status in {404, 410} or (status == 403 and error.kind == "unauthorized"):
                raise Forgotten(str(error), error.problem) from error
            raise

    def kid(self) -> str:
        """Return the account's URL, asking the CA only where that is not known or the contact changed."""
        if self._kid is None:
            self._kid = self._sign_in(self._load())
        return self._kid

    def _sign_in(self, known: _Known | None) -> str:
        if known is None:
            known = self._find() or self._make()
        if known.contact != self._contact:
            # RFC 8555 section 7.3.2
            try:
                self._session.post(known.kid, {"contact": list(self._contact)}, known.kid)
            except AcmeProblem as problem:
                if problem.kind != "accountDoesNotExist":
                    raise
                known = self._find() or self._make()
            known = _Known(known.kid, self._contact)
        self._save(known)
        return known.kid

    def _find(self) -> _Known | None:
        """Look for an account of our key (RFC 8555 section 7.3.1)."""
        try:
            answer = self._session.post(self._session.directory().new_account, {"onlyReturnExisting": True}, None)
        except AcmeProblem as problem:
            if problem.kind == "accountDoesNotExist":
                return None
            raise
        document = answer.document()
        if document.get("status") in ("deactivated", "revoked"):
            raise Refused(
                f"{self._ca.name}: our account {answer.location()} is {document['status']}; "
                f"move {self._path.parent} away to have a new one"
            )
        contact = document.get("contact")
        return _Known(answer.location(), tuple(map(str, contact)) if isinstance(contact, list) else ())

    def _make(self) -> _Known:
        """Make an account (RFC 8555 section 7.3)."""
        directory = self._session.directory()
        key = f"acme.{self._ca.name}"
        if directory.external_account_required:
            raise Refused(f"{key}: this CA wants an external account binding, which danelaw does not do yet")
        if directory.terms is not None and not self._ca.agree_tos:
            raise Refused(f"{key}.agree_tos is not true; read the CA's terms at {directory.terms}, then set it")
        payload: dict[str, Any] = {}
        if self._contact:
            payload["contact"] = list(self._contact)
        if self._ca.agree_tos:
            payload["termsOfServiceAgreed"] = True
        self._progress(f"{self._ca.name}: making an account")
        return _Known(self._session.post(directory.new_account, payload, None).location(), self._contact)

    def _load(self) -> _Known | None:
        """Return what is remembered; whatever is wrong with it, the CA can be asked instead."""
        with suppress(OSError, ValueError, RecursionError):
            with self._path.open("rb") as file:
                document = json.loads(file.read(_LARGEST_FILE))
            if not isinstance(document, dict):
                return None
            kid, contact = document.get("kid"), document.get("contact")
            # neither another key's account nor another CA's
            same = document.get("thumbprint") == thumbprint(self._session.key.public_key())
            same = same and document.get("directory") == self._session.directory_url
            if same and isinstance(kid, str) and usable_url(kid):
                return _Known(kid, tuple(map(str, contact)) if isinstance(contact, list) else ())
        return None

    def _save(self, known: _Known) -> None:
        document = {
            "directory": self._session.directory_url,
            "thumbprint": thumbprint(self._session.key.public_key()),
            "kid": known.kid,
            "contact": known.contact,
        }
        try:
            _store(self._path, json.dumps(document, indent=1).encode(), replace=True)
        except OSError as error:
            raise Refused(f"{self._path}: cannot be written: {error.strerror}") from error


def _store(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a file of mode 0600 whole and durably; without ``replace`` a file that is there stays as it is."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        temporary.unlink()  # of a killed run with our pid
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            with suppress(FileExistsError):
                os.link(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
