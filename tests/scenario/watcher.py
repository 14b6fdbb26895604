"""Somebody who watches a mail host as DANE senders do, every 50 ms, holding everything that any cache may hold.

Nothing of danelaw is used here: the records come from the servers by dnspython, the certificate from Python's ssl, and
a match is a digest of this module's own.
"""

import hashlib
import smtplib
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import Self

import dns.flags
import dns.message
import dns.query
import dns.rdatatype
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from world import layout

Record = tuple[int, int, int, bytes]


@dataclass
class Sample:
    """One instant at which a sender that holds ``rrset`` met ``leaf_der`` at ``address``."""

    at: float
    address: str
    rrset: frozenset[Record]
    leaf_der: bytes

    @property
    def valid(self) -> bool:
        return any(matches(record, self.leaf_der) for record in self.rrset)


def matches(record: Record, leaf_der: bytes) -> bool:
    """Tell whether a DANE-EE record matches a leaf (RFC 6698 section 2.1)."""
    usage, selector, matching_type, data = record
    chosen = leaf_der
    if selector == 1:
        key = x509.load_der_x509_certificate(leaf_der).public_key()
        chosen = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digests = {0: chosen, 1: hashlib.sha256(chosen).digest(), 2: hashlib.sha512(chosen).digest()}
    return usage == 3 and digests.get(matching_type) == data


@dataclass
class Watcher:
    """Samples in a thread of its own between entering and leaving. ``margin``: seconds from look-up to handshake.

    ``recursive``: ``servers`` are resolvers, whose caches are looked into; an answer is used, and not kept.
    ``algorithm``: what the sender can verify alone (``RSA``, ``ECDSA``), by the ciphers of TLS 1.2; "": it takes any.
    """

    owner: str
    addresses: tuple[str, ...] = layout.MAIL
    servers: tuple[str, ...] = (layout.NS1, layout.NS2)
    port: int = 25
    margin: float = 0.0
    interval: float = 0.05
    algorithm: str = ""
    recursive: bool = False
    samples: list[Sample] = field(default_factory=list)
    handshakes: int = 0
    missed: int = 0
    _held: dict[frozenset[Record], float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def invalid(self) -> list[Sample]:
        return [sample for sample in self.samples if not sample.valid]

    def _watch(self) -> None:
        while not self._over.is_set():
            started = time.monotonic()
            for server in self.servers:
                self._look(server)
            for address in self.addresses:
                self._meet(address)
            self._over.wait(max(0.0, self.interval - (time.monotonic() - started)))

    def _look(self, server: str) -> None:
        """Ask one server, as a resolver's cache would at this instant, and hold the answer for its TTL."""
        query = dns.message.make_query(self.owner, dns.rdatatype.TLSA)
        if not self.recursive:
            query.flags &= ~dns.flags.RD
        try:
            answer = dns.query.udp(query, server, timeout=1)
        except (dns.exception.Timeout, OSError):
            self.missed += 1
            return
        now = time.monotonic()
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.TLSA:
                records = frozenset((r.usage, r.selector, r.mtype, r.cert) for r in rrset)
                # A resolver's client does not keep the answer. (As a second cache it would, and whole seconds twice
                # rounded are as much as the waits here.)
                kept = 0 if self.recursive else rrset.ttl
                self._held[records] = max(self._held.get(records, 0.0), now + kept + self.margin)

    def _meet(self, address: str) -> None:
        """Shake hands, and judge by every RRset held."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.algorithm:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(f"ECDHE+a{self.algorithm}")
        now = time.monotonic()
        held = [rrset for rrset, until in self._held.items() if until > now]
        try:
            with smtplib.SMTP(address, self.port, timeout=5) as smtp:
                smtp.starttls(context=context)
                assert isinstance(smtp.sock, ssl.SSLSocket)
                leaf_der = smtp.sock.getpeercert(binary_form=True)
        except (OSError, smtplib.SMTPException):
            self.missed += 1
            return
        assert leaf_der
        self.handshakes += 1
        self.samples.extend(Sample(now, address, rrset, leaf_der) for rrset in held)
