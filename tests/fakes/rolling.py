"""A story of keys that are rolled over: several deployments, services that fail, servers that lag, a CA that refuses.

What the services read (``files``) and what they present (``runs``) are apart: a reload takes the one over to the other.
What each server truly serves is kept with when it last did (``served``), so that a test may judge what senders hold
without the facts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from danelaw import lifecycle
from danelaw.lifecycle.disk import active_generation
from danelaw.lifecycle.keys import current_key, next_key, retired_keys
from danelaw.model import (
    Activate,
    CertificateSpec,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Endpoint,
    FileSpec,
    Generation,
    Http01,
    Intent,
    IntentOption,
    KeyFact,
    Obtain,
    OnDisk,
    OwnRecord,
    Prove,
    Publish,
    RecordSpec,
    Reload,
    Rest,
    Service,
    Stage,
    Step,
    TlsaClaim,
    TlsaRecord,
)
from fakes.facts import (
    A_LOOK,
    DAY,
    HOST,
    HOUR,
    MINUTE,
    NAME,
    OURS,
    SMTP,
    START,
    Dns,
    Records,
    Story,
    certificate,
    in_a_word,
    of_key,
    of_leaf,
)

IMAPS = Endpoint(HOST, 993, "imaps")
OLD = certificate("the first one", "the first key")
THREE_ONE_ONE, THREE_ZERO_ONE = RecordSpec(3, 1, 1), RecordSpec(3, 0, 1)
W = 2 * HOUR
"""w of an RRset with a TTL of an hour."""

MAIL, IMAP = "/etc/ssl/mail.pem", "/etc/ssl/imap.pem"
"""The deployments, by their only file."""


def wish(
    *endpoints: Endpoint, records: tuple[RecordSpec, ...] = (THREE_ONE_ONE,), strict: bool = False, **fields: object
) -> Desired:
    """Return one certificate with a deployment for each endpoint (SMTP, IMAPS), by default SMTP alone."""
    places = {SMTP: MAIL, IMAPS: IMAP}
    endpoints = endpoints or (SMTP,)
    deployments = tuple(
        Deployment(
            NAME,
            (FileSpec(places[each], ("cert", "chain", "key")),),
            (each,),
            (Service(str(each.port), None, ("reload", str(each.port))),),
        )
        for each in endpoints
    )
    claims = tuple(TlsaClaim(NAME, each, records, "home", 3600, strict=strict) for each in endpoints)
    spec = CertificateSpec(NAME, (HOST,), "ca", Http01(("/srv",)), claims=claims, deployments=deployments)
    return Desired((replace(spec, **fields),), 15 * MINUTE, timedelta(0))  # type: ignore[arg-type]


@dataclass
class Rolling(Story):
    """``refused`` are the keys over which the CA issues nothing.

    ``unproven`` and ``unloaded`` are the deployments with the keys or leaves that their proof or reload fails for.
    ``frozen`` servers keep what they serve, ``deaf`` ones are not reached from here. ``mint`` issues a chain.
    """

    desired: Desired = field(default_factory=wish)
    files: dict[str, Chain] = field(default_factory=dict)
    runs: dict[str, Chain] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    unproven: set[tuple[str, str]] = field(default_factory=set)
    unloaded: set[tuple[str, str]] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    truth: dict[str, dict[str, Records]] = field(default_factory=dict)
    served: dict[tuple[str, Records], datetime] = field(default_factory=dict)
    ttls: dict[tuple[str, Records], int] = field(default_factory=dict)
    mint: Callable[[KeyFact, datetime], Chain] | None = None
    done: list[tuple[datetime, Step]] = field(default_factory=list)
    after: Callable[[], object] = lambda: None

    # What there is

    @property
    def current(self) -> KeyFact:
        key = current_key(self.facts, NAME)
        assert key is not None
        return key

    @property
    def coming(self) -> KeyFact | None:
        return next_key(self.facts, self.spec)

    @property
    def following(self) -> KeyFact:
        key = self.coming
        assert key is not None
        return key

    @property
    def retired(self) -> tuple[KeyFact, ...]:
        return retired_keys(self.facts, NAME)

    @property
    def zones(self) -> list[Dns]:
        return [self.dns, *self.elsewhere]

    def stands(self, key: KeyFact, owner: str = SMTP.owner) -> bool:
        """Tell whether ``3 1 1`` of a key stands at the primary."""
        return pin(key) in next(zone.primary for zone in self.zones if zone.owner == owner)

    def serve(self, owner: str, rdatas: Records) -> None:
        """Let the primary and every server that is not frozen serve an RRset."""
        zone = next(zone for zone in self.zones if zone.owner == owner)
        zone.primary = tuple(sorted(rdatas))
        self.thaw(zone)

    def thaw(self, zone: Dns) -> None:
        """Let every server that is not frozen catch up with the primary."""
        truth = self.truth.setdefault(zone.owner, {})
        assert not isinstance(zone.primary, str)
        for server in zone.servers:
            if server not in truth:
                truth[server] = zone.primary
            elif server not in self.frozen and truth[server] != zone.primary:
                self.served[zone.owner, truth[server]] = self.now
                truth[server] = zone.primary
            place = zone.owner, truth[server]
            self.ttls[place] = max(self.ttls.get(place, 0), zone.ttl)

    def look(self) -> Self:
        for zone in self.zones:
            self.thaw(zone)
            truth = self.truth[zone.owner]
            zone.servers = {server: "timed out" if server in self.deaf else truth[server] for server in zone.servers}
        for deployment in self.spec.deployments:
            for endpoint in deployment.endpoints:
                chain = self.runs.get(deployment.id)
                self.presents.setdefault(endpoint, {})[OURS] = (chain,) if chain else "connection refused"
        super().look()
        for name, chain in self.files.items():
            self.note(OnDisk(name, contents(name, chain), self.now))
        return self

    def put(self, deployment: Deployment, n: int, chain: Chain) -> Self:
        """Let a chain of ours be live and proven."""
        self.issued(chain)
        row = Generation(
            "", deployment.id, n, chain.leaf_sha256, contents(deployment.id, chain), self.now, shape=deployment.shape
        )
        self.files[deployment.id] = self.runs[deployment.id] = chain
        return self.note(replace(row, active_at=self.now, reloaded_at=self.now, proven_at=self.now))

    def of(self, deployment: str, n: int) -> Generation:
        return next(row for row in self.facts.generations if (row.deployment, row.n) == (deployment, n))

    def live(self, deployment: str = MAIL) -> Chain:  # type: ignore[override]
        """Return what a deployment's services present."""
        return self.runs[deployment]

    # What is asked for

    def change(self, *, records: tuple[RecordSpec, ...] = (), ttl: int = 0, **fields: object) -> Self:
        """Change the config of the certificate."""
        spec = replace(self.spec, **fields)  # type: ignore[arg-type]
        claims = tuple(replace(claim, records=records or claim.records, ttl=ttl or claim.ttl) for claim in spec.claims)
        self.desired = replace(
            self.desired, certificates=(replace(spec, claims=claims), *self.desired.certificates[1:])
        )
        return self

    def ask(self, *options: IntentOption) -> Intent:
        """Ask for a rollover."""
        intent = Intent(NAME, "rollover", "me", self.now, options=options)
        self.note(intent)
        return intent

    def cancel(self) -> Self:
        """Take back what was asked."""
        return self.note(
            *(
                replace(row, closed_at=self.now)
                for row in self.facts.intents
                if row.kind == "rollover" and not row.closed_at
            )
        )

    def leak(self, key: KeyFact) -> Self:
        """Let a key be compromised."""
        return self.note(replace(key, compromised_at=self.now))

    # What comes next

    def take(self) -> Step | Rest:
        """Carry out the next step as the world is; return it, or the rest."""
        step = self.next()
        if isinstance(step, Rest):
            return step
        self.done.append((self.now, step))
        failure = self._failure(step)
        if failure:
            self._failed(step, failure)
        else:
            self._succeeded(step)
        self.after()
        self.later(A_LOOK).look()
        return step

    def _failure(self, step: Step) -> str:
        if isinstance(step, Obtain) and step.spki_sha256 in self.refused:
            return "the CA refuses"
        if isinstance(step, Reload) and marks(step.deployment, self.files[step.deployment]) & self.unloaded:
            return "the config test fails"
        if isinstance(step, Prove) and marks(step.deployment, self.runs[step.deployment]) & self.unproven:
            return "1 of 16 handshakes failed"
        return ""

    def _failed(self, step: Step, why: str) -> None:
        self.ended(step, "failed", why)
        if isinstance(step, Reload | Prove):
            row = self.of(step.deployment, step.n)
            self.note(replace(row, failed_at=self.now, tries=row.tries + 1))

    def _succeeded(self, step: Step) -> None:
        known = self.facts
        before = {row.chain.leaf_sha256 for row in known.chains}
        facts = lifecycle.predict(self.desired, known, step, self.now)
        # What is seen is left to the next look.
        self.facts = replace(
            facts, rrsets=known.rrsets, owners=known.owners, primaries=known.primaries, presented=known.presented
        )
        self.ended(step, "done")
        match step:
            case Publish():
                next(zone for zone in self.zones if zone.owner == step.owner).ttl = step.ttl
                self.serve(step.owner, step.wanted)
            case Obtain() if self.mint is not None:
                key = next(key for key in known.keys if key.spki_sha256 == step.spki_sha256)
                rows = [row for row in self.facts.chains if row.chain.leaf_sha256 in before]
                row = ChainFact(step.certificate, self.mint(key, self.now), "ca", self.now)
                self.facts = replace(self.facts, chains=(*rows, row))
            case Stage():
                files = contents(step.deployment, self._chain(step.leaf_sha256))
                self.note(replace(self.of(step.deployment, step.n), files=files))
            case Activate():
                self.files[step.deployment] = self._chain(step.leaf_sha256)
            case Reload():
                self.runs[step.deployment] = self.files[step.deployment]
            case _:
                pass

    def steps(self, *, most: int = 60) -> list[str]:
        """Take steps until there is rest; return what was done, in a word each."""
        said: list[str] = []
        while not isinstance(step := self.take(), Rest):
            said.append(in_a_word(step))
            assert len(said) < most, said
        return said

    def run(self, span: timedelta, every: timedelta = HOUR) -> list[str]:
        """Take steps and look until ``span`` is over; return what was done, in a word each."""
        end, said = self.now + span, list[str]()
        said += self.steps()
        while self.now < end:
            self.later(min(every, end - self.now)).look()
            said += self.steps()
        return said

    def when(self, kind: type[Step], nth: int = -1) -> datetime:
        """Return when a step of a kind was taken, the last one by default."""
        return [at for at, step in self.done if isinstance(step, kind)][nth]

    def active(self, deployment: str = MAIL) -> Generation:
        row = active_generation(self.facts, deployment)
        assert row is not None
        return row


