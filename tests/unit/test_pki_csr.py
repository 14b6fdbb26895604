"""Ready CSRs as openssl writes them: what is in them, and what is refused before a CA sees it."""

import re
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from danelaw import pki
from danelaw.errors import InputError
from danelaw.pki import der
from danelaw.pki.csr import MAX_CSR_BYTES
from fakes import openssl_files as made
from fakes.openssl_files import NAME

Make = Callable[[], bytes]

SCENARIO = f"""
[req]
prompt = no
distinguished_name = subject
req_extensions = extensions
[subject]
C = DE
ST = Hessen
L = Kassel
CN = {NAME}
emailAddress = igor@{NAME}
[extensions]
subjectAltName = DNS:mail.{NAME},DNS:blog.{NAME},DNS:second.test,DNS:www.{NAME}
"""
"""The administrator's own: the common name is not among the alternative names, and -subj overrides the subject."""

CHALLENGE = """
[req]
prompt = no
distinguished_name = subject
attributes = attributes
[subject]
CN = example.test
[attributes]
challengePassword = tell nobody
"""


def names_of(data: bytes) -> tuple[str, ...]:
    return pki.read_csr(data).names


def test_the_names_are_the_common_name_and_the_alternative_names_together() -> None:
    data = made.csr(made.rsa(), subject=f"/CN={NAME}/emailAddress=igor@{NAME}", san=None, config=SCENARIO)
    found = pki.read_csr(data)
    assert found.names == (NAME, f"mail.{NAME}", f"blog.{NAME}", "second.test", f"www.{NAME}")
    assert (found.common_name, found.algorithm, found.warnings) == (NAME, "rsa", ())
    assert found.spki_der == made.spki(made.rsa())
    assert pki.lone_common_name(found.csr_der) == NAME


def test_a_common_name_among_them_counts_once() -> None:
    found = pki.read_csr(made.csr(made.curve(), subject="/CN=EXAMPLE.test"))
    assert (found.names, found.common_name, found.algorithm) == ((NAME, f"mail.{NAME}"), None, "ecdsa")
    assert pki.lone_common_name(found.csr_der) is None


def test_either_alone_will_do() -> None:
    assert names_of(made.csr(made.curve(), san=None)) == (NAME,)
    assert names_of(made.csr(made.curve(), subject="/O=Example")) == (NAME, f"mail.{NAME}")
    assert names_of(made.csr(made.curve(), subject="/CN=*.a.test", san="DNS:*.b.test")) == ("*.a.test", "*.b.test")


@pytest.mark.parametrize("key", [made.rsa, lambda: made.rsa(3072), made.curve, lambda: made.curve("secp384r1")])
@pytest.mark.parametrize("digest", ["-sha256", "-sha512"])
def test_the_bytes_are_those_of_the_file_in_pem_and_der(key: Make, digest: str) -> None:
    pem = made.csr(key(), digest)
    der_form = made.openssl("req", "-outform", "DER", data=pem)
    for data in (
        pem,
        der_form,
        b"some words\r\n" + pem.replace(b"\n", b"\r\n"),
        pem.replace(b"BEGIN C", b"BEGIN NEW C").replace(b"END C", b"END NEW C"),
    ):
        assert pki.read_csr(data).csr_der == der_form


def weak() -> bytes:
    return made.csr(made.rsa(), "-sha1")


def broken_signature(pem: bytes) -> bytes:
    data = bytearray(made.openssl("req", "-outform", "DER", data=pem))
    data[-1] ^= 1
    return bytes(data)


def compressed() -> bytes:
    return made.csr(made.openssl("pkey", "-ec_conv_form", "compressed", data=made.curve()))


def renamed(pem: bytes) -> bytes:
    """Return a CSR in which somebody wrote another name over the one that was signed."""
    data = made.openssl("req", "-outform", "DER", data=pem)
    assert f"mail.{NAME}".encode() in data
    return data.replace(f"mail.{NAME}".encode(), f"evil.{NAME}".encode())


def with_extension(text: str) -> bytes:
    return made.csr(made.curve(), "-addext", text)


