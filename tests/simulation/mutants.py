"""Wrong lifecycles, each a context in which the core is wrong on purpose: the simulation must notice.

This is the one place where danelaw's own functions are replaced. Most mutants blind the invariant check, too, which
would otherwise refuse the step (`UnsafePlan`): what is shown is that the *senders* notice, whom nobody can blind.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from types import ModuleType
from typing import Any
from unittest.mock import patch

from danelaw import lifecycle
from danelaw.lifecycle import gate, records, reloads, steps, watched
from danelaw.lifecycle.sight import latest_rows
from danelaw.model import Fact, Facts, OwnerLook
from danelaw.run import act, look, prove

predicting = import_module("danelaw.lifecycle.predict")
"""The module: the package gives its name to the function."""

Replacement = tuple[ModuleType | type, str, Callable[..., Any]]


def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


BLIND: Replacement = (steps, "new_violations", nothing)


def no_wait() -> list[Replacement]:
    """Go live at once: the hand-made order of scenario.md."""
    return [BLIND, (watched, "go_live", nothing)]


def no_wait_but_invariants() -> list[Replacement]:
    """Go live at once, with the invariants still looking."""
    return [(watched, "go_live", nothing)]


def withdraw_first() -> list[Replacement]:
    """Put only the wanted records there, whatever is presented."""

    def target(facts: Any, desired: Any, owner: str, *rest: Any) -> Any:
        return records.wanted_records(facts, desired, owner, rest[-1])

    return [BLIND, (records, "_target", target), (records.Live, "refused_by", nothing)]


def new_ttl() -> list[Replacement]:
    """Wait for the TTL of the RRset that is served now, in place of the one that caches hold."""
    real = gate.held

    def held(facts: Any, desired: Any, owner: str, now: Any) -> Any:
        newest = latest_rows(row for row in facts.rrsets if row.owner == owner)
        ttl = max((max(row.ttl, row.original_ttl) for row in newest.values()), default=0)

        def span(*_: Any, **__: Any) -> timedelta:
            wait: timedelta = timedelta(seconds=ttl) + desired.lookup_margin
            return wait

        with patch.object(gate, "span", span):
            return real(facts, desired, owner, now)

    return [BLIND, (gate, "held", held), (watched, "go_live", gate.go_live)]


def one_server() -> list[Replacement]:
    """Believe the first server that is asked."""
    real = lifecycle.see_owner

    def see_owner(facts: Facts, seen: OwnerLook, at: datetime) -> list[Fact]:
        servers = dict(list(seen.servers.items())[:1])
        readings = tuple(reading for reading in seen.readings if reading.server in servers)
        unanswered = tuple(miss for miss in seen.unanswered if miss.server in servers)
        return real(facts, replace(seen, servers=servers, readings=readings, unanswered=unanswered), at)

    return [BLIND, (look, "see_owner", see_owner)]


def no_original_ttl() -> list[Replacement]:
    """Take the TTL as served; validators know the original one."""

    def span(rows: Any, margin: timedelta, history: timedelta | None = None) -> timedelta:
        ttl = timedelta(seconds=max((row.ttl for row in rows), default=0))
        return max(2 * ttl, ttl + margin, history or timedelta(0))

    return [BLIND, (gate, "span", span)]


def no_history() -> list[Replacement]:
    """Think that nothing stood there before the first look."""
    return [BLIND, (gate, "_unknown_before", nothing)]


def believe_the_reload() -> list[Replacement]:
    """Take a reload that ended well for a proof."""

    def proven(*_: Any, **__: Any) -> tuple[list[Any], str, None]:
        return [], "the reload said so", None

    return [BLIND, (act, "prove", proven), (prove, "prove", proven)]


def one_algorithm_goes_live() -> list[Replacement]:
    """Ask of RSA chains alone whether they may go live."""
    real = gate.go_live

    def go_live(facts: Facts, desired: Any, owner: str, chain: Any, now: datetime) -> Any:
        return real(facts, desired, owner, chain, now) if chain is None or chain.algorithm == "rsa" else []

    return [BLIND, (watched, "go_live", go_live)]


def one_algorithm_is_seen() -> list[Replacement]:
    """Change records with the RSA chains alone in view."""
    real = records.live_at

    def live_at(*args: Any) -> records.Live:
        live = real(*args)
        return replace(live, chains=tuple(each for each in live.chains if each[1].algorithm == "rsa"))

    return [BLIND, (records, "live_at", live_at)]


def mark_what_was_not_reloaded() -> list[Replacement]:
    """Take a reload of one shared service for the reload of everything that shares it."""
    return [(act, "reloaded_too", reloads.failed_too), (predicting, "reloaded_too", reloads.failed_too)]


MUTANTS: dict[str, Callable[[], list[Replacement]]] = {
    "no wait": no_wait,
    "withdraw first": withdraw_first,
    "the TTL of the wrong RRset": new_ttl,
    "ask one server only": one_server,
    "forget the original TTL": no_original_ttl,
    "forget what stood before": no_history,
    "believe the reload": believe_the_reload,
}


PAIR_MUTANTS: dict[str, Callable[[], list[Replacement]]] = {
    "one algorithm goes live unasked": one_algorithm_goes_live,
    "one algorithm is not seen": one_algorithm_is_seen,
    "mark what was not reloaded": mark_what_was_not_reloaded,
}
"""Those that take two certificates to be wrong."""


@contextmanager
def mutant(replacements: list[Replacement]) -> Iterator[None]:
    """Make the core wrong inside the context."""
    with ExitStack() as stack:
        for owner, name, function in replacements:
            stack.enter_context(patch.object(owner, name, function))
        yield
