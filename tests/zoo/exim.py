"""Exim itself: one message to every animal through a real Exim, and what its log says became of it.

Its package conflicts with Postfix's: scripts/debian-packages unpacks it into the checkout. It is started for this one
message, and listens nowhere.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from world import World, WorldError, layout
from world.private import ETC
from world.server import write
from world.tools import run

UNPACKED = Path(__file__).parents[2] / ".debian" / "exim"

_USER = "Debian-exim"
"""Compiled into it; made in the world's own /etc."""

_LIMIT = 120.0
"""Seconds for all messages together."""

_DELIVERY = re.compile(r" (=>|->|==|\*\*) postmaster@([^ :]+)(?: R=\S+)?(?: T=\S+)?(?::)? (.*)")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message: the status, and the rest of the line in the log that says so."""

    status: Literal["sent", "deferred", "bounced"]
    line: str

    @property
    def authenticated(self) -> bool:
        """Whether it was delivered with DANE."""
        return self.status == "sent" and " CV=dane" in self.line


def send(world: World, domains: Collection[str]) -> Mapping[str, Delivery]:
    """Send one message to the postmasters of all domains; return what became of each when it was first tried."""
    folder = world.folder / "exim"
    program, environment = _install(folder)
    recipients = [f"postmaster@{domain}" for domain in domains]
    try:
        # -odi: it delivers before it ends
        done = subprocess.run(
            [program, "-odi", "-oi", "-f", f"zoo@{layout.DOMAIN}", *recipients],
            input=b"Subject: zoo\n\nHello\n",
            env=environment,
            capture_output=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WorldError(f"exim did not end within {_LIMIT:g} s") from None
    found = _deliveries((folder / "mainlog").read_text(errors="replace"))
    if missing := set(domains) - set(found):
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise WorldError(f"exim ended with {done.returncode} and did not try {', '.join(sorted(missing))}: {said}")
    return found


def _deliveries(log: str) -> Mapping[str, Delivery]:
    """Read the log: of several lines on a domain, a delivery counts, and else the last."""
    statuses: Mapping[str, Literal["sent", "deferred", "bounced"]] = {
        "=>": "sent",
        "->": "sent",
        "==": "deferred",
        "**": "bounced",
    }
    found: dict[str, Delivery] = {}
    for mark, domain, rest in _DELIVERY.findall(log):
        if domain not in found or found[domain].status != "sent":
            found[domain] = Delivery(statuses[mark], rest)
    return found


def _install(folder: Path) -> tuple[Path, Mapping[str, str]]:
    """Copy it to where its user finds it, with a config in the world's own /etc; return it and its environment."""
    binary = UNPACKED / "usr" / "sbin" / "exim4"
    if not binary.exists():
        raise WorldError(f"{UNPACKED}: Exim is not there: run scripts/debian-packages")
    folder.mkdir()
    if f"{_USER}:" not in (ETC / "passwd").read_text():
        with (ETC / "passwd").open("a") as users, (ETC / "group").open("a") as groups:
            users.write(f"{_USER}:x:199:199::/nonexistent:/usr/sbin/nologin\n")
            groups.write(f"{_USER}:x:199:\n")
    program = Path(shutil.copy(binary, folder))
    for library in UNPACKED.glob("usr/lib/*/lib*.so.*"):
        shutil.copy(library, folder)
    (ETC / "exim4").mkdir(exist_ok=True)
    write(ETC / "exim4" / "exim4.conf", _config(folder, program))
    run("chown", f"{_USER}:{_USER}", folder)
    return program, {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def _config(folder: Path, program: Path) -> str:
    """Return a config that uses DANE where it can; with 127.0.0.9 for its own, the zoo's addresses are others'."""
    return f"""\
primary_hostname = exim.{layout.DOMAIN}
local_interfaces = 127.0.0.9
exim_path = {program}
keep_environment = LD_LIBRARY_PATH
spool_directory = {folder}
log_file_path = {folder}/%slog
log_selector = +tls_certificate_verified +tls_cipher
never_users =
host_lookup =
dns_dnssec_ok = 1
remote_max_parallel = 20
begin acl
begin routers
dnslookup:
  driver = dnslookup
  domains = *
  transport = remote_smtp
  dnssec_request_domains = *
  self = send
  no_more
begin transports
remote_smtp:
  driver = smtp
  hosts_try_dane = *
  connect_timeout = 5s
  command_timeout = 5s
begin retry
* * F,1h,15m
"""
