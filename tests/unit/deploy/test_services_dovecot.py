"""The preset for Dovecot, over what doveconf of Dovecot 2.3 prints and 2.4 prints."""

from pathlib import Path

import pytest

from chains import Issued, p256, rsa2048
from danelaw.deploy.services.dovecot import parse, survey
from danelaw.errors import Unsuited
from danelaw.model import FileSpec, KeyAlgorithm, Service, ServiceSetup
from fakes.programs import Programs

# doveconf -n: what is not the default. Keys are hidden there.
CHANGED = """\
# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
# Pigeonhole version 0.5.19 (4eae2f79)
# OS: Linux 6.1.0 x86_64 Debian 12.11
# Hostname: mail.example.org
mail_location = mbox:~/mail:INBOX=/var/mail/%u
namespace inbox {
  inbox = yes
  mailbox "Sent Messages" {
    special_use = \\Sent
  }
}
passdb {
  driver = pam
}
protocols = " imap pop3"
ssl_cert = </srv/tls/mail.pem
ssl_key = # hidden, use -P to show it
"""

# doveconf ssl … service, without the services that have no inet_listener
WHOLE = """\
ssl = yes
ssl_cert = </srv/tls/mail.pem
ssl_key = </srv/tls/mail.key
ssl_alt_cert =
ssl_alt_key =
protocols = " imap pop3"
hostname =
service auth {
  protocol =
  unix_listener auth-client {
    group =
    mode = 0600
  }
}
service imap-login {
  executable = imap-login
  inet_listener imap {
    address =
    haproxy = no
    port = 143
    reuse_port = no
    ssl = no
  }
  inet_listener imaps {
    address =
    haproxy = no
    port = 993
    reuse_port = no
    ssl = yes
  }
  process_limit = 0
  protocol = imap
  type = login
}
service managesieve-login {
  executable =
  inet_listener sieve {
    address =
    haproxy = no
    port = 4190
    ssl = no
  }
  protocol =
}
service pop3-login {
  executable = pop3-login
  inet_listener pop3 {
    address =
    haproxy = no
    port = 110
    ssl = no
  }
  inet_listener pop3s {
    address =
    haproxy = no
    port = 995
    ssl = yes
  }
  protocol = pop3
}
service submission-login {
  executable = submission-login
  inet_listener submission {
    address =
    haproxy = no
    port = 587
    ssl = no
  }
  inet_listener submissions {
    address =
    haproxy = no
    port = 465
    ssl = yes
  }
  protocol = submission
}
"""

ALT = "ssl_alt_cert =\nssl_alt_key =\n"


def look(
    whole: str = WHOLE, changed: str = CHANGED, algorithm: KeyAlgorithm = "rsa", *, has_files: bool = False
) -> ServiceSetup:
    ask = Programs({"doveconf -n": changed, "doveconf ssl": whole})
    return survey(ask, ["mail.example.org", "example.org"], algorithm, has_files=has_files)


def refused(whole: str = WHOLE, changed: str = CHANGED, algorithm: KeyAlgorithm = "rsa") -> Unsuited:
    with pytest.raises(Unsuited) as caught:
        look(whole, changed, algorithm)
    return caught.value


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_what_a_usual_dovecot_says() -> None:
    assert look() == ServiceSetup(
        Service("dovecot", ("doveconf", "-n"), ("doveadm", "reload")),
        (FileSpec("/srv/tls/mail.pem", ("cert", "chain")), FileSpec("/srv/tls/mail.key", ("key",))),
        ((110, "pop3"), (143, "imap"), (993, "imaps"), (995, "pop3s")),
        ("mail.example.org",),
    )


# --------------------------------------------------------------------------------------------------------------- ports


def test_only_enabled_protocols_listen() -> None:
    assert look(edited(WHOLE, ('" imap pop3"', "imap submission lmtp"))).ports == (
        (143, "imap"),
        (465, "smtps"),
        (587, "smtp"),
        (993, "imaps"),
    )


def test_a_listener_that_is_off_only_local_or_behind_a_proxy() -> None:
    off = edited(WHOLE, ("port = 143", "port = 0"))
    assert (143, "imap") not in look(off).ports
    local = edited(WHOLE, ("address =\n    haproxy = no\n    port = 143", "address = 127.0.0.1, ::1\n    port = 143"))
    assert (143, "imap") not in look(local).ports
    wider = edited(local, ("127.0.0.1, ::1", "127.0.0.1, 192.0.2.25"))
    assert (143, "imap") in look(wider).ports
    proxied = look(edited(WHOLE, ("haproxy = no\n    port = 993", "haproxy = yes\n    port = 993")))
    assert (993, "imaps") not in proxied.ports
    assert proxied.warnings == ("port 993 is behind a proxy (haproxy = yes), and is not proven",)


