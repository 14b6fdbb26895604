"""When certificates are ordered, and over which key: the current one, one that services went back to, the next one.

An order waits for its due instant alone, over the next key for its records to be ripe; only going live waits for G. A
cutover that waits or fails never delays a renewal over the current key.
"""

from datetime import datetime, timedelta

from danelaw.lifecycle.case import Answers, Case, unless_backing_off
from danelaw.lifecycle.components import ahead_of
from danelaw.lifecycle.cutover import Cutover, cutover, unripe
from danelaw.lifecycle.disk import active_generation, chain_of
from danelaw.lifecycle.due import current_chain, open_intent
from danelaw.lifecycle.due import renewal_at as due_at
from danelaw.lifecycle.gate import span
from danelaw.lifecycle.keys import current_key, is_put_away, rollover_at
from danelaw.lifecycle.wanted import is_over_key
from danelaw.model import CertificateSpec, Chain, ChainFact, Facts, Hold, KeyFact, Obtain, Wait

DAY = timedelta(days=1)

COMPROMISED = 1
"""The reason keyCompromise (RFC 5280 section 5.3.1)."""


def obtain(case: Case) -> Answers:
    """Order what is due: each certificate over its current key first, then over other keys that need one."""
    for spec in case.desired.certificates:
        key = current_key(case.facts, spec.name)
        if key is None:
            continue
        yield from _over(case, spec, key, spec.name, is_ahead=False)
        for other in _presented_keys(case, spec, key):
            yield from _over(case, spec, other, spec.name, is_ahead=False)
        cut = cutover(case.facts, spec, case.now)
        if cut is not None:
            yield from _over_next(case, cut)
        else:
            at = rollover_at(case.facts, spec)
            if at is not None and at > case.now:
                yield Wait("scheduled", spec.name, at, "its key is to be replaced then")


def _over(case: Case, spec: CertificateSpec, key: KeyFact, subject: str, *, is_ahead: bool) -> Answers:
    """Order a certificate over one key where that is due; else say when it will be."""
    why = _why_due(case, spec, key, is_ahead=is_ahead)
    if why and _came_old(case, spec, key):
        said = f"the certificate that was issued within a day is due again by this host's clock: {why}"
        yield Hold("clock", spec.name, said, "set the clock right, or ask the CA for a longer lifetime")
    elif why:
        step = Obtain(spec.name, key.spki_sha256, why, ahead=is_ahead)
        yield from unless_backing_off(case, "obtain", subject, step)
    else:
        row = current_chain(case.facts, spec, key.spki_sha256, case.now)
        if row is not None:
            due = renewal_at(case, spec, row.chain)
            yield Wait("renewal", spec.name, due, f"its certificate is valid until {row.chain.not_after:%Y-%m-%d}")


def _presented_keys(case: Case, spec: CertificateSpec, current: KeyFact) -> list[KeyFact]:
    """Return the retired keys that services present, having gone back to them: their certificates are kept valid."""
    live = {
        chain.spki_sha256
        for deployment in spec.deployments
        if (active := active_generation(case.facts, deployment.id)) and (chain := chain_of(case.facts, active))
    }
    return [
        key
        for key in case.facts.keys
        if key.certificate == spec.name
        and key.spki_sha256 in live - {current.spki_sha256}
        and key.current_since
        and not (is_put_away(key) or key.compromised_at)
    ]


def _over_next(case: Case, cut: Cutover) -> Answers:
    """Order over the next key once its records are ripe; a failure changes nothing of the key or its records."""
    subject = ahead_of(cut.spec.name)
    if cut.chain is None:
        yield from _until_ripe(case, cut)
        if unripe(case.facts, case.desired, cut, case.now):
            return
    yield from _over(case, cut.spec, cut.key, subject, is_ahead=True)


def _until_ripe(case: Case, cut: Cutover) -> Answers:
    """Say what the rollover waits for."""
    for item in unripe(case.facts, case.desired, cut, case.now):
        if item.remedy:
            yield Hold(item.code, cut.spec.name, item.why, item.remedy)
        elif item.until is not None:
            why = f"the next key goes live once its records are in every cache: {item.why}"
            yield Wait(item.code, cut.spec.name, item.until, why)
        else:
            why = f"the next key's records are not served everywhere yet: {item.why}"
            yield Wait(item.code, cut.spec.name, case.now + timedelta(seconds=5), why)


def renewal_at(case: Case, spec: CertificateSpec, chain: Chain) -> datetime:
    """Return when a certificate is due.

    Where its records change with it, earlier by what going live then waits for, and a day (rules: renewal with selector
    0).
    """
    due = due_at(chain)
    changing = {claim.endpoint.owner for claim in spec.claims if not all(is_over_key(each) for each in claim.records)}
    if not changing:
        return due
    rows = [row for row in case.facts.rrsets if row.owner in changing and row.rdatas]
    return due - min(span(rows, case.desired.lookup_margin) + DAY, (due - chain.not_before) / 2)


def _came_old(case: Case, spec: CertificateSpec, key: KeyFact) -> bool:
    """Tell whether the newest certificate was due, or over, when it came: another one would be so too."""
    rows = [row for row in case.facts.chains if _is_over(row, spec, key)]
    newest = max(rows, key=lambda row: row.obtained_at, default=None)
    if newest is None or newest.revoked_at or open_intent(case.facts, spec.name):
        return False
    lacks_names = not set(spec.names) <= set(newest.chain.names)
    is_due = renewal_at(case, spec, newest.chain) <= newest.obtained_at
    return not lacks_names and is_due and case.now - newest.obtained_at < DAY


def _is_over(row: ChainFact, spec: CertificateSpec, key: KeyFact) -> bool:
    return row.certificate == spec.name and row.chain.spki_sha256 == key.spki_sha256


def _why_due(case: Case, spec: CertificateSpec, key: KeyFact, *, is_ahead: bool) -> str | None:
    if key.compromised_at and any(row.reason == COMPROMISED for row in case.facts.chains if _is_over(row, spec, key)):
        return None  # the CA has blocked the key for ever
    current = current_key(case.facts, spec.name)
    intent = open_intent(case.facts, spec.name) if key == current else None
    row = current_chain(case.facts, spec, key.spki_sha256, case.now)
    if intent is not None:
        return f"a renewal was asked for by {intent.by}"
    if row is not None and not _revoked_since(case.facts, spec, row):
        return None if renewal_at(case, spec, row.chain) > case.now else f"its certificate ends {_date(row.chain)}"
    ours = [row for row in case.facts.chains if _is_over(row, spec, key)]
    if not ours:
        return "its next key is to go live" if is_ahead else "there is no certificate over its key yet"
    newest = max(ours, key=lambda row: row.obtained_at)
    missing = sorted(set(spec.names) - set(newest.chain.names))
    if missing:
        return f"its certificate lacks {', '.join(missing)}"
    return "its certificate was revoked" if newest.revoked_at else "its certificate has expired"


def _date(chain: Chain) -> str:
    return f"{chain.not_after:%Y-%m-%d}"


def _revoked_since(facts: Facts, spec: CertificateSpec, row: ChainFact) -> bool:
    """Tell whether a newer certificate was revoked: then an older one may stand in for it, and a new one is due."""
    return any(
        other.certificate == spec.name
        and other.chain.spki_sha256 == row.chain.spki_sha256
        and other.revoked_at is not None
        and other.obtained_at > row.obtained_at
        for other in facts.chains
    )
