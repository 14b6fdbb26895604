"""Fetch what a CA would fetch for http-01, at each address of a name, before the CA is asked to.

All at once, each within a few seconds and a few KiB. Redirects are followed as CAs follow them: over HTTP or HTTPS,
whatever certificate is presented there, since it is what http-01 is to bring about. But where a redirect leads is for
whoever answers to say. So none is followed to another port than 80 and 443, nor from the internet to a private address
or this host's own: what only we can reach is not for others to ask through us.
"""

import asyncio
import http.client
import io
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import urlsplit

from danelaw import __version__
from danelaw.acme.deaf import start_deaf
from danelaw.acme.problem import plain
from danelaw.model import Progress, Visit, Visited
from danelaw.names import BadName, a_label, format_host_port, is_address, mapped

LIMIT = 5.0
"""Seconds for each exchange, from connecting to its end."""

PATIENCE = 1.0
"""Seconds after which it is said what is waited for."""

_AT_ONCE = 200
_LARGEST = 1 << 16
_MOST_REDIRECTS = 10
_DEFAULT_PORTS = {"http": 80, "https": 443}


class _Silent(Exception):
    """No answer over HTTP came; the text says why."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    words: str
    location: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """What is fetched: a URL, taken apart, at one address of its host."""

    scheme: str
    host: str
    port: int
    target: str
    address: str

    @property
    def url(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.target}"


class HttpVisits:
    """Carries out visits; `model.Visitor`. ``addresses`` looks a host up where a redirect leads to another one.

    ``connect`` maps what is dialled (``[connect]``). ``say`` hears what takes longer than ``patience``; ``limit`` is
    for each exchange. Both are seconds.
    """

    def __init__(
        self,
        addresses: Callable[[str], Sequence[str]],
        connect: Mapping[str, tuple[str, int]],
        say: Progress,
        *,
        limit: float = LIMIT,
        patience: float = PATIENCE,
    ) -> None:
        self._addresses = addresses
        self._connect = connect
        self._say = say
        self._limit = limit
        self._patience = patience

    def visit(self, visits: Sequence[Visit]) -> Sequence[Visited]:
        """Carry out every visit, concurrently; results in their order. Never raises for what answers.

        Being told to stop may come at any line, and in a running event loop it would surface as a complaint of its own.
        So the loop runs on a thread that no signal reaches, and is left to itself then.
        """
        outcome: Future[Sequence[Visited]] = Future()

        def run() -> None:
            try:
                outcome.set_result(asyncio.run(self._all(visits)))
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                outcome.set_exception(error)

        if visits:
            start_deaf(threading.Thread(target=run, name="http-01 check", daemon=True))
        return outcome.result() if visits else []

    async def _all(self, visits: Sequence[Visit]) -> Sequence[Visited]:
        gate = asyncio.Semaphore(_AT_ONCE)
        tasks = [asyncio.ensure_future(self._one(visit, gate)) for visit in visits]
        _, slow = await asyncio.wait(tasks, timeout=self._patience)
        if slow:
            late = [
                f"{visit.name} ({visit.address})" for visit, task in zip(visits, tasks, strict=True) if task in slow
            ]
            more = f" and {len(late) - 5} more" if len(late) > 5 else ""
            self._say(f"asking over HTTP, as the CA will: {', '.join(late[:5])}{more}")
        return await asyncio.gather(*tasks)

    async def _one(self, visit: Visit, gate: asyncio.Semaphore) -> Visited:
        place = _Place("http", visit.name, 80, visit.path, visit.address)
        led = ""
        async with gate:
            try:
                for _ in range(_MOST_REDIRECTS + 1):
                    answer = await self._fetch(place)
                    if answer.status not in {301, 302, 303, 307, 308} or not answer.location:
                        return Visited(visit, answer.body if answer.status == 200 else None, led + answer.words)
                    place = await self._led_to(place, answer.location)
                    led = f"redirects to {plain(place.url, 120)}, which "
            except _Silent as silent:
                return Visited(visit, None, f"{led}{silent}", silent=True)
            except BadName as error:
                return Visited(visit, None, f"redirects to where no CA follows: {error}")
        return Visited(visit, None, f"redirects more than {_MOST_REDIRECTS} times")

    async def _led_to(self, place: _Place, location: str) -> _Place:
        """Return where a redirect leads. Raises `BadName` where no CA follows, `_Silent` where we do not."""
        try:
            parts = urlsplit(location)
            if not parts.scheme and not parts.netloc and parts.path.startswith("/"):
                return replace(place, target=_target(parts.path, parts.query))
            scheme = parts.scheme.lower() or place.scheme
            port = parts.port or _DEFAULT_PORTS.get(scheme, 0)
        except ValueError as error:
            raise BadName(plain(location, 120)) from error
        if not port or not parts.hostname or is_address(parts.hostname):
            raise BadName(plain(location, 120))
        host, addresses = a_label(parts.hostname), [place.address]
        if host != place.host:
            addresses = [*await asyncio.to_thread(self._addresses, host)]
            if not addresses:
                raise _Silent(f"redirects to {host}, which has no address")
        open_to_all = [each for each in addresses if _reach(each) >= _reach(place.address)]
        led = _Place(scheme, host, port, _target(parts.path, parts.query), (open_to_all or addresses)[0])
        if mapped(self._connect, host, led.address, port) is None:  # what [connect] names is the administrator's word
            if port not in _DEFAULT_PORTS.values():
                raise _Silent(f"redirects to {plain(led.url, 120)}, which is not asked: few CAs go to such a port")
            if not open_to_all:
                raise _Silent(f"redirects to {host}, which is not asked: {led.address} is no address on the internet")
        return led

    async def _fetch(self, place: _Place) -> _Answer:
        address, port = mapped(self._connect, place.host, place.address, place.port) or (place.address, place.port)
        try:
            async with asyncio.timeout(self._limit):
                return await _exchange(place, address, port)
        except TimeoutError:
            raise _Silent(f"does not answer within {self._limit:g} s") from None
        except ConnectionRefusedError:
            raise _Silent("refuses the connection: nothing listens there") from None
        except ssl.SSLError as error:
            raise _Silent(f"fails at TLS ({plain(error.reason) or 'no reason given'})") from None
        except OSError as error:
            raise _Silent(f"cannot be reached from here: {error.strerror or type(error).__name__}") from None


def _reach(address: str) -> int:
    """Return how far an address reaches: 0 this host or its link, 1 a private network, 2 the internet."""
    found = ipaddress.ip_address(address)
    return 0 if found.is_loopback or found.is_link_local or found.is_unspecified else 2 if found.is_global else 1


def _target(path: str, query: str) -> str:
    """Return what stands in a request line, so that nothing in a redirect can be more than that."""
    target = f"{path or '/'}?{query}" if query else path or "/"
    if not target.isascii() or not target.isprintable() or " " in target or not target.startswith("/"):
        raise BadName(plain(target, 120))
    return target


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _exchange(place: _Place, address: str, port: int) -> _Answer:
    secure = _any_certificate() if place.scheme == "https" else None
    name = place.host if secure else None
    reader, writer = await asyncio.open_connection(address, port, ssl=secure, server_hostname=name, limit=_LARGEST)
    try:
        host = place.host if place.port == _DEFAULT_PORTS[place.scheme] else format_host_port(place.host, place.port)
        writer.write(
            f"GET {place.target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: danelaw/{__version__} (http-01 check)\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")
        )
        received = b""
        while len(received) < _LARGEST:
            chunk = await reader.read(_LARGEST)
            received += chunk
            answer = _parsed(received, ended=not chunk)
            if answer is not None:
                return answer
        return _Answer(0, "answers with more than is read of it", "", b"")
    finally:
        writer.transport.abort()  # nothing is owed to who answered


class _Bytes:
    """What `http.client` takes for a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, mode: str) -> io.BytesIO:
        del mode
        return io.BytesIO(self._received)


def _parsed(received: bytes, *, ended: bool) -> _Answer | None:
    """Return an answer as soon as all of it that matters is there; None: read on. Raises `_Silent` for none at all."""
    if not received and ended:
        raise _Silent("closes the connection without an answer")
    if b"\n\r\n" not in received and b"\n\n" not in received and not ended:
        return None
    response = http.client.HTTPResponse(cast("socket.socket", _Bytes(received)))
    try:
        response.begin()
        words = f"answers {response.status} {plain(response.reason, 60)}".strip()
        location = response.headers.get("Location", "")
        if response.status != 200:
            return _Answer(response.status, words, location, b"")
        whole = ended or response.length is not None or response.chunked
        body = response.read() if whole else None
    except http.client.IncompleteRead as error:
        return _Answer(200, "answers 200, cut short", "", error.partial) if ended else None
    except (http.client.HTTPException, ValueError):
        return _Answer(0, "answers, and not by HTTP", "", b"")
    return None if body is None else _Answer(200, f"{words} with another text", "", body)
