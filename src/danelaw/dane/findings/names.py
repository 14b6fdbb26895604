"""Findings on what DNS says of a host: its addresses, its TLSA records, and the signatures over both."""

from collections.abc import Iterator
from datetime import timedelta

from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.seen import (
    all_lookups,
    because,
    beside,
    counted,
    is_mail,
    listed,
    minute,
    protects,
    shown,
    visitors,
)
from danelaw.model import EndpointReport, Finding, LookedUp, Report, Severity

SOON = timedelta(days=2)
"""A signature with less left is said. Some servers sign as they answer, for a day or two: so this alone is a note."""

VERY_SOON = timedelta(days=1)
"""With less left than the usual longest TTL, a signature that is not renewed now ends in caches, too: a warning."""

_MEND = "Mend the zone's signatures or the DS records at its parent; `delv` shows the same step."
_SIGN = "Sign the zone that holds it with DNSSEC and have the DS record put into its parent zone."


def addresses(report: Report) -> Iterator[Finding]:
    """Say of each host how the look-ups of its addresses went."""
    for endpoint in report.endpoints:
        failed = [each for each in endpoint.lookups if each.failed and not each.ours]
        types = listed(each.lookup.rrtype for each in failed)
        why = next((each.why for each in failed if each.why), "")
        if any(each.security == "bogus" for each in failed):
            yield finding(
                "address-bogus",
                endpoint.name,
                f"the look-up of its addresses ({types}) is bogus, so {visitors(endpoint)} take the host for "
                f"unreachable{because(why)}",
                _MEND,
            )
        elif failed:
            yield finding(
                "address-lookup-failed",
                endpoint.name,
                f"the look-up of its addresses ({types}) fails ({listed(each.rcode for each in failed)}), so "
                f"{visitors(endpoint)} take the host for unreachable{because(why)}",
                "Ask each of the zone's name servers for it, and mend or remove those that do not answer.",
            )
        elif endpoint.security == "insecure" and endpoint.addresses and endpoint.tlsa.owner:
            yield _insecure(report, endpoint)


def _insecure(report: Report, endpoint: EndpointReport) -> Finding:
    if endpoint.first_alias == "secure" and endpoint.canonical != endpoint.host:
        return finding(
            "alias-insecure",
            endpoint.name,
            f"it is a signed alias of {shown(endpoint.canonical)}, whose addresses are not signed: TLSA records count "
            f"at {endpoint.host} alone, and not everybody looks there",
            "Give the host A and AAAA records of its own in the signed zone, or have the alias's target signed.",
        )
    found = beside(report, endpoint.tlsa.owner.removesuffix("."), "TLSA")
    records = counted(len(found.tlsa), "record") if found is not None and found.tlsa else ""
    return finding(
        "address-insecure",
        endpoint.name,
        f"its A and AAAA records are not signed, so nobody asks for its TLSA records ({records} there) and DANE "
        "does not protect it"
        if records
        else "its A and AAAA records are not signed, so nobody asks for its TLSA records and DANE cannot protect it",
        _SIGN,
        "error" if records else "warning",
    )


_GOING_ON = frozenset({"opportunistic", "encrypted", "authenticated"})


def tlsa_lookups(report: Report) -> Iterator[Finding]:
    """Say of each host how the look-up of its TLSA records went."""
    for endpoint in report.endpoints:
        state = endpoint.tlsa
        if state.kind == "error":
            if state.found is not None and state.found.ours:
                continue
            # RFC 7673 section 3.1: behind unsigned SRV records clients do not ask either.
            yield _failed(endpoint, state.found, "note" if endpoint.outcomes.get("client") in _GOING_ON else "error")
        elif state.kind == "not-asked" and state.owner:
            # Below insecure addresses nobody asks, so a name server's silence harms nobody (RFC 7672 section 2.2.2).
            found = beside(report, state.owner.removesuffix("."), "TLSA")
            if found is not None and found.failed and not found.ours:
                yield _failed(endpoint, found, "note")
        elif state.kind == "insecure":
            yield _unsigned(endpoint)
        elif state.kind == "none" and endpoint.addresses:
            yield finding(
                "no-tlsa",
                endpoint.name,
                f"there are no TLSA records at {listed(state.asked, 'or') or state.owner}, so mail to it is not "
                "protected by DANE"
                if endpoint.protocol == "smtp"
                else f"there are no TLSA records at {listed(state.asked, 'or') or state.owner}",
                f"Publish `3 1 1` of its key: `danelaw tlsa {endpoint.name}` prints the record, `danelaw apply` "
                "publishes and keeps it.",
            )


