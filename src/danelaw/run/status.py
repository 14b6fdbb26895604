"""What is managed and how it stands, from what is stored: no look is taken."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from danelaw.errors import DanelawError
from danelaw.lifecycle.components import components, own_facts
from danelaw.lifecycle.due import current_chain, open_intent, renewal_at
from danelaw.lifecycle.gate import claims_at, owner_state, unreachable_now
from danelaw.lifecycle.records import current_key, foreign_records, wanted_records
from danelaw.lifecycle.rollout import Rollout, rollout
from danelaw.lifecycle.sight import looked_at, presented_now, silent_now
from danelaw.lifecycle.steps import step
from danelaw.model import CertificateSpec, Desired, Endpoint, Facts, Hold, Rest, Step, Wait
from danelaw.run.adopt import other_machine
from danelaw.run.key_states import keys_json, phase, rollover_json
from danelaw.run.notes import Note
from danelaw.run.recover import is_owed, open_effects
from danelaw.run.report import Json, hold_json, instant, notes_json, step_json, wait_json


def status(desired: Desired, facts: Facts, now: datetime, said: Iterable[Note], host_id: str = "") -> Json:
    """Return each certificate: names, keys, expiry, next renewal, rollover, deployments, endpoints, last proof.

    ``host_id`` is what this machine is known by in the store, "" where nobody asks whose state it is.
    """
    certificates = [_certificate(desired, facts, spec, now) for spec in desired.certificates]
    return {
        "schema": 1,
        "certificates": certificates,
        **_ahead(desired, facts, now, host_id),
        "notes": notes_json(said),
    }


def _ahead(desired: Desired, facts: Facts, now: datetime, host_id: str) -> Json:
    """Return what the next run would find to do by what is stored, what waits and what holds, and what is owed."""
    due: list[Step] = []
    waits: list[Wait] = []
    holds: list[Hold] = []
    for part in components(desired):
        if foreign := other_machine(part, facts, host_id):
            holds.extend(foreign)
            continue
        with suppress(DanelawError):  # a defect in a decision: apply says it
            answer = step(part, own_facts(part, facts), now)
            if isinstance(answer, Rest):
                waits.extend(answer.waits)
                holds.extend(answer.holds)
            else:
                due.append(answer)
    return {
        "due": [step_json(each) for each in due],
        "waits": [wait_json(wait) for wait in sorted(waits, key=lambda wait: wait.until)],
        "holds": [hold_json(hold) for hold in holds],
        "owed": [f"post_challenge of {effect.subject}" for effect in open_effects(facts) if is_owed(effect)],
    }


def _certificate(desired: Desired, facts: Facts, spec: CertificateSpec, now: datetime) -> Json:
    key = current_key(facts, spec.name)
    row = current_chain(facts, spec, key.spki_sha256, now) if key else None
    endpoints = dict.fromkeys(claim.endpoint for claim in spec.claims)
    for deployment in spec.deployments:
        endpoints |= dict.fromkeys(deployment.endpoints)
    works = [rollout(facts, desired, spec, each, now) for each in spec.deployments]
    return {
        "name": spec.name,
        "names": list(spec.names),
        "key": {"spki_sha256": key.spki_sha256, "algorithm": key.algorithm, "origin": key.origin} if key else None,
        "keys": keys_json(desired, facts, spec, now),
        "certificate": None
        if row is None
        else {
            "leaf_sha256": row.chain.leaf_sha256,
            "not_before": instant(row.chain.not_before),
            "not_after": instant(row.chain.not_after),
            "days_left": (row.chain.not_after - now).days,
        },
        "next_renewal": instant(renewal_at(row.chain)) if row and not open_intent(facts, spec.name) else None,
        "phase": phase(desired, facts, spec, now) if row else "no certificate yet",
        "rollover": rollover_json(desired, facts, spec, now),
        "deployments": [_deployment(work) for work in works],
        "endpoints": [_endpoint(desired, facts, endpoint, now) for endpoint in endpoints],
    }


def _deployment(work: Rollout) -> Json:
    active, staged = work.active, work.staged
    gave_up = (
        staged is not None
        and staged.failed_at is not None
        and (staged.proven_at is None or staged.proven_at < staged.failed_at)  # else a later try worked
    )
    return {
        "paths": [file.path for file in work.deployment.files],
        "state": "done" if work.done else work.phase,
        "generation": active.n if active else None,
        "leaf_sha256": active.leaf_sha256 if active else None,
        "live_since": instant(active.active_at) if active and active.active_at else None,
        "proven_at": instant(active.proven_at) if active and active.proven_at else None,
        "failure": work.failure if work.phase == "failed" or gave_up else None,
    }


def _endpoint(desired: Desired, facts: Facts, endpoint: Endpoint, now: datetime) -> Json:
    state = owner_state(facts, endpoint.owner)
    claims = claims_at(desired, endpoint.owner)
    wanted = wanted_records(facts, desired, endpoint.owner, now)
    foreign = foreign_records(facts, desired, endpoint.owner, state.validated, now) if state and claims else []
    return {
        "endpoint": str(endpoint),
        "owner": endpoint.owner,
        "dnssec": state.security if state else None,
        "records": [str(record) for record in state.validated] if state else [],
        "wanted": [str(record) for record in wanted or ()],
        "foreign": [str(record) for record in foreign],
        "looked_at": instant(state.last_at) if state else None,
        "left_out": list(state.left_out) if state else [],
        "unreachable": [
            {"server": row.server, "since": instant(row.first_at), "problem": row.problem}
            for row in unreachable_now(facts, endpoint.owner, now)
        ],
        "addresses": [
            _address(facts, endpoint, address) for address in looked_at(facts, endpoint, desired.lookup_margin, now)
        ],
    }


def _address(facts: Facts, endpoint: Endpoint, address: str) -> Json:
    silent = silent_now(facts, endpoint, address)
    rows = presented_now(facts, endpoint, address)
    return {
        "address": address,
        "ours": silent.mine if silent else any(row.mine for row in rows),
        "presents": [row.chain.leaf_sha256 for row in rows],
        "silent_since": instant(silent.first_at) if silent else None,
        "seen_at": instant(rows[0].last_at) if rows else None,
    }
