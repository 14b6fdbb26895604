"""What must hold at every instant, checked on what every step leads to before it is taken.

Promise 1: for every endpoint, every RRset that a sender may still hold accepts the chain that each address presents.
"""

from dataclasses import dataclass
from datetime import datetime

from danelaw.lifecycle.disk import standing_at
from danelaw.lifecycle.gate import acceptable, claims_at, fresh_primary, held
from danelaw.lifecycle.records import standing_records
from danelaw.lifecycle.sight import ADDRESS_TTL, looked_at, presented_now
from danelaw.lifecycle.watched import counted
from danelaw.model import Desired, Facts, TlsaRecord


@dataclass(frozen=True, slots=True)
class Violation:
    """An RRset that a sender may hold refuses a chain that an address presents."""

    owner: str
    rdatas: tuple[TlsaRecord, ...]
    address: str
    leaf_sha256: str

    def __str__(self) -> str:
        shown = ", ".join(str(record) for record in self.rdatas)
        return f"a sender may hold {shown} at {self.owner}, and {self.address} would present {self.leaf_sha256[:16]}…"


def violations(desired: Desired, facts: Facts, now: datetime) -> list[Violation]:
    """Return where promise 1 is false now, as far as facts tell."""
    endpoints = dict.fromkeys(
        endpoint
        for spec in desired.certificates
        for endpoint in (
            *(claim.endpoint for claim in spec.claims),
            *(endpoint for deployment in spec.deployments for endpoint in counted(facts, desired, deployment)),
        )
    )
    found: list[Violation] = []
    for endpoint in endpoints:
        claims = claims_at(desired, endpoint.owner)
        rrsets = {item.rdatas for item in held(facts, desired, endpoint.owner, now)}
        primary = fresh_primary(facts, endpoint.owner)
        rrsets |= {primary.rdatas} if primary and primary.rdatas else set()
        for address in looked_at(facts, endpoint, ADDRESS_TTL + desired.lookup_margin, now):
            live = [row.chain for row in presented_now(facts, endpoint, address)]
            for chain in dict.fromkeys([*live, *standing_at(facts, desired, endpoint, address)]):
                found.extend(
                    Violation(endpoint.owner, rdatas, address, chain.leaf_sha256)
                    for rdatas in sorted(rrsets)
                    if not acceptable(rdatas, chain, claims, endpoint.owner, now)
                )
    return found


def new_violations(desired: Desired, before: Facts, after: Facts, now: datetime) -> list[Violation]:
    """Return the violations that a step would add: what is false already may be repaired, but nothing may join it.

    An address that what stands at the owner name refuses already is no worse off with a repair that refuses it too.
    """
    known = set(violations(desired, before, now))
    refused = {
        (item.owner, item.address, item.leaf_sha256)
        for item in known
        if item.rdatas == standing_records(before, item.owner, now)[0]
    }
    return [
        item
        for item in violations(desired, after, now)
        if item not in known and (item.owner, item.address, item.leaf_sha256) not in refused
    ]
