"""danelaw.pki: what is taken from certificates, keys and CSRs, and what is refused in words."""

import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID

from chains import HOST, NOW, Issued, issue, p256, rsa2048, spki, three
from danelaw import pki
from danelaw.errors import InputError
from danelaw.pki import der

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
NO_PASSWORD = serialization.NoEncryption()
FORMATS = serialization.PrivateFormat


def pem_of(*certificates: Issued) -> bytes:
    return b"".join(one.certificate.public_bytes(PEM) for one in certificates)


def csr_of(key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    return pki.csr_builder([HOST], {}).sign(key, hashes.SHA256())


# --- chains ----------------------------------------------------------------------------------------------------------


def test_a_chain_is_read_leaf_first_with_all_that_the_core_asks() -> None:
    leaf, intermediate, root = three()
    chain = pki.parse_chain(b"Bag Attributes\r\n" + pem_of(leaf, intermediate, root).replace(b"\n", b"\r\n"))
    assert chain.certificates_der == (leaf.der, intermediate.der, root.der)
    assert chain.leaf_sha256 == hashlib.sha256(leaf.der).hexdigest()
    assert chain.spki_der == leaf.spki_der
    assert chain.spki_sha256 == hashlib.sha256(leaf.spki_der).hexdigest()
    assert (chain.algorithm, chain.names) == ("ecdsa", (HOST,))
    assert (chain.not_before, chain.not_after) == (NOW - timedelta(days=1), NOW + timedelta(days=30))


def test_a_chain_survives_being_written_and_read() -> None:
    leaf, _, _ = three(key=rsa2048())
    chain = pki.chain_from_der(leaf.chain_der)
    assert pki.parse_chain(pki.chain_pem(chain)) == chain
    assert chain.algorithm == "rsa"
    assert pki.cert_pem(leaf.der).encode() == pem_of(leaf)


def test_certificates_in_a_combined_file_are_found_beside_the_key() -> None:
    leaf, _, _ = three()
    assert pki.parse_chain(leaf.key_pem + pem_of(leaf)).leaf_der == leaf.der


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "found nothing"),
        (b"   \n", "found nothing"),
        (b"no PEM here", "no -----BEGIN CERTIFICATE-----"),
        (p256().public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo), "no -----BEGIN CERT"),
        (pem_of(issue(HOST))[:-30], "cut off"),
        (b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate"),
        (b"x" * (1 << 20) + b"y", "at most 1 MiB"),
    ],
)
def test_what_is_no_chain_is_refused_in_words(text: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        pki.parse_chain(text)


def test_a_chain_that_we_were_given_must_be_sound_in_every_certificate() -> None:
    leaf, intermediate, _ = three()
    broken = pki.cert_pem(bytes(intermediate.der[:-1]))
    with pytest.raises(InputError, match="certificate 2 of the chain"):
        pki.parse_chain(pem_of(leaf) + broken.encode())


def test_a_presented_chain_keeps_what_follows_the_leaf_whatever_it_is() -> None:
    leaf, _, _ = three()
    chain = pki.chain_from_der([leaf.der, b"rubbish"])
    assert chain.certificates_der == (leaf.der, b"rubbish")


def test_a_presented_leaf_that_the_strict_parser_refuses_gives_what_can_be_known() -> None:
    leaf = issue(HOST)
    version_3 = bytes.fromhex("a003020102")
    assert leaf.der.count(version_3) == 1
    odd = leaf.der.replace(version_3, bytes.fromhex("a003020107"))  # X.509 version 8
    with pytest.raises(InputError, match="breaks the rules"):
        pki.parse_chain(pki.cert_pem(odd))
    chain = pki.chain_from_der([odd])
    assert chain.spki_der == leaf.spki_der
    assert chain.leaf_sha256 == hashlib.sha256(odd).hexdigest()
    assert (chain.not_after, chain.names) == (NOW + timedelta(days=30), ())


def test_a_presented_leaf_without_readable_dates_is_never_valid() -> None:
    leaf = issue(HOST)
    odd = leaf.der.replace(b"260531120000Z", b"261331120000Z")
    assert odd != leaf.der
    assert pki.chain_from_der([odd]).not_before.year == 1
    assert pki.is_valid_at(leaf.der, NOW)
    assert not pki.is_valid_at(odd, NOW)


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 2999])
def test_both_forms_of_dates_are_read(year: int) -> None:
    """RFC 5280 section 4.1.2.5: two digits until 2049, four from 2050 on."""
    begin = datetime(year, 7, 1, 12, 0, 1, tzinfo=UTC)
    chain = pki.chain_from_der([issue(HOST, at=begin, days=30).der])
    assert (chain.not_before, chain.not_after) == (begin - timedelta(days=1), begin + timedelta(days=30))


