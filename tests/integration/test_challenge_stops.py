"""A run that is told to stop, or that nobody listens to, while the web server is stopped: it is up again afterwards."""

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from scenario import Site
from scenario.handshake import answers_http
from world import ServiceName, World, layout, wait_until

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "apache")


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """A world whose CA goes on believing what an account has proven once."""
    with World(NEEDED, key_type="p256", ttl=1, pebble_options={"PEBBLE_AUTHZREUSE": "100"}) as world:
        world.publish(f"_25._tcp.mail.{layout.DOMAIN}.", [])
        yield world


class Bench(Site):
    """A site whose challenge commands say that they ran, and take their time where they are told to."""

    def __init__(self, world: World, folder: Path) -> None:
        self.said = folder / "said"
        self.said.touch()
        self.gate = folder / "gate"
        self.slow = folder / "slow"
        super().__init__(world, folder)
        say, start = f"echo {{}} >> {self.said}", shlex.join(self.world.apache.start_command)
        pre = f"{self.stop_apache[-1]}; {say.format('pre')}; while test -e {self.gate}; do sleep 0.02; done"
        post = f"{say.format('post')}; test -e {self.slow} && sleep 1; {start}"
        self.configure(
            services=("apache",),
            ports=(),
            own_listener=True,
            pre=["sh", "-c", pre],
            post=["sh", "-c", post],
        )

    @property
    def ran(self) -> list[str]:
        return self.said.read_text().split()

    def until_said(self, word: str) -> None:
        wait_until(lambda: word in self.ran, f"{word} was not said")


@pytest.fixture
def bench(shared: World, tmp_path: Path) -> Iterator[Bench]:
    shared.apache.present(shared.initial)
    yield Bench(shared, tmp_path)
    shared.pebble.resume()
    if not answers_http():
        shared.apache.start()


def listening() -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex((layout.WEB, 80)) == 0


def test_an_order_that_is_ready_at_once_stops_nothing(bench: Bench) -> None:
    """Not even a listener is opened: somebody holds its port all the while."""
    bench.json("apply", "--wait")
    before = bench.orders
    with closing(socket.create_server(("127.66.0.1", 80))):
        outcome = bench.json("apply", "--force-renewal", "--wait")
    assert outcome["failed"] == []
    assert bench.orders == before + 1
    assert bench.ran == ["pre", "post"]


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGHUP, signal.SIGTERM, signal.SIGINT]])
def test_up_after_being_told_to_stop(bench: Bench, signals: list[signal.Signals]) -> None:
    before = bench.orders
    bench.gate.touch()
    running = bench.start("apply", "--wait")
    bench.until_said("pre")
    bench.world.pebble.pause()  # the CA is still thinking when the signal comes
    bench.gate.unlink()
    wait_until(listening, "danelaw does not listen")
    asked = time.monotonic()
    for number in signals:
        running.send_signal(number)
    out, _ = running.communicate(timeout=20)
    assert time.monotonic() - asked < 5
    assert running.returncode == 1
    ends = [f"danelaw: told to stop by {number.name}; the next run carries on" for number in signals]
    assert out.splitlines()[-1] in ends
    assert "Traceback" not in out
    assert bench.ran == ["pre", "post"]
    assert answers_http()
    bench.world.pebble.resume()
    assert bench.json("apply", "--wait")["failed"] == []
    assert bench.orders == before + 1


def test_up_after_being_told_to_stop_while_it_stops(bench: Bench) -> None:
    """The command is left to its end: what it has half done would be worse."""
    bench.gate.touch()
    running = bench.start("apply", "--wait")
    bench.until_said("pre")
    running.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        running.communicate(timeout=0.5)
    bench.gate.unlink()
    out, _ = running.communicate(timeout=20)
    assert running.returncode == 1, out
    assert bench.ran == ["pre", "post"]
    assert answers_http()


def test_up_after_being_told_to_stop_while_it_starts(bench: Bench) -> None:
    bench.slow.touch()
    running = bench.start("apply", "--wait")
    bench.until_said("post")
    running.send_signal(signal.SIGTERM)
    out, _ = running.communicate(timeout=20)
    assert running.returncode == 1, out
    assert bench.ran == ["pre", "post", "post"]
    assert answers_http()


def test_up_though_nobody_reads_what_is_said(bench: Bench) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        subprocess.run(bench.argv("apply", "--wait"), stdout=gone, stderr=subprocess.DEVNULL, check=False, timeout=60)
    assert bench.ran == ["pre", "post"]
    assert answers_http()
    assert len(bench.chains) == 1


def test_a_port_that_somebody_holds_is_named_with_the_holder(bench: Bench) -> None:
    before = bench.orders
    with closing(socket.create_server(("127.66.0.1", 80))):
        run = bench.danelaw("apply", "--wait")
    assert run.status == 1
    failed = next(line for line in run.out.splitlines() if line.startswith("FAILED"))
    assert f"0.0.0.0:80 is held by {Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})" in failed
    assert failed.count("pre_challenge") == 1
    assert answers_http()
    assert bench.json("apply", "--wait", "--retry-now")["failed"] == []
    assert bench.orders == before + 1  # the order was left open, and is carried on
