"""Worlds in which keys are rolled over: what the config asks for, what people do meanwhile, and what goes wrong.

`turn_over` takes any world and draws all that on top of it. People act between two runs, since they see what a run
said; machines whenever they like.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from danelaw.errors import DanelawError, InputError, LeaseHeld, Refused
from danelaw.model import CertificateSpec, ChainFact, SpareKey, TlsaClaim, TlsaRecord
from danelaw.run.adopt import adopt
from danelaw.run.intents import ask_revocation, ask_rollover, cancel_rollover
from danelaw.run.rings import Outcome
from simulation.ca import Dislike
from simulation.faults import Life
from simulation.keys import Shelf
from simulation.machine import Content
from simulation.mint import pooled_key
from simulation.scenarios import CALM_DAYS, CERT_256, DAYS, SPKI_256, SPKI_512, World
from simulation.timeline import START
from simulation.zone import Alias

ALIAS = "_dane.example.org."
SPARE = "/etc/ssl/spare-{}.key"
BUSY_DAYS = DAYS - CALM_DAYS - 25
"""People and misfortunes leave off so early that what they began can end before faults do."""

FIRST_SPARE = 200
"""Keys that are kept elsewhere are the pool's from this number on."""

Change = Callable[[CertificateSpec], CertificateSpec]


def turn_over(world: World, rng: Random) -> World:
    """Let keys be rolled over in a world that has not begun."""
    world.rolls = True
    world.authority.limits = True
    world.authority.lifetime = timedelta(days=rng.choice((30, 47, 64, 90)))
    for service in world.services:
        service.slow_start = 0.1
    claims = _claims_policy(rng)
    for spec in world.desired.certificates:
        world.edit(spec.name, _policy(rng))
        world.edit(spec.name, claims)
    world.keys_needed()
    if rng.random() < 0.25:
        _lead_elsewhere(world, rng)
    if len(world.desired.certificates) == 1 and rng.random() < 0.15:
        name_a_spare(world, world.spec.name)
    _person(world, rng)
    _config_changes(world, rng)
    if world.faults.intensity:
        _clocks(world, rng)
        _reboots(world, rng)
        _ca_dislikes(world, rng)
        _full_disks(world, rng)
    if rng.random() < 0.3:
        _second_writer(world, rng)
    if rng.random() < 0.12:
        _old_backup(world, rng)
    world.meddling.sort(key=lambda item: item[0])
    return world


def _when(rng: Random, first: float = 0.5, last: float = BUSY_DAYS) -> datetime:
    return START + timedelta(days=rng.uniform(first, last))


def _policy(rng: Random) -> Change:
    """Draw how a certificate's keys are to be rolled over."""
    rollover = timedelta(days=rng.uniform(20, 90)) if rng.random() < 0.6 else None
    ahead = rng.random() < (0.85 if rollover else 0.5)
    settle = timedelta(hours=rng.choice((0, 1, 6, 24, 24, 48)))
    how: Literal["archive", "shred"] = rng.choice(("archive", "shred"))

    def change(spec: CertificateSpec) -> CertificateSpec:
        return replace(spec, rollover=rollover, next_key=ahead, settle=settle, retired_keys=how)

    return change


def _claims_policy(rng: Random) -> Change:
    """Draw what all certificates want of their records alike: those that share an owner name must agree."""
    strict = rng.random() < 0.12
    over_certificate = rng.random() < 0.12

    def change(spec: CertificateSpec) -> CertificateSpec:
        records = (CERT_256,) if over_certificate else spec.claims[0].records
        return _claims(spec, lambda claim: replace(claim, strict=strict, records=records))

    return change


def _lead_elsewhere(world: World, rng: Random) -> None:
    """Let an owner name be an alias from the first day, until a person puts the records there themselves.

    Whoever holds the CNAME goes on asking at its target, where the next key that is made after that never comes.
    """
    owner = rng.choice(world.spec.claims).endpoint.owner
    world.zone.begin_alias(owner, Alias(ALIAS, rng.choice((300, 86400, 172800))))
    if rng.random() < 0.8:
        when = _when(rng, 0.1, rng.choice((2, BUSY_DAYS)))
        # No run of ours looks just then, and every server has heard of it before the next key is made.
        world.timeline.at(when, counted(world, "an alias goes", lambda: world.zone.lead(owner, None)))
        if rng.random() < 0.7:
            soon = when + timedelta(minutes=rng.uniform(150, 600))
            for spec in world.desired.certificates:
                world.edit(spec.name, lambda spec: replace(spec, next_key=False))
                world.meddling.append((soon, asks(world, spec.name, emergency=rng.random() < 0.5)))


