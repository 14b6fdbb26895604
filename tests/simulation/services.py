"""Services that present what they read, when they read it; and handshakes with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from danelaw.errors import RetryLater
from danelaw.model import Chain, Endpoint, ProbeRequest, ProbeResult
from simulation.faults import Faults
from simulation.machine import Disk
from simulation.timeline import Timeline


@dataclass(slots=True)
class Showing:
    """A chain that an endpoint's address presented, from ``start`` to ``end`` (None: still does)."""

    endpoint: Endpoint
    address: str
    chain: Chain
    start: datetime
    end: datetime | None = None


Worker = tuple[Chain, ...]
"""The chains that one worker read: one, or one of each key algorithm."""


class Service:
    """One daemon at one address of one endpoint. It reads ``paths`` when it starts, is reloaded, or forks a worker.

    Each path holds the chain of one key algorithm. Handshakes made at the same time reach every worker; a single one
    reaches any. Its config test fails while a broken file stands at a path, until faults are over.
    """

    def __init__(
        self,
        rng: Random,
        timeline: Timeline,
        faults: Faults,
        disk: Disk,
        endpoint: Endpoint,
        address: str,
        paths: tuple[str, ...],
    ) -> None:
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self._disk = disk
        self.endpoint = endpoint
        self.address = address
        self._paths = paths
        self._changes = 0
        self.slow_start = 0.0
        """How often a reload takes the service away for a while."""
        self.workers: list[Worker] = []
        self.down = False
        self.shown: list[Showing] = []

    def begin(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Read the files anew in every worker; where there are none it does not come up."""
        worker = self._read()
        self._become([worker] if worker else [])

    def come_back(self) -> None:
        self.down = False
        self.restart()

    def _read(self) -> Worker:
        return tuple(self._disk.paths[path].chain for path in self._paths if path in self._disk.paths)

    def fork(self) -> None:
        """Start one worker, which reads the files, beside those that run (as Postfix does)."""
        worker = self._read()
        if worker and self.workers and worker not in self.workers:
            before = self.workers
            self._become([*before, worker])
            self._later(self._rng.uniform(60, 7200), before)

    def _later(self, seconds: float, workers: list[Worker]) -> None:
        """Let only these workers be left after a while, if nothing else changes them before."""
        changes = self._changes

        def change() -> None:
            if self._changes == changes:
                self._become(workers)

        self._timeline.after(seconds, change)

    def reload(self) -> None:
        """Obey a reload, in one way or another."""
        if self._faults.strikes("a reload fails", 0.04):
            raise RetryLater("systemctl reload: exit status 1")
        if self._faults.strikes("a reload is ignored", 0.05):
            return
        if self._faults.strikes("a reload is slow", 0.15):
            self._timeline.after(self._rng.uniform(0.1, 40), self.restart)
            return
        if self.slow_start and self._faults.strikes("a service comes back slowly", self.slow_start):
            self.down = True
            self._timeline.after(self._rng.uniform(0.1, 90), self.come_back)
            return
        old = list(self.workers)
        self.restart()
        if old and self._faults.strikes("old workers linger", 0.1):
            self._become(list(dict.fromkeys([*self.workers, *old])))
            self._later(self._rng.uniform(1, 600), self.workers[:1])

    def test(self) -> None:
        if self._faults.strikes("a config test fails", 0.04):
            raise RetryLater("config test: exit status 1")
        standing = [self._disk.paths[path] for path in self._paths if path in self._disk.paths]
        if not self._faults.calm and any(content.broken for content in standing):
            raise RetryLater("config test: a file cannot be read: exit status 1")

    @property
    def presents(self) -> list[Chain]:
        """Every chain that some worker presents, each once."""
        return list(dict.fromkeys(chain for worker in self.workers for chain in worker))

    def _become(self, workers: list[Worker]) -> None:
        self.workers = workers
        chains = self.presents
        self._changes += 1
        now = self._timeline.now
        for row in self.shown:
            # A service that is down presents nothing, but nothing else either.
            if row.end is None and chains and row.chain not in chains:
                row.end = now
        standing = {row.chain.leaf_sha256 for row in self.shown if row.end is None}
        for chain in chains:
            if chain.leaf_sha256 not in standing:
                self.shown.append(Showing(self.endpoint, self.address, chain, now))

    def handshakes(self, count: int) -> list[Worker]:
        """Return the workers that so many simultaneous handshakes reach; none where it is down."""
        if self.down or not self.workers:
            return []
        if count >= len(self.workers):
            return [self.workers[i % len(self.workers)] for i in range(count)]
        return self._rng.sample(self.workers, count)


class SimProber:
    """`model.Prober` of the simulated services."""

    def __init__(self, rng: Random, timeline: Timeline, faults: Faults, services: Sequence[Service]) -> None:
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self._services = {(service.endpoint, service.address): service for service in services}

    def probe(self, requests: Sequence[ProbeRequest]) -> Sequence[ProbeResult]:
        self._timeline.spend(self._rng.uniform(0.005, 0.1))
        return [self._result(request) for request in requests]

    def _result(self, request: ProbeRequest) -> ProbeResult:
        service = self._services[request.endpoint, request.address]
        if self._faults.strikes("a handshake fails", 0.003):
            return ProbeResult(request, (), problem="connection reset")
        workers = service.handshakes(request.handshakes)
        if not workers:
            return ProbeResult(request, (), problem="connection refused")
        able = ([chain for chain in worker if request.algorithm in {None, chain.algorithm}] for worker in workers)
        fitting = tuple(chains[-1] for chains in able if chains)  # unrestricted: the one read last
        alerts = len(workers) - len(fitting)
        problem = f"{alerts} of {len(workers)} handshakes ended in an alert" if fitting and alerts else None
        return ProbeResult(request, fitting, not_offered=not fitting, problem=problem)
