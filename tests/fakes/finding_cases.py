"""What tests of findings are made of: a report that has a finding, and its twin that is nearly the same without it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from danelaw.model import (
    Discovery,
    EndpointReport,
    LookedUp,
    Report,
    Sender,
    Severity,
    SrvRecord,
    Target,
    TlsaRecord,
)
from fakes.reports import (
    ADDRESSES,
    DOMAIN,
    HOST,
    OTHER,
    SERVERS,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    reading,
    record,
    report,
    servers,
    shaken,
    tlsa_state,
)

OWNER = f"_25._tcp.{HOST}."
CLIENT: tuple[Sender, ...] = ("client",)


@dataclass(frozen=True)
class Case:
    """``shows`` has a finding of this code and severity, whose text has ``says`` in it; ``lacks`` has none of it."""

    code: str
    severity: Severity
    says: str
    shows: Callable[[], Report]
    lacks: Callable[[], Report] = report
    ttls: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}-{self.severity}"


def nothing(kind: Any, **more: Any) -> Report:
    """Return the report of a domain without endpoints."""
    return report(discovery=Discovery(kind, **more))


def by_mx(found: Any, *endpoints: EndpointReport, kind: Any = "listed") -> Report:
    """Return the report of a domain whose MX look-up is this."""
    return report(*(endpoints or (endpoint(),)), discovery=Discovery(kind, found))


def holding(*records: TlsaRecord, host: str = HOST, **more: Any) -> Report:
    """Return the report of a domain with one host that has these records."""
    return report(endpoint(host, records=records, **more))


def answered(*readings: Any, **more: Any) -> Report:
    """Return the report of a domain with one host whose name servers answer like this; None: nothing else is said."""
    mine = record(chain())
    look = servers(OWNER, [mine], readings=readings or None, **more)
    return report(endpoint(tlsa=tlsa_state(HOST, [mine], authorities=look)))


def one_server(**more: Any) -> Report:
    """Return the report of a domain with one host, whose first name server's answer is a little different."""
    mine = [record(chain())]
    return answered(reading(SERVERS[0], OWNER, mine, **more), reading(SERVERS[1], OWNER, mine))


def failing(failure: Any, **more: Any) -> Report:
    """Return the report of a domain with one host where every handshake fails alike."""
    return report(endpoint(handshakes=[shaken(each, None, failure, **more) for each in ADDRESSES]))


def failing_at_one(failure: Any) -> Report:
    """Return the same where one address is well."""
    return report(endpoint(handshakes=[shaken(V4, chain()), shaken(V6, None, failure)]))


def unprotected(failure: Any) -> Report:
    """Return the same where there are no TLSA records."""
    return report(endpoint(kind="none", handshakes=[shaken(V4, None, failure), shaken(V6, chain())]))


def tlsa_failed(found: Any) -> Report:
    """Return the report of a domain with one host whose TLSA look-up fails."""
    return report(endpoint(tlsa=tlsa_state(HOST, kind="error", found=found)))


def not_asked(found: Any = None) -> Report:
    """Return the report of a domain with one host at insecure addresses, whose TLSA records nobody asks for."""
    return report(
        endpoint(kind="not-asked", security="insecure"),
        beside=() if found is None else (found,),
    )


def tlsa(security: Any, rcode: str = "SERVFAIL", **more: Any) -> LookedUp:
    """Return a failed TLSA look-up."""
    return looked_up(OWNER.removesuffix("."), "TLSA", security, rcode, **more)


def with_lookup(name_type: Any, security: Any, rcode: str = "SERVFAIL", **more: Any) -> EndpointReport:
    """Return an endpoint whose look-up of one type of address fails."""
    found = looked_up(HOST, name_type, security, rcode, **more)
    return endpoint(addresses=(), lookups=(found,), handshakes=(), kind="not-asked")


UNKNOWN = TlsaRecord(3, 1, 7, bytes(32))
SHORT = TlsaRecord(3, 1, 1, bytes(20))
EMPTY = TlsaRecord(3, 1, 1, hashlib.sha256(b"").digest())
XMPP = Target(DOMAIN, protocol="xmpp-client", service="xmpp-client")


def xmpp(kind: Any, **more: Any) -> Report:
    """Return the report of a service found by SRV."""
    place = endpoint(DOMAIN, 5222, protocol="xmpp-client", preference=None, senders=CLIENT)
    places = () if kind in {"null", "missing"} else (place,)
    return report(*places, target=XMPP, discovery=Discovery(kind, **more), senders=CLIENT)


def behind_srv(*records: TlsaRecord, signed: bool = False, **more: Any) -> Report:
    """Return the report of a service with one host, found by SRV records, which ask for DANE only where signed."""
    found = looked_up(f"_imaps._tcp.{DOMAIN}", "SRV", "secure" if signed else "insecure")
    found = replace(found, srv=(SrvRecord(0, 0, 993, HOST),))
    place = endpoint(
        HOST, 993, protocol="imaps", records=records, senders=CLIENT, secure_mx=signed, preference=0, **more
    )
    target = Target(DOMAIN, protocol="imaps", service="imaps")
    return report(place, target=target, discovery=Discovery("listed", found), senders=CLIENT)


def two_hosts(*, shared: bool, usage: str = "3 1 1") -> Report:
    """Return two hosts that present one certificate or two."""
    one, two = chain(HOST), chain(HOST) if shared else chain(OTHER)
    return report(
        endpoint(presented=one, records=[record(one, usage)]),
        endpoint(OTHER, presented=two, records=[record(two, usage)]),
    )


def two_kinds(*records: TlsaRecord) -> Report:
    """Return a host that presents an ECDSA and an RSA certificate."""
    both = [chain(), chain(rsa=True)]
    return holding(*records, handshakes=[shaken(each, one) for each in ADDRESSES for one in both])


def automatic(*specs: str, days: float = 60, age: float = 30, authority: str = "Root") -> Report:
    """Return a host whose certificate a machine renews."""
    mine = chain(days=days, age=age, authority=authority)
    return holding(*(record(mine, each) for each in specs), presented=mine)
