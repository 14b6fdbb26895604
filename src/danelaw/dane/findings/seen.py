"""What several findings ask of a report, and how its parts are named for people."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from danelaw import pki
from danelaw.model import (
    MAIL_SENDERS,
    Attempt,
    Chain,
    EndpointReport,
    FailureKind,
    LookedUp,
    Outcome,
    Report,
    Sender,
    Severity,
)

SENDERS: dict[Sender, str] = {
    "postfix": "Postfix",
    "exim": "Exim",
    "mox": "mox",
    "exchange": "Exchange",
    "client": "clients that obey DANE",
}

BEFORE_TLS = frozenset(
    {
        *("no-route", "forbidden", "not-asked", "refused", "unreachable", "timeout", "silent", "hung-up"),
        *("turned-away", "greylisted", "rejected", "not-spoken", "flood"),
    }
)
"""Failures that leave open whether the server offers TLS."""

OURS: frozenset[FailureKind] = frozenset({"no-route", "forbidden", "not-asked"})
"""Failures of this machine, which say nothing of the server."""

_LISTED = 8
"""How many names or addresses a sentence lists; the others are counted."""


# --- words -----------------------------------------------------------------------------------------------------------


def shown(text: str, limit: int = 160) -> str:
    """Return what a stranger wrote, short and without control characters."""
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)


def listed(items: Iterable[str], last: str = "and") -> str:
    """Return ``a, b and c``, each once; of many the first ones and how many more there are."""
    every = list(dict.fromkeys(items))
    if len(every) > _LISTED:
        return f"{', '.join(every[:_LISTED])} {last} {len(every) - _LISTED} more"
    if len(every) < 2:
        return "".join(every)
    return f"{', '.join(every[:-1])} {last} {every[-1]}"


def because(why: str) -> str:
    """Return a reason behind a colon, "" where none is known."""
    return f": {shown(why, 300)}" if why else ""


def counted(number: int, one: str, several: str = "") -> str:
    """Return ``1 record``, ``2 records``."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def day(at: datetime) -> str:
    """Return a date for people."""
    return f"{at:%Y-%m-%d}"


def minute(at: datetime) -> str:
    """Return an instant for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def duration(seconds: int) -> str:
    """Return a TTL for people: ``3600 s``, and in hours or days where it is long."""
    if seconds >= 2 * 86400:
        return f"{seconds} s ({seconds // 86400} days)"
    return f"{seconds} s ({seconds // 3600} hours)" if seconds >= 2 * 3600 else f"{seconds} s"


# --- senders ---------------------------------------------------------------------------------------------------------


def is_mail(endpoint: EndpointReport) -> bool:
    """Return whether those who come are mail servers (RFC 7672), not clients of another service."""
    return any(sender in MAIL_SENDERS for sender in endpoint.outcomes) or (
        not endpoint.outcomes and endpoint.protocol == "smtp" and endpoint.port == 25
    )


def visitors(endpoint: EndpointReport) -> str:
    """Return what those who come are called."""
    return "senders" if is_mail(endpoint) else "clients"


def with_outcome(attempts: Iterable[Attempt], *outcomes: Outcome) -> list[Sender]:
    """Return the senders that come to one of the outcomes in one of the attempts."""
    found = {sender for each in attempts for sender, outcome in each.outcomes.items() if outcome in outcomes}
    return [sender for sender in SENDERS if sender in found]


def effect(attempts: Sequence[Attempt]) -> str:
    """Return what senders do in these attempts: ``Postfix and Exim do not deliver here, mox does``; "" if all do."""
    refusing = with_outcome(attempts, "deferred")
    if not refusing:
        return ""
    if "client" in refusing:
        return "clients that obey DANE do not go on"
    going = [
        SENDERS[sender]
        for sender in with_outcome(attempts, "authenticated", "encrypted", "opportunistic")
        if sender not in refusing
    ]
    verb, does = ("does" if len(some) == 1 else "do" for some in (refusing, going))
    tail = f", {listed(going)} {does}" if going else ""
    return f"{listed(SENDERS[sender] for sender in refusing)} {verb} not deliver here{tail}"


def and_so(text: str, attempts: Sequence[Attempt]) -> str:
    """Return a sentence with what senders do behind it, where some do not deliver."""
    result = effect(attempts)
    return f"{text}: {result}" if result else text


def refusing(text: str, attempts: Sequence[Attempt]) -> tuple[str, Severity]:
    """Return a sentence on what the records refuse, with what follows from it behind it, and how grave that is.

    RFC 7673 section 3.1: without signed SRV records clients go on without DANE, so that nobody is refused.
    """
    if with_outcome(attempts, "deferred"):
        return and_so(text, attempts), "error"
    return f"{text}; without signed SRV records clients do not ask for them, and go on all the same", "warning"


# --- attempts --------------------------------------------------------------------------------------------------------


def with_chain(endpoint: EndpointReport) -> list[tuple[Attempt, Chain]]:
    """Return the attempts that brought a chain."""
    return [(each, each.shaken.chain) for each in endpoint.attempts if each.shaken.chain is not None]


def at_addresses(endpoint: EndpointReport, attempts: Iterable[Attempt]) -> str:
    """Return the endpoint's name, and the addresses of these attempts, unless they are all that could be tried."""
    here = dict.fromkeys(each.address for each in attempts)
    if {each.address for each in endpoint.attempts if each.shaken.failure not in OURS} <= set(here):
        return endpoint.name
    return f"{endpoint.name} at {listed(here)}"


