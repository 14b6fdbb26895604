"""Which records an owner name should have: what every certificate claims there, for each of its keys that needs them.

Records over a key (usage 1 or 3, selector 1) are known before there is a certificate. Records over a certificate or its
CA are known with the chain: those of the newest chain over each key are wanted, so that each renewal is published,
ripe, and then live; what is live goes on being covered until nothing presents it (`records`).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from danelaw import dane
from danelaw.lifecycle.disk import active_generation
from danelaw.lifecycle.due import current_chain
from danelaw.lifecycle.gate import claims_at
from danelaw.lifecycle.here import in_use_elsewhere
from danelaw.lifecycle.keys import current_key, is_put_away, next_key, settling, wants_next_key
from danelaw.model import CertificateSpec, Chain, Desired, Facts, KeyFact, RecordSpec, TlsaClaim, TlsaRecord


def is_over_key(spec: RecordSpec) -> bool:
    """Tell whether a record is of the leaf's key alone, so that a renewal over that key does not change it."""
    return spec.selector == 1 and spec.usage in {1, 3}


def promised_keys(facts: Facts, spec: CertificateSpec, now: datetime) -> tuple[KeyFact, ...]:
    """Return the keys whose records are published: current, next, and the one replaced last while it settles."""
    current = current_key(facts, spec.name)
    if current is None:
        return ()
    keys = [current]
    coming = next_key(facts, spec)
    if coming is not None and (wants_next_key(facts, spec, now) or is_live_over(facts, spec, coming)):
        keys.append(coming)
    if is_settling(facts, spec, now):
        replaced = settling(facts, spec)
        keys.extend([replaced.key] if replaced else [])
    return tuple(keys)


def is_live_over(facts: Facts, spec: CertificateSpec, key: KeyFact) -> bool:
    """Tell whether a deployment of a certificate went live with a chain over a key."""
    leaves = {row.chain.leaf_sha256 for row in facts.chains if row.chain.spki_sha256 == key.spki_sha256}
    active = (active_generation(facts, deployment.id) for deployment in spec.deployments)
    return any(row is not None and row.leaf_sha256 in leaves for row in active)


def is_settling(facts: Facts, spec: CertificateSpec, now: datetime) -> bool:
    """Tell whether the key replaced last still settles: its time is not over, or nothing was proven since."""
    replaced = settling(facts, spec)
    if replaced is None:
        return False
    if now < replaced.until:
        return True
    active = (active_generation(facts, deployment.id) for deployment in spec.deployments)
    since = current_key(facts, spec.name)
    if since is not None and since.current_since == replaced.until:
        return False  # no settling: it was proven when it became current
    return any(row is not None and (row.proven_at is None or row.proven_at < replaced.until) for row in active)


def wanted_records(facts: Facts, desired: Desired, owner: str, now: datetime) -> tuple[TlsaRecord, ...] | None:
    """Return the union of the claimed records; None while no claiming certificate has a key.

    One whose key is not to be had keeps no other's records back.
    """
    specs = {spec.name: spec for spec in desired.certificates}
    records: set[TlsaRecord] = set()
    keyless = True
    for claim in claims_at(desired, owner):
        spec = specs[claim.certificate]
        for key in promised_keys(facts, spec, now):
            keyless = False
            records |= _of_key(facts, spec, claim, key, now)
    return None if keyless else tuple(sorted(records))


def _of_key(facts: Facts, spec: CertificateSpec, claim: TlsaClaim, key: KeyFact, now: datetime) -> set[TlsaRecord]:
    over_key = [each for each in claim.records if is_over_key(each)]
    records = {dane.tlsa_record(each, spki_der=key.spki_der) for each in over_key}
    if len(over_key) < len(claim.records):
        row = current_chain(facts, spec, key.spki_sha256, now)
        for each in claim.records if row is not None else ():
            if not is_over_key(each) and row is not None:
                records |= records_of(each, row.chain, spec.intermediates)
    return records


