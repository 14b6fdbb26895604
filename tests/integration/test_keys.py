"""Keys and CSRs as administrators have them, before the real Pebble: passwords, ready CSRs, subjects, refusals."""

import base64
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fakes import openssl_files as made
from scenario.mailhost import MailHost, kinds
from world import World
from world.server import wait_until

pytestmark = pytest.mark.world

MakeHost = Callable[..., MailHost]

SUBJECT = {
    "country": "DE",
    "state": "Hessen",
    "locality": "Kassel",
    "organization": "Beispiel für alle",
    "organizational_unit": "",
    "email": "igor@example.test",
}


def rewrite(host: MailHost, *lines: str, names: tuple[str, ...] = ()) -> None:
    """Put lines in the place of ``key``, and other names in that of the host's."""
    text = host.config.read_text()
    key = f'key = "{host.world.initial_key}"'
    assert text.count(key) == 1
    text = text.replace(key, "\n".join(lines))
    if names:
        text = text.replace(f'names = ["{host.host}"]', "names = [" + ", ".join(f'"{name}"' for name in names) + "]")
    host.config.write_text(text)


def sent(host: MailHost) -> list[bytes]:
    """Return the CSRs of the orders, by SQLite itself."""
    with closing(sqlite3.connect(f"file:{host.state_dir}/facts/facts.sqlite?mode=ro", uri=True)) as database:
        return [row[0] for row in database.execute("SELECT csr_der FROM ca_order ORDER BY opened_at")]


