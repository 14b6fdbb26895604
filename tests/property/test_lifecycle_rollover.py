"""Rollovers under whatever comes: no sender is ever given a chain that the RRset it may hold refuses.

The oracle is of this file's own making, from the rules alone: what every server truly served and when it last did, a
TTL and the margin of a handshake longer, or w, against what services present and what stands in their files.
"""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256, sha512
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danelaw.model import Chain, ClockStepped, KeyFact, Publish, RecordSpec, TlsaRecord
from fakes.facts import DAY, HOUR, MINUTE, SMTP, Records
from fakes.rolling import IMAP, IMAPS, MAIL, THREE_ONE_ONE, THREE_ZERO_ONE, Rolling, pin, steady

TTL, MARGIN = HOUR, 15 * MINUTE
LONGEST_HELD: Final = max(2 * TTL, TTL + MARGIN)
ALIEN = TlsaRecord(3, 1, 1, bytes(32))
ALIEN = TlsaRecord(3, 1, 1, bytes(32))
THREE_ONE_TWO = RecordSpec(3, 1, 2)
DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lambda data: sha256(data).digest(),
    2: lambda data: sha512(data).digest(),
}


def is_covered(rrset: tuple[TlsaRecord, ...], chain: Chain) -> bool:
    """Every combination of one usage and selector has a record that holds the chain's key or leaf.

    Rules: records of another usage and selector hold no chain that those match, since no sender refuses it; but where
    one of two digests is stale some senders do.
    """

    def holds(record: TlsaRecord) -> bool:
        whole = chain.spki_der if record.selector else chain.certificates_der[0]
        return record.data == DIGESTS[record.matching_type](whole)

    return not rrset or any(
        {record.matching_type for record in alike} == {record.matching_type for record in alike if holds(record)}
        for pair in {(record.usage, record.selector) for record in rrset}
        if (alike := [record for record in rrset if (record.usage, record.selector) == pair])
    )


class Watched(Rolling):
    """A story that is judged after every step and every look."""

    def judge(self) -> None:
        for deployment in self.spec.deployments:
            (endpoint,) = deployment.endpoints
            owner = endpoint.owner
            held = set(self.truth[owner].values())
            held |= {
                rrset
                for (at, rrset), last in self.served.items()
                if at == owner and last + self.longest(owner, rrset) > self.now
            }
            for chain in {self.runs[deployment.id], self.files[deployment.id]}:
                for rrset in held:
                    assert is_covered(rrset, chain), (self.now, owner, rrset, chain)

    def longest(self, owner: str, rrset: Records) -> timedelta:
        """Return w by the largest TTL that an RRset was served with."""
        ttl = timedelta(seconds=self.ttls[owner, rrset])
        return max(2 * ttl, ttl + MARGIN)

    def judge_end(self) -> None:
        """Once nothing fails any more all that was asked for is done, and nothing is left over."""
        self.refused, self.unproven, self.unloaded, self.frozen, self.deaf = set(), set(), set(), set(), set()
        self.run(4 * DAY, 6 * HOUR)
        assert not [row for row in self.facts.intents if not row.closed_at]
        assert self.current.compromised_at is None
        assert {chain.spki_sha256 for chain in self.runs.values()} == {self.current.spki_sha256}
        assert min(chain.not_after for chain in self.runs.values()) > self.now + 10 * DAY
        if {spec.selector for spec in self.spec.claims[0].records} != {1}:
            return
        coming = [self.coming] if self.coming and self.is_wanted(self.coming) else []
        digests = [DIGESTS[spec.matching_type] for spec in self.spec.claims[0].records]
        wanted = {digest(key.spki_der) for digest in digests for key in (self.current, *coming)}
        for zone in self.zones:
            assert {record.data for record in zone.primary} - {ALIEN.data} == wanted  # type: ignore[union-attr]

    def judge_publication(self, before: int) -> None:
        """A next key's record goes only where the key was promoted, is unwanted by now, or the config says so."""
        for _, step in self.done[before:]:
            if not isinstance(step, Publish) or THREE_ONE_ONE not in self.spec.claims[0].records:
                continue
            gone = set(step.expected) - set(step.wanted)
            for key in self.facts.keys:
                waits = key.current_since is None and key.compromised_at is None
                assert not (pin(key) in gone and waits and self.is_wanted(key)), (self.now, key)

    def is_wanted(self, key: KeyFact) -> bool:
        asked = any(row.kind == "rollover" and not row.closed_at for row in self.facts.intents)
        algorithm = "rsa" if self.spec.key_type == "rsa2048" else "ecdsa"
        return key.algorithm == algorithm and (self.spec.next_key or asked or bool(self.current.compromised_at))


