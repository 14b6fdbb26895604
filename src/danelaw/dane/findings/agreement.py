"""Findings on MTA-STS and TLSRPT: whether they are there, readable, and true of the hosts (RFC 8461, RFC 8460)."""

from collections.abc import Iterator

from danelaw.dane.findings.certificates import self_issued
from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.seen import (
    BEFORE_TLS,
    at_addresses,
    beside,
    day,
    duration,
    leaf_out_of_date,
    listed,
    shown,
    with_chain,
)
from danelaw.dane.matching import name_matches
from danelaw.dane.policy import (
    MAX_AGE,
    Fault,
    StsPolicy,
    lists,
    parse_sts_policy,
    parse_sts_record,
    parse_tls_reporting,
)
from danelaw.model import Attempt, Chain, EndpointReport, Finding, LookedUp, Report, Severity

SHORTEST_AGE = 86400
"""Seconds; weeks are usual (RFC 8461 section 3.2)."""


def mta_sts(report: Report) -> Iterator[Finding]:
    """Say how a domain's MTA-STS is, and whether it agrees with what its hosts present."""
    domain = report.target.name
    found = beside(report, f"_mta-sts.{domain}", "TXT")
    if found is None or found.ours:
        return
    if found.failed:
        yield _failed(found, "MTA-STS")
        return
    record = parse_sts_record(found.texts)
    if record is None:
        yield finding(
            "mta-sts-missing",
            domain,
            "there is no MTA-STS policy, so senders that know it and not DANE (Gmail, for one) are not told to insist "
            "on TLS",
            f"Publish a TXT record at {found.lookup.name}. and a policy at https://mta-sts.{domain}/.well-known/mta-sts.txt.",
        )
        return
    if isinstance(record, Fault):
        yield finding(
            "mta-sts-record-malformed",
            domain,
            f"senders ignore the TXT record at {found.lookup.name}.: {record.why}",
            "Let one record be `v=STSv1; id=20260601;`, its id new with each change of the policy.",
        )
        return
    yield from _policy(report)


def _policy(report: Report) -> Iterator[Finding]:
    domain, found = report.target.name, report.policy
    if found is None or found.ours:
        return
    if found.text is None:
        yield finding(
            "mta-sts-unreadable",
            domain,
            f"the MTA-STS policy cannot be fetched: {shown(found.problem, 300)}",
            f"Serve https://mta-sts.{domain}/.well-known/mta-sts.txt with status 200, as text/plain, without a "
            f"redirect, by a certificate for mta-sts.{domain} that browsers trust.",
        )
        return
    policy = parse_sts_policy(found.text)
    if isinstance(policy, Fault):
        yield finding(
            "mta-sts-policy-malformed",
            domain,
            f"senders ignore the MTA-STS policy: {policy.why}",
            "Let it have the lines `version: STSv1`, `mode: enforce`, `mx: HOST` for each MX host, `max_age: 604800`.",
        )
        return
    yield from _judged(report, policy)


