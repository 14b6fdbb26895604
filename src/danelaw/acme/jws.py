"""JSON Web Signatures as ACME wants them: flattened, ES256, ES384 or RS256, and the thumbprint of the account's key.

Whoever holds a key signs: the account's is here (`AccountSigner`), a certificate's own stays on its host
(`model.Signer`), and signs the certificate's revocation.

RFC 7515 (JWS), RFC 7517 and RFC 7518 (keys and algorithms), RFC 7638 (thumbprint), RFC 8555 sections 6.2 and 8.1.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from danelaw.errors import Refused
from danelaw.model import Signer

AccountKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""An account's private key: P-256 (ES256, which every CA has, RFC 8555 section 6.2) or RSA (RS256, adopted ones)."""

AccountPublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_CURVES = {"secp256r1": ("P-256", "ES256", 32), "secp384r1": ("P-384", "ES384", 48)}
"""By the curve: its name in a JWK, the algorithm of its signatures, octets of a number (RFC 7518 sections 6.2, 3.4)."""


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def jwk(key: AccountPublicKey) -> dict[str, str]:
    """Return a public key as a JSON Web Key with its required members only (RFC 7518 section 6).

    Raises `Refused` for a curve other than P-256 and P-384.
    """
    if isinstance(key, rsa.RSAPublicKey):
        rsa_numbers = key.public_numbers()
        return {"kty": "RSA", "n": _unsigned(rsa_numbers.n), "e": _unsigned(rsa_numbers.e)}
    if key.curve.name not in _CURVES:
        raise Refused(
            f"a key on the curve {key.curve.name} signs nothing for an ACME CA; it must be P-256, P-384 or RSA"
        )
    crv, _, size = _CURVES[key.curve.name]
    numbers = key.public_numbers()
    # RFC 7518 section 6.2.1.2: coordinates keep their leading zero octets
    x, y = (base64url(number.to_bytes(size)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": crv, "x": x, "y": y}


def thumbprint(key: AccountPublicKey) -> str:
    """Return the base64url SHA-256 thumbprint of a public key (RFC 7638 section 3)."""
    return base64url(hashlib.sha256(_compact(jwk(key))).digest())


def key_authorization(token: str, key: AccountPublicKey) -> str:
    """Return what answers a challenge's token (RFC 8555 section 8.1)."""
    return f"{token}.{thumbprint(key)}"


class AccountSigner:
    """`model.Signer` over the account's key."""

    def __init__(self, key: AccountKey) -> None:
        self._key = key

    @property
    def spki_der(self) -> bytes:
        """Return the public half, SubjectPublicKeyInfo, DER."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def signature(self, message: bytes) -> bytes:
        """Return the signature: ES256 or RS256."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)  # RFC 7518 section 3.4: both numbers in full, not DER


def public_key(signer: Signer) -> AccountPublicKey:
    """Return the public key of whoever signs. Raises `Refused` where it is of a kind that ACME does not know."""
    found = serialization.load_der_public_key(signer.spki_der)
    if isinstance(found, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return found
    raise Refused("a key of this kind signs nothing for an ACME CA; it must be P-256, P-384 or RSA")


def sign(signer: Signer, header: Mapping[str, Any], payload: bytes) -> bytes:
    """Return a flattened JWS (RFC 7515 section 7.2.2) as JSON.

    ``header`` is the protected header without ``alg``, which follows from the key; the payload may be empty
    (POST-as-GET, RFC 8555 section 6.3). Raises what the signer raises.
    """
    key = public_key(signer)
    algorithm = "RS256" if isinstance(key, rsa.RSAPublicKey) else _CURVES[key.curve.name][1]
    protected = base64url(_compact({"alg": algorithm, **header}))
    encoded = base64url(payload)
    signature = signer.signature(f"{protected}.{encoded}".encode("ascii"))
    return _compact({"protected": protected, "payload": encoded, "signature": base64url(signature)})


def _compact(members: Mapping[str, Any]) -> bytes:
    # RFC 7638 section 3: sorted, no white space; for everything but the thumbprint it does no harm
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def _unsigned(number: int) -> str:
    # RFC 7518 section 2, Base64urlUInt: no leading zero octets (RFC 8555 section 8.1)
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))
