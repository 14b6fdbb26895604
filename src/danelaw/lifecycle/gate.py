"""Formula G: when may a chain go live at an endpoint?

A DANE sender holds an RRset for as long as its TTL says, and shakes hands up to ``lookup_margin`` (M) after looking up.
So a chain may be presented only when every RRset that any sender may still hold accepts it. For each RRset R that was
ever seen at the owner name and refuses the chain::

    now >= L(R) + w(R)        w(R) = max(2 T(R), T(R) + M)     behind a CNAME also >= T(CNAME) + T(R) + M

T(R) is the largest TTL recorded of R: as served, the RRSIGs' original TTL (the most that a validator allows, whatever
TTL reached it: RFC 4035 section 5.3.3), the CNAMEs that lead to it. RFC 7671 section 8.1 asks for two TTLs. L(R) is
when the last authoritative server was first seen without R, none having been seen with it later; a server that left
the zone's NS counts until nobody can know it any more. And all servers, read again just before, show only RRsets that
accept the chain, or absence. A CNAME and what it leads to are cached one after the other, so their TTLs add up.

What stood there before our first look is unknown: where anything did, an unknown RRset counts as served until then.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from operator import is_not

from danelaw import dane
from danelaw.lifecycle.clock import ahead_by
from danelaw.lifecycle.sight import SIGNED_ANEW, counted_from, latest_rows
from danelaw.model import (
    Chain,
    Desired,
    Endpoint,
    Facts,
    OwnerFact,
    Primary,
    RRsetSeen,
    TlsaClaim,
    TlsaRecord,
    Unreachable,
)

HISTORY_HINT = ' (history = "0s" is right where nobody changed the records lately)'
"""For who waits for what may have stood there."""

FRESH = timedelta(minutes=2)
"""How old the reading "just before" may be."""

Accepts = Callable[[tuple[TlsaRecord, ...]], bool]

GRACE = timedelta(days=1)
"""Validators accept signatures this long after their end (Unbound's val-sig-skew is a day at the most)."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a chain may not go live.

    ``until`` None: nobody can say. ``remedy``: what to do where a person is needed, "" where time is enough.
    """

    code: str
    owner: str
    why: str
    until: datetime | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """An RRset that a sender may hold until ``until`` (None: as long as a server serves it, which ``why`` names)."""

    owner: str
    rdatas: tuple[TlsaRecord, ...]
    until: datetime | None
    why: str


def claims_at(desired: Desired, owner: str) -> tuple[TlsaClaim, ...]:
    """Return what every certificate claims at an owner name."""
    return tuple(
        claim for certificate in desired.certificates for claim in certificate.claims if claim.endpoint.owner == owner
    )


def is_strict(desired: Desired, owner: str) -> bool:
    """Tell whether an old RRset's signatures are waited out too (``wait = "strict"``)."""
    return any(claim.strict for claim in claims_at(desired, owner))


def endpoints_at(desired: Desired, owner: str) -> tuple[Endpoint, ...]:
    """Return every endpoint, claimed or proven, that an owner name stands for (a `prove` may pin an address)."""
    found: dict[Endpoint, None] = {}
    for certificate in desired.certificates:
        found |= dict.fromkeys(claim.endpoint for claim in certificate.claims)
        for deployment in certificate.deployments:
            found |= dict.fromkeys(deployment.endpoints)
    return tuple(endpoint for endpoint in found if endpoint.owner == owner)


def acceptable(
    rdatas: Sequence[TlsaRecord], chain: Chain, claims: Sequence[TlsaClaim], owner: str, now: datetime
) -> bool:
    """Tell whether no sender that holds this RRset refuses the chain.

    The RRset must cover the chain: every usable combination in it has a record that matches (stricter than a sender,
    which needs one: RFC 7671 sections 8 and 8.4). Other people's records of another usage and selector than ours do not
    count where ours match. An RRset with nothing usable refuses nothing (RFC 7672 section 2.2). For usages 0 and 2 the
    host must be among the leaf's names, and the chain valid now (RFC 7671 section 5.2).
    """
    smtp = owner.startswith("_25.")
    usable = [record for record in rdatas if dane.usable(record, smtp=smtp)]
    if not usable:
        return True
    pairs = {spec[:2] for claim in claims for spec in claim.records}
    ours = [record for record in usable if record.spec[:2] in pairs]
    return dane.covers(ours or usable, chain, (owner.split(".", 2)[2],), now)


def span(rows: Iterable[RRsetSeen], margin: timedelta, history: timedelta | None = None) -> timedelta:
    """Return w over the rows of one RRset: max(2 T, T + M), and ``history`` for what nobody saw.

    A resolver that holds the CNAME may fetch the RRset behind it until the CNAME's TTL ends, so these two add up.
    """
    seen = list(rows)
    ttl = timedelta(seconds=max((max(row.ttl, row.original_ttl) for row in seen), default=0))
    cname_ttl = timedelta(seconds=max((row.cname_ttl for row in seen), default=0))
    return max(2 * max(ttl, cname_ttl), cname_ttl + ttl + margin, history or timedelta(0))


def relevant_servers(facts: Facts, owner: str, now: datetime) -> frozenset[str]:
    """Return the servers listed by NS now, those dropped within the NS TTL, and those that the route was lost to."""
    listed = [row for row in facts.servers if row.owner == owner]
    newest, state = max((row.last_at for row in listed), default=None), owner_state(facts, owner)
    routeless = state.left_out if state else ()
    return frozenset(
        row.server
        for row in listed
        if row.last_at == newest
        or row.server in routeless
        or counted_from(facts, row.last_at) + timedelta(seconds=row.ns_ttl) > now
    )


def unreachable_now(facts: Facts, owner: str, now: datetime) -> tuple[Unreachable, ...]:
    """Return the relevant servers that did not answer at the last look, with since when.

    One that the last look did not even ask (its family has no route any more) is among them where it once answered.
    """
    state = owner_state(facts, owner)
    answered = latest_rows(row for row in facts.rrsets if row.owner == owner)
    relevant = relevant_servers(facts, owner, now)
    missed = {
        row.server: row
        for row in facts.unreachable
        if row.owner == owner and row.server in relevant and state is not None and row.last_at >= state.last_at
    }
    for server, reading in answered.items():
        if server in relevant - missed.keys() and state is not None and _unasked(reading, state) and not state.aliased:
            why = "it was not asked"
            missed[server] = Unreachable(owner, server, why, reading.last_at, state.last_at)
    return tuple(missed[server] for server in sorted(missed))


def _unasked(row: RRsetSeen, state: OwnerFact) -> bool:
    return row.last_at < state.last_at


def dropped_until(facts: Facts, owner: str, now: datetime) -> dict[str, datetime]:
    """Return, of each server that the zone's NS named once and no more, until when a resolver could know it."""
    relevant = relevant_servers(facts, owner, now)
    return {
        row.server: counted_from(facts, row.last_at) + timedelta(seconds=row.ns_ttl)
        for row in facts.servers
        if row.owner == owner and row.server not in relevant
    }


def owner_state(facts: Facts, owner: str) -> OwnerFact | None:
    """Return what the last look said about an owner name; None where nobody looked."""
    latest: OwnerFact | None = None
    for row in facts.owners:  # asked so often that a plain loop counts
        if row.owner == owner and (latest is None or row.last_at > latest.last_at):
            latest = row
    return latest


def fresh_primary(facts: Facts, owner: str) -> Primary | None:
    """Return what the server that takes the updates held at the last look; None where it did not answer then."""
    state = owner_state(facts, owner)
    row = next((row for row in facts.primaries if row.owner == owner), None)
    return row if row is not None and (state is None or row.at >= state.last_at) else None


_Seen = tuple[object, ...]
_last: dict[str, tuple[_Seen, datetime, tuple[timedelta, bool], list[Held]]] = {}


def held(facts: Facts, desired: Desired, owner: str, now: datetime) -> list[Held]:
    """Return every RRset that a sender may hold at an owner name now, what nobody saw excepted.

    One decision asks this several times of what DNS was seen to say: its answers are kept until the next one's instant.
    """
    seen: _Seen = (facts.rrsets, facts.servers, facts.unreachable, facts.owners, facts.clock_steps)
    rules = desired.lookup_margin, is_strict(desired, owner)
    known = _last.get(owner)
    if known is None or known[1:3] != (now, rules) or any(map(is_not, known[0], seen)):
        if _last and next(iter(_last.values()))[1] != now:
            _last.clear()
        known = _last[owner] = seen, now, rules, _held(facts, desired, owner, now)
    return list(known[3])


def _held(facts: Facts, desired: Desired, owner: str, now: datetime) -> list[Held]:
    rows = [row for row in facts.rrsets if row.owner == owner]
    past = _Past.of(rows)
    relevant = relevant_servers(facts, owner, now)
    newest = latest_rows(rows)
    latest = {server: row for server, row in newest.items() if server in relevant}
    dropped, elsewhere = dropped_until(facts, owner, now), _elsewhere(facts, owner, latest)
    gone = {row.server: row for row in unreachable_now(facts, owner, now)}
    result = []
    for rdatas, sightings in sorted(past.sightings.items()):
        if not rdatas:
            continue
        wait = span(sightings, desired.lookup_margin)
        serving = [server for server, row in latest.items() if row.rdatas == rdatas and server not in elsewhere]
        lasting = [server for server in serving if server not in gone]
        if lasting:
            result.append(Held(owner, rdatas, None, f"{_names(lasting)} serves it"))
            continue
        last, caught_up, behind = _last_served(past, rdatas, relevant - set(gone))
        last = max([last, *(end for server, end in dropped.items() if _served_last(newest, server, rdatas))])
        last = max([last, *(at for server, at in elsewhere.items() if _served_last(newest, server, rdatas))])
        since = counted_from(facts, last)
        end, signed_until = since + wait, _signed_until(facts, sightings)
        is_signed_longer = is_strict(desired, owner) and (signed_until or end) > end
        end = max(end, signed_until or end) if is_signed_longer else end
        if caught_up:
            end = max(end, min(caught_up + wait, signed_until or caught_up + wait))
        if behind:
            end = max(end, signed_until or end)
        if serving:
            # An unreachable server may go on serving what it served last, while its signatures hold.
            end = _silent_until(facts, sightings, [(gone[server], latest[server]) for server in serving]) or end
        if end <= now:
            continue
        if serving:
            deaf = min(gone[server].first_at for server in serving)
            why = f"{_names(serving)} served it last and has not answered since {_instant(deaf)}"
        elif behind:
            why = f"{_names(behind)} is behind, and may come to serve it yet"
        else:
            why = _in_caches(last, since, None if is_signed_longer else wait)
        result.append(Held(owner, rdatas, end, why))
    return result


def _silent_until(
    facts: Facts, rows: Sequence[RRsetSeen], silent: Iterable[tuple[Unreachable, RRsetSeen]]
) -> datetime | None:
    """Return until when servers that fell silent may serve what they served last: while its signatures hold.

    Where nobody looked for longer than `SIGNED_ANEW` before, it may have been signed anew unseen, for as long as ever.
    """
    until = _signed_until(facts, rows)
    if until is None:
        return None
    longest = max(row.rrsig_expires - row.first_at for row in rows if row.rrsig_expires)
    unseen = [gap.first_at for gap, last in silent if gap.first_at - last.last_at > SIGNED_ANEW]
    return max([until, *(at + longest + GRACE for at in unseen)])


def _in_caches(last: datetime, since: datetime, wait: timedelta | None) -> str:
    """Say how long caches may hold what was served last at ``last``; ``wait`` None: while its signatures hold."""
    if wait is None:
        return f"it was served until {_instant(last)}, and its signatures may be accepted until then"
    why = f"it was served until {_instant(last)}, and caches may hold it {_seconds(wait)} longer"
    return f"{why}, counted from {_instant(since)}, when the clock was set" if since > last else why


def _elsewhere(facts: Facts, owner: str, latest: Mapping[str, RRsetSeen]) -> dict[str, datetime]:
    """Return the servers that say by a CNAME that the records stand elsewhere now, with when that was first seen."""
    state = owner_state(facts, owner)
    if state is None or not state.aliased:
        return {}
    return {server: state.first_at for server, row in latest.items() if _unasked(row, state)}


def _served_last(newest: Mapping[str, RRsetSeen], server: str, rdatas: tuple[TlsaRecord, ...]) -> bool:
    return server in newest and newest[server].rdatas == rdatas


def _signed_until(facts: Facts, rows: Iterable[RRsetSeen]) -> datetime | None:
    """Return until when a validator may accept what these rows show: E and a day; None where nothing was signed.

    E is told by others' clocks; where ours was set forward since, it comes so much later by ours.
    """
    ends = [row.rrsig_expires + ahead_by(facts, row.last_at) for row in rows if row.rrsig_expires]
    return max(ends) + SIGNED_ANEW + GRACE if ends else None


@dataclass(frozen=True, slots=True)
class _Past:
    """All rows of one owner name, sorted once for every RRset's sake.

    ``sightings`` are the rows of each RRset, ``by_server`` those of each server, both by ``first_at``. ``mixed`` are
    the epochs at which servers disagreed, ``changed`` each server's rows of those after which it served another RRset:
    since when it served what it did, since when that was seen anywhere, and when the row that came next began.
    """

    sightings: Mapping[tuple[TlsaRecord, ...], Sequence[RRsetSeen]]
    by_server: Mapping[str, Sequence[RRsetSeen]]
    mixed: frozenset[datetime]
    changed: Mapping[str, Sequence[tuple[datetime, datetime, datetime]]]

    @classmethod
    def of(cls, rows: Iterable[RRsetSeen]) -> "_Past":
        """Sort the rows of one owner name."""
        sightings: dict[tuple[TlsaRecord, ...], list[RRsetSeen]] = {}
        by_server: dict[str, list[RRsetSeen]] = {}
        epochs: dict[datetime, set[tuple[TlsaRecord, ...]]] = {}
        for row in sorted(rows, key=lambda row: row.first_at):
            sightings.setdefault(row.rdatas, []).append(row)
            by_server.setdefault(row.server, []).append(row)
            epochs.setdefault(row.first_at, set()).add(row.rdatas)
        mixed = frozenset(at for at, rrsets in epochs.items() if len(rrsets) > 1)
        changed = {
            server: [
                (a.first_at, sightings[a.rdatas][0].first_at, b.first_at)
                for a, b in pairwise(own)
                if a.first_at in mixed and a.rdatas != b.rdatas
            ]
            for server, own in by_server.items()
        }
        return cls(sightings, by_server, mixed, changed)


def _last_served(
    past: _Past, rdatas: tuple[TlsaRecord, ...], servers: Iterable[str]
) -> tuple[datetime, datetime | None, list[str]]:
    """Return L, when the last server was first seen without the RRset; when one caught up that had been behind; who is.

    A server that is behind (it answers what was seen before the RRset, while another has moved on) may pass through it
    on its way, unseen between two looks. One without any reading after the last sighting (it left the zone's NS) counts
    as of that.
    """
    sightings = past.sightings[rdatas]
    first, last = sightings[0].first_at, max(row.last_at for row in sightings)

    def came_before(row: RRsetSeen) -> bool:
        return row.rdatas != rdatas and past.sightings[row.rdatas][0].first_at <= first

    def is_behind(row: RRsetSeen) -> bool:
        return came_before(row) and row.first_at in past.mixed

    without, caught_up, behind = [last], list[datetime](), list[str]()
    for server in servers:
        own = past.by_server.get(server, ())
        place = _place_after(own, rdatas, last)
        had, since = own[:place][-1:], own[place:]
        if any(row.rdatas != rdatas and not came_before(row) for row in had):
            continue  # it had moved past the RRset before the last server did
        without.extend(row.first_at for row in since[:1])
        changed = past.changed.get(server, ())
        later = changed[bisect_right(changed, last, key=_since) :]  # none of it is the RRset itself, which was last
        caught_up.extend(until for _, origin, until in later if origin <= first)
        behind.extend(server for row in since[-1:] if is_behind(row))
    return max(without), max(caught_up, default=None), behind


def _since(change: tuple[datetime, datetime, datetime]) -> datetime:
    return change[0]


def _place_after(own: Sequence[RRsetSeen], rdatas: tuple[TlsaRecord, ...], last: datetime) -> int:
    """Return how many of a server's rows are no later than the last sighting of an RRset.

    What follows in a plan at that very instant came after it: a server serves one RRset at a time.
    """
    place = most = bisect_right(own, last, key=lambda row: row.first_at)
    while place and own[place - 1].first_at == last and own[place - 1].rdatas != rdatas:
        place -= 1
    served = place and own[place - 1].rdatas == rdatas and own[place - 1].last_at == last
    return place if served else most


def go_live(facts: Facts, desired: Desired, owner: str, chain: Chain | None, now: datetime) -> list[Blocked]:
    """Return what keeps a chain from being presented at an owner name's endpoint; empty: it may go live.

    ``chain`` None is a chain that nobody here can read (what stood at a path before us): only absence accepts it.
    """
    claims = claims_at(desired, owner)

    def accepts(rdatas: tuple[TlsaRecord, ...]) -> bool:
        return not rdatas or (chain is not None and acceptable(rdatas, chain, claims, owner, now))

    state = owner_state(facts, owner)
    if state is None or state.last_at + FRESH < now:
        return [Blocked("look", owner, f"{owner} has not been looked at just now", now)]
    if state.problem and endpoints_at(desired, owner):  # where it is only watched, what was seen there decides
        why = f"cannot see what senders hold of {owner}: {state.problem}"
        return [Blocked("dns", owner, why, remedy="mend the zone or its servers; apply looks again")]
    blocked = []
    holding = held(facts, desired, owner, now)
    primary = fresh_primary(facts, owner)
    if primary is not None and all(item.rdatas != primary.rdatas or item.until for item in holding):
        # Changed there just now, or served by a hidden primary alone: the servers are about to fetch it.
        holding.append(Held(owner, primary.rdatas, None, "the server that takes the updates has it already"))
    for item in holding:
        if accepts(item.rdatas):
            continue
        shown = ", ".join(str(record) for record in item.rdatas)
        why = f"the RRset of {owner} ({shown}) refuses it; {item.why}"
        unclaimed = not claims and item.until is None
        remedy = "claim the endpoint in a tlsa table, or have the records there removed" if unclaimed else ""
        blocked.append(Blocked("unclaimed" if unclaimed else "cached", owner, why, item.until, remedy))
    blocked.extend(_unknown_before(facts, desired, owner, now))
    blocked.extend(_never_seen(facts, desired, owner, accepts, now))
    return blocked


def _unknown_before(facts: Facts, desired: Desired, owner: str, now: datetime) -> list[Blocked]:
    """Count the RRset that nobody saw: where one stood at the first look, another may have stood before it.

    A server that did not answer then may have served one until its own first answer.
    """
    rows = [row for row in facts.rrsets if row.owner == owner]
    first = min((row.first_at for row in facts.servers if row.owner == owner), default=None)
    if first is None or not rows:
        return []
    at_first = [row for row in rows if row.first_at == first]
    missed = {row.server for row in facts.unreachable if row.owner == owner and row.first_at == first}
    came = [
        min((row for row in rows if row.server == server), key=lambda row: row.first_at)
        for server in sorted(missed & {row.server for row in rows})
    ]
    if not any(row.rdatas for row in at_first) and not came:
        return []
    first = max(row.first_at for row in came) if came else first
    until = counted_from(facts, first) + span([*at_first, *came], desired.lookup_margin, desired.history)
    if until <= now:
        return []
    why = (
        f"what stood at {owner} before the first look at {_instant(first)} is unknown, and caches may hold it "
        f"until then{HISTORY_HINT if desired.history else ''}"
    )
    return [Blocked("history", owner, why, until)]


def _never_seen(facts: Facts, desired: Desired, owner: str, accepts: Accepts, now: datetime) -> list[Blocked]:
    """Hold for a server that was never seen: it may serve anything that is signed well enough.

    That is what stood there at the first look or before, and every RRset since that refuses the chain; what is signed
    anew and accepts it does not prolong this. Where nothing was signed, ``history`` ends it.
    """
    rows = [row for row in facts.rrsets if row.owner == owner]
    seen = {row.server for row in rows}
    first = min((row.first_at for row in rows), default=None)
    signed_until = _signed_until(facts, (row for row in rows if row.first_at == first or not accepts(row.rdatas)))
    blocked = []
    for miss in unreachable_now(facts, owner, now):
        end = signed_until or counted_from(facts, miss.first_at) + desired.history
        if miss.server not in seen and end > now:
            why = f"{miss.server} never answered about {owner} ({miss.problem}, since {_instant(miss.first_at)})"
            blocked.append(Blocked("unreachable", owner, why, end))
    return blocked


def _names(servers: Sequence[str]) -> str:
    return ", ".join(sorted(servers))


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def _seconds(wait: timedelta) -> str:
    return f"{int(wait.total_seconds())} s"
