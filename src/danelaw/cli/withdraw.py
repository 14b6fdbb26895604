"""`danelaw withdraw` and `danelaw adopt`: a person's word on what left the config, and on what is live."""

import argparse
from collections.abc import Iterable
from typing import Any

from danelaw.cli.session import configured, listener, show, watched
from danelaw.cli.words import outcome_lines
from danelaw.run.adopt import Adopted
from danelaw.run.adopt import adopt as adopt_live
from danelaw.run.compose import opened
from danelaw.run.report import outcome_json
from danelaw.run.rings import Around
from danelaw.run.withdraw import withdraw as withdraw_from

Json = dict[str, Any]


def withdraw(arguments: argparse.Namespace, around: Around) -> int:
    """Take the records, then the files, of what left the config out of service."""
    config = configured(arguments)
    told: set[str] = set()
    with opened(config, listener(arguments, told), around=around) as world:
        rings = watched(arguments, world.rings)
        done = withdraw_from(config.desired, rings, arguments.name, wait=arguments.wait)
    value = {
        "withdrawn": [{"owner": owner, "record": str(record)} for owner, record in done.records],
        "let_go": list(done.let_go),
        **outcome_json(done.outcome, ()),
    }
    show(arguments, value, lambda found: _withdrawn_lines(found, arguments.name, told))
    return done.outcome.exit_status


def _withdrawn_lines(found: Json, name: str, told: set[str]) -> Iterable[str]:
    for deployment in found["let_go"]:
        yield f"{deployment}: ordinary files, contents unchanged, and yours from now on."
    if found["waits"]:
        yield f"Until then the services stay as they are; run danelaw withdraw {name} again after that."
    if found["holds"] or found["failed"] or found["waits"]:
        yield from outcome_lines(found, told)
    else:
        yield f"{name} is out of service; what is left of it here is kept, and used for nothing."


def adopt(arguments: argparse.Namespace, around: Around) -> int:
    """Accept what is live as the truth."""
    config = configured(arguments)
    with opened(config, listener(arguments), around=around) as world:
        done = adopt_live(config.desired, world.rings, arguments.name)
    value = {
        "schema": 1,
        "certificate": done.certificate,
        "key": None if done.key is None else {"spki_sha256": done.key.spki_sha256, "algorithm": done.key.algorithm},
        "leaf_sha256": None if done.chain is None else done.chain.leaf_sha256,
        "moved": [key.spki_sha256 for key in done.moved],
    }
    show(arguments, value, lambda _: _adopted_lines(done))
    return 0


def _adopted_lines(done: Adopted) -> Iterable[str]:
    if done.key is None and not done.moved:
        yield f"What is live of {done.certificate} is what is known of it; nothing to adopt."
        return
    for key in done.moved:
        yield f"The key {key.spki_sha256[:16]}… of {done.certificate} is this machine's now."
    if done.key is not None and done.chain is not None:
        shown, leaf = f"{done.key.spki_sha256[:16]}…", f"{done.chain.leaf_sha256[:16]}…"
        yield f"The key {shown} with the certificate {leaf} is the current one of {done.certificate} now."
    yield "danelaw plan says what follows from that, and danelaw apply --retry-now does it."
