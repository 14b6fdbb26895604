"""Next keys: made once, found again by a run that follows a killed one, or the public half of one kept elsewhere."""

import resource
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from chains import p256, rsa2048
from danelaw.acme.account import account_folder, load_or_make_key
from danelaw.deploy import LocalHost
from danelaw.errors import Refused, RetryLater
from danelaw.model import CertificateSpec, Deployment, FileSpec, Http01, SpareKey
from local_state import NOW, StandingClock, chain_of

SPEC = CertificateSpec("example", ("example.test", "mail.example.test"), "le", Http01(webroots=("/w",)))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def host(state: Path) -> LocalHost:
    return LocalHost(str(state), "h", StandingClock())


def spki(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("key_type", ["p256", "p384", "rsa2048", "rsa3072"])
def test_a_next_key_is_made_once_beside_the_first(host: LocalHost, state: Path, key_type: str) -> None:
    spec = replace(SPEC, key_type=key_type)  # type: ignore[arg-type] # the parameter is one of them
    first = host.take_key(spec)
    key = host.take_next_key(spec, [first])
    stored = Path(key.path)
    private = load_pem_private_key(stored.read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    assert private.key_size == int(key_type.removeprefix("rsa").removeprefix("p"))
    assert (spki(private), key.spki_sha256) == (key.spki_der, stored.stem)
    assert (key.origin, key.certificate, key.made_at, key.current_since) == ("made", "example", NOW, None)
    assert (stat.S_IMODE(stored.stat().st_mode), stored.parent) == (0o600, state / "keys")
    assert host.take_key(spec) == first
    assert key.spki_sha256 != first.spki_sha256
    again = LocalHost(str(state), "h", StandingClock(NOW.replace(year=2030)))
    assert again.take_next_key(spec, [first]) == key
    assert len(list((state / "keys").glob("*.pem"))) == 2


def test_the_first_key_is_current_since_it_was_made(host: LocalHost, tmp_path: Path) -> None:
    assert host.take_key(SPEC).current_since == NOW
    path = tmp_path / "live.key"
    path.touch(mode=0o600)
    path.write_bytes(p256().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    spec = replace(SPEC, name="another", key=str(path))
    assert (host.take_key(spec).current_since, host.take_key(spec)) == (NOW, host.peek_key(spec))


def test_a_key_that_the_store_knows_is_not_the_next_one_again(host: LocalHost, state: Path) -> None:
    known = [host.take_key(SPEC)]
    for _ in range(3):
        key = host.take_next_key(SPEC, known)
        assert key not in known
        assert host.take_next_key(SPEC, known) == key
        known.append(key)
    assert {path.stem for path in (state / "keys").glob("*.pem")} == {key.spki_sha256 for key in known}
    assert len([path for path in (state / "keys").iterdir() if path.is_symlink()]) == 2
    assert all(host.csr(key, SPEC) for key in known)


def test_of_two_certificates_each_has_its_own(host: LocalHost) -> None:
    other = replace(SPEC, name="another")
    key = host.take_next_key(SPEC, [])
    assert host.take_next_key(other, []) != key
    assert host.take_next_key(SPEC, []) == key


def test_what_is_served_with_a_next_key_is_over_it(host: LocalHost, tmp_path: Path) -> None:
    first = host.take_key(SPEC)
    key = host.take_next_key(SPEC, [first])
    csr = x509.load_der_x509_csr(host.csr(key, SPEC))
    assert csr.is_signature_valid
    assert csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.spki_der
    deployment = Deployment("example", (FileSpec(str(tmp_path / "all.pem"), ("cert", "key")),), ())
    generation = host.stage(deployment, 1, chain_of("example.test", key.spki_der), key)
    host.activate(deployment, generation)
    assert Path(key.path).read_bytes() in (tmp_path / "all.pem").read_bytes()


def test_one_of_another_type_that_nobody_heard_of_is_passed_over_and_kept(host: LocalHost, state: Path) -> None:
    first = host.take_key(SPEC)
    unheard = host.take_next_key(SPEC, [first])
    wanted = replace(SPEC, key_type="rsa2048")
    key = host.take_next_key(wanted, [first])
    assert (key.algorithm, host.take_next_key(wanted, [first])) == ("rsa", key)
    assert Path(unheard.path).exists()
    assert len(list((state / "keys").glob("*.pem"))) == 3


def test_a_damaged_key_that_nobody_heard_of_is_refused_and_a_known_one_is_in_nobodys_way(host: LocalHost) -> None:
    key = host.take_next_key(SPEC, [])
    Path(key.path).write_bytes(b"half a key")
    with pytest.raises(Refused, match=r"next-[0-9a-f]{32}: found no PEM") as refused:
        host.take_next_key(SPEC, [])
    assert "half a key" not in str(refused.value)
    assert host.take_next_key(SPEC, [key]) != key


def test_a_known_key_that_is_gone_is_in_nobodys_way(host: LocalHost) -> None:
    key = host.take_next_key(SPEC, [])
    Path(key.path).unlink()
    assert host.take_next_key(SPEC, [key]) != key


def test_a_process_that_can_open_nothing_tries_later(host: LocalHost, state: Path) -> None:
    (state / "keys").mkdir(parents=True)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(RetryLater, match="too many open files"):
            host.take_next_key(SPEC, [])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert host.take_next_key(SPEC, []).origin == "made"


# --- one that is kept elsewhere ---------------------------------------------------------------------------------------


def spare(key: PrivateKeyTypes) -> CertificateSpec:
    return replace(SPEC, spare=SpareKey("/etc/spare.pem", spki(key)))


@pytest.mark.parametrize("make", [p256, lambda: ec.generate_private_key(ec.SECP384R1()), rsa2048])
def test_a_public_half_is_taken_and_nothing_is_kept(
    host: LocalHost, state: Path, make: Callable[[], PrivateKeyTypes]
) -> None:
    spec = spare(make())
    assert spec.spare is not None
    key = host.take_next_key(spec, [])
    assert (key.spki_der, key.origin, key.current_since) == (spec.spare.spki_der, "elsewhere", None)
    assert not state.exists()
    later = replace(key, made_at=NOW.replace(year=2020))
    assert host.take_next_key(spec, [later]) == later  # what is known of it stays
    with pytest.raises(Refused, match=r"example: its key \(.*…\) is kept elsewhere"):
        host.csr(key, SPEC)
    with pytest.raises(Refused, match=r"example: its key \(.*…\) is kept elsewhere, so danelaw cannot sign by it"):
        host.sign(key)


def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rsa_key(1024), "/etc/spare.pem: found an RSA key of 1024 bits"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "/etc/spare.pem: found an elliptic curve key on secp521r1"),
        (ed25519.Ed25519PrivateKey.generate, "/etc/spare.pem: found an Ed25519 key"),
    ],
)
def test_a_weak_public_half_is_refused(host: LocalHost, make: Callable[[], PrivateKeyTypes], words: str) -> None:
    with pytest.raises(Refused, match=words):
        host.take_next_key(spare(make()), [])