def test_a_san_that_cannot_be_read_is_not_replaced_by_the_common_name() -> None:
    key = p256()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"rubbish"), critical=False)
        .sign(key, hashes.SHA256())
    )
    assert pki.chain_from_der([certificate.public_bytes(DER)]).names == ()


@pytest.mark.parametrize(
    "presented", [[issue(HOST).der + b"x"], [], [b""], [b"\x30"], [b"rubbish"], [b"\x30\x84\xff\xff\xff\xff"]]
)
def test_a_presented_leaf_that_is_no_certificate_is_refused(presented: list[bytes]) -> None:
    with pytest.raises(InputError, match="certificate"):
        pki.chain_from_der(presented)


def test_an_endless_chain_is_refused() -> None:
    with pytest.raises(InputError, match="found 101 certificates"):
        pki.chain_from_der([issue(HOST).der] * 101)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["MAIL.Example.org", "mail.example.org", "*.example.org"], (HOST, "*.example.org")),
        ([], ("cn.example.org",)),  # the common name only where there is no DNS-ID
        (["other.example.org"], ("other.example.org",)),
    ],
)
def test_dns_names(names: list[str], expected: tuple[str, ...]) -> None:
    assert pki.chain_from_der([issue("CN.example.org", names=names).der]).names == expected


def test_a_common_name_that_is_a_title_is_no_name() -> None:
    assert pki.chain_from_der([issue("Example Mail Server", names=[]).der]).names == ()


def test_the_spki_is_the_bytes_that_were_signed_even_of_a_key_that_would_be_encoded_otherwise() -> None:
    """A compressed point: parsed and written again it would be uncompressed, and every digest another one."""
    key = p256()
    compressed = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    head = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    odd_spki = (
        bytes([0x30, len(head) + 2 + 1 + len(compressed)]) + head + bytes([3, len(compressed) + 1, 0]) + compressed
    )
    whole = issue(HOST, key=key)
    outer = der.children(der.sequence(whole.der))
    fields = [field.der for field in der.children(outer[0])]
    assert fields[6] == whole.spki_der
    fields[6] = odd_spki
    tbs = b"".join(fields)
    tbs = b"\x30\x82" + len(tbs).to_bytes(2, "big") + tbs
    body = tbs + outer[1].der + outer[2].der
    odd = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    assert pki.spki_of_certificate(odd) == odd_spki
    assert pki.chain_from_der([odd]).spki_sha256 == hashlib.sha256(odd_spki).hexdigest()


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa2048, "rsa"),
        (lambda: rsa.generate_private_key(65537, 3072), "rsa"),
        (p256, "ecdsa"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ecdsa"),
    ],
)
def test_keys_that_are_taken(key: Callable[[], rsa.RSAPrivateKey], algorithm: str) -> None:
    assert pki.check_public_key(spki(key())) == algorithm


# A modulus of 8192 bits is made up, since making a key of that size takes a minute.
RSA_8192 = rsa.RSAPublicNumbers(65537, (1 << 8191) + 1).public_key()


