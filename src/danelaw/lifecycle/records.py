"""Which RRset an owner name should have now, and whether it may be put there now.

The wanted records are the union of what every certificate claims. Beside them stay other people's records that `prune`
does not name, and, while an address still presents a chain that none of them matches, records of that chain: so a key
changes by publishing both (RFC 7671 section 8.1) and a withdrawal never takes away what is in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from danelaw import dane, pki
from danelaw.lifecycle.disk import standing_at
from danelaw.lifecycle.due import current_chain
from danelaw.lifecycle.gate import (
    acceptable,
    claims_at,
    endpoints_at,
    fresh_primary,
    held,
    owner_state,
    relevant_servers,
    span,
    unreachable_now,
)
from danelaw.lifecycle.keys import current_key
from danelaw.lifecycle.sight import ADDRESS_TTL, latest_rows, looked_at, presented_now, silent_now
from danelaw.lifecycle.wanted import (
    algorithms_of,
    foreign_records,
    is_over_key,
    is_pruned,
    orphan_records,
    own_records,
    records_of,
    wanted_records,
)
from danelaw.model import Chain, Desired, Facts, Hold, Publish, RRsetSeen, TlsaClaim, TlsaRecord, Wait

__all__ = [
    "Live",
    "algorithms_of",
    "current_key",
    "foreign_records",
    "live_at",
    "orphan_records",
    "own_records",
    "publication",
    "standing_records",
    "wanted_records",
]

LAG_PATIENCE = timedelta(hours=1)
"""For so long a server that lags is a wait; after it a person is needed."""

SILENCE = timedelta(days=7)
"""After so long nobody can say any more what an address presents."""


@dataclass(frozen=True, slots=True)
class Live:
    """The chains that each address presents, or would after any restart, and the addresses of which none is known."""

    chains: tuple[tuple[str, Chain], ...]
    unknown: tuple[str, ...]

    def refused_by(
        self, rdatas: Sequence[TlsaRecord], claims: Sequence[TlsaClaim], owner: str, now: datetime
    ) -> list[str]:
        """Return the addresses of which an RRset refuses a chain."""
        return sorted({at for at, _ in self.refusals(rdatas, claims, owner, now)})

    def refusals(
        self, rdatas: Sequence[TlsaRecord], claims: Sequence[TlsaClaim], owner: str, now: datetime
    ) -> frozenset[tuple[str, Chain]]:
        """Return the chains that an RRset refuses, with their addresses: one of each algorithm may be presented."""
        return frozenset((at, chain) for at, chain in self.chains if not acceptable(rdatas, chain, claims, owner, now))


def live_at(facts: Facts, desired: Desired, owner: str, now: datetime) -> Live:
    """Return what an owner name's endpoints present at every address that a client may still connect to."""
    margin = ADDRESS_TTL + desired.lookup_margin
    chains: list[tuple[str, Chain]] = []
    unknown: list[str] = []
    for endpoint in endpoints_at(desired, owner):
        for address in looked_at(facts, endpoint, margin, now):
            rows = presented_now(facts, endpoint, address)
            chains.extend((address, row.chain) for row in rows)
            chains.extend((address, chain) for chain in standing_at(facts, desired, endpoint, address))
            silent = silent_now(facts, endpoint, address)
            if not rows or (silent is not None and now - silent.first_at >= SILENCE):
                unknown.append(address)
    return Live(tuple(dict.fromkeys(chains)), tuple(dict.fromkeys(unknown)))


