"""Keys: adopted or made, never lost, never written over, never open to the world."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from danelaw.acme.account import account_folder, load_or_make_key
from danelaw.deploy import LocalHost
from danelaw.errors import Refused, StateCorrupt
from danelaw.model import CertificateSpec, Http01, ReadyCsr
from danelaw.pki import chain_pem
from local_state import NOW, StandingClock, chain_of

SPEC = CertificateSpec("example", ("example.test", "mail.example.test"), "le", Http01(webroots=("/w",)))
PKCS8, TRADITIONAL = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def pem(
    key: PrivateKeyTypes,
    shape: PrivateFormat = PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, shape, encryption or NoEncryption())


def spki(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def host(state: Path) -> LocalHost:
    return LocalHost(str(state), "h", StandingClock())


def key_file(tmp_path: Path, content: bytes, mode: int = 0o600) -> CertificateSpec:
    path = tmp_path / "live.key"
    path.write_bytes(content)
    path.chmod(mode)
    return replace(SPEC, key=str(path))


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: pem(rsa_key(), PKCS8), "rsa"),
        (lambda: pem(rsa_key(), TRADITIONAL), "rsa"),
        (lambda: pem(rsa_key(3072), PKCS8), "rsa"),
        (lambda: pem(ec_key(), PKCS8), "ecdsa"),
        (lambda: pem(ec_key(), TRADITIONAL), "ecdsa"),
        (lambda: pem(ec_key(ec.SECP384R1), TRADITIONAL), "ecdsa"),
        (lambda: pem(rsa_key()).replace(b"\n", b"\r\n"), "rsa"),
        (lambda: chain_pem(chain_of("a.test")).encode() + pem(ec_key()), "ecdsa"),
        # openssl ecparam -genkey writes the curve first
        (
            lambda: b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem(ec_key()),
            "ecdsa",
        ),
    ],
)
def test_an_accepted_key_is_adopted(
    host: LocalHost, state: Path, tmp_path: Path, make: Callable[[], bytes], algorithm: str
) -> None:
    spec = key_file(tmp_path, make())
    fact = host.take_key(spec)
    stored = Path(fact.path)
    assert stored == state / "keys" / f"{fact.spki_sha256}.pem"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(state.stat().st_mode) == 0o711
    private = load_pem_private_key(stored.read_bytes(), None)
    assert spki(private) == fact.spki_der
    assert hashlib.sha256(fact.spki_der).hexdigest() == fact.spki_sha256
    assert (fact.algorithm, fact.origin, fact.host, fact.certificate) == (algorithm, "adopted", "h", "example")
    assert b"CERTIFICATE" not in stored.read_bytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pem(rsa_key(), PKCS8, BestAvailableEncryption(b"x")), "with a password"),
        (lambda: pem(rsa_key(), TRADITIONAL, BestAvailableEncryption(b"x")), "with a password"),
        (lambda: pem(ec_key(), TRADITIONAL, BestAvailableEncryption(b"x")), "with a password"),
        (lambda: pem(rsa_key(1024)), "1024 bits"),
        (lambda: pem(ec_key(ec.SECP521R1)), "secp521r1"),
        (lambda: pem(ed25519.Ed25519PrivateKey.generate()), "found"),
        (lambda: pem(dsa.generate_private_key(2048), TRADITIONAL), "found"),
        (lambda: chain_pem(chain_of("a.test")).encode(), "found a certificate; expected one private key"),
        (lambda: rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "a public key"),
        (lambda: rsa_key().private_bytes(Encoding.DER, PKCS8, NoEncryption()), "looks like DER"),
        (lambda: pem(rsa_key()) + pem(ec_key()), "2 private keys"),
        (lambda: pem(rsa_key())[:-40], "cut off"),
        (lambda: pem(rsa_key()).replace(b"MII", b"MIJ", 1), "cannot be read"),
        (lambda: b"", "an empty file"),
        (lambda: b"hello", "no PEM"),
        (lambda: b"x" * 100_000, "more than 65536 bytes"),
    ],
)
def test_another_file_is_refused_in_words_that_quote_no_key(
    host: LocalHost, state: Path, tmp_path: Path, make: Callable[[], bytes], words: str
) -> None:
    content = make()
    spec = key_file(tmp_path, content)
    for ask in (host.peek_key, host.take_key):
        with pytest.raises(Refused, match=words) as refused:
            ask(spec)
        assert str(tmp_path / "live.key") in str(refused.value)
        assert not any(line in str(refused.value) for line in content.decode("latin-1").split("\n") if len(line) > 30)
    assert not state.exists()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_key_that_the_world_can_read_or_change_is_refused(host: LocalHost, tmp_path: Path, mode: int) -> None:
    with pytest.raises(Refused, match=f"mode {mode:04o}"):
        host.take_key(key_file(tmp_path, pem(ec_key()), mode))
    assert host.take_key(key_file(tmp_path, pem(ec_key()), 0o640))


def test_what_is_no_file_is_refused(host: LocalHost, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name, words in (("missing", "not found"), ("fifo", "device, socket or pipe"), ("folder", "a folder")):
        with pytest.raises(Refused, match=words):
            host.take_key(replace(SPEC, key=str(tmp_path / name)))


def test_adoption_is_idempotent_and_does_not_follow_a_later_change(host: LocalHost, tmp_path: Path) -> None:
    spec = key_file(tmp_path, pem(ec_key()))
    peeked = host.peek_key(spec)
    first = host.take_key(spec)
    assert peeked == first == host.take_key(spec) == host.peek_key(spec)
    assert first.made_at == NOW
    before = Path(first.path).read_bytes()
    second = host.take_key(key_file(tmp_path, pem(rsa_key())))
    assert second.spki_sha256 != first.spki_sha256
    assert Path(first.path).read_bytes() == before


def test_a_key_file_is_never_written_over(host: LocalHost, tmp_path: Path) -> None:
    spec = key_file(tmp_path, pem(ec_key()))
    stored = Path(host.take_key(spec).path)
    stored.write_bytes(pem(rsa_key()))
    with pytest.raises(StateCorrupt, match="another key than its name says"):
        host.take_key(spec)
    assert stored.read_bytes() == pem(rsa_key())


@pytest.mark.parametrize("key_type", ["p256", "p384", "rsa2048", "rsa3072"])
def test_a_key_is_made_once(host: LocalHost, state: Path, key_type: str) -> None:
    spec = replace(SPEC, key_type=key_type)  # type: ignore[arg-type] # the parameter is one of them
    assert host.peek_key(spec) is None
    assert not state.exists()
    fact = host.take_key(spec)
    private = load_pem_private_key(Path(fact.path).read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    assert private.key_size == int(key_type.removeprefix("rsa").removeprefix("p"))
    assert stat.S_IMODE(Path(fact.path).stat().st_mode) == 0o600
    assert (fact.origin, fact.made_at) == ("made", NOW)
    again = LocalHost(str(state), "h", StandingClock(NOW.replace(year=2030)))
    assert again.take_key(spec) == again.peek_key(spec) == fact
    assert again.take_key(replace(spec, name="another")).spki_sha256 != fact.spki_sha256


def test_a_made_key_that_is_gone_is_not_silently_replaced(host: LocalHost) -> None:
    fact = host.take_key(SPEC)
    Path(fact.path).unlink()
    for ask in (host.peek_key, host.take_key):
        with pytest.raises(StateCorrupt, match="backup"):
            ask(SPEC)


def test_a_csr_is_signed_over_the_key_with_all_names(host: LocalHost) -> None:
    spec = replace(SPEC, subject={"common_name": "example.test"})
    fact = host.take_key(spec)
    csr = x509.load_der_x509_csr(host.csr(fact, spec))
    assert csr.is_signature_valid
    assert isinstance(csr.signature_hash_algorithm, SHA256)
    assert csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == fact.spki_der
    san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == list(spec.names)


def test_a_csr_over_a_key_that_is_gone_or_another(host: LocalHost) -> None:
    fact = host.take_key(SPEC)
    Path(fact.path).write_bytes(pem(rsa_key()))
    with pytest.raises(StateCorrupt, match="another key"):
        host.csr(fact, SPEC)
    Path(fact.path).unlink()
    with pytest.raises(StateCorrupt, match="gone"):
        host.csr(fact, SPEC)


def test_a_state_folder_that_services_could_not_pass_is_opened_that_far(host: LocalHost, state: Path) -> None:
    state.mkdir(mode=0o700)
    host.take_key(SPEC)
    assert stat.S_IMODE(state.stat().st_mode) == 0o711


# --- a key with a password -------------------------------------------------------------------------------------------


def password_file(
    tmp_path: Path, spec: CertificateSpec, content: bytes = b"secret\n", mode: int = 0o600
) -> CertificateSpec:
    path = tmp_path / "key.pass"
    path.write_bytes(content)
    path.chmod(mode)
    return replace(spec, key_password_file=str(path))


LOCKED = BestAvailableEncryption(b"secret")


@pytest.mark.parametrize("shape", [PKCS8, TRADITIONAL])
def test_a_key_with_a_password_is_adopted_and_its_copy_has_none(
    host: LocalHost, tmp_path: Path, shape: PrivateFormat
) -> None:
    spec = password_file(tmp_path, key_file(tmp_path, pem(rsa_key(), shape, LOCKED)))
    peeked = host.peek_key(spec)
    fact = host.take_key(spec)
    assert peeked == fact == host.take_key(spec) == host.peek_key(spec)
    assert (fact.origin, fact.spki_der) == ("adopted", spki(rsa_key()))
    stored = Path(fact.path)
    assert spki(load_pem_private_key(stored.read_bytes(), None)) == fact.spki_der
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert x509.load_der_x509_csr(host.csr(fact, spec)).is_signature_valid
    assert host.key_warnings(spec) == []


def test_the_adopted_copy_outlives_the_password(host: LocalHost, tmp_path: Path) -> None:
    spec = password_file(tmp_path, key_file(tmp_path, pem(ec_key(), PKCS8, LOCKED)))
    fact = host.take_key(spec)
    password_file(tmp_path, spec, b"forgotten")
    with pytest.raises(Refused, match="does not open"):
        host.peek_key(spec)
    assert x509.load_der_x509_csr(host.csr(fact, spec)).is_signature_valid


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"wrong\n", 0o600, "live.key: found a key that the password in key_password_file does not open"),
        (b"secret\n\n", 0o600, "key.pass: found 2 lines, 7 bytes; expected a password on one line"),
        (b"", 0o600, "key.pass: found nothing; expected a password on one line"),
        (b"secret\n", 0o644, r"key.pass: the whole world can read or change it \(mode 0644\)"),
        (b"secret\n" + bytes(4000), 0o600, "key.pass: found more than"),
    ],
)
def test_a_password_that_does_not_open_it_is_refused_and_not_shown(
    host: LocalHost, state: Path, tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    spec = password_file(tmp_path, key_file(tmp_path, pem(ec_key(), PKCS8, LOCKED)), content, mode)
    for ask in (host.peek_key, host.take_key):
        with pytest.raises(Refused, match=words) as refused:
            ask(spec)
        assert not any(word in str(refused.value) for word in ("secret", "wrong"))
    assert not state.exists()


def test_a_password_file_that_is_gone_is_named(host: LocalHost, tmp_path: Path) -> None:
    spec = replace(key_file(tmp_path, pem(ec_key(), PKCS8, LOCKED)), key_password_file=str(tmp_path / "none"))
    with pytest.raises(Refused, match="none: not found; expected the file of the key's password"):
        host.take_key(spec)


def test_a_password_that_nobody_needs_is_a_warning(host: LocalHost, tmp_path: Path) -> None:
    spec = password_file(tmp_path, key_file(tmp_path, pem(ec_key())))
    assert host.take_key(spec).origin == "adopted"
    assert host.key_warnings(spec) == [f"{spec.key} has no password; take key_password_file out of the config"]
    assert host.key_warnings(replace(spec, key_password_file=None)) == []
    assert host.key_warnings(replace(spec, key=str(tmp_path / "none"))) == []  # peek says what is wrong


# --- a ready CSR -----------------------------------------------------------------------------------------------------


def ready(tmp_path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> ReadyCsr:
    """Return a CSR of somebody else's making: its subject is none of ours."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SPEC.names[0])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    san = x509.SubjectAlternativeName([x509.DNSName(SPEC.names[1])])
    csr = builder.add_extension(san, critical=False).sign(key, SHA256())
    return ReadyCsr(str(tmp_path / "a.csr"), csr.public_bytes(Encoding.DER), spki(key))


