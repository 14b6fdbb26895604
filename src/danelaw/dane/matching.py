"""Records held against a chain: one record (`matches`), a publisher's RRset (`covers`), a sender's RRset (`accepts`).

PKIX trust, which usages 0 and 1 ask for besides, is never judged here: that needs a set of trusted CAs, and at port 25
nobody has one (RFC 7672 section 3.1.3). What is said of them is only that the record itself matches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from danelaw import pki
from danelaw.dane.tlsa import association, select, usable
from danelaw.errors import InputError
from danelaw.model import Chain, TlsaRecord

_STRENGTH = {1: 1, 2: 2}
"""Digests by strength: SHA-256, SHA-512 (RFC 7671 section 9)."""

MOST_IN_FULL = 16
"""How many CA certificates and keys in full are tried: each asks for signatures, and an honest RRset has one or two."""


def matches(record: TlsaRecord, chain: Chain, names: Sequence[str] = (), now: datetime | None = None) -> bool:
    """Return whether a record matches a presented chain.

    ``names`` are the reference identifiers, one of which the leaf must have, and ``now`` the instant at which all
    certificates up to the pinned CA must be valid; both are asked of usages 0 and 2 only (RFC 7671 section 5.2), and
    not where they are left out. With usage 3 they are ignored as section 5.1 demands; of usage 1 the digest alone is
    judged. An unusable record matches nothing.
    """
    if record.selector not in {0, 1} or record.matching_type not in {0, 1, 2}:
        return False
    if record.usage in {1, 3}:
        leaf = chain.leaf_der if record.selector == 0 else chain.spki_der
        return association(leaf, record.matching_type) == record.data
    if record.usage not in {0, 2}:
        return False
    if names and not fits(chain, names):
        return False
    return _pins_an_issuer(record, chain, now)


def covers(rdatas: Iterable[TlsaRecord], chain: Chain, names: Sequence[str] = (), now: datetime | None = None) -> bool:
    """Return whether an RRset covers a chain: every (usage, selector, matching type) in it has a record that matches.

    This is what a publisher owes (RFC 7671 sections 8, 8.4), stricter than what a sender asks. Records of other chains
    may stand beside. An unusable record's combination matches nothing. No records at all cover everything: a client
    that found none refuses none (RFC 7672 section 2.2).
    """
    records = tuple(rdatas)
    matched = {record.spec for record in records if matches(record, chain, names, now)}
    return all(record.spec in matched for record in records)


def accepts(
    rdatas: Iterable[TlsaRecord],
    chain: Chain,
    names: Sequence[str] = (),
    now: datetime | None = None,
    *,
    smtp: bool = True,
) -> bool:
    """Return whether a sender authenticates a chain by an RRset: at least one usable record matches.

    With digest agility (RFC 7671 section 9): of one usage and selector only the strongest digest present counts, beside
    full data. False too where no record is usable; what a sender does then is another question (RFC 7672 section 2.2).
    """
    return any(matches(record, chain, names, now) for record in counting(rdatas, smtp=smtp))


def counting(rdatas: Iterable[TlsaRecord], *, smtp: bool, agility: bool = True) -> tuple[TlsaRecord, ...]:
    """Return the usable records that a client looks at, in order.

    Of one usage and selector only those of the strongest digest present, beside full data (RFC 7671 section 9);
    without ``agility`` all. Of hundreds of CA certificates in full only the first are looked at (`MOST_IN_FULL`).
    """
    known = tuple(record for record in rdatas if usable(record, smtp=smtp))
    untried = set(in_full(known))
    records = tuple(record for record in known if record not in untried) if untried else known
    if not agility:
        return records
    strongest: dict[tuple[int, int], int] = {}
    for record in records:
        key = (record.usage, record.selector)
        strongest[key] = max(strongest.get(key, 0), _STRENGTH.get(record.matching_type, 0))
    return tuple(
        record
        for record in records
        if record.matching_type == 0 or _STRENGTH[record.matching_type] == strongest[record.usage, record.selector]
    )


def fits(chain: Chain, names: Sequence[str]) -> bool:
    """Return whether the leaf is for a TLS server that has one of the names (RFC 7672 section 3.2.2).

    A leaf that says what it is for says that it is for TLS servers (RFC 5280 section 4.2.1.12).
    """
    return any(name_matches(name, chain.names) for name in names) and pki.serves_tls(chain.leaf_der)


def name_matches(reference: str, presented: Sequence[str]) -> bool:
    """Return whether one of a leaf's DNS names is the reference identifier (RFC 6125 section 6.4).

    A wildcard is a whole first label and stands for exactly one label (6.4.3).
    """
    reference = reference.lower().rstrip(".")
    if reference in presented:
        return True
    first, _, parent = reference.partition(".")
    return bool(first and parent) and f"*.{parent}" in presented


def _pins_an_issuer(record: TlsaRecord, chain: Chain, now: datetime | None) -> bool:
    """Return whether the chain leads up to a CA certificate that the record pins (RFC 7671 section 5.2)."""
    pinned = {chain.certificates_der[number] for number in held(record, chain.certificates_der) if number}
    if not pinned and record.matching_type != 0:
        return False  # the common miss, without a look at any signature
    candidates = chain.certificates_der
    if record.matching_type == 0 and record.selector == 0:
        candidates = (*candidates, record.data)  # RFC 7671 section 5.2.2: the TA may stand in DNS alone
        pinned.add(record.data)
    issuers = climbed(candidates[0], candidates[1:], chain.names, now)
    if not pinned.isdisjoint(issuers):
        return True
    if (record.selector, record.matching_type) != (1, 0) or not pki.is_valid_at(chain.leaf_der, now):
        return False
    # RFC 7671 section 5.2.3: a bare key may have signed the topmost certificate, which has not expired, where no
    # element of the chain has that key: what is presented is judged with its dates and rights, as any issuer is.
    return any(
        pki.is_signed_by(one, record.data) and not any(pki.is_issued_by(one, each) for each in pinned)
        for one in (chain.leaf_der, *issuers)
    )


@lru_cache(maxsize=64)
def climbed(
    start_der: bytes,
    candidates_der: tuple[bytes, ...],
    names: tuple[str, ...] = (),
    now: datetime | None = None,
    *,
    below: int = 0,
    signatures_alone: bool = False,
) -> Mapping[bytes, int]:
    """Return what `pki.climb` does, remembered: a thousand records may ask the same of one chain."""
    return pki.climb(start_der, candidates_der, names, now, below=below, signatures_alone=signatures_alone)


def held(record: TlsaRecord, certificates_der: tuple[bytes, ...]) -> tuple[int, ...]:
    """Return the positions of the certificates whose data a record holds (`selects`), whatever its usage."""
    return _held(certificates_der).get((record.selector, record.matching_type, record.data), ())


def holdings(certificates_der: tuple[bytes, ...]) -> frozenset[bytes]:
    """Return the data of every record that holds something of certificates."""
    return frozenset(data for _, _, data in _held(certificates_der))


@lru_cache(maxsize=64)
def _held(certificates_der: tuple[bytes, ...]) -> Mapping[tuple[int, int, bytes], tuple[int, ...]]:
    """Return all that records can hold of certificates, with their positions, so that each record is looked up once."""
    found: dict[tuple[int, int, bytes], tuple[int, ...]] = {}
    for number, certificate_der in enumerate(certificates_der):
        for selector in (0, 1):
            try:
                selected = select(certificate_der, selector)
                data = [(selector, matching_type, association(selected, matching_type)) for matching_type in (0, 1, 2)]
            except (InputError, ValueError):
                continue  # something presented beside the leaf that is no certificate
            for key in data:
                found[key] = (*found.get(key, ()), number)
    return found


def in_full(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Return the records that hold a whole CA certificate or key, beyond those that are tried."""
    full = [record for record in records if record.usage in {0, 2} and record.matching_type == 0]
    return tuple(dict.fromkeys(full))[MOST_IN_FULL:]


def selects(record: TlsaRecord, certificate_der: bytes) -> bool:
    """Return whether a record's data is that of a certificate (RFC 6698 section 2.1), whatever its usage."""
    try:
        return association(select(certificate_der, record.selector), record.matching_type) == record.data
    except (InputError, ValueError):
        return False  # unknown parameters, or something presented beside the leaf that is no certificate
