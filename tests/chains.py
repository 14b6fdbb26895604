"""Keys, certificates and chains for tests, made on the spot."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOST = "mail.example.org"

_serials = itertools.count(1000)
_rsa_keys: dict[int, rsa.RSAPrivateKey] = {}


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa2048() -> rsa.RSAPrivateKey:
    """One key for the whole run: making one takes a while."""
    if 2048 not in _rsa_keys:
        _rsa_keys[2048] = rsa.generate_private_key(65537, 2048)
    return _rsa_keys[2048]


@dataclass(frozen=True)
class Issued:
    """A certificate with its key and those above it."""

    key: CertificateIssuerPrivateKeyTypes
    certificate: x509.Certificate
    above: tuple[bytes, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        return (self.der, *self.above)

    @property
    def spki_der(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, folder: Path, name: str) -> tuple[Path, Path, Path]:
        """Write leaf-first chain, key, and the leaf alone as PEM; return their paths."""
        chain, key, leaf = folder / f"{name}-chain.pem", folder / f"{name}-key.pem", folder / f"{name}.pem"
        certificates = [x509.load_der_x509_certificate(certificate) for certificate in self.chain_der]
        pems = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates]
        chain.write_bytes(b"".join(pems))
        leaf.write_bytes(pems[0])
        key.touch(mode=0o600)
        key.write_bytes(self.key_pem)
        return chain, key, leaf


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    ca: bool = False,
    path_length: int | None = None,
    names: Sequence[str] | None = None,
    at: datetime = NOW,
    days: float = 30,
    key_usage: x509.KeyUsage | None = None,
    constraints: x509.NameConstraints | None = None,
) -> Issued:
    """Issue a certificate, self-signed without an issuer; ``names`` None: the common name alone is the SAN."""
    own = key or p256()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issuer_name = (own, subject) if issuer is None else (issuer.key, issuer.certificate.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(own.public_key())
        .serial_number(next(_serials))
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if not ca:
        dns = [name] if names is None else names
        if dns:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in dns]), critical=False)
    if key_usage is not None:
        builder = builder.add_extension(key_usage, critical=True)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(signer, digest)
    return Issued(own, certificate, () if issuer is None else issuer.chain_der)


def three(leaf: str = HOST, key: CertificateIssuerPrivateKeyTypes | None = None) -> tuple[Issued, Issued, Issued]:
    """Return leaf, intermediate and root."""
    root = issue("Root", ca=True)
    intermediate = issue("Intermediate", root, ca=True, path_length=0)
    return issue(leaf, intermediate, key=key), intermediate, root


def spki(key: CertificateIssuerPrivateKeyTypes | dsa.DSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
