"""The types of keys that danelaw makes."""

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from danelaw.model import KeyType

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def generate(key_type: KeyType) -> PrivateKey:
    """Make a key."""
    match key_type:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "rsa2048" | "rsa3072" | "rsa4096":
            return rsa.generate_private_key(65537, int(key_type.removeprefix("rsa")))


def type_of(private: PrivateKey) -> str:
    """Return the type that a key is of, as the config would name it: "p256", "rsa2048"."""
    if isinstance(private, rsa.RSAPrivateKey):
        return f"rsa{private.key_size}"
    return "p256" if isinstance(private.curve, ec.SECP256R1) else "p384"
