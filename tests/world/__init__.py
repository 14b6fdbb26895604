"""Real servers for tests, the demo and people: a small Internet of its own. docs/world.md explains it."""

from world.pki import Authority, Identity, make_private_key
from world.server import wait_until
from world.tools import WorldError
from world.tsig import TsigKey
from world.world import ALL, EVERY, ServiceName, World
from world.zones import Zone

__all__ = [
    "ALL",
    "EVERY",
    "Authority",
    "Identity",
    "ServiceName",
    "TsigKey",
    "World",
    "WorldError",
    "Zone",
    "make_private_key",
    "wait_until",
]
