"""The administrator's server of docs/tutorial.md as it stands before danelaw comes."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from world import World, layout
from world.world import ServiceName

SERVICES: frozenset[ServiceName] = frozenset({"bind", "knot", "unbound", "pebble", "postfix", "courier", "apache"})
MAIL = f"mail.{layout.DOMAIN}"
OWNER = f"_25._tcp.{MAIL}."
DANELAW = Path("/etc/danelaw")
PAIR = f"K{layout.DOMAIN}.+157+12345"
PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
TTL = 5
"""Seconds that caches hold the record that stands there; an administrator's is an hour."""


def prepare(world: World) -> None:
    """Let a world be that server: Courier beside Postfix, a record to be stale, and the files that the config names."""
    world.update(f"delete {MAIL}. A", f"add {MAIL}. {TTL} A {layout.COURIER}")
    leaf_der = world.initial.leaf.public_bytes(Encoding.DER)
    world.publish(OWNER, [f"3 0 1 {hashlib.sha256(leaf_der).hexdigest()}"], ttl=TTL)
    key = world.keys["hmac-md5"]
    copies = {
        key.public: f"{PAIR}.key",
        key.private: f"{PAIR}.private",
        world.pebble.ca_bundle: "ca.pem",
        world.root_ds: "root.ds",
        world.root_hints: "root.hints",
    }
    for source, name in copies.items():
        shutil.copy2(source, DANELAW / name)


def environment(world: World) -> Mapping[str, str]:
    """Return what the administrator's shell has: danelaw is on its PATH."""
    danelaw = Path(__file__).parents[2] / ".venv" / "bin"
    return {
        "PATH": f"{danelaw}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(world.folder),
        "LANG": "C.UTF-8",
        **({"TERM": os.environ["TERM"]} if "TERM" in os.environ else {}),
    }