# --- people -----------------------------------------------------------------------------------------------------------


def counted(world: World, what: str, does: Callable[[], None]) -> Callable[[], None]:
    """Return what a person does, counted."""

    def act() -> None:
        world.faults.counts[what] += 1
        world.touched = True
        does()

    return act


def _person(world: World, rng: Random) -> None:
    """Let a person ask for rollovers, take some back, and have certificates revoked. One rollover comes at least."""
    scheduled = any(spec.rollover for spec in world.desired.certificates)
    names = [spec.name for spec in world.desired.certificates]
    for _ in range(rng.randrange(0, 3) if scheduled else rng.randrange(1, 5)):
        when = _when(rng)
        world.meddling.append((when, asks(world, rng.choice(names), emergency=rng.random() < 0.35)))
        if world.faults.intensity:
            _while_it_waits(world, rng, when)
        if rng.random() < 0.25:
            soon = when + timedelta(hours=rng.choice((0.1, 2, 30)) * rng.random())
            world.meddling.append((soon, cancels(world, rng.choice(names))))
    if rng.random() < 0.2:
        world.meddling.append(
            (_when(rng), revokes(world, rng.choice(names), rng.choice(("keyCompromise", "superseded"))))
        )
    last = START + timedelta(days=BUSY_DAYS + 1)
    if not scheduled:
        world.meddling.extend((last, asks(world, name)) for name in names)


def _while_it_waits(world: World, rng: Random, asked: datetime) -> None:
    """Let what the wait is for go wrong right then: the clock says that it is over, a server keeps the old records."""
    if rng.random() < 0.3:
        jump = asked + timedelta(minutes=rng.uniform(1, 20))
        world.timeline.at(jump, sets_clock(world, timedelta(days=rng.uniform(2, 5))))
        world.meddling.append((jump + timedelta(seconds=30), lambda: None))  # somebody runs it just then
        world.timeline.at(jump + timedelta(hours=rng.uniform(1, 60)), sets_clock(world))
    if rng.random() < 0.3:
        server = rng.choice(world.zone.listed)
        if server is not world.zone.primary:
            world.timeline.at(
                asked - timedelta(seconds=rng.uniform(1, 90)),
                counted(
                    world, "a server keeps the old records", lambda: world.zone.set(server, deaf=True, frozen=True)
                ),
            )
            world.timeline.at(asked + timedelta(days=rng.uniform(1, 6)), lambda: world.zone.set(server))


def asks(world: World, name: str, *, emergency: bool = False, accept_outage: bool = False) -> Callable[[], None]:
    """Return a person's request to roll a key over; one that is refused is none."""

    def ask() -> None:
        try:
            rings = world.rings(Life(None))
            ask_rollover(world.desired, rings, name, emergency=emergency, accept_outage=accept_outage)
        except (Refused, InputError):
            world.faults.counts["a rollover asked for is refused"] += 1

    return counted(world, "a rollover is asked for", ask)


def cancels(world: World, name: str) -> Callable[[], None]:
    """Return a person's wish to take a rollover back."""

    def cancel() -> None:
        try:
            cancel_rollover(world.desired, world.rings(Life(None)), name)
        except Refused:
            world.faults.counts["a cancellation is refused"] += 1

    return counted(world, "a rollover is taken back", cancel)


def revokes(world: World, name: str, reason: str) -> Callable[[], None]:
    """Return a person's request to revoke a certificate's newest."""

    def revoke() -> None:
        rows = [row for row in world.store.snapshot().chains if row.certificate == name and not row.revoked_at]
        key = world.current_key(name)
        rows = [row for row in rows if key and row.chain.spki_sha256 == key.spki_sha256]
        if rows:
            newest: ChainFact = max(rows, key=lambda row: row.obtained_at)
            ask_revocation(world.rings(Life(None)), newest, reason)

    return counted(world, f"a revocation is asked for: {reason}", revoke)


def name_a_spare(world: World, name: str) -> None:
    """Let the config name a next key that is kept elsewhere."""
    number = FIRST_SPARE + len(world.spares)
    spare = pooled_key(number, "ecdsa")
    path = SPARE.format(number)
    world.spares.append(path)
    world.host.keys.files[path] = spare
    world.edit(name, lambda spec: replace(spec, spare=SpareKey(f"{path}.pub", spare.spki_der), next_key=True))


