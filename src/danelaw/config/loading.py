"""From files to a checked `Config`: read, merge conf.d, read every table, and let them agree.

The failure this prevents is a config that means something else than its writer thought, found out when mail stops.
"""

# ruff: noqa: PTH100, PTH110, PTH112, PTH116, PTH120 - os.path answers False where Path raises (EACCES, ENAMETOOLONG)

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from danelaw.config import files, kinds
from danelaw.config.agreement import agree
from danelaw.config.certificate import CertificateDraft, Surroundings, read_certificate
from danelaw.config.sections import (
    read_authoritative,
    read_ca,
    read_connect,
    read_publisher,
    read_resolver,
    read_serve,
)
from danelaw.config.table import NAMED, TOP_KEYS, WHOLE, Report, Spot, Table, describe
from danelaw.errors import ConfigError, Problem
from danelaw.model import CaSpec, CertificateSpec, Desired, PublisherSpec, ResolverSpec, Survey

T = TypeVar("T")

LOOKUP_MARGIN = timedelta(minutes=15)
HISTORY = timedelta(days=1)

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CERTIFICATE_NAME = re.compile(r"\w[\w.@+-]*")


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration that was found without fault.

    ``files`` are the absolute paths read, in order; ``digest`` is `danelaw.config.digest` of them as they were read.
    ``connect`` maps ``HOST:PORT`` to ``ADDRESS:PORT``, ``authoritative`` a zone to ``ADDRESS:PORT`` of its servers.
    ``cas`` and ``publishers`` are in the order of the config. ``warnings`` are what is accepted and not advised.
    ``references`` are other files whose contents decide what is desired: keys, CSRs, spare keys, intermediates.
    """

    state_dir: str
    desired: Desired
    cas: Mapping[str, CaSpec]
    publishers: Mapping[str, PublisherSpec]
    resolver: ResolverSpec
    connect: Mapping[str, str]
    authoritative: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]
    digest: str
    warnings: tuple[Problem, ...] = ()
    references: tuple[str, ...] = ()


@dataclass(slots=True)
class Merged:
    """The sections of all files: ``named`` by section and name, ``whole`` by section, ``top`` of the first file."""

    top: Table
    named: dict[str, dict[str, Table]] = field(default_factory=lambda: {section: {} for section in NAMED})
    whole: dict[str, Table] = field(default_factory=dict)


def load(path: str, survey: Survey | None = None) -> Config:
    """Return the configuration in a file and the conf.d beside it; ``survey`` answers for ``services = […]``.

    Raises `ConfigError` with every problem found, in the order of the config. Files that do not parse are reported
    alone: what they would have defined is not known.
    """
    report = Report()
    contents = _read(report, path)
    parsed = {each: _parse(report, each, data) for each, data in contents.items()}
    if report.problems:
        raise ConfigError(report.problems)
    merged = _merge(report, {each: table for each, table in parsed.items() if table is not None})
    config = _build(report, merged, tuple(contents), files.digest_of(contents), survey)
    if report.problems:
        raise ConfigError(report.problems)
    return config


def _read(report: Report, path: str) -> dict[str, bytes]:
    first = os.path.abspath(path) if "\0" not in path else path
    try:
        paths = files.paths(path)
    except (OSError, ValueError) as error:
        report.problem(Spot(first, ""), f"conf.d beside it: {_reason(error)}", "a folder that can be listed")
        return {}
    contents = {}
    for each in paths:
        try:
            contents[each] = files.read(each)
            if stat.S_IMODE(os.stat(each).st_mode) & 0o002:
                # Its commands are run as root: who may write it is root.
                report.problem(Spot(each, ""), "a file that everybody may write", f"chmod o-w {each}")
        except (OSError, ValueError) as error:
            expected = "a config file" if each != first else "a config file, or another one with --config"
            report.problem(Spot(each, ""), _reason(error), expected)
    return contents


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _parse(report: Report, path: str, contents: bytes) -> dict[str, object] | None:
    try:
        return tomllib.loads(contents.decode())
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        report.problem(Spot(path, f"line {line}"), f"the byte 0x{contents[error.start]:02x}", "UTF-8")
    except RecursionError:
        report.problem(Spot(path, ""), "lists or tables nested too deeply", "TOML")
    except ValueError as error:  # TOMLDecodeError, and numbers of thousands of digits
        message = str(error)
        place = _TOML_PLACE.search(message)
        where = "" if place is None else f"line {place[1]}, column {place[2]}" if place[1] else "end of the file"
        found = _TOML_PLACE.sub("", message)[:200] or "something that is not TOML"
        report.problem(Spot(path, where), f"{found[:1].lower()}{found[1:]}", "TOML (https://toml.io)")
    return None


def _merge(report: Report, parsed: Mapping[str, dict[str, object]]) -> Merged:
    tops = {path: Table(report, Spot(path, ""), data) for path, data in parsed.items()}
    main, *others = tops.values()
    merged = Merged(main)
    for section in NAMED:
        for top in tops.values():
            _merge_named(top, section, merged.named[section])
    for section in WHOLE:
        for top in tops.values():
            table = top.table(section, f"[{section}]")
            if table is None:
                continue
            if section in merged.whole:
                first = merged.whole[section].spot.file
                top.problem(section, f"a table that {first} has too", "one file for each table")
            else:
                merged.whole[section] = table
    for other in others:  # conf.d adds tables; what is no table is the first file's to say
        for key in TOP_KEYS:
            if other.has(key):
                other.raw(key)
                other.problem(key, "a setting outside the main file", f"it in {main.spot.file}")
        other.finish()
    return merged


def _merge_named(top: Table, section: str, into: dict[str, Table]) -> None:
    outer = top.table(section, f"[{section}.NAME]")
    if outer is None:
        return
    pattern = _CERTIFICATE_NAME if section == "certificate" else _NAME
    for name in outer.keys:
        table = outer.table(name, f"[{section}.{name}]")
        if pattern.fullmatch(name) is None or len(name) > 200:
            outer.problem(name, f"the name {describe(name)}", "a name of letters, digits, dots and hyphens")
        if table is None:
            continue
        if name in into:
            outer.problem(name, f"a table that {into[name].spot.file} has too", "one file for each table")
        else:
            into[name] = table


def _build(report: Report, merged: Merged, paths: tuple[str, ...], digest: str, survey: Survey | None) -> Config:
    folder = os.path.dirname(paths[0])
    top = merged.top
    state_dir = top.get("state_dir", kinds.path(folder), kinds.path(folder)(files.DEFAULT_STATE_DIR))
    if os.path.exists(state_dir) and not os.path.isdir(state_dir):
        top.problem("state_dir", f"{state_dir}, which is no folder", "a folder, there or to be made")
    lookup_margin = top.get("lookup_margin", kinds.span(timedelta(0)), LOOKUP_MARGIN)
    if lookup_margin < LOOKUP_MARGIN:
        top.warning("lookup_margin", f"{int(lookup_margin.total_seconds())} s", "15m: some senders take that long")
    history = top.get("history", kinds.span(timedelta(0)), HISTORY)
    top.finish()
    cas = {name: read_ca(name, table, folder) for name, table in merged.named["acme"].items()}
    publishers = {name: read_publisher(name, table, folder) for name, table in merged.named["dns"].items()}
    resolver = _whole(merged, "resolver", lambda table: read_resolver(table, folder), ResolverSpec())
    connect: dict[str, str] = _whole(merged, "connect", read_connect, {})
    authoritative: dict[str, tuple[str, ...]] = _whole(merged, "authoritative", read_authoritative, {})
    _whole(merged, "serve", read_serve, None)  # `views` reads it for the one command that needs it; here its faults
    around = Surroundings(folder, cas, tuple(publishers), survey)
    drafts = [read_certificate(name, table, around) for name, table in merged.named["certificate"].items()]
    _check_cas(report, top, drafts, cas)
    specs = agree(
        report,
        drafts,
        state_dir=state_dir,
        read=_sources(paths, drafts, cas, publishers, resolver),
        connect={source: (_spot(merged, source), value) for source, value in connect.items()},
    )
    desired = Desired(specs, lookup_margin, history)
    warnings = tuple(report.warnings)
    return Config(
        state_dir,
        desired,
        cas,
        publishers,
        resolver,
        connect,
        authoritative,
        paths,
        digest,
        warnings,
        _references(specs, cas),
    )


def _whole(merged: Merged, section: str, read: Callable[[Table], T], default: T) -> T:
    table = merged.whole.get(section)
    return default if table is None else read(table)


def _spot(merged: Merged, source: str) -> Spot:
    return merged.whole["connect"].spot.key(source)


def _check_cas(report: Report, top: Table, drafts: list[CertificateDraft], cas: Mapping[str, CaSpec]) -> None:
    if not drafts:
        report.warning(top.spot.key("certificate"), "no certificate", 'a table [certificate."NAME"]')
    elif not cas and not top.faulty & {"acme"}:
        found = "no CA to order certificates from"
        report.problem(top.spot.key("acme"), found, "a table such as [acme.letsencrypt] with agree_tos = true")
    for draft in drafts:
        ca = cas.get(draft.spec.ca)
        ports = {port for _, port in draft.spec.http01.listen}
        if ca is not None and ca.ca_bundle is None and ports and 80 not in ports:  # RFC 8555 section 8.3
            found = f"port {min(ports)}, and not port 80"
            report.warning(draft.spot.key("http01").key("listen"), found, "port 80, where the CA asks")
        if ca is not None and ca.intermediates is None:
            _check_pins(report, draft, ca)


def _check_pins(report: Report, draft: CertificateDraft, ca: CaSpec) -> None:
    """Warn of records that pin a CA whose other intermediates nobody named: it may issue from one of them next."""
    for claim in draft.claims:
        spec = next((each for each in claim.claim.records if each.usage in {0, 2}), None)
        if spec is not None:
            found = f'"{spec}", which pins the CA that issued the certificate'
            expected = f"intermediates in acme.{ca.name}: the next certificate may come from another one"
            report.warning(claim.spot.key("records"), found, expected)


def _references(specs: Iterable[CertificateSpec], cas: Mapping[str, CaSpec]) -> tuple[str, ...]:
    found: set[str] = {ca.intermediates.path for ca in cas.values() if ca.intermediates is not None}
    for spec in specs:
        found |= {path for path in (spec.key, spec.csr and spec.csr.path, spec.spare and spec.spare.path) if path}
    return tuple(sorted(found))


def _sources(
    paths: tuple[str, ...],
    drafts: list[CertificateDraft],
    cas: Mapping[str, CaSpec],
    publishers: Mapping[str, PublisherSpec],
    resolver: ResolverSpec,
) -> dict[str, str]:
    """Return every path that danelaw reads, with what it is."""
    read = dict.fromkeys(paths, "the config itself")
    for draft in drafts:
        if draft.spec.key is not None:
            read[draft.spec.key] = f"the key that {draft.spot.where} starts from, which is never written"
        if draft.spec.key_password_file is not None:
            read[draft.spec.key_password_file] = f"the password of the key of {draft.spot.where}"
        if draft.spec.csr is not None:
            read[draft.spec.csr.path] = f"the CSR of {draft.spot.where}"
        if draft.spec.spare is not None:
            read[draft.spec.spare.path] = f"the next_key_public of {draft.spot.where}"
    for name, ca in cas.items():
        if ca.ca_bundle is not None:
            read[ca.ca_bundle] = f"the ca_bundle of acme.{name}"
        if ca.intermediates is not None:
            read[ca.intermediates.path] = f"the intermediates of acme.{name}"
    for name, publisher in publishers.items():
        if publisher.tsig_key is not None:
            base = publisher.tsig_key.removesuffix(".key").removesuffix(".private")
            pair = (publisher.tsig_key, f"{base}.key", f"{base}.private")
            read |= dict.fromkeys(pair, f"the TSIG key of dns.{name}")
    for path, what in ((resolver.trust_anchor, "trust anchor"), (resolver.root_hints, "root hints")):
        if path is not None:
            read[path] = f"the resolver's {what}"
    return read
