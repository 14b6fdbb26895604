"""Whether a server that hung up has no certificate of the kind asked for, or is broken."""

from collections.abc import Generator

from danelaw.model import KeyAlgorithm
from danelaw.probe.conversation import Outcome


def is_not_offered(algorithm: KeyAlgorithm) -> Generator[KeyAlgorithm | None, Outcome, bool]:
    """Yield the kind to ask for next, be sent what came of it, and return whether ``algorithm`` is not offered.

    Dovecot and others hang up where an alert should say that there is no certificate of the kind asked for. So where
    that happened, any kind is asked for, and then the same kind again: if the server presents another kind and hangs
    up again, the kind is not offered.
    """
    anyhow = yield None
    if anyhow.chain is None or anyhow.chain.algorithm == algorithm:
        return False
    again = yield algorithm
    return again.hung_up or again.failure == "not-offered"
