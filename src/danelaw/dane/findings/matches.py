"""Findings on how the TLSA records fit what is presented: mismatches, stale records, and the next key's."""

from collections.abc import Iterable, Iterator, Sequence

from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.records import EMPTY_DIGESTS
from danelaw.dane.findings.seen import (
    accepted,
    at_addresses,
    kind_name,
    leaf_out_of_date,
    listed,
    reached,
    refusing,
    shown,
    wants_roots,
    with_chain,
)
from danelaw.dane.matching import name_matches
from danelaw.model import Attempt, Chain, EndpointReport, Finding, RecordSpec, RecordVerdict, Report, TlsaRecord

_TOLD = 12
"""Of how many attempts, and how many records of each, the reasons are told."""

CERTIFICATE_CAUSES = frozenset({"dates", "names", "trust-anchor"})


def causes(endpoint: EndpointReport, attempt: Attempt, chain: Chain, report: Report) -> frozenset[str]:
    """Return why no record authenticates a chain; nothing where one does, or none stands or can be used.

    ``dates``, ``names`` and ``trust-anchor`` are the certificate's, for usages 0 to 2, and findings on certificates
    say them; ``weaker``: one matches that a stronger digest sets aside; ``other``: the records pin something else.
    """
    judged = [each for each in attempt.records if each.usable]
    if endpoint.tlsa.kind != "usable" or accepted(attempt) or wants_roots(endpoint, attempt):
        return frozenset()
    if any(each.matches for each in judged):
        return frozenset({"weaker"})
    return frozenset(_cause(each, endpoint, chain, report) for each in judged)


def _cause(judged: RecordVerdict, endpoint: EndpointReport, chain: Chain, report: Report) -> str:
    record = judged.record
    if record.usage in {1, 3} and judged.depth != 0:
        return "other"
    if judged.depth is None:
        return "trust-anchor" if record.matching_type and record.data not in EMPTY_DIGESTS else "other"
    if record.usage == 3:
        return "other"
    if record.usage == 2:
        pinned = chain.certificates_der[judged.depth]
        if pinned not in reached(chain, None):
            return "other"
        in_time = pinned in reached(chain, report.at)
    else:
        in_time = not leaf_out_of_date(chain, report.at)
    if not in_time:
        return "dates"
    names = endpoint.tlsa.reference_names
    return "names" if names and not any(name_matches(name, chain.names) for name in names) else "other"


def mismatches(report: Report) -> Iterator[Finding]:
    """Say where no record matches what is presented: everywhere, at some addresses, or for one kind of certificate."""
    for endpoint in report.endpoints:
        presented = with_chain(endpoint)
        found = [(each, causes(endpoint, each, chain, report)) for each, chain in presented]
        failing = [each for each, why in found if why - CERTIFICATE_CAUSES - {"weaker"}]
        weaker = [each for each, why in found if "weaker" in why]
        matching = [each for each, _ in presented if accepted(each)]
        if failing:
            yield from _mismatch(endpoint, failing, matching)
        if weaker:
            yield _stronger(endpoint, weaker)


def _mismatch(endpoint: EndpointReport, failing: list[Attempt], matching: list[Attempt]) -> Iterator[Finding]:
    """Split what fails into kinds that fail beside another kind at the same address, and addresses that fail."""
    good = {each.address for each in matching}
    one_kind = [each for each in failing if each.address in good]
    whole = [each for each in failing if each.address not in good]
    number = len(endpoint.tlsa.records)
    none = "its only TLSA record does not match" if number == 1 else f"none of its {number} TLSA records matches"
    if one_kind:
        kinds = listed(kind_name(each) or "other" for each in one_kind)
        text, severity = refusing(
            f"{none} the {kinds} certificate{_reasons(one_kind)}, and another kind's certificate matches", one_kind
        )
        yield finding(
            "mismatch-of-algorithm",
            at_addresses(endpoint, one_kind),
            text,
            f"Publish a record for that key too{_wanted(endpoint, one_kind)}, or switch its certificate off. danelaw "
            "keeps the records of both kinds together.",
            severity,
        )
    if whole:
        text, severity = refusing(f"{none} what it presents{_reasons(whole)}", whole)
        elsewhere = listed(each.address for each in matching)
        yield finding(
            "mismatch-at-address" if elsewhere else "mismatch",
            at_addresses(endpoint, whole),
            f"{text}; {elsewhere} presents what the records pin" if elsewhere else text,
            "Deploy the same certificate at every address and reload the service there, or publish records for it too"
            f"{_wanted(endpoint, whole)}."
            if elsewhere
            else "Put back the certificate that the records are for, or publish records for what is live"
            f"{_wanted(endpoint, whole)}; it counts everywhere once the old ones' TTL has passed. `danelaw apply` "
            "publishes before it deploys.",
            severity,
        )


