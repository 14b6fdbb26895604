"""Before the CA is asked: which answer at which address is another's, and which silence is only a warning."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from danelaw.errors import Refused, RetryLater
from danelaw.model import Http01, Visit, Visited
from danelaw.run.reach import PREFIX, scope
from danelaw.run.runner import apply
from fakes.run_world import ADDRESS, HOST, START, STOP, MailWorld

OTHER, OTHER6 = "192.0.2.99", "2001:db8::99"
NOT_FOUND, REFUSED = "answers 404 Not Found", "refuses the connection: nothing listens there"


class Web:
    """`model.Visitor`: an address answers what its solver presents, as this host does, or what ``elsewhere`` has.

    ``silent`` are those that say nothing.
    """

    def __init__(self, world: MailWorld) -> None:
        self.world = world
        self.elsewhere: dict[str, str] = {}
        self.silent: set[str] = set()
        self.asked: list[Visit] = []

    def visit(self, visits: Sequence[Visit]) -> Sequence[Visited]:
        self.asked.extend(visits)
        return [self._one(visit) for visit in visits]

    def _one(self, visit: Visit) -> Visited:
        if visit.address in self.silent:
            return Visited(visit, None, REFUSED, silent=True)
        if visit.address in self.elsewhere:
            return Visited(visit, None, self.elsewhere[visit.address])
        answer = self.world.solver.answers.get((visit.name, visit.path.removeprefix(PREFIX)), "")
        return Visited(visit, f"{answer}\n".encode(), "answers 200 OK with another text")


def web(*addresses: str, webroot: bool = True) -> tuple[MailWorld, Web]:
    """Return a world in which the name has these addresses, and its web."""
    world = MailWorld()
    if webroot:
        world.change(http01=Http01(webroots=("/srv/www", "/srv/blog")))
    world.zone.hosts[HOST] = (addresses, "secure", "")
    found = Web(world)
    world.visitor = found
    # the proof is not what is tried here: whatever address it has is this host's
    world.change(deployments=(replace(world.deployment, addresses=(ADDRESS,)),))
    return world, found


def said(world: MailWorld) -> str:
    return "\n".join(event.text for event in world.told if event.kind == "progress")


def failure(world: MailWorld) -> str:
    failed = apply(world.desired, world.rings).failed
    return failed[0] if failed else ""


def test_a_name_that_leads_here_is_fetched_once_and_leaves_nothing() -> None:
    world, found = web(ADDRESS)
    assert failure(world) == ""
    (visit,) = found.asked
    assert (visit.name, visit.address) == (HOST, ADDRESS)
    assert visit.path.startswith(f"{PREFIX}danelaw-")
    assert [token for _, token in world.solver.answers] == ["token"]  # the CA's own
    assert len(world.ca.status) == 1


def test_another_hosts_answer_refuses_before_the_order() -> None:
    world, found = web(OTHER)
    found.elsewhere[OTHER] = NOT_FOUND
    text = failure(world)
    assert f"{OTHER}, an address of {HOST}, is not this host's, and http://{HOST}{PREFIX} there {NOT_FOUND}" in text
    assert f"point {HOST} to this host" in text
    assert f'"{OTHER}:80"' in text
    assert world.ca.status == {}
    assert world.solver.answers == {}


def test_another_host_that_hands_it_on_is_as_good() -> None:
    world, _ = web(OTHER, ADDRESS)
    assert failure(world) == ""
    assert OTHER not in said(world)


def test_another_host_that_says_nothing_to_us_is_a_warning() -> None:
    world, found = web(ADDRESS, OTHER)
    found.silent.add(OTHER)
    assert failure(world) == ""
    assert f"{OTHER}, an address of {HOST}, is not this host's (beside {ADDRESS}, which is); it {REFUSED}" in said(
        world
    )
    assert len(world.ca.status) == 1


def test_ipv6_that_leads_elsewhere_is_said_with_who_asks_it_first() -> None:
    world, found = web(ADDRESS, OTHER6)
    found.elsewhere[OTHER6] = NOT_FOUND
    assert failure(world) == ""  # this host has no IPv6 that could tell it from its own router
    assert f"{OTHER6}, an address of {HOST}, is not this host's" in said(world)
    assert "most CAs ask IPv6 first" in said(world)
    world, found = web(ADDRESS, OTHER6)
    found.elsewhere[OTHER6] = NOT_FOUND
    world.host.own |= {"2001:db8::25"}
    assert f"http://{HOST}{PREFIX} there {NOT_FOUND}" in failure(world)
    assert world.ca.status == {}


def test_ipv4_that_leads_elsewhere_is_a_warning_where_ipv6_leads_here() -> None:
    """One IPv4 address for many hosts, an IPv6 address for each: the CA asks there first."""
    here6 = "2001:db8::25"
    world, found = web(OTHER, here6)
    world.host.own |= {here6}
    found.elsewhere[OTHER] = NOT_FOUND
    assert failure(world) == ""
    assert f"{OTHER}, an address of {HOST}, is not this host's" in said(world)
    for second in (NOT_FOUND, None):  # it must be all of them
        world, found = web(OTHER, here6, OTHER6)
        world.host.own |= {here6}
        found.elsewhere[OTHER] = NOT_FOUND
        found.silent |= {OTHER6}
        if second:
            found.silent.clear()
            found.elsewhere[OTHER6] = second
        assert f"{OTHER}, an address of {HOST}, is not this host's" in failure(world)
        assert world.ca.status == {}


def test_behind_nat_the_router_may_answer_for_its_outer_address() -> None:
    """The host has private addresses alone, the name a global one: nothing needs to be configured."""
    world, found = web("198.51.100.7")
    world.change(deployments=(replace(world.deployment, addresses=()),))
    world.host.own = frozenset({"127.0.0.1", "::1", "192.168.1.2", "fe80::1"})
    world.zone.hosts[HOST] = (("8.8.4.4",), "secure", "")
    found.elsewhere["8.8.4.4"] = "answers 401 Unauthorized"
    apply(world.desired, world.rings)
    assert "behind NAT that may be the router" in said(world)
    assert len(world.ca.status) == 1


def test_our_own_web_server_that_answers_something_else_refuses() -> None:
    world, found = web(ADDRESS)
    found.elsewhere[ADDRESS] = NOT_FOUND
    text = failure(world)
    assert f"http://{HOST}{PREFIX} at {ADDRESS} {NOT_FOUND}, though an answer stands below /srv/www, /srv/blog" in text
    assert world.ca.status == {}
    world, found = web(ADDRESS, webroot=False)
    found.elsewhere[ADDRESS] = NOT_FOUND
    assert "something else has port 80 there" in failure(world)


def test_our_own_web_server_that_says_nothing_is_a_warning() -> None:
    """A firewall may send what comes from outside, and only that, to somewhere else."""
    world, found = web(ADDRESS)
    found.silent.add(ADDRESS)
    assert failure(world) == ""
    assert f"at {ADDRESS} {REFUSED}; the CA must be answered there" in said(world)


def test_connect_says_how_an_address_is_reached_and_makes_it_ours() -> None:
    world, found = web(OTHER)
    world.connect[f"{OTHER}:80"] = ("10.0.0.5", 80)
    found.elsewhere[OTHER] = NOT_FOUND
    assert f"at {OTHER} {NOT_FOUND}, though an answer stands below" in failure(world)
    world, found = web(OTHER, ADDRESS)
    world.connect[f"{HOST}:80"] = ("10.0.0.5", 80)
    assert failure(world) == ""
    assert len(found.asked) == 1


def test_a_listener_at_another_port_is_asked_by_who_knows_it() -> None:
    """A CA of one's own asks there, or a proxy at port 80 hands on what only it is asked for: a warning is all."""
    world, found = web(ADDRESS)
    world.change(http01=Http01(listen=((ADDRESS, 8080),)))
    found.elsewhere[ADDRESS] = NOT_FOUND
    assert failure(world) == ""
    assert f"at {ADDRESS} {NOT_FOUND}" in said(world)


