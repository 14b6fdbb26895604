"""Who asks, and how often who may."""

import pytest

from danelaw.web.examining import may_reach
from danelaw.web.limits import LOOPBACK, Buckets, Networks, client_address, client_key


def test_a_bucket_has_a_burst_and_fills_again() -> None:
    buckets = Buckets(per_minute=6, burst=2)
    assert [buckets.take("a", 0.0) for _ in range(2)] == [0.0, 0.0]
    assert buckets.take("a", 0.0) == pytest.approx(10.0)
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 9.0) == pytest.approx(1.0)
    assert buckets.take("a", 10.0) == 0.0
    assert buckets.take("a", 10.0) == pytest.approx(10.0)
    assert [buckets.take("a", 1000.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(10.0)]


def test_only_so_many_clients_are_remembered() -> None:
    buckets = Buckets(per_minute=1, burst=1, most=3)
    for client in "abcd":
        assert buckets.take(client, 0.0) == 0.0
    assert buckets.take("a", 0.0) == 0.0  # forgotten
    assert buckets.take("d", 0.0) > 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["192.0.2.1"], "198.51.100.7"),  # anybody may write that
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["203.0.113.9, 192.0.2.1"], "192.0.2.1"),  # the proxy's own word is the last
        ("127.0.0.1", ["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1, 127.0.0.1"], "192.0.2.1"),  # two proxies in a row
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, <script>"], "127.0.0.1"),
        ("127.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [", ".join(["127.0.0.1"] * 100)], "127.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, Networks(["127.0.0.1/32"])) == client


def test_without_trusted_proxies_the_peer_asks() -> None:
    assert client_address("127.0.0.1", ["192.0.2.1"], Networks([])) == "127.0.0.1"


def test_an_ipv6_host_is_its_64() -> None:
    assert client_key("2001:db8:1:2:3:4:5:6") == client_key("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert client_key("2001:db8:1:3::1") != client_key("2001:db8:1:2::1")
    assert client_key("::ffff:192.0.2.1") == client_key("192.0.2.1") == "192.0.2.1"
    assert client_key("x" * 100) == "x" * 64


def test_networks_hold_addresses_and_nothing_else() -> None:
    for inside in ("127.0.0.1", "127.255.1.1", "::1", "::ffff:127.0.0.1"):
        assert inside in LOOPBACK
    for outside in ("192.0.2.1", "::2", "localhost", "", "127.0.0.1:80"):
        assert outside not in LOOPBACK


def test_a_strangers_domain_leads_to_public_addresses_unless_more_is_allowed() -> None:
    plain, more = may_reach(Networks([])), may_reach(Networks(["127.25.0.0/16", "fd00::/8"]))
    for address in ("8.8.8.8", "2606:4700::1"):
        assert plain(address)
        assert more(address)
    for address in ("127.25.0.1", "fd00::25"):
        assert not plain(address)
        assert more(address)
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:10.0.0.1", "nonsense"):
        assert not plain(address)
        assert not more(address)
