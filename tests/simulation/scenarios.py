"""Where histories begin: what is desired, and what stands in DNS, on disk and in the services on the first day.

`build` draws one world from a seed. Each kind of scenario is one way of beginning; what goes wrong later is drawn for
all of them alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Literal, cast, get_args

from danelaw import dane, model
from danelaw.model import (
    Authority,
    CertificateSpec,
    Chain,
    Deployment,
    Desired,
    Endpoint,
    FileSpec,
    Http01,
    KeyAlgorithm,
    KeyFact,
    RecordSpec,
    TlsaClaim,
    TlsaRecord,
)
from danelaw.run.rings import Rings
from simulation.ca import SimAuthority, SimSolver
from simulation.faults import Faults, Life, MortalContext, mortal
from simulation.keys import NAME
from simulation.machine import Content, SimHost, WebServer
from simulation.mint import Mint, SimKey, pooled_key
from simulation.services import Service, Showing, SimProber
from simulation.state import SimStore
from simulation.timeline import START, SimChance, SimClock, Timeline
from simulation.zone import NameServer, Records, SimDnsView, SimPublisher, Zone

Single = Literal["migration", "first", "kept", "broken", "newkey", "meddled"]
"""One certificate: how it begins."""

Pair = Literal["beside", "both", "both first"]
"""RSA and ECDSA (`pairs`): the second is put beside the first; both are kept; both are new."""

Kind = Single | Pair
KINDS: tuple[Single, ...] = get_args(Single)
PAIRS: tuple[Pair, ...] = get_args(Pair)

HOST = "mail.example.org"
NAMES = (HOST, "www.example.org")
CERTIFICATE = "example.org"
DAYS = 365
CALM_DAYS = 55
SPKI_256, SPKI_512, CERT_256 = RecordSpec(3, 1, 1), RecordSpec(3, 1, 2), RecordSpec(3, 0, 1)


@dataclass
class World:
    """Everything that outlives a process."""

    kind: Kind
    rng: Random
    timeline: Timeline
    faults: Faults
    desired: Desired
    zone: Zone
    dns: SimDnsView
    publisher: SimPublisher
    host: SimHost
    web: WebServer
    services: list[Service]
    prober: SimProber
    authority: SimAuthority
    mint: Mint
    keys: dict[str, SimKey]
    expected_foreign: dict[str, set[TlsaRecord]]
    prunable: Callable[[TlsaRecord], bool]
    meddling: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    rolls: bool = False
    """Keys are rolled over here (`rollovers`)."""
    restored: bool = False
    """State of days ago was put back."""
    touched: bool = False
    """Somebody changed what is wanted since this was looked at last."""
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Between these, what went live did so past caches, as a person had accepted."""
    wrong: list[str] = field(default_factory=list)
    promoted: dict[str, datetime] = field(default_factory=dict)
    """When a certificate's key was replaced last."""
    spares: list[str] = field(default_factory=list)
    """The files of keys that are kept elsewhere, the newest last."""
    first_specs: dict[str, CertificateSpec] = field(init=False)
    """Certificates as they were on the first day."""
    life: Life = field(default_factory=lambda: Life(None))
    store: SimStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = SimStore(self.timeline)
        self.first_specs = {spec.name: spec for spec in self.desired.certificates}

    @property
    def spec(self) -> CertificateSpec:
        return self.desired.certificates[0]

    def current_key(self, certificate: str) -> KeyFact | None:
        """Return the key that became a certificate's last."""
        keys = [key for key in self.store.snapshot().keys if key.certificate == certificate and key.current_since]
        return max(keys, key=lambda key: (key.current_since, key.spki_sha256), default=None)

    def edit(self, certificate: str, change: Callable[[CertificateSpec], CertificateSpec]) -> None:
        """Let a person change what the config says of a certificate."""
        specs = tuple(change(spec) if spec.name == certificate else spec for spec in self.desired.certificates)
        self.desired = replace(self.desired, certificates=specs)
        self.touched = True

    def put_endpoints_back(self) -> None:
        """Let the config name every endpoint again that left it."""
        for spec in self.first_specs.values():
            now = next(each for each in self.desired.certificates if each.name == spec.name)
            claim = now.claims[0]
            missing = [each for each in spec.claims if each.endpoint not in {one.endpoint for one in now.claims}]
            claims = (*now.claims, *(replace(claim, endpoint=each.endpoint) for each in missing))
            ids = {each.id for each in now.deployments}
            deployments = (*now.deployments, *(each for each in spec.deployments if each.id not in ids))
            self.edit(spec.name, lambda old: replace(old, claims=claims, deployments=deployments))  # noqa: B023

    def keys_needed(self) -> None:
        """Let the host and the CA say when a key is put away, or a certificate revoked, that is in use."""
        self.host.keys.needed = self._why_needed
        self.store.became_current = self._see_promotion
        self.authority.objects = self._why_live

    def _see_promotion(self, key: KeyFact) -> None:
        """A key becomes the current one once every service presents it, and nothing else."""
        self.promoted[key.certificate] = self.timeline.now
        proven = {
            endpoint
            for spec in self.desired.certificates
            if spec.name == key.certificate
            for deployment in spec.deployments
            for endpoint in deployment.endpoints
        }
        for service in self.services:
            chains = [chain for chain in service.presents if len(self.keys) == 1 or chain.algorithm == key.algorithm]
            if service.endpoint in proven and not service.down and {c.spki_sha256 for c in chains} != {key.spki_sha256}:
                where = f"{service.endpoint} at {service.address}"
                self.wrong.append(f"{self.timeline.now}: {key.spki_sha256[:12]}… is current, and {where} differs")

    def _why_live(self, leaf_sha256: str, reason: int) -> str | None:
        del reason
        for service in self.services:
            if service.endpoint in self.proven and leaf_sha256 in {chain.leaf_sha256 for chain in service.presents}:
                return f"{service.endpoint} at {service.address} presents it"
        return None

    def _why_needed(self, key: KeyFact, how: str) -> str | None:
        spki = key.spki_sha256
        current = self.current_key(key.certificate)
        if current is None or current.spki_sha256 == spki:
            return "it is the current key"
        for service in self.services:
            if service.endpoint in self.proven and spki in {chain.spki_sha256 for chain in service.presents}:
                return f"{service.endpoint} at {service.address} presents it"
        valid = [
            chain
            for _, chain in self.authority.issued
            if chain.spki_sha256 == spki and chain.leaf_sha256 not in self.authority.revoked
            if chain.not_after > self.timeline.wall + timedelta(minutes=1)
        ]
        known = {row.chain.leaf_sha256 for row in self.store.snapshot().chains}
        if any(chain.leaf_sha256 in known for chain in valid):
            return f"a certificate over it is valid, to {how} it is too early"
        return None

    def is_accepted(self, shown: Showing) -> bool:
        """Tell whether a person accepted the outage that a showing makes."""
        return any(start <= shown.start < end for start, end in self.outages)

    @property
    def proven(self) -> set[Endpoint]:
        """Return the endpoints that some deployment of the config proves."""
        specs = self.desired.certificates
        return {each for spec in specs for deployment in spec.deployments for each in deployment.endpoints}

    def reboot(self, seconds: float) -> None:
        """Let the machine go down with every process on it, and come up again after a while."""
        self.faults.counts["the machine reboots"] += 1
        self.life.dead = True
        for service in self.services:
            service.down = True
        self.timeline.reboot()

        def up() -> None:
            self.web.up = True
            for service in self.services:
                service.down = False
                service.restart()

        self.timeline.after(seconds, up)

    def presented_for(self, certificate: str, service: Service) -> list[str]:
        """Return the leaves that a service presents, of two certificates those of one's key algorithm."""
        algorithm = self.keys[certificate].algorithm if len(self.keys) > 1 else None
        return [chain.leaf_sha256 for chain in service.presents if algorithm in {None, chain.algorithm}]

    def rings(self, life: Life) -> Rings:
        """Start a process: everything that it holds dies with it, the store's file and the world stay."""
        self.store.begin_process()
        self.life = life
        return Rings(
            clock=mortal(SimClock(self.timeline, life.check), life),
            chance=SimChance(self.rng),
            store=mortal(self.store, life),
            host=mortal(self.host, life),
            dns=mortal(self.dns, life),
            prober=mortal(self.prober, life),
            publishers={"home": mortal(self.publisher, life)},
            authorities={"ca": mortal(cast("Authority", self.authority), life)},
            solver=lambda spec: MortalContext(SimSolver(self.web, spec), life),
            host_id=NAME,
        )


