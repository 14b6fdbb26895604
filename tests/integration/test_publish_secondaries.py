"""Authoritative servers that lag, freeze or die: named, waited for, and never a reason to break what they serve."""

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from danelaw.model import Hold, Wait
from danelaw.run.rings import Outcome
from scenario import Watcher
from scenario.mailhost import MailHost, sequence
from world import World, layout

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def healthy(world: World) -> Iterator[None]:
    """Leave the secondary as it was found."""
    yield
    if not world.secondary.running:
        world.secondary.start()
    world.secondary.resume()
    world.secondary.thaw()


def of(outcome: Outcome, owner: str) -> dict[str, str]:
    """Return the reasons of all waits and holds about an owner name, by code."""
    items: list[Wait | Hold] = [*outcome.rest.waits, *outcome.rest.holds]
    return {item.code: item.why for item in items if item.subject == owner}


def waiting_for(host: MailHost) -> set[str]:
    """Return the servers that a plan waits for."""
    return {
        server
        for entry in host.plan()
        if entry.get("wait") == "lagging"
        for server in (layout.NS1, layout.NS2)
        if server in entry["why"]
    }


def test_the_reading_back_waits_for_a_server_that_lags(mailhost: Make, world: World) -> None:
    host = mailhost()
    world.secondary.lag(3)
    done = host.danelaw("apply")
    assert done.status == 0
    assert "waiting until" in done.out
    assert layout.NS2 in done.out  # the progress, while it waits
    assert "next" in done.out.splitlines()[-1]
    assert "lagging" not in done.out.splitlines()[-1]
    assert host.tlsa(server=layout.NS2) == [world.initial.tlsa(1)]


def test_what_a_frozen_server_serves_is_not_broken(mailhost: Make, world: World) -> None:
    """It goes on serving the `3 0 1`; the new certificate goes live only once it was thawed and w has passed."""
    host = mailhost(ttl=2)
    old = world.initial.tlsa(0)
    host.publish(old, ttl=2)
    world.secondary.freeze()
    with Watcher(host.owner, servers=(layout.NS1, layout.NS2)) as watcher, host.begin("apply", "--wait") as running:
        assert running.stdout
        said = list(itertools.takewhile(lambda line: "waiting until" not in line, running.stdout))
        assert not any("go live" in line for line in said)
        assert host.tlsa() == [world.initial.tlsa(1)]
        assert host.tlsa(server=layout.NS2) == [old]
        assert host.presented().leaf == world.initial.leaf
        (server,) = waiting_for(host)
        assert server == layout.NS2
        world.secondary.thaw()
        rest = "".join(running.stdout)
        assert running.wait(timeout=60) == 0
        assert "go live" in rest
    assert host.presented().leaf != world.initial.leaf
    assert len({sample.rrset for sample in watcher.samples}) == 2  # it saw both
    assert not watcher.invalid


def test_an_hour_later_a_frozen_server_needs_a_person(mailhost: Make, world: World) -> None:
    host = mailhost()
    host.publish(world.initial.tlsa(0))
    world.secondary.freeze()
    first, _ = host.inside()
    assert first.exit_status == 0
    before, _ = host.inside(ahead=HOUR - timedelta(minutes=5))
    assert before.exit_status == 0
    after, _ = host.inside(ahead=HOUR + timedelta(minutes=1))
    assert after.exit_status == 1
    hold = next(hold for hold in after.rest.holds if hold.subject == host.owner)
    assert hold.code == "lagging"
    assert layout.NS2 in hold.why
    assert "activate" not in sequence(after)


def test_a_server_that_died_while_it_covered_holds_nothing(mailhost: Make, world: World) -> None:
    """What it served last accepts the new certificate, so a renewal goes live; a person is told of the server."""
    host = mailhost()
    host.publish(world.initial.tlsa(1))
    first, _ = host.inside()
    assert "publish" not in sequence(first)
    world.secondary.stop()
    renewed, _ = host.inside(ahead=timedelta(minutes=1), force_renewal=True)
    assert [each for each in sequence(renewed) if each in {"activate", "prove"}] == ["activate", "prove"]
    assert renewed.exit_status == 0
    why = of(renewed, host.owner)["lagging"]
    assert layout.NS2 in why
    assert "has not answered since" in why
    (server,) = host.json("status")["certificates"][0]["endpoints"][0]["unreachable"]
    assert server["server"] == layout.NS2
    after, _ = host.inside(ahead=HOUR + timedelta(minutes=3))
    assert after.exit_status == 1
    assert "has not answered since" in of(after, host.owner)["lagging"]


def test_a_server_that_died_while_it_refused_holds_until_its_signatures_end(mailhost: Make, world: World) -> None:
    host = mailhost()
    old = world.initial.tlsa(0)
    host.publish(old)
    entries = host.plan()  # stores nothing
    assert entries
    world.secondary.freeze()
    first, _ = host.inside()
    if first.failed:
        host.inside(retry_now=True)
    world.secondary.stop()
    outcome, _ = host.inside()
    if outcome.failed:  # the CA's own resolver may be too slow for it beside a dead server
        outcome, _ = host.inside(retry_now=True)
    assert "activate" not in sequence(outcome)
    waits = [wait for wait in outcome.rest.waits if wait.subject == host.deployment and wait.code == "cached"]
    assert any("served it last and has not answered since" in wait.why for wait in waits)
    # the world signs for a day; a day more is granted, and what a server may sign anew
    left = max(wait.until for wait in waits) - host.now()
    assert timedelta(days=1) < left < timedelta(days=3)
    much_later, _ = host.inside(ahead=timedelta(days=3))
    assert "activate" in sequence(much_later)


def test_a_server_that_was_never_seen_holds_any_chain(mailhost: Make, world: World) -> None:
    host = mailhost()
    host.publish(world.initial.tlsa(1))
    world.secondary.stop()
    outcome, _ = host.inside()
    if outcome.failed:  # the CA's own resolver may be too slow for it beside a dead server
        outcome, _ = host.inside(retry_now=True)
    assert "activate" not in sequence(outcome)
    assert outcome.exit_status == 0
    found = [wait for wait in outcome.rest.waits if wait.code == "unreachable"]
    assert found
    assert f"{layout.NS2} never answered about {host.owner}" in found[0].why
    left = found[0].until - host.now()
    assert timedelta(days=1) < left < timedelta(days=3)
    world.secondary.start()
    answered, _ = host.inside(ahead=timedelta(minutes=1))
    assert "activate" not in sequence(answered)  # until its first answer it may have served anything
    later, _ = host.inside(ahead=timedelta(minutes=2))
    assert "activate" in sequence(later)


def test_a_mute_server_is_as_a_dead_one(mailhost: Make, world: World) -> None:
    """It takes packets and says nothing."""
    host = mailhost()
    host.publish(world.initial.tlsa(1))
    host.inside()
    world.secondary.pause()
    wait = next(entry for entry in host.plan() if entry.get("wait") == "lagging")
    assert f"{layout.NS2} has not answered since" in wait["why"]
    assert "no answer within" in wait["why"]
