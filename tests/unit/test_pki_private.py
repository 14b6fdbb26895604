"""Private keys as openssl writes them: opened where they can be, and refused in words that quote nothing of them."""

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from danelaw import pki
from danelaw.errors import InputError
from danelaw.pki import der, pem
from fakes import openssl_files as made

Make = Callable[[], bytes]

RSA_PSS = ("RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")
EXPLICIT = ("-pkeyopt", "ec_param_enc:explicit")


def openssh(folder: Path) -> bytes:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", f"{folder}/id"], check=True)
    return (folder / "id").read_bytes()


def dsa_parameters() -> bytes:
    return made.openssl("genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024")


def pkcs12() -> bytes:
    with tempfile.NamedTemporaryFile() as file:  # openssl reads its input twice
        file.write(made.certificate(made.rsa()) + made.rsa())
        file.flush()
        return made.openssl("pkcs12", "-export", "-passout", "pass:x", "-in", file.name)


def made_up_rsa(bits: int) -> bytes:
    """Return an RSA key of a size that would take openssl ten seconds: its factors are no primes."""
    p, q, e = (1 << (bits // 2)) - 1, (1 << (bits // 2)) - 5, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def stretched(key: bytes) -> bytes:
    """Return an encrypted key that says 2,147,483,647 iterations in place of 2048."""

    def rewritten(each: der.Element) -> bytes:
        if each.tag != der.SEQUENCE:
            return bytes.fromhex("02047fffffff") if each.der == bytes.fromhex("02020800") else each.der
        content = b"".join(rewritten(child) for child in der.children(each))
        return b"\x30\x82" + len(content).to_bytes(2, "big") + content

    (block,) = pem.blocks(key)
    changed = rewritten(der.sequence(block.der))
    assert bytes.fromhex("02047fffffff") in changed
    return pem.encode(block.label, changed).encode()


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (made.rsa, "rsa"),
        (lambda: made.rsa(3072), "rsa"),
        (lambda: made.pkcs1(made.rsa()), "rsa"),
        (made.curve, "ecdsa"),
        (lambda: made.curve("secp384r1"), "ecdsa"),
        (lambda: made.sec1(made.curve()), "ecdsa"),
        (lambda: made.openssl("ecparam", "-name", "prime256v1", "-genkey"), "ecdsa"),  # EC PARAMETERS come first
        (lambda: made.certificate(made.rsa()) + made.rsa(), "rsa"),  # a combined file
        (lambda: made.rsa().replace(b"\n", b"\r\n"), "rsa"),
    ],
)
def test_a_key_without_a_password_is_opened(make: Make, algorithm: str) -> None:
    data = make()
    opened = pki.open_private_key(data)
    assert (opened.algorithm, opened.locked) == (algorithm, False)
    assert opened.spki_der == made.spki(data)
    assert made.spki(opened.block) == opened.spki_der
    assert pki.open_private_key(data, b"a password that nobody asked for").spki_der == opened.spki_der


LOCKED: list[Make] = [
    lambda: made.locked(made.rsa()),
    lambda: made.locked(made.curve()),
    lambda: made.locked(made.curve("secp384r1"), "-scrypt"),
    lambda: made.locked(made.rsa(), "-v2", "des3"),
    lambda: made.locked(made.rsa(), "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512", "-iter", "100000"),
    lambda: made.locked(made.rsa(), "-v1", "PBE-SHA1-3DES"),
    lambda: made.pkcs1(made.rsa(), "-aes256", "-passout", f"pass:{made.PASSWORD}"),
    lambda: made.pkcs1(made.rsa(), "-des3", "-passout", f"pass:{made.PASSWORD}"),
    lambda: made.sec1(made.curve(), "-aes128", "-passout", f"pass:{made.PASSWORD}"),
    lambda: made.openssl("pkey", "-aes256", "-passout", f"pass:{made.PASSWORD}", data=made.rsa()),
]
"""Encrypted PKCS#8, and the traditional form with ``Proc-Type: 4,ENCRYPTED``."""


