"""Other people's commands: config tests and reloads, without a shell, with a limit, what they say kept short."""

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from danelaw.errors import RetryLater

TAIL = 2000
"""So many characters of the output are kept, its last ones."""

_KEEP_BYTES = 1 << 17
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_KILL_GRACE = 2.0
_STOP_GRACE = 10.0
_LABEL = rb"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----"
# A key whose first line was cut away, a whole one, and one that does not end.
_SECRETS = (
    re.compile(rb"\A(?:(?!-----BEGIN ).)*?-----END " + _LABEL, re.DOTALL),
    re.compile(rb"-----BEGIN " + _LABEL + rb".*?-----END " + _LABEL, re.DOTALL),
    re.compile(rb"-----BEGIN " + _LABEL + rb".*\Z", re.DOTALL),
)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def run(argv: Sequence[str], timeout: timedelta) -> str:
    """Run a command; return its output's tail (both streams).

    It gets our environment, ``/`` as its folder, nothing on its input, and a process group of its own. What is
    installed for administrators is found, under cron too. What it leaves running in the background is left alone once
    the command itself has ended. Raises `RetryLater` with the command, how it ended and the tail: it cannot be started,
    its exit status is not 0, or it takes longer than ``timeout``.
    """
    return clean(_output(argv, timeout, _KEEP_BYTES, subprocess.STDOUT, _environment()))


def read(argv: Sequence[str], timeout: timedelta, most: int) -> str:
    """Run a command that changes nothing; return its whole standard output, of at most ``most`` bytes.

    What is installed for administrators is found for everybody. Raises `FileNotFoundError` where there is no such
    program, else `RetryLater` as `run` does, and where it says more than that.
    """
    environment = _environment()
    if shutil.which(argv[0], path=environment["PATH"]) is None:
        raise FileNotFoundError(argv[0])
    try:
        output = _output(argv, timeout, most + 1, subprocess.DEVNULL, environment)
    except RetryLater:
        _output(argv, timeout, _KEEP_BYTES, subprocess.STDOUT, environment)  # once more, for its complaints
        raise
    if len(output) > most:
        raise RetryLater(f"{shlex.join(argv)}: prints more than {most} bytes")
    return output.decode("utf-8", "replace").replace("\0", "\ufffd")  # it may become part of a path


def _environment() -> dict[str, str]:
    """Return our environment with the folders of administrators' programs behind the others: cron leaves them out."""
    path = os.environ.get("PATH") or os.defpath
    return {**os.environ, "PATH": f"{path}:{_SBIN}"}


def _output(
    argv: Sequence[str], timeout: timedelta, keep: int, complaints: int, environment: Mapping[str, str] | None
) -> bytes:
    """Run a command and return the last ``keep`` bytes that it printed; errors as of `run`."""
    command = shlex.join(argv)
    if not argv:
        raise RetryLater("an empty command cannot be run")
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise RetryLater(f"{command}: cannot be started: {error}") from None
    ended, deadline = False, time.monotonic() + timeout.total_seconds()
    try:
        output, ended = _watch(process, deadline, keep)
    except BaseException:
        # Told to stop: half a stop or half a reload is worse than waiting a little for the whole.
        _, ended = _watch(process, min(deadline, time.monotonic() + _STOP_GRACE), keep)
        raise
    finally:
        # A command that nobody waits for must not go on changing things.
        if not ended:
            _kill_group(process)
        if process.stdout is not None:
            process.stdout.close()
    if not ended:
        found = f"{command}: took longer than {timeout.total_seconds():g} s and was killed"
        raise RetryLater(_say(found, clean(output)))
    if process.returncode < 0:
        raise RetryLater(_say(f"{command}: killed by {_signal_name(-process.returncode)}", clean(output)))
    if process.returncode:
        raise RetryLater(_say(f"{command}: exit status {process.returncode}", clean(output)))
    return output


def clean(output: bytes) -> str:
    """Return output fit for a log: no private keys, no control characters, its last `TAIL` characters."""
    for secret in _SECRETS:
        output = secret.sub(b"[private key]", output)
    text = output.decode("utf-8", "replace").replace("\r\n", "\n").replace("\t", " ")
    return _CONTROL.sub("", text).strip()[-TAIL:]


def _watch(process: "subprocess.Popen[bytes]", deadline: float, keep: int) -> tuple[bytes, bool]:
    """Read until the command ends or the deadline (`time.monotonic`); return the output's end, and whether it ended."""
    assert process.stdout is not None  # noqa: S101 -- it is a pipe: Popen above
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    kept = bytearray()
    while True:
        # First whether it has ended, then what it wrote: so nothing that it wrote is missed.
        ended = process.poll() is not None
        is_open = _drain(pipe, kept, keep)
        left = deadline - time.monotonic()
        if ended or left <= 0:
            return bytes(kept), ended
        # Not until the end of the output: a daemon that the command started may hold the pipe for ever.
        if is_open:
            select.select([pipe], [], [], min(left, 0.05))
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(left)


def _drain(pipe: int, kept: bytearray, keep: int) -> bool:
    """Take what can be read now (1 MiB at most, a command may write for ever); return whether more may come."""
    for _ in range(16):
        try:
            data = os.read(pipe, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        kept += data
        del kept[:-keep]
    return True


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """End the command and what it started: first politely, then not.

    The group's id cannot have become another's: the command stays unwaited-for until the last signal was sent.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(OSError):  # a kernel without pidfds: no grace
        ended = os.pidfd_open(process.pid)
        try:
            select.select([ended], [], [], _KILL_GRACE)
        finally:
            os.close(ended)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _say(what: str, tail: str) -> str:
    return f"{what}: {tail}" if tail else f"{what}, without a word"
