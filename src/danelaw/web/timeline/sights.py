"""What addresses present over time."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property

from danelaw.model import CertificateSpec, Chain, Endpoint, Facts, Presented
from danelaw.web.timeline.intervals import Interval, Sighting, Tracks, joined, present

Place = tuple[Endpoint, str]


class Sights:
    """What the addresses of some endpoints present, and when."""

    def __init__(self, rows: Iterable[Presented]) -> None:
        self.rows = list(rows)

    @classmethod
    def of_certificate(cls, spec: CertificateSpec, facts: Facts) -> "Sights":
        """Return what the endpoints present that a certificate is for."""
        endpoints = {claim.endpoint for claim in spec.claims}
        for deployment in spec.deployments:
            endpoints |= {*deployment.endpoints, *deployment.watched}
        return cls(row for row in facts.presented if row.endpoint in endpoints)

    @classmethod
    def at_owner(cls, owner: str, facts: Facts) -> "Sights":
        """Return what the endpoints present that the records of an owner name are for."""
        return cls(row for row in facts.presented if row.endpoint.owner == owner)

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
        return {f"{endpoint} {address}": self._track(rows) for (endpoint, address), rows in places.items()}

    def _track(self, rows: list[Presented]) -> list[Sighting[tuple[Chain, ...]]]:
        """Return what was presented at one place; between two looks, what the earlier one saw."""
        starts = sorted({row.first_at for row in rows})
        ends = [self._until(row.last_at, starts) for row in rows]
        bounds = sorted({*starts, *(end for end in ends if end is not None)})
        track = []
        for start, until in zip(bounds, [*bounds[1:], None], strict=True):
            chains = tuple(
                row.chain
                for row, end in zip(rows, ends, strict=True)
                if row.first_at <= start and (end is None or start < end)
            )
            track.append(Sighting(start, until, chains))
        return track

    @staticmethod
    def _until(last_at: datetime, starts: list[datetime]) -> datetime | None:
        """Return when something else was first seen after what was last seen then; None: it is what was seen last."""
        return next((start for start in starts if start > last_at), None)
