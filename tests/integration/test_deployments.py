"""Deployments that go wrong: only what failed goes back, the others keep the new chain, and it is tried again."""

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from scenario import Site
from scenario.endstate import leaf_der
from scenario.handshake import presented
from world import ServiceName, World, layout

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "apache")
POSTFIX, APACHE = (layout.MAIL[0], 25), (layout.WEB, 443)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1, pebble_options={"PEBBLE_AUTHZREUSE": "100"}) as world:
        yield world


@pytest.fixture
def site(shared: World, tmp_path: Path) -> Site:
    """A site whose services present the old certificate, and whose `3 1 1` stands, so that nothing has to wait."""
    shared.present(shared.initial)
    shared.publish(f"_25._tcp.mail.{layout.DOMAIN}", [shared.initial.tlsa(1)])
    return Site(shared, tmp_path, services=("postfix", "apache"), ttl=1)


def old(site: Site) -> bytes:
    der: bytes = site.world.initial.leaf.public_bytes(Encoding.DER)
    return der


def new(site: Site) -> bytes:
    """Return the leaf that Apache, which nothing is wrong with, presents."""
    der = presented(*APACHE)
    assert x509.load_der_x509_certificate(der).issuer != site.world.initial.leaf.issuer
    return der


WRONG: dict[str, dict[str, Any]] = {
    "the reload fails": {"reload": {"postfix": ["false"]}},
    "the config test fails": {"test": {"postfix": ["sh", "-c", "echo main.cf is broken; exit 3"]}},
    "the command is missing": {"reload": {"postfix": ["/nowhere/reload"]}},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_only_what_failed_goes_back_and_is_tried_again(site: Site, wrong: str) -> None:
    before = site.world.postfix.combined.read_bytes()
    site.configure(services=("postfix", "apache"), ttl=1, **WRONG[wrong])
    outcome = site.json("apply", "--wait", status=1)
    assert outcome["failed"]
    assert site.world.postfix.combined.read_bytes() == before
    assert presented(*APACHE) == leaf_der(site.world.apache.fullchain) == new(site)
    (wait,) = [wait for wait in outcome["waits"] if wait["wait"] == "backoff" and "postfix" in wait["subject"]][:1]
    assert 0 < (datetime.fromisoformat(wait["until"]) - now()).total_seconds() <= 60
    orders = site.orders
    # The timer's next run waits; mended, a person's retry succeeds, and no certificate is ordered for it.
    site.configure(services=("postfix", "apache"), ttl=1)
    assert "activate" not in [step["step"] for step in site.json("apply", status=1)["steps"]]
    assert site.json("apply", "--retry-now", "--wait")["failed"] == []
    assert presented(*POSTFIX) == new(site)
    assert site.orders == orders


def now() -> datetime:
    """Return now, by the machine's own `date`."""
    return datetime.fromisoformat(
        subprocess.run(["date", "-uIs"], capture_output=True, check=True, text=True).stdout.strip()
    )


def test_a_reload_is_not_believed(site: Site) -> None:
    """The outage: it says that all is well, and the daemon goes on presenting the old certificate."""
    pair = site.world.apache
    before = (pair.fullchain.read_bytes(), pair.key.read_bytes())
    site.configure(services=("postfix", "apache"), ttl=1, reload={"apache": ["true"]})
    outcome = site.json("apply", "--wait", status=1)
    assert any("presented another certificate" in failure for failure in outcome["failed"])
    assert presented(*APACHE) == old(site)
    assert (pair.fullchain.read_bytes(), pair.key.read_bytes()) == before
    assert presented(*POSTFIX) != old(site)


def test_a_service_that_comes_back_slowly_is_waited_for(site: Site) -> None:
    slow = ["sh", "-c", f"(sleep 3; {' '.join(site.world.apache.reload)}) >/dev/null 2>&1 &"]
    site.configure(services=("postfix", "apache"), ttl=1, reload={"apache": slow})
    assert site.json("apply", "--wait")["failed"] == []
    assert presented(*APACHE) != old(site)


def test_a_service_that_is_down_keeps_the_others_from_nothing(site: Site) -> None:
    site.world.apache.stop()
    try:
        site.configure(
            services=("postfix", "apache"),
            ttl=1,
            http01='{ listen = ["0.0.0.0:80"] }',
            reload={"apache": ["true"]},  # its own would start it
        )
        outcome = site.json("apply", "--wait", status=1)
        assert presented(*POSTFIX) != old(site)
        said = [*outcome["failed"], *(hold["why"] for hold in outcome["holds"])]
        assert any("443" in text for text in said)
    finally:
        site.world.apache.start()


def test_files_are_owned_as_asked_and_written_only_when_they_change(site: Site) -> None:
    path = site.folder / "own.pem"
    parts = 'parts = ["key", "cert", "chain"]'
    files = {"postfix": f'combined = {{ path = "{path}", {parts}, mode = "0640", owner = "nobody", group = "daemon" }}'}
    link = ["sh", "-c", f"cp {path} {site.world.postfix.combined} && {' '.join(site.world.postfix.reload)}"]
    site.configure(services=("postfix", "apache"), ttl=1, files=files, reload={"postfix": link})
    assert site.json("apply", "--wait")["failed"] == []
    shown = subprocess.run(["stat", "-c", "%a %U %G", path], capture_output=True, check=True, text=True).stdout
    assert shown.split() == ["640", "nobody", "daemon"]
    before = path.stat()
    site.json("apply", layout.DOMAIN)
    assert path.stat() == before
    # A change of mode alone is followed, without an order.
    orders = site.orders
    site.configure(
        services=("postfix", "apache"),
        ttl=1,
        files={"postfix": files["postfix"].replace("0640", "0600")},
        reload={"postfix": link},
    )
    assert site.json("apply", "--wait")["failed"] == []
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert site.orders == orders


def test_the_key_is_nowhere_but_in_its_files(site: Site) -> None:
    """Not in what is said, not in the store, and in no file that others can read."""
    runs = [site.danelaw("-v", "plan"), site.danelaw("-v", "apply", "--wait"), site.danelaw("--json", "status")]
    body = b"".join(site.world.initial_key.read_bytes().split(b"-----")[2].split())
    needle = body[40:80].decode()
    secret = re.search(r'secret "(.{20})', site.world.keys["hmac-sha256"].clause.read_text())
    assert secret
    for run in runs:
        assert needle not in run.out + run.err
        assert secret[1] not in run.out + run.err
    for path in site.state_dir.rglob("*"):
        if not path.is_file():
            continue
        text = b"".join(path.read_bytes().split())
        if needle.encode() in text:
            assert path.suffix in {".pem", ".key"}
            assert path.stat().st_mode & 0o077 == 0, path
        assert secret[1].encode() not in text


def test_somebody_else_who_writes_the_files_is_named_and_not_fought(site: Site) -> None:
    site.json("apply", "--wait")
    site.world.postfix.install(site.world.initial)
    outcome = site.json("apply", layout.DOMAIN, status=1)
    assert [hold["hold"] for hold in outcome["holds"]] == ["overwritten"]
    assert leaf_der(site.world.postfix.combined) == old(site)
    site.json("apply", "--retry-now", "--wait")
    assert leaf_der(site.world.postfix.combined) == new(site)
