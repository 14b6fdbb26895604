"""Whatever is made, heard of, forgotten, put live and put away, in whatever order: no key is lost, and none is left.

A key that the store knows is there, whole and the same, until it is destroyed; then no file of the state holds it. What
a run made that nobody heard of is what the next one finds.
"""

import base64
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.deploy import LocalHost
from danelaw.errors import Refused
from danelaw.model import CertificateSpec, Deployment, FileSpec, Http01, KeyFact, KeyType
from local_state import StandingClock, chain_of

SPEC = CertificateSpec("example", ("a.test",), "le", Http01(webroots=("/w",)))

make = st.tuples(st.just("make"), st.sampled_from(["p256", "p256", "p384"]))
hear = st.tuples(st.just("hear"), st.just(""))
deploy = st.tuples(st.just("deploy"), st.integers(0, 4))
back = st.tuples(st.just("back"), st.integers(0, 9))
put_away = st.tuples(st.just("put away"), st.tuples(st.integers(0, 4), st.sampled_from(["archive", "shred"])))


class Kept:
    """A certificate's keys on a host, with the store's knowledge of them, and one deployment of two files."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        (folder / "etc").mkdir()
        self.host = LocalHost(str(self.state), "h", StandingClock())
        paths = [str(folder / "etc" / name) for name in ("cert.pem", "key.pem")]
        self.deployment = Deployment("example", (FileSpec(paths[0], ("cert",)), FileSpec(paths[1], ("key",))), ())
        self.known = [self.host.take_key(SPEC)]
        self.unheard: dict[str, KeyFact] = {}
        self.blocks = {self.known[0].spki_sha256: Path(self.known[0].path).read_bytes()}
        self.live: list[str] = []
        """By generation, the key that it is over, the first at 1."""
        self.active = 0

    def make(self, key_type: KeyType) -> None:
        before = {key_type: self.unheard[key_type]} if key_type in self.unheard else {}
        key = self.host.take_next_key(replace(SPEC, key_type=key_type), self.known)
        assert key not in self.known
        assert before in ({}, {key_type: key})
        self.unheard = {key_type: key}  # one of another type that nobody heard of is passed over for good
        self.blocks[key.spki_sha256] = Path(key.path).read_bytes()

    def hear(self) -> None:
        self.known.extend(self.unheard.values())
        self.unheard = {}

    def deploy(self, which: int) -> None:
        key = self.known[which % len(self.known)]
        if key.destroyed_at:
            return
        n = len(self.live) + 1
        staged = self.host.stage(self.deployment, n, chain_of(f"{n}.test", key.spki_der), key)
        self.host.activate(self.deployment, staged)
        self.live.append(key.spki_sha256)
        self.active = n

    def back(self, n: int) -> None:
        destroyed = {key.spki_sha256 for key in self.known if key.destroyed_at}
        if 1 <= n <= len(self.live) and self.live[n - 1] not in destroyed:
            self.host.activate(self.deployment, self.host.generation(self.deployment, n))
            self.active = n

    def put_away(self, which: int, how: Literal["archive", "shred"]) -> None:
        at = which % len(self.known)
        key = self.known[at]
        if how == "shred" and self.active and self.live[self.active - 1] == key.spki_sha256:
            with pytest.raises(Refused, match="services still read the key"):
                self.host.put_away(key, how)
            return
        for _ in range(2):
            self.known[at] = self.host.put_away(key, how)
        assert bool(self.known[at].destroyed_at) == (how == "shred" or bool(key.destroyed_at))

    def check(self) -> None:
        found = [path for path in self.state.rglob("*") if path.is_file() and not path.is_symlink()]
        secrets = [secret for path in found for secret in private_keys(path.read_bytes())]
        for key in (*self.known, *self.unheard.values()):
            block = self.blocks[key.spki_sha256]
            if key.destroyed_at:
                assert private_keys(block)[0] not in secrets, "a destroyed key is still there"
            else:
                assert Path(key.path).read_bytes() == block
                assert self.host.sign(key).spki_der == key.spki_der
        if self.active:
            path = Path(self.deployment.files[1].path)
            assert path.read_bytes() == self.blocks[self.live[self.active - 1]], "what services read was touched"
        assert not any(path.stat().st_mode & 0o007 for path in found if b"PRIVATE KEY" in path.read_bytes())


def private_keys(content: bytes) -> list[bytes]:
    return [base64.b64decode(part.partition(b"-----END")[0]) for part in content.split(b"PRIVATE KEY-----")[1::2]]


@given(steps=st.lists(st.one_of(make, hear, deploy, back, put_away), max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_key_is_lost_and_none_is_left(steps: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        kept = Kept(Path(folder))
        for step in steps:
            match step:
                case "make", ("p256" | "p384") as key_type:
                    kept.make(key_type)
                case "hear", _:
                    kept.hear()
                case "deploy", int(which):
                    kept.deploy(which)
                case "back", int(n):
                    kept.back(n)
                case "put away", (int(which), ("archive" | "shred") as how):
                    kept.put_away(which, how)
            kept.check()
