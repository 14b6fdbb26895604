"""danelaw's verdicts held against those expected, and against the tools': what differs must have a reason."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from danelaw.model import Outcome, Report
from world import World
from zoo import oracles, ours
from zoo.animal import Animal
from zoo.grounds import Enclosure
from zoo.oracles import TOOLS, Said, Sayings, Tool, Word

WORDS: Mapping[Outcome, Word] = {
    "authenticated": "accepts",
    "deferred": "refuses",
    "encrypted": "no DANE",
    "opportunistic": "no DANE",
    "unknown": "no answer",
}
"""What each outcome comes to in the words that tools are summed up in."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one tool says something else than danelaw about some animals.

    ``chance``: what it says of them differs from run to run.
    """

    tool: Tool
    says: str
    animals: tuple[str, ...]
    chance: bool = False


def look(world: World, enclosures: Sequence[Enclosure]) -> "Zoo":
    """Ask danelaw and all tools about every animal, at the same time. Called in the thread that is in the world."""
    animals = [enclosure.animal for enclosure in enclosures]
    with ThreadPoolExecutor(1) as pool:
        sayings = pool.submit(oracles.ask, world, enclosures)
        reports = ours.check(world, animals)
        return Zoo(animals, reports, sayings.result())


@dataclass(frozen=True, slots=True)
class Zoo:
    """All that was found: danelaw's reports and the tools' words, by animal."""

    animals: Sequence[Animal]
    reports: Mapping[str, Report]
    sayings: Sayings

    def own_word(self, animal: Animal, tool: Tool) -> Word:
        """Return what danelaw says, in the tools' words: what Exim does for Exim, what Postfix does for all others.

        Where there is no mail, there is no DANE.
        """
        outcome = self.reports[animal.name].outcomes.get("exim" if tool == "Exim" else "postfix")
        return WORDS[outcome] if outcome else "no DANE"

    def said(self, animal: Animal, tool: Tool) -> Said:
        """Return what a tool said of an animal."""
        return self.sayings[animal.name][tool]

    def differs(self, animal: Animal, tool: Tool) -> bool:
        """Return whether a tool that was asked says something else than danelaw."""
        return self.said(animal, tool).word not in {"-", self.own_word(animal, tool)}


def unexpected(zoo: Zoo) -> list[str]:
    """Return a line for everything in danelaw's reports that is not as the animals have it."""
    lines = []
    for animal in zoo.animals:
        report = zoo.reports[animal.name]
        if dict(report.outcomes) != dict(animal.expected):
            lines.append(f"{animal.name}: expected {dict(animal.expected)}, danelaw says {dict(report.outcomes)}")
        if report.status != animal.status:
            lines.append(f"{animal.name}: expected exit status {animal.status}, danelaw says {report.status}")
        found = {finding.code for finding in report.findings if finding.severity in {"error", "warning"}}
        if found != set(animal.codes.split()):
            lines.append(f"{animal.name}: expected findings {animal.codes}, danelaw has {' '.join(sorted(found))}")
    return lines


def unexplained(zoo: Zoo, reasons: Sequence[Reason]) -> list[str]:
    """Return a line for every disagreement without a reason, and for every reason without a disagreement."""
    lines = []
    explained = {(name, reason.tool): reason for reason in reasons for name in reason.animals}
    if len(explained) != sum(len(reason.animals) for reason in reasons):
        lines.append("an animal has two reasons for one tool")
    for animal in zoo.animals:
        for tool in TOOLS:
            reason = explained.pop((animal.name, tool), None)
            said = zoo.said(animal, tool)
            if reason is None and zoo.differs(animal, tool):
                lines.append(f"{animal.name}: danelaw {zoo.own_word(animal, tool)}, {tool} {said.word} ({said.line})")
            if reason is not None and not reason.chance and not zoo.differs(animal, tool):
                lines.append(f"{animal.name}: {tool} agrees, so this is no longer needed: {reason.says}")
    lines += [f"{name}: there is no such animal, and {tool} has a reason for it" for name, tool in explained]
    return lines