def build(seed: int, kind: Single | None = None, *, by_chance: bool = True) -> World:
    """Draw a world. The same seed gives the same world and, on the same code, the same history.

    Not ``by_chance``: nothing goes wrong there unless it is asked for (`Faults.armed`).
    """
    rng = Random(seed)  # noqa: S311 (nothing secret)
    begins = rng.choice(KINDS) if kind is None else kind
    timeline = Timeline()
    calm_from = START + timedelta(days=DAYS - CALM_DAYS)
    faults = Faults(fork(rng), timeline, rng.choice((0.0, 0.3, 0.7, 1.5)), calm_from)
    faults.intensity *= by_chance
    mint = Mint(fork(rng))
    algorithm: KeyAlgorithm = rng.choice(("ecdsa", "rsa"))
    own, other = pooled_key(1, algorithm), pooled_key(2, rng.choice(("ecdsa", "rsa")))
    adopted = begins != "newkey" and (begins != "first" or rng.random() < 0.7)
    key = own if adopted else pooled_key(3, "ecdsa")
    endpoints = [Endpoint(HOST, 25, "smtp")] + ([Endpoint(HOST, 993, "imaps")] if rng.random() < 0.25 else [])
    addresses = ("192.0.2.25",) if rng.random() < 0.6 else ("192.0.2.25", "2001:db8::25")
    lifetime = timedelta(days=rng.choice((90, 90, 90, 64, 47)))
    old = mint.chain(own, NAMES, START - timedelta(days=rng.randrange(20, 60)), timedelta(days=90))

    host = SimHost(fork(rng), timeline, faults, {"/etc/ssl/key.pem": own}, key, frozenset(addresses))
    web = WebServer(faults)
    hidden = rng.random() < 0.3
    zone = Zone(fork(rng), timeline, faults, name_servers(rng, hidden=hidden), hidden=hidden)
    before = _before(begins, rng, old, own, other)
    desired, foreign, prunable = _desired(begins, rng, endpoints, before, adopted=adopted)
    ttl = rng.choice((60, 300, 3600, 86400))
    zone.begin({endpoint.owner: (before, ttl) for endpoint in endpoints})
    if before and desired.history and rng.random() < 0.7:
        _forgotten(zone, rng, endpoints, mint, other)
    services = _services(rng, timeline, faults, host, desired, addresses, old, is_first=begins == "first")
    _commands(desired, host, web, services)
    world = World(
        kind=begins,
        rng=fork(rng),
        timeline=timeline,
        faults=faults,
        desired=desired,
        zone=zone,
        dns=SimDnsView(zone, fork(rng), timeline, faults, addresses, caching=rng.random() < 0.3),
        publisher=SimPublisher(zone, fork(rng), timeline, faults),
        host=host,
        web=web,
        services=services,
        prober=SimProber(fork(rng), timeline, faults, services),
        authority=SimAuthority(fork(rng), timeline, faults, mint, lifetime),
        mint=mint,
        keys={CERTIFICATE: key},
        expected_foreign={endpoint.owner: set(foreign) for endpoint in endpoints},
        prunable=prunable,
    )
    if rng.random() < 0.35:
        world.publisher.closed_until = START + timedelta(days=rng.uniform(0.2, 4))
    if faults.intensity:
        misfortunes(world, rng)
    if begins == "meddled":
        meddling(world, rng)
    return world


