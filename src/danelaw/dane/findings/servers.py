"""Findings on what each authoritative server says of the TLSA records: the same, in time, with a sensible TTL."""

from collections import Counter
from collections.abc import Iterator, Mapping

from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.names import SOON, VERY_SOON
from danelaw.dane.findings.records import MOST_RECORDS
from danelaw.dane.findings.seen import counted, duration, is_mail, listed, minute, shown, with_chain
from danelaw.dane.matching import accepts
from danelaw.dane.tlsa import usable
from danelaw.model import EndpointReport, Finding, Reading, Report, TlsaRecord

_JUDGED = 6
"""How many sets of records are held against how many chains."""

LONGEST, SHORTEST = 86400, 300
"""Seconds. A record with a longer TTL is wrong for more than a day where it is wrong; with a shorter one, every sender
asks again for nearly every mail, and a name server that is down for minutes stops mail. 1800 to 3600 is good."""


def authorities(report: Report) -> Iterator[Finding]:
    """Say which servers differ, give no answer, or serve what has expired."""
    for endpoint in report.endpoints:
        look = endpoint.tlsa.authorities
        if look is None:
            continue
        if look.problem is not None and not look.readings:
            yield finding(
                "servers-not-asked",
                endpoint.name,
                f"its name servers could not be asked one by one: {shown(look.problem, 300)}",
            )
        elif look.unanswered:
            silent = listed(f"{each.server} ({shown(each.problem, 80)})" for each in look.unanswered)
            yield finding(
                "server-silent",
                endpoint.name,
                f"of {counted(len(look.servers) or len(look.unanswered), 'name server')} for {look.owner} "
                f"{len(look.unanswered)} {'gives' if len(look.unanswered) == 1 else 'give'} no authoritative answer: "
                f"{silent}",
                "Start it, load the zone there, or take it out of the zone's NS records; where one that was reached by "
                "senders lags, danelaw holds a change of keys until it answers.",
            )
        if len({reading.rdatas for reading in look.readings}) > 1:
            yield _differ(report, endpoint, look.readings)
        yield from _signatures(report, endpoint, look.readings)


def _differ(report: Report, endpoint: EndpointReport, readings: tuple[Reading, ...]) -> Finding:
    """Say which servers differ from what validation found, or from most of the others."""
    common = Counter(reading.rdatas for reading in readings).most_common(1)[0][0]
    validated = tuple(sorted(endpoint.tlsa.records))
    usual = validated if any(reading.rdatas == validated for reading in readings) else common
    odd = [reading for reading in readings if reading.rdatas != usual]
    refuses = _refuse(report, endpoint, {reading.rdatas for reading in odd})
    said = "; ".join(f"{each.server} serves {_records(each.rdatas)}" for each in odd[:4])
    more = f"; {len(odd) - 4} more differ" if len(odd) > 4 else ""
    result = ", and who asks there does not deliver" if refuses else ""
    return finding(
        "servers-differ",
        endpoint.name,
        f"{said}{more}; the others serve {_records(usual)}{result}",
        "See why the server does not follow its primary: compare the SOA serials, NOTIFY and the right to transfer "
        "(BIND: `rndc retransfer ZONE`). danelaw goes live only when every server serves the new records.",
        "error" if refuses else "warning",
    )


def _refuse(report: Report, endpoint: EndpointReport, rrsets: set[tuple[TlsaRecord, ...]]) -> bool:
    """Return whether one of the sets refuses what is presented, as far as a stranger may make us look."""
    chains = list(dict.fromkeys(chain for _, chain in with_chain(endpoint)))[:_JUDGED]
    names = endpoint.tlsa.reference_names
    return any(
        not accepts(rdatas, chain, names, report.at, smtp=is_mail(endpoint))
        for rdatas in sorted(rrsets)[:_JUDGED]
        if 0 < len(rdatas) <= 2 * MOST_RECORDS and any(usable(each, smtp=is_mail(endpoint)) for each in rdatas)
        for chain in chains
    )


def _records(rdatas: tuple[TlsaRecord, ...]) -> str:
    return listed(f"{each.spec} {each.data.hex()[:8]}…" for each in rdatas) or "no TLSA records"


