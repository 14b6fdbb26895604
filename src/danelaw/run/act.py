"""Carry out one step. Every effect is stored before it begins and after it ended, with the facts that it made."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.errors import DanelawError, Lost, Refused, RetryLater, Stopped
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.predict import deployment_of
from danelaw.lifecycle.records import current_key
from danelaw.lifecycle.reloads import failed_too, reloaded_too
from danelaw.model import (
    Activate,
    CertificateSpec,
    Desired,
    EffectOutcome,
    Fact,
    Facts,
    Generation,
    KeyFact,
    Obtain,
    OwnRecord,
    Prove,
    Publish,
    Reload,
    Stage,
    Step,
    TakeKey,
    TlsaRecord,
)
from danelaw.run.obtain import obtain
from danelaw.run.prove import prove
from danelaw.run.rings import Rings

KINDS: dict[type[Step], str] = {
    TakeKey: "take-key",
    Obtain: "obtain",
    Publish: "publish",
    Stage: "stage",
    Activate: "activate",
    Reload: "reload",
    Prove: "prove",
}
"""What an effect of a step is called in the store."""


LONGEST = 120
"""Characters of what a command that worked said: a dump of a whole configuration is no evidence."""


def subject_of(step: Step) -> str:
    """Return what a step is about: a certificate, an owner name or a deployment."""
    match step:
        case TakeKey() | Obtain():
            return step.certificate
        case Publish():
            return step.owner
        case _:
            return step.deployment


NO_CHANGE = "it was done, and the next look shows no change"


def act(desired: Desired, rings: Rings, facts: Facts, step: Step) -> tuple[EffectOutcome, str | None]:
    """Carry out a step; return how it ended, and its failure in words where it failed."""
    rings.tell("step", f"{describe(step)}: {step.why}", step)
    detail = _detail(step, _spec(desired, step))
    effect = rings.store.begin(KINDS[type(step)], subject_of(step), detail, rings.clock.now())
    made: Sequence[Fact] = ()
    outcome: EffectOutcome = "done"
    failure, retry_at = None, None
    try:
        made, evidence, failure = _carry_out(desired, rings, facts, step)
    except Stopped:
        if not isinstance(step, Publish | Activate):  # it may have happened: the effect stays open, recover finds out
            with suppress(DanelawError):
                rings.store.end(effect, "interrupted", "told to stop", rings.clock.now())
        raise
    except DanelawError as error:
        evidence = failure = str(error)
        outcome = "lost" if isinstance(error, Lost) else "failed"
        retry_at = error.not_before if isinstance(error, RetryLater) else None
        made = _after_failure(desired, rings, facts, step, error)
    else:
        if failure:
            outcome, evidence = "failed", failure
    rings.store.end(effect, outcome, evidence, rings.clock.now(), made, retry_at)
    rings.tell(outcome, evidence, step)
    return outcome, failure if outcome == "failed" else None


def came_to_nothing(desired: Desired, rings: Rings, facts: Facts, step: Step) -> str:
    """Store that a step which was done has changed nothing, as a failed try: it is backed off from like any other."""
    now = rings.clock.now()
    effect = rings.store.begin(KINDS[type(step)], subject_of(step), _detail(step, _spec(desired, step)), now)
    made = [_failed(_generation(facts, step), now)] if isinstance(step, Reload | Prove) else []
    rings.store.end(effect, "failed", NO_CHANGE, rings.clock.now(), made)
    rings.tell("failed", NO_CHANGE, step)
    return f"{describe(step)}: {NO_CHANGE}"


def _carry_out(desired: Desired, rings: Rings, facts: Facts, step: Step) -> tuple[Sequence[Fact], str, str | None]:
    """Change the world; return the facts made, the evidence, and the failure that is a result and not an error."""
    spec = _spec(desired, step)
    match step:
        case TakeKey():
            key = _take_key(rings, facts, spec)
            return [key], f"{key.algorithm} key {key.spki_sha256[:16]}…, {key.origin}", None
        case Obtain():
            key = next(key for key in facts.keys if (key.certificate, key.spki_sha256) == (spec.name, step.spki_sha256))
            made, evidence = obtain(rings, facts, spec, key)
            return made, evidence, None
        case Publish():
            publisher = rings.publishers[step.publisher]
            evidence = publisher.swap(step.target, step.expected, step.wanted, step.ttl)
            return own_records_after(rings, facts, step), evidence, None
        case Stage():
            return _stage(desired, rings, facts, step)
        case Activate():
            generation = _generation(facts, step)
            rings.host.activate(deployment_of(desired, step), generation)
            live = went_live(generation, after_all(facts, step.deployment, rings.clock.now()))
            return [live], f"generation {generation.n} stands where the services read it", None
        case Reload():
            return _reload(desired, rings, facts, step)
        case Prove():
            return _prove(desired, rings, facts, step)


def _take_key(rings: Rings, facts: Facts, spec: CertificateSpec) -> KeyFact:
    """Take a certificate's key, its first one or the private half of the one that it has. Raises `Refused`."""
    current, found = current_key(facts, spec.name), rings.host.peek_key(spec)
    if current is not None and (found is None or found.spki_sha256 != current.spki_sha256):
        raise Refused(
            f"{spec.key}: found another key than the one in use ({current.spki_sha256[:16]}…); "
            "name the file of that one: a change of key is not yet supported"
        )
    return rings.host.take_key(spec)


