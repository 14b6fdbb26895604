"""kill -9 at every effect, and inside them: the next run carries on, and first does what is owed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario import Site
from scenario.endstate import EndState, end_state
from scenario.handshake import answers_http
from world import ServiceName, World

pytestmark = pytest.mark.world

SERVICES = ("postfix", "apache")
NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "postfix", "apache")


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1) as world:
        yield world


def beginning(world: World, folder: Path) -> Site:
    """Return a site with the old certificate everywhere, its record published, and nothing of danelaw's yet."""
    site = Site(world, folder, services=SERVICES, own_listener=True, ttl=1)
    world.present(world.initial)
    site.publish_old()
    return site


@pytest.fixture
def site(shared: World, tmp_path: Path) -> Iterator[Site]:
    yield beginning(shared, tmp_path)
    if not answers_http():
        shared.apache.start()


@pytest.fixture(scope="class")
def settled(shared: World, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = beginning(shared, tmp_path_factory.mktemp("settled"))
    site.json("apply", "--wait")
    return site


def undisturbed(state: EndState) -> None:
    """Fail where an end state is not that of a run that nothing happened to."""
    assert state.keys == 1
    assert len(state.records) == 1
    assert state.records[0].startswith("3 1 1 ")
    assert state.presented_everywhere
    assert state.issued_by_the_ca
    assert state.leftovers == ()
    assert state.modes == (("tls.pem", "0600"), ("example_test.pem", "0644"), ("example_test.key", "0600"))
    assert state.web_server
    assert (state.open_effects, state.live_leases, state.sound) == (0, 0, "ok")


def test_killed_at_one_boundary_after_the_other(site: Site) -> None:
    """Run k dies at its k-th boundary, until one comes to its end."""
    runs, apache_was_down = 0, False
    while True:
        runs += 1
        run = site.killed(f"boundary:{runs}", "apply", "--wait")
        if run.status != -9:
            break
        apache_was_down |= not answers_http()
        assert runs < 100
    assert run.status == 0, run
    assert runs > 20
    assert apache_was_down
    undisturbed(end_state(site, SERVICES))
    assert site.danelaw("apply").out.startswith("Nothing is due")


INSIDE = (
    "host.take_key:before:1",
    "host.take_key:after:1",
    "publisher.swap:after:1",  # the update is at the primary
    "host.run:before:1",  # the order is open, pre_challenge is about to run
    "host.run:after:2",  # it has run, after what the run before owed
    "authority.advance:after:2",  # the CA has validated; the first call is the look at an order that was open
    "authority.advance:after:2",  # the CSR is sent
    "authority.advance:after:1",  # the CA has issued
    "authority.advance:after:2",  # downloaded, not stored
    "host.stage:after:1",
    "host.activate:before:1",
    "host.activate:after:1",  # between rename and reload
    "host.run:before:1",  # the config test
    "host.run:after:2",  # reloaded, not proven
    "prober.probe:after:3",
    "host.activate:after:1",  # of the second deployment: a link flipped
)


def test_killed_inside_one_effect_after_the_other(site: Site) -> None:
    before, down = site.orders, []
    for point in INSIDE:
        run = site.killed(point, "apply", "--wait")
        assert run.status == -9, (point, run)
        if not answers_http():
            down.append(point)
    assert down == ["host.run:after:2", "authority.advance:after:2"]
    outcome = site.json("apply", "--wait")
    assert outcome["failed"] == []
    assert site.orders - before == 1
    assert len(site.chains) == 1
    undisturbed(end_state(site, SERVICES))


@pytest.mark.parametrize("command", ["apply", "recover"])
def test_a_stopped_web_server_is_started_first(site: Site, command: str) -> None:
    assert site.killed("host.run:after:1", "apply", "--wait").status == -9
    assert not answers_http()
    run = site.danelaw(command)
    assert answers_http()
    assert run.status == 0, run
    lines = [line for line in run.out.splitlines() if "running" in line]
    assert lines[0].endswith("apache2ctl start")


def test_recover_alone_does_what_is_owed_and_no_more(site: Site) -> None:
    before = site.orders
    assert site.killed("authority.advance:after:1", "apply", "--wait").status == -9
    run = site.danelaw("recover")
    assert run.status == 0, run
    assert site.orders == before + 1
    assert site.chains == []
    assert "Nothing is owed" in site.danelaw("recover").out


def test_an_order_that_nobody_could_store_is_opened_again(site: Site) -> None:
    before = site.orders
    assert site.killed("authority.open:after:1", "apply", "--wait").status == -9
    site.json("apply", "--wait")
    assert site.orders == before + 2
    assert len(site.chains) == 1


class TestOnceAllIsDone:
    """One site, settled before and after each test. It comes last: `site` begins anew."""

    def test_a_renewal_killed_within_the_hour_is_nobody_elses_writing(self, settled: Site) -> None:
        """The files that stand there are ours, though no fact says so yet."""
        chains = len(settled.chains)
        assert settled.killed("host.activate:after:1", "apply", "--force-renewal").status == -9
        outcome = settled.json("apply", "--wait")
        assert (outcome["holds"], outcome["failed"]) == ([], [])
        undisturbed(end_state(settled, SERVICES))
        assert len(settled.chains) == chains + 1

    def test_a_renewal_killed_after_it_was_obtained_goes_on_without_being_asked(self, settled: Site) -> None:
        """An earlier run's "nothing is due" does not outlive the first effect of a later one."""
        chains = len(settled.chains)
        assert settled.danelaw("apply").out.startswith("Nothing is due")
        assert settled.killed("host.stage:before:1", "apply", "--force-renewal").status == -9
        run = settled.danelaw("apply")
        assert run.status == 0, run
        assert not run.out.startswith("Nothing is due")
        undisturbed(end_state(settled, SERVICES))
        assert len(settled.chains) == chains + 1

    def test_a_revocation_that_was_killed_is_carried_out(self, settled: Site) -> None:
        chains = len(settled.chains)
        assert settled.killed("authority.revoke:after:1", "revoke", "example.test", "--yes").status == -9
        outcome = settled.json("apply", "--wait")
        assert "obtain" in [step["step"] for step in outcome["steps"]]
        assert [chain["revoked"] for chain in settled.chains] == [False] * (chains - 1) + [True, False]
        undisturbed(end_state(settled, SERVICES))
