"""One config test and one reload for all that goes live in a run, and all put back before the next test."""

from dataclasses import replace

import pytest

from danelaw.lifecycle import predict
from danelaw.lifecycle.reloads import failed_too, reloaded_too
from danelaw.model import Activate, CertificateSpec, Generation, Reload, Rest, Service
from fakes.facts import DAY, MINUTE, SECOND, certificate, of_key
from fakes.pair import DOVECOT, ECDSA, FIRST, POSTFIX, RSA, Pair, pair, path_of, spec

COURIER = Service("courier", None, ("courier", "reload"))
BOTH = (of_key(FIRST[RSA]), of_key(FIRST[ECDSA]))
DUE = 40 * DAY


def due(*specs: CertificateSpec) -> Pair:
    """Return a story of two certificates that are live, published, proven and due."""
    story = Pair(pair(*specs)).has("rsa").has("ecdsa").published(*BOTH).look()
    return story.later(DUE).look()


def both(rsa: tuple[Service, ...], ecdsa: tuple[Service, ...]) -> Pair:
    return due(spec(RSA, rsa), spec(ECDSA, ecdsa))


def active(story: Pair) -> dict[str, Generation]:
    """Return the generation of each certificate that went live last."""
    rows = sorted(
        (row for row in story.facts.generations if row.active_at), key=lambda row: (row.active_at or story.now, row.n)
    )
    return {name: [row for row in rows if row.deployment == path_of(name)][-1] for name in (RSA, ECDSA)}


# --- together --------------------------------------------------------------------------------------------------------


def test_an_equal_service_is_reloaded_once_when_all_its_files_are_there() -> None:
    story = due()
    said = story.steps()
    assert [step for step in said if step.startswith("reload")] == ["reload rsa"]
    assert said.index("activate ecdsa") < said.index("reload rsa") < said.index("prove rsa")
    assert said[-1] == "prove ecdsa"
    assert story.reloads == 1


@pytest.mark.parametrize(
    "other", [DOVECOT, Service("postfix", ("postfix", "check"), ("other", "reload")), Service("postfix", None, None)]
)
def test_what_is_not_equal_is_not_shared(other: Service) -> None:
    story = both((POSTFIX,), (other,))
    said = story.steps()
    assert said.index("prove rsa") < said.index("activate ecdsa")
    assert [step for step in said if step.startswith("reload")] == ["reload rsa", "reload ecdsa"]


def test_a_reload_that_covers_all_services_of_another_is_its_reload_too() -> None:
    assert "reload ecdsa" not in both((POSTFIX, DOVECOT), (POSTFIX,)).steps()


def test_the_one_that_covers_more_is_reloaded_and_nothing_twice() -> None:
    said = both((POSTFIX,), (POSTFIX, DOVECOT)).steps()
    assert said.index("activate ecdsa") < said.index("reload ecdsa") < said.index("prove rsa")
    assert "reload rsa" not in said


def test_one_that_covers_a_part_is_no_reload_of_the_whole() -> None:
    said = both((POSTFIX, COURIER), (POSTFIX, DOVECOT)).steps()
    assert said.index("activate ecdsa") < said.index("reload rsa")
    assert said.index("reload rsa") < said.index("reload ecdsa") < said.index("prove ecdsa")


def test_what_failed_before_is_not_left_to_reload_another() -> None:
    story = both((POSTFIX,), (POSTFIX, DOVECOT))
    while not isinstance(story.next(), Reload):
        story.take()
    story.note(replace(active(story)[ECDSA], tries=1))
    assert story.next() == Reload(RSA, path_of(RSA), 2, "let the services read the new files")


def test_only_what_waits_for_a_reload_is_marked() -> None:
    story = due()
    now = story.now
    deployment = story.deployment
    assert reloaded_too(story.desired, story.facts, deployment, now) == []
    story.note(replace(active(story)[ECDSA], active_at=now))
    assert [row.deployment for row in reloaded_too(story.desired, story.facts, deployment, now)] == [path_of(ECDSA)]
    after = predict(story.desired, story.facts, Reload(RSA, path_of(RSA), 1, ""), now)
    assert {row.deployment for row in after.generations if row.reloaded_at == now} == {path_of(RSA), path_of(ECDSA)}


# --- nothing is waited for -------------------------------------------------------------------------------------------


def activated(story: Pair) -> Pair:
    """Let the new RSA files stand, and nothing have been reloaded."""
    while not isinstance(step := story.take(), Activate):
        assert not isinstance(step, Rest)
    return story