def after_all(facts: Facts, deployment: str, now: datetime) -> datetime:
    """Return now, or just after the latest going live: the newest is the active one, whatever a clock set back says."""
    latest = [row.active_at for row in facts.generations if row.deployment == deployment and row.active_at]
    return max([now, *(at + timedelta(microseconds=1) for at in latest)])


def went_live(generation: Generation, at: datetime) -> Generation:
    """Return a generation as it is known once it stands where the services read it: to be reloaded, then proven."""
    return replace(generation, active_at=at, reloaded_at=None, proven_at=None)


def own_records_after(rings: Rings, facts: Facts, step: Publish) -> list[OwnRecord]:
    """Return the facts of what is ours after a publication that happened."""
    now = rings.clock.now()
    gone: set[TlsaRecord] = set(step.expected) - set(step.wanted)
    made = [
        replace(row, withdrawn_at=now)
        for row in facts.own_records
        if row.owner == step.owner and row.record in gone and row.withdrawn_at is None
    ]
    made.extend(
        OwnRecord(step.owner, record, step.publisher, now) for record in step.wanted if record not in step.expected
    )
    return made


def _stage(desired: Desired, rings: Rings, facts: Facts, step: Stage) -> tuple[Sequence[Fact], str, str | None]:
    row = next(row for row in facts.chains if row.chain.leaf_sha256 == step.leaf_sha256)
    key = current_key(facts, step.certificate)
    assert key is not None  # noqa: S101 (the core stages only chains over the current key)
    deployment = deployment_of(desired, step)
    made = [replace(rings.host.stage(deployment, step.n, row.chain, key), shape=deployment.shape)]
    if not any((row.deployment, row.n) == (deployment.id, 0) for row in facts.generations):
        made.insert(0, rings.host.generation(deployment, 0))
    return made, f"generation {step.n} is staged", None


def _reload(desired: Desired, rings: Rings, facts: Facts, step: Reload) -> tuple[Sequence[Fact], str, str | None]:
    """Run each service's config test, and only where all pass the reloads.

    Whatever else waits for these reloads alone has had its own by it.
    """
    deployment, said = deployment_of(desired, step), []
    tests = [service.test for service in deployment.services]
    for argv in dict.fromkeys([*tests, *(service.reload for service in deployment.services)]):
        if argv:
            output = rings.host.run(argv, deployment.timeout).splitlines()
            said.append(f"{' '.join(argv)}: {output[-1][:LONGEST] if len(output) == 1 else 'ok'}")
    now = rings.clock.now()
    reloaded = [_generation(facts, step), *reloaded_too(desired, facts, deployment, now)]
    evidence = "; ".join(said) or "nothing to run"
    return [replace(row, reloaded_at=now, proven_at=None) for row in reloaded], evidence, None


