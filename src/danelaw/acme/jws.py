"""JSON Web Signatures as ACME wants them: flattened, ES256 or RS256, and the thumbprint of the account's key.

RFC 7515 (JWS), RFC 7517 and RFC 7518 (keys and algorithms), RFC 7638 (thumbprint), RFC 8555 sections 6.2 and 8.1.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from danelaw.errors import Refused

AccountKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""An account's private key: P-256 (ES256, which every CA has, RFC 8555 section 6.2) or RSA (RS256, adopted ones)."""

AccountPublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def jwk(key: AccountPublicKey) -> dict[str, str]:
    """Return a public key as a JSON Web Key with its required members only (RFC 7518 section 6).

    Raises `Refused` for a curve other than P-256.
    """
    if isinstance(key, rsa.RSAPublicKey):
        rsa_numbers = key.public_numbers()
        return {"kty": "RSA", "n": _unsigned(rsa_numbers.n), "e": _unsigned(rsa_numbers.e)}
    if not isinstance(key.curve, ec.SECP256R1):
        raise Refused(f"the ACME account key is on the curve {key.curve.name}; it must be P-256 or RSA")
    numbers = key.public_numbers()
    # RFC 7518 section 6.2.1.2: coordinates keep their leading zero octets
    return {"kty": "EC", "crv": "P-256", "x": base64url(numbers.x.to_bytes(32)), "y": base64url(numbers.y.to_bytes(32))}


def thumbprint(key: AccountPublicKey) -> str:
    """Return the base64url SHA-256 thumbprint of a public key (RFC 7638 section 3)."""
    return base64url(hashlib.sha256(_compact(jwk(key))).digest())


def key_authorization(token: str, key: AccountPublicKey) -> str:
    """Return what answers a challenge's token (RFC 8555 section 8.1)."""
    return f"{token}.{thumbprint(key)}"


def sign(key: AccountKey, header: Mapping[str, Any], payload: bytes) -> bytes:
    """Return a flattened JWS (RFC 7515 section 7.2.2) as JSON.

    ``header`` is the protected header without ``alg``, which follows from the key; the payload may be empty
    (POST-as-GET, RFC 8555 section 6.3).
    """
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    protected = base64url(_compact({"alg": algorithm, **header}))
    encoded = base64url(payload)
    signature = _signature(key, f"{protected}.{encoded}".encode("ascii"))
    return _compact({"protected": protected, "payload": encoded, "signature": base64url(signature)})


def _signature(key: AccountKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)  # RFC 7518 section 3.4: both numbers in full, not DER


def _compact(members: Mapping[str, Any]) -> bytes:
    # RFC 7638 section 3: sorted, no white space; for everything but the thumbprint it does no harm
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def _unsigned(number: int) -> str:
    # RFC 7518 section 2, Base64urlUInt: no leading zero octets (RFC 8555 section 8.1)
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))
