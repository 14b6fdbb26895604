"""Orders, accounts and revocations at a real CA (Pebble), which really validates by http-01."""

import contextlib
import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from danelaw.acme import AcmeAuthority, ListenerSolver, WebrootSolver
from danelaw.acme.account import account_folder
from danelaw.deploy.signer import KeySigner
from danelaw.errors import InputError, Refused, RetryLater
from danelaw.model import CaSpec, OrderState, Solver
from fakes.acme_surroundings import MemorySolver, RealClock, Said, new_csr
from integration.pebble_server import Pebble, pebble

pytestmark = pytest.mark.world

NAMES = ("mail.example.test", "example.test")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble")) as running:
        yield running


class Bench:
    """An authority of ours at a Pebble, and what it said."""

    def __init__(self, ca: Pebble, state: Path, contact: Sequence[str] = ("igor@example.org",)) -> None:
        self.said = Said()
        self.state = state
        self.spec = CaSpec("test", ca.directory, tuple(contact), agree_tos=True, ca_bundle=ca.ca_bundle)
        self.authority = AcmeAuthority(self.spec, str(state), RealClock(), self.said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.authority.close()

    def issue(self, csr: bytes, solver: Solver | None, names: Sequence[str] = NAMES) -> tuple[OrderState, list[str]]:
        """Take an order to its end; return it and every status on the way."""
        order = self.authority.open(names, csr)
        statuses: list[str] = [order.status]
        while order.chain_pem is None:
            order = self.authority.advance(order, solver if order.status == "pending" else None)
            statuses.append(order.status)
            assert len(statuses) < 12, statuses
        return order, statuses


@contextlib.contextmanager
def web_server(port: int, webroot: Path) -> Iterator[None]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Quiet, directory=str(webroot)))
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def verify_with_openssl(chain_pem: str, roots_pem: str, folder: Path, name: str) -> None:
    end = "-----END CERTIFICATE-----\n"
    leaf, rest = chain_pem.split(end, 1)
    (folder / "leaf.pem").write_text(leaf + end)
    (folder / "rest.pem").write_text(rest)
    (folder / "roots.pem").write_text(roots_pem)
    subprocess.run(
        [
            *("openssl", "verify", "-CAfile", folder / "roots.pem", "-untrusted", folder / "rest.pem"),
            *("-verify_hostname", name, folder / "leaf.pem"),
        ],
        check=True,
        capture_output=True,
    )


