"""What is broken already, or useless, when danelaw comes: repaired the shortest way where it can be, said where not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scenario.mailhost import MailHost, codes, kinds
from world import World, layout

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]
FOREIGN = f"3 1 1 {'ab' * 32}"


def test_records_of_another_key_are_repaired_before_anything_else(mailhost: Make) -> None:
    host = mailhost(prune=False)
    host.publish(FOREIGN)
    assert host.verdicts() != []
    outcome = host.apply("--wait")
    assert kinds(outcome)[:2] == ["take-key", "publish"]
    assert host.tlsa() == sorted([FOREIGN, host.world.initial.tlsa(1)])
    assert host.verdicts() == []


def test_a_digest_of_a_wrong_length_refuses_nobody_and_stays(mailhost: Make) -> None:
    """Unusable records make senders ask for TLS alone (RFC 7672 section 2.2); one hides no other."""
    host = mailhost(prune=False)
    host.publish("3 1 1 abcdef")
    outcome = host.apply("--wait")
    assert kinds(outcome)[:2] == ["take-key", "publish"]
    assert host.tlsa() == sorted(["3 1 1 abcdef", host.world.initial.tlsa(1)])
    assert host.verdicts() == []


def test_records_that_refuse_a_key_that_is_not_ours_need_a_person(mailhost: Make) -> None:
    host = mailhost(adopt=False)
    host.publish(FOREIGN)
    done = host.danelaw("apply")
    assert done.status == 1
    assert f"the records at {host.owner} refuse what {', '.join(layout.MAIL)} presents, and its key is not ours" in (
        done.out
    )
    assert "to do: give that key to danelaw" in done.out
    assert host.tlsa() == [FOREIGN]
    assert host.presented().leaf == host.world.initial.leaf


def test_an_earlier_generation_that_the_records_accept_is_put_back(mailhost: Make) -> None:
    host = mailhost(adopt=False, prune=False)
    before = host.world.initial
    host.publish(before.tlsa(1))
    host.apply("--wait")
    assert host.presented().leaf != before.leaf
    host.publish(before.tlsa(1))  # somebody takes our record away
    outcome = host.apply("--wait")
    first = outcome["steps"][0]
    assert (first["step"], first["n"], first["back"]) == ("activate", 0, True)
    assert kinds(outcome)[1:3] == ["reload", "prove"]
    assert "publish" in kinds(outcome)
    assert kinds(outcome)[-3:] == ["activate", "reload", "prove"]  # and forward again, once its record is ripe
    assert host.tlsa() == sorted([before.tlsa(1), host.presented().tlsa(1)])
    assert host.verdicts() == []


def test_a_bogus_zone_is_said_and_nothing_is_ordered(world: World, tmp_path: Path) -> None:
    host = MailHost(world, "bogus.test", tmp_path)
    serial = world.serial(host.zone)
    done = host.danelaw("apply")
    assert done.status == 1
    assert "bogus" in done.out
    assert "mend the zone's signatures or its DS" in done.out
    assert "making an account" not in done.out
    assert world.serial(host.zone) == serial
    assert "Traceback" not in done.err


def test_an_unsigned_zone_is_said_to_be_ignored(world: World, tmp_path: Path) -> None:
    host = MailHost(world, "unsigned.test", tmp_path)
    outcome = host.apply(status=1)
    (hold,) = [hold for hold in outcome["holds"] if hold["subject"] == host.owner]
    assert hold["hold"] == "insecure"
    assert "senders ignore" in hold["why"]
    world.publish(host.owner, [])
    world.postfix.present(world.initial)


def test_an_endpoint_that_nobody_claims_is_not_broken(mailhost: Make, world: World) -> None:
    """465 is proven, its hand-made record is of the old certificate: that deployment holds, another goes on."""
    host = mailhost()
    www = f"www.{host.zone}"
    apache = f"""
[[certificate."{host.zone}".deploy]]
fullchain = "{world.apache.fullchain}"
key = {{ path = "{world.apache.key}", mode = "0600" }}
reload = {list(map(str, world.apache.reload))}
prove = ["{www}:443"]
"""
    host.configure(prove=[f"{host.host}:25", f"{host.host}:465"], extra=apache)
    old = world.initial.tlsa(0)
    host.publish(old, port=465)
    try:
        outcome = host.apply(status=1)
    finally:
        world.apache.present(world.initial)
    (hold,) = outcome["holds"]
    assert (hold["hold"], hold["subject"]) == ("unclaimed", host.deployment)
    assert host.owner_of(465) in hold["why"]
    assert "claim the endpoint in a tlsa table" in hold["remedy"]
    live = {step["deployment"] for step in outcome["steps"] if step["step"] == "activate"}
    assert live == {f"{world.apache.fullchain} {world.apache.key}"}
    assert host.presented(465).leaf == world.initial.leaf
    assert host.tlsa(465) == [old]
    assert codes(outcome, "waits").count("renewal") == 1
    host.publish(port=465)  # as the remedy says; what may be cached of it is waited for
    done = host.danelaw("apply", "--wait")
    world.apache.present(world.initial)
    assert "go live" in done.out
    assert host.presented(465).leaf != world.initial.leaf
