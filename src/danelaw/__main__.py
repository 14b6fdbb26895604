"""Start danelaw. Answers ``--version`` before anything heavier than ``sys`` is imported."""

import sys


def main() -> int:
    """Run the command line; return the exit status."""
    if sys.argv[1:] == ["--version"]:
        from danelaw import __version__  # noqa: PLC0415  (start-up: nothing else is needed)

        sys.stdout.write(f"danelaw {__version__}\n")
        return 0
    try:
        from danelaw.cli import run_command_line  # noqa: PLC0415  (start-up)

        return run_command_line(sys.argv[1:])
    except KeyboardInterrupt:  # before there was anything to be undone
        sys.stderr.write("danelaw: told to stop by SIGINT\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