def fork(rng: Random) -> Random:
    return Random(rng.getrandbits(64))  # noqa: S311 (nothing secret)


def name_servers(rng: Random, *, hidden: bool) -> list[NameServer]:
    """Draw a primary and its secondaries; the first is the one that takes updates, and no NS names it where hidden."""
    all_capped = rng.choice((60, 600)) if hidden and rng.random() < 0.5 else None
    servers = [NameServer("192.0.2.53", (0, 0))]
    for number in range(rng.choice((1, 1, 2, 3))):
        lag = rng.choice(((0.05, 2), (0.05, 60), (30, 900), (600, 7200)))
        cap = rng.choice((60, 600)) if rng.random() < 0.15 else all_capped
        upstream = servers[-1] if number and rng.random() < 0.3 else None
        servers.append(NameServer(f"198.51.100.{number + 1}", lag, cap, upstream))
    return servers


def _before(kind: Single, rng: Random, old: Chain, own: SimKey, other: SimKey) -> Records:
    """Return the RRset that stands on the first day."""
    of_certificate = dane.tlsa_record(CERT_256, old)
    of_key = dane.tlsa_record(SPKI_256, spki_der=own.spki_der)
    stale = TlsaRecord(3, 0, 1, bytes(rng.randrange(256) for _ in range(32)))
    lost_key = dane.tlsa_record(SPKI_256, spki_der=other.spki_der)
    match kind:
        case "first":
            return ()
        case "migration" | "kept":
            return (of_certificate,)
        case "newkey":
            return rng.choice(((of_certificate,), (of_key,), tuple(sorted((of_key, of_certificate)))))
        case "broken":
            return rng.choice(((stale,), (lost_key,), tuple(sorted((stale, lost_key)))))
        case "meddled":
            return rng.choice(((), (of_certificate,), (of_key,)))


