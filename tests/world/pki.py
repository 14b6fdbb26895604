"""A throwaway CA, for the certificate in use when the world begins and for Pebble's own HTTPS."""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def make_private_key(kind: str = "p256") -> PrivateKey:
    """Make a key: ``p256`` (at once) or ``rsa2048`` (a tenth of a second)."""
    return ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else rsa.generate_private_key(65537, 2048)


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key with a certificate over it, PEM. ``issuer_pem``: what a server sends after the leaf."""

    key_pem: bytes = field(repr=False)
    leaf_pem: bytes
    issuer_pem: bytes

    @property
    def fullchain_pem(self) -> bytes:
        """The leaf and what follows it."""
        return self.leaf_pem + self.issuer_pem

    @property
    def combined_pem(self) -> bytes:
        """The key, then the chain: the order that Postfix asks for."""
        return self.key_pem + self.fullchain_pem

    def tlsa(self, selector: int, matching_type: int = 1) -> str:
        """Return the usage 3 record of it (RFC 6698 section 2.1), worked out without danelaw's help."""
        public_key = self.leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        data = public_key if selector == 1 else self.leaf.public_bytes(Encoding.DER)
        if matching_type != 0:
            data = hashlib.new({1: "sha256", 2: "sha512"}[matching_type], data).digest()
        return f"3 {selector} {matching_type} {data.hex()}"

    @property
    def leaf(self) -> x509.Certificate:
        """The leaf, parsed."""
        return x509.load_pem_x509_certificate(self.leaf_pem)


class Authority:
    """A CA with a self-made root that signs leaves itself."""

    def __init__(self, name: str) -> None:
        self._key = make_private_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._root = (
            _builder(self._name, self._name, self._key, timedelta(days=3000), timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.root_pem = self._root.public_bytes(Encoding.PEM)

    def issue(
        self,
        names: Sequence[str],
        key: PrivateKey | None = None,
        *,
        age: timedelta = timedelta(days=1),
        left: timedelta = timedelta(days=60),
    ) -> Identity:
        """Issue a certificate for DNS names and addresses that began ``age`` ago and ends when ``left`` has passed."""
        key = key or make_private_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        leaf = (
            _builder(subject, self._name, key, age, left)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Identity(key_pem, leaf.public_bytes(Encoding.PEM), self.root_pem)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, age: timedelta, left: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - age)
        .not_valid_after(now + left)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
