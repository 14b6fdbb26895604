"""The way from a leaf up through the certificates presented beside it, signature by signature (RFC 5280 section 6.1).

Nothing here trusts anything: a caller compares what was reached with the TLSA records. The certificates may stand in
any order and hold strangers, as TLS 1.3 allows (RFC 8446 section 4.4.2). Weak digests and revocation are not judged.
"""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from danelaw.errors import InputError
from danelaw.pki.chain import UNREADABLE, load
from danelaw.pki.keys import load_public_key, quiet

MAX_SIGNATURES = 100
"""How many a climb verifies: an honest chain has a handful, a hostile one could ask for thousands."""

MAX_RSA_BITS = 16384
MAX_EXPONENT_BITS = 64
"""OpenSSL's own limits for large keys; here for all."""

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


class _Authority(NamedTuple):
    """What a certificate may do as an issuer. ``path_length`` None: no limit. Names are lower case."""

    is_ca: bool
    path_length: int | None
    self_issued: bool
    permitted: tuple[str, ...] | None
    excluded: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    issues_tls: bool
    serves_tls: bool


_KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    # What these say is about revocation and policies, and decides nothing here.
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.INHIBIT_ANY_POLICY,
}

_YEAR_ONE = datetime.min.replace(tzinfo=UTC)
_NO_AUTHORITY = _Authority(
    is_ca=False,
    path_length=None,
    self_issued=False,
    permitted=None,
    excluded=(),
    not_before=_YEAR_ONE,
    not_after=_YEAR_ONE,
    issues_tls=False,
    serves_tls=False,
)


def issuers(
    certificates_der: Sequence[bytes], names: Sequence[str] = (), now: datetime | None = None
) -> tuple[bytes, ...]:
    """Return the CA certificates that the first one chains up to among the others, the nearest first: see `climb`."""
    return tuple(climb(certificates_der[0], certificates_der[1:], names, now))


def climb(
    start_der: bytes,
    candidates_der: Sequence[bytes],
    names: Sequence[str] = (),
    now: datetime | None = None,
    *,
    below: int = 0,
    signatures_alone: bool = False,
) -> dict[bytes, int]:
    """Return the CA certificates among the candidates that one certificate chains up to, the nearest first.

    Each step is a signature by a CA for TLS servers whose path length (RFC 5280 section 4.2.1.9) and, for the leaf's
    DNS ``names``, name constraints (4.2.1.10) allow it; with ``signatures_alone`` by any certificate. Where ``now`` is
    given, all are valid then, the first included. That asks more of an intermediate pinned as trust anchor than OpenSSL
    does, which skips the dates of the topmost certificate unless it is self-signed: other clients look at them.

    The values say how many CA certificates that count for a path length stand at or below each, on the way that has
    fewest; ``below`` is that number for the first, so that a climb can go on where another passed.
    """
    reached: dict[bytes, int] = {}
    if not _valid(_authority(start_der), now):
        return reached
    # In order of the count, so that each is reached first on the way that has fewest: whatever ways there are, each
    # certificate is looked at from each other once.
    steps = deque([(start_der, below)])
    signatures = MAX_SIGNATURES
    while steps:
        certificate_der, count = steps.popleft()
        for candidate in candidates_der:
            if candidate == start_der or candidate in reached or not _names_agree(certificate_der, candidate):
                continue
            authority = _authority(candidate)
            allowed = signatures_alone or _may_issue(authority, count, names)
            if not (allowed and _valid(authority, now)):
                continue
            if not signatures:
                return reached
            signatures -= 1
            if is_issued_by(certificate_der, candidate):
                reached[candidate] = count + (not authority.self_issued)
                (steps.appendleft if authority.self_issued else steps.append)((candidate, reached[candidate]))
    return reached


def _names_agree(certificate_der: bytes, issuer_der: bytes) -> bool:
    names, above = _names(certificate_der), _names(issuer_der)
    return names is not None and above is not None and names[0] == above[1]


@lru_cache(maxsize=1024)
@quiet()
def _names(certificate_der: bytes) -> tuple[x509.Name, x509.Name] | None:
    """Return issuer and subject, None where they cannot be read."""
    certificate = load(certificate_der)
    try:
        return None if certificate is None else (certificate.issuer, certificate.subject)
    except UNREADABLE:
        return None


@lru_cache(maxsize=1024)
@quiet()
def is_issued_by(certificate_der: bytes, issuer_der: bytes) -> bool:
    """Return whether a certificate names the other's subject as issuer and bears its signature."""
    certificate, issuer = load(certificate_der), load(issuer_der)
    if certificate is None or issuer is None:
        return False
    try:
        if is_slow(issuer.public_key()):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


