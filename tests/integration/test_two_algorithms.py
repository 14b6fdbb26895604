"""RSA beside ECDSA on the real servers: nobody is refused at any instant, both are proven, one reload serves both."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from demo.verdicts import posttls_finger
from scenario import Site
from scenario.endstate import records_at, spki_of_leaf
from scenario.mailhost import kinds
from scenario.site import WWW
from scenario.watcher import Watcher
from world import ServiceName, World, layout

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "dovecot", "apache")
MAIL = f"mail.{layout.DOMAIN}"
Algorithm = Literal["RSA", "ECDSA"]
ALGORITHMS: tuple[Algorithm, ...] = ("RSA", "ECDSA")
PORTS = [
    *((address, 25, ["-starttls", "smtp"]) for address in layout.MAIL),
    *((address, port, []) for address in layout.MAIL for port in (465, 993, 995)),
    (layout.WEB, 443, []),
]


class Both(Site):
    """The site with a second certificate, whose files the services read beside those of the first.

    Postfix and Dovecot name theirs from the beginning, while they are empty: a file that is missing costs Postfix all
    TLS. Apache takes neither, so its administrator names its files as soon as danelaw has put them there.
    """

    def place(self) -> dict[str, tuple[Path, Path]]:
        """Return where each service finds the second chain, and its key."""
        world = self.world
        return {
            "postfix": (world.postfix.combined.with_name("ecdsa.pem"),) * 2,
            "dovecot": (world.dovecot.fullchain.with_name("alt.pem"), world.dovecot.key.with_name("alt.key")),
            "apache": (world.apache.fullchain.with_name("second.pem"), world.apache.key.with_name("second.key")),
        }

    def serve(self, name: str) -> None:
        """Let a service's own configuration name its second files."""
        chain, key = self.place()[name]
        world = self.world
        service = getattr(world, name)
        for path in {chain, key} if name != "apache" else ():
            path.touch(0o600)
        if name == "postfix":
            main_cf = world.postfix.config_dir / "main.cf"
            append(main_cf, f"smtpd_tls_chain_files = {world.postfix.combined}, {chain}\n")
            os.utime(main_cf, (0, 0))  # Postfix takes two seconds to believe in a main.cf of just now
        elif name == "dovecot":
            append(world.dovecot.config, f"ssl_alt_cert = <{chain}\nssl_alt_key = <{key}\n")
        else:
            found = world.apache.config.parent.rglob("*.conf")
            hosts = next(path for path in found if "SSLCertificateKeyFile" in path.read_text())
            pair = f'\\g<0>\n    SSLCertificateFile "{chain}"\n    SSLCertificateKeyFile "{key}"'
            hosts.write_text(re.sub(r"^ *SSLCertificateKeyFile .*$", pair, hosts.read_text(), flags=re.MULTILINE))
        for argv in service.test, service.reload:
            subprocess.run(argv, check=True, capture_output=True)

    @contextmanager
    def administrator(self) -> Iterator[None]:
        """Let somebody name the second files in Apache's configuration as soon as they are there."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.05):
                if all(path.exists() for path in self.place()["apache"]):
                    self.serve("apache")
                    return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def add_ecdsa(self) -> None:
        """Put the second certificate in the config."""
        world, place = self.world, self.place()
        text = f"""
