"""``danelaw tlsa``: TLSA records of files and of live endpoints, in the forms that administrators paste.

Files are read without anything of DNS or TLS being imported; what looks at live endpoints is imported where there is
one. Records go to standard output alone, what is worth knowing about them to standard error.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from danelaw import dane, pki
from danelaw.cli.files import STANDARD_INPUT, config_if_any, read_file
from danelaw.errors import InputError
from danelaw.model import AppProtocol, Chain, Endpoint, RecordSpec, TlsaRecord
from danelaw.names import BadName, a_label, default_protocol, is_address, parse_host_port

if TYPE_CHECKING:
    from danelaw.run.live import Presented  # start-up: files need none of it

Json = dict[str, Any]

MAX_TTL = (1 << 31) - 1
"""Seconds (RFC 2181 section 8)."""

MAX_OWNER = 254
"""The longest owner name with its final dot (RFC 1035 section 2.3.4)."""

_SOURCE = "give a PEM or DER file, - for standard input, or HOST:PORT"
_WAYS = "tls (TLS at once) or smtp, imap or pop3 (STARTTLS)"


@dataclass(slots=True)
class _Row:
    """A record at an owner name ("" where none is known), what it pins, and which sources it came from."""

    owner: str
    record: TlsaRecord
    subject: str | None
    sources: list[str]


@dataclass(slots=True)
class _Result:
    """What there is to say: the records, each once, and what a person should know."""

    ttl: int
    rows: dict[tuple[str, TlsaRecord], _Row] = field(default_factory=dict)
    presented: list[Json] = field(default_factory=list)
    notes: list[Json] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    live: dict[str, Endpoint] = field(default_factory=dict)  # by source

    def note(self, code: str, subject: str, text: str) -> None:
        note = {"note": code, "subject": subject, "text": text}
        if note not in self.notes:
            self.notes.append(note)

    def add(self, owner: str, record: TlsaRecord, subject: str | None, source: str) -> None:
        row = self.rows.setdefault((owner, record), _Row(owner, record, None, []))
        row.subject = row.subject or subject
        if source not in row.sources:
            row.sources.append(source)


def tlsa(arguments: argparse.Namespace) -> int:
    """Print the records of every source; return 1 where an endpoint could not be looked at as a whole, else 0.

    Raises `InputError` for what cannot be used; nothing was printed then.
    """
    form = _form(arguments)
    specs = list(dict.fromkeys(dane.parse_spec(text) for text in arguments.record or ["3 1 1"]))
    if arguments.ta is not None and all(spec.usage in {1, 3} for spec in specs):
        raise InputError('--ta chooses the CA certificate of usages 0 and 2; no --record has one, such as "2 0 1"')
    if not 0 <= arguments.ttl <= MAX_TTL:
        raise InputError(f"--ttl: {arguments.ttl} is no TTL; expected seconds from 0 to {MAX_TTL}")
    owner = "" if arguments.endpoint is None else _owner(*_host_port("--endpoint", arguments.endpoint))
    files, endpoints = _sort(arguments)
    nameless = bool(files) or any(is_address(endpoint.host) for endpoint in endpoints.values())
    if form == "nsupdate" and nameless and not owner:
        raise InputError("--format nsupdate needs the owner name of the records; add --endpoint HOST:PORT")
    result = _Result(arguments.ttl)
    password = None if arguments.password_file is None else _password(arguments.password_file)
    for name in files:
        _from_file(result, name, owner, specs, arguments, password)
    if endpoints:
        _from_endpoints(result, endpoints, owner, specs, arguments)
    _note_usages(result)
    _tell(result, quiet=arguments.quiet)
    if form == "json":
        json.dump(_json(result), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(form, result))
    return 1 if result.problems else 0


# --- what was asked for ----------------------------------------------------------------------------------------------


def _form(arguments: argparse.Namespace) -> str:
    if arguments.json and arguments.format not in {None, "json"}:
        raise InputError(f"--json and --format {arguments.format} contradict each other; give one of them")
    return "json" if arguments.json else str(arguments.format or "zone")


def _sort(arguments: argparse.Namespace) -> tuple[list[str], dict[str, Endpoint]]:
    """Tell files from endpoints. What has a slash in it or is there is a file."""
    files: list[str] = []
    endpoints: dict[str, Endpoint] = {}
    for name in dict.fromkeys(arguments.sources):
        if name == STANDARD_INPUT or "/" in name or ":" not in name or os.path.lexists(name):
            files.append(name)
            continue
        endpoints[name] = _endpoint(name, arguments)
    unused = [f"--{option}" for option in ("protocol", "name") if getattr(arguments, option) is not None]
    if unused and not endpoints:
        raise InputError(f"{unused[0]} is for a live HOST:PORT, and no source is one")
    return files, endpoints


def _endpoint(source: str, arguments: argparse.Namespace) -> Endpoint:
    host, port = _host_port(f"{source}: no such file, and no HOST:PORT", source)
    protocol = cast("AppProtocol | None", arguments.protocol or default_protocol(port))
    if protocol is None:
        raise InputError(f"{source}: port {port} does not say how TLS starts there; add --protocol with {_WAYS}")
    name = host
    if arguments.name is not None:
        try:
            name = a_label(arguments.name)
        except BadName as error:
            raise InputError(f"--name: {error}") from None
    return Endpoint(name, port, protocol, host if is_address(host) else None)


def _host_port(what: str, text: str) -> tuple[str, int]:
    try:
        return parse_host_port(text)
    except BadName as error:
        raise InputError(f"{what}: {error}") from None


def _owner(host: str, port: int) -> str:
    if is_address(host):
        raise InputError(f"--endpoint: {host} is an address, and TLSA records stand below names; give its name")
    owner = Endpoint(host, port, "tls").owner
    if len(owner) > MAX_OWNER:
        raise InputError(f"--endpoint: {owner} is longer than DNS names can be")
    return owner


def _password(path: str) -> bytes:
    """Return the first line of a file, as openssl's ``-passin file:`` takes it."""
    line = read_file(path, "expected a file whose first line is the password").split(b"\n", 1)[0].removesuffix(b"\r")
    if not line:
        raise InputError(f"{path}: the first line is empty; expected the password")
    return line