def test_a_public_half_of_a_key_that_is_or_was_in_use_is_refused(host: LocalHost) -> None:
    key = p256()
    waiting = host.take_next_key(spare(key), [])
    for row, words in (
        (replace(waiting, current_since=NOW), "found the key that example has or had"),
        (replace(waiting, archived_at=NOW), "found the key that example has or had"),
        (replace(waiting, compromised_at=NOW), "found a key that is compromised or destroyed"),
        (replace(waiting, current_since=NOW, destroyed_at=NOW), "found a key that is compromised or destroyed"),
    ):
        with pytest.raises(Refused, match=words):
            host.take_next_key(spare(key), [row])
        assert host.take_next_key(spare(p256()), [row]).origin == "elsewhere"


def test_the_public_half_of_an_acme_accounts_key_is_refused(host: LocalHost, state: Path) -> None:
    """RFC 8555 section 11.1."""
    account = load_or_make_key(account_folder(str(state), "https://ca.test/dir"))
    with pytest.raises(Refused, match=r"/etc/spare.pem: found the key of our ACME account"):
        host.take_next_key(spare(account), [])


def test_a_spare_key_that_comes_here_is_adopted_and_signs(host: LocalHost, tmp_path: Path) -> None:
    private = p256()
    known = host.take_next_key(spare(private), [])
    path = tmp_path / "spare.key"
    path.touch(mode=0o600)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    spec = replace(spare(private), key=str(path))
    here = host.take_key(spec)
    assert (here.spki_sha256, here.origin) == (known.spki_sha256, "adopted")
    assert host.peek_key(spec) == here
    assert x509.load_der_x509_csr(host.csr(here, spec)).is_signature_valid
    assert host.sign(here).spki_der == known.spki_der
