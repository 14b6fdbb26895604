"""The command line: arguments in, an exit status out. Nothing here decides anything.

Imports are made where they are used: with nothing due, `apply` must not pay for what it does not need
(architecture.md, "Start-up").
"""

import os
import sys
from collections.abc import Sequence


def run_command_line(argv: Sequence[str]) -> int:
    """Run one command; return the exit status. Errors are one or two lines on standard error, never a stack trace."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us (`>&-`): what is said goes nowhere
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until we end; start-up
    if argv and argv[-1] == "apply":
        from danelaw.cli.fast import nothing_due, plain_apply  # noqa: PLC0415 (start-up)

        plain = plain_apply(argv)
        said = nothing_due(plain[0], quiet=plain[1]) if plain else None
        if said is not None:
            sys.stdout.write(said)
            return 0
    from danelaw.cli.arguments import parser  # noqa: PLC0415 (start-up)
    from danelaw.cli.session import run  # noqa: PLC0415 (start-up)

    return run(parser().parse_args(argv))
