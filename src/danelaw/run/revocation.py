"""`danelaw revoke`: what nothing needs is revoked at once, what is live is replaced first.

keyCompromise of a key in use rolls it over in an emergency: once revoked so, no CA issues over that key any more.
"""

from dataclasses import dataclass
from datetime import datetime

from danelaw.errors import LeaseHeld, Refused
from danelaw.model import Chain, ChainFact, Desired, Facts
from danelaw.run.intents import ask_revocation
from danelaw.run.look import look
from danelaw.run.revoke import (
    COMPROMISE,
    in_use,
    others_over,
    places_of,
    replayable_until,
    revoke_now,
    row_of,
)
from danelaw.run.rings import Outcome, Rings
from danelaw.run.runner import Options, apply


@dataclass(frozen=True, slots=True)
class Revocation:
    """What became of a request to revoke. ``outcome`` is that of the run which replaces it, where it had to be.

    Of keyCompromise: ``others`` are the other valid certificates over the key, and ``replayable_until`` is until when
    an RRset with its record may be replayed, None where none was seen to be signed.
    """

    certificate: str
    chain: Chain
    was_live: bool
    is_revoked: bool
    others: tuple[ChainFact, ...] = ()
    replayable_until: datetime | None = None
    outcome: Outcome | None = None

    @property
    def exit_status(self) -> int:
        """Return 0 where it is revoked, or will be at an instant that is known; 1 where a person is needed."""
        return self.outcome.exit_status if self.outcome else 0


def request_revocation(
    desired: Desired,
    rings: Rings,
    name: str | None,
    chain: Chain | None,
    reason: str,
    *,
    yes: bool = False,
    wait: bool = False,
) -> Revocation:
    """Revoke the newest certificate of a name, or the one given; one that is live is replaced first, unless ``yes``.

    ``wait`` stays until that is done. Raises `InputError`, `Refused`, `RetryLater`; `LeaseHeld` where a run is at work,
    which then finds the request where the certificate is one that the config manages.
    """
    row = row_of(desired, rings.store.snapshot(), name, chain)
    managed = row in rings.store.snapshot().chains and row.certificate in {spec.name for spec in desired.certificates}
    try:
        with rings.store.lease(row.certificate):
            facts = look(desired, rings)
    except LeaseHeld as held:
        if not managed or yes:
            raise
        ask_revocation(rings, row, reason)
        raise LeaseHeld(f"it is asked for, and done by the next run that has the lease: {held}") from held
    is_live = bool(places_of(desired, rings, facts, row.chain))
    users = in_use(desired, facts, row.chain) if reason == COMPROMISE else ()
    outcome = None
    if yes or not (is_live or users) or not managed:
        if users and not yes:
            raise Refused(
                f"its key is the current one of {', '.join(users)}, and no CA would issue over it any more; go over to "
                f"another one first: danelaw rollover {users[0]} --emergency"
            )
        revoke_now(desired, rings, name, chain, reason, yes=yes)
    else:
        ask_revocation(rings, row, reason)
        names = tuple(dict.fromkeys((row.certificate, *users)))
        outcome = apply(desired, rings, Options(names=names, wait=wait, by="revoke"))
    return _found(rings, facts, row, reason, is_live=is_live, outcome=outcome)


def _found(
    rings: Rings, before: Facts, row: ChainFact, reason: str, *, is_live: bool, outcome: Outcome | None
) -> Revocation:
    """Say how it stands now. What may be replayed is what was seen until then."""
    facts = rings.store.snapshot()
    known = next((each for each in facts.chains if each.chain.leaf_sha256 == row.chain.leaf_sha256), None)
    leaked = reason == COMPROMISE
    return Revocation(
        row.certificate,
        row.chain,
        is_live,
        outcome is None or (known is not None and known.revoked_at is not None),
        others_over(before, row.chain, rings.clock.now()) if leaked else (),
        replayable_until(facts, row.chain) if leaked else None,
        outcome,
    )
