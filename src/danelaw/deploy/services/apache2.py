"""Apache 2.4: its dump says which virtual hosts there are and where they are written; the files say the rest.

Each TLS virtual host names its certificates (mod_ssl: SSLCertificateFile, SSLCertificateKeyFile, in pairs for each key
algorithm, and SSLCertificateChainFile of old). Which of them one certificate's names lead to is what counts here.
"""

# ruff: noqa: PTH112, PTH118, PTH123, PTH207 - paths are text here, and os.path answers where Path raises

import glob
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from danelaw.deploy.services import refusals
from danelaw.deploy.services.refusals import Ask
from danelaw.errors import Unsuited
from danelaw.model import AppProtocol, FileSpec, KeyAlgorithm, Service, ServiceSetup
from danelaw.names import BadName, a_label, covers

MOST_BYTES = 1 << 20
DEEPEST = 10
"""So many files include each other; Apache itself stops at some depth (AP_MAX_INCLUDE_DEPTH)."""

_BY_HAND = "the files, reload and prove by hand"
_VHOST = re.compile(r"^(?P<place>\S+:\d+)\s+(?P<name>\S+) \((?P<file>.+):(?P<line>\d+)\)$")
_NAMED = re.compile(r"^\s+port (?P<port>\d+) namevhost (?P<name>\S+) \((?P<file>.+):(?P<line>\d+)\)$")
_DEFINE = re.compile(r"^Define: (?P<name>[^=\s]+)=(?P<value>.*)$")
_ROOT = re.compile(r'^ServerRoot: "(?P<path>.*)"$')
_SETTINGS = {
    each.lower(): each
    for each in (
        "SSLEngine",
        "SSLCertificateFile",
        "SSLCertificateKeyFile",
        "SSLCertificateChainFile",
        "ServerName",
        "ServerAlias",
    )
}
_ALWAYS = ("ifmodule", "ifdefine", "ifversion")
"""Conditions on what is loaded or defined at the start, in which what stands is taken to hold."""


@dataclass(slots=True)
class VirtualHost:
    """A virtual host: where it is written, its ports, its names, what it reads. ``certificates`` pair with ``keys``."""

    file: str
    line: int
    ports: set[int]
    name: str
    names: list[str] = field(default_factory=list)
    engine: bool = False
    certificates: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    chain: str = ""
    unread: bool = False

    def __str__(self) -> str:
        return f"the virtual host {self.name} ({self.file}:{self.line})"


def survey(ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False) -> ServiceSetup:
    """Return what Apache reads for these names and where it offers TLS; parameters as of `model.Survey.look`."""
    found = [host for host in virtual_hosts(ask) if host.engine or host.certificates]
    ours = [host for host in found if _fitting(host, names)]
    if not ours:
        shown = ", ".join(sorted({name for host in found for name in host.names})) or "no virtual host with TLS"
        raise Unsuited(
            f"an Apache whose TLS virtual hosts have none of the certificate's names ({shown})",
            f"ServerName or ServerAlias of a <VirtualHost *:443> with SSLEngine on; or {_BY_HAND}",
        )
    files, settings = _files(ours, algorithm, has_files=has_files)
    if not has_files:
        refusals.check_paths(ask, settings)
    paths = {spec.path for spec in files}
    hosts = tuple(dict.fromkeys(name for host in ours for name in _fitting(host, names)))
    ports: list[tuple[int, AppProtocol]] = [
        (port, "https") for port in sorted({p for host in ours for p in host.ports})
    ]
    warnings = tuple(
        f"{host} reads {shared[0]} too, and the certificate has none of its names"
        for host in found
        if host not in ours and (shared := sorted(paths.intersection(host.certificates)))
    )
    return ServiceSetup(service(), files, tuple(ports), hosts, warnings)


def service() -> Service:
    """Return Apache's config test and reload.

    ``apache2ctl graceful`` starts an Apache that is not running, out of systemd's sight; systemctl fails then, as a
    reload should. sd_booted(3) says how to tell whether there is a systemd.
    """
    by_systemd = os.path.isdir("/run/systemd/system")
    reload = ("systemctl", "reload", "apache2") if by_systemd else ("apache2ctl", "graceful")
    return Service("apache2", test=("apache2ctl", "configtest"), reload=reload)


