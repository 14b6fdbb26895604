"""An outside told in a few lines, for what asks it through `dane.sender`: names, addresses, records, servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from chains import NOW, Issued
from danelaw import dane, pki
from danelaw.dane.sender import Wishes, advance
from danelaw.model import (
    Answer,
    Authorities,
    Chain,
    FailureKind,
    Handshake,
    KeyAlgorithm,
    LookedUp,
    Lookup,
    LookupType,
    MxRecord,
    OwnerLook,
    PolicyFetch,
    PolicyFound,
    Question,
    Report,
    Security,
    Shaken,
    SrvRecord,
    Target,
    TlsaRecord,
)

Served = Mapping[KeyAlgorithm, Chain] | FailureKind


@dataclass
class SmallInternet:
    """Every name that is not told of is missing, securely; every address where nothing serves refuses connections.

    ``asked`` is every question in the order of the rounds.
    """

    now: datetime = NOW
    answers: dict[Lookup, LookedUp] = field(default_factory=dict)
    servers: dict[tuple[str, int], Served] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    authorities: dict[str, OwnerLook] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)

    def say(
        self, name: str, rrtype: LookupType, security: Security = "secure", *, rcode: str = "NOERROR", **what: Any
    ) -> Self:
        """Say what a look-up brings; ``what`` are further fields of `LookedUp`."""
        found = LookedUp(Lookup(name, rrtype), security, rcode, canonical=name, ttl=3600)
        self.answers[found.lookup] = replace(found, **what)
        return self

    def mx(self, domain: str, *hosts: tuple[int, str], security: Security = "secure", **what: Any) -> Self:
        return self.say(domain, "MX", security, mx=tuple(MxRecord(*host) for host in hosts), **what)

    def srv(self, name: str, *records: tuple[int, int, int, str], security: Security = "secure") -> Self:
        return self.say(name, "SRV", security, srv=tuple(SrvRecord(*record) for record in records))

    def host(self, name: str, *addresses: str, security: Security = "secure", canonical: str = "") -> Self:
        """Give a name addresses of both kinds; ``canonical``: it is an alias of that name."""
        v6 = tuple(address for address in addresses if ":" in address)
        v4 = tuple(address for address in addresses if ":" not in address)
        self.say(name, "A", security, addresses=v4, canonical=canonical or name)
        return self.say(name, "AAAA", security, addresses=v6, canonical=canonical or name)

    def tlsa(self, owner: str, *records: TlsaRecord, security: Security = "secure", **what: Any) -> Self:
        return self.say(owner, "TLSA", security, tlsa=records, **what)

    def serve(self, address: str, *issued: Issued, port: int = 25, failure: FailureKind | None = None) -> Self:
        """Let an address present these certificates, or fail in one way."""
        chains = [pki.chain_from_der(each.chain_der) for each in issued]
        by_kind: dict[KeyAlgorithm, Chain] = {chain.algorithm: chain for chain in chains if chain.algorithm != "other"}
        self.servers[address, port] = failure or by_kind
        return self

    def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        if isinstance(question, Lookup):
            missing = LookedUp(question, "secure", "NXDOMAIN", canonical=question.name)
            told = any(f".{known.name}".endswith(f".{question.name}") for known in self.answers)
            return self.answers.get(question, replace(missing, rcode="NOERROR") if told else missing)
        if isinstance(question, Authorities):
            return self.authorities.get(question.owner, OwnerLook(question.owner, "", question.owner, {}, ()))
        if isinstance(question, PolicyFetch):
            return PolicyFound(question, self.policies.get(question.domain), "HTTP status 404")
        return self._shake(question)

    def check(self, target: Target | str, wishes: Wishes | None = None) -> Report:
        """Go through all rounds."""
        known: dict[Question, Answer] = {}
        of = Target(target) if isinstance(target, str) else target
        while isinstance(asked := advance(of, known, self.now, wishes), frozenset):
            assert asked, "a round without a question"
            assert not asked & set(known), "asked again"
            known |= {question: self.answer(question) for question in asked}
        return asked

    def _shake(self, handshake: Handshake) -> Shaken:
        served = self.servers.get((handshake.address, handshake.port), "refused")
        where = f"{handshake.address}:{handshake.port}"
        if isinstance(served, str):
            return Shaken(handshake, failure=served, detail=f"{where} {served}")
        if handshake.algorithm is None and served:
            kind: KeyAlgorithm = "ecdsa" if "ecdsa" in served else "rsa"
            return Shaken(handshake, served[kind], version="TLSv1.3")
        if handshake.algorithm is not None and handshake.algorithm in served:
            return Shaken(handshake, served[handshake.algorithm], version="TLSv1.3")
        return Shaken(handshake, failure="not-offered", detail=f"{where} has no such certificate")


def record(issued: Issued, text: str) -> TlsaRecord:
    """Return the TLSA record ``3 1 1`` and its like of a chain."""
    return dane.tlsa_record(dane.parse_spec(text), pki.chain_from_der(issued.chain_der))


def mail_domain(
    issued: Issued, *specs: str, domain: str = "example.org", host: str = "mail.example.org", address: str = "192.0.2.1"
) -> SmallInternet:
    """Return an internet with one mail domain as it ought to be."""
    records: Sequence[TlsaRecord] = [record(issued, spec) for spec in specs or ("3 1 1",)]
    internet = SmallInternet().mx(domain, (10, host)).host(host, address)
    return internet.tlsa(f"_25._tcp.{host}", *records).serve(address, issued)
