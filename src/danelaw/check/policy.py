"""A domain's MTA-STS policy, fetched over HTTPS as a sender of mail does (RFC 8461 section 3.3).

An HTTP library would look the name up by itself, in resolv.conf, and its time limits begin again with every byte; a
thread that waits in one cannot be stopped. So this is one GET over asyncio, at addresses that we validated and pinned,
with one limit on the whole. The parsing of headers is the standard library's.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from danelaw import __version__
from danelaw.errors import InputError
from danelaw.model import LookedUp, Lookup, PolicyFetch, PolicyFound
from danelaw.names import MAX_NAME, format_host_port, mapped

if TYPE_CHECKING:  # start-up: they are imported where they are used
    from email.message import Message

LARGEST_POLICY = 64 * 1024
"""Octets (RFC 8461 section 3.3)."""

_LARGEST_HEAD = 32 * 1024
_PORT = 443
_MOST_ADDRESSES = 4
_PATH = "/.well-known/mta-sts.txt"
_NO_ROUTE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN}

Find = Callable[[Lookup], Awaitable[LookedUp]]


class _Failed(Exception):
    """No policy came; the text is a clause for people. ``ours``: because of this machine."""

    def __init__(self, message: str, *, ours: bool = False) -> None:
        self.ours = ours
        super().__init__(message)


@dataclass(slots=True)
class PolicyFetcher:
    """Fetches policies. ``find`` looks names up, ``may_reach`` says whether an address may be connected to.

    ``connect`` is the config's table. ``roots`` is a PEM file of CA certificates, None: the system's; `InputError`
    where it cannot be used. ``timeout`` is in seconds, for one fetch as a whole.
    """

    find: Find
    connect: Mapping[str, tuple[str, int]]
    may_reach: Callable[[str], bool] | None = None
    roots: str | None = None
    timeout: float = 20.0
    _context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.roots is not None:
            self._context = _tls(self.roots)

    async def fetch(self, question: PolicyFetch) -> PolicyFound:
        """Return the policy's text, or why there is none; never raises for what the other side does."""
        try:
            async with asyncio.timeout(self.timeout):
                return PolicyFound(question, await self._fetch(f"mta-sts.{question.domain}"))
        except TimeoutError:
            return PolicyFound(question, None, f"the policy did not come within {self.timeout:g} s")
        except _Failed as failed:
            return PolicyFound(question, None, str(failed), ours=failed.ours)

    async def _fetch(self, host: str) -> str:
        failures: list[_Failed] = []
        for address in (await self._addresses(host))[:_MOST_ADDRESSES]:
            try:
                return await self._fetch_at(host, address)
            except _Failed as failed:
                failures.append(failed)
        # what a server did says more than that this machine has no way to another of its addresses
        raise next((failed for failed in failures if not failed.ours), failures[0])

    async def _addresses(self, host: str) -> list[str]:
        if len(host) > MAX_NAME:
            raise _Failed(f"{host} is too long for a name")
        found = await asyncio.gather(self.find(Lookup(host, "A")), self.find(Lookup(host, "AAAA")))
        addresses = [address for each in found for address in each.addresses if not each.failed]
        if addresses:
            return addresses
        failed = next((each for each in found if each.failed), None)
        if failed is not None:
            raise _Failed(f"the address of {host} cannot be looked up: {failed.why or failed.rcode}", ours=failed.ours)
        missing = all(each.rcode == "NXDOMAIN" for each in found)
        raise _Failed(f"{host} {'does not exist' if missing else 'has no address'}")

    async def _fetch_at(self, host: str, address: str) -> str:
        """Fetch the policy at one address."""
        dialled = mapped(self.connect, host, address, _PORT) or (address, _PORT)
        where = format_host_port(*dialled)
        if self.may_reach is not None and not self.may_reach(dialled[0]):
            raise _Failed(f"{where} is an address that a check from here may not connect to", ours=True)
        if self._context is None:
            self._context = _tls(None)
        try:
            async with asyncio.timeout(self.timeout / 2):  # another address may have to be tried
                reader, writer = await asyncio.open_connection(
                    *dialled, ssl=self._context, server_hostname=host, limit=_LARGEST_HEAD
                )
        except TimeoutError:
            raise _Failed(f"{where} does not answer within {self.timeout / 2:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise _Failed(f"the certificate of {host} at {where} is not valid: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise _Failed(f"the TLS handshake with {host} at {where} failed: {error.reason or error}") from None
        except OSError as error:
            text = os.strerror(error.errno) if error.errno else "the connection broke"  # asyncio's own has no reason
            raise _Failed(f"{where} cannot be reached: {text}", ours=error.errno in _NO_ROUTE) from None
        try:
            return await _get(reader, writer, host)
        except OSError:
            raise _Failed(f"{host} at {where} broke the connection") from None
        except EOFError:  # asyncio.IncompleteReadError is one
            raise _Failed(f"{host} at {where} cut its answer short") from None
        except (ValueError, asyncio.LimitOverrunError):
            raise _Failed(f"the answer of {host} at {where} is not HTTP") from None
        finally:
            writer.transport.abort()  # no good-bye to somebody who may not listen


def _tls(roots: str | None) -> ssl.SSLContext:
    """Return a context that demands a valid certificate for the name, by DNS-ID alone (RFC 8461 section 3.3)."""
    try:
        context = ssl.create_default_context(cafile=roots)
    except OSError as error:  # ssl.SSLError is one
        raise InputError(f"{roots}: no CA certificates can be read from it ({error})") from None
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> str:
    writer.write(
        f"GET {_PATH} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: danelaw/{__version__}\r\nAccept: text/plain\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode("ascii")
    )
    await writer.drain()
    return await _answer(reader, host)


async def _answer(reader: asyncio.StreamReader, host: str) -> str:
    """Read the policy. Raises `_Failed`; of what is not HTTP or ends early, ValueError, EOFError and their like."""
    status, headers = await _head(reader)
    while 100 <= status < 200:
        status, headers = await _head(reader)
    if 300 <= status < 400:
        raise _Failed(f"{host} answers with a redirect ({status}), which no sender follows (RFC 8461 section 3.3)")
    if status != 200:
        raise _Failed(f"{host} answers with status {status} where 200 was expected")
    media_type = str(headers.get("content-type", "")).partition(";")[0].strip().lower() or "none"
    if media_type != "text/plain":  # RFC 8461 section 3.2
        raise _Failed(f"{host} sends the media type {_shown(media_type)} where text/plain was expected")
    body = await _body(reader, headers)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise _Failed(f"{host} sends a policy that is not text (UTF-8)") from None


async def _head(reader: asyncio.StreamReader) -> tuple[int, "Message"]:
    """Read a status line and headers. Raises ValueError or EOFError for anything else."""
    from http.client import HTTPException, parse_headers  # noqa: PLC0415 (start-up: most checks fetch no policy)

    head = await reader.readuntil(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    version, _, status = line.partition(b" ")
    code = status[:3]
    if not version.startswith(b"HTTP/1.") or not (code.isdigit() and len(code) == 3) or status[3:4] not in {b"", b" "}:
        raise ValueError(line[:80])
    try:
        return int(code), parse_headers(BytesIO(rest))
    except HTTPException as error:
        raise ValueError(str(error)[:80]) from None


async def _body(reader: asyncio.StreamReader, headers: "Message") -> bytes:
    """Read a body in any of its three framings (RFC 9112 section 6.3), `LARGEST_POLICY` at most."""
    if "chunked" in str(headers.get("transfer-encoding", "")).lower():
        return await _chunks(reader)
    length = str(headers.get("content-length", "")).strip()
    if length:
        if not (length.isascii() and length.isdigit()):
            raise ValueError(length[:20])
        return await reader.readexactly(_bounded(int(length[:20])))
    body = b""
    while piece := await reader.read(4096):
        body += piece
        _bounded(len(body))
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        line = (await reader.readuntil(b"\r\n")).partition(b";")[0].strip()
        size = int(line[:16], 16)
        if size < 0 or len(line) > 16:
            raise ValueError(line[:20])
        if not size:
            return body  # trailers are of no use
        _bounded(len(body) + size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("chunk")


def _bounded(size: int) -> int:
    if size > LARGEST_POLICY:
        raise _Failed(f"the policy is larger than {LARGEST_POLICY // 1024} KiB (RFC 8461 section 3.3)")
    return size


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:40])
