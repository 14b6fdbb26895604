"""This machine: keys, deployed files by generation, commands."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Literal

from danelaw.errors import Refused, RetryLater
from danelaw.model import CertificateSpec, Chain, Deployment, Generation, KeyFact, Signer
from simulation.faults import Faults
from simulation.keys import NAME, SimKeys
from simulation.mint import SimKey
from simulation.timeline import Timeline


@dataclass(frozen=True)
class Content:
    """What a file holds: some parts of a chain; the chain itself, so that a service can read it.

    ``broken``: a config test that finds it fails.
    """

    chain: Chain
    parts: tuple[str, ...]
    broken: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.chain.leaf_sha256} {self.parts}".encode()).hexdigest()


@dataclass
class Disk:
    """The files at the paths that services read, and every generation staged."""

    paths: dict[str, Content] = field(default_factory=dict)
    generations: dict[tuple[str, int], dict[str, Content]] = field(default_factory=dict)


class SimHost:
    """`model.Host`. ``commands`` are what argument lists do; they raise `RetryLater` where they fail."""

    def __init__(
        self,
        rng: Random,
        timeline: Timeline,
        faults: Faults,
        keys: Mapping[str, SimKey],
        spare: SimKey,
        addresses: frozenset[str],
    ) -> None:
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self.keys = SimKeys(timeline, faults, keys, spare)
        self._addresses = addresses
        self.disk = Disk()
        self.keys.deployed = self._key_in
        self.breaks = 0.0
        """How often a generation is staged whose files break the config test of what reads them."""
        self.commands: dict[tuple[str, ...], Callable[[], None]] = {}

    def _key_in(self, path: str) -> str | None:
        content = self.disk.paths.get(path)
        return content.chain.spki_sha256 if content and "key" in content.parts else None

    def peek_key(self, spec: CertificateSpec) -> KeyFact | None:
        return self.keys.peek(spec)

    def take_key(self, spec: CertificateSpec) -> KeyFact:
        return self.keys.take(spec)

    def take_next_key(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        return self.keys.take_next(spec, known)

    def put_away(self, key: KeyFact, how: Literal["archive", "shred"]) -> KeyFact:
        return self.keys.put_away(key, how)

    def sign(self, key: KeyFact) -> Signer:
        return self.keys.sign(key)

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        return self.keys.csr(key, spec)

    def stage(self, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
        assert chain.spki_sha256 == self.keys.held(key).spki_sha256, "a chain staged with another key"
        if self._faults.strikes("the disk is full", 0.02):
            raise RetryLater("no space left on the device")
        if (deployment.id, 0) not in self.disk.generations:
            standing = {f.path: self.disk.paths[f.path] for f in deployment.files if f.path in self.disk.paths}
            self.disk.generations[deployment.id, 0] = standing
        broken = bool(self.breaks) and self._faults.strikes("a file breaks the config test", self.breaks)
        self.disk.generations[deployment.id, n] = {f.path: Content(chain, f.parts, broken) for f in deployment.files}
        return self.generation(deployment, n)

    def generation(self, deployment: Deployment, n: int) -> Generation:
        files = self.disk.generations[deployment.id, n]
        leaf = next((content.chain.leaf_sha256 for content in files.values()), "")
        digests = {path: content.sha256 for path, content in files.items()}
        return Generation(NAME, deployment.id, n, leaf, digests, self._timeline.wall)

    def activate(self, deployment: Deployment, generation: Generation) -> None:
        if self._faults.strikes("the disk is full", 0.02):
            raise RetryLater("no space left on the device")
        staged = self.disk.generations[deployment.id, generation.n]
        for file in deployment.files:
            self.disk.paths.pop(file.path, None)
        self.disk.paths.update(staged)

    def let_go(self, deployment: Deployment) -> None:
        del deployment  # its paths are ordinary files here, always

    def live(self, deployment: Deployment) -> Mapping[str, str]:
        return {f.path: self.disk.paths[f.path].sha256 for f in deployment.files if f.path in self.disk.paths}

    def writable(self, deployment: Deployment) -> Sequence[str]:
        return [f"{deployment.id}: read-only"] if self._faults.strikes("a path is read-only", 0.01) else []

    def run(self, argv: Sequence[str], timeout: timedelta) -> str:
        self._timeline.spend(self._rng.uniform(0.01, 2))
        if self._faults.strikes("a command hangs", 0.01):
            self._timeline.advance_to(self._timeline.now + timeout)
            raise RetryLater(f"{' '.join(argv)}: no end within {timeout}")
        self.commands[tuple(argv)]()
        return ""

    def addresses(self) -> frozenset[str]:
        return self._addresses


class WebServer:
    """What holds port 80, so that the CA's challenge can only be answered while it is stopped."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.up = True

    def stop(self) -> None:
        self.up = False
        if self._faults.strikes("pre_challenge fails half-way", 0.03):
            raise RetryLater("systemctl stop: exit status 1")

    def start(self) -> None:
        if self._faults.strikes("post_challenge fails", 0.05):
            raise RetryLater("systemctl start: exit status 1")
        self.up = True

    def refuse_if_up(self) -> None:
        if self.up:
            raise Refused("port 80 is in use")
