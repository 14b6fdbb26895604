"""L is never earlier than the truth, whatever servers did between two looks; and the same facts give the same step."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.lifecycle import step
from danelaw.lifecycle.gate import held
from danelaw.model import TlsaRecord
from fakes.story import ADDRESS, NEW, OLD, OWNER, A, B, Story, desired, minutes

SERVERS = (A, B, "203.0.113.53")
TTL = 3600
W = timedelta(seconds=2 * TTL)

# Each version of the zone has an RRset of its own; a server moves through them in order, as fast as it likes.
VERSIONS = [(TlsaRecord(3, 1, 1, bytes([number]) * 32),) for number in range(5)]

advances = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("look"), st.just(0), st.just(0)),
    ),
    min_size=2,
    max_size=24,
)


@settings(max_examples=150, deadline=None)
@given(advances)
def test_nothing_is_held_shorter_than_it_may_be_cached(history: list[tuple[str, int, int]]) -> None:
    story, at, version = Story(desired(records=())), 0.0, [0, 0, 0]
    served_until = {0: 0.0}  # by version, minutes; kept while somebody serves it
    seen: set[int] = set()

    def look(at: float) -> None:
        story.look(at, {server: VERSIONS[version[i]] for i, server in enumerate(SERVERS)}, ttl=TTL)
        seen.update(version)

    look(at)
    for kind, server, distance in history:
        at += 7
        for current in version:
            served_until[current] = at
        if kind == "move":
            target = min(version[server] + distance, len(VERSIONS) - 1)
            for passed in range(version[server], target + 1):  # it may have served each in passing, for a moment
                served_until[passed] = at
            version[server] = target
        else:
            look(at)
    look(at + 7)
    for current in version:
        served_until[current] = at + 7
    found = {item.rdatas: item.until for item in held(story.facts, story.desired, OWNER, minutes(at + 7))}
    for number in seen:
        truly = minutes(served_until[number]) + timedelta(seconds=TTL) + story.desired.lookup_margin
        until = found.get(VERSIONS[number], minutes(0))
        assert until is None or until >= truly or truly <= minutes(at + 7), (number, until, truly)


@settings(max_examples=60, deadline=None)
@given(
    answers=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), min_size=1, max_size=6),
    presented=st.lists(st.sampled_from([OLD, NEW]), max_size=2, unique=True),
    prune=st.booleans(),
    with_key=st.booleans(),
)
def test_a_step_is_always_safe_and_always_the_same(
    answers: list[tuple[int, int, bool]],
    presented: list[object],
    prune: bool,  # noqa: FBT001 (drawn by name)
    with_key: bool,  # noqa: FBT001 (drawn by name)
) -> None:
    story = Story(desired(prune=prune))
    if with_key:
        story.key().issued(NEW).staged(1, NEW)
    for number, (one, other, dead) in enumerate(answers):
        story.look(number, {A: VERSIONS[one], B: None if dead else VERSIONS[other]}, primary=VERSIONS[one])
    at = len(answers) - 1
    story.probe(at, {ADDRESS: presented})  # type: ignore[dict-item]
    first = step(story.desired, story.facts, minutes(at))  # UnsafePlan would be a defect
    assert step(story.desired, story.facts, minutes(at)) == first