@pytest.mark.parametrize(
    ("spki_der", "found"),
    [
        (spki(rsa.generate_private_key(65537, 1024)), "RSA key of 1024 bits"),  # noqa: S505  (weak on purpose)
        (RSA_8192.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo), "RSA key of 8192 bits"),
        (spki(ec.generate_private_key(ec.SECP521R1())), "secp521r1"),
        (spki(ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (spki(ed25519.Ed25519PrivateKey.generate()), "Ed25519 key"),
        (
            ed448.Ed448PrivateKey.generate()
            .public_key()
            .public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo),
            "Ed448 key",
        ),
        (
            x25519.X25519PrivateKey.generate()
            .public_key()
            .public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo),
            "X25519 key",
        ),
        (spki(dsa.generate_private_key(1024)), "DSA key"),  # noqa: S505  (weak on purpose)
        (b"", "not a public key"),
        (b"rubbish", "not a public key"),
    ],
)
def test_keys_that_are_refused_say_what_was_found_and_what_is_accepted(spki_der: bytes, found: str) -> None:
    with pytest.raises(InputError, match=f"found .*{found}.*P-256 and P-384 are accepted"):
        pki.check_public_key(spki_der)


def test_an_rsassa_pss_key_is_refused_and_still_rsa_where_it_is_presented() -> None:
    openssl = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"],
        check=True,
        capture_output=True,
    )
    public = subprocess.run(
        ["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
        input=openssl.stdout,
        check=True,
        capture_output=True,
    )
    with pytest.raises(InputError, match="RSASSA-PSS"):
        pki.check_public_key(public.stdout)
    argv = ["openssl", "req", "-new", "-x509", "-key", "/dev/stdin", "-keyform", "DER", "-subj", f"/CN={HOST}"]
    certificate = subprocess.run([*argv, "-outform", "DER"], input=openssl.stdout, check=True, capture_output=True)
    chain = pki.chain_from_der([certificate.stdout])
    assert (chain.algorithm, chain.spki_der) == ("rsa", public.stdout)


# --- sources ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_source_is_recognised() -> None:
    leaf, intermediate, _ = three()
    key = leaf.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public, csr = key.public_key(), csr_of(key)
    public_format = serialization.PublicFormat.SubjectPublicKeyInfo
    cases: list[tuple[bytes, str]] = [
        (leaf.der, "certificate"),
        (pem_of(leaf), "certificate"),
        (pem_of(leaf, intermediate), "chain"),
        (leaf.key_pem + pem_of(leaf, intermediate), "chain"),
        (csr.public_bytes(PEM), "CSR"),
        (csr.public_bytes(DER), "CSR"),
        (public.public_bytes(PEM, public_format), "public key"),
        (public.public_bytes(DER, public_format), "public key"),
        (key.private_bytes(PEM, FORMATS.PKCS8, NO_PASSWORD), "private key"),
        (key.private_bytes(PEM, FORMATS.TraditionalOpenSSL, NO_PASSWORD), "private key"),
        (key.private_bytes(DER, FORMATS.PKCS8, NO_PASSWORD), "private key"),
        (key.private_bytes(DER, FORMATS.TraditionalOpenSSL, NO_PASSWORD), "private key"),
    ]
    for data, kind in cases:
        source = pki.load_source(data)
        assert (source.kind, source.spki_der) == (kind, leaf.spki_der)
        assert (source.chain is not None) == (kind in {"certificate", "chain"})


def test_an_rsa_key_in_its_old_form_is_recognised() -> None:
    data = rsa2048().private_bytes(PEM, FORMATS.TraditionalOpenSSL, NO_PASSWORD)
    assert b"BEGIN RSA PRIVATE KEY" in data
    assert pki.load_source(data).spki_der == spki(rsa2048())


@pytest.mark.parametrize("form", [FORMATS.PKCS8, FORMATS.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_with_a_way_out(form: serialization.PrivateFormat) -> None:
    data = p256().private_bytes(PEM, form, serialization.BestAvailableEncryption(b"secret"))
    with pytest.raises(InputError, match=r"encrypted.*-pubout"):
        pki.load_source(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "found nothing"),
        (b"hello", "neither PEM nor DER"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "found PEM of X509 CRL"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "not a CSR"),
        (b"\x30\x03\x02\x01\x05", "cannot be read"),
    ],
)
def test_a_source_that_is_nothing_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        pki.load_source(data)


def test_no_error_shows_any_of_a_broken_private_key() -> None:
    data = p256().private_bytes(PEM, FORMATS.PKCS8, NO_PASSWORD)
    lines = data.splitlines()
    secret = lines[1][8:40]
    for broken in (data.replace(secret, secret[::-1]), data.replace(lines[2], b"!"), data[:-20]):
        with pytest.raises(InputError) as caught:
            pki.load_source(broken)
        assert secret.decode() not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_spki_of_csr_and_public_key() -> None:
    key = p256()
    csr = csr_of(key)
    assert pki.spki_of_csr(csr.public_bytes(DER)) == pki.spki_of_csr(csr.public_bytes(PEM)) == spki(key)
    assert pki.spki_of_public_key(spki(key)) == spki(key)
    for wrong in (spki(key), b"", issue(HOST).der[:40]):
        with pytest.raises(InputError):
            pki.spki_of_csr(wrong)
    with pytest.raises(InputError, match="not a public key"):
        pki.spki_of_public_key(csr.public_bytes(DER))


# --- CSR contents ----------------------------------------------------------------------------------------------------


def test_a_csr_has_every_name_as_san_and_no_eku() -> None:
    csr = pki.csr_builder([HOST, "www.example.org", HOST], {}).sign(p256(), hashes.SHA256())
    assert [extension.oid for extension in csr.extensions] == [x509.SubjectAlternativeName.oid]
    san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert san.value.get_values_for_type(x509.DNSName) == [HOST, "www.example.org"]
    assert san.critical
    assert not list(csr.subject)


def test_the_subject_has_the_fields_that_were_given_and_no_empty_one() -> None:
    subject = {
        "common_name": HOST,
        "email": "igor@example.org",
        "organization": "  ",
        "organizational_unit": "",
        "country": "DE",
        "state": "Hessen",
        "locality": "Kassel",
    }
    csr = pki.csr_builder([HOST], subject).sign(p256(), hashes.SHA256())
    assert {attribute.oid: attribute.value for attribute in csr.subject} == {
        NameOID.COMMON_NAME: HOST,
        NameOID.EMAIL_ADDRESS: "igor@example.org",
        NameOID.COUNTRY_NAME: "DE",
        NameOID.STATE_OR_PROVINCE_NAME: "Hessen",
        NameOID.LOCALITY_NAME: "Kassel",
    }


def test_the_names_of_a_csr_are_read_back() -> None:
    csr = pki.csr_builder([HOST, "www.example.org"], {}).sign(p256(), hashes.SHA256())
    assert pki.csr_names(csr.public_bytes(DER)) == (HOST, "www.example.org")
    assert pki.csr_names(b"rubbish") == ()


@pytest.mark.parametrize(
    ("names", "subject", "says"),
    [
        ([], {}, "no names"),
        ([HOST], {"colour": "red"}, "'colour'; expected one of country"),
        ([HOST], {"country": "Germany"}, "'Germany' as subject field country"),
        ([HOST], {"common_name": "x" * 65}, "subject field common_name"),
        (["münchen.example"], {}, "A-labels"),
    ],
)
def test_a_csr_that_cannot_be_is_refused(names: list[str], subject: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        pki.csr_builder(names, subject)


# --- paths -----------------------------------------------------------------------------------------------------------


def test_issuers_are_found_in_any_order_and_among_strangers() -> None:
    leaf, intermediate, root = three()
    stranger = issue("Stranger", ca=True)
    presented = [leaf.der, root.der, stranger.der, b"rubbish", intermediate.der, leaf.der]
    assert pki.issuers(presented) == (intermediate.der, root.der)


def test_a_namesake_with_another_key_is_no_issuer() -> None:
    leaf, _, _ = three()
    namesake = issue("Intermediate", ca=True)
    assert pki.issuers([leaf.der, namesake.der]) == ()
    assert not pki.is_issued_by(leaf.der, namesake.der)


def test_a_certificate_that_is_no_ca_issues_nothing() -> None:
    not_a_ca = issue("Intermediate")
    leaf = issue(HOST, not_a_ca)
    assert pki.is_issued_by(leaf.der, not_a_ca.der)
    assert pki.issuers(leaf.chain_der) == ()


def usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.mark.parametrize("may", [True, False])
def test_key_usage_decides_whether_a_ca_may_sign(may: bool) -> None:  # noqa: FBT001  (the parameter of the table)
    ca = issue("CA", ca=True, key_usage=usage(key_cert_sign=may))
    assert pki.issuers(issue(HOST, ca).chain_der) == ((ca.der,) if may else ())


def test_path_length_is_obeyed() -> None:
    root = issue("Root", ca=True, path_length=0)
    allowed = issue(HOST, root)
    assert pki.issuers(allowed.chain_der) == (root.der,)
    intermediate = issue("Intermediate", root, ca=True)
    too_deep = issue(HOST, intermediate)
    assert pki.issuers(too_deep.chain_der) == (intermediate.der,)


@pytest.mark.parametrize(
    ("permitted", "excluded", "allowed"),
    [
        (["example.org"], None, True),
        ([".example.org"], None, True),
        (["mail.example.org"], None, True),
        (["example.com"], None, False),
        (["ample.org"], None, False),
        (None, ["example.com"], True),
        (None, ["example.org"], False),
        (["org"], ["mail.example.org"], False),
    ],
)
def test_name_constraints_are_obeyed(permitted: list[str] | None, excluded: list[str] | None, allowed: bool) -> None:  # noqa: FBT001  (the parameter of the table)
    constraints = x509.NameConstraints(
        [x509.DNSName(name) for name in permitted] if permitted else None,
        [x509.DNSName(name) for name in excluded] if excluded else None,
    )
    ca = issue("CA", ca=True, constraints=constraints)
    assert pki.issuers(issue(HOST, ca).chain_der, [HOST]) == ((ca.der,) if allowed else ())


def test_dates_count_only_where_an_instant_is_given() -> None:
    root = issue("Root", ca=True, days=10)
    leaf = issue(HOST, root, days=20)
    for days, found in ((-2, ()), (5, (root.der,)), (15, ()), (25, ())):
        assert pki.issuers(leaf.chain_der, now=NOW + timedelta(days=days)) == found
    assert pki.issuers(leaf.chain_der) == (root.der,)
    brief = issue(HOST, root, days=2)
    assert pki.issuers(brief.chain_der, now=NOW + timedelta(days=1)) == (root.der,)
    assert pki.issuers(brief.chain_der, now=NOW + timedelta(days=5)) == ()


def test_every_name_of_the_leaf_must_be_permitted() -> None:
    ca = issue("CA", ca=True, constraints=x509.NameConstraints([x509.DNSName("example.org")], None))
    both = [HOST, "other.example.com"]
    assert pki.issuers(issue(HOST, ca, names=both).chain_der, both) == ()


@pytest.mark.parametrize("key", [p256, rsa2048, ed25519.Ed25519PrivateKey.generate])
def test_a_bare_key_is_known_by_its_signature(key: Callable[[], rsa.RSAPrivateKey]) -> None:
    ca = issue("CA", ca=True, key=key())
    leaf = issue(HOST, ca)
    assert pki.is_signed_by(leaf.der, ca.spki_der)
    assert not pki.is_signed_by(leaf.der, spki(p256()))
    assert not pki.is_signed_by(leaf.der, b"rubbish")
    assert not pki.is_signed_by(b"rubbish", ca.spki_der)
