"""The zone and its servers: a primary that takes updates, secondaries that lag, freeze, die, or cap TTLs.

Every server keeps a record of what it served from when to when; `senders` judges by that alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from danelaw.errors import Lost, Refused, RetryLater
from danelaw.model import OwnerLook, Reading, Security, Server, TlsaRecord, Unanswered, Validated
from simulation.faults import Faults
from simulation.timeline import START, Timeline

VALIDITY = timedelta(days=14)
RESIGN = timedelta(days=6)
ZONE = "example.org."
NS_TTL = 86400

Records = tuple[TlsaRecord, ...]


@dataclass(frozen=True, slots=True)
class RRset:
    """Records as the primary signed them. ``put_by_hand`` is when a person put them there, None where danelaw did."""

    rdatas: Records
    ttl: int
    expires: datetime
    put_by_hand: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A CNAME at an owner name, which a person put there: the records stand at ``target``."""

    target: str
    ttl: int


Version = Mapping[str, RRset | Alias]
"""The zone's TLSA RRsets and CNAMEs by owner name; absent ones are not in it."""


def resolved(version: Version, owner: str) -> tuple[RRset | None, Alias | None]:
    """Return what an owner name leads to, and the CNAME that it leads over."""
    found = version.get(owner)
    if not isinstance(found, Alias):
        return found, None
    behind = version.get(found.target)
    assert not isinstance(behind, Alias), "one CNAME is enough"
    return behind, found


@dataclass(slots=True)
class Served:
    """What one server answered from ``start`` to ``end`` (None: still does), over a CNAME or without one.

    ``led_away``: it ended because the CNAME led elsewhere from then on.
    """

    owner: str
    server: str
    rrset: RRset
    ttl: int
    start: datetime
    end: datetime | None = None
    alias: Alias | None = None
    led_away: bool = False

    @property
    def ttl_held(self) -> timedelta:
        """How long a cache may keep the RRset: a validator knows the original TTL too (RFC 4035 section 5.3.3)."""
        return timedelta(seconds=max(self.ttl, self.rrset.ttl))

    @property
    def hold(self) -> timedelta:
        """How long after ``end`` a cache may have it: whoever holds the CNAME still goes on fetching what is behind."""
        cname = timedelta(seconds=self.alias.ttl if self.alias and self.led_away else 0)
        return cname + self.ttl_held


@dataclass(slots=True)
class NameServer:
    """One address of one authoritative server.

    ``deaf``: answers the world and not us. ``dead``: answers nobody. ``frozen``: fetches nothing. ``upstream`` is whom
    it fetches from, ``cap`` the largest TTL that it serves.
    """

    address: str
    lag: tuple[float, float]
    cap: int | None = None
    upstream: "NameServer | None" = None
    version: Version = field(default_factory=dict)
    deaf: bool = False
    dead: bool = False
    frozen: bool = False
    served: list[Served] = field(default_factory=list)

    def ttl(self, rrset: RRset) -> int:
        return rrset.ttl if self.cap is None else min(self.cap, rrset.ttl)

    def note(self, now: datetime) -> None:
        """Bring the record of what is served up to date."""
        version = {} if self.dead else self.version
        open_rows = {row.owner: row for row in self.served if row.end is None}
        for owner, row in open_rows.items():
            rrset, alias = resolved(version, owner)
            same = rrset is not None and (alias, rrset.rdatas, rrset.ttl, rrset.put_by_hand) == (
                row.alias,
                row.rrset.rdatas,
                row.rrset.ttl,
                row.rrset.put_by_hand,
            )
            if same and rrset is not None:
                row.rrset = rrset  # signed anew
            else:
                row.end = now
                row.led_away = row.alias is not None and row.alias != alias and not self.dead
        for owner in version:
            rrset, alias = resolved(version, owner)
            row_now = open_rows.get(owner)
            if rrset is not None and (row_now is None or row_now.end is not None):
                self.served.append(Served(owner, self.address, rrset, self.ttl(rrset), now, alias=alias))


