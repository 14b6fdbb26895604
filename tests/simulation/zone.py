"""The zone and its servers: a primary that takes updates, secondaries that lag, freeze, die, or cap TTLs.

Every server keeps a record of what it served from when to when; `senders` judges by that alone.
"""

from collections.abc import Iterable, Mapping, Sequence
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


Version = Mapping[str, RRset]
"""The zone's TLSA RRsets by owner name; absent ones are not in it."""


@dataclass(slots=True)
class Served:
    """What one server answered from ``start`` to ``end`` (None: still does)."""

    owner: str
    server: str
    rrset: RRset
    ttl: int
    start: datetime
    end: datetime | None = None

    @property
    def hold(self) -> timedelta:
        """How long a cache may keep it: a validator knows the original TTL too (RFC 4035 section 5.3.3)."""
        return timedelta(seconds=max(self.ttl, self.rrset.ttl))


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
            rrset = version.get(owner)
            same = rrset is not None and (rrset.rdatas, rrset.ttl, rrset.put_by_hand) == (
                row.rrset.rdatas,
                row.rrset.ttl,
                row.rrset.put_by_hand,
            )
            if same and rrset is not None:
                row.rrset = rrset  # signed anew
            else:
                row.end = now
        for owner, rrset in version.items():
            row_now = open_rows.get(owner)
            if row_now is None or row_now.end is not None:
                self.served.append(Served(owner, self.address, rrset, self.ttl(rrset), now))


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

    def remember(self, owner: str, rdatas: Records, ttl: int, end: datetime) -> None:
        """Let an RRset have stood at a server before the simulation began."""
        rrset = RRset(rdatas, ttl, START + VALIDITY, START)
        server = self.listed[0]
        server.served.append(Served(owner, server.address, rrset, ttl, end - VALIDITY, end))

    def rrset(self, owner: str) -> RRset | None:
        return self.primary.version.get(owner)

    def rdatas(self, owner: str) -> Records:
        rrset = self.rrset(owner)
        return rrset.rdatas if rrset else ()

    def put(self, owner: str, rdatas: Iterable[TlsaRecord], ttl: int, *, by_hand: bool) -> None:
        """Change the RRset at the primary; the secondaries hear of it."""
        now = self._timeline.now
        kept = tuple(sorted(set(rdatas)))
        version = {name: rrset for name, rrset in self.primary.version.items() if name != owner}
        if kept:
            version[owner] = RRset(kept, ttl, now + VALIDITY, now if by_hand else None)
        self.primary.version = version
        self.primary.note(now)
        self._notify(self.primary)

    def _resign(self) -> None:
        expires = self._timeline.now + VALIDITY
        self.primary.version = {o: replace(rrset, expires=expires) for o, rrset in self.primary.version.items()}
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
        now = self._timeline.now
        dropped = {
            row.server
            for row in known
            if row.owner == owner and now - row.last_at < timedelta(seconds=row.ns_ttl) and row.server not in listed
        }
        readings: list[Reading] = []
        unanswered: list[Unanswered] = []
        for server in self._zone.servers:
            if server.address not in listed and server.address not in dropped:
                continue
            self._timeline.spend(self._rng.uniform(0.001, 0.05))
            if server.dead or server.deaf or self._faults.strikes("a name server is silent", 0.01):
                self._timeline.spend(1.5)
                unanswered.append(Unanswered(owner, server.address, "no answer within 1.5 s"))
                continue
            readings.append(_reading(owner, server))
        return OwnerLook(
            owner=owner,
            zone=ZONE,
            target=owner,
            servers=dict.fromkeys(listed, NS_TTL),
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
        rrset = server.version.get(owner)
        if rrset is None:
            return Validated("secure", "NXDOMAIN")
        if rrset.expires < now:
            return Validated("bogus", "SERVFAIL", why="signature expired")
        validated = Validated("secure", "NOERROR", rrset.rdatas)
        if self._caching:
            self._cache[owner] = validated, now + timedelta(seconds=server.ttl(rrset))
        return validated


def _reading(owner: str, server: NameServer) -> Reading:
    rrset = server.version.get(owner)
    if rrset is None:
        return Reading(owner, server.address, "NXDOMAIN", (), 0, target=owner)
    return Reading(
        owner=owner,
        server=server.address,
        rcode="NOERROR",
        rdatas=rrset.rdatas,
        ttl=server.ttl(rrset),
        original_ttl=rrset.ttl,
        rrsig_expires=rrset.expires.replace(microsecond=0),
        target=owner,
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