@pytest.mark.parametrize("make", LOCKED)
def test_a_key_with_a_password_is_opened_by_it_and_by_no_other(make: Make) -> None:
    data = make()
    opened = pki.open_private_key(data, made.PASSWORD.encode())
    assert opened.locked
    assert opened.block.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert opened.spki_der == made.spki(opened.block)
    with pytest.raises(InputError, match="the password in key_password_file does not open"):
        pki.open_private_key(data, b"wrong")
    with pytest.raises(InputError, match="a key with a password; name the file that holds it as key_password_file"):
        pki.open_private_key(data)


REFUSED: list[tuple[Make, str]] = [
    (lambda: made_up_rsa(4104), "an RSA key of 4104 bits; RSA of 2048 to 4096 bits"),
    (lambda: made.rsa(1024), "an RSA key of 1024 bits; RSA of 2048 to 4096 bits, P-256 and P-384 are accepted"),
    (lambda: made.curve("secp521r1"), "an elliptic curve key on secp521r1; RSA"),
    (lambda: made.curve("brainpoolP256r1"), "an elliptic curve key on brainpoolP256r1; RSA"),
    (lambda: made.curve("secp256k1"), "an elliptic curve key on secp256k1; RSA"),
    (lambda: made.curve("secp224r1"), "an elliptic curve key on secp224r1; RSA"),
    (lambda: made.curve("sect283k1"), "a private key of an unknown kind or curve; RSA"),
    (
        lambda: made.curve("prime256v1", *EXPLICIT),
        "an elliptic curve key with the parameters of its curve written out .*-param_enc named_curve",
    ),
    (
        lambda: made.sec1(made.curve("prime256v1", *EXPLICIT)),
        "an elliptic curve key with the parameters of its curve written out .*-param_enc named_curve",
    ),
    (lambda: made.key("ED25519"), "an Ed25519 key; RSA"),
    (lambda: made.key("ED448"), "an Ed448 key; RSA"),
    (lambda: made.key("X25519"), "an X25519 key; RSA"),
    (lambda: made.key(*RSA_PSS), "an RSASSA-PSS key; RSA"),
    (lambda: made.openssl("genpkey", "-paramfile", "/dev/stdin", data=dsa_parameters()), "a DSA key; RSA"),
    (lambda: made.key("DH", "-pkeyopt", "group:ffdhe2048"), "a DH key; RSA"),
    (lambda: made.certificate(made.rsa()), "a certificate; expected one private key as PEM .*: name the file of its"),
    (lambda: made.csr(made.rsa()), "a CSR; expected one private key .*: name it as csr"),
    (lambda: made.public(made.rsa()), "a public key; expected one private key .*: name the file of its private half"),
    (lambda: made.public(made.rsa(), "-outform", "DER"), "what looks like DER; expected one private key"),
    (
        lambda: made.openssl("pkey", "-outform", "DER", data=made.rsa()),
        "what looks like DER of a private key; .*-inform DER",
    ),
    (
        lambda: made.openssl("ec", "-outform", "DER", data=made.curve()),
        "what looks like DER of a private key; .*-inform DER",
    ),
    (
        lambda: made.locked(made.rsa(), "-outform", "DER"),
        "what looks like DER of an encrypted private key; .*-inform DER",
    ),
    (lambda: made.csr(made.rsa(), "-x509", "-outform", "DER"), "a certificate in DER; expected"),
    (lambda: made.csr(made.rsa(), "-outform", "DER"), "a CSR in DER; expected"),
    (pkcs12, "a PKCS#12 container; .*openssl pkcs12 -in OLD -nocerts -nodes -out NEW"),
    (lambda: b"\xfe\xed\xfe\xed\0\0\0\x02" + bytes(100), "a Java keystore; .*keytool -importkeystore"),
    (lambda: b"PuTTY-User-Key-File-3: ssh-rsa\n", "a PuTTY private key; .*it is for SSH"),
    (lambda: made.rsa() + made.curve(), "2 private keys; expected one .* each in a file of its own"),
    (lambda: made.rsa()[:-40], "a private key that is cut off; .*copy the file again"),
    (lambda: made.rsa().replace(b"\nM", b"\n!", 1), "a PEM block PRIVATE KEY that is not base64; copy the file"),
    (lambda: b"", "an empty file; expected one private key"),
    (lambda: b" \n", "an empty file; expected one private key"),
    (lambda: b"hello", "no PEM; expected one private key"),
    (lambda: b"x" * 70_000, "more than 65536 bytes; expected one private key"),
    (
        lambda: made.locked(made.rsa(), "-v2", "camellia-256-cbc"),
        "a key encrypted by a cipher that danelaw does not know; .*-aes256",
    ),
    (lambda: stretched(made.locked(made.rsa())), "a key whose password takes hours or all memory to try; .*-aes256"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_is_no_key_of_ours_is_refused_in_one_line_that_quotes_nothing_of_it(make: Make, words: str) -> None:
    data = make()
    with pytest.raises(InputError, match=f"^found {words}") as refused:
        pki.open_private_key(data, made.PASSWORD.encode())
    said = str(refused.value)
    assert said.isprintable()
    assert len(said) < 250
    assert refused.value.__cause__ is None
    assert not any(line in said for line in data.decode("latin-1").split("\n") if len(line) > 30)


def test_an_openssh_key_is_refused_with_the_way_from_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"an OpenSSH private key; .* for SSH: .* ssh-keygen -p -m PEM"):
        pki.open_private_key(openssh(tmp_path))


def test_the_way_from_an_openssh_key_leads_to_a_key(tmp_path: Path) -> None:
    openssh(tmp_path)
    subprocess.run(["ssh-keygen", "-q", "-p", "-m", "PEM", "-N", "", "-f", f"{tmp_path}/id"], check=True)
    assert pki.open_private_key((tmp_path / "id").read_bytes()).algorithm == "ecdsa"


def test_the_way_from_explicit_parameters_leads_to_a_key() -> None:
    explicit = made.curve("prime256v1", *EXPLICIT)
    named = made.openssl("ec", "-param_enc", "named_curve", data=explicit)
    assert pki.open_private_key(named).algorithm == "ecdsa"


def test_the_way_from_pkcs12_leads_to_a_key() -> None:
    key = made.openssl("pkcs12", "-nocerts", "-nodes", "-passin", "pass:x", data=pkcs12())
    assert pki.open_private_key(key).spki_der == made.spki(made.rsa())


def test_the_way_from_an_unknown_cipher_leads_to_a_key() -> None:
    words = f"pass:{made.PASSWORD}"
    old = made.locked(made.rsa(), "-v2", "camellia-256-cbc")
    new = made.openssl("pkey", "-aes256", "-passin", words, "-passout", words, data=old)
    assert pki.open_private_key(new, made.PASSWORD.encode()).locked


def test_an_rsa_key_whose_parts_do_not_fit_is_found_where_it_is_asked_for() -> None:
    text = made.openssl("rsa", "-traditional", "-outform", "DER", data=made.rsa())
    fields = der.children(der.sequence(text))
    assert len(fields) == 9  # RFC 8017 appendix A.1.2: version, n, e, d, p, q, dp, dq, qinv
    d = fields[3]
    broken = text[: d.end - 1] + bytes([text[d.end - 1] ^ 2]) + text[d.end :]
    key = pem.encode("RSA PRIVATE KEY", broken).encode()
    with pytest.raises(InputError, match="parts contradict each other; restore it from a backup"):
        pki.open_private_key(key)
    assert pki.open_private_key(key, whole=False).spki_der == made.spki(made.rsa())


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"a b\n", b"a b"),
        (b"a\r\n", b"a"),
        (b"a", b"a"),
        (b" a \n", b" a "),
        ("pässword\n".encode(), "pässword".encode()),
    ],
)
def test_a_password_is_the_line_without_its_end(data: bytes, password: bytes) -> None:
    assert pki.password_line(data) == password


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n", b"secret\nsecret\n", b"secret\n\n", b"s" * 1024])
def test_no_password_and_several_are_refused_and_not_shown(data: bytes) -> None:
    with pytest.raises(InputError, match="expected a password on one line") as refused:
        pki.password_line(data)
    assert not re.search("secret|sss", str(refused.value))
