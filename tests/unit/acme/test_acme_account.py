"""The account: made once, kept, found again, made anew where the CA lost it."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from danelaw.acme import AcmeAuthority
from danelaw.acme.account import load_or_make_key
from danelaw.errors import Refused, RetryLater, StateCorrupt
from danelaw.model import CaSpec, OrderState
from fakes.acme_ca import RESET, FakeCa, refused
from fakes.acme_surroundings import JumpingClock, MemorySolver, Said, new_csr

NAMES = ("example.test",)


def run(ca: FakeCa, state: Path, *, contact: tuple[str, ...] = ("igor@example.org",), agree: bool = True) -> list[str]:
    """Open one order as a run of its own would; return the kinds of requests it took."""
    before = len(ca.requests)
    spec = CaSpec("test", ca.directory, contact, agree_tos=agree)
    with AcmeAuthority(spec, str(state), JumpingClock(), Said()) as authority:
        authority.open(NAMES, new_csr(*NAMES))
    return [request.removeprefix("POST ") for request in ca.requests[before:]]


def test_it_is_made_once_and_then_costs_no_request(ca: FakeCa, tmp_path: Path, folder: Path) -> None:
    assert run(ca, tmp_path) == ["GET dir", "HEAD nonce", "new-account", "new-account", "new-order"]
    assert run(ca, tmp_path) == ["GET dir", "HEAD nonce", "new-order"]
    assert [account["contact"] for account in ca.accounts.values()] == [["mailto:igor@example.org"]]
    assert stat.S_IMODE((folder / "account.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["account.json", "account.pem"]


def test_the_key_is_on_disk_before_the_ca_hears_of_it(ca: FakeCa, tmp_path: Path, folder: Path) -> None:
    ca.faults["dir"] = [RESET] * 100
    with pytest.raises(RetryLater):
        run(ca, tmp_path)
    key = (folder / "account.pem").read_bytes()
    ca.faults.clear()
    run(ca, tmp_path)
    assert (folder / "account.pem").read_bytes() == key


def test_an_account_whose_answer_was_lost_is_found_by_its_key(ca: FakeCa, tmp_path: Path, folder: Path) -> None:
    run(ca, tmp_path)
    (folder / "account.json").unlink()
    assert run(ca, tmp_path, agree=False) == ["GET dir", "HEAD nonce", "new-account", "new-order"]
    assert len(ca.accounts) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kid": 5}', b"\xff", b'{"kid": "https://other.test/1"}'])
def test_a_cache_that_is_damaged_is_asked_for_anew(ca: FakeCa, tmp_path: Path, folder: Path, content: bytes) -> None:
    run(ca, tmp_path)
    (folder / "account.json").write_bytes(content)
    run(ca, tmp_path)
    assert len(ca.accounts) == 1


def test_a_contact_that_changed_is_told_once(ca: FakeCa, tmp_path: Path) -> None:
    run(ca, tmp_path)
    assert "acct" in run(ca, tmp_path, contact=("mailto:other@example.org",))
    assert "acct" not in run(ca, tmp_path, contact=("mailto:other@example.org",))
    assert [account["contact"] for account in ca.accounts.values()] == [["mailto:other@example.org"]]
    assert "acct" in run(ca, tmp_path, contact=())
    assert [account["contact"] for account in ca.accounts.values()] == [[]]


def test_a_contact_that_the_ca_refuses_is_said(ca: FakeCa, tmp_path: Path) -> None:
    ca.faults["new-account"] = [
        refused("accountDoesNotExist", "no account"),
        refused("invalidContact", "example.org is forbidden"),
    ]
    with pytest.raises(Refused, match=r"example\.org is forbidden; correct the CA's contact"):
        run(ca, tmp_path)


@pytest.mark.parametrize("contact", [("igor@example.org",), ("new@example.org",)])
def test_an_account_that_the_ca_lost_is_made_again(ca: FakeCa, tmp_path: Path, contact: tuple[str, ...]) -> None:
    run(ca, tmp_path)
    ca.accounts.clear()
    run(ca, tmp_path, contact=contact)
    assert [account["contact"] for account in ca.accounts.values()] == [[f"mailto:{contact[0]}"]]


def test_an_account_that_was_deactivated_is_not_replaced_by_itself(ca: FakeCa, tmp_path: Path, folder: Path) -> None:
    run(ca, tmp_path)
    (folder / "account.json").unlink()
    next(iter(ca.accounts.values()))["status"] = "deactivated"
    with pytest.raises(Refused, match=rf"is deactivated; move {folder} away"):
        run(ca, tmp_path)


def test_terms_are_agreed_to_only_where_the_config_says_so(ca: FakeCa, tmp_path: Path) -> None:
    with pytest.raises(
        Refused, match=r"acme\.test\.agree_tos is not true; read the CA's terms at https://ca\.test/terms"
    ):
        run(ca, tmp_path, agree=False)
    assert ca.accounts == {}


def test_a_ca_that_wants_an_external_account_is_refused(ca: FakeCa, tmp_path: Path) -> None:
    ca.meta["externalAccountRequired"] = True
    with pytest.raises(Refused, match="external account binding"):
        run(ca, tmp_path)


def test_the_accounts_key_is_never_a_certificates_key(ca: FakeCa, tmp_path: Path, folder: Path) -> None:
    key = load_or_make_key(folder)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    spec = CaSpec("test", ca.directory, (), agree_tos=True)
    with (
        AcmeAuthority(spec, str(tmp_path), JumpingClock(), Said()) as authority,
        pytest.raises(Refused, match="is our ACME account's key"),
    ):
        authority.open(NAMES, new_csr(*NAMES, key=key))


def test_an_adopted_rsa_key_is_used(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    _write(tmp_path / "account.pem", key)
    read = load_or_make_key(tmp_path)
    assert read.public_key() == key.public_key()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_or_make_key(tmp_path)
    (tmp_path / "account.pem").chmod(0o640)
    with pytest.raises(Refused, match="0640 lets others at the account's key; make it 0600"):
        load_or_make_key(tmp_path)


def test_a_key_file_that_holds_none_is_said_without_its_content_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "account.pem"
    path.touch(0o600)
    path.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    with pytest.raises(StateCorrupt) as caught:
        load_or_make_key(tmp_path)
    assert "c2VjcmV0" not in str(caught.value)
    assert caught.value.__cause__ is None
    _write(path, ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(StateCorrupt, match="P-256 or RSA"):
        load_or_make_key(tmp_path)


def test_the_leavings_of_a_killed_run_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".account.pem.{os.getpid()}").write_text("half a key")
    load_or_make_key(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["account.pem"]


def test_an_account_lost_in_the_middle_of_an_order_ends_the_order(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, said: Said
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.accounts.clear()
    ca.orders.clear()
    after = authority.advance(order, solver)
    assert isinstance(after, OrderState)
    assert (after.status, solver.events) == ("invalid", [])
    assert any("does not know our account" in line for line in said.lines)


def _write(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