def react(world: World, outcome: Outcome) -> bool:
    """Let a person do what a run asks for; return whether back-offs are to be forgotten."""
    holds = {hold.code: hold.subject for hold in outcome.rest.holds}
    wants_spare = "spare-key" in holds or any("bring the private half" in text for text in outcome.failed)
    if wants_spare and world.spares:
        world.edit(world.spec.name, lambda spec: replace(spec, key=world.spares[-1]))
        return True
    if "unknown-live" in holds:
        try:
            adopt(world.desired, world.rings(Life(None)), holds["unknown-live"])
            world.faults.counts["a person adopts what is live"] += 1
        except (DanelawError, LeaseHeld):
            world.faults.counts["an adoption is refused"] += 1
    if "spare-used" in holds:
        name_a_spare(world, holds["spare-used"])
    return not holds.keys().isdisjoint({"lost", "overwritten"})


# --- the config -------------------------------------------------------------------------------------------------------


def _config_changes(world: World, rng: Random) -> None:
    """Let the config change at random instants."""
    names = [spec.name for spec in world.desired.certificates]
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        what = rng.choice((*CLAIM_CHANGES, *KEY_CHANGES, *(SINGLE_CHANGES if len(names) == 1 else ())))
        change = (CLAIM_CHANGES | KEY_CHANGES | SINGLE_CHANGES)[what]
        of = names if what in CLAIM_CHANGES else [rng.choice(names)]
        edit = counted(world, f"the config changes: {what}", editing(world, of, change))
        when = _when(rng)
        world.meddling.append((when, edit))
        if what == "an endpoint less":
            back = counted(world, "the config changes: an endpoint more", world.put_endpoints_back)
            world.meddling.append((when + timedelta(days=rng.uniform(0.1, 20)), back))


def editing(world: World, names: Sequence[str], change: Change) -> Callable[[], None]:
    """Return what changes the config of these certificates at once."""

    def edit() -> None:
        for name in names:
            world.edit(name, change)

    return edit


def _claims(spec: CertificateSpec, change: Callable[[TlsaClaim], TlsaClaim]) -> CertificateSpec:
    return replace(spec, claims=tuple(change(claim) for claim in spec.claims))


def _sha512(spec: CertificateSpec) -> CertificateSpec:
    has_it = any(SPKI_512 in claim.records for claim in spec.claims)
    records = (SPKI_256,) if has_it else (SPKI_256, SPKI_512)
    return _claims(spec, lambda claim: replace(claim, records=records))


def _selector(spec: CertificateSpec) -> CertificateSpec:
    is_over_key = any(SPKI_256 in claim.records for claim in spec.claims)
    return _claims(spec, lambda claim: replace(claim, records=(CERT_256,) if is_over_key else (SPKI_256,)))


def _ttl(spec: CertificateSpec) -> CertificateSpec:
    return _claims(spec, lambda claim: replace(claim, ttl=7200 if claim.ttl != 7200 else 900))


def _next_key(spec: CertificateSpec) -> CertificateSpec:
    return replace(spec, next_key=not spec.next_key or spec.spare is not None)


def _strict(spec: CertificateSpec) -> CertificateSpec:
    return _claims(spec, lambda claim: replace(claim, strict=not claim.strict))


def _key_type(spec: CertificateSpec) -> CertificateSpec:
    return replace(spec, key_type="p256" if (spec.key_type or "p256").startswith("rsa") else "rsa2048")


def _one_endpoint_less(spec: CertificateSpec) -> CertificateSpec:
    if len(spec.deployments) < 2:
        return spec
    return replace(spec, claims=spec.claims[:-1], deployments=spec.deployments[:-1])


CLAIM_CHANGES: dict[str, Change] = {
    "3 1 2 comes or goes": _sha512,
    "3 0 1 to 3 1 1 or back": _selector,
    "the TTL": _ttl,
    "strict or not": _strict,
}
"""What certificates that share an owner name must agree on."""

KEY_CHANGES: dict[str, Change] = {"a next key or none": _next_key}

SINGLE_CHANGES: dict[str, Change] = {
    "RSA to ECDSA or back": _key_type,
    "an endpoint less": _one_endpoint_less,
}
"""Those of worlds with one certificate."""


# --- machines ---------------------------------------------------------------------------------------------------------


