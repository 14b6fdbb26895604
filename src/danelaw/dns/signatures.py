"""Why the signatures over an RRset do not hold, in words. To explain only: libunbound alone gives the verdict."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.exception
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.DNSKEY
import dns.rdtypes.ANY.DS
import dns.rdtypes.ANY.RRSIG
from cryptography.exceptions import UnsupportedAlgorithm

from danelaw.dns import message as wire
from danelaw.dns.message import Message, Name, Record, label_count, text_of

DnskeyData = dns.rdtypes.ANY.DNSKEY.DNSKEY
DsData = dns.rdtypes.ANY.DS.DS
RrsigData = dns.rdtypes.ANY.RRSIG.RRSIG

MX, SRV, DS, NSEC, NSEC3 = 15, 33, 43, 47, 50

_WITH_NAMES = (wire.NS, wire.CNAME, wire.SOA, wire.DNAME, wire.RRSIG, MX, SRV, NSEC)
"""Types whose data holds names: they may be compressed, and are signed uncompressed (RFC 4034 section 6.2)."""

_MOST_RECORDS = 400
_MOST_SIGNATURES = 8
_MOST_KEYS = 4
"""How much of one RRset is looked at, and how many keys of one tag: hostile answers are bounded."""

_REVOKED, _ZONE_KEY = 0x0080, 0x0100
_ALGORITHMS = {5, 7, 8, 10, 13, 14, 15, 16}
_DIGESTS = {1: "SHA1", 2: "SHA256", 4: "SHA384"}


@dataclass(frozen=True, slots=True)
class RRset:
    """The records of one name and type in a section of an answer, with the RRSIGs over them."""

    name: Name
    rrtype: int
    data: tuple[dns.rdata.Rdata, ...] = ()
    signatures: tuple[RrsigData, ...] = ()

    @property
    def what(self) -> str:
        """Return name and type for people."""
        return f"{text_of(self.name)} {type_name(self.rrtype)}"


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone with keys that are trusted."""

    name: Name
    keys: tuple[DnskeyData, ...]

    def __str__(self) -> str:
        return text_of(self.name)


