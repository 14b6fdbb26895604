"""Facts as rows and rows as facts: one `Table` for each fact, every column named.

``write`` gives a fact's row in the order of ``columns``; ``read`` is its inverse. A chain is kept once, in
``certificate_chain``; rows refer to it by the digest of its certificates.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, TypeAlias

from danelaw.model import (
    Chain,
    ChainFact,
    ClockSeen,
    ClockStepped,
    Fact,
    Generation,
    Intent,
    KeyFact,
    OnDisk,
    OrderFact,
    OwnerFact,
    OwnRecord,
    Presented,
    Primary,
    RRsetSeen,
    Server,
    Silent,
    Unreachable,
)
from danelaw.store.agenda import instant
from danelaw.store.columns import (
    endpoint_columns,
    files_json,
    maybe_instant,
    maybe_micros,
    maybe_text,
    micros,
    read_endpoint,
    read_files,
    read_record,
    read_records,
    records_text,
    text,
)

Row: TypeAlias = tuple[Any, ...]
Chains: TypeAlias = Callable[[str], Chain]
"""Gives the chain of a ``chain_sha256``."""


@dataclass(frozen=True)
class Table:
    """How one kind of fact is stored.

    ``key`` says how many of the leading columns identify a row (`model.FACT_KEYS`), ``field`` where `model.Facts` has
    it, ``age`` what orders it, oldest first.
    """

    name: str
    fact: type[Fact]
    field: str
    columns: tuple[str, ...]
    key: int
    age: Callable[[Any], datetime]
    write: Callable[[Any], Row]
    read: Callable[[Row, Chains], Fact]

    @cached_property
    def select(self) -> str:
        """Return the statement that reads every row, in the order in which they were first written."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name} ORDER BY rowid"  # noqa: S608 -- names from here

    @cached_property
    def upsert(self) -> str:
        """Return the statement that writes one row over the one of the same key; the row keeps its place."""
        marks = ", ".join("?" for _ in self.columns)
        rest = ", ".join(f"{column} = excluded.{column}" for column in self.columns[self.key :])
        return (
            f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({marks})"  # noqa: S608 -- names from here
            f" ON CONFLICT ({', '.join(self.columns[: self.key])}) DO UPDATE SET {rest}"
        )


def chain_sha256(chain: Chain) -> str:
    """Return what a chain is known by: the digest of its certificates' DER, leaf first (DER says where each ends)."""
    return hashlib.sha256(b"".join(chain.certificates_der)).hexdigest()


KEY = Table(
    name='"key"',
    fact=KeyFact,
    field="keys",
    columns=(
        *("spki_sha256", "certificate", "spki_der", "algorithm", "host", "path", "origin"),
        *("made_at", "compromised_at", "destroyed_at", "current_since", "archived_at"),
    ),
    key=2,
    age=attrgetter("made_at"),
    write=lambda k: (
        *(k.spki_sha256, k.certificate, k.spki_der, k.algorithm, k.host, k.path, k.origin),
        *(micros(k.made_at), maybe_micros(k.compromised_at), maybe_micros(k.destroyed_at)),
        *(maybe_micros(k.current_since), maybe_micros(k.archived_at)),
    ),
    read=lambda row, _: KeyFact(
        spki_sha256=row[0],
        certificate=row[1],
        spki_der=row[2],
        algorithm=row[3],
        host=row[4],
        path=row[5],
        origin=row[6],
        made_at=instant(row[7]),
        compromised_at=maybe_instant(row[8]),
        destroyed_at=maybe_instant(row[9]),
        current_since=maybe_instant(row[10]),
        archived_at=maybe_instant(row[11]),
    ),
)

CHAIN = Table(
    name="chain",
    fact=ChainFact,
    field="chains",
    columns=("leaf_sha256", "certificate", "chain_sha256", "ca", "obtained_at", "revoked_at", "reason"),
    key=1,
    age=attrgetter("obtained_at"),
    write=lambda c: (
        *(c.chain.leaf_sha256, c.certificate, chain_sha256(c.chain), c.ca),
        *(micros(c.obtained_at), maybe_micros(c.revoked_at), c.reason),
    ),
    read=lambda row, chains: ChainFact(
        certificate=row[1],
        chain=chains(row[2]),
        ca=row[3],
        obtained_at=instant(row[4]),
        revoked_at=maybe_instant(row[5]),
        reason=row[6],
    ),
)