def test_a_ready_csr_over_the_key_is_given_byte_for_byte(host: LocalHost, tmp_path: Path) -> None:
    spec = replace(key_file(tmp_path, pem(ec_key())), csr=ready(tmp_path, ec_key()))
    fact = host.take_key(spec)
    assert (fact, fact.origin) == (host.peek_key(spec), "adopted")
    assert spec.csr is not None
    assert host.csr(fact, spec) == spec.csr.csr_der
    assert Path(fact.path).exists()


def test_a_ready_csr_over_another_key_is_refused_with_both_keys_named(
    host: LocalHost, state: Path, tmp_path: Path
) -> None:
    spec = replace(key_file(tmp_path, pem(ec_key())), csr=ready(tmp_path, rsa_key()))
    ours, others = (hashlib.sha256(spki(key)).hexdigest()[:16] for key in (ec_key(), rsa_key()))
    for ask in (host.peek_key, host.take_key):
        with pytest.raises(
            Refused, match=rf"a.csr: found a CSR over another key \({others}…\) than .*live.key \({ours}…"
        ):
            ask(spec)
    assert not state.exists()


def test_a_csr_that_changes_over_the_same_key_is_followed_and_one_over_another_is_refused(
    host: LocalHost, tmp_path: Path
) -> None:
    spec = replace(key_file(tmp_path, pem(rsa_key())), csr=ready(tmp_path, rsa_key()))
    fact = host.take_key(spec)
    again = ready(tmp_path, rsa_key())
    assert host.csr(fact, replace(spec, csr=again)) == again.csr_der
    with pytest.raises(Refused, match=r"a.csr: found a CSR over another key .* than the one in use"):
        host.csr(fact, replace(spec, csr=ready(tmp_path, ec_key())))


