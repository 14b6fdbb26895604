"""Endpoints and hosts that come and go beside a rollover, and records by other hands."""

from dataclasses import replace

from danelaw.model import Publish, TlsaRecord
from fakes.facts import (
    DAY,
    HOUR,
    MINUTE,
    OWNER,
    SMTP,
    START,
    THEIRS,
    Dns,
    of_key,
    of_leaf,
)
from fakes.rolling import (
    IMAP,
    IMAPS,
    MAIL,
    OLD,
    Rolling,
    W,
    halfway,
    pin,
    steady,
    wish,
)

ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]
LIVE = ORDER[1:5]
ALIEN = TlsaRecord(3, 1, 1, bytes(32))


def specs(story: Rolling, owner: str = OWNER) -> list[str]:
    """Return the combinations that stand at the primary, one for each record."""
    return [str(record.spec) for zone in story.zones if zone.owner == owner for record in zone.primary]  # type: ignore[union-attr]


def unpublished(**fields: object) -> Rolling:
    """Return a story in which a certificate is live, and no record stands."""
    story = Rolling(wish(**fields))  # type: ignore[arg-type]
    story.presents = {}
    return story.put(story.deployment, 1, OLD).look().later(MINUTE).look()


# --- endpoints and hosts ---------------------------------------------------------------------------------------------


def with_imap(story: Rolling) -> None:
    """Let the config claim and deploy to IMAPS too, where no record stands."""
    other = wish(SMTP, IMAPS).certificates[0]
    story.change(claims=other.claims, deployments=other.deployments)
    story.elsewhere = [Dns(IMAPS.owner, servers={"ns1": (), "ns2": ()}, primary=())]
    story.presents[IMAPS] = {}
    story.later(MINUTE).look()


def test_an_endpoint_that_is_added_in_the_middle_of_a_rollover_goes_with_it() -> None:
    story = steady(next_key=True)
    story.ask()
    story.take()
    with_imap(story)
    said = story.steps()
    assert said.count("promote") == 1
    assert said.index("promote") > said.index("prove") + 3, "after the proof of both"
    assert story.live(IMAP) == story.live(MAIL)
    assert specs(story, IMAPS.owner) == ["3 1 1"] * 3


def test_an_endpoint_that_is_dropped_keeps_its_records_and_holds_nothing_up() -> None:
    story = steady(SMTP, IMAPS)
    story.ask()
    story.steps()
    before = story.elsewhere[0].primary
    story.change(claims=story.spec.claims[:1], deployments=story.spec.deployments[:1])
    assert "promote" in story.run(W, W)
    assert story.elsewhere[0].primary == before


def test_a_renamed_endpoint_is_published_anew_and_the_old_records_stay() -> None:
    story = steady()
    moved = replace(SMTP, host="mx.example.org")
    claim, deployment = story.spec.claims[0], story.deployment
    old = story.dns
    story.change(
        claims=(replace(claim, endpoint=moved),),
        deployments=(replace(deployment, endpoints=(moved,)),),
    )
    story.elsewhere = [Dns(moved.owner, servers={"ns1": (), "ns2": ()}, primary=())]
    story.later(MINUTE).look()
    assert story.steps() == ["publish"]
    assert story.elsewhere[0].primary == old.primary == (of_key(OLD),)


def test_another_host_over_our_old_key_keeps_its_record() -> None:
    story = steady(next_key=True)
    old = story.current
    story.at[THEIRS] = (OLD,)
    story.later(MINUTE).look()
    story.ask()
    assert "promote" in story.run(3 * DAY)
    assert story.stands(old)
    story.at[THEIRS] = (story.live(),)
    assert story.run(MINUTE, MINUTE) == ["publish"]
    assert not story.stands(old)


def test_a_host_that_is_silent_for_a_week_holds_the_withdrawal() -> None:
    story = steady(next_key=True, settle=8 * DAY)
    old = story.current
    story.ask()
    story.steps()
    story.at[THEIRS] = "timed out"
    story.run(9 * DAY, 6 * HOUR)
    hold = story.holds()["silent"]
    assert "invariant 1" in hold.why
    assert "take the address out of DNS" in hold.remedy
    assert story.stands(old)
    del story.at[THEIRS]
    story.run(2 * DAY, 6 * HOUR)
    assert not story.stands(old)


# --- records by other hands ------------------------------------------------------------------------------------------


def test_records_by_hand_of_the_live_key_are_kept_and_a_rollover_goes_its_way() -> None:
    story = unpublished(next_key=True)
    story.serve(OWNER, (of_key(OLD), of_leaf(OLD)))
    story.later(MINUTE).look()
    story.steps()
    assert {of_key(OLD), of_leaf(OLD)} < set(story.dns.primary)
    story.ask()
    story.run(W + DAY + HOUR)
    assert story.current.spki_sha256 != OLD.spki_sha256
    assert {of_key(OLD), of_leaf(OLD)} < set(story.dns.primary), "they are not ours, and no prune names them"


def test_a_record_by_hand_in_the_place_of_ours_is_repaired_first_and_then_the_rollover_goes_on() -> None:
    story = steady(next_key=True)
    story.ask()
    story.take()
    story.serve(OWNER, (ALIEN,))
    story.later(MINUTE).look()
    assert story.steps() == ["publish"]
    assert {pin(story.current), pin(story.following), ALIEN} == set(story.dns.primary)
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE)[:5] == [*LIVE, "promote"]


def test_where_the_next_keys_record_alone_is_left_the_live_ones_comes_back_first() -> None:
    story = steady(next_key=True)
    story.ask()
    story.take()
    story.serve(OWNER, (pin(story.following),))
    story.later(MINUTE).look()
    assert story.steps()[:6] == ["publish", *LIVE, "promote"]


def test_where_one_deployment_went_over_the_record_of_the_other_is_repaired() -> None:
    story = halfway()
    story.serve(IMAPS.owner, (pin(story.following),))
    story.later(MINUTE).look()
    said = story.steps()
    assert said[0] == "publish"
    assert story.stands(story.current, IMAPS.owner)


def test_with_a_record_that_refuses_the_live_chain_and_no_publisher_the_earlier_generation_comes_back() -> None:
    """Two generations over two keys: the one that the records accept is the shortest repair."""
    story = steady(next_key=True)
    story.ask()
    story.steps()
    assert isinstance(story.done[-1][1], Publish)
    story.run(W)
    story.note(*(replace(row, withdrawn_at=START) for row in story.facts.own_records))
    story.serve(OWNER, (of_key(OLD),))
    story.later(MINUTE).look()
    story.run(W + HOUR, HOUR)
    assert story.stands(story.current)
    assert of_key(OLD) in story.dns.primary
