"""Who lives where. Every server has addresses of its own on 127.0.0.0/8 and its usual port, some IPv6 addresses too."""

from pathlib import Path

ROOT_NS = "127.53.0.1"
"""The name server of the root."""
TEST_NS = "127.53.0.2"
"""The name server of ``test.``."""
NS1 = "127.53.1.1"
"""The primary of ``example.test.`` and its like: BIND."""
NS2 = "127.53.1.2"
"""Their secondary: Knot."""
RESOLVER = "127.53.2.1"
"""The validating resolver of everybody in the world: Unbound, in ``/etc/resolv.conf``."""
CA_RESOLVER = "127.53.2.2"
"""The CA's own resolver: it caches nothing, since a name that was missing a second ago would stay missing."""
CA = "127.14.0.1"
CA_PORT = 14000
CA_MANAGEMENT_PORT = 15000
MAIL = ("127.25.0.1", "127.25.0.2")
"""``mail`` of every zone: Postfix and Dovecot."""
COURIER = "127.25.0.3"
"""Postfix, with Courier in Dovecot's place: the site of the tutorial."""
WEB = "127.80.0.1"
"""``www``, ``blog`` and the apex of every zone: Apache."""

NGINX = "127.80.0.2"
"""``nginx`` of every zone."""
OTHER_MAIL = "127.25.1.1"
"""Another machine with a Postfix (`World.other_mail_host`)."""

MAIL6 = ("fd00:25::1", "fd00:25::2")
WEB6 = "fd00:80::1"
SERVERS6 = {"ns1": "fd00:53::1", "ns2": "fd00:53::2"}
"""Addresses that Postfix and Dovecot, Apache, BIND and Knot listen at too, where the kernel has IPv6. They stand in
the zones that ask for them."""


def usable(*addresses: str) -> tuple[str, ...]:
    """Return those addresses whose family the kernel has."""
    return tuple(address for address in addresses if ":" not in address or Path("/proc/sys/net/ipv6").is_dir())


ADDRESSES = usable(
    *(ROOT_NS, TEST_NS, NS1, NS2, RESOLVER, CA_RESOLVER, CA, *MAIL, COURIER, WEB, NGINX, OTHER_MAIL),
    *(*MAIL6, WEB6, *SERVERS6.values()),
)

DOMAIN = "example.test"
SHOP = f"shop.{DOMAIN}"
"""The second site of scenario's Apache; not in the certificate at first."""
MIRROR = "mirror"
"""A signed top-level domain whose ``mail`` is that of `DOMAIN`, for tools that cannot see ``test.`` (danetool)."""
NAMES = (DOMAIN, f"mail.{DOMAIN}", f"www.{DOMAIN}", f"blog.{DOMAIN}")
"""The names of the certificate in use when the world begins."""