def pin(key: KeyFact) -> TlsaRecord:
    """Return ``3 1 1`` of a key."""
    return TlsaRecord(3, 1, 1, bytes.fromhex(key.spki_sha256))


def marks(deployment: str, chain: Chain) -> set[tuple[str, str]]:
    return {(deployment, chain.spki_sha256), (deployment, chain.leaf_sha256)}


def contents(deployment: str, chain: Chain) -> dict[str, str]:
    return {deployment: f"file of {chain.leaf_sha256}"}


def steady(*endpoints: Endpoint, first: Chain = OLD, **fields: object) -> Rolling:
    """Return a story in which the first chain is live and proven everywhere, and its records are in every cache."""
    story = Rolling(wish(*endpoints, **fields))  # type: ignore[arg-type]
    story.presents = {}
    claimed = [claim.endpoint for claim in story.spec.claims]
    zones = [Dns(each.owner, servers={"ns1": (), "ns2": ()}, primary=()) for each in claimed]
    story.dns, story.elsewhere = zones[0], zones[1:]
    for claim in story.spec.claims:
        rdatas = tuple(of_key(first) if each.selector else of_leaf(first) for each in claim.records)
        story.serve(claim.endpoint.owner, rdatas)
        story.note(*(OwnRecord(claim.endpoint.owner, record, "home", START) for record in rdatas))
    for deployment in story.spec.deployments:
        story.put(deployment, 1, first)
    story.facts = replace(
        story.facts, chains=tuple(replace(row, obtained_at=first.not_before) for row in story.facts.chains)
    )
    story.look().later(DAY).look()
    story.steps()
    return story.later(DAY).look()


def halfway(**fields: object) -> Rolling:
    """Return a story in which SMTP went over to the next key, and IMAP, whose proof failed, went back."""
    story = steady(SMTP, IMAPS, next_key=True, **fields)  # type: ignore[arg-type]
    story.unproven = {(IMAP, story.following.spki_sha256)}
    story.ask()
    story.steps()
    assert story.live(MAIL).spki_sha256 == story.following.spki_sha256
    assert story.live(IMAP).spki_sha256 == story.current.spki_sha256
    return story
