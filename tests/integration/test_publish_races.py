"""Somebody else changes the records between danelaw's look and its update: nothing is undone, nothing goes unseen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from danelaw.model import Publisher, TlsaRecord
from danelaw.run.act import KINDS
from danelaw.run.rings import Outcome
from scenario.mailhost import MailHost
from world import layout

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]


@dataclass
class Overtaken:
    """A publisher whose update comes right after one of somebody else's, the first ``times``."""

    publisher: Publisher
    somebody: Callable[[int], None]
    times: int
    swaps: int = 0

    def read(self, target: str) -> tuple[tuple[TlsaRecord, ...], int]:
        return self.publisher.read(target)

    def swap(self, target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        self.swaps += 1
        if self.swaps <= self.times:
            self.somebody(self.swaps)
        return self.publisher.swap(target, expected, wanted, ttl)


def steps(outcome: Outcome) -> list[str]:
    return [KINDS[type(step)] for step in outcome.steps]


def test_a_change_in_between_is_seen_and_planned_for_again(mailhost: Make) -> None:
    """The other's `3 1 1` of another key stays, and the old `3 0 1` goes: both are what was asked for."""
    host = mailhost()
    initial, theirs = host.world.initial, f"3 1 1 {'ab' * 32}"
    host.publish(initial.tlsa(0))
    seen: list[list[str]] = []

    def somebody(_swap: int) -> None:
        host.publish(initial.tlsa(0), theirs)
        seen.append(host.tlsa())

    outcome, told = host.inside(lambda publisher: Overtaken(publisher, somebody, times=1))
    assert outcome.exit_status == 0
    assert steps(outcome).count("publish") == 2
    (lost,) = [event.text for event in told if event.kind == "lost"]
    assert f"{theirs} (TTL 1) stands there" in lost
    assert "nothing was changed" in lost
    assert seen == [sorted([initial.tlsa(0), theirs])]
    assert host.tlsa() == sorted([theirs, initial.tlsa(1)])


def test_records_that_appear_before_the_first_publication(mailhost: Make) -> None:
    host = mailhost()
    theirs = f"3 1 1 {'ab' * 32}"
    outcome, _ = host.inside(
        lambda publisher: Overtaken(publisher, lambda _: host.publish(theirs, host.world.initial.tlsa(1)), times=1)
    )
    assert outcome.exit_status == 0
    assert host.tlsa() == sorted([theirs, host.world.initial.tlsa(1)])


def test_records_that_vanish_in_between(mailhost: Make) -> None:
    host = mailhost()
    host.publish(host.world.initial.tlsa(0))
    outcome, _ = host.inside(lambda publisher: Overtaken(publisher, lambda _: host.publish(), times=1))
    assert outcome.exit_status == 0
    assert host.tlsa() == [host.world.initial.tlsa(1)]


def test_a_ttl_changed_in_between_is_no_loss(mailhost: Make) -> None:
    """Prerequisites do not see TTLs (RFC 2136 section 2.4.2)."""
    host = mailhost()
    old = host.world.initial.tlsa(0)
    host.publish(old)
    outcome, _ = host.inside(lambda publisher: Overtaken(publisher, lambda _: host.publish(old, ttl=2), times=1))
    assert outcome.exit_status == 0
    assert steps(outcome).count("publish") == 1
    assert host.tlsa() == [host.world.initial.tlsa(1)]


def test_three_losses_in_a_row_need_a_person(mailhost: Make) -> None:
    host = mailhost()
    host.publish(host.world.initial.tlsa(0))

    def somebody(swap: int) -> None:
        host.publish(host.world.initial.tlsa(0), f"3 1 1 {swap:02x}{'ab' * 31}")

    outcome, told = host.inside(lambda publisher: Overtaken(publisher, somebody, times=9))
    assert outcome.exit_status == 1
    assert steps(outcome).count("publish") == 3
    (hold,) = [hold for hold in outcome.rest.holds if hold.code == "lost"]
    assert hold.subject == host.owner
    assert "3 times in a row" in hold.why
    assert host.tlsa() == sorted([host.world.initial.tlsa(0), f"3 1 1 03{'ab' * 31}"])
    assert len([event for event in told if event.kind == "lost"]) == 3
    again = host.apply(status=1)  # a run of its own does not start the row anew
    assert [each["hold"] for each in again["holds"]] == ["lost", "cached"]
    host.apply("--retry-now")
    assert host.tlsa() == sorted([host.world.initial.tlsa(1), f"3 1 1 03{'ab' * 31}"])


def test_a_cname_that_appears_in_between_is_a_loss(mailhost: Make) -> None:
    """An add beside a CNAME would be ignored with NOERROR (RFC 2136 section 3.4.2.2)."""
    host = mailhost()
    target = f"_dane.{host.zone}."

    def somebody(_swap: int) -> None:
        host.world.update(f"add {host.owner} 1 CNAME {target}", zone=host.zone)

    outcome, told = host.inside(lambda publisher: Overtaken(publisher, somebody, times=1))
    assert outcome.exit_status == 0
    assert any("CNAME" in event.text for event in told if event.kind == "lost")
    assert host.world.dig(target, "TLSA", "+short", server=layout.NS1).lower().startswith("3 1 1")
    assert host.world.dig(host.owner, "CNAME", "+short", server=layout.NS1).strip() == target
