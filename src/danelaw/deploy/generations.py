"""Generations of deployed files: staged whole where no service reads them, live by one rename, kept for the way back.

::

    state_dir/live/<digest of the deployment's id>/
        0/  1/  2/ …        one folder a generation; 0 is what stood at the paths before danelaw came
            0-cert.pem      a file by its place among the deployment's sorted paths; absent in 0 where none stood
        current -> 2        only for deployments of several files: their paths are links to current/<file>
        found/              what somebody else put at a path since, kept before it is replaced
        paths.json          the deployment's sorted paths, so that a generation is known without its config

A generation is made under another name and renamed when it is whole, so that a numbered folder never changes. In it the
files have the owner and mode that services see, and these protect the keys: the folders themselves can be passed
through (0711) where services read through the links, and are private (0700) where they read copies.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from danelaw import pki
from danelaw.deploy import files, owners
from danelaw.deploy.files import Found, Ownership
from danelaw.errors import InputError, Refused, StateCorrupt
from danelaw.model import Chain, Clock, Deployment, FilePart, FileSpec, Generation

CURRENT = "current"
PATHS = "paths.json"


class _Place(NamedTuple):
    """One deployed file: what the config says, the path that services read, its name in a generation's folder."""

    spec: FileSpec
    path: Path
    name: str