def test_an_order_by_webroot_leaves_nothing_behind_and_openssl_accepts_the_chain(ca: Pebble, tmp_path: Path) -> None:
    webroot = tmp_path / "www"
    webroot.mkdir()
    with web_server(ca.http_port, webroot), Bench(ca, tmp_path / "state") as bench:
        order, statuses = bench.issue(new_csr(*NAMES), WebrootSolver(str(webroot)))
    assert statuses[:2] == ["pending", "ready"]
    assert order.chain_pem is not None
    for name in NAMES:
        verify_with_openssl(order.chain_pem, ca.roots_pem, tmp_path, name)
    with pytest.raises(subprocess.CalledProcessError):
        verify_with_openssl(order.chain_pem, ca.roots_pem, tmp_path, "other.test")
    assert list(webroot.iterdir()) == []


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["rsa2048", "p384"],
)
def test_an_order_by_our_own_listener(
    ca: Pebble, tmp_path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> None:
    with ListenerSolver([("127.0.0.1", ca.http_port)]) as solver, Bench(ca, tmp_path) as bench:
        order, _ = bench.issue(new_csr(*NAMES, key=key), solver)
    assert order.chain_pem is not None
    verify_with_openssl(order.chain_pem, ca.roots_pem, tmp_path, NAMES[0])


def test_an_answer_that_is_not_there_is_refused_in_the_cas_words_and_the_order_is_over(
    ca: Pebble, tmp_path: Path
) -> None:
    (tmp_path / "www").mkdir()
    with web_server(ca.http_port, tmp_path / "www"), Bench(ca, tmp_path / "state") as bench:
        order = bench.authority.open(NAMES, new_csr(*NAMES))
        with pytest.raises(Refused, match=r"mail\.example\.test: unauthorized: .*404.*must be answered by this host"):
            bench.authority.advance(order, MemorySolver())
        after = bench.authority.advance(order, None)
    assert (after.status, after.chain_pem) == ("invalid", None)


def test_a_port_that_nobody_answers_and_a_name_without_address_may_pass(ca: Pebble, tmp_path: Path) -> None:
    with Bench(ca, tmp_path) as bench:
        order = bench.authority.open(["closed.test"], new_csr("closed.test"))
        with pytest.raises(RetryLater, match=r"closed\.test: connection: .*port 80 must be reachable"):
            bench.authority.advance(order, ListenerSolver([]))
        order = bench.authority.open(["a.nowhere.test"], new_csr("a.nowhere.test"))
        with pytest.raises(RetryLater, match=r"a\.nowhere\.test: (dns|connection): "):
            bench.authority.advance(order, ListenerSolver([]))


def test_an_account_is_kept_between_runs_and_its_contact_follows_the_config(ca: Pebble, tmp_path: Path) -> None:
    folder = account_folder(str(tmp_path), ca.directory)
    with Bench(ca, tmp_path) as first:
        first.authority.open(NAMES, new_csr(*NAMES))
    key, known = (folder / "account.pem").read_bytes(), (folder / "account.json").read_text()
    with Bench(ca, tmp_path) as second:
        second.authority.open(NAMES, new_csr(*NAMES))
    assert second.said.lines == []
    with Bench(ca, tmp_path, contact=("mailto:other@example.org",)) as third:
        third.authority.open(NAMES, new_csr(*NAMES))
    assert (folder / "account.pem").read_bytes() == key
    assert "igor@example.org" in known
    assert "other@example.org" in (folder / "account.json").read_text()


def test_an_account_whose_url_is_forgotten_is_found_by_its_key(ca: Pebble, tmp_path: Path) -> None:
    file = account_folder(str(tmp_path), ca.directory) / "account.json"
    with Bench(ca, tmp_path) as first:
        first.authority.open(NAMES, new_csr(*NAMES))
    before = file.read_text()
    file.unlink()
    with Bench(ca, tmp_path) as second:
        second.authority.open(NAMES, new_csr(*NAMES))
    assert file.read_text() == before
    assert second.said.lines == []  # nothing was made


def test_an_account_and_an_order_that_the_ca_lost_are_made_again(ca: Pebble, tmp_path: Path) -> None:
    with pebble(tmp_path / "pebble") as other, Bench(other, tmp_path / "state") as bench:
        lost = bench.authority.open(NAMES, new_csr(*NAMES))
    file = account_folder(str(tmp_path / "state"), other.directory)
    with Bench(ca, tmp_path / "state") as bench:
        # another CA that knows neither, at the place of the first
        moved = account_folder(str(tmp_path / "state"), ca.directory)
        file.rename(moved)
        known = (moved / "account.json").read_text().replace(other.directory, ca.directory)
        ours = ca.directory.rsplit("/", 1)[0]
        (moved / "account.json").write_text(known.replace(other.directory.rsplit("/", 1)[0], ours))
        order = OrderState(lost.url.replace(other.directory.rsplit("/", 1)[0], ours), "pending", lost.csr_der)
        assert bench.authority.advance(order, None).status == "invalid"
        assert any("does not know our account" in line for line in bench.said.lines)
        assert bench.authority.open(NAMES, new_csr(*NAMES)).status == "pending"


def test_an_order_is_ready_at_once_where_the_names_are_proven_already(tmp_path: Path) -> None:
    with (
        pebble(tmp_path / "pebble", PEBBLE_AUTHZREUSE="100") as ca,
        Bench(ca, tmp_path / "state") as bench,
    ):
        with ListenerSolver([("127.0.0.1", ca.http_port)]) as solver:
            bench.issue(new_csr(*NAMES), solver)
        order, statuses = bench.issue(new_csr(*NAMES), None)
    assert "pending" not in statuses
    assert order.chain_pem is not None


def test_half_of_all_nonces_refused_spoils_none_of_ten_issuances(tmp_path: Path) -> None:
    with (
        pebble(tmp_path / "pebble", PEBBLE_WFE_NONCEREJECT="50") as ca,
        ListenerSolver([("127.0.0.1", ca.http_port)]) as solver,
        Bench(ca, tmp_path / "state") as bench,
    ):
        for number in range(10):
            name = f"n{number}.example.test"
            order, _ = bench.issue(new_csr(name), solver, [name])
            assert order.chain_pem is not None
    assert "nonce" in ca.log.read_text().lower()


def test_a_certificate_is_revoked_once_and_a_second_time_is_said(ca: Pebble, tmp_path: Path) -> None:
    with ListenerSolver([("127.0.0.1", ca.http_port)]) as solver, Bench(ca, tmp_path) as bench:
        order, _ = bench.issue(new_csr(*NAMES), solver)
        assert order.chain_pem is not None
        leaf = x509.load_pem_x509_certificate(order.chain_pem.encode()).public_bytes(serialization.Encoding.DER)
        with pytest.raises(InputError, match="reason 9"):
            bench.authority.revoke(leaf, 9)
        bench.authority.revoke(leaf, 4)
        assert ca.status_of(x509.load_der_x509_certificate(leaf).serial_number) == ("Revoked", 4)
        assert not any("revoked" in line for line in bench.said.lines)
        bench.authority.revoke(leaf, 4)
        assert bench.said.lines[-1] == "test: the certificate was revoked already"


CERTIFICATE_KEYS: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
    "rsa2048": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
}


