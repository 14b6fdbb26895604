"""`make zoo`: asks danelaw and the tools about every animal, prints the table, and writes docs/agreement.md."""

import sys
import time
from pathlib import Path

from world import World
from world.contained import run_contained
from zoo import agreement, smtp_dane_verify, table
from zoo.grounds import SERVICES, opened
from zoo.menagerie import ANIMALS
from zoo.reasons import REASONS

PAGE = Path(__file__).parent.parent.parent / "docs" / "agreement.md"


def main() -> int:
    """Return 1 where something is not as expected, or not explained."""
    began = time.monotonic()
    with World(SERVICES) as world, opened(world, ANIMALS) as enclosures:
        zoo = agreement.look(world, enclosures)
    sys.stdout.write(table.terminal(zoo, REASONS, colour=sys.stdout.isatty()))
    PAGE.write_text(table.page(zoo, REASONS))
    wrong = [*agreement.unexpected(zoo), *agreement.unexplained(zoo, REASONS)]
    sys.stdout.write("".join(f"zoo: {line}\n" for line in wrong))
    many = sum(len(words) for words in zoo.sayings.values())
    sys.stdout.write(
        f"{len(ANIMALS)} animals, {many} words of tools, {time.monotonic() - began:.0f} s; {PAGE} is written.\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    smtp_dane_verify.install()  # here: there is no network in the world
    sys.exit(run_contained(main, lambda _first: None))
