"""One mail host in a zone of its own, behind the world's Postfix, as danelaw manages it: for tests of its records."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from danelaw.config import load
from danelaw.model import Clock, Publisher
from danelaw.run.act import KINDS
from danelaw.run.compose import opened
from danelaw.run.rings import Event, Outcome
from danelaw.run.runner import PATIENCE, Options, apply
from demo.verdicts import delv, posttls_finger, s_client
from scenario.site import Json, Run, Site
from world import World, layout
from world.pki import Identity

Wrap = Callable[[Publisher], Publisher]


@dataclass
class Ahead:
    """A `model.Clock` that is ahead of another; a sleep of more than a second puts it ahead in place of lasting.

    It wakes late, so that a run's patience with servers that lag is over after one sleep.
    """

    clock: Clock
    by: timedelta

    def now(self) -> datetime:
        return self.clock.now() + self.by

    def boot(self) -> tuple[str, float]:
        boot_id, seconds = self.clock.boot()
        return boot_id, seconds + self.by.total_seconds()

    def sleep_until(self, at: datetime) -> None:
        left = at - self.now()
        if left > timedelta(seconds=1):
            self.by += max(left, PATIENCE + timedelta(seconds=1))
        else:
            self.clock.sleep_until(at - self.by)


class MailHost(Site):
    """``mail.ZONE`` in a shared world; the options say what differs from `configure`'s defaults."""

    def __init__(self, world: World, zone: str, folder: Path, **options: Any) -> None:
        self.zone = zone
        super().__init__(world, folder, **options)

    def configure(  # type: ignore[override]
        self,
        *,
        host: str = "mail",
        name: str | None = None,
        adopt: bool = True,
        ports: Sequence[int] = (25,),
        prove: Sequence[str] | None = None,
        prune: bool | Sequence[str] = True,
        ttl: int = 1,
        margin: str = "0s",
        history: str = "0s",
        records: Sequence[str] = ("3 1 1",),
        tsig: Path | None = None,
        server: str = layout.NS1,
        directory: str | None = None,
        reload: Sequence[str] | None = None,
        extra: str = "",
        addresses: Sequence[str] = (),
        options: str = "",
    ) -> None:
        """Write the config.

        ``prove`` are endpoints (default: the ports claimed), ``options`` more lines of the certificate's table,
        ``extra`` more TOML tables.
        """
        world, self.host = self.world, f"{host}.{self.zone}"
        postfix = world.postfix
        places = prove or [f"{self.host}:{port}" for port in ports]
        key = f'key = "{world.initial_key}"' if adopt else ""
        self.config.write_text(f"""
state_dir = "{self.state_dir}"
lookup_margin = "{margin}"
history = "{history}"

[acme.pebble]
directory = "{directory or world.pebble.directory}"
contact = ["admin@{self.zone}"]
agree_tos = true
ca_bundle = "{world.pebble.ca_bundle}"

[resolver]
trust_anchor = "{world.root_ds}"
root_hints = "{world.root_hints}"

[dns.home]
type = "rfc2136"
server = "{server}"
tsig_key = "{tsig or world.keys["hmac-sha256"].pair}"

[certificate."{self.zone}"]
names = ["{name or self.host}"]
{key}
http01 = {{ webroot = "{world.apache.webroot}" }}
{options}

[[certificate."{self.zone}".tlsa]]
hosts = ["{self.host}"]
ports = {json.dumps(list(ports))}
records = {json.dumps(list(records))}
dns = "home"
ttl = {ttl}
prune = {json.dumps(prune if isinstance(prune, bool) else list(prune))}

[[certificate."{self.zone}".deploy]]
combined = {{ path = "{postfix.combined}", parts = ["key", "cert", "chain"], mode = "0600" }}
test = {json.dumps(postfix.test)}
reload = {json.dumps(list(reload or postfix.reload))}
prove = {json.dumps(list(places))}
{f"addresses = {json.dumps(list(addresses))}" if addresses else ""}
{extra}
""")

    @property
    def deployment(self) -> str:
        """What its one deployment is known by."""
        return str(self.world.postfix.combined)

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)

    @property
    def owner(self) -> str:
        """The owner name of port 25."""
        return self.owner_of(25)

    def owner_of(self, port: int) -> str:
        return f"_{port}._tcp.{self.host}."

    def tlsa(self, port: int = 25, server: str = layout.NS1) -> list[str]:
        """Return the records that a server has, as they are written, without blanks in the data."""
        lines = self.world.dig(self.owner_of(port), "TLSA", "+short", "+norecurse", server=server).lower().splitlines()
        return sorted(" ".join([*fields[:3], "".join(fields[3:])]) for fields in map(str.split, lines) if fields[1:])

    def publish(self, *records: str, ttl: int = 1, port: int = 25, settle: bool = True) -> None:
        """Put records there as somebody else does."""
        self.world.publish(self.owner_of(port), records, ttl, settle=settle)

    def apply(self, *options: str, status: int = 0) -> Json:
        return self.json("apply", *options, status=status)

    def plan(self) -> list[Json]:
        entries: list[Json] = self.json("plan")["plan"]
        return entries

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start danelaw and leave it running; what it prints is the caller's to read."""
        return subprocess.Popen(
            self.argv(*arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )

    def presented(self, port: int = 25, address: str = layout.MAIL[0]) -> Identity:
        """Return what a port presents, by openssl; the key is not known."""
        options = ["-starttls", "smtp"] if port in {25, 587} else []
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", self.host, *options],
            input=b"QUIT\n",
            capture_output=True,
            check=False,
            timeout=20,
        )
        end = b"-----END CERTIFICATE-----\n"
        leaf_pem = done.stdout[done.stdout.index(b"-----BEGIN CERTIFICATE-----") :].partition(end)[0] + end
        return Identity(b"", leaf_pem, b"")

    def verdicts(self) -> list[str]:
        """Return what the tools of others find wrong at port 25: Postfix, OpenSSL at each address, BIND."""
        found = [
            posttls_finger(self.world, self.host),
            delv(self.world, self.owner),
            *(s_client(self.world, address, owner=self.owner) for address in layout.MAIL),
        ]
        return [f"{verdict.tool}: {verdict.said}" for verdict in found if not verdict.good]

    def zone_without(self, owner: str, rdtype: str) -> list[str]:
        """Return all records of the zone at the primary but an RRset, and but what changes as it is signed anew."""
        changing = {"SOA", "RRSIG", "NSEC", "TYPE65534", "TSIG"}
        lines = (line.split(None, 4) for line in self.world.transfer(self.zone).splitlines())
        return sorted(
            " ".join(line)
            for line in lines
            if line[4:] and line[3] not in changing and (line[0], line[3]) != (owner, rdtype)
        )

    def inside(
        self, wrap: Wrap = lambda publisher: publisher, ahead: timedelta = timedelta(0), **options: Any
    ) -> tuple[Outcome, list[Event]]:
        """Run `apply` in this process; return how it ended and what was told.

        ``wrap`` gets every publisher, and ``ahead`` is how late danelaw believes that it is; its sleeps are skipped, as
        `Ahead` says. Servers, signatures and TSIG keep the real time.
        """
        told: list[Event] = []
        with opened(load(str(self.config)), told.append) as world:
            publishers: Mapping[str, Publisher] = {name: wrap(each) for name, each in world.rings.publishers.items()}
            rings = replace(world.rings, publishers=publishers, clock=Ahead(world.rings.clock, ahead))
            outcome = apply(world.config.desired, rings, Options(**options))
        return outcome, told


def sequence(outcome: Outcome) -> list[str]:
    """Return the kinds of the steps taken in this process, in order."""
    return [KINDS[type(step)] for step in outcome.steps]


def kinds(outcome: Json) -> list[str]:
    """Return the kinds of the steps taken, in order."""
    return [step["step"] for step in outcome["steps"]]


def codes(outcome: Json, what: str) -> list[str]:
    """Return the codes of the ``waits`` or ``holds`` of an outcome."""
    return [item[what.removesuffix("s")] for item in outcome[what]]


__all__ = ["Json", "MailHost", "Run", "codes", "kinds", "sequence"]
