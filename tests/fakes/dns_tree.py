"""A small signed DNS, root, ``test.`` and ``bad.test.``, as its answers: each can be put in another's place."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

from danelaw.dns import message as wire
from danelaw.dns.exchange import NoAnswer
from danelaw.dns.message import Message, Name

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OWNER = "_25._tcp.mail.bad.test."
DIGEST = "ab" * 32
SOA = "ns.bad.test. hostmaster.bad.test. 1 3600 600 86400 300"

Signed = Sequence[dns.rrset.RRset]


class Key:
    """A P-256 key."""

    def __init__(self, number: int, flags: int = 257) -> None:
        self.private = ec.derive_private_key(number, ec.SECP256R1())
        self.dnskey: DNSKEY = dns.dnssec.make_dnskey(self.private.public_key(), "ECDSAP256SHA256", flags=flags)

    @property
    def tag(self) -> int:
        return dns.dnssec.key_id(self.dnskey)

    def ds(self, zone: str) -> str:
        return dns.dnssec.make_ds(zone, self.dnskey, "SHA256").to_text()


ROOT, TEST, BAD, OTHER, REVOKED = Key(1001), Key(1002), Key(1003), Key(1004), Key(1005, 257 | 128)
KEYS: Mapping[str, Key] = {".": ROOT, "test.": TEST, "bad.test.": BAD}


def rrset(name: str, rrtype: str, *data: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, 300, "IN", rrtype, *data)


def signature(
    records: dns.rrset.RRset,
    zone: str,
    key: Key | None = None,
    *,
    begins: datetime = NOW - timedelta(hours=1),
    ends: datetime = NOW + timedelta(days=7),
    **changes: object,
) -> dns.rrset.RRset:
    """Return the RRSIG over an RRset; ``changes`` are made to it after signing."""
    key = key or KEYS[zone]
    made = dns.dnssec.sign(
        records,
        key.private,
        dns.name.from_text(zone),
        key.dnskey,
        inception=int(begins.timestamp()),
        expiration=int(ends.timestamp()),
        policy=dns.dnssec.allow_all_policy,
    )
    assert isinstance(made, RRSIG)
    return dns.rrset.from_rdata(records.name, 300, made.replace(**changes) if changes else made)


def signed(zone: str, name: str, rrtype: str, *data: str, **how: object) -> Signed:
    """Return an RRset and the RRSIG over it."""
    records = rrset(name, rrtype, *data)
    return records, signature(records, zone, **how)  # type: ignore[arg-type]  # passed on as they are


@cache
def keys(zone: str) -> Signed:
    return signed(zone, zone, "DNSKEY", KEYS[zone].dnskey.to_text())


def answer(
    name: str, rrtype: str, records: Signed = (), authority: Signed = (), *, rcode: int = 0, aa: bool = True
) -> bytes:
    """Return an answer's octets."""
    response = dns.message.make_response(dns.message.make_query(name, rrtype, want_dnssec=True))
    response.set_rcode(dns.rcode.Rcode(rcode))
    response.flags |= dns.flags.AA if aa else 0
    response.answer, response.authority = list(records), list(authority)
    return response.to_wire(max_size=65535)


class Tree:
    """Implements `danelaw.dns.zones.Discovery`, and `Direct` of `danelaw.dns.diagnosis`.

    ``replies`` holds octets, or a sentence where there is no answer; what is not in it is answered with nothing.
    ``direct`` is what the servers themselves say, where they are asked: else as ``replies``.
    """

    def __init__(self) -> None:
        self.replies: dict[tuple[Name, int], bytes | str] = {}
        self.direct: dict[tuple[Name, int], bytes | str] = {}
        self.asked: list[tuple[str, str]] = []
        for zone in KEYS:
            self.put(zone, "DNSKEY", keys(zone))
            self.put(zone, "SOA", signed(zone, zone, "SOA", SOA))
        self.put("test.", "DS", signed(".", "test.", "DS", TEST.ds("test.")))
        self.put("bad.test.", "DS", signed("test.", "bad.test.", "DS", BAD.ds("bad.test.")))
        self.put(OWNER, "TLSA", signed("bad.test.", OWNER, "TLSA", f"3 1 1 {DIGEST}"))

    def put(
        self, name: str, rrtype: str, records: Signed = (), authority: Signed = (), *, rcode: int = 0, aa: bool = True
    ) -> None:
        """Let this be the answer to a question."""
        self.replies[_question(name, rrtype)] = answer(name, rrtype, records, authority, rcode=rcode, aa=aa)

    def fail(self, name: str, rrtype: str, why: str) -> None:
        """Let there be no answer."""
        self.replies[_question(name, rrtype)] = why

    def deny(self, name: str, rrtype: str, *proofs: Signed, rcode: int = 0) -> None:
        """Answer that there is nothing, with the SOA record and what proves it."""
        soa = signed("bad.test.", "bad.test.", "SOA", SOA)
        self.put(name, rrtype, (), [*soa, *(part for proof in proofs for part in proof)], rcode=rcode)

    async def lookup(self, name: Name, rrtype: int) -> Message:
        self.asked.append((name.to_text(), dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype))))
        found = self._reply(self.replies, name, rrtype)
        if isinstance(found, str):
            raise NoAnswer(found)
        return found

    async def ask(self, name: Name, rrtype: int) -> Message | str:
        return self._reply(self.direct if (name, rrtype) in self.direct else self.replies, name, rrtype)

    @staticmethod
    def _reply(replies: Mapping[tuple[Name, int], bytes | str], name: Name, rrtype: int) -> Message | str:
        found = replies.get((name, rrtype))
        if found is None:
            found = answer(name.to_text(), dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrtype)))
        return found if isinstance(found, str) else wire.parse(found)


def _question(name: str, rrtype: str) -> tuple[Name, int]:
    return dns.name.from_text(name), int(dns.rdatatype.from_text(rrtype))
