"""Findings on the TLSA records themselves: those that nobody can use, too many, and those that will break."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from danelaw import pki
from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.seen import counted, day, effect, is_mail, listed, with_chain
from danelaw.dane.tlsa import DIGEST_LENGTHS, usable
from danelaw.model import Chain, EndpointReport, Finding, RecordSpec, Report, TlsaRecord

MOST_RECORDS = 12
"""Some senders handle no more for one host."""

EMPTY_DIGESTS = frozenset({hashlib.sha256(b"").digest(), hashlib.sha512(b"").digest()})

SHORT_LIFE = timedelta(days=100)
"""Who issues for so short a time expects a machine to renew."""

_AUTOMATIC = ("let's encrypt", "zerossl", "google trust services", "buypass", "pebble", "sectigo")
"""CAs by whose names one knows that ACME renews, whatever the lifetime. Lower case."""

_REPLACE = "Replace them by `3 1 1` of the key in use: `danelaw tlsa HOST:PORT` prints it."


def unusable(report: Report) -> Iterator[Finding]:
    """Say which records nobody can use, and why (RFC 6698 section 4.1, RFC 7672 section 3.1)."""
    for endpoint in report.endpoints:
        state, smtp = endpoint.tlsa, is_mail(endpoint)
        found = state.found
        if found is not None and found.malformed and state.kind != "error":
            yield finding(
                "malformed-records",
                endpoint.name,
                f"{counted(found.malformed, 'record')} at {state.owner} cannot be read as TLSA: less than a usage, a "
                "selector, a matching type and data",
                _REPLACE,
            )
        if state.kind == "unusable":
            yield _none_usable(report, endpoint, smtp=smtp)
        for code, told, is_so in _REASONS:
            records = [each for each in state.records if not usable(each, smtp=smtp) and is_so(each)]
            if records:
                several = listed(dict.fromkeys(_short(each) for each in records))
                yield finding(code, endpoint.name, f"{several}: {told(records[0])}", _REPLACE)
        empty = [each for each in state.records if each.data in EMPTY_DIGESTS]
        if empty:
            yield finding(
                "empty-digest",
                endpoint.name,
                f"{listed(_short(each) for each in empty)}: the digest of an empty string, which a script makes whose "
                "command printed nothing; it matches no certificate ever",
                "Make the record again from the certificate or key: `danelaw tlsa FILE` never prints this.",
            )


def _parameters_unknown(record: TlsaRecord) -> bool:
    return record.usage > 3 or record.selector > 1 or record.matching_type > 2


def _digest_is_wrong(record: TlsaRecord) -> bool:
    length = DIGEST_LENGTHS.get(record.matching_type)
    return not _parameters_unknown(record) and length is not None and len(record.data) != length


def _is_broken(record: TlsaRecord) -> bool:
    return not _parameters_unknown(record) and record.matching_type == 0 and not usable(record, smtp=False)


def _digest_told(record: TlsaRecord) -> str:
    digest = "SHA-256" if record.matching_type == 1 else "SHA-512"
    return (
        f"the data has {len(record.data)} octets, {digest} has {DIGEST_LENGTHS[record.matching_type]}, so senders "
        "ignore it"
    )


_REASONS: tuple[tuple[str, Callable[[TlsaRecord], str], Callable[[TlsaRecord], bool]], ...] = (
    (
        "unusable-parameters",
        lambda _: "a usage above 3, a selector above 1 or a matching type above 2 means nothing, so senders ignore it",
        _parameters_unknown,
    ),
    ("wrong-digest-length", _digest_told, _digest_is_wrong),
    (
        "full-data-broken",
        lambda record: (
            f"full data that is no {'public key' if record.selector else 'certificate'}, and senders ignore it"
        ),
        _is_broken,
    ),
    (
        "usage-at-port-25",
        lambda _: "usages 0 and 1 are not defined at port 25, and Postfix, Exim, mox and Exchange ignore them",
        lambda record: record.usage in {0, 1} and usable(record, smtp=False),
    ),
)


def _none_usable(report: Report, endpoint: EndpointReport, *, smtp: bool) -> Finding:
    number = len(endpoint.tlsa.records) + (endpoint.tlsa.found.malformed if endpoint.tlsa.found else 0)
    every = "its only TLSA record cannot be used" if number == 1 else f"none of its {number} TLSA records can be used"
    if not smtp:
        return finding(
            "all-unusable",
            endpoint.name,
            f"{every}: clients check the certificate as if there were none",
            _REPLACE,
            "warning",
        )
    result = effect(endpoint.attempts)
    discovery = report.discovery
    if discovery.kind == "listed" and discovery.found is not None and discovery.found.security == "insecure":
        # RFC 7672 section 2.2.1: the others do not look for records behind an insecure MX
        text = f"{every}: Postfix insists on TLS and authenticates nobody{f', and {result}' if result else ''}"
        return finding("all-unusable", endpoint.name, text, _REPLACE, "error" if result else "warning")
    result = result or "Exim does not deliver here"
    return finding(
        "all-unusable",
        endpoint.name,
        f"{every}: senders insist on TLS and authenticate nobody, and {result}",
        _REPLACE,
    )


def _short(record: TlsaRecord) -> str:
    digits = record.data.hex()
    return f"{record.spec} {digits[:16]}…" if len(digits) > 16 else f"{record.spec} {digits}".rstrip()


def too_many(report: Report) -> Iterator[Finding]:
    """Say where there are more records than some senders handle."""
    for endpoint in report.endpoints:
        number = len(endpoint.tlsa.records)
        if number > MOST_RECORDS:
            yield finding(
                "too-many-records",
                endpoint.name,
                f"{number} TLSA records at {endpoint.tlsa.owner}: some senders handle about {MOST_RECORDS} and then "
                "fail, and the answer may not fit a datagram",
                "Keep one `3 1 1` for each key in use and one for the next; remove the others.",
            )


# --- what the next renewal breaks ------------------------------------------------------------------------------------


def breaking_at_renewal(report: Report) -> Iterator[Finding]:
    """Say which records hold a whole certificate that a machine will replace, and about when (RFC 7671 section 5.1)."""
    for endpoint in report.endpoints:
        specs: dict[RecordSpec, None] = {}
        dates: list[datetime] = []
        whose = ""
        stays = True
        for attempt, chain in with_chain(endpoint):
            fitting = [each for each in attempt.records if each.matches]
            pinned = [each.record for each in fitting if each.record.usage in {1, 3} and each.record.selector == 0]
            reason = automatic(chain)
            if not pinned or not reason:
                continue
            whose = reason
            specs.update(dict.fromkeys(record.spec for record in pinned))
            dates.append(renewal(chain))
            stays = stays and any(each.counts and each.record not in pinned for each in fitting)
        if not specs:
            continue
        at = min(dates)
        when = f"about {day(at)}" if at > report.at else "any day now"
        kept = "; the other records still match then" if stays else ", and senders do not deliver from then on"
        yield finding(
            "selector-0-automatic",
            endpoint.name,
            f"{listed(map(str, specs))} holds the whole certificate, which is {whose}: the next renewal ({when}) "
            f"leaves it stale{kept}",
            f"Publish `3 1 1` of the key in its place (`danelaw tlsa {endpoint.name}`) and renew over the same key "
            "(certbot: `--reuse-key`). danelaw itself publishes the new record before it deploys the certificate.",
        )


def automatic(chain: Chain) -> str:
    """Return why a machine probably renews a certificate, in words; "" where nothing tells."""
    life = chain.not_after - chain.not_before
    certificate = pki.load(chain.leaf_der)
    try:
        issuer = certificate.issuer.rfc4514_string().lower() if certificate is not None else ""
    except ValueError:
        issuer = ""
    name = next((each for each in _AUTOMATIC if each in issuer), "")
    if name:
        return f"of an automatic CA ({name.title().replace(chr(39) + 'S', chr(39) + 's')})"
    return f"valid for {life.days} days only" if timedelta(0) < life <= SHORT_LIFE else ""


def renewal(chain: Chain) -> datetime:
    """Return about when a machine renews: at a third of the lifetime left, half where it is under ten days."""
    life = max(chain.not_after - chain.not_before, timedelta(0))
    return chain.not_after - (life / 2 if life < timedelta(days=10) else life / 3)
