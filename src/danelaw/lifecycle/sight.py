"""Turn looks into facts: what was seen, from when to when.

Safety rests on knowing when the *last* server stopped serving an RRset. A server whose answer did not change between
two looks may still have served something else in between (a frozen secondary that thaws fetches an RRset that its
primary has already dropped). So rows come in epochs: as soon as any server of an owner name answers differently, every
server's row starts anew. The first reading of an epoch is then later than every sighting of the epoch before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.model import (
    Chain,
    Endpoint,
    Fact,
    Facts,
    OwnerFact,
    OwnerLook,
    Presented,
    ProbeResult,
    Reading,
    RRsetSeen,
    Server,
    Silent,
    Unreachable,
)

SIGNED_ANEW = timedelta(days=1)
"""By so much the signatures of one row may end later than it says."""


ADDRESS_TTL = timedelta(days=1)
"""How long a client may hold an address that DNS does not give any more; its own TTL is not recorded."""


def counted_from(facts: Facts, at: datetime) -> datetime:
    """Return from when a wait that began at an instant counts: no earlier than the wall clock was last set.

    What passed before by a clock that was set since proves nothing about caches.
    """
    return max([at, *(row.at for row in facts.clock_steps)])


def see_owner(facts: Facts, look: OwnerLook, at: datetime) -> list[Fact]:
    """Return the rows that a look at one owner name, finished at ``at``, adds or extends."""
    rows = [row for row in facts.rrsets if row.owner == look.owner]
    latest = latest_rows(rows)
    changed = any(
        reading.server not in latest or not _same(latest[reading.server], reading) for reading in look.readings
    )
    epoch = at if changed else max((row.first_at for row in rows), default=at)
    facts_out: list[Fact] = []
    for reading in look.readings:
        row = latest.get(reading.server)
        if row is not None and row.last_at >= epoch and _same(row, reading):
            facts_out.append(replace(row, last_at=at))
        else:
            facts_out.append(_row(reading, at))
    facts_out.extend(_see_servers(facts, look, at))
    facts_out.extend(_see_unanswered(facts, look, at))
    facts_out.append(_see_state(facts, look, at))
    return facts_out


def latest_rows(rows: Iterable[RRsetSeen]) -> dict[str, RRsetSeen]:
    """Return each server's newest row."""
    latest: dict[str, RRsetSeen] = {}
    for row in rows:
        if row.server not in latest or row.first_at >= latest[row.server].first_at:
            latest[row.server] = row
    return latest


def _same(row: RRsetSeen, reading: Reading) -> bool:
    """Tell whether a server still answers the same. Some sign anew with every answer: that alone is no change."""
    return (row.rcode, row.rdatas, row.ttl, row.original_ttl, row.cname_ttl) == (
        reading.rcode,
        reading.rdatas,
        reading.ttl,
        reading.original_ttl,
        reading.cname_ttl,
    ) and _ends_alike(row.rrsig_expires, reading.rrsig_expires)


def _ends_alike(one: datetime | None, other: datetime | None) -> bool:
    return one == other if one is None or other is None else abs(one - other) <= SIGNED_ANEW


def _row(reading: Reading, at: datetime) -> RRsetSeen:
    return RRsetSeen(
        owner=reading.owner,
        server=reading.server,
        rcode=reading.rcode,
        rdatas=reading.rdatas,
        ttl=reading.ttl,
        original_ttl=reading.original_ttl,
        cname_ttl=reading.cname_ttl,
        rrsig_expires=reading.rrsig_expires,
        first_at=at,
        last_at=at,
    )


def _see_servers(facts: Facts, look: OwnerLook, at: datetime) -> Iterable[Fact]:
    known = {row.server: row for row in facts.servers if row.owner == look.owner}
    for server, ns_ttl in look.servers.items():
        row = known.get(server)
        # The largest NS TTL ever seen: a resolver may have it from before it was lowered.
        yield Server(look.owner, server, max(ns_ttl, row.ns_ttl if row else 0), row.first_at if row else at, at)


def _see_unanswered(facts: Facts, look: OwnerLook, at: datetime) -> Iterable[Fact]:
    answered = latest_rows(row for row in facts.rrsets if row.owner == look.owner)
    for miss in look.unanswered:
        row = max(
            (row for row in facts.unreachable if (row.owner, row.server) == (miss.owner, miss.server)),
            key=lambda row: row.first_at,
            default=None,
        )
        reading = answered.get(miss.server)
        if row is not None and (reading is None or reading.last_at < row.last_at):
            yield replace(row, last_at=at, problem=miss.problem)
        else:
            yield Unreachable(miss.owner, miss.server, miss.problem, at, at)


