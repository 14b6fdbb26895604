"""Folders of the host that a world has to itself: what is written there, nobody outside ever sees.

So services are configured where Debian's packages look for it, danelaw's files have their default paths, and plain
commands (``postconf``, ``doveadm reload``, ``apache2ctl configtest``) mean the world's own servers.
"""

import os
import shutil
from pathlib import Path

from world import tools
from world.namespace import bind_mount, detach, mount_tmpfs

ETC, SRV, RUN, VAR_LIB = Path("/etc"), Path("/srv"), Path("/run"), Path("/var/lib")
DANELAW = "danelaw"


def make_private(folder: Path) -> None:
    """Let /etc be a copy, and /run, /srv, /etc/danelaw and /var/lib/danelaw be empty.

    With /run empty, no systemd is running, as systemctl and apache2ctl see it, and no service of the host is in reach.
    The calling thread must be in a mount namespace of its own, where all this is in memory (copies of a thousand
    small files are ten times as fast there) and gone with the namespace; ``folder`` is needed meanwhile.
    """
    folder.mkdir()
    mount_tmpfs(folder)
    etc = folder / "etc"
    tools.run("cp", "--archive", ETC, etc)
    shutil.rmtree(etc / DANELAW, ignore_errors=True)
    srv, run, lock = folder / "srv", folder / "run", folder / "run" / "lock"
    for empty in etc / DANELAW, srv, run, lock:
        empty.mkdir()
    lock.chmod(0o1777)
    var_lib = _shared_but_danelaw(VAR_LIB, folder)
    for source, target in (etc, ETC), (srv, SRV), (run, RUN), (var_lib, VAR_LIB):
        bind_mount(source, target, recursive=True)
    detach(folder)  # it is removed in the end, and nothing of the host's must ever be seen in it then


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
