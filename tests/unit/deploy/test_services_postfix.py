"""The preset for Postfix, over what postconf of Postfix 3.7 prints."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from chains import Issued, p256, rsa2048
from danelaw.deploy.services.postfix import survey
from danelaw.errors import Unsuited
from danelaw.model import FileSpec, KeyAlgorithm, Service, ServiceSetup
from fakes.programs import Programs

# postconf -x …, where nothing but the host's name, a security level and a pair of files is set
MAIN = """\
smtpd_tls_chain_files =
smtpd_tls_cert_file = /srv/tls/mail.pem
smtpd_tls_key_file = /srv/tls/mail.key
smtpd_tls_eccert_file =
smtpd_tls_eckey_file =
smtpd_tls_security_level = may
smtpd_use_tls = no
smtpd_enforce_tls = no
smtpd_tls_wrappermode = no
smtpd_upstream_proxy_protocol =
tlsproxy_tls_chain_files =
tlsproxy_tls_cert_file = /srv/tls/mail.pem
tlsproxy_tls_key_file = /srv/tls/mail.key
tlsproxy_tls_eccert_file =
tlsproxy_tls_eckey_file =
tls_server_sni_maps =
postscreen_upstream_proxy_protocol =
myhostname = mail.example.org
inet_interfaces = all
"""

SUBMISSION = "-o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes"
SUBMISSIONS = "-o syslog_name=postfix/submissions -o smtpd_tls_wrappermode=yes -o smtpd_tls_security_level=$my_level"

# postconf -M
MASTER = f"""\
smtp       inet  n       -       y       -       -       smtpd
pickup     unix  n       -       y       60      1       pickup
tlsmgr     unix  -       -       y       1000?   1       tlsmgr
smtp       unix  -       -       y       -       -       smtp
relay      unix  -       -       y       -       -       smtp -o syslog_name=postfix/$service_name
postlog    unix-dgram n  -       n       -       1       postlogd
mailman    unix  -       n       n       -       -       pipe flags=FRX user=list argv=/usr/bin/to-mailman ${{nexthop}}
submission inet  n       -       y       -       -       smtpd {SUBMISSION}
submissions inet n       -       y       -       -       smtpd {SUBMISSIONS}
127.0.0.1:10025 inet n   -       y       -       -       smtpd -o smtpd_tls_security_level=none
"""

# postconf -P -x
OVERRIDES = """\
relay/unix/syslog_name = postfix/relay
submission/inet/smtpd_sasl_auth_enable = yes
submission/inet/smtpd_tls_security_level = encrypt
submission/inet/syslog_name = postfix/submission
submissions/inet/smtpd_tls_security_level = encrypt
submissions/inet/smtpd_tls_wrappermode = yes
submissions/inet/syslog_name = postfix/submissions
127.0.0.1:10025/inet/smtpd_tls_security_level = none
"""

POSTSCREEN = """\
smtp       inet  n       -       y       -       1       postscreen
smtpd      pass  -       -       y       -       -       smtpd
tlsproxy   unix  -       -       y       -       0       tlsproxy
"""


def look(
    main: Mapping[str, str] | None = None,
    master: str = MASTER,
    overrides: str = OVERRIDES,
    algorithm: KeyAlgorithm = "rsa",
    *,
    has_files: bool = False,
) -> ServiceSetup:
    """Survey a Postfix whose main.cf says ``main`` too; tlsproxy's files follow smtpd's, as they do by default."""
    settings = dict(line.split(" =", 1) for line in MAIN.splitlines())
    for name, value in (main or {}).items():
        if name.endswith(("_file", "_files")):
            settings[name.replace("smtpd_", "tlsproxy_")] = f" {value}"
        settings[name] = f" {value}"
    said = "".join(f"{name} ={value}\n" for name, value in settings.items())
    ask = Programs({"postconf -x": said, "postconf -P -x": overrides, "postconf -M": master})
    return survey(ask, ["mail.example.org"], algorithm, has_files=has_files)


def refused(*arguments: object, **options: object) -> Unsuited:
    with pytest.raises(Unsuited) as caught:
        look(*arguments, **options)  # type: ignore[arg-type]
    return caught.value


def key_file(folder: Path, name: str, key: object) -> str:
    path = folder / name
    path.write_bytes(Issued(key, None).key_pem)  # type: ignore[arg-type]
    return str(path)


# --------------------------------------------------------------------------------------------------------------- ports


def test_what_a_usual_postfix_says() -> None:
    assert look() == ServiceSetup(
        Service("postfix", ("postfix", "check"), ("postfix", "reload")),
        (FileSpec("/srv/tls/mail.pem", ("cert", "chain")), FileSpec("/srv/tls/mail.key", ("key",))),
        ((25, "smtp"), (465, "smtps"), (587, "smtp")),
        ("mail.example.org",),
    )


def test_a_port_that_only_this_host_reaches_is_left_out() -> None:
    beyond = MASTER.replace("127.0.0.1:10025", "192.0.2.1:10025")
    overrides = OVERRIDES.replace("127.0.0.1:10025/inet/smtpd_tls_security_level = none\n", "")
    assert (10025, "smtp") in look(master=beyond, overrides=overrides).ports
    assert (10025, "smtp") not in look(overrides=overrides).ports


def test_a_port_without_tls_is_left_out() -> None:
    without = OVERRIDES.replace("submission/inet/smtpd_tls_security_level = encrypt", "submission/inet/x = none")
    assert (587, "smtp") in look(overrides=without).ports
    none = OVERRIDES.replace("level = encrypt", "level = none", 1)
    assert (587, "smtp") not in look(overrides=none).ports


@pytest.mark.parametrize("switch", ["smtpd_use_tls", "smtpd_enforce_tls"])
def test_the_older_switches_count_where_no_level_is_set(switch: str) -> None:
    assert look({"smtpd_tls_security_level": "", switch: "yes"}).ports[0] == (25, "smtp")
    assert look({"smtpd_tls_security_level": "none", switch: "yes"}).ports[0] == (465, "smtps")


def test_a_postfix_without_tls_is_refused_with_the_command_that_puts_it_on() -> None:
    error = refused({"smtpd_tls_security_level": ""}, MASTER, "")
    assert "offers TLS on no port" in error.found
    assert "postconf -e smtpd_tls_security_level=may" in error.expected
    look({"smtpd_tls_security_level": "may"}, MASTER, "")


def test_a_postfix_that_takes_no_mail_is_refused() -> None:
    only_here = "\n".join(line for line in MASTER.splitlines() if " inet " not in line or "127.0.0.1" in line)
    assert "no smtpd in master.cf that others can reach" in refused(master=only_here).found


@pytest.mark.parametrize("interfaces", ["loopback-only", "localhost", "127.0.0.1, [::1]"])
def test_a_postfix_for_this_host_alone_is_refused(interfaces: str) -> None:
    error = refused({"inet_interfaces": interfaces})
    assert error.found == f"a Postfix that only this host can reach (inet_interfaces = {interfaces})"
    assert "inet_interfaces = all" in error.expected
    line = "192.0.2.1:10465 inet n - y - - smtpd\n"  # an address of its own
    assert look({"inet_interfaces": interfaces}, master=MASTER + line).ports == ((10465, "smtp"),)
    assert len(look({"inet_interfaces": f"{interfaces}, 192.0.2.25"}).ports) == 3


def test_numbers_and_names_of_ports() -> None:
    line = "{} inet n - y - - smtpd\n"
    ports = look(master="".join(line.format(each) for each in ("2525", "smtps", "[::1]:26", "mail:587")), overrides="")
    assert ports.ports == ((465, "smtp"), (587, "smtp"), (2525, "smtp"))
    setup = look(master=MASTER + line.format("no-such-port"))
    assert setup.ports == look().ports
    assert setup.warnings == ("the port no-such-port of master.cf is unknown on this host, and is not proven",)


def test_a_port_behind_a_proxy_is_left_out_and_said() -> None:
    setup = look(overrides=OVERRIDES + "submission/inet/smtpd_upstream_proxy_protocol = haproxy\n")
    assert (587, "smtp") not in setup.ports
    assert "port 587 is behind a proxy" in setup.warnings[0]


def test_postscreen_listens_for_smtpd() -> None:
    master = POSTSCREEN + MASTER.split("\n", 1)[1]
    assert look(master=master) == look()
    off = OVERRIDES + "smtpd/pass/smtpd_tls_security_level = none\n"
    assert look(master=master, overrides=off).ports == look().ports[1:]


def test_a_host_name_that_is_none() -> None:
    assert look({"myhostname": "mail_1..example"}).hosts == ()


# --------------------------------------------------------------------------------------------------------------- files


def test_the_key_is_read_from_the_certificates_file_by_default() -> None:
    main = {"smtpd_tls_key_file": "/srv/tls/mail.pem"}
    assert look(main).files == (FileSpec("/srv/tls/mail.pem", ("cert", "chain", "key")),)


def test_each_algorithm_has_its_own_pair_and_one_pair_serves_both() -> None:
    both = {"smtpd_tls_eccert_file": "/srv/tls/ec.pem", "smtpd_tls_eckey_file": "/srv/tls/ec.key"}
    assert [spec.path for spec in look(both, algorithm="ecdsa").files] == ["/srv/tls/ec.pem", "/srv/tls/ec.key"]
    assert [spec.path for spec in look(both, algorithm="rsa").files] == ["/srv/tls/mail.pem", "/srv/tls/mail.key"]
    assert look(algorithm="ecdsa").files == look(algorithm="rsa").files
    alone = both | {"smtpd_tls_cert_file": "", "smtpd_tls_key_file": ""}
    assert look(alone, algorithm="rsa").files == look(alone, algorithm="ecdsa").files


def test_chain_files_override_the_rest_and_want_the_key_first() -> None:
    main = {"smtpd_tls_chain_files": "/srv/tls/chain.pem"}
    assert look(main).files == (FileSpec("/srv/tls/chain.pem", ("key", "cert", "chain")),)


def test_of_several_chain_files_that_of_the_key_algorithm(tmp_path: Path) -> None:
    rsa, ecdsa = key_file(tmp_path, "rsa.pem", rsa2048()), key_file(tmp_path, "ec.pem", p256())
    main = {"smtpd_tls_chain_files": f"{rsa}, {ecdsa}"}
    assert look(main, algorithm="rsa").files[0].path == rsa
    assert look(main, algorithm="ecdsa").files[0].path == ecdsa
    new = {"smtpd_tls_chain_files": f"{rsa} {tmp_path}/new.pem"}
    assert look(new, algorithm="ecdsa").files[0].path == f"{tmp_path}/new.pem"
    assert look(new, algorithm="rsa").files[0].path == rsa


def test_several_chain_files_that_do_not_say_which(tmp_path: Path) -> None:
    one, two = key_file(tmp_path, "one.pem", p256()), key_file(tmp_path, "two.pem", p256())
    error = refused({"smtpd_tls_chain_files": f"{one}, {two}"}, algorithm="ecdsa")
    assert f"{one}, {two}, where it is not clear which is for the ecdsa key" in error.found
    assert "where it is not clear" in refused({"smtpd_tls_chain_files": f"{one}, {two}"}, algorithm="rsa").found


def test_a_chain_file_with_two_keys(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(
        Path(key_file(tmp_path, "a", p256())).read_text() + Path(key_file(tmp_path, "b", rsa2048())).read_text()
    )
    error = refused({"smtpd_tls_chain_files": str(both)})
    assert "with 2 keys" in error.found
    assert error.expected == "a file of its own for each key"


@pytest.mark.parametrize("certificate", ["", "none"])
def test_a_postfix_without_a_certificate_is_told_what_to_set(certificate: str) -> None:
    error = refused({"smtpd_tls_cert_file": certificate, "smtpd_tls_key_file": certificate})
    assert "without a certificate" in error.found
    assert "postconf -e smtpd_tls_chain_files=/etc/postfix/tls.pem" in error.expected


def test_a_path_that_is_anothers_is_refused_with_its_setting() -> None:
    error = refused({"smtpd_tls_cert_file": "/etc/ssl/certs/ssl-cert-snakeoil.pem"})
    assert error.found.startswith("/etc/ssl/certs/ssl-cert-snakeoil.pem in smtpd_tls_cert_file, Debian's")
    live = {"smtpd_tls_chain_files": "/etc/letsencrypt/live/x/all.pem"}
    assert "in smtpd_tls_chain_files, which certbot keeps" in refused(live).found


# -------------------------------------------------------------------------------------------------- files of one port


def test_a_port_with_files_of_its_own_is_refused_with_its_name() -> None:
    own = OVERRIDES + "submissions/inet/smtpd_tls_cert_file = /srv/tls/other.pem\n"
    error = refused(overrides=own)
    assert error.found == (
        "submissions in master.cf with -o smtpd_tls_cert_file=/srv/tls/other.pem, where main.cf has /srv/tls/mail.pem"
    )
    assert "no -o smtpd_tls_… of files in master.cf" in error.expected


def test_an_override_that_says_the_same_or_does_not_count_is_accepted() -> None:
    look(overrides=OVERRIDES + "submissions/inet/smtpd_tls_cert_file = /srv/tls/mail.pem\n")
    own = OVERRIDES + "submissions/inet/smtpd_tls_cert_file = /srv/tls/other.pem\n"
    look({"smtpd_tls_chain_files": "/srv/tls/chain.pem"}, overrides=own)  # these override it, too
    look(overrides=OVERRIDES + "127.0.0.1:10025/inet/smtpd_tls_cert_file = /srv/tls/other.pem\n")


def test_an_override_of_the_smtpd_behind_postscreen_counts() -> None:
    master = POSTSCREEN + MASTER.split("\n", 1)[1]
    own = OVERRIDES + "smtpd/pass/smtpd_tls_cert_file = /srv/tls/other.pem\n"
    assert "-o smtpd_tls_cert_file=/srv/tls/other.pem" in refused(master=master, overrides=own).found


def test_tlsproxy_with_files_of_its_own_is_refused_where_postscreen_uses_it() -> None:
    own = {"smtpd_tls_cert_file": "/srv/tls/mail.pem", "tlsproxy_tls_cert_file": "/srv/tls/other.pem"}
    master = POSTSCREEN + MASTER.split("\n", 1)[1]
    assert "tlsproxy_tls_cert_file = /srv/tls/other.pem" in refused(own, master=master).found
    look(own)


def test_with_given_files_an_override_is_a_warning_and_nothing_is_compared() -> None:
    own = OVERRIDES + "submissions/inet/smtpd_tls_cert_file = /srv/tls/other.pem\n"
    setup = look(overrides=own, has_files=True)
    assert setup.files == ()
    assert "prove is to name the ports that read the files given here" in setup.warnings[0]
    assert look(has_files=True).files == look().files


def test_with_given_files_nothing_that_only_concerns_its_own_is_refused() -> None:
    setup = look({"smtpd_tls_cert_file": "", "smtpd_tls_key_file": ""}, has_files=True)
    assert setup.files == ()
    assert "without a certificate" in setup.warnings[0]
    assert look({"smtpd_tls_cert_file": "/etc/letsencrypt/live/x/y"}, has_files=True).files


# ------------------------------------------------------------------------------------------------------------- SNI maps


def test_sni_maps_are_refused_and_with_given_files_a_warning() -> None:
    main = {"tls_server_sni_maps": "hash:/etc/postfix/sni"}
    error = refused(main)
    assert error.found == (
        "tls_server_sni_maps = hash:/etc/postfix/sni, which holds copies of keys and chains until postmap -F is run"
    )
    assert "postmap -F MAP && postfix reload" in error.expected
    assert "reload is to run postmap -F too" in look(main, has_files=True).warnings[0]
