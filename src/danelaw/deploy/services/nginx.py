"""nginx: ``nginx -T`` prints its configuration, file by file, and the server blocks there say the rest.

Which server answers for a name, and over which certificate, is decided as nginx does it (nginx.org, "Server names",
"How nginx processes a request"): for each address and port that it listens on.
"""

# ruff: noqa: PTH112, PTH117 - paths are text here

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from danelaw.deploy.services import refusals
from danelaw.deploy.services.nginx_config import Directive, everything, expanded, read_dump
from danelaw.deploy.services.refusals import Ask
from danelaw.errors import Unsuited
from danelaw.model import AppProtocol, FileSpec, KeyAlgorithm, Service, ServiceSetup
from danelaw.names import BadName, a_label, covers

Socket = tuple[str, int]
"""Address and port that nginx listens on, as they are written; ``*`` is every address."""

_BY_HAND = "the files, reload and prove by hand"
_LOOPBACK = {"127.0.0.1", "[::1]", "localhost"}
_NOBODY = {"", "_", "-"}
"""Server names that no host has: who asks for nobody in particular."""


@dataclass(slots=True, eq=False)
class Server:
    """A ``server`` block: where it stands, where it listens, its names, what it reads. Certificates pair with keys."""

    place: str
    sockets: list[Socket] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"the server {self.names[0] if self.names else 'without a name'} ({self.place})"


@dataclass(slots=True)
class Listening:
    """What the ``listen`` lines of all servers say together of each socket."""

    tls: set[Socket] = field(default_factory=set)
    proxied: set[Socket] = field(default_factory=set)
    default: dict[Socket, Server] = field(default_factory=dict)


def survey(ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False) -> ServiceSetup:
    """Return what nginx reads for these names and where it offers TLS; parameters as of `model.Survey.look`."""
    top, files_of = _dump(ask)
    servers, listening = _servers(top, files_of)
    found = [server for server in servers if listening.tls.intersection(server.sockets)]
    answering = _answering(found, listening, names)
    ours = list(dict.fromkeys(server for server, _, _ in answering))
    if not ours:
        shown = ", ".join(sorted({name for server in found for name in server.names})) or "no server with TLS"
        raise Unsuited(
            f"an nginx whose TLS servers have none of the certificate's names ({shown})",
            f"server_name of a server with listen 443 ssl, written out and no regular expression; or {_BY_HAND}",
        )
    hosts = tuple(dict.fromkeys(host for _, host, _ in answering if host))
    ports, warnings = _ports(answering, listening, hosts)
    files, unclear = refusals.read_or_why(ask, lambda: _files(ours, algorithm), has_files=has_files)
    warnings += unclear
    paths = {spec.path for spec in files}
    warnings += [
        f"{server} reads {shared[0]} too, and the certificate has none of its names"
        for server in found
        if server not in ours and (shared := sorted(paths.intersection(server.certificates)))
    ]
    warnings += [
        f"{kind} servers of nginx read {path} too; prove is to name their ports"
        for kind, path in _others(top, files_of, paths)
    ]
    sharing = [server for server in found if server in ours or paths.intersection(server.certificates)]
    plain = (name for server in sharing for name in server.names if _plain(name))
    beside = tuple(dict.fromkeys(name for name in plain if not _covered(name, names)))
    return ServiceSetup(service(), files, ports, hosts, tuple(warnings), beside)


def service() -> Service:
    """Return nginx's config test and reload.

    ``nginx -s reload`` starts nothing, but sends SIGHUP to whatever process has the number in its pid file, which stays
    behind after a crash. systemctl knows which process is nginx, and fails where none is.
    """
    reload = ("systemctl", "reload", "nginx") if os.path.isdir("/run/systemd/system") else ("nginx", "-s", "reload")
    return Service("nginx", test=("nginx", "-t"), reload=reload)


def _dump(ask: Ask) -> tuple[list[Directive], Mapping[str, list[Directive]]]:
    try:
        said = ask(["nginx", "-T"])
    except Unsuited as unsuited:
        if "cannot load certificate" not in unsuited.found:
            raise
        # nginx reads no configuration whose certificates are missing, so the first one cannot be ours.
        expected = f"some certificate and key there to begin with (openssl req -x509 makes them); or {_BY_HAND}"
        raise type(unsuited)(unsuited.found, expected) from None
    return read_dump(said)


