"""Findings on the certificates presented: dates, names and chains, and for whom they decide.

For usages 0, 1 and 2 dates, names and chain decide. For usage 3 they do not (RFC 7671 section 5.1), and are said all
the same: Exchange wants an unexpired certificate whatever pins it, and senders that go by MTA-STS want all of it.
"""

from collections.abc import Iterator
from datetime import timedelta

from danelaw import pki
from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.matches import causes
from danelaw.dane.findings.records import automatic
from danelaw.dane.findings.seen import (
    accepted,
    and_so,
    at_addresses,
    counted,
    day,
    is_mail,
    leaf_out_of_date,
    listed,
    reached,
    refusing,
    shown,
    with_chain,
    with_outcome,
)
from danelaw.dane.matching import name_matches
from danelaw.model import Attempt, Chain, EndpointReport, Finding, Report, Sender, Severity
from danelaw.names import is_address

_UNDATED = 1
"""The year of a date that a presented certificate does not tell (`pki`)."""


def certificates(report: Report) -> Iterator[Finding]:
    """Say of each endpoint what is wrong with each certificate that it presents, one finding for all its addresses."""
    for endpoint in report.endpoints:
        groups: dict[Chain, list[Attempt]] = {}
        for attempt, chain in with_chain(endpoint):
            groups.setdefault(chain, []).append(attempt)
        for chain, attempts in groups.items():
            why = causes(endpoint, attempts[0], chain, report)
            refusing = _refusing_all_the_same(attempts)
            if leaf_out_of_date(chain, report.at):
                refusing -= {"exchange"}
            yield from _dates(report, endpoint, chain, attempts, decides="dates" in why)
            yield from _names(endpoint, chain, attempts, decides="names" in why, refused=bool(refusing))
            yield from _chain(endpoint, chain, attempts, decides="trust-anchor" in why)


def _refusing_all_the_same(attempts: list[Attempt]) -> set[Sender]:
    """Return who refuses what the records authenticate: Exchange looks at dates, Exim takes fewer names."""
    return set(with_outcome([each for each in attempts if accepted(each)], "deferred"))


def _tolerated(endpoint: EndpointReport, attempts: list[Attempt], what: str) -> str:
    """Return for whom it matters where no record makes it decide."""
    if not is_mail(endpoint):
        return f"clients without DANE refuse {what}"
    others = f"senders that go by MTA-STS refuse {what}"
    if any(each.matches and each.record.usage == 3 for attempt in attempts for each in attempt.records):
        return f"records of usage 3 do not mind, but {others}"
    if any(each.usable and each.record.usage == 2 for attempt in attempts for each in attempt.records):
        return f"records of usage 2 need better, and {others}"
    return others


# --- dates -----------------------------------------------------------------------------------------------------------


def _dates(
    report: Report, endpoint: EndpointReport, chain: Chain, attempts: list[Attempt], *, decides: bool
) -> Iterator[Finding]:
    above = reached(chain, None) if decides else frozenset()
    late = [one for one in chain.certificates_der if one in above and not pki.is_valid_at(one, report.at)]
    leaf_is_late = leaf_out_of_date(chain, report.at)
    if not leaf_is_late and not late:
        yield from _soon(report, endpoint, chain, attempts)
        return
    early = report.at < chain.not_before
    if leaf_is_late and _UNDATED in {chain.not_before.year, chain.not_after.year}:
        text = "the certificate has no dates that can be read"
    elif early:
        text = f"the certificate is not valid before {day(chain.not_before)}"
    elif leaf_is_late:
        ago = counted((report.at - chain.not_after).days, "day")
        text = f"the certificate expired on {day(chain.not_after)}, {ago} ago"
    else:
        text = f"the CA certificate {pki.subject_text(late[0])} that it presents is out of date"
    refused = decides or "exchange" in _refusing_all_the_same(attempts)
    severity: Severity = "warning"
    if refused:
        text, severity = refusing(text, attempts)
    else:
        text = f"{text}; {_tolerated(endpoint, attempts, 'it')}"
    yield finding(
        "certificate-not-yet-valid" if leaf_is_late and early else "certificate-expired",
        at_addresses(endpoint, attempts),
        text,
        _remedy(early=leaf_is_late and early, above=not leaf_is_late),
        severity,
    )


def _remedy(*, early: bool, above: bool) -> str:
    if above:
        return "Have it issued below a CA certificate that is in date, and let the service send that one."
    if early:
        return "See that the clocks of the CA, the server and this machine are right, or have it issued again."
    return (
        "Renew it over the same key, so that `3 1 1` stays true, and reload the service; `danelaw apply` does both in "
        "time."
    )


