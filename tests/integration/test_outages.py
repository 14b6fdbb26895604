"""The outages that other tools cause, of records and of the order of things: each by its name, none of them ours.

That a reload is not believed, test_deployments.py shows; that a certificate by a ready CSR is renewed, test_keys.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from danelaw.errors import RetryLater
from danelaw.model import Publisher, TlsaRecord
from scenario import Watcher
from scenario.mailhost import MailHost, kinds, sequence
from world import layout

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]
NEXT = 'next_key = true\nsettle = "1s"'


@dataclass
class Refusing:
    """A publisher whose server can be read and takes no update."""

    publisher: Publisher

    def read(self, target: str) -> tuple[tuple[TlsaRecord, ...], int]:
        return self.publisher.read(target)

    def swap(self, target: str, expected: Sequence[TlsaRecord], wanted: Sequence[TlsaRecord], ttl: int) -> str:
        raise RetryLater(f"nobody takes {target} ({len(expected)}, {len(wanted)}, {ttl})")


def test_the_old_record_is_not_withdrawn_before_the_service_has_switched(mailhost: Make) -> None:
    host = mailhost(adopt=False)
    host.publish(host.world.initial.tlsa(0))
    with Watcher(host.owner) as watcher:
        outcome = host.apply("--wait")
    assert not watcher.invalid
    steps = kinds(outcome)
    withdrawn = [number for number, step in enumerate(outcome["steps"]) if "withdraw 3 1 1" in step["why"]]
    assert withdrawn
    assert min(withdrawn) > steps.index("prove") > steps.index("activate") > steps.index("publish")


def test_a_failed_publication_is_not_ignored(mailhost: Make) -> None:
    """What refuses the new certificate still stands, so it does not go live, and the run says that it failed."""
    host = mailhost()
    host.publish(host.world.initial.tlsa(0))
    outcome, _ = host.inside(Refusing)
    assert outcome.exit_status == 1
    assert any("nobody takes" in failure for failure in outcome.failed)
    assert "activate" not in sequence(outcome)
    assert host.presented().leaf == host.world.initial.leaf
    assert host.verdicts() == []


def test_the_next_key_is_not_consumed_by_orders_that_fail(mailhost: Make) -> None:
    """Two failed orders later no unpublished key is live: the next key and its record are what they were."""
    host = mailhost(options=NEXT)
    host.apply("--wait")
    before, published = host.presented().leaf, host.tlsa()
    assert len(published) == 2
    host.configure(options=NEXT, directory="https://127.0.0.1:1/dir")
    failed = [host.json("rollover", host.zone, "--wait", status=1), host.json("apply", "--retry-now", status=1)]
    assert all("obtain" in kinds(outcome) and outcome["failed"] for outcome in failed)
    assert host.tlsa() == published
    assert host.presented().leaf == before
    host.configure(options=NEXT)
    host.apply("--wait", "--retry-now")
    assert host.presented().leaf != before
    assert host.presented().tlsa(1) in published


def test_a_restart_does_not_pick_up_a_staged_key(mailhost: Make) -> None:
    """What is staged stands where no service reads it, whoever restarts one."""
    host = mailhost(options=NEXT)
    host.apply("--wait")
    before = host.presented().leaf
    assert host.killed("host.stage:after:1", "rollover", host.zone, "--wait").status == -9
    host.world.postfix.stop()
    host.world.postfix.start()
    assert host.presented().leaf == before
    assert host.verdicts() == []
    host.apply("--wait")
    assert host.presented().leaf != before


def test_the_record_of_an_ec_key_is_not_that_of_an_empty_string(mailhost: Make) -> None:
    host = mailhost()
    host.apply("--wait")
    (record,) = host.tlsa()
    assert record == host.presented().tlsa(1)
    assert "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" not in record


def test_a_record_published_ahead_is_not_reported_as_wrong(mailhost: Make) -> None:
    host = mailhost(prune=False)
    host.publish(host.world.initial.tlsa(1), f"3 1 1 {'ab' * 32}")
    outcome = host.apply("--wait")
    assert not outcome["holds"]
    assert not outcome["failed"]
    assert host.verdicts() == []


def test_an_update_deletes_no_other_type_and_nobody_elses_records(mailhost: Make) -> None:
    host = mailhost()
    foreign = f"3 1 1 {'cd' * 32}"
    host.world.update(f'add {host.owner} 7 TXT "somebody else"', zone=host.zone)
    host.publish(host.world.initial.tlsa(0), foreign)
    host.apply("--wait")
    assert host.tlsa() == sorted([foreign, host.world.initial.tlsa(1)])
    assert "somebody else" in host.world.dig(host.owner, "TXT", "+short", server=layout.NS1)


def test_records_that_never_reached_the_secondary_are_said(mailhost: Make) -> None:
    """No fixed sleep stands in for asking every server (danefail/list#47)."""
    host = mailhost()
    host.publish(host.world.initial.tlsa(0))
    host.world.secondary.freeze()
    try:
        outcome, _ = host.inside()
        assert any(wait.code == "lagging" and layout.NS2 in wait.why for wait in outcome.rest.waits)
    finally:
        host.world.secondary.thaw()
