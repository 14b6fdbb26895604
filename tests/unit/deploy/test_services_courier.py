"""The presets for Courier's two servers, over the files of Debian's courier-imap and courier-pop."""

import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from danelaw.deploy.services.courier import Preset, assignments, survey_imap, survey_pop
from danelaw.errors import Unsuited
from danelaw.model import FileSpec, Service, ServiceSetup
from fakes.programs import Programs

IMAPD = """\
##VERSION: $Id$
ADDRESS=0
PORT=143
MAXDAEMONS=40
TCPDOPTS="-nodnslookup -noidentlookup"
IMAP_CAPABILITY_ORIG="IMAP4rev1 UIDPLUS CHILDREN AUTH=CRAM-MD5 IDLE"
IMAP_CAPABILITY_TLS="$IMAP_CAPABILITY AUTH=PLAIN"
IMAP_TRASHFOLDERNAME=Trash
IMAPDSTART=YES
MAILDIRPATH=Maildir
"""

IMAPD_SSL = """\
# SSLADDRESS=127.0.0.1
SSLPORT=993
SSLADDRESS=0
IMAPDSSLSTART=YES
IMAPDSTARTTLS=YES
IMAP_TLS_REQUIRED=0
COURIERTLS=/usr/bin/couriertls
TLS_STARTTLS_PROTOCOL="$TLS_PROTOCOL"
TLS_CERTFILE={folder}/imapd.pem
TLS_DHPARAMS=/etc/courier/dhparams.pem
TLS_VERIFYPEER=NONE
"""

POP3D = 'PORT=110\nADDRESS=0\nPOP3AUTH=""\nPOP3DSTART=YES\n'
POP3D_SSL = """\
SSLPORT=995
SSLADDRESS=0
POP3DSSLSTART=YES
POP3_STARTTLS=YES
TLS_CERTFILE={folder}/pop3d.pem
"""


def look(
    folder: Path,
    *changes: tuple[str, str],
    preset: Preset = survey_imap,
    ask: Programs | None = None,
    has_files: bool = False,
) -> ServiceSetup:
    plain, tls = (IMAPD, IMAPD_SSL) if preset.daemon == "imapd" else (POP3D, POP3D_SSL)
    tls = tls.format(folder=folder)
    for old, new in changes:
        assert old in plain + tls, old
        plain, tls = plain.replace(old, new), tls.replace(old, new)
    (folder / preset.daemon).write_text(plain)
    (folder / f"{preset.daemon}-ssl").write_text(tls)
    survey = replace(preset, folder=str(folder))
    return survey(ask or Programs({}), ["mail.example.org"], "rsa", has_files=has_files)


def refused(folder: Path, *changes: tuple[str, str], ask: Programs | None = None) -> Unsuited:
    with pytest.raises(Unsuited) as caught:
        look(folder, *changes, ask=ask)
    return caught.value


def owner() -> str | None:
    return "courier" if any(entry.pw_name == "courier" for entry in pwd.getpwall()) else None


def test_what_debians_two_servers_say(tmp_path: Path) -> None:
    assert look(tmp_path) == ServiceSetup(
        Service("courier-imap"),
        (FileSpec(f"{tmp_path}/imapd.pem", ("cert", "key", "chain"), 0o600, owner()),),
        ((143, "imap"), (993, "imaps")),
    )
    pop = look(tmp_path, preset=survey_pop)
    assert (pop.service, pop.ports) == (Service("courier-pop"), ((110, "pop3"), (995, "pop3s")))
    assert pop.files[0].path == f"{tmp_path}/pop3d.pem"


def test_the_owner_is_courier_where_there_is_one(tmp_path: Path) -> None:
    assert look(tmp_path, preset=replace(survey_imap, user="root")).files[0].owner == "root"
    assert look(tmp_path, preset=replace(survey_imap, user="no-such-user")).files[0].owner is None


# --------------------------------------------------------------------------------------------------------------- ports


def test_starttls_only_where_it_is_on(tmp_path: Path) -> None:
    assert look(tmp_path, ("IMAPDSTARTTLS=YES", "IMAPDSTARTTLS=NO")).ports == ((993, "imaps"),)
    assert look(tmp_path, ("IMAPDSTART=YES", "IMAPDSTART=NO")).ports == ((993, "imaps"),)
    assert look(tmp_path, ("IMAPDSSLSTART=YES", "IMAPDSSLSTART=NO")).ports == ((143, "imap"),)
    assert look(tmp_path, ("POP3_STARTTLS=YES", "POP3_STARTTLS=NO"), preset=survey_pop).ports == ((995, "pop3s"),)


