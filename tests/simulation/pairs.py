"""RSA beside ECDSA: worlds of two certificates that share endpoints, services and owner names, and one of which is new.

Each has a file of its own. The services that read both share their config test and reload; each may be read by a
service more, which proves another port.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

from danelaw import dane, model
from danelaw.model import (
    CertificateSpec,
    Chain,
    Deployment,
    Desired,
    Endpoint,
    FileSpec,
    Http01,
    KeyAlgorithm,
    TlsaClaim,
    TlsaRecord,
)
from simulation.ca import SimAuthority
from simulation.faults import Faults
from simulation.machine import Content, SimHost, WebServer
from simulation.mint import Mint, pooled_key
from simulation.scenarios import (
    CALM_DAYS,
    CERT_256,
    DAYS,
    HOST,
    NAMES,
    PAIRS,
    SPKI_256,
    SPKI_512,
    Pair,
    World,
    fork,
    meddling,
    misfortunes,
    name_servers,
    reload_all,
)
from simulation.services import Service, SimProber
from simulation.timeline import START, Timeline
from simulation.zone import Records, SimDnsView, SimPublisher, Zone

ALGORITHMS: tuple[KeyAlgorithm, ...] = ("rsa", "ecdsa")
"""The certificates are called by them."""

SMTP, IMAPS, POP3S = Endpoint(HOST, 25, "smtp"), Endpoint(HOST, 993, "imaps"), Endpoint(HOST, 995, "pop3s")
DAEMONS = {
    endpoint: model.Service(name, ("check", name), ("systemctl", "reload", name))
    for endpoint, name in ((SMTP, "mta"), (IMAPS, "imap"), (POP3S, "pop3"))
}
"""What offers each endpoint."""

Shape = tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]
SHAPES: tuple[Shape, ...] = (
    ((SMTP,), (SMTP,)),
    ((SMTP, IMAPS), (SMTP, IMAPS)),
    ((SMTP,), (SMTP, IMAPS)),
    ((SMTP, POP3S), (SMTP, IMAPS)),
)
"""What RSA and ECDSA prove."""


def build_pair(seed: int, kind: Pair | None = None) -> World:
    """Draw a world of two certificates. The same seed gives the same world."""
    rng = Random(seed * 2 + 1)  # noqa: S311 (nothing secret)
    begins = rng.choice(PAIRS) if kind is None else kind
    timeline = Timeline()
    calm_from = START + timedelta(days=DAYS - CALM_DAYS)
    faults = Faults(fork(rng), timeline, rng.choice((0.0, 0.0, 0.3, 0.7, 1.5)), calm_from)
    mint = Mint(fork(rng))
    adopted = begins == "both" or rng.random() < 0.5
    keys = {"rsa": pooled_key(1, "rsa"), "ecdsa": pooled_key(1 if adopted else 3, "ecdsa")}
    addresses = ("192.0.2.25",) if rng.random() < 0.6 else ("192.0.2.25", "2001:db8::25")
    old = {
        name: mint.chain(key, NAMES, START - timedelta(days=rng.randrange(20, 60)), timedelta(days=90))
        for name, key in keys.items()
    }

    host = SimHost(
        fork(rng),
        timeline,
        faults,
        {"/etc/ssl/rsa.key": keys["rsa"], "/etc/ssl/ecdsa.key": keys["ecdsa"]},
        keys["ecdsa"],
        frozenset(addresses),
    )
    host.breaks = 0.05
    hidden = rng.random() < 0.3
    zone = Zone(fork(rng), timeline, faults, name_servers(rng, hidden=hidden), hidden=hidden)
    shape = rng.choice(SHAPES)
    before = _before(begins, rng, shape, old)
    desired, prunable = _desired(rng, shape, adopted=adopted)
    ttl = rng.choice((60, 300, 3600, 86400))
    zone.begin({owner: (records, ttl) for owner, records in before.items()})
    web = WebServer(faults)
    services = _services(rng, timeline, faults, host, desired, addresses, old, begins)
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
        authority=SimAuthority(fork(rng), timeline, faults, mint, timedelta(days=rng.choice((90, 90, 64, 47)))),
        mint=mint,
        keys=keys,
        expected_foreign={owner: {r for r in records if not prunable(r)} for owner, records in before.items()},
        prunable=prunable,
    )
    if rng.random() < 0.25:
        world.publisher.closed_until = START + timedelta(days=rng.uniform(0.2, 4))
    if faults.intensity:
        misfortunes(world, rng)
        if rng.random() < 0.25:
            meddling(world, rng)
    return world


def _before(kind: Pair, rng: Random, shape: Shape, old: dict[str, Chain]) -> dict[str, Records]:
    """Return the RRsets that stand on the first day, by owner name: of what is live, by key or by certificate."""
    live = {"beside": ["rsa"], "both": ["rsa", "ecdsa"], "both first": []}[kind]
    spec = rng.choice((SPKI_256, SPKI_256, CERT_256))
    records: dict[str, Records] = {endpoint.owner: () for endpoints in shape for endpoint in endpoints}
    for name, endpoints in zip(ALGORITHMS, shape, strict=True):
        for endpoint in endpoints if name in live else ():
            records[endpoint.owner] = tuple(sorted((*records[endpoint.owner], dane.tlsa_record(spec, old[name]))))
    return records


def _desired(rng: Random, shape: Shape, *, adopted: bool) -> tuple[Desired, Callable[[TlsaRecord], bool]]:
    records = (SPKI_256,) if rng.random() < 0.75 else (SPKI_256, SPKI_512)
    ttl, prune = rng.choice((300, 1800, 3600)), rng.random() < 0.7
    specs = []
    for name, endpoints in zip(ALGORITHMS, shape, strict=True):
        read_by = tuple(DAEMONS[endpoint] for endpoint in endpoints)
        base = f"/etc/ssl/live/{name}"
        one = (FileSpec(f"{base}.pem", ("cert", "chain", "key")),)
        several = (FileSpec(f"{base}.crt", ("cert", "chain")), FileSpec(f"{base}.key", ("key",)))
        specs.append(
            CertificateSpec(
                name=name,
                names=NAMES,
                ca="ca",
                http01=Http01(listen=(("192.0.2.25", 80),)),
                key=f"/etc/ssl/{name}.key" if adopted or name == "rsa" else None,
                key_type="rsa2048" if name == "rsa" else "p256",
                pre_challenge=("systemctl", "stop", "apache2"),
                post_challenge=("systemctl", "start", "apache2"),
                claims=tuple(TlsaClaim(name, endpoint, records, "home", ttl, prune) for endpoint in endpoints),
                deployments=(Deployment(name, rng.choice((one, several)), endpoints, read_by),),
            )
        )

    def prunable(record: TlsaRecord) -> bool:
        return prune and record.selector == 0

    margin, history = timedelta(minutes=rng.choice((0, 15, 15))), timedelta(days=rng.choice((0, 1)))
    return Desired(tuple(specs), margin, history), prunable


def _services(
    rng: Random,
    timeline: Timeline,
    faults: Faults,
    host: SimHost,
    desired: Desired,
    addresses: tuple[str, ...],
    old: dict[str, Chain],
    kind: Pair,
) -> list[Service]:
    paths: dict[Endpoint, list[str]] = {}
    for spec in desired.certificates:
        stands = kind == "both" or (spec.name == "rsa" and (kind == "beside" or rng.random() < 0.7))
        if kind == "both first" and spec.name == "ecdsa":
            stands = rng.random() < 0.5
        for deployment in spec.deployments:
            if stands:
                chain = old[spec.name]
                host.disk.paths.update({file.path: Content(chain, file.parts) for file in deployment.files})
            path = next(file.path for file in deployment.files if "cert" in file.parts)
            for endpoint in deployment.endpoints:
                paths.setdefault(endpoint, []).append(path)
    services = [
        Service(fork(rng), timeline, faults, host.disk, endpoint, address, tuple(read))
        for endpoint, read in paths.items()
        for address in addresses
    ]
    for service in services:
        service.begin()
    return services


def _commands(desired: Desired, host: SimHost, web: WebServer, services: list[Service]) -> None:
    spec = desired.certificates[0]
    assert spec.pre_challenge is not None
    assert spec.post_challenge is not None
    host.commands[spec.pre_challenge] = web.stop
    host.commands[spec.post_challenge] = web.start
    for endpoint, read_by in DAEMONS.items():
        behind = [service for service in services if service.endpoint == endpoint]
        assert read_by.test is not None
        assert read_by.reload is not None
        if behind:
            host.commands[read_by.reload] = partial(reload_all, behind)
            host.commands[read_by.test] = behind[0].test