# -------------------------------------------------------------------------------------------------------------- servers


def _servers(top: Iterable[Directive], files_of: Mapping[str, list[Directive]]) -> tuple[list[Server], Listening]:
    """Return the servers of ``http`` in their order, and what they listen on. Those of mail and stream are none."""
    servers: list[Server] = []
    listening = Listening()
    for http in (each for each in expanded(top, files_of) if each.name == "http"):
        inside = list(expanded(http.block, files_of))
        outer = {
            name: [_value(each) for each in inside if each.name == name]
            for name in ("ssl_certificate", "ssl_certificate_key")
        }
        everywhere = any(each.name == "ssl" and _value(each) == "on" for each in inside)
        for each in inside:
            if each.name != "server":
                continue
            lines = list(expanded(each.block, files_of))
            server = _server(each, lines, outer)
            _listen(server, lines, listening, everywhere=everywhere)
            servers.append(server)
    return servers, listening


def _server(block: Directive, lines: Iterable[Directive], outer: Mapping[str, list[str]]) -> Server:
    """Return a server; each of its two lists is that of ``http`` where it has none of its own."""
    server = Server(block.place)
    for line in lines:
        match line.name:
            case "server_name":
                server.names += [word.lower() for word in line.words[1:]]
            case "ssl_certificate":
                server.certificates.append(_value(line))
            case "ssl_certificate_key":
                server.keys.append(_value(line))
    server.certificates = server.certificates or outer["ssl_certificate"]
    server.keys = server.keys or outer["ssl_certificate_key"]
    return server


def _value(line: Directive) -> str:
    """Return a directive's value; a path of nginx's is relative to the folder of its main file, see `expanded`."""
    return line.words[1] if len(line.words) > 1 else ""


def _listen(server: Server, lines: Sequence[Directive], listening: Listening, *, everywhere: bool) -> None:
    """Add what a server listens on. That a socket speaks TLS is said once for all servers there."""
    switches = [_value(line) for line in lines if line.name == "ssl"]  # gone since 1.25.1
    switched = switches[-1] == "on" if switches else everywhere
    listens = [line.words[1:] for line in lines if line.name == "listen" and len(line.words) > 1]
    for where, *options in listens or [("80",)]:
        socket = _socket(where)
        if socket is None or "quic" in options:  # a Unix socket; UDP
            continue
        server.sockets.append(socket)
        if "ssl" in options or switched:
            listening.tls.add(socket)
        if "proxy_protocol" in options:
            listening.proxied.add(socket)
        if {"default_server", "default"}.intersection(options):
            listening.default[socket] = server
        listening.default.setdefault(socket, server)


def _socket(where: str) -> Socket | None:
    if where.startswith("unix:"):
        return None
    if where.isdecimal():
        return "*", int(where)
    address, colon, port = where.rpartition(":")
    if not colon or where.endswith("]"):
        return where, 80
    return (address, int(port)) if port.isdecimal() else None


# ------------------------------------------------------------------------------------------------------- who has a name


def _answering(
    servers: Sequence[Server], listening: Listening, names: Iterable[str]
) -> list[tuple[Server, str, Socket]]:
    """Return which server answers for which of the certificate's names, and where.

    The host is "" where a wildcard of the certificate is a server's name. Where no server has any of the names, it is
    those that answer for everybody: first at their sockets, and without a name of their own.
    """
    wanted = list(names)
    own = (name for server in servers for name in server.names if _plain(name) and _covered(name, wanted))
    plain = list(dict.fromkeys([*(name for name in wanted if "*" not in name), *own]))
    found: list[tuple[Server, str, Socket]] = []
    for socket in sorted(listening.tls):
        there = [server for server in servers if socket in server.sockets]
        for host in plain:
            ranks = [max((_rank(name, host) for name in server.names), default=(0, 0)) for server in there]
            best = max(ranks, default=(0, 0))
            if best > (0, 0):
                found.append((there[ranks.index(best)], host, socket))
        found += [(server, "", socket) for server in there if set(wanted).intersection(_wildcards(server))]
    if found:
        return found
    return [
        (server, host, socket)
        for socket in sorted(listening.tls)
        if _NOBODY.issuperset((server := listening.default[socket]).names)
        for host in plain
    ]