def test_of_a_csr_without_its_key_the_public_half_is_known(host: LocalHost, state: Path, tmp_path: Path) -> None:
    spec = replace(SPEC, csr=ready(tmp_path, ec_key()))
    assert spec.csr is not None
    fact = host.take_key(spec)
    assert (fact, fact.origin, fact.algorithm) == (host.peek_key(spec), "elsewhere", "ecdsa")
    assert fact.spki_der == spki(ec_key())
    assert host.csr(fact, spec) == spec.csr.csr_der
    assert not state.exists()  # there is nothing to keep
    with pytest.raises(Refused, match=r"example: its key \(.*…\) is kept elsewhere, .* name a CSR over it as csr"):
        host.csr(fact, SPEC)


def test_a_key_that_was_elsewhere_may_come_here(host: LocalHost, tmp_path: Path) -> None:
    csr = ready(tmp_path, ec_key())
    fact = host.take_key(replace(SPEC, csr=csr))
    here = host.take_key(replace(key_file(tmp_path, pem(ec_key())), csr=csr))
    assert (here.origin, here.spki_sha256) == ("adopted", fact.spki_sha256)
    assert x509.load_der_x509_csr(host.csr(fact, SPEC)).is_signature_valid


# --- the ACME account's key ------------------------------------------------------------------------------------------


def test_the_key_of_an_acme_account_is_refused_and_another_one_beside_it_is_not(
    host: LocalHost, state: Path, tmp_path: Path
) -> None:
    """RFC 8555 section 11.1: of any account of ours, by its content, wherever the file is that the config names."""
    account = load_or_make_key(account_folder(str(state), "https://ca.test/dir"))
    (state / "accounts" / "broken").mkdir()
    (state / "accounts" / "broken" / "account.pem").write_bytes(b"no key")
    assert isinstance(account, ec.EllipticCurvePrivateKey)
    for spec in (key_file(tmp_path, pem(account)), replace(SPEC, csr=ready(tmp_path, account))):
        for ask in (host.peek_key, host.take_key):
            with pytest.raises(Refused, match=r"found the key of our ACME account .* name another one, or none"):
                ask(spec)
    assert host.take_key(key_file(tmp_path, pem(ec_key()))).origin == "adopted"
