"""Real certificates over real keys, signed by a CA of P-256: cheap enough for thousands of them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from danelaw.model import Chain, KeyAlgorithm
from danelaw.pki import chain_pem, csr_builder, parse_chain
from simulation.timeline import START

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class SimKey:
    """A private key of the pool with what is asked about it."""

    private: PrivateKey
    spki_der: bytes
    algorithm: KeyAlgorithm

    @property
    def spki_sha256(self) -> str:
        return hashlib.sha256(self.spki_der).hexdigest()


@lru_cache(maxsize=512)
def pooled_key(number: int, algorithm: KeyAlgorithm) -> SimKey:
    """Return a key of the pool: made once a process, since nothing depends on an RSA key's bits."""
    private: PrivateKey = (
        ec.derive_private_key(1000 + number, ec.SECP256R1())
        if algorithm == "ecdsa"
        else rsa.generate_private_key(65537, 2048)
    )
    spki_der = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return SimKey(private, spki_der, algorithm)


@lru_cache(maxsize=512)
def csr_for(key: SimKey, names: tuple[str, ...]) -> bytes:
    csr = csr_builder(names, {}).sign(key.private, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


def key_of_csr(csr_der: bytes) -> bytes:
    """Return the SPKI of a CSR, DER."""
    csr = _loaded(csr_der)
    return csr.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@lru_cache(maxsize=512)
def _loaded(csr_der: bytes) -> x509.CertificateSigningRequest:
    return x509.load_der_x509_csr(csr_der)


class Mint:
    """The hand that signs. Serial numbers come from the seed, so that a seed gives the same history again."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._ca = pooled_key(0, "ecdsa")
        self._issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated CA")])
        self._root_der = _root(self._ca, self._issuer)

    def chain(self, public: SimKey | bytes, names: tuple[str, ...], at: datetime, lifetime: timedelta) -> Chain:
        """Issue a chain of a leaf and its CA over a key or a CSR."""
        public_key = public.private.public_key() if isinstance(public, SimKey) else _loaded(public).public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        at = at.replace(microsecond=0)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._issuer)
            .public_key(public_key)
            .serial_number(self._rng.getrandbits(120) | 1 << 120)
            .not_valid_before(at - timedelta(hours=1))
            .not_valid_after(at + lifetime)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True)
            .sign(self._ca.private, hashes.SHA256())
        )
        leaf_pem = leaf.public_bytes(serialization.Encoding.PEM).decode()
        return parse_chain(leaf_pem + self._root_der)


@lru_cache(maxsize=4)
def _root(key: SimKey, name: x509.Name) -> str:
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private.public_key())
        .serial_number(1)
        .not_valid_before(START - timedelta(days=365))
        .not_valid_after(START + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key.private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def as_pem(chain: Chain) -> str:
    return chain_pem(chain)
