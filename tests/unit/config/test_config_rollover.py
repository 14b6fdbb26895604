"""``rollover`` and what goes with it: which keys are to come, and what contradicts that."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from danelaw.config import Config, load
from danelaw.errors import ConfigError, Problem
from danelaw.model import CertificateSpec, Service, ServiceSetup
from fakes import openssl_files as made
from fakes.config_site import SMALLEST, make_site
from fakes.survey import ToldSurvey, pair

NAMES = 'names = ["mail.example.org"]'
SUBJECT, SAN = "/CN=mail.example.org", "DNS:mail.example.org"
KEYLESS = SMALLEST.replace('parts = ["key", "cert", "chain"]', 'parts = ["cert", "chain"]')
CERTIFICATE = 'certificate."example.org"'


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    (folder / name).chmod(0o600)


def loaded(folder: Path, *lines: str, config: str = SMALLEST) -> Config:
    return load(make_site(folder, config.replace(NAMES, "\n".join([NAMES, *lines]))))


def one(folder: Path, *lines: str, config: str = SMALLEST) -> tuple[CertificateSpec, tuple[Problem, ...]]:
    found = loaded(folder, *lines, config=config)
    return found.desired.certificates[0], found.warnings


def problems(folder: Path, *lines: str, config: str = SMALLEST) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(folder, *lines, config=config)
    return [str(each).partition("danelaw.toml: ")[2] for each in refused.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the live key, the spare one's public half, and a CSR over the live one."""
    write(tmp_path, "live.key", made.rsa())
    write(tmp_path, "spare.pub", made.public(made.curve()))
    write(tmp_path, "live.csr", made.csr(made.rsa(), subject=SUBJECT, san=SAN))
    return tmp_path


# ------------------------------------------------------------------------------------------------------------- periods


@pytest.mark.parametrize(
    ("value", "days"), [("365d", 365), ("30d", 30), ("52w", 364), ("8760h", 365), ("3650d", 3650), (" 90d ", 90)]
)
def test_a_key_is_current_for_so_long_and_the_next_one_is_made_ahead(tmp_path: Path, value: str, days: int) -> None:
    spec, warnings = one(tmp_path, f'rollover = "{value}"')
    assert (spec.rollover, spec.next_key, warnings) == (timedelta(days=days), True, ())


@pytest.mark.parametrize(
    ("lines", "rollover", "next_key"),
    [
        ((), None, False),
        (('rollover = "never"',), None, False),
        (('rollover = "never"', "next_key = true"), None, True),
        (("next_key = true",), None, True),
        (('rollover = "365d"', "next_key = false"), timedelta(days=365), False),
        (('rollover = "365d"', "next_key = true"), timedelta(days=365), True),
    ],
)
def test_the_next_key_goes_with_the_schedule_unless_the_config_says_otherwise(
    tmp_path: Path, lines: tuple[str, ...], rollover: timedelta | None, next_key: object
) -> None:
    spec, warnings = one(tmp_path, *lines)
    assert (spec.rollover, spec.next_key, warnings) == (rollover, next_key, ())


@pytest.mark.parametrize("value", ["1d", "24h", "29d", "4w", "719h"])
def test_a_short_period_is_a_warning(tmp_path: Path, value: str) -> None:
    spec, (warning,) = one(tmp_path, f'rollover = "{value}"')
    assert spec.rollover is not None
    assert (warning.where, warning.found) == (f"{CERTIFICATE}.rollover", f'"{value}", less than 30 days')


@pytest.mark.parametrize("value", ["23h", "0d", "0w", "1h"])
def test_a_period_under_a_day_is_refused_with_the_reason(tmp_path: Path, value: str) -> None:
    (said,) = problems(tmp_path, f'rollover = "{value}"')
    assert (
        f'found "{value}", less than a day; expected "1d" or longer: each rollover publishes a key, waits for' in said
    )


@pytest.mark.parametrize(
    ("value", "settle"), [("0s", timedelta(0)), ("24h", timedelta(days=1)), ("90m", timedelta(minutes=90))]
)
def test_settling(tmp_path: Path, value: str, settle: timedelta) -> None:
    assert one(tmp_path, f'settle = "{value}"')[0].settle == settle
    assert one(tmp_path, f'settle = "{value}"', 'rollover = "365d"')[0].settle == settle


