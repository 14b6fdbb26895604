"""One run over several components, and steps that come to nothing."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from danelaw.errors import LeaseHeld, RetryLater
from danelaw.lifecycle.components import subjects
from danelaw.lifecycle.due import failures, retry_at
from danelaw.model import EffectOutcome, Fact, OwnerLook, Publish, Reload, Server, TlsaRecord, Validated
from danelaw.run.act import NO_CHANGE
from danelaw.run.agenda import next_look
from danelaw.run.obtain import WINDOW
from danelaw.run.runner import MOST_STEPS, PAY_AGAIN, Options, apply, run_recover
from fakes.run_world import NAME, SMTP, START, STOP, MailWorld, certificate

OTHER = "other.example"
OTHER_OWNER = "_25._tcp.mx.other.example."
HOUR = timedelta(hours=1)


def two() -> MailWorld:
    """Return a world of two certificates that share nothing."""
    return MailWorld(certificate(), certificate(OTHER, "mx.other.example", "/etc/ssl/other.pem"))


@contextmanager
def held(world: MailWorld, *names: str) -> Iterator[None]:
    """Hold leases as another living process does: the parent of this one, on this host."""
    stat = Path(f"/proc/{os.getppid()}/stat").read_text()
    started = int(stat.rpartition(")")[2].split()[19])
    for name in names:
        world.store._db.execute(
            "INSERT INTO lease (component, host, pid, started, boot_id, since) VALUES (?, 'h', ?, ?, 'boot-1', 0)",
            (name, os.getppid(), started),
        )
    yield
    world.store._db.execute("DELETE FROM lease WHERE pid = ?", (os.getppid(),))


# --- components do not wait for each other ---------------------------------------------------------------------------


def test_all_components_are_served() -> None:
    world = two()
    outcome = apply(world.desired, world.rings)
    assert (outcome.exit_status, outcome.failed) == (0, ())
    assert set(world.zone.records) == {SMTP.owner, OTHER_OWNER}


@pytest.mark.parametrize("failing", [SMTP.owner, OTHER_OWNER])
def test_one_whose_look_fails_keeps_no_other_from_being_served(failing: str) -> None:
    world = two()
    world.zone.look_fails[failing] = RetryLater("libunbound.so.8 is gone")
    outcome = apply(world.desired, world.rings)
    assert set(world.zone.records) == {SMTP.owner, OTHER_OWNER} - {failing}
    assert outcome.exit_status == 1
    (failure,) = outcome.failed
    assert "libunbound.so.8 is gone" in failure
    assert failure.startswith(NAME if failing == SMTP.owner else OTHER)


def test_a_run_that_failed_is_due_again_at_once() -> None:
    world = two()
    good = apply(world.desired, world.rings)
    assert next_look(good, world.clock.now()) > world.clock.now()
    world.zone.look_fails[SMTP.owner] = RetryLater("libunbound.so.8 is gone")
    now = world.clock.now()
    assert next_look(apply(world.desired, world.rings), now) == now


def test_what_is_owed_is_done_in_every_component_before_a_step_is_taken_in_any() -> None:
    world = two()
    world.store.begin(WINDOW, OTHER, f'{{"argv": ["{START[0]}"], "seconds": 1}}', world.clock.now())
    world.zone.look_fails[SMTP.owner] = RetryLater("no look")
    apply(world.desired, world.rings)
    assert world.host.ran[0] == (START[0],)
    first_step = next(number for number, event in enumerate(world.told) if event.kind == "step")
    assert any("post_challenge" in event.text for event in world.told[:first_step])


def test_a_component_that_another_run_works_on_is_said_and_left() -> None:
    world = two()
    with held(world, NAME):
        outcome = apply(world.desired, world.rings)
    assert set(world.zone.records) == {OTHER_OWNER}
    assert outcome.exit_status == 1
    (failure,) = outcome.failed
    assert failure.startswith(f"{NAME}: another run is at work")


def test_where_others_work_on_all_of_them_nothing_is_done() -> None:
    world = two()
    with held(world, NAME, OTHER), pytest.raises(LeaseHeld, match="another run is at work"):
        apply(world.desired, world.rings)
    with held(world, NAME, OTHER), pytest.raises(LeaseHeld):
        run_recover(world.desired, world.rings)
    assert world.store.snapshot().effects == ()


def test_recover_says_what_it_was_kept_from() -> None:
    world = two()
    with held(world, NAME):
        (failure,) = run_recover(world.desired, world.rings)
    assert NAME in failure
    assert run_recover(world.desired, world.rings) == []


# --- steps that come to nothing ---------------------------------------------------------------------------------------


def test_a_publication_without_effect_is_a_failed_try_with_back_off() -> None:
    world = MailWorld()
    world.zone.deaf = True
    outcome = apply(world.desired, world.rings)
    assert len(world.zone.swaps) == 1
    assert outcome.exit_status == 1
    assert any(NO_CHANGE in failure for failure in outcome.failed)
    assert any(wait.code == "backoff" and wait.subject == SMTP.owner for wait in outcome.rest.waits)
    facts = world.store.snapshot()
    assert [effect.evidence for effect in failures(facts, "publish", SMTP.owner)] == [NO_CHANGE]
    retry = retry_at(facts, "publish", SMTP.owner)
    assert retry is not None
    world.clock.instant = retry[0]
    world.zone.deaf = False
    assert apply(world.desired, world.rings).exit_status == 0
    assert len(world.zone.swaps) == 2


def test_a_publication_that_works_is_no_failure() -> None:
    world = MailWorld()
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 0
    assert [type(step) for step in outcome.steps].count(Publish) == 1


def test_files_that_never_stand_there_are_not_written_for_ever() -> None:
    world = MailWorld()
    world.host.forgets = True
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert len(outcome.steps) < MOST_STEPS


def test_a_reload_that_changes_nothing_is_backed_off_from() -> None:
    """The fact that it was reloaded is lost: a defect of ours, say."""
    world = MailWorld()
    end = world.store.end

    def forgetful(
        effect: int,
        outcome: EffectOutcome,
        evidence: str,
        at: datetime,
        facts: Sequence[Fact] = (),
        retry_at: datetime | None = None,
    ) -> None:
        kind = next(row.kind for row in world.store.snapshot().effects if row.id == effect)
        end(effect, outcome, evidence, at, () if (kind, outcome) == ("reload", "done") else facts, retry_at)

    world.store.end = forgetful  # type: ignore[method-assign]
    outcome = apply(world.desired, world.rings)
    assert [type(step) for step in outcome.steps].count(Reload) == 1
    assert any(NO_CHANGE in failure for failure in outcome.failed)
    assert any(wait.code == "backoff" and wait.subject == world.deployment.id for wait in outcome.rest.waits)


def test_two_steps_that_undo_each_other_end() -> None:
    """Somebody changes the records back after each of ours: no step equals the one before, and yet it ends."""
    world = MailWorld()
    assert apply(world.desired, world.rings).exit_status == 0
    number = 0

    def swap(target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        del expected, wanted, ttl
        nonlocal number
        number += 1
        world.zone.records[target] = (TlsaRecord(3, 0, 1, number.to_bytes(32, "big")),)
        return "updated"

    world.zone.records[SMTP.owner] = ()
    world.zone.swap = swap  # type: ignore[method-assign]
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert 1 < number <= MOST_STEPS * len(subjects(world.desired))


# --- a web server that does not start ---------------------------------------------------------------------------------


def unstarted(tries: int) -> tuple[MailWorld, list[datetime]]:
    """Return a world whose web server fails to start so often, and when it was tried; a look-up lasts an hour.

    The publication is on its way to a secondary for all that time, which is what a long run stays for.
    """
    world = MailWorld()
    assert apply(world.desired, world.rings).exit_status == 0
    instants: list[datetime] = []
    run = world.host.run

    def counted(argv: Sequence[str], timeout: timedelta) -> str:
        if tuple(argv) == START:
            instants.append(world.clock.now())
            world.host.failing = {START} if len(instants) <= tries else set()
        return run(argv, timeout)

    world.host.run = counted  # type: ignore[method-assign]
    world.change(pre_challenge=STOP, post_challenge=START)
    world.store.begin(WINDOW, NAME, json.dumps({"argv": START, "seconds": 1}), world.clock.now())
    began = world.clock.now()

    def look(owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        late = world.clock.now() - began > timedelta(minutes=30)
        found = type(world.zone).look(world.zone, owners, known)
        behind = Validated("secure", "NOERROR", ())
        return found if late else [replace(each, validated=behind) for each in found]

    world.zone.look = look  # type: ignore[method-assign]
    return world, instants


def test_a_web_server_that_does_not_start_is_tried_each_minute_of_a_long_run() -> None:
    world, instants = unstarted(5)
    outcome = apply(world.desired, world.rings, Options(wait=True))
    gaps = [later - earlier for earlier, later in pairwise(instants)]
    assert len(instants) == 6
    assert all(PAY_AGAIN <= gap <= 2 * PAY_AGAIN for gap in gaps)
    assert not any(effect.kind == WINDOW and effect.ended_at is None for effect in world.store.snapshot().effects)
    assert any("post_challenge" in failure for failure in outcome.failed)
    assert outcome.exit_status == 1


def test_a_short_run_leaves_it_to_the_next() -> None:
    world, instants = unstarted(1)
    assert apply(world.desired, world.rings).exit_status == 1
    assert len(instants) == 1
    assert run_recover(world.desired, world.rings) == []
    assert len(instants) == 2


def test_a_web_server_that_starts_is_started_once() -> None:
    world = MailWorld()
    world.change(pre_challenge=STOP, post_challenge=START)
    assert apply(world.desired, world.rings).exit_status == 0
    assert world.host.ran.count(START) == 1


def test_names_of_other_components_are_left_alone() -> None:
    world = two()
    world.store.begin(WINDOW, OTHER, f'{{"argv": ["{START[0]}"], "seconds": 1}}', world.clock.now())
    apply(world.desired, world.rings, Options(names=(NAME,)))
    assert world.host.ran == [("systemctl", "reload", "postfix", NAME)]
