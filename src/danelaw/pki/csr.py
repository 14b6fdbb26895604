"""What a CSR says: one that danelaw makes, and one that was made elsewhere. Signing is the host's: keys never leave it.

A ready CSR is sent to the CA byte for byte, so whatever is wrong with it must be known before an order is opened: CAs
say no in words of their own, hours before an expiry, and each refusal counts against a rate limit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, ExtensionOID, NameOID, ObjectIdentifier, SignatureAlgorithmOID

from danelaw.errors import InputError
from danelaw.model import KeyAlgorithm
from danelaw.names import BadName, a_label
from danelaw.pki.keys import check_public_key, load_public_key, only_csr, spki_of_csr
from danelaw.pki.private import what_is_found

SUBJECT_FIELDS: Mapping[str, ObjectIdentifier] = {
    "country": NameOID.COUNTRY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "common_name": NameOID.COMMON_NAME,
    "email": NameOID.EMAIL_ADDRESS,
}
"""The fields of ``subject`` in the config, in the order in which they stand in the CSR."""

MAX_CSR_BYTES = 1 << 16
"""A hundred names and an RSA key of 4096 bits take less than 10 KiB."""

AGAIN = "make the CSR again"

_DIGESTS = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_WITHOUT_EFFECT = {
    ExtensionOID.KEY_USAGE: "the key usage",
    ExtensionOID.BASIC_CONSTRAINTS: "the basic constraints",
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: "the key identifier",
}

_OTHER_NAMES: Mapping[type, str] = {
    x509.RFC822Name: "an e-mail address",
    x509.IPAddress: "an IP address",
    x509.UniformResourceIdentifier: "a URI",
}


@dataclass(frozen=True, slots=True)
class CsrContents:
    """A CSR that a CA can sign. ``names`` are its common name and its alternative names, each once, as A-labels.

    ``common_name`` is the one that is not among the alternative names, which not every CA takes; None where there is
    none such. ``warnings`` are phrases: what is in it and of no use.
    """

    csr_der: bytes = field(repr=False)
    spki_der: bytes = field(repr=False)
    algorithm: KeyAlgorithm
    names: tuple[str, ...]
    common_name: str | None
    warnings: tuple[str, ...] = ()


def csr_builder(names: Sequence[str], subject: Mapping[str, str]) -> x509.CertificateSigningRequestBuilder:
    """Return a CSR's contents, to be signed: every DNS name as SAN, the subject's non-empty fields, no EKU.

    ``names`` are A-labels; ``subject`` has keys of `SUBJECT_FIELDS`. The fields' types are those of RFC 5280 appendix
    A.1: the country a PrintableString, the e-mail address an IA5String, the others UTF8String. CAs drop client
    authentication, and an EKU in the CSR makes some refuse it, so there is none. Raises `InputError` for a field that
    X.509 does not take.
    """
    if not names:
        raise InputError("found no names for the CSR; expected at least one DNS name")
    unknown = sorted(set(subject) - set(SUBJECT_FIELDS))
    if unknown:
        raise InputError(f"found subject field {unknown[0]!r}; expected one of {', '.join(SUBJECT_FIELDS)}")
    attributes = [
        _attribute(name, oid, subject[name].strip())
        for name, oid in SUBJECT_FIELDS.items()
        if subject.get(name, "").strip()
    ]
    try:
        san = x509.SubjectAlternativeName([x509.DNSName(name) for name in dict.fromkeys(names)])
    except ValueError:
        raise InputError(f"found a name that is not ASCII among {', '.join(names)}; expected A-labels") from None
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(attributes))
    return builder.add_extension(san, critical=not attributes)  # RFC 5280 section 4.2.1.6: critical without a subject


def read_csr(data: bytes) -> CsrContents:
    """Return what a ready CSR says, in PEM or DER. Raises `InputError` for one that no CA can or should sign.

    Its signature is verified (RFC 2986 section 3: it proves that whoever made it has the key).
    """
    if len(data) > MAX_CSR_BYTES:
        raise InputError(f"found {len(data)} bytes; expected one CSR of at most {MAX_CSR_BYTES} bytes")
    found = what_is_found(data)
    if found not in {"a CSR", "a CSR in DER"}:
        raise InputError(f"found {found}; expected a CSR, as openssl req -new writes it")
    csr_der = only_csr(data)
    spki_der = spki_of_csr(csr_der)
    algorithm = check_public_key(spki_der)
    written = load_public_key(spki_der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if written != spki_der:  # a compressed point: the CA would write it in full, and every digest be another one
        raise InputError(f"found a CSR whose public key is written in an unusual form; {AGAIN} with openssl req -new")
    csr = _parsed(csr_der)
    _check_signature(csr)
    extensions = list(csr.extensions)
    warnings = [*_extension_warnings(extensions), *_attribute_warnings(csr)]
    alternative = tuple(dict.fromkeys(_alternative_names(extensions)))
    common = _common_name(csr.subject)
    names = tuple(dict.fromkeys([*([common] if common else []), *alternative]))
    if not names:
        raise InputError(f"found a CSR without names; {AGAIN} with subjectAltName")
    alone = common if common and common not in alternative else None
    return CsrContents(csr_der, spki_der, algorithm, names, alone, tuple(warnings))


def csr_names(csr_der: bytes) -> tuple[str, ...]:
    """Return the DNS names of a CSR's SAN in its order; () where it has none or cannot be read."""
    try:
        san = _parsed(csr_der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InputError, x509.ExtensionNotFound):
        return ()
    return tuple(san.get_values_for_type(x509.DNSName))


