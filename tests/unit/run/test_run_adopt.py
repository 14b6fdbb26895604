"""What is live is the truth once a person says so: another key at the deployed paths, another machine's state."""

from dataclasses import replace
from datetime import timedelta

import pytest

from danelaw.errors import InputError, Refused, StateCorrupt
from danelaw.lifecycle.keys import current_key
from danelaw.model import KeyFact, Signer
from danelaw.run.adopt import adopt, other_machine
from danelaw.run.intents import ask_rollover
from danelaw.run.notes import notes
from danelaw.run.plan import plan
from danelaw.run.runner import Options, apply
from danelaw.run.status import status
from fakes.run_world import HOST, NAME, SMTP, Machine, MailWorld, certificate
from local_state import chain_of

HOUR = timedelta(hours=1)
PATH = "/etc/ssl/mail.pem"


def deployed() -> MailWorld:
    world = MailWorld()
    assert apply(world.desired, world.rings).exit_status == 0
    world.clock.instant += 3 * HOUR
    return world


def replaced(world: MailWorld, *, presented: bool = True) -> KeyFact:
    """Let somebody put another key with its certificate at the deployed path; return that key."""
    stranger = Machine(world.clock.now).take_next_key(replace(world.spec, key_type="p256"), ())
    world.host.disk[world.deployment.id] = {PATH: "theirs"}
    world.host.keys[NAME] = replace(stranger, origin="adopted")
    if presented:
        world.host.live_chains[HOST] = chain_of.__wrapped__(HOST, stranger.spki_der)
    return stranger


def test_the_key_and_the_certificate_at_the_deployed_path_become_the_current_ones() -> None:
    world = deployed()
    old = current_key(world.store.snapshot(), NAME)
    stranger = replaced(world)
    live = world.host.live_chains[HOST]
    done = adopt(world.desired, world.rings, NAME)
    assert done.key is not None
    assert (done.key.spki_sha256, done.chain, done.moved) == (stranger.spki_sha256, live, ())
    facts = world.store.snapshot()
    current = current_key(facts, NAME)
    assert current is not None
    assert (current.spki_sha256, current.origin) == (stranger.spki_sha256, "adopted")
    assert live in [row.chain for row in facts.chains]
    assert old in facts.keys
    effect = facts.effects[-1]
    assert (effect.kind, effect.subject, effect.outcome) == ("adopt", NAME, "done")
    # What follows is the core's: its record beside the old one, and a generation of ours with the same content.
    apply(world.desired, world.rings)
    assert stranger.spki_sha256 in {record.data.hex() for record in world.zone.records[SMTP.owner]}
    assert world.host.live_chains[HOST] == live


def test_where_nothing_differs_there_is_nothing_to_adopt() -> None:
    world = deployed()
    before = world.store.snapshot()
    done = adopt(world.desired, world.rings, NAME)
    assert (done.key, done.chain, done.moved) == (None, None, ())
    assert world.store.snapshot().keys == before.keys
    assert world.store.snapshot().effects == before.effects


def test_files_that_changed_over_the_same_key_are_none_either() -> None:
    world = deployed()
    world.host.disk[world.deployment.id] = {PATH: "theirs"}
    assert adopt(world.desired, world.rings, NAME).key is None


def test_a_key_that_nothing_presents_yet_is_refused() -> None:
    world = deployed()
    replaced(world, presented=False)
    with pytest.raises(
        Refused, match="no service here presents a certificate over it; reload what reads it, then adopt"
    ):
        adopt(world.desired, world.rings, NAME)
    assert len(world.store.snapshot().keys) == 1


def test_a_compromised_key_is_no_truth() -> None:
    world = deployed()
    stranger = replaced(world)
    world.store.record([replace(stranger, compromised_at=world.clock.now())])
    with pytest.raises(Refused, match="holds a key that is compromised"):
        adopt(world.desired, world.rings, NAME)
    assert world.store.snapshot().effects[-1].outcome == "failed"


def test_deployments_that_hold_different_keys_are_refused() -> None:
    spec = certificate()
    first = spec.deployments[0]
    second = replace(first, files=(replace(first.files[0], path="/etc/ssl/two.pem"),))
    world = MailWorld(replace(spec, deployments=(first, second)))
    apply(world.desired, world.rings)
    world.clock.instant += HOUR
    one, two = (Machine(world.clock.now).take_next_key(replace(spec, key_type="p256"), ()) for _ in range(2))
    world.host.disk = {first.id: {PATH: "theirs"}, second.id: {"/etc/ssl/two.pem": "theirs"}}
    found = iter((one, two))
    world.host.peek_key = lambda _: next(found)  # type: ignore[assignment,method-assign]
    with pytest.raises(Refused, match="hold different keys"):
        adopt(world.desired, world.rings, NAME)


