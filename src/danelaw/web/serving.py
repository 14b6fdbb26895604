"""Uvicorn, run by us: sockets of ours, signals that end it in order, and nothing without a bound."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from danelaw.errors import InputError
from danelaw.names import format_host_port
from danelaw.web.connections import MOST, bounded
from danelaw.web.limits import Networks

GRACE = 5
"""Seconds that answers under way have when it is told to stop."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Server(uvicorn.Server):
    """Uvicorn's server, which leaves signals to us: its own way ends in raising them again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. Raises `InputError` that says why it cannot."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        made = socket.create_server((address, port), family=family, backlog=128)
    except OSError as error:
        where = format_host_port(address, port)
        why = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(f"--listen {where}: {why}; give another address or port") from None
    made.settimeout(0)
    return made


def server(app: ASGIApp, proxies: Networks) -> uvicorn.Server:
    """Return a server of an application; it serves until its ``should_exit`` is set."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=bounded(proxies),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # what clients do wrong is no news; what we do wrong, `guard.Guard` says
        access_log=False,
        proxy_headers=False,  # `limits.client_address` knows whom to believe
        server_header=False,
        limit_concurrency=MOST,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=16384,
    )
    return _Server(config)


async def run(app: ASGIApp, sockets: Sequence[socket.socket], proxies: Networks, stopping: Callable[[], None]) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP. ``stopping`` is called then, before connections are closed."""
    serving = server(app, proxies)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not serving.should_exit:
            serving.should_exit = True
            stopping()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await serving.serve(sockets=list(sockets))
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
