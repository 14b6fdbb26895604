"""Whether NSEC and NSEC3 records prove that a name or a type is not there (RFC 4035 section 5.4, RFC 5155 section 8).

Pure, and to explain only: libunbound alone gives the verdict.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dns.dnssec
import dns.name
import dns.rdtypes.ANY.NSEC
import dns.rdtypes.ANY.NSEC3

from danelaw.dns import message as wire
from danelaw.dns.message import Name, text_of
from danelaw.dns.signatures import DS, RRset, type_name

NsecData = dns.rdtypes.ANY.NSEC.NSEC
Nsec3Data = dns.rdtypes.ANY.NSEC3.NSEC3

_MOST_ITERATIONS = 150
"""Above, resolvers take the zone for unsigned (RFC 9276 section 3.2), and hashing costs too much."""

_OPT_OUT = 1


class Unproven(Exception):
    """What is said not to be there is not proven so; the text says why, for people."""


class Uncounted(Exception):
    """The proof is one that makes the answer insecure and not wrong: opt-out, or too many iterations."""


@dataclass(frozen=True, slots=True)
class Link:
    """One NSEC3 record: the hash that it stands at, and the record."""

    at: bytes
    data: Nsec3Data

    def covers(self, digest: bytes) -> bool:
        """Return whether a hash lies between this one and the next."""
        following: bytes = self.data.next
        if self.at < following:
            return self.at < digest < following
        return digest > self.at or digest < following  # the last one leads back to the first


class Proofs:
    """The NSEC and NSEC3 records of one answer, of one zone. All of them are taken to be signed rightly."""

    def __init__(self, zone: Name, sets: Iterable[RRset]) -> None:
        self.zone = zone
        self._nsec: list[tuple[Name, NsecData]] = []
        self._links: list[Link] = []
        for rrset in sets:
            if not rrset.name.is_subdomain(zone):
                continue
            for data in rrset.data:
                if isinstance(data, NsecData):
                    self._nsec.append((rrset.name, data))
                elif isinstance(data, Nsec3Data) and (at := _hash_in(rrset.name)) is not None:
                    self._links.append(Link(at, data))
        if self._links:  # of one chain: others beside it are a fault of their own (RFC 5155 section 8.2)
            first = self._links[0].data
            kept = (first.algorithm, first.iterations, first.salt)
            self._links = [x for x in self._links if (x.data.algorithm, x.data.iterations, x.data.salt) == kept]

    def no_name(self, name: Name) -> None:
        """Check that a name, and a wildcard in its place, is proven not to exist. Raises `Unproven`, `Uncounted`."""
        said = f"{text_of(self.zone)} gives no proof that {text_of(name)} does not exist"
        if self._start(said):
            self._no_name3(name, said)
        else:
            self._no_name1(name, said)

    def no_type(self, name: Name, rrtype: int) -> None:
        """Check that a name is proven not to have a type. Raises `Unproven`, `Uncounted`."""
        said = f"{text_of(self.zone)} gives no proof that {text_of(name)} has no {type_name(rrtype)}"
        if self._start(said):
            self._no_type3(name, rrtype, said)
        else:
            self._no_type1(name, rrtype, said)

    def no_closer(self, name: Name, labels: int) -> None:
        """Check that nothing closer to a name than a wildcard exists, whose RRSIG has ``labels``. Raises likewise."""
        closer = name.split(labels + 2)[1]
        said = (
            f"{text_of(name)} comes from a wildcard, and {text_of(self.zone)} gives no proof that no closer name exists"
        )
        if self._start(said):
            if self._covering(closer) is None:
                raise Unproven(f"{said}: no NSEC3 covers {text_of(closer)}")
        elif self._covering1(name) is None:
            raise Unproven(f"{said}: no NSEC covers {text_of(name)}")

    def is_cut(self, name: Name) -> bool | None:
        """Return whether a name is proven to be a delegation (without DS); None where nothing is said of it."""
        for owner, data in self._nsec:
            if owner == name:
                return _has(data, wire.NS) and not _has(data, wire.SOA)
        if self._links and self._iterations() <= _MOST_ITERATIONS:
            match = self._match(name)
            if match is not None:
                return _has(match.data, wire.NS) and not _has(match.data, wire.SOA)
        return None

    def _start(self, said: str) -> bool:
        """Return whether it is NSEC3 that proves."""
        if not self._nsec and not self._links:
            raise Unproven(f"{said}: its answer has no NSEC or NSEC3 record")
        if self._links and self._iterations() > _MOST_ITERATIONS:
            raise Uncounted(f"{text_of(self.zone)} has NSEC3 with {self._iterations()} iterations")
        return bool(self._links)

    def _iterations(self) -> int:
        return int(self._links[0].data.iterations)

    # -- NSEC (RFC 4035 section 5.4) -------------------------------------------------------------------------------

    def _covering1(self, name: Name) -> tuple[Name, NsecData] | None:
        for owner, data in self._nsec:
            if owner < name and (name < data.next or data.next == self.zone):
                return owner, data
        return None

    def _no_name1(self, name: Name, said: str) -> None:
        if any(owner == name for owner, _ in self._nsec):
            raise Unproven(f"{said}: its NSEC there says that it exists")
        covering = self._covering1(name)
        if covering is None:
            raise Unproven(f"{said}: no NSEC covers it")
        owner, data = covering
        if data.next.is_subdomain(name):
            raise Unproven(f"{said}: its NSEC shows names below it")
        star = dns.name.Name((b"*", *_enclosing(name, owner, data.next).labels))
        if self._covering1(star) is None and name != star:
            raise Unproven(f"{said}: no NSEC shows that {text_of(star)} does not exist")

    def _no_type1(self, name: Name, rrtype: int, said: str) -> None:
        for owner, data in self._nsec:
            if owner == name:
                return _lacks(data, rrtype, said, "NSEC")
        covering = self._covering1(name)
        if covering is None:
            raise Unproven(f"{said}: no NSEC is about it")
        owner, data = covering
        if data.next.is_subdomain(name):  # an empty non-terminal: nothing stands there, and something below
            return None
        star = dns.name.Name((b"*", *_enclosing(name, owner, data.next).labels))
        for other, found in self._nsec:
            if other == star:
                return _lacks(found, rrtype, said, "NSEC")
        raise Unproven(f"{said}: its NSEC says that it does not exist, and its answer does not")

    # -- NSEC3 (RFC 5155 section 8) ----------------------------------------------------------------------------------

    def _digest(self, name: Name) -> bytes:
        first = self._links[0].data
        text = dns.dnssec.nsec3_hash(name, first.salt, first.iterations, 1)
        return base64.b32hexdecode(text)

    def _match(self, name: Name) -> Link | None:
        digest = self._digest(name)
        return next((link for link in self._links if link.at == digest), None)

    def _covering(self, name: Name) -> Link | None:
        digest = self._digest(name)
        return next((link for link in self._links if link.covers(digest)), None)

    def _encloser(self, name: Name, said: str) -> tuple[Name, Link]:
        """Return the closest encloser, and what covers the next closer name (RFC 5155 section 8.3)."""
        closer = name
        while closer != self.zone and len(closer.labels) > 1:
            above = closer.parent()
            if self._match(above) is not None:
                covering = self._covering(closer)
                if covering is None:
                    exists = self._match(closer) is not None
                    which = "it" if closer == name else text_of(closer)
                    raise Unproven(
                        f"{said}: " + (f"its NSEC3 says that {which} exists" if exists else f"no NSEC3 covers {which}")
                    )
                return above, covering
            closer = above
        raise Unproven(f"{said}: none of its NSEC3 records has the hash of a name above it")

    def _no_name3(self, name: Name, said: str) -> None:
        if self._match(name) is not None:
            raise Unproven(f"{said}: its NSEC3 says that it exists")
        above, covering = self._encloser(name, said)
        if self._covering(dns.name.Name((b"*", *above.labels))) is None:
            raise Unproven(f"{said}: no NSEC3 shows that *.{text_of(above)} does not exist")
        if covering.data.flags & _OPT_OUT:
            raise Uncounted(f"{text_of(self.zone)} leaves names out of its NSEC3 chain (opt-out)")

    def _no_type3(self, name: Name, rrtype: int, said: str) -> None:
        match = self._match(name)
        if match is not None:
            return _lacks(match.data, rrtype, said, "NSEC3")
        above, covering = self._encloser(name, said)
        wildcard = self._match(dns.name.Name((b"*", *above.labels)))
        if wildcard is not None:
            return _lacks(wildcard.data, rrtype, said, "NSEC3")
        if covering.data.flags & _OPT_OUT:
            raise Uncounted(f"{text_of(self.zone)} leaves names out of its NSEC3 chain (opt-out)")
        raise Unproven(f"{said}: no NSEC3 has its hash")


def _lacks(data: NsecData | Nsec3Data, rrtype: int, said: str, kind: str) -> None:
    for listed in (rrtype, wire.CNAME):
        if _has(data, listed):
            raise Unproven(f"{said}: its {kind} lists {type_name(listed)} there")
    if rrtype != DS and _has(data, wire.NS) and not _has(data, wire.SOA):
        raise Unproven(f"{said}: its {kind} says that the name is in a zone below")


def _has(data: NsecData | Nsec3Data, rrtype: int) -> bool:
    window, place = divmod(rrtype, 256)
    for number, bitmap in data.windows:
        if number == window and place // 8 < len(bitmap):
            return bool(bitmap[place // 8] & (0x80 >> place % 8))
    return False


def _enclosing(name: Name, *neighbours: Name) -> Name:
    """Return the closest name above ``name`` that its neighbours in the zone show to exist."""
    shared = max(name.fullcompare(neighbour)[2] for neighbour in neighbours)
    return name.split(min(shared, len(name.labels) - 1))[1]


def _hash_in(owner: Name) -> bytes | None:
    try:
        return base64.b32hexdecode(owner.labels[0].upper())
    except (ValueError, IndexError):
        return None


def signed_proofs(sets: Sequence[RRset]) -> list[RRset]:
    """Return the RRsets among others that prove absence."""
    return [rrset for rrset in sets if rrset.rrtype in {47, 50}]
