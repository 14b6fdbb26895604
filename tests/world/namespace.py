"""A corner of Linux of our own: network and mounts that nobody else sees, so that nothing of the host is touched.

The ports and addresses in it are all ours (a Postfix on port 25 beside the host's), ``/etc/resolv.conf`` is a private
one, and its network namespace says exactly which processes belong to the world: that is how all of them are ended.
See namespaces(7), unshare(2), setns(2), mount(2).
"""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from world.tools import WorldError, run

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_MS_RDONLY, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x1, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise WorldError(f"{name}: {os.strerror(error)}; the world needs root (CAP_SYS_ADMIN) for its namespaces")


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own, as unshare(2) does."""
    _call("unshare", flags)


def mount_privately() -> None:
    """Let no mount made from here on spread to the host."""
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def bind_mount(source: Path, target: Path, *, recursive: bool = False) -> None:
    """Let ``target`` show the file or folder ``source``, here only. ``recursive``: with what is mounted in it."""
    _call("mount", bytes(source), bytes(target.resolve()), None, _MS_BIND | (_MS_REC if recursive else 0), None)


def overlay(above: Path, target: Path) -> None:
    """Let a folder show what is in ``above`` beside what it has, read-only, in this mount namespace only."""
    options = f"lowerdir={above}:{target}".encode()
    _call("mount", b"overlay", bytes(target), b"overlay", _MS_RDONLY, options)


def mount_tmpfs(target: Path) -> None:
    """Let a folder be a file system in memory, in this mount namespace only."""
    _call("mount", b"tmpfs", bytes(target), b"tmpfs", 0, b"mode=755,size=64m")


def detach(target: Path) -> None:
    """Take away what is mounted on a folder and below it; what is bound elsewhere stays there."""
    _call("umount2", bytes(target), _MNT_DETACH)


def mount_proc() -> None:
    """Let ``/proc`` show the processes of this PID namespace."""
    _call("mount", b"proc", b"/proc", b"proc", 0, None)


def _ip(*commands: str) -> None:
    run("ip", "-batch", "-", stdin="\n".join(commands))


def _address(verb: str, address: str) -> str:
    return f"address {verb} {address}/{'128 dev lo nodad' if ':' in address else '32 dev lo'}"


class Namespace:
    """A network and a mount namespace that the calling thread enters, and leaves again.

    What the thread starts (processes, threads) is inside as well; threads that were there before stay outside.
    ``network`` names the network namespace. One may be entered from inside another. ``addresses`` are lo's: all of
    127.0.0.0/8 is answered there anyway, but named and Postfix do not bind what no interface has. ``folder`` is
    removed in the end.
    """

    def __init__(self, folder: Path, addresses: Sequence[str]) -> None:
        self._folder, self._addresses = folder, addresses
        self._outside: dict[int, int] = {}
        self._keeper: subprocess.Popen[bytes] | None = None
        self.network = ""

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise WorldError("the world makes namespaces and runs servers on port 25: run it as root (sudo)")
        here = Path(f"/proc/self/task/{threading.get_native_id()}/ns")
        for kind, name in (CLONE_NEWNET, "net"), (CLONE_NEWNS, "mnt"):
            self._outside[kind] = os.open(here / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            unshare(CLONE_NEWNET)
            self.network = str((here / "net").readlink())
            # The keeper removes the folder as the host sees it, without what is mounted in there.
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py")), self.network, self._folder],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            unshare(CLONE_NEWNS)
            mount_privately()
            _ip("link set lo up", *(_address("add", address) for address in self._addresses))
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def add_address(self, address: str) -> None:
        """Give ``lo`` another address."""
        _ip(_address("replace", address))

    def leave(self) -> None:
        """End all that still runs inside and go back to where the thread came from."""
        for kind in CLONE_NEWNS, CLONE_NEWNET:
            if (outside := self._outside.pop(kind, None)) is not None:
                if kind == CLONE_NEWNS:
                    unshare(CLONE_FS)  # setns(2): one does not change mounts while sharing a root with other threads
                folder = Path.cwd()
                _call("setns", outside, kind)
                os.chdir(folder)  # setns into a mount namespace goes to its root
                os.close(outside)
        if self._keeper:
            self._keeper.communicate()
            self._keeper = None
