"""What an accepted outage still costs: told at each run until the last cache that refuses what is live is over."""

from danelaw.lifecycle.case import Answers, Case
from danelaw.lifecycle.disk import chain_of
from danelaw.lifecycle.gate import acceptable, claims_at, held
from danelaw.lifecycle.keys import current_key
from danelaw.lifecycle.watched import counted
from danelaw.model import CertificateSpec, Wait


def outage(case: Case) -> Answers:
    """Say which senders refuse what is live since ``--accept-outage``, and until when at the latest."""
    for spec in case.desired.certificates:
        if not was_accepted(case, spec):
            continue
        for work in case.of(spec.name):
            chain = chain_of(case.facts, work.active) if work.active else None
            owners = dict.fromkeys(each.owner for each in counted(case.facts, case.desired, work.deployment))
            for owner in owners if chain is not None else ():
                claims = claims_at(case.desired, owner)
                for item in held(case.facts, case.desired, owner, case.now):
                    if item.until is None or chain is None or acceptable(item.rdatas, chain, claims, owner, case.now):
                        continue
                    shown = ", ".join(str(record) for record in item.rdatas)
                    why = f"senders that still hold {shown} of {owner} refuse what is live, as was accepted"
                    yield Wait("outage", owner, item.until, why)


def was_accepted(case: Case, spec: CertificateSpec) -> bool:
    """Tell whether a person accepted an outage for the rollover that is in course, or made the key current."""
    current = current_key(case.facts, spec.name)
    since = current.current_since if current else None
    return any(
        row.certificate == spec.name and "accept-outage" in row.options and row.closed_at in {None, since}
        for row in case.facts.intents
        if row.kind == "rollover"
    )
