"""Connections that take their time: none holds a place for longer than it is worth, and nobody holds many.

Uvicorn bounds neither how long a request's head takes to come, nor how long an answer may lie about unread. Here both
are, below HTTP, where a slow client can be cut off whatever the application waits for.
"""

import asyncio
from collections import Counter
from typing import Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from danelaw.web.limits import Networks, client_key

PATIENCE = 10.0
"""Seconds for the head of a request to come, and for a client to read on."""

SLOWEST = 8192
"""Bytes that a client reads in that time at the least."""

MOST = 512
"""Connections at once."""

MOST_EACH = 64
"""Connections of one client at once; a trusted proxy's are not counted."""


class Bounded(H11Protocol):
    """One connection of Uvicorn's HTTP/1.1, with bounds; `bounded` sets them, and counts clients in ``counted``."""

    proxies: Networks
    patience: float
    most: int
    each: int
    counted: Counter[str]

    _head: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    _key: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as Uvicorn's own
        """Count the client, and await a request's head; hang up where there are too many."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else ""
        if peer not in self.proxies:
            self._key = client_key(peer)
            self.counted[self._key] += 1
        if len(self.connections) > self.most or (self._key is not None and self.counted[self._key] > self.each):
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._drop("_head")
        self._drop("_reading")
        if self._key is not None:
            self.counted[self._key] -= 1
            if not self.counted[self._key]:
                del self.counted[self._key]
            self._key = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; the clock runs on until a head is whole."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        else:
            self._drop("_head")

    def pause_writing(self) -> None:
        """Watch whether the client reads on."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Watch no longer: it has read."""
        self._drop("_reading")
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Hear no rest of a body, and watch whether the answer is read."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()  # the rest of a body that nobody wants to hear
        if self.transport.get_write_buffer_size():
            self._await_reading()  # also where it is about to be closed: it is not, until all is read

    def _drop(self, name: Literal["_head", "_reading"]) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)

    def _await_head(self) -> None:
        self._head = self._head or self.loop.call_later(self.patience, self.transport.abort)

    def _await_reading(self) -> None:
        if self._reading is None:
            unread = self.transport.get_write_buffer_size()
            self._reading = self.loop.call_later(self.patience, self._look_at_reading, unread)

    def _look_at_reading(self, before: int) -> None:
        """Cut off who has read next to nothing since; whoever reads slowly goes on."""
        self._reading = None
        unread = self.transport.get_write_buffer_size()
        if unread > max(before - SLOWEST, 0):
            self.transport.abort()
        elif unread:
            self._await_reading()


def bounded(
    proxies: Networks, *, patience: float = PATIENCE, most: int = MOST, each: int = MOST_EACH
) -> type[H11Protocol]:
    """Return Uvicorn's protocol of HTTP/1.1 with these bounds, and with a count of clients of its own."""
    bounds = {"proxies": proxies, "patience": patience, "most": most, "each": each, "counted": Counter[str]()}
    return type("Bounded", (Bounded,), bounds)
