"""How long a chain waits, and how that is said; endpoints and servers that are reached elsewhere."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from scenario.mailhost import Json, MailHost, kinds, sequence
from world import layout

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]


def instant(entry: Json, key: str) -> datetime:
    return datetime.fromisoformat(entry[key])


def the(entries: list[Json], **having: str) -> Json:
    """Return the one entry with these values."""
    (found,) = [entry for entry in entries if all(entry.get(key) == value for key, value in having.items())]
    return found


@pytest.mark.parametrize(("ttl", "margin", "w"), [(7, 20, 27), (40, 20, 80), (60, 0, 120)])
def test_the_plan_waits_as_the_rules_say(mailhost: Make, ttl: int, margin: int, w: int) -> None:
    """w = max(2 T, T + M) after L, and `history` after the first look."""
    host = mailhost(ttl=ttl, margin=f"{margin}s", history="300s")
    host.publish(host.world.initial.tlsa(0), ttl=ttl)
    before = datetime.now(UTC)
    entries = host.plan()
    published = instant(the(entries, step="publish"), "at")
    assert abs(published - before) < timedelta(seconds=10)
    assert instant(the(entries, wait="cached"), "until") - published == timedelta(seconds=w)
    assert instant(the(entries, wait="history"), "until") - published == timedelta(seconds=300)
    assert 'history = "0s" is right' in the(entries, wait="history")["why"]
    assert instant(the(entries, step="activate"), "at") - published == timedelta(seconds=300)
    assert not the(entries, step="activate")["now"]
    assert host.tlsa() == [host.world.initial.tlsa(0)]
    assert not host.state_dir.exists()


def test_the_longest_ttl_ever_served_counts(mailhost: Make) -> None:
    host = mailhost(ttl=1, margin="5s")
    host.publish(host.world.initial.tlsa(0), ttl=30)
    entries = host.plan()
    wait = instant(the(entries, wait="cached"), "until") - instant(the(entries, step="publish"), "at")
    assert wait == timedelta(seconds=60)


def test_where_nothing_stood_there_is_nothing_to_wait_for(mailhost: Make) -> None:
    entries = mailhost(ttl=60, margin="15m", history="1d").plan()
    assert {entry["wait"] for entry in entries if "wait" in entry} == {"renewal"}


def test_apply_says_when_and_does_nothing_before(mailhost: Make) -> None:
    host = mailhost(ttl=2, margin="100s")
    host.publish(host.world.initial.tlsa(0), ttl=2)
    before = datetime.now(UTC).replace(microsecond=0)
    first = host.apply()
    after = datetime.now(UTC)
    assert "activate" not in kinds(first)
    waits = [wait for wait in first["waits"] if wait["wait"] == "cached"]
    (until,) = {instant(wait, "until") for wait in waits}
    assert before + timedelta(seconds=102) <= until <= after + timedelta(seconds=102)
    shown = host.danelaw("apply", host.zone)
    assert shown.status == 0
    assert f"next  {until:%Y-%m-%d %H:%M:%SZ}" in shown.out
    assert not any(line.startswith("now") for line in shown.out.splitlines())
    quick = host.danelaw("apply")
    assert quick.status == 0
    assert quick.out.startswith("Nothing is due until")
    early, _ = host.inside(ahead=until - datetime.now(UTC) - timedelta(seconds=40))
    assert sequence(early) == []
    late, _ = host.inside(ahead=until - datetime.now(UTC) + timedelta(seconds=1))
    assert sequence(late) == ["activate", "reload", "prove"]
    assert late.exit_status == 0


def test_waiting_is_shown(mailhost: Make) -> None:
    host = mailhost(ttl=1, margin="4s")
    host.publish(host.world.initial.tlsa(0))
    done = host.danelaw("apply", "--wait")
    assert done.status == 0
    assert done.out.index("waiting until") < done.out.index("go live with")
    assert "caches may hold it" in done.out


@pytest.mark.parametrize("by", ["address", "host"])
def test_an_endpoint_that_is_reached_elsewhere(mailhost: Make, by: str) -> None:
    """DNS gives an address that nobody here has; [connect] says where it is, and the proof says so."""
    host = mailhost(ttl=1)
    host.world.update(f"delete mail.{host.zone}. A", f"add mail.{host.zone}. 1 A 203.0.113.7", zone=host.zone)
    source = "203.0.113.7:25" if by == "address" else f"{host.host}:25"
    host.configure(name=f"www.{host.zone}", extra=f'[connect]\n"{source}" = "{layout.MAIL[1]}:25"\n')
    done = host.danelaw("apply", "--wait")
    assert done.status == 0, done.out
    proof = next(line for line in done.out.splitlines() if "present it" in line)
    assert f"through [connect]: {host.host}:25 by way of {layout.MAIL[1]}:25" in proof
    assert host.tlsa() == [host.world.initial.tlsa(1)]
    without = mailhost()
    assert "[connect]" not in without.danelaw("apply", "--wait").out


def test_servers_that_are_named_replace_those_of_the_zone(mailhost: Make) -> None:
    """Nobody is asked but they: one that is not there is named, and the zone's own secondary is not."""
    host = mailhost()
    host.publish(host.world.initial.tlsa(1))
    host.configure(extra=f'[authoritative]\n"{host.zone}" = ["{layout.NS1}:53", "127.53.1.9:53"]\n')
    wait = the(host.plan(), wait="lagging")
    assert "127.53.1.9 has not answered" in wait["why"]
    assert layout.NS2 not in wait["why"]
    host.configure(extra=f'[authoritative]\n"{host.zone}" = ["{layout.NS1}:53"]\n')
    assert not [entry for entry in host.plan() if entry.get("wait") == "lagging"]
    host.apply()
    assert host.tlsa() == [host.world.initial.tlsa(1)]
