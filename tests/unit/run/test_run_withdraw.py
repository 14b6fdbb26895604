"""What left the config is taken out of service, records first; what is in it is not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw import dane
from danelaw.errors import InputError, Lost, Refused, RetryLater
from danelaw.model import RecordSpec, TlsaRecord
from danelaw.run.intents import ask_rollover
from danelaw.run.notes import notes
from danelaw.run.runner import apply
from danelaw.run.withdraw import withdraw
from fakes.run_world import HOST, IMAPS, NAME, SMTP, MailWorld, certificate, key_of

HOUR = timedelta(hours=1)
OTHER, MX = "other.example", "mx.other.example"
OWNER = f"_25._tcp.{MX}."
PATH = "/etc/ssl/other.pem"


def left() -> MailWorld:
    """Return a world with a certificate that left the config after it went live."""
    world = MailWorld(certificate(), certificate(OTHER, MX, PATH))
    assert apply(world.desired, world.rings).exit_status == 0
    world.desired = replace(world.desired, certificates=world.desired.certificates[:1])
    world.clock.instant += HOUR
    return world


def codes(world: MailWorld) -> set[str]:
    return {note.code for note in notes(world.desired, world.store.snapshot(), world.host)}


def test_records_go_at_once_and_files_once_no_cache_can_hold_them() -> None:
    world = left()
    (record,) = world.zone.records[OWNER]
    kept = world.zone.records[SMTP.owner]
    assert {"orphan-record", "orphan-certificate", "orphan-files"} <= codes(world)
    first = withdraw(world.desired, world.rings, OTHER)
    assert (first.records, first.let_go, first.outcome.exit_status) == (((OWNER, record),), (), 0)
    assert world.zone.records[OWNER] == ()
    (wait,) = first.outcome.rest.waits
    assert (wait.code, wait.subject) == ("cached", OWNER)
    assert wait.until - world.clock.instant > 2 * HOUR - timedelta(minutes=1)
    assert world.host.free == []
    again = withdraw(world.desired, world.rings, OTHER)
    assert (again.records, again.let_go) == ((), ())
    world.clock.instant += 2 * HOUR
    last = withdraw(world.desired, world.rings, OTHER)
    assert (last.records, last.let_go, last.outcome.rest.waits) == ((), (PATH,), ())
    assert world.host.free == [PATH]
    assert not {"orphan-record", "orphan-certificate", "orphan-files"} & codes(world)
    assert world.zone.records[SMTP.owner] == kept
    assert withdraw(world.desired, world.rings, OTHER).let_go == ()  # all is done


def test_wait_stays_until_all_is_done() -> None:
    world = left()
    done = withdraw(world.desired, world.rings, OTHER, wait=True)
    assert (len(done.records), done.let_go, done.outcome.exit_status) == (1, (PATH,), 0)
    assert any("senders may hold the records" in event.text for event in world.told)


def test_one_that_comes_back_to_the_config_is_deployed_and_published_again() -> None:
    world = left()
    withdraw(world.desired, world.rings, OTHER, wait=True)
    world.desired = replace(world.desired, certificates=(world.spec, certificate(OTHER, MX, PATH)))
    world.clock.instant += HOUR
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 0
    (record,) = world.zone.records[OWNER]
    assert record.data.hex() == key_of(OTHER).spki_sha256


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (NAME, Refused, 'take its \\[certificate."example.org"\\] out first'),
        (f"{HOST}:25", Refused, f"{HOST}:25 is in a tlsa table of example.org"),
        (f"{HOST}:465", InputError, f"danelaw added no record at _465._tcp.{HOST}."),
        ("nobody.example", InputError, "what left the config: other.example"),
    ],
)
def test_what_is_in_the_config_or_unknown_is_refused(name: str, error: type[Exception], words: str) -> None:
    world = left()
    before = dict(world.zone.records)
    with pytest.raises(error, match=words):
        withdraw(world.desired, world.rings, name)
    assert world.zone.records == before


def test_an_endpoint_that_no_table_claims_loses_our_records_alone() -> None:
    spec = certificate()
    both = (*spec.claims, replace(spec.claims[0], endpoint=IMAPS))
    deployment = replace(spec.deployments[0], endpoints=(SMTP, IMAPS))
    world = MailWorld(replace(spec, claims=both, deployments=(deployment,)))
    apply(world.desired, world.rings)
    assert world.zone.records[IMAPS.owner]
    world.change(claims=spec.claims)
    world.clock.instant += HOUR
    done = withdraw(world.desired, world.rings, str(IMAPS))
    assert [owner for owner, _ in done.records] == [IMAPS.owner]
    assert world.zone.records[IMAPS.owner] == ()
    assert world.zone.records[SMTP.owner]
    assert apply(world.desired, world.rings).exit_status == 0


def test_records_of_others_that_would_refuse_what_is_live_there_hold_it_up() -> None:
    world = left()
    theirs = TlsaRecord(3, 1, 1, b"\1" * 32)
    world.zone.records[OWNER] = tuple(sorted((*world.zone.records[OWNER], theirs)))
    before = world.zone.records[OWNER]
    done = withdraw(world.desired, world.rings, OTHER)
    (hold,) = done.outcome.rest.holds
    assert (hold.code, hold.subject) == ("would-refuse", OWNER)
    assert str(theirs) in hold.why
    assert done.outcome.exit_status == 1
    assert world.zone.records[OWNER] == before
    world.zone.records[OWNER] = tuple(record for record in before if record != theirs)  # they have taken it away
    assert len(withdraw(world.desired, world.rings, OTHER).records) == 1
    assert world.zone.records[OWNER] == ()


def test_others_who_claim_the_owner_name_keep_their_records() -> None:
    """RSA beside ECDSA, and one of them leaves: the other's record stays, whatever is still presented of the first."""
    world = MailWorld()
    apply(world.desired, world.rings)
    (own,) = world.store.snapshot().own_records
    stranger = dane.tlsa_record(RecordSpec(3, 1, 1), spki_der=b"another key")
    other = replace(key_of(OTHER), spki_der=b"another key", spki_sha256="ab")
    world.store.record([replace(own, record=stranger), other])
    world.zone.records[SMTP.owner] = tuple(sorted((*world.zone.records[SMTP.owner], stranger)))
    world.clock.instant += HOUR
    done = withdraw(world.desired, world.rings, OTHER)
    assert done.records == ((SMTP.owner, stranger),)
    assert [record.data.hex() for record in world.zone.records[SMTP.owner]] == [key_of(NAME).spki_sha256]


