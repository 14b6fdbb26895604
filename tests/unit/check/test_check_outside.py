"""The real outside on loopback: how many handshakes at once, where they go, and that it can be entered again."""

import asyncio
import socket
import threading

import pytest

from danelaw.check.outside import Outside
from danelaw.errors import InputError
from danelaw.model import Handshake, ResolverSpec, Shaken
from fakes.peers import LIMIT, Peer
from fakes.running_clock import RunningClock

CLOCK = RunningClock()


class Counting:
    """A server that answers nobody before ``wanted`` clients are there, and counts those that are."""

    def __init__(self, wanted: int) -> None:
        self._barrier = threading.Barrier(wanted)
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.served = 0

    def talk(self, stream: socket.socket, number: int) -> None:
        del number
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._barrier.wait(LIMIT)
        with self._lock:
            self._now -= 1
            self.served += 1
        stream.sendall(b"554 not today\r\n")


async def shake(outside: Outside, *handshakes: Handshake) -> list[Shaken]:
    async with outside as entered:
        found = await asyncio.gather(*(entered.answer(each) for each in handshakes))
    assert all(isinstance(each, Shaken) for each in found)
    return [each for each in found if isinstance(each, Shaken)]


def test_a_server_is_asked_by_few_at_once_whatever_its_names() -> None:
    server = Counting(wanted=4)
    with Peer(server.talk) as peer:
        handshakes = [Handshake(f"mx{n}.example.org", "192.0.2.25", 25, "smtp") for n in range(12)]
        found = asyncio.run(shake(Outside(CLOCK, connect={"192.0.2.25:25": peer.address}), *handshakes))
    assert {each.failure for each in found} == {"rejected"}
    assert [each.handshake for each in found] == handshakes
    assert (server.most, server.served) == (4, 12)


def test_all_servers_together_are_bounded_too() -> None:
    server = Counting(wanted=3)
    with Peer(server.talk) as one, Peer(server.talk) as two:
        connect = {"192.0.2.1:25": one.address, "192.0.2.2:25": two.address}
        handshakes = [Handshake(f"mx{n}.example.org", f"192.0.2.{n % 2 + 1}", 25, "smtp") for n in range(12)]
        asyncio.run(shake(Outside(CLOCK, connect=connect, at_once=3), *handshakes))
    assert (server.most, server.served) == (3, 12)


def test_the_map_goes_by_host_and_port_before_address_and_port() -> None:
    with Peer(lambda stream, _: stream.sendall(b"554 named\r\n")) as named:
        connect = {"mx.example.org:25": named.address, "192.0.2.25:25": ("127.0.0.1", 1)}
        (found,) = asyncio.run(
            shake(Outside(CLOCK, connect=connect), Handshake("mx.example.org", "192.0.2.25", 25, "smtp"))
        )
    assert (found.failure, found.banner) == ("rejected", "554 named")
    assert found.through == f"127.0.0.1:{named.address[1]}"


def test_what_is_asked_whether_it_may_be_reached_is_what_would_be_dialled() -> None:
    asked: list[str] = []
    dialled: list[int] = []

    def may_reach(address: str) -> bool:
        asked.append(address)
        return False

    def talk(stream: socket.socket, number: int) -> None:
        dialled.append(number)
        stream.sendall(b"554 not today\r\n")

    handshakes = [Handshake("a.example", address, 25, "smtp") for address in ("192.0.2.25", "192.0.2.1")]
    with Peer(talk) as peer:
        connect = {"192.0.2.25:25": peer.address}
        found = asyncio.run(shake(Outside(CLOCK, connect=connect, may_reach=may_reach), *handshakes))
        assert [each.failure for each in found] == ["forbidden", "forbidden"]
        assert dialled == []
        asyncio.run(shake(Outside(CLOCK, connect=connect, may_reach=lambda _: True), handshakes[0]))
        assert dialled != []
    assert set(asked) >= {"127.0.0.1", "192.0.2.1"}
    assert "192.0.2.25" not in asked


def test_it_may_be_entered_again() -> None:
    outside = Outside(CLOCK, connect={"192.0.2.25:25": ("127.0.0.1", 1)})
    handshake = Handshake("a.example", "192.0.2.25", 25, "smtp")
    for _ in range(2):
        (found,) = asyncio.run(shake(outside, handshake))
        assert found.failure == "refused"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (ResolverSpec(trust_anchor="/no/such/root.ds"), "/no/such/root.ds"),
        (ResolverSpec(root_hints="/no/such/root.hints"), "/no/such/root.hints"),
        (ResolverSpec(address="no address"), "no address"),
    ],
)
def test_what_the_user_gave_and_cannot_be_used_is_an_error_at_once(spec: ResolverSpec, says: str) -> None:
    with pytest.raises(InputError, match=says):
        asyncio.run(shake(Outside(CLOCK, spec)))


def test_an_authoritative_server_that_is_no_address_is_an_error_at_once() -> None:
    with pytest.raises(InputError, match="no server address"):
        Outside(CLOCK, authoritative={"example.org": ["ns1.example.org"]})