def _soon(report: Report, endpoint: EndpointReport, chain: Chain, attempts: list[Attempt]) -> Iterator[Finding]:
    """Say that nobody renewed: a tenth of the lifetime is left, and three weeks at most."""
    left = chain.not_after - report.at
    life = chain.not_after - chain.not_before
    if left < min(life / 10, timedelta(days=21)):
        hours = int(left.total_seconds() // 3600)
        machine = automatic(chain)
        yield finding(
            "certificate-expires-soon",
            at_addresses(endpoint, attempts),
            f"the certificate expires on {day(chain.not_after)}, in "
            f"{f'{left.days} days' if left.days > 1 else f'{hours} hours'}"
            f"{f', and it is {machine}: its renewal ought to have happened' if machine else ''}",
            "Renew it over the same key and reload the service; if that was done, the service was not reloaded.",
        )


# --- names -----------------------------------------------------------------------------------------------------------


def _names(
    endpoint: EndpointReport, chain: Chain, attempts: list[Attempt], *, decides: bool, refused: bool
) -> Iterator[Finding]:
    """``refused``: some sender takes fewer names than the records' reference identifiers."""
    has = listed(shown(name, 80) for name in chain.names) or "no DNS name"
    wanted = endpoint.tlsa.reference_names or (endpoint.host,)
    fitting = listed(name for name in wanted if name_matches(name, chain.names))
    remedy = f"Have it issued for {endpoint.tlsa.base or endpoint.host} too, over the same key."
    subject = at_addresses(endpoint, attempts)
    if decides:
        text, severity = refusing(f"the certificate is for {has}, and not for {listed(wanted, 'or')}", attempts)
        yield finding("name-mismatch", subject, text, remedy, severity)
    elif refused:
        text = f"the certificate is for {has}, and not for {wanted[0]}, the one name that all senders take"
        yield finding("name-mismatch", subject, and_so(text, attempts), remedy)
    elif _wants_its_name(endpoint, fitting) and not name_matches(endpoint.host, chain.names):
        but = f"{fitting} is a name that DANE takes, MTA-STS not" if fitting else _tolerated(endpoint, attempts, "it")
        text = f"the certificate is for {has}, and not for this host; {but}"
        yield finding("name-mismatch", subject, text, "Have it issued for the host too, over the same key.", "warning")


def _wants_its_name(endpoint: EndpointReport, fitting: str) -> bool:
    """Return whether somebody refuses a leaf without the host's own name: of other services the domain's will do."""
    return not is_address(endpoint.host) and (is_mail(endpoint) or not fitting)


# --- chains ----------------------------------------------------------------------------------------------------------


def _chain(endpoint: EndpointReport, chain: Chain, attempts: list[Attempt], *, decides: bool) -> Iterator[Finding]:
    # Its issuer may be there and have no right to issue it, which is another fault.
    issued = any(pki.is_issued_by(chain.leaf_der, other) for other in chain.certificates_der[1:])
    incomplete = not self_issued(chain.leaf_der) and not issued
    if decides:
        records = [each.record for each in attempts[0].records if each.usable and each.record.usage in {0, 2}]
        specs = listed(dict.fromkeys(str(record.spec) for record in records))
        above = len(chain.certificates_der) - 1
        shows = (
            f"{above} certificates above its own" if above > 1 else "one above its own" if above else "its own alone"
        )
        text, severity = refusing(
            f"the CA certificate that {specs} pins is not among those that it presents ({shows}): it is left out "
            "of the chain, or the CA now issues by another",
            attempts,
        )
        yield finding(
            "ta-not-presented",
            at_addresses(endpoint, attempts),
            text,
            "Let the service send the whole chain up to the pinned CA, or publish the record of the CA that it does "
            f"send (`danelaw tlsa --record '2 1 1' {endpoint.name}`). `3 1 1` needs no chain.",
            severity,
        )
    if incomplete:
        yield finding(
            "chain-incomplete",
            at_addresses(endpoint, attempts),
            f"it does not send the certificate of its issuer, {_issuer(chain.leaf_der)}"
            + (", which the records need" if decides else f"; {_tolerated(endpoint, attempts, 'such a chain')}"),
            "Give the service the file with the whole chain (certbot: fullchain.pem, not cert.pem).",
            "error" if decides and with_outcome(attempts, "deferred") else "warning",
        )


def self_issued(certificate_der: bytes) -> bool:
    """Return whether a certificate names itself as its issuer; True too of one that cannot be read."""
    certificate = pki.load(certificate_der)
    try:
        return certificate is None or certificate.issuer == certificate.subject
    except ValueError:
        return True


def _issuer(certificate_der: bytes) -> str:
    certificate = pki.load(certificate_der)
    try:
        text = certificate.issuer.rfc4514_string() if certificate is not None else ""
    except ValueError:
        text = ""
    return shown(text, 120) or "whose name cannot be read"