class Generations:
    """The deployed files of this host."""

    def __init__(self, state_dir: Path, host: str, clock: Clock) -> None:
        self._state_dir = state_dir
        self._live = state_dir / "live"
        self._host = host
        self._clock = clock

    def folder(self, deployment: Deployment) -> Path:
        """Return where a deployment's generations are."""
        return self._live / hashlib.sha256(os.fsencode(deployment.id)).hexdigest()

    def stage(self, deployment: Deployment, n: int, chain: Chain, key_pem: bytes | None) -> Generation:
        """Write generation ``n`` (1 and up), and generation 0 at the first time. Idempotent.

        Raises `Refused` or `RetryLater` where it cannot be written or owned as asked, `StateCorrupt` where another
        generation of that number is live.
        """
        if n < 1:
            raise Refused(f"generation {n} of {deployment.id} cannot be staged; the first is 1")
        with files.explained(self._live):
            self._make_folders(deployment)
            self._clear_leftovers(deployment)
            self._note_paths(deployment)
            if not self._exists(deployment, 0):
                self._write(deployment, 0, {place.name: _standing(place) for place in _places(deployment)})
            wanted: dict[str, Found | None] = {
                place.name: Found(_content(place.spec, chain, key_pem), self._ownership(place))
                for place in _places(deployment)
            }
            if self._exists(deployment, n) and self._read(deployment, n) != wanted:
                self._discard(deployment, n)
            if not self._exists(deployment, n):
                self._write(deployment, n, wanted)
        return replace(self.generation(deployment, n), leaf_sha256=chain.leaf_sha256)

    def generation(self, deployment: Deployment, n: int) -> Generation:
        """Return a staged generation as it is on disk. Raises `StateCorrupt` where there is none."""
        found = self._read(deployment, n)
        return Generation(
            host=self._host,
            deployment=deployment.id,
            n=n,
            leaf_sha256=_leaf_sha256(deployment, found),
            files=_digests(deployment, found),
            staged_at=self._clock.now(),
        )

    def activate(self, deployment: Deployment, generation: Generation) -> None:
        """Put a generation where services read it; what is there already is not touched. Idempotent.

        Raises `Refused` where the paths cannot be written, `StateCorrupt` where the generation is not what was staged.
        """
        staged = self._read(deployment, generation.n)
        if _digests(deployment, staged) != dict(generation.files):
            raise StateCorrupt(
                f"{self.folder(deployment) / str(generation.n)}: holds other files than were staged;"
                " somebody changed them, and a renewal (apply --force-renewal) writes a new generation"
            )
        problems = self.problems(deployment)
        if problems:
            raise Refused("\n".join(problems))
        with files.explained(self._live):
            self._make_folders(deployment)
            places = _places(deployment)
            for place in places:
                files.clear_leftover(place.path)
            if len(places) == 1:
                self._activate_copy(deployment, places[0], staged[places[0].name])
            else:
                self._activate_links(deployment, generation.n, staged)

    def let_go(self, deployment: Deployment) -> None:
        """Replace each of our own links at a deployment's paths by a file as it leads to, by one rename. Idempotent.

        Whoever reads a path meets the same content before and after. What somebody else put there is left alone.
        """
        with files.explained(self._live):
            for place in _places(deployment):
                if not self._is_ours(deployment, place):
                    continue
                standing = _standing(place)
                if standing is None:  # it leads nowhere
                    files.remove(place.path)
                else:
                    files.put_file(place.path, standing.data, standing.ownership)

    def problems(self, deployment: Deployment) -> list[str]:
        """Return what keeps the deployment's paths from being written or owned as asked, in words."""
        found: list[str] = []
        places = _places(deployment)
        for place in places:
            own_link = self._link(deployment, place) if len(places) > 1 else None
            found += owners.problems(place.spec, own_link, self._state_dir)
        found += owners.folder_problems(self._state_dir, "state_dir")
        return list(dict.fromkeys(found))

    # ------------------------------------------------------------------------------------------------------ staging

    def _make_folders(self, deployment: Deployment) -> None:
        files.make_folder(self._state_dir, 0o711)
        files.make_folder(self._live, 0o711)
        files.make_folder(self.folder(deployment), _folder_mode(deployment))

    def _note_paths(self, deployment: Deployment) -> None:
        path = self.folder(deployment) / PATHS
        if not path.exists():
            files.put_file(path, json.dumps([str(place.path) for place in _places(deployment)]).encode())

    def _exists(self, deployment: Deployment, n: int) -> bool:
        return (self.folder(deployment) / str(n)).is_dir()

    def _write(self, deployment: Deployment, n: int, contents: Mapping[str, Found | None]) -> None:
        folder = self.folder(deployment)
        making = folder / f".{n}.new"
        making.mkdir(mode=0o700)
        for name, content in contents.items():
            if content is not None:
                files.write_new(making / name, content.data, content.ownership)
        making.chmod(_folder_mode(deployment))
        files.sync_folder(making)
        making.rename(folder / str(n))
        files.sync_folder(folder)

    def _discard(self, deployment: Deployment, n: int) -> None:
        """Take away a generation that a killed run staged and nobody heard of, whole."""
        folder = self.folder(deployment)
        if self._current(deployment) == str(n):
            raise StateCorrupt(f"{folder / str(n)}: is live and holds other files; the facts are older than the files")
        (folder / str(n)).rename(folder / f".{n}.old")
        files.sync_folder(folder)
        self._clear_leftovers(deployment)

    def _clear_leftovers(self, deployment: Deployment) -> None:
        """Take away what a killed run was writing or taking away."""
        for left in list(self.folder(deployment).iterdir()):
            if left.name.startswith(".") and left.name.endswith((".new", ".old")):
                _delete(left)

    def _read(self, deployment: Deployment, n: int) -> dict[str, Found | None]:
        """Return a generation's files by name."""
        folder = self.folder(deployment) / str(n)
        with files.explained(folder):
            if not folder.is_dir():
                raise StateCorrupt(f"{folder}: generation {n} of {deployment.id} is gone; restore it from a backup")
            return {place.name: files.read(folder / place.name) for place in _places(deployment)}

    def _ownership(self, place: _Place) -> Ownership:
        """Return whose a file becomes: as asked, else as the file at its path has it, else ours and not the world's."""
        standing = _standing(place)
        spec = place.spec
        secret = "key" in spec.parts
        if standing is not None:
            default = standing.ownership
        else:
            default = Ownership(0o600 if secret else 0o644, os.geteuid(), os.getegid())
        mode = default.mode if spec.mode is None else spec.mode
        if secret and spec.mode is None:
            mode &= ~0o007  # whatever stood there before: never readable by the world
        if secret and mode & 0o007:
            raise Refused(f"{place.path}: mode {mode:04o} gives a key to the whole world; use 0640 or 0600")
        return Ownership(
            mode,
            default.uid if spec.owner is None else owners.uid(spec.owner, spec.path),
            default.gid if spec.group is None else owners.gid(spec.group, spec.path),
        )

    # --------------------------------------------------------------------------------------------------- going live

    def _activate_copy(self, deployment: Deployment, place: _Place, staged: Found | None) -> None:
        """One file: a copy, by rename."""
        standing = _standing(place)
        if standing == staged:
            return
        if standing is not None:
            known = self._keep(deployment, place, standing)
            if staged is None:
                if known:
                    files.remove(place.path)
                return
        if staged is not None:
            files.put_file(place.path, staged.data, staged.ownership)

    def _activate_links(self, deployment: Deployment, n: int, staged: Mapping[str, Found | None]) -> None:
        """Several files: links through ``current``, and ``current`` flipped by one rename.

        A path that does not yet lead through ``current`` is turned into a link before the flip where that changes
        nothing for its readers, and after it where somebody else's content stands there: so that no reader gets an
        earlier generation that was not live.
        """
        current = self.folder(deployment) / CURRENT
        files.clear_leftover(current)
        if self._current(deployment) is None:
            linked = any(self._is_ours(deployment, place) for place in _places(deployment))
            files.put_link(current, str(n) if linked else "0")  # links that led nowhere lead straight to ``n``
        shown = self._read(deployment, int(self._current(deployment) or "0"))
        late = []
        for place in _places(deployment):
            if staged[place.name] is None or self._is_ours(deployment, place):
                continue
            standing = _standing(place)
            if _data(standing) == _data(shown[place.name]):
                files.put_link(place.path, self._link(deployment, place))
            else:
                late.append((place, standing))
        if self._current(deployment) != str(n):
            files.put_link(current, str(n))
        for place, standing in late:
            if standing is not None:
                self._keep(deployment, place, standing)
            files.put_link(place.path, self._link(deployment, place))
        for place in _places(deployment):
            if staged[place.name] is None and self._is_ours(deployment, place):
                files.remove(place.path)

    def _current(self, deployment: Deployment) -> str | None:
        try:
            return str((self.folder(deployment) / CURRENT).readlink())
        except FileNotFoundError:
            return None

    def _link(self, deployment: Deployment, place: _Place) -> str:
        """Return what the link at a path says."""
        return str(self.folder(deployment) / CURRENT / place.name)

    def _is_ours(self, deployment: Deployment, place: _Place) -> bool:
        with suppress(OSError):
            return str(place.path.readlink()) == self._link(deployment, place)
        return False

    def _keep(self, deployment: Deployment, place: _Place, standing: Found) -> bool:
        """Keep what stands at a path before it is replaced, unless a generation holds it; return whether one does."""
        folder = self.folder(deployment)
        for generation in folder.iterdir():
            if generation.name.isdecimal():
                ours = files.read(generation / place.name)
                if ours is not None and ours.data == standing.data:
                    return True
        kept = folder / "found" / f"{standing.sha256[:16]}-{place.name}"
        files.make_folder(kept.parent, 0o700)
        if not kept.exists():
            files.put_file(kept, standing.data)
        return False