def kind_name(attempt: Attempt) -> str:
    """Return ``RSA`` or ``ECDSA``, "" where the kind of certificate is neither, or was not asked for."""
    return attempt.algorithm.upper() if attempt.algorithm else ""


def accepted(attempt: Attempt) -> bool:
    """Return whether a sender that obeys the RFCs to the letter authenticates the chain."""
    return any(each.counts and each.matches for each in attempt.records)


def leaf_out_of_date(chain: Chain, at: datetime) -> bool:
    """Return whether a leaf has expired or is not valid yet."""
    return not chain.not_before <= at <= chain.not_after


@lru_cache(maxsize=128)
def reached(chain: Chain, at: datetime | None) -> frozenset[bytes]:
    """Return the CA certificates presented that a leaf chains up to, all valid at an instant, or whenever (None).

    Remembered, since a hostile chain takes long to climb and several findings ask.
    """
    return frozenset(pki.issuers(chain.certificates_der, chain.names, at))


# --- the whole -------------------------------------------------------------------------------------------------------


def port_25_is_blocked(report: Report) -> bool:
    """Return whether every attempt at port 25 ran into silence on the way, as behind a provider's filter."""
    tried = [
        attempt.shaken.failure
        for endpoint in report.endpoints
        if endpoint.port == 25
        for attempt in endpoint.attempts
        if attempt.shaken.failure not in OURS
    ]
    return "timeout" in tried and all(failure in {"timeout", "unreachable"} for failure in tried)


def all_lookups(report: Report) -> Iterator[LookedUp]:
    """Yield every validated look-up of a report once."""
    every = [report.discovery.found, *report.beside]
    for endpoint in report.endpoints:
        every += [*endpoint.lookups, endpoint.tlsa.found]
    yield from {each.lookup: each for each in every if each is not None}.values()


def beside(report: Report, name: str, rrtype: str) -> LookedUp | None:
    """Return a further look-up of a name (without the final dot) and type, None where it was not made."""
    found = (each for each in report.beside if (each.lookup.name, each.lookup.rrtype) == (name, rrtype))
    return next(found, None)


def wants_roots(endpoint: EndpointReport, attempt: Attempt) -> bool:
    """Return whether it cannot be told of a chain if the records fit, since this machine knows no trusted CA."""
    return (
        endpoint.tlsa.kind == "usable"
        and attempt.shaken.chain is not None
        and attempt.outcomes.get("client") == "unknown"
    )


def protects(endpoint: EndpointReport) -> bool:
    """Return whether secure TLSA records stand for an endpoint."""
    return endpoint.tlsa.kind in {"usable", "unusable"}