def test_what_settles_longer_than_a_key_is_current_is_refused(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, 'rollover = "40d"', 'settle = "41d"')
    assert f"{CERTIFICATE}.settle: found 41 days, longer than rollover; expected a shorter one" in said
    assert one(tmp_path, 'rollover = "40d"', 'settle = "40d"')[0].settle == timedelta(days=40)
    assert one(tmp_path, 'settle = "41d"')[0].settle == timedelta(days=41)


@pytest.mark.parametrize("value", ["archive", "shred"])
def test_retired_keys(tmp_path: Path, value: str) -> None:
    assert one(tmp_path, f'retired_keys = "{value}"')[0].retired_keys == value


# ------------------------------------------------------------------------------------------- what a rollover can not be


@pytest.mark.parametrize("line", ['rollover = "365d"', "next_key = true", 'next_key_public = "spare.pub"'])
def test_no_rollover_beside_a_csr(folder: Path, line: str) -> None:
    option = line.partition(" ")[0]
    (said,) = problems(folder, 'key = "live.key"', 'csr = "live.csr"', line)
    assert f"{CERTIFICATE}.{option}: found {option} beside csr; expected one of them: a CSR is over one key" in said
    (said,) = problems(folder, 'csr = "live.csr"', line, config=KEYLESS)
    assert "beside csr" in said


@pytest.mark.parametrize("line", ['rollover = "never"', "next_key = false", 'settle = "1h"', 'retired_keys = "shred"'])
def test_what_asks_for_no_other_key_goes_with_a_csr(folder: Path, line: str) -> None:
    assert one(folder, 'key = "live.key"', 'csr = "live.csr"', line)[1] == ()


@pytest.mark.parametrize("line", ['rollover = "365d"', "next_key = true", 'next_key_public = "spare.pub"'])
def test_no_rollover_where_a_deployment_carries_no_key(folder: Path, line: str) -> None:
    option = line.partition(" ")[0]
    (said,) = problems(folder, 'key = "live.key"', line, config=KEYLESS)
    found = f"{folder}/etc/postfix.pem without the key, beside {option}: what reads it would go on with the old key"
    expected = 'the key among the files that danelaw writes: a key file here, or "key" in its combined parts'
    assert said == f"{CERTIFICATE}.deploy[0]: found {found}; expected {expected}"
    assert one(folder, 'key = "live.key"', config=KEYLESS)[1] == ()
    assert one(folder, 'key = "live.key"', line)[1] == ()


@pytest.mark.parametrize("line", ['rollover = "never"', "next_key = false", 'settle = "1h"'])
def test_a_deployment_without_the_key_goes_with_a_key_that_stays(folder: Path, line: str) -> None:
    assert one(folder, 'key = "live.key"', line, config=KEYLESS)[1] == ()


def test_a_service_that_reads_the_adopted_key_itself_gets_a_file_of_its_own(folder: Path) -> None:
    """The preset leaves that file out, since what stands in it is right as long as the key stays."""
    start = SMALLEST[: SMALLEST.index("[[certificate")]
    text = start + f'[[{CERTIFICATE}.deploy]]\nservices = ["postfix"]\n'
    text = text.replace(NAMES, f'{NAMES}\nkey = "live.key"\nrollover = "365d"')
    cert, key = f"{folder}/etc/mail.crt", f"{folder}/live.key"
    service = Service("postfix", None, ("postfix", "reload"))
    survey = ToldSurvey({"postfix": ServiceSetup(service, pair(cert, key), ((25, "smtp"),))})
    with pytest.raises(ConfigError) as refused:
        load(make_site(folder, text), survey)
    (problem,) = refused.value.problems
    assert (problem.where, problem.found.partition(":")[0]) == (
        f"{CERTIFICATE}.deploy[0]",
        f"{cert} without {key}, where the service reads its key, beside rollover",
    )
    assert problem.expected == f"a copy of {key} as key: then danelaw writes {key} itself"
    write(folder, "copy.key", made.rsa())
    config = load(make_site(folder, text.replace("live.key", "copy.key")), survey)
    assert config.desired.certificates[0].deployments[0].has_key


