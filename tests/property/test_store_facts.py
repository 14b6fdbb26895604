"""Whatever is recorded, in whatever batches: the store is a dictionary by natural key that survives reopening."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.lifecycle.clock import levelled
from danelaw.model import (
    FACT_KEYS,
    ClockSeen,
    ClockStepped,
    Endpoint,
    Fact,
    Facts,
    Generation,
    Intent,
    KeyFact,
    OnDisk,
    OwnerFact,
    OwnRecord,
    RRsetSeen,
    Silent,
    TlsaRecord,
)
from danelaw.store import SqliteStore
from local_state import StandingClock

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

# Few keys and instants, so that rows meet; any text, so that nothing in it is special.
few = st.sampled_from(["a", "b"])
instants = st.builds(lambda n: BEGIN + timedelta(microseconds=n), st.sampled_from([0, 1, 2, 10**17]))
records = st.builds(TlsaRecord, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=3))
rdatas = st.lists(records, max_size=3).map(tuple)
texts = st.text(max_size=8)
digests = st.dictionaries(texts, texts, max_size=2)
endpoints = st.builds(Endpoint, few, st.just(25), st.just("smtp"), st.sampled_from([None, "192.0.2.1"]))
maybe = st.none() | instants

facts = st.one_of(
    st.builds(
        RRsetSeen,
        owner=few,
        server=few,
        rcode=st.sampled_from(["NOERROR", "NXDOMAIN"]),
        rdatas=rdatas,
        ttl=st.integers(0, 2**32 - 1),
        original_ttl=st.integers(0, 2**32 - 1),
        cname_ttl=st.integers(0, 2**32 - 1),
        rrsig_expires=maybe,
        first_at=instants,
        last_at=instants,
    ),
    st.builds(OwnRecord, few, records, few, instants, maybe),
    st.builds(Silent, endpoints, few, st.booleans(), texts, instants, instants),
    st.builds(
        Generation, few, few, st.integers(0, 2), few, digests, instants, maybe, maybe, maybe, maybe, st.integers(0, 9)
    ),
    st.builds(OnDisk, texts, digests, instants),
    st.builds(
        OwnerFact,
        owner=few,
        zone=few,
        target=few,
        security=st.sampled_from(["secure", "insecure", "bogus", "indeterminate"]),
        why=texts,
        validated=rdatas,
        wildcard=st.booleans(),
        host_wildcard=st.booleans(),
        left_out=st.lists(texts, max_size=2).map(tuple),
        problem=st.none() | texts,
        first_at=instants,
        last_at=instants,
    ),
    st.builds(
        KeyFact,
        spki_sha256=few,
        certificate=few,
        spki_der=st.binary(max_size=3),
        algorithm=st.sampled_from(["rsa", "ecdsa"]),
        host=few,
        path=few,
        origin=st.sampled_from(["adopted", "made", "elsewhere"]),
        made_at=instants,
        compromised_at=maybe,
        destroyed_at=maybe,
        current_since=maybe,
        archived_at=maybe,
    ),
    st.builds(
        Intent,
        certificate=few,
        kind=st.sampled_from(["renew", "rollover", "revoke", "adopt"]),
        by=texts,
        asked_at=instants,
        closed_at=maybe,
        options=st.lists(st.sampled_from(["emergency", "accept-outage", "yes"]), unique=True).map(tuple),
        leaf_sha256=st.sampled_from(["", "ab"]),
        reason=st.none() | st.integers(0, 10),
    ),
    st.builds(ClockSeen, few, few, st.floats(0, 1e12), instants),
    st.builds(ClockStepped, instants, few, st.floats(-1e12, 1e12)),
)
AGE = {
    RRsetSeen: "first_at",
    OwnRecord: "added_at",
    Silent: "first_at",
    Generation: "staged_at",
    OnDisk: "at",
    KeyFact: "made_at",
    Intent: "asked_at",
    ClockSeen: "at",
    ClockStepped: "at",
}
FIELD = {
    KeyFact: "keys",
    Intent: "intents",
    ClockSeen: "clocks",
    ClockStepped: "clock_steps",
    RRsetSeen: "rrsets",
    OwnRecord: "own_records",
    Silent: "silent",
    Generation: "generations",
    OnDisk: "on_disk",
    OwnerFact: "owners",
}


def expected(batches: Sequence[Sequence[Fact]], kind: type) -> list[Fact]:
    rows: dict[object, Fact] = {}
    for fact in (fact for batch in batches for fact in batch if type(fact) is kind):
        rows[tuple(getattr(fact, name) for name in FACT_KEYS[kind])] = fact
    return sorted(rows.values(), key=lambda fact: getattr(fact, AGE.get(kind, "first_at")))


def assert_holds(found: Facts, batches: Sequence[Sequence[Fact]]) -> None:
    for kind, field in FIELD.items():
        assert list(getattr(found, field)) == expected(batches, kind)


@given(batches=st.lists(st.tuples(st.booleans(), st.lists(facts, max_size=4)), max_size=4))
@settings(max_examples=60, deadline=None)
def test_two_connections_and_a_later_one_see_the_same(batches: list[tuple[bool, list[Fact]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "facts.sqlite")
        done = []
        with (
            closing(SqliteStore(path, StandingClock(), "h")) as one,
            closing(SqliteStore(path, StandingClock(), "h")) as two,
        ):
            for by_one, batch in batches:
                (one if by_one else two).record(batch)
                done.append(batch)
                assert_holds(one.snapshot(), done)
                assert_holds(two.snapshot(), done)
        with closing(SqliteStore(path, StandingClock(), "h")) as later:
            assert_holds(later.snapshot(), done)


@given(batch=st.lists(facts, max_size=8), at=instants)
@settings(max_examples=60, deadline=None)
def test_a_levelled_store_holds_the_levelled_facts(batch: list[Fact], at: datetime) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "facts.sqlite")
        with closing(SqliteStore(path, StandingClock(), "h")) as store:
            store.record(batch)
            before = store.snapshot()
            assert (store.level(at) == 0) is (levelled(before, at) is before)
            assert store.snapshot() == levelled(before, at)
        with closing(SqliteStore(path, StandingClock(), "h")) as later:
            assert later.snapshot() == levelled(before, at)
