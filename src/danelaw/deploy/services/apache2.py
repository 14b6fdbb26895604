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
_LOOPBACK = {"127.0.0.1", "[::1]"}
_VHOST = re.compile(r"^(?P<address>\S+):(?P<port>\d+)\s+(?P<name>\S+) \((?P<file>.+):(?P<line>\d+)\)$")
_SEVERAL = re.compile(r"^(?P<address>\S+):\d+\s+is a NameVirtualHost$")
_DEFAULT = re.compile(r"^\s+default server \S+ \((?P<file>.+):(?P<line>\d+)\)$")
_NAMED = re.compile(r"^\s+port (?P<port>\d+) namevhost (?P<name>\S+) \((?P<file>.+):(?P<line>\d+)\)$")
_DEFINE = re.compile(r"^Define: (?P<name>[^=\s]+)(?:=(?P<value>.*))?$")
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


@dataclass(slots=True)
class VirtualHost:
    """A virtual host: where it is written, its ports, its names, what it reads. ``certificates`` pair with ``keys``.

    ``nameless``: it is the first at one of its addresses and has no ServerName, so it answers to what no other does.
    """

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
    named: bool = False
    nameless: bool = False

    def __str__(self) -> str:
        return f"the virtual host {self.name} ({self.file}:{self.line})"


def survey(ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False) -> ServiceSetup:
    """Return what Apache reads for these names and where it offers TLS; parameters as of `model.Survey.look`."""
    found = [host for host in virtual_hosts(ask) if (host.engine or host.certificates) and host.ports]
    served = {id(host): _fitting(host, names) for host in found}
    ours = [host for host in found if served[id(host)] is not None]
    if not ours:
        ours = [host for host in found if host.nameless]
        served |= {id(host): [name for name in names if "*" not in name] for host in ours}
    if not ours:
        shown = ", ".join(sorted({name for host in found for name in host.names})) or "no virtual host with TLS"
        raise Unsuited(
            f"an Apache whose TLS virtual hosts have none of the certificate's names ({shown})",
            f"ServerName or ServerAlias of a <VirtualHost *:443> with SSLEngine on; or {_BY_HAND}",
        )
    files, unclear = refusals.read_or_why(ask, lambda: _files(ours, algorithm), has_files=has_files)
    paths = {spec.path for spec in files}
    hosts = tuple(dict.fromkeys(name for host in ours for name in served[id(host)] or ()))
    ports: list[tuple[int, AppProtocol]] = [
        (port, "https") for port in sorted({p for host in ours for p in host.ports})
    ]
    warnings = tuple(
        f"{host} reads {shared[0]} too, and the certificate has none of its names"
        for host in found
        if host not in ours and (shared := sorted(paths.intersection(host.certificates)))
    )
    sharing = [host for host in found if host in ours or paths.intersection(host.certificates)]
    plain = (name for host in sharing for name in host.names if "*" not in name)
    beside = tuple(dict.fromkeys(name for name in plain if not any(covers(each, name) for each in names)))
    return ServiceSetup(service(), files, tuple(ports), hosts, (*unclear, *warnings), beside)


def service() -> Service:
    """Return Apache's config test and reload.

    ``apache2ctl graceful`` starts an Apache that is not running, out of systemd's sight; systemctl fails then, as a
    reload should. sd_booted(3) says how to tell whether there is a systemd.
    """
    by_systemd = os.path.isdir("/run/systemd/system")
    reload = ("systemctl", "reload", "apache2") if by_systemd else ("apache2ctl", "graceful")
    return Service("apache2", test=("apache2ctl", "configtest"), reload=reload)


def virtual_hosts(ask: Ask) -> list[VirtualHost]:
    """Return the virtual hosts as Apache's dump lists them, with what their blocks say. Raises `Unsuited`.

    Ports that only this host reaches are left out. A certificate that is not there yet does not keep it from its dump.
    """
    root, defines, address = "/etc/apache2", dict[str, str](), ""
    hosts: dict[tuple[str, int], VirtualHost] = {}
    firsts: set[tuple[str, int]] = set()
    for line in ask(["apache2ctl", "-t", "-D", "DUMP_VHOSTS", "-D", "DUMP_RUN_CFG"]).splitlines():
        if match := _ROOT.match(line):
            root = match["path"]
        elif match := _DEFINE.match(line):
            defines[match["name"]] = match["value"] or ""
        elif match := _SEVERAL.match(line):
            address = match["address"]
        elif match := _DEFAULT.match(line):
            firsts.add((match["file"], int(match["line"])))
        elif match := _VHOST.match(line) or _NAMED.match(line):
            fields = match.groupdict()
            at = fields["file"], int(fields["line"])
            host = hosts.setdefault(at, VirtualHost(*at, set(), fields["name"]))
            if "address" in fields:  # alone at its address
                firsts.add(at)
            if fields.get("address", address) not in _LOOPBACK:
                host.ports.add(int(fields["port"]))
    for at, host in hosts.items():
        _read_block(host, root, defines)
        host.nameless = at in firsts and not host.named
        host.names = list(dict.fromkeys(host.names or _names([host.name])))
    return list(hosts.values())


