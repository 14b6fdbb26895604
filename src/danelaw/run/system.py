"""The real clock and the real chance."""

import hashlib
import hmac
import random  # noqa: TID251 (the one place)
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MACHINE_ID = Path("/etc/machine-id")
LONGEST_NAP = 3600.0
"""Seconds. A wall clock that is set forward ends a sleep at the next nap's end at the latest."""


def this_host(machine_id: Path = MACHINE_ID) -> str:
    """Return what this host is known by for good: a digest of its machine id, where it has none its name.

    A host name changes with DHCP, and with it every lease would become another host's. The id itself is not to be
    shown (machine-id(5)).
    """
    try:
        found = machine_id.read_text("ascii").strip()
    except (OSError, ValueError):
        found = ""
    if not re.fullmatch(r"[0-9a-f]{32}", found):
        return socket.gethostname()
    return hmac.digest(bytes.fromhex(found), b"danelaw", hashlib.sha256).hex()[:32]


class SystemClock:
    """`model.Clock` over this machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 (the one place)

    def boot(self) -> tuple[str, float]:
        """Return the boot id and the seconds since boot."""
        return BOOT_ID.read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep_until(self, at: datetime) -> None:
        """Sleep until the wall clock reaches ``at``; where it is set meanwhile, no longer than it was to be."""
        left = (at - self.now()).total_seconds()
        ends = time.clock_gettime(time.CLOCK_BOOTTIME) + left
        while left > 0:
            time.sleep(min(left, LONGEST_NAP))  # noqa: TID251 (the one place)
            left = min((at - self.now()).total_seconds(), ends - time.clock_gettime(time.CLOCK_BOOTTIME))


class SystemChance:
    """`model.Chance` over the operating system's randomness."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        return random.SystemRandom().random()
