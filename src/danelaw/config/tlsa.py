"""One ``[[certificate."NAME".tlsa]]`` table: the records that a certificate wants at its endpoints' owner names."""

from dataclasses import dataclass, field

from danelaw.config import kinds
from danelaw.config.table import Spot, Table, Unfit, describe, did_you_mean
from danelaw.model import AppProtocol, Endpoint, RecordSpec, TlsaClaim, TlsaRecord
from danelaw.names import covers, default_protocol

TTL = 3600
TTL_RECOMMENDED = (1800, 3600)
TTL_MAX = 86400
"""Seconds. A longer TTL would make every change of key wait for days; a shorter one than recommended is only warned of,
since a test bench and a migration want it."""

_PORTS = '[25, { port = 2525, protocol = "smtp" }]'


@dataclass(frozen=True, slots=True)
class ClaimDraft:
    """A claim with the place of its ``tlsa`` table. ``sound`` is False where a value of it did not fit."""

    spot: Spot
    claim: TlsaClaim
    sound: bool = True


@dataclass(slots=True)
class TlsaDraft:
    """A ``tlsa`` table as read. ``complete`` is False where its endpoints are not all known."""

    spot: Spot
    complete: bool
    claims: list[ClaimDraft] = field(default_factory=list)


def read_tlsa(certificate: str, names: tuple[str, ...], table: Table, publishers: tuple[str, ...]) -> TlsaDraft:
    """Return a ``tlsa`` table's claims: one for each host and port. Everything that does not fit is reported."""
    table.not_yet(
        {
            "wait": "the waits of rules that hold for caches; remove it",
            "external": "a deployment that proves the endpoint; remove it",
        }
    )
    hosts = table.items("hosts", kinds.name, '["mail.example.org"]')
    if hosts is None:
        hosts = names
    ports = _ports(table)
    records = table.items("records", kinds.parameters, '["3 1 1"]')
    records = (RecordSpec(3, 1, 1),) if records is None else tuple(dict.fromkeys(records))
    if records == (RecordSpec(3, 1, 2),):  # RFC 7671 section 5.1
        table.warning("records", '"3 1 2" alone', '"3 1 1" too: senders need not know SHA-512')
    publisher = _publisher(table, publishers)
    ttl = _ttl(table)
    prune = _prune(table)
    table.finish()
    for host in dict.fromkeys(hosts):
        if names and not any(covers(name, host) for name in names):
            table.warning("hosts", f"{host}, which is not among names", "a name of the certificate: MTA-STS needs it")
    draft = TlsaDraft(table.spot, complete=not table.faulty & {"hosts", "ports"})
    for host in dict.fromkeys(hosts):
        for port, protocol in ports.items():
            claim = TlsaClaim(certificate, Endpoint(host, port, protocol), records, publisher, ttl, prune)
            draft.claims.append(ClaimDraft(table.spot, claim, sound=not table.faulty))
    return draft


def _ports(table: Table) -> dict[int, AppProtocol]:
    value = table.raw("ports")
    if value is None:
        return {25: "smtp"}
    spot = table.spot.key("ports")
    items: list[tuple[Spot, object]]
    if isinstance(value, dict):
        items = [(spot, value)]
    elif isinstance(value, list) and value:
        items = [(spot.item(position), item) for position, item in enumerate(value)]
    else:
        table.problem("ports", describe(value), f"a list such as {_PORTS}")
        return {}
    ports: dict[int, AppProtocol] = {}
    for place, item in items:
        found = _port(table, place, item)
        if found is None:
            table.faulty.add("ports")
        elif found[0] in ports:
            table.report.problem(place, f"port {found[0]} for the second time", "each port once")
        else:
            ports[found[0]] = found[1]
    return ports


def _port(table: Table, spot: Spot, item: object) -> tuple[int, AppProtocol] | None:
    protocol: AppProtocol | None = None
    if isinstance(item, dict):
        inner = Table(table.report, spot, item)
        number = inner.required("port", kinds.port, "a port from 1 to 65535")
        protocol = inner.get("protocol", kinds.protocol)
        inner.finish()
        if number is None or inner.faulty:
            return None
    else:
        try:
            number = kinds.port(item)
        except Unfit as unfit:
            table.report.problem(spot, unfit.found, f"{unfit.expected}, or a table, as in {_PORTS}")
            return None
    protocol = protocol or default_protocol(number)
    if protocol is None:
        found = f"port {number}, which does not say how TLS starts"
        table.report.problem(spot, found, f'its protocol too: {{ port = {number}, protocol = "smtp" }}')
        return None
    return number, protocol


def _publisher(table: Table, publishers: tuple[str, ...]) -> str:
    named = table.get("dns", kinds.text)
    if named is not None:
        if named in publishers:
            return named
        known = "one of " + ", ".join(publishers) if publishers else "a table [dns.NAME] that defines it"
        table.problem("dns", f"{describe(named)}, which is not defined{did_you_mean(named, publishers)}", known)
        return ""
    if table.has("dns"):
        return ""
    if len(publishers) == 1:
        return publishers[0]
    found = f"nothing, among {len(publishers)} publishers" if publishers else "nothing, and no publisher is defined"
    known = "one of " + ", ".join(publishers) if publishers else "a publisher, and a table [dns.NAME] that defines it"
    table.problem("dns", found, known)
    return ""


def _ttl(table: Table) -> int:
    ttl = table.get("ttl", kinds.integer(1, TTL_MAX), TTL)
    lowest, highest = TTL_RECOMMENDED
    if not lowest <= ttl <= highest:
        table.warning(
            "ttl", f"{ttl} s", f"{lowest} to {highest} s, which is what senders and rollovers are served best by"
        )
    return ttl


def _prune(table: Table) -> bool | tuple[TlsaRecord, ...]:
    value = table.raw("prune")
    if value is None or isinstance(value, bool):
        return bool(value)
    if not isinstance(value, list):
        table.problem("prune", describe(value), 'true, false, or the records to remove: ["3 0 1 60785ad1…"]')
        return False
    records = table.items("prune", kinds.record, '["3 0 1 60785ad1…"]') or ()
    return tuple(dict.fromkeys(records)) or False