REFUSED: list[tuple[Make, str]] = [
    (lambda: made.csr(made.rsa(1024)), "an RSA key of 1024 bits; RSA of 2048"),
    (lambda: made.csr(made.curve("secp521r1")), "an elliptic curve key on secp521r1; RSA"),
    (lambda: made.csr(made.curve("secp256k1")), "an elliptic curve key on secp256k1; RSA"),
    (lambda: made.csr(made.curve("prime256v1", "-pkeyopt", "ec_param_enc:explicit")), "an elliptic curve key with the"),
    (lambda: made.csr(made.key("ED25519")), "an Ed25519 key; RSA"),
    (lambda: made.csr(made.key("RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")), "an RSASSA-PSS key; RSA"),
    (weak, "a CSR signed with sha1, which CAs refuse; .* openssl req -sha256"),
    (lambda: made.csr(made.rsa(), "-sigopt", "rsa_padding_mode:pss"), "a CSR signed with RSASSA-PSS, which CAs refuse"),
    (lambda: made.csr(made.rsa(), "-sha224"), "a CSR signed with sha224, which CAs refuse"),
    (lambda: made.csr(made.rsa(), "-md5"), "a CSR signed with md5, which CAs refuse"),
    (lambda: broken_signature(made.csr(made.rsa())), "a CSR whose signature is not that of its key"),
    (lambda: broken_signature(made.csr(made.curve())), "a CSR whose signature is not that of its key"),
    (lambda: renamed(made.csr(made.curve())), "a CSR whose signature is not that of its key"),
    (lambda: made.csr(made.curve(), subject="/O=Example", san=None), "a CSR without names; .* with subjectAltName"),
    (lambda: made.csr(made.curve(), subject="/CN=Our mail server"), "a CSR with the common name 'Our mail server'"),
    (lambda: made.csr(made.curve(), subject=f"/CN={NAME}."), "a CSR with the common name 'example.test.'"),
    (lambda: made.csr(made.curve(), "-utf8", subject="/CN=münchen.test"), r"a CSR with the common name 'm\\xfcnchen"),
    (lambda: made.csr(made.curve(), subject="/CN=192.0.2.1"), "a CSR with the common name '192.0.2.1'"),
    (lambda: made.csr(made.curve(), subject="/CN=a.test/CN=b.test"), "a CSR with 2 common names"),
    (lambda: made.csr(made.curve(), san="DNS:a_b.test"), "a CSR with the alternative name 'a_b.test'"),
    (lambda: made.csr(made.curve(), san="DNS:a.test,IP:192.0.2.1"), "a CSR with an IP address among its alternative"),
    (lambda: made.csr(made.curve(), san="email:i@a.test"), "a CSR with an e-mail address among its alternative names"),
    (lambda: made.csr(made.curve(), san="URI:https://a.test"), "a CSR with a URI among its alternative names"),
    (lambda: with_extension("extendedKeyUsage=serverAuth"), "a CSR with an extended key usage, .* without it"),
    (lambda: with_extension("extendedKeyUsage=serverAuth,clientAuth"), "a CSR with an extended key usage"),
    (lambda: with_extension("tlsfeature=status_request"), "a CSR with must-staple, .* without it"),
    (lambda: with_extension("basicConstraints=CA:TRUE"), "a CSR for a CA's own certificate"),
    (made.rsa, "a private key; expected a CSR, as openssl req -new writes it"),
    (lambda: made.locked(made.rsa()), "a private key; expected a CSR"),
    (lambda: made.public(made.rsa()), "a public key; expected a CSR"),
    (lambda: made.certificate(made.rsa()), "a certificate; expected a CSR"),
    (lambda: made.csr(made.rsa(), "-x509", "-outform", "DER"), "a certificate in DER; expected a CSR"),
    (
        lambda: made.openssl("pkey", "-outform", "DER", data=made.rsa()),
        "what looks like DER of a private key; expected",
    ),
    (lambda: b"", "an empty file; expected a CSR"),
    (lambda: b"hello", "no PEM; expected a CSR"),
    (lambda: made.csr(made.curve()) * 2, "2 PEM blocks CERTIFICATE REQUEST; expected one"),
    (lambda: made.csr(made.curve())[:-40], "a PEM block that is cut off"),
    (lambda: made.csr(made.curve()).replace(b"\nM", b"\n!", 1), "a PEM block CERTIFICATE REQUEST that is not base64"),
    (lambda: made.csr(made.curve(), "-outform", "DER")[:-2], "no PEM; expected a CSR"),
    (lambda: b"x" * (MAX_CSR_BYTES + 1), f"{MAX_CSR_BYTES + 1} bytes; expected one CSR of at most"),
    (lambda: nested(5000), "no PEM; expected|a CSR|what looks like DER"),
]


