"""One ``[[certificate."NAME".tlsa]]`` table: the records that a certificate wants at its endpoints' owner names."""

from collections.abc import Collection
from dataclasses import dataclass, field

from danelaw.config import kinds
from danelaw.config.table import Spot, Table, Unfit, describe, did_you_mean
from danelaw.model import AppProtocol, Endpoint, RecordSpec, TlsaClaim, TlsaRecord
from danelaw.names import covers, default_protocol

SMTP_PORT = 25
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
    hosts = table.items("hosts", kinds.name, '["mail.example.org"]')
    if hosts is None:
        hosts = names
    ports = _ports(table)
    records = _records(table, ports)
    publisher = _publisher(table, publishers)
    ttl = _ttl(table)
    prune = _prune(table)
    strict = table.get("wait", kinds.strict, default=False)
    external = table.get("external", kinds.boolean, default=False)
    table.finish()
    for host in dict.fromkeys(hosts):
        if names and not any(covers(name, host) for name in names):
            _not_named(table, host, records)
    draft = TlsaDraft(table.spot, complete=not table.faulty & {"hosts", "ports"})
    for host in dict.fromkeys(hosts):
        for port, protocol in ports.items():
            at = Endpoint(host, port, protocol)
            claim = TlsaClaim(certificate, at, records, publisher, ttl, prune, strict, external)
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


def _records(table: Table, ports: Collection[int]) -> tuple[RecordSpec, ...]:
    """Return the combinations to publish, each once; report what no sender could use, and warn of what has a price."""
    found = table.items("records", kinds.parameters, '["3 1 1"]')
    records = (RecordSpec(3, 1, 1),) if found is None else tuple(dict.fromkeys(found))
    if records and all(spec.matching_type == 2 for spec in records):  # RFC 7671 section 5.1
        shown, other = records[0], records[0]._replace(matching_type=1)
        table.warning("records", f'"{shown}" alone', f'"{other}" too: senders need not know SHA-512')
    for spec in records:
        _weigh(table, spec, ports)
    return records


def _weigh(table: Table, spec: RecordSpec, ports: Collection[int]) -> None:
    """Report a combination that no sender could use, and warn of one that has a price, each with a better one."""
    better = spec._replace(usage=spec.usage | 2)
    if spec.usage in {0, 1} and SMTP_PORT in ports:  # RFC 7672 section 3.1.3
        found = f'"{spec}" at port {SMTP_PORT}, where no sender of mail can use usage {spec.usage}'
        table.problem("records", found, f'"{better}" there, and a tlsa table for each kind of port')
    elif spec.usage in {0, 1}:  # RFC 7671 section 4
        expected = f'"{better}": clients need not know usages 0 and 1, nor trust the CA'
        table.warning("records", f'"{spec}", which trusted CAs must agree to', expected)
    digest = spec._replace(matching_type=spec.matching_type or 1)
    if spec.usage in {1, 3}:
        digest = digest._replace(selector=1)
    if spec.matching_type == 0:  # RFC 7671 section 10.1.2
        what = "certificate" if spec.selector == 0 else "key"
        expected = f'"{digest}", a digest: answers of that size get lost on the way'
        table.warning("records", f'"{spec}", a whole {what} in each record', expected)
    if spec.usage in {1, 3} and spec.selector == 0:
        expected = f'"{digest}", over the key: else each renewal changes DNS, and comes earlier by the wait and a day'
        table.warning("records", f'"{spec}", over the certificate', expected)


def _not_named(table: Table, host: str, records: Collection[RecordSpec]) -> None:
    """Say that a host is not among the certificate's names, which only usage 3 does not look at."""
    found = f"{host}, which is not among names"
    spec = next((each for each in records if each.usage != 3), None)
    if spec is None:
        table.warning("hosts", found, "a name of the certificate: MTA-STS needs it")
    else:  # RFC 7671 section 5.2
        table.problem("hosts", found, f'a name of the certificate: with "{spec}" clients look at its names')


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
