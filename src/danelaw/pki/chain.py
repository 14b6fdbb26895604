"""Certificates and chains: what danelaw asks about them, taken from their bytes.

Chains that we are given (files, an ACME CA) are refused with one clear error where a certificate cannot be used. Chains
that a peer *presents* are taken as they are: whatever of the leaf cannot be understood is left empty, since DANE-EE
judges its bytes alone (RFC 7671 section 5.1).
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from danelaw.errors import InputError
from danelaw.model import Chain
from danelaw.pki import der, pem
from danelaw.pki.keys import quiet

MAX_CERTIFICATES = 100
CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What `cryptography` raises over the names and extensions of a certificate that its parser took."""

NEVER = datetime.min.replace(tzinfo=UTC)
"""Stands for a date that a presented certificate does not tell: it is never valid."""


def parse_chain(text: str | bytes) -> Chain:
    """Return the chain of a PEM text, leaf first as it stands there; other PEM blocks and text are ignored.

    Raises `InputError` where there is no certificate, or one that cannot be read.
    """
    data = text.encode(errors="replace") if isinstance(text, str) else text
    certificates = [block.der for block in pem.blocks(data) if block.label in CERTIFICATE_LABELS]
    if not certificates:
        raise InputError("found no -----BEGIN CERTIFICATE----- in it; expected a chain as PEM, the leaf first")
    return strict_chain(certificates)


def presented_chain(data: bytes) -> Chain:
    """Return the chain in PEM or DER as a peer would present it, leaf first as it stands there: see `chain_from_der`.

    Raises `InputError` where there is no certificate, or the leaf is none.
    """
    return chain_from_der(certificates(data))


def certificates(data: bytes) -> list[bytes]:
    """Return what PEM has as certificates (other blocks and text ignored), or DER, one behind the other; DER each.

    Raises `InputError` where there is none.
    """
    if b"-----BEGIN " in pem.check_size(data):
        found = [block.der for block in pem.blocks(data) if block.label in CERTIFICATE_LABELS]
        if not found:
            raise InputError("found no -----BEGIN CERTIFICATE----- in it; expected certificates as PEM")
        return found
    found, at = [], 0
    try:
        while at < len(data):
            found.append(der.element(data, at).der)
            at += len(found[-1])
        der.certificate_fields(found[0])
    except ValueError as error:
        raise InputError(f"found neither PEM nor DER of certificates ({error})") from None
    return found


def strict_chain(certificates_der: Sequence[bytes]) -> Chain:
    """Return the chain of certificates that we were given, leaf first. Raises `InputError` where one is faulty."""
    chain = chain_from_der(certificates_der)
    for number, certificate_der in enumerate(certificates_der, 1):
        if load(certificate_der) is None:
            raise InputError(f"{_which(number)} breaks the rules for certificates (RFC 5280); ask for a new one")
    if NEVER in {chain.not_before, chain.not_after}:
        raise InputError("the first certificate has no validity dates (RFC 5280 section 4.1.2.5); ask for a new one")
    return chain


def chain_from_der(certificates_der: Sequence[bytes]) -> Chain:
    """Return the chain of DER certificates as a peer presented them, leaf first.

    Only the leaf's outline must be right; names that cannot be read are (), dates that are none are year 1.
    Raises `InputError` where there is no certificate at all, or the leaf is none.
    """
    if not certificates_der:
        raise InputError("found no certificate in it")
    if len(certificates_der) > MAX_CERTIFICATES:
        raise InputError(f"found {len(certificates_der)} certificates; expected a chain of {MAX_CERTIFICATES} at most")
    leaf_der = bytes(certificates_der[0])
    fields = _fields(leaf_der)
    return Chain(
        certificates_der=tuple(bytes(certificate) for certificate in certificates_der),
        leaf_sha256=hashlib.sha256(leaf_der).hexdigest(),
        spki_der=fields.spki_der,
        spki_sha256=hashlib.sha256(fields.spki_der).hexdigest(),
        algorithm=_algorithm(fields.spki_der),
        not_before=fields.not_before or NEVER,
        not_after=fields.not_after or NEVER,
        names=_dns_names(leaf_der),
    )


def chain_pem(chain: Chain) -> str:
    """Return the whole chain as PEM, leaf first."""
    return "".join(cert_pem(certificate) for certificate in chain.certificates_der)


def cert_pem(certificate_der: bytes) -> str:
    """Return one certificate as PEM."""
    return pem.encode("CERTIFICATE", certificate_der)


@lru_cache(maxsize=1024)
def spki_of_certificate(certificate_der: bytes) -> bytes:
    """Return a certificate's SubjectPublicKeyInfo, DER, byte for byte as it was signed. Raises `InputError`."""
    return _fields(certificate_der).spki_der


@lru_cache(maxsize=256)
@quiet()  # a serial number of 0 and its like: nothing that anybody here could act on
def load(certificate_der: bytes) -> x509.Certificate | None:
    """Return the parsed certificate, or None where the strict parser refuses it."""
    try:
        return x509.load_der_x509_certificate(certificate_der)
    except (ValueError, x509.InvalidVersion):
        return None


@quiet()
def subject_text(certificate_der: bytes) -> str:
    """Return whose a certificate is, for people, short and printable: its subject, or its DNS names without one."""
    certificate = load(certificate_der)
    try:
        text = certificate.subject.rfc4514_string() if certificate is not None else ""
    except UNREADABLE:
        text = ""
    text = text or ", ".join(f"DNS:{name}" for name in _dns_names(certificate_der))
    shown = text if len(text) <= 120 else f"{text[:117]}…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown) or "a certificate without a subject"


def _which(number: int) -> str:
    return "the first certificate" if number == 1 else f"certificate {number} of the chain"


def _fields(certificate_der: bytes) -> der.CertificateFields:
    try:
        return der.certificate_fields(certificate_der)
    except ValueError as error:
        raise InputError(f"found something that is not a certificate: {error}") from None


def _algorithm(spki_der: bytes) -> Literal["rsa", "ecdsa", "other"]:
    """Name the key's algorithm. An RSASSA-PSS key (RFC 4055) is an RSA key to TLS (rsa_pss_pss_*)."""
    oid = der.key_algorithm(spki_der)
    if oid in {der.RSA, der.RSASSA_PSS}:
        return "rsa"
    return "ecdsa" if oid == der.EC else "other"


@quiet()
def _dns_names(leaf_der: bytes) -> tuple[str, ...]:
    """Return the DNS names, lower case; the common name only where there is no DNS-ID (RFC 7672 section 3.2.3)."""
    certificate = load(leaf_der)
    if certificate is None:
        return ()
    names: Sequence[str] = ()
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass
    except UNREADABLE:
        return ()  # there may be DNS-IDs that cannot be read: the common name must not stand in for them
    if not names:
        names = _common_names(certificate)
    return tuple(dict.fromkeys(name.lower().rstrip(".") for name in names))


def _common_names(certificate: x509.Certificate) -> Sequence[str]:
    try:
        found = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except UNREADABLE:
        return ()
    texts = [attribute.value for attribute in found if isinstance(attribute.value, str)]
    # The last one is the most specific. Spaces show a title, not a DNS name.
    return [text for text in texts[-1:] if text and " " not in text]
