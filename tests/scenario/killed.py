"""danelaw's command line in a process that kills itself: ``python -m scenario.killed POINT ARGUMENT…``.

POINT is ``boundary:7``, the seventh boundary of any call that changes something (each has two: before it and after it;
a lease is taken and given back), or ``RING.METHOD:after:2``, the end of the second call of a method of
a ring (``host.activate``, ``publisher.swap``, ``authority.advance``, …), ``before`` in the place of ``after`` its
beginning. SIGKILL: nothing is cleaned up. Where the point is never reached, the run ends as any does.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from danelaw.cli.arguments import parser
from danelaw.cli.session import run
from danelaw.run.rings import Rings

CHANGING = frozenset(
    {
        *("store.begin", "store.end", "store.record", "store.lease"),
        *("host.take_key", "host.take_next_key", "host.put_away", "host.stage", "host.activate", "host.run"),
        *("publisher.swap", "authority.open", "authority.advance", "authority.revoke"),
    }
)


class Fuse:
    """Kills the process when the point is reached."""

    def __init__(self, point: str) -> None:
        self._what, _, count = point.rpartition(":")
        self._count = int(count)
        self._seen: Counter[str] = Counter()

    def burn(self, *names: str) -> None:
        """Say that we are at a point, by all its names."""
        self._seen.update(names)
        if self._what in names and self._seen[self._what] == self._count:
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Anything, with each call's beginning and end a point."""

    def __init__(self, inner: Any, name: str, fuse: Fuse) -> None:
        self._inner, self._name, self._fuse = inner, name, fuse

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._inner, method)

        def call(*args: Any, **options: Any) -> Any:
            self._burn(method, "before")
            result = found(*args, **options)
            self._burn(method, "after")
            return result

        return call

    @contextmanager
    def lease(self, component: str) -> Iterator[None]:
        """Hold a lease of the inner store."""
        self._burn("lease", "before")
        with self._inner.lease(component):
            self._burn("lease", "after")
            yield
            self._burn("lease", "before")
        self._burn("lease", "after")

    def _burn(self, method: str, when: str) -> None:
        called = f"{self._name}.{method}"
        self._fuse.burn(f"{called}:{when}", *(["boundary"] if called in CHANGING else []))


def mortal(rings: Rings, fuse: Fuse) -> Rings:
    """Let a run die at a point."""
    return replace(
        rings,
        store=Mortal(rings.store, "store", fuse),
        host=Mortal(rings.host, "host", fuse),
        prober=Mortal(rings.prober, "prober", fuse),
        publishers={name: Mortal(each, "publisher", fuse) for name, each in rings.publishers.items()},
        authorities={name: Mortal(each, "authority", fuse) for name, each in rings.authorities.items()},
    )


def main() -> int:
    fuse = Fuse(sys.argv[1])
    return run(parser().parse_args(sys.argv[2:]), lambda rings: mortal(rings, fuse))


if __name__ == "__main__":
    sys.exit(main())
