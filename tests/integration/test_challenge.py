"""Own listener, `pre_challenge`, `post_challenge`: the web server never stays down; what is wrong is said first."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario import Site
from scenario.handshake import answers_http
from world import ServiceName, World, layout, wait_until

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "apache")


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1, pebble_options={"PEBBLE_AUTHZREUSE": "100"}) as world:
        yield world


@pytest.fixture
def site(shared: World, tmp_path: Path) -> Iterator[Site]:
    """A site without records and certificates of danelaw's, whose challenges danelaw answers itself."""
    shared.present(shared.initial)
    shared.publish(f"_25._tcp.mail.{layout.DOMAIN}", [])
    yield Site(shared, tmp_path, services=("postfix",), own_listener=True, ttl=1)
    if not answers_http():
        shared.apache.start()


def marked(folder: Path, *argv: str) -> list[str]:
    """Return a command that leaves a mark each time it runs, and then is another."""
    return ["sh", "-c", f'echo ran >> {folder}/marks; exec "$@"', "sh", *argv]


def marks(folder: Path) -> int:
    path = folder / "marks"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_apache_is_stopped_for_the_challenge_and_up_afterwards(site: Site) -> None:
    outcome = site.danelaw("apply", "--wait")
    assert outcome.status == 0, outcome
    assert answers_http()
    lines = outcome.out.splitlines()
    stopped = next(number for number, line in enumerate(lines) if "pid; do sleep" in line)
    started = next(number for number, line in enumerate(lines) if "apache2ctl start" in line)
    assert stopped < started
    assert len(site.chains) == 1


def test_a_ready_order_stops_nothing(site: Site, tmp_path: Path) -> None:
    """The CA reuses its authorizations: the second order needs no listener, and no stopped server."""
    site.configure(services=("postfix",), own_listener=True, ttl=1, pre=marked(tmp_path, *site.stop_apache))
    site.json("apply", "--wait")
    before = marks(tmp_path)
    site.json("apply", "--force-renewal", "--wait")
    assert marks(tmp_path) == before
    assert len(site.chains) == 2


def without_reuse(site: Site, name: str) -> None:
    """Let the next order need a validation: a name that the CA has not seen yet."""
    site.world.update(f"add {name}.{layout.DOMAIN}. 1 A {layout.WEB}")
    site.configure(services=("postfix",), own_listener=True, ttl=1, names=[*layout.NAMES, f"{name}.{layout.DOMAIN}"])


def test_a_name_that_the_ca_cannot_reach_fails_in_its_words_and_apache_is_up(site: Site) -> None:
    site.world.update(f"add nowhere.{layout.DOMAIN}. 1 A 127.99.99.99")
    site.configure(services=("postfix",), ttl=1, names=[f"nowhere.{layout.DOMAIN}"])
    text = site.config.read_text()
    pre, post = site.stop_apache, site.world.apache.start_command
    listen = f'http01 = {{ listen = ["{layout.WEB}:80"] }}\npre_challenge = {pre}\npost_challenge = {post}'
    webroot = next(line for line in text.splitlines() if line.startswith("http01"))
    site.config.write_text(text.replace(webroot, listen.replace("'", '"')))
    run = site.danelaw("apply")
    assert run.status == 1
    assert f"could not validate nowhere.{layout.DOMAIN}" in run.out
    assert answers_http()
    assert site.chains == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_up_after_the_run_was_told_to_stop(site: Site, number: int) -> None:
    """Told in the middle of the validation: Pebble is stopped there, so that the run waits for it."""
    without_reuse(site, f"stop{number}")
    process = subprocess.Popen(site.argv("apply"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if "running" in line and "pid; do sleep" in line:
            site.world.pebble.pause()
            break
    try:
        wait_until(lambda: not answers_http(), "Apache is not stopped", lambda: "".join(said))
        process.send_signal(number)
        rest, _ = process.communicate(timeout=30)
    finally:
        site.world.pebble.resume()
    assert process.returncode == 1, rest
    assert answers_http()
    assert "Traceback" not in rest
    assert site.json("apply", "--wait")["failed"] == []


def test_a_post_challenge_that_fails_is_owed_until_it_works(site: Site, tmp_path: Path) -> None:
    without_reuse(site, "owed")
    site.configure(
        services=("postfix",),
        own_listener=True,
        ttl=1,
        names=[*layout.NAMES, f"owed.{layout.DOMAIN}"],
        post=["sh", "-c", f"test -e {tmp_path}/mended && exec {' '.join(site.world.apache.start_command)}"],
    )
    failed = site.danelaw("apply")
    assert failed.status == 1
    assert "still owed" in failed.out
    assert not answers_http()
    assert site.danelaw("recover").status == 1
    (tmp_path / "mended").touch()
    assert site.danelaw("recover").status == 0
    assert answers_http()


def test_a_port_that_is_taken_is_named_with_who_has_it_and_apache_is_up(site: Site) -> None:
    without_reuse(site, "taken")
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.7", 80))
        squatter.listen()
        run = site.danelaw("apply")
    assert run.status == 1
    assert re.search(rf"0\.0\.0\.0:80 is held by \S+ \(pid {os.getpid()}\)", run.out)
    assert answers_http()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([f"missing.{layout.DOMAIN}"], f"missing.{layout.DOMAIN} has no address"),
        (["www.bogus.test"], "DNSSEC of www.bogus.test is bogus"),
    ],
)
def test_what_the_ca_would_refuse_is_said_before_it_is_asked(site: Site, names: list[str], said: str) -> None:
    before = site.orders
    site.configure(services=("postfix",), own_listener=True, ttl=1, names=[*layout.NAMES, *names])
    run = site.danelaw("apply")
    assert run.status == 1
    assert said in run.out
    assert site.orders == before
    assert answers_http()


def test_a_file_that_cannot_be_owned_as_asked_is_said_before_the_ca_is_asked(site: Site) -> None:
    before = site.orders
    site.configure(
        services=("postfix",),
        own_listener=True,
        ttl=1,
        files={
            "postfix": f'combined = {{ path = "{site.folder}/x.pem", parts = ["key", "cert"], owner = "nobody9" }}',
        },
    )
    run = site.danelaw("apply")
    assert run.status == 1
    assert "nobody9" in run.out
    assert site.orders == before
    assert not (site.folder / "x.pem").exists()