Event = Callable[[Watched], object]


def toggled(names: set[str] | set[tuple[str, str]], name: object) -> None:
    names.symmetric_difference_update({name})  # type: ignore[arg-type]


def of_next(story: Watched) -> str:
    return story.coming.spki_sha256 if story.coming else story.current.spki_sha256


def by_hand(story: Watched) -> None:
    assert not isinstance(story.dns.primary, str)
    story.serve(SMTP.owner, tuple({*story.dns.primary, ALIEN}))


def leak_next(story: Watched) -> None:
    if story.coming:
        story.leak(story.coming)


EVENTS: dict[str, Event] = {
    "ask": lambda s: s.ask(),
    "emergency": lambda s: s.ask("emergency"),
    "cancel": lambda s: s.cancel(),
    "leak the current key": lambda s: s.leak(s.current),
    "leak the next key": leak_next,
    "3 1 1": lambda s: s.change(records=(THREE_ONE_ONE,)),
    "3 0 1": lambda s: s.change(records=(THREE_ZERO_ONE,)),
    "both digests": lambda s: s.change(records=(THREE_ONE_ONE, THREE_ONE_TWO)),
    "both selectors": lambda s: s.change(records=(THREE_ONE_ONE, THREE_ZERO_ONE)),
    "a next key": lambda s: s.change(next_key=True),
    "no next key": lambda s: s.change(next_key=False),
    "schedule": lambda s: s.change(rollover=DAY * 20),
    "no schedule": lambda s: s.change(rollover=None),
    "ecdsa": lambda s: s.change(key_type="p256"),
    "rsa": lambda s: s.change(key_type="rsa2048"),
    "settle at once": lambda s: s.change(settle=timedelta(0)),
    "settle": lambda s: s.change(settle=DAY),
    "orders over the next key fail": lambda s: toggled(s.refused, of_next(s)),
    "orders fail": lambda s: toggled(s.refused, s.current.spki_sha256),
    "the next key is not proven": lambda s: toggled(s.unproven, (MAIL, of_next(s))),
    "the next key is not proven for IMAP": lambda s: toggled(s.unproven, (IMAP, of_next(s))),
    "the current key is not proven": lambda s: toggled(s.unproven, (MAIL, s.current.spki_sha256)),
    "the next key is not loaded": lambda s: toggled(s.unloaded, (MAIL, of_next(s))),
    "a short TTL": lambda s: s.change(ttl=600),
    "a long TTL": lambda s: s.change(ttl=7200),
    "somebody adds a record": by_hand,
    "the clock was set": lambda s: s.note(ClockStepped(s.now, "boot", 100.0)),
    "ns2 freezes or thaws": lambda s: toggled(s.frozen, "ns2"),
    "ns2 is deaf or hears": lambda s: toggled(s.deaf, "ns2"),
}
SPANS = (MINUTE, 10 * MINUTE, HOUR, LONGEST_HELD - MINUTE, 7 * HOUR, DAY, 25 * DAY)

events = st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.sampled_from(SPANS)), min_size=2, max_size=9)


def told(happens: list[tuple[str, timedelta]], *, has_next: bool, settle: timedelta) -> None:
    story = steady(SMTP, IMAPS, next_key=has_next, key_type="rsa2048", settle=settle)
    watched = Watched(**{name: getattr(story, name) for name in story.__dataclass_fields__})
    watched.after = watched.judge
    for name, span in happens:
        EVENTS[name](watched)
        watched.later(MINUTE).look()
        before = len(watched.done)
        watched.steps(most=80)
        watched.judge()
        watched.judge_publication(before)
        # A deaf server keeps what it serves for no longer than its signatures hold, which nobody here renews.
        watched.later(min(span, HOUR) if watched.deaf else span).look()
        before = len(watched.done)
        watched.steps(most=80)
        watched.judge()
        watched.judge_publication(before)
    watched.judge_end()


@given(events, st.booleans(), st.sampled_from([timedelta(0), DAY]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nobody_is_given_a_chain_that_his_rrset_refuses(
    happens: list[tuple[str, timedelta]],
    has_next: bool,  # noqa: FBT001 (drawn by Hypothesis)
    settle: timedelta,
) -> None:
    told(happens, has_next=has_next, settle=settle)
