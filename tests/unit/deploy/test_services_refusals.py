"""What no preset writes over, each refusal with what is accepted beside it; and who is asked, how often."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from chains import Issued, p256, rsa2048
from danelaw.deploy.services import HostSurvey, refusals
from danelaw.deploy.services.survey import ask_program
from danelaw.errors import Unsuited
from danelaw.model import FileSpec
from fakes.programs import Programs

NOBODYS = Programs({"dpkg-query": Unsuited("dpkg-query -S: exit status 1: no path found", "")})


def refused(path: object, ask: Programs = NOBODYS) -> Unsuited:
    with pytest.raises(Unsuited) as caught:
        refusals.check_path(ask, str(path), "ssl_cert")
    return caught.value


def test_a_file_of_ones_own_is_accepted_whether_it_is_there_or_not(tmp_path: Path) -> None:
    refusals.check_path(NOBODYS, str(tmp_path / "mail.pem"), "ssl_cert")
    (tmp_path / "mail.pem").write_text("")
    refusals.check_path(NOBODYS, str(tmp_path / "mail.pem"), "ssl_cert")


def test_a_refusal_names_path_setting_and_what_to_set() -> None:
    error = refused("mail.pem")
    assert error.found == "the path mail.pem in ssl_cert, which is not absolute"
    assert error.expected == "a file of its own in ssl_cert, such as /etc/ssl/private/mail.pem"


def test_debians_example_itself_and_behind_a_link(tmp_path: Path) -> None:
    assert "Debian's self-signed example" in refused("/etc/ssl/private/ssl-cert-snakeoil.key").found
    (tmp_path / "dovecot.pem").symlink_to("/etc/ssl/certs/ssl-cert-snakeoil.pem")
    assert "Debian's self-signed example" in refused(tmp_path / "dovecot.pem").found


@pytest.mark.parametrize(
    ("path", "tool"),
    [
        ("/etc/letsencrypt/live/example.org/fullchain.pem", "certbot"),
        ("/root/.acme.sh/example.org/fullchain.cer", "acme.sh"),
        ("/var/lib/dehydrated/certs/example.org/fullchain.pem", "dehydrated"),
        ("/root/.local/share/mkcert/rootCA.pem", "mkcert"),
    ],
)
def test_the_trees_of_other_tools(path: str, tool: str) -> None:
    assert f"which {tool} keeps and would write over" in refused(path).found


def test_a_folder_that_leads_into_another_tools_tree(tmp_path: Path) -> None:
    (tmp_path / "tls").symlink_to("/etc/letsencrypt/live/example.org")
    assert "certbot" in refused(tmp_path / "tls/fullchain.pem").found
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    refusals.check_path(NOBODYS, str(tmp_path / "link/fullchain.pem"), "ssl_cert")


def test_a_link_of_somebody_elses_and_danelaws_own(tmp_path: Path) -> None:
    (tmp_path / "mail.pem").symlink_to("mail-2025.pem")
    assert "a link to mail-2025.pem, and danelaw follows only its own" in refused(tmp_path / "mail.pem").found
    own = tmp_path / "own.pem"
    own.symlink_to(f"/var/lib/danelaw/live/{'0a' * 32}/current/0-own.pem")
    refusals.check_path(NOBODYS, str(own), "ssl_cert")


def test_a_file_of_a_package(tmp_path: Path) -> None:
    path = tmp_path / "mail.pem"
    owned = Programs({"dpkg-query -S": f"diversion by a from: {path}\nssl-cert: {path}\n"})
    refusals.check_path(owned, str(path), "ssl_cert")  # not there: nobody's
    path.write_text("")
    assert "which belongs to the package ssl-cert" in refused(path, owned).found
    refusals.check_path(Programs({}), str(path), "ssl_cert")  # no dpkg on this host
    other = Programs({"dpkg-query -S": f"ssl-cert: {path}.example\n"})
    refusals.check_path(other, str(path), "ssl_cert")


def test_one_path_for_both_is_one_file_with_the_key() -> None:
    assert refusals.pair("/a", "/./a") == (FileSpec("/a", ("cert", "chain", "key")),)
    assert refusals.pair("/a", "/b") == (FileSpec("/a", ("cert", "chain")), FileSpec("/b", ("key",)))


def test_the_algorithms_of_the_keys_in_a_file(tmp_path: Path) -> None:
    pem = tmp_path / "key.pem"
    assert refusals.key_algorithms(str(pem)) == ()
    for content, algorithms in (
        (Issued(p256(), None).key_pem, ("ecdsa",)),  # type: ignore[arg-type]
        (Issued(rsa2048(), None).key_pem + Issued(p256(), None).key_pem, ("rsa", "ecdsa")),  # type: ignore[arg-type]
        (b"no PEM", ()),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", ()),
    ):
        pem.write_bytes(content)
        assert refusals.key_algorithms(str(pem)) == algorithms


def test_a_key_of_a_kind_that_no_ca_signs_for_is_not_nothing(tmp_path: Path) -> None:
    """What holds an Ed25519 key is somebody's, and not the place of an ECDSA key."""
    one, two = tmp_path / "rsa.pem", tmp_path / "other.pem"
    both = [str(one), str(two)]
    one.write_bytes(Issued(rsa2048(), None).key_pem)  # type: ignore[arg-type]
    assert refusals.by_algorithm(both, "ecdsa") == str(two)
    key = ed25519.Ed25519PrivateKey.generate()
    two.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert refusals.by_algorithm(both, "ecdsa") is None
    assert refusals.by_algorithm(both, "rsa") == str(one)
    two.write_bytes(p256().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    assert refusals.by_algorithm(both, "ecdsa") == str(two)


# ------------------------------------------------------------------------------------------------------- who is asked


def test_a_program_of_this_host_is_asked_without_its_complaints() -> None:
    assert ask_program(["sh", "-c", "echo yes; echo warning >&2"]) == "yes\n"


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["no-such-program"], "no program no-such-program on this host"),
        (["sh", "-c", "echo out; echo why >&2; exit 3"], "exit status 3: out; why"),
        (["sh", "-c", "head -c 5000000 /dev/zero"], "prints more than 4194304 bytes"),
    ],
)
def test_a_program_that_gives_no_answer(argv: list[str], found: str) -> None:
    with pytest.raises(Unsuited) as caught:
        ask_program(argv)
    assert found in caught.value.found


def test_each_question_is_asked_once() -> None:
    postconf = {
        "postconf -x": "smtpd_tls_cert_file = /srv/a.pem\nsmtpd_tls_security_level = may\n",
        "postconf -P": "",
        "postconf -M": "smtp inet n - y - - smtpd\n",
    }
    ask = Programs(postconf)
    survey = HostSurvey(ask)
    assert survey.look("postfix", ["a.example"], "rsa") == survey.look("postfix", ["b.example"], "rsa")
    assert len(ask.asked) == 3
    silent = Programs({})
    survey = HostSurvey(silent)
    for _ in range(2):
        with pytest.raises(Unsuited, match="no program postconf"):
            survey.look("postfix", ["a.example"], "rsa")
    assert len(silent.asked) == 1


def test_a_preset_that_there_is_not() -> None:
    with pytest.raises(Unsuited, match=r"apache, which is no preset; one of .*, postfix; or its files"):
        HostSurvey(Programs({})).look("apache", ["a.example"], "rsa")
