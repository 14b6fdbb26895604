"""Records at a port that nobody claims, where the service offers TLS all the same: they count before going live."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from danelaw.config import load
from danelaw.model import Endpoint
from danelaw.run.compose import opened
from danelaw.run.rings import Outcome
from danelaw.run.runner import Options, apply
from scenario.mailhost import MailHost, sequence

pytestmark = pytest.mark.world


def watching(host: MailHost) -> Outcome:
    """Run `apply` with port 465 watched, as a preset would have it."""
    with opened(load(str(host.config)), lambda _: None) as world:
        (spec,) = world.config.desired.certificates
        (deployment,) = spec.deployments
        watched = replace(deployment, watched=(Endpoint(host.host, 465, "smtps"),))
        desired = replace(world.config.desired, certificates=(replace(spec, deployments=(watched,)),))
        return apply(desired, world.rings, Options(wait=True))


def test_records_at_a_port_that_nobody_claims_hold_a_chain_that_they_refuse(
    mailhost: Callable[..., MailHost],
) -> None:
    host = mailhost()
    initial = host.world.initial
    host.publish(initial.tlsa(1))
    host.publish(initial.tlsa(0), port=465)
    outcome = watching(host)
    assert "activate" not in sequence(outcome)
    hold = next(hold for hold in outcome.rest.holds if hold.code == "unclaimed")
    assert host.owner_of(465) in hold.why
    assert outcome.exit_status == 1
    assert host.presented(465).leaf == initial.leaf
    # A person removes them: once no cache can have them any more, it goes live.
    host.publish(port=465)
    assert "activate" in sequence(watching(host))
    assert host.presented(465).leaf != initial.leaf


def test_records_there_that_match_it_hold_nothing(mailhost: Callable[..., MailHost]) -> None:
    host = mailhost()
    host.publish(host.world.initial.tlsa(1))
    host.publish(host.world.initial.tlsa(1), port=465)
    outcome = watching(host)
    assert "activate" in sequence(outcome)
    assert outcome.rest.holds == ()
    assert host.presented(465).leaf != host.world.initial.leaf