def _clocks(world: World, rng: Random) -> None:
    """Let the wall clock jump, and be corrected later; the last correction comes before faults end."""
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        error = timedelta(seconds=rng.choice((5, 300, 7200, 86400, 400000)) * rng.choice((-1, 1)) * rng.uniform(0.5, 1))
        when = _when(rng, 0.01)
        world.timeline.at(when, sets_clock(world, error))
        world.timeline.at(when + timedelta(hours=rng.choice((0.5, 10, 100)) * rng.random()), sets_clock(world))
    world.timeline.at(START + timedelta(days=BUSY_DAYS + 20), sets_clock(world))


def sets_clock(world: World, error: timedelta = timedelta(0)) -> Callable[[], None]:
    """Return what sets the wall clock so far ahead of true time."""

    def jump() -> None:
        if error != world.timeline.error:
            way = "forward" if error > world.timeline.error else "back"
            world.faults.counts[f"the clock is set {way}"] += 1
            world.timeline.error = error
            world.touched = True

    return jump


def _reboots(world: World, rng: Random) -> None:
    for _ in range(rng.choice((0, 1, 2, 3))):
        error = timedelta(hours=rng.choice((0, 0, 0, -30, 3, 50)))
        when = _when(rng, 0.01)

        def boot(error: timedelta = error) -> None:
            world.reboot(rng.uniform(20, 900))
            if error:
                sets_clock(world, error)()
                world.timeline.after(rng.uniform(5, 7200), sets_clock(world))

        world.timeline.at(when, boot)


def _ca_dislikes(world: World, rng: Random) -> None:
    """Let the CA do something to every order over a key that is not current, for hours or days."""
    spans: list[tuple[datetime, datetime, Dislike]] = []
    for _ in range(rng.choice((0, 1, 2, 4))):
        start = _when(rng)
        what: Dislike = rng.choice(("refused", "limited", "invalid", "lost"))
        spans.append((start, start + timedelta(hours=rng.choice((3, 40, 200)) * rng.random()), what))

    def dislikes(spki_sha256: str) -> Dislike | None:
        now = world.timeline.now
        current = [world.current_key(spec.name) for spec in world.desired.certificates]
        if any(key is None or key.spki_sha256 == spki_sha256 for key in current):
            return None
        return next((what for start, end, what in spans if start <= now < end), None)

    world.authority.dislikes = dislikes


def _full_disks(world: World, rng: Random) -> None:
    for _ in range(rng.choice((0, 0, 1, 2))):
        when = _when(rng, 0.01)

        def fill(*, full: bool) -> Callable[[], None]:
            def change() -> None:
                world.store.is_full = full
                world.faults.counts["the state's disk is full"] += full

            return change

        world.timeline.at(when, fill(full=True))
        world.timeline.at(when + timedelta(hours=rng.choice((0.1, 3, 30)) * rng.random()), fill(full=False))


def _old_backup(world: World, rng: Random) -> None:
    """Let the state folder be put back as it was days ago; what services read stays as it is."""
    when = _when(rng)
    kept: list[tuple[bytes, Shelf, dict[tuple[str, int], dict[str, Content]]]] = []

    def keep() -> None:
        generations = dict(world.host.disk.generations)
        kept.append((world.store.backup(), world.host.keys.shelf.copy(), generations))

    def put_back() -> None:
        backup, shelf, generations = kept[0]
        world.store.restore(backup)
        world.host.keys.shelf, world.host.disk.generations = shelf, generations
        world.restored = True

    world.meddling.append((when, keep))
    later = when + timedelta(days=rng.choice((1, 12, 60)) * rng.random())
    world.meddling.append((later, counted(world, "a backup of days ago is put back", put_back)))


def _second_writer(world: World, rng: Random) -> None:
    """Let another tool keep a record of its own in an RRset of ours, by compare and swap as we do."""
    owner = rng.choice(world.spec.claims).endpoint.owner
    for _ in range(rng.randrange(2, 12)):
        theirs = TlsaRecord(3, 1, 1, bytes(rng.randrange(256) for _ in range(32)))
        when = _when(rng)

        def put(theirs: TlsaRecord = theirs) -> None:
            world.faults.counts["a second writer writes"] += 1
            world.zone.put_beside(owner, lambda records: {*records, theirs})

        def remove(theirs: TlsaRecord = theirs) -> None:
            world.zone.put_beside(owner, lambda records: records - {theirs})

        world.timeline.at(when, put)
        world.timeline.at(when + timedelta(hours=rng.choice((0.5, 20, 300)) * rng.random()), remove)
