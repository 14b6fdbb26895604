"""Public keys: which danelaw takes, and where their SPKI is found."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from danelaw.errors import InputError
from danelaw.model import KeyAlgorithm, KeyType
from danelaw.pki import der, pem

ACCEPTED = "RSA of 2048 to 4096 bits, P-256 and P-384 are accepted"

CSR_LABELS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")

EXPLICIT_CURVE = (
    "found an elliptic curve key with the parameters of its curve written out (RFC 5480 section 2.1.1 wants its name); "
    "openssl ec -in OLD -param_enc named_curve -out NEW writes it anew"
)


def check_public_key(spki_der: bytes) -> KeyAlgorithm:
    """Return the algorithm of a key that danelaw takes: RSA of 2048 to 4096 bits, P-256 or P-384.

    Raises `InputError` that says what was found and what is accepted.
    """
    found = load_public_key(spki_der)
    if isinstance(found, rsa.RSAPublicKey) and der.key_algorithm(spki_der) == der.RSA:
        if 2048 <= found.key_size <= 4096:
            return "rsa"
        raise InputError(f"found an RSA key of {found.key_size} bits; {ACCEPTED}")
    if isinstance(found, ec.EllipticCurvePublicKey):
        if not der.names_its_curve(spki_der):
            raise InputError(EXPLICIT_CURVE)
        if isinstance(found.curve, ec.SECP256R1 | ec.SECP384R1):
            return "ecdsa"
        raise InputError(f"found an elliptic curve key on {found.curve.name}; {ACCEPTED}")
    raise InputError(f"found {_kind(found)}; {ACCEPTED}")


@lru_cache(maxsize=64)
def key_type(spki_der: bytes) -> KeyType | None:
    """Return the type that the config would name a key by, of those that danelaw makes; None of any other."""
    try:
        found = load_public_key(spki_der)
    except InputError:
        return None
    if isinstance(found, rsa.RSAPublicKey):
        known: Mapping[int, KeyType] = {2048: "rsa2048", 3072: "rsa3072", 4096: "rsa4096"}
        return known.get(found.key_size)
    if isinstance(found, ec.EllipticCurvePublicKey):
        curves: Mapping[str, KeyType] = {"secp256r1": "p256", "secp384r1": "p384"}
        return curves.get(found.curve.name)
    return None


def load_public_key(spki_der: bytes) -> PublicKeyTypes:
    """Return the key object of an SPKI. Raises `InputError` where it is none or of an unknown kind."""
    try:
        with quiet():
            return load_der_public_key(spki_der)
    except UnsupportedAlgorithm:
        raise InputError(f"found a public key of an unknown kind; {ACCEPTED}") from None
    except ValueError:
        raise InputError(f"found something that is not a public key (SubjectPublicKeyInfo); {ACCEPTED}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what `cryptography` thinks of old keys and odd names from standard error: they are judged in our words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def only_csr(data: bytes) -> bytes:
    """Return the one CSR in ``data``, PEM or DER, as DER, byte for byte. Raises `InputError`."""
    return _one(data, *CSR_LABELS)


def spki_of_csr(csr: bytes) -> bytes:
    """Return the SPKI of a CSR in DER or PEM, byte for byte. Raises `InputError`."""
    try:
        return der.csr_spki(only_csr(csr))
    except ValueError as error:
        raise InputError(f"found something that is not a CSR: {error}") from None


def spki_of_public_key(public_key: bytes) -> bytes:
    """Return the SPKI of a public key in DER or PEM (``PUBLIC KEY``), byte for byte. Raises `InputError`."""
    spki_der = _one(public_key, "PUBLIC KEY")
    load_public_key(spki_der)
    return spki_der


def _one(data: bytes, *labels: str) -> bytes:
    """Return the content of the only PEM block with one of the labels, or ``data`` where it is no PEM."""
    if b"-----BEGIN " not in pem.check_size(data):
        return data
    found = [block.der for block in pem.blocks(data) if block.label in labels]
    if len(found) != 1:
        raise InputError(f"found {len(found)} PEM blocks {labels[0]}; expected one")
    return found[0]


def _kind(key: PublicKeyTypes) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "an RSASSA-PSS key"
    if isinstance(key, dsa.DSAPublicKey):
        return "a DSA key"
    name = type(key).__name__.removesuffix("PublicKey").removeprefix("_")
    return f"{'an' if name[0] in 'EX' else 'a'} {name} key"
