"""Which RRset is published, and when: each publication has a twin that waits or holds."""

import pytest

from danelaw.lifecycle.records import publication
from danelaw.model import Hold, Publish, TlsaRecord, Validated, Wait
from fakes.story import (
    ADDRESS,
    ALIEN,
    CERT_256,
    NEW,
    OLD,
    OWNER,
    SPKI_256,
    SPKI_512,
    STALE,
    A,
    B,
    Records,
    Story,
    desired,
    minutes,
    record,
)

OTHER_ADDRESS = "192.0.2.26"
OURS = record(NEW)
OLD_CERT = record(OLD, CERT_256)


def told(story: Story, at: float = 0) -> Publish | Wait | Hold | None:
    return publication(story.facts, story.desired, OWNER, minutes(at))


def code(story: Story, at: float = 0) -> str | None:
    answer = told(story, at)
    assert not isinstance(answer, Publish)
    return None if answer is None else answer.code


def swap(story: Story, at: float = 0) -> Publish:
    answer = told(story, at)
    assert isinstance(answer, Publish), answer
    return answer


def standing(*records: TlsaRecord, prune: bool | Records = False, ttl: int = 3600) -> Story:
    """These records at both servers, OLD presented, our key known."""
    return Story(desired(prune=prune)).key().look(0, {A: records, B: records}, ttl=ttl).probe(0, {ADDRESS: [OLD]})


class TestMigration:
    def test_one_update_puts_the_key_in_the_place_of_the_certificate(self) -> None:
        found = swap(standing(OLD_CERT, prune=True))
        assert (found.expected, found.wanted, found.ttl) == ((OLD_CERT,), (OURS,), 3600)

    def test_without_prune_the_foreign_record_stays(self) -> None:
        assert swap(standing(OLD_CERT)).wanted == tuple(sorted((OLD_CERT, OURS)))

    def test_prune_by_name_takes_exactly_what_it_names(self) -> None:
        found = swap(standing(OLD_CERT, STALE, prune=(STALE,)))
        assert set(found.wanted) == {OLD_CERT, OURS}

    def test_prune_takes_no_key_of_other_people(self) -> None:
        assert set(swap(standing(OLD_CERT, record(ALIEN), prune=True)).wanted) == {record(ALIEN), OURS}

    def test_nothing_happens_before_the_key_is_known(self) -> None:
        story = Story().look(0, {A: (OLD_CERT,)}).probe(0, {ADDRESS: [OLD]})
        assert told(story) is None

    def test_nothing_changes_where_all_is_right(self) -> None:
        assert told(standing(OURS)) is None

    def test_records_that_stay_keep_their_ttl_in_a_step_of_its_own(self) -> None:
        story = standing(OURS, ttl=60).owns(OURS)
        assert (swap(story).expected, swap(story).wanted, swap(story).ttl) == ((OURS,), (OURS,), 3600)
        assert told(standing(OURS, ttl=60)) is None  # other people's TTL is theirs


class TestFirst:
    def absent(self) -> Story:
        return Story().key().look(0, {A: (), B: ()}, signed_for=None)

    def test_records_come_once_every_address_presents_the_key(self) -> None:
        assert swap(self.absent().probe(0, {ADDRESS: [NEW]})).wanted == (OURS,)

    def test_not_while_nothing_is_presented(self) -> None:
        assert code(self.absent()) == "first-silent"
        assert code(self.absent().probe(0, {ADDRESS: []})) == "first-silent"

    def test_not_while_an_address_presents_another_key(self) -> None:
        both = {ADDRESS: [NEW], OTHER_ADDRESS: [ALIEN]}
        assert code(self.absent().probe(0, both)) == "first-other-key"

    def test_not_while_an_old_worker_does(self) -> None:
        assert code(self.absent().probe(0, {ADDRESS: [NEW, ALIEN]})) == "first-other-key"

    def test_not_while_another_key_stands_on_disk(self) -> None:
        story = self.absent().probe(0, {ADDRESS: [NEW, ALIEN]}).probe(1, {ADDRESS: [NEW]})
        assert swap(story, 1)
        story.staged(0, ALIEN).on_disk(ALIEN, 0, 1)
        assert code(story, 1) == "first-other-key"


