"""What a CSR says. Signing it is the host's business: keys never leave it."""

from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from danelaw.errors import InputError

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


def csr_builder(names: Sequence[str], subject: Mapping[str, str]) -> x509.CertificateSigningRequestBuilder:
    """Return a CSR's contents, to be signed: every DNS name as SAN, the subject's non-empty fields, no EKU.

    ``names`` are A-labels; ``subject`` has keys of `SUBJECT_FIELDS`. CAs drop client authentication, and an EKU in the
    CSR makes some refuse it, so there is none. Raises `InputError` for a field that X.509 does not take.
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


def csr_names(csr_der: bytes) -> tuple[str, ...]:
    """Return the DNS names of a CSR's SAN in its order; () where it has none or cannot be read."""
    try:
        csr = x509.load_der_x509_csr(csr_der)
        san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(san.get_values_for_type(x509.DNSName))


def _attribute(name: str, oid: ObjectIdentifier, text: str) -> x509.NameAttribute[str]:
    try:
        return x509.NameAttribute(oid, text)
    except ValueError as error:
        raise InputError(f"found {text!r} as subject field {name}: {error}") from None