def _desired(
    kind: Single, rng: Random, endpoints: list[Endpoint], before: Records, *, adopted: bool
) -> tuple[Desired, Records, Callable[[TlsaRecord], bool]]:
    """Draw the config; return it with the foreign records that must stay, and which may be pruned."""
    prune: bool | tuple[TlsaRecord, ...] = kind == "migration" or (kind != "kept" and rng.choice((True, False, before)))
    records = (SPKI_256,) if rng.random() < 0.75 else (SPKI_256, SPKI_512)
    ttl = rng.choice((300, 1800, 3600))
    claims = tuple(TlsaClaim(CERTIFICATE, endpoint, records, "home", ttl, prune) for endpoint in endpoints)
    spec = CertificateSpec(
        name=CERTIFICATE,
        names=NAMES,
        ca="ca",
        http01=Http01(listen=(("192.0.2.25", 80),)),
        key="/etc/ssl/key.pem" if adopted else None,
        pre_challenge=("systemctl", "stop", "apache2"),
        post_challenge=("systemctl", "start", "apache2"),
        claims=claims,
        deployments=tuple(_deployment(rng, endpoint) for endpoint in endpoints),
    )
    margin = timedelta(minutes=rng.choice((0, 15, 15)))
    history = timedelta(days=rng.choice((0, 1, 1)))

    def prunable(record: TlsaRecord) -> bool:
        return record in prune if isinstance(prune, tuple) else bool(prune) and record.selector == 0

    foreign = tuple(record for record in before if not prunable(record))
    return Desired((spec,), margin, history), foreign, prunable


def _deployment(rng: Random, endpoint: Endpoint) -> Deployment:
    base = f"/etc/ssl/live/{endpoint.port}"
    one = (FileSpec(f"{base}.pem", ("cert", "chain", "key")),)
    several = (FileSpec(f"{base}.crt", ("cert", "chain")), FileSpec(f"{base}.key", ("key",)))
    files = rng.choice((one, several))
    return Deployment(
        certificate=CERTIFICATE,
        files=files,
        endpoints=(endpoint,),
        services=(
            model.Service(
                "",
                test=("check", str(endpoint.port)) if rng.random() < 0.5 else None,
                reload=("systemctl", "reload", str(endpoint.port)),
            ),
        ),
    )


def _forgotten(zone: Zone, rng: Random, endpoints: list[Endpoint], mint: Mint, other: SimKey) -> None:
    """Let another RRset have stood there until a while before the first look; caches may hold it still."""
    unknown = dane.tlsa_record(CERT_256, mint.chain(other, NAMES, START, timedelta(days=90)))
    for endpoint in endpoints:
        until = START - timedelta(seconds=rng.random() * 60)
        zone.remember(endpoint.owner, (unknown,), rng.choice((3600, 80000)), until)


def _services(
    rng: Random,
    timeline: Timeline,
    faults: Faults,
    host: SimHost,
    desired: Desired,
    addresses: tuple[str, ...],
    old: Chain,
    *,
    is_first: bool,
) -> list[Service]:
    services: list[Service] = []
    for deployment in desired.certificates[0].deployments:
        if not is_first or rng.random() < 0.7:
            host.disk.paths.update({file.path: Content(old, file.parts) for file in deployment.files})
        path = next(file.path for file in deployment.files if "cert" in file.parts)
        services.extend(
            Service(fork(rng), timeline, faults, host.disk, endpoint, address, (path,))
            for endpoint in deployment.endpoints
            for address in addresses
        )
    for service in services:
        service.begin()
    return services


