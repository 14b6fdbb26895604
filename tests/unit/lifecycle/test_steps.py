"""The order of steps, renewals, back-off, going live and going back; and that an unsafe step is refused."""

from dataclasses import replace
from datetime import datetime, timedelta
from unittest.mock import patch

import pytest

from danelaw.errors import UnsafePlan
from danelaw.lifecycle import watched
from danelaw.lifecycle.components import components, subjects
from danelaw.lifecycle.due import back_off, current_chain, renewal_at, retry_at
from danelaw.lifecycle.steps import step
from danelaw.lifecycle.timeline import timeline
from danelaw.model import (
    Activate,
    Desired,
    Intent,
    Obtain,
    Prove,
    Publish,
    Reload,
    Rest,
    Service,
    Stage,
    Step,
    TakeKey,
)
from fakes.story import (
    ADDRESS,
    ALIEN,
    CERT_256,
    NAME,
    NEW,
    OLD,
    A,
    B,
    Story,
    chain,
    desired,
    minutes,
    record,
)

OURS = record(NEW)
DAY = 24 * 60.0


def decide(story: Story, at: float = 0, forgive: datetime | None = None) -> Step | Rest:
    return step(story.desired, story.facts, minutes(at), forgive=forgive)


def codes(story: Story, at: float = 0) -> set[str]:
    rest = decide(story, at)
    assert isinstance(rest, Rest), rest
    return {wait.code for wait in rest.waits} | {hold.code for hold in rest.holds}


def steady(at: float = 0) -> Story:
    """NEW is deployed, proven and presented, and the records are right."""
    story = Story().key().issued(NEW, -30).staged(1, NEW, active=-20, reloaded=-19, proven=-18).on_disk(NEW, 1)
    return seen(story, at)


def seen(story: Story, at: float, presented: tuple[object, ...] = (NEW,)) -> Story:
    story.look(at, {A: (OURS,), B: (OURS,)}).on_disk(NEW, 1, at)
    return story.probe(at, {ADDRESS: presented})  # type: ignore[dict-item]


class TestOrder:
    def test_the_key_comes_first(self) -> None:
        assert isinstance(decide(Story().look(0, {A: ()}).probe(0, {ADDRESS: [OLD]})), TakeKey)

    def test_then_the_records_that_the_live_chain_matches_already(self) -> None:
        story = Story(desired(prune=True)).key().look(0, {A: (record(OLD, CERT_256),)}).probe(0, {ADDRESS: [OLD]})
        assert isinstance(decide(story), Publish)

    def test_then_the_certificate_its_files_and_no_more_while_caches_hold_the_old_record(self) -> None:
        story = Story(desired(prune=True)).key().look(0, {A: (record(OLD, CERT_256),)}).probe(0, {ADDRESS: [OLD]})
        story.look(1, {A: (OURS,)}).probe(1, {ADDRESS: [OLD]})
        assert isinstance(decide(story, 1), Obtain)
        story.issued(NEW)
        assert isinstance(decide(story, 1), Stage)
        story.staged(1, NEW)
        assert "cached" in codes(story, 1)
        story.look(121, {A: (OURS,)}).probe(121, {ADDRESS: [OLD]})
        assert isinstance(decide(story, 121), Activate)

    def test_files_that_are_live_are_reloaded_then_proven(self) -> None:
        story = steady().staged(1, NEW, active=-1)
        assert isinstance(decide(story), Reload)
        story.staged(1, NEW, active=-2, reloaded=-1)
        assert isinstance(decide(story), Prove)

    def test_then_there_is_rest_until_the_renewal(self) -> None:
        assert codes(steady()) == {"renewal"}

    def test_what_is_presented_in_its_place_is_reloaded(self) -> None:
        assert isinstance(decide(seen(steady(), 5, (OLD,)), 5), Reload)

    def test_what_is_wanted_first_comes_last_where_no_records_stood(self) -> None:
        story = Story().key().look(0, {A: ()}, signed_for=None).probe(0, {ADDRESS: [ALIEN]})
        assert isinstance(decide(story), Obtain)


