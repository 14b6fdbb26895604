"""Pages with timelines: a plan, and what is managed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from danelaw.lifecycle.timeline import Entry
from danelaw.model import Desired, Facts, Hold, Wait
from danelaw.run.notes import Note
from danelaw.run.status import status
from danelaw.web.page import render
from danelaw.web.timeline.views import View, legend, stored_plan, views
from danelaw.web.words import State

Json = dict[str, Any]


class Managed(NamedTuple):
    """What is managed: `run.status.status`, and each certificate over time."""

    state: Json
    views: tuple[View, ...]


def plan_page(
    desired: Desired,
    entries: Sequence[Entry],
    facts: Facts,
    said: Iterable[Note],
    now: datetime,
    names: Sequence[str] = (),
) -> str:
    """Return a plan as one HTML document. ``entries`` were made of ``facts`` at ``now`` for ``names``."""
    found = views(desired, facts, entries, now, names)
    holds = list(dict.fromkeys(entry.what for entry in entries if isinstance(entry.what, Hold)))
    state, headline = _verdict(entries, holds)
    return render(
        "plan.html",
        served=False,
        state=state,
        headline=headline,
        counts=_counts(entries, holds),
        now=now,
        holds=holds,
        views=found,
        legend=legend(),
        notes=list(said),
    )


def _verdict(entries: Sequence[Entry], holds: Sequence[Hold]) -> tuple[State, str]:
    if holds:
        return "bad", "A person is needed." if len(holds) == 1 else f"A person is needed for {len(holds)} things."
    waits = [entry.what for entry in entries if isinstance(entry.what, Wait)]
    if any(entry.now and not isinstance(entry.what, Wait) for entry in entries):
        return "weak", "There is something to do now."
    if any(wait.code == "backoff" for wait in waits):
        return "weak", "Something failed, and is tried again."
    return "good", "Nothing to do now."


def _counts(entries: Sequence[Entry], holds: Sequence[Hold]) -> str:
    steps = [entry for entry in entries if not isinstance(entry.what, Wait | Hold)]
    now, later = sum(entry.now for entry in steps), sorted(entry.at for entry in steps if not entry.now)
    said = [f"{now} step{'' if now == 1 else 's'} now", f"{len(later)} later"]
    if later:
        said.append(f"the next at the earliest {later[0]:%Y-%m-%d %H:%M} UTC")
    return ", ".join([f"{len(holds)} hold{'' if len(holds) == 1 else 's'}", *said] if holds else said)


def managed(desired: Desired, facts: Facts, said: Iterable[Note], now: datetime) -> Managed:
    """Return what is managed and how it stands, from what is stored."""
    return Managed(status(desired, facts, now, said), views(desired, facts, stored_plan(desired, facts, now), now))


def managed_page(found: Managed, *, served: bool, home: str = "") -> str:
    """Return what is managed as one HTML document."""
    by_name: Mapping[str, View] = {view.name: view for view in found.views}
    return render("managed.html", served=served, home=home, state=found.state, views=by_name, legend=legend())
