"""What was resolved a moment ago, for who asks the same again: a look at servers comes right behind a look-up."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Protocol

from danelaw.dns.message import Name
from danelaw.dns.unbound import Resolution

MOMENT = 5.0
"""Seconds for which an answer is given again; never longer than its TTL."""

_KEPT = 512
_LARGEST = 4096
"""How many answers are kept, of how many octets at most: two megabytes in all."""


_Key = tuple[tuple[bytes, ...], int]
"""A name's labels and a type."""


class Resolver(Protocol):
    """Resolves names with validation, within its own time limit, and never fails for what the network does."""

    def begin(self, name: Name, rrtype: int) -> "asyncio.Future[Resolution]":
        """Begin to resolve one name and type."""
        ...


class Remembered:
    """A resolver whose last good answers are given again for a moment.

    libunbound would give them from its cache too, which costs two threads and a parser. ``seconds`` is a monotonic
    clock, by default the running event loop's.
    """

    def __init__(self, resolver: Resolver, seconds: Callable[[], float] | None = None) -> None:
        self._resolver = resolver
        self._seconds = seconds
        self._known: OrderedDict[_Key, tuple[float, Resolution]] = OrderedDict()

    def begin(self, name: Name, rrtype: int) -> "asyncio.Future[Resolution]":
        """Begin to resolve one name and type; see `Context.begin`."""
        found = self.known(name, rrtype)
        if found is None:
            future = self._resolver.begin(name, rrtype)
            future.add_done_callback(partial(self._keep, (name.labels, rrtype)))
        else:
            future = asyncio.get_running_loop().create_future()
            future.set_result(found)
        return future

    def known(self, name: Name, rrtype: int) -> Resolution | None:
        """Return what is remembered of one name and type, if anything is."""
        until, found = self._known.get((name.labels, rrtype), (0.0, None))
        return found if self._now() < until else None

    def _now(self) -> float:
        return self._seconds() if self._seconds else asyncio.get_running_loop().time()

    def _keep(self, key: _Key, future: "asyncio.Future[Resolution]") -> None:
        """Keep what is good and small; what failed may be over in a moment."""
        self._known.pop(key, None)
        if future.cancelled() or future.exception() is not None:
            return
        found = future.result()
        good = found.security in {"secure", "insecure"} and found.ttl > 0
        if not good or found.message is None or len(found.message.octets) > _LARGEST:
            return
        self._known[key] = (self._now() + min(MOMENT, found.ttl), found)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
