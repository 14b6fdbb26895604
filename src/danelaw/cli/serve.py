"""`danelaw serve`: the check as a web page, over the outside of the config, for as long as nobody says stop."""

import argparse
import asyncio
import functools
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from ipaddress import ip_address
from typing import TYPE_CHECKING

from danelaw.cli.files import config_if_any
from danelaw.config.views import Views, load_views
from danelaw.errors import InputError
from danelaw.model import ResolverSpec, ServeSpec
from danelaw.names import BadName, canonical_address, dialled, format_host_port, parse_host_port

if TYPE_CHECKING:
    from danelaw.check.outside import Outside
    from danelaw.web.timeline.pages import Managed

DEFAULT_LISTEN = "127.0.0.1:8053"


def serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; return 0. Raises `InputError` or `ConfigError`."""
    try:
        import starlette  # noqa: F401, PLC0415 - asked for before anything else needs it
        import uvicorn  # noqa: F401, PLC0415
    except ImportError as error:
        raise InputError(f"serve needs {error.name}, which is not installed; install danelaw[web]") from None
    places = [_place(text) for text in arguments.listen or [DEFAULT_LISTEN]]
    _agree(arguments, places)
    views = _views(arguments)
    managed = _managed(arguments.config) if arguments.managed else None
    asyncio.run(_serve(arguments, places, views, managed))
    return 0


def _place(text: str) -> tuple[str, int]:
    """Return address and port of ``--listen``; the port may be 0, for any that is free. Raises `InputError`."""
    host, colon, port = text.rpartition(":")
    try:
        if colon and port == "0":
            return canonical_address(host.removeprefix("[").removesuffix("]")), 0
        host, number = parse_host_port(text)
        return canonical_address("127.0.0.1" if host == "localhost" else host), number
    except BadName as error:
        problem, _, advice = str(error).partition("; write ")
        if advice in {"", "HOST:PORT"}:
            advice = f"ADDRESS:PORT, such as {DEFAULT_LISTEN}"
        raise InputError(f"--listen: {problem}; write {advice}") from None


def _agree(arguments: argparse.Namespace, places: list[tuple[str, int]]) -> None:
    if arguments.managed and not all(ip_address(address).is_loopback for address, _ in places):
        raise InputError("--managed shows what is managed to this machine only; listen at a loopback address for it")
    if not 1 <= arguments.jobs <= 256:
        raise InputError(f"--jobs: {arguments.jobs} is none; expected 1 to 256")
    if not 1 <= arguments.rate <= 6000:
        raise InputError(f"--rate: {arguments.rate} is none; expected 1 to 6000 checks a minute")


def _views(arguments: argparse.Namespace) -> Views:
    """Return the config's tables of the outside; the defaults where the default config is not there."""
    path, unread = (arguments.config, "") if arguments.managed else config_if_any(arguments.config)
    if unread:
        sys.stderr.write(f"danelaw: note: {unread}\n")
    return Views(ResolverSpec(), {}, {}, ServeSpec()) if path is None else load_views(path)


def _managed(path: str) -> "Callable[[], Managed]":
    """Return what reads the state of what is managed, and nothing else. Raises `ConfigError` for a faulty config."""
    from danelaw.config import load  # noqa: PLC0415 (start-up)
    from danelaw.run.clocks import known_now  # noqa: PLC0415 (start-up)
    from danelaw.run.compose import opened, survey  # noqa: PLC0415 (start-up)
    from danelaw.run.notes import notes  # noqa: PLC0415 (start-up)
    from danelaw.web.timeline.pages import managed  # noqa: PLC0415 (start-up)

    def read() -> "Managed":
        config = load(path, survey(path, prefers_last=True))
        with opened(config, changes=False) as world:
            facts = known_now(world.rings)
            said = notes(config.desired, facts, world.rings.host)
            return managed(config.desired, facts, said, world.rings.clock.now())

    read()
    return read


def _outside(views: Views) -> "Callable[[], Outside]":
    """Return what makes an outside that keeps away from what is not public, unless the config allows it."""
    from danelaw.check.outside import Outside  # noqa: PLC0415 (start-up)
    from danelaw.run.system import SystemClock  # noqa: PLC0415 (start-up)
    from danelaw.web.examining import may_reach  # noqa: PLC0415 (start-up)
    from danelaw.web.limits import Networks  # noqa: PLC0415 (start-up)

    connect = dialled(views.connect)
    return functools.partial(
        Outside,
        SystemClock(),
        views.resolver,
        authoritative=views.authoritative,
        connect=connect,
        may_reach=may_reach(Networks(views.serve.allow)),
    )


async def _serve(
    arguments: argparse.Namespace,
    places: list[tuple[str, int]],
    views: Views,
    managed: "Callable[[], Managed] | None",
) -> None:
    from danelaw.check.roots import system_roots  # noqa: PLC0415 (start-up)
    from danelaw.dane.sender import Wishes  # noqa: PLC0415 (start-up)
    from danelaw.run.system import SystemClock  # noqa: PLC0415 (start-up)
    from danelaw.web import serving  # noqa: PLC0415 (start-up)
    from danelaw.web.app import Site, result_of  # noqa: PLC0415 (start-up)
    from danelaw.web.examining import Examining  # noqa: PLC0415 (start-up)
    from danelaw.web.jobs import Jobs, Limits  # noqa: PLC0415 (start-up)
    from danelaw.web.limits import Buckets, Networks  # noqa: PLC0415 (start-up)
    from danelaw.web.metrics import Metrics  # noqa: PLC0415 (start-up)

    make = _outside(views)
    async with make():
        pass  # what this machine lacks is said now, and not to the first visitor
    examining = Examining(make, SystemClock(), Wishes(roots_der=system_roots()))
    metrics = Metrics(lambda text: _say(f"danelaw: {text}"))
    jobs = Jobs(examining, result_of, Limits(at_once=arguments.jobs), metrics)
    proxies = Networks(views.serve.proxies)
    site = Site(jobs, metrics, Buckets(arguments.rate, arguments.rate), proxies, managed)
    closing_jobs: set[asyncio.Task[None]] = set()

    def stopping() -> None:
        site.stopping = True
        closing_jobs.add(asyncio.ensure_future(jobs.close()))

    with ExitStack() as ending:
        sockets = [ending.enter_context(closing(serving.listen(*place))) for place in places]
        for made in sockets if not arguments.quiet else ():
            _say(f"danelaw: listening at {_url(made)}")
        await serving.run(site.asgi(), sockets, proxies, stopping)
    await asyncio.gather(jobs.close(), *closing_jobs)
    await examining.close()
    if not arguments.quiet:
        _say("danelaw: stopped")


def _url(made: socket.socket) -> str:
    host, port = made.getsockname()[:2]
    return f"http://{format_host_port(host, port)}/"


def _say(text: str) -> None:
    sys.stderr.write("".join(c if c.isprintable() else "?" for c in text) + "\n")
    sys.stderr.flush()
