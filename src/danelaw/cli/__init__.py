"""The command line: arguments in, an exit status out. Nothing here decides anything.

Imports are made where they are used: with nothing due, `apply` must not pay for what it does not need
(architecture.md, "Start-up").
"""

import sys
from collections.abc import Sequence

from danelaw.cli.arguments import parser


def run_command_line(argv: Sequence[str]) -> int:
    """Run one command; return the exit status. Errors are one or two lines on standard error, never a stack trace."""
    arguments = parser().parse_args(argv)
    if arguments.command == "apply":
        from danelaw.cli.fast import nothing_due  # noqa: PLC0415 (start-up)

        said = nothing_due(arguments)
        if said is not None:
            sys.stdout.write(said)
            return 0
    from danelaw.cli.session import run  # noqa: PLC0415 (start-up)

    return run(arguments)
