"""Animals with one host at one address, which most of them have, and what several of them are made of."""

from collections.abc import Mapping
from typing import Literal

from danelaw.model import Outcome, Sender
from zoo.animal import Animal, Host, Pin, Server, everybody

AUTHENTICATED = everybody("authenticated")
DEFERRED = everybody("deferred")
UNKNOWN = everybody("unknown")
OPPORTUNISTIC = everybody("opportunistic")

PROPER = Server()
BOTH = Server((("leaf", "intermediate", "root"), ("rsa", "intermediate", "root")))
"""Presents an RSA and an ECDSA certificate."""

EE = Pin(3, 1, 1)
TA = Pin(2, 1, 1)
STALE = Pin(3, 1, 1, "second")
"""A record of the key that was there before."""


def good(name: str, says: str, *pins: Pin, server: Server = PROPER, codes: str = "") -> Animal:
    """Return an animal with one host at one address that everybody delivers to."""
    return Animal(name, says, AUTHENTICATED, 0, (Host(pins=pins, servers=(server,)),), codes=codes)


def bad(
    name: str,
    says: str,
    *pins: Pin,
    server: Server = PROPER,
    expected: Mapping[Sender, Outcome] = DEFERRED,
    status: Literal[1, 3, 4] = 1,
    lines: tuple[str, ...] = (),
    codes: str = "mismatch mail-stops",
) -> Animal:
    """Return an animal with one host at one address that nobody delivers to, unless ``expected`` says otherwise."""
    return Animal(name, says, expected, status, (Host(pins=pins, servers=(server,)),), lines=lines, codes=codes)