# --- records ---------------------------------------------------------------------------------------------------------


def _from_file(
    result: _Result,
    name: str,
    owner: str,
    specs: Sequence[RecordSpec],
    arguments: argparse.Namespace,
    password: bytes | None,
) -> None:
    shown = "standard input" if name == STANDARD_INPUT else name
    data = read_file(name, _SOURCE)
    try:
        sources = pki.load_sources(data, password)
    except pki.EncryptedKey as error:
        hint = " (--password-file FILE)" if password is None else f" ({arguments.password_file})"
        raise InputError(f"{shown}: {error}{hint}") from None
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None
    if len(sources) > 1:
        kind = "keys" if sources[0].chain is None else "certificates that issued none of the others"
        result.note("several", shown, f"{shown} holds {len(sources)} {kind}; the records are those of all of them")
    for source in sources:
        for spec in specs:
            try:
                record = dane.tlsa_record(spec, source.chain, source.spki_der, ta=arguments.ta)
            except InputError as error:
                raise InputError(f"{shown} ({source.kind}): {error}") from None
            result.add(owner, record, _pinned(result, record, source.chain, shown, arguments.ta), shown)


def _from_endpoints(
    result: _Result,
    endpoints: dict[str, Endpoint],
    owner: str,
    specs: Sequence[RecordSpec],
    arguments: argparse.Namespace,
) -> None:
    from danelaw.run.live import look_live  # noqa: PLC0415 (start-up: files need none of it)
    from danelaw.run.outside import outside  # noqa: PLC0415 (start-up: it imports DNS and TLS)

    path, unread = config_if_any(arguments.config)
    if unread:
        result.note("config", arguments.config, unread)
    around = outside(path)
    for source, endpoint in endpoints.items():
        result.live[source] = endpoint
        live = look_live(endpoint, around)
        result.problems.extend(live.problems)
        if live.security == "insecure":
            text = f"the addresses of {endpoint.host} are not signed, so senders do not ask for its TLSA records"
            result.note("insecure-address", endpoint.host, f"{text} (RFC 7672 section 2.2.2); sign its zone")
        at = owner or ("" if is_address(endpoint.host) else _owner(endpoint.host, endpoint.port))
        for each in live.presented:
            result.presented.append(_presented_json(source, each.chain, each.addresses))
            for spec in specs:
                try:
                    record = _live_record(spec, each.chain, arguments.ta)
                except InputError as error:
                    result.problems.append(f"{source} at {', '.join(each.addresses)}: {error}")
                    continue
                result.add(at, record, _pinned(result, record, each.chain, source, arguments.ta), source)
                _note_names_and_dates(result, record, each, endpoint, live.at)
        if len({each.chain.leaf_sha256 for each in live.presented}) > 1:
            result.note("several", source, "\n".join(_differences(source, result.presented)))


def _live_record(spec: RecordSpec, chain: Chain, ta: int | None) -> TlsaRecord:
    record = dane.tlsa_record(spec, chain, ta=ta)
    if not dane.matches(record, chain):
        # RFC 7671 section 5.2: the TA is above the service's own certificate, whatever that says of itself.
        raise InputError(f"a TLSA record {spec} cannot match: it would pin the service's own certificate; take usage 3")
    return record


def _pinned(result: _Result, record: TlsaRecord, chain: Chain | None, source: str, ta: int | None) -> str | None:
    """Return the subject of what a record pins, None of a bare key; of a CA certificate say which it is."""
    if chain is None:
        return None
    if record.usage in {1, 3}:
        return pki.subject_text(chain.leaf_der)
    anchors = dane.trust_anchors(chain)
    number = ta or len(anchors)
    subject = pki.subject_text(anchors[number - 1])
    text = f"{record.spec} pins {'' if record.selector == 0 else 'the key of '}the CA certificate {subject}"
    if len(anchors) > 1:
        text += f", number {number} of {len(anchors)} (--ta)"
    if anchors[number - 1] == chain.leaf_der:
        text += "; for a service that presents it as its own certificate, take usage 3 or 1"
    elif source not in result.live and record.usage == 2 and record.spec != (2, 0, 0):
        text += "; the service must present it, too (RFC 7671 section 5.2.2)"
    result.note("pins", source, text)
    return subject


