"""What answers say of zones: where they are cut, and which servers they name. Pure: an answer in, names out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from danelaw.dns import message as wire
from danelaw.dns.message import Message, Name


@dataclass(frozen=True, slots=True)
class Delegation:
    """NS names of a zone with their TTL, and the addresses (glue) that came with them."""

    ns: Mapping[Name, int]
    glue: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)


def merged(delegations: Iterable[Delegation]) -> Delegation:
    """Put delegations of one zone together: the largest TTLs, all the glue."""
    ns: dict[Name, int] = {}
    glue: dict[Name, tuple[str, ...]] = {}
    for delegation in delegations:
        for name, ttl in delegation.ns.items():
            ns[name] = max(ttl, ns.get(name, 0))
            glue[name] = (*glue.get(name, ()), *delegation.glue.get(name, ()))
    return Delegation(ns, glue)


def delegation_in(answer: Message, zone: Name) -> Delegation:
    """Return the NS records of a zone in an answer, or in a referral's authority section, with their glue."""
    ns: dict[Name, int] = {}
    for rr in (*answer.answer, *answer.authority):
        if rr.rrtype == wire.NS and rr.name == zone and rr.target is not None:
            ns[rr.target] = max(rr.ttl, ns.get(rr.target, 0))
    glue = {name: wire.addresses(answer.additional, name) for name in ns if name.is_subdomain(zone)}
    return Delegation(ns, glue)


def referral_in(answer: Message, zone: Name, name: Name) -> Name | None:
    """Return the zone below ``zone`` that an answer refers to for ``name``; None where it is no referral."""
    if answer.rcode != "NOERROR" or answer.answer:
        return None
    cuts = {
        rr.name
        for rr in answer.authority
        if rr.rrtype == wire.NS and rr.name != zone and rr.name.is_subdomain(zone) and name.is_subdomain(rr.name)
    }
    return max(cuts, key=lambda cut: len(cut.labels), default=None)


def zone_in(answer: Message, name: Name) -> Name | None:
    """Return the zone that a name is in, as the answer to a question for its SOA has it, if it does."""
    if answer.answers(name, wire.SOA):
        return name
    if not answer.answers(name, wire.CNAME):  # the SOA beside a CNAME is that of its target
        for rr in answer.authority:
            if rr.rrtype == wire.SOA and name.is_subdomain(rr.name):
                return rr.name
    return None
