"""Make http-01 challenges answerable (RFC 8555 section 8.3): by files below a webroot, or by a listener of our own.

A token comes from outside and becomes a file's name, so it is looked at here too, whoever called.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from danelaw.acme.listener import ListenerSolver
from danelaw.errors import Refused

__all__ = ["ListenerSolver", "WebrootSolver"]


class WebrootSolver:
    """Answers challenges by files that somebody else's web server serves: `model.Solver`.

    Each answer is written below every one of ``webroots``: whichever virtual host answers for a name, and wherever it
    redirects to, the answer is there. Missing folders below them are made, and removed again when they are empty;
    others are left alone.
    """

    def __init__(self, *webroots: str) -> None:
        self._webroots = tuple(Path(webroot) for webroot in webroots)
        self._made: list[Path] = []

    def present(self, domain: str, token: str, key_authorization: str) -> None:
        """Write the answer, 0644, each file whole or not at all. Raises `Refused` where one cannot be written."""
        check_token(domain, token)
        for webroot in self._webroots:
            folder = _folder(webroot)
            try:
                self._make(webroot, folder.parent)
                self._make(webroot, folder)
                _write(folder / token, key_authorization)
            except OSError as error:
                raise Refused(
                    f"{domain}: the answer to its challenge cannot be written to {folder / token}: {error.strerror}; "
                    "correct http01.webroot or its permissions"
                ) from error

    def clean_up(self, domain: str, token: str) -> None:
        """Remove the answer and the folders that we made; what is gone already is no error."""
        check_token(domain, token)
        stuck = []
        for path in (_folder(webroot) / token for webroot in self._webroots):
            try:
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
            except OSError as error:
                stuck.append(f"{path}: cannot be removed: {error.strerror}")
        for folder in reversed(self._made):
            with suppress(OSError):  # not empty: another challenge's answer is there, or somebody else's file
                folder.rmdir()
        self._made = [folder for folder in self._made if folder.exists()]
        if stuck:
            raise Refused("; ".join(stuck))

    def _make(self, webroot: Path, folder: Path) -> None:
        if not webroot.is_dir():
            raise Refused(f"{webroot}: no such folder; correct http01.webroot")
        with suppress(FileExistsError):
            folder.mkdir()
            self._made.append(folder)
            folder.chmod(0o755)


def _folder(webroot: Path) -> Path:
    return webroot / ".well-known" / "acme-challenge"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "xb", opener=_opener) as file:  # the opener follows no link
            os.fchmod(file.fileno(), 0o644)  # whatever the umask: the web server is somebody else
            file.write(text.encode("ascii"))
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_token(domain: str, token: str) -> None:
    """Raise `Refused` for a token with anything but base64url in it (RFC 8555 section 8.3)."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", token):
        raise Refused(f"{domain}: the CA's challenge token {token[:60]!r} is not base64url")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
