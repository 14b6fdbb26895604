"""A DNS server that answers whatever a test says, by UDP and by TCP on one port of loopback."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from danelaw.dns.exchange import Address

Reply = Callable[[bytes], bytes | None]
"""From a query to what is sent back: None for nothing, empty (TCP) for a closed connection."""


def answer_to(query: bytes, *, rcode: int = 0, flags: int = 0x8400, records: bytes = b"", count: int = 0) -> bytes:
    """Return an answer with the query's identifier, opcode and question, and records in the answer section."""
    (asked,) = struct.unpack("!H", query[2:4])
    end = query.index(b"\0", 12) + 5
    head = query[:2] + struct.pack("!HHHHH", flags | (asked & 0x7800) | rcode, 1, count, 0, 0)
    return head + query[12:end] + records


class Peer:
    """A context manager. ``asked`` holds every query that arrived; ``address`` is where it listens.

    Each reply by UDP is sent ``copies`` times.
    """

    def __init__(
        self, udp: Reply, tcp: Reply | None = None, host: str = "127.0.0.1", port: int = 0, copies: int = 1
    ) -> None:
        self._replies = udp, tcp or udp
        self._copies = copies
        self._host, self._port = host, port
        self.asked: list[bytes] = []

    def __enter__(self) -> Self:
        self._tcp = socket.create_server((self._host, self._port))
        self.address = Address(self._host, self._tcp.getsockname()[1])
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self.address)
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]
        self._ending = threading.Event()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.address)
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()

    def _serve_udp(self) -> None:
        while True:
            query, client = self._udp.recvfrom(65535)
            if self._ending.is_set():
                return
            self.asked.append(query)
            if reply := self._replies[0](query):
                for _ in range(self._copies):
                    self._udp.sendto(reply, client)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ending.is_set():
                connection, _ = self._tcp.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    self._serve_connection(connection)

    def _serve_connection(self, connection: socket.socket) -> None:
        head = connection.recv(2, socket.MSG_WAITALL)
        if len(head) < 2:
            return
        query = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        self.asked.append(query)
        reply = self._replies[1](query)
        if reply:
            connection.sendall(struct.pack("!H", len(reply)) + reply)
        if reply is None:
            self._ending.wait(10)
        elif reply:
            connection.recv(1)
