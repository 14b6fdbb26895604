"""How often a run looks: what changes nothing that others see needs no look of its own; what goes live does."""

from collections.abc import Sequence

from danelaw.model import Chain, Deployment, Generation, KeyFact, OwnerLook, Server, TlsaRecord
from danelaw.run.act import KINDS
from danelaw.run.rings import Event
from danelaw.run.runner import Options, apply
from fakes.run_world import SMTP, Machine, MailWorld, Zone

STALE = TlsaRecord(3, 0, 1, bytes(32))
RENEW = Options(force_renewal=True)


class Counted(Zone):
    """Writes down each look."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def look(self, owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        self.log.append("look")
        return super().look(owners, known)


class Told(list[Event]):
    """Writes down each step."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def append(self, event: Event) -> None:
        super().append(event)
        if event.kind == "step" and event.step is not None:
            self.log.append(KINDS[type(event.step)])


def settled() -> tuple[MailWorld, list[str]]:
    """Return a world whose first deployment is done, and the log of what follows."""
    log: list[str] = []
    world = MailWorld()
    world.zone, world.told, world.ca.anew = Counted(log), Told(log), True
    assert apply(world.desired, world.rings).exit_status == 0
    log.clear()
    return world, log


def test_a_renewal_looks_before_the_order_before_going_live_and_at_the_end() -> None:
    world, log = settled()
    assert apply(world.desired, world.rings, RENEW).exit_status == 0
    assert log == ["look", "obtain", "stage", "look", "activate", "reload", "prove", "look"]


def test_after_a_step_that_failed_there_is_a_look() -> None:
    world, log = settled()
    world.host.failing.add(world.deployment.services[0].reload or ())
    apply(world.desired, world.rings, RENEW)
    assert log[: log.index("reload") + 2] == ["look", "obtain", "stage", "look", "activate", "reload", "look"]


class Slow(Machine):
    """A host on which somebody publishes a record while the new chain is being written."""

    zone: Zone

    def stage(self, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
        self.zone.records[SMTP.owner] = (STALE,)
        return super().stage(deployment, n, chain, key)


def test_a_record_that_came_up_since_the_first_look_is_seen_before_anything_goes_live() -> None:
    world, log = settled()
    slow = Slow(world.clock.now)
    slow.__dict__.update(vars(world.host))
    slow.zone, world.host = world.zone, slow
    apply(world.desired, world.rings, RENEW)
    assert "activate" not in log
    assert log[:4] == ["look", "obtain", "stage", "look"]


def test_a_file_that_is_not_there_after_going_live_is_noticed_without_a_look_at_dns() -> None:
    world, log = settled()
    world.host.forgets = True
    outcome = apply(world.desired, world.rings, RENEW)
    assert outcome.exit_status == 1
    assert "reload" not in log
