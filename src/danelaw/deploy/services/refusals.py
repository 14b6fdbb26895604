"""What no preset writes over, and the files that the services have in common: a certificate and its key.

Each refusal says what was found, in which setting, and what to set in its place.
"""

# ruff: noqa: PTH114, PTH115, PTH117, PTH123 - paths are text here, and os.path answers where Path raises

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from danelaw.errors import InputError, Unsuited
from danelaw.model import FileSpec, KeyAlgorithm


class Unanswered(Unsuited):
    """A program that is there failed when it was asked: what it said when last asked may hold still."""


class Ask(Protocol):
    """Asks one program of this host a question that changes nothing."""

    def __call__(self, argv: Sequence[str]) -> str:
        """Return what a command prints on its standard output, whole.

        Raises `Unsuited` that names the program where it is missing, `Unanswered` where it fails, takes too long or
        says too much.
        """
        ...


TOOLS = {
    "/etc/letsencrypt/": "certbot",
    "/.acme.sh/": "acme.sh",
    "/etc/acme.sh/": "acme.sh",
    "/var/lib/dehydrated/": "dehydrated",
    "/etc/dehydrated/": "dehydrated",
    "/.lego/": "lego",
    "/var/lib/caddy/": "Caddy",
    "/caddy/certificates/": "Caddy",
    "/share/mkcert/": "mkcert",
}
"""Trees of other tools, which write there again, by a part of their paths."""

MOST_BYTES = 1 << 20
"""Of a file with keys."""

_OWN_LINK = re.compile(r"/.*/live/[0-9a-f]{64}/current/[0-9]+-[^/]+")
"""What danelaw's own links say: `danelaw.deploy.generations`."""


def pair(certificate: str, key: str) -> tuple[FileSpec, ...]:
    """Return the files of a service that reads its chain (leaf first) and its key at two paths, or both at one."""
    if os.path.normpath(certificate) == os.path.normpath(key):
        return (FileSpec(certificate, ("cert", "chain", "key")),)
    return (FileSpec(certificate, ("cert", "chain")), FileSpec(key, ("key",)))


def check_paths(ask: Ask, settings: Iterable[tuple[str, str]]) -> None:
    """Refuse paths that are another's. ``settings`` are (path, the setting that names it: ``ssl_cert``).

    Raises `Unsuited` for the first path that is relative, Debian's example, another tool's, a link, or a package's.
    """
    for path, setting in settings:
        check_path(ask, path, setting)


def check_path(ask: Ask, path: str, setting: str) -> None:
    """Refuse one path; see `check_paths`."""
    expected = f"a file of its own in {setting}, such as /etc/ssl/private/mail{'.key' if '.key' in path else '.pem'}"
    if not os.path.isabs(path):
        raise Unsuited(f"the path {path} in {setting}, which is not absolute", expected)
    if is_own_link(path):
        return
    places = (path, os.path.realpath(path))
    if any("/ssl-cert-snakeoil." in place for place in places):
        raise Unsuited(f"{path} in {setting}, Debian's self-signed example, which other services read too", expected)
    for tree, tool in TOOLS.items():
        if any(tree in place for place in places):
            raise Unsuited(f"{path} in {setting}, which {tool} keeps and would write over", expected)
    if os.path.islink(path):
        found = f"{path} in {setting}, a link to {os.readlink(path)}, and danelaw follows only its own"
        raise Unsuited(found, expected)
    package = owner_package(ask, path)
    if package:
        raise Unsuited(f"{path} in {setting}, which belongs to the package {package}", expected)


def read_or_why(
    ask: Ask, read: Callable[[], tuple[tuple[FileSpec, ...], list[tuple[str, str]]]], *, has_files: bool
) -> tuple[tuple[FileSpec, ...], list[str]]:
    """Return what a service reads, its paths checked, and warnings.

    Where the config gives the files (``has_files``) nothing is refused: what is not clear is a warning.
    """
    try:
        files, settings = read()
        if not has_files:
            check_paths(ask, settings)
    except Unsuited as unsuited:
        if not has_files:
            raise
        return (), [f"{unsuited.found}, and what it reads is not known"]
    return files, []


def key_algorithms(path: str) -> tuple[KeyAlgorithm, ...]:
    """Return the algorithms of the private keys in a PEM file; empty where there is none that we can read."""
    from danelaw import pki  # noqa: PLC0415 - 80 ms, and few services need it
    from danelaw.pki import pem  # noqa: PLC0415 - as above

    with suppress(OSError, InputError):
        with open(path, "rb") as file:
            blocks = pem.blocks(file.read(pem.MAX_BYTES))
        keys = [block.text for block in blocks if block.label.endswith("PRIVATE KEY")]
        return tuple(pki.check_public_key(pki.load_source(key).spki_der) for key in keys)
    return ()


def by_algorithm(keys: Sequence[str], algorithm: KeyAlgorithm) -> str | None:
    """Return the one of several key files that is for a key algorithm, None where that is not clear.

    That is the only one; else the one that holds such a key; else, while none does, the one that holds nothing yet, or
    what cannot be opened.
    """
    if len(set(keys)) == 1:
        return keys[0]
    held = {path: key_algorithms(path) for path in keys}
    fitting = [path for path, found in held.items() if algorithm in found]
    empty = [path for path, found in held.items() if not found and not _has_another_key(path)]
    chosen = fitting or empty
    return chosen[0] if len(chosen) == 1 else None


def _has_another_key(path: str) -> bool:
    """Return whether a file has a private key, open to be read and of a kind that no CA signs for (Ed25519)."""
    with suppress(OSError):
        with open(path, "rb") as file:
            found = file.read(MOST_BYTES)
        return b"PRIVATE KEY-----" in found and b"ENCRYPTED" not in found
    return False


def is_own_link(path: str) -> bool:
    """Return whether a deployment of danelaw's has turned a path into a link into its state."""
    with suppress(OSError):
        return _OWN_LINK.fullmatch(os.readlink(path)) is not None
    return False


def owner_package(ask: Ask, path: str) -> str:
    """Return the Debian package that a file belongs to, "" where it is none's, not there, or dpkg does not know."""
    if not os.path.lexists(path):
        return ""
    try:
        said = ask(["dpkg-query", "-S", path])
    except Unsuited:  # its exit status where no package has the path; or no dpkg here
        return ""
    packages = [line.rpartition(": ")[0] for line in said.splitlines() if line.endswith(f": {path}")]
    return next((package for package in packages if package and not package.startswith("diversion ")), "")
