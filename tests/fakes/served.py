"""The web service on a loopback port, in a thread of its own, over a check that a test made."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from danelaw.web import serving
from danelaw.web.app import Site, result_of
from danelaw.web.connections import bounded
from danelaw.web.jobs import Jobs, Limits
from danelaw.web.limits import Buckets, Networks
from danelaw.web.metrics import Metrics
from fakes.checks import FakeCheck


class Served:
    """What a test holds of a service that runs: where it is, and the gate of its checks, to be opened."""

    def __init__(self, check: FakeCheck) -> None:
        self.check = check
        self.said: list[str] = []
        self.url = ""
        self.address = ("", 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def open_gate(self) -> None:
        """Let the checks that wait go on."""
        assert self._loop is not None
        assert self.check.gate is not None
        self._loop.call_soon_threadsafe(self.check.gate.set)

    def run(self, gated: bool, limits: Limits, patience: float, each: int) -> None:  # noqa: FBT001 - for the thread
        try:
            asyncio.run(self._serve(gated, limits, patience, each))
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self, gated: bool, limits: Limits, patience: float, each: int) -> None:  # noqa: FBT001
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.check.gate = asyncio.Event() if gated else None
        metrics = Metrics(self.said.append)
        jobs = Jobs(self.check, result_of, limits, metrics)
        proxies = Networks([])
        site = Site(jobs, metrics, Buckets(1000, 1000), proxies)
        server = serving.server(site.asgi(), proxies)
        server.config.http = bounded(proxies, patience=patience, each=each)
        made = serving.listen("127.0.0.1", 0)
        self.address = made.getsockname()[:2]
        self.url = f"http://127.0.0.1:{self.address[1]}"
        running = asyncio.create_task(server.serve(sockets=[made]))
        self._ready.set()
        await self._stop.wait()
        await jobs.close()
        server.should_exit = True
        await running

    def wait(self) -> None:
        """Wait until it serves."""
        self._ready.wait(20)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Tell it to stop."""
        if self._loop is not None and self._failure is None:
            self._loop.call_soon_threadsafe(self._stop.set)


@contextmanager
def served(
    check: FakeCheck | None = None,
    *,
    gated: bool = False,
    limits: Limits | None = None,
    patience: float = 10.0,
    each: int = 64,
) -> Iterator[Served]:
    """Serve inside the context. ``gated``: checks wait until `Served.open_gate`."""
    service = Served(check or FakeCheck())
    thread = threading.Thread(target=service.run, args=(gated, limits or Limits(), patience, each))
    thread.start()
    try:
        service.wait()
        yield service
    finally:
        service.stop()
        thread.join(20)
        assert not thread.is_alive()
