"""Decide the next step: one pure function of what is desired, what is known, and the instant.

The rules stand in order of urgency; each looks at every certificate before the next rule is asked, so that anybody's
step comes before anybody's rest. A step is returned only after its consequences were checked (`invariants`).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.errors import UnsafePlan
from danelaw.lifecycle.case import Answers, Case, unless_backing_off
from danelaw.lifecycle.components import own_facts
from danelaw.lifecycle.cutover import cutover, obstacles, retry_generation_at, wish
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.due import failures
from danelaw.lifecycle.gate import Blocked, acceptable, claims_at, owner_state
from danelaw.lifecycle.here import not_here, remedy_of
from danelaw.lifecycle.invariants import Change, broken
from danelaw.lifecycle.keys import current_key, next_type
from danelaw.lifecycle.obtaining import obtain
from danelaw.lifecycle.outage import outage
from danelaw.lifecycle.predict import predict
from danelaw.lifecycle.records import publication, unpinnable
from danelaw.lifecycle.reloads import covers_reload, share_a_reload
from danelaw.lifecycle.rollout import QUIET, Rollout, has_failed, refuses, rollout
from danelaw.lifecycle.rollover import make_next_keys, promote, retire, revoke, settle
from danelaw.lifecycle.wanted import algorithms_of
from danelaw.lifecycle.watched import counted
from danelaw.model import (
    Activate,
    Chain,
    ChainFact,
    Chance,
    Desired,
    Facts,
    Generation,
    Hold,
    Prove,
    Publish,
    Reload,
    Rest,
    Stage,
    Step,
    TakeKey,
    Wait,
)

LOST_LIMIT = 3
"""So many compare-and-swaps lost in a row need a person."""


def step(
    desired: Desired, facts: Facts, now: datetime, chance: Chance | None = None, forgive: datetime | None = None
) -> Step | Rest:
    """Return the next step, or why there is none now. Raises `UnsafePlan` where a rule would break an invariant."""
    del chance  # ARI draws its instant here one day
    facts = own_facts(desired, facts)
    works = tuple(
        rollout(facts, desired, spec, each, now, forgive) for spec in desired.certificates for each in spec.deployments
    )
    case = Case(desired, facts, now, works, forgive)
    waits: list[Wait] = []
    holds: list[Hold] = []
    for rule in RULES:
        for answer in rule(case):
            if isinstance(answer, Wait):
                waits.append(answer)
            elif isinstance(answer, Hold):
                holds.append(answer)
            else:
                _check(case, answer)
                return answer
    return Rest(tuple(waits), tuple(dict.fromkeys(holds)))


def _check(case: Case, step: Step) -> None:
    """Raise `UnsafePlan` where a step would break an invariant; `--accept-outage` is about the first one alone."""
    after = predict(case.desired, case.facts, step, case.now)
    for number, what in broken(Change(case.desired, case.facts, step, after, case.now)):
        if number != 1 or not _is_accepted(case, step):
            raise UnsafePlan(f"invariant {number}", f"{type(step).__name__} is refused: {what}")


def _is_accepted(case: Case, step: Step) -> bool:
    """Tell whether a person accepted that senders refuse what a step puts live, until their caches expire."""
    if not isinstance(step, Activate) or step.back:
        return False
    spec = next(spec for spec in case.desired.certificates if spec.name == step.certificate)
    cut = cutover(case.facts, spec, case.now)
    is_next = cut is not None and cut.chain is not None and cut.chain.chain.leaf_sha256 == step.leaf_sha256
    return cut is not None and is_next and cut.wanted.past_caches


def _keys(case: Case) -> Answers:
    for spec in case.desired.certificates:
        key = current_key(case.facts, spec.name)
        if key is None or (key.origin == "elsewhere" and spec.key):  # in the latter case it comes here
            path = spec.key or (spec.csr.path if spec.csr else None)
            why = f"adopt {path}" if path else f"make a {next_type(case.facts, spec)} key"
            yield from unless_backing_off(case, "take-key", spec.name, TakeKey(spec.name, path, why))


def _in_flight(case: Case) -> Answers:
    """Finish what went live: reload, prove, or go back."""
    for work in case.works:
        active, name, subject = work.active, work.spec.name, work.deployment.id
        if active is None:
            continue
        if work.phase == "reload" and active.proven_at and (found := _unknown_live(case, work)):
            yield found
        elif work.phase == "reload":
            yield from _together(case, work, active)
            if any(covers_reload(other, work) for other in case.works):
                continue  # by that one's
            yield Reload(name, subject, active.n, _why_reload(work, active))
        elif work.phase == "prove":
            yield Prove(name, subject, active.n, active.leaf_sha256, "every address must present what was deployed")
        elif work.phase == "failed":
            yield from _go_back(case, work, active)
        elif work.phase == "proven" and work.silent:
            mute = work.silent[0]
            why = (
                f"{mute.endpoint} at {mute.address} is silent since {mute.first_at:%Y-%m-%d %H:%M:%SZ}: {mute.problem}"
            )
            yield Hold("silent-live", subject, why, remedy_of(mute))


def _unknown_live(case: Case, work: Rollout) -> Hold | None:
    """Return a hold where this host presents a chain over a key that is not the current one, and nobody knows it.

    A restored backup does not know what went live since: to put back what it knows would refuse senders. A person who
    knows better says so (``--retry-now``).
    """
    key = current_key(case.facts, work.spec.name)
    leaves = {row.chain.leaf_sha256 for row in case.facts.chains} | {row.leaf_sha256 for row in case.facts.generations}
    for row in (*work.strays, *work.absent):
        if row.chain.leaf_sha256 in leaves or (key and row.chain.spki_sha256 == key.spki_sha256):
            continue
        if case.forgive is not None and row.first_at <= case.forgive:
            continue
        why = (
            f"{row.address} presents a certificate at {row.endpoint} that the state does not know, over another key "
            f"({row.chain.spki_sha256[:16]}…) than the current one"
        )
        name = work.spec.name
        remedy = (
            f"danelaw adopt {name} accepts what is live (after a restored backup); apply --retry-now puts ours back"
        )
        return Hold("unknown-live", name, why, remedy)
    return None


def _why_reload(work: Rollout, active: Generation) -> str:
    if active.proven_at and work.strays:
        row = work.strays[0]
        return f"{row.address} presents another chain at {row.endpoint} than the one deployed"
    if active.proven_at and work.absent:
        row = work.absent[0]
        return f"{row.address} does not present the chain deployed at {row.endpoint}, but one of another algorithm"
    return "let the services read the new files"


def _together(case: Case, work: Rollout, active: Generation) -> Answers:
    """Put first what shares a reload and may go back or go live just now: it is tested and reloaded once.

    What failed before is tried by itself, so that its next failure is not the others'. Nothing here takes long: what
    waits for an order, for caches or for a back-off is left for a reload of its own.
    """
    fresh = work.is_current_active and not active.tries
    for other in case.works:
        if not share_a_reload(work.deployment, other.deployment):
            continue
        answers: list[Step | Wait | Hold] = []
        if other.phase == "failed" and other.active is not None:
            answers.extend(_go_back(case, other, other.active))
        elif fresh and (other.staged is None or not other.staged.tries):
            answers.extend(_deploy_one(case, other))
        yield from (answer for answer in answers if isinstance(answer, Stage | Activate))


def _go_back(case: Case, work: Rollout, active: Generation) -> Answers:
    """Put the earlier generation back where the gate allows it; else try the failed one again later."""
    subject, previous = work.deployment.id, work.previous
    why = f"{subject}: generation {active.n} was not proven: {work.failure}"
    if previous is not None and previous.files and work.is_current_active:  # nothing at all is no way back
        chain = chain_of(case.facts, previous)
        blocked = case.blocked(work, chain)
        if not blocked and not _is_over(case, chain):
            step = Activate(work.spec.name, subject, previous.n, previous.leaf_sha256, why, back=True)
            yield from unless_backing_off(case, "activate", subject, step)
            return
        what = blocked[0].why if blocked else "what stood there before has expired or was revoked"
        why = f"{why}; going back is not safe: {what}"
    until = retry_generation_at(active, case.forgive)
    if until is None or until <= case.now:
        yield Reload(work.spec.name, subject, active.n, "try once more what failed")
    else:
        yield Wait("backoff", subject, until, why)


def _is_over(case: Case, chain: Chain | None) -> bool:
    """Tell whether a chain has expired or was revoked; one that nobody can read has not, as far as we know."""
    if chain is None:
        return False
    revoked = any(row.revoked_at and row.chain.leaf_sha256 == chain.leaf_sha256 for row in case.facts.chains)
    return revoked or chain.not_after <= case.now


def _repair(case: Case) -> Answers:
    """Where the records refuse what we deployed, the shortest repair: an earlier generation that the gate allows.

    One that failed itself is none; then the records of what is live come back (`_publish`).
    """
    for work in case.works:
        live = chain_of(case.facts, work.active) if work.active and work.phase == "proven" else None
        if live is None or not refuses(case.facts, case.desired, work.deployment, live, case.now):
            continue
        for generation in work.earlier:
            chain = chain_of(case.facts, generation)
            fits = chain is not None and not has_failed(generation) and not _is_over(case, chain)
            if fits and not case.blocked(work, chain):
                why = "the records refuse what is live, and accept this earlier generation"
                leaf = generation.leaf_sha256
                step = Activate(work.spec.name, work.deployment.id, generation.n, leaf, why, back=True)
                yield from unless_backing_off(case, "activate", work.deployment.id, step)
                break


def _publish(case: Case) -> Answers:
    owners = sorted({claim.endpoint.owner for spec in case.desired.certificates for claim in spec.claims})
    for owner in owners:
        for answer in _publication(case, owner):
            if not (isinstance(answer, Hold) and answer.code.startswith("first-") and _is_on_its_way(case, owner)):
                yield answer
        yield from unpinnable(case.facts, case.desired, owner, case.now)


def _publication(case: Case, owner: str) -> Answers:
    """Answer for one owner name, what was lost or failed before considered; nothing: its RRset is right."""
    answer = publication(case.facts, case.desired, owner, case.now)
    if not isinstance(answer, Publish):
        if answer is not None:
            yield answer
        return
    lost = failures(case.facts, "publish", owner, "lost")
    if len(lost) >= LOST_LIMIT and (case.forgive is None or lost[-1].began_at > case.forgive):
        why = f"somebody else changed {owner} under us {LOST_LIMIT} times in a row"
        yield Hold("lost", owner, why, "find out who, then run apply --retry-now")
        return
    kept = _kept_while_unproven(case, answer)
    if kept.wanted != kept.expected or answer.wanted == answer.expected:
        yield from unless_backing_off(case, "publish", owner, kept)


def _kept_while_unproven(case: Case, swap: Publish) -> Publish:
    """Withdraw nothing that may be in use while a deployment is not proven there: old workers may linger.

    They present chains of its own key algorithm. What nobody here knows the algorithm of waits for all.
    """
    unproven = {
        work.algorithm
        for work in case.works
        if work.phase in {"drifted", "reload", "prove", "failed"}
        and any(endpoint.owner == swap.owner for endpoint in work.deployment.endpoints)
    }
    if not unproven:
        return swap
    gone = set(swap.expected) - set(swap.wanted)
    kept = {each for each in gone if None in unproven or unproven & algorithms_of(case.facts, each)}
    if not kept:
        return swap
    return replace(swap, wanted=tuple(sorted({*swap.wanted, *kept})), why=f"{swap.why}, once all is proven")


def _unclaimed(case: Case) -> Answers:
    """Say where records that nobody here claims refuse what a deployment presents: mail is lost there."""
    for work in case.works:
        live = chain_of(case.facts, work.active) if work.active and work.phase == "proven" else None
        for endpoint in counted(case.facts, case.desired, work.deployment) if live else ():
            state = owner_state(case.facts, endpoint.owner)
            if live is None or state is None or claims_at(case.desired, endpoint.owner) or not state.validated:
                continue
            if not acceptable(state.validated, live, (), endpoint.owner, case.now):
                shown = ", ".join(str(record) for record in state.validated)
                why = f"the records at {endpoint.owner} ({shown}) refuse what is live there (invariant 1)"
                yield Hold(
                    "unclaimed", endpoint.owner, why, "claim the endpoint in a tlsa table, or remove the records"
                )


def _is_on_its_way(case: Case, owner: str) -> bool:
    """Tell whether a deployment that proves an owner name has still to go live, so that no person is needed yet."""
    names = {claim.certificate for claim in claims_at(case.desired, owner)}
    return any(
        work.spec.name in names and not work.done and any(e.owner == owner for e in work.deployment.endpoints)
        for work in case.works
    )


def _deploy(case: Case) -> Answers:
    for work in case.works:
        yield from _deploy_one(case, work)


def _deploy_one(case: Case, work: Rollout) -> Answers:
    """Take one deployment closer to the chain that it should present, and say what holds a better one back."""
    hoped = wish(case.facts, work.spec, case.now)
    if hoped is not None and (work.current is None or hoped.chain.leaf_sha256 != work.current.chain.leaf_sha256):
        yield from _held_back(case, work, hoped)
    if work.current is None or work.done or work.phase in {"reload", "prove"}:
        return
    if work.phase == "failed" and work.is_current_active:
        return  # _in_flight tries it again; an earlier generation that fails is left for the current one
    subject = work.deployment.id
    if work.staged is None:
        leaf = work.current.chain.leaf_sha256
        stage = Stage(work.spec.name, subject, work.next_n, leaf, "write the new chain beside what is live")
        yield from unless_backing_off(case, "stage", subject, stage)
        return
    until = retry_generation_at(work.staged, case.forgive)
    if until is not None and until > case.now:
        yield Wait("backoff", subject, until, f"{subject}: the new chain was not proven: {work.failure}")
        return
    yield from _activate(case, work, work.staged, work.current)


def _held_back(case: Case, work: Rollout, hoped: ChainFact) -> Answers:
    """Say why a deployment does not go over to the chain that it is to present in the end."""
    name, subject = work.spec.name, work.deployment.id
    tried = [row for row in work.generations if row.leaf_sha256 == hoped.chain.leaf_sha256]
    until = retry_generation_at(max(tried, key=lambda row: row.n), case.forgive) if tried else None
    if until is not None and until > case.now:
        yield Wait("backoff", subject, until, f"{subject}: the new chain was not proven: {work.failure}")
        return
    found = obstacles(case.facts, case.desired, work.spec, work.deployment, hoped.chain, case.now)
    yield from _why_blocked(case, found, name, subject)


def _activate(case: Case, work: Rollout, staged: Generation, current: ChainFact) -> Answers:
    name, subject = work.spec.name, work.deployment.id
    away = not_here(case.facts, work.deployment, case.now)
    if away:
        yield Hold("not-here", subject, away, "set `addresses` or [connect] where it is, else mend DNS")
        return
    if work.phase == "drifted" and (found := _unknown_live(case, work)):
        yield found
        return
    blocked = obstacles(case.facts, case.desired, work.spec, work.deployment, current.chain, case.now)
    if not blocked:
        written = work.active.active_at if work.active else None
        lately = written is not None and case.now - written < QUIET and (case.forgive is None or written > case.forgive)
        if work.phase == "drifted" and lately:
            why = f"somebody else writes {subject}: it was changed within an hour of our writing it"
            yield Hold("overwritten", subject, why, "stop the other tool, then run apply --retry-now")
            return
        why = "somebody changed the files" if work.phase == "drifted" else "no sender can hold records that refuse it"
        if case.blocked(work, current.chain):
            why = "a person accepted that senders refuse it which hold earlier records"
        step = Activate(name, subject, staged.n, staged.leaf_sha256, why)
        yield from unless_backing_off(case, "activate", subject, step)
        return
    yield from _why_blocked(case, blocked, name, subject)


def _why_blocked(case: Case, blocked: list[Blocked], name: str, subject: str) -> Answers:
    """Say what a chain that may not go live waits for."""
    for item in blocked:
        if item.remedy:
            yield Hold(item.code, subject, item.why, item.remedy)
        elif item.until is not None:
            yield Wait(item.code, subject, item.until, item.why)
        else:
            yield _until_published(case, item, name, subject)


def _until_published(case: Case, item: Blocked, name: str, subject: str) -> Wait | Hold:
    """Say what a deployment waits for where a server serves what refuses it: the publication that ends that."""
    pending = next(_publication(case, item.owner), None)
    if isinstance(pending, Wait):
        code = "backoff" if pending.code == "backoff" else item.code
        return Wait(code, subject, pending.until, item.why)
    if isinstance(pending, Hold):
        return Hold(item.code, subject, item.why, f"see to {item.owner} first: {pending.remedy}")
    if pending is not None:
        return Wait(item.code, subject, case.now + timedelta(seconds=5), item.why)
    if name not in {claim.certificate for claim in claims_at(case.desired, item.owner)}:
        return Hold(item.code, subject, item.why, f"claim that endpoint in a tlsa table of {name} too")
    why = f"{item.why}; it is not ours to withdraw (invariant 2)"
    return Hold(item.code, subject, why, "name the record that refuses the new chain in `prune`")


Rule = Callable[[Case], Answers]
RULES: tuple[Rule, ...] = (
    _keys,
    _in_flight,
    _repair,
    promote,
    make_next_keys,
    _publish,
    _unclaimed,
    revoke,
    obtain,
    _deploy,
    settle,
    retire,
    outage,
)
