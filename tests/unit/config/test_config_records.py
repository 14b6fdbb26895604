"""``records``, ``wait``, ``external`` and ``intermediates``: what is published, what it costs, and what is refused."""

from itertools import product
from pathlib import Path

import pytest

from danelaw.config import Config, load
from danelaw.errors import ConfigError
from danelaw.model import RecordSpec
from fakes import openssl_files as made
from fakes.config_site import SMALLEST, make_site

CLAIM = '[[certificate."example.org".tlsa]]\n'
DEPLOY = '[[certificate."example.org".deploy]]\n'
IMAP = SMALLEST.replace("mail.example.org:25", "mail.example.org:993").replace(CLAIM, f"{CLAIM}ports = [993]\n")
WARNED = 'certificate."example.org".tlsa[0].records'


def with_records(*records: str, config: str = SMALLEST) -> str:
    listed = ", ".join(f'"{each}"' for each in records)
    return config.replace(CLAIM, f"{CLAIM}records = [{listed}]\n")


def problems(folder: Path, config: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(make_site(folder, config))
    return [str(each).partition("danelaw.toml: ")[2] for each in refused.value.problems]


def warned(config: Config) -> list[tuple[str, str]]:
    return [(each.found, each.expected) for each in config.warnings if each.where == WARNED]


# ---------------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("spec", list(product(range(4), range(2), range(3))))
def test_whatever_has_a_meaning_is_accepted_where_a_client_can_use_it(
    tmp_path: Path, spec: tuple[int, int, int]
) -> None:
    record = str(RecordSpec(*spec))
    (certificate,) = load(make_site(tmp_path, with_records(record, config=IMAP))).desired.certificates
    assert certificate.claims[0].records == (spec,)
    if spec[0] in {2, 3}:
        (certificate,) = load(make_site(tmp_path, with_records(record))).desired.certificates
        assert certificate.claims[0].records == (spec,)
    else:
        (said,) = problems(tmp_path, with_records(record))
        assert f'found "{record}" at port 25, where no sender of mail can use usage {spec[0]}; expected' in said


def test_several_stay_in_their_order_each_once(tmp_path: Path) -> None:
    config = load(make_site(tmp_path, with_records("3 1 1", "2 1 1", "3 1 1", "3 1 2")))
    assert config.desired.certificates[0].claims[0].records == ((3, 1, 1), (2, 1, 1), (3, 1, 2))


@pytest.mark.parametrize("records", [["3 1 1"], ["3 1 1", "3 1 2"], ["3 1 2", "3 1 1"]])
def test_what_has_no_price_is_no_warning(tmp_path: Path, records: list[str]) -> None:
    assert load(make_site(tmp_path, with_records(*records))).warnings == ()


@pytest.mark.parametrize(
    ("record", "found", "expected"),
    [
        ("3 1 2", '"3 1 2" alone', '"3 1 1" too: senders need not know SHA-512'),
        ("3 0 1", '"3 0 1", over the certificate', '"3 1 1", over the key: else each renewal changes DNS'),
        ("3 0 2", '"3 0 2" alone', '"3 0 1" too'),
        ("3 1 0", '"3 1 0", a whole key in each record', '"3 1 1", a digest: answers of that size get lost'),
        ("3 0 0", '"3 0 0", a whole certificate in each record', '"3 1 1", a digest'),
        ("2 0 0", '"2 0 0", a whole certificate in each record', '"2 0 1", a digest'),
        ("2 1 1", '"2 1 1", which pins the CA', "intermediates in acme.letsencrypt: the next certificate may come"),
        ("2 0 1", '"2 0 1", which pins the CA', "intermediates in acme.letsencrypt"),
    ],
)
def test_what_has_a_price_is_a_warning(tmp_path: Path, record: str, found: str, expected: str) -> None:
    said = warned(load(make_site(tmp_path, with_records(record))))
    assert [each for each in said if each[0].startswith(found) and each[1].startswith(expected)], said
    beside = warned(load(make_site(tmp_path, with_records("3 1 1", record))))
    assert ("alone" in found) == (not [each for each in beside if each[0].startswith(found)])


def test_a_ca_certificate_does_not_change_with_each_renewal(tmp_path: Path) -> None:
    said = warned(load(make_site(tmp_path, with_records("2 0 1"))))
    assert not [found for found, _ in said if "over the certificate" in found]


@pytest.mark.parametrize(("record", "other"), [("1 1 1", "3 1 1"), ("0 1 1", "2 1 1")])
def test_usages_0_and_1_away_from_port_25_have_a_price(tmp_path: Path, record: str, other: str) -> None:
    said = warned(load(make_site(tmp_path, with_records(record, config=IMAP))))
    expected = f'"{other}": clients need not know usages 0 and 1, nor trust the CA'
    assert (f'"{record}", which trusted CAs must agree to', expected) in said
    both = IMAP.replace("ports = [993]", "ports = [25, 993]").replace('prove = ["', 'prove = ["mail.example.org:25", "')
    (problem,) = problems(tmp_path, with_records(record, config=both))
    assert f'at port 25, where no sender of mail can use usage {record[0]}; expected "{other}" there' in problem


@pytest.mark.parametrize("record", ["2 1 1", "2 0 0"])
def test_what_is_pinned_must_be_presented(tmp_path: Path, record: str) -> None:
    config = SMALLEST.replace('"key", "cert", "chain"', '"key", "cert"')
    (problem,) = problems(tmp_path, with_records(record, config=config))
    assert problem.startswith('certificate."example.org".deploy[0]: found no file that holds the chain, where')
    assert f'"{record}" pins the CA\'s certificate; expected fullchain' in problem
    assert [each.where for each in load(make_site(tmp_path, config)).warnings] == [
        'certificate."example.org".deploy[0].chain'
    ]


def test_a_deployment_that_presents_nothing_pinned_needs_no_chain(tmp_path: Path) -> None:
    other = f'\n{DEPLOY}cert = "etc/web.crt"\nkey = "etc/web.key"\nreload = ["x"]\nprove = ["mail.example.org:443"]\n'
    config = load(make_site(tmp_path, with_records("2 1 1") + other))
    assert len(config.desired.certificates[0].deployments) == 2


def test_hosts_must_be_named_where_clients_look_at_names(tmp_path: Path) -> None:
    config = SMALLEST.replace(CLAIM, f'{CLAIM}hosts = ["mx.example.net"]\n').replace(
        "mail.example.org:25", "mx.example.net:25"
    )
    (problem,) = problems(tmp_path, with_records("3 1 1", "2 1 1", config=config))
    assert problem.startswith('certificate."example.org".tlsa[0].hosts: found mx.example.net, which is not among names')
    assert 'with "2 1 1" clients look at its names' in problem
    assert load(make_site(tmp_path, with_records("3 1 1", config=config))).desired.certificates[0].claims


# ------------------------------------------------------------------------------------------------------- intermediates


def authority(name: str, folder: Path) -> bytes:
    """Return a CA certificate as PEM."""
    (folder / "ca.key").write_bytes(made.rsa())
    return made.openssl("req", "-x509", "-new", "-key", f"{folder}/ca.key", "-subj", f"/CN={name}", "-days", "9")


def leaf(folder: Path) -> bytes:
    (folder / "leaf.key").write_bytes(made.rsa())
    given = ("-addext", "basicConstraints=critical,CA:FALSE", "-subj", "/CN=leaf", "-days", "9")
    return made.openssl("req", "-x509", "-new", "-key", f"{folder}/leaf.key", *given)


def with_intermediates(folder: Path, content: bytes, config: str = SMALLEST) -> str:
    (folder / "le.pem").write_bytes(content)
    return config.replace("agree_tos = true", 'agree_tos = true\nintermediates = "le.pem"')


def test_intermediates_are_every_certificate_s_of_that_ca_in_order(tmp_path: Path) -> None:
    one, two = authority("one", tmp_path), authority("two", tmp_path)
    config = load(make_site(tmp_path, with_intermediates(tmp_path, b"# Let's Encrypt\n" + two + one + two)))
    ders = tuple(made.openssl("x509", "-outform", "DER", data=each) for each in (two, one))
    assert config.desired.certificates[0].intermediates == ders
    found = config.cas["letsencrypt"].intermediates
    assert found is not None
    assert (found.path, found.certificates_der) == (f"{tmp_path}/le.pem", ders)
    assert config.references == (f"{tmp_path}/le.pem",)


def test_intermediates_of_another_ca_are_none_of_a_certificate_s(tmp_path: Path) -> None:
    (tmp_path / "le.pem").write_bytes(authority("one", tmp_path))
    other = '\n[acme.other]\nagree_tos = true\nintermediates = "le.pem"\n'
    config = load(make_site(tmp_path, with_records("2 1 1") + other))
    assert config.desired.certificates[0].intermediates == ()
    assert '"2 1 1", which pins the CA that issued the certificate' in [found for found, _ in warned(config)]


def test_named_intermediates_answer_the_warning(tmp_path: Path) -> None:
    config = with_intermediates(tmp_path, authority("one", tmp_path), with_records("3 1 1", "2 1 1"))
    assert load(make_site(tmp_path, config)).warnings == ()


def test_more_intermediates_than_senders_handle_are_a_warning(tmp_path: Path) -> None:
    certificates = [authority(f"ca {number}", tmp_path) for number in range(13)]
    config = with_intermediates(tmp_path, b"".join(certificates[:12]))
    assert load(make_site(tmp_path, config)).warnings == ()
    (warning,) = load(make_site(tmp_path, with_intermediates(tmp_path, b"".join(certificates)))).warnings
    assert warning.where == "acme.letsencrypt.intermediates"
    assert "13 certificates, each a record" in warning.found


def test_a_leaf_among_the_intermediates_is_refused_by_its_place(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, with_intermediates(tmp_path, authority("one", tmp_path) + leaf(tmp_path)))
    assert said.startswith(f"acme.letsencrypt.intermediates: found {tmp_path}/le.pem, whose certificate 2 is no CA's")
    assert "(CN=leaf); expected the CA certificates that it issues from, as PEM, and no other" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "nothing in it"),
        (b"garbage\n", "neither PEM nor DER"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no -----BEGIN CERTIFICATE-----"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "a PEM block that is cut off"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", "that is not base64"),
        (b"x" * (1 << 20) + b"x", "1048577 bytes"),
    ],
)
def test_a_file_without_ca_certificates_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (said,) = problems(tmp_path, with_intermediates(tmp_path, content))
    assert said.startswith(f"acme.letsencrypt.intermediates: found {tmp_path}/le.pem, ")
    assert words in said
    assert "expected the CA certificates that it issues from, as PEM" in said


