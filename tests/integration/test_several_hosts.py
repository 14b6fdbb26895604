"""A mail host with more addresses than this machine's: the others are looked at, covered, and never deployed to."""

import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import pytest

from demo.verdicts import s_client
from scenario.mailhost import MailHost, kinds
from scenario.secondhost import SecondHost
from world import World, layout
from world.pki import Identity

pytestmark = pytest.mark.world

OURS = layout.MAIL[0]
SECOND = "127.25.9.1"
"""No interface has it, so it is another host's; the tests are that host."""
LIVE = {"activate", "reload", "prove"}


class Several(MailHost):
    """A mail host whose certificate is for `www` of its zone, which the CA may reach whatever becomes of `mail`."""

    def configure(self, **options: Any) -> None:
        super().configure(**{"name": f"www.{self.zone}", **options})

    def at(self, *addresses: str) -> Self:
        """Give it these addresses."""
        lines = [f"add {self.host}. 1 {'AAAA' if ':' in address else 'A'} {address}" for address in addresses]
        self.world.update(f"delete {self.host}. A", f"delete {self.host}. AAAA", *lines, zone=self.zone)
        return self

    def covered(self, *addresses: str) -> list[str]:
        """Return what OpenSSL finds wrong at these addresses, with the records that stand."""
        self.world.resolver.flush(self.zone)
        found = [s_client(self.world, address, owner=self.owner) for address in addresses]
        return [verdict.said for verdict in found if not verdict.good]


Make = Callable[..., Several]


@pytest.fixture
def make(world: World, tmp_path: Path) -> Iterator[Make]:
    """Make such mail hosts in zones of their own, with `MailHost.configure`'s options."""

    def made(**options: Any) -> Several:
        name = sha256(str(tmp_path).encode()).hexdigest()[:12]
        return Several(world, world.zone(f"s{name}.test").name, tmp_path, **options)

    yield made
    world.postfix.present(world.initial)


@pytest.fixture
def same(world: World) -> Iterator[SecondHost]:
    """A second host that presents the key already in use."""
    with SecondHost(SECOND, world.initial) as second:
        yield second


@pytest.fixture
def other(world: World) -> Iterator[SecondHost]:
    """A second host with a key of its own."""
    with SecondHost(SECOND, world.old_ca.issue(["second.test"])) as second:
        yield second


def test_a_second_host_over_the_same_key_is_no_obstacle(make: Make, same: SecondHost) -> None:
    host = make().at(OURS, SECOND)
    outcome = host.apply("--wait")
    assert {"obtain", "publish", *LIVE} <= set(kinds(outcome))
    assert host.tlsa() == [host.world.initial.tlsa(1)]
    assert host.covered(OURS, SECOND) == []
    assert same.connections < 8 * len(outcome["steps"])  # looked at, by single handshakes; a proof makes eight
    told = host.json("status")["certificates"][0]["endpoints"][0]["addresses"]
    assert {row["address"]: row["ours"] for row in told} == {OURS: True, SECOND: False}


def test_a_second_host_with_records_of_its_own_keeps_them(make: Make, other: SecondHost) -> None:
    """Also what `prune` would take: its `3 0 1` is what it presents, and ours goes beside."""
    host = make(prune=True).at(OURS, SECOND)
    stale = host.world.initial.tlsa(0)
    theirs = [other.identity.tlsa(1), other.identity.tlsa(0)]
    host.publish(*theirs, stale)
    outcome = host.apply("--wait")
    assert {"publish", *LIVE} <= set(kinds(outcome))
    assert host.tlsa() == sorted([*theirs, host.world.initial.tlsa(1)])
    assert host.covered(OURS, SECOND) == []
    assert host.presented(address=OURS).leaf.issuer != host.world.initial.leaf.issuer


