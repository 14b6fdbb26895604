"""``services = [...]`` of a ``deploy`` table: what the services' own configuration says in place of the table.

A survey (`model.Survey`) answers for the services; nothing is run here. What it says becomes the files where the table
gives none, the commands, the endpoints that prove it and those that are watched.
"""

# ruff: noqa: PTH118 - paths are compared as text

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from danelaw.config import kinds
from danelaw.config.table import Spot, Table, did_you_mean, quote
from danelaw.errors import Unsuited
from danelaw.model import AppProtocol, CertificateSpec, FileSpec, KeyAlgorithm, Service, ServiceSetup, Survey
from danelaw.names import covers

PRESETS = ("apache2", "courier-imap", "courier-pop", "dovecot", "nginx", "postfix")
"""The services that can be named. The survey knows the same."""

_EXAMPLE = '["postfix"]'


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked about services (None: nobody here can be), and the certificate that they are asked for."""

    survey: Survey | None
    spec: CertificateSpec
    algorithm: Callable[[], KeyAlgorithm]


@dataclass(frozen=True, slots=True)
class SetupDraft:
    """What one service said, with its place in the config."""

    spot: Spot
    setup: ServiceSetup


def read_services(table: Table, asked: Asked, *, has_files: bool) -> list[SetupDraft]:
    """Return what the services of a table say; what is refused is reported and left out."""
    named = table.items("services", kinds.text, _EXAMPLE)
    found: list[SetupDraft] = []
    for position, name in enumerate(named or ()):
        spot = table.spot.key("services").item(position)
        setup = _look(table, spot, name, asked, has_files=has_files)
        if setup is None:
            table.faulty.add("services")
            continue
        if any(each.setup.service.name == name for each in found):
            table.report.problem(spot, f"{name} for the second time", "each service once")
        found.append(SetupDraft(spot, setup))
        for warning in setup.warnings:
            table.report.warning(spot, f"{name}: {warning}", "")
    return found


def _look(table: Table, spot: Spot, name: str, asked: Asked, *, has_files: bool) -> ServiceSetup | None:
    if name not in PRESETS:
        found = f"{quote(name)}, which is no preset{did_you_mean(name, PRESETS)}"
        expected = f"one of {', '.join(PRESETS)}; or its files, reload and prove by hand"
        table.report.problem(spot, found, expected)
    elif asked.survey is None:
        table.report.problem(spot, f"{quote(name)}, and nobody here who can look at it", "danelaw's own command line")
    elif asked.spec.names:  # else the names are what must be put right first
        try:
            return asked.survey.look(name, asked.spec.names, asked.algorithm(), has_files=has_files)
        except Unsuited as unsuited:
            table.report.problem(spot, unsuited.found, unsuited.expected)
    return None


# --------------------------------------------------------------------------------------------------------------- files


def agreed_files(table: Table, drafts: Sequence[SetupDraft], spec: CertificateSpec) -> list[FileSpec]:
    """Return the files that all services of a table read; what they do not agree on is reported.

    A key file is left out where there is no key to write, and where it is the one that the certificate starts from: it
    is never written, and what stands in it stays right.
    """
    if not drafts:
        return []
    first, *others = drafts
    for other in others:
        if _paths(other.setup.files) != _paths(first.setup.files):
            table.faulty.add("services")
            one, two = first.setup, other.setup
            found = f"{one.service.name}, which reads {_shown(one.files)}, and {two.service.name}, {_shown(two.files)}"
            expected = "a deploy table for each, or the same paths in the configuration of both"
            table.report.problem(other.spot, found, expected)
            return []
    files = {place(file.path): file for file in first.setup.files}
    for file in (file for other in others for file in other.setup.files):
        files[place(file.path)] = _merged(files[place(file.path)], file)
    return [file for file in files.values() if not (file.parts == ("key",) and _stays(file, spec))]


def _stays(file: FileSpec, spec: CertificateSpec) -> bool:
    if spec.key is None:
        return spec.csr is not None
    return same(file.path, spec.key)


def _merged(one: FileSpec, two: FileSpec) -> FileSpec:
    """Return a file that serves both: all parts, the key first where one wants it there, the first known owner."""
    wide, other = (one, two) if len(one.parts) >= len(two.parts) else (two, one)
    parts = wide.parts + tuple(part for part in other.parts if part not in wide.parts)
    if "key" in (one.parts[0], two.parts[0]):
        parts = ("key", *(part for part in parts if part != "key"))
    mode = one.mode if one.mode is not None else two.mode
    return FileSpec(one.path, parts, mode, one.owner or two.owner, one.group or two.group)


def check_sharing(table: Table, drafts: Sequence[SetupDraft], files: Iterable[FileSpec], asked: Asked) -> None:
    """Warn of a service that reads a file of the table and is not named there: it is neither reloaded nor proven."""
    paths = _paths(files)
    named = {draft.setup.service.name for draft in drafts}
    if asked.survey is None or not drafts:
        return
    for other in sorted(set(PRESETS) - named):
        try:
            setup = asked.survey.look(other, asked.spec.names, asked.algorithm(), has_files=True)
        except Unsuited:  # it is not there, or could not be used
            continue
        shared = [spec.path for spec in setup.files if place(spec.path) in paths]
        if shared:
            found = f"{shared[0]}, which {other} reads too"
            table.warning("services", found, f'"{other}" here too: else it is neither reloaded nor proven')


def check_given(table: Table, drafts: Sequence[SetupDraft], files: Iterable[tuple[Spot, FileSpec]]) -> None:
    """Report given files that a service does not read, or not in that form: going live there would not reach it."""
    given = list(files)
    for draft in drafts:
        name = draft.setup.service.name
        for wanted in draft.setup.files:
            at = [(spot, spec) for spot, spec in given if same(spec.path, wanted.path)]
            for spot, spec in at:
                _check_form(table, name, spot, spec, wanted)
            if not at and "cert" in wanted.parts:
                shown = ", ".join(spec.path for _, spec in given)
                found = f"{name}, which reads {wanted.path}, and not {shown}"
                expected = f"{wanted.path} here, or no files at all: then {name}'s own are written"
                table.report.problem(draft.spot, found, expected)


def _check_form(table: Table, name: str, spot: Spot, spec: FileSpec, wanted: FileSpec) -> None:
    expected = f"the parts {_quoted(wanted.parts)}"
    if "key" in wanted.parts and "key" not in spec.parts:
        table.report.problem(spot, f"no key in {spec.path}, where {name} reads its key", expected)
    elif wanted.parts[0] == "key" and spec.parts[0] != "key":
        table.report.problem(spot, f"{_quoted(spec.parts)} for {spec.path}, where {name} wants the key first", expected)
    elif "cert" in wanted.parts and "cert" not in spec.parts:
        table.report.problem(spot, f"no certificate in {spec.path}, where {name} reads its own", expected)


def _paths(files: Iterable[FileSpec]) -> set[str]:
    return {place(spec.path) for spec in files}


def same(one: str, two: str) -> bool:
    """Return whether two paths name one file, also where one of them is a link to the other."""
    return place(one) == place(two) or os.path.realpath(one) == os.path.realpath(two)


def _shown(files: Iterable[FileSpec]) -> str:
    return " and ".join(f"{spec.path} ({'+'.join(spec.parts)})" for spec in files)


def _quoted(parts: Iterable[str]) -> str:
    return "[" + ", ".join(f'"{part}"' for part in parts) + "]"


def place(path: str) -> str:
    """Return a path by which two ways of writing it compare equal.

    The folder's links are followed and the file's own is not: after the first deployment it is a link into the state.
    """
    folder, file = os.path.split(path)
    return os.path.join(os.path.realpath(folder), file)


# ------------------------------------------------------------------------------------------------------------ commands


def commands(
    drafts: Sequence[SetupDraft], test: tuple[str, ...] | None, reload: tuple[str, ...] | None
) -> tuple[Service, ...]:
    """Return the services with their commands; those that the table gives (not None) stand in the place of theirs."""
    own = [
        replace(
            draft.setup.service,
            test=draft.setup.service.test if test is None else None,
            reload=draft.setup.service.reload if reload is None else None,
        )
        for draft in drafts
    ]
    return (*own, Service("", test, reload)) if test or reload else tuple(own)


# ----------------------------------------------------------------------------------------------------------- endpoints


def proven(
    setup: ServiceSetup, names: Sequence[str], claimed: Sequence[tuple[str, int]]
) -> list[tuple[str, int, AppProtocol]]:
    """Return (host, port, protocol) of the endpoints that prove a service: its ports at each of its hosts.

    ``claimed`` are host and port of the certificate's tlsa tables. A web server is proven under each name that it
    serves. A mail server is one host, which an MX or SRV record names: what the tlsa tables say of its ports, else of
    any; else its own name, else the certificate's.
    """
    ports = {port for port, _ in setup.ports}
    plain = [name for name in names if not name.startswith("*.")]
    own = [host for host in setup.hosts if any(covers(name, host) for name in names)]
    at_ports = [host for host, port in claimed if port in ports]
    if any(protocol == "https" for _, protocol in setup.ports):
        hosts = [*own, *at_ports] or plain
    else:
        hosts = at_ports or [host for host, _ in claimed] or own or plain
    return [(host, port, protocol) for host in dict.fromkeys(hosts) for port, protocol in setup.ports]


def watched(
    setup: ServiceSetup, names: Sequence[str], hosts: Iterable[str], without: Iterable[tuple[str, int]]
) -> list[tuple[str, int, AppProtocol]]:
    """Return a service's (host, port, protocol) under every name of its that is known, but those ``without``.

    Those are the certificate's, ``hosts``, and the service's own even where the certificate lacks them: who holds a
    record of usage 3 there looks at no name, and would refuse the new chain all the same (RFC 7671 section 5.1).
    """
    plain = [name for name in names if not name.startswith("*.")]
    own = [host for host in (*setup.hosts, *setup.beside) if "." in host]  # "vm" is in nobody's DNS
    known = set(without)
    return [
        (host, port, protocol)
        for host in dict.fromkeys([*plain, *hosts, *own])
        for port, protocol in setup.ports
        if (host, port) not in known
    ]
