"""`danelaw serve` as a process in the test world: real servers, addresses that it keeps away from, and its end."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import expect

from fakes.browsing import chromium, fits, looking
from scenario.mailhost import MailHost
from world import World, layout

pytestmark = pytest.mark.world

OWN = "127.25.1.9"
"""A mail host's address where only a trap of ours listens."""


@dataclass
class Service:
    """A service that runs: its process, and where it listens."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            if form is None:
                connection.request("GET", path)
            else:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("POST", path, urlencode(form), kind)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def check(self, target: str) -> dict[str, Any]:
        status, text, _ = self.ask(f"/api/v1/check?target={quote(target)}")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def stop(self) -> tuple[int, str]:
        """Tell it to stop; return its exit status and what it still said."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


@contextmanager
def serving(config: Path, *options: str) -> Iterator[Service]:
    """Run the service inside the context, over a config, at a free port."""
    command = [sys.executable, "-m", "danelaw", "--config", str(config), "serve", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"danelaw: listening at http://127\.0\.0\.1:(\d+)/\n", line)
        try:
            assert found, line + process.stderr.read()
            yield Service(process, int(found[1]))
        finally:
            process.kill()


def config(world: World, folder: Path, allow: Sequence[str], resolver: str = "") -> Path:
    """Write a config; ``resolver`` is one to ask through, which may be anywhere."""
    path = folder / "danelaw.toml"
    asked = f'address = "{resolver}"' if resolver else f'root_hints = "{world.root_hints}"'
    path.write_text(f"""
[resolver]
trust_anchor = "{world.root_ds}"
{asked}
[serve]
allow = {json.dumps(list(allow))}
""")
    return path


@contextmanager
def trap(address: str) -> Iterator[list[str]]:
    """Listen at port 25 of an address inside the context, and count who comes."""
    came: list[str] = []
    with socket.create_server((address, 25)) as listener:

        def accept() -> None:
            while True:
                try:
                    peer, (host, _) = listener.accept()
                except OSError:
                    return
                came.append(host)
                peer.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield came
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


@pytest.fixture(scope="module")
def service(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may connect to the world's addresses."""
    with serving(config(world, tmp_path_factory.mktemp("serve"), ["127.0.0.0/8"])) as running:
        yield running


def test_a_domain_of_real_servers_is_checked_in_a_browser_and_by_the_api(world: World, service: Service) -> None:
    name = world.zone("web-good.test").name
    world.publish(f"_25._tcp.mail.{name}", [world.initial.tlsa(1)])
    headline = f"Mail to {name} is protected by DANE."
    with chromium() as browser, looking(browser, viewport={"width": 390, "height": 800}) as page:
        page.goto(service.url)
        page.get_by_label("Domain, or host:port").fill(name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(headline, timeout=30_000)
        assert fits(page)
        picture = page.get_by_role("img", name=headline)
        assert f"mail.{name}:25: delivers with DANE" in (picture.locator("desc").text_content() or "")
        for address in layout.MAIL:
            assert page.locator("svg.narrow text", has_text=address).count() == 1
        link = page.url.removeprefix(service.url)
    found = service.check(name)
    assert found["status"] == 0
    assert json.loads(service.ask(f"{link}.json")[1]) == found  # asked for within the minute: the same check
    status, metrics, _ = service.ask("/metrics")
    assert status == 200
    assert 'danelaw_serve_checks_total{status="0"} 1\n' in metrics


def test_a_mismatch_is_an_error_for_every_sender(world: World, service: Service) -> None:
    name = world.zone("web-stale.test").name
    world.publish(f"_25._tcp.mail.{name}", [f"3 1 1 {'ab' * 32}"])
    found = service.check(name)
    assert found["status"] == 1
    assert all(each["outcome"] == "deferred" for each in found["senders"].values())
    assert any(each["severity"] == "error" for each in found["findings"])


def test_without_a_word_in_the_config_nothing_here_is_connected_to(world: World, tmp_path: Path) -> None:
    name = world.zone("web-private.test", mail=[OWN]).name
    with trap(OWN) as came, serving(config(world, tmp_path, [], layout.RESOLVER)) as service:
        for target in (name, f"mail.{name}:25", f"{OWN}:25", "[::ffff:127.25.1.9]:25"):
            found = service.check(target)
            assert found["status"] == 4, target
            attempts = [each for endpoint in found["endpoints"] for each in endpoint["attempts"]]
            assert attempts, target
            assert {each["failure"] for each in attempts} == {"forbidden"}
            assert "own-forbidden" in {each["code"] for each in found["findings"]}
        assert came == []


def test_the_twin_what_is_allowed_is_connected_to(world: World, service: Service) -> None:
    name = world.zone("web-allowed.test", mail=[OWN]).name
    with trap(OWN) as came:
        found = service.check(name)
        attempts = [each for endpoint in found["endpoints"] for each in endpoint["attempts"]]
        assert "forbidden" not in {each["failure"] for each in attempts}
    assert came


def test_it_stops_while_a_check_runs_and_is_watched(world: World, tmp_path: Path) -> None:
    name = world.zone("web-slow.test", mail=[OWN]).name
    with socket.create_server((OWN, 25)) as silent, serving(config(world, tmp_path, ["127.0.0.0/8"])) as service:
        status, _, headers = service.ask("/check", {"target": name})
        assert status == 303
        connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request("GET", f"{headers['location']}/events")
        stream = connection.getresponse()
        peer, _ = silent.accept()  # the check is under way, and hears nothing
        asking = HTTPConnection("127.0.0.1", service.port, timeout=60)
        asking.request("GET", f"/api/v1/check?target={name}")
        assert service.ask("/healthz")[0] == 200  # asked later, answered: the one before has been read
        assert service.stop() == (0, "danelaw: stopped\n")
        answer = asking.getresponse()
        assert (answer.status, answer.getheader("retry-after")) == (503, "10")
        assert json.loads(answer.read()) == {"error": "the service was stopped"}
        asking.close()
        assert stream.read().endswith(b"event: done\ndata: failed\n\n")
        connection.close()
        peer.close()


def test_what_is_managed_is_read_from_the_store(world: World, tmp_path: Path) -> None:
    site = MailHost(world, world.zone("web-managed.test").name, tmp_path)
    with serving(site.config, "--managed") as service:
        status, text, _ = service.ask("/api/v1/managed")
        assert status == 200
        assert [each["name"] for each in json.loads(text)["certificates"]] == [site.zone]
        status, text, _ = service.ask("/managed")
        assert status == 200
        assert site.host in text
        assert text.count("<h3>Over time</h3>") == 1
        assert service.ask("/")[1].count('href="/managed"') == 1
    assert not site.state_dir.exists()  # it makes nothing


def test_a_plan_is_written_as_a_page_with_its_picture(world: World, tmp_path: Path) -> None:
    site = MailHost(world, world.zone("web-plan.test").name, tmp_path)
    page = tmp_path / "plan.html"
    done = site.danelaw("plan", "--html", str(page))
    assert done.status == 0, done.err
    assert done.err.endswith(f"danelaw: the page is {page}\n")
    assert not site.state_dir.exists()
    with chromium() as browser, looking(browser, viewport={"width": 1280, "height": 900}) as opened:
        opened.goto(page.as_uri())
        assert fits(opened)
        image = opened.get_by_role("img", name=f"{site.zone}: records, caches, keys and certificates over time")
        assert image.count() == 1
        for line in done.out.splitlines():  # the page leaves nothing out
            does = line[22:].partition(": ")[0]
            if line.startswith("now ") and not does.startswith("HOLD"):
                assert does in opened.locator("ol.steps").inner_text()
