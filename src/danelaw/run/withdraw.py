"""`danelaw withdraw`: take what left the config out of service, its records first and its files last.

Where no record stands senders deliver opportunistically (RFC 7672 section 2.2), so the records go at once; what the
services present may change, or go, once no cache can hold them any more: then the paths that danelaw deployed to become
ordinary files again, contents unchanged, and whose they are from then on is nobody's concern here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from danelaw import dane
from danelaw.errors import DanelawError, InputError, Refused
from danelaw.lifecycle.gate import claims_at, fresh_primary, held, owner_state
from danelaw.lifecycle.records import live_at
from danelaw.lifecycle.wanted import is_over_key, own_records, wanted_records
from danelaw.model import (
    CertificateSpec,
    Deployment,
    Desired,
    Endpoint,
    Fact,
    Facts,
    FileSpec,
    Hold,
    Http01,
    Presented,
    Primary,
    Publish,
    Rest,
    Silent,
    TlsaClaim,
    TlsaRecord,
    Wait,
)
from danelaw.names import BadName, default_protocol, parse_host_port
from danelaw.run.act import act
from danelaw.run.look import look
from danelaw.run.rings import Outcome, Rings

LET_GO = "let-go"
"""The kind of the effect that makes a deployment's paths ordinary files."""

AGAIN = timedelta(seconds=5)
"""When a server that still serves a record is asked again."""

PATIENCE = timedelta(seconds=30)
"""How long a run without ``wait`` stays for servers that fetch what was just withdrawn."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What leaves: its records of ours by owner name, the publisher that added each, and the deployments.

    ``held`` are records of it, withdrawn ones too, that caches may hold; ``name`` is the certificate, or the owner name
    of an endpoint.
    """

    name: str
    records: Mapping[str, frozenset[TlsaRecord]]
    publishers: Mapping[str, str]
    held: Mapping[str, frozenset[TlsaRecord]]
    deployments: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What one run of `withdraw` did, and what is left: ``let_go`` are the deployments that are ordinary files now."""

    name: str
    records: tuple[tuple[str, TlsaRecord], ...]
    let_go: tuple[str, ...]
    outcome: Outcome


def withdraw(desired: Desired, rings: Rings, name: str, *, wait: bool = False) -> Withdrawn:
    """Take a certificate that left the config, or an endpoint ``HOST:PORT`` that none claims, out of service.

    Safe to run again at any time: it carries on where it was. ``wait`` stays until all is done. Raises `InputError`
    for what is not known here, `Refused` for what is in the config, `LeaseHeld` where a run is at work on it.
    """
    run = _Run(desired, rings, leaving(desired, rings.store.snapshot(), name, rings.clock.now()))
    patience = rings.clock.now() + PATIENCE
    while True:
        waits = run.turn()
        first = min(waits, key=lambda each: each.until, default=None)
        if first is None or run.failed or run.holds or not (wait or first.until <= patience):
            break
        rings.tell("progress", f"waiting until {first.until:%Y-%m-%d %H:%M:%SZ}: {first.why}")
        rings.clock.sleep_until(first.until)
    outcome = Outcome((), tuple(run.failed), Rest(tuple(waits), tuple(run.holds)))
    return Withdrawn(run.leaving.name, tuple(run.taken), tuple(run.let_go), outcome)


# --- what leaves ------------------------------------------------------------------------------------------------------


def leaving(desired: Desired, facts: Facts, name: str, now: datetime) -> Leaving:
    """Return what there is to take out of service under a name. Raises `InputError` or `Refused`."""
    if name in {spec.name for spec in desired.certificates}:
        raise Refused(
            f'{name} is in the config, so apply would publish and deploy it again; take its [certificate."{name}"] '
            "out first (its records, key and files stay until then), and then withdraw it"
        )
    if name in {key.certificate for key in facts.keys} | {row.certificate for row in facts.chains}:
        return _certificate(desired, facts, name, now)
    try:
        host, port = parse_host_port(name)
    except BadName as error:
        known = sorted({key.certificate for key in facts.keys} - {spec.name for spec in desired.certificates})
        raise InputError(
            f"no certificate {name!r} is in the state, and it is no endpoint either ({error}); "
            f"what left the config: {', '.join(known) or 'nothing'}"
        ) from error
    return _endpoint(desired, facts, f"_{port}._tcp.{host}.", name)


def _endpoint(desired: Desired, facts: Facts, owner: str, name: str) -> Leaving:
    claims = claims_at(desired, owner)
    if claims:
        named = ", ".join(dict.fromkeys(claim.certificate for claim in claims))
        raise Refused(
            f"{name} is in a tlsa table of {named}, so apply would publish there again; take it out there first"
        )
    records = own_records(facts, owner)
    ever = frozenset(row.record for row in facts.own_records if row.owner == owner)
    if not ever:
        raise InputError(f"danelaw added no record at {owner}, and takes away only what is its own")
    return Leaving(owner, {owner: records}, _publishers(facts, [owner]), {owner: ever})


def _certificate(desired: Desired, facts: Facts, name: str, now: datetime) -> Leaving:
    """Return what is of a certificate: the records that its keys and chains match and nobody else wants."""
    records: dict[str, frozenset[TlsaRecord]] = {}
    ever: dict[str, frozenset[TlsaRecord]] = {}
    for owner in dict.fromkeys(row.owner for row in facts.own_records):
        wanted = frozenset(wanted_records(facts, desired, owner, now) or ())
        of_it = frozenset(
            row.record for row in facts.own_records if row.owner == owner and _is_of(facts, name, row.record)
        )
        if of_it - wanted:
            records[owner], ever[owner] = own_records(facts, owner) & of_it - wanted, of_it - wanted
    deployments = tuple(_deployments(desired, facts, name))
    return Leaving(name, records, _publishers(facts, records), ever, deployments)


def _is_of(facts: Facts, name: str, record: TlsaRecord) -> bool:
    if is_over_key(record.spec):
        keys = (key for key in facts.keys if key.certificate == name)
        return any(dane.tlsa_record(record.spec, spki_der=key.spki_der) == record for key in keys)
    return any(dane.matches(record, row.chain) for row in facts.chains if row.certificate == name)


def _publishers(facts: Facts, owners: Sequence[str] | Mapping[str, object]) -> dict[str, str]:
    """Return who added the newest of our records at each owner name."""
    newest = sorted((row for row in facts.own_records if row.owner in owners), key=lambda row: row.added_at)
    return {row.owner: row.publisher for row in newest}


def _deployments(desired: Desired, facts: Facts, name: str) -> Iterator[Deployment]:
    """Yield the deployments that went live with a certificate's chains, and that no deploy table names any more."""
    leaves = {row.chain.leaf_sha256 for row in facts.chains if row.certificate == name}
    named = {deployment.id for spec in desired.certificates for deployment in spec.deployments}
    taken = {file.path for spec in desired.certificates for each in spec.deployments for file in each.files}
    for subject in dict.fromkeys(row.deployment for row in facts.generations if row.leaf_sha256 in leaves):
        rows = [row for row in facts.generations if row.deployment == subject]
        paths = sorted({path for row in rows if row.n for path in row.files})
        if subject in named or taken & set(paths) or not any(row.active_at for row in rows):
            continue
        found = Deployment(name, tuple(FileSpec(path, ()) for path in paths), ())
        if found.id == subject:
            yield found


