"""Findings on what this machine cannot see, so that nobody takes it for the target's fault."""

from collections.abc import Iterator

from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.seen import all_lookups, listed, port_25_is_blocked, shown, wants_roots
from danelaw.model import Finding, Report


def blindness(report: Report) -> Iterator[Finding]:
    """Say which ways this machine does not have: IPv6, port 25, single addresses."""
    subject = str(report.target)
    attempts = [attempt for endpoint in report.endpoints for attempt in endpoint.attempts]
    no_route = list(dict.fromkeys(each.address for each in attempts if each.shaken.failure == "no-route"))
    servers = [
        server
        for endpoint in report.endpoints
        if endpoint.tlsa.authorities is not None
        for server in endpoint.tlsa.authorities.left_out
    ]
    unseen = list(dict.fromkeys((*(each for each in no_route if ":" in each), *servers)))
    if unseen:
        yield finding(
            "own-no-ipv6" if all(":" in each for each in unseen) else "own-no-route",
            subject,
            f"this machine has no way to {listed(unseen)}: what is there was not looked at",
            "Check again from a machine with IPv6." if all(":" in each for each in unseen) else "",
        )
    if four := [each for each in no_route if ":" not in each]:
        yield finding(
            "own-no-route",
            subject,
            f"this machine has no way to {listed(four)}: what is there was not looked at",
            "See whether this machine has a network and a default route.",
        )
    if port_25_is_blocked(report):
        many = len({each.address for each in attempts}) > 1
        yield finding(
            "own-port-25-blocked",
            subject,
            f"no connection to port 25 comes about, at {'any' if many else 'the only'} address: either this machine "
            "may not reach port 25, as at many providers, or nothing answers there",
            "Try another domain that surely works; if it fails too, have port 25 opened, or check from elsewhere.",
        )
    forbidden = list(dict.fromkeys(each.address for each in attempts if each.shaken.failure == "forbidden"))
    if forbidden:
        yield finding(
            "own-forbidden",
            subject,
            f"{listed(forbidden)}: this check may not connect there, since a stranger's domain must not lead into "
            "private networks",
            "Check on a machine of that network by `danelaw check`, or allow it in the configuration of the service.",
        )
    late = list(dict.fromkeys(each.address for each in attempts if each.shaken.failure == "not-asked"))
    if late:
        yield finding(
            "own-not-asked",
            subject,
            f"{listed(late)}: the check had to end before everything there was asked",
            "Check again, or the hosts one by one as HOST:25.",
        )


def roots(report: Report) -> Iterator[Finding]:
    """Say where records of usages 0 and 1 cannot be judged, since this machine knows no trusted CA."""
    wanting = [each.name for each in report.endpoints if any(wants_roots(each, attempt) for attempt in each.attempts)]
    if wanting:
        yield finding(
            "own-no-roots",
            str(report.target),
            f"the TLSA records of {listed(wanting)} count where a trusted CA stands behind them, and this machine has "
            "no list of trusted CAs",
            "Install the system's CA certificates (Debian: ca-certificates).",
        )


def failures(report: Report) -> Iterator[Finding]:
    """Say which look-ups and fetches failed because of this machine."""
    failed = [each for each in all_lookups(report) if each.ours]
    if failed:
        names = listed(f"{each.lookup.name} {each.lookup.rrtype}" for each in failed)
        why = next((each.why for each in failed if each.why), "")
        yield finding(
            "own-lookup-failed",
            str(report.target),
            f"this machine cannot look up {names}{f': {shown(why, 300)}' if why else ''}",
            "See whether this machine has a network and the right time, and `[resolver]` one that answers.",
        )
    if report.policy is not None and report.policy.ours:
        yield finding(
            "own-fetch-failed",
            str(report.target),
            f"this machine could not fetch the MTA-STS policy: {shown(report.policy.problem, 300)}",
            "See whether this machine reaches port 443 of other hosts.",
        )
