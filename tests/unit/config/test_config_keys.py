"""``key``, ``key_password_file`` and ``csr`` in the config: what is read, compared, warned of and refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from danelaw.config import load
from danelaw.config.keys import key_algorithm
from danelaw.errors import ConfigError, Problem
from danelaw.model import CertificateSpec
from fakes import openssl_files as made
from fakes.config_site import SMALLEST, make_site

NAMES = 'names = ["mail.example.org"]'
SUBJECT = "/CN=mail.example.org"
SAN = "DNS:mail.example.org"
BASE = SMALLEST.replace("tlsa]]\n", 'tlsa]]\nhosts = ["mail.example.org"]\n')
KEYLESS = BASE.replace('parts = ["key", "cert", "chain"]', 'parts = ["cert", "chain"]')


def write(folder: Path, name: str, content: bytes, mode: int = 0o600) -> None:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a key, the same with a password, the password, and a CSR over it."""
    write(tmp_path, "live.key", made.rsa())
    write(tmp_path, "locked.key", made.locked(made.rsa()))
    write(tmp_path, "key.pass", f"{made.PASSWORD}\n".encode())
    write(tmp_path, "live.csr", made.csr(made.rsa(), subject=SUBJECT, san=SAN), 0o644)
    return tmp_path


def site(folder: Path, *lines: str, config: str = BASE, names: str = NAMES) -> str:
    return make_site(folder, config.replace(NAMES, "\n".join([names, *lines])))


def spec_of(path: str) -> tuple[CertificateSpec, tuple[Problem, ...]]:
    config = load(path)
    return config.desired.certificates[0], config.warnings


def problems(path: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(path)
    return [str(each) for each in refused.value.problems]


def test_a_key_with_its_password_file(folder: Path) -> None:
    spec, warnings = spec_of(site(folder, 'key = "locked.key"', 'key_password_file = "key.pass"'))
    assert (spec.key, spec.key_password_file) == (f"{folder}/locked.key", f"{folder}/key.pass")
    assert warnings == ()
    assert key_algorithm(spec) == "rsa"


def test_a_password_without_a_key_and_one_that_all_may_read(folder: Path) -> None:
    (said,) = problems(site(folder, 'key_password_file = "key.pass"'))
    assert "key_password_file: found a password, and no key that it opens; expected key beside it" in said
    (folder / "key.pass").chmod(0o604)
    (said,) = problems(site(folder, 'key = "locked.key"', 'key_password_file = "key.pass"'))
    assert "key.pass with mode 0604, open to everybody; expected a file closed to others" in said


def test_a_ready_csr_is_read_with_its_key(folder: Path) -> None:
    spec, warnings = spec_of(site(folder, 'key = "live.key"', 'csr = "live.csr"'))
    assert spec.csr is not None
    assert (spec.csr.path, spec.csr.spki_der) == (f"{folder}/live.csr", made.spki(made.rsa()))
    assert spec.csr.csr_der == made.openssl("req", "-outform", "DER", data=(folder / "live.csr").read_bytes())
    assert warnings == ()
    assert key_algorithm(spec) == "rsa"


def test_a_csr_without_its_key_is_for_deployments_without_the_key(folder: Path) -> None:
    spec, _ = spec_of(site(folder, 'csr = "live.csr"', config=KEYLESS))
    assert (spec.key, spec.csr is not None) == (None, True)
    (said,) = problems(site(folder, 'csr = "live.csr"'))
    assert "deploy[0]: found a file that holds the key, though of the key there is only the csr" in said
    assert "expected key, the file of the CSR's private key, beside csr" in said


def test_names_and_those_of_the_csr_are_compared_both_ways(folder: Path) -> None:
    write(folder, "live.csr", made.csr(made.rsa(), subject="/CN=a.example.org", san=f"{SAN},DNS:b.example.org"))
    names = 'names = ["mail.example.org", "c.example.org", "d.example.org"]'
    beyond, lacking = sorted(problems(site(folder, 'key = "live.key"', 'csr = "live.csr"', names=names)))
    assert "live.csr, a CSR with a.example.org, b.example.org, which are not among names; expected the same" in beyond
    assert "live.csr, a CSR without c.example.org, d.example.org, which are among names; expected the same" in lacking
    names = 'names = ["b.example.org", "A.example.org", "mail.example.org"]'
    spec, _ = spec_of(site(folder, 'key = "live.key"', 'csr = "live.csr"', names=names))
    assert spec.names == ("b.example.org", "a.example.org", "mail.example.org")


def test_a_common_name_beside_the_alternative_names_is_a_warning(folder: Path) -> None:
    write(folder, "live.csr", made.csr(made.rsa(), subject="/CN=example.org", san=SAN))
    names = 'names = ["example.org", "mail.example.org"]'
    spec, (warning,) = spec_of(site(folder, 'key = "live.key"', 'csr = "live.csr"', names=names))
    assert spec.csr is not None
    assert warning.where.endswith(".csr")
    assert warning.found.endswith('whose common name "example.org" is not among its alternative names')
    assert "Let's Encrypt takes it as it is, other CAs refuse it" in warning.expected


def test_what_a_ca_puts_aside_is_a_warning(folder: Path) -> None:
    csr = made.csr(made.rsa(), "-addext", "keyUsage=digitalSignature", subject=SUBJECT, san=SAN)
    write(folder, "live.csr", csr)
    _, (warning,) = spec_of(site(folder, 'key = "live.key"', 'csr = "live.csr"'))
    assert warning.found.endswith("live.csr with the key usage, which the CA puts aside")


@pytest.mark.parametrize(
    ("line", "where", "words"),
    [
        ('subject = { common_name = "mail.example.org" }', "subject", "found subject beside csr; expected one of them"),
        ('key_type = "rsa2048"', "key_type", "found key_type beside csr; expected one of them"),
    ],
)
def test_what_contradicts_a_csr_is_refused(folder: Path, line: str, where: str, words: str) -> None:
    (said,) = problems(site(folder, 'csr = "live.csr"', line, config=KEYLESS))
    assert f".{where}: {words}" in said
    spec, _ = spec_of(site(folder, line))
    assert spec.csr is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: made.certificate(made.rsa()), "a certificate; expected a CSR, as openssl req -new writes it"),
        (
            lambda: made.csr(made.rsa(), "-sha1"),
            "a CSR signed with sha1, which CAs refuse; expected another CSR: make the CSR",
        ),
        (
            lambda: made.csr(made.key("ED25519")),
            "an Ed25519 key; expected another CSR: RSA of 2048 to 4096 bits, P-256 and",
        ),
        (lambda: b"", "an empty file; expected a CSR"),
        (lambda: b"x" * 100_000, "100000 bytes; expected one CSR of at most"),
    ],
)
def test_a_file_that_is_no_csr_is_refused_where_it_is_named(
    folder: Path, make: Callable[[], bytes], words: str
) -> None:
    write(folder, "live.csr", make())
    (said,) = problems(site(folder, 'key = "live.key"', 'csr = "live.csr"'))
    assert f'certificate."example.org".csr: found {folder}/live.csr, {words}' in said


