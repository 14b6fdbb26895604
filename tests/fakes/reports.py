"""Reports made by hand: of a domain whose mail is as it ought to be, and of what a test turns into something else.

`report()` alone is a good one: example.org, two MX hosts, secure, `3 1 1` of what each address presents. Everything
that it is made of has a builder here, whose defaults are the good ones: `endpoint`, `attempt`, `looked_up`, `servers`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from chains import NOW, Issued, issue, rsa2048
from danelaw import dane, pki
from danelaw.dane.evidence import verify
from danelaw.model import (
    MAIL_SENDERS,
    AppProtocol,
    Attempt,
    Chain,
    Discovery,
    EndpointReport,
    FailureKind,
    Handshake,
    KeyAlgorithm,
    LookedUp,
    Lookup,
    LookupType,
    MxRecord,
    Outcome,
    OwnerLook,
    PolicyFetch,
    PolicyFound,
    Reading,
    Report,
    Security,
    Sender,
    Shaken,
    Target,
    TlsaKind,
    TlsaRecord,
    TlsaState,
    Unanswered,
)

AT = NOW
DAY = timedelta(days=1)
DOMAIN = "example.org"
HOST, OTHER = "mail.example.org", "mx2.example.org"
V4, V6 = "192.0.2.25", "2001:db8::25"
ADDRESSES = (V4, V6)
SERVERS = ("192.0.2.53", "198.51.100.53")

BEFORE_TLS: frozenset[FailureKind] = frozenset(
    {
        *("no-route", "forbidden", "not-asked", "refused", "unreachable", "timeout", "silent", "hung-up"),
        *("turned-away", "greylisted", "rejected", "not-spoken", "flood"),
    }
)
"""Failures that leave open whether the server offers TLS."""


WORST_FIRST: tuple[Outcome, ...] = ("deferred", "unknown", "opportunistic", "encrypted", "authenticated")


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of outcomes, ``unknown`` of none."""
    return min(outcomes, key=WORST_FIRST.index, default="unknown")


# --- certificates and records ----------------------------------------------------------------------------------------


def chain(
    name: str = HOST, label: str = "", *, rsa: bool = False, days: float = 300, age: float = 1, authority: str = "Root"
) -> Chain:
    """Return a leaf and its CA as presented, the same for the same arguments.

    ``label`` tells several of one name apart. The leaf is valid from ``age`` days before `AT` to ``days`` after it.
    """
    return _chain(name, label, rsa, days, age, authority)


@cache
def _chain(name: str, label: str, rsa: bool, days: float, age: float, authority: str) -> Chain:  # noqa: FBT001 - a key of the cache
    del label
    key = rsa2048() if rsa else None
    leaf = issue(name, _authority(authority), key=key, at=AT + DAY - age * DAY, days=days + age - 1)
    return pki.chain_from_der(leaf.chain_der)


def record(of: Chain, spec: str = "3 1 1") -> TlsaRecord:
    """Return a chain's TLSA record."""
    return dane.tlsa_record(dane.parse_spec(spec), of)


def stale(spec: str = "3 1 1", label: str = "stale") -> TlsaRecord:
    """Return a record of something that nobody presents."""
    return record(chain(label=label), spec)


@cache
def _authority(name: str) -> Issued:
    return issue(name, ca=True, at=AT - 1000 * DAY, days=5000)


# --- what DNS says ---------------------------------------------------------------------------------------------------


def looked_up(
    name: str,
    rrtype: LookupType,
    security: Security = "secure",
    rcode: str = "NOERROR",
    *,
    addresses: tuple[str, ...] = (),
    mx: tuple[MxRecord, ...] = (),
    tlsa: tuple[TlsaRecord, ...] = (),
    texts: tuple[str, ...] = (),
    canonical: str = "",
    ttl: int = 3600,
    expires: datetime | None = None,
    malformed: int = 0,
    why: str = "",
    ours: bool = False,
    warnings: tuple[str, ...] = (),
) -> LookedUp:
    """Return a validated look-up; of a secure one the signature is good for ten days, unless it is said."""
    signed = security == "secure"
    return LookedUp(
        Lookup(name, rrtype),
        security,
        rcode,
        addresses=addresses,
        mx=mx,
        tlsa=tlsa,
        texts=texts,
        canonical=canonical or name,
        ttl=ttl,
        original_ttl=ttl if signed else 0,
        expires=expires or (AT + 10 * DAY if signed else None),
        malformed=malformed,
        why=why,
        ours=ours,
        warnings=warnings,
    )


def mx(*hosts: str, security: Security = "secure", **more: object) -> LookedUp:
    """Return the MX look-up of `DOMAIN`, equal preferences."""
    found = looked_up(DOMAIN, "MX", security, mx=tuple(MxRecord(10, host) for host in hosts))
    return replace(found, **more)  # type: ignore[arg-type]  # any field of LookedUp