def _commands(desired: Desired, host: SimHost, web: WebServer, services: list[Service]) -> None:
    spec = desired.certificates[0]
    assert spec.pre_challenge is not None
    assert spec.post_challenge is not None
    host.commands[spec.pre_challenge] = web.stop
    host.commands[spec.post_challenge] = web.start
    for deployment in spec.deployments:
        behind = [service for service in services if service.endpoint in deployment.endpoints]
        for read_by in deployment.services:
            assert read_by.reload is not None
            host.commands[read_by.reload] = partial(reload_all, behind)
            if read_by.test:
                host.commands[read_by.test] = behind[0].test


def reload_all(services: list[Service]) -> None:
    for service in services:
        service.reload()


def misfortunes(world: World, rng: Random) -> None:
    """Let servers freeze, go deaf and die, and services restart, fork and fall silent, mostly in the first days."""
    for _ in range(rng.randrange(4, 14)):
        first_days = rng.random() < 0.5
        start = START + timedelta(days=rng.random() * (3 if first_days else DAYS - CALM_DAYS - 20))
        end = start + timedelta(hours=rng.choice((0.2, 3, 12, 48, 300)) * rng.random())
        if rng.random() < 0.55:
            _misfortune_of_server(world, rng, start, end)
        else:
            _misfortune_of_service(world, rng, start, end)


def _misfortune_of_server(world: World, rng: Random, start: datetime, end: datetime) -> None:
    zone, server = world.zone, rng.choice(world.zone.servers[1:])
    match rng.choice(("frozen", "frozen", "deaf", "deaf and frozen", "dead")):
        case "frozen":
            world.timeline.at(start, lambda: zone.set(server, frozen=True))
        case "deaf":
            world.timeline.at(start, lambda: zone.set(server, deaf=True))
        case "deaf and frozen":
            world.timeline.at(start, lambda: zone.set(server, deaf=True, frozen=True))
        case _:
            world.timeline.at(start, lambda: zone.set(server, dead=True))
    world.timeline.at(start, lambda: world.faults.counts.update(["a name server is out of order"]))
    world.timeline.at(end, lambda: zone.set(server))


def _misfortune_of_service(world: World, rng: Random, start: datetime, end: datetime) -> None:
    service = rng.choice(world.services)

    def fall() -> None:
        service.down = True

    def rise() -> None:
        service.down = False
        service.restart()

    match rng.choice(("restart", "fork", "down")):
        case "restart":
            world.timeline.at(start, service.restart)
        case "fork":
            world.timeline.at(start, service.fork)
        case _:
            world.timeline.at(start, fall)
            world.timeline.at(end, rise)
    world.timeline.at(start, lambda: world.faults.counts.update(["a service moves by itself"]))


def meddling(world: World, rng: Random) -> None:
    """Let a person edit the records by hand, between two runs."""
    for _ in range(rng.randrange(1, 4)):
        when = START + timedelta(days=rng.random() * (DAYS - CALM_DAYS - 20) * rng.choice((0.02, 1)))
        owner = rng.choice(world.spec.claims).endpoint.owner
        world.meddling.append((when, _edit(world, rng, owner)))
    world.meddling.sort(key=lambda item: item[0])


def _edit(world: World, rng: Random, owner: str) -> Callable[[], None]:
    stale = TlsaRecord(3, 0, 1, bytes(rng.randrange(256) for _ in range(32)))
    backup = TlsaRecord(3, 1, 1, bytes(rng.randrange(256) for _ in range(32)))
    what = rng.choice(("add backup", "add stale", "replace", "delete", "ttl"))

    def edit() -> None:
        world.faults.counts.update([f"a person edits: {what}"])
        rrset = world.zone.rrset(owner)
        rdatas, ttl = (rrset.rdatas, rrset.ttl) if rrset else ((), 3600)
        match what:
            case "add backup":
                rdatas = (*rdatas, backup)
            case "add stale":
                rdatas = (*rdatas, stale)
            case "replace":
                rdatas = (stale,)
            case "delete":
                rdatas = ()
            case _:
                ttl = 7200
        target = world.zone.target(owner)
        world.zone.put(target, rdatas, ttl, by_hand=True)
        world.expected_foreign[owner] = {
            record
            for record in rdatas
            if (target, record) not in world.zone.added_by_danelaw and not world.prunable(record)
        }

    return edit
