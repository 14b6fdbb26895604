"""The proof of a deployment: no endpoint is left out silently."""

from dataclasses import replace
from datetime import timedelta

from danelaw.model import Deployment, Endpoint
from danelaw.run.look import look
from danelaw.run.prove import HANDSHAKES, prove
from fakes.run_world import ADDRESS, HOST, IMAPS, SMTP, Look, MailWorld
from local_state import chain_of

CHAIN = chain_of(HOST)


def proof(world: MailWorld, *endpoints: Endpoint) -> tuple[str, str | None]:
    """Return the evidence and the failure of a proof of these endpoints, in a world that presents the chain."""
    world.host.live_chain = CHAIN
    deployment: Deployment = replace(world.deployment, endpoints=endpoints)
    _, evidence, failure = prove(world.desired, world.rings, deployment, CHAIN)
    return evidence, failure


def test_every_endpoint_is_proven() -> None:
    world = MailWorld()
    evidence, failure = proof(world, SMTP, IMAPS)
    assert failure is None
    assert f"{HOST}:25 at {ADDRESS}" in evidence
    assert f"imap.example.org:993 at {ADDRESS}" in evidence
    assert "[connect]" not in evidence
    assert {request.handshakes for request in world.services.asked} == {HANDSHAKES}


def test_a_server_that_took_fewer_at_once_is_said() -> None:
    world = MailWorld()
    assert "no more at once" not in proof(world, SMTP, IMAPS)[0]
    world.services.at_once = 4
    assert f"; no more at once than 4 at {SMTP}, 4 at {IMAPS}" in proof(world, SMTP, IMAPS)[0]


def test_an_algorithm_that_is_not_offered_is_said_with_what_the_service_may_lack() -> None:
    world = MailWorld()
    world.services.presents = lambda _: replace(CHAIN, algorithm="rsa")
    _, failure = proof(world, SMTP)
    assert failure is not None
    assert f"{SMTP} at {ADDRESS} offers no ecdsa certificate" in failure
    assert "/etc/ssl/mail.pem" in failure


def test_a_look_up_that_fails_fails_the_proof_in_words() -> None:
    world = MailWorld()
    world.zone.hosts[IMAPS.host] = ((), "bogus", "the signature expired")
    _, failure = proof(world, SMTP, IMAPS)
    assert failure is not None
    assert str(IMAPS) in failure
    assert "the signature expired" in failure
    assert str(SMTP) not in failure


def test_a_look_up_that_fails_leaves_the_addresses_that_it_had_last() -> None:
    """The service is proven there, and DNS's trouble does not bring the old certificate back."""
    world = MailWorld()
    world.host.live_chain = CHAIN
    look(world.desired, world.rings)
    world.zone.hosts[HOST] = ((), "indeterminate", "no answer")
    evidence, failure = proof(world, SMTP)
    assert failure is None
    assert f"{HOST}:25 at {ADDRESS}" in evidence
    assert f"at the addresses of an earlier look: {SMTP}: DNS: the addresses of {HOST} cannot be looked up" in evidence


def test_a_look_up_that_fails_for_a_moment_does_not() -> None:
    world = MailWorld()
    began = world.clock.now()

    def addresses(host: str) -> Look:
        late = world.clock.now() - began > timedelta(seconds=2)
        return ((ADDRESS,), "secure", "") if late or host == HOST else ((), "indeterminate", "no answer")

    world.zone.addresses = addresses  # type: ignore[method-assign]
    _, failure = proof(world, SMTP, IMAPS)
    assert failure is None


def test_an_endpoint_of_another_host_is_named() -> None:
    world = MailWorld()
    world.zone.hosts[IMAPS.host] = (("198.51.100.7",), "secure", "")
    _, failure = proof(world, SMTP, IMAPS)
    assert failure is not None
    assert f"{IMAPS} (198.51.100.7)" in failure
    assert str(SMTP) not in failure
    assert world.services.asked == []


def test_an_address_that_an_interface_has_is_proven_unless_addresses_leaves_it_out() -> None:
    third = "192.0.2.26"
    world = MailWorld()
    world.host.own |= {third}
    world.zone.hosts[HOST] = ((ADDRESS, third), "secure", "")
    world.services.silent.add(third)
    _, failure = proof(world, SMTP)
    assert failure is not None
    assert f"{SMTP} at {third}: " in failure
    world.change(deployments=(replace(world.deployment, addresses=(ADDRESS,)),))
    evidence, failure = proof(world, SMTP)
    assert failure is None
    assert third not in evidence


def test_a_proof_through_a_map_says_so() -> None:
    world = MailWorld()
    world.connect[str(IMAPS)] = ("127.0.0.25", 2993)
    evidence, failure = proof(world, SMTP, IMAPS)
    assert failure is None
    assert f"through [connect]: {IMAPS} by way of 127.0.0.25:2993" in evidence
    assert f"{SMTP} by way" not in evidence