class TestAnotherKey:
    """The key is ours and new; another one, that the records accept, is live."""

    def story(self, *records: TlsaRecord, live: float = 0) -> Story:
        story = Story(desired(prune=True)).key().look(0, {A: records, B: records})
        return story.probe(live, {ADDRESS: [ALIEN]})

    def test_both_keys_are_published(self) -> None:
        found = swap(self.story(record(ALIEN, CERT_256)))
        assert set(found.wanted) == {OURS, record(ALIEN)}

    def test_what_is_in_use_is_not_withdrawn(self) -> None:
        story = self.story(OURS, record(ALIEN)).owns(OURS, record(ALIEN))
        assert told(story) is None

    def test_what_is_in_use_no_more_is(self) -> None:
        story = self.story(OURS, record(ALIEN)).owns(OURS, record(ALIEN)).probe(300, {ADDRESS: [NEW]})
        story.look(300, {A: (OURS, record(ALIEN)), B: (OURS, record(ALIEN))})
        assert swap(story, 300).wanted == (OURS,)

    def test_what_stands_on_disk_is_in_use(self) -> None:
        story = self.story(OURS, record(ALIEN)).owns(OURS, record(ALIEN)).probe(300, {ADDRESS: [NEW]})
        story.look(300, {A: (OURS, record(ALIEN)), B: (OURS, record(ALIEN))})
        story.staged(0, ALIEN).on_disk(ALIEN, 0, 300)
        assert told(story, 300) is None

    def test_no_record_goes_while_an_address_is_unknown(self) -> None:
        story = self.story(OURS, record(ALIEN)).owns(OURS, record(ALIEN))
        story.probe(300, {ADDRESS: [NEW], OTHER_ADDRESS: []}).look(300, {A: (OURS, record(ALIEN))})
        assert code(story, 300) == "silent"


class TestBroken:
    def test_a_record_of_our_live_key_repairs(self) -> None:
        assert swap(standing(record(ALIEN))).wanted == tuple(sorted((OURS, record(ALIEN))))

    def test_a_live_key_that_is_not_ours_is_a_hold(self) -> None:
        story = Story().key().look(0, {A: (STALE,), B: (STALE,)}).probe(0, {ADDRESS: [ALIEN]})
        assert code(story) == "refused-live"


class TestTwoDigests:
    def test_both_are_added_in_one_update(self) -> None:
        story = Story(desired(records=(SPKI_256, SPKI_512))).key().look(0, {A: (OURS,), B: (OURS,)})
        story.probe(0, {ADDRESS: [OLD]})
        assert set(swap(story).wanted) == {OURS, record(NEW, SPKI_512)}

    def test_for_every_key_in_use(self) -> None:
        story = Story(desired(records=(SPKI_256, SPKI_512))).key()
        story.look(0, {A: (record(ALIEN),)}).probe(0, {ADDRESS: [ALIEN]})
        assert set(swap(story).wanted) == {
            *(record(chain, spec) for chain in (NEW, ALIEN) for spec in (SPKI_256, SPKI_512))
        }


class TestObstacles:
    @pytest.mark.parametrize(
        ("what", "expected"),
        [
            ({"validated": Validated("bogus", "SERVFAIL", why="expired")}, "bogus"),
            ({"host_wildcard": True}, "wildcard-host"),
            ({"wildcard": True}, "wildcard-tlsa"),
            ({"problem": "no such zone"}, "dns"),
        ],
    )
    def test_nothing_is_published(self, what: dict[str, object], expected: str) -> None:
        story = Story().key().probe(0, {ADDRESS: [OLD]}).look(0, {A: (OLD_CERT,)}, **what)  # type: ignore[arg-type]
        assert code(story) == expected

    def test_without_one_it_is(self) -> None:
        assert swap(Story().key().probe(0, {ADDRESS: [OLD]}).look(0, {A: (OLD_CERT,)}))


class TestAgreement:
    def right(self, answers: dict[str, Records | None], **more: Validated) -> Story:
        return standing(OURS).look(10, answers, primary=(OURS,), **more).probe(10, {ADDRESS: [OLD]})  # type: ignore[arg-type]

    def test_every_server_and_the_resolver_agree(self) -> None:
        assert told(self.right({A: (OURS,), B: (OURS,)}), 10) is None

    def test_a_server_that_lags_is_a_wait_for_an_hour(self) -> None:
        story = self.right({A: (OURS,), B: (OLD_CERT,)})
        assert code(story, 10) == "lagging"
        assert isinstance(told(story, 10), Wait)

    def test_and_then_a_hold(self) -> None:
        story = self.right({A: (OURS,), B: (OLD_CERT,)}).look(80, {A: (OURS,), B: (OLD_CERT,)}, primary=(OURS,))
        assert isinstance(told(story, 80), Hold)

    def test_a_silent_server_is_named(self) -> None:
        answer = told(self.right({A: (OURS,), B: None}), 10)
        assert isinstance(answer, Wait)
        assert B in answer.why

    @pytest.mark.parametrize(
        ("view", "expected"),
        [
            (Validated("insecure", "NOERROR", (OURS,)), "insecure"),
            (Validated("indeterminate", "SERVFAIL", why="time-out"), "not-valid"),
            (Validated("secure", "NOERROR", (OLD_CERT,)), "validated"),
        ],
    )
    def test_the_validated_view_must_agree_too(self, view: Validated, expected: str) -> None:
        assert code(self.right({A: (OURS,), B: (OURS,)}, validated=view), 10) == expected


def test_a_dropped_address_counts_until_clients_forget_it() -> None:
    def story(at: float) -> Story:
        both = (OURS, record(ALIEN))
        story = Story().key().owns(*both).look(0, {A: both}).probe(0, {ADDRESS: [NEW], OTHER_ADDRESS: [ALIEN]})
        return story.look(at, {A: both}).probe(at, {ADDRESS: [NEW]})

    assert told(story(30), 30) is None
    assert swap(story(60 * 25), 60 * 25).wanted == (OURS,)
