"""What an interrupted run owes, and under which lease."""

import json

import pytest

from danelaw.errors import Refused
from danelaw.model import EffectOutcome, OrderState, Solver, TlsaRecord
from danelaw.run.notes import address_notes
from danelaw.run.obtain import WINDOW
from danelaw.run.report import Json
from danelaw.run.runner import apply, run_recover
from danelaw.run.status import status
from fakes.run_world import HOST, NAME, SMTP, START, STOP, MailWorld

OURS, ALSO_OURS, THEIRS = (TlsaRecord(3, 1, 1, bytes([n]) * 32) for n in range(3))


def window(world: MailWorld, *argv: str) -> None:
    detail = json.dumps({"certificate": NAME, "argv": argv, "seconds": 1})
    world.store.begin(WINDOW, NAME, detail, world.clock.now())


def test_a_mended_post_challenge_is_run_in_place_of_the_stored_one() -> None:
    world = MailWorld()
    world.change(pre_challenge=STOP, post_challenge=START)
    window(world, "systemctl", "strat", "apache2")
    world.host.failing = {("systemctl", "strat", "apache2")}
    assert run_recover(world.desired, world.rings) == []
    assert world.host.ran == [START]


def test_where_the_config_has_none_the_stored_one_is_run() -> None:
    world = MailWorld()
    window(world, *START)
    assert run_recover(world.desired, world.rings) == []
    assert world.host.ran == [START]


def half_done(seen: tuple[TlsaRecord, ...], certificate: str = NAME) -> MailWorld:
    """Return a world where a publication of two of our records beside another's was cut off."""
    world = MailWorld()
    detail = {
        "certificate": certificate,
        "target": SMTP.owner,
        "publisher": "home",
        "ttl": 60,
        "expected": [str(THEIRS)],
        "wanted": [str(OURS), str(ALSO_OURS), str(THEIRS)],
    }
    world.store.begin("publish", SMTP.owner, json.dumps(detail), world.clock.now())
    world.zone.records[SMTP.owner] = seen
    return world


@pytest.mark.parametrize(
    ("seen", "ours", "outcome"),
    [
        ((OURS, ALSO_OURS, THEIRS), {OURS, ALSO_OURS}, "done"),
        ((ALSO_OURS, THEIRS), {ALSO_OURS}, "done"),
        ((THEIRS,), set(), "interrupted"),
        ((), set(), "interrupted"),
    ],
)
def test_what_is_seen_of_an_update_is_ours(
    seen: tuple[TlsaRecord, ...], ours: set[TlsaRecord], outcome: EffectOutcome
) -> None:
    world = half_done(seen)
    assert run_recover(world.desired, world.rings) == []
    facts = world.store.snapshot()
    assert {row.record for row in facts.own_records if row.withdrawn_at is None} == ours
    assert facts.effects[-1].outcome == outcome


def test_an_effect_is_settled_under_the_lease_of_its_certificate_only() -> None:
    """A living run with an older config works on a certificate that has left ours."""
    world = half_done((THEIRS,), "gone.example")
    world.store._db.execute("INSERT INTO lease VALUES ('gone.example', 'another host', 1, 1, 'b', 0)")
    (failure,) = run_recover(world.desired, world.rings)
    assert "gone.example" in failure
    assert "another host" in failure
    assert "DELETE FROM lease WHERE pid = 1" in failure
    assert world.store.snapshot().effects[-1].ended_at is None
    world.store._db.execute("DELETE FROM lease")
    assert run_recover(world.desired, world.rings) == []
    assert world.store.snapshot().effects[-1].ended_at is not None


def test_what_a_run_does_names_its_certificate() -> None:
    world = MailWorld()
    world.change(pre_challenge=STOP, post_challenge=START)
    apply(world.desired, world.rings)
    assert {json.loads(effect.detail)["certificate"] for effect in world.store.snapshot().effects} == {NAME}


# --- orders -----------------------------------------------------------------------------------------------------------


def test_an_order_that_something_here_spoilt_stays_open() -> None:
    world = MailWorld()
    world.solver_fails = [Refused("no such webroot")]
    assert apply(world.desired, world.rings).exit_status == 1
    (order,) = world.store.snapshot().orders
    assert order.closed_at is None
    world.clock.instant = world.clock.instant.replace(hour=20)
    assert apply(world.desired, world.rings).exit_status == 0
    assert len(world.ca.status) == 1


def test_an_order_that_the_ca_judged_is_closed() -> None:
    world = MailWorld()
    advance = world.ca.advance

    def judge(order: OrderState, solver: Solver | None) -> OrderState:
        if solver is not None:
            world.ca.status[order.url] = "invalid"
            raise Refused("CAA forbids it")
        return advance(order, solver)

    world.ca.advance = judge  # type: ignore[method-assign]
    apply(world.desired, world.rings)
    (order,) = world.store.snapshot().orders
    assert order.closed_at is not None


def test_an_order_that_is_invalid_from_the_start_is_one_failed_try() -> None:
    world = MailWorld()
    world.ca.opens_as = "invalid"
    outcome = apply(world.desired, world.rings)
    assert len(world.ca.status) == 1
    assert any("the CA does not like it" in failure for failure in outcome.failed)
    assert any(wait.code == "backoff" for wait in outcome.rest.waits)


# --- what is said -----------------------------------------------------------------------------------------------------


def test_status_shows_a_failure_until_it_is_mended() -> None:
    world = MailWorld()
    (service,) = world.deployment.services
    reload = service.reload
    assert reload
    world.host.failing = {reload}
    apply(world.desired, world.rings)

    def shown() -> Json:
        return status(world.desired, world.store.snapshot(), world.clock.now(), ())

    def failure() -> object:
        return shown()["certificates"][0]["deployments"][0]["failure"]

    assert failure()
    assert any(wait["wait"] == "backoff" for wait in shown()["waits"])
    world.host.failing = set()
    world.clock.instant = world.clock.instant.replace(hour=20)
    assert apply(world.desired, world.rings).exit_status == 0
    assert failure() is None
    assert not any(wait["wait"] == "backoff" for wait in shown()["waits"])
    assert not (shown()["due"])
    assert not (shown()["holds"])
    assert not (shown()["owed"])


def test_status_says_what_is_owed() -> None:
    world = MailWorld()
    world.store.begin(WINDOW, world.desired.certificates[0].name, "{}", world.clock.now())
    shown = status(world.desired, world.store.snapshot(), world.clock.now(), ())
    assert shown["owed"] == [f"post_challenge of {world.desired.certificates[0].name}"]
    assert shown["due"]


def test_unsigned_addresses_are_noted() -> None:
    world = MailWorld()
    assert address_notes(world.desired, world.zone) == ()
    world.zone.hosts[HOST] = (("192.0.2.25",), "insecure", "")
    (note,) = address_notes(world.desired, world.zone)
    assert (note.code, note.subject) == ("insecure-address", HOST)
