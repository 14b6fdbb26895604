"""``services = [...]``: what a survey says becomes files, commands, proofs and watched endpoints."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chains import p256, rsa2048
from danelaw.config import Config, load
from danelaw.config.services import PRESETS
from danelaw.deploy.services.survey import PRESETS as SURVEYED
from danelaw.errors import ConfigError, Problem
from danelaw.model import Deployment, FileSpec, KeyAlgorithm, Service, ServiceSetup
from fakes.config_site import make_site
from fakes.survey import APACHE, COURIER, DOVECOT, POSTFIX, ToldSurvey

MAIL_CLAIM = 'hosts = ["mail.example.org"]'
ALL = {"postfix": POSTFIX, "dovecot": DOVECOT, "courier-imap": COURIER, "apache2": APACHE}


def site(*deploy: str, tlsa: str | None = MAIL_CLAIM, certificate: str = "") -> str:
    text = f"""
[acme.letsencrypt]
agree_tos = true

[dns.home]
tsig_key = "Kexample.org.+165+12345"

[certificate."example.org"]
names = ["example.org", "mail.example.org", "www.example.org"]
{certificate}
"""
    if tlsa is not None:
        text += f'\n[[certificate."example.org".tlsa]]\n{tlsa}\n'
    return text + "".join(f'\n[[certificate."example.org".deploy]]\n{each}\n' for each in deploy)


def loaded(folder: Path, text: str, **answers: ServiceSetup) -> tuple[Config, ToldSurvey]:
    told = {name: answer for name, answer in {**ALL, **answers}.items() if name in answers or f'"{name}"' in text}
    survey = ToldSurvey(told)
    return load(make_site(folder, text), survey), survey


def one(folder: Path, text: str, **answers: ServiceSetup) -> Deployment:
    (spec,) = loaded(folder, text, **answers)[0].desired.certificates
    (deployment,) = spec.deployments
    return deployment


def problems(folder: Path, text: str, **answers: ServiceSetup) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **answers)
    return caught.value.problems


def proven(deployment: Deployment) -> list[str]:
    return [f"{endpoint} {endpoint.protocol}" for endpoint in deployment.endpoints]


def watched(deployment: Deployment) -> list[str]:
    return [f"{endpoint} {endpoint.protocol}" for endpoint in deployment.watched]


# ------------------------------------------------------------------------------------------------ a table in one line


def test_one_word_is_a_whole_deployment(tmp_path: Path) -> None:
    config, survey = loaded(tmp_path, site('services = ["postfix"]'))
    assert config.warnings == ()
    (deployment,) = config.desired.certificates[0].deployments
    assert deployment.files == (
        FileSpec("/srv/tls/mail.pem", ("cert", "chain")),
        FileSpec("/srv/tls/mail.key", ("key",)),
    )
    assert deployment.services == (Service("postfix", ("postfix", "check"), ("postfix", "reload")),)
    assert proven(deployment) == [f"mail.example.org:{at}" for at in ("25 smtp", "465 smtps", "587 smtp")]
    assert watched(deployment) == [
        f"{name}.org:{at}" for name in ("example", "www.example") for at in ("25 smtp", "465 smtps", "587 smtp")
    ]
    assert survey.asked[0] == ("postfix", ("example.org", "mail.example.org", "www.example.org"), "ecdsa", False)


def test_services_that_share_their_files_stand_in_one_table(tmp_path: Path) -> None:
    deployment = one(tmp_path, site('services = ["postfix", "dovecot"]'))
    assert [spec.path for spec in deployment.files] == ["/srv/tls/mail.pem", "/srv/tls/mail.key"]
    assert [service.name for service in deployment.services] == ["postfix", "dovecot"]
    assert [str(endpoint) for endpoint in deployment.endpoints] == [
        f"mail.example.org:{port}" for port in (25, 465, 587, 143, 993)
    ]


def test_one_shared_file_has_the_parts_that_all_want_and_the_key_first_where_one_wants_it(tmp_path: Path) -> None:
    key_first = replace(POSTFIX, files=(FileSpec("/srv/tls/mail.pem", ("key", "cert", "chain")),))
    deployment = one(tmp_path, site('services = ["courier-imap", "postfix"]'), postfix=key_first)
    assert deployment.files == (FileSpec("/srv/tls/mail.pem", ("key", "cert", "chain"), 0o600, "courier"),)


def test_services_that_read_different_paths_are_refused_with_both(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, site('services = ["postfix", "courier-imap"]'))
    assert problem.where.endswith("deploy[0].services[1]")
    assert problem.found == (
        "postfix, which reads /srv/tls/mail.pem (cert+chain) and /srv/tls/mail.key (key),"
        " and courier-imap, /srv/tls/mail.pem (cert+key+chain)"
    )
    assert problem.expected == "a deploy table for each, or the same paths in the configuration of both"


def test_services_that_share_a_file_and_stand_in_two_tables_are_told_so(tmp_path: Path) -> None:
    found = problems(tmp_path, site('services = ["postfix"]', 'services = ["dovecot"]'))
    assert {problem.expected for problem in found} == {
        "a path of its own for each file; services that share one are named in one table"
    }
    apart = replace(DOVECOT, files=(FileSpec("/srv/tls/imap.pem", ("cert", "key", "chain")),))
    loaded(tmp_path, site('services = ["postfix"]', 'services = ["dovecot"]'), dovecot=apart)


def test_a_file_that_a_service_reads_which_is_not_named_is_a_warning(tmp_path: Path) -> None:
    config, _ = loaded(tmp_path, site('services = ["postfix"]'), dovecot=DOVECOT, apache2=APACHE)
    (warning,) = config.warnings
    assert warning.found == "/srv/tls/mail.pem, which dovecot reads too"
    assert warning.expected == '"dovecot" here too: else it is neither reloaded nor proven'
    assert loaded(tmp_path, site('services = ["postfix", "dovecot"]'))[0].warnings == ()


def test_what_does_not_suit_is_said_where_the_service_stands(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, site('services = ["dovecot", "nginx"]'))
    assert problem.where == 'certificate."example.org".deploy[0].services[1]'
    assert (problem.found, problem.expected) == ("a nginx that is not told of", "one that is")


def test_a_name_that_is_no_preset(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, site('services = ["apache"]'))
    assert problem.found == '"apache", which is no preset (did you mean apache2?)'
    assert "one of apache2, courier-imap, courier-pop, dovecot, nginx, postfix" in problem.expected


def test_a_service_twice_and_no_service(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, site('services = ["postfix", "postfix"]'))
    assert problem.found == "postfix for the second time"
    assert "an empty list" in {problem.found for problem in problems(tmp_path, site("services = []"))}


def test_nobody_who_can_be_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody here who can look at it"):
        load(make_site(tmp_path, site('services = ["postfix"]')))


def test_every_preset_of_the_config_is_known_to_the_survey() -> None:
    assert set(SURVEYED) == set(PRESETS)


def test_a_warning_of_a_service_is_a_sentence_with_its_place(tmp_path: Path) -> None:
    config, _ = loaded(
        tmp_path, site('services = ["postfix"]'), postfix=replace(POSTFIX, warnings=("port 26 is not proven",))
    )
    (warning,) = config.warnings
    assert str(warning).endswith('certificate."example.org".deploy[0].services[0]: postfix: port 26 is not proven')


# ---------------------------------------------------------------------------------------------------------- the key


@pytest.mark.parametrize(("key", "algorithm"), [(p256(), "ecdsa"), (rsa2048(), "rsa")])
def test_the_algorithm_is_that_of_the_key_that_is_there(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, algorithm: str
) -> None:
    path = make_site(tmp_path, site('services = ["postfix"]', certificate='key = "private/example_org.pem"'))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private/example_org.pem").write_bytes(pem)
    survey = ToldSurvey(ALL)
    load(path, survey)
    assert {asked[2] for asked in survey.asked} == {algorithm}


@pytest.mark.parametrize(("key_type", "algorithm"), [("p384", "ecdsa"), ("rsa3072", "rsa")])
def test_the_algorithm_of_a_key_that_is_made(tmp_path: Path, key_type: str, algorithm: str) -> None:
    _, survey = loaded(tmp_path, site('services = ["postfix"]', certificate=f'key_type = "{key_type}"'))
    assert {asked[2] for asked in survey.asked} == {algorithm}


def test_a_key_that_services_read_where_it_is_adopted_is_left_as_it_is(tmp_path: Path) -> None:
    key = str(tmp_path / "private/example_org.pem")
    reading_it = replace(POSTFIX, files=(FileSpec("/srv/tls/mail.pem", ("cert", "chain")), FileSpec(key, ("key",))))
    text = site('services = ["postfix"]', certificate='key = "private/example_org.pem"')
    assert one(tmp_path, text, postfix=reading_it).files == (FileSpec("/srv/tls/mail.pem", ("cert", "chain")),)
    assert len(one(tmp_path, text).files) == 2  # another key file is written


def test_a_file_that_holds_the_adopted_key_and_the_certificate_is_refused(tmp_path: Path) -> None:
    key = str(tmp_path / "private/example_org.pem")
    combined = replace(POSTFIX, files=(FileSpec(key, ("cert", "chain", "key")),))
    text = site('services = ["postfix"]', certificate='key = "private/example_org.pem"')
    (problem,) = problems(tmp_path, text, postfix=combined)
    assert "which is the key that" in problem.found
    assert problem.expected == "a path that danelaw does not read; name a copy of it as key"


def test_two_certificates_need_two_files_of_the_service(tmp_path: Path) -> None:
    first = site('services = ["postfix"]')
    second = first[first.index("[certificate.") :].replace('"example.org"', '"ec"').replace('["ec"', '["example.org"')
    text = first + second
    found = {problem.expected for problem in problems(tmp_path, text)}
    assert found == {"a path of its own for each file, in the service's configuration: one of each certificate"}


class BothAlgorithms(ToldSurvey):
    """Every service reads files for each algorithm."""

    def look(
        self, service: str, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        setup = super().look(service, names, algorithm, has_files=has_files)
        return replace(setup, files=(FileSpec(f"/srv/tls/{service}-{algorithm}.pem", ("key", "cert", "chain")),))


@pytest.mark.parametrize(("service", "answer", "port"), [("postfix", POSTFIX, 25), ("apache2", APACHE, 443)])
def test_names_of_a_certificate_that_stands_beside_it_in_a_mail_service_count(
    tmp_path: Path, service: str, answer: ServiceSetup, port: int
) -> None:
    """Postfix presents both under every name, so the second must not go live where records are of the first alone."""
    rsa = site(f'services = ["{service}"]', tlsa=None, certificate='key_type = "rsa2048"')
    mx2 = ["mx2.example.net"]
    rsa = rsa.replace('"www.example.org"]', '"mx2.example.net"]')
    rsa += f'\n[[certificate."example.org".tlsa]]\nhosts = {mx2}\nports = [{port}]\n'.replace("'", '"')
    ecdsa = '\n[certificate.ecdsa]\nnames = ["mail.example.org"]\n'
    ecdsa += f'[[certificate.ecdsa.deploy]]\nservices = ["{service}"]\n'
    setup = replace(answer, hosts=("mail.example.org",))
    config = load(make_site(tmp_path, rsa + ecdsa), BothAlgorithms({service: setup}))
    (first,), (second,) = (spec.deployments for spec in config.desired.certificates)
    assert f"mx2.example.net:{port}" in {str(endpoint) for endpoint in first.endpoints}
    counted = f"mx2.example.net:{port}" in {str(endpoint) for endpoint in second.watched}
    assert counted is (service == "postfix")


# -------------------------------------------------------------------------------------------------------- given files


def test_given_files_stand_in_the_place_of_the_services_own(tmp_path: Path) -> None:
    unknown = replace(POSTFIX, files=())
    text = site('services = ["postfix"]\nfullchain = "/srv/a.pem"\nkey = "/srv/a.key"')
    config, survey = loaded(tmp_path, text, postfix=unknown)
    (deployment,) = config.desired.certificates[0].deployments
    assert [spec.path for spec in deployment.files] == ["/srv/a.pem", "/srv/a.key"]
    assert survey.asked[0][3] is True


def test_given_files_that_the_service_does_not_read(tmp_path: Path) -> None:
    text = site('services = ["postfix"]\nfullchain = "/srv/a.pem"\nkey = "/srv/a.key"')
    (problem,) = problems(tmp_path, text)
    assert problem.found == "postfix, which reads /srv/tls/mail.pem, and not /srv/a.pem, /srv/a.key"
    assert problem.expected == "/srv/tls/mail.pem here, or no files at all: then postfix's own are written"
    one(tmp_path, text.replace("/srv/a.", "/srv/tls/mail."))


def test_given_files_through_a_link_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    reads = replace(POSTFIX, files=(FileSpec(str(tmp_path / "link/mail.pem"), ("key", "cert", "chain")),))
    text = site('services = ["postfix"]\ncombined = { path = "real/mail.pem", parts = ["key", "cert", "chain"] }')
    one(tmp_path, text, postfix=reads)


@pytest.mark.parametrize(
    ("parts", "wanted", "found"),
    [
        (("cert", "chain"), ("cert", "chain", "key"), "no key in /srv/a.pem, where postfix reads its key"),
        (("cert", "key", "chain"), ("key", "cert", "chain"), "where postfix wants the key first"),
        (("key",), ("cert", "chain"), "no certificate in /srv/a.pem, where postfix reads its own"),
    ],
)
def test_a_given_file_in_a_form_that_the_service_cannot_read(
    tmp_path: Path, parts: tuple[str, ...], wanted: tuple[str, ...], found: str
) -> None:
    def text(parts: tuple[str, ...]) -> str:
        files = f'combined = {{ path = "/srv/a.pem", parts = {list(parts)} }}\nfullchain = "/srv/b.pem"\nkey = "/srv/c"'
        return site(f'services = ["postfix"]\n{files}')

    reads = replace(POSTFIX, files=(FileSpec("/srv/a.pem", wanted),))  # type: ignore[arg-type]
    assert any(found in problem.found for problem in problems(tmp_path, text(parts), postfix=reads))
    one(tmp_path, text(wanted), postfix=reads)


# ------------------------------------------------------------------------------------------------------------ commands


def test_given_commands_stand_in_the_place_of_all_of_the_services_own(tmp_path: Path) -> None:
    shared = 'services = ["postfix", "dovecot"]\n'
    by_reload = one(tmp_path, site(shared + 'reload = ["systemctl", "restart", "mail"]'))
    assert by_reload.services == (
        Service("postfix", ("postfix", "check"), None),
        Service("dovecot", ("doveconf", "-n"), None),
        Service("", None, ("systemctl", "restart", "mail")),
    )
    by_test = one(tmp_path, site(shared + 'test = ["true"]'))
    assert [service.test for service in by_test.services] == [None, None, ("true",)]
    assert [service.reload for service in by_test.services] == [("postfix", "reload"), ("doveadm", "reload"), None]


# ------------------------------------------------------------------------------------------------- which hosts, how


def test_a_mail_service_is_proven_where_its_ports_are_claimed_and_no_other_name_is(tmp_path: Path) -> None:
    deployment = one(tmp_path, site('services = ["postfix"]', tlsa='hosts = ["example.org"]\nports = [25]'))
    assert {endpoint.host for endpoint in deployment.endpoints} == {"example.org"}
    assert {endpoint.host for endpoint in deployment.watched} == {"mail.example.org", "www.example.org"}


def test_no_service_here_proves_what_is_presented_elsewhere(tmp_path: Path) -> None:
    """It is still watched: should its name lead here after all, its records count."""
    relay = '\n[[certificate."example.org".tlsa]]\nhosts = ["www.example.org"]\nports = [25, 465]'
    elsewhere = one(tmp_path, site('services = ["postfix"]', tlsa=f"{MAIL_CLAIM}\n{relay}\nexternal = true"))
    assert proven(elsewhere) == ["mail.example.org:25 smtp", "mail.example.org:465 smtps", "mail.example.org:587 smtp"]
    assert "www.example.org:25 smtp" in watched(elsewhere)
    here = one(tmp_path, site('services = ["postfix"]', tlsa=f"{MAIL_CLAIM}\n{relay}"))
    assert "www.example.org:25 smtp" in proven(here)


def test_a_web_service_does_not_prove_a_name_that_is_elsewhere(tmp_path: Path) -> None:
    claim = 'hosts = ["www.example.org"]\nports = [443]'
    assert "www.example.org:443 https" in proven(one(tmp_path, site('services = ["apache2"]', tlsa=claim)))
    elsewhere = one(tmp_path, site('services = ["apache2"]', tlsa=f"{claim}\nexternal = true"))
    assert "www.example.org:443 https" not in proven(elsewhere)
    assert proven(elsewhere)


def test_else_where_anything_is_claimed(tmp_path: Path) -> None:
    text = site('services = ["dovecot"]', 'services = ["apache2"]', tlsa='hosts = ["www.example.org"]\nports = [443]')
    (spec,) = loaded(tmp_path, text)[0].desired.certificates
    assert {endpoint.host for endpoint in spec.deployments[0].endpoints} == {"www.example.org"}


def test_else_under_its_own_name(tmp_path: Path) -> None:
    assert {e.host for e in one(tmp_path, site('services = ["postfix"]', tlsa=None)).endpoints} == {"mail.example.org"}


@pytest.mark.parametrize("hosts", [(), ("vm",), ("mail.elsewhere.net",)])
def test_else_under_every_name_where_the_certificate_does_not_have_its_own(
    tmp_path: Path, hosts: tuple[str, ...]
) -> None:
    deployment = one(tmp_path, site('services = ["postfix"]', tlsa=None), postfix=replace(POSTFIX, hosts=hosts))
    assert {endpoint.host for endpoint in deployment.endpoints} == {
        "example.org",
        "mail.example.org",
        "www.example.org",
    }


def test_records_under_its_own_name_count_where_the_certificate_does_not_have_it(tmp_path: Path) -> None:
    """Senders that hold records of usage 3 there look at no name, and would refuse another key."""
    elsewhere = replace(POSTFIX, hosts=("mail.elsewhere.net",))
    deployment = one(tmp_path, site('services = ["postfix"]', tlsa=None), postfix=elsewhere)
    assert watched(deployment) == [f"mail.elsewhere.net:{at}" for at in ("25 smtp", "465 smtps", "587 smtp")]
    sharing = one(tmp_path, site('services = ["apache2"]', tlsa=None), apache2=replace(APACHE, beside=("b.test", "vm")))
    assert "b.test:443 https" in watched(sharing)
    assert "vm:443 https" not in watched(sharing)
    for hosts in ((), ("vm",)):
        nameless = one(tmp_path, site('services = ["postfix"]', tlsa=None), postfix=replace(POSTFIX, hosts=hosts))
        assert nameless.watched == ()


def test_a_web_service_is_proven_under_each_of_its_names_that_the_certificate_has(tmp_path: Path) -> None:
    deployment = one(tmp_path, site('services = ["apache2"]', tlsa=None))
    assert proven(deployment) == ["www.example.org:443 https", "example.org:443 https"]
    assert watched(deployment) == ["mail.example.org:443 https", "elsewhere.example.net:443 https"]


def test_a_web_service_that_answers_to_any_name(tmp_path: Path) -> None:
    deployment = one(tmp_path, site('services = ["apache2"]', tlsa=None), apache2=replace(APACHE, hosts=()))
    assert {endpoint.host for endpoint in deployment.endpoints} == {
        "example.org",
        "mail.example.org",
        "www.example.org",
    }


def test_the_stated_protocol_of_a_claim_wins(tmp_path: Path) -> None:
    odd = replace(POSTFIX, ports=((2525, "smtp"),))
    claim = 'hosts = ["mail.example.org"]\nports = [{ port = 2525, protocol = "smtps" }]'
    deployment = one(tmp_path, site('services = ["postfix"]', tlsa=claim), postfix=odd)
    assert proven(deployment) == ["mail.example.org:2525 smtps"]
    other = one(tmp_path, site('services = ["postfix"]', tlsa=None), postfix=odd)
    assert proven(other) == ["mail.example.org:2525 smtp"]


def test_a_claim_at_a_port_that_no_service_offers(tmp_path: Path) -> None:
    claim = 'hosts = ["mail.example.org"]\nports = [25, 993]'
    (problem,) = problems(tmp_path, site('services = ["postfix"]', tlsa=claim))
    assert problem.found == "mail.example.org:993, which no deployment proves"
    expected = '"mail.example.org:993" in the prove of a deployment; postfix offers 25, 465, 587; or external = true'
    assert problem.expected.startswith(expected)
    loaded(tmp_path, site('services = ["postfix", "dovecot"]', tlsa=claim))


def test_a_given_prove_leaves_the_other_ports_watched(tmp_path: Path) -> None:
    deployment = one(tmp_path, site('services = ["postfix"]\nprove = ["mail.example.org:25"]'))
    assert proven(deployment) == ["mail.example.org:25 smtp"]
    assert "mail.example.org:465 smtps" in watched(deployment)
    assert "mail.example.org:25 smtp" not in watched(deployment)
    assert "www.example.org:587 smtp" in watched(deployment)


def test_a_table_without_services_watches_nothing(tmp_path: Path) -> None:
    by_hand = 'fullchain = "/srv/a.pem"\nkey = "/srv/a.key"\nreload = ["true"]\nprove = ["mail.example.org:25"]'
    assert one(tmp_path, site(by_hand)).watched == ()
