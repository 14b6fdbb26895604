"""Which endpoints of a deployment count before its chain goes live: those proven, and those only watched."""

from datetime import datetime

from danelaw.lifecycle.gate import Blocked, go_live, owner_state
from danelaw.lifecycle.sight import ADDRESS_TTL, looked_at
from danelaw.model import Chain, Deployment, Desired, Endpoint, Facts, Presented, Silent


def counted(facts: Facts, desired: Desired, deployment: Deployment) -> tuple[Endpoint, ...]:
    """Return every endpoint at which records that refuse a deployment's chain would lose mail (promise 1).

    A watched one counts where records stand at its owner name, or stood there since the first look, and its name gave
    an address of this host lately. One of which nothing was ever learnt holds nobody up; a look that fails ends nothing
    of what senders were seen to be given.
    """
    watched = (endpoint for endpoint in deployment.watched if _counts(facts, desired, endpoint))
    return tuple(dict.fromkeys((*deployment.endpoints, *watched)))


def blocked(
    facts: Facts, desired: Desired, deployment: Deployment, chain: Chain | None, now: datetime
) -> list[Blocked]:
    """Return what keeps a chain from going live at any endpoint of a deployment (formula G); empty: it may."""
    found = [
        item
        for owner in dict.fromkeys(endpoint.owner for endpoint in counted(facts, desired, deployment))
        for item in go_live(facts, desired, owner, chain, now)
    ]
    return list(dict.fromkeys(found))


def _counts(facts: Facts, desired: Desired, endpoint: Endpoint) -> bool:
    state = owner_state(facts, endpoint.owner)
    if state is None or not any(row.owner == endpoint.owner and row.rdatas for row in facts.rrsets):
        return False
    margin, now = ADDRESS_TTL + desired.lookup_margin, state.last_at
    lately = looked_at(facts, endpoint, margin, now)
    rows: list[Presented | Silent] = [*facts.presented, *facts.silent]
    return any(
        row.mine and row.address in lately and row.last_at + margin > now for row in rows if row.endpoint == endpoint
    )
