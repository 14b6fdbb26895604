"""What a rollover looks like over time, from what was seen and what is planned.

Both are read alike: a plan's steps are laid over the facts first (`foreseen`), and whatever lies after ``now`` is
planned, at the earliest then.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from danelaw.lifecycle.components import ahead_of
from danelaw.lifecycle.timeline import Entry
from danelaw.model import CertificateSpec, Desired, Facts, Hold, Publish, TlsaRecord, Wait
from danelaw.web.timeline.alike import Told, merged
from danelaw.web.timeline.foreseen import foreseen
from danelaw.web.timeline.holdings import certificate_group, ends, key_group
from danelaw.web.timeline.lives import Lives
from danelaw.web.timeline.marks import marks_of
from danelaw.web.timeline.sights import Sights
from danelaw.web.timeline.spans import Timeline, count
from danelaw.web.timeline.zone import Zone, answer_group, record_group

MOST_MARKS = 40

PAST, FUTURE = timedelta(days=45), timedelta(days=3700)
"""How far a picture reaches to both sides of now, at the most."""

MOST_OWNERS, MOST_STORIES = 64, 6
"""Owner names that are looked into, and that are shown because their stories differ."""


def timeline_of(desired: Desired, facts: Facts, entries: Sequence[Entry], now: datetime, certificate: str) -> Timeline:
    """Return what the picture of one certificate shows; ``entries`` are those of a plan made of ``facts`` at ``now``.

    Records at its owner names are shown whosever they are, keys and chains where they are the certificate's own.
    """
    spec = next(spec for spec in desired.certificates if spec.name == certificate)
    coming = foreseen(desired, facts, entries)
    lives, sights, since = Lives.of(facts, coming), Sights.of_certificate(spec, coming, now), now - PAST
    letters: dict[TlsaRecord, str] = {}
    found = []
    owners = list(dict.fromkeys(claim.endpoint.owner for claim in spec.claims))
    for owner in owners[:MOST_OWNERS]:
        zone = Zone(desired, facts, coming, owner, now)
        records = record_group(zone, lives, letters, since, spec.name)
        found.append(Told((owner,), records, answer_group(zone, letters, since)))
    told = merged(found)
    groups = [group for each in told[:MOST_STORIES] for group in each.groups]
    hidden = sum(len(each.owners) for each in told[MOST_STORIES:]) + len(owners[MOST_OWNERS:])
    left_out = count(hidden, "more owner name is", "more owner names are")
    if left_out:
        groups[-1] = replace(groups[-1], left_out="; ".join(filter(None, (groups[-1].left_out, left_out))))
    groups.append(key_group(spec, lives, sights, since, now))
    groups.append(certificate_group(spec, facts, coming, lives, sights, since, now))
    marks = marks_of(spec, coming, lives, [entry for entry in entries if concerns(entry, spec)], since, now)
    instants = [at for at in (*ends(groups), *(mark.at for mark in marks)) if since <= at <= now + FUTURE]
    start, end = min([*instants, now]), max([*instants, now])
    to_be_made = tuple(life.key.spki_sha256 for life in lives.lives if life.to_be_made)
    earlier = max(len(marks) - MOST_MARKS, 0)
    return Timeline(spec.name, now, start, end, tuple(groups), marks[earlier:], letters, to_be_made, earlier)


def concerns(entry: Entry, spec: CertificateSpec) -> bool:
    """Tell whether a line of a plan is about a certificate, its owner names or its deployments."""
    what = entry.what
    owners = {claim.endpoint.owner for claim in spec.claims}
    if isinstance(what, Wait | Hold):
        return what.subject in {spec.name, ahead_of(spec.name), *owners, *(each.id for each in spec.deployments)}
    return what.owner in owners if isinstance(what, Publish) else what.certificate == spec.name
