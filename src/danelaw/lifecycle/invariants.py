"""What must hold at every instant, numbered, checked on what every step leads to before it is taken.

A step may not make any of them newly false; where one is false already (records that refuse what is live), the step is
the repair. Nothing goes past them but `--accept-outage`, which is about the first alone and is journalled.

1. *Covered.* Every RRset that a sender may hold covers every chain that an address presents, or that stands where its
   service reads it (RFC 6698 appendix A.4, RFC 7671 section 8).
2. *Ours.* A publication removes no record that danelaw did not add and `prune` does not name.
3. *Not emptied.* A publication does not take the last record of an owner name that is claimed.
4. *Kept.* A publication removes no record of the current or the next key: an order that failed has not consumed it.
5. *Known.* What goes live is over a key of the certificate that is neither put away nor destroyed.
6. *Needed.* No key is put away while a chain over it is live or stands, or a record of it stands or may be held.
7. *One thing at a time.* A publication that keeps records keeps their TTL, unless it changes nothing else (RFC 2181
   section 5.2: a TTL is the whole RRset's).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from danelaw import dane
from danelaw.lifecycle.disk import active_generation, chain_of, standing_at, standing_chain
from danelaw.lifecycle.gate import acceptable, claims_at, fresh_primary, held
from danelaw.lifecycle.keys import is_put_away
from danelaw.lifecycle.records import standing_records
from danelaw.lifecycle.sight import ADDRESS_TTL, looked_at, presented_now
from danelaw.lifecycle.wanted import is_over_key, is_pruned, own_records, wanted_records
from danelaw.lifecycle.watched import counted
from danelaw.model import Activate, Desired, Facts, Publish, Retire, Step, TlsaRecord


@dataclass(frozen=True, slots=True)
class Violation:
    """An RRset that a sender may hold refuses a chain that an address presents (invariant 1)."""

    owner: str
    rdatas: tuple[TlsaRecord, ...]
    address: str
    leaf_sha256: str

    def __str__(self) -> str:
        shown = ", ".join(str(record) for record in self.rdatas)
        return f"a sender may hold {shown} at {self.owner}, and {self.address} would present {self.leaf_sha256[:16]}…"


def violations(desired: Desired, facts: Facts, now: datetime) -> list[Violation]:
    """Return where invariant 1 is false now, as far as facts tell."""
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
    """Return where a step would make invariant 1 newly false: what is false already may be repaired, none may join.

    An address that what stands at the owner name refuses already is no worse off with a repair that refuses it too. One
    that caches alone refuse is: what a publication puts there again, they hold for longer.
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
        if (item not in known or item.rdatas == standing_records(after, item.owner, now)[0])
        and (item.owner, item.address, item.leaf_sha256) not in refused
    ]


@dataclass(frozen=True, slots=True)
class Change:
    """A step with what is known before it and what it leads to (`predict`)."""

    desired: Desired
    before: Facts
    step: Step
    after: Facts
    now: datetime

    @property
    def gone(self) -> frozenset[TlsaRecord]:
        """Return the records that a publication takes away."""
        return frozenset(self.step.expected) - set(self.step.wanted) if isinstance(self.step, Publish) else frozenset()


def covered(change: Change) -> Iterator[str]:
    """Tell where invariant 1 would be newly false."""
    return (str(each) for each in new_violations(change.desired, change.before, change.after, change.now))


def ours(change: Change) -> Iterator[str]:
    """Tell which records a publication would remove that are not ours to remove (invariant 2)."""
    if isinstance(change.step, Publish):
        own = own_records(change.before, change.step.owner)
        claims = claims_at(change.desired, change.step.owner)
        for record in sorted(change.gone - own):
            if not is_pruned(record, claims):
                yield f"{record} at {change.step.owner} is not ours, and no prune names it"


def not_emptied(change: Change) -> Iterator[str]:
    """Tell whether a publication would leave a claimed owner name without any record (invariant 3)."""
    step = change.step
    if isinstance(step, Publish) and step.expected and not step.wanted:
        yield f"{step.owner} would have no record left"


def kept(change: Change) -> Iterator[str]:
    """Tell which records a publication would remove that a current or next key is published by (invariant 4)."""
    if isinstance(change.step, Publish) and change.gone:
        wanted = wanted_records(change.before, change.desired, change.step.owner, change.now) or ()
        for record in sorted(change.gone & set(wanted)):
            yield f"{record} at {change.step.owner} is of a key that is published"


def known(change: Change) -> Iterator[str]:
    """Tell whether a chain would go live over a key that is not there (invariant 5).

    Generation 0, which stood there before danelaw came, has a key that nobody asks for.
    """
    step = change.step
    if not isinstance(step, Activate) or step.n == 0:
        return
    row = next(row for row in change.before.generations if (row.deployment, row.n) == (step.deployment, step.n))
    chain = chain_of(change.before, row)
    keys = [key for key in change.before.keys if key.certificate == step.certificate]
    if chain is not None and not any(key.spki_sha256 == chain.spki_sha256 and not is_put_away(key) for key in keys):
        yield f"generation {step.n} is over a key that is not in use here any more ({chain.spki_sha256[:16]}…)"


def needed(change: Change) -> Iterator[str]:
    """Tell what a key that would be put away is still needed for (invariant 6)."""
    step, facts = change.step, change.before
    if not isinstance(step, Retire):
        return
    key = next(key for key in facts.keys if (key.certificate, key.spki_sha256) == (step.certificate, step.spki_sha256))
    for spec in change.desired.certificates:
        for deployment in spec.deployments:
            active = active_generation(facts, deployment.id)
            chains = [chain_of(facts, active) if active else None, standing_chain(facts, deployment)]
            if any(chain is not None and chain.spki_sha256 == key.spki_sha256 for chain in chains):
                yield f"a chain over it is live or stands at {deployment.id}"
    standing = {row.owner: row.rdatas for row in facts.primaries}
    for owner in {row.owner for row in facts.own_records} | standing.keys():
        rrsets = [item.rdatas for item in held(facts, change.desired, owner, change.now)]
        for record in {record for rdatas in (standing.get(owner, ()), *rrsets) for record in rdatas}:
            if is_over_key(record.spec) and dane.tlsa_record(record.spec, spki_der=key.spki_der) == record:
                yield f"{record} stands at {owner}, or a sender may hold it"


def one_at_a_time(change: Change) -> Iterator[str]:
    """Tell whether a publication would change the TTL of records that stay, beside other changes (invariant 7)."""
    step = change.step
    if isinstance(step, Publish) and set(step.expected) & set(step.wanted) and step.expected != step.wanted:
        rdatas, ttl = standing_records(change.before, step.owner, change.now)
        if rdatas == step.expected and ttl != step.ttl:
            yield f"the TTL of {step.owner} would change from {ttl} to {step.ttl} s with the records"


Invariant = Callable[[Change], Iterator[str]]
INVARIANTS: tuple[Invariant, ...] = (covered, ours, not_emptied, kept, known, needed, one_at_a_time)
"""In the order of their numbers, from 1."""


def broken(change: Change) -> list[tuple[int, str]]:
    """Return the numbers of the invariants that a step would make newly false, with what would be wrong."""
    return [(number, what) for number, each in enumerate(INVARIANTS, 1) for what in each(change)]
