"""Courier's IMAP and POP3 servers: what their files in /etc/courier say (imapd-ssl, pop3d-ssl, couriertls(1)).

couriertls is started anew for each connection and reads its file then: writing the file is all that going live takes,
and there is no reload. It takes the parts of the file in any order.
"""

# ruff: noqa: PTH123, PTH207 - paths are text here

import glob
import pwd
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from danelaw.deploy.services import refusals
from danelaw.deploy.services.refusals import Ask
from danelaw.errors import Unsuited
from danelaw.model import AppProtocol, FilePart, FileSpec, KeyAlgorithm, Service, ServiceSetup
from danelaw.names import is_address

FOLDER = "/etc/courier"
USER = "courier"
MOST_BYTES = 1 << 20

_BY_HAND = "the files, reload and prove by hand"
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_PORTS = {"imap": 143, "imap2": 143, "imaps": 993, "simap": 993, "pop3": 110, "pop3s": 995, "spop3": 995}


@dataclass(frozen=True, slots=True)
class Preset:
    """One of the two servers: its files are ``daemon`` and ``daemon``-ssl. Called, it is the preset's ``survey``.

    ``switches`` are the variables that start it on its plain port, that offer STARTTLS there, and that start it on its
    TLS port; ``folder`` is where the files are, ``user`` whose they must be.
    """

    name: str
    daemon: str
    switches: tuple[str, str, str]
    protocols: tuple[AppProtocol, AppProtocol]
    folder: str = FOLDER
    user: str = USER

    def __call__(
        self, ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        """Return what couriertls reads for this server; parameters and errors as of `model.Survey.look`."""
        del algorithm  # one file serves either
        own = f"{self.folder}/{self.daemon}-ssl"
        settings = assignments([_read(f"{self.folder}/{self.daemon}"), _read(own)])
        ports = self._ports(ask, settings)
        warnings = []
        odd = _virtual(settings.get("TLS_CERTFILE", ""), names)
        if odd is not None and not has_files:
            raise Unsuited(f"{odd}, which {self.name} prefers", f"it removed; or {_BY_HAND}")
        if odd is not None:
            warnings.append(f"{odd} is preferred where it fits; prove is to name what presents the files given here")
        files = () if odd is not None else self._files(ask, settings, own, has_files=has_files)
        return ServiceSetup(Service(self.name), files, ports, (), tuple(warnings))

    def _files(self, ask: Ask, settings: Mapping[str, str], where: str, *, has_files: bool) -> tuple[FileSpec, ...]:
        certificate = settings.get("TLS_CERTFILE", "")
        key = settings.get("TLS_PRIVATE_KEYFILE") or certificate
        if not certificate:
            if has_files:
                return ()
            raise Unsuited(f"{where} without TLS_CERTFILE", f"TLS_CERTFILE={self.folder}/{self.daemon}.pem there")
        if not has_files:
            named = [(certificate, f"TLS_CERTFILE of {where}"), (key, f"TLS_PRIVATE_KEYFILE of {where}")]
            refusals.check_paths(ask, named[:1] if key == certificate else named)
        # Courier's own files ask for this owner (imapd-ssl); where there is no such user, the file stays whose it is.
        owner = self.user if _exists(self.user) else None
        if key == certificate:
            parts: tuple[FilePart, ...] = ("cert", "key", "chain")
            return (FileSpec(certificate, parts, 0o600, owner),)
        return (FileSpec(certificate, ("cert", "chain"), 0o644, owner), FileSpec(key, ("key",), 0o600, owner))

    def _ports(self, ask: Ask, settings: Mapping[str, str]) -> tuple[tuple[int, AppProtocol], ...]:
        plain, starttls, at_once = self.switches
        found: dict[int, AppProtocol] = {}
        if _is_on(settings, plain) and _is_on(settings, starttls) and not _disabled(ask, self.name):
            found |= dict.fromkeys(_numbers(settings, "PORT", "ADDRESS"), self.protocols[0])
        if _is_on(settings, at_once) and not _disabled(ask, f"{self.name}-ssl"):
            found |= dict.fromkeys(_numbers(settings, "SSLPORT", "SSLADDRESS"), self.protocols[1])
        if not found:
            nothing = f"a {self.name} that offers no TLS to others ({self.folder}/{self.daemon}-ssl)"
            raise Unsuited(nothing, f"{at_once}=YES or {starttls}=YES there, and its unit enabled; or {_BY_HAND}")
        return tuple(sorted(found.items()))


survey_imap = Preset("courier-imap", "imapd", ("IMAPDSTART", "IMAPDSTARTTLS", "IMAPDSSLSTART"), ("imap", "imaps"))
survey_pop = Preset("courier-pop", "pop3d", ("POP3DSTART", "POP3_STARTTLS", "POP3DSSLSTART"), ("pop3", "pop3s"))


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """Return the variables that shell text assigns, later ones last; of another's value only ``$NAME`` is filled in.

    No shell runs it. A value that needs one (a substitution, two words) is left out.
    """
    found: dict[str, str] = {}
    for line in (line for text in texts for line in text.splitlines()):
        match = _ASSIGNMENT.match(line)
        if match is None:
            continue
        name, text = match.groups()
        found.pop(name, None)
        try:
            words = shlex.split(text, comments=True)
        except ValueError:  # a quote that is not closed in its line
            continue
        value = words[0] if words else ""
        if not text.startswith("'"):
            value = _VARIABLE.sub(lambda variable: found.get(variable[1] or variable[2], ""), value)
        if len(words) <= 1 and not ("`" in text or "$(" in text or ";" in value):
            found[name] = value
    return found


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        found = f"{path}: {error.strerror or 'unreadable'}"
        raise Unsuited(found, f"Courier's configuration at its place in Debian; or {_BY_HAND}") from None
    if len(data) > MOST_BYTES:
        raise Unsuited(f"{path} of more than {MOST_BYTES} bytes", "Courier's configuration")
    return data.decode("utf-8", "replace").replace("\0", "\ufffd")  # it may become part of a path


def _is_on(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "").lower() == "yes"


def _disabled(ask: Ask, unit: str) -> bool:
    """Return whether systemd says that it does not start a unit; who has no systemd has the files' word."""
    try:
        ask(["systemctl", "is-enabled", unit])
    except Unsuited as unsuited:
        return unsuited.found.rpartition(": ")[2] in {"disabled", "masked"}
    return False


def _numbers(settings: Mapping[str, str], ports: str, address: str) -> list[int]:
    """Return ports that others can reach: ``993,127.0.0.1.900``, each at its own address or at that of ``address``."""
    found = []
    for item in settings.get(ports, "").split(","):
        host, _, name = item.strip().rpartition(".")
        if (host or settings.get(address, "")) in {"127.0.0.1", "::1", "localhost"}:
            continue
        number = _PORTS.get(name, int(name[:6]) if name.isdecimal() else 0)
        if 1 <= number <= 65535:
            found.append(number)
    return found


def _virtual(certificate: str, names: Sequence[str]) -> str | None:
    """Return a file that stands in the place of TLS_CERTFILE for one of the names or an address, if there is one."""
    if not certificate:
        return None
    for path in sorted(glob.glob(f"{glob.escape(certificate)}.*")):
        suffix = path.removeprefix(f"{certificate}.")
        if suffix in names or is_address(suffix):
            return path
    return None


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
