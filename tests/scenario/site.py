"""A site in the test world that danelaw manages: its config, and danelaw run on it as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world import World, layout
from world.services import Service

Json = dict[str, Any]

WWW = f"www.{layout.DOMAIN}"


@dataclass(frozen=True)
class Run:
    """What one run of danelaw printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.out)
        return found


class Site:
    """``example.test`` in a world: Postfix, Dovecot and Apache behind one certificate over the key already in use.

    The options say what differs from the scenario; ``extra`` is more TOML for the certificate's table. The config is
    written at the start; `configure` writes it again.
    """

    def __init__(self, world: World, folder: Path, **options: Any) -> None:
        self.world = world
        self.folder = folder
        self.state_dir = folder / "state"
        self.config = folder / "danelaw.toml"
        self.configure(**options)

    def configure(
        self,
        *,
        names: Sequence[str] = layout.NAMES,
        services: Sequence[str] = ("postfix", "dovecot", "apache"),
        adopt: bool = True,
        ports: Sequence[int] = (25,),
        prune: bool = True,
        ttl: int = 2,
        margin: str = "0s",
        history: str = "0s",
        http01: str | None = None,
        extra: str = "",
        records: Sequence[str] = ("3 1 1",),
        reload: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        world = self.world
        listen = http01 or f'{{ webroot = "{world.apache.webroot}" }}'
        key = f'key = "{world.initial_key}"' if adopt else ""
        text = f"""
state_dir = "{self.state_dir}"
lookup_margin = "{margin}"
history = "{history}"

[acme.pebble]
directory = "{world.pebble.directory}"
contact = ["admin@{layout.DOMAIN}"]
agree_tos = true
ca_bundle = "{world.pebble.ca_bundle}"

[resolver]
trust_anchor = "{world.root_ds}"
root_hints = "{world.root_hints}"

[dns.home]
type = "rfc2136"
server = "{layout.NS1}"
tsig_key = "{world.keys["hmac-sha256"].pair}"

[certificate."{layout.DOMAIN}"]
names = {json.dumps(list(names))}
{key}
http01 = {listen}
{extra}

[[certificate."{layout.DOMAIN}".tlsa]]
hosts = ["mail.{layout.DOMAIN}"]
ports = {json.dumps(list(ports))}
records = {json.dumps(list(records))}
dns = "home"
ttl = {ttl}
prune = {"true" if prune else "false"}
"""
        for name in services:
            text += self._deployment(name, (reload or {}).get(name))
        self.config.write_text(text)

    def _deployment(self, name: str, reload: Sequence[str] | None) -> str:
        world, mail = self.world, f"mail.{layout.DOMAIN}"
        head = f'\n[[certificate."{layout.DOMAIN}".deploy]]\n'
        if name == "postfix":
            path = world.postfix.combined
            files = f'combined = {{ path = "{path}", parts = ["key", "cert", "chain"], mode = "0600" }}'
            service: Service = world.postfix
            prove = [f"{mail}:25", f"{mail}:465", f"{mail}:587"]
        else:
            pair = world.dovecot if name == "dovecot" else world.apache
            files = f'fullchain = "{pair.fullchain}"\nkey = {{ path = "{pair.key}", mode = "0600" }}'
            service = pair
            prove = [f"{mail}:{port}" for port in (993, 995, 143, 110)] if name == "dovecot" else [f"{WWW}:443"]
        commands = f"test = {json.dumps(service.test)}\nreload = {json.dumps(list(reload or service.reload))}\n"
        return f"{head}{files}\n{commands}prove = {json.dumps(prove)}\n"

    @property
    def owner(self) -> str:
        return f"_25._tcp.mail.{layout.DOMAIN}."

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "danelaw", "--config", str(self.config), *arguments]

    def danelaw(self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None) -> Run:
        """Run danelaw inside the world; its status is the caller's to judge."""
        done = subprocess.run(
            self.argv(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, **(env or {})},
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def json(self, *arguments: str, status: int = 0) -> Json:
        """Run danelaw with ``--json``; fail where it ends with another status."""
        done = self.danelaw("--json", *arguments)
        assert done.status == status, f"exit status {done.status}\n{done.out}\n{done.err}"
        return done.json
