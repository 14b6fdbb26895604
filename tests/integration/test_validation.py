"""Zones right and wrong: danelaw's verdict is that of Unbound and delv, or the table says why; the reason is named."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from danelaw.dns import message as wire
from danelaw.dns.contents import RRTYPES
from danelaw.dns.diagnosis import explain
from danelaw.dns.lookups import Lookups
from danelaw.dns.unbound import Context, Resolution
from danelaw.model import ResolverSpec
from danelaw.model.outside import LookedUp, Lookup
from dnszoo.cases import CASES, RIGHT, WRONG, Case, Verdict, table
from dnszoo.zoo import Zoo, zoo
from fakes.dns_clock import ShiftedClock
from world import layout

pytestmark = pytest.mark.world

CLOCK = ShiftedClock()
PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
MODES = ("iterating", "forwarding")


@dataclass(frozen=True)
class Ours:
    """What danelaw says of one name, through one kind of resolver."""

    resolution: Resolution
    found: LookedUp
    why: str


@dataclass(frozen=True)
class Measured:
    zoo: Zoo
    specs: Mapping[str, ResolverSpec]
    ours: Mapping[tuple[str, Case], Ours]
    unbound: Mapping[Case, Verdict]
    delv: Mapping[Case, Verdict]


async def ask_danelaw(spec: ResolverSpec) -> list[Ours]:
    async with Context(spec, timeout=4) as context, Lookups(spec, CLOCK, timeout=15) as lookups:
        turn, waiting = asyncio.Semaphore(4), asyncio.Semaphore(len(CASES))

        async def one(case: Case) -> Ours:
            lookup = Lookup(case.name, case.rrtype)
            # what waits for silent servers waits while the others are asked
            async with waiting if case.verdict == "none" else turn:
                resolution, found, why = await asyncio.gather(
                    context.resolve(wire.name_of(case.name), RRTYPES[case.rrtype]),
                    lookups.find(lookup),
                    explain(spec, lookup, CLOCK.now(), "", limit=30 if case.says or spec.address is None else 0),
                )
            return Ours(resolution, found, why)

        return list(await asyncio.gather(*(one(case) for case in CASES)))


async def ask_both(specs: Mapping[str, ResolverSpec]) -> dict[str, list[Ours]]:
    found = await asyncio.gather(*(ask_danelaw(spec) for spec in specs.values()))
    return dict(zip(specs, found, strict=True))


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    with zoo() as made, ThreadPoolExecutor(12) as pool:
        anchor, hints = str(made.world.root_ds), str(made.world.root_hints)
        specs = {
            "iterating": ResolverSpec(trust_anchor=anchor, root_hints=hints),
            "forwarding": ResolverSpec(layout.RESOLVER, trust_anchor=anchor),
        }
        slowest_first = sorted(CASES, key=lambda case: "none" not in case.expected.values())
        unbound = pool.map(lambda case: made.unbound(case.name, case.rrtype), slowest_first)
        delv = pool.map(lambda case: made.delv(case.name, case.rrtype), slowest_first)
        both = asyncio.run(ask_both(specs))
        ours = {(mode, case): said for mode in MODES for case, said in zip(CASES, both[mode], strict=True)}
        yield Measured(
            made,
            specs,
            ours,
            dict(zip(slowest_first, unbound, strict=True)),
            dict(zip(slowest_first, delv, strict=True)),
        )


def verdict(security: str) -> Verdict:
    return "none" if security == "indeterminate" else security  # type: ignore[return-value]  # the others are the same


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.rrtype}")
def test_the_verdict_is_that_of_unbound_and_delv_or_the_table_says_why(measured: Measured, case: Case) -> None:
    assert {"danelaw": case.verdict, "Unbound": measured.unbound[case], "delv": measured.delv[case]} == case.expected
    for mode in MODES:
        ours = measured.ours[mode, case]
        assert verdict(ours.resolution.security) == case.verdict, (mode, ours.resolution)
        assert verdict(ours.found.security) == case.verdict, (mode, ours.found)
        assert not ours.found.ours
        if case.verdict in {"bogus", "none"}:
            assert not ours.found.tlsa
            assert not ours.found.addresses


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case.name}-{case.rrtype}")
def test_the_reason_is_named_in_our_words(measured: Measured, case: Case) -> None:
    keys = measured.zoo.keys
    phrase = case.says.format(one=keys.one.tag, other=keys.other.tag)
    for mode in MODES:
        ours = measured.ours[mode, case]
        assert phrase in ours.why, mode
        assert "validation failure" not in ours.why
        if case.verdict == "bogus":
            assert ours.found.why == ours.why, mode
        else:
            assert ours.found.why, mode


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: f"{case.name}-{case.rrtype}")
def test_nothing_is_said_of_what_is_right(measured: Measured, case: Case) -> None:
    assert measured.ours["iterating", case].why == ""
    assert measured.ours["iterating", case].found.why == ""


def test_a_verdict_does_not_go_by_what_was_asked_before(measured: Measured) -> None:
    beside, lied_about = "_443._tcp.mail.lying3.test", "_25._tcp.mail.lying3.test"

    async def in_turn() -> list[str]:
        async with Context(measured.specs["iterating"]) as context:
            return [(await context.resolve(wire.name_of(name), wire.TLSA)).security for name in (beside, lied_about)]

    assert asyncio.run(in_turn()) == ["secure", "bogus"]
    # the twin, and the reason: with Unbound's defaults the one denial answers for the other name
    measured.zoo.world.resolver.flush("lying3.test")
    assert [measured.zoo.unbound(name, "TLSA") for name in (beside, lied_about)] == ["secure", "secure"]


def test_the_zoo_is_large_and_made_in_a_few_seconds(measured: Measured) -> None:
    assert len({case.name.split(".", 1)[-1] for case in CASES}) >= 40
    assert len(WRONG) >= 20
    assert len({case.says for case in WRONG}) >= 20
    assert measured.zoo.zones >= 40
    assert measured.zoo.made_in < 15


def test_disagreements_are_few_and_each_has_its_reason() -> None:
    apart = [case for case in CASES if set(case.expected.values()) != {case.verdict}]
    assert all(case.because for case in apart)
    assert not [case for case in CASES if case.because and case not in apart]
    assert len(apart) <= len(CASES) // 10
    assert not [case for case in RIGHT if case.verdict in {"bogus", "none"}]
    assert not [case for case in WRONG if case.verdict not in {"bogus", "none"}]


def test_the_page_shows_what_is_measured_here() -> None:
    assert table() in PAGE.read_text(), "make the table anew: PYTHONPATH=tests:. .venv/bin/python -m dnszoo"
