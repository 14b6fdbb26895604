"""What is asked for: rollovers, their cancellation, revocations of what is live; and each refusal, with its reason."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from chains import three
from danelaw import dane
from danelaw.errors import DanelawError, InputError, LeaseHeld, Refused
from danelaw.lifecycle.keys import current_key, next_key
from danelaw.model import (
    Activate,
    ChainFact,
    Endpoint,
    Facts,
    KeyFact,
    Obtain,
    Promote,
    ReadyCsr,
    RecordSpec,
    Revoke,
    Service,
    TlsaRecord,
)
from danelaw.pki import chain_from_der
from danelaw.run.intents import ask_rollover, cancel_rollover, outage_cost
from danelaw.run.key_states import keys_json, phase, rollover_json
from danelaw.run.revocation import request_revocation
from danelaw.run.revoke import finish, replayable_until, revoke_now, row_of
from danelaw.run.runner import Options, apply
from danelaw.store import SqliteStore
from fakes.run_world import IMAPS, NAME, RELOAD, SMTP, MailWorld, certificate
from local_state import chain_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OTHER = "other.example"


def world(**fields: object) -> MailWorld:
    made = MailWorld()
    made.ca.anew = True
    made.change(**fields)
    assert apply(made.desired, made.rings).exit_status == 0
    made.clock.instant += 3 * HOUR
    return made


def run(made: MailWorld, after: timedelta = timedelta(0)) -> list[type]:
    made.clock.instant += after
    return [type(step) for step in apply(made.desired, made.rings).steps]


def current(made: MailWorld) -> KeyFact:
    key = current_key(made.store.snapshot(), NAME)
    assert key is not None
    return key


def where(made: MailWorld) -> str:
    return phase(made.desired, made.store.snapshot(), made.spec, made.clock.now())


# --- asking for a rollover --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "options", "error", "words"),
    [
        (lambda _: None, {"name": "exampl.org"}, InputError, "no certificate is called 'exampl.org'; the config has"),
        (lambda _: None, {"accept_outage": True}, InputError, "--accept-outage goes with --emergency alone"),
        (
            lambda made: made.change(csr=ReadyCsr("/a.csr", b"", b"")),
            {},
            Refused,
            "/a.csr is over one key, and a rollover needs another; take csr out of the config first",
        ),
        (lambda made: ask_rollover(made.desired, made.rings, NAME), {}, Refused, "--emergency makes it urgent"),
        (
            lambda made: ask_rollover(made.desired, made.rings, NAME, emergency=True),
            {},
            Refused,
            "a rollover of example.org is in course, asked for at 2026-",
        ),
        (
            lambda made: ask_rollover(made.desired, made.rings, NAME, emergency=True),
            {"emergency": True},
            Refused,
            "--cancel takes it back",
        ),
        (lambda made: made.change(rollover=HOUR), {}, Refused, "is in course: its key is current for"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_the_reason(
    prepare: Callable[[MailWorld], object], options: dict[str, object], error: type[DanelawError], words: str
) -> None:
    made = world()
    prepare(made)
    before = made.store.snapshot().intents
    with pytest.raises(error) as caught:
        ask_rollover(made.desired, made.rings, **({"name": NAME} | options))  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert made.store.snapshot().intents == before


def test_without_a_key_there_is_nothing_to_replace() -> None:
    made = MailWorld()
    with pytest.raises(Refused, match="has no key yet, so there is none to replace; run danelaw apply first"):
        ask_rollover(made.desired, made.rings, NAME)


@pytest.mark.parametrize("options", [{}, {"emergency": True}, {"emergency": True, "accept_outage": True}], ids="-".join)
def test_a_rollover_in_course_is_made_more_urgent(options: dict[str, bool]) -> None:
    made = world(rollover=HOUR) if options else world()
    made.store.record([])
    first = ask_rollover(made.desired, made.rings, NAME, **options)  # type: ignore[arg-type]
    assert first.options == tuple(option.replace("_", "-") for option in options)
    if not options.get("accept_outage"):
        more = ask_rollover(made.desired, made.rings, NAME, emergency=True, accept_outage=True)
        assert more.asked_at > first.asked_at
    assert all(row.closed_at is None for row in made.store.snapshot().intents)
    for pause in (timedelta(0), 3 * HOUR):
        run(made, pause)
    assert all(row.closed_at for row in made.store.snapshot().intents)  # answered together


def test_it_needs_no_lease() -> None:
    made = world()
    with made.store.lease(NAME):
        other = SqliteStore(":memory:", made.clock, "h")  # the lease is of the other store's; a row is a row
        other.close()
        ask_rollover(made.desired, made.rings, NAME)
    assert len(made.store.snapshot().intents) == 1


# --- taking it back ---------------------------------------------------------------------------------------------------


def test_a_rollover_is_taken_back_before_it_went_live() -> None:
    made = world()
    key = current(made)
    asked = ask_rollover(made.desired, made.rings, NAME)
    run(made)
    assert where(made) == "ripening"
    taken = cancel_rollover(made.desired, made.rings, NAME)
    assert [row.asked_at for row in taken.intents] == [asked.asked_at]
    assert taken.still is None
    run(made)
    assert {record.data.hex() for record in made.zone.records[SMTP.owner]} == {key.spki_sha256}
    assert run(made, 4 * HOUR) == []
    assert current(made) == key
    assert where(made) == "steady"


def test_one_that_is_half_live_goes_back() -> None:
    spec, reload = certificate(), ("systemctl", "reload", "dovecot")
    imaps = replace(
        spec.deployments[0],
        files=(replace(spec.deployments[0].files[0], path="/etc/ssl/two.pem"),),
        endpoints=(IMAPS,),
        services=(Service("", None, reload),),
    )
    made = MailWorld(replace(spec, deployments=(*spec.deployments, imaps)))
    made.ca.anew = True
    apply(made.desired, made.rings)
    made.clock.instant += 3 * HOUR
    key = current(made)
    ask_rollover(made.desired, made.rings, NAME)
    run(made)
    made.host.failing = {reload}
    run(made, 3 * HOUR)
    assert current(made) == key
    assert {live(made, SMTP), live(made, IMAPS)} == {key.spki_sha256, newest(made).spki_sha256}
    cancel_rollover(made.desired, made.rings, NAME)
    made.host.failing = set()
    for _ in range(3):
        run(made, DAY)
    assert current(made) == key
    assert {live(made, SMTP), live(made, IMAPS)} == {key.spki_sha256}
    assert {record.data.hex() for record in made.zone.records[SMTP.owner]} == {key.spki_sha256}


def live(made: MailWorld, endpoint: Endpoint) -> str:
    chain = made.host.live_chains[endpoint.host]
    assert chain is not None
    return chain.spki_sha256


def newest(made: MailWorld) -> KeyFact:
    return max(made.store.snapshot().keys, key=lambda key: key.made_at)


def _rolled(made: MailWorld) -> None:
    ask_rollover(made.desired, made.rings, NAME)
    run(made)
    run(made, 3 * HOUR)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda _: None, "no rollover of example.org is in course, so there is nothing to cancel"),
        (_rolled, "too late to cancel: the next key of example.org is its current one since 2026-03-01"),
        (lambda made: made.change(rollover=HOUR), "nobody asked for the rollover of example.org"),
    ],
)
def test_what_cannot_be_taken_back_is_refused(prepare: Callable[[MailWorld], object], words: str) -> None:
    made = world()
    prepare(made)
    with pytest.raises(Refused) as caught:
        cancel_rollover(made.desired, made.rings, NAME)
    assert words in str(caught.value)
    with pytest.raises(InputError):
        cancel_rollover(made.desired, made.rings, "exampl.org")


def test_what_the_schedule_asks_for_too_goes_on() -> None:
    made = world(rollover=HOUR)
    ask_rollover(made.desired, made.rings, NAME, emergency=True)
    assert "its key is current for" in str(cancel_rollover(made.desired, made.rings, NAME).still)


# --- an accepted outage -----------------------------------------------------------------------------------------------


def test_an_accepted_outage_says_its_cost_and_is_stored_with_the_step_that_goes_past_caches() -> None:
    made = world()
    key = current(made)
    (cost,) = outage_cost(made.desired, made.store.snapshot(), NAME, made.clock.now())
    assert (cost.owner, [record.data.hex() for record in cost.records]) == (SMTP.owner, [key.spki_sha256])
    assert cost.until - made.clock.instant > 2 * HOUR - timedelta(minutes=1)  # a server serves it still
    ask_rollover(made.desired, made.rings, NAME, emergency=True, accept_outage=True)
    made.clock.instant += timedelta(seconds=1)
    assert Promote in run(made)
    (effect,) = [row for row in made.store.snapshot().effects if "accepted_outage" in row.detail]
    assert effect.kind == "activate"
    assert "caches may hold it 7200 s longer" in effect.detail


def test_where_the_next_key_is_ripe_there_is_no_cost() -> None:
    made = world(next_key=True)
    assert outage_cost(made.desired, made.store.snapshot(), NAME, made.clock.now()) == ()
    ask_rollover(made.desired, made.rings, NAME, emergency=True, accept_outage=True)
    assert Promote in run(made)
    assert not any("accepted_outage" in row.detail for row in made.store.snapshot().effects)


def test_without_it_an_emergency_waits_for_caches() -> None:
    made = world()
    ask_rollover(made.desired, made.rings, NAME, emergency=True)
    assert Activate not in run(made)
    assert Promote in run(made, 3 * HOUR)


# --- revocation -------------------------------------------------------------------------------------------------------


def test_one_that_is_live_is_renewed_over_its_key_and_then_revoked_before_it_returns() -> None:
    made = world()
    old, key = made.host.live_chains[SMTP.host], current(made)
    assert old is not None
    done = request_revocation(made.desired, made.rings, NAME, None, "superseded")
    assert (done.is_revoked, done.was_live, done.exit_status) == (True, True, 0)
    assert done.outcome is not None
    steps = [type(step) for step in done.outcome.steps]
    assert steps[0] is Obtain
    assert steps[-1] is Revoke
    assert made.ca.revoked == [(old.leaf_der, 4)]
    assert made.ca.signed_by == [None]
    assert current(made) == key
    assert made.host.live_chains[SMTP.host] != old
    facts = made.store.snapshot()
    (row,) = [row for row in facts.chains if row.revoked_at]
    assert (row.chain, row.reason) == (old, 4)
    assert all(intent.closed_at for intent in facts.intents)
    assert (done.others, done.replayable_until) == ((), None)


def test_key_compromise_of_a_live_one_rolls_over_first_and_is_signed_by_its_own_key() -> None:
    made = world()
    old, key = made.host.live_chains[SMTP.host], current(made)
    assert old is not None
    first = request_revocation(made.desired, made.rings, NAME, None, "keyCompromise")
    assert (first.is_revoked, first.exit_status) == (False, 0)  # caches are waited for, and that is told
    assert first.outcome is not None
    assert "cached" in {wait.code for wait in first.outcome.rest.waits}
    assert current(made).compromised_at is not None
    assert made.ca.revoked == []
    later = run(made, 3 * HOUR)
    assert later.index(Promote) < later.index(Revoke)
    assert made.ca.revoked == [(old.leaf_der, 1)]
    assert made.ca.signed_by == [key.spki_der]
    assert current(made).spki_sha256 != key.spki_sha256


def test_with_the_next_key_ready_it_is_revoked_before_it_returns() -> None:
    made = world(next_key=True)
    old = made.host.live_chains[SMTP.host]
    assert old is not None
    done = request_revocation(made.desired, made.rings, NAME, None, "keyCompromise")
    assert (done.is_revoked, done.exit_status) == (True, 0)
    assert made.ca.revoked == [(old.leaf_der, 1)]


def test_every_other_certificate_over_a_leaked_key_is_listed() -> None:
    made = world()
    apply(made.desired, made.rings, Options(force_renewal=True))
    first, second = made.store.snapshot().chains
    done = request_revocation(made.desired, made.rings, NAME, None, "keyCompromise")
    assert done.chain == second.chain
    assert [row.chain for row in done.others] == [first.chain]
    harmless = world()
    apply(harmless.desired, harmless.rings, Options(force_renewal=True))
    assert request_revocation(harmless.desired, harmless.rings, NAME, None, "superseded").others == ()


def test_until_when_a_record_can_be_replayed_is_the_last_end_of_a_signature_over_it() -> None:
    made = world()
    chain = made.store.snapshot().chains[0].chain
    facts = made.store.snapshot()
    seen = [row for row in facts.rrsets if row.rdatas]
    stranger = TlsaRecord(3, 1, 1, b"\1" * 32)

    def until(*rows: tuple[tuple[TlsaRecord, ...], datetime | None]) -> datetime | None:
        made_up = tuple(replace(seen[0], rdatas=rdatas, rrsig_expires=ends) for rdatas, ends in rows)
        return replayable_until(replace(facts, rrsets=made_up), chain)

    key, now = seen[0].rdatas, made.clock.now()
    assert until((key, now + DAY), ((stranger, *key), now + 2 * DAY), ((stranger,), now + 3 * DAY)) == now + 2 * DAY
    assert until((key, None), ((), now + DAY)) is None


def test_a_record_of_the_ca_is_of_no_leaked_key() -> None:
    leaf, above, root = three()
    chain = chain_from_der([leaf.der, above.der, root.der])
    ours, its_ca = (dane.tlsa_record(RecordSpec(usage, 1, 1), chain) for usage in (3, 2))
    assert dane.matches(its_ca, chain)
    made = world()
    seen = next(row for row in made.store.snapshot().rrsets if row.rdatas)
    ends = made.clock.now() + DAY

    def until(*rdatas: TlsaRecord) -> datetime | None:
        return replayable_until(Facts(rrsets=(replace(seen, rdatas=rdatas, rrsig_expires=ends),)), chain)

    assert (until(its_ca), until(ours), until(ours, its_ca)) == (None, ends, ends)


def test_an_old_one_over_the_key_in_use_leads_to_a_rollover_too() -> None:
    """The key leaked, wherever that was found out."""
    made = world()
    apply(made.desired, made.rings, Options(force_renewal=True))
    old = made.store.snapshot().chains[0].chain
    done = request_revocation(made.desired, made.rings, None, old, "keyCompromise")
    assert (done.is_revoked, done.was_live) == (False, False)
    assert current(made).compromised_at is not None


def test_one_that_nothing_presents_is_revoked_at_once_and_nothing_else_happens() -> None:
    made = world()
    apply(made.desired, made.rings, Options(force_renewal=True))
    old = made.store.snapshot().chains[0].chain
    done = request_revocation(made.desired, made.rings, None, old, "unspecified")
    assert (done.is_revoked, done.was_live, done.outcome) == (True, False, None)
    assert made.ca.revoked == [(old.leaf_der, 0)]
    assert made.store.snapshot().intents[-1].kind == "renew"
    with pytest.raises(InputError, match="was revoked already"):
        request_revocation(made.desired, made.rings, None, old, "unspecified")


def test_a_name_means_what_is_live_and_not_what_waits_to_go_live() -> None:
    made = world()
    live = made.store.snapshot().chains[0].chain
    staged = chain_of(made.spec.names[0], current(made).spki_der)
    made.store.record([ChainFact(NAME, staged, "ca", made.clock.now())])
    assert row_of(made.desired, made.store.snapshot(), NAME, None).chain == live
    apply(made.desired, made.rings)
    assert row_of(made.desired, made.store.snapshot(), NAME, None).chain == staged


def test_yes_revokes_what_is_live_at_once_and_its_renewal_is_due() -> None:
    made = world()
    old = made.host.live_chains[SMTP.host]
    assert old is not None
    done = request_revocation(made.desired, made.rings, NAME, None, "superseded", yes=True)
    assert (done.is_revoked, done.was_live, done.outcome) == (True, True, None)
    assert made.ca.revoked == [(old.leaf_der, 4)]
    assert Obtain in run(made)


def test_somebody_elses_certificate_over_the_key_in_use_is_no_reason_to_block_it() -> None:
    made = world()
    stranger = chain_of.__wrapped__("else.example")  # over the key of every leaf here
    with pytest.raises(Refused, match=r"go over to another one first: danelaw rollover example.org --emergency"):
        request_revocation(made.desired, made.rings, None, stranger, "keyCompromise")
    assert current(made).compromised_at is None
    assert request_revocation(made.desired, made.rings, None, stranger, "superseded").is_revoked


def test_a_certificate_of_what_left_the_config_is_not_replaced() -> None:
    made = MailWorld(certificate(), certificate(OTHER, "mx.other.example", "/etc/ssl/other.pem"))
    apply(made.desired, made.rings)
    both, made.desired = made.desired, replace(made.desired, certificates=made.desired.certificates[:1])
    with pytest.raises(Refused, match=r"is live at mx.other.example:25"):
        request_revocation(made.desired, made.rings, OTHER, None, "cessationOfOperation")
    done = request_revocation(made.desired, made.rings, OTHER, None, "cessationOfOperation", yes=True)
    assert done.is_revoked
    assert done.outcome is None
    with pytest.raises(InputError, match=r"it has those of: example.org, other.example"):
        request_revocation(both, made.rings, "nobody", None, "superseded")


def test_a_run_that_is_at_work_finds_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = world()

    class Busy(SqliteStore):
        def lease(self, component: str) -> None:  # type: ignore[override]
            raise LeaseHeld(f"{component} is held by another run")

    monkeypatch.setattr(made.store, "__class__", Busy)
    with pytest.raises(LeaseHeld, match="it is asked for, and done by the next run that has the lease"):
        request_revocation(made.desired, made.rings, NAME, None, "superseded")
    assert {row.kind for row in made.store.snapshot().intents} == {"revoke", "renew"}
    with pytest.raises(LeaseHeld, match=r"^example.org is held by another run$"):
        request_revocation(made.desired, made.rings, NAME, None, "superseded", yes=True)


def test_a_ca_that_left_the_config_is_named() -> None:
    made = world()
    rings = replace(made.rings, authorities={})
    with pytest.raises(Refused, match="its CA 'ca' is not in the config any more; put its"):
        revoke_now(made.desired, rings, NAME, None, "superseded", yes=True)
    assert made.store.snapshot().effects[-1].outcome == "failed"


def test_a_revocation_that_was_interrupted_is_signed_by_the_same_key() -> None:
    made = world()
    (row,) = made.store.snapshot().chains
    made.store.record([replace(current(made), compromised_at=made.clock.now())])
    detail = f'{{"certificate": "{NAME}", "leaf_sha256": "{row.chain.leaf_sha256}", "reason": 1}}'
    made.store.begin("revoke", NAME, detail, made.clock.now())
    facts = made.store.snapshot()
    finish(made.rings, facts, facts.effects[-1])
    assert made.ca.signed_by == [current(made).spki_der]
    assert made.store.snapshot().chains[0].revoked_at is not None


# --- what status says of it -------------------------------------------------------------------------------------------


def test_status_says_how_each_key_stands_and_where_the_rollover_is() -> None:
    made = world(rollover=30 * DAY)
    facts = made.store.snapshot()
    (only,) = keys_json(made.desired, facts, made.spec, made.clock.now())
    assert (only["state"], only["compromised_at"]) == ("current", None)
    steady = rollover_json(made.desired, facts, made.spec, made.clock.now())
    assert (steady["phase"], steady["next"]) == ("steady", "2026-03-31T12:00:00Z")
    ask_rollover(made.desired, made.rings, NAME)
    assert where(made) == "publishing"
    run(made)
    facts = made.store.snapshot()
    _, coming = keys_json(made.desired, facts, made.spec, made.clock.now())
    assert (coming["published_at"], coming["ripe_at"]) == ("2026-03-01T15:00:00Z", "2026-03-01T17:00:00Z")
    ripening = rollover_json(made.desired, facts, made.spec, made.clock.now())
    assert (ripening["phase"], ripening["next"]) == ("ripening", "2026-03-01T17:00:00Z")
    assert ripening["why"] == "a rollover was asked for by danelaw rollover"
    made.clock.instant += 3 * HOUR
    assert where(made) == "ordering"
    made.host.failing = {(*RELOAD, NAME)}
    apply(made.desired, made.rings)
    assert where(made) == "cutover"
    made.host.failing = set()
    run(made, DAY)
    assert where(made) == "settling"
    run(made, DAY + HOUR)
    assert where(made) == "retiring"
    facts = made.store.snapshot()
    new, old = keys_json(made.desired, facts, made.spec, made.clock.now())
    assert (new["state"], old["state"]) == ("current", "retired")
    assert old["needed_until"] is not None
    assert next_key(facts, made.spec) is None


def test_a_leaked_key_that_cannot_be_replaced_is_a_hold_and_revoked_by_the_account_with_yes() -> None:
    made = world()
    ready = ReadyCsr("/a.csr", b"", current(made).spki_der)
    made.store.record([replace(current(made), origin="elsewhere")])
    made.change(csr=ready)
    done = request_revocation(made.desired, made.rings, NAME, None, "keyCompromise")
    assert (done.is_revoked, done.exit_status) == (False, 1)
    assert done.outcome is not None
    assert "no-rollover" in {hold.code for hold in done.outcome.rest.holds}
    assert request_revocation(made.desired, made.rings, NAME, None, "keyCompromise", yes=True).is_revoked
    assert made.ca.signed_by == [None]  # its private half is not here
    assert all(intent.closed_at for intent in made.store.snapshot().intents if intent.kind == "revoke")
