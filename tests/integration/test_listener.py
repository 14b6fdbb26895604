"""http-01 on real ports: both families, several document roots, and names that lead to other hosts."""

import functools
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from fakes import without_ipv6
from scenario import Site
from world import World, layout

pytestmark = pytest.mark.world

HERE, ALSO_HERE = "127.81.0.1", "127.81.0.2"
ELSEWHERE, ELSEWHERE6 = "127.99.0.1", "fd99::1"
"""No interface has these; this machine answers them all the same, so that a test can be the other host."""
A_HERE = f"A {HERE}"


@pytest.fixture(scope="module")
def quiet() -> Iterator[World]:
    """A world without a web server."""
    with World(("bind", "unbound", "pebble"), key_type="p256") as world:
        for address in HERE, ALSO_HERE:
            world.namespace.add_address(address)
        subprocess.run(["ip", "-6", "route", "add", "local", "fd99::/64", "dev", "lo"], check=True)
        yield world


class Names:
    """A zone's names, and what danelaw says of a certificate for them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.count = 0

    def name(self, *records: str) -> str:
        """Return a new name with these records; no CA has seen it before."""
        self.count += 1
        name = f"n{sha256(f'{self.folder} {self.count}'.encode()).hexdigest()[:12]}.{layout.DOMAIN}"
        self.world.update(*(f"add {name}. 1 {record}" for record in records))
        return name

    def site(self, http01: str, *names: str, extra: str = "") -> Site:
        return Site(
            self.world, self.folder, names=names, services=(), ports=(), http01=http01, extra=extra, adopt=False
        )


@pytest.fixture
def names(quiet: World, tmp_path: Path) -> Names:
    return Names(quiet, tmp_path)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


IPV6_FREEBIND = 78
"""ipv6(7): bind what no interface has; Python has no name for it."""


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        super().server_bind()


@contextmanager
def web_server(address: str, root: Path) -> Iterator[None]:
    """Serve a folder on port 80 of an address, as another web server or another host does."""
    kind = Server6 if ":" in address else http.server.ThreadingHTTPServer
    server = kind((address, 80), functools.partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificates(site: Site) -> int:
    return len(site.chains)


# --- both families ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", ["AAAA ::1", A_HERE])
def test_the_default_answers_in_either_family(names: Names, record: str) -> None:
    site = names.site('{ listen = ["0.0.0.0:80", "[::]:80"] }', names.name(record))
    assert site.json("apply", "--wait")["failed"] == []
    assert certificates(site) == 1


def test_ipv6_alone_answers_in_both(names: Names) -> None:
    site = names.site('{ listen = ["[::]:80"] }', names.name("AAAA ::1"), names.name(A_HERE))
    assert site.json("apply", "--wait")["failed"] == []


def test_a_host_without_ipv6_says_so_to_who_asks(names: Names) -> None:
    site = names.site('{ listen = ["0.0.0.0:80", "[::]:80"] }', names.name(A_HERE))
    launched = [sys.executable, without_ipv6.__file__, *site.argv("-v", "apply", "--wait")]
    run = subprocess.run(launched, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "[::]:80 is not listened on: this host has no IPv6" in run.stdout
    quiet = subprocess.run(
        [launched[0], launched[1], *site.argv("apply", "--wait", "--force-renewal")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert quiet.returncode == 0
    assert "is not listened on" not in quiet.stdout


def test_an_ipv6_address_that_is_asked_for_must_be_there(names: Names) -> None:
    before = names.world.pebble.log.read_text().count("Added order")
    site = names.site('{ listen = ["0.0.0.0:80", "[2001:db8::1]:80"] }', names.name(A_HERE))
    run = site.danelaw("apply", "--wait")
    assert run.status == 1
    assert "[2001:db8::1]:80 cannot be listened on: Cannot assign requested address" in run.out
    assert certificates(site) == 0
    assert site.orders <= before + 1


# --- document roots --------------------------------------------------------------------------------------------------


def test_virtual_hosts_with_document_roots_of_their_own(names: Names) -> None:
    roots = [names.folder / "www", names.folder / "blog"]
    for root in roots:
        root.mkdir()
    www, blog = names.name(f"A {HERE}"), names.name(f"A {ALSO_HERE}")
    with web_server(HERE, roots[0]), web_server(ALSO_HERE, roots[1]):
        one = names.site(f'{{ webroot = "{roots[0]}" }}', www, blog)
        before = one.orders
        run = one.danelaw("apply", "--wait")
        assert run.status == 1
        said = f"http://{blog}/.well-known/acme-challenge/ at {ALSO_HERE} answers 404 File not found, though an answer"
        assert f"{said} stands below {roots[0]}" in run.out
        assert (one.orders, certificates(one)) == (before, 0)  # the CA was not asked
        both = names.site(f'{{ webroot = ["{roots[0]}", "{roots[1]}"] }}', www, blog)
        assert both.json("apply", "--wait", "--retry-now")["failed"] == []
        assert certificates(both) == 1
    assert [list(root.iterdir()) for root in roots] == [[], []]


# --- names that lead elsewhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "other"),
    [
        ([f"A {ELSEWHERE}"], ELSEWHERE),
        ([f"A {HERE}", f"A {ELSEWHERE}"], ELSEWHERE),
    ],
)
def test_another_host_is_named_before_the_order(names: Names, records: Sequence[str], other: str) -> None:
    name = names.name(*records)
    site = names.site(f'{{ listen = ["{HERE}:80"] }}', name)
    before = site.orders
    (names.folder / "theirs").mkdir()
    with web_server(other, names.folder / "theirs"):
        run = site.danelaw("apply", "--wait")
    assert run.status == 1
    assert f"{other}, an address of {name}, is not this host's" in run.out
    assert "there answers 404 File not found: the CA asks there" in run.out
    assert (site.orders, certificates(site)) == (before, 0)


def test_ipv6_that_leads_elsewhere_is_said(names: Names) -> None:
    """The classic: an AAAA record of the host before this one. This host has IPv6 of that kind, so no router has it."""
    name = names.name(A_HERE, f"AAAA {ELSEWHERE6}")
    subprocess.run(["ip", "address", "replace", "fd98::1/128", "dev", "lo", "nodad"], check=True)
    site = names.site(f'{{ listen = ["{HERE}:80"] }}', name)
    before = site.orders
    (names.folder / "theirs").mkdir()
    with web_server(ELSEWHERE6, names.folder / "theirs"):
        run = site.danelaw("apply", "--wait")
    assert run.status == 1
    assert f"{ELSEWHERE6}, an address of {name}, is not this host's (beside {HERE}, which is)" in run.out
    assert "most CAs ask IPv6 first" in run.out
    assert site.orders == before


def test_another_host_that_hands_it_on_is_as_good(names: Names) -> None:
    root = names.folder / "www"
    root.mkdir()
    site = names.site(f'{{ webroot = "{root}" }}', names.name(f"A {ELSEWHERE}"))
    with web_server(ELSEWHERE, root):
        run = site.danelaw("apply", "--wait")
    assert run.status == 0, run
    assert "is not this host's" not in run.out


def test_an_address_that_says_nothing_to_us_is_a_warning_and_the_ca_decides(names: Names) -> None:
    """Behind NAT without a way back in: nothing has to be configured, and what is wrong the CA says."""
    name = names.name("A 203.0.113.7")
    site = names.site(f'{{ listen = ["{HERE}:80"] }}', name)
    before = site.orders
    run = site.danelaw("apply", "--wait")
    assert f"203.0.113.7, an address of {name}, is not this host's; it cannot be reached from here" in run.out
    assert f"could not validate {name}" in run.out
    assert (run.status, site.orders) == (1, before + 1)


def test_connect_leads_the_check_inside(names: Names) -> None:
    """The router hands the port on; the way back in does not work, and [connect] says which way does."""
    name = names.name(f"A {ELSEWHERE}")
    root = names.folder / "www"
    root.mkdir()
    site = names.site(f'{{ webroot = "{root}" }}', name)
    site.config.write_text(f'{site.config.read_text()}\n[connect]\n"{ELSEWHERE}:80" = "{HERE}:80"\n')
    with web_server(HERE, root):
        run = site.danelaw("apply", "--wait")  # the CA is outside, and finds nobody there
        assert "is not this host's" not in run.out
        assert f"could not validate {name}" in run.out
    with web_server(HERE, root), web_server(ELSEWHERE, root):
        assert site.danelaw("apply", "--wait", "--retry-now").status == 0