def test_a_port_of_ones_own() -> None:
    assert (1993, "imaps") in look(edited(WHOLE, ("port = 993", "port = 1993"))).ports
    assert (99999, "imaps") not in look(edited(WHOLE, ("port = 993", "port = 99999"))).ports


def test_no_tls_is_refused() -> None:
    error = refused(edited(WHOLE, ("ssl = yes", "ssl = no")))
    assert (error.found, error.expected.partition(";")[0]) == (
        "a Dovecot that offers no TLS (ssl = no)",
        "ssl = yes or required",
    )
    assert look(edited(WHOLE, ("ssl = yes", "ssl = required"))).ports == look().ports


def test_listen_goes_for_each_listener_without_an_address() -> None:
    local = edited(WHOLE, ("hostname =", "hostname =\nlisten = 127.0.0.1, ::1"))
    assert "listens for no IMAP" in refused(local).found
    assert look(
        edited(local, ("address =\n    haproxy = no\n    port = 993", "address = *\n    port = 993"))
    ).ports == ((993, "imaps"),)
    assert look(edited(WHOLE, ("hostname =", "hostname =\nlisten = *, ::"))).ports == look().ports


def test_nothing_that_listens_is_refused() -> None:
    assert "listens for no IMAP" in refused(edited(WHOLE, ('" imap pop3"', "lmtp"))).found


def test_its_own_name() -> None:
    assert look(edited(WHOLE, ("hostname =", "hostname = imap.example.org"))).hosts == ("imap.example.org",)
    assert look(changed=edited(CHANGED, ("# Hostname: mail.example.org", "# Hostname: x..y"))).hosts == ()


# --------------------------------------------------------------------------------------------------------------- files


def test_one_file_for_both() -> None:
    whole = edited(WHOLE, ("</srv/tls/mail.key", "</srv/tls/mail.pem"))
    assert look(whole).files == (FileSpec("/srv/tls/mail.pem", ("cert", "chain", "key")),)


def test_the_pair_of_each_algorithm(tmp_path: Path) -> None:
    for name, key in (("rsa", rsa2048()), ("ec", p256())):
        (tmp_path / f"{name}.key").write_bytes(Issued(key, None).key_pem)  # type: ignore[arg-type]
    whole = edited(
        WHOLE,
        (ALT, f"ssl_alt_cert = <{tmp_path}/ec.pem\nssl_alt_key = <{tmp_path}/ec.key\n"),
        ("</srv/tls/mail.key", f"<{tmp_path}/rsa.key"),
    )
    assert [spec.path for spec in look(whole, algorithm="ecdsa").files] == [f"{tmp_path}/ec.pem", f"{tmp_path}/ec.key"]
    assert [spec.path for spec in look(whole, algorithm="rsa").files] == ["/srv/tls/mail.pem", f"{tmp_path}/rsa.key"]
    (tmp_path / "ec.key").unlink()  # a new one is to be
    assert look(whole, algorithm="ecdsa").files[1].path == f"{tmp_path}/ec.key"
    (tmp_path / "rsa.key").unlink()
    assert "where it is not clear which is the ecdsa key" in refused(whole, algorithm="ecdsa").found


def test_no_certificate_is_refused_with_what_to_set() -> None:
    error = refused(edited(WHOLE, ("ssl_cert = </srv/tls/mail.pem", "ssl_cert =")))
    assert error.found == "a Dovecot without ssl_cert and ssl_key"
    assert "ssl_cert = </etc/dovecot/tls.pem and ssl_key = </etc/dovecot/tls.key" in error.expected


def test_a_key_in_the_configuration_itself_is_refused_and_not_shown() -> None:
    error = refused(edited(WHOLE, ("ssl_key = </srv/tls/mail.key", "ssl_key = -----BEGIN PRIVATE KEY-----")))
    assert error.found == "ssl_key with something else than a file (not shown)"
    assert "PRIVATE" not in str(error)