def _rank(name: str, host: str) -> tuple[int, int]:
    """Return how well a server name fits a host, (0, 0) where it does not: exact, then the longest wildcard."""
    if name in {host, f".{host}"}:
        return 3, 0
    if name.startswith(("*.", ".")) and host.endswith(name.removeprefix("*")):
        return 2, len(name.removeprefix("*"))
    if name.endswith(".*") and host.startswith(name[:-1]):
        return 1, len(name)
    return 0, 0


def _plain(name: str) -> bool:
    try:
        return a_label(name) == name
    except BadName:
        return False


def _covered(name: str, wanted: Iterable[str]) -> bool:
    return any(covers(each, name) for each in wanted)


def _wildcards(server: Server) -> set[str]:
    return {f"*{name.removeprefix('*')}" for name in server.names if name.startswith(("*.", "."))}


def _ports(
    answering: Iterable[tuple[Server, str, Socket]], listening: Listening, hosts: Sequence[str]
) -> tuple[tuple[tuple[int, AppProtocol], ...], list[str]]:
    """Return the ports at which all of the hosts are answered for, and warnings about the others."""
    at: dict[int, set[str]] = {}
    warnings: list[str] = []
    for _, host, (address, port) in answering:
        if (address, port) in listening.proxied:
            warnings.append(f"port {port} expects the PROXY protocol, and is not proven")
        elif address not in _LOOPBACK:
            at.setdefault(port, set()).add(host)
    wanted = set(hosts)
    for port, served in at.items():
        if missing := wanted - served:
            warnings.append(f"port {port} does not serve {', '.join(sorted(missing))}, and is not proven")
    ports = sorted(port for port, served in at.items() if wanted <= served)
    if not ports:
        found = f"no port at which this nginx offers TLS for all of {', '.join(hosts)}" if hosts else "no port with TLS"
        raise Unsuited(found, f"listen 443 ssl in each of their servers, or a certificate for each; or {_BY_HAND}")
    return tuple((port, "https") for port in ports), list(dict.fromkeys(warnings))


# ---------------------------------------------------------------------------------------------------------------- files


def _files(servers: Sequence[Server], algorithm: KeyAlgorithm) -> tuple[tuple[FileSpec, ...], list[tuple[str, str]]]:
    """Return the two files (or the one) that all servers read for one key algorithm, each path with its setting."""
    chosen: list[tuple[str, str]] = []
    for server in servers:
        if not server.certificates or len(server.keys) < len(server.certificates):
            raise Unsuited(f"{server} without ssl_certificate", "ssl_certificate and ssl_certificate_key in it")
        for path, setting in (
            *((path, "ssl_certificate") for path in server.certificates),
            *((path, "ssl_certificate_key") for path in server.keys),
        ):
            if "$" in path or not os.path.isabs(path):  # variables, data:…, engine:…, store:…
                shown = "data:" if path.startswith("data:") else path[:200]
                found = f"{setting} {shown} of {server}, which is decided for each connection or is no file"
                raise Unsuited(found, f"a path without variables in {setting}; or {_BY_HAND}")
        pairs = dict(zip(server.keys, server.certificates, strict=False))
        key = refusals.by_algorithm(list(pairs), algorithm)
        if key is None:
            found = f"{server}, which reads {' and '.join(pairs)}, where it is not clear which is the {algorithm} key"
            raise Unsuited(found, f"just one of them that holds a key of {algorithm}")
        chosen.append((pairs[key], key))
    (certificate, key), *others = chosen
    for server, other in zip(servers[1:], others, strict=True):
        if other != (certificate, key):
            found = f"{servers[0]}, which reads {certificate} and {key}, and {server}, {other[0]} and {other[1]}"
            raise Unsuited(found, f"the same files in both, or a certificate for each; or {_BY_HAND}")
    settings = [(certificate, "ssl_certificate"), (key, "ssl_certificate_key")]
    return refusals.pair(certificate, key), settings[: 1 if key == certificate else 2]


def _others(
    top: Iterable[Directive], files_of: Mapping[str, list[Directive]], paths: set[str]
) -> list[tuple[str, str]]:
    """Return (kind, path) of our files that mail or stream servers read too, which speak other protocols."""
    return [
        (kind.name, _value(line))
        for kind in expanded(top, files_of)
        if kind.name in {"mail", "stream"}
        for line in everything(kind.block, files_of)
        if line.name == "ssl_certificate" and _value(line) in paths
    ]
