"""Each record held against one chain, with the reason where it does not match: for people, and for what senders do.

Whether a record matches is `matching`'s to say; what is added here is PKIX trust for usages 0 and 1 and the words.
"""

import hashlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from danelaw import pki
from danelaw.dane.matching import (
    MOST_IN_FULL,
    climbed,
    counting,
    fits,
    held,
    holdings,
    in_full,
    matches,
    name_matches,
    selects,
)
from danelaw.dane.tlsa import DIGEST_LENGTHS, usable
from danelaw.model import Chain, RecordVerdict, TlsaRecord

_DIGESTS = {1: "SHA-256", 2: "SHA-512"}
_EMPTY = frozenset({hashlib.sha256(b"").digest(), hashlib.sha512(b"").digest()})


def verify(
    records: Sequence[TlsaRecord],
    chain: Chain,
    names: Sequence[str],
    now: datetime | None,
    *,
    smtp: bool,
    agility: bool = True,
    roots_der: Sequence[bytes] = (),
) -> tuple[RecordVerdict, ...]:
    """Hold each record against a presented chain; return one verdict a record, in the order given.

    ``names`` are the reference identifiers, one of which the leaf must have, and ``now`` the instant at which the
    certificates must be valid; usage 3 ignores both (RFC 7671 section 5.1), and neither is asked where it is left out.
    ``smtp``, for MTA to MTA at port 25: usages 0 and 1 are unusable (RFC 7672 section 3.1.3). Elsewhere they need
    PKIX trust: ``roots_der`` are the trusted CA certificates, DER, and without any they match nothing. ``agility``
    False: every usable record counts, whatever digests stand beside it (RFC 7671 section 9).

    A client that obeys this authenticates the chain if one verdict both counts and matches. Nothing is raised: the
    chain may be hostile.
    """
    asked, roots = tuple(names), tuple(roots_der)
    familiar = _familiar(chain.certificates_der, roots)
    verdicts = []
    for record, unfamiliar in _of_strangers(tuple(records), smtp, agility, bool(roots)):
        if unfamiliar.why == _UNTRIED or not unfamiliar.usable:
            verdicts.append(unfamiliar)
        elif (record.matching_type or record.usage in {1, 3}) and record.data not in familiar:
            verdicts.append(unfamiliar)  # the common miss: of a thousand records all but one or two
        else:
            matched, depth, why = _judged(record, chain, asked, now, roots)
            verdicts.append(replace(unfamiliar, matches=matched, depth=depth, why=why))
    return tuple(verdicts)


_UNTRIED = f"not tried: it is beyond the first {MOST_IN_FULL} that hold a CA certificate or key in full"


@lru_cache(maxsize=16)
def _of_strangers(
    records: tuple[TlsaRecord, ...],
    smtp: bool,  # noqa: FBT001 - a key of the cache
    agility: bool,  # noqa: FBT001 - a key of the cache
    rooted: bool,  # noqa: FBT001 - a key of the cache
) -> tuple[tuple[TlsaRecord, RecordVerdict], ...]:
    """Return each record with the verdict on a chain of which it has nothing: the same for hundreds of handshakes."""
    counted = set(counting(records, smtp=smtp, agility=agility))
    untried = set(in_full(each for each in records if usable(each, smtp=smtp)))

    def verdict(record: TlsaRecord) -> RecordVerdict:
        if not usable(record, smtp=smtp):
            return RecordVerdict(record, usable=False, counts=False, matches=False, why=_unusable(record))
        why = _UNTRIED if record in untried else _stranger(record, rooted=rooted)
        return RecordVerdict(record, usable=True, counts=record in counted, matches=False, why=why)

    return tuple((record, verdict(record)) for record in records)


@lru_cache(maxsize=64)
def _familiar(certificates_der: tuple[bytes, ...], roots: tuple[bytes, ...]) -> frozenset[bytes]:
    """Return all data that says something of a record where it is found in one, whatever its other parameters."""
    return _EMPTY | holdings(certificates_der) | holdings(roots)