[certificate.ecdsa]
names = ["{MAIL}", "{WWW}"]
key_type = "p256"
http01 = {{ webroot = "{world.apache.webroot}" }}
[[certificate.ecdsa.tlsa]]
hosts = ["{MAIL}"]
ports = [25]
records = ["3 1 1"]
dns = "home"
ttl = 2
prune = true
[[certificate.ecdsa.deploy]]
combined = {{ path = "{place["postfix"][0]}", parts = ["key", "cert", "chain"], mode = "0600" }}
"""
        text += self._read_by("postfix", [f"{MAIL}:25", f"{MAIL}:465", f"{MAIL}:587"])
        for name, prove in (
            ("dovecot", [f"{MAIL}:{port}" for port in (993, 995, 143, 110)]),
            ("apache", [f"{WWW}:443"]),
        ):
            chain, key = place[name]
            text += f'[[certificate.ecdsa.deploy]]\nfullchain = "{chain}"\nkey = {{ path = "{key}", mode = "0600" }}\n'
            text += self._read_by(name, prove)
        append(self.config, text)

    def _read_by(self, name: str, prove: list[str]) -> str:
        service = getattr(self.world, name)
        test, reload, places = (str(items).replace("'", '"') for items in (service.test, service.reload, prove))
        return f"test = {test}\nreload = {reload}\nprove = {places}\n"


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """RSA is live with its `3 1 1`."""
    with World(NEEDED, key_type="rsa2048", ttl=1) as world:
        site = Both(world, tmp_path_factory.mktemp("site"), extra='settle = "1s"')
        site.json("apply", "--wait")
        site.serve("postfix")
        site.serve("dovecot")
        yield site


def leaf(address: str, port: int, starttls: list[str], algorithm: Algorithm) -> bytes:
    """Return the leaf that openssl is shown where it can verify one kind of signature only."""
    sigalgs = {"RSA": "rsa_pss_rsae_sha256:RSA+SHA256", "ECDSA": "ecdsa_secp256r1_sha256"}[algorithm]
    argv = ["openssl", "s_client", "-connect", f"{address}:{port}", "-sigalgs", sigalgs, *starttls]
    done = subprocess.run(argv, input=b"QUIT\n", capture_output=True, check=False, timeout=20)
    found = re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", done.stdout, re.DOTALL)
    assert found, done.stderr.decode()
    return x509.load_pem_x509_certificate(found[0]).public_bytes(Encoding.DER)


def keys(algorithm: Algorithm) -> set[str]:
    """Return the keys that all ports present, of one kind."""
    return {spki_of_leaf(leaf(*place, algorithm)) for place in PORTS}


def reloads(site: Site) -> int:
    """Return how often Postfix was reloaded, by its own log."""
    return site.world.postfix.log.read_text().count(": reload -- version")


def watchers(owner: str) -> dict[Algorithm, Watcher]:
    return {algorithm: Watcher(owner, algorithm=algorithm) for algorithm in ALGORITHMS}


def test_ecdsa_beside_a_live_rsa_refuses_nobody_at_any_instant(site: Both) -> None:
    (rsa,) = keys("RSA")
    assert records_at(site, site.owner) == [f"3 1 1 {rsa}"]
    site.add_ecdsa()
    watched = watchers(site.owner)
    with watched["RSA"], watched["ECDSA"], site.administrator():
        outcome = site.json("apply", "--wait")
    assert outcome["failed"] == []
    done = kinds(outcome)
    assert done.index("publish") < done.index("activate")
    assert done.count("prove") == 3
    for algorithm, watcher in watched.items():
        assert watcher.handshakes, algorithm
        assert not watcher.invalid, (algorithm, watcher.invalid[:3])
    assert keys("RSA") == {rsa}
    (ecdsa,) = keys("ECDSA")
    assert sorted(records_at(site, site.owner)) == sorted(f"3 1 1 {key}" for key in (rsa, ecdsa))
    assert posttls_finger(site.world).good
    # Both are what a sender that knows the records accepts, by OpenSSL's own DANE.
    for algorithm in ALGORITHMS:
        assert accepted(site, algorithm)


def accepted(site: Site, algorithm: Algorithm, records: list[str] | None = None) -> bool:
    """Tell whether OpenSSL accepts one kind of certificate by the records that stand, or by others."""
    sigalgs = {"RSA": "rsa_pss_rsae_sha256:RSA+SHA256", "ECDSA": "ecdsa_secp256r1_sha256"}[algorithm]
    rrdata = [item for record in records or records_at(site, site.owner) for item in ("-dane_tlsa_rrdata", record)]
    argv = ["openssl", "s_client", "-starttls", "smtp", "-connect", f"{layout.MAIL[0]}:25", "-brief"]
    argv += ["-dane_ee_no_namechecks", "-sigalgs", sigalgs, "-dane_tlsa_domain", MAIL, *rrdata]
    done = subprocess.run(argv, input="QUIT\n", capture_output=True, text=True, check=False, timeout=20)
    return "Verification: OK" in done.stdout + done.stderr


def test_one_algorithms_record_alone_refuses_the_other(site: Both) -> None:
    """The rejecting twin: this is what senders would say if ECDSA had gone live without its record."""
    rsa = [record for record in records_at(site, site.owner) if keys("RSA") == {record.split()[3]}]
    assert rsa
    assert accepted(site, "RSA", rsa)
    assert not accepted(site, "ECDSA", rsa)


def test_a_key_is_replaced_by_one_of_its_own_kind_beside_the_other(site: Both) -> None:
    (rsa,), (ecdsa,) = keys("RSA"), keys("ECDSA")
    watched = watchers(site.owner)
    with watched["RSA"], watched["ECDSA"]:
        outcome = site.json("rollover", layout.DOMAIN, "--wait")
    assert outcome["failed"] == []
    assert kinds(outcome).count("promote") == 1
    (new,) = keys("RSA")
    assert new != rsa
    assert keys("ECDSA") == {ecdsa}
    assert sorted(records_at(site, site.owner)) == sorted(f"3 1 1 {key}" for key in (new, ecdsa))
    for algorithm, watcher in watched.items():
        assert watcher.handshakes > 20, algorithm
        assert not watcher.invalid, (algorithm, watcher.invalid[:3])


def test_two_renewals_of_one_run_reload_each_service_once(site: Both) -> None:
    before, records = reloads(site), sorted(records_at(site, site.owner))
    old = {algorithm: leaf(*PORTS[0], algorithm) for algorithm in ALGORITHMS}
    watched = watchers(site.owner)
    with watched["RSA"], watched["ECDSA"]:
        outcome = site.json("apply", "--force-renewal", "--wait")
    assert outcome["failed"] == []
    done = kinds(outcome)
    assert [done.count(kind) for kind in ("obtain", "activate", "reload", "prove", "publish")] == [2, 6, 3, 6, 0]
    assert reloads(site) == before + 1
    assert not [sample for watcher in watched.values() for sample in watcher.invalid]
    assert sorted(records_at(site, site.owner)) == records
    for algorithm in ALGORITHMS:
        assert leaf(*PORTS[0], algorithm) != old[algorithm]
        assert len({leaf(*place, algorithm) for place in PORTS}) == 1
