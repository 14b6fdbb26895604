"""``danelaw match``: does a chain satisfy TLSA records, offline, and where not, why."""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from danelaw import dane, pki
from danelaw.check.roots import system_roots
from danelaw.cli.files import STANDARD_INPUT, read_file
from danelaw.cli.terminal import write_line
from danelaw.errors import InputError
from danelaw.model import Chain, RecordVerdict, TlsaRecord
from danelaw.names import BadName, a_label

Json = dict[str, Any]

SMTP_PORT = 25

_ZONE_LINE = re.compile(r"[^\s]+\s+(?:\d+\s+)?(?:IN\s+)?TLSA\s+(?=\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Result:
    """What was held against what, and what came of it. ``trusted`` None: no record asked for trusted CAs."""

    chain: Chain
    verdicts: tuple[RecordVerdict, ...]
    names: tuple[str, ...]
    port: int | None
    at: datetime
    trusted: tuple[bytes, ...] | None
    notes: tuple[tuple[str, str], ...]

    @property
    def verdict(self) -> str:
        if any(each.counts and each.matches for each in self.verdicts):
            return "matches"
        return "no-match" if any(each.usable for each in self.verdicts) else "unusable"


def match(arguments: argparse.Namespace) -> int:
    """Say which records match and why others do not; return 0 where the chain is authenticated, 1 not, 3 none usable.

    Raises `InputError` for what cannot be used; nothing was printed then.
    """
    port = _port(arguments.port)
    records = tuple(dict.fromkeys(_record(text) for text in arguments.tlsa))
    names = tuple(dict.fromkeys(_name(name) for name in arguments.name or ()))
    at = _now() if arguments.at is None else _instant(arguments.at)
    chain = _chain(arguments.chain)
    needs_roots = port != SMTP_PORT and any(record.usage in {0, 1} for record in records)
    roots = _roots(arguments.trust) if needs_roots or arguments.trust is not None else None
    verdicts = dane.verify(records, chain, names, at, smtp=port == SMTP_PORT, roots_der=roots or ())
    notes = tuple(_notes(chain, verdicts, names, roots, arguments.trust))
    result = _Result(chain, verdicts, names, port, at, roots, notes)
    status = {"matches": 0, "no-match": 1, "unusable": 3}[result.verdict]
    if not arguments.quiet:
        for _, text in notes:
            sys.stderr.write(f"danelaw: note: {text}\n")
    if arguments.json:
        json.dump(_json(result), sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif status or not arguments.quiet:
        for line in _lines(result):
            write_line(sys.stdout, line)
    return status


# --- what was asked for ----------------------------------------------------------------------------------------------


def _port(port: int | None) -> int | None:
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"--port: {port} is no port; expected 1 to 65535, of which 25 has rules of its own")
    return port


def _record(text: str) -> TlsaRecord:
    """Read a record; a whole line of a zone file or of dig's answer will do."""
    found = _ZONE_LINE.match(text.strip())
    try:
        return dane.parse_record(text.strip()[found.end() :] if found else text)
    except InputError as error:
        raise InputError(f"--tlsa: {error}") from None


def _name(name: str) -> str:
    try:
        return a_label(name)
    except BadName as error:
        raise InputError(f"--name: {error}") from None


def _instant(text: str) -> datetime:
    """Read an instant or a date (its first second), in UTC where it does not say otherwise."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"--at: found {text[:80]!r}; expected an instant as 2026-12-31T12:00:00Z or a date") from None


def _now() -> datetime:
    from danelaw.run.system import SystemClock  # noqa: PLC0415 (start-up: only where no --at is given)

    return SystemClock().now()


def _chain(name: str) -> Chain:
    data = read_file(name, "give a PEM or DER file, or - for standard input")
    try:
        return pki.presented_chain(data)
    except InputError as error:
        raise InputError(f"{'standard input' if name == STANDARD_INPUT else name}: {error}") from None


def _roots(trust: str | None) -> tuple[bytes, ...]:
    """Return the CA certificates of a file, or without one those that this system trusts."""
    if trust is not None:
        try:
            return tuple(dict.fromkeys(pki.certificates(read_file(trust, "give a PEM file of CA certificates"))))
        except InputError as error:
            raise InputError(f"--trust: {error}") from None
    return system_roots()


def _notes(
    chain: Chain,
    verdicts: Sequence[RecordVerdict],
    names: Sequence[str],
    roots: Sequence[bytes] | None,
    trust: str | None,
) -> Iterable[tuple[str, str]]:
    if not names and any(each.usable and each.record.usage != 3 for each in verdicts):
        yield "names", "usages 0, 1 and 2 ask for the server's name, too, and none was given (--name HOST)"
    first = chain.leaf_der
    if any(each != first and pki.is_issued_by(each, first) for each in chain.certificates_der[1:]):
        yield "order", "the first certificate issued another one of the chain; a chain starts with the server's own"
    if roots is not None and not roots and trust is None:
        yield "trust", "this system has no trusted CA certificates (ca-certificates); give a file of them with --trust"


# --- words -----------------------------------------------------------------------------------------------------------


def _lines(result: _Result) -> Iterable[str]:
    width = max(len(_short(each.record)) for each in result.verdicts)
    for each in result.verdicts:
        mark, text = _said(result, each)
        yield f"{mark:<9} {_short(each.record):<{width}}  {text}"
    yield _conclusion(result)


def _said(result: _Result, verdict: RecordVerdict) -> tuple[str, str]:
    pinned = _pinned(result, verdict)
    if not verdict.usable:
        return "unusable", verdict.why
    if not verdict.matches:
        where = f" (pins {pinned})" if pinned and verdict.depth is not None else ""
        return "differs", f"{verdict.why}{where}"
    if not verdict.counts:
        return "set aside", f"pins {pinned}, but a stronger digest stands beside it (RFC 7671 section 9)"
    return "matches", f"pins {pinned}"


def _pinned(result: _Result, verdict: RecordVerdict) -> str:
    """Say what a record pins: which part, at which depth, whose."""
    record = verdict.record
    part = "the key of " if record.selector == 1 else ""
    if verdict.depth is not None:
        subject = pki.subject_text(result.chain.certificates_der[verdict.depth])
        return f"{part}certificate {verdict.depth}, {subject}"
    if not verdict.matches:
        return ""
    root = next((each for each in result.trusted or () if dane.selects(record, each)), None)
    if root is not None:
        return f"{part}a trusted CA, {pki.subject_text(root)}"
    return "a CA key that stands in the record alone" if part else f"{pki.subject_text(record.data)}, which it holds"


def _conclusion(result: _Result) -> str:
    if result.verdict == "matches":
        return "The chain matches: clients that obey DANE accept it."
    if result.verdict == "no-match":
        return "The chain does not match: clients that obey DANE refuse it."
    if result.port == SMTP_PORT:
        return "No record is usable: senders encrypt and do not authenticate (RFC 7672 section 2.2)."
    return "No record is usable: clients do what they do without DANE (RFC 6698 section 4.1)."


def _short(record: TlsaRecord) -> str:
    data = record.data.hex()
    return f"{record.spec} {data if len(data) <= 17 else f'{data[:16]}…'}"


def _json(result: _Result) -> Json:
    return {
        "schema": 1,
        "verdict": result.verdict,
        "at": f"{result.at:%Y-%m-%dT%H:%M:%SZ}",
        "names": list(result.names),
        "port": result.port,
        "trusted": None if result.trusted is None else len(result.trusted),
        "certificates": [_certificate_json(number, each) for number, each in enumerate(result.chain.certificates_der)],
        "records": [_record_json(result, each) for each in result.verdicts],
        "notes": [{"note": code, "text": text} for code, text in result.notes],
    }


def _certificate_json(depth: int, certificate_der: bytes) -> Json:
    dates = pki.validity(certificate_der)
    first, last = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in dates) if dates else (None, None)
    return {
        "depth": depth,
        "subject": pki.subject_text(certificate_der),
        "sha256": hashlib.sha256(certificate_der).hexdigest(),
        "not_before": first,
        "not_after": last,
    }


def _record_json(result: _Result, verdict: RecordVerdict) -> Json:
    record = verdict.record
    return {
        "record": str(record),
        "usage": record.usage,
        "selector": record.selector,
        "matching_type": record.matching_type,
        "data": record.data.hex(),
        "usable": verdict.usable,
        "counts": verdict.counts,
        "matches": verdict.matches,
        "depth": verdict.depth,
        "pins": _pinned(result, verdict) or None,
        "why": verdict.why or None,
    }