def _note_names_and_dates(
    result: _Result, record: TlsaRecord, presented: "Presented", endpoint: Endpoint, now: datetime
) -> None:
    """Say where a client would look at more than the record and refuse (RFC 7671 section 5.2)."""
    names = () if is_address(endpoint.host) else (endpoint.host,)
    if record.usage not in {0, 2} or dane.matches(record, presented.chain, names, now):
        return
    named = not names or dane.name_matches(endpoint.host, presented.chain.names)
    why = "a certificate of its chain is not valid now" if named else f"its certificate is not for {endpoint.host}"
    at = ", ".join(presented.addresses)
    result.note("refused", str(endpoint), f"clients refuse {record.spec} at {at}, though it matches: {why}")


def _differences(source: str, presented: Iterable[Json]) -> Iterable[str]:
    mine = [each for each in presented if each["source"] == source]
    leaves = {each["leaf_sha256"] for each in mine}
    yield f"{source} presents {len(leaves)} certificates; the records are those of all of them:"
    for each in mine:
        yield (
            f"  {each['algorithm']} certificate {each['leaf_sha256'][:16]}… over key {each['spki_sha256'][:16]}… "
            f"at {', '.join(each['addresses'])}"
        )


def _note_usages(result: _Result) -> None:
    for row in result.rows.values():
        usage = row.record.usage
        ports = {result.live[source].port for source in row.sources if source in result.live}
        at_port_25 = row.owner.startswith("_25.") or (not row.owner and 25 in ports)
        if usage in {0, 1} and at_port_25:
            text = f"usage {usage} is not for port 25: senders of mail may ignore it (RFC 7672 section 3.1.3)"
            subject = row.owner or row.sources[0]
            result.note("usage", subject, f"{text}; use {usage + 2} {row.record.selector} 1")


# --- words -----------------------------------------------------------------------------------------------------------


def _tell(result: _Result, *, quiet: bool) -> None:
    said = [] if quiet else [("warning" if note["note"] in WARNINGS else "note", note["text"]) for note in result.notes]
    for kind, text in [*said, *(("", problem) for problem in result.problems)]:
        for number, line in enumerate(text.splitlines()):
            sys.stderr.write(f"danelaw: {f'{kind}: ' if kind and not number else ''}{line}\n")


WARNINGS = ("usage", "refused", "insecure-address", "config")


def _lines(form: str, result: _Result) -> Iterable[str]:
    """Return the records as text. Lines are never wrapped: they are to be pasted."""
    rows = sorted(result.rows.values(), key=lambda row: row.owner)  # stable: within an owner as found
    if form == "nsupdate":
        yield from _nsupdate(rows, result.ttl)
        return
    for row in rows:
        data = f"TYPE52 {dane.generic(row.record)}" if form == "generic" else f"TLSA {row.record}"
        if row.owner:
            yield f"{row.owner} {result.ttl} IN {data}"
        else:
            yield data.partition(" ")[2]


def _nsupdate(rows: Sequence[_Row], ttl: int) -> Iterable[str]:
    """Return a script for nsupdate(1), one transaction for each owner name.

    It only adds: a record that stands there already stays one record, and others beside it stay, so that it may be sent
    twice. Server and zone are left for nsupdate to find.
    """
    if not rows:
        return
    yield "; Adds TLSA records and removes none, so it may be sent twice: nsupdate -k KEYFILE SCRIPT"
    yield "; YXRRSET means that an alias (CNAME) stands there: the records belong to its target."
    for owner in dict.fromkeys(row.owner for row in rows):
        # RFC 2136 section 3.4.2.2: an add beside a CNAME is ignored, with NOERROR.
        yield f"prereq nxrrset {owner} IN CNAME"
        for row in rows:
            if row.owner == owner:
                yield f"update add {owner} {ttl} IN TLSA {row.record}"
        yield "send"


def _json(result: _Result) -> Json:
    records = [
        {
            "owner": row.owner or None,
            "ttl": result.ttl,
            "usage": row.record.usage,
            "selector": row.record.selector,
            "matching_type": row.record.matching_type,
            "data": row.record.data.hex(),
            "record": str(row.record),
            "generic": dane.generic(row.record),
            "subject": row.subject,
            "sources": row.sources,
        }
        for row in result.rows.values()
    ]
    return {
        "schema": 1,
        "records": records,
        "presented": result.presented,
        "notes": result.notes,
        "problems": result.problems,
    }


def _presented_json(source: str, chain: Chain, addresses: Sequence[str]) -> Json:
    return {
        "source": source,
        "addresses": list(addresses),
        "algorithm": chain.algorithm,
        "leaf_sha256": chain.leaf_sha256,
        "spki_sha256": chain.spki_sha256,
        "certificates": len(chain.certificates_der),
    }
