"""``key``, ``key_password_file`` and ``csr``: where a certificate's key and CSR come from, and what contradicts.

A ready CSR is read here, whole: it is part of what is desired. That it is over the key is for who opens the key to say.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from danelaw.config import files, kinds
from danelaw.config.table import Table, Unfit
from danelaw.errors import InputError
from danelaw.model import CertificateSpec, KeyAlgorithm, ReadyCsr

if TYPE_CHECKING:
    from danelaw.pki import CsrContents, Opened

MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class KeySource:
    """What a certificate's key and CSR come from, as the config says."""

    key: str | None = None
    key_password_file: str | None = None
    csr: ReadyCsr | None = None


def read_key_source(table: Table, names: tuple[str, ...], folder: str) -> KeySource:
    """Return where key and CSR come from; what does not fit or contradicts is reported."""
    key = table.get("key", kinds.secret_file(folder))
    password = table.get("key_password_file", kinds.secret_file(folder))
    if table.has("key_password_file") and not table.has("key"):
        table.problem("key_password_file", "a password, and no key that it opens", "key beside it, or neither")
    found = table.get("csr", csr_file(folder))
    if table.has("csr") and table.has("subject"):
        table.problem("subject", "subject beside csr", "one of them: a ready CSR has a subject of its own")
    if table.has("csr") and table.has("key_type") and not table.has("key"):
        table.problem("key_type", "key_type beside csr", "one of them: no key is made for a ready CSR")
    if found is None:
        return KeySource(key, password)
    path, contents = found
    if names and "names" not in table.faulty:
        _compare_names(table, names, path, contents)
    if contents.common_name:
        what = f'{path}, whose common name "{contents.common_name}" is not among its alternative names'
        table.warning("csr", what, "it among them too: Let's Encrypt takes it as it is, other CAs refuse it")
    for each in contents.warnings:
        table.warning("csr", f"{path} with {each}", "a CSR with its names, its key and its subject alone")
    return KeySource(key, password, ReadyCsr(path, contents.csr_der, contents.spki_der))


def csr_file(folder: str) -> "Callable[[object], tuple[str, CsrContents]]":
    """Return the kind of a CSR: a file that holds one that a CA can sign, PEM or DER."""

    def kind(value: object) -> "tuple[str, CsrContents]":
        from danelaw import pki  # noqa: PLC0415 - 80 ms, and only a CSR needs them

        path = kinds.file(folder)(value)
        try:
            return path, pki.read_csr(files.read(path))
        except OSError as error:
            raise Unfit(f"{path}: {error.strerror or error}", "a CSR, as openssl req -new writes it") from None
        except InputError as error:
            found, _, way = str(error).removeprefix("found ").partition("; ")
            expected = way.removeprefix("expected ") if way.startswith("expected ") else f"another CSR: {way}"
            raise Unfit(f"{path}, {found}", expected) from None

    return kind


def _compare_names(table: Table, names: tuple[str, ...], path: str, contents: "CsrContents") -> None:
    """Report each difference: what is ordered is ``names``, and what is signed is the CSR."""
    lacking = [name for name in names if name not in contents.names]
    beyond = [name for name in contents.names if name not in names]
    if lacking:
        found = f"{path}, a CSR without {', '.join(lacking)}, which {'are' if lacking[1:] else 'is'} among names"
        table.problem("csr", found, "the same names in both: make the CSR again, or change names")
    if beyond:
        found = f"{path}, a CSR with {', '.join(beyond)}, which {'are' if beyond[1:] else 'is'} not among names"
        table.problem("csr", found, "the same names in both: add them to names, or make the CSR again")


def key_algorithm(spec: CertificateSpec) -> KeyAlgorithm:
    """Return the algorithm of the key that a certificate starts from; where that cannot be read, of ``key_type``.

    What is wrong with the key is said by who takes it, not here.
    """
    made: KeyAlgorithm = "rsa" if spec.key_type and spec.key_type.startswith("rsa") else "ecdsa"
    if spec.key is None and spec.csr is None:
        return made
    from danelaw import pki  # noqa: PLC0415 - 80 ms, and only services ask

    with suppress(OSError, InputError):
        if spec.csr is not None:
            return pki.check_public_key(spec.csr.spki_der)
        return open_key(spec.key or "", spec.key_password_file).algorithm
    return made


def open_key(path: str, key_password_file: str | None) -> "Opened":
    """Return the private key in a file. Raises `OSError`, `InputError`."""
    from danelaw import pki  # noqa: PLC0415 - 80 ms, and only a few options ask

    password = None if key_password_file is None else pki.password_line(_head(key_password_file))
    return pki.open_private_key(_head(path), password, whole=False)


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MOST_BYTES)
