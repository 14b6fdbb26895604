"""A certificate's keys and chains over time: kept or valid, and while some address presents them, live."""

from collections.abc import Iterable
from datetime import datetime

from danelaw.model import CertificateSpec, Chain, ChainFact, Facts
from danelaw.web.timeline.intervals import Interval
from danelaw.web.timeline.lives import Life, Lives, digest, spans_of
from danelaw.web.timeline.sights import Sights
from danelaw.web.timeline.spans import ROLE_WORDS, Group, Role, Row, Span, count, is_after

MOST_KEYS = 8
MOST_CERTIFICATES = 8


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
