"""Facts that grow as a story is told: what the DNS answers, what is presented, and the steps taken in between.

A `Story` holds a world that a test turns (`Dns` of each owner name, what each address presents, what stands on disk);
`look` lays what is there over the facts, as `run.look` does, and `take` asks for the next step and carries it out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Self

from danelaw import dane, lifecycle
from danelaw.lifecycle.disk import active_generation
from danelaw.lifecycle.merge import merge
from danelaw.model import (
    Activate,
    CertificateSpec,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Effect,
    EffectOutcome,
    Endpoint,
    Fact,
    Facts,
    FileSpec,
    Generation,
    Hold,
    Http01,
    KeyAlgorithm,
    KeyFact,
    OnDisk,
    OwnerLook,
    OwnRecord,
    Primary,
    ProbeRequest,
    ProbeResult,
    Prove,
    Publish,
    Reading,
    RecordSpec,
    Reload,
    Rest,
    Security,
    Server,
    Service,
    Stage,
    Step,
    TlsaClaim,
    TlsaRecord,
    Unanswered,
    Validated,
    Wait,
)
from danelaw.run.act import KINDS, subject_of

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
A_LOOK = 5 * SECOND

HOST = "mail.example.org"
NAME = "example.org"
SMTP = Endpoint(HOST, 25, "smtp")
OWNER = SMTP.owner
OURS, THEIRS = "192.0.2.25", "198.51.100.25"
"""An address of this host, and one of another host of the same name."""

Records = tuple[TlsaRecord, ...]
Sight = tuple[Chain, ...] | str
"""What an address presents, the unrestricted handshake's chain first; or why no handshake succeeds."""


# --- certificates and records ----------------------------------------------------------------------------------------


def certificate(
    label: str,
    key: str = "our key",
    *,
    algorithm: KeyAlgorithm = "rsa",
    since: datetime = START - 30 * DAY,
    until: datetime = START + 60 * DAY,
) -> Chain:
    """Return a chain of one certificate that is nothing but its label, over a key that is nothing but its label."""
    der, spki = label.encode(), key.encode()
    digests = sha256(der).hexdigest(), sha256(spki).hexdigest()
    return Chain((der,), digests[0], spki, digests[1], algorithm, since, until, (HOST,))


def of_key(chain: Chain) -> TlsaRecord:
    """Return ``3 1 1`` of a chain."""
    return dane.tlsa_record(RecordSpec(3, 1, 1), chain)


def of_leaf(chain: Chain) -> TlsaRecord:
    """Return ``3 0 1`` of a chain."""
    return dane.tlsa_record(RecordSpec(3, 0, 1), chain)


# --- what is desired -------------------------------------------------------------------------------------------------


def desired(
    *,
    claimed: tuple[Endpoint, ...] = (SMTP,),
    proven: tuple[Endpoint, ...] = (SMTP,),
    prune: bool | Records = False,
    history: timedelta = timedelta(0),
) -> Desired:
    """Return one certificate with one deployment that wants ``3 1 1`` at every claimed endpoint."""
    claims = tuple(TlsaClaim(NAME, each, (RecordSpec(3, 1, 1),), "home", 3600, prune) for each in claimed)
    files = (FileSpec("/etc/ssl/mail.pem", ("cert", "chain", "key")),)
    deployment = Deployment(NAME, files, proven, (Service("", None, ("true",)),))
    spec = CertificateSpec(NAME, (HOST,), "ca", Http01(("/srv",)), claims=claims, deployments=(deployment,))
    return Desired((spec,), 15 * MINUTE, history)


# --- the world -------------------------------------------------------------------------------------------------------


@dataclass
class Dns:
    """How the DNS answers about one owner name now. What a server answers is an RRset, or why it does not.

    Servers that are ``dropped`` are named by no NS any more, and are asked as long as somebody may know them. The zone
    is signed anew every three days.
    """

    owner: str = OWNER
    servers: dict[str, Records | str] = field(default_factory=dict)
    primary: Records | str = "no publisher"
    validated: Records | None = None  # None: what the first server that answers serves
    security: Security = "secure"
    ttl: int = 3600
    cname_ttl: int = 0
    ns_ttl: int = 86400
    signed: timedelta | None = 14 * DAY
    target: str = ""
    left_out: tuple[str, ...] = ()
    dropped: set[str] = field(default_factory=set)

    def serve(self, *rdatas: TlsaRecord) -> None:
        """Let the primary and every server serve an RRset."""
        self.primary = tuple(sorted(rdatas))
        self.servers = dict.fromkeys(self.servers, self.primary)

    def look(self, known: Iterable[Server], now: datetime) -> OwnerLook:
        """Return what a look brings, the servers ``known`` so far considered (`model.DnsView`)."""
        recent = {row.server for row in known if row.last_at + timedelta(seconds=row.ns_ttl) > now}
        listed = [server for server in self.servers if server not in self.dropped]
        asked = {server: self.servers[server] for server in (*listed, *sorted(self.dropped & recent))}
        answers = {server: answer for server, answer in asked.items() if not isinstance(answer, str)}
        newest = self.validated if self.validated is not None else next(iter(answers.values()), ())
        return OwnerLook(
            self.owner,
            NAME,
            self.target or self.owner,
            dict.fromkeys(listed, self.ns_ttl),
            tuple(self._reading(server, rdatas, now) for server, rdatas in answers.items()),
            tuple(Unanswered(self.owner, server, why) for server, why in asked.items() if isinstance(why, str)),
            self.left_out,
            Validated(self.security, "NOERROR", newest),
        )

    def _reading(self, server: str, rdatas: Records, now: datetime) -> Reading:
        ttl = self.ttl if rdatas else 0
        ends = now - (now - START) % (3 * DAY) + self.signed if self.signed else None
        return Reading(self.owner, server, "NOERROR", rdatas, ttl, ttl if ends else 0, self.cname_ttl, ends)