def live(deployment: Deployment) -> dict[str, str]:
    """Return the digests of what stands at the paths, links followed; "" for what is no file that we could read."""
    found = {}
    for place in _places(deployment):
        try:
            standing = files.read(place.path)
        except (Refused, OSError):
            found[place.spec.path] = ""
            continue
        if standing is not None:
            found[place.spec.path] = standing.sha256
    return found


def _places(deployment: Deployment) -> list[_Place]:
    """Return a deployment's files, sorted by path. Their names are numbered: two may have one base name."""
    specs = sorted(deployment.files, key=lambda spec: spec.path)
    return [_Place(spec, path := Path(spec.path), f"{i}-{path.name[:200]}") for i, spec in enumerate(specs)]


def _folder_mode(deployment: Deployment) -> int:
    return 0o711 if len(deployment.files) > 1 else 0o700


def _standing(place: _Place) -> Found | None:
    """Return what stands at a path. Raises `Refused` for a key that the world can read: no copy of it is made."""
    standing = files.read(place.path)
    if standing is not None and standing.ownership.mode & 0o004 and b"PRIVATE KEY-----" in standing.data:
        raise Refused(owners.exposed(place.spec.path, standing.ownership.mode))
    return standing


def _content(spec: FileSpec, chain: Chain, key_pem: bytes | None) -> bytes:
    def part(name: FilePart) -> bytes:
        match name:
            case "cert":
                return pki.cert_pem(chain.leaf_der).encode()
            case "chain":
                return "".join(pki.cert_pem(der) for der in chain.certificates_der[1:]).encode()
            case "key":
                if key_pem is None:
                    raise Refused(f"{spec.path}: no key to write into it")
                return key_pem

    return b"".join(part(name) for name in spec.parts)


def _data(content: Found | None) -> bytes | None:
    return None if content is None else content.data


def _digests(deployment: Deployment, found: Mapping[str, Found | None]) -> dict[str, str]:
    return {
        place.spec.path: content.sha256 for place in _places(deployment) if (content := found[place.name]) is not None
    }


def _leaf_sha256(deployment: Deployment, found: Mapping[str, Found | None]) -> str:
    """Return the digest of the first certificate in the files that are to hold the leaf, "" where there is none."""
    for place in _places(deployment):
        content = found[place.name]
        if content is None or "cert" not in place.spec.parts:
            continue
        with suppress(InputError):
            return pki.parse_chain(content.data).leaf_sha256
    return ""


def _delete(leftover: Path) -> None:
    """Take away a folder or a link of ours that no service reads; never what a link leads to."""
    if stat.S_ISDIR(leftover.lstat().st_mode):
        shutil.rmtree(leftover)
    else:
        leftover.unlink()