def secret(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def initial(host: MailHost) -> bytes:
    return host.world.initial.key_pem


def csr(host: MailHost, common: str, *names: str, key: bytes | None = None) -> str:
    """Write a CSR over the key in use; return its path."""
    path = host.folder / "ready.csr"
    san = ",".join(f"DNS:{name}" for name in names)
    path.write_bytes(made.csr(key or initial(host), subject=f"/CN={common}/emailAddress=igor@{common}", san=san))
    return str(path)


def test_a_key_with_a_password_is_adopted_and_goes_live_with_a_subject_of_its_own(mailhost: MakeHost) -> None:
    host = mailhost()
    key = secret(host.folder / "locked.key", made.locked(initial(host)))
    password = secret(host.folder / "key.pass", f"{made.PASSWORD}\n".encode())
    fields = ", ".join(f'{name} = "{text}"' for name, text in {**SUBJECT, "common_name": host.host}.items())
    rewrite(host, f'key = "{key}"', f'key_password_file = "{password}"', f"subject = {{ {fields} }}")
    taken = kinds(host.apply("--wait"))
    assert (taken[0], taken.count("obtain")) == ("take-key", 1)
    assert host.tlsa() == [host.world.initial.tlsa(1)]
    assert host.presented().tlsa(1) == host.world.initial.tlsa(1)
    assert host.presented().leaf_pem != host.world.initial.leaf_pem
    assert host.verdicts() == []
    (copy,) = (host.state_dir / "keys").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert made.spki(copy.read_bytes()) == made.spki(initial(host))
    said = made.openssl(
        "req", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253,utf8,-esc_msb", data=sent(host)[0]
    )
    email, *others = said.decode().strip().removeprefix("subject=").split(",")
    assert others == [f"CN={host.host}", "O=Beispiel für alle", "L=Kassel", "ST=Hessen", "C=DE"]
    assert email.endswith("igor@example.test")
    everything = b"".join(path.read_bytes() for path in host.state_dir.rglob("*") if path.is_file())
    assert made.PASSWORD.encode() not in everything


def test_the_wrong_password_is_a_hold_in_the_plan_and_a_failed_run_and_changes_nothing(mailhost: MakeHost) -> None:
    host = mailhost()
    key = secret(host.folder / "locked.key", made.locked(initial(host)))
    password = secret(host.folder / "key.pass", b"another one\n")
    rewrite(host, f'key = "{key}"', f'key_password_file = "{password}"')
    (hold,) = [entry for entry in host.plan() if "hold" in entry]
    why = f"{key}: found a key that the password in key_password_file does not open; correct the password"
    assert (hold["hold"], hold["why"]) == ("key", why)
    assert not host.state_dir.exists()
    run = host.danelaw("apply")
    assert run.status == 1
    assert why in run.out
    assert not (host.state_dir / "keys").exists()
    assert "another one" not in run.out + run.err
    assert host.presented().leaf_pem == host.world.initial.leaf_pem


def test_a_csr_whose_common_name_stands_alone_is_refused_by_this_ca_and_explained(mailhost: MakeHost) -> None:
    """The administrator's own CSR; Let's Encrypt takes it, Pebble does not."""
    host = mailhost()
    others = (f"mail.{host.zone}", f"www.{host.zone}")
    rewrite(
        host,
        f'key = "{host.world.initial_key}"',
        f'csr = "{csr(host, host.zone, *others)}"',
        names=(host.zone, *others),
    )
    plan = host.danelaw("plan")
    assert f'whose common name "{host.zone}" is not among its alternative names; expected it among them' in plan.err
    run = host.danelaw("apply")
    assert run.status == 1
    line = next(line for line in run.out.splitlines() if line.startswith("FAILED"))
    assert "refused /finalize-order/" in line
    assert "unauthorized: " in line
    assert f'the CSR has the common name "{host.zone}", which is not among its alternative names' in line
    assert f"make it again with DNS:{host.zone} in subjectAltName, or order from another CA" in line
    assert host.presented().leaf_pem == host.world.initial.leaf_pem


def test_a_csr_with_its_common_name_among_the_others_is_sent_byte_for_byte(mailhost: MakeHost) -> None:
    """The accepting twin; and a CSR that changes over the same key is sent at the next renewal."""
    host = mailhost()
    names = (host.zone, f"mail.{host.zone}", f"www.{host.zone}")
    path = csr(host, host.zone, *names)
    rewrite(host, f'key = "{host.world.initial_key}"', f'csr = "{path}"', names=names)
    host.apply("--wait")
    first = made.openssl("req", "-outform", "DER", data=Path(path).read_bytes())
    assert sent(host) == [first]
    assert host.presented().tlsa(1) == host.world.initial.tlsa(1)
    assert sorted(host.json("status")["certificates"][0]["names"]) == sorted(names)
    csr(host, f"www.{host.zone}", *reversed(names))
    host.apply("--force-renewal", "--wait")
    second = made.openssl("req", "-outform", "DER", data=Path(path).read_bytes())
    assert second != first
    assert sent(host) == [first, second]
    csr(host, host.zone, *names, key=made.rsa())  # over another key: told, and not followed
    outcome = host.apply("--force-renewal", "--wait")
    assert sent(host) == [first, second, second]
    assert [note["note"] for note in outcome["notes"] if note["subject"] == host.zone] == ["csr-changed"]
    assert host.presented().tlsa(1) == host.world.initial.tlsa(1)
    assert host.verdicts() == []


def test_a_csr_over_another_key_than_the_one_named_is_refused_before_an_order(mailhost: MakeHost) -> None:
    host = mailhost()
    path = csr(host, host.host, host.host, key=made.rsa())
    password = secret(host.folder / "key.pass", b"for another key\n")
    lines = f'key = "{host.world.initial_key}"', f'csr = "{path}"', f'key_password_file = "{password}"'
    rewrite(host, *lines)
    orders = host.orders
    run = host.danelaw("apply")
    assert run.status == 1
    assert f"{path}: found a CSR over another key (" in run.out
    assert f"than {host.world.initial_key} (" in run.out
    assert host.orders == orders
    assert f"warning: {host.world.initial_key} has no password; take key_password_file out of the config" in run.err


@pytest.fixture
def apache(world: World) -> Iterator[World]:
    """Apache, whose files this test changes, with its own again afterwards."""
    yield world
    for path in (world.apache.fullchain, world.apache.key):
        path.unlink(missing_ok=True)
    world.apache.present(world.initial)


def test_of_a_csr_alone_the_public_half_is_published_and_the_chain_deployed(apache: World, mailhost: MakeHost) -> None:
    """The key is where danelaw is not to have it: here Apache has had it all along."""
    host = mailhost(host="www", ports=(443,))
    rewrite(host, f'csr = "{csr(host, host.host, host.host)}"')
    text = host.config.read_text()
    refused = host.danelaw("apply")
    assert refused.status == 2
    assert "found a file that holds the key, though of the key there is only the csr" in refused.err
    head, _, _ = text.partition(f'[[certificate."{host.zone}".deploy]]')
    reload = ", ".join(f'"{word}"' for word in apache.apache.reload)
    host.config.write_text(
        f'{head}[[certificate."{host.zone}".deploy]]\nfullchain = "{apache.apache.fullchain}"\n'
        f'reload = [{reload}]\nprove = ["{host.host}:443"]\n'
    )
    host.apply("--wait")
    assert host.tlsa(443) == [apache.initial.tlsa(1)]
    assert apache.apache.fullchain.read_bytes() != apache.initial.fullchain_pem
    assert host.json("status")["certificates"][0]["key"]["origin"] == "elsewhere"
    assert not (host.state_dir / "keys").exists()


def holding(host: MailHost, key_pem: bytes) -> list[str]:
    """Return the files of the state that hold a private key, by the numbers in it."""
    number = load_pem_private_key(key_pem, None)
    assert isinstance(number, ec.EllipticCurvePrivateKey)
    secret = number.private_numbers().private_value.to_bytes(32)
    return [
        path.name
        for path in host.state_dir.rglob("*")
        if path.is_file() and not path.is_symlink() and any(secret in der for der in private_keys(path.read_bytes()))
    ]


def private_keys(content: bytes) -> list[bytes]:
    return [base64.b64decode(part.partition(b"-----END")[0]) for part in content.split(b"PRIVATE KEY-----")[1::2]]


def test_killed_runs_make_one_next_key_and_a_leaked_one_revokes_its_certificate_and_is_destroyed(
    mailhost: MakeHost,
) -> None:
    """From an adopted key to the next one, killed where keys are made and destroyed."""
    host = mailhost()
    rewrite(host, f'key = "{host.world.initial_key}"', "next_key = true", 'settle = "0s"', 'retired_keys = "shred"')
    said = [host.killed("host.take_next_key:after:1", "apply", "--wait")]
    host.apply("--wait")
    keys = host.state_dir / "keys"
    first, coming = host.world.initial.tlsa(1), [row for row in host.tlsa() if row != host.world.initial.tlsa(1)]
    assert (len(host.tlsa()), len(coming), len(list(keys.glob("*.pem")))) == (2, 1, 2)
    assert host.presented().tlsa(1) == first
    assert len(holding(host, initial(host))) == 3  # its own file, what stood there at first, and what is live
    leaked = host.folder / "leaked.pem"
    leaked.write_bytes(host.presented().leaf_pem)

    said.append(host.killed("host.take_next_key:after:1", "rollover", host.zone))
    host.apply("--wait")
    assert host.presented().tlsa(1) == coming[0]
    assert first not in host.tlsa()
    assert (len(host.tlsa()), len(list(keys.glob("*.pem")))) == (2, 3)
    assert host.verdicts() == []

    said.append(host.danelaw("revoke", "--cert", str(leaked), "--reason", "keyCompromise"))
    assert "signed by its own key" in said[-1].out
    serial = x509.load_pem_x509_certificate(leaked.read_bytes()).serial_number
    assert b'"Status": "Revoked"' in host.world.pebble.get(
        f"{host.world.pebble.management}/cert-status-by-serial/{serial:x}"
    )

    def is_put_away() -> bool:
        """Tell whether a run was killed right after it destroyed the key: that waits until no cache has its record."""
        said.append(host.killed("host.put_away:after:1", "apply"))
        return said[-1].status == -9

    wait_until(is_put_away, "the key is still needed")
    assert kinds(host.apply()) == ["retire"]
    assert holding(host, initial(host)) == []
    assert len(list(keys.glob("*.pem"))) == 2
    assert host.presented().tlsa(1) == coming[0]
    assert [run.status for run in (*said[:3], said[-1])] == [-9, -9, 0, -9]
    lines = [line for path in keys.glob("*.pem") for line in path.read_text().splitlines()[1:-1]]
    lines += initial(host).decode().splitlines()[1:-1]
    assert not any(line in run.out + run.err for line in lines for run in said)