def _reasons(attempts: Sequence[Attempt]) -> str:
    """Return in brackets which keys are presented, and why the records do not match, each reason once."""
    keys = listed(
        f"{kind_name(each)} key {each.shaken.chain.spki_sha256[:16]}…".strip()
        for each in attempts
        if each.shaken.chain is not None
    )
    # A stranger decides how many records and attempts there are; these few tell enough.
    said = listed(
        f"{judged.record.spec} {shown(judged.why, 120)}"
        for attempt in attempts[:_TOLD]
        for judged in attempt.records[:_TOLD]
        if judged.usable and not judged.matches and judged.why
    )
    return f" ({keys}; {said})" if said else f" ({keys})"


def _wanted(endpoint: EndpointReport, attempts: Iterable[Attempt]) -> str:
    """Return the `3 1 1` lines of what is presented, for a few keys."""
    keys = dict.fromkeys(each.shaken.chain.spki_sha256 for each in attempts if each.shaken.chain is not None)
    return "".join(f" (`{endpoint.tlsa.owner} IN TLSA 3 1 1 {key}`)" for key in list(keys)[:2])


def _stronger(endpoint: EndpointReport, attempts: list[Attempt]) -> Finding:
    """Say that a stale stronger digest hides the record that matches (RFC 7671 section 9)."""
    aside = [each.record for attempt in attempts for each in attempt.records if each.matches and not each.counts]
    stale = [each.record for attempt in attempts for each in attempt.records if each.counts and not each.matches]
    same = [record for record in stale if any(record.spec[:2] == one.spec[:2] for one in aside)]
    stale_specs, aside_specs = listed(_specs(same)), listed(_specs(aside))
    text, severity = refusing(
        f"the {stale_specs} record pins something else, and sets aside the {aside_specs} record that matches, "
        "since of two digests only the stronger counts",
        attempts,
    )
    return finding(
        "stale-stronger-record",
        at_addresses(endpoint, attempts),
        text,
        f"Remove the stale {stale_specs} record, or publish the one of the key in use; keep {stale_specs} for every "
        "key or for none. danelaw changes both in one update.",
        severity,
    )


def stale(report: Report) -> Iterator[Finding]:
    """Say which records match nothing: of a combination that is stale, or of a further key beside the one in use."""
    for endpoint in report.endpoints:
        presented = [attempt for attempt, _ in with_chain(endpoint)]
        if endpoint.tlsa.kind != "usable" or not all(map(accepted, presented)):
            continue
        matched: dict[TlsaRecord, bool] = {}
        for attempt in presented:
            for each in attempt.records:
                if each.usable:
                    matched[each.record] = matched.get(each.record, False) or each.matches
        good = {record.spec for record, matching in matched.items() if matching}
        idle = [record for record, matching in matched.items() if not matching and record.data not in EMPTY_DIGESTS]
        old = [record for record in idle if record.spec not in good]
        if old:
            yield _stale(endpoint, old, good)
        spare = [record for record in idle if record.spec in good]
        if spare:
            yield finding(
                "next-key-published",
                endpoint.name,
                f"beside the record that matches there {'is' if len(spare) == 1 else 'are'} {len(spare)} more of "
                f"{listed(_specs(spare))}, as for a next key published ahead: that is right, and refuses nobody",
                "" if len(spare) == 1 else "Remove those of keys that are gone; danelaw withdraws what it published.",
            )


def _stale(endpoint: EndpointReport, old: list[TlsaRecord], good: set[RecordSpec]) -> Finding:
    specs = listed(_specs(old))
    return finding(
        "stale-record",
        endpoint.name,
        f"{'the' if len(old) == 1 else len(old)} {specs} {'record matches' if len(old) == 1 else 'records match'} "
        f"nothing that it presents; senders deliver by {listed(map(str, sorted(good)))}, and one that knows {specs} "
        "alone would not",
        f"Remove {'it' if len(old) == 1 else 'them'}, or publish what is presented with these parameters: every "
        "combination of usage, selector and matching type must match.",
    )


def _specs(records: Iterable[TlsaRecord]) -> list[str]:
    return list(dict.fromkeys(str(record.spec) for record in records))
