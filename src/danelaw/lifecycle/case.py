"""What every rule of `steps` reads, and how it answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from danelaw.lifecycle.due import retry_at
from danelaw.lifecycle.gate import Blocked
from danelaw.lifecycle.rollout import Rollout
from danelaw.lifecycle.watched import blocked
from danelaw.model import Chain, Desired, Facts, Hold, Step, Wait

Answers = Iterator[Step | Wait | Hold]


@dataclass(frozen=True, slots=True)
class Case:
    """What every rule reads; ``works`` are where all deployments stand.

    Failures up to ``forgive`` do not delay anything (``--retry-now``).
    """

    desired: Desired
    facts: Facts
    now: datetime
    works: tuple[Rollout, ...]
    forgive: datetime | None = None

    def of(self, certificate: str) -> tuple[Rollout, ...]:
        """Return where the deployments of one certificate stand."""
        return tuple(work for work in self.works if work.spec.name == certificate)

    def blocked(self, work: Rollout, chain: Chain | None) -> list[Blocked]:
        """Return what keeps a chain from going live at any endpoint of a deployment."""
        return blocked(self.facts, self.desired, work.deployment, chain, self.now)


def unless_backing_off(case: Case, kind: str, subject: str, wanted: Step) -> Answers:
    """Answer with a step, or with the wait until it is tried again after its last failure."""
    retry = retry_at(case.facts, kind, subject, case.forgive)
    if retry is None or retry[0] <= case.now:
        yield wanted
        return
    until, last = retry
    yield Wait("backoff", subject, until, f"{kind} of {subject} failed: {last.evidence}")