def test_intermediates_that_are_not_there_or_that_a_deployment_writes(tmp_path: Path) -> None:
    config = with_intermediates(tmp_path, authority("one", tmp_path))
    (said,) = problems(tmp_path, config.replace("le.pem", "none.pem"))
    assert "none.pem: No such file or directory" in said
    (said,) = problems(tmp_path, config.replace("etc/postfix.pem", "le.pem"))
    assert "le.pem, which is the intermediates of acme.letsencrypt" in said


# ------------------------------------------------------------------------------------------------- external and strict

EXTERNAL = SMALLEST.replace(CLAIM, f'{CLAIM}hosts = ["mail.example.org", "relay.example.org"]\n').replace(
    'names = ["mail.example.org"]', 'names = ["mail.example.org", "relay.example.org"]'
)
RELAY = f'\n{CLAIM}hosts = ["relay.example.org"]\nexternal = true\n'


def test_what_is_presented_elsewhere_needs_no_deployment_that_proves_it(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, EXTERNAL)
    assert "relay.example.org:25, which no deployment proves" in said
    assert "; or external = true: nothing here presents it" in said
    config = EXTERNAL.replace('hosts = ["mail.example.org", "relay.example.org"]\n', 'hosts = ["mail.example.org"]\n')
    (certificate,) = load(make_site(tmp_path, config + RELAY)).desired.certificates
    assert [(str(each.endpoint), each.external) for each in certificate.claims] == [
        ("mail.example.org:25", False),
        ("relay.example.org:25", True),
    ]
    assert [str(each) for each in certificate.deployments[0].endpoints] == ["mail.example.org:25"]


