"""Presets on the real mail services at their Debian paths: a deploy table of one line is all that danelaw is told."""

import imaplib
import poplib
import re
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from scenario import Site
from scenario.handshake import presented
from scenario.mailhost import MailHost
from world import ServiceName, World, layout

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "dovecot", "courier", "apache")
POSTFIX_PORTS, DOVECOT_PORTS = (25, 465, 587), (110, 143, 993, 995)
STATUS_BAD_CONFIG = 2


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1, pebble_options={"PEBBLE_AUTHZREUSE": "100"}) as world:
        yield world


def preset_site(world: World, folder: Path, *deploy: str, **options: object) -> Site:
    """A site with nothing but ``services`` in its deploy tables; a `3 1 1` stands, so that nothing has to wait."""
    world.present(world.initial)
    world.publish(f"_25._tcp.mail.{layout.DOMAIN}", [world.initial.tlsa(1)])
    site = Site(world, folder, services=(), ttl=1, **options)
    tables = "".join(f'\n[[certificate."{layout.DOMAIN}".deploy]]\n{each}\n' for each in deploy)
    site.config.write_text(site.config.read_text() + tables)
    return site


def leaf_at(address: str, port: int) -> bytes:
    """Return the leaf, DER, that is presented at a port, by Python's own clients."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if port == 143:
        with imaplib.IMAP4(address, port, timeout=5) as imap:
            imap.starttls(context)
            return certificate_of(imap.sock)
    if port == 110:
        with closing(poplib.POP3(address, port, timeout=5)) as pop:
            pop.stls(context)
            return certificate_of(pop.sock)
    return presented(address, port)


def certificate_of(connection: socket.socket) -> bytes:
    assert isinstance(connection, ssl.SSLSocket)
    leaf_der = connection.getpeercert(binary_form=True)
    assert leaf_der
    return leaf_der


def issued(site: Site, *ports: int, addresses: Sequence[str] = layout.MAIL) -> bytes:
    """Return the one leaf that every address presents at these ports, which is not the first one."""
    leaves = {leaf_at(address, port) for address in addresses for port in ports}
    assert len(leaves) == 1
    (leaf,) = leaves
    first = site.world.initial.leaf
    assert leaf != first.public_bytes(Encoding.DER)
    assert x509.load_der_x509_certificate(leaf).issuer != first.issuer
    return leaf


def postconf(*arguments: str) -> None:
    subprocess.run(["postconf", *arguments], check=True, capture_output=True)


def test_a_line_for_each_service_is_the_whole_deployment(shared: World, tmp_path: Path) -> None:
    site = preset_site(shared, tmp_path, 'services = ["postfix"]', 'services = ["dovecot"]')
    outcome = site.json("apply", "--wait")
    assert (outcome["failed"], outcome["holds"]) == ([], [])
    issued(site, *POSTFIX_PORTS, *DOVECOT_PORTS)
    # What went live as links of danelaw's own is no other tool's to the next run, and nothing is left to do.
    assert Path("/etc/dovecot/fullchain.pem").is_symlink()
    assert site.danelaw("plan", "--exit-code").status == 0


def test_couriers_two_servers_share_their_file_and_need_no_reload(shared: World, tmp_path: Path) -> None:
    """Debian's POP3 server takes four connections of an address at once: it is proven by four at a time."""
    shared.present(shared.initial)
    zone = shared.zone("courier-presets.test", mail=[layout.COURIER]).name
    site = MailHost(shared, zone, tmp_path, ports=(25, 993, 995))
    site.publish(shared.initial.tlsa(1))
    text, _, _ = site.config.read_text().partition(f'[[certificate."{zone}".deploy]]')
    courier = f'[[certificate."{zone}".deploy]]\nservices = ["courier-imap", "courier-pop"]\n'
    site.config.write_text(f'{text}{courier}[[certificate."{zone}".deploy]]\nservices = ["postfix"]\n')
    done = site.danelaw("apply", "--wait")
    assert done.status == 0, done.err
    # An earlier connection that the server has not yet seen the end of counts too.
    assert re.search(rf"no more at once than [1-4] at mail\.{zone}:110, [1-4] at mail\.{zone}:995", done.out)
    issued(site, *POSTFIX_PORTS, *DOVECOT_PORTS, addresses=[layout.COURIER])
    combined = Path("/etc/courier/imapd.pem")
    assert (combined.owner(), stat.S_IMODE(combined.lstat().st_mode)) == ("courier", 0o600)
    assert re.findall(r"BEGIN ([A-Z ]+)-", combined.read_text())[:3] == ["CERTIFICATE", "PRIVATE KEY", "CERTIFICATE"]
    virtual = combined.with_name(f"imapd.pem.mail.{zone}")
    virtual.write_text("")
    refused = site.danelaw("plan")
    virtual.unlink()
    assert refused.status == STATUS_BAD_CONFIG
    assert f"services[0]: found {virtual}, which courier-imap prefers; expected it removed" in refused.err


