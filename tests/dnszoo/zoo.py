"""The zoo in a world: its zones below ``test.``, and what three validators say of its names."""

import contextlib
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from danelaw.dns import message as wire
from danelaw.dns.contents import RRTYPES
from danelaw.model.outside import LookupType
from dnszoo.cases import Verdict
from dnszoo.making import make_zones
from dnszoo.servers import ADDRESSES, ZooServer, misbehaving
from dnszoo.zones import Keys, broken_zones, good_zones, make_keys
from world import World, layout

_PATIENCE = 8.0
_AD = 0x0020


@dataclass(frozen=True)
class Zoo:
    """A world with the zoo in it. ``made_in`` is how many seconds its zones took."""

    world: World
    keys: Keys
    zones: int
    made_in: float

    def unbound(self, name: str, rrtype: LookupType) -> Verdict:
        """Ask the world's Unbound as a client does that believes its AD bit, and again with CD."""
        flags = _ask(name, rrtype, 0)
        if flags is not None and flags & 0xF in {0, 3}:
            return "secure" if flags & _AD else "insecure"
        flags = None if flags is None else _ask(name, rrtype, wire.CD)
        return "bogus" if flags is not None and flags & 0xF in {0, 3} else "none"

    def delv(self, name: str, rrtype: LookupType) -> Verdict:
        """Let BIND's delv validate what Unbound passes on unchecked."""
        server, anchor = f"@{layout.RESOLVER}", str(self.world.bind_keys)
        command = ["delv", server, "-a", anchor, "+root", "+cdflag", name, rrtype]
        done = subprocess.run(command, capture_output=True, text=True, timeout=8 * _PATIENCE, check=False)
        said = [line.lstrip("; ") for line in (done.stdout + done.stderr).splitlines() if line.startswith(";")]
        if any(line.startswith("resolution failed") and "ncache" not in line for line in said):
            refused = ("no valid", "insecurity proof", "broken trust chain", "failed to verify")
            return "bogus" if any(word in line for line in said for word in refused) else "none"
        trust = [line.removeprefix("negative response, ") for line in said]
        if any(line.startswith("unsigned") for line in trust):
            return "insecure"
        return "secure" if "fully validated" in trust else "pending"


def _ask(name: str, rrtype: LookupType, flags: int) -> int | None:
    """Return the flags of Unbound's answer, the RCODE among them; None where none comes."""
    query = wire.query(4711, wire.name_of(name), RRTYPES[rrtype], flags=wire.RD | _AD | flags)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_PATIENCE)
        sock.sendto(query, (layout.RESOLVER, 53))
        try:
            (answered,) = struct.unpack("!H", sock.recv(65535)[2:4])
        except TimeoutError:
            return None
    return int(answered)


@contextlib.contextmanager
def zoo() -> Iterator[Zoo]:
    """Make a world with the zoo in it."""
    with World({"bind", "unbound"}) as world:
        begin = time.monotonic()
        folder = world.folder / "zones-of-the-zoo"
        folder.mkdir()
        keys = make_keys(folder)
        specs = [*good_zones(keys), *broken_zones(keys)]
        files = make_zones(specs, folder)
        for address in ADDRESSES:
            world.namespace.add_address(address)
        server = ZooServer(world.folder, files)
        server.start()
        try:
            children = [spec for spec in specs if spec.name.count(".") == 1]
            lines = [f"add {line}" for spec in children for line in spec.delegation()]
            world.nsupdate(layout.TEST_NS, "test", lines)
            made_in = time.monotonic() - begin
            with misbehaving():
                yield Zoo(world, keys, len(specs), made_in)
        finally:
            server.kill()
