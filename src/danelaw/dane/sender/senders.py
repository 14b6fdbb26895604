"""What each sender makes of one attempt, where Postfix, Exim, mox and Exchange differ (RFC 7672 sections 2.2, 3.2).

They differ in what the RFC leaves free: whether DANE is used behind an insecure MX (section 2.2.1), what happens where
no record is usable, which names a certificate below a pinned CA may bear, whether a weaker digest counts beside a
stronger one (RFC 7671 section 9), and whether the dates of a pinned certificate matter.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from danelaw.dane.evidence import verify
from danelaw.model import Attempt, Chain, Outcome, RecordVerdict, Sender, Shaken, TlsaRecord, TlsaState


@dataclass(frozen=True, slots=True)
class Profile:
    """One sender's ways.

    ``secure_mx_only``: no DANE behind an insecure MX or SRV. ``unusable``: what it does where records stand and none is
    usable. ``next_hop_names``: the next-hop domain is a reference name, too. ``agility``: of two digests only the
    stronger counts. ``dates``: the leaf must not have expired, whatever pins it. ``unexpanded``: where a host is an
    alias, records at its own name count, too.
    """

    secure_mx_only: bool = True
    unusable: Outcome = "encrypted"
    next_hop_names: bool = True
    agility: bool = True
    dates: bool = False
    unexpanded: bool = True


PROFILES: Mapping[Sender, Profile] = {
    "postfix": Profile(secure_mx_only=False),
    "exim": Profile(unusable="deferred", next_hop_names=False, unexpanded=False),
    "mox": Profile(agility=False),
    "exchange": Profile(agility=False, dates=True),
    # RFC 7673 section 4.1: without a usable record, the ordinary rules for certificates.
    "client": Profile(unusable="opportunistic"),
}

BEFORE_TLS = frozenset(
    {
        *("no-route", "forbidden", "not-asked", "refused", "unreachable", "timeout", "silent", "hung-up"),
        *("turned-away", "greylisted", "rejected", "not-spoken", "flood"),
    }
)
"""Failures before a server could have said whether it offers TLS: they tell nothing about DANE."""

_ORDER: tuple[Outcome, ...] = ("deferred", "unknown", "opportunistic", "encrypted", "authenticated")


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of outcomes, ``unknown`` of none."""
    return min(outcomes, key=_ORDER.index, default="unknown")


@dataclass(frozen=True, slots=True)
class Situation:
    """What is the same for every attempt at one endpoint.

    ``secure``: MX or SRV were, or there was no need of them. ``unexpanded``: the host is an alias, and its own name is
    the base domain (RFC 7672 section 2.2.3). ``ours``: a failed look-up is this machine's own fault.
    """

    tlsa: TlsaState
    senders: tuple[Sender, ...]
    secure: bool
    unexpanded: bool
    smtp: bool
    ours: bool
    now: datetime
    roots_der: tuple[bytes, ...] = ()

    def uses_dane(self, sender: Sender) -> bool:
        """Return whether a sender looks for TLSA records at this endpoint at all."""
        profile = PROFILES[sender]
        return (self.secure or not profile.secure_mx_only) and (profile.unexpanded or not self.unexpanded)

    def unreachable(self) -> Mapping[Sender, Outcome]:
        """Return the outcomes where the addresses cannot be learnt: nobody comes (RFC 7672 section 2.1.2)."""
        return dict.fromkeys(self.senders, "unknown" if self.ours else "deferred")


def judge(situation: Situation, address: str, shaken: Shaken) -> Attempt:
    """Return an attempt with the verdict of every record and every sender."""
    chain = shaken.chain
    algorithm = shaken.handshake.algorithm
    if chain is not None and chain.algorithm != "other":
        algorithm = chain.algorithm
    if shaken.failure == "not-offered":
        return Attempt(address, algorithm, shaken)
    records = () if chain is None else _verify(situation, situation.tlsa.records, chain, situation.tlsa.reference_names)
    outcomes = {sender: _outcome(situation, sender, shaken, records) for sender in situation.senders}
    return Attempt(address, algorithm, shaken, records, outcomes)


def _outcome(situation: Situation, sender: Sender, shaken: Shaken, records: tuple[RecordVerdict, ...]) -> Outcome:
    kind = situation.tlsa.kind if situation.uses_dane(sender) else "not-asked"
    if kind == "error":
        return "unknown" if situation.ours else "deferred"
    if shaken.failure in BEFORE_TLS:
        return "unknown"
    if kind not in {"usable", "unusable"}:
        return "opportunistic"
    profile = PROFILES[sender]
    if kind == "unusable":
        # RFC 7672 section 2.2: TLS, without authentication; RFC 7673 section 4: TLS, by the ordinary rules (4.1).
        return "deferred" if shaken.chain is None else profile.unusable
    if shaken.chain is None:
        return "deferred"
    if _accepts(situation, sender, shaken.chain, records):
        return "authenticated"
    return "unknown" if _wants_roots(situation, records) else "deferred"


def _wants_roots(situation: Situation, records: tuple[RecordVerdict, ...]) -> bool:
    """Return whether a record could match if this machine knew any trusted CA, so that the fault may be ours."""
    return not situation.roots_der and any(
        each.usable and (each.record.usage == 0 or (each.record.usage == 1 and each.depth == 0)) for each in records
    )


def _accepts(situation: Situation, sender: Sender, chain: Chain, records: tuple[RecordVerdict, ...]) -> bool:
    profile = PROFILES[sender]
    if profile.dates and not chain.not_before <= situation.now <= chain.not_after:
        return False
    good = [each.record for each in records if each.matches and (each.counts or not profile.agility)]
    names = situation.tlsa.reference_names
    if not profile.next_hop_names and len(names) > 1:
        # What matches with one name matches with all: only what does is judged again.
        return any(each.matches for each in _verify(situation, good, chain, names[:1]))
    return bool(good)


def _verify(
    situation: Situation, records: Sequence[TlsaRecord], chain: Chain, names: tuple[str, ...]
) -> tuple[RecordVerdict, ...]:
    return verify(records, chain, names, situation.now, smtp=situation.smtp, roots_der=situation.roots_der)
