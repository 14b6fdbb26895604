"""Rollovers, run by run: what is made, published, ordered, promoted and put away; and what a kill leaves over."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from danelaw.errors import RetryLater
from danelaw.lifecycle.keys import current_key, next_key, retired_keys
from danelaw.model import (
    Chain,
    Deployment,
    Effect,
    EffectOutcome,
    Fact,
    Facts,
    Generation,
    KeyFact,
    Obtain,
    Promote,
    Publish,
    Retire,
    SpareKey,
    Step,
    TakeKey,
    TakeNextKey,
)
from danelaw.run.act import KINDS, act, describe, subject_of
from danelaw.run.intents import ask_rollover
from danelaw.run.keys import promoted
from danelaw.run.obtain import obtain
from danelaw.run.rings import Outcome
from danelaw.run.runner import Options, apply
from danelaw.store import SqliteStore
from fakes.run_world import NAME, RELOAD, SMTP, Machine, MailWorld, fact_of, key_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def world(**fields: object) -> MailWorld:
    """Return a world whose CA issues a new certificate each time, after the first run."""
    made = MailWorld()
    made.ca.anew = True
    made.change(**fields)
    assert apply(made.desired, made.rings).exit_status == 0
    made.clock.instant += 3 * HOUR
    return made


def run(made: MailWorld, after: timedelta = timedelta(0), **options: object) -> Outcome:
    made.clock.instant += after
    return apply(made.desired, made.rings, Options(**options))  # type: ignore[arg-type]


def kinds(outcome: Outcome) -> list[type[Step]]:
    return [type(step) for step in outcome.steps]


def keys(made: MailWorld) -> tuple[KeyFact | None, KeyFact | None, tuple[KeyFact, ...]]:
    facts = made.store.snapshot()
    return current_key(facts, NAME), next_key(facts, made.spec), retired_keys(facts, NAME)


def spki_published(made: MailWorld) -> set[str]:
    return {record.data.hex() for record in made.zone.records[SMTP.owner]}


def live_spki(made: MailWorld) -> str:
    live = made.host.live_chains[SMTP.host]
    assert live is not None
    return live.spki_sha256


def test_a_rollover_that_is_asked_for_goes_its_way() -> None:
    made = world()
    old, none, _ = keys(made)
    assert old is not None
    assert none is None
    ask_rollover(made.desired, made.rings, NAME)
    first = run(made)
    assert (kinds(first), first.exit_status) == ([TakeNextKey, Publish], 0)
    _, new, _ = keys(made)
    assert new is not None
    assert new.current_since is None
    assert spki_published(made) == {old.spki_sha256, new.spki_sha256}
    assert [wait.code for wait in first.rest.waits if wait.code != "renewal"] == ["cached"]
    assert live_spki(made) == old.spki_sha256

    assert kinds(run(made, HOUR)) == []  # the caches' time is not over

    second = run(made, 3 * HOUR)
    assert Promote in kinds(second)
    assert live_spki(made) == new.spki_sha256
    current, coming, (retired,) = keys(made)
    assert current is not None
    assert (current.spki_sha256, coming, retired.spki_sha256) == (new.spki_sha256, None, old.spki_sha256)
    (intent,) = made.store.snapshot().intents
    assert intent.closed_at == current.current_since
    assert spki_published(made) == {old.spki_sha256, new.spki_sha256}  # while it settles

    third = run(made, 25 * HOUR)
    assert kinds(third)[-1] is Publish
    assert spki_published(made) == {new.spki_sha256}
    assert made.host.put == []


def test_a_retired_key_is_put_away_once_its_certificate_is_over() -> None:
    made = world(retired_keys="shred")
    old, _, _ = keys(made)
    assert old is not None
    ask_rollover(made.desired, made.rings, NAME)
    for pause in (timedelta(0), 3 * HOUR, 25 * HOUR):
        run(made, pause)
    assert made.host.put == []
    outcome = run(made, 95 * DAY)
    assert Retire in kinds(outcome)
    assert made.host.put == [(old.spki_sha256, "shred")]
    (gone,) = [key for key in made.store.snapshot().keys if key.spki_sha256 == old.spki_sha256]
    assert gone.destroyed_at is not None
    assert Retire not in kinds(run(made, DAY))


def test_with_next_key_the_next_one_stands_ready_before_anybody_asks() -> None:
    made = world(next_key=True)
    current, coming, _ = keys(made)
    assert current is not None
    assert coming is not None
    assert spki_published(made) == {current.spki_sha256, coming.spki_sha256}
    ask_rollover(made.desired, made.rings, NAME, emergency=True)
    outcome = run(made)
    assert Promote in kinds(outcome)
    assert kinds(outcome)[-2:] == [TakeNextKey, Publish]  # and another one stands ready
    now_current, another, _ = keys(made)
    assert now_current is not None
    assert another is not None
    assert now_current.spki_sha256 == coming.spki_sha256
    assert another.spki_sha256 not in {current.spki_sha256, coming.spki_sha256}
    assert spki_published(made) == {coming.spki_sha256, another.spki_sha256}  # no settling in an emergency


def test_a_failed_order_over_the_next_key_changes_nothing_of_it_and_delays_no_renewal() -> None:
    made = world()
    ask_rollover(made.desired, made.rings, NAME)
    run(made)
    _, coming, _ = keys(made)
    made.ca.answers = [RetryLater("the CA is away")] * 2
    failed = run(made, 3 * HOUR)
    assert failed.failed == ("the CA is away",)
    assert keys(made)[1] == coming
    assert coming is not None
    assert coming.spki_sha256 in spki_published(made)
    effect = made.store.snapshot().effects[-1]
    assert (effect.kind, effect.subject, effect.outcome) == ("obtain", f"{NAME} (next key)", "failed")
    made.ca.answers = []
    renewed = run(made, timedelta(0), force_renewal=True)
    (order,) = [step for step in renewed.steps if isinstance(step, Obtain)]
    current = keys(made)[0]
    assert current is not None
    assert (order.ahead, order.spki_sha256) == (False, current.spki_sha256)
    assert [row.closed_at is not None for row in made.store.snapshot().intents] == [False, True]  # the renewal alone


def test_an_order_over_the_next_key_stands_beside_one_over_the_current_key() -> None:
    """Neither ends the other; one over a key that is in use no more is closed."""
    made = world(next_key=True)
    current, coming, _ = keys(made)
    assert current is not None
    assert coming is not None

    def fails(key: KeyFact) -> None:
        made.solver_fails = [RetryLater("the port is taken")]
        with pytest.raises(RetryLater):
            obtain(made.rings, made.store.snapshot(), made.spec, key)

    def open_orders() -> set[str]:
        return {row.spki_sha256 for row in made.store.snapshot().orders if row.closed_at is None}

    fails(current)
    fails(coming)
    assert open_orders() == {current.spki_sha256, coming.spki_sha256}
    made.store.record(obtain(made.rings, made.store.snapshot(), made.spec, current)[0])
    assert len(made.store.snapshot().orders) == 3  # the first run's, and these two
    assert open_orders() == {coming.spki_sha256}
    made.store.record([replace(coming, compromised_at=made.clock.now())])
    fails(current)
    assert open_orders() == {current.spki_sha256}


def test_only_a_certificate_over_the_current_key_answers_a_request_to_renew() -> None:
    made = world(next_key=True)
    current, coming, _ = keys(made)
    assert current is not None
    assert coming is not None
    facts = replace(made.store.snapshot(), intents=())
    asked = ask_rollover(made.desired, made.rings, NAME)
    renew = replace(asked, kind="renew")
    with_both = replace(facts, intents=(asked, renew))
    over_next, _ = obtain(made.rings, with_both, made.spec, coming)
    assert not any(getattr(fact, "kind", None) for fact in over_next)
    over_current, _ = obtain(made.rings, with_both, made.spec, current)
    assert [fact.kind for fact in over_current if hasattr(fact, "kind")] == ["renew"]


class KeyedMachine(Machine):
    """A host that remembers over which key each chain was staged."""

    staged_over: list[tuple[str, str]]

    def stage(self, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
        self.staged_over.append((chain.spki_sha256, key.spki_sha256))
        return super().stage(deployment, n, chain, key)


def test_a_chain_is_staged_with_its_own_key() -> None:
    made = MailWorld()
    host = KeyedMachine(made.clock.now)
    host.staged_over = []
    made.host = host
    made.ca.anew = True
    made.change(next_key=True)
    apply(made.desired, made.rings)
    ask_rollover(made.desired, made.rings, NAME)
    run(made, 3 * HOUR)
    assert len({chain for chain, _ in host.staged_over}) == 2
    assert all(chain == key for chain, key in host.staged_over)


def test_a_cutover_that_cannot_be_proven_goes_back_and_the_old_key_stays_current() -> None:
    made = world()
    old = keys(made)[0]
    ask_rollover(made.desired, made.rings, NAME)
    run(made)
    made.host.failing = {(*RELOAD, NAME)}
    failed = run(made, 3 * HOUR)
    assert failed.exit_status == 1
    assert len(failed.steps) < 10  # it goes back once, and not to and fro
    assert keys(made)[0] == old
    assert old is not None
    assert live_spki(made) == old.spki_sha256
    made.host.failing = set()
    again = run(made, DAY)
    assert Promote in kinds(again)


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_wait_stays_until_it_has_settled_and_shows_how_long_that_lasts() -> None:
    made = world(settle=HOUR)
    ask_rollover(made.desired, made.rings, NAME)
    shown: list[tuple[timedelta | None, str]] = []

    def countdown(left: timedelta | None, why: str) -> None:
        shown.append((left, why))

    began = made.clock.instant
    outcome = apply(made.desired, replace(made.rings, countdown=countdown), Options(wait=True))
    assert Promote in kinds(outcome)
    assert kinds(outcome)[-1] is Publish
    assert {wait.code for wait in outcome.rest.waits} == {"renewal", "retiring"}  # nobody stays for these
    assert made.clock.instant - began > 3 * HOUR
    left = [each for each, _ in shown if each is not None]
    assert len(left) > 3 * 3600 * 0.9
    assert left[0] > 2 * HOUR - timedelta(minutes=1)
    assert shown[-1] == (None, "")
    assert sum(each is None for each, _ in shown) == 2  # caches, then settling
    assert "caches may hold it" in shown[0][1]


def test_without_anybody_to_watch_it_sleeps_in_one_go() -> None:
    made = world(settle=HOUR)
    ask_rollover(made.desired, made.rings, NAME)
    assert Promote in kinds(apply(made.desired, made.rings, Options(wait=True)))


# --- the spare key ----------------------------------------------------------------------------------------------------


def spare_world() -> tuple[MailWorld, KeyFact]:
    """Return a world whose next key is kept elsewhere, and that key as it is once its private half is here."""
    other = Machine(MailWorld().clock.now)
    private = other.take_next_key(replace(MailWorld().spec, key_type="p256"), ())
    made = MailWorld()
    made.ca.anew = True
    made.change(spare=SpareKey("/etc/ssl/spare.pub", private.spki_der), key="/etc/ssl/live.key")
    made.host.keys[NAME] = key_of(NAME)
    made.host.private |= other.private
    apply(made.desired, made.rings)
    made.clock.instant += 3 * HOUR
    return made, private


def test_the_public_half_of_a_spare_key_is_published_and_its_private_half_brought_here() -> None:
    made, private = spare_world()
    current, coming, _ = keys(made)
    assert coming is not None
    assert (coming.spki_sha256, coming.origin) == (private.spki_sha256, "elsewhere")
    assert coming.spki_sha256 in spki_published(made)
    ask_rollover(made.desired, made.rings, NAME)
    waits = run(made)
    assert waits.exit_status == 1
    (hold,) = [hold for hold in waits.rest.holds if hold.code == "spare-key"]
    assert "bring its private key here" in hold.remedy
    assert not waits.steps
    assert keys(made)[:2] == (current, coming)
    made.host.keys[NAME] = replace(fact_of(NAME, private.spki_der, made.clock.now(), "made"), origin="adopted")
    outcome = run(made, DAY)
    assert kinds(outcome)[0] is TakeKey
    assert Promote in kinds(outcome)
    now_current = keys(made)[0]
    assert now_current is not None
    assert (now_current.spki_sha256, now_current.origin) == (private.spki_sha256, "adopted")


def test_a_third_key_is_not_taken_for_the_spare_one() -> None:
    made, _ = spare_world()
    before = made.store.snapshot().keys
    ask_rollover(made.desired, made.rings, NAME)
    stranger = Machine(made.clock.now).take_next_key(replace(made.spec, key_type="p256", spare=None), ())
    made.host.keys[NAME] = replace(stranger, origin="adopted")
    outcome = run(made)
    assert [hold.code for hold in outcome.rest.holds] == ["spare-key"]
    assert not outcome.steps
    assert made.store.snapshot().keys == before


def test_the_spare_key_s_file_named_as_key_is_the_request_to_roll_over() -> None:
    made, private = spare_world()
    made.host.keys[NAME] = replace(fact_of(NAME, private.spki_der, made.clock.now(), "made"), origin="adopted")
    outcome = run(made, DAY)
    assert kinds(outcome)[0] is TakeKey
    assert Promote in kinds(outcome)


# --- promotion --------------------------------------------------------------------------------------------------------


def test_the_latest_key_is_the_current_one_whatever_a_clock_that_was_set_back_says() -> None:
    made = world(next_key=True)
    current, coming, _ = keys(made)
    assert current is not None
    assert coming is not None
    assert current.current_since is not None
    long_ago = current.current_since - DAY
    (fact,) = promoted(made.store.snapshot(), Promote(NAME, coming.spki_sha256, current.spki_sha256, "why"), long_ago)
    made.store.record([fact])
    assert keys(made)[0] == fact


# --- every step has words, a kind and a subject -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "subject", "words"),
    [
        (TakeNextKey(NAME, None, "w"), NAME, "example.org: make its next key"),
        (TakeNextKey(NAME, "/spare.pub", "w"), NAME, "example.org: take the public half of its next key"),
        (Obtain(NAME, "ab", "w"), NAME, "example.org: obtain a certificate"),
        (
            Obtain(NAME, "ab", "w", ahead=True),
            f"{NAME} (next key)",
            "example.org: obtain a certificate over its next key",
        ),
        (Promote(NAME, "ab", "cd", "w"), NAME, "example.org: its next key ab… becomes the current one"),
        (Retire(NAME, "ab", "archive", "w"), NAME, "example.org: archive its retired key ab…"),
        (Retire(NAME, "ab", "shred", "w"), NAME, "example.org: destroy its retired key ab…"),
    ],
)
def test_what_a_step_is_called(step: Step, subject: str, words: str) -> None:
    assert (subject_of(step), describe(step)) == (subject, words)
    assert KINDS[type(step)]


# --- killed -----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class MortalStore(SqliteStore):
    """A store in a process that is killed just before it would store how its nth effect ended."""

    left = -1

    def end(
        self,
        effect: int,
        outcome: EffectOutcome,
        evidence: str,
        at: datetime,
        facts: Sequence[Fact] = (),
        retry_at: datetime | None = None,
    ) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed
        super().end(effect, outcome, evidence, at, facts, retry_at)


def history(path: Path, killed_at: int) -> tuple[bool, Facts, MailWorld]:
    """Roll a key over in a few runs, one of them killed and started again; return whether that came about."""
    made = MailWorld()
    made.ca.anew = True
    store = MortalStore(str(path), made.clock, "h")
    made.store = store
    apply(made.desired, made.rings)
    made.clock.instant += 3 * HOUR
    ask_rollover(made.desired, made.rings, NAME)
    store.left, was_killed = killed_at, False
    for pause in (timedelta(0), 3 * HOUR, 25 * HOUR):
        made.clock.instant += pause
        try:
            apply(made.desired, made.rings)
        except Killed:
            was_killed = True
            apply(made.desired, made.rings)
    facts = store.snapshot()
    store.close()
    return was_killed, facts, made


def test_a_rollover_killed_before_any_effect_is_stored_ends_as_it_would_have(tmp_path: Path) -> None:
    deaths = 0
    for nth in range(1, 40):
        was_killed, facts, made = history(tmp_path / f"{nth}.sqlite", nth)
        assert [key.current_since is not None for key in facts.keys] == [True, True], nth  # no third key was made
        assert all(effect.ended_at for effect in facts.effects), nth
        current = current_key(facts, NAME)
        assert current is not None
        assert live_spki(made) == current.spki_sha256 == facts.keys[1].spki_sha256
        assert spki_published(made) == {current.spki_sha256}, nth
        assert all(intent.closed_at for intent in facts.intents), nth
        deaths += was_killed
        if not was_killed:
            break
    assert deaths >= 8


def test_a_promotion_that_was_interrupted_is_done_again_by_the_next_run() -> None:
    made = world(next_key=True)
    current, coming, _ = keys(made)
    assert current is not None
    assert coming is not None
    step = Promote(NAME, coming.spki_sha256, current.spki_sha256, "why")
    number = made.store.begin("promote", NAME, '{"certificate": "example.org"}', made.clock.now())
    run(made)
    (effect,) = [row for row in made.store.snapshot().effects if row.id == number]
    assert isinstance(effect, Effect)
    assert effect.outcome == "interrupted"
    assert keys(made)[0] == current
    assert act(made.desired, made.rings, made.store.snapshot(), step) == ("done", None)
    now_current = keys(made)[0]
    assert now_current is not None
    assert now_current.spki_sha256 == coming.spki_sha256


def test_a_next_key_that_is_refused_is_a_failure_that_is_told() -> None:
    made = world(next_key=True)
    current = keys(made)[0]
    assert current is not None
    made.change(spare=SpareKey("/spare.pub", current.spki_der))
    step = TakeNextKey(NAME, "/spare.pub", "why")
    outcome, failure = act(made.desired, made.rings, made.store.snapshot(), step)
    assert (outcome, failure) == ("failed", "/spare.pub: found the public half of a key in use")
