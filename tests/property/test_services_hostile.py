"""Whatever the mail services' programs and files say, a preset answers or refuses in words."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from danelaw.deploy.services import courier, dovecot, postfix
from danelaw.errors import Unsuited
from danelaw.model import ServiceSetup
from fakes.programs import Programs

NAMES = ("mail.example.org", "example.org")


OTHERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
"""What is read is decoded, and a zero byte has become a sign already."""


def lines(words: Sequence[str]) -> st.SearchStrategy[str]:
    """Text that is nearly what a program says: its own words in any order, between any others."""
    word = st.sampled_from(words) | st.text(OTHERS, max_size=8)
    return st.lists(st.lists(word, max_size=8).map(" ".join), max_size=12).map("\n".join)


POSTCONF = lines(
    [
        "smtpd_tls_chain_files =",
        "smtpd_tls_cert_file =",
        "smtpd_tls_security_level = may",
        "myhostname =",
        "/a.pem,",
        "=",
    ]
)
MASTER = lines(["smtp inet n - y - - smtpd", "[::1]:25", "inet", "pass - - y - - smtpd", "postscreen", "-o", "99999"])
OVERRIDES = lines(["smtp/inet/smtpd_tls_cert_file =", "smtp/inet/", "smtpd/pass/smtpd_tls_wrappermode = yes", "="])
DOVECONF = lines(
    [
        "ssl = yes",
        "ssl_cert = </a",
        "ssl_key = </a",
        "protocols = imap",
        "service imap-login {",
        "protocol = imap",
        "inet_listener imap {",
        "port = 143",
        "port = \u0663",
        "}",
        "local_name mail.example.org {",
        "ssl_server {",
        "# 2.4.1",
    ]
)
ASSIGNMENTS = lines(
    ["SSLPORT=993", "SSLPORT=\u0663", "TLS_CERTFILE=/a[", 'TLS_CERTFILE="', "IMAPDSSLSTART=YES", "A=$B", "${A}", "`id`"]
)


def judge(survey: Callable[[], ServiceSetup]) -> None:
    try:
        answer = survey()
    except Unsuited as unsuited:
        said = unsuited.found, unsuited.expected
        assert all(said)
        return
    assert answer.ports
    assert all(1 <= port <= 65535 for port, _ in answer.ports)
    assert all(spec.path.startswith("/") for spec in answer.files)


@given(POSTCONF, MASTER, OVERRIDES)
@example("smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /a", "smtp inet n - y - - smtpd", "")
def test_postfix(main: str, master: str, overrides: str) -> None:
    ask = Programs({"postconf -x": main, "postconf -M": master, "postconf -P": overrides})
    judge(lambda: postfix.survey(ask, NAMES, "rsa"))


@given(DOVECONF, DOVECONF)
def test_dovecot(changed: str, whole: str) -> None:
    ask = Programs({"doveconf -n": changed, "doveconf ssl": whole})
    judge(lambda: dovecot.survey(ask, NAMES, "ecdsa"))


@given(ASSIGNMENTS, ASSIGNMENTS)
def test_courier(plain: str, tls: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "imapd").write_text(plain)
        (Path(folder) / "imapd-ssl").write_text(f"IMAPDSSLSTART=YES\nSSLPORT=993\nTLS_CERTFILE=/a\n{tls}")
        judge(lambda: replace(courier.survey_imap, folder=folder)(Programs({}), NAMES, "rsa"))