def test_a_publisher_that_left_the_config_is_asked_back() -> None:
    world = left()
    rings = replace(world.rings, publishers={"another": world.zone})
    done = withdraw(world.desired, rings, OTHER)
    (hold,) = done.outcome.rest.holds
    assert hold.remedy == "put [dns.home] back until they are withdrawn"
    assert world.zone.records[OWNER]


def test_a_record_that_somebody_else_has_taken_is_ours_no_more() -> None:
    world = left()
    world.zone.records[OWNER] = ()
    done = withdraw(world.desired, world.rings, OTHER, wait=True)
    assert (done.records, done.let_go) == ((), (PATH,))
    assert all(row.withdrawn_at for row in world.store.snapshot().own_records if row.owner == OWNER)


@pytest.mark.parametrize("error", [Lost("changed"), RetryLater("the server is away")])
def test_an_update_that_fails_is_a_failure_and_done_by_the_next_run(error: Exception) -> None:
    world = left()
    swap = world.zone.swap

    def fails(*_: object) -> str:
        raise error

    world.zone.swap = fails  # type: ignore[assignment,method-assign]
    done = withdraw(world.desired, world.rings, OTHER)
    assert done.outcome.exit_status == 1
    assert done.let_go == ()
    world.zone.swap = swap  # type: ignore[method-assign]
    assert len(withdraw(world.desired, world.rings, OTHER).records) == 1


def test_what_was_asked_of_it_is_answered() -> None:
    """An open request would make every run look for ever."""
    world = MailWorld(certificate(), certificate(OTHER, MX, PATH))
    apply(world.desired, world.rings)
    ask_rollover(world.desired, world.rings, OTHER)
    world.desired = replace(world.desired, certificates=world.desired.certificates[:1])
    world.clock.instant += HOUR
    withdraw(world.desired, world.rings, OTHER, wait=True)
    assert all(row.closed_at for row in world.store.snapshot().intents)


def test_a_certificate_that_never_went_live_leaves_nothing() -> None:
    world = left()
    world.store.record([replace(key_of("third.example"), spki_der=b"another key", spki_sha256="ab")])
    done = withdraw(world.desired, world.rings, "third.example")
    assert (done.records, done.let_go, done.outcome.exit_status) == ((), (), 0)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("reached", [True, False])
@pytest.mark.parametrize("what", ["swap", "let_go"])
def test_one_that_was_killed_is_carried_on_by_the_next_run(what: str, *, reached: bool) -> None:
    """Killed just before, or just after, the update was sent or the files were let go; `apply` comes in between."""
    world = left()
    owner = world.zone if what == "swap" else world.host
    real = getattr(owner, what)

    def dies(*arguments: object) -> None:
        if reached:
            real(*arguments)
        raise Killed

    setattr(owner, what, dies)
    with pytest.raises(Killed):
        withdraw(world.desired, world.rings, OTHER, wait=True)
    setattr(owner, what, real)
    assert any(effect.ended_at is None for effect in world.store.snapshot().effects)
    assert apply(world.desired, world.rings).exit_status == 0
    done = withdraw(world.desired, world.rings, OTHER, wait=True)
    assert (done.let_go, done.outcome.exit_status) == ((PATH,), 0)
    facts = world.store.snapshot()
    assert all(effect.ended_at for effect in facts.effects)
    assert world.zone.records[OWNER] == ()
    assert all(row.withdrawn_at for row in facts.own_records if row.owner == OWNER)
    assert world.zone.records[SMTP.owner]
