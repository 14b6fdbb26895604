"""Keys and CSRs as openssl itself writes them: what administrators have lying about."""

import subprocess
import tempfile
from functools import cache
from pathlib import Path

PASSWORD = "correct horse"  # noqa: S105 - of keys made here
NAME = "example.test"
SAN = f"DNS:{NAME},DNS:mail.{NAME}"


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    """Run openssl; return what it writes to standard output."""
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout


@cache
def key(*arguments: str) -> bytes:
    """Return a private key, PKCS#8 PEM, made by ``openssl genpkey``; the same one each time."""
    return openssl("genpkey", "-algorithm", *arguments)


def rsa(bits: int = 2048) -> bytes:
    return key("RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}")


def curve(name: str = "prime256v1", *arguments: str) -> bytes:
    return key("EC", "-pkeyopt", f"ec_paramgen_curve:{name}", *arguments)


def sec1(pem: bytes, *arguments: str) -> bytes:
    """Return an elliptic curve key in its traditional form (``EC PRIVATE KEY``)."""
    return openssl("ec", *arguments, data=pem)


def pkcs1(pem: bytes, *arguments: str) -> bytes:
    """Return an RSA key in its traditional form (``RSA PRIVATE KEY``)."""
    return openssl("rsa", "-traditional", *arguments, data=pem)


def locked(pem: bytes, *arguments: str, password: str = PASSWORD) -> bytes:
    """Return a key as ``openssl pkcs8 -topk8`` encrypts it."""
    return openssl("pkcs8", "-topk8", *arguments, "-passout", f"pass:{password}", data=pem)


def public(pem: bytes, *arguments: str) -> bytes:
    return openssl("pkey", "-pubout", *arguments, data=pem)


def spki(pem: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key, DER."""
    return public(pem, "-outform", "DER")


def csr(
    pem: bytes, *arguments: str, subject: str | None = f"/CN={NAME}", san: str | None = SAN, config: str | None = None
) -> bytes:
    """Return a CSR, PEM; ``config`` is an openssl configuration in place of the system's.

    ``subject`` None: that of the configuration; ``san`` None: no alternative names but its.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "key.pem")
        path.write_bytes(pem)
        given: list[str] = []
        if config is not None:
            Path(folder, "openssl.cnf").write_text(config)
            given = ["-config", f"{folder}/openssl.cnf"]
        names = [] if san is None else ["-addext", f"subjectAltName={san}"]
        named = [] if subject is None else ["-subj", subject]
        return openssl("req", "-new", "-key", str(path), *named, *names, *given, *arguments)


def certificate(pem: bytes) -> bytes:
    """Return a self-signed certificate over a key, PEM."""
    return csr(pem, "-x509", "-days", "1")