def test_what_would_break_something_is_refused_with_what_to_set(shared: World, tmp_path: Path) -> None:
    site = preset_site(shared, tmp_path, 'services = ["postfix"]')
    postconf("-e", "smtpd_tls_chain_files=/etc/ssl/certs/ssl-cert-snakeoil.pem")
    try:
        refused = site.danelaw("plan")
    finally:
        postconf("-e", "smtpd_tls_chain_files=/etc/postfix/tls.pem")
    assert refused.status == STATUS_BAD_CONFIG
    assert "deploy[0].services[0]: found /etc/ssl/certs/ssl-cert-snakeoil.pem in smtpd_tls_chain_files" in refused.err
    assert site.danelaw("plan").status == 0


def test_rsa_beside_ecdsa_by_presets_alone(shared: World, tmp_path: Path) -> None:
    """The second certificate's files stand empty, named in the services' configuration, until danelaw fills them."""
    postfix, dovecot = shared.postfix, shared.dovecot
    rsa, alt, alt_key = postfix.config_dir / "rsa.pem", *(dovecot.config.with_name(f"alt.{x}") for x in ("pem", "key"))
    config = dovecot.config.read_text()
    site = preset_site(shared, tmp_path, 'services = ["postfix"]', 'services = ["dovecot"]')
    try:
        for path in rsa, alt, alt_key:
            path.touch(0o600)
        dovecot.config.write_text(
            f"{config}\nssl_alt_cert = </etc/dovecot/alt.pem\nssl_alt_key = </etc/dovecot/alt.key\n"
        )
        postconf("-e", f"smtpd_tls_chain_files = {postfix.combined}, {rsa}")
        for argv in postfix.reload, dovecot.reload:
            subprocess.run(argv, check=True, capture_output=True)
        with site.config.open("a") as file:
            file.write(SECOND.format(host=HOST, webroot=shared.apache.webroot))
        outcome = site.json("apply", "--wait")
        assert (outcome["failed"], outcome["holds"]) == ([], [])
        for port in (*POSTFIX_PORTS, *DOVECOT_PORTS):
            kinds = {kind: leaf_of_kind(port, kind) for kind in ("RSA", "ECDSA")}
            assert kinds["RSA"] != kinds["ECDSA"]
        assert len(site.world.dig(f"_25._tcp.{HOST}", "TLSA", "+short", server=layout.NS1).splitlines()) == 2
        again = site.json("apply", "--force-renewal", "--wait")
        assert (again["failed"], again["holds"]) == ([], [])
        assert [step["step"] for step in again["steps"]].count("reload") == 2  # one a service, for both certificates
    finally:
        dovecot.config.write_text(config)
        postconf("-e", f"smtpd_tls_chain_files = {postfix.combined}")
        for argv in postfix.reload, dovecot.reload:
            subprocess.run(argv, check=True, capture_output=True)


HOST = f"mail.{layout.DOMAIN}"
SECOND = """
[certificate.second]
names = ["{host}"]
key_type = "rsa2048"
http01 = {{ webroot = "{webroot}" }}
[[certificate.second.tlsa]]
hosts = ["{host}"]
ports = [25]
dns = "home"
ttl = 1
prune = true
[[certificate.second.deploy]]
services = ["postfix"]
[[certificate.second.deploy]]
services = ["dovecot"]
"""


def leaf_of_kind(port: int, kind: str) -> str:
    """Return the leaf that openssl is shown at a port of the mail host where it can verify one kind alone."""
    starttls = {
        25: ["-starttls", "smtp"],
        587: ["-starttls", "smtp"],
        143: ["-starttls", "imap"],
        110: ["-starttls", "pop3"],
    }
    sigalgs = {"RSA": "rsa_pss_rsae_sha256", "ECDSA": "ecdsa_secp256r1_sha256"}[kind]
    argv = ["openssl", "s_client", "-connect", f"{layout.MAIL[0]}:{port}", "-sigalgs", sigalgs, *starttls.get(port, [])]
    done = subprocess.run(argv, input="QUIT\n", capture_output=True, text=True, check=False, timeout=20)
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.DOTALL)
    assert found, done.stderr
    return found[0]
