"""`danelaw rollover` and `danelaw revoke`: what a person asks for is stored, then done as far as that is safe now."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from danelaw.cli.files import read_file
from danelaw.cli.session import configured, listener, show, watched
from danelaw.cli.terminal import write_line
from danelaw.cli.words import outcome_lines, shown_instant
from danelaw.errors import DanelawError, InputError, LeaseHeld
from danelaw.model import Desired, Intent
from danelaw.pki import parse_chain
from danelaw.run.compose import opened
from danelaw.run.intents import Cost, ask_rollover, cancel_rollover, outage_cost, spec_of
from danelaw.run.plan import imagined_look
from danelaw.run.report import instant, outcome_json
from danelaw.run.revocation import Revocation, request_revocation
from danelaw.run.rings import Around, Outcome, Rings
from danelaw.run.runner import Options, apply

Json = dict[str, Any]


def rollover(arguments: argparse.Namespace, around: Around) -> int:
    """Ask for a rollover, or take it back; then do what is safe now, and say when the next step is due."""
    if arguments.cancel and (arguments.emergency or arguments.accept_outage):
        raise InputError("--cancel takes a rollover back; it goes with neither --emergency nor --accept-outage")
    if arguments.accept_outage and not arguments.emergency:
        raise InputError("--accept-outage goes with --emergency alone: every other rollover waits and breaks nothing")
    config, name = configured(arguments), arguments.name
    spec_of(config.desired, name)
    told: set[str] = set()
    with opened(config, listener(arguments, told), around=around) as world:
        rings = watched(arguments, world.rings)
        cost = _cost(config.desired, rings, name) if arguments.accept_outage else ()
        for line in _cost_lines(cost) if arguments.accept_outage else ():
            write_line(sys.stderr if arguments.json else sys.stdout, line)
        asked, said = _ask(arguments, config.desired, rings)
        try:
            outcome = apply(config.desired, rings, Options((name,), wait=arguments.wait, by="rollover"))
        except LeaseHeld as held:
            what = "the cancellation is stored" if arguments.cancel else "the rollover is asked for"
            raise LeaseHeld(f"{what}, and the next run sees to it: {held}") from held
    value = _asked_json(name, asked, cost) | outcome_json(outcome, ())
    show(arguments, value, lambda found: [*said, *outcome_lines(found, told)])
    return outcome.exit_status


def _ask(arguments: argparse.Namespace, desired: Desired, rings: Rings) -> tuple[tuple[Intent, ...], list[str]]:
    """Store what is asked for; return it, and what is said of it."""
    name = arguments.name
    if not arguments.cancel:
        asked = ask_rollover(desired, rings, name, emergency=arguments.emergency, accept_outage=arguments.accept_outage)
        return (asked,), []
    taken = cancel_rollover(desired, rings, name)
    if taken.still:
        return taken.intents, [f"The request is taken back, and the key is replaced all the same: {taken.still}."]
    return taken.intents, [f"The rollover of {name} is cancelled: its key stays, and what went over goes back."]


def _asked_json(name: str, asked: Iterable[Intent], cost: Iterable[Cost]) -> Json:
    return {
        "certificate": name,
        "asked": [
            {
                "kind": row.kind,
                "asked_at": instant(row.asked_at),
                "closed_at": instant(row.closed_at) if row.closed_at else None,
                "options": list(row.options),
            }
            for row in asked
        ],
        "cost": [
            {
                "owner": each.owner,
                "records": [str(record) for record in each.records],
                "until": instant(each.until),
                "why": each.why,
            }
            for each in cost
        ],
    }


def _cost(desired: Desired, rings: Rings, name: str) -> tuple[Cost, ...]:
    """Return what the outage costs by a look of now; by the last one where no look is to be had."""
    try:
        facts = imagined_look(desired, rings, (name,))
    except DanelawError:
        facts = rings.store.snapshot()
    return outage_cost(desired, facts, name, rings.clock.now())


def _cost_lines(cost: Iterable[Cost]) -> Iterable[str]:
    """Say what `--accept-outage` costs before anything is done."""
    found = list(cost)
    if not found:
        yield "cost  none: no sender can hold records that refuse the next key"
    for each in found:
        records = ", ".join(str(record) for record in each.records)
        until = shown_instant(instant(each.until))
        yield f"cost  senders that hold {records} at {each.owner} do not deliver until {until}: {each.why}"


def revoke(arguments: argparse.Namespace, around: Around) -> int:
    """Revoke a certificate; one that is live is replaced first."""
    if (arguments.name is None) == (arguments.cert is None):
        raise InputError("revoke takes the NAME of a certificate, or --cert FILE")
    chain = parse_chain(read_file(arguments.cert)) if arguments.cert else None
    config = configured(arguments)
    told: set[str] = set()
    with opened(config, listener(arguments, told), around=around) as world:
        rings = watched(arguments, world.rings)
        done = request_revocation(
            config.desired, rings, arguments.name, chain, arguments.reason, yes=arguments.yes, wait=arguments.wait
        )
    value = _revocation_json(done, arguments.reason)
    show(arguments, value, lambda found: [*_revocation_lines(found), *_after(done, found, told)])
    return done.exit_status


def _revocation_json(done: Revocation, reason: str) -> Json:
    return {
        "schema": 1,
        "certificate": done.certificate,
        "leaf_sha256": done.chain.leaf_sha256,
        "reason": reason,
        "was_live": done.was_live,
        "revoked": done.is_revoked,
        "others": [
            {
                "certificate": row.certificate,
                "leaf_sha256": row.chain.leaf_sha256,
                "not_after": instant(row.chain.not_after),
            }
            for row in done.others
        ],
        "replayable_until": instant(done.replayable_until) if done.replayable_until else None,
        **({} if done.outcome is None else outcome_json(done.outcome, ())),
    }


def _revocation_lines(found: Json) -> Iterable[str]:
    leaf, name = f"{found['leaf_sha256'][:16]}…", found["certificate"]
    if found["revoked"]:
        yield f"Revoked {leaf} of {name}."
    else:
        yield f"{leaf} of {name} is live, and revoked once nothing presents it: by this run's successors, or --yes now."
    for other in found["others"]:
        until = shown_instant(other["not_after"])
        yield (
            f"note  its key is in {other['leaf_sha256'][:16]}… of {other['certificate']} too, valid until {until}; "
            "a CA may revoke it with this one"
        )
    if found["replayable_until"]:
        until = shown_instant(found["replayable_until"])
        yield (
            f"note  whoever has the key can replay the records that name it until {until}, when the last signature "
            "over them ends"
        )


def _after(done: Revocation, found: Json, told: set[str]) -> Iterable[str]:
    outcome: Outcome | None = done.outcome
    if outcome is not None:
        yield from outcome_lines(found, told)
    elif done.was_live:
        yield "It is live: its renewal is due at once; run danelaw apply."
