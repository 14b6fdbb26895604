"""What one server's answer about a TLSA owner name means. Pure: an answer in, a verdict out."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from danelaw.dns import message as wire
from danelaw.dns.delegations import Delegation, delegation_in, referral_in
from danelaw.dns.message import Message, Name, Record
from danelaw.dns.unbound import Resolution
from danelaw.model import TlsaRecord


@dataclass(frozen=True, slots=True)
class Answered:
    """An authoritative RRset, or (empty ``rdatas``) proven absence. Fields as in `model.Reading`.

    ``signed`` tells whether RRSIGs came with it, without which ``wildcard`` says nothing.
    """

    rcode: Literal["NOERROR", "NXDOMAIN"]
    rdatas: tuple[TlsaRecord, ...] = ()
    ttl: int = 0
    original_ttl: int = 0
    rrsig_expires: datetime | None = None
    wildcard: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Alias:
    """A CNAME stands at the name. ``ttl`` is the largest served or original one of what leads to ``target``."""

    target: Name
    ttl: int


@dataclass(frozen=True, slots=True)
class Referred:
    """The server is not responsible: the name is in a zone below."""

    zone: Name
    delegation: Delegation


@dataclass(frozen=True, slots=True)
class Bad:
    """No authoritative answer; ``problem`` says what came in its place."""

    problem: str


_PROVING: Mapping[str, Literal["NOERROR", "NXDOMAIN"]] = {"NOERROR": "NOERROR", "NXDOMAIN": "NXDOMAIN"}

Verdict = Answered | Alias | Referred | Bad


def read(answer: Message, name: Name, zone: Name, now: datetime) -> Verdict:
    """Read the answer of a server of ``zone`` to the question for TLSA at ``name``.

    Only AA with NOERROR or NXDOMAIN proves anything (rules.md, G); REFUSED, SERVFAIL and lame answers do not.
    """
    rcode = _PROVING.get(answer.rcode)
    if rcode is None:
        return Bad(f"answers {answer.rcode}")
    if not answer.aa:
        cut = referral_in(answer, zone, name)
        if cut is not None:
            return Referred(cut, delegation_in(answer, cut))
        return Bad("is lame: its answer is not authoritative for the zone")
    aliases = answer.answers(name, wire.CNAME)
    if aliases:
        return _alias(answer, aliases, name, now)
    records = answer.answers(name, wire.TLSA)
    if not records:
        return Answered(rcode)
    if rcode == "NXDOMAIN":
        return Bad("contradicts itself: NXDOMAIN with records")
    signatures = wire.signatures(answer.answer, name, (wire.TLSA,), now)
    return Answered(
        rcode,
        wire.tlsa(records),
        max(rr.ttl for rr in records),
        max((s.original_ttl for s in signatures), default=0),
        max((s.expires for s in signatures), default=None),
        any(s.by_wildcard for s in signatures),
        bool(signatures),
    )


def _alias(answer: Message, aliases: tuple[Record, ...], name: Name, now: datetime) -> Verdict:
    targets = {rr.target for rr in aliases if rr.target is not None}
    if len(targets) != 1:
        return Bad("answers with a CNAME that leads nowhere, or to several names")
    # a CNAME that a DNAME gave carries its TTL, or 0 from old servers: what the DNAME says counts too (RFC 6672 3.1)
    leading = [rr for rr in answer.answer if rr.rrtype == wire.DNAME and name.is_subdomain(rr.name)]
    ttls = [rr.ttl for rr in (*aliases, *leading)]
    for rr in (*aliases, *leading):
        ttls += [s.original_ttl for s in wire.signatures(answer.answer, rr.name, (rr.rrtype,), now)]
    return Alias(targets.pop(), max(ttls))


def zone_signing(found: Resolution | None, name: Name) -> Name | None:
    """Return the zone that holds what validation found at a name; None where nothing there proves which it is.

    It is the one that signed the RRset (RFC 4035 section 5.3.1), or whose SOA came with the proof that there is none
    (RFC 2308 section 3).
    """
    if found is None or found.security != "secure" or found.message is None:
        return None
    answer = found.message
    if answer.answer:
        signers = {wire.signer(rr) for rr in answer.answer if rr.rrtype == wire.RRSIG and rr.name == name}
    elif answer.question is not None and answer.question.name == name:
        signers = {wire.signer(rr) for rr in answer.authority if rr.rrtype == wire.RRSIG and wire.covers(rr, wire.SOA)}
    else:
        return None
    zone = signers.pop() if len(signers) == 1 else None
    return zone if zone is not None and name.is_subdomain(zone) else None


def end_of_chain(name: Name, verdicts: Mapping[Name, Collection[Verdict]]) -> Name | None:
    """Follow the CNAMEs that most servers see; None where they run in a circle."""
    seen = {name}
    while True:
        votes = Counter(
            verdict.target if isinstance(verdict, Alias) else None
            for verdict in verdicts[name]
            if isinstance(verdict, Alias | Answered)
        )
        if not votes or set(votes) == {None}:
            return name
        # any CNAME leads on, were it only one server's: an update beside a CNAME would be lost (RFC 2136 3.4.2.2)
        targets = {target: count for target, count in votes.items() if target is not None}
        name = max(sorted(targets), key=lambda target: targets[target])
        if name in seen:
            return None
        seen.add(name)