# --- taking it out ----------------------------------------------------------------------------------------------------


class _Run:
    """One run: what was taken, what is left to wait for, what failed."""

    def __init__(self, desired: Desired, rings: Rings, leaving: Leaving) -> None:
        self._desired = desired
        self._rings = rings
        self.leaving = leaving
        self.taken: list[tuple[str, TlsaRecord]] = []
        self.let_go: list[str] = []
        self.failed: list[str] = []
        self.holds: list[Hold] = []

    def turn(self) -> list[Wait]:
        """Look once, take what may go now, and return what is waited for."""
        self.failed, self.holds = [], []
        with self._leases():
            imagined = self._imagined()
            facts = look(imagined, self._rings)
            for owner, records in self.leaving.records.items():
                left = records & own_records(facts, owner)
                facts = self._take(imagined, facts, owner, left) if left else facts
            waits = self._waits(imagined, facts)
            if not (waits or self.failed or self.holds):
                self._let_go(facts)
            return waits

    @contextmanager
    def _leases(self) -> Iterator[None]:
        """Hold the lease of what leaves, and of every certificate that claims one of its owner names."""
        claims = [claim for owner in self.leaving.held for claim in claims_at(self._desired, owner)]
        with ExitStack() as stack:
            for name in sorted({self.leaving.name, *(claim.certificate for claim in claims)}):
                stack.enter_context(self._rings.store.lease(name))
            yield

    def _imagined(self) -> Desired:
        """Return the config with a certificate that claims these owner names and wants no record there.

        So they are looked at like all others, and others' claims there count.
        """
        facts = self._rings.store.snapshot()
        claims = tuple(
            TlsaClaim(self.leaving.name, _at(facts, owner), (), self.leaving.publishers[owner], 0)
            for owner in self.leaving.held
        )
        spec = CertificateSpec(self.leaving.name, (), "", Http01(), claims=claims)
        sharing = {claim.certificate for owner in self.leaving.held for claim in claims_at(self._desired, owner)}
        others = tuple(each for each in self._desired.certificates if each.name in sharing)
        return replace(self._desired, certificates=(spec, *others))

    def _take(self, imagined: Desired, facts: Facts, owner: str, records: frozenset[TlsaRecord]) -> Facts:
        """Withdraw our records at one owner name, where what stays refuses nobody; return all facts."""
        publisher = self.leaving.publishers[owner]
        if publisher not in self._rings.publishers:
            self._hold(
                "publisher",
                owner,
                f"the records at {owner} were added through {publisher!r}, which left the config",
                f"put [dns.{publisher}] back until they are withdrawn",
            )
            return facts
        primary, state = fresh_primary(facts, owner), owner_state(facts, owner)
        if primary is None or state is None or state.problem:
            why = state.problem if state and state.problem else "its publisher's server did not answer"
            self.failed.append(f"{owner} cannot be read: {why}; run withdraw again")
            return facts
        gone = records - set(primary.rdatas)
        if gone:  # somebody else has taken them
            now = self._rings.clock.now()
            rows = [row for row in facts.own_records if row.owner == owner and row.record in gone]
            self._rings.store.record([replace(row, withdrawn_at=now) for row in rows if row.withdrawn_at is None])
        ours = records & set(primary.rdatas)
        if ours and self._may_go(imagined, facts, primary, ours):
            wanted = tuple(record for record in primary.rdatas if record not in ours)
            why = f"{self.leaving.name} is withdrawn"
            step = Publish(owner, state.target, publisher, primary.rdatas, wanted, primary.ttl, why)
            outcome, failure = act(imagined, self._rings, facts, step)
            if outcome == "done":
                self.taken.extend((owner, record) for record in sorted(ours))
            else:
                self.failed.append(failure or f"{owner} was changed by somebody else meanwhile; run withdraw again")
            return look(imagined, self._rings)
        return facts

    def _may_go(self, imagined: Desired, facts: Facts, primary: Primary, ours: frozenset[TlsaRecord]) -> bool:
        """Tell whether what stays refuses nothing that the present RRset accepts (promise 1)."""
        now, owner = self._rings.clock.now(), primary.owner
        stays = [record for record in primary.rdatas if record not in ours]
        live, claims = live_at(facts, imagined, owner, now), claims_at(self._desired, owner)
        worse = live.refusals(stays, claims, owner, now) - live.refusals(primary.rdatas, claims, owner, now)
        if worse:
            shown, at = ", ".join(str(record) for record in stays), ", ".join(sorted({at for at, _ in worse}))
            self._hold(
                "would-refuse",
                owner,
                f"the records that stay at {owner} ({shown}) refuse what {at} presents",
                "let that address present another certificate first, or take those records away too",
            )
        return not worse

    def _waits(self, imagined: Desired, facts: Facts) -> list[Wait]:
        """Return until when caches, or servers, may hold what leaves: so long the services stay as they are."""
        now, waits = self._rings.clock.now(), list[Wait]()
        for owner, records in self.leaving.held.items():
            items = [item for item in held(facts, imagined, owner, now) if records & set(item.rdatas)]
            if items:
                last = max(items, key=lambda item: item.until or datetime.max.replace(tzinfo=now.tzinfo))
                why = f"senders may hold the records of {owner} that were withdrawn: {last.why}"
                waits.append(Wait("cached", owner, last.until or now + AGAIN, why))
        return waits

    def _let_go(self, facts: Facts) -> None:
        """Make ordinary files of what was deployed, and answer what was asked for it."""
        now = self._rings.clock.now()
        for deployment in self.leaving.deployments:
            rows = [row for row in facts.generations if row.deployment == deployment.id and row.active_at]
            detail = json.dumps({"certificate": self.leaving.name})
            effect = self._rings.store.begin(LET_GO, deployment.id, detail, now)
            try:
                self._rings.host.let_go(deployment)
            except DanelawError as error:
                self._rings.store.end(effect, "failed", str(error), self._rings.clock.now())
                self.failed.append(str(error))
                continue
            made: list[Fact] = [replace(row, active_at=None, reloaded_at=None, proven_at=None) for row in rows]
            self._rings.store.end(effect, "done", "its paths are ordinary files", self._rings.clock.now(), made)
            self.let_go.append(deployment.id)
        asked = [row for row in facts.intents if row.certificate == self.leaving.name and row.closed_at is None]
        self._rings.store.record([replace(row, closed_at=now) for row in asked])

    def _hold(self, code: str, subject: str, why: str, remedy: str) -> None:
        self.holds.append(Hold(code, subject, why, remedy))


def _at(facts: Facts, owner: str) -> Endpoint:
    """Return the endpoint of an owner name: as it was seen, or as its port says."""
    rows: list[Presented | Silent] = [*facts.presented, *facts.silent]
    seen = next((row.endpoint for row in rows if row.endpoint.owner == owner and row.endpoint.connect is None), None)
    port, _, host = owner.split(".", 2)
    number = int(port[1:])
    return seen or Endpoint(host.removesuffix("."), number, default_protocol(number) or "tls")