def test_another_that_backs_off_is_not_waited_for() -> None:
    story = activated(due())
    story.ended(Activate(ECDSA, path_of(ECDSA), 2, "", ""), "failed", "read-only file system")
    said = story.steps()
    assert said[:3] == ["stage ecdsa", "reload rsa", "prove rsa"]
    assert "activate ecdsa" not in said


def test_another_without_its_chain_is_not_waited_for() -> None:
    story = due()
    story.take()
    story.facts = replace(story.facts, effects=())
    story.ended(story.next(), "failed", "the CA is gone")  # type: ignore[arg-type]
    assert story.steps() == [f"{what} rsa" for what in ("stage", "activate", "reload", "prove")]


def test_another_that_the_records_refuse_is_not_waited_for() -> None:
    story = Pair(pair(spec(RSA))).has("rsa").published(of_key(FIRST[RSA])).look().later(DUE).look()
    story.desired = pair()
    story.key_of("ecdsa")
    said = story.steps()
    assert said[-4:] == ["activate rsa", "stage ecdsa", "reload rsa", "prove rsa"]
    assert "cached" in story.waits()


# --- what fails ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bad", "good"), [(RSA, ECDSA), (ECDSA, RSA)])
def test_all_go_back_before_the_next_test_and_each_is_tried_again_by_itself(bad: str, good: str) -> None:
    story = due()
    story.bad = {bad}
    said = story.steps()
    failed = said.index("reload rsa")
    assert said[failed + 1 :] == ["go back rsa", "go back ecdsa", "reload rsa", "prove rsa", "prove ecdsa"]
    assert {row.n for row in active(story).values()} == {1}
    assert "postfix check: exit status 1" in story.waits()["backoff"].why
    # A minute later: one at a time.
    story.later(MINUTE).look()
    said = story.steps()
    assert f"prove {good}" in said
    assert active(story)[good].n == 2
    assert active(story)[bad].n == 1
    assert f"go back {bad}" in said
    assert f"go back {good}" not in said
    # Mended, it follows.
    story.bad = set()
    assert story.later(11 * MINUTE).look().steps() == [f"{what} {bad}" for what in ("activate", "reload", "prove")]


def test_what_failed_before_takes_nothing_new_along() -> None:
    story = activated(due())
    story.note(replace(active(story)[RSA], tries=1))
    assert isinstance(story.next(), Reload)


def test_what_failed_before_is_not_taken_along() -> None:
    story = activated(due())
    story.take()  # the other's new files are staged
    story.note(replace(story.of(path_of(ECDSA), 2), tries=1))
    assert isinstance(story.next(), Reload)


def test_what_goes_back_takes_nothing_new_along() -> None:
    story = activated(due())
    story.note(replace(active(story)[RSA], failed_at=story.now, tries=1))
    back = story.take()
    assert isinstance(back, Activate)
    assert back.back
    assert isinstance(story.next(), Reload)


def test_what_failed_is_marked_with_all_that_waited_for_the_same_reload() -> None:
    story = activated(due())
    story.bad = {ECDSA}
    while not isinstance(step := story.take(), Reload):
        assert not isinstance(step, Rest)
    assert {name: row.tries for name, row in active(story).items()} == {RSA: 1, ECDSA: 1}


def test_what_was_proven_and_waits_for_another_reload_is_no_suspect() -> None:
    """It is only that a worker presents an earlier chain; the files passed the test when they came."""
    story = Pair(pair()).has("rsa").has("ecdsa").published(*BOTH).look().later(MINUTE)
    story.runs[ECDSA] = certificate("an earlier ecdsa", "the ecdsa key", algorithm="ecdsa")
    story.look()
    assert isinstance(story.next(), Reload)
    assert reloaded_too(story.desired, story.facts, story.deployment, story.now) == [active(story)[ECDSA]]
    assert failed_too(story.desired, story.facts, story.deployment, story.now) == []


def test_a_proof_that_fails_takes_nobody_else_back() -> None:
    story = due()
    while not isinstance(step := story.take(), Reload):
        assert not isinstance(step, Rest)
    row = active(story)[RSA]
    story.ended(story.next(), "failed", "another certificate")  # type: ignore[arg-type]
    story.note(replace(row, failed_at=story.now, tries=1))
    said = story.later(SECOND).look().steps()
    assert said[:2] == ["go back rsa", "reload rsa"]
    assert "go back ecdsa" not in said
    assert {name: row.n for name, row in active(story).items()} == {RSA: 1, ECDSA: 2}