class TestRenewal:
    def test_at_a_third_of_the_lifetime_left(self) -> None:
        assert renewal_at(NEW) == NEW.not_after - (NEW.not_after - NEW.not_before) / 3

    def test_at_half_of_a_short_one(self) -> None:
        short = chain(days=6)
        assert renewal_at(short) == short.not_after - (short.not_after - short.not_before) / 2

    def test_due_and_not_a_moment_before(self) -> None:
        due = (renewal_at(NEW) - minutes(0)) / timedelta(minutes=1)
        assert codes(seen(steady(), due - 1), due - 1) == {"renewal"}
        assert isinstance(decide(seen(steady(), due), due), Obtain)

    def test_a_request_makes_it_due_and_its_answer_ends_that(self) -> None:
        story = steady().add(Intent(NAME, "renew", "a person", minutes(0)))
        assert isinstance(decide(story), Obtain)
        story.add(Intent(NAME, "renew", "a person", minutes(0), minutes(1)))
        assert codes(story) == {"renewal"}

    def test_a_chain_without_every_name_or_over_another_key_is_not_current(self) -> None:
        story = steady()
        spec = story.desired.certificates[0]
        assert current_chain(story.facts, spec, NEW.spki_sha256, minutes(0))
        assert not current_chain(story.facts, replace(spec, names=("other.test",)), NEW.spki_sha256, minutes(0))
        assert not current_chain(story.facts, spec, ALIEN.spki_sha256, minutes(0))
        assert not current_chain(story.facts, spec, NEW.spki_sha256, NEW.not_after)


class TestBackOff:
    @pytest.mark.parametrize(("failures", "wait"), [(1, 1), (2, 10), (3, 100), (4, DAY), (9, DAY)])
    def test_grows(self, failures: int, wait: float) -> None:
        assert back_off(failures) == timedelta(minutes=wait)

    def test_a_failed_order_waits_and_is_tried_again(self) -> None:
        story = Story().key().look(0, {A: (OURS,), B: (OURS,)}).probe(0, {ADDRESS: [OLD]})
        story.effect("obtain", NAME, 0)
        assert "backoff" in codes(story, 0.5)
        assert isinstance(decide(story, 1), Obtain)
        assert isinstance(decide(story, 0.5, forgive=minutes(0.2)), Obtain)  # --retry-now

    def test_a_success_ends_the_row_and_a_crash_does_not_count(self) -> None:
        story = Story().effect("obtain", NAME, 0).effect("obtain", NAME, 1, "interrupted")
        assert retry_at(story.facts, "obtain", NAME)
        story.effect("obtain", NAME, 2, "done")
        assert retry_at(story.facts, "obtain", NAME) is None


