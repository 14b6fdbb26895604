"""``--html FILE`` of commands about what is managed: a page is written whole, and its place is said."""

import argparse
import sys
from pathlib import Path

from danelaw.cli.check_monitor import write_whole


def write_page(arguments: argparse.Namespace, page: str) -> None:
    """Write a page where ``--html`` says, and say where. Raises `InputError`."""
    write_whole(arguments.html, page)
    if not arguments.quiet:
        sys.stderr.write(f"danelaw: the page is {Path(arguments.html).absolute()}\n")