def publication(facts: Facts, desired: Desired, owner: str, now: datetime) -> Publish | Wait | Hold | None:
    """Return the change of an owner name's RRset that is safe now, or why there is none yet; None: it is right."""
    claims = claims_at(desired, owner)
    wanted = wanted_records(facts, desired, owner, now)
    state = owner_state(facts, owner)
    if wanted is None or state is None:
        return None
    if state.problem:
        why = f"cannot read {owner}: {state.problem}"
        return Hold("dns", owner, why, "mend the zone or its servers; apply looks again")
    base, served_ttl = standing_records(facts, owner, now)
    live = live_at(facts, desired, owner, now)
    target = _target(facts, desired, owner, base, live, now)
    # An update says itself what it expects at a primary that could not be read, and its failure says why it could not.
    # Records that stay keep their TTL, which an add would change for the whole RRset: that is a step of its own.
    ttl = served_ttl if set(base) & set(target) and target != base else claims[0].ttl
    if target == base and (served_ttl == ttl or not own_records(facts, owner) & set(base)):
        refused = live.refused_by(base, claims, owner, now)
        return _refused_live(owner, refused) if refused else _agreement(facts, desired, owner, base, now)
    obstacle = _obstacle(facts, owner)
    if obstacle:
        return obstacle
    why = _why(facts, desired, owner, base, target, ttl, now)
    swap = Publish(owner, state.target, claims[0].publisher, base, target, ttl, why)
    return _first(live, claims, swap, now) if not base else _safe(live, claims, swap, now)


def _safe(live: Live, claims: Sequence[TlsaClaim], swap: Publish, now: datetime) -> Publish | Hold:
    """Let a change through that refuses nobody whom the present RRset accepts, and repairs what can be repaired."""
    owner = swap.owner
    broken = live.refusals(swap.expected, claims, owner, now)
    refused = live.refusals(swap.wanted, claims, owner, now)
    if not refused <= broken:
        worse = sorted({at for at, _ in refused - broken})
        return Hold(
            "would-refuse",
            owner,
            f"the records wanted at {owner} would refuse what {', '.join(worse)} presents (invariant 1)",
            f"make that address present {_demand(claims)}, or take the address out of DNS",
        )
    if refused and refused == broken == frozenset(live.chains):
        return _refused_live(owner, live.refused_by(swap.wanted, claims, owner, now))
    if live.unknown and not set(swap.expected) <= set(swap.wanted):
        return Hold(
            "silent",
            owner,
            f"nobody can say what {', '.join(live.unknown)} presents at {claims[0].endpoint}: it was never seen, or is "
            f"silent for a week; so no record is withdrawn at {owner} (invariant 1)",
            "start the service there, or take the address out of DNS",
        )
    return swap


def _demand(claims: Sequence[TlsaClaim]) -> str:
    """Return in words what the records of some claims ask of what is presented."""
    if all(is_over_key(each) for claim in claims for each in claim.records):
        return "the certificate's key"
    if any(each.usage in {0, 2} for claim in claims for each in claim.records):
        return "the certificate with its key, the CA certificates above it, and the host among its names"
    return "the certificate with its key"


def unpinnable(facts: Facts, desired: Desired, owner: str, now: datetime) -> list[Hold]:
    """Return which claimed records there can be none of: no CA certificate comes with the chain (RFC 7671 section 5.2).

    What a plan imagines to be issued is no certificate, and says nothing of what will come with it.
    """
    specs, found = {spec.name: spec for spec in desired.certificates}, []
    for claim in claims_at(desired, owner):
        key = current_key(facts, claim.certificate)
        row = current_chain(facts, specs[claim.certificate], key.spki_sha256, now) if key else None
        for each in claim.records if row else ():
            none = each.usage in {0, 2} and row is not None and not records_of(each, row.chain)
            if none and row is not None and pki.load(row.chain.leaf_der) is not None:
                why = f"{each} is wanted at {owner}, and the chain of {claim.certificate} has no CA certificate to pin"
                remedy = "order from a CA that sends its own certificate too, or take that record out of the config"
                found.append(Hold("no-ca", owner, why, remedy))
    return found


def _refused_live(owner: str, refused: Sequence[str]) -> Hold:
    return Hold(
        "refused-live",
        owner,
        f"the records at {owner} refuse what {', '.join(refused)} presents, and its key is not ours",
        "give that key to danelaw as `key`, or put back the certificate that the records were made for",
    )