def reading(server: str, owner: str, records: Iterable[TlsaRecord], **more: object) -> Reading:
    """Return what one authoritative server says."""
    made = Reading(owner, server, "NOERROR", tuple(sorted(records)), 3600, 3600, 0, AT + 10 * DAY)
    return replace(made, **more)  # type: ignore[arg-type]  # any field of Reading


def servers(
    owner: str,
    records: Iterable[TlsaRecord] = (),
    *,
    readings: Sequence[Reading] | None = None,
    silent: Sequence[str] = (),
    left_out: tuple[str, ...] = (),
    host_wildcard: bool = False,
    problem: str | None = None,
) -> OwnerLook:
    """Return what every authoritative server says: the same records at two of them, unless ``readings`` says else."""
    if readings is None:
        readings = [reading(server, owner, records) for server in SERVERS if server not in silent]
    return OwnerLook(
        owner,
        zone=f"{DOMAIN}.",
        target=owner,
        servers=dict.fromkeys([*(each.server for each in readings), *silent], 3600),
        readings=tuple(readings),
        unanswered=tuple(Unanswered(owner, server, "it gave no answer in 5 s") for server in silent),
        left_out=left_out,
        host_wildcard=host_wildcard,
        problem=problem,
    )


def tlsa_state(
    host: str,
    records: Iterable[TlsaRecord] = (),
    *,
    kind: TlsaKind | None = None,
    port: int = 25,
    found: LookedUp | None = None,
    authorities: OwnerLook | None = None,
    reference_names: tuple[str, ...] = (),
) -> TlsaState:
    """Return the TLSA records of a host and how they were found."""
    rdatas = tuple(sorted(records))
    owner = f"_{port}._tcp.{host}."
    if kind is None:
        usable = any(dane.usable(each, smtp=port == 25) for each in rdatas)
        kind = "usable" if usable else "unusable" if rdatas else "none"
    if kind == "not-asked":
        return TlsaState(host, owner, kind)
    security: Security = {"error": "bogus", "insecure": "insecure"}.get(kind, "secure")  # type: ignore[assignment]
    looked = found or looked_up(owner.removesuffix("."), "TLSA", security, tlsa=rdatas)
    names = reference_names or (host, DOMAIN)
    return TlsaState(host, owner, kind, rdatas, (owner,), looked, authorities, names, looked.why)


# --- what handshakes bring -------------------------------------------------------------------------------------------


def shaken(
    address: str = V4,
    presented: Chain | None = None,
    failure: FailureKind | None = None,
    *,
    host: str = HOST,
    port: int = 25,
    protocol: AppProtocol = "smtp",
    algorithm: KeyAlgorithm | None = None,
    detail: str = "",
    version: str = "TLSv1.3",
    banner: str = "220 mail.example.org ESMTP",
) -> Shaken:
    """Return what a handshake brought: a chain, or a failure."""
    asked = Handshake(host, address, port, protocol, algorithm)
    words = detail or (f"{address}: {failure}" if failure else "")
    return Shaken(asked, presented, failure, words, version if presented else "", banner)


def attempt(
    tlsa: TlsaState,
    found: Shaken,
    *,
    senders: tuple[Sender, ...] = MAIL_SENDERS,
    secure: bool = True,
) -> Attempt:
    """Return an attempt with its verdicts, roughly as senders give them.

    ``secure``: the MX is. Roughly: of dates only Exchange's rule, and no difference in the names below a pinned CA.
    """
    presented = found.chain
    algorithm = found.handshake.algorithm
    if presented is not None and presented.algorithm != "other":
        algorithm = presented.algorithm
    if found.failure == "not-offered":
        return Attempt(found.handshake.address, algorithm, found)
    smtp = senders != ("client",)
    judged = () if presented is None else verify(tlsa.records, presented, tlsa.reference_names, AT, smtp=smtp)

    def outcome(sender: Sender) -> Outcome:
        kind = tlsa.kind if secure or sender == "postfix" else "not-asked"
        if kind == "error":
            return "unknown" if tlsa.found is not None and tlsa.found.ours else "deferred"
        if found.failure in BEFORE_TLS:
            return "unknown"
        if kind not in {"usable", "unusable"}:
            return "opportunistic"
        if kind == "unusable" and sender in {"exim", "client"}:
            return "deferred" if sender == "exim" else "opportunistic"
        if presented is None:
            return "deferred"
        if kind == "unusable":
            return "encrypted"
        if sender == "exchange" and not presented.not_before <= AT <= presented.not_after:
            return "deferred"
        agile = sender not in {"mox", "exchange"}
        fits = any(each.matches and (each.counts or not agile) for each in judged)
        return "authenticated" if fits else "deferred"

    return Attempt(found.handshake.address, algorithm, found, judged, {sender: outcome(sender) for sender in senders})