@dataclass
class Story:
    """A world, the instant, and the facts so far."""

    desired: Desired = field(default_factory=desired)
    now: datetime = START
    facts: Facts = field(default_factory=Facts)
    dns: Dns = field(default_factory=lambda: Dns(servers={"ns1": (), "ns2": ()}, primary=()))
    elsewhere: list[Dns] = field(default_factory=list)
    presents: dict[Endpoint, dict[str, Sight]] = field(default_factory=lambda: {SMTP: {}})
    fails: dict[tuple[str, KeyAlgorithm], str] = field(default_factory=dict)
    disk: Mapping[str, str] | None = None
    looked: set[datetime] = field(default_factory=set)

    @property
    def spec(self) -> CertificateSpec:
        return self.desired.certificates[0]

    @property
    def deployment(self) -> Deployment:
        return self.spec.deployments[0]

    @property
    def at(self) -> dict[str, Sight]:
        """What each address of the SMTP endpoint presents."""
        return self.presents[SMTP]

    # What is seen

    def later(self, span: timedelta) -> Self:
        self.now += span
        return self

    def note(self, *facts: Fact) -> Self:
        """Add facts that no look brings."""
        self.facts = merge(self.facts, facts)
        return self

    def look(self) -> Self:
        """See everything as it is now; no two looks are at one instant."""
        assert self.now not in self.looked
        self.looked.add(self.now)
        for zone in (self.dns, *self.elsewhere):
            known = [row for row in self.facts.servers if row.owner == zone.owner]
            self.note(*lifecycle.see_owner(self.facts, zone.look(known, self.now), self.now))
            if not isinstance(zone.primary, str):
                self.note(Primary(zone.owner, zone.primary, zone.ttl, self.now))
        self.see(
            *(r for endpoint, at in self.presents.items() for a in at for r in self._handshakes(endpoint, a, at[a]))
        )
        if self.disk is not None:
            self.note(OnDisk(self.deployment.id, self.disk, self.now))
        return self

    def look_for(self, span: timedelta, every: timedelta) -> Self:
        """Look again and again, ``span`` long."""
        end = self.now + span
        while self.now < end:
            self.later(every).look()
        return self

    def see(self, *results: ProbeResult) -> Self:
        """See the results of handshakes."""
        return self.note(*lifecycle.see_probes(self.facts, results, frozenset({OURS}), self.now))

    def _handshakes(self, endpoint: Endpoint, address: str, sight: Sight) -> list[ProbeResult]:
        results = []
        for algorithm in (None, "rsa", "ecdsa"):
            request = ProbeRequest(endpoint, address, (address, endpoint.port), algorithm)
            chains = [] if isinstance(sight, str) else [c for c in sight if algorithm in {None, c.algorithm}]
            problem = sight if isinstance(sight, str) else self.fails.get((address, algorithm)) if algorithm else None
            if problem:
                results.append(ProbeResult(request, (), problem=problem))
            else:
                results.append(ProbeResult(request, tuple(chains[:1]), not_offered=not chains))
        return results

    # What was done

    def has_key(self, chain: Chain) -> Self:
        """Let the key of a chain be this host's."""
        made = START - 400 * DAY
        return self.note(
            KeyFact(chain.spki_sha256, NAME, chain.spki_der, "rsa", "", "", "made", made, current_since=made)
        )

    def issued(self, chain: Chain, at: datetime | None = None) -> Self:
        """Let the CA have issued a chain over a key of ours."""
        return self.has_key(chain).note(ChainFact(NAME, chain, "ca", at or self.now))

    def published(self, *rdatas: TlsaRecord) -> Self:
        """Let danelaw have added records, which stand at the owner name."""
        self.dns.serve(*rdatas)
        self._ended("publish", OWNER, "done")
        return self.note(*(OwnRecord(OWNER, record, "home", self.now) for record in rdatas))

    def staged(self, n: int, chain: Chain) -> Self:
        """Let a generation stand beside what is live."""
        files = {file.path: f"file of {chain.leaf_sha256}" for file in self.deployment.files}
        row = Generation("", self.deployment.id, n, chain.leaf_sha256, files, self.now, shape=self.deployment.shape)
        return self.note(row)

    def deployed(self, n: int, chain: Chain, endpoint: Endpoint = SMTP) -> Self:
        """Let a chain be issued, live and proven at our address."""
        return self.issued(chain).staged(n, chain).live(n, chain, endpoint, proven=True)

    def live(self, n: int, chain: Chain, endpoint: Endpoint = SMTP, *, proven: bool) -> Self:
        """Let a staged generation be what the services read and present; ``proven``, or its proof failed."""
        row = self.generation(n)
        mark = {"proven_at": self.now} if proven else {"failed_at": self.now, "tries": row.tries + 1}
        self.presents[endpoint][OURS] = (chain,)
        self.disk = row.files
        return self.note(replace(row, active_at=self.now, reloaded_at=self.now, **mark))

    def generation(self, n: int) -> Generation:
        return next(row for row in self.facts.generations if row.n == n)

    # What comes next

    def next(self) -> Step | Rest:
        """Return what `lifecycle.step` says now."""
        return lifecycle.step(self.desired, self.facts, self.now)

    def take(self) -> Step | Rest:
        """Carry out the next step as it should go, and look again shortly after; return it, or the rest."""
        step = self.next()
        if isinstance(step, Rest):
            return step
        before = active_generation(self.facts, step.deployment) if isinstance(step, Activate) else None
        self.facts = lifecycle.predict(self.desired, self.facts, step, self.now)
        self.ended(step, "done")
        match step:
            case Publish():
                self.dns.serve(*step.wanted)
            case Stage():
                self.staged(step.n, self._chain(step.leaf_sha256))
            case Activate():
                self.disk = self.generation(step.n).files
                chain = self._chain(step.leaf_sha256)
                for at in self.presents.values():
                    others = [c for c in at.get(OURS, ()) if isinstance(c, Chain) and c.algorithm != chain.algorithm]
                    others = [c for c in others if before is None or c.leaf_sha256 != before.leaf_sha256]
                    at[OURS] = (chain, *others)
            case _:
                pass
        self.later(A_LOOK).look()
        return step

    def fail(self, why: str = "no space left on the device") -> Step | Rest:
        """Let the next step fail, and look again shortly after; return it, or the rest."""
        step = self.next()
        if not isinstance(step, Rest):
            self.ended(step, "failed", why)
            if isinstance(step, Reload | Prove):
                row = self.generation(step.n)
                self.note(replace(row, failed_at=self.now, tries=row.tries + 1))
            self.later(A_LOOK).look()
        return step

    def ended(self, step: Step, outcome: EffectOutcome, evidence: str = "") -> None:
        """Add the effect of a step."""
        self._ended(KINDS[type(step)], subject_of(step), outcome, evidence)

    def _ended(self, kind: str, subject: str, outcome: EffectOutcome, evidence: str = "") -> None:
        number = len(self.facts.effects) + 1
        effect = Effect(number, kind, subject, "{}", self.now, self.now, outcome, evidence)
        self.facts = replace(self.facts, effects=(*self.facts.effects, effect))

    def _chain(self, leaf_sha256: str) -> Chain:
        return next(row.chain for row in self.facts.chains if row.chain.leaf_sha256 == leaf_sha256)

    # What is asked

    def told(self, span: timedelta, every: timedelta = A_LOOK) -> list[str]:
        """Take steps and look until ``span`` is over; return what was done, in a word each."""
        end, said = self.now + span, []
        while self.now < end:
            step = self.take()
            if isinstance(step, Rest):
                self.later(every).look()
            else:
                said.append(in_a_word(step))
        return said

    def blocked(self, chain: Chain, owner: str = OWNER) -> list[str]:
        """Return the codes of what keeps a chain from going live now."""
        return [item.code for item in lifecycle.go_live(self.facts, self.desired, owner, chain, self.now)]

    def blocked_until(self, chain: Chain, owner: str = OWNER) -> datetime:
        """Return when a chain may go live: now, where nothing keeps it."""
        items = lifecycle.go_live(self.facts, self.desired, owner, chain, self.now)
        return max([self.now, *(item.until or datetime.max.replace(tzinfo=UTC) for item in items)])

    def holds(self) -> dict[str, Hold]:
        """Return the holds of now by their codes; none where there is a step."""
        answer = self.next()
        return {hold.code: hold for hold in answer.holds} if isinstance(answer, Rest) else {}

    def waits(self) -> dict[str, Wait]:
        """Return the waits of now by their codes; none where there is a step."""
        answer = self.next()
        return {wait.code: wait for wait in answer.waits} if isinstance(answer, Rest) else {}

    def publication(self) -> Publish | Wait | Hold | None:
        """Return the next step where it is a publication, else what is said of the owner name's records."""
        answer = self.next()
        if isinstance(answer, Publish):
            return answer
        if not isinstance(answer, Rest):
            return None
        rests: list[Wait | Hold] = [*answer.holds, *answer.waits]
        return next((item for item in rests if item.subject == OWNER), None)


def in_a_word(step: Step) -> str:
    """Return what kind of step it is, ``go back`` for one that puts an earlier generation back."""
    return "go back" if isinstance(step, Activate) and step.back else KINDS[type(step)]
