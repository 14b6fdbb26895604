"""Reloads that several deployments share: files of all first, then one config test and one reload.

Where RSA stands beside ECDSA, one service reads the files of both. So what goes live in one run is put there together,
and where the test or the reload fails nobody can tell whose files broke it: all of them go back before the next test.
Each is then tried again by itself, so that a broken one does not keep the other back.
"""

from collections.abc import Iterator
from datetime import datetime

from danelaw.lifecycle.rollout import Rollout, rollout
from danelaw.model import Deployment, Desired, Facts, Generation, Service


def reloaded_services(deployment: Deployment) -> frozenset[Service]:
    """Return the services of a deployment that have a reload: an equal one is shared."""
    return frozenset(service for service in deployment.services if service.reload)


def share_a_reload(one: Deployment, other: Deployment) -> bool:
    """Tell whether two deployments go live by a common reload."""
    return one.id != other.id and bool(reloaded_services(one) & reloaded_services(other))


def covers_reload(wider: Rollout, work: Rollout) -> bool:
    """Tell whether what waits for a reload may leave it to another, which waits for that one and more."""
    return (
        wider.phase == "reload"
        and wider.active is not None
        and not wider.active.tries
        and share_a_reload(wider.deployment, work.deployment)
        and set(work.deployment.services) < set(wider.deployment.services)
    )


def reloaded_too(desired: Desired, facts: Facts, deployment: Deployment, now: datetime) -> list[Generation]:
    """Return the other active generations that a deployment's reload is the reload of, all their services being in it.

    One that has a service more waits for a reload of its own.
    """
    return [active for other, active in _waiting(desired, facts, deployment, now) if _is_part(other, deployment)]


def failed_too(desired: Desired, facts: Facts, deployment: Deployment, now: datetime) -> list[Generation]:
    """Return the other active generations that may have made a deployment's config test or reload fail.

    One that was proven since it went live passed both.
    """
    return [active for _, active in _waiting(desired, facts, deployment, now) if active.proven_at is None]


def _is_part(other: Rollout, deployment: Deployment) -> bool:
    return set(other.deployment.services) <= set(deployment.services)


def _waiting(
    desired: Desired, facts: Facts, deployment: Deployment, now: datetime
) -> Iterator[tuple[Rollout, Generation]]:
    """Return what shares a reload with a deployment and waits for it."""
    for spec in desired.certificates:
        for other in spec.deployments:
            if share_a_reload(deployment, other):
                work = rollout(facts, desired, spec, other, now)
                if work.phase == "reload" and work.active is not None:
                    yield work, work.active
