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

from danelaw.deploy import LocalHost
from danelaw.errors import Refused, StateCorrupt
from danelaw.model import CertificateSpec, Http01
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
        (lambda: chain_pem(chain_of("a.test")).encode(), "a certificate and no private key"),
        (lambda: rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "PUBLIC KEY"),
        (lambda: rsa_key().private_bytes(Encoding.DER, PKCS8, NoEncryption()), "looks like DER"),
        (lambda: pem(rsa_key()) + pem(ec_key()), "2 private keys"),
        (lambda: pem(rsa_key())[:-40], "cut off"),
        (lambda: pem(rsa_key())[:100] + pem(rsa_key())[200:], "cannot be read"),
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
