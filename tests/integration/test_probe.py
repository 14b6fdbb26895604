"""The probe beside real servers: OpenSSL, GnuTLS, Postfix, Dovecot and Apache."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw import dane, pki
from danelaw.model import AppProtocol, Endpoint, Handshake, KeyAlgorithm, ProbeRequest, ProbeResult, RecordSpec, Shaken
from danelaw.names import default_protocol
from danelaw.probe import Dialer, Handshakes
from fakes.running_clock import RunningClock
from integration.tls_servers import Address, gnutls_server, openssl_server
from world import World, layout
from world.server import wait_until

pytestmark = pytest.mark.world

NOW = datetime.now(UTC)
ROOT = issue("Root", ca=True, key=rsa2048(), at=NOW)
# One CA signs both, as private ones do: an ECDSA leaf with an RSA signature on it.
ECDSA, RSA = issue(HOST, ROOT, key=p256(), at=NOW), issue(HOST, ROOT, key=rsa2048(), at=NOW)
IDENTITIES: dict[KeyAlgorithm, Issued] = {"rsa": RSA, "ecdsa": ECDSA}
ALGORITHMS: tuple[KeyAlgorithm, ...] = ("rsa", "ecdsa")

SERVERS = ["openssl 1.2", "openssl 1.3", "gnutls 1.2", "gnutls 1.3"]


def serve(server: str, folder: Path, *identities: Issued) -> AbstractContextManager[Address]:
    name, version = server.split()
    if name == "openssl":
        return openssl_server(folder, *identities, options=[f"-tls{version.replace('.', '_')}"])
    return gnutls_server(folder, *identities, priority=f"NORMAL:-VERS-ALL:+VERS-TLS{version}")


def probe(
    connect: Address,
    endpoint: Endpoint | None = None,
    algorithm: KeyAlgorithm | None = None,
    handshakes: int = 1,
) -> ProbeResult:
    where = endpoint or Endpoint(HOST, 443, "tls")
    (result,) = Handshakes(RunningClock()).probe([ProbeRequest(where, connect[0], connect, algorithm, handshakes)])
    return result


@pytest.mark.parametrize("server", SERVERS)
def test_both_certificates_of_one_server_are_seen(server: str, tmp_path: Path) -> None:
    with serve(server, tmp_path, ECDSA, RSA) as address:
        for algorithm in ALGORITHMS:
            result = probe(address, algorithm=algorithm, handshakes=2)
            assert (result.problem, result.not_offered) == (None, False)
            assert {chain.certificates_der for chain in result.chains} == {(IDENTITIES[algorithm].der, ROOT.der)}
        unrestricted = probe(address)
        assert unrestricted.chains[0].leaf_der in {ECDSA.der, RSA.der}


@pytest.mark.parametrize("asked", ALGORITHMS)
@pytest.mark.parametrize("server", SERVERS)
def test_the_other_kind_is_not_offered(server: str, asked: KeyAlgorithm, tmp_path: Path) -> None:
    (other,) = (identity for algorithm, identity in IDENTITIES.items() if algorithm != asked)
    with serve(server, tmp_path, other) as address:
        result = probe(address, algorithm=asked, handshakes=2)
        assert (result.chains, result.not_offered, result.problem) == ((), True, None)
        assert [chain.leaf_der for chain in probe(address).chains] == [other.der]


def test_rsa_key_exchange_does_not_hide_the_ecdsa_certificate(tmp_path: Path) -> None:
    """It needs no signature, so the signature schemes asked for do not rule it out."""
    options = ["-tls1_2", "-serverpref", "-cipher", "AES128-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"]
    with openssl_server(tmp_path, ECDSA, RSA, options=options) as address:
        for algorithm in ALGORITHMS:
            assert [chain.leaf_der for chain in probe(address, algorithm=algorithm).chains] == [
                IDENTITIES[algorithm].der
            ]


def test_a_server_of_the_last_century_is_named(tmp_path: Path) -> None:
    with openssl_server(tmp_path, RSA, options=["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]) as address:
        result = probe(address)
    assert result.chains == ()
    assert result.problem == f"127.0.0.1:{address[1]} speaks TLSv1.1 at most; expected TLS 1.2 or later"


def test_weak_and_expired_certificates_are_seen_all_the_same(tmp_path: Path) -> None:
    expired = issue(HOST, at=NOW, days=-0.5)
    with openssl_server(tmp_path, expired) as address:
        result = probe(address)
    assert [chain.leaf_der for chain in result.chains] == [expired.der]


PORTS: Sequence[tuple[int, AppProtocol]] = [
    (25, "smtp"),
    (587, "smtp"),
    (465, "smtps"),
    (143, "imap"),
    (993, "imaps"),
    (110, "pop3"),
    (995, "pop3s"),
]


@pytest.mark.parametrize(("port", "protocol"), PORTS, ids=str)
def test_the_world_s_mail_servers_present_their_chain(world: World, port: int, protocol: AppProtocol) -> None:
    expected = pki.parse_chain(world.initial.fullchain_pem)
    endpoint = Endpoint(f"mail.{layout.DOMAIN}", port, protocol)
    assert default_protocol(port) == protocol
    for address in layout.MAIL:
        result = probe((address, port), endpoint, handshakes=8)
        assert result.problem is None
        assert result.chains == (expected,) * 8
        assert dane.matches(dane.tlsa_record(RecordSpec(3, 1, 1), expected), result.chains[0])
        assert probe((address, port), endpoint, "ecdsa").chains == (expected,)
        assert probe((address, port), endpoint, "rsa").not_offered


def test_the_world_s_web_server_presents_its_chain(world: World) -> None:
    result = probe((layout.WEB, 443), Endpoint(f"www.{layout.DOMAIN}", 443, "https"), handshakes=8)
    assert result.chains == (pki.parse_chain(world.initial.fullchain_pem),) * 8


@pytest.mark.usefixtures("world")
def test_everything_at_once() -> None:
    requests = [
        ProbeRequest(Endpoint(f"mail.{layout.DOMAIN}", port, protocol), address, (address, port), None, 8)
        for port, protocol in PORTS
        for address in layout.MAIL
    ]
    results = Handshakes(RunningClock()).probe(requests)
    assert [(len(result.chains), result.problem) for result in results] == [(8, None)] * len(requests)


@pytest.mark.usefixtures("world")
def test_the_wrong_protocol_at_a_real_server_is_named() -> None:
    where = layout.MAIL[0]
    host = f"mail.{layout.DOMAIN}"
    for port, protocol, says in (
        (25, "smtps", "does not speak TLS"),
        (143, "smtp", "not SMTP where its banner was expected"),
        (110, "imap", "not IMAP where its greeting was expected"),
        (25, "pop3", "not POP3 where its greeting was expected"),
        (26, "smtp", "refuses the connection"),
    ):
        result = probe((where, port), Endpoint(host, port, protocol))  # type: ignore[arg-type]  # literals in a tuple
        assert result.problem is not None
        assert says in result.problem


# --- the dialer ------------------------------------------------------------------------------------------------------


def dial(questions: Sequence[Handshake]) -> Sequence[Shaken]:
    """Ask all at once, in one event loop."""

    async def ask() -> list[Shaken]:
        dialer = Dialer(RunningClock())
        return await asyncio.gather(*(dialer.shake(question) for question in questions))

    return asyncio.run(ask())


def test_the_dialer_sees_all_that_the_world_s_servers_present(world: World) -> None:
    """Every port at each address, for each kind of certificate, at once. Dovecot hangs up where RSA is asked for."""
    expected = pki.parse_chain(world.initial.fullchain_pem)
    kinds: tuple[KeyAlgorithm | None, ...] = (None, "rsa", "ecdsa")
    questions = [
        Handshake(f"mail.{layout.DOMAIN}", address, port, protocol, kind)
        for address in layout.MAIL
        for port, protocol in PORTS
        for kind in kinds
    ]
    for shaken in dial(questions):
        if shaken.handshake.algorithm == "rsa":
            assert (shaken.failure, shaken.chain) == ("not-offered", None)
        else:
            assert (shaken.detail, shaken.chain, shaken.version) == ("", expected, "TLSv1.3")
        by_starttls = shaken.handshake.protocol in {"smtp", "imap", "pop3"}
        assert bool(shaken.banner) == by_starttls


def test_postfix_logs_no_broken_connection(world: World) -> None:
    log = world.postfix.log
    before = len(log.read_text())
    (shaken,) = dial([Handshake(f"mail.{layout.DOMAIN}", layout.MAIL[0], 25, "smtp")])
    assert shaken.chain is not None
    said = "ehlo=1 starttls=1 quit=1 commands=3"  # and not that the connection was lost
    wait_until(lambda: said in log.read_text()[before:], "Postfix has heard QUIT", world.postfix.last_words)


@pytest.mark.parametrize("server", SERVERS)
def test_the_dialer_tells_the_kinds_of_two_certificates_apart(server: str, tmp_path: Path) -> None:
    with serve(server, tmp_path, ECDSA, RSA) as address:
        for algorithm in ALGORITHMS:
            (shaken,) = dial([Handshake(HOST, *address, "tls", algorithm)])
            assert shaken.chain is not None
            assert shaken.chain.certificates_der == (IDENTITIES[algorithm].der, ROOT.der)
            assert shaken.version == f"TLSv{server.split()[1]}"
    with serve(server, tmp_path, RSA) as address:
        (shaken,) = dial([Handshake(HOST, *address, "tls", "ecdsa")])
    assert (shaken.failure, shaken.chain) == ("not-offered", None)


def test_the_dialer_names_an_old_version(tmp_path: Path) -> None:
    with openssl_server(tmp_path, RSA, options=["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]) as address:
        (shaken,) = dial([Handshake(HOST, *address, "tls")])
    assert (shaken.failure, shaken.version, shaken.chain) == ("old-tls", "TLSv1.1", None)


@pytest.mark.parametrize(("presents", "failure"), [(False, "no-certificate"), (True, "tls-refused")])
def test_a_server_without_a_certificate_is_told_from_one_that_wants_other_ciphers(
    presents: bool,  # noqa: FBT001  (the table's)
    failure: str,
    tmp_path: Path,
) -> None:
    """So Postfix with ``smtpd_tls_cert_file = none``."""
    options = ["-tls1_2", "-cipher", "PSK" if presents else "aNULL:@SECLEVEL=0"]
    with openssl_server(tmp_path, RSA, options=[*options, *([] if presents else ["-nocert"])]) as address:
        (shaken,) = dial([Handshake(HOST, *address, "tls")])
    assert (shaken.failure, shaken.chain) == (failure, None)