def test_a_key_file_that_the_service_does_not_read_carries_it_nowhere(folder: Path) -> None:
    start = SMALLEST[: SMALLEST.index("[[certificate")]
    given = f'fullchain = "{folder}/etc/mail.crt"\nkey = "etc/other.key"'
    text = start + f'[[{CERTIFICATE}.deploy]]\nservices = ["postfix"]\n{given}\n'
    text = text.replace(NAMES, f"{NAMES}\nnext_key = true")
    service = Service("postfix", None, ("postfix", "reload"))
    setup = ServiceSetup(service, pair(f"{folder}/etc/mail.crt", f"{folder}/etc/mail.key"), ((25, "smtp"),))
    with pytest.raises(ConfigError) as refused:
        load(make_site(folder, text), ToldSurvey({"postfix": setup}))
    (problem,) = refused.value.problems
    assert f"without {folder}/etc/mail.key, where the service reads its key, beside next_key" in problem.found
    assert problem.expected.startswith("the key among the files that danelaw writes")
    right = text.replace("etc/other.key", "etc/mail.key")
    assert load(make_site(folder, right), ToldSurvey({"postfix": setup})).desired.certificates[0].next_key


def test_no_schedule_for_keys_that_reach_nothing(folder: Path) -> None:
    claim = f"[[{CERTIFICATE}.tlsa]]\n"
    elsewhere = SMALLEST[: SMALLEST.index("\n[[certificate.", SMALLEST.index(claim))]
    elsewhere = elsewhere.replace(claim, f"{claim}external = true\n")
    lines = ('key = "live.key"', 'rollover = "365d"')
    (said,) = problems(folder, *lines, config=elsewhere)
    assert f"{CERTIFICATE}.rollover: found rollover, and no deployment that carries its keys" in said
    assert "what is external would keep the old key" in said
    assert one(folder, lines[0], config=elsewhere)[1] == ()


# ----------------------------------------------------------------------------------------------------------- spare keys


@pytest.mark.parametrize(
    "make",
    [
        lambda: made.public(made.curve()),
        lambda: made.public(made.curve(), "-outform", "DER"),
        lambda: made.certificate(made.curve()),
        lambda: made.openssl("x509", "-outform", "DER", data=made.certificate(made.curve())),
        lambda: made.csr(made.curve(), subject=SUBJECT, san=SAN),
        lambda: b"# the spare in the safe\n" + made.public(made.curve()),
        lambda: made.public(made.curve(), "-ec_conv_form", "compressed"),
    ],
)
def test_a_public_half_in_every_form_that_there_is(folder: Path, make: Callable[[], bytes]) -> None:
    """Also with its point compressed: the CSR that is made over it has it in full, and so will the certificate."""
    write(folder, "spare.pub", make())
    found = loaded(folder, 'key = "live.key"', 'next_key_public = "spare.pub"')
    (spec,) = found.desired.certificates
    assert spec.spare is not None
    assert (spec.spare.path, spec.spare.spki_der) == (f"{folder}/spare.pub", made.spki(made.curve()))
    assert spec.next_key
    assert found.warnings == ()
    assert found.references == (f"{folder}/live.key", f"{folder}/spare.pub")


def test_a_spare_key_is_a_next_key(folder: Path) -> None:
    (said,) = problems(folder, 'next_key_public = "spare.pub"', "next_key = false")
    assert f"{CERTIFICATE}.next_key: found false beside next_key_public; expected true, or no next_key_public" in said
    assert one(folder, 'next_key_public = "spare.pub"', "next_key = true")[0].next_key
    assert one(folder, 'next_key_public = "spare.pub"', 'rollover = "365d"')[0].next_key


