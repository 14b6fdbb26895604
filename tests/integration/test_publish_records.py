"""What is published and in which order: the records of every host and port, through the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from demo.verdicts import ldns_dane
from scenario import Watcher
from scenario.mailhost import Json, MailHost, codes, kinds
from world import World, layout, make_private_key
from world.pki import Identity

pytestmark = pytest.mark.world

Make = Callable[..., MailHost]


def publications(outcome: Json) -> list[Json]:
    return [step for step in outcome["steps"] if step["step"] == "publish"]


def watch(host: MailHost) -> Watcher:
    return Watcher(host.owner)


def live_key(host: MailHost, port: int = 25) -> str:
    """Return the `3 1 1` of what the host presents, by openssl."""
    return host.presented(port).tlsa(1)


def test_the_record_replaces_that_of_the_old_certificate(mailhost: Make) -> None:
    host = mailhost()
    host.publish(host.world.initial.tlsa(0))
    with watch(host) as watcher:
        outcome = host.apply("--wait")
    assert len(publications(outcome)) == 1
    assert not watcher.invalid
    assert host.tlsa() == host.tlsa(server=layout.NS2) == [host.world.initial.tlsa(1)]
    assert host.verdicts() == []


def test_both_digests_come_in_one_update(mailhost: Make) -> None:
    host = mailhost(records=["3 1 1", "3 1 2"])
    host.publish(host.world.initial.tlsa(0))
    with watch(host) as watcher:
        outcome = host.apply("--wait")
    (update,) = publications(outcome)
    assert sorted(update["wanted"]) == host.tlsa() == [host.world.initial.tlsa(1, 1), host.world.initial.tlsa(1, 2)]
    assert not watcher.invalid
    assert host.verdicts() == []


def test_the_second_digest_is_added_and_dropped_entirely(mailhost: Make) -> None:
    """Rules: `3 1 2` for all published keys in one update, and dropped in one."""
    host = mailhost()
    host.publish(host.world.initial.tlsa(0))
    host.apply("--wait")
    host.configure(records=["3 1 1", "3 1 2"])
    outcome = host.apply("--wait")
    assert kinds(outcome) == ["publish"]
    assert host.tlsa() == [host.world.initial.tlsa(1, 1), host.world.initial.tlsa(1, 2)]
    host.configure(records=["3 1 1"])
    assert kinds(host.apply("--wait")) == ["publish"]
    assert host.tlsa() == [host.world.initial.tlsa(1)]


def test_every_port_has_its_own_records(mailhost: Make) -> None:
    host = mailhost(ports=[25, 465, 587])
    outcome = host.apply("--wait")
    assert {step["owner"] for step in publications(outcome)} == {host.owner_of(port) for port in (25, 465, 587)}
    for port in 25, 465, 587:
        assert host.tlsa(port) == [live_key(host, port)]
    assert host.verdicts() == []
    assert ldns_dane(host.world, host.host, 465).good


def test_the_first_records_come_at_once_where_the_adopted_key_is_live(mailhost: Make) -> None:
    host = mailhost()
    with watch(host) as watcher:
        outcome = host.apply("--wait")
    assert kinds(outcome)[:2] == ["take-key", "publish"]
    assert not watcher.invalid
    assert host.tlsa() == [live_key(host)]


def test_the_first_records_of_a_new_key_come_last(mailhost: Make) -> None:
    host = mailhost(adopt=False)
    with watch(host) as watcher:
        outcome = host.apply("--wait")
    assert kinds(outcome) == ["take-key", "obtain", "stage", "activate", "reload", "prove", "publish"]
    assert watcher.handshakes > 5
    assert not watcher.invalid  # every sample is one of a sender who held records: all came after every address
    assert host.tlsa() == [live_key(host)]
    assert host.tlsa() != [host.world.initial.tlsa(1)]


@pytest.mark.parametrize("selector", [0, 1])
def test_a_new_key_beside_the_record_of_the_old_one(mailhost: Make, selector: int) -> None:
    """Both keys' records, the wait, the deployment; the old key's record goes only where it is ours (RFC 7671 8.1)."""
    host = mailhost(adopt=False)
    initial = host.world.initial
    host.publish(initial.tlsa(selector))
    with watch(host) as watcher:
        outcome = host.apply("--wait")
    assert not watcher.invalid
    assert live_key(host) != initial.tlsa(1)
    first, *later = publications(outcome)
    assert kinds(outcome).index("publish") < kinds(outcome).index("activate")
    assert initial.tlsa(1) in first["wanted"]
    assert len(first["wanted"]) == 2
    if selector == 0:  # the `3 1 1` of the old key was our own addition
        assert len(later) == 1
        assert host.tlsa() == [live_key(host)]
    else:
        assert not later
        assert host.tlsa() == sorted([initial.tlsa(1), live_key(host)])


def test_a_named_record_of_the_old_key_goes_after_the_deployment(mailhost: Make) -> None:
    initial_of = mailhost()
    initial = initial_of.world.initial
    host = mailhost(adopt=False, prune=[initial.tlsa(1)])
    host.publish(initial.tlsa(1), f"3 1 1 {'ab' * 32}")
    with watch(host) as watcher:
        outcome = host.apply("--wait")
    assert not watcher.invalid
    assert len(publications(outcome)) == 2
    assert host.tlsa() == sorted([f"3 1 1 {'ab' * 32}", live_key(host)])  # what `prune` does not name stays


def test_without_prune_the_foreign_record_stays_and_is_reported(mailhost: Make) -> None:
    host = mailhost(prune=False)
    foreign = host.world.initial.tlsa(0)
    host.publish(foreign)
    planned = host.danelaw("plan")
    outcome = host.apply("--wait")
    assert host.tlsa() == sorted([foreign, host.world.initial.tlsa(1)])
    assert foreign in publications(outcome)[0]["why"]
    assert f"leave {foreign}" in planned.out
    endpoint = host.json("status")["certificates"][0]["endpoints"][0]
    assert endpoint["foreign"] == [foreign]
    assert "prune" in host.danelaw("status").out
    again = host.danelaw("apply", host.zone)
    assert again.status == 0
    assert host.verdicts() == []


def test_nothing_else_in_the_zone_is_touched(mailhost: Make) -> None:
    host = mailhost()
    host.world.update(
        f'add {host.owner} 7 TXT "somebody else"',
        f"add _465._tcp.{host.host}. 7 TLSA 3 1 1 {'cd' * 32}",
        f"add _443._tcp.www.{host.zone}. 7 TLSA 3 1 1 {'ef' * 32}",
        zone=host.zone,
    )
    host.publish(host.world.initial.tlsa(0))
    before = host.zone_without(host.owner, "TLSA")
    host.apply("--wait")
    assert host.tlsa() == [host.world.initial.tlsa(1)]
    assert host.zone_without(host.owner, "TLSA") == before
    assert "somebody else" in "".join(before)


@pytest.mark.parametrize("algorithm", ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha384", "hmac-sha512"])
def test_every_tsig_algorithm(mailhost: Make, world: World, algorithm: str) -> None:
    host = mailhost(tsig=world.keys[algorithm].pair)
    done = host.danelaw("apply", "--wait")
    assert done.status == 0, done.err
    assert host.tlsa() == [world.initial.tlsa(1)]
    weak = {"hmac-md5": "must not be used", "hmac-sha1": "should not be used"}  # RFC 8945 section 6
    warned = f"warning: dns.home: TSIG key {algorithm}.{layout.DOMAIN}. uses {algorithm}, which {weak.get(algorithm)}"
    assert (algorithm in weak) == (warned in done.err)
    assert (algorithm in weak) == ("TSIG key" in done.err)


def test_a_wrong_tsig_secret_is_one_sentence_and_backs_off(mailhost: Make, tmp_path: Path) -> None:
    host = mailhost()
    wrong = tmp_path / "wrong.conf"
    clause = host.world.keys["hmac-sha256"].clause.read_text()
    secret = clause.split('secret "')[1].split('"')[0]
    wrong.touch(mode=0o600)
    wrong.write_text(clause.replace(secret, "d3Jvbmcgc2VjcmV0IHdyb25nIHNlY3JldCB3cm9uZyE="))
    host.configure(tsig=wrong)
    done = host.danelaw("apply")
    assert done.status == 1
    failed = [line for line in done.out.splitlines() if line.startswith("FAILED")]
    assert any("knows another secret for TSIG key" in line for line in failed)
    assert "d3Jvbm" not in done.out + done.err
    assert host.tlsa() == []
    again = host.apply(status=1)
    assert codes(again, "waits").count("backoff") == 1
    assert "publish" not in kinds(again)
    host.configure()
    assert "publish" in kinds(host.apply("--retry-now"))
    assert host.tlsa() == [host.world.initial.tlsa(1)]


def test_a_stranger_key_is_refused_in_words(mailhost: Make) -> None:
    host = mailhost(tsig=mailhost().world.stranger_key.pair)
    done = host.danelaw("apply")
    assert done.status == 1
    assert "grant it in its update policy" in done.out
    assert host.tlsa() == []


def test_a_made_key_is_what_the_record_says(mailhost: Make, world: World) -> None:
    """Two hosts over keys of their own never get each other's record."""
    other: Identity = world.old_ca.issue(["mail.other.test"], make_private_key())
    host = mailhost(adopt=False)
    host.apply("--wait")
    assert host.tlsa() not in ([other.tlsa(1)], [world.initial.tlsa(1)])
    assert host.tlsa() == [live_key(host)]
