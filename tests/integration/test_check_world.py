"""The check against real servers: BIND and Knot, Postfix, Dovecot, and libunbound over the world's own root."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from danelaw.check.document import document
from danelaw.check.examine import examine, examine_blocking
from danelaw.check.many import Judged, examine_many
from danelaw.check.outside import Outside
from danelaw.check.recorded import Recording, dumps, judge, loads
from danelaw.check.shared import Shared
from danelaw.check.targets import parse_target
from danelaw.dane.sender import Wishes
from danelaw.model import Answer, Handshake, Question, Report, ResolverSpec, Target
from fakes.peers import LIMIT, Peer
from fakes.running_clock import RunningClock
from world import World, layout
from world.pki import Identity

pytestmark = pytest.mark.world

CLOCK = RunningClock()
STALE = f"3 1 1 {'ab' * 32}"

Make = Callable[..., str]


def outside(world: World, **options: Any) -> Outside:
    spec = ResolverSpec(trust_anchor=str(world.root_ds), root_hints=str(world.root_hints))
    return Outside(CLOCK, spec, timeout=5, **options)


def check(world: World, text: str, protocol: str | None = None, **options: Any) -> Report:
    return examine_blocking(parse_target(text, protocol), outside(world, **options), CLOCK)


@pytest.fixture
def zone(world: World, request: pytest.FixtureRequest) -> Make:
    """Make signed zones with a mail host of their own name, and publish records of port 25 there."""

    def make(*records: str, updates: tuple[str, ...] = ()) -> str:
        label = f"c{abs(hash((request.node.nodeid, records, updates))):x}"
        name = world.zone(f"{label}.test").name
        if records:
            world.publish(f"_25._tcp.mail.{name}", records)
        if updates:
            world.update(*(line.format(zone=name) for line in updates), zone=name)
        return name

    return make


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_good_domain_is_good_blocking_in_asyncio_and_judged_again(world: World, zone: Make) -> None:
    name = zone(world.initial.tlsa(1))
    known: dict[Question, Answer] = {}
    report = examine_blocking(Target(name), outside(world), CLOCK, known=known)
    assert report.status == 0, document(report)
    assert dict(report.outcomes) == dict.fromkeys(["postfix", "exim", "mox", "exchange"], "authenticated")
    (endpoint,) = report.endpoints
    assert endpoint.addresses == layout.MAIL
    assert {attempt.shaken.version for attempt in endpoint.attempts if attempt.outcomes} == {"TLSv1.3"}
    assert endpoint.tlsa.authorities is not None
    assert {reading.server for reading in endpoint.tlsa.authorities.readings} == {layout.NS1, layout.NS2}

    async def in_loop() -> Report:
        async with outside(world) as entered:
            return await examine(Target(name), entered, CLOCK)

    again = asyncio.run(in_loop())
    assert verdicts(again) == verdicts(report)
    recording = loads(dumps(Recording(Target(name), report.at, tuple(known.values()))))
    assert judge(recording) == report


def verdicts(report: Report) -> object:
    return (
        report.status,
        report.outcomes,
        report.delivers,
        [(each.address, each.algorithm, each.outcomes, each.records) for e in report.endpoints for each in e.attempts],
        [(each.code, each.severity, each.subject) for each in report.findings],
    )


@pytest.mark.parametrize(
    ("records", "updates", "status"),
    [
        pytest.param((), (), 3, id="no records"),
        pytest.param((STALE,), (), 1, id="stale record alone"),
        pytest.param(("{spki}", STALE), (), 0, id="stale record beside a good one"),
        pytest.param(("3 1 1 abcd",), (), 1, id="unusable record: Exim defers"),
        pytest.param(("3 0 1 {leaf}",), (), 0, id="pinned certificate"),
        pytest.param((), ("delete {zone}. MX", "add {zone}. 5 MX 0 ."), 3, id="null MX"),
        pytest.param(
            ("{spki}",), ("delete {zone}. MX", "add {zone}. 5 MX 5 gone.unsigned.test."), 4, id="MX without address"
        ),
        pytest.param((), ("delete mail.{zone}. A", "add mail.{zone}. 5 A 127.25.0.99"), 4, id="nothing listens"),
        pytest.param(
            ("{spki}",), ("add {zone}. 5 MX 20 mail.unsigned.test.",), 3, id="second MX below an unsigned zone"
        ),
    ],
)
def test_every_fault_has_its_status(
    world: World, zone: Make, records: tuple[str, ...], updates: tuple[str, ...], status: int
) -> None:
    spki, leaf = world.initial.tlsa(1), world.initial.tlsa(0).rpartition(" ")[2]
    name = zone(*(record.format(spki=spki, leaf=leaf) for record in records), updates=updates)
    report = check(world, name)
    assert report.status == status, document(report)


@pytest.mark.parametrize(
    ("name", "status"), [("unsigned.test", 3), ("bogus.test", 1), ("expired.test", 1), ("nowhere.test", 4)]
)
def test_zones_that_are_no_good(world: World, name: str, status: int) -> None:
    report = check(world, name)
    assert report.status == status, document(report)


@pytest.mark.parametrize("port", [465, 587, 143, 993, 110, 995])
def test_every_protocol_of_a_mail_host(world: World, zone: Make, port: int) -> None:
    name = zone(updates=(f"add _{port}._tcp.mail.{{zone}}. 5 TLSA {world.initial.tlsa(1)}",))
    report = check(world, f"mail.{name}:{port}")
    assert report.status == 0, document(report)
    assert dict(report.outcomes) == {"client": "authenticated"}


def test_a_service_is_found_by_its_srv_records(world: World, zone: Make) -> None:
    name = zone(
        updates=(
            "add _imaps._tcp.{zone}. 5 SRV 0 1 993 mail.{zone}.",
            f"add _993._tcp.mail.{{zone}}. 5 TLSA {world.initial.tlsa(1)}",
        )
    )
    report = check(world, name, "imaps")
    assert report.status == 0, document(report)
    assert [each.name for each in report.endpoints] == [f"mail.{name}:993"]
    assert check(world, name, "pop3s").status == 3  # there is no such service


def test_a_place_that_may_not_be_reached_is_not_dialled(world: World, zone: Make) -> None:
    name = zone(world.initial.tlsa(1))
    asked: list[str] = []

    def may_reach(address: str) -> bool:
        asked.append(address)
        return address not in layout.MAIL

    report = check(world, name, may_reach=may_reach)
    assert report.status == 4
    assert {attempt.shaken.failure for attempt in report.endpoints[0].attempts} == {"forbidden"}
    assert set(layout.MAIL) <= set(asked)


def test_connect_puts_another_place_in_an_address_s_stead(world: World, zone: Make) -> None:
    name = zone(world.initial.tlsa(1), updates=("delete mail.{zone}. A", "add mail.{zone}. 5 A 192.0.2.25"))
    report = check(world, name, connect={"192.0.2.25:25": (layout.MAIL[0], 25)})
    assert report.status == 0, document(report)
    assert {each.shaken.through for each in report.endpoints[0].attempts} == {f"{layout.MAIL[0]}:25"}


# --- MTA-STS ---------------------------------------------------------------------------------------------------------


@contextmanager
def policy_server(identity: Identity, text: str, folder: Path) -> Iterator[Peer]:
    """Serve a policy over HTTPS on loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = folder / "policy.pem"
    pem.touch(mode=0o600)
    pem.write_bytes(identity.combined_pem)
    context.load_cert_chain(pem)
    body = text.encode()

    def talk(stream: socket.socket, number: int) -> None:
        del number
        with context.wrap_socket(stream.dup(), server_side=True) as secured:
            secured.settimeout(LIMIT)
            secured.recv(4096)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
            secured.sendall(head.encode() + body)

    with Peer(talk) as peer:
        yield peer