class Zone:
    """The primary with its history, and the servers that the NS records name."""

    def __init__(
        self, rng: Random, timeline: Timeline, faults: Faults, servers: Sequence[NameServer], *, hidden: bool
    ) -> None:
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self.primary = servers[0]
        self.servers = list(servers)
        self.listed = list(servers[1:] if hidden else servers)
        self.removed_by_danelaw: list[tuple[str, TlsaRecord]] = []
        self.added_by_danelaw: set[tuple[str, TlsaRecord]] = set()
        timeline.at(START + RESIGN * rng.random(), self._resign)

    def begin(self, version: Mapping[str, tuple[Records, int]]) -> None:
        """Let every server have had these RRsets for long."""
        expires = START + VALIDITY * self._rng.uniform(0.4, 1)
        whole = {owner: RRset(rdatas, ttl, expires, START) for owner, (rdatas, ttl) in version.items() if rdatas}
        for server in self.servers:
            server.version = whole
            server.note(START)

    def begin_alias(self, owner: str, alias: Alias) -> None:
        """Let every server have had a CNAME at an owner name for long, the records standing at its target."""
        version = dict(self.primary.version)
        rrset = version.pop(owner, None)
        if isinstance(rrset, RRset):
            version[alias.target] = rrset
        version[owner] = alias
        for server in self.servers:
            server.version = version
            server.served = [row for row in server.served if row.end is not None]
            server.note(START)

    def remember(self, owner: str, rdatas: Records, ttl: int, end: datetime) -> None:
        """Let an RRset have stood at a server before the simulation began."""
        rrset = RRset(rdatas, ttl, START + VALIDITY, START)
        server = self.listed[0]
        server.served.append(Served(owner, server.address, rrset, ttl, end - VALIDITY, end))

    def rrset(self, owner: str) -> RRset | None:
        return resolved(self.primary.version, owner)[0]

    def seen_at(self, server: NameServer, owner: str) -> tuple[RRset | None, Alias | None]:
        """Return what a server says that an owner name leads to, and over which CNAME."""
        return resolved(server.version, owner)

    def target(self, owner: str) -> str:
        """Return where the records of an owner name stand at the primary."""
        found = self.primary.version.get(owner)
        return found.target if isinstance(found, Alias) else owner

    def rdatas(self, owner: str) -> Records:
        rrset = self.rrset(owner)
        return rrset.rdatas if rrset else ()

    def put(self, owner: str, rdatas: Iterable[TlsaRecord], ttl: int, *, by_hand: bool) -> None:
        """Change the RRset that stands at a name at the primary; the secondaries hear of it."""
        now = self._timeline.now
        kept = tuple(sorted(set(rdatas)))
        self._change(owner, RRset(kept, ttl, now + VALIDITY, now if by_hand else None) if kept else None)

    def put_beside(self, owner: str, change: Callable[[set[TlsaRecord]], set[TlsaRecord]]) -> None:
        """Let another writer change records of its own; who put the others there stays as it is."""
        target, rrset = self.target(owner), self.rrset(owner)
        if rrset is not None:
            changed = tuple(sorted(change(set(rrset.rdatas))))
            self._change(target, replace(rrset, rdatas=changed, expires=self._timeline.now + VALIDITY))

    def lead(self, owner: str, alias: Alias | None) -> None:
        """Put a CNAME at an owner name, its records going along to the target; or take it away, them coming back."""
        rrset, before, after = self.rrset(owner), self.target(owner), alias.target if alias else owner
        self.added_by_danelaw |= {(after, record) for name, record in self.added_by_danelaw if name == before}
        if alias is not None and rrset is not None:
            self._change(alias.target, rrset)
        self._change(owner, alias or rrset)

    def _change(self, name: str, entry: RRset | Alias | None) -> None:
        now = self._timeline.now
        version = {known: each for known, each in self.primary.version.items() if known != name}
        if entry is not None:
            version[name] = entry
        self.primary.version = version
        self.primary.note(now)
        self._notify(self.primary)

    def _resign(self) -> None:
        expires = self._timeline.now + VALIDITY
        self.primary.version = {
            owner: each if isinstance(each, Alias) else replace(each, expires=expires)
            for owner, each in self.primary.version.items()
        }
        self.primary.note(self._timeline.now)
        self._notify(self.primary)
        self._timeline.at(self._timeline.now + RESIGN * self._rng.uniform(0.7, 1.1), self._resign)

    def _notify(self, source: NameServer) -> None:
        for server in self.servers:
            if server is not self.primary and (server.upstream or self.primary) is source:
                lag = self._rng.uniform(*server.lag)
                if self._faults.strikes("a NOTIFY is lost", 0.15):
                    lag = self._rng.uniform(60, 3600)
                self._timeline.after(lag, lambda server=server: self.refresh(server))  # type: ignore[misc]

    def refresh(self, server: NameServer) -> None:
        """Fetch what the upstream has now."""
        source = server.upstream or self.primary
        if server.frozen or server.dead or source.dead or server.version is source.version:
            return
        server.version = source.version
        server.note(self._timeline.now)
        self._notify(server)

    def set(self, server: NameServer, *, deaf: bool = False, dead: bool = False, frozen: bool = False) -> None:
        """Let a server become so, or well again."""
        server.deaf, server.dead, server.frozen = deaf, dead, frozen
        server.note(self._timeline.now)
        self._timeline.after(self._rng.uniform(*server.lag), lambda: self.refresh(server))


