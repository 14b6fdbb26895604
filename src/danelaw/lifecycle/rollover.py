"""The rules that take a certificate from one key to the next, and put the old one away.

In order: the next key is made and its records published beside the current one's (`records`), a certificate over it is
ordered once these are ripe (`obtaining`), every deployment goes over (`cutover`). Here is what comes before and after:
making the key, calling it current once every service was proven, proving again when it has settled, revoking what a
person wants revoked, and putting away a key that nothing needs any more.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from danelaw import dane
from danelaw.lifecycle.case import Answers, Case, unless_backing_off
from danelaw.lifecycle.cutover import cutover
from danelaw.lifecycle.disk import active_generation, chain_of, standing_chain
from danelaw.lifecycle.gate import held
from danelaw.lifecycle.keys import (
    current_key,
    is_put_away,
    next_key,
    next_type,
    obstacle,
    retired_keys,
    settling,
    wanted_rollover,
    wants_next_key,
)
from danelaw.lifecycle.obtaining import COMPROMISED
from danelaw.lifecycle.sight import presented_now
from danelaw.lifecycle.wanted import is_over_key, is_settling
from danelaw.model import (
    CertificateSpec,
    Chain,
    ChainFact,
    Hold,
    Intent,
    KeyFact,
    Promote,
    Prove,
    RecordSpec,
    Retire,
    Revoke,
    TakeKey,
    TakeNextKey,
    TlsaRecord,
    Wait,
)

KEY_RECORDS = tuple(RecordSpec(3, 1, matching_type) for matching_type in (0, 1, 2))
"""The combinations that hold a key alone."""

STILL_SERVED = timedelta(hours=1)
"""When a record that a server still serves is asked after again."""


def make_next_keys(case: Case) -> Answers:
    """Make the next key where one is to stand ready, or bring the one that was kept elsewhere here."""
    for spec in case.desired.certificates:
        current = current_key(case.facts, spec.name)
        if current is None:
            continue
        wanted = wanted_rollover(case.facts, spec, case.now)
        found = obstacle(spec)
        if found is not None:
            if wanted is not None:
                yield Hold("no-rollover", spec.name, f"{wanted.why}, and it cannot be replaced: {found[0]}", found[1])
            continue
        if not wants_next_key(case.facts, spec, case.now):
            continue
        coming = next_key(case.facts, spec)
        if coming is None:
            yield from _make(case, spec, current)
        elif coming.origin == "elsewhere" and coming.path == spec.key:
            step = TakeKey(spec.name, spec.key, "its next key, which was kept elsewhere, has come here")
            yield from unless_backing_off(case, "take-key", spec.name, step)
        elif coming.origin == "elsewhere" and wanted is not None:
            why = f"{wanted.why}, and the next key ({_short(coming)}) is kept elsewhere"
            remedy = "bring its private key here, name its file as `key`, and run apply"
            yield Hold("spare-key", spec.name, why, remedy)


def _make(case: Case, spec: CertificateSpec, current: KeyFact) -> Answers:
    if spec.spare is not None and spec.spare.spki_der in {current.spki_der, *_were_current(case, spec)}:
        why = f"{spec.spare.path} is the public half of a key that was used already, so no next key stands ready"
        yield Hold("spare-used", spec.name, why, "make another spare key and name its public half as next_key_public")
        return
    path = spec.spare.path if spec.spare else None
    why = f"take the public half in {path}" if path else f"make a {next_type(case.facts, spec)} key, to stand ready"
    yield from unless_backing_off(case, "take-next-key", spec.name, TakeNextKey(spec.name, path, why))


def _were_current(case: Case, spec: CertificateSpec) -> set[bytes]:
    return {key.spki_der for key in retired_keys(case.facts, spec.name)}


def promote(case: Case) -> Answers:
    """Call the next key the current one, once every deployment is proven to present it."""
    for spec in case.desired.certificates:
        cut = cutover(case.facts, spec, case.now)
        current = current_key(case.facts, spec.name)
        if cut is None or current is None:
            continue
        works = case.of(spec.name)
        chains = [chain_of(case.facts, work.active) if work.active else None for work in works]
        over = all(chain is not None and chain.spki_sha256 == cut.key.spki_sha256 for chain in chains)
        if works and over and all(work.phase == "proven" and not work.silent for work in works):
            why = f"every service presents it, and not {_short(current)} any more"
            yield Promote(spec.name, cut.key.spki_sha256, current.spki_sha256, why)


def settle(case: Case) -> Answers:
    """Prove again when a cutover has settled; only then do the old key's records go."""
    for spec in case.desired.certificates:
        replaced = settling(case.facts, spec)
        if replaced is None or not is_settling(case.facts, spec, case.now):
            continue
        if case.now < replaced.until:
            why = (
                f"the key went over to the next one lately; its records ({_short(replaced.key)}) go after another proof"
            )
            yield Wait("settling", spec.name, replaced.until, why)
            continue
        for work in case.of(spec.name):
            active = work.active
            if active is None or work.phase != "proven" or (active.proven_at and active.proven_at >= replaced.until):
                continue
            why = "the cutover has settled: is it still what every address presents?"
            step = Prove(spec.name, work.deployment.id, active.n, active.leaf_sha256, why)
            yield from unless_backing_off(case, "prove", work.deployment.id, step)


