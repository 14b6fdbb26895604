"""Say who holds a TCP port, from Linux's /proc: words for a refusal, so that nobody has to look it up."""

import ipaddress
import pwd
import struct
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def holder(address: str, port: int, *, both: bool = False) -> str | None:
    """Return who listens on an address and port: ``apache2 (pid 123)``, or a user's name where only root sees more.

    ``both``: the address is ``::``, wanted for IPv4 as well. None where /proc does not tell.
    """
    owners = {inode: uid for inode, uid in _listening(address, port, both=both) if inode != "0"}
    for inode in owners:
        process = _process(inode)
        if process is not None:
            return process
    for uid in owners.values():
        try:
            return f"a process of user {pwd.getpwuid(uid).pw_name}"
        except KeyError:
            return f"a process of user id {uid}"
    return None


def _listening(address: str, port: int, *, both: bool) -> list[tuple[str, int]]:
    """Return (inode, user id) of the sockets whose listening keeps this address and port from being taken."""
    found: list[tuple[str, int]] = []
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return found
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        lines: list[str] = []
        with suppress(OSError):
            lines = Path(table).read_text("ascii").splitlines()[1:]
        for line in lines:
            fields = line.split()
            local, _, local_port = fields[1].partition(":")
            if fields[3] != _LISTEN or int(local_port, 16) != port:
                continue
            bound = _address(local)
            same_family = bound.version == wanted.version
            overlap = same_family and (bound == wanted or bound.is_unspecified or wanted.is_unspecified)
            # an IPv6 wildcard may hold IPv4 as well (IPV6_V6ONLY is off by default)
            if both or overlap or (bound.version == 6 and bound.is_unspecified):
                found.append((fields[9], int(fields[7])))
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address as /proc/net/tcp writes it: 32-bit words in the machine's byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    return ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))


def _process(inode: str) -> str | None:
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):  # gone meanwhile, or not ours to see
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) == wanted:
                        return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None
