"""What addresses present over time."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property

from danelaw.lifecycle.sight import ADDRESS_TTL
from danelaw.model import CertificateSpec, Chain, Endpoint, Facts, Presented, Silent
from danelaw.web.timeline.intervals import Interval, Sighting, Tracks, joined, present

Place = tuple[Endpoint, str]


class Sights:
    """What the addresses of some endpoints present, and when."""

    def __init__(self, facts: Facts, has: Callable[[Endpoint], bool], now: datetime) -> None:
        self.now = now
        self.rows = [row for row in facts.presented if has(row.endpoint)]
        self.silent = [row for row in facts.silent if has(row.endpoint)]

    @classmethod
    def of_certificate(cls, spec: CertificateSpec, facts: Facts, now: datetime) -> "Sights":
        """Return what the endpoints present that a certificate is for."""
        endpoints = {claim.endpoint for claim in spec.claims}
        for deployment in spec.deployments:
            endpoints |= {*deployment.endpoints, *deployment.watched}
        return cls(facts, lambda endpoint: endpoint in endpoints, now)

    @classmethod
    def at_owner(cls, owner: str, facts: Facts, now: datetime) -> "Sights":
        """Return what the endpoints present that the records of an owner name are for."""
        return cls(facts, lambda endpoint: endpoint.owner == owner, now)

    @property
    def chains(self) -> list[Chain]:
        """Return every chain that was or will be presented, each once."""
        return list({row.chain.leaf_sha256: row.chain for row in self.rows}.values())

    def live(self, has: Callable[[Chain], bool]) -> list[Interval]:
        """Return when some address presents such a chain. What it presented last, it presents until now and later."""
        return joined(interval for interval, _ in present(self._tracks, lambda chains: any(map(has, chains))))

    @cached_property
    def _tracks(self) -> Tracks[tuple[Chain, ...]]:
        places: dict[Place, list[Presented]] = {}
        for row in self.rows:
            places.setdefault((row.endpoint, row.address), []).append(row)
        looks: list[Presented | Silent] = [*self.rows, *self.silent]
        newest: dict[Endpoint, datetime] = {}
        last: dict[Place, datetime] = {}
        for look in looks:
            at, place = min(look.last_at, self.now), (look.endpoint, look.address)
            newest[look.endpoint] = max(newest.get(look.endpoint, at), at)
            last[place] = max(last.get(place, at), at)
        tracks = {}
        for (endpoint, address), rows in places.items():
            seen = last[endpoint, address]
            # An address that DNS gives no more is not looked at, while the others are.
            gone = seen if seen + ADDRESS_TTL < newest[endpoint] else None
            silent = [row for row in self.silent if (row.endpoint, row.address) == (endpoint, address)]
            tracks[f"{endpoint} {address}"] = _track(rows, silent, gone)
        return tracks


def _track(
    rows: Sequence[Presented], silent: Sequence[Silent], gone: datetime | None
) -> list[Sighting[tuple[Chain, ...]]]:
    """Return what was presented at one place: between two looks what the earlier one saw, in a silence nothing.

    One that another was seen beside and outlived (old workers linger) ends when it was seen last.
    """
    others: list[Presented | Silent] = [*rows, *silent]
    starts = sorted({each.first_at for each in others})

    def end(row: Presented) -> datetime | None:
        if any(each.first_at <= row.last_at < each.last_at for each in others):
            return row.last_at
        return next((start for start in starts if start > row.last_at), gone)

    ends = [end(row) for row in rows]
    bounds = sorted({*starts, *(at for at in ends if at is not None)})
    track = []
    for start, until in zip(bounds, [*bounds[1:], None], strict=True):
        chains = tuple(
            row.chain
            for row, ended in zip(rows, ends, strict=True)
            if row.first_at <= start and (ended is None or start < ended)
        )
        track.append(Sighting(start, until, chains))
    return track
