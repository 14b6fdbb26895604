"""DNS names, addresses and ports as people write them, brought into the one form that the rest of danelaw compares.

A name is a lower-case A-label without the final dot (``xn--mnchen-3ya.de``), so that two spellings of one name never
count as two names. An address is written as `ipaddress` writes it (RFC 5952). Everything that does not fit raises
`BadName`, whose text quotes what was found and says why.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Literal

DefaultProtocol = Literal["smtp", "smtps", "imap", "imaps", "pop3", "pop3s", "https"]

MAX_NAME = 253
"""The longest name in presentation form, without the final dot (RFC 1035 section 2.3.4: 255 octets on the wire)."""

MAX_LABEL = 63
"""The longest label (RFC 1035 section 2.3.4)."""

_LDH = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_SERVICE_LABEL = re.compile(r"_[a-z0-9_-]+")
_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})  # UTS 46 section 2.3: these are dots as well

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""IPv4 addresses as IPv6-only hosts reach them (RFC 6052 section 2.1, RFC 8215)."""

NOT_PUBLIC = (
    # RFC 6890 and IANA's special-purpose registry of IPv4; multicast and what is reserved
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    # of IPv6, all that is no global unicast (2000::/3) and so was given to nobody: loopback, unique local, link-local …
    *("::/3", "4000::/2", "8000::/2", "c000::/3", "e000::/4", "f000::/5", "f800::/6"),
    *("fc00::/7", "fe00::/8", "ff00::/8"),
    # within it: protocols' own (Teredo too), documentation, 6to4
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
"""Networks that hold every address that `is_public_address` refuses, and few others, for programs that take a list."""

_PROTOCOLS: dict[int, DefaultProtocol] = {
    25: "smtp",
    587: "smtp",
    465: "smtps",
    143: "imap",
    993: "imaps",
    110: "pop3",
    995: "pop3s",
    443: "https",
}


class BadName(ValueError):
    """A name, an address or a port that is none. The text says what was found and why it does not fit."""


def a_label(name: str, *, wildcard: bool = False, underscore: bool = False) -> str:
    """Return a DNS name as lower-case A-labels without the final dot (IDNA 2008, RFC 5891 section 4; UTS 46 mapping).

    ``wildcard`` allows a first label ``*`` (RFC 4592 section 2.1.1); ``underscore`` allows labels such as ``_tcp``
    (RFC 8552), which names of zones have and names of hosts have not. Raises `BadName`.
    """
    shown = _quote(name)
    text = name.translate(_DOTS)
    if len(text) > 4 * MAX_NAME:  # no text as long as this can become a name; IDNA's work on it is not worth doing
        raise BadName(f"{shown} is longer than {MAX_NAME} characters")
    text = text.removesuffix(".")
    if not text:
        raise BadName(f"{shown} is empty")
    if is_address(text):
        raise BadName(f"{shown} is an IP address, not a DNS name; certificates for addresses are not yet supported")
    labels = [
        _label(label, shown, wildcard=wildcard and position == 0, underscore=underscore)
        for position, label in enumerate(text.split("."))
    ]
    if labels == ["*"]:
        raise BadName(f"{shown} has no name below its wildcard")
    if labels[-1].isdigit():
        raise BadName(f"{shown} ends in a number, as an address does")
    result = ".".join(labels)
    if len(result) > MAX_NAME:
        raise BadName(f"{shown} is longer than {MAX_NAME} characters as A-labels (RFC 1035 section 2.3.4)")
    return result


def fold_names(names: Iterable[str], *, wildcard: bool = False) -> tuple[str, ...]:
    """Return names as A-labels, each once, in the order in which they first stand. Raises `BadName`."""
    return tuple(dict.fromkeys(a_label(name, wildcard=wildcard) for name in names))


@lru_cache(maxsize=256)
def is_address(text: str) -> bool:
    """Return whether text is an IPv4 or IPv6 address, without brackets and without a zone (``%eth0``)."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone means something on one host only, and may hold any character


def is_public_address(text: str) -> bool:
    """Return whether text is an address that anybody on the Internet may be sent to.

    Private, loopback, link-local, shared, multicast and reserved ones are not (RFC 6890), nor is an IPv6 address that
    only wraps an IPv4 one that is not (mapped, NAT64, 6to4, Teredo: what is really reached is the address inside).
    """
    if not is_address(text):
        return False
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64):
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if any(each is not None and not is_public_address(str(each)) for each in inner):
        return False
    if address.ipv4_mapped is not None:
        return True
    return (address.is_global or any(address in network for network in _NAT64)) and not (
        address.is_multicast or address.is_site_local
    )


def canonical_address(text: str) -> str:
    """Return an address in its one canonical form (RFC 5952 section 4). Raises `BadName`."""
    if not is_address(text):
        raise BadName(f"{_quote(text)} is not an IP address")
    return ip_address(text).compressed


def parse_host_port(text: str) -> tuple[str, int]:
    """Return host and port of ``mail.example.org:25``, ``127.0.0.1:53`` or ``[::1]:25`` (RFC 3986 section 3.2).

    The host is an A-label or a canonical address without brackets, the port lies in 1 to 65535. Raises `BadName`.
    """
    host, colon, port = text.rpartition(":")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if is_address(bare) and ":" in bare:
        raise BadName(f"{_quote(text)} is an IPv6 address without a port; write [{canonical_address(bare)}]:PORT")
    if not colon:
        raise BadName(f"{_quote(text)} has no port; write HOST:PORT")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise BadName(f"{_quote(text)} has no port from 1 to 65535 behind its last colon")
    if host.startswith("[") and host.endswith("]"):
        address = canonical_address(host[1:-1])
        if ":" not in address:
            raise BadName(f"{_quote(text)} has brackets around an address that is not IPv6")
        return address, int(port)
    if ":" in host:
        raise BadName(f"{_quote(text)} has more than one colon; write an IPv6 address as [ADDRESS]:PORT")
    return (canonical_address(host) if is_address(host) else a_label(host)), int(port)


def format_host_port(host: str, port: int) -> str:
    """Return host and port as `parse_host_port` reads them, IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dialled(connect: Mapping[str, str]) -> Mapping[str, tuple[str, int]]:
    """Return ``[connect]`` with the host and port that is dialled in each place, as `mapped` takes it."""
    return {source: parse_host_port(target) for source, target in connect.items()}


def mapped(connect: Mapping[str, tuple[str, int]], host: str, address: str, port: int) -> tuple[str, int] | None:
    """Return the (address, port) that ``[connect]`` puts in the place of a host's port at an address; None: nothing."""
    return connect.get(format_host_port(host, port)) or connect.get(format_host_port(address, port))


def default_protocol(port: int) -> DefaultProtocol | None:
    """Return how TLS starts at a well-known port, None where the port does not say."""
    return _PROTOCOLS.get(port)


def covers(pattern: str, name: str) -> bool:
    """Return whether a certificate's DNS name covers a host: equal, or a wildcard as the whole first label.

    Both are A-labels (RFC 6125 section 6.4.3).
    """
    if pattern.startswith("*."):
        first, _, rest = name.partition(".")
        return bool(first) and rest == pattern[2:]
    return pattern == name


def _label(label: str, shown: str, *, wildcard: bool, underscore: bool) -> str:
    if not label:
        raise BadName(f"{shown} has an empty label")
    if label == "*" and wildcard:
        return label
    if "*" in label:
        raise BadName(f"{shown} has a wildcard that is not allowed here: it is a whole first label or none")
    if label.isascii():
        label = label.lower()
        if len(label) > MAX_LABEL:
            raise BadName(f"{shown} has a label longer than {MAX_LABEL} characters (RFC 1035 section 2.3.4)")
        if underscore and _SERVICE_LABEL.fullmatch(label):
            return label
        if not _LDH.fullmatch(label):
            raise BadName(f"{shown} has the label {_quote(label)}, which is not letters, digits and inner hyphens")
        if label[2:4] != "--":  # RFC 5890 section 2.3.1: the others are A-labels, or reserved
            return label
    return _idna(label, shown)


def _idna(label: str, shown: str) -> str:
    import idna  # noqa: PLC0415 - its tables take 20 ms, and nearly every name is ASCII

    try:
        return idna.encode(label, uts46=True, std3_rules=True).decode("ascii").lower()
    except UnicodeError as error:  # IDNAError is one; so are failures of its encoding steps
        raise BadName(f"{shown} is not a valid internationalized name: {str(error)[:120]}") from None


def _quote(text: str) -> str:
    """Return text in quotes, short and without control characters."""
    shown = text if len(text) <= 80 else text[:77] + "…"
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown) + '"'
