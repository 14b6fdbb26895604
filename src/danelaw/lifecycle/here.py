"""Which addresses of an endpoint are this host's, and what the others, which we only look at, present."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from danelaw import dane
from danelaw.lifecycle.gate import endpoints_at
from danelaw.lifecycle.sight import ADDRESS_TTL, looked_at, presented_now, silent_now
from danelaw.model import Deployment, Desired, Endpoint, Facts, Presented, Silent, TlsaRecord

DNS_SAYS = "DNS: "
"""How the problem of a silence begins that is DNS's doing, not the service's."""


def remedy_of(silence: Silent) -> str:
    """Return what ends a silence."""
    if silence.problem.startswith(DNS_SAYS):
        return f"mend what DNS says of {silence.endpoint.host}; apply looks again"
    return "start the service"


def latest_at(facts: Facts, endpoint: Endpoint, now: datetime) -> Iterator[Presented | Silent]:
    """Yield one row for each address that an endpoint had at the last look: what was seen of it last."""
    for address in looked_at(facts, endpoint, timedelta(0), now):
        silent = silent_now(facts, endpoint, address)
        rows: Sequence[Presented | Silent] = [silent] if silent else presented_now(facts, endpoint, address)
        yield from rows[:1]


def not_here(facts: Facts, deployment: Deployment, now: datetime) -> str:
    """Return in words which endpoints of a deployment have no address of this host; "" where there are none.

    What went live could be proven there never. An endpoint that nobody has looked at yet is none of them.
    """
    found = []
    for endpoint in deployment.endpoints:
        rows = [*latest_at(facts, endpoint, now)]
        if not rows or any(row.mine for row in rows):
            continue
        lost = [row.problem for row in rows if isinstance(row, Silent) and row.problem.startswith(DNS_SAYS)]
        places = ", ".join(row.address for row in rows)
        found.append(f"{endpoint}: {lost[0]}" if lost else f"none of {places} at {endpoint} is this host's")
    return "; ".join(dict.fromkeys(found))


def silent_elsewhere(facts: Facts, endpoint: Endpoint, now: datetime) -> tuple[Silent, ...]:
    """Return the other hosts' addresses of an endpoint that said nothing at the last look."""
    rows = latest_at(facts, endpoint, now)
    return tuple(
        row for row in rows if isinstance(row, Silent) and not row.mine and not row.problem.startswith(DNS_SAYS)
    )


def in_use_elsewhere(
    facts: Facts, desired: Desired, owner: str, record: TlsaRecord, wanted: Sequence[TlsaRecord]
) -> bool:
    """Tell whether another host, over another key than the records wanted are of, presents what a record matches."""
    margin = ADDRESS_TTL + desired.lookup_margin
    for endpoint in endpoints_at(desired, owner):
        rows = [row for row in facts.presented if row.endpoint == endpoint]
        now = max((row.last_at for row in rows), default=None)
        for address in looked_at(facts, endpoint, margin, now) if now else ():
            for row in presented_now(facts, endpoint, address):
                theirs = not row.mine and not any(dane.matches(each, row.chain) for each in wanted)
                if theirs and dane.matches(record, row.chain):
                    return True
    return False
