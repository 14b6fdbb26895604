"""Keys and ready CSRs, run by run: what is adopted, sent, kept, followed and only told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from danelaw.errors import DanelawError, Refused
from danelaw.lifecycle.records import current_key
from danelaw.lifecycle.timeline import Entry
from danelaw.model import Deployment, Hold, ReadyCsr, Step, TakeKey, Wait
from danelaw.pki import csr_builder, csr_subject
from danelaw.run.notes import notes
from danelaw.run.plan import plan
from danelaw.run.runner import Options, apply
from fakes.run_world import HOST, NAME, MailWorld, certificate, key_of
from local_state import leaf_key

DAY = timedelta(days=1)
OTHER = "other.example.org"


def csr(*names: str, key: ec.EllipticCurvePrivateKey | None = None, organization: str = "") -> ReadyCsr:
    """Return a ready CSR over the key of every leaf here, or another one."""
    signer = key or leaf_key()
    request = csr_builder(names or (HOST,), {"organization": organization}).sign(signer, SHA256())
    spki_der = signer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return ReadyCsr("/etc/ssl/a.csr", request.public_bytes(Encoding.DER), spki_der)


def another() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def without_the_key(deployment: Deployment) -> Deployment:
    return replace(deployment, files=tuple(replace(file, parts=("cert", "chain")) for file in deployment.files))


def elsewhere(**fields: object) -> MailWorld:
    """Return a world in which the private key is kept elsewhere."""
    spec = certificate()
    ready = csr()
    deployments = tuple(without_the_key(each) for each in spec.deployments)
    world = MailWorld(replace(spec, csr=ready, deployments=deployments, **fields))  # type: ignore[arg-type]
    world.host.keys[NAME] = replace(key_of(NAME), origin="elsewhere")
    return world


def sent(world: MailWorld) -> list[bytes]:
    return [row.csr_der for row in world.store.snapshot().orders]


def said(world: MailWorld) -> dict[str, str]:
    return {note.code: note.text for note in notes(world.desired, world.store.snapshot(), world.host)}


# --- a ready CSR ------------------------------------------------------------------------------------------------------


def test_a_ready_csr_is_sent_byte_for_byte_and_the_public_half_is_published() -> None:
    world = elsewhere()
    assert apply(world.desired, world.rings).exit_status == 0
    assert world.spec.csr is not None
    assert sent(world) == [world.spec.csr.csr_der]
    key = current_key(world.store.snapshot(), NAME)
    assert key is not None
    assert key.origin == "elsewhere"
    (record,) = world.zone.records[f"_25._tcp.{HOST}."]
    assert record.data.hex() == key.spki_sha256
    assert said(world) == {}


def test_another_csr_over_the_same_key_is_sent_at_the_next_renewal() -> None:
    world = elsewhere()
    apply(world.desired, world.rings)
    again = csr(organization="Example")
    world.change(csr=again)
    world.clock.instant += timedelta(hours=1)
    assert apply(world.desired, world.rings).exit_status == 0
    assert len(sent(world)) == 1
    assert apply(world.desired, world.rings, Options(force_renewal=True)).exit_status == 0
    assert sent(world)[1:] == [again.csr_der]


def test_one_with_another_name_is_sent_at_once() -> None:
    world = elsewhere()
    apply(world.desired, world.rings)
    more = csr(HOST, OTHER)
    world.change(csr=more, names=(HOST, OTHER))
    world.clock.instant += timedelta(hours=1)
    apply(world.desired, world.rings)
    assert sent(world)[1:2] == [more.csr_der]


def test_one_over_another_key_is_told_and_the_last_one_goes_on_being_sent() -> None:
    world = elsewhere()
    apply(world.desired, world.rings)
    (first,) = sent(world)
    world.change(csr=csr(key=another()))
    world.clock.instant += timedelta(hours=1)
    assert apply(world.desired, world.rings, Options(force_renewal=True)).exit_status == 0
    assert sent(world) == [first, first]
    assert any(
        "found a CSR over another key; until then the CSR that was sent last is sent" in e.text for e in world.told
    )
    assert "is over another key now than the one in use" in said(world)["csr-changed"]


def test_one_over_another_key_with_other_names_is_refused_where_none_was_sent_with_them() -> None:
    world = elsewhere()
    apply(world.desired, world.rings)
    world.change(csr=csr(HOST, OTHER, key=another()), names=(HOST, OTHER))
    world.clock.instant += timedelta(hours=1)
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert "found a CSR over another key" in outcome.failed[0]
    assert len(sent(world)) == 1


@pytest.mark.parametrize(
    ("change", "orders"),
    [
        (lambda _: None, 1),
        (lambda world: world.change(csr=csr(organization="Example")), 2),  # other bytes
        (lambda world: world.change(csr=csr(key=another())), 1),  # told, and not followed
        (lambda world: world.change(csr=csr(OTHER), names=(OTHER,)), 2),
    ],
)
def test_an_open_order_is_carried_on_with_the_csr_that_it_was_opened_for(
    change: Callable[[MailWorld], None], orders: int
) -> None:
    world = elsewhere()
    world.solver_fails = [Refused("no such webroot")]
    assert apply(world.desired, world.rings).exit_status == 1
    change(world)
    world.clock.instant += DAY
    apply(world.desired, world.rings)
    assert len(sent(world)) == orders
    first, *others = world.store.snapshot().orders
    if orders > 1:
        assert first.problem == "the key, the names, the subject, the CSR or the CA changed"
        assert world.spec.csr is not None
        assert others[0].csr_der == world.spec.csr.csr_der


@pytest.mark.parametrize(("subject", "orders"), [({}, 1), ({"organization": " "}, 1), ({"organization": "Example"}, 2)])
def test_an_open_order_is_not_carried_on_with_another_subject(subject: dict[str, str], orders: int) -> None:
    world = MailWorld()
    world.solver_fails = [Refused("no such webroot")]
    apply(world.desired, world.rings)
    world.change(subject=subject)
    world.clock.instant += DAY
    assert apply(world.desired, world.rings).exit_status == 0
    assert len(sent(world)) == orders
    assert csr_subject(sent(world)[-1]) == {name: text for name, text in subject.items() if text.strip()}


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_that_was_elsewhere_is_taken_once_it_is_named() -> None:
    world = elsewhere()
    apply(world.desired, world.rings)
    world.change(key="/etc/ssl/live.key")
    world.host.keys[NAME] = key_of(NAME)
    world.clock.instant += timedelta(hours=1)
    (entry,) = [entry for entry in plan(world.desired, world.rings) if isinstance(entry.what, TakeKey)]
    assert entry.what == TakeKey(NAME, "/etc/ssl/live.key", "adopt /etc/ssl/live.key")
    outcome = apply(world.desired, world.rings)
    assert (outcome.exit_status, [type(step) for step in outcome.steps]) == (0, [TakeKey])
    (key,) = world.store.snapshot().keys
    assert key.origin == "made"  # as the fake calls every key of its own


def test_another_key_in_its_place_is_a_change_of_key_and_refused() -> None:
    world = elsewhere()
    apply(world.desired, world.rings)
    before = world.store.snapshot().keys
    world.change(key="/etc/ssl/live.key")
    world.host.keys[NAME] = replace(key_of(NAME), spki_sha256="ab" * 32, spki_der=b"another")
    world.clock.instant += timedelta(hours=1)
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert "/etc/ssl/live.key: found another key than the one in use" in outcome.failed[0]
    assert world.store.snapshot().keys == before


def test_a_key_that_is_refused_is_a_hold_in_the_plan_and_a_failure_of_a_run() -> None:
    world = MailWorld(certificate(), certificate("example.net", "mail.example.net", "/etc/ssl/net.pem"))
    world.change(key="/etc/ssl/live.key")
    world.host.keys[NAME] = Refused("/etc/ssl/live.key: found a certificate; expected one private key")
    entries = plan(world.desired, world.rings)
    why = "/etc/ssl/live.key: found a certificate; expected one private key"
    assert Hold("key", NAME, why, "mend that, then run apply") in [entry.what for entry in entries]
    assert steps_of(entries, NAME) == []
    assert TakeKey("example.net", None, "make a p256 key") in steps_of(entries, "example.net")
    assert world.store.snapshot().effects == ()
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    assert outcome.failed == (why,)
    world.host.keys[NAME] = key_of(NAME)
    world.clock.instant += DAY
    assert not any(isinstance(entry.what, Hold) for entry in plan(world.desired, world.rings))
    assert apply(world.desired, world.rings).exit_status == 0


def steps_of(entries: list[Entry], name: str) -> list[Step]:
    steps = [entry.what for entry in entries if not isinstance(entry.what, Wait | Hold)]
    return [step for step in steps if getattr(step, "certificate", None) == name]


def test_a_key_file_that_is_refused_later_is_told_and_the_copy_goes_on_being_used() -> None:
    world = MailWorld()
    world.change(key="/etc/ssl/live.key")
    apply(world.desired, world.rings)
    assert said(world) == {}
    error: DanelawError = Refused("/etc/ssl/live.key: found a key that the password in key_password_file does not open")
    world.host.keys[NAME] = error
    assert said(world) == {"key-file": f"{error}; the adopted copy goes on being used"}
    assert apply(world.desired, world.rings).exit_status == 0


def test_one_key_from_two_files_is_told() -> None:
    second = certificate("example.net", "mail.example.net", "/etc/ssl/net.pem")
    world = MailWorld(replace(certificate(), key="/a.key"), replace(second, key="/b.key"))
    apply(world.desired, world.rings)
    assert "revoking either for keyCompromise revokes both" in said(world)["key-shared"]
    world.desired = replace(world.desired, certificates=(world.spec, replace(second, key="/a.key")))
    assert said(world) == {}  # of one file the config's own warning speaks
