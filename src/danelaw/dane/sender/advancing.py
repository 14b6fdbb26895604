"""From a target and the answers so far to the next questions or the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from danelaw.dane.findings import find
from danelaw.dane.sender import endpoints
from danelaw.dane.sender.asking import Asking, Known
from danelaw.dane.sender.discovery import SMTP_PORT, Found, Place, discover
from danelaw.dane.sender.hosts import HostState, look_up
from danelaw.dane.sender.senders import Situation, worst
from danelaw.model import (
    MAIL_SENDERS,
    Discovery,
    EndpointReport,
    KeyAlgorithm,
    LookedUp,
    Outcome,
    PolicyFound,
    Question,
    Report,
    Sender,
    Target,
)

Status = Literal[0, 1, 3, 4]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants beside the verdict.

    ``ttls`` is what the config asks for by owner name (with the final dot), in seconds. ``authorities``: ask every
    authoritative server about the TLSA records, too. ``policy``: look for MTA-STS and TLSRPT. ``roots_der``: the CA
    certificates that clients of usages 0 and 1 trust, DER.
    """

    ttls: Mapping[str, int] = field(default_factory=dict)
    authorities: bool = True
    policy: bool = True
    roots_der: tuple[bytes, ...] = field(default=(), repr=False)


def advance(target: Target, known: Known, now: datetime, wishes: Wishes | None = None) -> frozenset[Question] | Report:
    """Return what to ask next, never anything that is known, or the report (RFC 7672 section 2)."""
    wishes = wishes or Wishes()
    asking = Asking(known)
    found = discover(target, asking)
    places = () if found is None else found.places
    looked = [(each, look_up(each, found, asking, authorities=wishes.authorities)) for each in places if found]
    states = [(place, state) for place, state in looked if state is not None]
    origin = target.name if target.protocol in {"xmpp-client", "xmpp-server"} else ""
    met = [endpoints.meet(place, state, found, asking, origin) for place, state in states if found]
    beside, policy = _beside(target, found, [state for _, state in states], asking, wishes)
    if asking.missing or found is None:
        return frozenset(asking.missing)
    # Only now: what a hostile domain presents takes long to judge, and so it is judged once.
    reports = [
        endpoints.report(place, state, _situation(place, state, found, now, wishes), shaken)
        for (place, state), shaken in zip(states, met, strict=True)
    ]
    return _report(target, now, found, reports, beside, policy, wishes)


def _situation(place: Place, state: HostState, found: Found, now: datetime, wishes: Wishes) -> Situation:
    return Situation(
        tlsa=state.tlsa,
        senders=MAIL_SENDERS if found.senders_of_mail else ("client",),
        secure=found.secure,
        unexpanded=state.canonical != place.host and state.tlsa.base == place.host and bool(state.tlsa.asked),
        smtp=found.senders_of_mail,
        ours=state.ours,
        now=now,
        roots_der=wishes.roots_der,
    )


def _beside(
    target: Target, found: Found | None, states: Sequence[HostState], asking: Asking, wishes: Wishes
) -> tuple[list[LookedUp], PolicyFound | None]:
    """Ask what no sender asks on its way, and findings rest on."""
    if found is None or found.discovery.kind in {"missing", "error"}:
        return [], None
    looked = []
    for state in states:
        if state.tlsa.kind in {"usable", "unusable"}:
            looked.append(asking.lookup(f"_tcp.{state.tlsa.base}", "TLSA"))
        elif state.tlsa.kind == "not-asked" and state.tlsa.owner and state.addresses:
            looked.append(asking.lookup(state.tlsa.owner.removesuffix("."), "TLSA"))
    policy = None
    if target.port is None and found.senders_of_mail:
        if all(place.host != target.name for place in found.places):
            looked.append(asking.lookup(f"_{SMTP_PORT}._tcp.{target.name}", "TLSA"))
        if wishes.policy and found.discovery.kind != "null":
            looked.append(asking.lookup(f"_smtp._tls.{target.name}", "TXT"))  # RFC 8460 section 3
            sts = asking.lookup(f"_mta-sts.{target.name}", "TXT")  # RFC 8461 section 3.1
            looked.append(sts)
            if sts is not None and any(text.startswith("v=STSv1") for text in sts.texts):
                policy = asking.policy(target.name)
    return list({each.lookup: each for each in looked if each is not None}.values()), policy


def _report(
    target: Target,
    now: datetime,
    found: Found,
    reports: Sequence[EndpointReport],
    beside: Sequence[LookedUp],
    policy: PolicyFound | None,
    wishes: Wishes,
) -> Report:
    senders: tuple[Sender, ...] = MAIL_SENDERS if found.senders_of_mail else ("client",)
    outcomes: dict[Sender, Outcome] = {}
    delivers: dict[Sender, bool | None] = {}
    if found.discovery.kind != "null":
        for sender in senders:
            outcomes[sender] = _found_nothing(found.discovery) or worst(each.outcomes[sender] for each in reports)
            delivers[sender] = _delivers(sender, found, reports)
    report = Report(
        target=target,
        at=now,
        discovery=found.discovery,
        endpoints=tuple(reports),
        outcomes=outcomes,
        delivers=delivers,
        status=_status(found, outcomes, reports),
        policy=policy,
        beside=tuple(beside),
    )
    return replace(report, findings=find(report, wishes.ttls))


def _found_nothing(discovery: Discovery) -> Outcome | None:
    """Return every sender's outcome where there is no host to go to, else None."""
    if discovery.kind == "missing":
        return "unknown"
    if discovery.kind == "error":
        # RFC 7672 section 2.1.2: whoever cannot learn where to deliver must wait.
        return "unknown" if discovery.found and discovery.found.ours else "deferred"
    return None


def _delivers(sender: Sender, found: Found, reports: Sequence[EndpointReport]) -> bool | None:
    """Tell whether mail gets through by some address of some host, whatever the others do; None: cannot tell."""
    if not reports:
        return False if _found_nothing(found.discovery) == "deferred" else None
    unknown = False
    for report in reports:
        by_address: dict[str, dict[KeyAlgorithm | None, Outcome]] = {}
        for attempt in report.attempts:
            if attempt.outcomes:
                asked_for = attempt.shaken.handshake.algorithm
                by_address.setdefault(attempt.address, {})[asked_for] = attempt.outcomes[sender]
        if not report.addresses and not any(each.failed for each in report.lookups):
            continue  # RFC 7672 section 2.2.2: without an address the destination is unreachable
        # Senders take any kind of certificate, as the free handshake did; what it got is what most of them get.
        here = [each.get(None, worst(each.values())) for each in by_address.values()] or [report.outcomes[sender]]
        if any(outcome in {"authenticated", "encrypted", "opportunistic"} for outcome in here):
            return True
        unknown = unknown or "unknown" in here
    return None if unknown else False


def _status(found: Found, outcomes: Mapping[Sender, Outcome], reports: Sequence[EndpointReport]) -> Status:
    """Return the exit status: of several the first of 1, 4, 3, 0 (design.md)."""
    if found.discovery.kind == "null":
        return 3
    every = {*outcomes.values(), *(outcome for report in reports for outcome in report.outcomes.values())}
    if "deferred" in every:
        return 1
    if "unknown" in every or not every:
        return 4
    return 0 if every == {"authenticated"} else 3
