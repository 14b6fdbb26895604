"""What goes wrong while something is being put right: a rollback that is killed, a disk that fills midway."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from scenario import Site
from scenario.endstate import end_state
from scenario.handshake import presented
from world import ServiceName, World, layout

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "apache")
SERVICES = ("postfix",)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1) as world:
        yield world


@pytest.fixture
def site(shared: World, tmp_path: Path) -> Site:
    """A site whose `3 1 1` stands already, so that nothing has to wait, in a state folder of its own."""
    shared.present(shared.initial)
    shared.publish(f"_25._tcp.mail.{layout.DOMAIN}", [shared.initial.tlsa(1)])
    return Site(shared, tmp_path, services=SERVICES, ttl=1)


def old(site: Site) -> bytes:
    der: bytes = site.world.initial.leaf.public_bytes(Encoding.DER)
    return der


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A small file system of its own, in the world's mount namespace only."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_rollback_that_is_killed_is_carried_through(site: Site) -> None:
    """The second going live is the way back; the config test fails while the reload that follows it works."""
    flaky = site.folder / "flaky"
    failing = ["sh", "-c", f"test -e {flaky} && exec {' '.join(site.world.postfix.test)}; touch {flaky}; exit 3"]
    before = site.world.postfix.combined.read_bytes()
    site.configure(services=SERVICES, ttl=1, test={"postfix": failing})
    assert site.killed("host.activate:after:2", "apply", "--wait").status == -9
    assert site.world.postfix.combined.read_bytes() == before
    outcome = site.json("apply", status=1)
    assert [(step["step"], step.get("n")) for step in outcome["steps"]] == [("reload", 0), ("prove", 0)]
    assert outcome["holds"] == []
    assert presented(layout.MAIL[0], 25) == old(site)
    orders = site.orders
    assert site.json("apply", "--retry-now", "--wait")["failed"] == []
    assert site.orders == orders
    assert end_state(site, SERVICES).presented_everywhere


def test_backing_off_is_said_by_each_run_and_by_its_status(site: Site) -> None:
    """A timer's plain `apply` does not call it nothing due."""
    site.configure(services=SERVICES, ttl=1, reload={"postfix": ["false"]})
    assert site.danelaw("apply", "--wait").status == 1
    again = site.danelaw("apply")
    assert again.status == 1
    assert "\nagain " in f"\n{again.out}"
    assert not again.out.startswith("Nothing is due")


def test_a_disk_that_fills_midway_loses_nothing(site: Site) -> None:
    """Filled when the certificate was obtained: nothing is ordered twice once there is room."""
    with tmpfs(site.state_dir, "2m") as state:
        assert site.killed("host.stage:before:1", "apply", "--wait").status == -9
        orders, ballast = site.orders, state / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], stderr=subprocess.DEVNULL, check=False)
        full = site.danelaw("apply")
        assert full.status == 1
        said = [line for line in (full.out + full.err).splitlines() if "the disk is full" in line]
        assert len(said) == 1, full
        assert "Traceback" not in full.err
        assert presented(layout.MAIL[0], 25) == old(site)
        ballast.unlink()
        assert site.json("apply", "--wait", "--retry-now")["failed"] == []
        assert site.orders == orders
        assert end_state(site, SERVICES).presented_everywhere


def test_a_state_that_is_mounted_read_only_is_one_sentence(site: Site) -> None:
    with tmpfs(site.state_dir, "2m") as state:
        site.json("apply", "--wait")
        subprocess.run(["mount", "-o", "remount,ro", state], check=True)
        for command in ("apply", "recover"):
            run = site.danelaw(command, *([layout.DOMAIN] if command == "apply" else []))
            assert run.status == 1
            assert "read-only" in run.err
            assert len([line for line in run.err.splitlines() if "warning" not in line]) == 1, run
        subprocess.run(["mount", "-o", "remount,rw", state], check=True)
        assert site.danelaw("apply", layout.DOMAIN).status == 0


def test_a_name_is_revoked_once(site: Site) -> None:
    """The second time it is not an older certificate that goes."""
    site.json("apply", "--wait")
    site.json("apply", "--force-renewal", "--wait")
    site.json("revoke", layout.DOMAIN, "--yes")
    again = site.danelaw("revoke", layout.DOMAIN, "--yes")
    assert again.status == 2
    assert "was revoked already" in again.err
    assert [chain["revoked"] for chain in site.chains] == [False, True]
    run = site.danelaw("apply", "--wait")
    assert run.status == 0, run
    assert len(site.chains) == 3
