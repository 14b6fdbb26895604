"""Wildcards (RFC 4592) and CNAMEs at and above the owner name."""

from collections.abc import Callable
from datetime import datetime

import pytest

from scenario.mailhost import MailHost, codes, kinds
from world import layout

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]


def test_a_host_that_only_a_wildcard_gives_is_left_alone(mailhost: Make) -> None:
    """A record below the host would take its address away (RFC 4592 section 2.2.2)."""
    host = mailhost(host="any.wild")
    serial = host.world.serial(host.zone)
    done = host.danelaw("apply")
    assert done.status == 1
    assert f"only a wildcard gives {host.host} its address" in done.out
    assert f"give {host.host} address records of its own first" in done.out
    assert host.world.serial(host.zone) == serial
    assert layout.MAIL[0] in host.world.dig(host.host, "A", "+short", server=layout.NS1)
    again = host.apply(status=1)
    assert codes(again, "holds") == ["wildcard-host"]
    host.world.update(*(f"add {host.host}. 1 A {address}" for address in layout.MAIL), zone=host.zone)
    assert "publish" in kinds(host.apply("--wait"))  # the twin: with addresses of its own
    assert host.tlsa() == [host.world.initial.tlsa(1)]


def test_records_that_a_wildcard_gives_are_left_alone(mailhost: Make) -> None:
    host = mailhost()
    wild = host.world.initial.tlsa(0)
    host.world.update(f"add *._tcp.{host.host}. 1 TLSA {wild}", zone=host.zone)
    serial = host.world.serial(host.zone)
    outcome = host.apply(status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
    assert hold["hold"] == "wildcard-tlsa"
    assert "a wildcard gives the TLSA records" in hold["why"]
    assert host.world.serial(host.zone) == serial
    assert "activate" not in kinds(outcome)  # the new certificate would not match what the wildcard gives
    assert host.tlsa() == [wild]


def test_the_ttl_of_a_cname_counts(mailhost: Make) -> None:
    host = mailhost(host="alias")
    target = f"_25._tcp.mail.{host.zone}."
    host.world.publish(target, [host.world.initial.tlsa(0)], ttl=1)
    entries = host.plan()
    at = next(datetime.fromisoformat(entry["at"]) for entry in entries if entry.get("step") == "publish")
    until = next(datetime.fromisoformat(entry["until"]) for entry in entries if entry.get("wait") == "cached")
    assert (until - at).total_seconds() >= 2 * host.world.times.ttl  # the CNAME's TTL, not the record's own
    update = next(entry for entry in entries if entry.get("step") == "publish")
    assert (update["owner"], update["target"]) == (host.owner, target)


def test_a_cname_at_the_owner_name_is_followed_into_another_zone(mailhost: Make) -> None:
    elsewhere = mailhost()
    host = mailhost()
    target = f"_dane.{elsewhere.zone}."
    host.world.update(f"add {host.owner} 1 CNAME {target}", zone=host.zone)
    outcome = host.apply("--wait")
    (update,) = [step for step in outcome["steps"] if step["step"] == "publish"]
    assert update["target"] == target
    assert host.world.dig(target, "TLSA", "+short", server=layout.NS2).lower().startswith("3 1 1")
    assert host.world.dig(host.owner, "CNAME", "+short", server=layout.NS1).strip() == target
    assert host.verdicts() == []  # they come through the alias
