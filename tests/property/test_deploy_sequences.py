"""Whatever is staged, put live, taken back and disturbed, in whatever order: what was put live last is what stands."""

import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.deploy import LocalHost
from danelaw.model import CertificateSpec, Deployment, FilePart, FileSpec, Generation, Http01
from local_state import StandingClock, chain_of, write_leaf_key

SPEC = CertificateSpec("example", ("a.test",), "le", Http01(webroots=("/w",)))
PARTS: tuple[tuple[FilePart, ...], ...] = (("cert", "key"), ("chain",), ("key",))

stage = st.tuples(st.just("stage"), st.sampled_from(["a.test", "b.test"]))
activate = st.tuples(st.just("activate"), st.integers(0, 4))
write = st.tuples(st.just("write"), st.integers(0, 2))
delete = st.tuples(st.just("delete"), st.integers(0, 2))


class Disturbed:
    """A deployment, and somebody who meddles with its paths."""

    def __init__(self, folder: Path, files: int, at_first: int) -> None:
        (folder / "etc").mkdir()
        self.state = folder / "state"
        self.host = LocalHost(str(self.state), "h", StandingClock())
        self.key = self.host.take_key(replace(SPEC, key=write_leaf_key(folder / "live.key")))
        paths = [folder / "etc" / f"{n}.pem" for n in range(files)]
        self.deployment = Deployment(
            "example", tuple(FileSpec(str(path), PARTS[n]) for n, path in enumerate(paths)), ()
        )
        self.paths = paths
        self.count = count()
        self.meddled: set[bytes] = set()
        self.generations: dict[int, Generation] = {}
        for path in paths[:at_first]:
            path.write_bytes(f"at first {path.name}".encode())
            path.chmod(0o600)

    def stage(self, name: str) -> None:
        before = self.host.live(self.deployment)
        n = max(self.generations, default=0) + 1
        self.generations[n] = self.host.stage(self.deployment, n, chain_of(name), self.key)
        self.generations.setdefault(0, self.host.generation(self.deployment, 0))
        assert self.host.live(self.deployment) == before

    def activate(self, n: int) -> None:
        if n not in self.generations:
            return
        generation = self.generations[n]
        for _ in range(2):  # the second time changes nothing
            self.host.activate(self.deployment, generation)
            live = dict(self.host.live(self.deployment))
            # What somebody put where nothing was at first is theirs: it is not taken away.
            theirs = {str(path) for path in self.paths if path.exists() and path.read_bytes() in self.meddled}
            assert {path: live[path] for path in live if path not in theirs} == generation.files
            assert not theirs or n == 0

    def meddle(self, n: int) -> None:
        self.delete(n)
        content = f"theirs {next(self.count)}".encode()
        self.paths[n % len(self.paths)].write_bytes(content)
        self.meddled.add(content)

    def delete(self, n: int) -> None:
        path = self.paths[n % len(self.paths)]
        if path.exists():
            self.meddled.discard(path.read_bytes())  # whoever deletes it does not want it kept
        path.unlink(missing_ok=True)

    def assert_nothing_was_lost_or_opened(self) -> None:
        kept = {path.read_bytes() for path in self.state.rglob("*") if path.is_file()}
        standing = {path.read_bytes() for path in self.paths if path.exists()}
        assert self.meddled <= kept | standing
        for path in [*self.state.rglob("*"), *self.paths]:
            if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
                assert not path.stat().st_mode & 0o007


@pytest.mark.parametrize("files", [1, 3])
@given(at_first=st.integers(0, 3), steps=st.lists(st.one_of(stage, activate, activate, write, delete), max_size=10))
@settings(max_examples=40, deadline=None)
def test_what_was_put_live_last_stands(files: int, at_first: int, steps: list[tuple[str, str | int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Disturbed(Path(folder), files, at_first)
        for what, value in [("stage", "a.test"), *steps]:
            match what, value:
                case "stage", str(name):
                    world.stage(name)
                case "activate", int(n):
                    world.activate(n)
                case "write", int(n):
                    world.meddle(n)
                case "delete", int(n):
                    world.delete(n)
            world.assert_nothing_was_lost_or_opened()