def type_name(rrtype: int) -> str:
    """Return a type's mnemonic."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))


def rrsets(answer: Message, section: Iterable[Record]) -> list[RRset]:
    """Return the RRsets in a section of an answer; data that cannot be read is left out."""
    data: dict[tuple[Name, int], list[dns.rdata.Rdata]] = {}
    signatures: dict[tuple[Name, int], list[RrsigData]] = {}
    for record, _ in zip((rr for rr in section if rr.rrclass == wire.IN), range(_MOST_RECORDS), strict=False):
        found = _data(answer, record)
        if isinstance(found, RrsigData):
            signatures.setdefault((record.name, found.type_covered), []).append(found)
        elif found is not None:
            data.setdefault((record.name, record.rrtype), []).append(found)
    return [RRset(*key, tuple(some), tuple(signatures.get(key, ()))) for key, some in data.items()]


def _data(answer: Message, record: Record) -> dns.rdata.Rdata | None:
    rrtype = dns.rdatatype.RdataType.make(record.rrtype)
    if record.rrtype not in (*_WITH_NAMES, wire.DNSKEY, DS, NSEC3):
        # others are signed as they are; a library that reads them would stumble over a digest of the wrong length
        return dns.rdata.GenericRdata(dns.rdataclass.IN, rrtype, record.rdata)
    start = record.offset + _name_length(answer.octets, record.offset) + 10
    try:
        return dns.rdata.from_wire(dns.rdataclass.IN, rrtype, answer.octets, start, len(record.rdata))
    except (dns.exception.DNSException, ValueError, IndexError):
        return None


def _name_length(octets: bytes, at: int) -> int:
    _, used = dns.name.from_wire(octets, at)  # it was read before: `message.parse`
    return used


def find(sets: Iterable[RRset], name: Name, rrtype: int) -> RRset | None:
    """Return the RRset of a name and type."""
    return next((rrset for rrset in sets if rrset.name == name and rrset.rrtype == rrtype), None)


class Verifier:
    """Checks signatures at an instant, so many at most (RFC 4035 section 5.3)."""

    def __init__(self, now: datetime, most: int = 64) -> None:
        self._now = now
        self._left = most

    def fault(self, rrset: RRset, zone: Zone) -> str:
        """Return why no RRSIG makes an RRset of a zone good, "" where one does."""
        if not rrset.signatures:
            return f"{rrset.what} has no RRSIG, though {zone} is signed: sign the zone again, all of it"
        furthest, text = -1, ""
        for signature in rrset.signatures[:_MOST_SIGNATURES]:
            reached, fault = self._fault(rrset, signature, zone)
            if not fault:
                return ""
            if reached > furthest:
                furthest, text = reached, fault
        return text

    def _fault(self, rrset: RRset, signature: RrsigData, zone: Zone) -> tuple[int, str]:
        """Return how far one signature gets, and why no further."""
        tag, number = signature.key_tag, int(signature.algorithm)
        made = f"the RRSIG over {rrset.what} by key {tag}"
        if signature.signer != zone.name:
            return 0, f"{made} names {text_of(signature.signer)} as its signer, and not the zone {zone}"
        if signature.labels > label_count(rrset.name):
            count = f"{signature.labels} labels, and its owner name has {label_count(rrset.name)}"
            return 1, f"{made} says {count}: it is not of this RRset"
        if number not in _ALGORITHMS:
            return 2, f"{made} is of algorithm {number}, which is not known here"
        keys = [key for key in zone.keys if _tag(key) == tag and int(key.algorithm) == number]
        if not keys:
            known = ", ".join(sorted({f"{_tag(key)}" for key in zone.keys})[:8]) or "none"
            return 3, f"{made} (algorithm {number}) cannot be checked: {zone} has no such key ({known})"
        if not any(int(key.flags) & _ZONE_KEY and key.protocol == 3 for key in keys):
            return 4, f"{made} is by a key that is no zone key (its flags are {int(keys[0].flags)})"
        if all(int(key.flags) & _REVOKED for key in keys) and rrset.rrtype != wire.DNSKEY:
            return 4, f"{made} is by a key that {zone} has revoked: sign the zone with another"
        if (outside := self._time(signature)) is not None:
            return 5, f"{made} {outside}"
        if not self._verifies(rrset, signature, zone, keys):
            return 6, f"{made} does not verify: the records or the signature were changed after signing"
        return 7, ""

    def _time(self, signature: RrsigData) -> str | None:
        begin, end = (instant(seconds, self._now) for seconds in (signature.inception, signature.expiration))
        if end < self._now:
            return f"expired on {end:%Y-%m-%d at %H:%M} UTC: sign the zone again, before that date each time"
        if begin > self._now:
            return f"is not valid before {begin:%Y-%m-%d at %H:%M} UTC: is the clock of the signer right?"
        return None

    def _verifies(self, rrset: RRset, signature: RrsigData, zone: Zone, keys: Sequence[DnskeyData]) -> bool:
        """Return whether one of the keys made the signature; what cannot be checked counts as good."""
        types = (dns.rdatatype.RdataType.make(kind) for kind in (rrset.rrtype, wire.DNSKEY))
        signed, known = (dns.rdataset.Rdataset(dns.rdataclass.IN, kind) for kind in types)
        for rdata in rrset.data:
            signed.add(rdata, signature.original_ttl)
        for key in keys[:_MOST_KEYS]:
            known.add(key, 0)
        self._left -= len(known)
        if self._left < 0:
            return True
        try:
            dns.dnssec.validate_rrsig(
                (rrset.name, signed),
                signature,
                {zone.name: known},
                now=signature.inception,  # when it is looked at was checked before
                policy=dns.dnssec.allow_all_policy,
            )
        except dns.exception.ValidationFailure:
            return False
        except (dns.exception.DNSException, UnsupportedAlgorithm, ValueError, TypeError, OverflowError):
            return True
        return True


def instant(seconds: int, now: datetime) -> datetime:
    """Return the instant that 32 bits of an RRSIG mean (RFC 4034 section 3.1.5: serial number arithmetic)."""
    current = int(now.timestamp())
    distance = (seconds - current + 0x80000000) % 0x100000000 - 0x80000000
    return datetime.fromtimestamp(current, tz=UTC) + timedelta(seconds=distance)


def _tag(key: DnskeyData) -> int:
    return dns.dnssec.key_id(key)


def _named(ds: DsData) -> str:
    return f"{ds.key_tag} (algorithm {int(ds.algorithm)})"


# -- from the parent's DS to the keys of a zone ------------------------------------------------------------------------


def known_ds(rrset: RRset) -> list[DsData]:
    """Return the DS records whose algorithm and digest are known; without any, a zone is insecure.

    RFC 4035 section 5.2. SHA-1 counts beside SHA-256, as it does to libunbound.
    """
    return [
        ds
        for ds in rrset.data
        if isinstance(ds, DsData) and int(ds.algorithm) in _ALGORITHMS and int(ds.digest_type) in _DIGESTS
    ]


def trust(verifier: Verifier, keys: RRset, anchors: Sequence[DsData | DnskeyData], above: str) -> Zone | str:
    """Return a zone with its keys, where one that ``anchors`` name signs them; else why not.

    ``above`` says who names the key: ``test. says by its DS``. RFC 4035 section 5.2.
    """
    zone = text_of(keys.name)
    present = [key for key in keys.data if isinstance(key, DnskeyData)]
    entries, faults = [], []
    for anchor in anchors[:_MOST_RECORDS]:
        same = [key for key in present if _is(anchor, key)]
        good = [key for key in same if not isinstance(anchor, DsData) or _fits(anchor, key, keys.name)]
        entries += good
        if not good:
            named = _named(anchor) if isinstance(anchor, DsData) else str(_tag(anchor))
            faults.append(
                f"{above} that {zone} is signed with key {named}, and the digest there is not that of this key"
                if same
                else f"{above} that {zone} is signed with key {named}, and {zone} has no such key"
            )
    remedy = ": correct the DS at the parent, or bring the key back"
    if not entries:
        return f"{faults[0]}{remedy}" if faults else f"{above} nothing that is known here"
    fault = _self_signed(verifier, keys, Zone(keys.name, tuple(entries)))
    return fault or Zone(keys.name, tuple(present))


def _self_signed(verifier: Verifier, keys: RRset, entry: Zone) -> str:
    """Return why a zone's keys are not signed by one of those that lead into it (RFC 4035 section 5.2)."""
    tags = sorted({_tag(key) for key in entry.keys})
    named = ", ".join(str(tag) for tag in tags)
    if all(int(key.flags) & _REVOKED for key in entry.keys):
        return f"key {named} of {entry}, which the DS at the parent names, is revoked: put another in its place"
    if not keys.signatures:
        return f"{keys.what} has no RRSIG: sign the zone again, with key {named}"
    if not any(signature.key_tag in tags for signature in keys.signatures):
        by = ", ".join(sorted({str(signature.key_tag) for signature in keys.signatures})[:8])
        return (
            f"{keys.what} is signed by key {by} alone, and not by key {named}, which the DS at the parent names:"
            " sign with that key, or correct the DS"
        )
    return verifier.fault(keys, entry)


def _is(anchor: DsData | DnskeyData, key: DnskeyData) -> bool:
    if isinstance(anchor, DnskeyData):
        return (anchor.algorithm, anchor.key) == (key.algorithm, key.key)
    return (anchor.key_tag, anchor.algorithm) == (_tag(key), key.algorithm)


def _fits(ds: DsData, key: DnskeyData, zone: Name) -> bool:
    try:
        made = dns.dnssec.make_ds(zone, key, _DIGESTS[int(ds.digest_type)], policy=dns.dnssec.allow_all_policy)
    except (dns.exception.DNSException, ValueError):
        return False
    return made.digest == ds.digest


def by_wildcard(rrset: RRset) -> Iterator[int]:
    """Yield the label counts that say that a wildcard gave the RRset (RFC 4035 section 5.3.4)."""
    return (s.labels for s in rrset.signatures if s.labels < label_count(rrset.name))