def test_no_first_record_comes_while_a_second_host_presents_another_key(make: Make, other: SecondHost) -> None:
    host = make().at(OURS, SECOND)
    outcome = host.apply("--wait", status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
    assert hold["hold"] == "first-other-key"
    assert SECOND in hold["why"]
    assert OURS not in hold["why"]
    assert host.tlsa() == []
    assert outcome["failed"] == []  # our own proof went well
    assert set(kinds(outcome)) >= LIVE
    other.identity = host.world.initial
    assert "publish" in kinds(host.apply("--wait"))
    assert host.covered(OURS, SECOND) == []


def test_a_record_that_a_second_host_needs_is_not_withdrawn_by_name(make: Make, other: SecondHost) -> None:
    """A person named it in `prune`; what it protects is covered by another record first, in the same update."""
    host = make(prune=[other.identity.tlsa(0)]).at(OURS, SECOND)
    host.publish(other.identity.tlsa(0))
    host.apply("--wait")
    assert host.tlsa() == sorted([other.identity.tlsa(1), host.world.initial.tlsa(1)])
    assert host.covered(OURS, SECOND) == []


def test_a_second_host_that_goes_over_to_an_unpublished_key_is_named(make: Make, same: SecondHost) -> None:
    """Its senders are refused, by its own doing; our renewals go on, and its old record is not touched."""
    host = make().at(OURS, SECOND)
    host.apply("--wait")
    same.identity = host.world.old_ca.issue(["second.test"])
    outcome = host.apply("--wait", "--force-renewal", status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
    assert SECOND in hold["why"]
    assert {"obtain", *LIVE} <= set(kinds(outcome))
    (refused,) = outcome["failed"]  # as senders see it, at the end of the run
    assert f"{host.host}:25 at {SECOND}" in refused
    assert host.tlsa() == [host.world.initial.tlsa(1)]
    assert host.covered(OURS) == []


def test_an_address_that_says_nothing_is_said_and_stops_what_it_must(make: Make) -> None:
    host = make().at(OURS, SECOND)
    outcome = host.apply("--wait", status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
    assert (hold["hold"], SECOND in hold["why"]) == ("first-silent", True)
    assert outcome["failed"] == []
    assert set(kinds(outcome)) >= LIVE
    note = next(note for note in outcome["notes"] if note["note"] == "silent-elsewhere")
    assert note["text"].startswith(f"{SECOND} at {host.host}:25 is another host's and silent since ")
    # Where records stand already, a renewal over the same key changes none and goes on.
    host.publish(host.world.initial.tlsa(1))
    outcome = host.apply("--wait", "--force-renewal")
    assert {"obtain", *LIVE} <= set(kinds(outcome))
    assert any(note["note"] == "silent-elsewhere" for note in outcome["notes"])


@pytest.mark.parametrize("key", ["ours", "its own"])
def test_addresses_say_which_are_this_hosts(make: Make, world: World, key: str) -> None:
    """A second Postfix. Both are on an interface here, as containers that share a network are: a person says whose.

    `unit/run/test_run_prove.py` has the twin without them, whose proof takes its time to fail.
    """
    identity = world.initial if key == "ours" else world.old_ca.issue(["second.test"])
    with world.other_mail_host(identity) as second:
        host = make(addresses=[OURS]).at(OURS, *second.addresses)
        if key == "its own":
            host.publish(identity.tlsa(1))
        before = second.combined.read_bytes()
        outcome = host.apply("--wait")
        assert set(kinds(outcome)) >= LIVE
        assert host.tlsa() == sorted({identity.tlsa(1), world.initial.tlsa(1)})
        assert host.covered(OURS, *second.addresses) == []
        assert second.combined.read_bytes() == before
        assert host.presented(address=second.addresses[0]).leaf == identity.leaf


@pytest.mark.parametrize("outer", ["203.0.113.7", "2001:db8::25"])
def test_behind_nat_connect_leads_inside(make: Make, outer: str) -> None:
    shown = f"[{outer}]" if ":" in outer else outer
    host = make().at(outer)
    serial = host.world.serial(host.zone)
    outcome = host.apply("--wait", status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["hold"] == "not-here"]
    assert outer in hold["why"]
    assert "[connect]" in hold["remedy"]
    assert LIVE.isdisjoint(kinds(outcome))
    assert host.world.serial(host.zone) == serial
    host.configure(extra=f'[connect]\n"{shown}:25" = "{OURS}:25"\n')
    run = host.danelaw("apply", "--wait")
    assert run.status == 0, run
    assert f"through [connect]: {host.host}:25 by way of {OURS}:25" in run.out
    assert host.tlsa() == [host.world.initial.tlsa(1)]
    assert host.covered(OURS) == []


def test_connect_may_lead_to_a_second_host_as_well(make: Make, other: SecondHost) -> None:
    """Its outer address is not reached from here; `addresses` says that the way in leads to somebody else."""
    host = make(extra=f'[connect]\n"203.0.113.8:25" = "{SECOND}:25"\n', addresses=[OURS])
    host.at(OURS, "203.0.113.8")
    outcome = host.apply("--wait", status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
    assert (hold["hold"], "203.0.113.8" in hold["why"]) == ("first-other-key", True)
    other.identity = host.world.initial
    assert "publish" in kinds(host.apply("--wait"))


def test_an_ipv6_address_of_this_host_is_proven_too(make: Make) -> None:
    ours6 = layout.MAIL6[0]
    host = make().at(OURS, ours6)
    run = host.danelaw("apply", "--wait")
    assert run.status == 0, run
    assert f"{host.host}:25 at {OURS}, {ours6}" in run.out
    assert host.covered(OURS, f"[{ours6}]") == []
    assert host.presented(address=f"[{ours6}]").leaf == host.presented(address=OURS).leaf


def test_an_ipv6_address_of_another_host_counts_as_any(make: Make) -> None:
    theirs6 = "fd00:99::25"
    subprocess.run(["ip", "-6", "route", "replace", "local", "fd00:99::/64", "dev", "lo"], check=True)
    host = make().at(OURS, theirs6)
    with SecondHost(theirs6, host.world.old_ca.issue(["second.test"])) as second:
        outcome = host.apply("--wait", status=1)
        (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
        assert (hold["hold"], theirs6 in hold["why"]) == ("first-other-key", True)
        second.identity = host.world.initial
        assert "publish" in kinds(host.apply("--wait"))
        assert host.covered(OURS, f"[{theirs6}]") == []


def test_nothing_here_is_ever_the_second_hosts(make: Make, other: SecondHost) -> None:
    """Its key is never ours: its certificate is in no file, and no command was run for it."""
    host = make().at(OURS, SECOND)
    host.publish(other.identity.tlsa(1))
    host.apply("--wait")
    seen: Identity = host.presented(address=SECOND)
    assert seen.leaf == other.identity.leaf
    leaf = other.identity.leaf_pem.split(b"\n")[1]
    assert all(leaf not in path.read_bytes() for path in (host.state_dir / "live").rglob("*") if path.is_file())
