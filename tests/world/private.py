"""Folders of the host that a world has to itself: what is written there, nobody outside ever sees.

So services are configured where Debian's packages look for it, danelaw's files have their default paths, and plain
commands (``postconf``, ``doveadm reload``, ``apache2ctl configtest``) mean the world's own servers.
"""

import os
import shutil
from pathlib import Path

from world.namespace import bind_mount, mount_tmpfs
from world.tools import run

ETC, SRV, VAR_LIB, DANELAW = Path("/etc"), Path("/srv"), Path("/var/lib"), "danelaw"
_HOSTS_OWN = (Path("/run/systemd"), Path("/run/dbus"))
"""By these systemctl, and apache2ctl through it, would reach for the host's services."""


def make_private(folder: Path) -> None:
    """Let /etc be a copy, /srv, /etc/danelaw and /var/lib/danelaw be empty, and no systemd be running.

    The calling thread must be in a mount namespace of its own, where ``folder`` becomes a file system in memory (copies
    of a thousand small files are ten times as fast there); it is gone with the namespace.
    """
    folder.mkdir()
    mount_tmpfs(folder)
    etc = folder / "etc"
    run("cp", "--archive", ETC, etc)
    shutil.rmtree(etc / DANELAW, ignore_errors=True)
    for empty in etc / DANELAW, folder / "srv":
        empty.mkdir()
    var_lib = _shared_but_danelaw(VAR_LIB, folder)
    for source, target in (etc, ETC), (folder / "srv", SRV), (var_lib, VAR_LIB):
        bind_mount(source, target, recursive=True)
    (folder / "nothing").mkdir()
    for target in _HOSTS_OWN:
        if target.is_dir():
            bind_mount(folder / "nothing", target)


def _shared_but_danelaw(original: Path, folder: Path) -> Path:
    """Make a folder with the same in it as ``original``, mounted, but with an empty folder for danelaw."""
    made = folder / original.name
    made.mkdir()
    (made / DANELAW).mkdir()
    for entry in os.scandir(original):
        place = made / entry.name
        if entry.name == DANELAW:
            continue
        if entry.is_symlink():
            place.symlink_to(Path(entry.path).readlink())
            continue
        if entry.is_dir():
            place.mkdir()
        elif entry.is_file():
            place.touch()
        else:  # a socket or the like: nobody in here has a use for it
            continue
        bind_mount(Path(entry.path), place)
    return made