def _judged(report: Report, policy: StsPolicy) -> Iterator[Finding]:
    domain = report.target.name
    if not SHORTEST_AGE <= policy.max_age <= MAX_AGE:
        yield finding(
            "mta-sts-max-age",
            domain,
            f"senders are told to keep the MTA-STS policy for {duration(policy.max_age)}; "
            + (
                "a policy that is forgotten soon protects little"
                if policy.max_age < SHORTEST_AGE
                else "a year is the most"
            ),
            "Set max_age to 604800 (a week) or more, 31557600 at most.",
        )
    if policy.mode == "none":
        yield finding("mta-sts-not-enforced", domain, "the MTA-STS policy says mode: none, so it protects nothing")
        return
    severity: Severity = "error" if policy.mode == "enforce" else "warning"
    result = "do not deliver to it" if policy.mode == "enforce" else "report it, and would not deliver if it enforced"
    wrong = False
    for endpoint in report.endpoints:
        if not lists(policy, endpoint.host):
            wrong = True
            yield finding(
                "mta-sts-host-not-listed",
                endpoint.name,
                f"the MTA-STS policy (mode: {policy.mode}) lists {listed(policy.mx)} and not this host: senders that "
                f"go by it {result}",
                f"Add `mx: {endpoint.host}` to the policy and change the id of the TXT record.",
                severity,
            )
        for text, attempts in _refused(report, endpoint).items():
            wrong = True
            yield finding(
                "mta-sts-certificate",
                at_addresses(endpoint, attempts),
                f"{text}: senders that go by the MTA-STS policy (mode: {policy.mode}) {result}",
                f"Present a certificate for {endpoint.host} of a public CA; with `3 1 1` it may be renewed over the "
                "same key.",
                severity,
            )
        # What fails there has its own finding; but who goes by the policy does not deliver (RFC 8461 section 4.2).
        wrong = wrong or any(_without_tls(each) for each in endpoint.attempts)
    if policy.mode == "testing":
        yield finding(
            "mta-sts-not-enforced",
            domain,
            "the MTA-STS policy says mode: testing, so senders deliver whatever they find",
            "" if wrong else "Nothing seen here speaks against mode: enforce.",
        )
    elif not wrong and report.endpoints:
        yield finding(
            "mta-sts-enforced",
            domain,
            f"the MTA-STS policy says mode: enforce, and lists {listed(each.host for each in report.endpoints)}",
        )


def _without_tls(attempt: Attempt) -> bool:
    failure = attempt.shaken.failure
    return failure is not None and failure not in BEFORE_TLS and failure != "not-offered"


def _refused(report: Report, endpoint: EndpointReport) -> dict[str, list[Attempt]]:
    """Return why senders that go by MTA-STS refuse what is presented, as far as it can be told without their roots."""
    found: dict[str, list[Attempt]] = {}
    for attempt, chain in with_chain(endpoint):
        text = _refusal(report, endpoint.host, chain)
        if text:
            found.setdefault(text, []).append(attempt)
    return found


def _refusal(report: Report, host: str, chain: Chain) -> str:
    if leaf_out_of_date(chain, report.at):
        early = report.at < chain.not_before
        return f"the certificate {'is not valid before' if early else 'expired on'} " + day(
            chain.not_before if early else chain.not_after
        )
    if not name_matches(host, chain.names):
        return "the certificate is not for this host"
    return "the certificate is self-signed" if self_issued(chain.leaf_der) else ""


def tls_reporting(report: Report) -> Iterator[Finding]:
    """Say whether senders are asked to report what fails (RFC 8460 section 3)."""
    domain = report.target.name
    found = beside(report, f"_smtp._tls.{domain}", "TXT")
    if found is None or found.ours:
        return
    if found.failed:
        yield _failed(found, "TLSRPT")
        return
    wanted = parse_tls_reporting(found.texts)
    if wanted is None:
        yield finding(
            "tlsrpt-missing",
            domain,
            "there is no TLSRPT record, so nobody reports failures of DANE or MTA-STS",
            f'Publish `{found.lookup.name}. IN TXT "v=TLSRPTv1; rua=mailto:POSTMASTER@{domain}"`.',
        )
    elif isinstance(wanted, Fault):
        yield finding(
            "tlsrpt-malformed",
            domain,
            f"senders ignore the TXT record at {found.lookup.name}.: {wanted.why}",
            "Let one record be `v=TLSRPTv1; rua=mailto:ADDRESS`.",
        )
    else:
        yield finding(
            "tlsrpt-present", domain, f"senders report failures to {listed(shown(uri, 100) for uri in wanted.rua)}"
        )


def _failed(found: LookedUp, what: str) -> Finding:
    bogus = found.security == "bogus"
    why = f": {shown(found.why, 300)}" if found.why else ""
    return finding(
        "policy-lookup-failed",
        found.lookup.name,
        f"the look-up of {what} {'is bogus' if bogus else f'fails ({shown(found.rcode, 20)})'}{why}",
        "Ask each of the zone's name servers for it, and mend the zone's signatures.",
    )
