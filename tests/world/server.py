"""One real server: its folder, its log, how it is started, asked whether it is ready, and ended."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from world.tools import PATIENCE, WorldError, program


def wait_until(ready: Callable[[], bool], what: str, evidence: Callable[[], str] = str) -> None:
    """Ask again and again until ``ready``, for `PATIENCE` seconds at most; then raise a `WorldError` with evidence."""
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise WorldError(f"{what}: not within {PATIENCE:.0f} s\n{evidence()}".rstrip())
        time.sleep(0.02)


def listens(address: str, port: int) -> bool:
    """Return whether anybody takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def greeting(address: str, port: int) -> bytes:
    """Return what a server says first to a client; empty where it does not listen or says nothing for a second."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1) as connection:
        return connection.recv(512)
    return b""


def speaks_tls(address: str, port: int) -> bool:
    """Return whether a TLS handshake (of anybody's certificate) succeeds."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1) as connection:
        context.wrap_socket(connection).close()
        return True
    return False


def write(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    """Put a whole file in place by a rename, as careful people do, and return its path."""
    staged = path.with_name(f".{path.name}.new")
    staged.touch(mode=0o600)
    staged.write_bytes(content.encode() if isinstance(content, str) else content)
    staged.chmod(mode)
    return staged.replace(path)


class Server:
    """A server process in the foreground. What is called here runs in the thread that started the world.

    A subclass writes its configuration in `configure`, names its command in `argv`, and answers `ready` by asking the
    server itself.
    """

    name: str
    where: str
    """For people: what it is, and its addresses and ports."""
    env: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self) -> None:
        """Write everything that the server reads."""
        raise NotImplementedError

    def argv(self) -> Sequence[str | Path]:
        """Return the command that runs it in the foreground."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Ask the server whether it serves all that it should."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the process that `launch` made lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it and do not wait for it: several servers start at the same time."""
        if self._process is None:
            self.configure()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(argument) for argument in self.argv()],
                cwd=self.folder,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it is ready."""

        def answered() -> bool:
            if not self.running:
                raise WorldError(f"{self.name} ended as it started\n{self.last_words()}")
            return self.ready()

        wait_until(answered, f"{self.name} is not ready", self.last_words)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """End it politely: from here on it is dead, and who asks is refused at once. `start` starts it again."""
        if self._process and self.running:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once, as the kernel or a power cut does; what it started may live on."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Stop it from answering while it stays there: who asks hears nothing at all. For servers of one process."""
        if self._process and self.running:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        if self._process and self.running:
            self._process.send_signal(signal.SIGCONT)

    def last_words(self) -> str:
        """Return the end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"{self.log}:\n" + "\n".join(text.splitlines()[-20:])

    def own_copy(self, name: str) -> Path:
        """Copy a program into the folder: Debian's AppArmor profiles go by its path and would not let it read ours."""
        return Path(shutil.copy(program(name), self.folder / name))
