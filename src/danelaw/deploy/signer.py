"""Signatures with a private key of this host, as a CA wants them for a revocation (RFC 8555 section 7.6).

The key does not leave this object, and its repr shows nothing of it.
"""

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class KeySigner:
    """`model.Signer` over an RSA, P-256 or P-384 key."""

    def __init__(self, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    @property
    def spki_der(self) -> bytes:
        """Return the public half, SubjectPublicKeyInfo, DER."""
        return self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def signature(self, message: bytes) -> bytes:
        """Return the signature as JWS has it: RS256 (RFC 7518 section 3.3), ES256 or ES384 (section 3.4)."""
        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.sign(message, padding.PKCS1v15(), SHA256())
        octets = (self._private.curve.key_size + 7) // 8
        digest = SHA256() if octets == 32 else SHA384()
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(octets) + s.to_bytes(octets)  # both numbers in full, big-endian, and not DER