def test_what_a_deployment_proves_is_not_elsewhere(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, SMALLEST.replace(CLAIM, f"{CLAIM}external = true\n"))
    assert "mail.example.org:25, external, where" in said
    assert 'certificate."example.org".deploy[0].prove[0] proves it; expected one of them' in said
    assert load(make_site(tmp_path, SMALLEST.replace(CLAIM, f"{CLAIM}external = false\n"))).warnings == ()


def test_a_certificate_that_is_presented_elsewhere_alone(tmp_path: Path) -> None:
    """Its key is named, so that what presents it has it too."""
    start = SMALLEST[: SMALLEST.index(DEPLOY)].replace(CLAIM, f"{CLAIM}external = true\n")
    (warning,) = load(make_site(tmp_path, start)).warnings
    assert warning.found == "external, of a certificate whose key danelaw makes and deploys nowhere"
    (tmp_path / "live.key").write_bytes(made.rsa())
    (tmp_path / "live.key").chmod(0o600)
    named = start.replace('names = ["mail.example.org"]', 'names = ["mail.example.org"]\nkey = "live.key"')
    config = load(make_site(tmp_path, named))
    assert config.warnings == ()
    assert config.desired.certificates[0].deployments == ()


def test_strict_is_of_every_endpoint_of_its_table(tmp_path: Path) -> None:
    strict = SMALLEST.replace(CLAIM, f'{CLAIM}wait = "strict"\nports = [25, 993]\n')
    strict = strict.replace("mail.example.org:25", 'mail.example.org:25", "mail.example.org:993')
    (certificate,) = load(make_site(tmp_path, strict)).desired.certificates
    assert [claim.strict for claim in certificate.claims] == [True, True]
