"""Who holds a lease, and whether that process still lives: its pid, when it started, and the boot it belongs to.

A pid alone is reused; a pid with its start time, in one boot, is not. So a lease that a killed run left behind is taken
over at once and without a time-out, and a living run's never.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_GONE = frozenset("ZX")  # a zombie has ended, whoever has not yet waited for it


class Holder(NamedTuple):
    """A process: ``started`` in clock ticks since boot, as the kernel counts them."""

    host: str
    pid: int
    started: int
    boot_id: str


class Processes:
    """The processes of this machine, as its kernel knows them; a simulation has others."""

    def this(self, host: str, boot_id: str) -> Holder:
        """Return this process as a lease's holder."""
        return this_process(host, boot_id)

    def lives(self, holder: Holder, host: str, boot_id: str) -> bool:
        """Return whether a holder is a living process."""
        return lives(holder, host, boot_id)


def this_process(host: str, boot_id: str) -> Holder:
    """Return this process as a lease's holder."""
    pid = os.getpid()
    return Holder(host, pid, _own_start(pid), boot_id)


def lives(holder: Holder, host: str, boot_id: str) -> bool:
    """Return whether a holder is a living process; another host's cannot be seen from here and counts as living."""
    if holder.host != host:
        return True
    if holder.boot_id != boot_id:
        return False
    started, state = _start_and_state(holder.pid)
    return started == holder.started and state not in _GONE


@lru_cache(maxsize=1)
def _own_start(pid: int) -> int:
    """Return when this process started, read once: a forked child has a pid of its own."""
    return _start_and_state(pid)[0]


def _start_and_state(pid: int) -> tuple[int, str]:
    """Return a process's start time and state (proc(5), /proc/PID/stat fields 22 and 3); (-1, "X") where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return -1, "X"
    # The name in parentheses may itself hold spaces and parentheses: count from the last one.
    fields = stat.rpartition(b")")[2].split()
    return int(fields[19]), fields[0].decode("ascii")
