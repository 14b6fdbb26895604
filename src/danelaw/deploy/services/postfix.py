"""Postfix: postconf says what smtpd reads, and on which ports it offers TLS (postconf(5), master(5), TLS_README)."""

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from danelaw.deploy.services import refusals
from danelaw.deploy.services.refusals import Ask
from danelaw.errors import Unsuited
from danelaw.model import AppProtocol, FileSpec, KeyAlgorithm, Service, ServiceSetup
from danelaw.names import BadName, a_label

SERVICE = Service("postfix", test=("postfix", "check"), reload=("postfix", "reload"))

FILES = (
    "smtpd_tls_chain_files",
    "smtpd_tls_cert_file",
    "smtpd_tls_key_file",
    "smtpd_tls_eccert_file",
    "smtpd_tls_eckey_file",
)
_SWITCHES = (
    "smtpd_tls_security_level",
    "smtpd_use_tls",
    "smtpd_enforce_tls",
    "smtpd_tls_wrappermode",
    "smtpd_upstream_proxy_protocol",
)
_TLSPROXY = tuple(name.replace("smtpd_", "tlsproxy_") for name in FILES)
_OTHERS = ("tls_server_sni_maps", "postscreen_upstream_proxy_protocol", "myhostname", "inet_interfaces")

_BY_HAND = "the files, reload and prove by hand"
_OVERRIDE = re.compile(r"(\S+)/([a-z-]+)/([A-Za-z0-9_-]+) ?= ?(.*)")
_PORTS = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465}
_HERE = {"127.0.0.1", "[127.0.0.1]", "::1", "[::1]", "localhost", "loopback-only"}


@dataclass(frozen=True, slots=True)
class _Smtpd:
    """A line of master.cf that speaks SMTP: its name there, its port, and its settings, main.cf's included.

    ``screened``: postscreen listens for it.
    """

    name: str
    port: int
    settings: Mapping[str, str]
    screened: bool

    @property
    def offers_tls(self) -> bool:
        level = self.settings.get("smtpd_tls_security_level", "").lower()
        if level:
            return level != "none"
        return _is_on(self.settings, "smtpd_use_tls") or _is_on(self.settings, "smtpd_enforce_tls")

    @property
    def protocol(self) -> AppProtocol:
        return "smtps" if _is_on(self.settings, "smtpd_tls_wrappermode") else "smtp"


def survey(ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False) -> ServiceSetup:
    """Return what smtpd reads and where it listens; parameters and errors as of `model.Survey.look`."""
    del names  # it answers to any, but for SNI maps
    main = _settings(ask(["postconf", "-x", *FILES, *_SWITCHES, *_TLSPROXY, *_OTHERS]))
    smtpds, warnings = _smtpds(ask, main)
    warnings += _check_sni(main, has_files=has_files)
    odd = _odd(main, smtpds)
    files: tuple[FileSpec, ...] = ()
    if odd is not None and not has_files:
        raise Unsuited(odd, f"the same files for every port: no -o smtpd_tls_… of files in master.cf; or {_BY_HAND}")
    if odd is not None:
        warnings.append(f"{odd}; prove is to name the ports that read the files given here")
    elif has_files:
        try:
            files = _files(main, algorithm)
        except Unsuited as unsuited:  # nothing to compare the given files with
            warnings.append(f"{unsuited.found}, and what it reads is not known")
    else:
        files = _files(main, algorithm)
        refusals.check_paths(ask, [(spec.path, _setting(main, spec.path)) for spec in files])
    ports = {smtpd.port: smtpd.protocol for smtpd in smtpds}
    return ServiceSetup(SERVICE, files, tuple(sorted(ports.items())), _own_name(main), tuple(warnings))


