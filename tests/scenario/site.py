"""A site in the test world that danelaw manages: its config, and danelaw run on it as a user runs it."""

import hashlib
import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from world import World, layout
from world.services import Service

Json = dict[str, Any]

WWW = f"www.{layout.DOMAIN}"
TESTS = str(Path(__file__).parents[1])


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
        test: Mapping[str, Sequence[str]] | None = None,
        files: Mapping[str, str] | None = None,
        own_listener: bool = False,
        listen: str = "0.0.0.0:80",
        pre: Sequence[str] | None = None,
        post: Sequence[str] | None = None,
    ) -> None:
        """Write the config. ``own_listener``: danelaw answers on port 80 itself, with Apache stopped meanwhile.

        ``reload``, ``test`` and ``files`` (TOML) replace a service's own, ``pre`` and ``post`` the commands around
        the challenge.
        """
        world = self.world
        answered = http01 or f'{{ webroot = "{world.apache.webroot}" }}'
        if own_listener:
            answered = f'{{ listen = ["{listen}"] }}'
            extra += f"\npre_challenge = {json.dumps(list(pre or self.stop_apache))}"
            extra += f"\npost_challenge = {json.dumps(list(post or world.apache.start_command))}"
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
http01 = {answered}
{extra}

"""
        if ports:
            text += f"""
[[certificate."{layout.DOMAIN}".tlsa]]
hosts = ["mail.{layout.DOMAIN}"]
ports = {json.dumps(list(ports))}
records = {json.dumps(list(records))}
dns = "home"
ttl = {ttl}
prune = {"true" if prune else "false"}
"""
        for name in services:
            text += self._deployment(name, (reload or {}).get(name), (test or {}).get(name), (files or {}).get(name))
        self.config.write_text(text)

    @property
    def stop_apache(self) -> list[str]:
        """Stop Apache and wait until it has ended, as `systemctl stop` does."""
        apache = self.world.apache
        command = f"{shlex.join(apache.stop_command)} && while test -e {apache.folder}/apache2.pid; do sleep 0.02; done"
        return ["sh", "-c", command]

    def _deployment(
        self, name: str, reload: Sequence[str] | None, test: Sequence[str] | None, own_files: str | None
    ) -> str:
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
        files = own_files or files
        commands = (
            f"test = {json.dumps(list(test or service.test))}\nreload = {json.dumps(list(reload or service.reload))}\n"
        )
        return f"{head}{files}\n{commands}prove = {json.dumps(prove)}\n"

    @property
    def owner(self) -> str:
        return f"_25._tcp.mail.{layout.DOMAIN}."

    def publish_old(self) -> None:
        """Publish `3 0 1` of the certificate in use, as the administrator of scenario.md did."""
        leaf_der = self.world.initial.leaf.public_bytes(Encoding.DER)
        self.world.publish(self.owner, [f"3 0 1 {hashlib.sha256(leaf_der).hexdigest()}"], ttl=1)

    @property
    def chains(self) -> list[Json]:
        """Return the certificates that were obtained, the oldest first, by SQLite itself."""
        with closing(sqlite3.connect(f"file:{self.state_dir}/facts/facts.sqlite?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT leaf_sha256, revoked_at, reason FROM chain ORDER BY obtained_at").fetchall()
        return [{"leaf_sha256": leaf, "revoked": bool(revoked), "reason": reason} for leaf, revoked, reason in rows]

    @property
    def orders(self) -> int:
        """How many orders the CA has opened."""
        return self.world.pebble.log.read_text().count("Added order")

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "danelaw", "--config", str(self.config), *arguments]

    def danelaw(self, *arguments: str, timeout: float = 120, env: Mapping[str, str] | None = None) -> Run:
        """Run danelaw inside the world; its status is the caller's to judge."""
        return _run(self.argv(*arguments), timeout, env or {})

    def killed(self, point: str, *arguments: str, timeout: float = 60) -> Run:
        """Run danelaw and have it killed at a point (`scenario.killed`)."""
        command = [sys.executable, "-m", "scenario.killed", point, "--config", str(self.config), *arguments]
        return _run(command, timeout, {"PYTHONPATH": os.pathsep.join([TESTS, os.environ.get("PYTHONPATH", "")])})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start danelaw and do not wait for it; its standard output and error are one pipe."""
        return subprocess.Popen(self.argv(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def json(self, *arguments: str, status: int = 0) -> Json:
        """Run danelaw with ``--json``; fail where it ends with another status."""
        done = self.danelaw("--json", *arguments)
        assert done.status == status, f"exit status {done.status}\n{done.out}\n{done.err}"
        return done.json


def _run(argv: Sequence[str], timeout: float, env: Mapping[str, str]) -> Run:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **env})
    return Run(done.returncode, done.stdout, done.stderr)
