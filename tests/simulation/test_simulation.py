"""Promise 1, 3, 4 and 5 in a thousand histories; and that the simulation sees a core that is wrong."""

import pytest

from danelaw.lifecycle import steps
from simulation.mutants import MUTANTS, PAIR_MUTANTS, ROLLOVER_MUTANTS, mutant, no_wait_but_invariants
from simulation.scenarios import KINDS, PAIRS, Kind
from simulation.simulation import Report, simulate

SEEDS = 400
PAIR_SEEDS = 50
ROLLOVER_SEEDS = 60
ROLLOVER_PAIR_SEEDS = 5
BATCH = 50
CAUGHT_WITHIN = 80
"""Seeds that a mutant may survive before it counts as unseen."""

ROLLOVERS_CAUGHT_WITHIN = 25
"""The same, where keys are rolled over."""

FAILED_ONCE: tuple[int, ...] = (95, 130, 142, 157, 166, 211, 228, 680, 843, 2038, 3101)
"""Seeds that showed defects: files on disk, a lost answer, an empty generation 0, a hidden primary, a dead server; and
a judge who held against us what no validator takes any more."""


FAILED_WITH_ROLLOVERS: tuple[int, ...] = (76, 82, 305)
"""Seeds that showed defects: a server that fell silent while nobody looked had been signed anew; a strict wait."""


def _wrong(report: Report) -> str:
    return "\n".join([str(report), *report.violations[:5]])


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_no_sender_ever_refuses_and_everything_ends_well(first: int) -> None:
    checks = 0
    for seed in range(first, first + BATCH):
        report = simulate(seed)
        assert not report.violations, _wrong(report)
        assert report.days >= 365
        assert report.renewals >= 3
        checks += report.checks
    assert checks > 1000


@pytest.mark.parametrize("first", range(0, PAIR_SEEDS, BATCH // 2))
def test_rsa_and_ecdsa_beside_each_other_are_never_refused(first: int) -> None:
    for seed in range(first, first + BATCH // 2):
        report = simulate(seed, certificates=2)
        assert not report.violations, _wrong(report)
        assert report.renewals >= 6
        assert report.checks


@pytest.mark.parametrize("first", range(0, ROLLOVER_SEEDS, BATCH // 5))
def test_keys_roll_over_and_no_sender_ever_refuses(first: int) -> None:
    rollovers, asked, held = 0, 0, 0
    for seed in range(first, first + BATCH // 5):
        report = simulate(seed, rollovers=True)
        assert not report.violations, _wrong(report)
        assert report.rollovers, _wrong(report)
        rollovers += report.rollovers
        asked += report.clients
        held += report.held
    assert rollovers > BATCH // 5
    assert asked > 1000
    assert held


@pytest.mark.parametrize("seed", range(ROLLOVER_PAIR_SEEDS))
def test_keys_roll_over_where_rsa_stands_beside_ecdsa(seed: int) -> None:
    report = simulate(seed, certificates=2, rollovers=True)
    assert not report.violations, _wrong(report)
    assert report.rollovers


@pytest.mark.parametrize("seed", FAILED_WITH_ROLLOVERS)
def test_a_seed_that_failed_once_with_rollovers_passes(seed: int) -> None:
    report = simulate(seed, rollovers=True)
    assert not report.violations, _wrong(report)


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_seed_that_failed_once_passes(seed: int) -> None:
    report = simulate(seed)
    assert not report.violations, _wrong(report)


@pytest.mark.parametrize("kind", [*KINDS, *PAIRS])
def test_every_beginning_is_survived(kind: Kind) -> None:
    for seed in range(5000, 5005):
        report = simulate(seed, kind)
        assert not report.violations, _wrong(report)
        assert report.kind == kind


def test_the_same_seed_is_the_same_history() -> None:
    one, other = simulate(3), simulate(3)
    assert (one.runs, one.crashes, one.steps, one.checks) == (other.runs, other.crashes, other.steps, other.checks)
    assert one.faults == other.faults
    assert [str(simulate(3, certificates=2)) for _ in range(2)] == [str(simulate(3, certificates=2))] * 2


@pytest.mark.parametrize("name", [*MUTANTS, *PAIR_MUTANTS])
def test_a_wrong_core_is_caught(name: str) -> None:
    survived = 0
    for seed in range(CAUGHT_WITHIN):
        with mutant((MUTANTS | PAIR_MUTANTS)[name]()):
            report = simulate(seed, certificates=2 if name in PAIR_MUTANTS else 1)
        if report.violations:
            return
        survived += 1
    pytest.fail(f"the mutant {name!r} survived {survived} seeds")


@pytest.mark.parametrize("name", ROLLOVER_MUTANTS)
def test_a_core_that_is_wrong_about_rollovers_is_caught(name: str) -> None:
    for seed in range(ROLLOVERS_CAUGHT_WITHIN):
        with mutant(ROLLOVER_MUTANTS[name]()):
            report = simulate(seed, rollovers=True)
        if report.violations:
            return
    pytest.fail(f"the mutant {name!r} survived {ROLLOVERS_CAUGHT_WITHIN} seeds")


def test_the_invariants_stop_a_gate_that_is_always_open() -> None:
    for seed in range(CAUGHT_WITHIN):
        with mutant(no_wait_but_invariants()):
            report = simulate(seed)
        if any("invariant 1: Activate is refused" in text for text in report.violations):
            return
    pytest.fail("no step was refused")


def test_a_mutant_leaves_nothing_behind() -> None:
    before = dict(vars(steps))
    with mutant(MUTANTS["no wait"]()):
        assert vars(steps) != before
    assert vars(steps) == before