def records_of(spec: RecordSpec, chain: Chain, intermediates: Sequence[bytes] = ()) -> set[TlsaRecord]:
    """Return the records of one combination for a chain; of usages 0 and 2 for the CA that issued the leaf.

    A CA may issue the next one from any of its ``intermediates`` (Let's Encrypt picks at random): all or none are
    published. Empty where the chain presents no CA certificate, which no such record could match (RFC 7671 section
    5.2).
    """
    if spec.usage in {1, 3}:
        return {dane.tlsa_record(spec, chain)}
    above = [der for der in dane.trust_anchors(chain) if der != chain.leaf_der][:1]
    return {
        TlsaRecord(*spec, dane.association(dane.select(der, spec.selector), spec.matching_type))
        for der in [*above, *(intermediates if above else ())]
    }


def own_records(facts: Facts, owner: str) -> frozenset[TlsaRecord]:
    """Return the records at an owner name that danelaw added and has not withdrawn."""
    return frozenset(row.record for row in facts.own_records if row.owner == owner and not row.withdrawn_at)


def algorithms_of(facts: Facts, record: TlsaRecord) -> frozenset[str]:
    """Return the algorithms of the keys and chains, seen or ours, that a record matches; of an unknown one, all."""
    chains = [*(row.chain for row in facts.chains), *(row.chain for row in facts.presented)]
    found = {chain.algorithm for chain in chains if dane.matches(record, chain)}
    if is_over_key(record.spec):
        keys = (key for key in facts.keys if dane.tlsa_record(record.spec, spki_der=key.spki_der) == record)
        found |= {key.algorithm for key in keys}
    return frozenset(found or {"rsa", "ecdsa", "other"})


def foreign_records(
    facts: Facts, desired: Desired, owner: str, base: Iterable[TlsaRecord], now: datetime
) -> list[TlsaRecord]:
    """Return other people's records among ``base`` that no `prune` names, or that another host is in need of.

    What `prune` names in full is a person's word; true is not one about what another host presents.
    """
    claims = claims_at(desired, owner)
    wanted = wanted_records(facts, desired, owner, now) or ()
    own = own_records(facts, owner) | set(wanted)
    named = {record for claim in claims if not isinstance(claim.prune, bool) for record in claim.prune}
    return [
        record
        for record in base
        if record not in own
        and (
            not is_pruned(record, claims)
            or (record not in named and in_use_elsewhere(facts, desired, owner, record, wanted))
        )
    ]


def orphan_records(
    facts: Facts, desired: Desired, owner: str, base: Iterable[TlsaRecord], now: datetime
) -> list[TlsaRecord]:
    """Return our records among ``base`` of certificates that claim the owner name no more, beside those that do.

    They are kept until a person withdraws them (promise 4). One of parameters that nobody wants any more goes: alone it
    would refuse every chain of the others (RFC 7671 section 8).
    """
    claims = claims_at(desired, owner)
    own = own_records(facts, owner) & set(base) - set(wanted_records(facts, desired, owner, now) or ())
    if not own:
        return []
    specs = {spec for claim in claims for spec in claim.records}
    claiming = {claim.certificate for claim in claims}
    ours = {key.spki_sha256 for key in facts.keys if key.certificate in claiming}  # shared: we know when it goes
    keys = [key for key in facts.keys if key.certificate not in claiming and not key.compromised_at]
    keys = [key for key in keys if not is_put_away(key) and key.spki_sha256 not in ours]
    left = {dane.tlsa_record(spec, spki_der=key.spki_der) for key in keys for spec in specs if is_over_key(spec)}
    left |= {
        record
        for row in facts.chains
        if row.certificate not in claiming and not row.revoked_at and row.chain.not_after > now
        for spec in specs
        if not is_over_key(spec)
        for record in records_of(spec, row.chain)
    }
    return [record for record in base if record in own & left and not is_pruned(record, claims)]


def is_pruned(record: TlsaRecord, claims: Sequence[TlsaClaim]) -> bool:
    """Tell whether the config wants a record gone whosever it is."""
    return any(
        (claim.prune and record.selector == 0) if isinstance(claim.prune, bool) else record in claim.prune
        for claim in claims
    )
