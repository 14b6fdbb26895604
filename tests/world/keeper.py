"""Ends everything that runs in a network namespace, and removes a folder, when its owner closes it or dies.

The other end of standard input is held by the world's owner and by nobody else: end of file means that the world is
over, also where the owner was killed by ``kill -9``. The owner itself, should it still be in there, is spared.
Run by its path, with the network namespace's name and the folder as arguments; imports nothing slow.
"""

import contextlib
import os
import signal
import sys
import time


def main(network: str, folder: str) -> None:
    """Wait for the end, kill until nothing is left, and tidy up."""
    owner = os.getppid()
    sys.stdin.buffer.read()
    spared = {os.getpid(), owner} if os.getppid() == owner else {os.getpid()}
    while remaining := [pid for pid in processes(network) if pid not in spared]:
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    import shutil  # noqa: PLC0415 - slow, and not needed before

    shutil.rmtree(folder, ignore_errors=True)


def processes(network: str) -> list[int]:
    """Return the pids of all that run in a network namespace (as ``/proc/PID/ns/net`` names it). Zombies have none."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib is slow to import, and each world starts one of these
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{entry}/ns/net") == network:  # noqa: PTH115 - as above
                    found.append(int(entry))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
