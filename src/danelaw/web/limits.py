"""Who asks, and how often who may: token buckets by client, whatever number of clients there are."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

MOST_HOPS = 16
"""Addresses of one ``X-Forwarded-For`` that are looked at."""


class Networks:
    """A few networks, and whether an address is in one. What is no address is in none."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: Sequence[Network] = [ip_network(each) for each in networks]

    def __contains__(self, address: object) -> bool:
        try:
            found = ip_address(str(address))
        except ValueError:
            return False
        return any(found in network for network in self._networks)


LOOPBACK = Networks(["127.0.0.0/8", "::1", "::ffff:127.0.0.0/104"])


def client_address(peer: str, forwarded: Sequence[str], proxies: Networks) -> str:
    """Return the address of who asks: the peer's, or what a trusted proxy says of it.

    ``forwarded`` are the values of ``X-Forwarded-For``. Each proxy appends whom it heard, so that they are read from
    the end, and the first address that is no trusted proxy's counts; what stands before it anybody may have written.
    """
    hops = [hop.strip() for value in forwarded for hop in value.split(",")][-MOST_HOPS:]
    client = peer
    while client in proxies and hops:
        try:
            client = str(ip_address(hops.pop()))
        except ValueError:
            break
    return client


def client_key(address: str) -> str:
    """Return what a client is counted by: an IPv4 address, or the /64 that one IPv6 host has to itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)


@dataclass(slots=True)
class Buckets:
    """Token buckets: each client may ask ``burst`` times at once, and ``per_minute`` times in the long run.

    At most ``most`` clients are remembered; of more, those that asked longest ago are forgotten.
    """

    per_minute: float
    burst: int
    most: int = 10_000
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, client: str, now: float) -> float:
        """Take a token at an instant (seconds of any clock); return 0.0, or how many seconds there will be none."""
        left, at = self._left.pop(client, (float(self.burst), now))
        left = min(float(self.burst), left + (now - at) * self.per_minute / 60)
        wait = 0.0 if left >= 1 else (1 - left) * 60 / self.per_minute
        self._left[client] = (left - 1 if not wait else left, now)
        while len(self._left) > self.most:
            self._left.popitem(last=False)
        return wait