def test_what_has_to_be_stopped_is_asked_only_once_it_is() -> None:
    """The order is open then; it is refused before the CA asks, the server is started, and the order kept."""
    world, found = web(OTHER, webroot=False)
    world.change(pre_challenge=STOP, post_challenge=START)
    found.elsewhere[OTHER] = NOT_FOUND
    text = failure(world)
    assert f"there {NOT_FOUND}" in text
    assert world.host.ran[:2] == [STOP, START]
    assert f"{OTHER}, an address of {HOST}, is not this host's: the CA asks there" in said(world)
    assert list(world.ca.status.values()) == ["pending"]


def test_an_order_that_is_ready_at_once_is_not_kept_by_a_taken_port() -> None:
    world, found = web(ADDRESS, webroot=False)
    world.ca.opens_as = "ready"
    world.solver_fails = [RetryLater("0.0.0.0:80 is held by nginx")]
    assert failure(world) == ""
    assert found.asked == []


def test_a_webroot_that_cannot_be_written_is_said_before_the_order() -> None:
    world, found = web(ADDRESS)
    world.solver_fails = [Refused("/srv/www: no such folder")]
    assert "/srv/www: no such folder" in failure(world)
    assert (found.asked, world.ca.status) == ([], {})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", (4, "loopback")),
        ("::1", (6, "loopback")),
        ("169.254.1.1", (4, "link")),
        ("fe80::1", (6, "link")),
        ("10.1.2.3", (4, "private")),
        ("100.64.1.1", (4, "private")),
        ("fd00::1", (6, "private")),
        ("9.9.9.9", (4, "global")),
        ("2620:fe::fe", (6, "global")),
    ],
)
def test_how_far_an_address_reaches(address: str, expected: tuple[int, str]) -> None:
    assert scope(address) == expected