def test_a_path_that_is_anothers_is_refused_with_its_setting() -> None:
    error = refused(edited(WHOLE, ("</srv/tls/mail.pem", "</etc/letsencrypt/live/x/fullchain.pem")))
    assert "in ssl_cert, which certbot keeps" in error.found


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("local_name mail.example.org {\n  ssl_cert = </srv/a.pem\n}\n", "local_name mail.example.org { … }"),
        ("local_name *.example.org {\n  ssl_cert = </srv/a.pem\n}\n", "local_name *.example.org { … }"),
        ("local 192.0.2.1 {\n  protocol imap {\n    ssl_cert = </srv/b.pem\n  }\n}\n", "local 192.0.2.1 { … }"),
        ("protocol pop3 {\n  ssl_cert = </srv/p.pem\n}\n", "protocol pop3 { … }"),
    ],
)
def test_files_of_one_name_address_or_protocol_are_refused(block: str, found: str) -> None:
    error = refused(WHOLE, CHANGED + block)
    assert error.found == f"{found} in the configuration with ssl_cert of its own"
    setup = look(changed=CHANGED + block, has_files=True)
    assert setup.files == ()
    assert setup.warnings[0].startswith(found)


@pytest.mark.parametrize(
    "block",
    [
        "local_name other.example.net {\n  ssl_cert = </srv/a.pem\n}\n",
        "local_name mail.example.org {\n  ssl_cert = </srv/tls/mail.pem\n}\n",
        "protocol imap {\n  mail_max_userip_connections = 20\n}\n",
    ],
)
def test_blocks_that_change_nothing_for_these_names_are_accepted(block: str) -> None:
    assert look(changed=CHANGED + block) == look()


def test_with_given_files_nothing_that_only_concerns_its_own_is_refused() -> None:
    setup = look(edited(WHOLE, ("ssl_cert = </srv/tls/mail.pem", "ssl_cert =")), has_files=True)
    assert setup.files == ()
    assert "a Dovecot without ssl_cert and ssl_key" in setup.warnings[0]
    assert look(has_files=True).files == look().files


# ---------------------------------------------------------------------------------------------------------- Dovecot 2.4


# doveconf -n of 2.4.1
CHANGED_24 = """\
# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf
# OS: Linux 6.12.0 x86_64 Debian 13
# Hostname: mail.example.org
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
mail_driver = maildir
protocols = imap pop3
ssl = required
ssl_server {
  cert_file = /srv/tls/mail.pem
  key_file = /srv/tls/mail.key
}
passdb pam {
}
"""

# doveconf ssl protocols hostname service of 2.4.1, two of its services
WHOLE_24 = """\
ssl = required
protocols = imap pop3
hostname =
service imap-login {
  imap_capability {
    IMAP4rev1 = yes
    LITERAL+ = yes
  }
  executable = imap-login
  protocol = imap
  type = login
  inet_listener imap {
    port = 0
  }
  inet_listener odd {
    port = 1143
    listen = 127.0.0.1
  }
  unix_listener "srv.imap-login/%{pid}" {
    mode = 0600
    type = admin
  }
  inet_listener imaps {
    port = 993
    ssl = yes
  }
}
service submission-login {
  protocol = submission
  inet_listener submission {
    port = 587
  }
}
"""


def test_dovecot_2_4_has_other_names_in_blocks_and_plain_paths() -> None:
    setup = look(WHOLE_24, CHANGED_24)
    assert setup.files == look().files
    assert setup.ports == ((993, "imaps"),)
    alt = edited(
        CHANGED_24, ("ssl_server {\n", "ssl_server {\n  alt_cert_file = /srv/ec.pem\n  alt_key_file = /srv/ec.key\n")
    )
    assert "/srv/tls/mail.key and /srv/ec.key, where it is not clear" in refused(WHOLE_24, alt).found
    none = refused(WHOLE_24, edited(CHANGED_24, ("cert_file = /srv/tls/mail.pem", "")))
    assert "ssl_server_cert_file = /etc/dovecot/tls.pem and ssl_server_key_file" in none.expected


def test_dovecot_2_4_with_files_of_one_name() -> None:
    own = "local_name mail.example.org {\n  ssl_server {\n    cert_file = /srv/a.pem\n  }\n}\n"
    found = refused(WHOLE_24, CHANGED_24 + own).found
    assert found == "local_name mail.example.org { … } in the configuration with ssl_server_cert_file of its own"
    assert look(WHOLE_24, CHANGED_24 + own.replace("mail.example.org", "else.example.net")).files


def test_protocols_as_a_block() -> None:
    assert look(edited(WHOLE, ('protocols = " imap pop3"', "protocols {\n  imap = yes\n  pop3 = no\n}"))).ports == (
        (143, "imap"),
        (993, "imaps"),
    )


def test_output_that_is_no_tree() -> None:
    assert parse("}\n}\nx\n= 1\na {\n").blocks[0].kind == "a"