def revoke(case: Case) -> Answers:
    """Revoke what a person wants revoked, as soon as nothing presents it."""
    for spec in case.desired.certificates:
        for intent in open_revocations(case, spec.name):
            row = next((row for row in case.facts.chains if row.chain.leaf_sha256 == intent.leaf_sha256), None)
            if row is None or row.revoked_at is not None:
                continue
            revoked = [row]
            if intent.reason == COMPROMISED:  # signed by its key, that revokes every certificate over it
                revoked = [each for each in case.facts.chains if each.chain.spki_sha256 == row.chain.spki_sha256]
            if "yes" not in intent.options and any(is_in_use(case, spec, each.chain) for each in revoked):
                yield from _hold_up(spec, intent)
                continue
            step = Revoke(spec.name, intent.leaf_sha256, intent.reason or 0, f"asked for by {intent.by}")
            yield from unless_backing_off(case, "revoke", spec.name, step)


def open_revocations(case: Case, certificate: str) -> Iterator[Intent]:
    """Return the open requests to revoke a certificate of a name."""
    return (
        row
        for row in case.facts.intents
        if (row.certificate, row.kind) == (certificate, "revoke") and not row.closed_at
    )


def _hold_up(spec: CertificateSpec, intent: Intent) -> Answers:
    """Say where nothing will ever take the certificate out of use."""
    found = obstacle(spec)
    if intent.reason == COMPROMISED and found is not None:
        why = f"the certificate {intent.leaf_sha256[:16]}… is to be revoked, and its key cannot be replaced: {found[0]}"
        yield Hold("no-rollover", spec.name, why, found[1])


def is_in_use(case: Case, spec: CertificateSpec, chain: Chain) -> bool:
    """Tell whether a chain is presented by this host, stands where services read it, or went live last."""
    for deployment in spec.deployments:
        work = next(work for work in case.works if work.deployment.id == deployment.id)
        standing = standing_chain(case.facts, deployment)
        if work.active is not None and work.active.leaf_sha256 == chain.leaf_sha256:
            return True
        if standing is not None and standing.leaf_sha256 == chain.leaf_sha256:
            return True
    places = {(row.endpoint, row.address) for row in case.facts.presented if row.chain.leaf_sha256 == chain.leaf_sha256}
    return any(
        row.mine and row.chain.leaf_sha256 == chain.leaf_sha256
        for endpoint, address in places
        for row in presented_now(case.facts, endpoint, address)
    )


def retire(case: Case) -> Answers:
    """Put a key away once nothing can need it: no certificate over it, no record, no cache, no service."""
    for spec in case.desired.certificates:
        replaced = settling(case.facts, spec)
        for key in retired_keys(case.facts, spec.name):
            if is_put_away(key) or key.origin == "elsewhere" or _is_shared(case, key):
                continue
            if replaced is not None and replaced.key == key and is_settling(case.facts, spec, case.now):
                continue
            chains = [row for row in case.facts.chains if row.chain.spki_sha256 == key.spki_sha256]
            if any(is_in_use(case, spec, row.chain) for row in chains) or _is_pinned(case, key, chains):
                continue
            until = _needed_until(case, key, chains)
            if until is not None and until > case.now:
                why = f"until then the retired key {_short(key)} is in a valid certificate, or its record in a cache"
                yield Wait("retiring", spec.name, until, why)
                continue
            step = Retire(
                spec.name, key.spki_sha256, spec.retired_keys, "no certificate and no record needs it any more"
            )
            yield from unless_backing_off(case, "retire", spec.name, step)


def _is_shared(case: Case, key: KeyFact) -> bool:
    """Tell whether another certificate has the same key, and still needs it."""
    others = [
        row for row in case.facts.keys if row.spki_sha256 == key.spki_sha256 and row.certificate != key.certificate
    ]
    return any(not is_put_away(row) and not _is_done_with(case, row) for row in others)


def _is_done_with(case: Case, key: KeyFact) -> bool:
    """Tell whether a certificate has gone over to another key, and no deployment of its own is over this one."""
    current = current_key(case.facts, key.certificate)
    if current is None or key.current_since is None or current.spki_sha256 == key.spki_sha256:
        return False
    leaves = {row.chain.leaf_sha256 for row in case.facts.chains if row.chain.spki_sha256 == key.spki_sha256}
    active = (active_generation(case.facts, subject) for subject in {row.deployment for row in case.facts.generations})
    return not any(row is not None and row.leaf_sha256 in leaves for row in active)


def _is_pinned(case: Case, key: KeyFact, chains: list[ChainFact]) -> bool:
    """Tell whether a record that a chain over the key is needed for stood there when it was read last, ours or not.

    One that was withdrawn by an update whose answer was lost stays ours in the facts, and is of no use to anybody.
    """
    return any(_is_of(record, key, chains) for row in case.facts.primaries for record in row.rdatas)


def _is_of(record: TlsaRecord, key: KeyFact, chains: list[ChainFact]) -> bool:
    if is_over_key(record.spec):
        return record.spec in KEY_RECORDS and dane.tlsa_record(record.spec, spki_der=key.spki_der) == record
    return record.usage == 3 and any(dane.matches(record, row.chain) for row in chains)


def _needed_until(case: Case, key: KeyFact, chains: list[ChainFact]) -> datetime | None:
    """Return when the last certificate over a key is over and its record is out of every cache."""
    ends = [row.chain.not_after for row in chains if row.revoked_at is None]
    owners = {row.owner for row in case.facts.own_records} | {row.owner for row in case.facts.primaries}
    for owner in owners:
        ends.extend(
            item.until or case.now + STILL_SERVED
            for item in held(case.facts, case.desired, owner, case.now)
            if any(_is_of(record, key, chains) for record in item.rdatas)
        )
    return max(ends, default=None)


def _short(key: KeyFact) -> str:
    return f"{key.spki_sha256[:16]}…"
