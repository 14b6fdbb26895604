"""Runs a function in a PID namespace: when it ends, or anybody is killed, nothing that it started is left.

Three processes: the caller, which waits and passes SIGTERM on; the first process of the namespace, which reaps what
nobody else does (pid_namespaces(7): when it dies, the kernel kills all others in there); and the worker, always
process 2 in there, so that others find it.
"""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from world.namespace import CLONE_NEWNS, CLONE_NEWPID, mount_privately, mount_proc, unshare

WORKER = 2
"""The pid of the worker inside."""
_PR_SET_PDEATHSIG = 1


def run_contained(work: Callable[[], int], watch: Callable[[int], None]) -> int:
    """Run ``work`` in there and return its exit status; ``watch`` is told the first process's pid, as seen here.

    The worker's SIGTERM becomes SystemExit; Ctrl-C reaches it from the terminal, and the other two leave it alone.
    """
    signal.signal(signal.SIGINT, _nothing)
    unshare(CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        _be_first(work)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.kill(first, signal.SIGTERM))
    watch(first)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _be_first(work: Callable[[], int]) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    unshare(CLONE_NEWNS)
    mount_privately()
    mount_proc()
    worker = os.fork()
    if worker == 0:
        _be_worker(work)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.kill(worker, signal.SIGTERM))
    while True:
        pid, status = os.wait()
        if pid == worker:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _be_worker(work: Callable[[], int]) -> NoReturn:
    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough: what follows cleans up
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    status = 1
    try:
        status = work()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 (nobody above would show it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Ignore a signal here, but not in the programs that are run: SIG_IGN would be inherited."""