def _see_state(facts: Facts, look: OwnerLook, at: datetime) -> Fact:
    validated = look.validated
    new = OwnerFact(
        owner=look.owner,
        zone=look.zone,
        target=look.target,
        security=validated.security if validated else "indeterminate",
        why=validated.why if validated else "",
        validated=validated.rdatas if validated else (),
        wildcard=any(reading.wildcard for reading in look.readings),
        host_wildcard=look.host_wildcard,
        left_out=look.left_out,
        problem=look.problem,
        first_at=at,
        last_at=at,
    )
    row = max((row for row in facts.owners if row.owner == look.owner), key=lambda row: row.first_at, default=None)
    if row is not None and replace(new, first_at=row.first_at, last_at=row.last_at) == row:
        return replace(row, last_at=at)
    return new


def see_probes(facts: Facts, results: Sequence[ProbeResult], mine: frozenset[str], at: datetime) -> list[Fact]:
    """Return the rows that handshakes, finished at ``at``, add or extend.

    ``mine`` are the addresses of this host. All results of one endpoint and address belong to one sight of it: every
    chain that any of them presented is what it presents now. What was presented before of a key algorithm that was not
    asked for, or whose handshake failed, still counts: only an answer ends it.
    """
    seen: dict[tuple[Endpoint, str], list[Chain]] = {}
    problems: dict[tuple[Endpoint, str], str] = {}
    answered: dict[tuple[Endpoint, str], set[str]] = {}
    for result in results:
        place = (result.request.endpoint, result.request.address)
        chains = seen.setdefault(place, [])
        answered.setdefault(place, set()).update(_answered(result))
        chains.extend(chain for chain in result.chains if chain not in chains)
        if result.problem:
            problems.setdefault(place, result.problem)
    facts_out: list[Fact] = []
    for (endpoint, address), chains in seen.items():
        is_mine = address in mine
        current = {row.chain: row for row in presented_now(facts, endpoint, address)}
        ended = answered[endpoint, address]
        stays = [chain for chain in current if chains and chain not in chains and chain.algorithm not in ended]
        for chain in (*chains, *stays):
            row = current.get(chain)
            facts_out.append(
                replace(row, last_at=at, mine=is_mine) if row else Presented(endpoint, address, is_mine, chain, at, at)
            )
        if not chains:
            facts_out.append(_silent(facts, endpoint, address, is_mine, problems.get((endpoint, address), ""), at))
    return facts_out


def _answered(result: ProbeResult) -> set[str]:
    """Return the key algorithms of which handshakes told what is presented: all succeeded, or none is offered."""
    if result.not_offered and result.request.algorithm:
        return {result.request.algorithm}
    if result.problem or not result.chains:
        return set()
    return {chain.algorithm for chain in result.chains} | ({"other"} if result.request.algorithm is None else set())


def _silent(facts: Facts, endpoint: Endpoint, address: str, mine: bool, problem: str, at: datetime) -> Silent:  # noqa: FBT001 (a fact's field)
    row = silent_now(facts, endpoint, address)
    if row is not None:
        return replace(row, mine=mine, last_at=at, problem=problem)
    return Silent(endpoint, address, mine, problem, at, at)


def presented_now(facts: Facts, endpoint: Endpoint, address: str) -> tuple[Presented, ...]:
    """Return what an endpoint presented at an address when it was last seen to present anything."""
    rows = [row for row in facts.presented if row.endpoint == endpoint and row.address == address]
    last = max((row.last_at for row in rows), default=None)
    return tuple(row for row in rows if row.last_at == last)


def silent_now(facts: Facts, endpoint: Endpoint, address: str) -> Silent | None:
    """Return since when an endpoint has been silent at an address; None where it spoke at the last look."""
    row = max(
        (row for row in facts.silent if row.endpoint == endpoint and row.address == address),
        key=lambda row: row.first_at,
        default=None,
    )
    if row is None:
        return None
    presented = presented_now(facts, endpoint, address)
    return None if presented and presented[0].last_at > row.last_at else row


def looked_at(facts: Facts, endpoint: Endpoint, margin: timedelta, now: datetime) -> tuple[str, ...]:
    """Return the addresses of an endpoint that a client may still connect to: seen or silent within ``margin``."""
    last: dict[str, datetime] = {}
    rows: list[Presented | Silent] = [*facts.presented, *facts.silent]
    for row in rows:
        if row.endpoint == endpoint:
            last[row.address] = max(last.get(row.address, row.last_at), row.last_at)
    newest = max(last.values(), default=now)
    return tuple(
        sorted(
            address
            for address, at in last.items()
            if at >= newest or (margin and counted_from(facts, at) + margin > now)
        )
    )
