"""docs/match.md: every command of the page does what the page shows."""

import os
import sys
from pathlib import Path

from demo.walk import run, steps

PAGE = Path(__file__).parents[2] / "docs" / "match.md"


def test_every_command_of_the_page_does_what_the_page_shows(tmp_path: Path) -> None:
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    commands = list(steps(PAGE.read_text()))
    for step in commands:
        run(step, env, tmp_path)
    assert len(commands) >= 8