def requested_names(csr_der: bytes) -> tuple[str, ...]:
    """Return every name that a certificate over a CSR of ours or a ready one should have, lower case."""
    common = lone_common_name(csr_der)
    return (*([common] if common else []), *(name.lower() for name in csr_names(csr_der)))


def csr_subject(csr_der: bytes) -> dict[str, str]:
    """Return the fields of a CSR's subject that danelaw writes, by the names of `SUBJECT_FIELDS`; {} of no CSR."""
    try:
        subject = _parsed(csr_der).subject
    except InputError:
        return {}
    found = {name: subject.get_attributes_for_oid(oid) for name, oid in SUBJECT_FIELDS.items()}
    return {name: str(attributes[-1].value) for name, attributes in found.items() if attributes}


def lone_common_name(csr_der: bytes) -> str | None:
    """Return a CSR's common name where it is not among its alternative names; None where it is, or cannot be read."""
    try:
        common = _common_name(_parsed(csr_der).subject)
    except InputError:
        return None
    return common if common and common not in {name.lower() for name in csr_names(csr_der)} else None


# --------------------------------------------------------------------------------------------------------------------


def _attribute(name: str, oid: ObjectIdentifier, text: str) -> x509.NameAttribute[str]:
    try:
        return x509.NameAttribute(oid, text)
    except ValueError as error:
        raise InputError(f"found {text!r} as subject field {name}: {error}") from None


def _parsed(csr_der: bytes) -> x509.CertificateSigningRequest:
    try:
        csr = x509.load_der_x509_csr(csr_der)
        list(csr.extensions), list(csr.attributes), list(csr.subject)  # these are read late, and may fail too
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise InputError(f"found a CSR that breaks the rules for CSRs (RFC 2986); {AGAIN}") from None
    return csr


def _check_signature(csr: x509.CertificateSigningRequest) -> None:
    try:
        digest = csr.signature_hash_algorithm
        valid = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        digest, valid = None, False
    if csr.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
        raise InputError(f"found a CSR signed with RSASSA-PSS, which CAs refuse; {AGAIN} without that padding")
    if digest is not None and not isinstance(digest, _DIGESTS):
        raise InputError(f"found a CSR signed with {digest.name}, which CAs refuse; {AGAIN} with openssl req -sha256")
    if not valid:
        raise InputError(f"found a CSR whose signature is not that of its key; {AGAIN}, or copy it again")


def _common_name(subject: x509.Name) -> str | None:
    found = [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    texts = [text for text in found if isinstance(text, str) and text]
    if len(found) > 1:
        raise InputError(f"found a CSR with {len(found)} common names; {AGAIN} with one of them, the others in its SAN")
    if not texts:
        return None
    return _dns_name(texts[0], "the common name")


def _dns_name(text: str, what: str) -> str:
    """Return a name of a CSR as CAs take it: they make no A-labels and forgive no final dot."""
    try:
        name = a_label(text, wildcard=True)
    except BadName:
        name = ""
    if name != text.lower():
        shown = ascii(text if len(text) <= 80 else text[:77] + "...")
        raise InputError(f"found a CSR with {what} {shown}, which CAs take for a DNS name and it is none; {AGAIN}")
    return name


def _alternative_names(extensions: Sequence[x509.Extension[x509.ExtensionType]]) -> Iterator[str]:
    for extension in extensions:
        if not isinstance(extension.value, x509.SubjectAlternativeName):
            continue
        for name in extension.value:
            if not isinstance(name, x509.DNSName):
                kind = _OTHER_NAMES.get(type(name), f"a {type(name).__name__}")
                raise InputError(f"found a CSR with {kind} among its alternative names; {AGAIN} with DNS names alone")
            yield _dns_name(name.value, "the alternative name")


def _extension_warnings(extensions: Sequence[x509.Extension[x509.ExtensionType]]) -> Iterator[str]:
    """Refuse the extensions that a CA refuses, and name those that it puts aside."""
    for extension in extensions:
        value, oid = extension.value, extension.oid
        if isinstance(value, x509.ExtendedKeyUsage):
            raise InputError(f"found a CSR with an extended key usage, which is the CA's to say; {AGAIN} without it")
        if isinstance(value, x509.TLSFeature):
            raise InputError(f"found a CSR with must-staple, which CAs have given up; {AGAIN} without it")
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise InputError(f"found a CSR for a CA's own certificate (basicConstraints CA:TRUE); {AGAIN} without it")
        if not isinstance(value, x509.SubjectAlternativeName):
            what = _WITHOUT_EFFECT.get(oid, f"the extension {oid.dotted_string}")
            yield f"{what}, which the CA puts aside"


def _attribute_warnings(csr: x509.CertificateSigningRequest) -> Iterator[str]:
    for attribute in csr.attributes:
        if attribute.oid == AttributeOID.CHALLENGE_PASSWORD:
            yield "a challenge password (not shown), which the CA gets to see and has no use for"
