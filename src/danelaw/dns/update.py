"""RFC 2136: replacing exactly what was seen by exactly what is wanted, or nothing at all.

One signed transaction by TCP. Its prerequisites are the whole RRset as expected and that no CNAME stands there, so that
two writers cannot undo each other; it adds and deletes single records, so that other types and other people's records
stay. What the server did not sign is not believed.
"""

import asyncio
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn, Protocol

from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, NoAnswer, parse_address, tcp_exchange
from danelaw.dns.keyfile import load_tsig_key
from danelaw.dns.message import Malformed, Message, Name, text_of
from danelaw.dns.tsig import BadTsig, ClocksApart, KeyRejected, TsigKey, sign, verify
from danelaw.dns.zones import NoZone
from danelaw.errors import InputError, Lost, Refused, RetryLater
from danelaw.model import Clock, PublisherSpec, Security, TlsaRecord

_OPCODE_UPDATE = 5 << 11


class ZoneView(Protocol):
    """What a publisher asks of the view: where the zone is cut, and where its primary listens."""

    def zone_cut(self, name: str) -> tuple[str, str, tuple[str, ...]]:
        """Return zone, SOA MNAME and servers. Raises `NoZone`."""
        ...

    def addresses(self, host: str) -> tuple[tuple[str, ...], Security, str]:
        """Return a host's addresses, how they validate, and why where they do not."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    """Where updates of a target go: the zone, and the addresses of its primary."""

    zone: Name
    servers: tuple[Address, ...]


class Rfc2136Publisher:
    """Implements `model.Publisher` by dynamic updates.

    ``limit`` (seconds) bounds connecting to a server, and again its answer. The key file is read at each use, so a new
    one takes effect at once; `InputError` of `load_tsig_key` is raised then.
    """

    def __init__(self, spec: PublisherSpec, view: ZoneView, clock: Clock, *, limit: float = 10.0) -> None:
        self._spec = spec
        self._view = view
        self._clock = clock
        self._limit = limit

    @property
    def warning(self) -> str | None:
        """Return what speaks against its TSIG key; None where nothing does, or where the key cannot be read."""
        try:
            key = self._key()
        except InputError:
            return None  # `read` and `swap` say so
        return key.warning if key else None

    def read(self, target: str) -> tuple[tuple[TlsaRecord, ...], int]:
        """Return the TLSA RRset (sorted) and its TTL (seconds) as the primary holds it now; (), 0 where there is none.

        Raises `Lost` where a CNAME stands there, and `Refused` or `RetryLater` as `swap`.
        """
        name = _name(target)
        key = self._key()
        place = self._place(name, key)
        answer = self._exchange(place, wire.query(_ident(), name, wire.TLSA), key, changes=False)
        self._proving(answer, place, key, name)
        if alias := answer.answers(name, wire.CNAME):
            raise Lost(
                f"{target} is a CNAME to {_text(alias[0].target)} at {self._at(place)}; records cannot stand there"
            )
        records = answer.answers(name, wire.TLSA)
        return wire.tlsa(records), max((rr.ttl for rr in records), default=0)

    def swap(self, target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        """Replace exactly ``expected`` by ``wanted`` at ``target`` in one transaction; return the evidence.

        ``expected == wanted`` changes the TTL (seconds) alone. Raises `Lost` where something else stands there (nothing
        was changed), `Refused` where a person is needed, `RetryLater` where the server cannot now, or where its answer
        was lost: then the change may have been made, and the next look shows it.
        """
        name = _name(target)
        key = self._key()
        place = self._place(name, key)
        update = _update(place.zone, name, expected, wanted, ttl)
        if len(update) > 65000:
            raise Refused(
                f"{target}: {len(expected)} records there and {len(wanted)} wanted are too many for one update"
            )
        answer = self._exchange(place, update, key, changes=True)
        if answer.rcode in {"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"}:
            raise Lost(
                f"{target}: {self._instead(target)} at {self._at(place)}, not what was expected; nothing was changed"
            )
        if answer.rcode != "NOERROR":
            self._unwilling(answer, place, key, name)
        added, gone = len(set(wanted) - set(expected)), len(set(expected) - set(wanted))
        signed = f"signed with {key.name}" if key else "unsigned"
        what = f"added {added}, deleted {gone}" if set(wanted) != set(expected) else f"TTL {ttl}"
        return f"{self._at(place)} took the update of {text_of(place.zone)} at {target}: {what} ({signed})"

    def _key(self) -> TsigKey | None:
        return None if self._spec.tsig_key is None else load_tsig_key(self._spec.tsig_key)

    def _at(self, place: _Place) -> str:
        return ", ".join(str(server) for server in place.servers)

    # -- where ---------------------------------------------------------------------------------------------------------

    def _place(self, name: Name, key: TsigKey | None) -> _Place:
        """Find the primary and the zone, as the config says or else by SOA."""
        if self._spec.server is None:
            zone, mname, _servers = self._cut(name)
            servers = self._addresses(mname.removesuffix("."), "the zone's SOA MNAME")
            return _Place(_name(self._spec.zone or zone), servers)
        try:
            servers = (Address(parse_address(self._spec.server).host, self._spec.port),)
        except InputError:
            servers = self._addresses(self._spec.server, "its server")
        if self._spec.zone is not None:
            return _Place(_name(self._spec.zone), servers)
        # the primary itself knows best, and a hidden one may have zones that nobody else shows
        found = self._zone_at(_Place(wire.name_of("."), servers), name, key)
        return _Place(found if found is not None else _name(self._cut(name)[0]), servers)

    def _cut(self, name: Name) -> tuple[str, str, tuple[str, ...]]:
        try:
            return self._view.zone_cut(text_of(name))
        except NoZone as error:
            raise RetryLater(f"publisher {self._spec.name}: {error}") from None

    def _addresses(self, host: str, what: str) -> tuple[Address, ...]:
        found, security, why = self._view.addresses(host)
        if found:
            return tuple(Address(address, self._spec.port) for address in found)
        if security in {"bogus", "indeterminate"}:
            raise RetryLater(f"publisher {self._spec.name}: {what} {host} cannot be looked up ({security}: {why})")
        raise Refused(
            f"publisher {self._spec.name}: {what} {host} has no address; set `server` in [dns.{self._spec.name}]"
        )

    def _zone_at(self, place: _Place, name: Name, key: TsigKey | None) -> Name | None:
        answer = self._exchange(place, wire.query(_ident(), name, wire.SOA), key, changes=False)
        if not answer.aa:
            return None
        for rr in (*answer.answers(name, wire.SOA), *answer.authority):
            if rr.rrtype == wire.SOA and name.is_subdomain(rr.name):
                return rr.name
        return None

    # -- asking --------------------------------------------------------------------------------------------------------

    def _exchange(self, place: _Place, message: bytes, key: TsigKey | None, *, changes: bool) -> Message:
        """Send a message to the first of the servers that takes a connection; return its believable answer."""
        problem = "it has no address"
        for server in place.servers:
            sent, mac = sign(message, key, self._clock.now()) if key else (message, b"")
            try:
                octets = asyncio.run(tcp_exchange(server, sent, self._limit))
            except NoAnswer as error:
                problem = f"{server}: {error}"
                if error.sent and changes:
                    problem += "; whether the update was made, the next look shows"
                    break
                continue
            return self._believed(octets, server, key, mac)
        raise RetryLater(f"publisher {self._spec.name}: {problem}")

    def _believed(self, octets: bytes, server: Address, key: TsigKey | None, mac: bytes) -> Message:
        """Parse an answer and check its signature; see RFC 8945 section 5.4."""
        try:
            answer = wire.parse(octets)
        except Malformed as error:
            raise RetryLater(f"{server}: its answer is not believed: {error}; look again") from None
        try:
            if key is not None:
                verify(octets, answer, key, mac, self._clock.now())
        except BadTsig as error:
            raise RetryLater(f"{server}: its answer ({answer.rcode}) is not believed: {error}; look again") from None
        except KeyRejected as error:
            raise Refused(self._rejected(server, key, str(error))) from None
        except ClocksApart as error:
            raise Refused(_skewed(server, error.theirs, self._clock.now())) from None
        if not answer.is_response:
            raise RetryLater(f"{server}: what came is no answer; look again")
        return answer

    def _rejected(self, server: Address, key: TsigKey | None, error: str) -> str:
        name = key.name if key else "?"
        algorithm = key.algorithm if key else "?"
        if error == "BADKEY":
            known = f"{server} does not know TSIG key {name} with {algorithm} (BADKEY)"
            return f"{known}; add it there, or name another tsig_key"
        if error == "BADSIG":
            return (
                f"{server} knows another secret for TSIG key {name} (BADSIG); copy the key file from the server again"
            )
        return f"{server} rejects the signature of TSIG key {name} ({error}); use a whole MAC or another algorithm"

    # -- what went wrong -----------------------------------------------------------------------------------------------

    def _proving(self, answer: Message, place: _Place, key: TsigKey | None, name: Name) -> None:
        if answer.rcode not in {"NOERROR", "NXDOMAIN"}:
            self._unwilling(answer, place, key, name)
        if not answer.aa:
            raise Refused(
                f"{self._at(place)} is not authoritative for {text_of(name)}; set `server` to the zone's primary"
            )

    def _unwilling(self, answer: Message, place: _Place, key: TsigKey | None, name: Name) -> NoReturn:
        at, zone, rcode = self._at(place), text_of(place.zone), answer.rcode
        who = f"TSIG key {key.name}" if key else "this host's address, for there is no tsig_key,"
        if rcode == "SERVFAIL":
            raise RetryLater(f"{at} failed at {text_of(name)} (SERVFAIL); its log says why")
        if rcode == "REFUSED":
            raise Refused(
                f"{at} does not let {who} do this at {text_of(name)} (REFUSED); grant it in its update policy"
            )
        if rcode in {"NOTAUTH", "NOTZONE", "NOTIMP"}:
            raise Refused(f"{at} takes no updates of zone {zone} ({rcode}); set `server` and `zone` of its primary")
        raise Refused(f"{at} does not understand the update at {text_of(name)} ({rcode})")

    def _instead(self, target: str) -> str:
        """Say what stands there in place of what was expected."""
        try:
            records, ttl = self.read(target)
        except Lost as error:
            return str(error)
        except (Refused, RetryLater):
            return "something else stands there"
        listed = "; ".join(str(record) for record in records)
        return f"TLSA {listed} (TTL {ttl}) stands there" if records else "no TLSA stands there"


def _update(zone: Name, name: Name, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> bytes:
    """Return an update message (RFC 2136 section 2), unsigned."""
    here, to_be = sorted(set(expected)), sorted(set(wanted))
    # section 2.4.3: a CNAME must not stand there; an add beside one would be ignored with NOERROR (3.4.2.2)
    before = [wire.record(name, wire.CNAME, wire.CLASS_NONE, 0)]
    if here:  # section 2.4.2: exactly these, no more, no less
        before += [wire.record(name, wire.TLSA, wire.IN, 0, wire.tlsa_rdata(record)) for record in here]
    else:
        before.append(wire.record(name, wire.TLSA, wire.CLASS_NONE, 0))
    # section 2.5.4: single records are deleted; 2.5.1: added. Records that stay are left alone, unless the TTL is all
    # that changes: then each is deleted and added again, for Knot keeps the TTL of a record that is only added again
    gone = here if here == to_be else [record for record in here if record not in to_be]
    new = to_be if here == to_be else [record for record in to_be if record not in here]
    changes = [wire.record(name, wire.TLSA, wire.CLASS_NONE, 0, wire.tlsa_rdata(record)) for record in gone]
    changes += [wire.record(name, wire.TLSA, wire.IN, ttl, wire.tlsa_rdata(record)) for record in new]
    head = struct.pack("!HHHHHH", _ident(), _OPCODE_UPDATE, 1, len(before), len(changes), 0)
    question = wire.name_wire(zone) + struct.pack("!HH", wire.SOA, wire.IN)
    return head + question + b"".join(before) + b"".join(changes)


def _ident() -> int:
    return secrets.randbelow(65536)


def _name(text: str) -> Name:
    try:
        return wire.name_of(text)
    except Malformed as error:
        raise Refused(str(error)) from None


def _text(name: Name | None) -> str:
    return text_of(name) if name is not None else "a malformed name"


def _skewed(server: Address, theirs: datetime, ours: datetime) -> str:
    ahead = round((theirs - ours).total_seconds())
    how = f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} ours"
    return f"{server}: its clock is {how} (BADTIME; {theirs:%Y-%m-%d %H:%M:%S} UTC there); set the wrong one right"
