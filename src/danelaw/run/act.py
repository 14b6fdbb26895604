"""Carry out one step. Every effect is stored before it begins and after it ended, with the facts that it made."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.errors import DanelawError, Lost, RetryLater, Stopped
from danelaw.lifecycle.components import ahead_of
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.keys import open_rollover
from danelaw.lifecycle.predict import deployment_of
from danelaw.lifecycle.reloads import failed_too, reloaded_too
from danelaw.lifecycle.watched import blocked
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
    Promote,
    Prove,
    Publish,
    Reload,
    Retire,
    Revoke,
    Stage,
    Step,
    TakeKey,
    TakeNextKey,
    TlsaRecord,
)
from danelaw.run.keys import key_of, promoted, retired, take_key, take_next_key
from danelaw.run.obtain import obtain
from danelaw.run.prove import prove
from danelaw.run.revoke import REVOCATION, revoke
from danelaw.run.rings import Rings

KINDS: dict[type[Step], str] = {
    TakeKey: "take-key",
    TakeNextKey: "take-next-key",
    Obtain: "obtain",
    Publish: "publish",
    Stage: "stage",
    Activate: "activate",
    Reload: "reload",
    Prove: "prove",
    Promote: "promote",
    Retire: "retire",
    Revoke: REVOCATION,
}
"""What an effect of a step is called in the store."""


LONGEST = 120
"""Characters of what a command that worked said: a dump of a whole configuration is no evidence."""


def subject_of(step: Step) -> str:
    """Return what a step is about: a certificate, an owner name or a deployment.

    An order over the next key has a subject of its own: its failures keep no renewal over the current key back.
    """
    match step:
        case Obtain(ahead=True):
            return ahead_of(step.certificate)
        case Publish():
            return step.owner
        case Stage() | Activate() | Reload() | Prove():
            return step.deployment
        case _:
            return step.certificate


NO_CHANGE = "it was done, and the next look shows no change"


def act(desired: Desired, rings: Rings, facts: Facts, step: Step) -> tuple[EffectOutcome, str | None]:
    """Carry out a step; return how it ended, and its failure in words where it failed."""
    rings.tell("step", f"{describe(step)}: {step.why}", step)
    detail = _detail(desired, facts, step, rings.clock.now())
    effect = rings.store.begin(KINDS[type(step)], subject_of(step), detail, rings.clock.now())
    made: Sequence[Fact] = ()
    outcome: EffectOutcome = "done"
    failure, retry_at = None, None
    try:
        made, evidence, failure = _carry_out(desired, rings, facts, step)
    except Stopped:
        # Some may have happened: their effect stays open, and recover finds out.
        if not isinstance(step, Publish | Activate | Revoke):
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
    effect = rings.store.begin(KINDS[type(step)], subject_of(step), _detail(desired, facts, step, now), now)
    made = [_failed(_generation(facts, step), now)] if isinstance(step, Reload | Prove) else []
    rings.store.end(effect, "failed", NO_CHANGE, rings.clock.now(), made)
    rings.tell("failed", NO_CHANGE, step)
    return f"{describe(step)}: {NO_CHANGE}"


def _carry_out(desired: Desired, rings: Rings, facts: Facts, step: Step) -> tuple[Sequence[Fact], str, str | None]:
    """Change the world; return the facts made, the evidence, and the failure that is a result and not an error."""
    spec = _spec(desired, step)
    match step:
        case TakeKey():
            key = take_key(rings, facts, spec)
            return [key], f"{key.algorithm} key {key.spki_sha256[:16]}…, {key.origin}", None
        case TakeNextKey():
            key = take_next_key(rings, facts, spec)
            return [key], f"{key.algorithm} key {key.spki_sha256[:16]}…, {key.origin}; it presents nothing yet", None
        case Obtain():
            key = _known_key(facts, step.certificate, step.spki_sha256)
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
        case Promote():
            made = promoted(facts, step, rings.clock.now())
            return made, f"key {step.spki_sha256[:16]}… is current, {step.retires[:16]}… is retired", None
        case Retire():
            key = retired(rings, facts, step)
            return [key], f"key {key.spki_sha256[:16]}… is {'destroyed' if key.destroyed_at else key.path}", None
        case Revoke():
            return *revoke(rings, facts, step.certificate, step.leaf_sha256, step.reason), None


def _known_key(facts: Facts, certificate: str, spki_sha256: str) -> KeyFact:
    key = key_of(facts, certificate, spki_sha256)
    assert key is not None  # noqa: S101 (the core knows the key of what it orders or deploys)
    return key


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
    key = _known_key(facts, step.certificate, row.chain.spki_sha256)
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


def _detail(desired: Desired, facts: Facts, step: Step, now: datetime) -> str:
    """Return what recovery needs to know of a step that may or may not have happened, and whose lease it needs.

    What `--accept-outage` goes past is stored with the step that does so.
    """
    detail: dict[str, object] = {"certificate": _spec(desired, step).name}
    match step:
        case Publish():
            records = {"expected": [str(r) for r in step.expected], "wanted": [str(r) for r in step.wanted]}
            detail |= {"target": step.target, "publisher": step.publisher, "ttl": step.ttl, **records}
        case TakeKey() | TakeNextKey():
            detail["why"] = step.why
        case Obtain():
            detail |= {"spki_sha256": step.spki_sha256, "why": step.why}
        case Promote():
            detail |= {"spki_sha256": step.spki_sha256, "retires": step.retires}
        case Retire():
            detail |= {"spki_sha256": step.spki_sha256, "how": step.how}
        case Revoke():
            detail |= {"leaf_sha256": step.leaf_sha256, "reason": step.reason}
        case _:
            detail["n"] = step.n
    if isinstance(step, Activate) and (cost := _accepted(desired, facts, step, now)):
        detail["accepted_outage"] = cost
    return json.dumps(detail)


def _accepted(desired: Desired, facts: Facts, step: Activate, now: datetime) -> list[str]:
    """Return what keeps a generation from going live and is gone past, since a person accepted the outage."""
    asked, chain = open_rollover(facts, step.certificate), chain_of(facts, _generation(facts, step))
    if asked is None or "accept-outage" not in asked.options or chain is None:
        return []
    return [item.why for item in blocked(facts, desired, deployment_of(desired, step), chain, now)]


def describe(step: Step) -> str:
    """Return what a step does, in words."""
    match step:
        case TakeKey():
            return f"{step.certificate}: {'adopt' if step.path else 'make'} its key"
        case TakeNextKey():
            return f"{step.certificate}: {'take the public half of' if step.path else 'make'} its next key"
        case Obtain():
            return f"{step.certificate}: obtain a certificate{' over its next key' if step.ahead else ''}"
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
        case Promote():
            return f"{step.certificate}: its next key {step.spki_sha256[:16]}… becomes the current one"
        case Retire():
            verb = "archive" if step.how == "archive" else "destroy"
            return f"{step.certificate}: {verb} its retired key {step.spki_sha256[:16]}…"
        case Revoke():
            return f"{step.certificate}: revoke {step.leaf_sha256[:16]}…"


def shown(deployment: str) -> str:
    """Return a deployment's first path, and how many more it has."""
    first, *more = deployment.split(" ")
    return f"{first} and {len(more)} more" if more else first
