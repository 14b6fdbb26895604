"""Two certificates behind one service: its reload is run once, and what breaks its test goes back with all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw.errors import RetryLater, Stopped
from danelaw.lifecycle.sight import presented_now
from danelaw.model import Activate, CertificateSpec, Endpoint, Prove, Reload, Service, Step, TlsaRecord
from danelaw.run.look import look
from danelaw.run.notes import notes
from danelaw.run.runner import Options, apply
from fakes.run_world import ADDRESS, NAME, SMTP, MailWorld, certificate
from local_state import chain_of

POSTFIX = Service("postfix", ("postfix", "check"), ("postfix", "reload"))
OTHER = "other.example"
OTHER_HOST = "mx.other.example"
MINUTE = timedelta(minutes=1)
SUBMISSION = Endpoint("smtp.example.org", 465, "smtps")


def sharing(spec: CertificateSpec) -> CertificateSpec:
    return replace(spec, deployments=tuple(replace(each, services=(POSTFIX,)) for each in spec.deployments))


def two() -> MailWorld:
    """Return a world of two certificates whose files one service reads."""
    return MailWorld(sharing(certificate()), sharing(certificate(OTHER, OTHER_HOST, "/etc/ssl/other.pem")))


def renewed(world: MailWorld) -> MailWorld:
    """Return the world with both certificates live, and a CA that issues others next time."""
    apply(world.desired, world.rings)
    world.ca.anew = True
    world.clock.instant += MINUTE
    return world


def kinds(steps: Sequence[Step]) -> list[str]:
    return [type(step).__name__ for step in steps if isinstance(step, Activate | Reload | Prove)]


def breaks_while(world: MailWorld, path: str, n: str) -> None:
    """Let the config test fail while a file of a generation stands."""

    def run(argv: Sequence[str], timeout: timedelta) -> str:
        del timeout
        world.host.ran.append(tuple(argv))
        if argv[-1] == "check" and world.host.disk.get(path, {}).get(path) == n:
            raise RetryLater("postfix check: exit status 1")
        return "ok"

    world.host.run = run  # type: ignore[method-assign]


# --- reloads ---------------------------------------------------------------------------------------------------------


def test_what_goes_live_in_one_run_is_tested_and_reloaded_once() -> None:
    world = two()
    outcome = apply(world.desired, world.rings)
    assert (outcome.exit_status, outcome.failed) == (0, ())
    assert kinds(outcome.steps) == ["Activate", "Activate", "Reload", "Prove", "Prove"]
    assert world.host.ran.count(("postfix", "check")) == world.host.ran.count(("postfix", "reload")) == 1
    assert all(row.proven_at for row in world.store.snapshot().generations if row.n)


def test_what_shares_nothing_is_reloaded_apart() -> None:
    world = MailWorld(certificate(), certificate(OTHER, OTHER_HOST, "/etc/ssl/other.pem"))
    assert kinds(apply(world.desired, world.rings).steps).count("Reload") == 2


@pytest.mark.parametrize("bad", ["/etc/ssl/mail.pem", "/etc/ssl/other.pem"])
def test_what_breaks_the_test_goes_back_with_all_and_is_then_tried_alone(bad: str) -> None:
    world = renewed(two())
    breaks_while(world, bad, "2")
    outcome = apply(world.desired, world.rings, Options(force_renewal=True))
    assert outcome.failed == ("postfix check: exit status 1",)
    assert kinds(outcome.steps) == [*["Activate"] * 2, "Reload", *["Activate"] * 2, "Reload", *["Prove"] * 2]
    assert {files[path] for path, files in world.host.disk.items()} == {"1"}
    world.clock.instant += 2 * MINUTE
    outcome = apply(world.desired, world.rings)
    assert outcome.failed == ("postfix check: exit status 1",)
    good = next(path for path in world.host.disk if path != bad)
    assert {path: files[path] for path, files in world.host.disk.items()} == {bad: "1", good: "2"}


def test_a_run_that_is_stopped_in_the_reload_has_marked_none() -> None:
    world = renewed(two())
    real = world.host.run

    def stops(argv: Sequence[str], timeout: timedelta) -> str:
        if argv[-1] == "reload":
            raise Stopped("SIGTERM")
        return real(argv, timeout)

    world.host.run = stops  # type: ignore[method-assign]
    with pytest.raises(Stopped):
        apply(world.desired, world.rings, Options(force_renewal=True))
    rows = [row for row in world.store.snapshot().generations if row.n == 2]
    assert [(row.reloaded_at, row.tries) for row in rows] == [(None, 0)] * 2
    world.host.run = real  # type: ignore[method-assign]
    assert kinds(apply(world.desired, world.rings).steps) == ["Reload", "Prove", "Prove"]


# --- watched ---------------------------------------------------------------------------------------------------------


def watching(*records: TlsaRecord) -> MailWorld:
    """Return a world whose service offers another port, of a name that nobody claims; records may stand there."""
    world = MailWorld()
    world.change(deployments=(replace(world.deployment, watched=(SUBMISSION,)),))
    if records:
        world.zone.records[SUBMISSION.owner] = records
    world.host.live_chains[SUBMISSION.host] = chain_of("smtp.example.org")
    return world


STALE = TlsaRecord(3, 0, 1, b"\7" * 32)


def test_an_endpoint_where_no_records_stand_is_not_spoken_to() -> None:
    world = watching()
    assert apply(world.desired, world.rings).exit_status == 0
    assert {request.endpoint for request in world.services.asked} == {SMTP}


def test_one_where_they_do_is_looked_at_and_holds() -> None:
    world = watching(STALE)
    outcome = apply(world.desired, world.rings)
    assert "Activate" not in kinds(outcome.steps)
    assert {hold.code for hold in outcome.rest.holds} >= {"unclaimed"}
    assert SUBMISSION in {request.endpoint for request in world.services.asked}
    del world.zone.records[SUBMISSION.owner]
    look(world.desired, world.rings)
    world.clock.instant += timedelta(hours=3)
    assert "Activate" in kinds(apply(world.desired, world.rings).steps)


@pytest.mark.parametrize("addresses", [(), ("198.51.100.9",)])
def test_a_name_without_an_address_or_with_another_hosts_holds_nothing(addresses: tuple[str, ...]) -> None:
    world = watching(STALE)
    world.zone.hosts[SUBMISSION.host] = (addresses, "secure", "no such name")
    outcome = apply(world.desired, world.rings)
    assert "Activate" in kinds(outcome.steps)
    assert outcome.rest.holds == ()


def test_what_was_seen_of_it_is_kept_while_its_name_cannot_be_looked_up() -> None:
    world = watching(STALE)
    look(world.desired, world.rings)
    before = presented_now(world.store.snapshot(), SUBMISSION, ADDRESS)
    assert before
    world.zone.hosts[SUBMISSION.host] = ((), "bogus", "expired")
    assert presented_now(look(world.desired, world.rings), SUBMISSION, ADDRESS) == before


# --- orphans ---------------------------------------------------------------------------------------------------------


def test_the_record_of_a_certificate_that_left_is_reported() -> None:
    world = MailWorld()
    apply(world.desired, world.rings)
    (record,) = world.zone.records[SMTP.owner]
    left = world.store.snapshot()
    renamed = replace(
        world.spec, name="another", claims=tuple(replace(c, certificate="another") for c in world.spec.claims)
    )
    desired = replace(world.desired, certificates=(renamed,))
    said = [note for note in notes(desired, left, world.host) if note.code == "orphan-record"]
    assert [note.subject for note in said] == [SMTP.owner]
    assert str(record) in said[0].text
    assert not [note for note in notes(world.desired, left, world.host) if note.code == "orphan-record"]
    assert NAME in {key.certificate for key in left.keys}
