"""One question to one server, directly: UDP, then TCP where the answer does not fit (RFC 1035 section 4.2).

Nothing is believed that is not an answer to the question asked, from the address asked, with the identifier sent
(RFC 5452 section 9.1); all else that arrives is ignored until the time is up. Time and size are bounded.
"""

import asyncio
import contextlib
import errno
import re
import secrets
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from danelaw.dns import message as wire
from danelaw.dns.message import Malformed, Message, Name, Question
from danelaw.errors import InputError


class NoAnswer(Exception):
    """No answer came. ``sent``: the whole question may have reached the server. ``ours``: this machine is the cause."""

    def __init__(self, problem: str, *, sent: bool = True, ours: bool = False) -> None:
        self.sent, self.ours = sent, ours
        super().__init__(problem)


_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EPERM, errno.EACCES}
"""Failures of this machine: too many open files, no memory, its own packet filter."""

_STRAYS = 32
"""How many messages are read that are no answer to what was asked, before a server counts as one that floods."""


class _Flood(EOFError):
    """One message after the other came that is no answer."""

    def __str__(self) -> str:
        return "it sends message after message that is no answer"


class Address(NamedTuple):
    """Where a server listens. As text, the port is named unless it is 53."""

    host: str
    port: int = 53

    @property
    def is_ipv6(self) -> bool:
        """Return whether the address is of IPv6."""
        return ":" in self.host

    def __str__(self) -> str:
        if self.port == 53:
            return self.host
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``192.0.2.53``, ``192.0.2.53:5353``, ``2001:db8::53`` or ``[2001:db8::53]:5353``. Raises `InputError`."""
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d{1,5}))?", text)
    plain = re.fullmatch(r"(?P<host>[^:]+):(?P<port>\d{1,5})", text, re.ASCII)
    found = bracketed or plain
    host, port = (found["host"], found["port"] or "53") if found else (text, "53")
    try:
        number, address = int(port), str(ip_address(host))
    except ValueError:
        raise InputError(f"{text!r} is no server address; write 192.0.2.53:53 or [2001:db8::53]:53") from None
    if not 0 < number < 65536:
        raise InputError(f"{text!r}: {number} is no port")
    return Address(address, number)


def has_route(server: Address) -> bool:
    """Return whether this host has a route to an address. Nothing is sent: connecting UDP only looks the route up."""
    family = socket.AF_INET6 if server.is_ipv6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((server.host, server.port))
    except OSError:
        return False
    return True


async def ask(
    server: Address, name: Name, rrtype: int, *, flags: int = 0, tries: int = 3, limit: float = 1.5
) -> Message:
    """Ask a server one question; return its answer, whatever its RCODE.

    ``flags`` are header bits (RD, CD). ``tries`` of ``limit`` seconds each bound the whole. Raises `NoAnswer`.
    """
    edns, problem, ours = True, "", False
    for _ in range(tries):
        ident = secrets.randbelow(65536)
        asked = _Asked(ident, Question(name, rrtype), wire.query(ident, name, rrtype, flags=flags, edns=edns))
        try:
            async with asyncio.timeout(limit):
                answer = await _by_udp(server, asked)
                if answer.tc:
                    answer = await _by_tcp(server, asked)
        except TimeoutError:
            problem = f"no answer in {tries} tries of {limit:g} s" if tries > 1 else f"no answer within {limit:g} s"
        except _Flood as error:
            problem = str(error)
        except ConnectionRefusedError:
            problem = "nothing listens there (connection refused)"
        except (OSError, EOFError) as error:
            problem = f"cannot be reached ({getattr(error, 'strerror', None) or error})"
            ours = getattr(error, "errno", None) in _OURS
        except Malformed as error:
            problem = f"answers by TCP with something else: {error}"
        else:
            if answer.rcode not in {"FORMERR", "NOTIMP", "BADVERS"} or not edns:
                return answer
            # RFC 6891 section 7: an old server says so; ask once more without EDNS
            edns, problem = False, f"answers {answer.rcode}"
    raise NoAnswer(problem, ours=ours)


async def tcp_exchange(server: Address, query: bytes, limit: float) -> bytes:
    """Send octets by TCP and return the first answer's with the same identifier. Raises `NoAnswer`.

    ``limit`` (seconds) bounds connecting and, again, the exchange.
    """
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(server.host, server.port)
    except TimeoutError:
        raise NoAnswer(f"no TCP connection within {limit:g} s", sent=False) from None
    except OSError as error:
        raise NoAnswer(f"no TCP connection ({error.strerror or error})", sent=False) from None
    try:
        async with asyncio.timeout(limit):
            return await _stream(reader, writer, query)
    except TimeoutError:
        raise NoAnswer(f"no answer by TCP within {limit:g} s") from None
    except (OSError, EOFError) as error:
        raise NoAnswer(f"the TCP connection broke ({error})") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(limit):
                await writer.wait_closed()


async def _by_udp(server: Address, asked: "_Asked") -> Message:
    with _udp_socket(server) as sock:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, asked.octets)
        for _ in range(_STRAYS):
            octets = await loop.sock_recv(sock, 65535)
            with contextlib.suppress(Malformed):
                if octets[:2] == asked.octets[:2] and _answers(answer := wire.parse(octets), asked):
                    return answer
        raise _Flood


@contextlib.contextmanager
def _udp_socket(server: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if server.is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0)
        # connected: the kernel drops what comes from elsewhere, and says when nothing listens
        sock.connect((server.host, server.port))
        yield sock


async def _by_tcp(server: Address, asked: "_Asked") -> Message:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        answer = wire.parse(await _stream(reader, writer, asked.octets))
        if not _answers(answer, asked):
            raise Malformed("the answer is to another question")
        return answer
    finally:
        writer.close()


async def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: bytes) -> bytes:
    """Exchange one message with its length before it (RFC 1035 section 4.2.2)."""
    writer.write(struct.pack("!H", len(query)) + query)
    await writer.drain()
    for _ in range(_STRAYS):
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
        if answer[:2] == query[:2]:
            return answer
    raise _Flood


class _Asked(NamedTuple):
    """A query: its identifier, its question, and all of its octets."""

    id: int
    question: Question
    octets: bytes


def _answers(answer: Message, asked: _Asked) -> bool:
    # a server that cannot read the question may leave it out of its error (RFC 1035 section 4.1.1: FORMERR)
    same = answer.question == asked.question or (answer.question is None and answer.rcode == "FORMERR")
    opcode = answer.flags & wire.OPCODE_MASK == 0  # QUERY, as all of ours
    return answer.is_response and opcode and answer.id == asked.id and same