class SimDnsView:
    """`model.DnsView`: each listed server is asked in turn, while time passes; the validated view may be a cache's."""

    def __init__(
        self,
        zone: Zone,
        rng: Random,
        timeline: Timeline,
        faults: Faults,
        addresses: tuple[str, ...],
        *,
        caching: bool,
    ) -> None:
        self._zone = zone
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self._addresses = addresses
        self._caching = caching
        self._cache: dict[str, tuple[Validated, datetime]] = {}

    def look(self, owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        return [self._look(owner, known) for owner in owners]

    def addresses(self, host: str) -> tuple[tuple[str, ...], Security, str]:
        del host
        return self._addresses, "secure", ""

    def _look(self, owner: str, known: Sequence[Server]) -> OwnerLook:
        if self._faults.strikes("no look at DNS succeeds", 0.01):
            return OwnerLook(owner, ZONE, owner, {}, (), problem="the zone's servers cannot be found")
        listed = [server.address for server in self._zone.listed]  # senders and we ask these; a hidden primary nobody
        dropped = {
            row.server
            for row in known
            if row.owner == owner
            and self._timeline.wall - row.last_at < timedelta(seconds=row.ns_ttl)
            and row.server not in listed
        }
        answers: dict[str, NameServer] = {}
        unanswered: list[Unanswered] = []
        for server in self._zone.servers:
            if server.address not in listed and server.address not in dropped:
                continue
            self._timeline.spend(self._rng.uniform(0.001, 0.05))
            if server.dead or server.deaf or self._faults.strikes("a name server is silent", 0.01):
                self._timeline.spend(1.5)
                unanswered.append(Unanswered(owner, server.address, "no answer within 1.5 s"))
                continue
            answers[server.address] = server
        target, readings = _readings(owner, answers)
        return OwnerLook(
            owner=owner,
            zone=ZONE,
            target=target,
            servers=dict.fromkeys([*listed, *(r.server for r in readings if " at " in r.server)], NS_TTL),
            readings=tuple(readings),
            unanswered=tuple(unanswered),
            validated=self._validated(owner),
        )

    def _validated(self, owner: str) -> Validated:
        now = self._timeline.now
        cached = self._cache.get(owner)
        if cached and cached[1] > now:
            return cached[0]
        if self._faults.strikes("the resolver fails", 0.01):
            return Validated("indeterminate", "SERVFAIL", why="the resolver did not answer")
        able = [server for server in self._zone.listed if not server.dead and not server.deaf]
        if not able:
            return Validated("indeterminate", "SERVFAIL", why="no server answers")
        server = self._rng.choice(able)
        rrset, _ = resolved(server.version, owner)
        if rrset is None:
            return Validated("secure", "NXDOMAIN")
        if rrset.expires < now:
            return Validated("bogus", "SERVFAIL", why="signature expired")
        validated = Validated("secure", "NOERROR", rrset.rdatas)
        if self._caching:
            self._cache[owner] = validated, now + timedelta(seconds=server.ttl(rrset))
        return validated


def _readings(owner: str, answers: Mapping[str, NameServer]) -> tuple[str, list[Reading]]:
    """Return where the records stand, and what each server says, as `danelaw.dns` puts it together.

    Where servers disagree about a CNAME, all are read at its target, and those without it at the owner name too.
    """
    found = {address: server.version.get(owner) for address, server in answers.items()}
    alias = next((each for each in found.values() if isinstance(each, Alias)), None)
    if alias is None:
        return owner, [_reading(owner, owner, address, server) for address, server in answers.items()]
    readings = [_reading(owner, alias.target, address, server, alias.ttl) for address, server in answers.items()]
    readings += [
        _reading(owner, owner, f"{address} at {owner}", answers[address])
        for address, each in found.items()
        if not isinstance(each, Alias)
    ]
    return alias.target, readings


def _reading(owner: str, name: str, label: str, server: NameServer, cname_ttl: int = 0) -> Reading:
    """Return what a server holds at a name, as a reading of an owner name."""
    rrset = server.version.get(name)
    target = name if name != owner else ""
    if not isinstance(rrset, RRset):
        return Reading(owner, label, "NXDOMAIN", (), 0, cname_ttl=cname_ttl, target=target)
    return Reading(
        owner=owner,
        server=label,
        rcode="NOERROR",
        rdatas=rrset.rdatas,
        ttl=server.ttl(rrset),
        original_ttl=rrset.ttl,
        cname_ttl=cname_ttl,
        rrsig_expires=rrset.expires.replace(microsecond=0),
        target=target,
    )


class SimPublisher:
    """`model.Publisher`: compare and swap at the primary, which may refuse, fall silent, or lose its answer."""

    def __init__(self, zone: Zone, rng: Random, timeline: Timeline, faults: Faults) -> None:
        self._zone = zone
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self.closed_until = START
        """Until then every update is refused, as with a TSIG key that the server does not know yet."""

    def read(self, target: str) -> tuple[Records, int]:
        self._timeline.spend(self._rng.uniform(0.001, 0.05))
        self._answers()
        rrset = self._zone.rrset(target)
        return (rrset.rdatas, rrset.ttl) if rrset else ((), 0)

    def swap(self, target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        self._timeline.spend(self._rng.uniform(0.001, 0.2))
        self._answers()
        if self._timeline.now < self.closed_until or self._faults.strikes("an update is refused", 0.05):
            raise Refused("the server refuses the update: REFUSED")
        if target != self._zone.target(target):
            raise Lost(f"{target} is an alias")  # RFC 2136 section 3.4.2.2: its absence is a prerequisite
        if set(self._zone.rdatas(target)) != set(expected) or self._faults.strikes(
            "an update is lost to another", 0.02
        ):
            raise Lost(f"{target} holds something else than what was seen")
        self._zone.removed_by_danelaw.extend((target, record) for record in set(expected) - set(wanted))
        self._zone.added_by_danelaw |= {(target, record) for record in set(wanted) - set(expected)}
        self._zone.put(target, wanted, ttl, by_hand=False)
        self._timeline.spend(self._rng.uniform(0.001, 0.2))
        if self._faults.strikes("an update's answer is lost", 0.1):
            raise RetryLater("no answer to the update within 5 s")
        return "NOERROR"

    def _answers(self) -> None:
        if self._zone.primary.dead or self._zone.primary.deaf or self._faults.strikes("the primary is silent", 0.02):
            self._timeline.spend(5)
            raise RetryLater("the primary did not answer within 5 s")
