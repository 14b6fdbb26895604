"""Starts the commands to be measured, from a process so small that its own memory does not count as theirs.

Linux charges a process with the memory of the one that it was forked from. One JSON list (argv) a line in; one JSON
list (exit status, wall and CPU seconds, peak KiB, the end of what was said) a line out.
"""

import json
import os
import sys
import tempfile
import time


def run(argv: list[str]) -> tuple[int, float, float, int, str]:
    """Run a command; return its exit status, wall and CPU seconds, peak KiB, and the end of what it said."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            try:
                os.execvp(argv[0], argv)  # noqa: S606 (what is measured, without a shell)
            finally:
                os._exit(127)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - started
        said.seek(max(0, said.seek(0, 2) - 2000))
        words = said.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, words


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{json.dumps(run(json.loads(line)))}\n")
        sys.stdout.flush()
