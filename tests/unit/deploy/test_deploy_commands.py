"""Commands: no shell, a limit that holds for the whole group, and a tail that gives no key away."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from danelaw.deploy import LocalHost
from danelaw.deploy.commands import clean
from danelaw.errors import RetryLater
from local_state import StandingClock

LONG = timedelta(seconds=30)
KEY = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\nbW9yZXNlY3JldA==\n-----END RSA PRIVATE KEY-----"


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    return LocalHost(str(tmp_path), "h", StandingClock())


def python(code: str) -> Sequence[str]:
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Return whether a process that was sent SIGKILL is gone before 10 s are over: the signal takes an instant."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 10)[0])
    finally:
        os.close(watched)


def test_both_streams_come_back(host: LocalHost) -> None:
    assert host.run(python("import sys; print('out', flush=True); print('err', file=sys.stderr)"), LONG) == "out\nerr"


def test_there_is_no_shell_no_input_and_the_root_folder(host: LocalHost) -> None:
    assert host.run(["echo", "$HOME; `id`"], LONG) == "$HOME; `id`"
    assert host.run(python("import sys, os; print(repr(sys.stdin.read()), os.getcwd())"), LONG) == "'' /"


def test_a_failure_names_command_status_and_tail(host: LocalHost) -> None:
    with pytest.raises(RetryLater, match=r"^sh -c 'echo no such key; exit 3': exit status 3: no such key$"):
        host.run(["sh", "-c", "echo no such key; exit 3"], LONG)
    with pytest.raises(RetryLater, match=r"^false: exit status 1, without a word$"):
        host.run(["false"], LONG)
    with pytest.raises(RetryLater, match="killed by SIGKILL"):
        host.run(python("import os; os.kill(os.getpid(), 9)"), LONG)
    with pytest.raises(RetryLater, match=r"/no/such/command: cannot be started: .*No such file"):
        host.run(["/no/such/command"], LONG)
    with pytest.raises(RetryLater, match="empty command"):
        host.run([], LONG)


def test_the_limit_ends_the_whole_group(host: LocalHost) -> None:
    code = (
        "import os, signal, time\n"
        "pid = os.fork()\n"
        "if pid == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "else: print(pid, flush=True)\n"
        "time.sleep(600)"
    )
    began = time.monotonic()
    with pytest.raises(RetryLater, match=r"took longer than 0\.5 s and was killed: \d+") as late:
        host.run(python(code), timedelta(seconds=0.5))
    assert time.monotonic() - began < 10
    assert ends(int(str(late.value).rpartition(" ")[2]))


def test_a_daemon_that_keeps_the_output_open_is_neither_waited_for_nor_killed(host: LocalHost) -> None:
    began = time.monotonic()
    pid = int(host.run(["sh", "-c", "sleep 600 & echo $!"], LONG))
    try:
        assert time.monotonic() - began < 10
        assert is_running(pid)
    finally:
        os.kill(pid, 9)


def test_a_command_that_closes_its_output_is_waited_for(host: LocalHost, tmp_path: Path) -> None:
    done = tmp_path / "done"
    host.run(["sh", "-c", f"exec >&- 2>&-; sleep 0.2; touch {done}"], LONG)
    assert done.exists()


def test_a_flood_is_cut_to_its_tail(host: LocalHost) -> None:
    tail = host.run(python("for i in range(400000): print(i)"), LONG)
    assert len(tail) <= 2000
    assert tail.endswith("\n399999")
    with pytest.raises(RetryLater, match="took longer"):
        host.run(["yes"], timedelta(seconds=0.3))


@pytest.mark.parametrize(
    "output",
    [
        f"before {KEY} after",
        KEY.replace("RSA PRIVATE", "PRIVATE"),
        KEY.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"),
        KEY.partition("\n")[2] + " after",  # its first line was cut away
        "before " + KEY.rpartition("\n")[0],  # its last line was not written
        f"{KEY}\nbetween\n{KEY}",
    ],
)
def test_no_private_key_gets_through(output: str) -> None:
    cleaned = clean(output.encode())
    assert "[private key]" in cleaned
    assert "c2VjcmV0" not in cleaned
    assert "bW9yZX" not in cleaned
    for word in ("before", "between", "after"):
        assert (word in cleaned) == (word in output)


def test_certificates_and_words_stay() -> None:
    public = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nfine"
    assert clean(public.encode()) == public


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert clean(b"a\x1b[31mred\x07\x00\r\nb\tc \xe2\x80\xaed\xff\xc2\x9b") == "a[31mred\nb c d\ufffd"


def test_a_command_is_left_to_its_end_by_a_run_that_is_told_to_stop(tmp_path: Path) -> None:
    """Half a `systemctl stop` would be worse: the web server is started at once afterwards."""
    begun, done = tmp_path / "begun", tmp_path / "done"
    command = (
        f"import pathlib, time; pathlib.Path({str(begun)!r}).touch()\n"
        f"time.sleep(0.5); pathlib.Path({str(done)!r}).touch()"
    )
    run = (
        "import signal, sys\nfrom datetime import timedelta\nfrom danelaw.deploy.commands import run\n"
        "from danelaw.errors import Stopped\n"
        "def stop(*_): raise Stopped('told to stop')\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"try: run([sys.executable, '-c', {command!r}], timedelta(seconds=60))\nexcept Stopped: sys.exit(7)\n"
    )
    with subprocess.Popen([sys.executable, "-c", run]) as process:
        deadline = time.monotonic() + 20
        while not begun.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        assert process.wait(20) == 7
    assert done.exists()


def test_what_administrators_have_is_found_under_cron(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """cron's PATH lacks /usr/sbin, where postfix, nginx and apache2ctl are."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # cron(8)
    assert "chroot" in host.run(("chroot", "--version"), LONG)
    with pytest.raises(RetryLater, match="cannot be started"):
        host.run(("no-such-program",), LONG)
