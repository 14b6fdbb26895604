"""A report as the JSON document that docs/check-json.md describes, field by field.

Fields are added without notice; a field that goes, or changes its meaning, makes another ``schema``. Bytes are
hexadecimal, instants UTC (``2026-11-24T13:00:00Z``), spans seconds; what is not known or does not apply is null.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

from danelaw import __version__, pki
from danelaw.errors import InputError
from danelaw.model import (
    Attempt,
    Chain,
    EndpointReport,
    Finding,
    LookedUp,
    OwnerLook,
    PolicyFound,
    Reading,
    RecordVerdict,
    Report,
    Target,
    TlsaRecord,
    TlsaState,
    Unanswered,
)

SCHEMA = 1
"""The version of the document."""

MOST_NAMES = 100
"""Names of one certificate that are listed."""

MOST_CERTIFICATES = 20
"""Certificates of one chain that are listed."""

Json = dict[str, Any]


def document(report: Report) -> Json:
    """Return a report as what `json` can print."""
    return {
        "schema": SCHEMA,
        "danelaw": __version__,
        "target": _target(report.target),
        "at": _instant(report.at),
        "status": report.status,
        "senders": {
            sender: {"outcome": outcome, "delivers": report.delivers.get(sender)}
            for sender, outcome in report.outcomes.items()
        },
        "findings": [_finding(each) for each in report.findings],
        "discovery": {
            "kind": report.discovery.kind,
            "lookup": _lookup(report.discovery.found),
            "left_out": list(report.discovery.left_out),
        },
        "endpoints": [_endpoint(each) for each in report.endpoints],
        "policy": _policy(report.policy),
        "beside": [_lookup(each) for each in report.beside],
    }


def _target(target: Target) -> Json:
    return {
        "text": str(target),
        "name": target.name,
        "port": target.port,
        "protocol": target.protocol,
        "service": target.service or None,
    }


def _finding(finding: Finding) -> Json:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "subject": finding.subject,
        "text": finding.text,
        "remedy": finding.remedy,
        "rfc": finding.rfc,
    }


def _lookup(found: LookedUp | None) -> Json | None:
    if found is None:
        return None
    return {
        "name": found.lookup.name,
        "type": found.lookup.rrtype,
        "security": found.security,
        "rcode": found.rcode,
        "canonical": found.canonical or None,
        "records": _presented(found),
        "malformed": found.malformed,
        "ttl": found.ttl,
        "original_ttl": found.original_ttl,
        "signature_expires": _instant(found.expires),
        "why": found.why,
        "ours": found.ours,
        "warnings": list(found.warnings),
    }


def _presented(found: LookedUp) -> list[str]:
    """Return the records as a zone file writes their data, names without the final dot, the root as a dot."""
    return [
        *found.addresses,
        *(f"{each.preference} {each.host or '.'}" for each in found.mx),
        *(f"{each.priority} {each.weight} {each.port} {each.target or '.'}" for each in found.srv),
        *map(str, found.tlsa),
        *found.texts,
    ]


def _endpoint(endpoint: EndpointReport) -> Json:
    return {
        "name": endpoint.name,
        "host": endpoint.host,
        "port": endpoint.port,
        "protocol": endpoint.protocol,
        "preference": endpoint.preference,
        "canonical": endpoint.canonical,
        "addresses": list(endpoint.addresses),
        "security": endpoint.security,
        "first_alias": endpoint.first_alias,
        "why": endpoint.why,
        "senders": dict(endpoint.outcomes),
        "lookups": [_lookup(each) for each in endpoint.lookups],
        "tlsa": _tlsa(endpoint.tlsa),
        "attempts": [_attempt(each) for each in endpoint.attempts],
    }


def _tlsa(tlsa: TlsaState) -> Json:
    return {
        "kind": tlsa.kind,
        "base": tlsa.base or None,
        "owner": tlsa.owner or None,
        "asked": list(tlsa.asked),
        "records": [_record(each) for each in tlsa.records],
        "reference_names": list(tlsa.reference_names),
        "why": tlsa.why,
        "lookup": _lookup(tlsa.found),
        "authorities": _authorities(tlsa.authorities),
    }


def _record(record: TlsaRecord) -> Json:
    return {
        "usage": record.usage,
        "selector": record.selector,
        "matching_type": record.matching_type,
        "data": record.data.hex(),
    }


def _authorities(look: OwnerLook | None) -> Json | None:
    if look is None:
        return None
    servers = [_reading(each) for each in look.readings] + [_unanswered(each) for each in look.unanswered]
    for server in servers:
        server["ns_ttl"] = look.servers.get(server["server"])
    return {
        "zone": look.zone or None,
        "target": look.target,
        "servers": sorted(servers, key=lambda each: str(each["server"])),
        "left_out": list(look.left_out),
        "host_wildcard": look.host_wildcard,
        "problem": look.problem,
    }


def _reading(reading: Reading) -> Json:
    return {
        "server": reading.server,
        "rcode": reading.rcode,
        "records": [str(each) for each in reading.rdatas],
        "ttl": reading.ttl,
        "original_ttl": reading.original_ttl,
        "cname_ttl": reading.cname_ttl,
        "signature_expires": _instant(reading.rrsig_expires),
        "wildcard": reading.wildcard,
        "problem": None,
    }


def _unanswered(unanswered: Unanswered) -> Json:
    return {
        "server": unanswered.server,
        "rcode": None,
        "records": [],
        "ttl": None,
        "original_ttl": None,
        "cname_ttl": None,
        "signature_expires": None,
        "wildcard": False,
        "problem": unanswered.problem,
    }


def _attempt(attempt: Attempt) -> Json:
    shaken = attempt.shaken
    return {
        "address": attempt.address,
        "through": shaken.through or None,
        "algorithm": attempt.algorithm,
        "failure": shaken.failure,
        "detail": shaken.detail,
        "tls_version": shaken.version or None,
        "banner": shaken.banner or None,
        "senders": dict(attempt.outcomes),
        "records": [_verdict(each) for each in attempt.records],
        "chain": None if shaken.chain is None else _chain(shaken.chain),
    }


def _verdict(verdict: RecordVerdict) -> Json:
    return {
        "record": str(verdict.record),
        "usable": verdict.usable,
        "counts": verdict.counts,
        "matches": verdict.matches,
        "depth": verdict.depth,
        "why": verdict.why,
    }


def _chain(chain: Chain) -> list[Json]:
    return [dict(_certificate(certificate_der)) for certificate_der in chain.certificates_der[:MOST_CERTIFICATES]]


@lru_cache(maxsize=256)
def _certificate(certificate_der: bytes) -> Json:
    """Return what a certificate says; of what is none, which only a peer's chain may hold, its size alone."""
    try:
        read = pki.chain_from_der([certificate_der])
    except InputError:
        return {
            "subject": None,
            "names": [],
            "not_before": None,
            "not_after": None,
            "algorithm": None,
            "spki_sha256": None,
            "sha256": None,
            "bytes": len(certificate_der),
        }
    return {
        "subject": pki.subject_text(certificate_der),
        "names": list(read.names[:MOST_NAMES]),
        "not_before": _instant(read.not_before),
        "not_after": _instant(read.not_after),
        "algorithm": read.algorithm,
        "spki_sha256": read.spki_sha256,
        "sha256": read.leaf_sha256,
        "bytes": len(certificate_der),
    }


def _policy(policy: PolicyFound | None) -> Json | None:
    if policy is None:
        return None
    return {
        "domain": policy.fetch.domain,
        "text": policy.text,
        "problem": policy.problem,
        "ours": policy.ours,
    }


def _instant(at: datetime | None) -> str | None:
    """Return an instant; None for a date that a certificate does not tell (year 1)."""
    if at is None or at.year == 1:
        return None
    return f"{at.year:04}-{at:%m-%dT%H:%M:%SZ}"