def endpoint(
    host: str = HOST,
    port: int = 25,
    *,
    protocol: AppProtocol = "smtp",
    preference: int | None = 10,
    addresses: tuple[str, ...] | None = None,
    presented: Chain | None = None,
    records: Iterable[TlsaRecord] | None = None,
    kind: TlsaKind | None = None,
    tlsa: TlsaState | None = None,
    handshakes: Sequence[Shaken] | None = None,
    security: Security = "secure",
    canonical: str = "",
    first_alias: Security | None = None,
    lookups: tuple[LookedUp, ...] | None = None,
    senders: tuple[Sender, ...] = MAIL_SENDERS,
    secure_mx: bool = True,
    why: str = "",
) -> EndpointReport:
    """Return an endpoint: at each address the same chain, and `3 1 1` of it in DNS, unless something is said.

    Its addresses are those of the ``handshakes`` where these are said.
    """
    shown = presented or chain(host)
    if addresses is None:
        addresses = tuple(dict.fromkeys(each.handshake.address for each in handshakes or ())) or ADDRESSES
    if tlsa is None:
        wanted = [record(shown)] if records is None and kind in {None, "usable"} else (records or ())
        tlsa = tlsa_state(host, wanted, kind=kind, port=port)
        if tlsa.kind in {"usable", "unusable"}:
            tlsa = replace(tlsa, authorities=servers(tlsa.owner, tlsa.records))
    if handshakes is None:
        handshakes = [shaken(each, shown, host=host, port=port, protocol=protocol) for each in addresses]
    attempts = tuple(attempt(tlsa, each, senders=senders, secure=secure_mx) for each in handshakes)
    if lookups is None:
        four = tuple(each for each in addresses if ":" not in each)
        six = tuple(each for each in addresses if ":" in each)
        lookups = (
            looked_up(host, "A", security, addresses=four, canonical=canonical),
            looked_up(host, "AAAA", security, addresses=six, canonical=canonical),
        )
    return EndpointReport(
        host=host,
        port=port,
        protocol=protocol,
        preference=preference,
        addresses=addresses,
        security=security,
        canonical=canonical or host,
        tlsa=tlsa,
        first_alias=first_alias,
        lookups=lookups,
        attempts=attempts,
        outcomes={
            sender: worst(each.outcomes[sender] for each in attempts if sender in each.outcomes) for sender in senders
        },
        why=why,
    )


# --- the whole -------------------------------------------------------------------------------------------------------

STS_RECORD = looked_up(f"_mta-sts.{DOMAIN}", "TXT", texts=("v=STSv1; id=20260601;",))
TLSRPT_RECORD = looked_up(f"_smtp._tls.{DOMAIN}", "TXT", texts=(f"v=TLSRPTv1; rua=mailto:tls@{DOMAIN}",))
TCP_EXISTS = looked_up(f"_tcp.{HOST}", "TLSA")


def policy(text: str | None = None, *, problem: str = "", ours: bool = False) -> PolicyFound:
    """Return a domain's MTA-STS policy: one that enforces and lists both MX hosts, unless it is said."""
    good = f"version: STSv1\r\nmode: enforce\r\nmx: {HOST}\r\nmx: {OTHER}\r\nmax_age: 604800\r\n"
    return PolicyFound(PolicyFetch(DOMAIN), None if problem else good if text is None else text, problem, ours)


def report(
    *endpoints: EndpointReport,
    target: Target | None = None,
    discovery: Discovery | None = None,
    policy: PolicyFound | None = None,
    beside: tuple[LookedUp, ...] = (),
    senders: tuple[Sender, ...] = MAIL_SENDERS,
) -> Report:
    """Return the report of a domain with these endpoints, two good ones where none is given. It has no findings."""
    if not endpoints and discovery is None:
        endpoints = (endpoint(), endpoint(OTHER))
    if discovery is None:
        discovery = Discovery("listed", mx(*(each.host for each in endpoints)))
    outcomes: Mapping[Sender, Outcome] = {
        sender: worst(each.outcomes[sender] for each in endpoints if sender in each.outcomes) for sender in senders
    }
    every = set(outcomes.values())
    status = 1 if "deferred" in every else 4 if "unknown" in every else 0 if every == {"authenticated"} else 3
    return Report(
        target=target or Target(DOMAIN),
        at=AT,
        discovery=discovery,
        endpoints=tuple(endpoints),
        outcomes=outcomes,
        delivers={sender: outcome not in {"deferred", "unknown"} for sender, outcome in outcomes.items()},
        status=status,  # type: ignore[arg-type]  # one of the four
        policy=policy,
        beside=beside,
    )
