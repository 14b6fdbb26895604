"""A run that changed what senders meet ends with their verdict, by the code that judges strangers."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from chains import issue
from danelaw.model import Report, Target
from danelaw.run.runner import apply
from fakes.run_world import SMTP, MailWorld
from fakes.small_internet import SmallInternet, record

GOOD, REFUSED, UNPROTECTED, UNKNOWN = "good", "refused", "unprotected", "unknown"


@dataclass
class Judges:
    """Senders that meet an internet of their own; ``asked`` is what they were asked about."""

    verdict: str
    asked: list[Target] = field(default_factory=list)

    def __call__(self, targets: Sequence[Target]) -> Sequence[Report]:
        self.asked.extend(targets)
        issued = issue(SMTP.host)
        internet = SmallInternet().host(SMTP.host, "192.0.2.1").serve("192.0.2.1", issued)
        pinned = issue(SMTP.host) if self.verdict == REFUSED else issued
        if self.verdict != UNPROTECTED:
            internet.tlsa(SMTP.owner.removesuffix("."), record(pinned, "3 1 1"))
        if self.verdict == UNKNOWN:
            internet.serve("192.0.2.1", failure="timeout")
        return [internet.check(target) for target in targets]


def judged(verdict: str) -> tuple[MailWorld, Judges]:
    world, judges = MailWorld(), Judges(verdict)
    world.senders = judges
    return world, judges


def said(world: MailWorld, kind: str) -> str:
    return "\n".join(event.text for event in world.told if event.kind == kind)


def test_senders_that_are_satisfied_are_named() -> None:
    world, judges = judged(GOOD)
    outcome = apply(world.desired, world.rings)
    assert (outcome.exit_status, judges.asked) == (0, [Target(SMTP.host, 25, "smtp")])
    assert f"senders that obey DANE are satisfied with {SMTP}" in said(world, "done")


def test_senders_that_refuse_make_the_run_fail_and_say_why() -> None:
    world, _ = judged(REFUSED)
    outcome = apply(world.desired, world.rings)
    assert outcome.exit_status == 1
    (failure,) = outcome.failed
    assert failure.startswith(f"{SMTP}: senders that obey DANE refuse it (postfix, exim, mox, exchange)")


@pytest.mark.parametrize("verdict", [UNPROTECTED, UNKNOWN])
def test_what_senders_do_not_refuse_is_no_failure(verdict: str) -> None:
    world, _ = judged(verdict)
    assert apply(world.desired, world.rings).exit_status == 0
    assert f"danelaw check {SMTP} says why" in said(world, "progress")
    assert "satisfied" not in said(world, "done")


def test_a_run_that_changes_nothing_asks_nobody() -> None:
    world, judges = judged(GOOD)
    apply(world.desired, world.rings)
    judges.asked.clear()
    assert apply(world.desired, world.rings).steps == ()
    assert judges.asked == []


def test_without_records_of_ours_there_is_nothing_to_ask() -> None:
    world, judges = judged(GOOD)
    world.desired = replace(world.desired, certificates=(replace(world.spec, claims=()),))
    apply(world.desired, world.rings)
    assert judges.asked == []