def standing_records(facts: Facts, owner: str, now: datetime) -> tuple[tuple[TlsaRecord, ...], int]:
    """Return the RRset that a publication replaces, and its TTL.

    It is the primary's; where that was not read, what the authoritative servers serve, the newest where they differ.
    """
    primary = fresh_primary(facts, owner)
    if primary:
        return primary.rdatas, primary.ttl
    relevant = relevant_servers(facts, owner, now)
    rows = latest_rows(row for row in facts.rrsets if row.owner == owner and row.server in relevant).values()
    newest = max(rows, key=lambda row: row.first_at, default=None)
    return (newest.rdatas, newest.ttl) if newest else ((), 0)


def _target(
    facts: Facts, desired: Desired, owner: str, base: Sequence[TlsaRecord], live: Live, now: datetime
) -> tuple[TlsaRecord, ...]:
    """Return the RRset to have now: wanted, other people's, and what is in use and would be refused without."""
    claims = claims_at(desired, owner)
    wanted = wanted_records(facts, desired, owner, now) or ()
    target = set(wanted) | set(foreign_records(facts, desired, owner, base, now))
    target |= set(orphan_records(facts, desired, owner, base, now))
    if not base:
        return tuple(sorted(target))
    our_keys = {key.spki_sha256 for key in facts.keys if not key.compromised_at}
    specs = sorted({spec for claim in claims for spec in claim.records})
    for _, chain in live.chains:
        in_use = acceptable(base, chain, claims, owner, now) or chain.spki_sha256 in our_keys
        for spec in specs if in_use else ():
            if not any(dane.matches(record, chain) for record in target if record.spec == spec):
                target |= records_of(spec, chain)
    return tuple(sorted(target)) if target else tuple(base)


def _first(live: Live, claims: Sequence[TlsaClaim], swap: Publish, now: datetime) -> Publish | Wait | Hold:
    """Publish where nothing stood: last of all, once every address presents what the records will demand.

    A client that finds no records delivers opportunistically (RFC 7672 section 2.2): absence refuses nothing.
    """
    endpoint, owner = claims[0].endpoint, swap.owner
    silent = live.unknown or (() if live.chains else (str(endpoint),))
    if silent:
        return Hold(
            "first-silent",
            owner,
            f"nothing is presented at {endpoint} by {', '.join(silent)}, and the first records come last (invariant 1)",
            "start the service there, say by [connect] how it is reached from here, or take the address out of DNS; "
            "apply publishes once every address presents a key that the records match",
        )
    refused = live.refused_by(swap.wanted, claims, owner, now)
    if refused:
        return Hold(
            "first-other-key",
            owner,
            f"{', '.join(refused)} does not present {_demand(claims)} at {endpoint}, and the first records come last "
            "(invariant 1)",
            "deploy the certificate there too, publish a record of that key first (danelaw tlsa shows it), or take the "
            "address out of DNS",
        )
    return swap


def _obstacle(facts: Facts, owner: str) -> Hold | None:
    """Return what makes any update at an owner name harmful or useless."""
    state = owner_state(facts, owner)
    if state is None:
        return None
    if state.security == "bogus":
        return Hold("bogus", owner, f"DNSSEC of {owner} is bogus: {state.why}", "mend the zone's signatures or its DS")
    if state.host_wildcard:
        host = owner.split(".", 2)[2].rstrip(".")
        return Hold(
            "wildcard-host",
            owner,
            f"only a wildcard gives {host} its address, and a record below {host} would take it away (RFC 4592)",
            f"give {host} address records of its own first",
        )
    if state.wildcard:
        return Hold(
            "wildcard-tlsa",
            owner,
            f"a wildcard gives the TLSA records of {owner}, so an update there would not replace them",
            f"replace the wildcard by records at {owner} itself first",
        )
    return None


