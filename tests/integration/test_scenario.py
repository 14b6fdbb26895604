"""The migration of scenario.md and what follows it, on real servers, watched every 50 ms."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario import Site, Watcher
from world import World, layout, make_private_key, wait_until

OWNER = f"_25._tcp.mail.{layout.DOMAIN}."

pytestmark = pytest.mark.world


@pytest.fixture
def old_world() -> Iterator[World]:
    """The world with the record of the old certificate published and served everywhere."""
    with World() as world:
        leaf_der = subprocess.run(
            ["openssl", "x509", "-outform", "DER"], input=world.initial.leaf_pem, capture_output=True, check=True
        ).stdout
        world.publish(OWNER, [f"3 0 1 {hashlib.sha256(leaf_der).hexdigest()}"], ttl=2)
        yield world


def presented(port: int = 25, address: str = layout.MAIL[0]) -> bytes:
    """Return the leaf that a port of the mail host presents, by openssl."""
    options = ["-starttls", "smtp"] if port in {25, 587} else []
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", f"mail.{layout.DOMAIN}", *options],
        input=b"QUIT\n",
        capture_output=True,
        check=False,
        timeout=20,
    )
    return subprocess.run(
        ["openssl", "x509", "-outform", "DER"], input=done.stdout, capture_output=True, check=True
    ).stdout


def test_the_migration_refuses_nobody(old_world: World, tmp_path: Path) -> None:
    site = Site(old_world, tmp_path)
    before = presented()
    with Watcher(OWNER) as watcher:
        outcome = site.json("apply", "--wait")
    assert [step["step"] for step in outcome["steps"]].count("publish") == 1
    assert watcher.handshakes > 20
    assert watcher.samples
    assert not watcher.invalid
    assert presented() != before
    assert old_world.dig(OWNER, "TLSA", "+short").split()[:3] == ["3", "1", "1"]
    assert len(old_world.dig(OWNER, "TLSA", "+short").splitlines()) == 1


def test_the_order_by_hand_refuses_many(old_world: World) -> None:
    """The twin: the new certificate first, its record afterwards, as scenario.md's steps 7 and 10 have it."""
    key = make_private_key("rsa2048")
    new = old_world.old_ca.issue(layout.NAMES, key)
    with Watcher(OWNER) as watcher:
        old_world.postfix.present(new)
        wait_until(
            lambda: len(watcher.invalid) > 10, "no sample is invalid", lambda: f"{watcher.handshakes} handshakes"
        )
        spki_der = subprocess.run(
            ["openssl", "pkey", "-pubout", "-outform", "DER"], input=new.key_pem, capture_output=True, check=True
        ).stdout
        old_world.publish(OWNER, [f"3 1 1 {hashlib.sha256(spki_der).hexdigest()}"], ttl=2)
    assert len(watcher.invalid) > 10
