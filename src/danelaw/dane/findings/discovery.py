"""Findings on how a domain's hosts are found, and on all of them together."""

from collections.abc import Iterator

from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.seen import SENDERS, because, counted, listed, protects, shown, with_chain
from danelaw.model import EndpointReport, Finding, Report, Sender
from danelaw.names import is_address


def found_hosts(report: Report) -> Iterator[Finding]:
    """Say how the MX or SRV look-up went."""
    found, kind = report.discovery.found, report.discovery.kind
    subject, rrtype = str(report.target), "SRV" if report.target.service else "MX"
    if kind == "missing":
        yield finding(
            "no-such-domain",
            subject,
            "the domain does not exist (NXDOMAIN)",
            "Check the spelling, and that the domain's registration and delegation are in order.",
        )
    if found is None or found.ours:
        return
    if found.security == "bogus":
        yield finding(
            "mx-bogus",
            subject,
            f"the {rrtype} look-up is bogus, so validating {'clients' if report.target.service else 'senders'} get no "
            f"answer and {'nobody connects' if report.target.service else 'no mail comes'}{because(found.why)}",
            "Mend the zone's signatures or the DS records at its parent; `delv` and the zone's own servers show the "
            "step named here.",
        )
    elif found.failed:
        yield finding(
            "mx-lookup-failed",
            subject,
            f"the {rrtype} look-up fails ({found.rcode}), so "
            f"{'clients do not connect' if report.target.service else 'senders wait and try again'}"
            f"{because(found.why)}",
            "Ask each of the zone's name servers for it, and mend or remove those that do not answer.",
        )
    elif found.security == "insecure" and kind == "listed":
        yield _insecure(report, rrtype)
    if found.malformed:
        yield finding(
            "mx-malformed",
            subject,
            f"{found.malformed} of its {rrtype} records cannot be read, and senders ignore them",
            "Take them out of the zone.",
        )


def _insecure(report: Report, rrtype: str) -> Finding:
    protected = listed(endpoint.host for endpoint in report.endpoints if protects(endpoint))
    leads = "lead clients" if report.target.service else "send mail"
    text = f"the {rrtype} records are not signed, so a forged answer can {leads} to another host"
    if protected and not report.target.service:
        text += (
            f"; {protected} has TLSA records, which Postfix uses all the same, and Exim, mox and Exchange do not"
            if report.endpoints[1:] == ()
            else f"; the TLSA records of {protected} are used by Postfix all the same, not by Exim, mox and Exchange"
        )
    return finding(
        "mx-insecure",
        str(report.target),
        text,
        "Sign the domain's zone with DNSSEC and have its DS record put into the parent zone by the registrar.",
    )


def kinds_of_discovery(report: Report) -> Iterator[Finding]:
    """Say what follows from the MX or SRV records that stand there, or do not."""
    kind, subject, service = report.discovery.kind, str(report.target), report.target.service
    if kind == "null" and service:
        yield finding("no-such-service", subject, f"no SRV record offers {shown(service)} here")
    elif kind == "null":
        yield finding(
            "null-mx", subject, "a null MX says that the domain takes no mail, so there is nothing to protect"
        )
    elif kind == "implicit":
        what = "SRV" if service else "MX"
        yield finding(
            "mx-implicit",
            subject,
            f"there is no {what} record, so the domain itself is its only host",
            f"Add {what} records: they name the host whose TLSA records count."
            if service
            else "Add an MX record, or a null MX (`MX 0 .`) if the domain takes no mail.",
        )
    left_out = report.discovery.left_out
    if left_out:
        yield finding(
            "hosts-left-out",
            subject,
            f"{counted(len(left_out), 'more host is', 'more hosts are')} listed than looked at: "
            f"{listed(map(shown, left_out))}",
            "Check them one by one, and list fewer: senders try only the first few.",
        )


def mx_records(report: Report) -> Iterator[Finding]:
    """Say what is wrong with the MX records themselves."""
    found = report.discovery.found
    if found is None:
        return
    hosts = [record.host for record in found.mx]
    if "" in hosts and any(hosts):
        yield finding(
            "mx-null-beside-others",
            str(report.target),
            "a null MX stands beside other MX records, and must stand alone",
            "Remove `MX 0 .` if the domain takes mail, else the others.",
        )
    for host in dict.fromkeys(hosts):
        if host and is_address(host):
            yield finding(
                "mx-is-address",
                str(report.target),
                f"an MX record names the address {host}, where only a host name may stand: senders skip it, and DANE "
                "cannot apply",
                f"Give the address a name with an A or AAAA record, and name that in the MX record in place of {host}.",
            )


