"""Handshakes with every address of a place, for every kind of certificate, and what senders make of them."""

from dataclasses import replace

from danelaw.dane.sender.asking import Asking
from danelaw.dane.sender.discovery import Found, Place
from danelaw.dane.sender.hosts import HostState
from danelaw.dane.sender.senders import BEFORE_TLS, Situation, judge, worst
from danelaw.model import Attempt, EndpointReport, Handshake, KeyAlgorithm, Shaken

MAX_ADDRESSES = 16
"""Addresses of one host that are looked at."""

ALGORITHMS: tuple[KeyAlgorithm, ...] = ("rsa", "ecdsa")


def meet(place: Place, state: HostState, found: Found, asking: Asking, origin: str) -> list[tuple[str, Shaken]]:
    """Return what the handshakes at each address brought, as far as their answers are known."""
    uses_records = found.secure and state.tlsa.kind == "usable"
    # RFC 7673 section 4.1: without usable records the service domain is the preferred name for SNI, not the target.
    preferred = "" if uses_records else found.service
    free = Handshake(state.server_name or place.host, "", place.port, place.protocol, None, origin, preferred)
    return [
        (address, shaken)
        for address in _looked_at(state.addresses)
        for shaken in _shake(replace(free, address=address), asking) or ()
    ]


def report(place: Place, state: HostState, situation: Situation, met: list[tuple[str, Shaken]]) -> EndpointReport:
    """Return an endpoint as senders meet it."""
    attempts = [judge(situation, address, shaken) for address, shaken in met]
    judged = _judged(attempts)
    if state.failed:
        outcomes = situation.unreachable()
    else:
        outcomes = {
            sender: worst(attempt.outcomes[sender] for attempt in judged if attempt.outcomes)
            for sender in situation.senders
        }
    return EndpointReport(
        host=place.host,
        port=place.port,
        protocol=place.protocol,
        preference=place.preference,
        addresses=state.addresses,
        security=state.security,
        canonical=state.canonical,
        tlsa=situation.tlsa,
        first_alias=state.first_alias,
        lookups=state.lookups,
        attempts=tuple(attempts),
        outcomes=outcomes,
        why=state.why,
    )


def _looked_at(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many addresses as are looked at, of both families where there are both."""
    four = [each for each in addresses if ":" not in each]
    six = [each for each in addresses if ":" in each]
    kept = four[: max(MAX_ADDRESSES // 2, MAX_ADDRESSES - len(six))]
    return (*kept, *six[: MAX_ADDRESSES - len(kept)])


def _shake(any_kind: Handshake, asking: Asking) -> list[Shaken] | None:
    """Shake hands for any certificate, then for the kinds that this did not show."""
    free = asking.shake(any_kind)
    if free is None:
        return None
    if free.failure in BEFORE_TLS or free.failure in {"no-starttls", "starttls-refused", "injected"}:
        return [free]
    shown = free.chain.algorithm if free.chain else None
    found = [free]
    missing = False
    for algorithm in ALGORITHMS:
        if algorithm == shown:
            continue
        asked = asking.shake(replace(any_kind, algorithm=algorithm))
        if asked is None:
            missing = True
        else:
            found.append(asked)
    if missing:
        return None
    return _told_once(found)


def _told_once(found: list[Shaken]) -> list[Shaken]:
    """Leave out what says nothing of its own: of a failure for any certificate and one for a kind, one is enough.

    An unrestricted handshake that fails stays where no restricted one does: senders ask for any certificate.
    """
    free, *asked = found
    if free.chain is not None:
        return found
    if any(each.chain is not None for each in asked):
        fails = any(each.failure not in {None, "not-offered"} for each in asked)
        return asked if fails else found
    return [free] if all(each.failure in {free.failure, "not-offered"} for each in asked) else found


def _judged(attempts: list[Attempt]) -> list[Attempt]:
    """Leave out what this machine has no way to, where there is something that it could look at (rules.md, L)."""
    reached = [attempt for attempt in attempts if attempt.shaken.failure != "no-route"]
    return reached or attempts