@pytest.mark.parametrize("key_type", CERTIFICATE_KEYS)
def test_a_certificates_own_key_revokes_it_and_another_key_does_not(ca: Pebble, tmp_path: Path, key_type: str) -> None:
    """RFC 8555 section 7.6, for keyCompromise; an account that never ordered it is refused too.

    Pebble goes on issuing over that key, which public CAs do not.
    """
    key = CERTIFICATE_KEYS[key_type]
    with ListenerSolver([("127.0.0.1", ca.http_port)]) as solver, Bench(ca, tmp_path / "a") as bench:
        order, _ = bench.issue(new_csr(*NAMES, key=key), solver)
    assert order.chain_pem is not None
    certificate = x509.load_pem_x509_certificate(order.chain_pem.encode())
    leaf = certificate.public_bytes(serialization.Encoding.DER)
    with Bench(ca, tmp_path / "b") as stranger:
        with pytest.raises(Refused, match=r"refused /revoke-cert: unauthorized: "):
            stranger.authority.revoke(leaf, 1)
        for other in CERTIFICATE_KEYS.values():
            if other is not key:
                with pytest.raises(Refused, match=r"refused /revoke-cert: unauthorized: "):
                    stranger.authority.revoke(leaf, 1, KeySigner(other))
        assert ca.status_of(certificate.serial_number) == ("Valid", None)
        stranger.authority.revoke(leaf, 1, KeySigner(key))
        assert ca.status_of(certificate.serial_number) == ("Revoked", 1)
        stranger.authority.revoke(leaf, 1, KeySigner(key))
        assert stranger.said.lines[-1] == "test: the certificate was revoked already"


def test_a_csr_over_other_names_than_the_order_is_refused_in_the_cas_words(ca: Pebble, tmp_path: Path) -> None:
    with ListenerSolver([("127.0.0.1", ca.http_port)]) as solver, Bench(ca, tmp_path) as bench:
        order = bench.authority.open(NAMES, new_csr("other.test"))
        order = bench.authority.advance(order, solver)
        with pytest.raises(Refused, match=r"refused /finalize-order/"):
            bench.authority.advance(order, None)


def test_a_wildcard_needs_what_we_do_not_do(ca: Pebble, tmp_path: Path) -> None:
    with Bench(ca, tmp_path) as bench:
        order = bench.authority.open(["*.example.test"], new_csr("*.example.test"))
        with pytest.raises(Refused, match=r"\*\.example\.test: the CA offers dns-01, not http-01"):
            bench.authority.advance(order, ListenerSolver([]))


def test_terms_that_are_not_agreed_to_make_no_account(ca: Pebble, tmp_path: Path) -> None:
    spec = CaSpec("test", ca.directory, (), agree_tos=False, ca_bundle=ca.ca_bundle)
    with (
        AcmeAuthority(spec, str(tmp_path), RealClock(), Said()) as authority,
        pytest.raises(Refused, match=r"acme\.test\.agree_tos is not true; read the CA's terms at data:"),
    ):
        authority.open(NAMES, new_csr(*NAMES))


def test_a_ca_whose_https_is_not_trusted_is_refused(ca: Pebble, tmp_path: Path) -> None:
    spec = CaSpec("test", ca.directory, (), agree_tos=True)
    with (
        AcmeAuthority(spec, str(tmp_path), RealClock(), Said()) as authority,
        pytest.raises(Refused, match=r"TLS certificate is not trusted .*ca_bundle"),
    ):
        authority.open(NAMES, new_csr(*NAMES))
