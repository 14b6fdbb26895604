"""Whatever a person points ``danelaw tlsa`` at: recognised, and reduced to the public half."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from danelaw.errors import InputError
from danelaw.model import Chain
from danelaw.pki import der, pem
from danelaw.pki.chain import CERTIFICATE_LABELS, strict_chain
from danelaw.pki.keys import load_public_key, spki_of_csr

SourceKind = Literal["certificate", "chain", "CSR", "public key", "private key"]
_PRIVATE = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")


@dataclass(frozen=True, slots=True)
class Source:
    """What was recognised. ``chain`` is None where there is no certificate, only a key."""

    kind: SourceKind
    spki_der: bytes = field(repr=False)
    chain: Chain | None = None


def load_source(data: bytes) -> Source:
    """Recognise a certificate, chain, CSR, public or private key, in PEM or DER; of a private key take the SPKI only.

    In a file with certificates and other blocks the certificates count. Raises `InputError`, also for an encrypted key.
    """
    if b"-----BEGIN " in pem.check_size(data):
        return _from_pem(pem.blocks(data))
    return _from_der(data)


def _from_pem(blocks: list[pem.Block]) -> Source:
    certificates = [block.der for block in blocks if block.label in CERTIFICATE_LABELS]
    if certificates:
        return _certificates(certificates)
    for block in blocks:
        if block.label in {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}:
            return Source("CSR", spki_of_csr(block.der))
        if block.label == "PUBLIC KEY":
            load_public_key(block.der)
            return Source("public key", block.der)
        if block.label in _PRIVATE:
            return _private_key(block.text, is_pem=True)
    labels = ", ".join(dict.fromkeys(block.label for block in blocks))
    raise InputError(f"found PEM of {labels}; expected a certificate, a chain, a CSR or a key")


def _from_der(data: bytes) -> Source:
    try:
        der.sequence(data)
    except ValueError as error:
        raise InputError(f"found neither PEM nor DER ({error}); expected a certificate, a CSR or a key") from None
    if _is(der.certificate_fields, data):
        return _certificates([data])
    if _is(der.csr_spki, data):
        return Source("CSR", spki_of_csr(data))
    if _is(der.key_algorithm, data):
        load_public_key(data)
        return Source("public key", data)
    return _private_key(data, is_pem=False)


def _certificates(certificates_der: list[bytes]) -> Source:
    chain = strict_chain(certificates_der)
    return Source("chain" if len(certificates_der) > 1 else "certificate", chain.spki_der, chain)


def _private_key(data: bytes, *, is_pem: bool) -> Source:
    load = load_pem_private_key if is_pem else load_der_private_key
    try:
        public = load(data, password=None).public_key()
    except TypeError:  # how cryptography says that a password is missing
        raise _encrypted() from None
    except (ValueError, UnsupportedAlgorithm):
        # "from None": nothing of a private key may reach an error's text.
        raise InputError("found something that cannot be read; expected a certificate, a CSR or a key") from None
    return Source("private key", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _encrypted() -> InputError:
    return InputError("found a private key that is encrypted; give its public half (openssl pkey -pubout) instead")


def _is(read: Callable[[bytes], object], data: bytes) -> bool:
    try:
        read(data)
    except ValueError:
        return False
    return True