def virtual_hosts(ask: Ask) -> list[VirtualHost]:
    """Return the virtual hosts as Apache's dump lists them, with what their blocks say. Raises `Unsuited`."""
    said = ask(["apache2ctl", "-t", "-D", "DUMP_VHOSTS", "-D", "DUMP_RUN_CFG"])
    root, defines = "/etc/apache2", {}
    hosts: dict[tuple[str, int], VirtualHost] = {}
    for line in said.splitlines():
        if match := _ROOT.match(line):
            root = match["path"]
        elif match := _DEFINE.match(line):
            defines[match["name"]] = match["value"]
        elif match := _VHOST.match(line) or _NAMED.match(line):
            fields = match.groupdict()
            port = int(fields.get("port") or fields["place"].rpartition(":")[2])
            at = fields["file"], int(fields["line"])
            hosts.setdefault(at, VirtualHost(*at, set(), fields["name"])).ports.add(port)
    for host in hosts.values():
        _read_block(host, root, defines)
    return list(hosts.values())


def _fitting(host: VirtualHost, names: Iterable[str]) -> list[str]:
    """Return the names by which a virtual host is asked for that the certificate has, wildcards left out."""
    wanted = list(names)
    exact = [name for name in host.names if "*" not in name and any(covers(each, name) for each in wanted)]
    patterns = [name for name in host.names if name.startswith("*.")]
    return exact or [name for name in wanted if any(covers(pattern, name) for pattern in patterns)]


# ---------------------------------------------------------------------------------------------------------------- files


def _files(
    hosts: Sequence[VirtualHost], algorithm: KeyAlgorithm, *, has_files: bool
) -> tuple[tuple[FileSpec, ...], list[tuple[str, str]]]:
    """Return what the virtual hosts read for one key algorithm, and each path with its setting."""
    chosen: list[tuple[VirtualHost, str, str]] = []
    for host in hosts:
        if host.unread:
            raise Unsuited(f"{host}, where no <VirtualHost> stands", f"the virtual host written out; or {_BY_HAND}")
        if not host.certificates:
            expected = "SSLCertificateFile and SSLCertificateKeyFile in it, naming files; danelaw writes them"
            raise Unsuited(f"{host}, which has no SSLCertificateFile of its own", expected)
        pairs = dict(_pairs(host))
        key = refusals.by_algorithm(list(pairs), algorithm)
        if key is None:
            found = f"{host}, which reads {' and '.join(pairs)}, where it is not clear which is the {algorithm} key"
            raise Unsuited(found, f"just one of them that holds a key of {algorithm} or nothing yet")
        chosen.append((host, pairs[key], key))
    first, certificate, key = chosen[0]
    for other, other_certificate, other_key in chosen[1:]:
        if (other_certificate, other_key, other.chain) != (certificate, key, first.chain) and not has_files:
            found = f"{first}, which reads {certificate} and {key}, and {other}, {other_certificate} and {other_key}"
            raise Unsuited(found, f"the same files in both, or a certificate for each; or {_BY_HAND}")
    settings = [(certificate, "SSLCertificateFile"), (key, "SSLCertificateKeyFile")]
    if not first.chain or first.chain == certificate:
        return refusals.pair(certificate, key), settings[: 1 if key == certificate else 2]
    settings.append((first.chain, "SSLCertificateChainFile"))
    if key == certificate:
        files = (FileSpec(certificate, ("cert", "key")), FileSpec(first.chain, ("chain",)))
        return files, [settings[0], settings[2]]
    files = (FileSpec(certificate, ("cert",)), FileSpec(first.chain, ("chain",)))
    return (*files, FileSpec(key, ("key",))), settings


def _pairs(host: VirtualHost) -> Iterator[tuple[str, str]]:
    """Yield each key's path with its certificate's: mod_ssl takes them in the order in which they stand."""
    for position, certificate in enumerate(host.certificates):
        yield (host.keys[position] if position < len(host.keys) else certificate), certificate


