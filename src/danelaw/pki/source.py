"""Whatever a person points ``danelaw tlsa`` at: recognised, and reduced to the public half."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from danelaw.errors import InputError
from danelaw.model import Chain
from danelaw.pki import der, pem
from danelaw.pki.chain import CERTIFICATE_LABELS, spki_of_certificate, strict_chain
from danelaw.pki.keys import load_public_key, quiet, spki_of_csr
from danelaw.pki.path import is_ca, is_issued_by, issuers
from danelaw.pki.private import refuse_endless_derivation, refuse_odd_forms

SourceKind = Literal["certificate", "chain", "CSR", "public key", "private key"]
_PRIVATE = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")
_REQUEST = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")

_TRUSTED = "TRUSTED CERTIFICATE"
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_PKCS12 = "found PKCS#12; turn it into PEM: openssl pkcs12 -in OLD -nokeys -out NEW"
_PKCS7 = "found PKCS#7; turn it into PEM: openssl pkcs7 -in OLD -print_certs -out NEW"


class EncryptedKey(InputError):
    """A private key that its password must open, and no password, or another one, was given."""


@dataclass(frozen=True, slots=True)
class Source:
    """What was recognised. ``chain`` is None where there is no certificate, only a key."""

    kind: SourceKind
    spki_der: bytes = field(repr=False)
    chain: Chain | None = None


def load_source(data: bytes) -> Source:
    """Return the first of `load_sources`."""
    return load_sources(data)[0]


def load_sources(data: bytes, password: bytes | None = None) -> tuple[Source, ...]:
    """Recognise certificates, chains, CSRs, public and private keys, in PEM or DER; of private keys take the SPKI only.

    Certificates may stand in any order. Each leaf among them is a source of its own, whose chain is itself, then the
    CA certificates that it chains up to, the nearest first, then those that it does not. In a file with certificates
    and other blocks the certificates count. ``password`` opens encrypted private keys. Raises `InputError`, and
    `EncryptedKey` for a key that stays closed.
    """
    if b"-----BEGIN " in pem.check_size(data):
        return _from_pem(pem.blocks(data), password)
    return _from_der(data, password)


def _from_pem(blocks: list[pem.Block], password: bytes | None) -> tuple[Source, ...]:
    certificates = [_certificate(block) for block in blocks if block.label in (*CERTIFICATE_LABELS, _TRUSTED)]
    if certificates:
        return _certificates(certificates)
    found: dict[bytes, Source] = {}
    for block in blocks:
        source = None
        if block.label in _REQUEST:
            source = Source("CSR", spki_of_csr(block.der))
        elif block.label == "PUBLIC KEY":
            load_public_key(block.der)
            source = Source("public key", block.der)
        elif block.label in _PRIVATE:
            source = _private_key(block.text, password)
        if source is not None:
            found.setdefault(source.spki_der, source)
    if found:
        return tuple(found.values())
    labels = ", ".join(dict.fromkeys(block.label for block in blocks))
    if labels in {"PKCS7", "CMS"}:
        raise InputError(_PKCS7)
    raise InputError(f"found PEM of {labels}; expected a certificate, a chain, a CSR or a key")


def _from_der(data: bytes, password: bytes | None) -> tuple[Source, ...]:
    try:
        outer = der.sequence(data)
    except ValueError as error:
        raise InputError(f"found neither PEM nor DER ({error}); expected a certificate, a CSR or a key") from None
    if _is(der.certificate_fields, data):
        return _certificates([data])
    if _is(der.csr_spki, data):
        return (Source("CSR", spki_of_csr(data)),)
    label = _private_label(outer)
    if label != "ENCRYPTED PRIVATE KEY" and _is(der.key_algorithm, data):  # they begin alike
        load_public_key(data)
        return (Source("public key", data),)
    if container := _container(outer):
        raise InputError(container)
    return (_private_key(pem.encode(label, data).encode(), password),)


def _certificate(block: pem.Block) -> bytes:
    """Return a block's certificate alone: behind it, OpenSSL's trusted ones say what they are trusted for."""
    if block.label != _TRUSTED:
        return block.der
    try:
        return der.element(block.der).der
    except ValueError as error:
        raise InputError(f"found something that is not a certificate: {error}") from None


def _certificates(certificates_der: Sequence[bytes]) -> tuple[Source, ...]:
    strict_chain(certificates_der)  # counted as they stand there, for the words of an error
    leaves = _leaves(list(dict.fromkeys(certificates_der)))
    found = []
    for leaf_der in leaves:
        others = [other for other in dict.fromkeys(certificates_der) if other not in leaves]
        above = issuers((leaf_der, *others))
        chain = strict_chain((leaf_der, *above, *(other for other in others if other not in above)))
        found.append(Source("chain" if len(chain.certificates_der) > 1 else "certificate", chain.spki_der, chain))
    return tuple(found)


def _leaves(certificates_der: Sequence[bytes]) -> Sequence[bytes]:
    """Return the certificates that issued none of the others; CAs' own count where there is nothing else.

    A key that signed its own certificate twice (a renewal) issued neither. A file in which each certificate issued
    another (two CAs that signed each other) starts with its leaf.
    """
    ends = [one for one in certificates_der if not any(_issued(one, other) for other in certificates_der)]
    return [one for one in ends if not is_ca(one)] or ends or certificates_der[:1]


def _issued(one: bytes, other: bytes) -> bool:
    return is_issued_by(other, one) and spki_of_certificate(other) != spki_of_certificate(one)


def _private_key(block: bytes, password: bytes | None) -> Source:
    """Take the public half of a private key, given as PEM.

    "from None" everywhere: nothing of a private key may reach an error's text.
    """
    try:
        refuse_odd_forms(block)
    except InputError as error:
        raise InputError(f"{error}; or give its public half (openssl pkey -pubout)") from None
    try:
        with quiet():
            public = load_pem_private_key(block, password=None).public_key()
    except TypeError:  # how cryptography says that a password is missing
        public = _opened(block, password)
    except (ValueError, UnsupportedAlgorithm):
        raise InputError("found something that cannot be read; expected a certificate, a CSR or a key") from None
    return Source("private key", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _opened(block: bytes, password: bytes | None) -> PublicKeyTypes:
    if password is None:
        raise EncryptedKey(
            "found a private key that is encrypted; give its password, or its public half (openssl pkey -pubout)"
        )
    refuse_endless_derivation(block)
    try:
        with quiet():
            return load_pem_private_key(block, password=password).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise EncryptedKey("found a private key that is encrypted and that the password given does not open") from None


def _private_label(outer: der.Element) -> str:
    """Return the PEM label that a private key in DER would have, by the outline of what is in it."""
    try:
        tags = [each.tag for each in der.children(outer)[:2]]
    except ValueError:
        tags = []
    if tags == [der.INTEGER, der.INTEGER]:
        return "RSA PRIVATE KEY"
    if tags == [der.INTEGER, der.OCTET_STRING]:
        return "EC PRIVATE KEY"
    return "ENCRYPTED PRIVATE KEY" if tags == [der.SEQUENCE, der.OCTET_STRING] else "PRIVATE KEY"


def _container(outer: der.Element) -> str | None:
    """Return how to take apart what holds certificates and is none (PKCS#12, PKCS#7)."""
    try:
        first, second = der.children(outer)[:2]
    except ValueError:
        return None
    if first.tag == der.INTEGER and first.value == b"\x03" and second.tag == der.SEQUENCE:
        return _PKCS12
    return _PKCS7 if first.tag == der.OBJECT_IDENTIFIER and first.value == _SIGNED_DATA else None


def _is(read: Callable[[bytes], object], data: bytes) -> bool:
    try:
        read(data)
    except ValueError:
        return False
    return True
