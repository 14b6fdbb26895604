"""The addresses of this host."""

import ipaddress
from pathlib import Path

from danelaw.deploy import LocalHost
from danelaw.deploy.addresses import interface_addresses
from local_state import StandingClock


def kernel_ipv6() -> set[str]:
    """Return what the kernel says by another way: /proc/net/if_inet6."""
    lines = Path("/proc/net/if_inet6").read_text().splitlines()
    return {str(ipaddress.ip_address(bytes.fromhex(line.split()[0]))) for line in lines}


def kernel_ipv4() -> set[str]:
    """Return the local host addresses of the routing tables: /proc/net/fib_trie."""
    found, address = set(), ""
    for line in Path("/proc/net/fib_trie").read_text().splitlines():
        words = line.split()
        if words[0] == "|--":
            address = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.add(address)
    return found


def test_the_interfaces_addresses_are_those_that_the_kernel_tells() -> None:
    found = interface_addresses()
    assert "127.0.0.1" in found
    assert {address for address in found if ":" in address} == kernel_ipv6()
    assert {address for address in found if ":" not in address} == kernel_ipv4()


def test_mapped_addresses_count_as_ours(tmp_path: Path) -> None:
    host = LocalHost(str(tmp_path), "h", StandingClock(), ["203.0.113.7", "2001:DB8:0::25"])
    assert host.addresses() == interface_addresses() | {"203.0.113.7", "2001:db8::25"}
    assert "203.0.113.7" not in LocalHost(str(tmp_path), "h", StandingClock()).addresses()