def _prove(desired: Desired, rings: Rings, facts: Facts, step: Prove) -> tuple[Sequence[Fact], str, str | None]:
    generation = _generation(facts, step)
    seen, evidence, failure = prove(desired, rings, deployment_of(desired, step), chain_of(facts, generation))
    now = rings.clock.now()
    if failure:
        return [*seen, _failed(generation, now)], failure, failure
    return [*seen, replace(generation, proven_at=now, tries=0)], evidence, None


def _after_failure(desired: Desired, rings: Rings, facts: Facts, step: Step, error: DanelawError) -> Sequence[Fact]:
    """Return what is known after a failure.

    A generation whose config test or reload failed is marked so, with those that may have made it fail. An update
    without an answer may have arrived: what it would have added is ours if it is ever seen there, and what it would
    have withdrawn is ours still.
    """
    if isinstance(step, Publish) and isinstance(error, RetryLater):
        return [row for row in own_records_after(rings, facts, step) if not row.withdrawn_at]
    if not isinstance(step, Reload):
        return ()
    now = rings.clock.now()
    suspects = failed_too(desired, facts, deployment_of(desired, step), now)
    return [_failed(row, now) for row in (_generation(facts, step), *suspects)]


def _failed(generation: Generation, at: datetime) -> Generation:
    return replace(generation, failed_at=at, tries=generation.tries + 1)


def _generation(facts: Facts, step: Activate | Reload | Prove) -> Generation:
    return next(row for row in facts.generations if (row.deployment, row.n) == (step.deployment, step.n))


def _spec(desired: Desired, step: Step) -> CertificateSpec:
    if isinstance(step, Publish):
        return next(spec for spec in desired.certificates if any(c.endpoint.owner == step.owner for c in spec.claims))
    return next(spec for spec in desired.certificates if spec.name == step.certificate)


def _detail(step: Step, spec: CertificateSpec) -> str:
    """Return what recovery needs to know of a step that may or may not have happened, and whose lease it needs."""
    detail: dict[str, object] = {"certificate": spec.name}
    if isinstance(step, Publish):
        records = {"expected": [str(r) for r in step.expected], "wanted": [str(r) for r in step.wanted]}
        detail |= {"target": step.target, "publisher": step.publisher, "ttl": step.ttl, **records}
    elif isinstance(step, TakeKey | Obtain):
        detail["why"] = step.why
    else:
        detail["n"] = step.n
    return json.dumps(detail)


def describe(step: Step) -> str:
    """Return what a step does, in words."""
    match step:
        case TakeKey():
            return f"{step.certificate}: {'adopt' if step.path else 'make'} its key"
        case Obtain():
            return f"{step.certificate}: obtain a certificate"
        case Publish():
            return f"publish at {step.owner}"
        case Stage():
            return f"{step.certificate}: stage generation {step.n} of {shown(step.deployment)}"
        case Activate() if step.back:
            return f"{step.certificate}: put generation {step.n} of {shown(step.deployment)} back"
        case Activate():
            return f"{step.certificate}: go live with generation {step.n} of {shown(step.deployment)}"
        case Reload():
            return f"{step.certificate}: test and reload what reads {shown(step.deployment)}"
        case Prove():
            return f"{step.certificate}: prove {shown(step.deployment)}"


def shown(deployment: str) -> str:
    """Return a deployment's first path, and how many more it has."""
    first, *more = deployment.split(" ")
    return f"{first} and {len(more)} more" if more else first
