"""What all tests share."""

import contextlib
import os
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

# How long a machine takes says nothing about the code: no test of ours is timed.
settings.register_profile("danelaw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("danelaw")

# Tests start danelaw hundreds of times: without bytecode each start compiles all that it imports anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MEMORY, ROOM = "/dev/shm", 1 << 30


def _keep_files_in_memory() -> None:
    """Let temporary files lie in memory where there is room: a disk takes milliseconds for each of thousands of syncs.

    What is left after a kill is tested; that a disk keeps what was synced, no test of ours can show. A ``TMPDIR`` that
    is set stays.
    """
    with contextlib.suppress(OSError):
        found = os.statvfs(MEMORY)
        fits = found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC
        if "TMPDIR" not in os.environ and fits and os.access(MEMORY, os.W_OK):
            os.environ["TMPDIR"] = MEMORY
            tempfile.tempdir = None  # it is looked up again


_keep_files_in_memory()


def pytest_xdist_auto_num_workers() -> int:
    """Make one process more than there are cores: tests in the world wait for its servers a quarter of their time."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: what is made anew in each process must not be part of a test's name."""
    return argname if isinstance(val, bytes) else None


class _Files(LoadScopeScheduling):  # type: ignore[misc]  # so its class is Any
    """Keeps the tests of a file in one process, where they share a world; the simulation's seeds spread over all."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if "simulation" in file.split("/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Files:
    """Distribute by files, whatever ``--dist`` says: under pytest 9.2 xdist 3.8 does not see ``loadgroup``'s groups."""
    return _Files(config, log)