def _signatures(report: Report, endpoint: EndpointReport, readings: tuple[Reading, ...]) -> Iterator[Finding]:
    ends = {each.server: each.rrsig_expires for each in readings if each.rdatas and each.rrsig_expires is not None}
    expired = {server: at for server, at in ends.items() if at < report.at}
    if expired:
        yield finding(
            "signature-expired",
            endpoint.name,
            f"{listed(expired)} {'serves' if len(expired) == 1 else 'serve'} signatures that expired on "
            f"{minute(min(expired.values()))}, so who asks there finds the records bogus and does not deliver",
            "Have the zone signed again, and see that this server gets it (SOA serial, NOTIFY, zone transfer).",
        )
    soon = {server: at for server, at in ends.items() if report.at <= at < report.at + SOON}
    found = endpoint.tlsa.found
    if soon and not (found and found.expires and found.expires - report.at < SOON):
        yield finding(
            "signature-expires-soon",
            endpoint.name,
            f"{listed(soon)} {'serves' if len(soon) == 1 else 'serve'} signatures that end on "
            f"{minute(min(soon.values()))}, though others serve newer ones",
            "See that this server gets the zone as it is signed now (SOA serial, NOTIFY, zone transfer).",
            "warning" if min(soon.values()) - report.at < VERY_SOON else "note",
        )


def wildcards(report: Report) -> Iterator[Finding]:
    """Say where a wildcard gives the TLSA records, or the host's address (RFC 4592)."""
    for endpoint in report.endpoints:
        look = endpoint.tlsa.authorities
        if look is None:
            continue
        if any(reading.wildcard and reading.rdatas for reading in look.readings):
            yield finding(
                "wildcard-tlsa",
                endpoint.name,
                f"{endpoint.tlsa.owner} is answered by a wildcard: the records vanish as soon as any record is added "
                "below that name, and they hold for ports that present something else",
                f"Publish the records at {endpoint.tlsa.owner} itself.",
            )
        if look.host_wildcard:
            yield finding(
                "wildcard-host",
                endpoint.name,
                "its address comes from a wildcard: a TLSA record below the name would make the name exist, and take "
                "its address away",
                "Give the host A and AAAA records of its own first. danelaw refuses to publish before.",
            )


def ttls(report: Report, wanted: Mapping[str, int]) -> Iterator[Finding]:
    """Say where the TTL is not alike, not the one asked for, or not sensible (RFC 7671 section 13)."""
    for endpoint in report.endpoints:
        state = endpoint.tlsa
        if not state.records:
            continue
        served = {each.server: each.ttl for each in (state.authorities.readings if state.authorities else ())}
        if len(set(served.values())) > 1:
            pairs = listed(f"{ttl} s at {server}" for server, ttl in served.items())
            yield finding(
                "ttl-differs",
                endpoint.name,
                f"its name servers serve the TLSA records with different TTLs: {pairs}",
                "It passes where one of them has just changed; else compare their zones' SOA serials.",
            )
        # A validated look-up may come from a cache and have counted down: only its signature tells the whole TTL.
        found = state.found
        known = list(served.values()) or ([found.original_ttl] if found and found.original_ttl else [])
        asked = wanted.get(state.owner)
        if asked is not None and any(ttl != asked for ttl in known):
            yield finding(
                "ttl-unexpected",
                endpoint.name,
                f"the TTL of its TLSA records is {listed(f'{ttl} s' for ttl in known if ttl != asked)}, and the config "
                f"asks for {asked} s",
                "Somebody else changed the records or the zone's default TTL; `danelaw apply` sets what the config "
                "asks for.",
            )
        if known and max(known) > LONGEST:
            yield finding(
                "ttl-too-long",
                endpoint.name,
                f"the TTL of its TLSA records is {duration(max(known))}: a mistake in them lasts as long",
                "Set it to 3600 (1800 to 3600 is good).",
            )
        if known and min(known) < SHORTEST:
            yield finding(
                "ttl-too-short",
                endpoint.name,
                f"the TTL of its TLSA records is {min(known)} s: senders ask again for nearly every mail, and a short "
                "failure of the name servers stops mail",
                "Set it to 3600 (1800 to 3600 is good).",
            )