def hosts(report: Report) -> Iterator[Finding]:
    """Say of each host listed what keeps senders from finding it."""
    listed_by_mx = report.discovery.kind == "listed" and not report.target.service
    reachable = any(endpoint.addresses for endpoint in report.endpoints)
    for endpoint in report.endpoints:
        if is_address(endpoint.host):
            continue
        if listed_by_mx and endpoint.canonical not in {"", endpoint.host}:
            yield finding(
                "mx-is-alias",
                endpoint.name,
                f"the MX host is an alias of {shown(endpoint.canonical)}, which MX records must not name: some senders "
                "refuse it, and the TLSA base domain becomes ambiguous",
                f"Name {shown(endpoint.canonical)} in the MX record, or give the host A and AAAA records of its own.",
            )
        if not endpoint.addresses and not any(each.failed for each in endpoint.lookups) and endpoint.lookups:
            missing = any(each.rcode == "NXDOMAIN" for each in endpoint.lookups)
            yield finding(
                "host-without-address",
                endpoint.name,
                "the host does not exist" if missing else "the host has neither an A nor an AAAA record",
                "Add its A and AAAA records, or take it out of the MX records.",
                "warning" if reachable else "error",
            )


def addresses_left_out(report: Report) -> Iterator[Finding]:
    """Say of each host which of its addresses nobody looked at."""
    for endpoint in report.endpoints:
        seen = {attempt.address for attempt in endpoint.attempts}
        left_out = [address for address in endpoint.addresses if address not in seen]
        if seen and left_out:
            yield finding(
                "addresses-left-out",
                endpoint.name,
                f"of {len(endpoint.addresses)} addresses {len(seen)} were looked at, and not {listed(left_out)}",
                "See that the others present the same; publish fewer.",
            )


def together(report: Report) -> Iterator[Finding]:
    """Say what the hosts show together."""
    endpoints, subject = report.endpoints, str(report.target)
    protected = [endpoint for endpoint in endpoints if protects(endpoint)]
    without = [each for each in endpoints if each.addresses and each.tlsa.kind in {"none", "insecure", "not-asked"}]
    if without and protected:
        yield finding(
            "dane-on-some-hosts",
            subject,
            f"{_names(without)} {_has(without)} no TLSA records that senders use, and "
            f"{_names(protected)} {_has(protected)}: whoever blocks the way to these gets the mail by the others",
            "Publish TLSA records for every host, a backup MX too, or take the others out of the MX or SRV records.",
        )
    yield from _same_key(report)
    yield from _stops(report)
    outcomes = [outcome for endpoint in endpoints for outcome in endpoint.outcomes.values()]
    if outcomes and set(outcomes) == set(report.outcomes.values()) == {"authenticated"}:
        several = f"all {len(endpoints)} hosts" if len(endpoints) > 1 else "the host"
        who = "every client" if "client" in report.outcomes else "every sender"
        yield finding("protected", subject, f"{who} that obeys DANE authenticates {several}")


def _same_key(report: Report) -> Iterator[Finding]:
    keys = {each.host: {chain.spki_sha256 for _, chain in with_chain(each)} for each in report.endpoints}
    pins_leaf = any(record.usage == 3 for endpoint in report.endpoints for record in endpoint.tlsa.records)
    shared = set.intersection(*keys.values()) if len(keys) > 1 else set()
    if shared and pins_leaf:
        yield finding(
            "same-key-everywhere",
            str(report.target),
            f"all {len(keys)} hosts present the same key, {min(shared)[:16]}…: whoever gets it from one of them can "
            "pose as any",
            "Give each host a key of its own, unless they are one service; danelaw makes a key for each certificate.",
        )


def _stops(report: Report) -> Iterator[Finding]:
    if report.target.port is not None or report.discovery.kind not in {"listed", "implicit"}:
        return
    stopped: list[Sender] = [sender for sender in SENDERS if report.delivers.get(sender) is False]
    refused = [sender for sender in stopped if report.outcomes.get(sender) == "deferred"]
    if refused:
        who = listed(SENDERS[sender] for sender in refused)
        verb = "gets" if len(refused) == 1 and refused != ["client"] else "get"
        what = "none of its hosts" if len(report.endpoints) > 1 else "no host"
        returned = "" if report.target.service else ", and mail from there is returned after some days"
        yield finding(
            "mail-stops",
            str(report.target),
            f"{who} {verb} through by {what}{returned}",
            "Mend one host first, as its own finding says; where nothing else helps soon, removing its TLSA records "
            "lets mail through again once their TTL has passed.",
        )


def _names(endpoints: list[EndpointReport]) -> str:
    return listed(endpoint.host for endpoint in endpoints)


def _has(endpoints: list[EndpointReport]) -> str:
    return "has" if len({endpoint.host for endpoint in endpoints}) == 1 else "have"