# --------------------------------------------------------------------------------------------------------------- blocks


def _read_block(host: VirtualHost, root: str, defines: Mapping[str, str]) -> None:
    """Read a virtual host's block: the lines from its ``<VirtualHost`` to its end."""
    lines = _lines(host.file)[host.line - 1 :]
    if not lines or not re.match(r"<VirtualHost\b", lines[0], re.IGNORECASE):
        host.engine, host.unread = host.ports != {80}, True  # a macro's (mod_macro), and its lines are not the block's
        host.names = _names([host.name])
        return
    end = next((at for at, line in enumerate(lines) if re.match(r"</VirtualHost\s*>", line, re.IGNORECASE)), len(lines))

    def path(text: str) -> str:
        return os.path.normpath(os.path.join(root, _expanded(text, defines, host)))

    _read_lines(host, lines[1:end], path, 0)
    host.names = list(dict.fromkeys(host.names or _names([host.name])))


def _read_lines(host: VirtualHost, lines: Iterable[str], path: Callable[[str], str], depth: int) -> None:
    inside: list[str] = []
    for line in lines:
        if block := re.match(r"<(/?)(\w+)", line):
            if block[1] and inside:
                inside.pop()
            elif not block[1]:
                inside.append(block[2].lower())
            continue
        words = _words(line)
        if not words:
            continue
        name, values = words[0].lower(), words[1:]
        if name in {"include", "includeoptional"} and values and depth < DEEPEST:
            pattern = path(values[0])
            for each in sorted(glob.glob(f"{pattern}/*" if os.path.isdir(pattern) else pattern)):
                _read_lines(host, _lines(each), path, depth + 1)
        elif name in _SETTINGS and values:
            odd = next((each for each in inside if each not in _ALWAYS), None)
            if odd is None:
                _set(host, name, values, path)
            elif name.startswith("sslcert"):
                raise Unsuited(f"{_SETTINGS[name]} in <{odd}> of {host}", f"it outside of that; or {_BY_HAND}")


def _set(host: VirtualHost, name: str, values: Sequence[str], path: Callable[[str], str]) -> None:
    match name:
        case "sslengine":
            host.engine = values[0].lower() in {"on", "optional"}
        case "sslcertificatefile":
            host.certificates.append(path(values[0]))
        case "sslcertificatekeyfile":
            host.keys.append(path(values[0]))
        case "sslcertificatechainfile":
            host.chain = path(values[0])
        case "servername":
            host.names[:0] = _names(values[:1])
        case "serveralias":
            host.names.extend(_names(values))


def _names(texts: Iterable[str]) -> list[str]:
    """Return host names as A-labels; ServerName may have a scheme and a port. What is none is left out."""
    found = []
    for text in texts:
        bare = re.sub(r":\d+$", "", re.sub(r"^[a-z]+://", "", text, flags=re.IGNORECASE))
        try:
            found.append(a_label(bare, wildcard=True))
        except BadName:
            continue
    return found


def _expanded(text: str, defines: Mapping[str, str], host: VirtualHost) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in defines:
            raise Unsuited(f"${{{match[1]}}} in {host}, which Apache's dump does not explain", f"a path; or {_BY_HAND}")
        return defines[match[1]]

    return re.sub(r"\$\{([^}]+)\}", value, text)


def _words(line: str) -> list[str]:
    """Return a directive's words; quotes are taken away, a comment has none."""
    if line.startswith("#"):
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars="")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:  # a quote that does not end: no path
        return []


def _lines(path: str) -> list[str]:
    """Return a file's lines without blanks around them, continued ones joined to the first so that numbers stay."""
    try:
        with open(path, "rb") as file:
            text = file.read(MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise Unsuited(
            f"{path}, where Apache reads on: {error.strerror}", f"a file that can be read; or {_BY_HAND}"
        ) from None
    lines = text.splitlines()
    for at in range(len(lines) - 1, 0, -1):
        if lines[at - 1].endswith("\\"):
            lines[at - 1], lines[at] = lines[at - 1][:-1] + " " + lines[at].strip(), ""
    return [line.strip() for line in lines]
