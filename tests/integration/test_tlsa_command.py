"""`danelaw tlsa` among real servers: what it prints is loaded and sent, and what is live is what it says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw import dane, pki
from danelaw.model import TlsaRecord
from demo.walk import run, steps
from integration.tls_servers import Address, openssl_server
from world import World, layout

pytestmark = pytest.mark.world

NOW = datetime.now(UTC)
ROOT = issue("Root", ca=True, key=rsa2048(), at=NOW)
ECDSA, RSA = issue(HOST, ROOT, key=p256(), at=NOW), issue(HOST, ROOT, key=rsa2048(), at=NOW)
EVERY = [option for u in range(4) for s in range(2) for m in range(3) for option in ("--record", f"{u} {s} {m}")]


class Done:
    """What a run of the command printed, and how it ended."""

    def __init__(self, *arguments: str | Path, config: Path | None = None) -> None:
        before = [] if config is None else ["--config", str(config)]
        argv = [sys.executable, "-m", "danelaw", *before, "tlsa", *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def records(self) -> list[TlsaRecord]:
        """The records of lines in a zone file's form, or of their data alone."""
        return [dane.parse_record(line.split(" TLSA ")[-1]) for line in self.out.splitlines()]


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return RSA.write(tmp_path, "mail")[0]


def tool(*argv: str | Path, stdin: str = "", status: int = 0) -> str:
    done = subprocess.run(list(map(str, argv)), input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


# --- forms -----------------------------------------------------------------------------------------------------------


def test_named_reads_our_lines_alike_in_both_forms(chain: Path, tmp_path: Path) -> None:
    """Full data of an RSA certificate included, whose line has two thousand characters."""
    head = "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 192.0.2.53\n"
    read = []
    for form in ("zone", "generic"):
        done = Done(chain, *EVERY, "--endpoint", f"{HOST}:443", "--ttl", "1800", "--format", form)
        (tmp_path / form).write_text(head + done.out)
        said = tool("named-compilezone", "-q", "-i", "none", "-o", "-", "example.org", tmp_path / form)
        read.append(sorted(line for line in said.splitlines() if "\tTLSA\t" in line.expandtabs(1).replace(" ", "\t")))
    assert read[0] == read[1]
    assert len(read[0]) == 24
    seen = {dane.parse_record(line.split("TLSA", 1)[1]) for line in read[0]}
    assert seen == set(Done(chain, *EVERY, "--endpoint", f"{HOST}:443").records)


def tlsa_at(world: World, owner: str) -> set[TlsaRecord]:
    lines = world.dig(owner, "TLSA", "+short", server=layout.NS1).splitlines()
    return {dane.parse_record(line) for line in lines if line[:1].isdigit()}


def test_nsupdate_sends_our_script_and_sending_it_twice_changes_nothing(world: World, chain: Path) -> None:
    zone = world.zone("script.test").name
    owner = f"_25._tcp.mail.{zone}"
    other = "3 1 1 " + "ab" * 32
    world.publish(owner, [other], ttl=300)
    done = Done(chain, *EVERY, "--endpoint", f"mail.{zone}:25", "--ttl", "300", "--format", "nsupdate")
    expected = set(Done(chain, *EVERY, "--endpoint", f"mail.{zone}:25").records) | {dane.parse_record(other)}
    assert len(expected) == 25
    tool("nsupdate", "-k", world.owner_key.clause, stdin=done.out)  # as it is: server and zone are found
    assert tlsa_at(world, owner) == expected
    serial = world.serial(zone)
    tool("nsupdate", "-k", world.owner_key.clause, stdin=done.out)
    assert tlsa_at(world, owner) == expected
    assert world.serial(zone) == serial
    assert tool("nsupdate", "-k", world.stranger_key.clause, stdin=done.out, status=2)
    assert "300" in world.dig(owner, "TLSA", "+noall", "+answer", server=layout.NS1).split()


def test_nsupdate_says_so_where_an_alias_would_swallow_the_records(world: World, chain: Path) -> None:
    zone = world.zone("swallowed.test").name
    owner = f"_25._tcp.alias.{zone}"
    script = Done(chain, "--endpoint", f"alias.{zone}:25", "--format", "nsupdate").out
    before = world.serial(zone)
    said = tool("nsupdate", "-k", world.owner_key.clause, stdin=script, status=2)
    assert "YXRRSET" in said
    assert (tlsa_at(world, owner), world.serial(zone)) == (set(), before)
    # The twin: without that prerequisite it "succeeds", and nothing happens. Such is RFC 2136 section 3.4.2.2.
    unguarded = "".join(f"{line}\n" for line in script.splitlines() if not line.startswith("prereq"))
    tool("nsupdate", "-k", world.owner_key.clause, stdin=unguarded)
    assert tlsa_at(world, owner) == set()


# --- live endpoints --------------------------------------------------------------------------------------------------


@pytest.fixture
def config(world: World, tmp_path: Path) -> Path:
    return write_config(world, tmp_path)


def write_config(world: World, folder: Path, connect: Mapping[str, Address] | None = None) -> Path:
    lines = ["[resolver]", f'root_hints = "{world.root_hints}"', f'trust_anchor = "{world.root_ds}"', "[connect]"]
    lines += [f'"{source}" = "{host}:{port}"' for source, (host, port) in (connect or {}).items()]
    lines += ["[certificate.broken]", "names = 5"]  # nothing that concerns us
    path = folder / "danelaw.toml"
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.mark.parametrize("port", [25, 465, 587, 143, 993, 110, 995])
def test_a_live_mail_server_is_asked_as_its_port_wants_it(world: World, config: Path, port: int) -> None:
    host = f"mail.{layout.DOMAIN}"
    done = Done(f"{host}:{port}", "--record", "3 1 1", "--record", "3 0 1", config=config)
    assert (done.status, done.err) == (0, "")
    tlsa = [f"{'3 1 1' if selector else '3 0 1'} {world.initial.tlsa(selector).split()[-1]}" for selector in (1, 0)]
    assert done.out.splitlines() == [f"_{port}._tcp.{host}. 3600 IN TLSA {record}" for record in tlsa]


def test_a_protocol_and_an_address_can_be_given(world: World, config: Path) -> None:
    record = world.initial.tlsa(1)
    assert Done(f"{layout.MAIL[0]}:25", config=config).out == f"{record}\n"
    named = Done(f"{layout.MAIL[0]}:25", "--name", f"mail.{layout.DOMAIN}", config=config)
    assert named.out == f"_25._tcp.mail.{layout.DOMAIN}. 3600 IN TLSA {record}\n"
    elsewhere = Done(f"mail.{layout.DOMAIN}:25", "--endpoint", "mx.example.org:25", config=config)
    assert elsewhere.out == f"_25._tcp.mx.example.org. 3600 IN TLSA {record}\n"
    usages = Done(f"{layout.MAIL[0]}:25", "--record", "1 1 1", config=config)
    assert "warning: usage 1 is not for port 25" in usages.err
    script = Done(f"{layout.MAIL[0]}:25", "--format", "nsupdate", config=config)
    assert (script.status, script.out) == (2, "")
    assert "add --endpoint HOST:PORT" in script.err
    wrong = Done(f"{layout.MAIL[0]}:25", "--protocol", "imap", "--name", HOST, "--format", "nsupdate", config=config)
    assert (wrong.status, wrong.out) == (1, "")
    assert f"{HOST}:25: {layout.MAIL[0]}:25" in wrong.err
    ipv6 = Done("[::1]:993", config=config)
    assert (ipv6.status, ipv6.out) == (1, "")
    assert "[::1]:993" in ipv6.err


def test_what_cannot_be_looked_up_is_said(config: Path) -> None:
    for host, says in {f"nowhere.{layout.DOMAIN}": "no address", "mail.bogus.test": "(bogus)"}.items():
        done = Done(f"{host}:25", config=config)
        assert (done.status, done.out) == (1, "")
        assert says in done.err
        assert len(done.err.splitlines()) == 1
    unsigned = Done("mail.unsigned.test:25", config=config)
    assert unsigned.status == 0
    assert "danelaw: warning: the addresses of mail.unsigned.test are not signed" in unsigned.err


def test_a_config_that_cannot_be_read_is_said(world: World, tmp_path: Path) -> None:
    assert Done("127.25.0.1:25", config=tmp_path / "nowhere.toml").status == 2
    path = write_config(world, tmp_path, {"nonsense": ("127.0.0.1", 1)})
    done = Done("127.25.0.1:25", config=path)
    assert done.status == 2
    assert "nonsense" in done.err


ADDRESSES = ("127.25.7.1", "127.25.7.2", "127.25.7.3")


@contextmanager
def several(folder: Path, *servers: Sequence[Issued]) -> Iterator[list[Address]]:
    """Run a server for each of several addresses."""
    if not servers:
        yield []
        return
    inner = folder / str(len(servers))
    inner.mkdir()
    with openssl_server(inner, *servers[0]) as address, several(folder, *servers[1:]) as others:
        yield [address, *others]


def test_records_cover_all_that_any_address_presents(world: World, tmp_path: Path) -> None:
    """Three addresses: RSA beside ECDSA, an old certificate of the same key's owner, and nobody at home."""
    zone = world.zone("several.test", mail=ADDRESSES).name
    old = issue(HOST, at=NOW)
    with several(tmp_path, [ECDSA, RSA], [old]) as addresses:
        connect = {f"{where}:993": address for where, address in zip(ADDRESSES, addresses, strict=False)}
        config = write_config(world, tmp_path, connect)
        done = Done(f"mail.{zone}:993", config=config)
        said = Done(f"mail.{zone}:993", "--format", "json", config=config)
        whole = Done(f"mail.{zone}:993", "--record", "3 1 1", "--record", "2 0 1", config=config)
    assert set(done.records) == {
        dane.parse_record(f"3 1 1 {pki.chain_from_der(each.chain_der).spki_sha256}") for each in (ECDSA, RSA, old)
    }
    assert done.status == 1  # the third address
    assert "presents 3 certificates; the records are those of all of them" in done.err
    assert f"{ADDRESSES[2]}:993 refuses the connection" in done.err
    for chain in (ECDSA, RSA, old):
        assert dane.covers(done.records, pki.chain_from_der(chain.chain_der))
    assert not dane.covers(done.records, pki.chain_from_der(issue(HOST).chain_der))
    presented = {each["leaf_sha256"]: each["addresses"] for each in said.json["presented"]}
    first, second = (f"{host}:{port}" for host, port in addresses)
    assert presented == {
        pki.chain_from_der(each.chain_der).leaf_sha256: [where]
        for each, where in ((ECDSA, first), (RSA, first), (old, second))
    }
    assert len(said.json["problems"]) == 1
    # What presents no CA certificate can have no record of usage 2, and that is said.
    assert f"at {second}: a TLSA record 2 0 1 (usage 2) pins a CA certificate" in whole.err
    assert len(whole.records) == 4


def test_names_and_dates_that_clients_refuse_are_said(tmp_path: Path) -> None:
    expired = issue(HOST, ROOT, at=NOW, days=-0.5)
    for served, name, says in (
        (ECDSA, HOST, ""),
        (ECDSA, "other.example.org", "its certificate is not for other.example.org"),
        (expired, HOST, "a certificate of its chain is not valid now"),
    ):
        with openssl_server(tmp_path, served) as (host, port):
            source = [f"{host}:{port}", "--name", name, "--protocol", "tls"]
            done = Done(*source, "--record", "2 0 1", "--record", "3 1 1")
        assert done.status == 0
        assert len(done.records) == 2
        assert ("clients refuse 2 0 1 at 127.0.0.1, though it matches: " in done.err) == bool(says)
        assert says in done.err
        assert "must present it" not in done.err  # since it does
        assert "refuse 3 1 1" not in done.err  # DANE-EE asks for neither


def test_an_own_certificate_that_says_it_is_a_ca_s_has_no_record_of_usage_2(tmp_path: Path) -> None:
    alone = issue(HOST, at=NOW, ca=True)
    with openssl_server(tmp_path, alone) as (host, port):
        done = Done(f"{host}:{port}", "--protocol", "tls", "--record", "2 0 1", "--record", "3 0 1")
    assert done.status == 1
    assert [record.usage for record in done.records] == [3]
    assert "would pin the service's own certificate; take usage 3" in done.err


# --- the page --------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "tlsa.md"


def test_every_command_of_the_page_does_what_the_page_shows(world: World, tmp_path: Path) -> None:
    write_config(world, tmp_path)
    (tmp_path / "tsig.key").symlink_to(world.owner_key.clause)
    env = {**world.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    commands = list(steps(PAGE.read_text()))
    try:
        for step in commands:
            run(step, env, tmp_path)
    finally:
        world.publish(f"_25._tcp.mail.{layout.DOMAIN}", [])
    assert len(commands) > 15
