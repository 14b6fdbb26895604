"""danelaw's own verdict on every animal: `danelaw.check`, all of it real, over the zoo's names and servers."""

import asyncio
from collections.abc import Mapping, Sequence

from danelaw.check.examine import examine
from danelaw.check.outside import Outside
from danelaw.model import Report, ResolverSpec, Target
from danelaw.run.system import SystemClock
from world import World
from zoo.animal import Animal
from zoo.grounds import web_root

AT_ONCE = 8
"""Checks at one time."""


def check(world: World, animals: Sequence[Animal]) -> Mapping[str, Report]:
    """Return danelaw's report on every animal, by name. Called in the thread that is in the world."""
    return asyncio.run(_check(world, animals))


async def _check(world: World, animals: Sequence[Animal]) -> Mapping[str, Report]:
    clock = SystemClock()
    room = asyncio.Semaphore(AT_ONCE)
    resolver = ResolverSpec(trust_anchor=str(world.root_ds), root_hints=str(world.root_hints))
    async with Outside(clock, resolver, timeout=10.0, roots=str(web_root(world))) as outside:

        async def one(animal: Animal) -> Report:
            async with room:
                return await examine(Target(animal.domain), outside, clock)

        return {
            animal.name: report
            for animal, report in zip(animals, await asyncio.gather(*map(one, animals)), strict=True)
        }