def _failed(endpoint: EndpointReport, found: LookedUp | None, severity: Severity) -> Finding:
    reason = because(found.why if found is not None and found.why else endpoint.tlsa.why)
    owner = found.lookup.name if found is not None else endpoint.tlsa.owner.removesuffix(".")
    what = f"{found.lookup.rrtype if found is not None else 'TLSA'} at {owner}"  # or the CNAME that leads to the host
    behind = "below unsigned addresses" if is_mail(endpoint) else "below unsigned addresses or SRV records"
    below = f"; nobody asks {behind}, so this refuses nobody yet" if severity == "note" else ""
    result = below or f", so {visitors(endpoint)} take the host for unreachable and do not go on"
    if found is not None and found.security == "bogus":
        text = f"the look-up of {what} is bogus{result}{reason}"
        return finding("tlsa-bogus", endpoint.name, text, _MEND, severity)
    if found is not None and found.rcode == "TIMEOUT":
        return finding(
            "tlsa-dropped",
            endpoint.name,
            f"the query for {what} gets no answer{result}{reason}",
            "The zone's name servers, or a firewall before them, drop queries of types that they do not know: update "
            "them, or let such queries pass.",
            severity,
        )
    rcode = f" ({found.rcode})" if found is not None else ""
    return finding(
        "tlsa-lookup-failed",
        endpoint.name,
        f"the look-up of {what} fails{rcode}{result}{reason}",
        "Ask each of the zone's name servers for it: an unknown type wants an empty answer (NOERROR), not an error.",
        severity,
    )


def _unsigned(endpoint: EndpointReport) -> Finding:
    state = endpoint.tlsa
    count = len(state.records)
    what = f"{counted(count, 'TLSA record')} at {state.owner}" if count else f"what stands at {state.owner}"
    is_not = "is not signed, so everybody ignores it" if count < 2 else "are not signed, so everybody ignores them"
    return finding("tlsa-insecure", endpoint.name, f"{what} {is_not}", _SIGN, "error" if count else "warning")


def records_elsewhere(report: Report) -> Iterator[Finding]:
    """Say where TLSA records stand at the domain itself, and its MX hosts are others."""
    target = report.target
    if target.port is not None or target.service or any(each.host == target.name for each in report.endpoints):
        return
    found = beside(report, f"_25._tcp.{target.name}", "TLSA")
    if found is None or not found.tlsa or not report.endpoints:
        return
    bare = [endpoint for endpoint in report.endpoints if not protects(endpoint)]
    hosts = listed(each.host for each in report.endpoints)
    is_used = "is used" if len(found.tlsa) == 1 else "are used"
    yield finding(
        "tlsa-at-domain",
        target.name,
        f"{counted(len(found.tlsa), 'TLSA record')} at _25._tcp.{target.name}. {is_used} by nobody, since mail goes to "
        f"{hosts}",
        "Publish records at " + listed(f"_25._tcp.{each.host}." for each in bare) + " in place of the domain."
        if bare
        else "Remove them: its MX hosts have their own.",
        "error" if bare else "note",
    )


def above_the_records(report: Report) -> Iterator[Finding]:
    """Say where the name above the TLSA records is said not to exist (RFC 8020)."""
    for endpoint in report.endpoints:
        above = beside(report, f"_tcp.{endpoint.tlsa.base}", "TLSA")
        if above is not None and above.rcode == "NXDOMAIN" and protects(endpoint):
            yield finding(
                "tcp-nxdomain",
                endpoint.name,
                f"the zone's servers say that _tcp.{endpoint.tlsa.base} does not exist (NXDOMAIN), though "
                f"{endpoint.tlsa.owner} below it does: resolvers that believe it find no TLSA records",
                "Update the name server, or whatever balances its load: a name above another exists, and is answered "
                "with NOERROR.",
            )


def signing(report: Report) -> Iterator[Finding]:
    """Pass on what is to be said of how the zones are signed."""
    sentences = dict.fromkeys(shown(text, 300) for each in all_lookups(report) for text in each.warnings if text)
    for sentence in sentences:
        if "NSEC3" in sentence:
            yield finding(
                "nsec3-iterations",
                str(report.target),
                sentence,
                "Use NSEC, or NSEC3 with 0 iterations and no salt (BIND: `nsec3param iterations 0 salt-length 0;`).",
            )
        else:
            yield finding(
                "outdated-signing",
                str(report.target),
                sentence,
                "Roll the zone's keys over to ECDSAP256SHA256 (13).",
            )


def signatures(report: Report) -> Iterator[Finding]:
    """Say which signatures end soon, the earliest first."""
    ending = sorted(
        (each.expires, each.lookup.name, each.lookup.rrtype)
        for each in all_lookups(report)
        if each.expires is not None and each.security == "secure" and each.expires - report.at < SOON
    )
    if ending:
        earliest = ending[0][0]
        several = listed(f"{name} {rrtype}" for _, name, rrtype in ending)
        yield finding(
            "signature-expires-soon",
            str(report.target),
            f"{'the signature over' if len(ending) == 1 else 'signatures over'} {several} "
            f"{'ends' if len(ending) == 1 else 'end, the first'} on {minute(earliest)}, "
            "after which the look-up is bogus",
            "See that the zone is signed again in time, and that the secondaries get it; ignore it where the server "
            "signs as it answers.",
            "warning" if earliest - report.at < VERY_SOON else "note",
        )
