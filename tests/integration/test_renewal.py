"""Again and again: renewals that leave DNS alone, nothing due, revocation, two runs at once, a full disk."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario import Site
from world import ServiceName, World, layout

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "apache")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose migration is done."""
    with World(NEEDED, key_type="p256", ttl=1) as world:
        site = Site(world, tmp_path_factory.mktemp("site"), services=("postfix", "apache"), ttl=1)
        site.publish_old()
        site.json("apply", "--wait")
        yield site


def certificate(site: Site) -> dict[str, object]:
    found: dict[str, object] = site.json("status")["certificates"][0]
    return found


def leaf(site: Site) -> str:
    issued = certificate(site)["certificate"]
    assert isinstance(issued, dict)
    return str(issued["leaf_sha256"])


def steps(site: Site, *arguments: str, status: int = 0) -> list[str]:
    return [step["step"] for step in site.json("apply", *arguments, status=status)["steps"]]


def test_a_renewal_changes_no_record(settled: Site) -> None:
    world = settled.world
    records, serial, key = world.dig(settled.owner, "TLSA", "+short"), world.serial(), certificate(settled)
    old = leaf(settled)
    taken = steps(settled, "--force-renewal", "--wait")
    assert "obtain" in taken
    assert "publish" not in taken
    assert taken.count("prove") == 2
    assert (world.dig(settled.owner, "TLSA", "+short"), world.serial()) == (records, serial)
    assert certificate(settled)["key"] == key["key"]
    assert leaf(settled) != old
    for endpoint in settled.json("status")["certificates"][0]["endpoints"]:
        for address in endpoint["addresses"]:
            assert address["presents"] == [leaf(settled)]


def test_a_request_is_answered_once(settled: Site) -> None:
    steps(settled, "--force-renewal", "--wait")
    assert "obtain" not in steps(settled, layout.DOMAIN)


def test_nothing_due_says_so_and_asks_nobody(settled: Site) -> None:
    """With every server stopped, a run with nothing due does not notice."""
    steps(settled, layout.DOMAIN)
    assert settled.danelaw("apply").status == 0
    servers = [settled.world.primary, settled.world.parents, settled.world.pebble]
    for server in servers:
        server.pause()
    try:
        done = settled.danelaw("apply", timeout=5)
        assert done.status == 0
        assert done.out.startswith("Nothing is due until ")
    finally:
        for server in servers:
            server.resume()
    # The twin: a name makes it look.
    assert not settled.danelaw("apply", layout.DOMAIN).out.startswith("Nothing is due")


def test_a_changed_config_or_file_makes_it_look(settled: Site) -> None:
    settled.danelaw("apply")
    assert settled.danelaw("apply").out.startswith("Nothing is due")
    settled.config.write_text(settled.config.read_text() + "# a remark\n")
    assert not settled.danelaw("apply").out.startswith("Nothing is due")
    assert settled.danelaw("apply").out.startswith("Nothing is due")
    combined = settled.world.postfix.combined
    combined.write_bytes(combined.read_bytes())  # somebody wrote it, if only the same
    assert not settled.danelaw("apply").out.startswith("Nothing is due")


def test_a_live_certificate_is_replaced_over_its_key_and_then_revoked(settled: Site) -> None:
    old, key = leaf(settled), certificate(settled)["key"]
    done = settled.json("revoke", layout.DOMAIN, "--reason", "superseded")
    assert (done["leaf_sha256"], done["was_live"], done["revoked"]) == (old, True, True)
    taken = [step["step"] for step in done["steps"]]
    assert taken.index("obtain") < taken.index("prove") < taken.index("revoke")
    assert leaf(settled) != old
    assert certificate(settled)["key"] == key


def test_with_yes_a_live_certificate_is_revoked_at_once_and_then_renewed(settled: Site) -> None:
    old = leaf(settled)
    done = settled.json("revoke", layout.DOMAIN, "--yes", "--reason", "superseded")
    assert (done["leaf_sha256"], done["was_live"], done["revoked"]) == (old, True, True)
    assert "obtain" in steps(settled, "--wait")
    assert leaf(settled) != old


def test_a_rollover_by_command_leaves_the_new_key_alone_in_the_records(settled: Site) -> None:
    old = certificate(settled)["key"]
    settled.configure(services=("postfix", "apache"), ttl=1, extra='settle = "0s"')
    done = settled.json("rollover", layout.DOMAIN, "--wait")
    taken = [step["step"] for step in done["steps"]]
    assert taken.index("take-next-key") < taken.index("publish") < taken.index("obtain") < taken.index("promote")
    assert [row["options"] for row in done["asked"]] == [[]]
    new = certificate(settled)["key"]
    assert isinstance(new, dict)
    assert new != old
    assert settled.world.dig(settled.owner, "TLSA", "+short").lower().split() == ["3", "1", "1", *_halves(new)]
    # The twin: there is nothing to take back any more.
    late = settled.danelaw("rollover", layout.DOMAIN, "--cancel")
    assert late.status == 1
    assert "too late to cancel" in late.err


def _halves(key: dict[str, object]) -> list[str]:
    """Return a digest as dig writes it."""
    digest = str(key["spki_sha256"])
    return [digest[:56], digest[56:]]


