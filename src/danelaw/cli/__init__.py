"""The command line: arguments in, an exit status out. Nothing here decides anything.

Imports are made where they are used: with nothing due, `apply` must not pay for what it does not need
(architecture.md, "Start-up").
"""

import os
import sys
from collections.abc import Sequence


def run_command_line(argv: Sequence[str]) -> int:
    """Run one command; return the exit status. Errors are one or two lines on standard error, never a stack trace."""
    _open_what_was_closed()
    if argv and argv[-1] == "apply":
        from danelaw.cli.fast import nothing_due, plain_apply  # noqa: PLC0415 (start-up)

        plain = plain_apply(argv)
        said = nothing_due(plain[0], quiet=plain[1]) if plain else None
        if said is not None:
            return _say(said)
    from danelaw.cli.arguments import parser  # noqa: PLC0415 (start-up)
    from danelaw.cli.session import run  # noqa: PLC0415 (start-up)

    return run(parser().parse_args(argv))


def _open_what_was_closed() -> None:
    """Put the null device where whoever started us closed a standard stream (``>&-``).

    Else the next thing that is opened, a socket or a database, would get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - until we end; start-up


def _say(text: str) -> int:
    """Print what the fast way says; return the exit status."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        from danelaw.cli.terminal import unwritten  # noqa: PLC0415 (start-up)

        unwritten(error)
        return 1
    return 0