ORDER = Table(
    name="ca_order",
    fact=OrderFact,
    field="orders",
    columns=("url", "certificate", "ca", "spki_sha256", "csr_der", "opened_at", "closed_at", "problem"),
    key=1,
    age=attrgetter("opened_at"),
    write=lambda o: (
        *(o.url, o.certificate, o.ca, o.spki_sha256, o.csr_der),
        *(micros(o.opened_at), maybe_micros(o.closed_at), maybe_text(o.problem)),
    ),
    read=lambda row, _: OrderFact(
        url=row[0],
        certificate=row[1],
        ca=row[2],
        spki_sha256=row[3],
        csr_der=row[4],
        opened_at=instant(row[5]),
        closed_at=maybe_instant(row[6]),
        problem=row[7],
    ),
)

INTENT = Table(
    name="intent",
    fact=Intent,
    field="intents",
    columns=("certificate", "kind", "asked_at", '"by"', "closed_at", "options", "leaf_sha256", "reason"),
    key=3,
    age=attrgetter("asked_at"),
    write=lambda i: (
        *(i.certificate, i.kind, micros(i.asked_at), text(i.by), maybe_micros(i.closed_at)),
        *("\n".join(i.options), i.leaf_sha256, i.reason),
    ),
    read=lambda row, _: Intent(
        certificate=row[0],
        kind=row[1],
        by=row[3],
        asked_at=instant(row[2]),
        closed_at=maybe_instant(row[4]),
        options=tuple(row[5].split("\n")) if row[5] else (),
        leaf_sha256=row[6],
        reason=row[7],
    ),
)

RRSET = Table(
    name="rrset_seen",
    fact=RRsetSeen,
    field="rrsets",
    columns=(
        *("owner", "server", "first_at", "last_at", "rcode", "rdatas"),
        *("ttl", "original_ttl", "cname_ttl", "rrsig_expires"),
    ),
    key=3,
    age=attrgetter("first_at"),
    write=lambda r: (
        *(r.owner, r.server, micros(r.first_at), micros(r.last_at), r.rcode, records_text(r.rdatas)),
        *(r.ttl, r.original_ttl, r.cname_ttl, maybe_micros(r.rrsig_expires)),
    ),
    read=lambda row, _: RRsetSeen(
        owner=row[0],
        server=row[1],
        rcode=row[4],
        rdatas=read_records(row[5]),
        ttl=row[6],
        original_ttl=row[7],
        cname_ttl=row[8],
        rrsig_expires=maybe_instant(row[9]),
        first_at=instant(row[2]),
        last_at=instant(row[3]),
    ),
)

SERVER = Table(
    name="server",
    fact=Server,
    field="servers",
    columns=("owner", "server", "ns_ttl", "first_at", "last_at"),
    key=2,
    age=attrgetter("first_at"),
    write=lambda s: (s.owner, s.server, s.ns_ttl, micros(s.first_at), micros(s.last_at)),
    read=lambda row, _: Server(
        owner=row[0], server=row[1], ns_ttl=row[2], first_at=instant(row[3]), last_at=instant(row[4])
    ),
)

UNREACHABLE = Table(
    name="unreachable",
    fact=Unreachable,
    field="unreachable",
    columns=("owner", "server", "first_at", "last_at", "problem"),
    key=3,
    age=attrgetter("first_at"),
    write=lambda u: (u.owner, u.server, micros(u.first_at), micros(u.last_at), text(u.problem)),
    read=lambda row, _: Unreachable(
        owner=row[0], server=row[1], problem=row[4], first_at=instant(row[2]), last_at=instant(row[3])
    ),
)

OWNER = Table(
    name="owner",
    fact=OwnerFact,
    field="owners",
    columns=(
        *("owner", "first_at", "last_at", "zone", "target", "security", "why"),
        *("validated", "wildcard", "host_wildcard", "left_out", "problem"),
    ),
    key=2,
    age=attrgetter("first_at"),
    write=lambda o: (
        *(o.owner, micros(o.first_at), micros(o.last_at), o.zone, o.target, o.security, text(o.why)),
        *(records_text(o.validated), int(o.wildcard), int(o.host_wildcard)),
        *(json.dumps(o.left_out), maybe_text(o.problem)),
    ),
    read=lambda row, _: OwnerFact(
        owner=row[0],
        zone=row[3],
        target=row[4],
        security=row[5],
        why=row[6],
        validated=read_records(row[7]),
        wildcard=bool(row[8]),
        host_wildcard=bool(row[9]),
        left_out=tuple(json.loads(row[10])),
        problem=row[11],
        first_at=instant(row[1]),
        last_at=instant(row[2]),
    ),
)

PRIMARY = Table(
    name="primary_rrset",
    fact=Primary,
    field="primaries",
    columns=("owner", "rdatas", "ttl", "at"),
    key=1,
    age=attrgetter("at"),
    write=lambda p: (p.owner, records_text(p.rdatas), p.ttl, micros(p.at)),
    read=lambda row, _: Primary(owner=row[0], rdatas=read_records(row[1]), ttl=row[2], at=instant(row[3])),
)