def test_key_compromise_of_the_key_in_use_rolls_over_and_revokes_by_that_key(settled: Site) -> None:
    old, key = leaf(settled), certificate(settled)["key"]
    done = settled.json("revoke", layout.DOMAIN, "--reason", "keyCompromise", "--wait")
    assert (done["leaf_sha256"], done["revoked"]) == (old, True)
    assert done["replayable_until"]
    assert certificate(settled)["key"] != key
    assert leaf(settled) != old


def test_a_certificate_that_is_not_live_is_revoked_by_its_file_once(settled: Site, tmp_path: Path) -> None:
    old = tmp_path / "old.pem"
    old.write_bytes(settled.world.apache.fullchain.read_bytes())
    steps(settled, "--force-renewal", "--wait")
    done = settled.json("revoke", "--cert", str(old))
    assert done["was_live"] is False
    again = settled.danelaw("revoke", "--cert", str(old))
    assert again.status == 2
    assert "was revoked" in again.err


def test_somebody_elses_certificate_is_not_revoked(settled: Site) -> None:
    done = settled.danelaw("revoke", "--cert", str(settled.world.initial_cert))
    assert done.status == 1
    assert "Traceback" not in done.err


def test_two_runs_at_once(settled: Site) -> None:
    """While one holds the lease (in the reload), the other does nothing and says who is at work."""
    slow = ["sh", "-c", f"sleep 3; exec {' '.join(settled.world.apache.reload)}"]
    settled.configure(services=("postfix", "apache"), ttl=1, reload={"apache": slow})
    try:
        first = subprocess.Popen(
            settled.argv("apply", "--force-renewal"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert first.stdout
        for line in first.stdout:
            if "test and reload" in line and str(settled.world.apache.fullchain) in line:
                break
        second = settled.danelaw("apply", layout.DOMAIN)
        assert second.status == 75
        assert str(first.pid) in second.err
        first.communicate(timeout=60)
    finally:
        settled.configure(services=("postfix", "apache"), ttl=1)
        settled.danelaw("apply", "--retry-now", "--wait")


def test_a_full_disk_is_one_sentence_and_loses_nothing(settled: Site, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", full], check=True)
    try:
        config = tmp_path / "danelaw.toml"
        config.write_text(settled.config.read_text().replace(str(settled.state_dir), f"{full}/state"))
        done = subprocess.run(
            [sys.executable, "-m", "danelaw", "--config", str(config), "apply"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1
        assert "the disk is full" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", full], check=True)
    assert settled.danelaw("status").status == 0


def test_files_that_somebody_changed_are_adopted(settled: Site, tmp_path: Path) -> None:
    """Another key, live behind danelaw's back, is on hold until a person says that it is the truth."""
    settled.configure(services=("postfix", "apache"), ttl=1, extra='settle = "0s"')
    world, key, cert = settled.world, tmp_path / "key.pem", tmp_path / "cert.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90"]
    names = ",".join(f"DNS:{name}" for name in layout.NAMES)
    subject = ["-subj", f"/CN={layout.DOMAIN}", "-addext", f"subjectAltName={names}"]
    subprocess.run([*argv, "-keyout", key, "-out", cert, *subject], check=True, capture_output=True)
    world.postfix.combined.write_bytes(key.read_bytes() + cert.read_bytes())
    too_early = settled.danelaw("adopt", layout.DOMAIN)
    assert too_early.status == 1
    assert "no service here presents a certificate over it" in too_early.err
    subprocess.run(world.postfix.reload, check=True)
    held = settled.json("apply", layout.DOMAIN, status=1)
    assert any("danelaw adopt" in hold["remedy"] for hold in held["holds"])
    assert world.postfix.combined.read_bytes() == key.read_bytes() + cert.read_bytes()
    done = settled.json("adopt", layout.DOMAIN)
    assert certificate(settled)["key"] == {**done["key"], "origin": "adopted"}
    settled.json("apply", "--retry-now", "--wait")
    assert done["key"]["spki_sha256"] in "".join(settled.world.dig(settled.owner, "TLSA", "+short").lower().split())
    assert certificate(settled)["key"] == {**done["key"], "origin": "adopted"}


def test_what_left_the_config_is_withdrawn_and_its_files_are_ordinary(settled: Site) -> None:
    world, config = settled.world, settled.config.read_text()
    before = world.apache.fullchain.read_bytes()
    assert world.apache.fullchain.is_symlink()
    kept = settled.danelaw("withdraw", layout.DOMAIN)
    assert kept.status == 1
    assert "is in the config" in kept.err
    settled.config.write_text(config[: config.index("[certificate.")])
    done = settled.json("withdraw", layout.DOMAIN, "--wait")
    assert {row["owner"] for row in done["withdrawn"]} == {settled.owner}
    assert len(done["let_go"]) == 2
    assert world.dig(settled.owner, "TLSA", "+short") == ""
    assert not world.apache.fullchain.is_symlink()
    assert world.apache.fullchain.read_bytes() == before
    assert settled.json("status")["notes"] == []
    settled.config.write_text(config)
    settled.json("apply", "--wait")  # and back again
    assert world.dig(settled.owner, "TLSA", "+short")
