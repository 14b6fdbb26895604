"""How a key is replaced everywhere today: the new one goes live, then the record follows."""

from world import World, layout
from world.pki import Identity, make_private_key


def replace_naively(world: World, owner: str, ttl: int) -> Identity:
    """Deploy a certificate over a new key, reload, and replace the TLSA record by nsupdate right after that.

    ``ttl``: of the record, in seconds. Nobody could be faster; resolvers hold the old record for its TTL all the same.
    """
    identity = world.old_ca.issue(layout.NAMES, make_private_key())
    world.postfix.present(identity)
    world.publish(owner, [identity.tlsa(1)], ttl)
    return identity