def test_an_unknown_name_is_bad_usage() -> None:
    with pytest.raises(InputError, match="the config has example"):
        adopt(deployed().desired, deployed().rings, "nobody")


# --- another machine --------------------------------------------------------------------------------------------------


def test_a_state_that_another_machine_wrote_is_on_hold_until_it_is_adopted() -> None:
    world = deployed()
    here = replace(world.rings, host_id="new")
    (hold,) = other_machine(world.desired, world.store.snapshot(), "new")
    assert (hold.code, hold.subject, hold.remedy) == (
        "other-machine",
        NAME,
        "stop danelaw there, then run danelaw adopt example.org here",
    )
    outcome = apply(world.desired, here)
    assert (outcome.steps, outcome.exit_status, outcome.rest.holds) == ((), 1, (hold,))
    assert [entry.what for entry in plan(world.desired, here)] == [hold]
    state = status(world.desired, world.store.snapshot(), world.clock.now(), (), "new")
    assert [each["hold"] for each in state["holds"]] == ["other-machine"]
    assert state["due"] == state["waits"] == []
    done = adopt(world.desired, here, NAME)
    assert [key.host for key in done.moved] == ["new"]
    assert done.key is None
    assert apply(world.desired, here).exit_status == 0
    assert apply(world.desired, replace(here, host_id="h")).exit_status == 1  # the twin is on hold from now on


def test_what_another_machine_owes_is_not_done_here() -> None:
    """Its open revocation, say: a person has not said yet whose state this is."""
    world = deployed()
    (row,) = world.store.snapshot().chains
    detail = f'{{"certificate": "{NAME}", "leaf_sha256": "{row.chain.leaf_sha256}", "reason": 4}}'
    world.store.begin("revoke", NAME, detail, world.clock.now())
    here = replace(world.rings, host_id="new")
    apply(world.desired, here)
    assert world.ca.revoked == []
    adopt(world.desired, here, NAME)
    apply(world.desired, here)
    assert world.ca.revoked == [(row.chain.leaf_der, 4)]


def test_the_machine_that_wrote_it_is_not_held_up() -> None:
    world = deployed()
    assert other_machine(world.desired, world.store.snapshot(), "h") == ()
    assert other_machine(world.desired, world.store.snapshot(), "") == ()
    assert apply(world.desired, replace(world.rings, host_id="h")).exit_status == 0


class Robbed(Machine):
    def sign(self, key: KeyFact) -> Signer:
        raise StateCorrupt(f"{key.path}: the key is gone; restore it from a backup")


def test_a_state_whose_keys_are_not_here_is_not_adopted() -> None:
    world = deployed()
    world.host = Robbed(world.clock.now)
    world.host.live_chain = chain_of(HOST)
    with pytest.raises(Refused, match="the key is gone; restore it from a backup; copy it here with the rest"):
        adopt(world.desired, replace(world.rings, host_id="new"), NAME)
    assert world.store.snapshot().keys[0].host == "h"


def test_keys_that_are_nowhere_here_hold_nothing_up() -> None:
    world = deployed()
    (key,) = world.store.snapshot().keys
    world.store.record([replace(key, origin="elsewhere")])
    assert other_machine(world.desired, world.store.snapshot(), "new") == ()
    assert notes(world.desired, world.store.snapshot(), world.host) == ()


def test_a_key_that_was_replaced_is_the_current_one_again_where_it_is_live() -> None:
    """Somebody restored the files of before the rollover, and wants it so."""
    world = deployed()
    world.ca.anew = True
    old, before = current_key(world.store.snapshot(), NAME), world.host.live_chains[HOST]
    assert old is not None
    ask_rollover(world.desired, world.rings, NAME)
    for _ in range(2):
        apply(world.desired, world.rings)
        world.clock.instant += 3 * HOUR
    assert current_key(world.store.snapshot(), NAME) != old
    world.host.disk[world.deployment.id] = {PATH: "theirs"}
    world.host.keys[NAME] = replace(old, origin="adopted")
    world.host.live_chains[HOST] = before
    done = adopt(world.desired, world.rings, NAME)
    assert done.key is not None
    assert done.key.spki_sha256 == old.spki_sha256
    assert current_key(world.store.snapshot(), NAME) == done.key
    assert len(world.store.snapshot().keys) == 2
    outcome = apply(world.desired, world.rings, Options(retry_now=True))
    assert (outcome.exit_status, outcome.failed) == (0, ())
    assert old.spki_sha256 in {record.data.hex() for record in world.zone.records[SMTP.owner]}