@lru_cache(maxsize=256)
@quiet()
def is_signed_by(certificate_der: bytes, spki_der: bytes) -> bool:
    """Return whether a certificate bears a bare key's signature (RFC 7671 section 5.2.3: no names to compare)."""
    certificate = load(certificate_der)
    if certificate is None:
        return False
    try:
        key = load_public_key(spki_der)
        if is_slow(key):
            return False
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        parameters, digest = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey) and isinstance(parameters, padding.PKCS1v15 | padding.PSS) and digest:
            key.verify(signature, signed, parameters, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
        else:
            return False
    except (*UNREADABLE, InvalidSignature, InputError):
        return False
    return True


def is_slow(key: object) -> bool:
    """Return whether an RSA key is made so that one signature takes seconds: no CA has a public exponent like that."""
    return isinstance(key, rsa.RSAPublicKey) and (
        key.key_size > MAX_RSA_BITS or key.public_numbers().e.bit_length() > MAX_EXPONENT_BITS
    )


def is_ca(certificate_der: bytes) -> bool:
    """Return whether a certificate says that it may issue others (RFC 5280 sections 4.2.1.3, 4.2.1.9)."""
    return _authority(certificate_der).is_ca


def serves_tls(certificate_der: bytes) -> bool:
    """Return whether a certificate can be a TLS server's own (RFC 5280 section 4.2).

    Its extended key usage, where it has one, names TLS servers (4.2.1.12), its key usage allows what TLS does with a
    key (4.2.1.3), and no critical extension is unknown.
    """
    return _authority(certificate_der).serves_tls


def validity(certificate_der: bytes) -> tuple[datetime, datetime] | None:
    """Return a certificate's dates, first and last (RFC 5280 section 4.1.2.5); None where it cannot be read."""
    authority = _authority(certificate_der)
    return None if authority is _NO_AUTHORITY else (authority.not_before, authority.not_after)


def is_valid_at(certificate_der: bytes, now: datetime | None) -> bool:
    """Return whether a certificate's dates include ``now`` (RFC 5280 section 4.1.2.5); None asks nothing."""
    return _valid(_authority(certificate_der), now)


def _valid(authority: _Authority, now: datetime | None) -> bool:
    return now is None or authority.not_before <= now <= authority.not_after


def _may_issue(authority: _Authority, below: int, names: Sequence[str]) -> bool:
    if not (authority.is_ca and authority.issues_tls):
        return False
    if authority.path_length is not None and below > authority.path_length:
        return False
    if authority.permitted is None and not authority.excluded:
        return True
    permitted = authority.permitted
    return not any(_within(name, authority.excluded) for name in names) and (
        permitted is None or all(_within(name, permitted) for name in names)
    )


def _within(name: str, bases: Sequence[str]) -> bool:
    """Return whether a DNS name is one of the bases or below it (RFC 5280 section 4.2.1.10)."""
    return any(not base or name == base or name.endswith("." + base) for base in bases)


@lru_cache(maxsize=1024)
@quiet()
def _authority(certificate_der: bytes) -> _Authority:
    certificate = load(certificate_der)
    if certificate is None:
        return _NO_AUTHORITY
    try:
        self_issued = certificate.issuer == certificate.subject
        constraints = _extension(certificate, x509.BasicConstraints)
        usage = _extension(certificate, x509.KeyUsage)
        named = _extension(certificate, x509.NameConstraints)
        purposes = _extension(certificate, x509.ExtendedKeyUsage)
        # RFC 5280 section 4.2: one with a critical extension that nobody here knows is refused.
        suits = (purposes is None or ExtendedKeyUsageOID.SERVER_AUTH in purposes) and all(
            each.oid in _KNOWN for each in certificate.extensions if each.critical
        )
        # Roots older than X.509 version 3 have no extensions; OpenSSL lets them issue where they are self-signed.
        old_root = certificate.version is x509.Version.v1 and self_issued
        permitted = named.permitted_subtrees if named else None
        excluded = named.excluded_subtrees if named else None
        return _Authority(
            is_ca=bool((constraints and constraints.ca) or old_root) and (usage is None or usage.key_cert_sign),
            path_length=constraints.path_length if constraints else None,
            self_issued=self_issued,
            permitted=_dns_bases(permitted) or None,  # a list without DNS names says nothing about them
            excluded=_dns_bases(excluded),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            issues_tls=suits,
            serves_tls=suits
            and (usage is None or usage.digital_signature or usage.key_encipherment or usage.key_agreement),
        )
    except UNREADABLE:
        return _NO_AUTHORITY


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _dns_bases(subtrees: Sequence[x509.GeneralName] | None) -> tuple[str, ...]:
    return tuple(tree.value.lower().lstrip(".") for tree in subtrees or () if isinstance(tree, x509.DNSName))