def nested(depth: int) -> bytes:
    """Return SEQUENCEs inside each other, as deep as it fits: what takes a careless parser down."""
    data = b""
    for _ in range(depth):
        data = b"\x30\x83" + len(data).to_bytes(3, "big") + data
    return data


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_what_no_ca_can_sign_is_refused_in_one_line(make: Make, words: str) -> None:
    with pytest.raises(InputError, match=f"^found ({words})") as refused:
        pki.read_csr(make())
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("keyUsage=digitalSignature,keyEncipherment", ["the key usage, which the CA puts aside"]),
        ("basicConstraints=CA:FALSE", ["the basic constraints, which the CA puts aside"]),
        ("subjectKeyIdentifier=hash", ["the key identifier, which the CA puts aside"]),
        ("1.2.3.4=ASN1:NULL", ["the extension 1.2.3.4, which the CA puts aside"]),
    ],
)
def test_what_a_ca_puts_aside_is_said(text: str, warnings: list[str]) -> None:
    assert list(pki.read_csr(with_extension(text)).warnings) == warnings
    assert pki.read_csr(made.csr(made.curve())).warnings == ()


def test_a_challenge_password_is_said_and_not_shown() -> None:
    found = pki.read_csr(made.csr(made.curve(), subject=None, san=None, config=CHALLENGE))
    (warning,) = found.warnings
    assert warning.startswith("a challenge password (not shown)")
    assert "nobody" not in repr(found)


def test_a_public_key_in_another_form_than_a_ca_writes_is_refused() -> None:
    """A compressed point: the certificate would have the key in full, and every digest of it be another one."""
    with pytest.raises(InputError, match="public key is written in an unusual form"):
        pki.read_csr(compressed())


def test_an_extension_that_stands_there_twice_is_refused() -> None:
    key = load_pem_private_key(made.curve(), None)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test")]), critical=False)
    builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.99"), b"\5\0"), False)  # noqa: FBT003
    data = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type] # it can sign
    assert pki.read_csr(data).names == ("a.test",)
    twice = data.replace(bytes.fromhex("0603551d63"), bytes.fromhex("0603551d11"))
    assert twice != data
    with pytest.raises(InputError, match="breaks the rules for CSRs"):
        pki.read_csr(twice)


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_csr_that_was_damaged_anywhere_is_refused(cut: int) -> None:
    data = bytearray(made.csr(made.curve(), "-outform", "DER"))
    data[cut % len(data)] ^= 0x15
    with pytest.raises(InputError):
        pki.read_csr(bytes(data))


SUBJECT = {
    "country": "DE",
    "state": "Hessen",
    "locality": "Kassel",
    "organization": "Österreichische Post",
    "organizational_unit": "Mail",
    "common_name": NAME,
    "email": f"igor@{NAME}",
}


def test_every_field_of_a_subject_arrives_with_the_type_that_it_must_have() -> None:
    """RFC 5280 appendix A.1: the country a PrintableString, the e-mail address an IA5String, the others UTF8String."""
    key = load_pem_private_key(made.curve(), None)
    csr = pki.csr_builder([NAME, f"mail.{NAME}"], {**SUBJECT, "locality": "  "}).sign(key, hashes.SHA256())  # type: ignore[arg-type]
    data = csr.public_bytes(Encoding.PEM)
    types = "multiline,show_type,utf8,-esc_msb"
    said = made.openssl("req", "-noout", "-subject", "-nameopt", types, data=data).decode()
    assert re.findall(r"^ +(\w+) += (\w+):(.*)$", said, re.MULTILINE) == [
        ("countryName", "PRINTABLESTRING", "DE"),
        ("stateOrProvinceName", "UTF8STRING", "Hessen"),
        ("organizationName", "UTF8STRING", "Österreichische Post"),
        ("organizationalUnitName", "UTF8STRING", "Mail"),
        ("commonName", "UTF8STRING", NAME),
        ("emailAddress", "IA5STRING", f"igor@{NAME}"),
    ]
    text = made.openssl("req", "-noout", "-text", "-verify", data=data).decode()
    assert f"DNS:{NAME}, DNS:mail.{NAME}" in text
    assert "Extended Key Usage" not in text
    assert pki.read_csr(data).names == (NAME, f"mail.{NAME}")
    assert der.csr_spki(csr.public_bytes(Encoding.DER)) == made.spki(made.curve())


def test_a_subject_without_fields_is_empty() -> None:
    key = load_pem_private_key(made.curve(), None)
    csr = pki.csr_builder([NAME], {"organization": ""}).sign(key, hashes.SHA256())  # type: ignore[arg-type] # it can
    said = made.openssl("req", "-noout", "-subject", data=csr.public_bytes(Encoding.PEM)).decode()
    assert said.strip() == "subject="