OWN_RECORD = Table(
    name="own_record",
    fact=OwnRecord,
    field="own_records",
    columns=("owner", "record", "added_at", "publisher", "withdrawn_at"),
    key=3,
    age=attrgetter("added_at"),
    write=lambda r: (r.owner, str(r.record), micros(r.added_at), r.publisher, maybe_micros(r.withdrawn_at)),
    read=lambda row, _: OwnRecord(
        owner=row[0],
        record=read_record(row[1]),
        publisher=row[3],
        added_at=instant(row[2]),
        withdrawn_at=maybe_instant(row[4]),
    ),
)

PRESENTED = Table(
    name="presented",
    fact=Presented,
    field="presented",
    columns=(
        *("endpoint_host", "port", "protocol", "connect", "address", "chain_sha256", "first_at"),
        *("last_at", "mine"),
    ),
    key=7,
    age=attrgetter("first_at"),
    write=lambda p: (
        *endpoint_columns(p.endpoint),
        *(p.address, chain_sha256(p.chain), micros(p.first_at), micros(p.last_at), int(p.mine)),
    ),
    read=lambda row, chains: Presented(
        endpoint=read_endpoint(*row[:4]),
        address=row[4],
        mine=bool(row[8]),
        chain=chains(row[5]),
        first_at=instant(row[6]),
        last_at=instant(row[7]),
    ),
)

SILENT = Table(
    name="silent",
    fact=Silent,
    field="silent",
    columns=("endpoint_host", "port", "protocol", "connect", "address", "first_at", "last_at", "mine", "problem"),
    key=6,
    age=attrgetter("first_at"),
    write=lambda s: (
        *endpoint_columns(s.endpoint),
        *(s.address, micros(s.first_at), micros(s.last_at), int(s.mine), text(s.problem)),
    ),
    read=lambda row, _: Silent(
        endpoint=read_endpoint(*row[:4]),
        address=row[4],
        mine=bool(row[7]),
        problem=row[8],
        first_at=instant(row[5]),
        last_at=instant(row[6]),
    ),
)

GENERATION = Table(
    name="generation",
    fact=Generation,
    field="generations",
    columns=(
        *("host", "deployment", "n", "leaf_sha256", "files", "staged_at"),
        *("active_at", "reloaded_at", "proven_at", "failed_at", "tries", "shape"),
    ),
    key=3,
    age=attrgetter("staged_at"),
    write=lambda g: (
        *(g.host, g.deployment, g.n, g.leaf_sha256, files_json(g.files), micros(g.staged_at)),
        *(maybe_micros(g.active_at), maybe_micros(g.reloaded_at)),
        *(maybe_micros(g.proven_at), maybe_micros(g.failed_at), g.tries, text(g.shape)),
    ),
    read=lambda row, _: Generation(
        host=row[0],
        deployment=row[1],
        n=row[2],
        leaf_sha256=row[3],
        files=read_files(row[4]),
        staged_at=instant(row[5]),
        active_at=maybe_instant(row[6]),
        reloaded_at=maybe_instant(row[7]),
        proven_at=maybe_instant(row[8]),
        failed_at=maybe_instant(row[9]),
        tries=row[10],
        shape=row[11],
    ),
)

ON_DISK = Table(
    name="on_disk",
    fact=OnDisk,
    field="on_disk",
    columns=("deployment", "files", "at"),
    key=1,
    age=attrgetter("at"),
    write=lambda o: (o.deployment, files_json(o.files), micros(o.at)),
    read=lambda row, _: OnDisk(deployment=row[0], files=read_files(row[1]), at=instant(row[2])),
)

CLOCK = Table(
    name="clock_seen",
    fact=ClockSeen,
    field="clocks",
    columns=("host", "boot_id", "boot_seconds", "at"),
    key=1,
    age=attrgetter("at"),
    write=lambda c: (c.host, c.boot_id, c.boot_seconds, micros(c.at)),
    read=lambda row, _: ClockSeen(host=row[0], boot_id=row[1], boot_seconds=row[2], at=instant(row[3])),
)

CLOCK_STEP = Table(
    name="clock_stepped",
    fact=ClockStepped,
    field="clock_steps",
    columns=("at", "boot_id", "seconds"),
    key=1,
    age=attrgetter("at"),
    write=lambda c: (micros(c.at), c.boot_id, c.seconds),
    read=lambda row, _: ClockStepped(at=instant(row[0]), boot_id=row[1], seconds=row[2]),
)

TABLES: Mapping[type, Table] = {
    table.fact: table
    for table in (
        *(KEY, CHAIN, ORDER, INTENT, RRSET, SERVER, UNREACHABLE, OWNER, PRIMARY),
        *(OWN_RECORD, PRESENTED, SILENT, GENERATION, ON_DISK, CLOCK, CLOCK_STEP),
    )
}