def _agreement(
    facts: Facts, desired: Desired, owner: str, base: Sequence[TlsaRecord], now: datetime
) -> Wait | Hold | None:
    """Tell whether every server and the validated view agree with what stands at the primary (promise 5)."""
    state = owner_state(facts, owner)
    rows = [row for row in facts.rrsets if row.owner == owner]
    routeless = set(state.left_out) if state else set()  # is named, and nothing to wait for
    relevant = relevant_servers(facts, owner, now) - routeless
    missing = [row for row in unreachable_now(facts, owner, now) if row.server in relevant]
    mute = {row.server for row in missing}
    newest = latest_rows(rows)
    late = sorted(s for s in relevant - mute if s in newest and newest[s].rdatas != tuple(base))
    if late or missing:
        stands = _stands_since(facts, owner, base)
        found = [f"{row.server} has not answered since {_instant(row.first_at)}: {row.problem}" for row in missing]
        if late:
            found.append(f"{', '.join(late)} does not yet serve what stands at {owner} since {_instant(stands)}")
        since = min([*(row.first_at for row in missing), *(_late_since(rows, each, base, stands) for each in late)])
        if now - since < LAG_PATIENCE:
            pause = min(max((now - since) / 4, timedelta(seconds=5)), timedelta(minutes=5))
            return Wait("lagging", owner, now + pause, "; ".join(found))
        remedy = "mend the transfer to that server, or take it out of the zone's NS"
        return Hold("lagging", owner, "; ".join(found), remedy)
    if not base or state is None or (state.security == "secure" and state.validated == tuple(base)):
        return None
    if state.security == "secure":
        ends = [item.until for item in held(facts, desired, owner, now) if item.until]
        patience = _stands_since(facts, owner, base) + span(rows, desired.lookup_margin) + LAG_PATIENCE
        why = f"the resolver still gives an earlier RRset of {owner}"
        if not ends and now > patience:
            return Hold("validated", owner, why, "ask the resolver's operator, or leave [resolver] address out")
        return Wait("validated", owner, max(ends, default=now + timedelta(seconds=5)), why)
    if state.security == "insecure":
        return Hold(
            "insecure",
            owner,
            f"{state.zone} is not signed, or its parent has no DS for it: senders ignore {owner}",
            "sign the zone and have its DS published",
        )
    return Hold("not-valid", owner, f"{owner} is {state.security}: {state.why}", "mend DNSSEC; apply looks again")


def _late_since(rows: Sequence[RRsetSeen], server: str, base: Sequence[TlsaRecord], stands: datetime) -> datetime:
    """Return since when a server does not serve what stands: one that had it fell back later than it stood there."""
    own = [row for row in rows if row.server == server]
    had = max((row.last_at for row in own if row.rdatas == tuple(base)), default=None)
    return min((row.first_at for row in own if had is not None and row.first_at > had), default=stands)


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def _stands_since(facts: Facts, owner: str, base: Sequence[TlsaRecord]) -> datetime:
    """Return since when an RRset stands at the primary, as far as facts tell: our update, or its first sight."""
    published = [
        effect.ended_at
        for effect in facts.effects
        if (effect.kind, effect.subject, effect.outcome) == ("publish", owner, "done") and effect.ended_at
    ]
    seen = [row.first_at for row in facts.rrsets if row.owner == owner and row.rdatas == tuple(base)]
    looked = [row.first_at for row in facts.servers if row.owner == owner]
    return max(published, default=min(seen or looked))


def _why(
    facts: Facts,
    desired: Desired,
    owner: str,
    base: tuple[TlsaRecord, ...],
    target: tuple[TlsaRecord, ...],
    ttl: int,
    now: datetime,
) -> str:
    own = own_records(facts, owner)
    added = [str(record) for record in target if record not in base]
    gone = [f"{record} ({'ours' if record in own else 'named by prune'})" for record in base if record not in target]
    parts = []
    if added:
        parts.append(f"add {', '.join(added)}")
    if gone:
        parts.append(f"withdraw {', '.join(gone)}")
    if not parts:
        parts.append(f"set the TTL to {ttl} s")
    foreign = foreign_records(facts, desired, owner, base, now)
    needed = [record for record in foreign if is_pruned(record, claims_at(desired, owner))]
    for records, why in (
        ([record for record in foreign if record not in needed], "not ours, and no prune names it"),
        (needed, "not ours, and another host presents what it matches"),
    ):
        if records:
            parts.append(f"leave {', '.join(map(str, records))} ({why})")
    return "; ".join(parts)