def test_no_tls_at_all_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, ("IMAPDSSLSTART=YES", "IMAPDSSLSTART=NO"), ("IMAPDSTARTTLS=YES", "IMAPDSTARTTLS=NO"))
    assert "offers no TLS to others" in error.found
    assert "IMAPDSSLSTART=YES or IMAPDSTARTTLS=YES there" in error.expected


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ("1993", [1993]),
        ("993,1993", [993, 1993]),
        ("imaps", [993]),
        ("127.0.0.1.900,192.0.2.1.900,0.901", [900, 901]),
        ("127.0.0.1.900", []),
        ("99999", []),
    ],
)
def test_ports_with_addresses_of_their_own(tmp_path: Path, ports: str, found: list[int]) -> None:
    setup = look(tmp_path, ("SSLPORT=993", f"SSLPORT={ports}"))
    assert [port for port, protocol in setup.ports if protocol == "imaps"] == found


def test_an_address_that_only_this_host_reaches(tmp_path: Path) -> None:
    assert look(tmp_path, ("\nSSLADDRESS=0", "\nSSLADDRESS=127.0.0.1")).ports == ((143, "imap"),)


@pytest.mark.parametrize(("state", "ports"), [("disabled", [993]), ("masked", [993]), ("enabled", [143, 993])])
def test_a_server_that_systemd_does_not_start(tmp_path: Path, state: str, ports: list[int]) -> None:
    said = f"systemctl is-enabled courier-imap: exit status 1: {state}"
    answer = "enabled\n" if state == "enabled" else Unsuited(said, "")
    ask = Programs({"systemctl is-enabled courier-imap": answer})
    assert [port for port, _ in look(tmp_path, ask=ask).ports] == ports


# --------------------------------------------------------------------------------------------------------------- files


def test_a_key_file_of_its_own(tmp_path: Path) -> None:
    setup = look(tmp_path, ("TLS_VERIFYPEER=NONE", f"TLS_PRIVATE_KEYFILE={tmp_path}/key.pem"))
    assert [(spec.path, spec.parts, spec.mode) for spec in setup.files] == [
        (f"{tmp_path}/imapd.pem", ("cert", "chain"), 0o644),
        (f"{tmp_path}/key.pem", ("key",), 0o600),
    ]


def test_no_certificate_file_is_refused_with_what_to_set(tmp_path: Path) -> None:
    error = refused(tmp_path, (f"TLS_CERTFILE={tmp_path}/imapd.pem", "TLS_CERTFILE="))
    assert "without TLS_CERTFILE" in error.found
    assert error.expected == f"TLS_CERTFILE={tmp_path}/imapd.pem there"
    assert look(tmp_path, (f"TLS_CERTFILE={tmp_path}/imapd.pem", ""), has_files=True).files == ()


def test_a_path_that_is_anothers_is_refused_with_its_setting(tmp_path: Path) -> None:
    error = refused(tmp_path, (f"{tmp_path}/imapd.pem", "/etc/letsencrypt/live/x/all.pem"))
    assert f"in TLS_CERTFILE of {tmp_path}/imapd-ssl, which certbot keeps" in error.found


@pytest.mark.parametrize("suffix", ["mail.example.org", "192.0.2.25"])
def test_a_file_of_one_name_or_address_is_refused(tmp_path: Path, suffix: str) -> None:
    own = tmp_path / f"imapd.pem.{suffix}"
    own.write_text("")
    assert refused(tmp_path).found == f"{own}, which courier-imap prefers"
    setup = look(tmp_path, has_files=True)
    assert setup.files == ()
    assert str(own) in setup.warnings[0]


def test_a_file_of_another_name_is_accepted(tmp_path: Path) -> None:
    for suffix in ("elsewhere.example.net", "bak", "dpkg-old"):
        (tmp_path / f"imapd.pem.{suffix}").write_text("")
    assert look(tmp_path).files[0].path == f"{tmp_path}/imapd.pem"


def test_a_host_without_courier(tmp_path: Path) -> None:
    with pytest.raises(Unsuited, match=r"imapd: No such file or directory; Courier's configuration at its place"):
        replace(survey_imap, folder=str(tmp_path))(Programs({}), ["mail.example.org"], "rsa")


def test_a_configuration_without_end(tmp_path: Path) -> None:
    with pytest.raises(Unsuited, match="of more than"):
        look(tmp_path, ("MAILDIRPATH=Maildir", "#" * (1 << 20)))


# ------------------------------------------------------------------------------------------------- shell text, no shell


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("  export A=b", "b"),
        ("A='b c'", "b c"),
        ('A="b c"  # why', "b c"),
        ("A=", ""),
        ("B=/x\nA=$B/y", "/x/y"),
        ('B=/x\nA="${B}y"', "/xy"),
        ("B=/x\nA='$B'", "$B"),
        ("A=$UNSET/y", "/y"),
        ("A=b\nA=c", "c"),
        ("#A=c\nA=b", "b"),
        ("A=`id`", None),
        ("A=$(id)", None),
        ("A=b; id", None),
        ("A=b id", None),
        ('A="b', None),
        ("A=b\nA=`id`", None),
    ],
)
def test_assignments_without_a_shell(text: str, value: str | None) -> None:
    assert assignments([text]).get("A") == value


def test_the_second_file_augments_the_first() -> None:
    assert assignments(["A=1\nB=2", "B=$A"]) == {"A": "1", "B": "1"}