def _settings(said: str) -> dict[str, str]:
    """Return what ``postconf -x`` prints: a name and its value on each line."""
    pairs = (line.partition("=") for line in said.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _is_on(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "").lower() == "yes"


def _own_name(main: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return (a_label(main.get("myhostname", "")),)
    except BadName:
        return ()


# ---------------------------------------------------------------------------------------------------------------- ports


def _smtpds(ask: Ask, main: Mapping[str, str]) -> tuple[list[_Smtpd], list[str]]:
    """Return every smtpd that others can reach and that offers TLS, and what is left out, in words."""
    overrides: dict[tuple[str, str], dict[str, str]] = {}
    for line in ask(["postconf", "-P", "-x"]).splitlines():
        if (override := _OVERRIDE.fullmatch(line)) is not None:
            name, kind, setting, value = override.groups()
            overrides.setdefault((name, kind), {})[setting] = value.strip()
    lines = [fields for line in ask(["postconf", "-M"]).splitlines() if len(fields := line.split(None, 7)) == 8]
    passed = next((name for name, kind, *_, command in lines if kind == "pass" and _runs(command, "smtpd")), None)
    # Debian's "Local only" and "Satellite system" say loopback-only: it goes for each line that names no address.
    interfaces = {each for each in re.split(r"[,\s]+", main.get("inet_interfaces", "")) if each}
    private = bool(interfaces) and interfaces <= _HERE
    reachable: list[_Smtpd] = []
    left_out: list[str] = []
    listening = False
    for name, kind, *_, command in lines:
        screened = kind == "inet" and _runs(command, "postscreen") and passed is not None
        if not screened and not (kind == "inet" and _runs(command, "smtpd")):
            continue
        host, _, port_name = name.rpartition(":")
        if host in _HERE or (private and not host):
            continue
        listening = True
        behind = (passed, "pass") if screened and passed is not None else (name, kind)
        settings = {**main, **overrides.get(behind, {})}
        proxied = "postscreen_upstream_proxy_protocol" if screened else "smtpd_upstream_proxy_protocol"
        port = _port(port_name)
        if port is None:
            left_out.append(f"the port {port_name} of master.cf is unknown on this host, and is not proven")
        elif settings.get(proxied):
            left_out.append(f"port {port} is behind a proxy ({proxied}), and is not proven")
        else:
            reachable.append(_Smtpd(name, port, settings, screened))
    if not listening:
        if private:
            found = f"a Postfix that only this host can reach (inet_interfaces = {main['inet_interfaces']})"
            raise Unsuited(found, f"inet_interfaces = all, which takes a restart; or {_BY_HAND}")
        raise Unsuited(
            "no smtpd in master.cf that others can reach", f"a line such as smtp inet … smtpd; or {_BY_HAND}"
        )
    offering = [smtpd for smtpd in reachable if smtpd.offers_tls]
    if not offering:
        found = "a Postfix that offers TLS on no port (smtpd_tls_security_level)"
        raise Unsuited(found, f"it on: postconf -e smtpd_tls_security_level=may && postfix reload; or {_BY_HAND}")
    return offering, left_out


def _runs(command: str, program: str) -> bool:
    return command.split(None, 1)[0] == program


def _port(name: str) -> int | None:
    """Return the number of a port in master.cf; Postfix knows some names by itself (known_tcp_ports)."""
    if name.isascii() and name.isdigit():
        return int(name) if 1 <= int(name[:6]) <= 65535 else None
    if name in _PORTS:
        return _PORTS[name]
    try:
        return socket.getservbyname(name, "tcp")
    except OSError:
        return None


# ---------------------------------------------------------------------------------------------------------------- files


def _check_sni(main: Mapping[str, str], *, has_files: bool) -> list[str]:
    """Refuse SNI maps: they hold copies of keys and chains, which only ``postmap -F`` brings up to date."""
    maps = main.get("tls_server_sni_maps", "")
    if not maps:
        return []
    if has_files:
        return [f"tls_server_sni_maps = {maps} holds copies of its files; reload is to run postmap -F too"]
    raise Unsuited(
        f"tls_server_sni_maps = {maps}, which holds copies of keys and chains until postmap -F is run",
        'no SNI maps; or files by hand, and a reload such as ["sh", "-c", "postmap -F MAP && postfix reload"]',
    )


def _odd(main: Mapping[str, str], smtpds: Sequence[_Smtpd]) -> str | None:
    """Return in words which port reads other files than main.cf says, None where none does."""
    usual = _effective(main)
    for smtpd in smtpds:
        for name, own in _effective(smtpd.settings).items():
            if own != usual.get(name, ""):
                there = usual.get(name) or "nothing"
                return f"{smtpd.name} in master.cf with -o {name}={own}, where main.cf has {there}"
    if any(smtpd.screened for smtpd in smtpds):  # tlsproxy does TLS for postscreen
        for name, proxied in zip(FILES, _TLSPROXY, strict=True):
            if (own := main.get(proxied, main.get(name, ""))) != main.get(name, ""):
                return f"{proxied} = {own or 'nothing'}, where {name} has {main.get(name) or 'nothing'}"
    return None


def _effective(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of files that count: ``smtpd_tls_chain_files`` overrides the others."""
    chain_files = settings.get(FILES[0], "")
    others = {name: settings.get(name, "") for name in FILES[1:]}
    return {FILES[0]: chain_files, **({} if chain_files else others)}


def _files(main: Mapping[str, str], algorithm: KeyAlgorithm) -> tuple[FileSpec, ...]:
    """Return what smtpd reads for one key algorithm."""
    chain_files = [path for path in re.split(r"[,\s]+", main.get("smtpd_tls_chain_files", "")) if path]
    if chain_files:  # it overrides all others
        return (FileSpec(_chain_file(chain_files, algorithm), ("key", "cert", "chain")),)
    rsa, ecdsa = (
        (main.get(f"smtpd_tls_{kind}cert_file", ""), main.get(f"smtpd_tls_{kind}key_file", "")) for kind in ("", "ec")
    )
    first, second = (rsa, ecdsa) if algorithm == "rsa" else (ecdsa, rsa)
    for certificate, key in (first, second):  # one alone serves either algorithm
        if certificate and certificate != "none":
            return refusals.pair(certificate, key or certificate)
    raise Unsuited(
        "a Postfix without a certificate (smtpd_tls_chain_files, smtpd_tls_cert_file and smtpd_tls_eccert_file)",
        "the path of one: postconf -e smtpd_tls_chain_files=/etc/postfix/tls.pem; danelaw writes it",
    )


def _chain_file(paths: Sequence[str], algorithm: KeyAlgorithm) -> str:
    """Return the one of ``smtpd_tls_chain_files`` that has, or is to have, a key of this algorithm."""
    for path in paths:
        keys = refusals.key_algorithms(path)
        if len(keys) > 1:
            raise Unsuited(f"{path} in smtpd_tls_chain_files with {len(keys)} keys", "a file of its own for each key")
    chosen = refusals.by_algorithm(paths, algorithm)
    if chosen is None:
        found = f"smtpd_tls_chain_files = {', '.join(paths)}, where it is not clear which is for the {algorithm} key"
        expected = f"one file for each algorithm, and just one that holds a key of {algorithm} or nothing yet"
        raise Unsuited(found, expected)
    return chosen


def _setting(main: Mapping[str, str], path: str) -> str:
    """Return the setting that has a path."""
    found = [name for name in FILES if path in re.split(r"[,\s]+", main.get(name, ""))]
    return found[0] if found else FILES[0]
