"""One HTTP exchange with a CA, bounded in size and time; no redirect, no proxy, no retry (`protocol` has those).

urllib3's timeouts start again with every byte, so a server that drips could hold us for ever: each exchange therefore
has a limit of its own, after which its socket is shut down.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from danelaw.acme.deaf import start_deaf
from danelaw.acme.problem import MalformedAnswer
from danelaw.errors import Refused
from danelaw.model import Progress

LARGEST_BODY = 1 << 20
"""Octets; the largest chain or order that a CA sends is some 20 KiB."""

_CONNECT_SECONDS = 10.0

PATIENCE = 1.0
"""Seconds after which it is said who is waited for."""


class Unreachable(Exception):
    """No whole answer came: refused, reset, timed out, cut short. The request may or may not have reached the CA.

    Never leaves this package: `protocol` tries again, and raises `RetryLater` in the end.
    """


@dataclass(frozen=True, slots=True)
class Exchange:
    """A whole answer. Header names are in lower case; of repeated ones urllib3 joins the values by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@contextlib.contextmanager
def _time_limit(connection: HTTPConnection) -> Iterator[None]:
    """Shut a connection's socket down after twice its read timeout, and raise then: whoever reads sees an early end.

    Raising is needed since http.client takes headers that end early for all the headers there are.
    """
    sock, seconds, passed = connection.sock, 2 * (connection.timeout or 0), threading.Event()

    def shut_down() -> None:
        passed.set()
        with contextlib.suppress(OSError):
            if sock is not None:
                # not sock.shutdown: an SSLSocket's drops its TLS state, which the reading thread is using
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    start_deaf(timer)
    try:
        yield
    finally:
        timer.cancel()
    if passed.is_set():
        raise TimeoutError(f"the answer's head took over {seconds:.0f} s")


class _HttpConnection(HTTPConnection):
    def getresponse(self) -> Any:
        with _time_limit(self):
            return super().getresponse()


class _HttpsConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        with _time_limit(self):
            return super().getresponse()


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class Transport:
    """Connections to one CA, kept open between requests. ``ca_bundle`` replaces the system's roots.

    ``silence`` is how long the CA may say nothing; an answer's head and its body may each take twice that in all.
    ``say`` hears, on another thread, who is waited for where an exchange takes longer than ``patience``, in seconds.
    """

    def __init__(
        self,
        ca_bundle: str | None,
        user_agent: str,
        silence: timedelta = timedelta(seconds=30),
        *,
        say: Progress | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._say, self._patience = say, patience
        self._silence = silence.total_seconds()
        try:
            context = ssl.create_default_context(cafile=ca_bundle)
        except OSError as error:  # ssl.SSLError is one
            raise Refused(f"{ca_bundle}: no certificates can be read from it ({error}); correct ca_bundle") from error
        # a PoolManager, unlike requests, takes no proxy from the environment
        self._pools = urllib3.PoolManager(
            num_pools=4,
            maxsize=1,
            retries=False,
            ssl_context=context,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=self._silence),
            # RFC 8555 section 6.1: User-Agent MUST, Accept-Language SHOULD
            headers={"User-Agent": f"{user_agent} urllib3", "Accept-Language": "en"},
        )
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def close(self) -> None:
        """Close all connections."""
        self._pools.clear()

    def exchange(self, method: str, url: str, body: bytes | None = None, accept: str | None = None) -> Exchange:
        """Send one request and read the whole answer.

        Raises `Unreachable` where no whole answer came, `MalformedAnswer` for one over `LARGEST_BODY`, `Refused` where
        the CA's own TLS certificate is not trusted.
        """
        with self._saying(urlsplit(url).netloc):
            return self._exchange(method, url, body, accept)

    @contextlib.contextmanager
    def _saying(self, host: str) -> Iterator[None]:
        """Say who is waited for, once patience ends."""
        if self._say is None:
            yield
            return
        timer = threading.Timer(self._patience, self._say, [f"waiting for {host} to answer"])
        timer.daemon = True
        start_deaf(timer)
        try:
            yield
        finally:
            timer.cancel()

    def _exchange(self, method: str, url: str, body: bytes | None, accept: str | None) -> Exchange:
        headers = dict(self._pools.headers)
        if body is not None:
            headers["Content-Type"] = "application/jose+json"  # RFC 8555 section 6.2
        if accept is not None:
            headers["Accept"] = accept
        try:
            response = self._pools.urlopen(
                method, url, body=body, headers=headers, redirect=False, preload_content=False, decode_content=False
            )
            try:
                answer = Exchange(
                    response.status,
                    {name.lower(): value for name, value in response.headers.items()},
                    _read(response, 2 * self._silence),
                )
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except urllib3.exceptions.SSLError as error:
            if isinstance(error.args[0] if error.args else None, ssl.SSLCertVerificationError):
                raise Refused(
                    f"{url}: the CA's own TLS certificate is not trusted ({error.args[0].verify_message}); "
                    "correct directory, or give its root as ca_bundle"
                ) from error
            raise Unreachable(_words(error)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(_words(error)) from error
        return answer


def _read(response: urllib3.BaseHTTPResponse, seconds: float) -> bytes:
    # real time, as the sockets' own limits are: nothing but patience is decided by it
    deadline = time.monotonic() + seconds
    body = bytearray()
    while chunk := response.read1(1 << 16):
        body += chunk
        if len(body) > LARGEST_BODY:
            raise MalformedAnswer(f"the CA's answer is over {LARGEST_BODY >> 20} MiB; is the directory's URL right?")
        if time.monotonic() > deadline:
            raise Unreachable(f"the answer took over {seconds:.0f} s")
    return bytes(body)


def _words(error: BaseException) -> str:
    """Return the innermost reason: urllib3 wraps what the system said in sentences about pools."""
    reason: BaseException = error
    for _ in range(5):
        cause = getattr(reason, "reason", None) or reason.__cause__ or (reason.args[-1] if reason.args else None)
        if not isinstance(cause, BaseException):
            break
        reason = cause
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
