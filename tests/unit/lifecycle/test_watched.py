"""Endpoints that a service offers too and nobody claims: records there that would refuse the chain hold it."""

from dataclasses import replace

import pytest

from danelaw.lifecycle import predict, see_owner, violations
from danelaw.lifecycle.sight import presented_now
from danelaw.lifecycle.watched import counted
from danelaw.model import Activate, Chain, Endpoint, OwnerLook, Rest
from fakes.facts import DAY, HOUR, MINUTE, NAME, OURS, START, THEIRS, Dns, Records, Story, certificate, of_key, of_leaf
from fakes.facts import desired as one

FIRST = certificate("the first")
NEXT = certificate("the next", until=START + 80 * DAY)
SUBMISSION = Endpoint("smtp.example.org", 465, "smtps")
AT = {OURS: (FIRST,)}


def story(*rdatas: Records, at: dict[str, tuple[Chain, ...] | str] | None = None) -> Story:
    """Return a story in which a renewal over the same key is staged; records stand at an endpoint nobody claims."""
    desired = one()
    spec = desired.certificates[0]
    deployment = replace(spec.deployments[0], watched=(SUBMISSION,))
    found = Story(replace(desired, certificates=(replace(spec, deployments=(deployment,)),)))
    found.elsewhere = [Dns(SUBMISSION.owner, {"ns1": each}) for each in rdatas or ((),)]
    found.presents[SUBMISSION] = dict(AT if at is None else at)
    found.later(-30 * DAY).deployed(1, FIRST).published(of_key(FIRST)).look().later(30 * DAY)
    return found.issued(NEXT).staged(2, NEXT).look()


def live(found: Story) -> bool:
    return isinstance(found.next(), Activate)


def test_records_that_refuse_the_new_chain_are_a_hold_before_it_goes_live() -> None:
    found = story((of_leaf(FIRST),))
    hold = found.holds()["unclaimed"]
    assert hold.subject == found.deployment.id
    assert "_465._tcp.smtp.example.org." in hold.why
    assert "claim the endpoint" in hold.remedy


@pytest.mark.parametrize("rdatas", [(), (of_key(FIRST),), (of_leaf(NEXT), of_leaf(FIRST))])
def test_records_that_accept_it_or_none_are_nothing(rdatas: Records) -> None:
    assert live(story(rdatas))


def test_once_they_are_removed_caches_are_waited_for() -> None:
    found = story((of_leaf(FIRST),))
    found.elsewhere[0].serve()
    found.later(MINUTE).look()
    wait = found.waits()["cached"]
    assert wait.until == found.now + 2 * HOUR
    found.now = wait.until
    assert live(found.look())


@pytest.mark.parametrize("at", [{THEIRS: (FIRST,)}, {}])
def test_a_name_that_gives_no_address_of_this_host_counts_for_nothing(at: dict[str, tuple[Chain, ...]]) -> None:
    assert live(story((of_leaf(FIRST),), at=dict(at)))


def test_a_silent_port_of_this_host_counts() -> None:
    assert "unclaimed" in story((of_leaf(FIRST),), at={OURS: "connection refused"}).holds()


def test_an_address_that_it_gave_counts_for_a_day() -> None:
    found = story((of_leaf(FIRST),))
    found.presents[SUBMISSION] = {THEIRS: (FIRST,)}
    assert not live(found.later(23 * HOUR).look())
    assert live(found.later(2 * HOUR).look())


def test_so_does_one_whose_name_is_gone() -> None:
    found = story((of_leaf(FIRST),))
    found.presents[SUBMISSION] = {}
    assert not live(found.later(23 * HOUR).look())
    assert live(found.later(2 * HOUR).look())


def nothing_found_out(found: Story) -> Story:
    """Look again, and find out nothing about the watched name."""
    found.elsewhere = []
    found.look()
    look = OwnerLook(SUBMISSION.owner, NAME, SUBMISSION.owner, {}, (), problem="no zone is found")
    return found.note(*see_owner(found.facts, look, found.now))


def test_a_look_that_finds_nothing_out_does_not_end_what_senders_hold() -> None:
    found = nothing_found_out(story((of_leaf(FIRST),)).later(MINUTE))
    wait = found.waits()["cached"]
    assert SUBMISSION.owner in wait.why
    assert not live(nothing_found_out(found.later(wait.until - found.now - MINUTE)))
    assert live(nothing_found_out(found.later(MINUTE)))


@pytest.mark.parametrize("rdatas", [(), (of_key(FIRST),)])
def test_a_look_that_finds_nothing_out_holds_nothing_else(rdatas: Records) -> None:
    assert live(nothing_found_out(story(rdatas).later(MINUTE)))


def test_records_that_refuse_what_is_live_are_said() -> None:
    found = story((of_key(FIRST),))
    found.later(MINUTE).live(2, NEXT, proven=True)
    found.presents[SUBMISSION][OURS] = (NEXT,)
    assert not found.later(MINUTE).look().holds()
    found.elsewhere[0].serve(of_leaf(certificate("nobody's")))
    holds = found.later(MINUTE).look().holds()
    assert holds["unclaimed"].subject == SUBMISSION.owner


def test_an_earlier_generation_that_they_accept_is_the_repair() -> None:
    found = story((of_key(FIRST),))
    found.later(MINUTE).live(2, NEXT, proven=True)
    found.elsewhere[0].serve(of_leaf(FIRST))
    step = found.later(MINUTE).look().next()
    assert isinstance(step, Activate)
    assert (step.n, step.back) == (1, True)


def test_the_invariants_count_it_too() -> None:
    found = story((of_leaf(FIRST),))
    assert counted(found.facts, found.desired, found.deployment) == (*found.deployment.endpoints, SUBMISSION)
    assert violations(found.desired, found.facts, found.now) == []
    found.presents[SUBMISSION][OURS] = (NEXT,)
    found.later(MINUTE).look()
    assert [item.owner for item in violations(found.desired, found.facts, found.now)] == [SUBMISSION.owner]


def test_what_a_step_would_present_there_is_predicted() -> None:
    found = story((of_leaf(FIRST),))
    step = Activate(NAME, found.deployment.id, 2, NEXT.leaf_sha256, "")
    after = predict(found.desired, found.facts, step, found.now)
    assert NEXT in [row.chain for row in presented_now(after, SUBMISSION, OURS)]
    assert [item.owner for item in violations(found.desired, after, found.now)] == [SUBMISSION.owner]


def test_what_stands_on_disk_is_as_good_as_presented_there() -> None:
    found = story((of_leaf(FIRST),))
    found.disk = found.generation(2).files
    found.later(MINUTE).look()
    assert [item.leaf_sha256 for item in violations(found.desired, found.facts, found.now)] == [NEXT.leaf_sha256]


def test_nothing_is_counted_where_nothing_ever_stood() -> None:
    found = story(())
    assert counted(found.facts, found.desired, found.deployment) == found.deployment.endpoints
    assert not isinstance(found.next(), Rest)
