"""Whether a path can be written and owned as asked: found out before anything is changed, and said in words."""

import fcntl
import grp
import os
import pwd
import re
import stat
import sys
from pathlib import Path

from danelaw.deploy import files
from danelaw.errors import Refused
from danelaw.model import FileSpec

_FS_IOC_GETFLAGS = 0x80086601  # _IOR('f', 1, long) where long has 8 bytes; elsewhere the call fails and nothing is said
_IMMUTABLE = 0x10
_APPEND_ONLY = 0x20

_OWN_LINK = re.compile(r"(?P<state>/.*)/live/(?P<place>[0-9a-f]{64}/current/[0-9]+-[^/]+)", re.DOTALL)
"""What links of ours say, in any state folder: see `danelaw.deploy.generations`."""


def uid(owner: str, path: str) -> int:
    """Return a user's number. Raises `Refused` where there is none."""
    if owner.isdecimal():
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise Refused(f"{path}: this host has no user {owner}; create it or change owner") from None


def gid(group: str, path: str) -> int:
    """Return a group's number. Raises `Refused` where there is none."""
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise Refused(f"{path}: this host has no group {group}; create it or change group") from None


def problems(spec: FileSpec, own_link: str | None, state_dir: Path) -> list[str]:
    """Return what keeps one path from being written or owned as asked.

    ``own_link`` is the text of our own link there, None where our files are copies.
    """
    path = Path(spec.path)
    if state_dir == path or state_dir in path.parents:
        return [f"{path}: is inside state_dir ({state_dir}), which is danelaw's own; deploy elsewhere"]
    # The attributes first: what else there is to say may only be their effect.
    found = _fixed_problems(path) or folder_problems(path.parent, str(path)) or _standing_problems(path, own_link)
    found += _owner_problems(spec)
    if spec.mode is not None and "key" in spec.parts and spec.mode & 0o007:
        found.append(f"{path}: mode {spec.mode:04o} gives a key to the whole world; use 0640 or 0600")
    return found


def folder_problems(folder: Path, what: str) -> list[str]:
    """Return what keeps us from writing into a folder; root sees through permissions, not through mounts."""
    if what == "state_dir":
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent  # it will be made
    try:
        if not folder.is_dir():
            return [f"{what}: {folder} is {'no folder' if folder.exists() else 'missing'}; create the folder"]
        mount = os.statvfs(folder)
    except OSError as error:
        return [f"{what}: {folder}: {error.strerror}"]
    if mount.f_flag & os.ST_RDONLY:
        return [f"{what}: {folder} is on a file system that is mounted read-only"]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [f"{what}: {folder} cannot be written by this user; run danelaw as root"]
    # Some file systems count no blocks or inodes; 0 of 0 is not full.
    if (mount.f_blocks and not mount.f_bavail) or (mount.f_files and not mount.f_favail):
        return [f"{what}: {folder} is on a file system that is full; make room"]
    return []


def exposed(path: str, mode: int) -> str:
    """Return the sentence about a key that the world can read."""
    return f"{path}: holds a private key that the whole world can read (mode {mode:04o}); chmod o-r it, and replace it"


def _standing_problems(path: Path, own_link: str | None) -> list[str]:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    if stat.S_ISLNK(mode):
        return _link_problems(path, str(path.readlink()), own_link)
    if not stat.S_ISREG(mode):
        return [f"{path}: is {files.kind(mode)}; expected a file, or nothing"]
    try:
        standing = files.read(path)
    except Refused as refused:
        return [str(refused)]
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    if standing is not None and standing.ownership.mode & 0o004 and b"PRIVATE KEY-----" in standing.data:
        return [exposed(str(path), standing.ownership.mode)]
    return []


def _link_problems(path: Path, target: str, own_link: str | None) -> list[str]:
    """Return what is wrong with a link at a path. One of danelaw's own is live: nobody is told to remove it."""
    if target == own_link:
        return []
    earlier = _OWN_LINK.fullmatch(target)
    if earlier is None:
        return [f"{path}: is a link to {target}, another tool's; deploy to a path of its own or remove the link"]
    own = None if own_link is None else _OWN_LINK.fullmatch(own_link)
    if own is None or own["place"] != earlier["place"]:
        words = f"{path}: is danelaw's own link into {target}, of a deployment with other files; put back the files of"
        return [f"{words} that deployment, or put a copy of what the link leads to in its place"]
    if own_link is not None and _same_file(target, own_link):
        return []  # the state folder was moved, and what stands at its old place leads to the new one
    words = f"{path}: is danelaw's own link into another state folder, {earlier['state']}; set state_dir back to it, or"
    return [f"{words} move that folder to {own['state']} and put a link to it at its old place"]


def _same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _fixed_problems(path: Path) -> list[str]:
    """Return what keeps even root from a rename: a file that is a mount of its own, or an attribute of chattr(1)."""
    if str(path) in _mount_points():
        return [f"{path}: is mounted by itself, so it cannot be replaced; mount its folder instead"]
    return [
        f"{path}: {fixed} has the attribute {'i' if flags & _IMMUTABLE else 'a'}; chattr -ia it"
        for fixed in (path.parent, path)
        if (flags := _attributes(fixed)) & (_IMMUTABLE | _APPEND_ONLY)
    ]


def _mount_points() -> frozenset[str]:
    """Return where file systems, folders and files are mounted (proc(5), mountinfo field 5, octal escapes undone)."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        re.sub(rb"\\(\d{3})", lambda octal: bytes([int(octal[1], 8)]), line.split(b" ")[4]).decode("utf-8", "replace")
        for line in lines
        if line.count(b" ") > 4
    )


def _attributes(path: Path) -> int:
    """Return a file's inode flags (ioctl_iflags(2)); 0 where the file system has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8))[:4], sys.byteorder)
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _owner_problems(spec: FileSpec) -> list[str]:
    found = []
    for name, number in ((spec.owner, uid), (spec.group, gid)):
        try:
            if name is not None:
                number(name, spec.path)
        except Refused as refused:
            found.append(str(refused))
    if not found and spec.owner is not None and os.geteuid() not in {0, uid(spec.owner, spec.path)}:
        found.append(f"{spec.path}: only root can give a file to {spec.owner}; run danelaw as root")
    return found
