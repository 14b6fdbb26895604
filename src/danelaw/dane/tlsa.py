"""TLSA records: from certificates and keys, to and from text, and which of them a client can use."""

import hashlib
import re
from functools import lru_cache

from danelaw import pki
from danelaw.errors import InputError
from danelaw.model import Chain, RecordSpec, TlsaRecord

DIGEST_LENGTHS = {1: 32, 2: 64}
"""Octets of association data by matching type (RFC 6698 section 2.1.3)."""

MAX_DATA = 65535 - 3
"""What is left of an rdata after the three parameters."""

_SPEC = re.compile(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s*")


@lru_cache(maxsize=4096)
def association(selected_der: bytes, matching_type: int) -> bytes:
    """Return the association data of a whole certificate or SPKI (RFC 6698 section 2.1.3).

    Raises ValueError for nothing, whose digest is the classical wrong record, and for an unknown matching type.
    """
    if not selected_der:
        raise ValueError("there is nothing to make a TLSA record of")
    if matching_type == 0:
        return selected_der
    if matching_type == 1:
        return hashlib.sha256(selected_der).digest()
    if matching_type == 2:
        return hashlib.sha512(selected_der).digest()
    raise ValueError(f"matching type {matching_type} is not known")


def select(certificate_der: bytes, selector: int) -> bytes:
    """Return the part of a certificate that a selector names: 0 all of it, 1 its SPKI (RFC 6698 section 2.1.2)."""
    return certificate_der if selector == 0 else pki.spki_of_certificate(certificate_der)


def tlsa_record(
    spec: RecordSpec, chain: Chain | None = None, spki_der: bytes | None = None, *, ta: int | None = None
) -> TlsaRecord:
    """Return the TLSA record of a chain, or of a bare key where there is no chain.

    Usages 1 and 3 take the leaf. Usages 0 and 2 take one of its `trust_anchors`: number ``ta``, counted from 1, by
    default the last, which is the topmost CA certificate that the leaf chains up to. Raises `InputError` where the
    parameters are unknown, the source has no such certificate, there is nothing at all, or too much for a record.
    """
    if not (0 <= spec.usage <= 3 and spec.selector in {0, 1} and spec.matching_type in {0, 1, 2}):
        raise InputError(f"found TLSA parameters {spec}; expected usage 0 to 3, selector 0 or 1, matching type 0 to 2")
    if chain is None:
        selected = _bare_key(spec, spki_der)
    elif spec.usage in {1, 3}:
        selected = chain.leaf_der if spec.selector == 0 else chain.spki_der
    else:
        selected = select(_trust_anchor(spec, chain, ta), spec.selector)
    data = association(selected, spec.matching_type)
    if len(data) > MAX_DATA:
        raise InputError(f"a TLSA record {spec} would hold {len(data)} octets, and DNS takes {MAX_DATA}; use a digest")
    return TlsaRecord(*spec, data)


def trust_anchors(chain: Chain) -> tuple[bytes, ...]:
    """Return the CA certificates that records of usages 0 and 2 can pin, DER, the nearest to the leaf first.

    They are those that the leaf chains up to by signatures (RFC 7671 section 5.2: the server presents them with it),
    and where the first certificate is a CA's own, that one before them.
    """
    above = pki.issuers(chain.certificates_der, chain.names)
    return (chain.leaf_der, *above) if pki.is_ca(chain.leaf_der) else above


def generic(record: TlsaRecord) -> str:
    r"""Return a record's data for software that does not know TLSA (RFC 3597 section 5): ``\# 35 030101…``."""
    rdata = bytes(record.spec) + record.data
    return f"\\# {len(rdata)} {rdata.hex()}"


def zone_line(owner: str, ttl: int, record: TlsaRecord) -> str:
    """Return a record as a zone file's line (RFC 6698 section 2.2); ``ttl`` in seconds, no newline."""
    return f"{owner.rstrip('.')}. {ttl} IN TLSA {record}"


def parse_spec(text: str) -> RecordSpec:
    """Read ``3 1 1``. Raises `InputError` where it is not three numbers that mean something."""
    found = _SPEC.fullmatch(text)
    spec = RecordSpec(*map(int, found.groups())) if found else None
    if spec is None or spec.usage > 3 or spec.selector > 1 or spec.matching_type > 2:
        raise InputError(f"found TLSA parameters {text!r}; expected usage, selector and matching type, as in '3 1 1'")
    return spec


def parse_record(text: str) -> TlsaRecord:
    """Read a record's data as zone files have it, ``3 1 1 60785a…``; the digits may stand in groups or parentheses.

    Parameters up to 255 and data of any length are taken: what is unusable must be representable (RFC 6698 section
    2.2). Raises `InputError` where it cannot be read.
    """
    parts = text.replace("(", " ").replace(")", " ").split(maxsplit=3)
    try:
        usage, selector, matching_type = (int(part) for part in parts[:3])
        record = TlsaRecord(usage, selector, matching_type, bytes.fromhex(parts[3]))
    except (ValueError, IndexError):
        raise InputError(f"found {text[:80]!r}; expected a TLSA record as in '3 1 1 60785a…'") from None
    if not all(0 <= number <= 255 for number in record.spec) or not 1 <= len(record.data) <= MAX_DATA:
        raise InputError(f"found {text[:80]!r}; expected three numbers up to 255 and up to 65532 octets in hexadecimal")
    return record


@lru_cache(maxsize=1024)
def usable(record: TlsaRecord, *, smtp: bool) -> bool:
    """Return whether a client that obeys the RFCs can use a record at all (RFC 6698 section 4.1, RFC 7672 section 3.1).

    The selector and matching type are known, a digest has its length, full data parses. ``smtp``, for MTA to MTA at
    port 25: usages 2 and 3 only, since 0 and 1 are undefined there (RFC 7672 section 3.1.3); elsewhere 0 to 3.
    """
    if record.usage not in ({2, 3} if smtp else {0, 1, 2, 3}) or record.selector not in {0, 1}:
        return False
    if record.matching_type in DIGEST_LENGTHS:
        return len(record.data) == DIGEST_LENGTHS[record.matching_type]
    return record.matching_type == 0 and _parses(record)


def _parses(record: TlsaRecord) -> bool:
    if record.selector == 0:
        return pki.load(record.data) is not None
    try:
        pki.load_public_key(record.data)
    except InputError:
        return False
    return True


def _bare_key(spec: RecordSpec, spki_der: bytes | None) -> bytes:
    if not spki_der:
        raise InputError(f"a TLSA record {spec} needs a certificate or a key; found neither")
    if spec.selector == 0:
        raise InputError(f"a TLSA record {spec} (selector 0) is made of a whole certificate; found only a key")
    if spec.usage in {0, 2}:
        raise InputError(f"a TLSA record {spec} (usage {spec.usage}) is made of a CA's certificate; found only a key")
    return spki_der


def _trust_anchor(spec: RecordSpec, chain: Chain, ta: int | None) -> bytes:
    found = trust_anchors(chain)
    if not found:
        raise InputError(
            f"a TLSA record {spec} (usage {spec.usage}) pins a CA certificate that the first one chains up to; "
            f"found none among the {len(chain.certificates_der)} given: add it to the chain"
        )
    if ta is not None and not 1 <= ta <= len(found):
        listed = ", ".join(f"{number} {pki.subject_text(one)}" for number, one in enumerate(found, 1))
        raise InputError(f"found no CA certificate number {ta}; the leaf chains up to {listed}")
    return found[(ta or len(found)) - 1]