def _fitting(host: VirtualHost, names: Iterable[str]) -> list[str] | None:
    """Return the names by which a virtual host is asked for that the certificate has; None where it has none of them.

    Empty: only a wildcard of the certificate's is a name of the virtual host.
    """
    wanted = list(names)
    exact = [name for name in host.names if "*" not in name and any(covers(each, name) for each in wanted)]
    patterns = [name for name in host.names if name.startswith("*.")]
    by_pattern = [name for name in wanted if "*" not in name and any(covers(pattern, name) for pattern in patterns)]
    return exact or by_pattern or ([] if set(patterns).intersection(wanted) else None)


# ---------------------------------------------------------------------------------------------------------------- files


def _files(hosts: Sequence[VirtualHost], algorithm: KeyAlgorithm) -> tuple[tuple[FileSpec, ...], list[tuple[str, str]]]:
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
        if (other_certificate, other_key, other.chain) != (certificate, key, first.chain):
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
    by_macro = host.file.startswith("macro '")  # mod_macro: "macro 'site' (defined on line 2 of …) used on line 9 of …"
    lines = [] if by_macro else _lines(host.file)[host.line - 1 :]
    if not lines or not re.match(r"<VirtualHost\b", lines[0], re.IGNORECASE):
        host.unread = host.named = True
        host.engine = host.ports != {80}
        host.names = _names([host.name])
        return
    end = next((at for at, line in enumerate(lines) if re.match(r"</VirtualHost\s*>", line, re.IGNORECASE)), len(lines))

    def path(text: str) -> str:
        return os.path.normpath(os.path.join(root, _expanded(text, host)))

    _read_lines(host, lines[1:end], path, defines, ())


def _condition(kind: str, about: str, defines: Mapping[str, str]) -> str:
    """Return what a block makes of what stands in it: "" it holds, "no" it does not, else its name: who knows.

    A module that is asked for is taken to be loaded.
    """
    negated, name = about.startswith("!"), about.lstrip("!")
    if kind == "ifdefine":
        return "" if (name in defines) is not negated else "no"
    return "" if kind == "ifmodule" and not negated else kind


def _read_lines(
    host: VirtualHost,
    lines: Iterable[str],
    path: Callable[[str], str],
    defines: Mapping[str, str],
    around: Sequence[str],
    depth: int = 0,
) -> None:
    """Read directives; ``around`` are the conditions that they stand in, see `_condition`."""
    inside = list(around)
    for line in lines:
        if block := re.match(r"<(/?)(\w+)\s*([^>]*)", line):
            if block[1] and len(inside) > len(around):
                inside.pop()
            elif not block[1]:
                inside.append(_condition(block[2].lower(), block[3].strip(), defines))
            continue
        words = [_defined(word, defines) for word in _words(line)]
        if not words or "no" in inside:
            continue
        name, values = words[0].lower(), words[1:]
        if name in {"include", "includeoptional"} and values and depth < DEEPEST:
            pattern = path(values[0])
            for each in sorted(glob.glob(f"{pattern}/*" if os.path.isdir(pattern) else pattern)):
                _read_lines(host, _lines(each), path, defines, inside, depth + 1)
        elif name in _SETTINGS and values:
            odd = next((each for each in inside if each), None)
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
            host.named = True
            host.names[:0] = _names(values[:1])
        case "serveralias":
            host.named = True
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


def _defined(text: str, defines: Mapping[str, str]) -> str:
    """Return a word with the values of the names that the dump explains; others stay as they are."""
    return re.sub(r"\$\{([^}]+)\}", lambda match: defines.get(match[1], match[0]), text)


def _expanded(text: str, host: VirtualHost) -> str:
    if left := re.search(r"\$\{[^}]+\}", text):
        raise Unsuited(f"{left[0]} in {host}, which Apache's dump does not explain", f"a path; or {_BY_HAND}")
    return text


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
