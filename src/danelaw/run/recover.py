"""What an interrupted run owes, first thing in every run: a stopped web server, the truth about half-done effects."""

import json
from collections.abc import Callable, Sequence

from danelaw import dane
from danelaw.errors import DanelawError, Lost, RetryLater, StateCorrupt
from danelaw.model import Deployment, Desired, Effect, Facts, Publish
from danelaw.run.act import after_all, own_records_after, went_live
from danelaw.run.look import deployments_of
from danelaw.run.obtain import WINDOW, pay_owed
from danelaw.run.revoke import REVOCATION, finish
from danelaw.run.rings import Rings


def certificate_of(effect: Effect) -> str:
    """Return the certificate under whose lease an effect was begun; where none is stored, its subject."""
    detail = json.loads(effect.detail)
    return str(detail.get("certificate", effect.subject)) if isinstance(detail, dict) else effect.subject


def open_effects(facts: Facts) -> list[Effect]:
    """Return the effects that have begun and not ended, the oldest first."""
    return [effect for effect in facts.effects if effect.ended_at is None]


def is_owed(effect: Effect) -> bool:
    """Tell whether an open effect is a web server that may be stopped."""
    return effect.kind == WINDOW and effect.ended_at is None


def recover(rings: Rings, desired: Desired, ours: Callable[[Effect], bool]) -> list[str]:
    """Do what the open effects that are ``ours`` owe, whose lease is held; return what failed, in words.

    A crash is no failed try. A web server that was stopped is started. Of an update that was on its way the primary is
    asked whether it arrived, of a generation that was to go live the files; a revocation is carried out. Everything
    else is idempotent and done again when the next step asks for it.
    """
    failed = []
    facts = rings.store.snapshot()
    for effect in open_effects(facts):
        if not ours(effect):
            continue
        try:
            if effect.kind == WINDOW:
                rings.tell("progress", f"{effect.subject}: its post_challenge is still to be run")
                pay_owed(rings, desired, effect)
            elif effect.kind == "publish":
                _settle_publication(rings, facts, effect)
            elif effect.kind == "activate":
                _settle_going_live(rings, facts, effect, deployments_of(desired))
            elif effect.kind == REVOCATION:
                finish(rings, facts, effect)
            else:
                rings.store.end(effect.id, "interrupted", "the run was interrupted", rings.clock.now())
        except StateCorrupt:
            raise
        except DanelawError as error:
            failed.append(f"{effect.subject}: {error}")
    return failed


def _settle_publication(rings: Rings, facts: Facts, effect: Effect) -> None:
    """Find out whether an update arrived, so that what it added is known to be ours."""
    detail = json.loads(effect.detail)
    step = Publish(
        owner=effect.subject,
        target=detail["target"],
        publisher=detail["publisher"],
        expected=tuple(dane.parse_record(text) for text in detail["expected"]),
        wanted=tuple(dane.parse_record(text) for text in detail["wanted"]),
        ttl=detail["ttl"],
        why="an interrupted run sent it",
    )
    publisher = rings.publishers.get(step.publisher)
    now = rings.clock.now()
    if publisher is None:
        rings.store.end(effect.id, "interrupted", f"the publisher {step.publisher} left the config", now)
        return
    try:
        rdatas, _ = publisher.read(step.target)
    except Lost as error:
        raise RetryLater(str(error)) from error
    added, gone = set(step.wanted) - set(step.expected), set(step.expected) - set(step.wanted)
    # An update arrives whole or not at all (RFC 2136 section 3.7): any part that is seen shows that all of it did, and
    # that somebody has changed the rest since. What is not there is not ours, and what is there stays so.
    made = [
        row for row in own_records_after(rings, facts, step) if (row.record in rdatas) is (row.withdrawn_at is None)
    ]
    if added & set(rdatas) or not (added or gone & set(rdatas)):
        rings.store.end(effect.id, "done", "seen at the primary", now, made)
    else:
        rings.store.end(effect.id, "interrupted", "it did not arrive", now, made)


def _settle_going_live(rings: Rings, facts: Facts, effect: Effect, deployments: Sequence[Deployment]) -> None:
    """Find out whether a generation's files stand where services read them."""
    n, now = json.loads(effect.detail)["n"], rings.clock.now()
    deployment = next((each for each in deployments if each.id == effect.subject), None)
    row = next((row for row in facts.generations if (row.deployment, row.n) == (effect.subject, n)), None)
    if deployment is None or row is None or dict(rings.host.live(deployment)) != dict(row.files):
        rings.store.end(effect.id, "interrupted", "its files do not stand there", now)
    else:
        rings.store.end(
            effect.id, "done", "its files stand there", now, [went_live(row, after_all(facts, row.deployment, now))]
        )