def test_a_policy_is_fetched_at_the_address_that_validates(world: World, zone: Make, tmp_path: Path) -> None:
    updates = ('add _mta-sts.{zone}. 5 TXT "v=STSv1; id=1;"', "add mta-sts.{zone}. 5 A 192.0.2.80")
    name = zone(world.initial.tlsa(1), updates=updates)
    text = f"version: STSv1\r\nmode: enforce\r\nmx: mail.{name}\r\nmax_age: 86400\r\n"
    roots = tmp_path / "roots.pem"
    roots.write_bytes(world.old_ca.root_pem)
    with policy_server(world.old_ca.issue([f"mta-sts.{name}"]), text, tmp_path) as peer:
        connect = {"192.0.2.80:443": peer.address}
        found = check(world, name, connect=connect, roots=str(roots)).policy
        untrusted = check(world, name, connect=connect).policy
    assert found is not None
    assert (found.text, found.problem) == (text, "")
    assert untrusted is not None
    assert (untrusted.text, untrusted.ours) == (None, False)
    assert "self-signed certificate in certificate chain" in untrusted.problem


# --- many ------------------------------------------------------------------------------------------------------------


def test_many_domains_behind_one_host_are_asked_of_it_once(world: World, zone: Make) -> None:
    name = zone(world.initial.tlsa(1), updates=tuple(f"add d{i}.{{zone}}. 5 MX 10 mail.{{zone}}." for i in range(40)))
    handshakes: list[Handshake] = []

    async def run() -> list[int]:
        async with outside(world) as entered:
            shared = Shared(_Noting(entered, handshakes))
            wishes = Wishes(policy=False)
            lines = (f"d{i}.{name}" for i in range(40))
            results = examine_many(lines, lambda target: examine(target, shared, CLOCK, wishes), jobs=8)
            return [result.status async for result in results if isinstance(result, Judged)]

    assert asyncio.run(run()) == [0] * 40
    assert len(handshakes) == 4  # two addresses, twice: whatever it has, and RSA


class _Noting:
    def __init__(self, inner: Outside, handshakes: list[Handshake]) -> None:
        self._inner, self._handshakes = inner, handshakes

    async def answer(self, question: Question) -> Answer:
        if isinstance(question, Handshake):
            self._handshakes.append(question)
        return await self._inner.answer(question)
