"""When a renewal is due, which chain is current, and when something that failed is tried again."""

from datetime import datetime, timedelta

from danelaw.model import CertificateSpec, Chain, ChainFact, Effect, Facts, Intent

BACK_OFF = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))
"""After the first, second, third and every later failure in a row."""


def back_off(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row (at least one)."""
    return BACK_OFF[min(failures, len(BACK_OFF)) - 1]


def renewal_at(chain: Chain) -> datetime:
    """Return when a chain is due: at a third of its lifetime left, at half where it lives under ten days."""
    lifetime = chain.not_after - chain.not_before
    return chain.not_after - lifetime / (2 if lifetime < timedelta(days=10) else 3)


def current_chain(facts: Facts, spec: CertificateSpec, spki_sha256: str, now: datetime) -> ChainFact | None:
    """Return the newest chain over a key that has the names asked for and is neither revoked nor expired."""
    return max(
        (
            row
            for row in facts.chains
            if row.certificate == spec.name
            and row.chain.spki_sha256 == spki_sha256
            and set(spec.names) <= set(row.chain.names)
            and row.revoked_at is None
            and row.chain.not_after > now
        ),
        key=lambda row: row.obtained_at,
        default=None,
    )


def open_intent(facts: Facts, certificate: str) -> Intent | None:
    """Return the newest request to renew that no chain obtained since has answered."""
    obtained = max((row.obtained_at for row in facts.chains if row.certificate == certificate), default=None)
    return max(
        (
            row
            for row in facts.intents
            if (row.certificate, row.kind) == (certificate, "renew")
            and row.closed_at is None
            and (obtained is None or obtained < row.asked_at)
        ),
        key=lambda row: row.asked_at,
        default=None,
    )


def failures(facts: Facts, kind: str, subject: str, outcome: str = "failed") -> list[Effect]:
    """Return the ended tries of one kind and subject that came out so since it last came out otherwise.

    A crash is no failed try: an effect without an end, or one that was interrupted, does not count.
    """
    row: list[Effect] = []
    for effect in facts.effects:
        if effect.kind == kind and effect.subject == subject and effect.outcome not in {None, "interrupted"}:
            row = [*row, effect] if effect.outcome == outcome else []
    return row


def retry_at(facts: Facts, kind: str, subject: str, forgive: datetime | None = None) -> tuple[datetime, Effect] | None:
    """Return when a failed effect is tried again, with the last try; None where nothing failed.

    A CA's or server's own instant (Retry-After) counts where it is later. Failures up to ``forgive`` (``--retry-now``)
    are forgiven.
    """
    failed = failures(facts, kind, subject)
    if not failed:
        return None
    last = failed[-1]
    ended = last.ended_at or last.began_at
    if forgive is not None and ended <= forgive:
        return None
    at = ended + back_off(len(failed))
    return (max(at, last.retry_at) if last.retry_at else at), last