def test_a_csr_that_is_not_there_or_no_file(folder: Path) -> None:
    (folder / "live.csr").unlink()
    (said,) = problems(site(folder, 'key = "live.key"', 'csr = "live.csr"'))
    assert "live.csr: No such file or directory" in said
    (folder / "live.csr").mkdir()
    (said,) = problems(site(folder, 'key = "live.key"', 'csr = "live.csr"'))
    assert "live.csr, which is no file" in said


@pytest.mark.parametrize(
    ("line", "what"), [('csr = "postfix.pem"', "CSR"), ('key_password_file = "postfix.pem"', "password")]
)
def test_what_is_read_is_not_written(folder: Path, line: str, what: str) -> None:
    content = (folder / "live.csr").read_bytes() if what == "CSR" else (folder / "key.pass").read_bytes()
    (folder / "etc").mkdir()
    write(folder / "etc", "postfix.pem", content)
    key = 'key = "locked.key"'
    (said,) = problems(site(folder, key, line.replace("postfix", "etc/postfix")))
    assert f"etc/postfix.pem, which is the {what} of" in said


def test_one_key_file_of_two_certificates_is_a_warning(folder: Path) -> None:
    (folder / "link.key").symlink_to("live.key")
    second = (
        SMALLEST[SMALLEST.index("[certificate") :].replace("example.org", "example.net").replace("postfix", "other")
    )
    both = SMALLEST.replace(NAMES, f'{NAMES}\nkey = "live.key"') + "\n" + second
    with_it = both.replace('names = ["mail.example.net"]', 'names = ["mail.example.net"]\nkey = "link.key"')
    (warning,) = load(make_site(folder, with_it)).warnings
    assert warning.where == 'certificate."example.net".key'
    assert warning.found == f'{folder}/link.key, which is the key of certificate."example.org" too'
    assert load(make_site(folder, both)).warnings == ()


@pytest.mark.parametrize("where", ["accounts/x", "live/x"])
def test_a_file_of_danelaws_own_is_no_key_to_adopt(folder: Path, where: str) -> None:
    (folder / "state" / where).mkdir(parents=True)
    write(folder / "state" / where, "own.key", made.rsa())
    own = f'state_dir = "state"\n{BASE}'
    (said,) = problems(site(folder, f'key = "state/{where}/own.key"', config=own))
    assert "own.key, in the state_dir; expected a file outside of it, or a copy" in said
    (folder / "link.key").symlink_to(f"state/{where}/own.key")
    (said,) = problems(site(folder, 'key = "link.key"', config=own))
    assert f"link.key, a link to {folder}/state/{where}/own.key in the state_dir; expected" in said


def test_a_kept_copy_may_be_adopted_again(folder: Path) -> None:
    (folder / "state" / "keys").mkdir(parents=True)
    write(folder / "state" / "keys", "own.key", made.rsa())
    spec, warnings = spec_of(site(folder, 'key = "state/keys/own.key"', config=f'state_dir = "state"\n{BASE}'))
    assert (spec.key, warnings) == (f"{folder}/state/keys/own.key", ())


def test_the_key_that_another_certificate_writes_is_none_to_adopt(folder: Path) -> None:
    (folder / "etc").mkdir()
    write(folder / "etc", "postfix.pem", made.rsa())
    second = (
        SMALLEST[SMALLEST.index("[certificate") :].replace("example.org", "example.net").replace("postfix", "other")
    )
    second = second.replace('names = ["mail.example.net"]', 'names = ["mail.example.net"]\nkey = "etc/postfix.pem"')
    said = problems(make_site(folder, f"{SMALLEST}\n{second}"))
    assert any('postfix.pem, which is the key that certificate."example.net" starts from' in each for each in said)


def test_the_algorithm_of_a_key_that_cannot_be_opened_is_that_of_key_type(folder: Path) -> None:
    """Who takes the key says what is wrong with it; a preset still has to know what to look for."""
    spec, _ = spec_of(site(folder, 'key = "locked.key"', 'key_type = "p384"'))
    assert key_algorithm(spec) == "ecdsa"
    spec, _ = spec_of(site(folder, 'key = "locked.key"', 'key_type = "p384"', 'key_password_file = "key.pass"'))
    assert key_algorithm(spec) == "rsa"