@pytest.mark.parametrize(
    "make",
    [
        made.rsa,
        made.curve,
        lambda: made.pkcs1(made.rsa()),
        lambda: made.sec1(made.curve()),
        lambda: made.locked(made.curve()),
        lambda: made.openssl("pkey", "-outform", "DER", data=made.curve()),
        lambda: made.openssl(
            "pkcs8", "-topk8", "-outform", "DER", "-passout", f"pass:{made.PASSWORD}", data=made.curve()
        ),
        lambda: made.certificate(made.curve()) + made.curve(),
        lambda: made.public(made.curve()) + made.locked(made.curve()),
    ],
)
def test_a_private_key_is_no_spare_and_is_not_shown(folder: Path, make: Callable[[], bytes]) -> None:
    write(folder, "spare.pub", make())
    (said,) = problems(folder, 'next_key_public = "spare.pub"')
    assert said == (
        f"{CERTIFICATE}.next_key_public: found {folder}/spare.pub, which holds a private key; expected its public half "
        "alone, since it is kept elsewhere: openssl pkey -in KEY -pubout -out FILE"
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: b"", "spare.pub, nothing in it; expected a certificate, a chain, a CSR or a key"),
        (lambda: b"garbage\n", "spare.pub, neither PEM nor DER"),
        (lambda: made.public(made.key("ED25519")), "spare.pub, an Ed25519 key; expected RSA of 2048 to 4096 bits"),
        (lambda: made.public(made.rsa(1024)), "spare.pub, an RSA key of 1024 bits; expected RSA of 2048"),
        (lambda: made.public(made.curve("secp521r1")), "spare.pub, an elliptic curve key on secp521r1; expected RSA"),
        (lambda: made.public(made.curve()) + made.public(made.rsa()), "spare.pub, 2 keys; expected one"),
        (
            lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "spare.pub, something that is not a public key (SubjectPublicKeyInfo); expected RSA of 2048",
        ),
        (lambda: b"x" * ((1 << 20) + 1), "spare.pub, 1048577 bytes; expected a certificate"),
    ],
)
def test_a_file_without_a_public_key_that_danelaw_takes(folder: Path, make: Callable[[], bytes], words: str) -> None:
    write(folder, "spare.pub", make())
    (said,) = problems(folder, 'next_key_public = "spare.pub"')
    assert f"{CERTIFICATE}.next_key_public: found {folder}/" in said
    assert words in said


def test_a_spare_that_is_not_there_or_that_a_deployment_writes(folder: Path) -> None:
    (said,) = problems(folder, 'next_key_public = "none.pub"')
    assert "none.pub: No such file or directory" in said
    written = SMALLEST.replace("etc/postfix.pem", "spare.pub")
    (said,) = problems(folder, 'next_key_public = "spare.pub"', config=written)
    assert (
        f"spare.pub, which is the next_key_public of {CERTIFICATE}; expected a path that danelaw does not read" in said
    )


def test_a_spare_that_has_come_here_asks_for_the_rollover_and_is_said(folder: Path) -> None:
    """Its private key is named as `key`: that is how the rollover to it is asked for."""
    write(folder, "here.key", made.locked(made.curve()))
    write(folder, "key.pass", made.PASSWORD.encode())
    lines = ('key = "here.key"', 'key_password_file = "key.pass"', 'next_key_public = "spare.pub"')
    spec, (warning,) = one(folder, *lines)
    assert spec.spare is not None
    assert warning.where == f"{CERTIFICATE}.next_key_public"
    assert warning.found == f"{folder}/spare.pub, the public half of {folder}/here.key"
    assert "while that key is rolled over to, and then the public half of another one" in warning.expected
    assert one(folder, 'key = "live.key"', 'next_key_public = "spare.pub"')[1] == ()


def test_one_next_key_of_two_certificates_is_a_warning(folder: Path) -> None:
    second = SMALLEST[SMALLEST.index("[certificate") :]
    second = second.replace("example.org", "example.net").replace("postfix", "other")
    both = f"{SMALLEST}\n{second}".replace("names = [", 'next_key_public = "spare.pub"\nnames = [')
    (warning,) = load(make_site(folder, both)).warnings
    assert warning.where == 'certificate."example.net".next_key_public'
    assert warning.found == f"{folder}/spare.pub, the next key of {CERTIFICATE} too"
    write(folder, "other.pub", made.public(made.rsa()))
    one_each = both.replace("spare.pub", "other.pub", 1)
    assert load(make_site(folder, one_each)).warnings == ()


def test_a_key_that_cannot_be_opened_is_not_compared(folder: Path) -> None:
    """Who takes it says what is wrong with it."""
    write(folder, "here.key", made.locked(made.curve()))
    spec, warnings = one(folder, 'key = "here.key"', 'next_key_public = "spare.pub"')
    assert (spec.spare is not None, warnings) == (True, ())
