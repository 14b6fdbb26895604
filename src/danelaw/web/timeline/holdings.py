"""A certificate's keys and chains over time: kept or valid, and while some address presents them, live."""

from collections.abc import Callable, Iterable
from datetime import datetime

from danelaw.model import CertificateSpec, Chain, ChainFact, Endpoint, Facts
from danelaw.web.timeline.intervals import Interval, Sighting, joined, present
from danelaw.web.timeline.lives import Life, Lives, digest, spans_of
from danelaw.web.timeline.spans import ROLE_WORDS, Group, Role, Row, Span, count, is_after

MOST_KEYS = 8
MOST_CERTIFICATES = 8

Place = tuple[Endpoint, str]


class Sights:
    """What the addresses of a certificate's endpoints present, and when."""

    def __init__(self, spec: CertificateSpec, facts: Facts) -> None:
        endpoints = {claim.endpoint for claim in spec.claims}
        for deployment in spec.deployments:
            endpoints |= {*deployment.endpoints, *deployment.watched}
        self.rows = [row for row in facts.presented if row.endpoint in endpoints]

    def live(self, has: Callable[[Chain], bool]) -> list[Interval]:
        """Return when some address presents such a chain. What it presented last, it presents until now and later."""
        places: dict[Place, list[Sighting[tuple[Chain, ...]]]] = {}
        for place in dict.fromkeys((row.endpoint, row.address) for row in self.rows):
            places[place] = self._track(place)
        tracks = {f"{endpoint} {address}": track for (endpoint, address), track in places.items()}
        return joined(interval for interval, _ in present(tracks, lambda chains: any(map(has, chains))))

    def _track(self, place: Place) -> list[Sighting[tuple[Chain, ...]]]:
        """Return what was presented at one place; between two looks, what the earlier one saw."""
        rows = [row for row in self.rows if (row.endpoint, row.address) == place]
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


def key_group(spec: CertificateSpec, lives: Lives, sights: Sights, since: datetime, now: datetime) -> Group:
    """Return a certificate's keys as rows, those that were gone before ``since`` left out."""
    own = [life for life in lives.of_certificate(spec.name) if life.gone_at is None or life.gone_at > since]
    shown = own[-MOST_KEYS:]
    rows = tuple(_key_row(life, sights, now) for life in shown)
    left_out = count(len(own) - len(shown), "earlier key is", "earlier keys are")
    return Group("Keys", f"Keys of {spec.name}", rows, left_out)


def _key_row(life: Life, sights: Sights, now: datetime) -> Row:
    key = life.key
    spans = life.spans(Interval(key.made_at, life.gone_at), "kept")
    for interval in sights.live(lambda chain: chain.spki_sha256 == key.spki_sha256):
        spans.extend(life.spans(interval, "live"))
    notes = [ROLE_WORDS[life.stands], key.algorithm.upper()]
    if key.destroyed_at and key.destroyed_at <= now:
        notes.append("destroyed")
    elif key.archived_at and key.archived_at <= now:
        notes.append("put away")
    if key.compromised_at:
        notes.append("compromised")
    if key.origin == "elsewhere":
        notes.append("kept elsewhere")
    return Row("a key to be made" if life.to_be_made else digest(key.spki_sha256), ", ".join(notes), tuple(spans))


def certificate_group(
    spec: CertificateSpec, before: Facts, facts: Facts, lives: Lives, sights: Sights, since: datetime, now: datetime
) -> Group:
    """Return the chains issued for a certificate and those found presented by this host, as rows.

    ``before`` are the facts of now, ``facts`` those of the plan's end: a chain that only these have is to be ordered.
    """
    known = {row.chain.leaf_sha256 for row in before.chains}
    issued = {row.chain.leaf_sha256: row for row in facts.chains if row.certificate == spec.name}
    found = {row.chain.leaf_sha256: row.chain for row in sights.rows if row.mine} if spec.deployments else {}
    chains = [row.chain for row in issued.values()] + [
        chain for leaf, chain in found.items() if leaf not in issued and not _is_issued(facts, leaf)
    ]
    rows = []
    for chain in sorted(chains, key=lambda chain: chain.not_before):
        spans = _certificate_spans(chain, issued.get(chain.leaf_sha256), lives, sights, now, spec.name)
        if is_after(spans, since):
            planned = chain.leaf_sha256 in issued.keys() - known
            rows.append(_certificate_row(chain, issued.get(chain.leaf_sha256), spans, now, planned=planned))
    shown = rows[-MOST_CERTIFICATES:]
    left_out = count(len(rows) - len(shown), "earlier certificate is", "earlier certificates are")
    return Group("Certificates", f"Certificates of {spec.name}", tuple(shown), left_out)


def _certificate_spans(
    chain: Chain, row: ChainFact | None, lives: Lives, sights: Sights, now: datetime, certificate: str
) -> tuple[Span, ...]:
    life = lives.of_key(chain.spki_sha256, certificate)
    owner: Life | Role = "foreign" if life is None else life
    ends = min(chain.not_after, (row.revoked_at if row else None) or chain.not_after)
    begins = max(row.obtained_at, chain.not_before) if row else chain.not_before
    spans = [*spans_of(owner, Interval(begins, ends), "valid")]
    for interval in sights.live(lambda seen: seen.leaf_sha256 == chain.leaf_sha256):
        # Nobody plans to present it any longer than it is valid; one that is over by now may well be presented still.
        until = ends if interval.end is None and ends > now else interval.end
        spans.extend(spans_of(owner, Interval(interval.start, until), "live"))
    return tuple(spans)


def _certificate_row(
    chain: Chain, row: ChainFact | None, spans: tuple[Span, ...], now: datetime, *, planned: bool
) -> Row:
    note = f"until {chain.not_after:%Y-%m-%d}"
    if row is None:
        note += ", found here"
    elif row.revoked_at and row.revoked_at <= now:
        note = f"revoked {row.revoked_at:%Y-%m-%d}"
    return Row("a certificate to be ordered" if planned else digest(chain.leaf_sha256), note, spans)


def _is_issued(facts: Facts, leaf_sha256: str) -> bool:
    return any(row.chain.leaf_sha256 == leaf_sha256 for row in facts.chains)


def ends(groups: Iterable[Group]) -> list[datetime]:
    """Return every instant at which a span of some groups begins or ends."""
    return [
        at
        for group in groups
        for row in group.rows
        for each in row.spans
        for at in (each.start, each.end)
        if at is not None
    ]
