"""Everything that is worth saying about a check, told from its report alone: what was found, and what to do about it.

`CODES` declares every finding: its stable code, its severities, where it stands. docs/findings.md says the same for
people. Nothing here asks or decides anything: the senders' verdicts stand in the report already.

A finding's text follows its subject as a colon would have it: lower case, no full stop. Its remedy is sentences.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from danelaw.dane.findings import (
    agreement,
    certificates,
    connections,
    discovery,
    matches,
    names,
    own,
    records,
    servers,
)
from danelaw.dane.findings.codes import CODES, SEVERITIES, Code
from danelaw.dane.findings.seen import listed
from danelaw.model import Finding, Report

__all__ = ["CODES", "SEVERITIES", "Code", "find"]

_NONE: Mapping[str, int] = MappingProxyType({})

_LOOKS: tuple[Callable[[Report], Iterable[Finding]], ...] = (
    discovery.found_hosts,
    discovery.kinds_of_discovery,
    discovery.mx_records,
    discovery.hosts,
    discovery.addresses_left_out,
    discovery.together,
    names.addresses,
    names.tlsa_lookups,
    names.records_elsewhere,
    names.above_the_records,
    names.signing,
    names.signatures,
    servers.authorities,
    servers.wildcards,
    records.unusable,
    records.too_many,
    records.breaking_at_renewal,
    matches.mismatches,
    matches.stale,
    connections.failures,
    connections.old_versions,
    certificates.certificates,
    agreement.mta_sts,
    agreement.tls_reporting,
    own.blindness,
    own.roots,
    own.failures,
)


def find(report: Report, ttls: Mapping[str, int] = _NONE) -> tuple[Finding, ...]:
    """Return the findings on a report, the gravest first, then by subject.

    ``ttls`` is what the config asks for by owner name (with the final dot), in seconds. What is the same of several
    subjects is said once. The report's own ``findings`` are not looked at.
    """
    found = [each for look in _LOOKS for each in look(report)]
    found += servers.ttls(report, ttls)
    return tuple(sorted(_said_once(found), key=lambda each: (SEVERITIES.index(each.severity), each.subject)))


def _said_once(found: Iterable[Finding]) -> Iterable[Finding]:
    """Put findings that differ in their subjects alone together."""
    subjects: dict[Finding, list[str]] = {}
    for each in found:
        subjects.setdefault(replace(each, subject=""), []).append(each.subject)
    return [replace(each, subject=listed(names)) for each, names in subjects.items()]
