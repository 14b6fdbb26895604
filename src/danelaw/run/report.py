"""Steps, waits, holds and outcomes as JSON values: what `--json` prints, and what sentences for people are made of."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

from danelaw.lifecycle.timeline import Entry
from danelaw.model import Hold, Step, TlsaRecord, Wait
from danelaw.run.act import KINDS, describe, subject_of
from danelaw.run.notes import Note
from danelaw.run.rings import Outcome

Json = dict[str, Any]


def step_json(step: Step) -> Json:
    """Return a step: its kind, subject, sentence, reason and own fields."""
    own = {field.name: _plain(getattr(step, field.name)) for field in fields(step) if field.name != "why"}
    return {"step": KINDS[type(step)], "subject": subject_of(step), "does": describe(step), "why": step.why, **own}


def wait_json(wait: Wait) -> Json:
    """Return a wait with the instant of its end."""
    return {"wait": wait.code, "subject": wait.subject, "until": instant(wait.until), "why": wait.why}


def hold_json(hold: Hold) -> Json:
    """Return a hold with what to do."""
    return {"hold": hold.code, "subject": hold.subject, "why": hold.why, "remedy": hold.remedy}


def plan_json(entries: Iterable[Entry], said: Iterable[Note]) -> Json:
    """Return a plan: its lines in order, each with its earliest instant."""
    return {"schema": 1, "plan": [entry_json(entry) for entry in entries], "notes": notes_json(said)}


def notes_json(said: Iterable[Note]) -> list[Json]:
    """Return what is worth saying."""
    return [{"note": note.code, "subject": note.subject, "text": note.text} for note in said]


def entry_json(entry: Entry) -> Json:
    """Return one line of a plan; ``cached`` are the RRsets that senders may hold then, by owner name."""
    what = entry.what
    if isinstance(what, Wait):
        body = wait_json(what)
    elif isinstance(what, Hold):
        body = hold_json(what)
    else:
        body = step_json(what)
    cached = {owner: [[str(record) for record in rdatas] for rdatas in rrsets] for owner, rrsets in entry.cached}
    return {"at": instant(entry.at), "now": entry.now, **body, "cached": cached}


def outcome_json(outcome: Outcome, said: Iterable[Note]) -> Json:
    """Return how a run ended."""
    return {
        "schema": 1,
        "exit_status": outcome.exit_status,
        "steps": [step_json(step) for step in outcome.steps],
        "failed": list(outcome.failed),
        "waits": [wait_json(wait) for wait in outcome.rest.waits],
        "holds": [hold_json(hold) for hold in outcome.rest.holds],
        "notes": notes_json(said),
    }


def instant(at: datetime) -> str:
    """Return an instant as RFC 3339 has it, whole seconds, UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(value: object) -> object:
    if isinstance(value, TlsaRecord):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
