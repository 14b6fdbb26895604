"""The judge: every sender that could have been, against everything that it could have met.

A sender looks up an RRset at any server, through a cache that obeys TTLs, and shakes hands up to ``margin`` after its
look-up. So an RRset that a server served from a to b may be held from a until b + TTL, and used until ``margin`` later.
Where that span meets the span in which a service presented a chain that the RRset refuses, mail was deferred.

What a record matches is decided here by hashing what `cryptography` parses, with nothing of danelaw's.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from danelaw.model import TlsaRecord
from simulation.faults import nobody
from simulation.services import Showing
from simulation.timeline import START
from simulation.zone import Served

SKEW = timedelta(days=1)
"""A validator may accept a signature so long after its end."""

FOREVER = timedelta(days=3650)


@dataclass(frozen=True)
class Refusal:
    """A sender that held an RRset was shown a chain that it refuses."""

    served: Served
    shown: Showing
    first: datetime

    def __str__(self) -> str:
        records = ", ".join(str(record)[:20] for record in self.served.rrset.rdatas)
        end = self.served.end.isoformat() if self.served.end else "now"
        return (
            f"{self.first.isoformat()}: {self.shown.endpoint} at {self.shown.address} presents "
            f"{self.shown.chain.leaf_sha256[:12]}… (since {self.shown.start.isoformat()}); {self.served.owner} at "
            f"{self.served.server} had {records} until {end}, TTL {self.served.hold}"
        )


class Judge:
    """Counts what it compared. ``accepted`` tells whether a person accepted the outage that a showing makes."""

    def __init__(self, margin: timedelta, accepted: Callable[[Showing], object] = nobody) -> None:
        self._margin = margin
        self._accepted = accepted
        self.checks = 0

    def refusals(self, served: Iterable[Served], shown: Iterable[Showing], now: datetime) -> list[Refusal]:
        """Return every refusal that was danelaw's doing; what a person broke by hand is not."""
        showings = list(shown)
        found = []
        for row in served:
            signed_until = row.rrset.expires + SKEW
            if signed_until <= row.start:
                continue  # a server that was dead for long: no validator takes what it has
            held_until = min((row.end or now) + row.hold, signed_until) + self._margin
            for showing in showings:
                if showing.endpoint.owner != row.owner:
                    continue
                self.checks += 1
                first = max(row.start, showing.start)
                if first >= held_until or first >= (showing.end or now):
                    continue
                if refuses(row.rrset.rdatas, showing.chain.leaf_der) and not self.excuses(row, showing, showings):
                    found.append(Refusal(row, showing, first))
        return found

    def excuses(self, row: Served, showing: Showing, showings: Iterable[Showing]) -> bool:
        """Tell whether a refusal is a person's doing: records put there by hand later, or an outage accepted."""
        if self._accepted(showing):
            return True
        by_hand = row.rrset.put_by_hand
        if by_hand is None:
            return False
        is_first = by_hand >= showing.start
        return is_first or (by_hand > START and refused_since(by_hand, row.rrset.rdatas, showing, showings))


def refused_since(at: datetime, rdatas: tuple[TlsaRecord, ...], showing: Showing, showings: Iterable[Showing]) -> bool:
    """Tell whether what the place presented from then until it presented this was refused all along.

    Promise 1: no step makes it newly false. What a person's records refuse already may be replaced by what they refuse;
    what stood on the first day is no such edit: it is there to be found and waited for.
    """
    return any(
        (before.endpoint, before.address) == (showing.endpoint, showing.address)
        and before.start <= at
        and before.end is not None
        and before.end >= showing.start
        and refuses(rdatas, before.chain.leaf_der)
        for before in showings
    )


@lru_cache(maxsize=65536)
def refuses(rdatas: tuple[TlsaRecord, ...], leaf_der: bytes) -> bool:
    """Return whether some sender refuses: one that takes any match, or one that takes only the strongest digest.

    RFC 7671 section 9: of one usage and selector Postfix uses only the strongest digest, others use all.
    """
    usable = [record for record in rdatas if record.usage in {2, 3} and _digest_fits(record)]
    if not usable:
        return False
    strongest: dict[tuple[int, int], int] = {}
    for record in usable:
        pair = record.usage, record.selector
        strongest[pair] = max(strongest.get(pair, 0), record.matching_type)
    agile = [record for record in usable if record.matching_type == strongest[record.usage, record.selector]]
    return not any(_matches(record, leaf_der) for record in agile)


def _digest_fits(record: TlsaRecord) -> bool:
    return record.selector in {0, 1} and len(record.data) == {1: 32, 2: 64}.get(record.matching_type)


def _matches(record: TlsaRecord, leaf_der: bytes) -> bool:
    if record.usage != 3:
        return False
    selected = leaf_der if record.selector == 0 else _spki(leaf_der)
    digest = hashlib.sha256 if record.matching_type == 1 else hashlib.sha512
    return digest(selected).digest() == record.data


@lru_cache(maxsize=4096)
def _spki(leaf_der: bytes) -> bytes:
    public = x509.load_der_x509_certificate(leaf_der).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
