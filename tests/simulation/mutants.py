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
from danelaw.lifecycle import gate, keys, records, reloads, rollover, steps, wanted, watched
from danelaw.lifecycle.case import Case
from danelaw.lifecycle.cutover import cutover
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.sight import latest_rows
from danelaw.model import Fact, Facts, Obtain, OwnerLook, Promote, Step
from danelaw.run import act, clocks, look, prove

predicting = import_module("danelaw.lifecycle.predict")
"""The module: the package gives its name to the function."""

Replacement = tuple[ModuleType | type, str, Any]


def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


BLIND: Replacement = (steps, "broken", nothing)


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


def no_cname_ttl() -> list[Replacement]:
    """Forget that whoever holds a CNAME goes on fetching what is behind it."""
    real = gate.span

    def span(rows: Any, *rest: Any, **more: Any) -> timedelta:
        return real([replace(row, cname_ttl=0) for row in rows], *rest, **more)

    return [BLIND, (gate, "span", span)]


def silence_is_absence() -> list[Replacement]:
    """Leave a server that does not answer out, as if it were none."""
    real = gate.relevant_servers

    def relevant(facts: Facts, owner: str, now: datetime) -> frozenset[str]:
        state = gate.owner_state(facts, owner)
        silent = {row.server for row in facts.unreachable if state and row.last_at >= state.last_at}
        return real(facts, owner, now) - silent

    return [BLIND, (gate, "relevant_servers", relevant)]


def a_jump_is_waiting() -> list[Replacement]:
    """Take the wall clock's word for the time that has passed."""
    return [BLIND, (clocks, "stepped", lambda *_: None)]


def a_failed_order_takes_the_key() -> list[Replacement]:
    """Give a next key up when an order over it fails, as those do that consume it before the order succeeds."""
    real = act._after_failure

    def after(desired: Any, rings: Any, facts: Facts, step: Step, error: Any) -> Any:
        if isinstance(step, Obtain) and step.ahead:
            now = rings.clock.now()
            return [replace(key, destroyed_at=now) for key in facts.keys if key.spki_sha256 == step.spki_sha256]
        return real(desired, rings, facts, step, error)

    return [BLIND, (act, "_after_failure", after)]


def a_failed_order_makes_a_key() -> list[Replacement]:
    """Make another next key after each order that failed, and publish that one in its place."""
    real = keys.next_key

    def next_key(facts: Facts, spec: Any) -> Any:
        key = real(facts, spec)
        tries = [row for row in facts.effects if row.subject == f"{spec.name} (next key)" and row.outcome == "failed"]
        return None if key and any(row.began_at > key.made_at for row in tries) else key

    modules = [keys, rollover, wanted, import_module("danelaw.lifecycle.cutover"), predicting]
    return [BLIND, *((module, "next_key", next_key) for module in modules)]


class OpenCase(Case):
    """A case in which nothing keeps anything from going live."""

    def blocked(self, *_: Any) -> list[Any]:
        return []


def back_without_the_gate() -> list[Replacement]:
    """Put the earlier generation back without asking what caches hold."""
    real = steps._go_back

    def go_back(case: Case, *rest: Any) -> Any:
        opened = OpenCase(case.desired, case.facts, case.now, case.works, case.forgive)
        return real(opened, *rest)

    return [BLIND, (steps, "_go_back", go_back)]


def promote_at_once() -> list[Replacement]:
    """Call the next key the current one when the first deployment has gone over, proven or not."""

    def promote(case: Case) -> Any:
        for spec in case.desired.certificates:
            cut, current = cutover(case.facts, spec, case.now), keys.current_key(case.facts, spec.name)
            chains = [chain_of(case.facts, work.active) for work in case.of(spec.name) if work.active]
            if cut and current and any(chain and chain.spki_sha256 == cut.key.spki_sha256 for chain in chains):
                yield Promote(spec.name, cut.key.spki_sha256, current.spki_sha256, "it is live somewhere")

    rules = [rule for rule in steps.RULES if rule is not rollover.promote]
    rules.insert(rules.index(steps._in_flight), promote)
    return [BLIND, (steps, "RULES", tuple(rules))]


def no_settling() -> list[Replacement]:
    """Withdraw the old key's records as soon as the new one is current."""
    return [BLIND, *((module, "is_settling", lambda *_: False) for module in (wanted, rollover))]


def shred_what_is_needed() -> list[Replacement]:
    """Put a retired key away though certificates over it are valid."""
    return [BLIND, (rollover, "_needed_until", lambda *_: None)]


def revoke_what_is_live() -> list[Replacement]:
    """Revoke before anything took the certificate's place."""
    return [BLIND, (rollover, "is_in_use", lambda *_: False)]


MUTANTS: dict[str, Callable[[], list[Replacement]]] = {
    "no wait": no_wait,
    "withdraw first": withdraw_first,
    "the TTL of the wrong RRset": new_ttl,
    "ask one server only": one_server,
    "forget the original TTL": no_original_ttl,
    "forget what stood before": no_history,
    "believe the reload": believe_the_reload,
}


ROLLOVER_MUTANTS: dict[str, Callable[[], list[Replacement]]] = {
    "forget the CNAME's TTL": no_cname_ttl,
    "no wait": no_wait,
    "withdraw first": withdraw_first,
    "ask one server only": one_server,
    "believe the reload": believe_the_reload,
    "drop the next key on a failed order": a_failed_order_takes_the_key,
    "make another next key on a failed order": a_failed_order_makes_a_key,
    "roll back without the gate": back_without_the_gate,
    "promote before all is proven": promote_at_once,
    "withdraw before it has settled": no_settling,
    "shred a key that is still needed": shred_what_is_needed,
    "revoke what is live": revoke_what_is_live,
}
"""Those of worlds in which keys are rolled over."""


UNSEEN: dict[str, Callable[[], list[Replacement]]] = {
    "a silent server is none": silence_is_absence,
    "count a clock jump as waiting": a_jump_is_waiting,
}
"""Those that the first 25 seeds of rollovers do not show: no test says that they are caught."""


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
