"""Signatures, keys and thumbprints, against certbot's own libraries as oracle and RFC 7638's own example."""

import base64
import json
from typing import Any

import pytest
from acme import challenges
from acme.jws import JWS
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from josepy.jwk import JWK

from danelaw.acme.jws import (
    AccountKey,
    AccountSigner,
    base64url,
    jwk,
    key_authorization,
    public_key,
    sign,
    thumbprint,
)
from danelaw.deploy.signer import KeySigner
from danelaw.errors import Refused
from danelaw.model import Signer

RSA = rsa.generate_private_key(65537, 2048)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())


def oracle_key(key: AccountKey) -> Any:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return JWK.load(pem)


def keys() -> list[AccountKey]:
    # many, so that coordinates with leading zeros occur
    return [RSA, *(ec.generate_private_key(ec.SECP256R1()) for _ in range(300))]


def test_thumbprints_and_key_authorizations_are_those_of_certbots_library() -> None:
    for key in keys():
        theirs = oracle_key(key)
        assert thumbprint(key.public_key()) == base64url(theirs.thumbprint())
        token = b"\x01" * 32
        challenge = challenges.HTTP01(token=token)
        assert key_authorization(base64url(token), key.public_key()) == challenge.key_authorization(theirs)


def test_a_jwk_has_its_required_members_only_and_coordinates_in_full() -> None:
    for key in keys():
        if isinstance(key, ec.EllipticCurvePrivateKey):
            assert set(jwk(key.public_key())) == {"kty", "crv", "x", "y"}
            assert len(jwk(key.public_key())["x"]) == len(jwk(key.public_key())["y"]) == 43


def test_the_thumbprint_of_rfc_7638_section_3_1() -> None:
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"
        "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJ"
        "zKnqDKgw"
    )
    number = int.from_bytes(base64.urlsafe_b64decode(modulus + "=="))
    key = rsa.RSAPublicNumbers(65537, number).public_key()
    assert jwk(key) == {"kty": "RSA", "n": modulus, "e": "AQAB"}
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize(
    ("signer", "key", "algorithm"),
    [
        (AccountSigner(RSA), RSA, "RS256"),
        (AccountSigner(P256), P256, "ES256"),
        (KeySigner(RSA), RSA, "RS256"),  # a certificate's key
        (KeySigner(P256), P256, "ES256"),
        (KeySigner(P384), P384, "ES384"),
    ],
    ids=["RS256", "ES256", "RS256-certificate", "ES256-certificate", "ES384-certificate"],
)
def test_certbots_library_verifies_our_signature_and_refuses_a_changed_one(
    signer: Signer, key: AccountKey, algorithm: str
) -> None:
    header = {"jwk": jwk(public_key(signer)), "nonce": "bm9uY2U", "url": "https://ca.test/new-account"}
    signed = sign(signer, header, b'{"termsOfServiceAgreed": true}')
    theirs = JWS.from_json(json.loads(signed))
    assert theirs.signature.combined.alg.name == algorithm
    assert theirs.verify(oracle_key(key).public_key())
    assert theirs.payload == b'{"termsOfServiceAgreed": true}'
    changed = json.loads(signed)
    changed["payload"] = base64url(b'{"termsOfServiceAgreed": false}')
    assert not JWS.from_json(changed).verify(oracle_key(key).public_key())


def test_a_post_as_get_has_an_empty_payload() -> None:
    signed = json.loads(
        sign(AccountSigner(RSA), {"kid": "https://ca.test/acct/1", "nonce": "x", "url": "https://ca.test/a"}, b"")
    )
    assert signed["payload"] == ""
    assert set(signed) == {"protected", "payload", "signature"}


@pytest.mark.parametrize(("curve", "octets"), [(ec.SECP256R1(), 32), (ec.SECP384R1(), 48)], ids=["ES256", "ES384"])
def test_a_signature_is_two_numbers_in_full(curve: ec.EllipticCurve, octets: int) -> None:
    """RFC 7518 section 3.4; of 300 signatures some have a number that starts with a zero octet."""
    private = ec.generate_private_key(curve)
    signer = KeySigner(private)
    digest = hashes.SHA256() if octets == 32 else hashes.SHA384()
    starts = set()
    for number in range(300):
        signature = signer.signature(b"%d" % number)
        assert len(signature) == 2 * octets
        halves = [int.from_bytes(half) for half in (signature[:octets], signature[octets:])]
        private.public_key().verify(encode_dss_signature(*halves), b"%d" % number, ec.ECDSA(digest))
        starts |= {signature[0], signature[octets]}
    assert len(starts) > 100


def test_what_signs_shows_nothing_of_its_key() -> None:
    number = P256.private_numbers().private_value
    for shown in (repr(KeySigner(P256)), str(KeySigner(P256)), repr(vars(KeySigner(P256)))):
        assert str(number) not in shown
        assert f"{number:x}" not in shown


class Strange:
    """A signer whose key no ACME CA knows."""

    spki_der = (
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def signature(self, message: bytes) -> bytes:
        raise AssertionError(message)


def test_a_signer_of_another_kind_is_refused_before_it_signs() -> None:
    with pytest.raises(Refused, match="must be P-256, P-384 or RSA"):
        sign(Strange(), {"url": "https://ca.test/revoke"}, b"{}")


def test_a_key_on_another_curve_is_refused() -> None:
    with pytest.raises(Refused, match="secp521r1"):
        jwk(ec.generate_private_key(ec.SECP521R1()).public_key())
