"""Other people's programs: where they are, and running one to its end."""

import os
import shutil
import subprocess
from pathlib import Path

PATIENCE = 30.0
"""Seconds within which a server must answer or end, and a tool be done, on a slow machine."""


class WorldError(Exception):
    """The world cannot be as asked: what is wrong, and the end of the log of the server concerned."""


def program(name: str) -> str:
    """Return the path of a program, also where PATH has no sbin, as after ``su``."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise WorldError(f"{name} is not installed: run scripts/debian-packages")
    return found


def run(name: str, *arguments: str | Path, stdin: str = "") -> str:
    """Run a program to its end and return what it printed. A `WorldError` with its words where it fails."""
    try:
        done = subprocess.run(
            [program(name), *map(str, arguments)],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WorldError(f"{name} did not end within {PATIENCE:.0f} s: {error.output or ''}") from None
    if done.returncode != 0:
        raise WorldError(f"{name} ended with {done.returncode}: {done.stdout.strip()[-2000:]}")
    return done.stdout
