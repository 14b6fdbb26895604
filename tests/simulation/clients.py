"""Clients one by one: each asks a resolver with a cache that obeys TTLs, waits a while, and shakes hands somewhere.

The judge (`senders`) asks everybody that could have been. These are some who were: they hold the judge against a model
that is made another way, and are what people count.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from simulation.senders import SKEW, Judge, refuses
from simulation.services import Showing
from simulation.timeline import START
from simulation.zone import Served

RESOLVERS = 3


@dataclass
class Resolver:
    """A cache: what a CNAME led to and until when, and the RRset behind a name with until when it is kept."""

    aliases: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    rrsets: dict[str, tuple[Served, datetime]] = field(default_factory=dict)


class Clients:
    """Asks about one history, which is over."""

    def __init__(self, rng: Random, judge: Judge, served: Iterable[Served], shown: Iterable[Showing]) -> None:
        self._rng = rng
        self._judge = judge
        self._served: dict[tuple[str, str], list[Served]] = {}
        self._shown: dict[str, dict[str, list[Showing]]] = {}
        self._showings = list(shown)
        for row in served:
            self._served.setdefault((row.server, row.owner), []).append(row)
        for rows in self._served.values():
            rows.sort(key=lambda row: row.start)
        for showing in self._showings:
            self._shown.setdefault(showing.endpoint.owner, {}).setdefault(showing.address, []).append(showing)
        self._servers = sorted({server for server, _ in self._served})
        self._resolvers = [Resolver() for _ in range(RESOLVERS)]
        self.checks = 0
        self.held = 0
        """How many of them met an answer that the authoritative servers no longer gave."""

    def ask(self, count: int, until: datetime, margin: timedelta) -> list[str]:
        """Let so many clients ask, in the order of their instants; return what those say that do not deliver."""
        wrong = []
        for at in sorted(self._instants(count, until)):
            for owner, places in self._shown.items():
                row = self._look_up(self._rng.choice(self._resolvers), owner, at)
                self.checks += 1
                if row is None:
                    continue
                when = at + margin * self._rng.random()
                showings = places[self._rng.choice(sorted(places))]
                met = [each for each in showings if each.start <= when and (each.end is None or when < each.end)]
                if not met:
                    continue
                showing = self._rng.choice(met)
                if refuses(row.rrset.rdatas, showing.chain.leaf_der) and not self._judge.excuses(
                    row, showing, self._showings
                ):
                    wrong.append(f"{when.isoformat()}: a client does not deliver to {owner} at {showing.address}")
        return wrong

    def _instants(self, count: int, until: datetime) -> list[datetime]:
        """Return instants: some anywhere, most of them shortly before and after something changed."""
        span = (until - START).total_seconds()
        changes = [row.end for rows in self._served.values() for row in rows if row.end]
        changes += [row.start for row in self._showings]
        instants = [START + timedelta(seconds=span * self._rng.random()) for _ in range(count // 4)]
        while changes and len(instants) < count:
            change = self._rng.choice(changes)
            instants.append(
                change + timedelta(seconds=self._rng.choice((60, 3600, 86400)) * (self._rng.random() * 2 - 1))
            )
        return [at for at in instants if START <= at < until]

    def _look_up(self, resolver: Resolver, owner: str, at: datetime) -> Served | None:
        name = owner
        target, known_until = resolver.aliases.get(owner, (owner, at))
        if known_until > at:
            name = target
        cached = resolver.rrsets.get(name)
        if cached is not None and cached[1] > at:
            self.held += cached[0].end is not None and cached[0].end <= at
            return cached[0]
        server = self._rng.choice(self._servers)
        row = self._row(server, name, at)
        if row is None or row.rrset.expires + SKEW <= at:
            return None
        if row.alias is not None:
            resolver.aliases[owner] = row.alias.target, at + timedelta(seconds=row.alias.ttl)
            name = row.alias.target
        resolver.rrsets[name] = row, min(at + row.ttl_held, row.rrset.expires + SKEW)
        return row

    def _row(self, server: str, name: str, at: datetime) -> Served | None:
        rows = self._served.get((server, name), [])
        index = bisect_right(rows, at, key=lambda row: row.start) - 1
        row = rows[index] if index >= 0 else None
        return row if row is not None and (row.end is None or at < row.end) else None