class TestGoingBack:
    def failed(self) -> Story:
        """The renewal was not proven: OLD, over the same key, was live before."""
        story = Story().key().issued(OLD, -DAY).issued(NEW)
        story.staged(1, OLD, active=-DAY, reloaded=-DAY, proven=-DAY).staged(2, NEW, active=-3, reloaded=-2, failed=-1)
        story.effect("prove", story.deployment.id, -1).look(0, {A: (OURS,), B: (OURS,)}).on_disk(NEW, 2)
        return story.look(120, {A: (OURS,), B: (OURS,)}).on_disk(NEW, 2, 120).probe(120, {ADDRESS: [OLD]})

    def test_the_earlier_generation_where_the_records_accept_it(self) -> None:
        answer = decide(self.failed(), 120)
        assert isinstance(answer, Activate)
        assert (answer.n, answer.back) == (1, True)

    def test_not_where_a_sender_may_hold_what_refuses_it(self) -> None:
        story = self.failed()
        story.staged(1, ALIEN, active=-DAY, reloaded=-DAY, proven=-DAY).issued(ALIEN, -DAY)
        answer = decide(story, 120)
        assert isinstance(answer, Reload)
        assert answer.n == 2

    def test_not_to_nothing(self) -> None:
        story = Story().key().issued(NEW).look(0, {A: ()}, signed_for=None).on_disk(NEW, 1)
        story.staged(0, None).staged(1, NEW, active=-3, reloaded=-2, failed=-1)
        story.effect("prove", story.deployment.id, -1).probe(0, {ADDRESS: []})
        assert not isinstance(decide(story, 0), Activate)

    def test_what_failed_as_a_way_back_is_left_for_the_current_one(self) -> None:
        story = Story().key().issued(OLD, -DAY).issued(NEW)
        story.staged(2, NEW, active=-300, reloaded=-300, failed=-299)
        story.staged(1, OLD, active=-200, reloaded=-199, failed=-0.1).on_disk(OLD, 1, 130)
        story.look(-DAY, {A: (OURS,), B: (OURS,)}).look(0, {A: (OURS,), B: (OURS,)}).probe(0, {ADDRESS: [OLD]})
        answer = decide(story, 0)
        assert isinstance(answer, Activate)
        assert answer.n == 2


def test_an_unsafe_step_is_refused() -> None:
    story = Story(desired(prune=True)).key().issued(ALIEN).staged(1, NEW)
    story.issued(NEW).look(0, {A: (record(OLD, CERT_256),)}).probe(0, {ADDRESS: [OLD]})
    story.look(1, {A: (OURS,)}).probe(1, {ADDRESS: [OLD]})
    assert isinstance(decide(story, 1), Rest)
    with patch.object(watched, "go_live", lambda *_: []), pytest.raises(UnsafePlan, match="invariant 1"):
        decide(story, 1)


def test_the_plan_of_the_migration_names_every_step_in_its_order() -> None:
    story = Story(desired(prune=True)).look(0, {A: (record(OLD, CERT_256),)}).probe(0, {ADDRESS: [OLD]})
    keys = {NAME: Story().key().facts.keys[0]}
    entries = timeline(story.desired, story.facts, minutes(0.1), keys)  # a plan comes after its look
    kinds = [type(entry.what) for entry in entries if isinstance(entry.what, Step)]
    assert kinds == [TakeKey, Publish, Obtain, Stage, Activate, Reload, Prove]
    live = next(entry.at for entry in entries if isinstance(entry.what, Activate))
    assert live >= minutes(120)
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


class TestComponents:
    def two(self, *, path: str, owner_port: int) -> Desired:
        one = desired()
        spec = one.certificates[0]
        deployment = spec.deployments[0]
        endpoint = replace(deployment.endpoints[0], port=owner_port)
        other = replace(
            spec,
            name="other",
            claims=(),
            deployments=(
                replace(
                    deployment,
                    certificate="other",
                    files=(replace(deployment.files[0], path=path),),
                    endpoints=(endpoint,),
                    services=(Service("", None, ("reload", path)),),
                ),
            ),
        )
        return replace(one, certificates=(spec, other))

    @pytest.mark.parametrize(
        ("path", "port", "parts"),
        [("/other", 993, 2), ("/other", 25, 1), ("/etc/ssl/mail.pem", 993, 1)],
    )
    def test_what_shares_an_owner_name_or_a_file_is_one(self, path: str, port: int, parts: int) -> None:
        assert len(components(self.two(path=path, owner_port=port))) == parts

    def test_names_choose_whole_components(self) -> None:
        apart = self.two(path="/other", owner_port=993)
        assert [spec.name for part in components(apart, ["other"]) for spec in part.certificates] == ["other"]
        joined = self.two(path="/other", owner_port=25)
        assert len(components(joined, ["other"])[0].certificates) == 2
        assert {NAME, "other"} <= subjects(joined)
