"""`make demo`: docs/tutorial.md walked on real servers, command by command, as an administrator would.

Each command is shown with what it printed, and held against the page: where they differ, the demo fails.
"""

import os
import re
import shlex
import sys
import time
from pathlib import Path

from demo.hand_made import PAGE, SERVICES, environment, prepare
from demo.verdicts import s_client
from demo.walk import Astray, Step, run, steps
from world import World, layout
from world.contained import run_contained

CHECKOUT = Path(__file__).resolve().parents[2]


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def styled(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text


def shown(step: Step) -> str:
    """Return a command with the prompt, and its continuation as the shell shows it."""
    first, *more = step.command.rstrip("\n").split("\n")
    return "\n".join([styled("1", f"$ {first}"), *more])


def loud(step: Step) -> Step:
    """Let danelaw say what it does: the page has it quiet, since a reader wants the result."""
    command = re.sub(r"^danelaw -q (plan|apply)", r"danelaw \1", step.command)
    return step if command == step.command else Step(step.heading, step.line, command, ("…",), step.status)


def walk(world: World) -> None:
    heading = ""
    env = environment(world)
    for step in map(loud, steps(PAGE.read_text())):
        if step.heading != heading:
            heading = step.heading
            say(styled("1;4", f"\n== {heading}"))
        say(shown(step))
        run(step, env, world.folder, say)


def check(world: World) -> None:
    """Check the site's own domain as `danelaw check` does, and leave the page where it can be looked at."""
    result = CHECKOUT / "build" / "demo-check.html"
    result.parent.mkdir(exist_ok=True)
    step = Step("", 0, f"danelaw check example.test --html {shlex.quote(str(result))}", ("…",))
    say(styled("1;4", "\n== And at the end, as senders see it"))
    say(shown(step))
    run(step, environment(world), world.folder, say)
    owner = CHECKOUT.stat()  # the demo runs as root, and whoever called it is to have the page
    for path in (result.parent, result):
        os.chown(path, owner.st_uid, owner.st_gid)


def main() -> int:
    started = time.monotonic()
    with World(SERVICES) as world:
        prepare(world)
        say(f"The world is up after {time.monotonic() - started:.1f} s: {', '.join(sorted(world.services))}.")
        try:
            walk(world)
            check(world)
        except Astray as astray:
            say(f"\ndemo: docs/tutorial.md, {astray}")
            return 1
        verdict = s_client(world, layout.COURIER)
        say(f"\nOpenSSL, at the end: {verdict.said}")
    say(f"All in {time.monotonic() - started:.0f} s. Nothing is left running.")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(run_contained(main, lambda _first: None))
