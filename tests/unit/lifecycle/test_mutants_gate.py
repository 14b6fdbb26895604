"""What a mutant of the gate would have got wrong without any other test's notice."""

from dataclasses import replace
from datetime import timedelta

from danelaw.lifecycle.gate import endpoints_at, held, owner_state, relevant_servers
from danelaw.model import Endpoint, Facts
from fakes.story import ALIEN, NEW, OWNER, START, A, B, Story, desired, minutes, record

OTHER = "_25._tcp.other.example.org."


def test_no_server_is_relevant_where_nobody_looked() -> None:
    assert relevant_servers(Facts(), OWNER, START) == frozenset()
    assert relevant_servers(Story().look(0, {A: (record(NEW),)}).facts, OWNER, START) == {A}


def test_the_state_of_an_owner_name_is_its_own() -> None:
    story = Story().look(0, {A: (record(NEW),)})
    (state,) = story.facts.owners
    later = replace(state, owner=OTHER, last_at=minutes(9))
    for owners in ((state, later), (later, state)):
        facts = replace(story.facts, owners=owners)
        assert owner_state(facts, OWNER) == state
        assert owner_state(facts, OTHER) == later
    assert owner_state(story.facts, OTHER) is None


def test_an_endpoint_of_each_certificate_counts() -> None:
    plan = desired()
    (first,) = plan.certificates
    elsewhere = Endpoint("other.example.org", 25, "smtp")
    second = replace(
        first, name="other", claims=(), deployments=(replace(first.deployments[0], endpoints=(elsewhere,)),)
    )
    for certificates in ((first, second), (second, first)):
        both = replace(plan, certificates=certificates)
        assert [row.owner for row in endpoints_at(both, OWNER)] == [OWNER]
        assert [row.owner for row in endpoints_at(both, OTHER)] == [OTHER]


def test_what_was_held_a_while_ago_is_no_answer_for_now() -> None:
    story = Story().look(0, {A: (record(ALIEN),), B: (record(ALIEN),)}).look(10, {A: (record(NEW),), B: (record(NEW),)})
    facts = story.facts  # the same ones each time: only the instant differs
    assert (record(ALIEN),) in [item.rdatas for item in held(facts, story.desired, OWNER, minutes(129))]
    assert (record(ALIEN),) not in [item.rdatas for item in held(facts, story.desired, OWNER, minutes(130))]
    assert (record(ALIEN),) in [item.rdatas for item in held(facts, story.desired, OWNER, minutes(129))]


def test_what_was_held_by_other_rules_is_no_answer_for_these() -> None:
    story = Story().look(0, {A: (record(ALIEN),), B: (record(ALIEN),)}).look(10, {A: (record(NEW),), B: (record(NEW),)})
    longer = replace(story.desired, lookup_margin=timedelta(hours=9))
    ends = [
        max(item.until or START for item in held(story.facts, plan, OWNER, minutes(20)))
        for plan in (story.desired, longer)
    ]
    assert ends == [minutes(10 + 120), minutes(10 + 60 + 9 * 60)]


def test_an_rrset_that_is_over_hides_none_that_is_not() -> None:
    first, second = (record(ALIEN),), (record(NEW),)
    for over, lasting in ((first, second), (second, first)):
        story = Story().look(0, {A: over, B: over}, ttl=60).look(10, {A: lasting, B: lasting}).look(60, {A: (), B: ()})
        assert [item.rdatas for item in held(story.facts, story.desired, OWNER, minutes(60))] == [lasting]