def _stranger(record: TlsaRecord, *, rooted: bool) -> str:
    """Say why a record does not match a chain of which it has nothing."""
    if record.usage in {1, 3}:
        return "pins another key" if record.selector else "pins another certificate"
    if record.usage == 0 and not rooted:
        return _NO_ROOTS.format(0)
    return f"the CA {'key' if record.selector else 'certificate'} that it pins is not presented"


_NO_ROOTS = "usage {} needs a trusted CA, and no trusted CAs were given"


@lru_cache(maxsize=128)
def _judged(
    record: TlsaRecord, chain: Chain, names: tuple[str, ...], now: datetime | None, roots: tuple[bytes, ...]
) -> tuple[bool, int | None, str]:
    """Return whether a usable record matches, the depth of what it pins, and why it does not match."""
    depth = _depth(record, chain)
    if record.usage in {1, 3} and not matches(record, chain):
        return False, depth, _pins_another(record, chain, depth)
    if record.usage == 3:
        return True, depth, ""
    if record.usage in {0, 1} and not roots:
        return False, depth, _NO_ROOTS.format(record.usage)
    if record.usage != 1 and depth is None and record.matching_type and not _pinned(record, chain, roots):
        return False, None, _not_presented(record, chain)  # without a climb
    if not _leads_up(record, chain, now, roots):
        return False, depth, _not_up(record, chain, now, roots)
    if record.usage != 1:
        depth = _depth(
            record, chain, among=climbed(chain.leaf_der, _candidates(record, chain, roots), chain.names, now)
        )
    if names and not fits(chain, names):
        return False, depth, _misfit(chain, names)
    return True, depth, ""


def _depth(record: TlsaRecord, chain: Chain, among: Container[bytes] | None = None) -> int | None:
    """Return which certificate's data a record holds, where ``among`` is given of those in it.

    For usages 1 and 3 the leaf where it can be, else one above it: of several with one key the first.
    """
    found = [
        number
        for number in held(record, chain.certificates_der)
        if among is None or chain.certificates_der[number] in among
    ]
    if not found:
        return None
    return found[0] if record.usage in {1, 3} else next((number for number in found if number), found[0])


def _leads_up(record: TlsaRecord, chain: Chain, now: datetime | None, roots: tuple[bytes, ...]) -> bool:
    """Return whether the leaf leads up to what the record pins, and for usages 0 and 1 to a trusted CA by that way.

    The way may go on above a trusted certificate (RFC 7671 section 5.4).
    """
    if record.usage == 2:
        return matches(record, chain, (), now)
    candidates = _candidates(record, chain, roots)
    reached = climbed(chain.leaf_der, candidates, chain.names, now)
    trusted = frozenset(roots)
    if record.usage == 1:  # RFC 7671 section 5.3
        itself = chain.leaf_der in trusted and pki.is_valid_at(chain.leaf_der, now)
        return itself or not trusted.isdisjoint(reached)
    return any(
        certificate_der in trusted
        or not trusted.isdisjoint(
            climbed(certificate_der, candidates, chain.names, now, below=reached[certificate_der])
        )
        for certificate_der in _pinned(record, chain, roots)
        if certificate_der in reached
    )


def _candidates(record: TlsaRecord, chain: Chain, roots: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return all that the way up may pass: what is presented, what is trusted, and what a record holds in full."""
    return (*chain.certificates_der[1:], *roots, *_in_full(record))


def _in_full(record: TlsaRecord) -> tuple[bytes, ...]:
    return (record.data,) if record.usage in {0, 2} and (record.selector, record.matching_type) == (0, 0) else ()


def _pinned(record: TlsaRecord, chain: Chain, roots: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return those of the `_candidates` whose data a record holds."""
    presented = (chain.certificates_der[number] for number in held(record, chain.certificates_der) if number)
    trusted = (roots[number] for number in held(record, roots))
    return (*presented, *trusted, *_in_full(record))


# --- words -----------------------------------------------------------------------------------------------------------


def _unusable(record: TlsaRecord) -> str:
    if record.usage > 3:
        return f"usage {record.usage} is not known"
    if record.selector > 1:
        return f"selector {record.selector} is not known"
    if record.matching_type > 2:
        return f"matching type {record.matching_type} is not known"
    digest = _DIGESTS.get(record.matching_type)
    if digest and len(record.data) != DIGEST_LENGTHS[record.matching_type]:
        return f"digest of {len(record.data)} octets, {digest} has {DIGEST_LENGTHS[record.matching_type]}"
    if usable(record, smtp=False):
        return f"usage {record.usage} is not defined at port 25 (RFC 7672 section 3.1.3)"
    return f"its full data is no {'public key' if record.selector else 'certificate'}"


def _pins_another(record: TlsaRecord, chain: Chain, depth: int | None) -> str:
    """Say of usages 1 and 3 why the leaf is not what they pin."""
    if record.data in _EMPTY:
        return "the digest of an empty string"
    if depth and pki.is_ca(above := chain.certificates_der[depth]):
        return f"pins the CA certificate {pki.subject_text(above)}, which is for usage {record.usage - 1}"
    other = _with_other_selector(record)
    if selects(other, chain.leaf_der):
        part = "whole certificate" if record.selector else "key"
        return f"holds the digest of the {part}: its selector ought to be {other.selector}"
    return _stranger(record, rooted=True)


def _not_up(record: TlsaRecord, chain: Chain, now: datetime | None, roots: tuple[bytes, ...]) -> str:
    """Say of usages 0, 1 and 2 why no valid way leads to what they pin, or on from there to a trusted CA."""
    if now is not None and _leads_up(record, chain, None, roots):
        return _out_of_date(chain, now, climbed(chain.leaf_der, _candidates(record, chain, roots), chain.names))
    if record.usage == 1:
        return "the certificate does not chain up to a trusted CA"
    if selects(record, chain.leaf_der):
        return f"pins the service's own certificate, which is for usage {record.usage + 1}"
    candidates = _candidates(record, chain, roots)
    pinned = next(iter(_pinned(record, chain, roots)), None)
    if pinned is None:
        return _not_presented(record, chain)
    shown = f"{pki.subject_text(pinned)}, which it pins,"
    if not pki.is_ca(pinned):
        return f"{shown} is no CA certificate"
    if pinned in climbed(chain.leaf_der, candidates, chain.names):
        return f"{shown} does not chain up to a trusted CA"
    if pinned in climbed(chain.leaf_der, candidates, signatures_alone=True):
        return f"a CA certificate on the way to {shown} may not issue this one (RFC 5280 section 6.1)"
    return f"the certificate does not chain up to {shown.removesuffix(',')}"


def _out_of_date(chain: Chain, now: datetime, way: Iterable[bytes]) -> str:
    late = next((one for one in (chain.leaf_der, *way) if not pki.is_valid_at(one, now)), chain.leaf_der)
    whose = "" if late == chain.leaf_der else f"{pki.subject_text(late)} "
    dates = pki.validity(late)
    if dates is None:
        return f"{whose}has no dates that can be read"
    if now < dates[0]:
        return f"{whose}not valid before {dates[0]:%Y-%m-%d}"
    return f"{whose}expired on {dates[1]:%Y-%m-%d}"


def _not_presented(record: TlsaRecord, chain: Chain) -> str:
    if record.data in _EMPTY:
        return "the digest of an empty string"
    other = _with_other_selector(record)
    if any(held(other, chain.certificates_der)):
        part = "whole CA certificate" if record.selector else "CA's key"
        return f"holds the digest of the {part}: its selector ought to be {other.selector}"
    if (record.selector, record.matching_type) == (1, 0):
        return "the CA key that it holds is not presented, and signed nothing of what is"
    return _stranger(record, rooted=True)


def _misfit(chain: Chain, names: Sequence[str]) -> str:
    if any(name_matches(name, chain.names) for name in names):
        return "the certificate's key usages do not allow a TLS server, or it has an unknown critical extension"
    has = ", ".join(map(_printable, chain.names[:3])) + (", …" if len(chain.names) > 3 else "")
    return f"the certificate is for {has or 'no DNS name'}, not for {' or '.join(dict.fromkeys(names))}"


def _with_other_selector(record: TlsaRecord) -> TlsaRecord:
    return TlsaRecord(record.usage, 1 - record.selector, record.matching_type, record.data)


def _printable(name: str) -> str:
    shown = name if len(name) <= 80 else f"{name[:79]}…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
