"""Courier, the mail server of the scenario's administrator: IMAP and POP3, beside Dovecot at an address of its own.

Its packages conflict with Dovecot's: scripts/debian-packages unpacks them into the checkout, and an overlay puts them
into the world's /usr.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from world import layout
from world.namespace import overlay
from world.pki import Identity
from world.private import ETC, RUN, VAR_LIB
from world.server import greeting, speaks_tls, write
from world.services import Service
from world.tools import WorldError, run

UNPACKED = Path(__file__).parents[2] / ".debian" / "courier"
_USR = Path("/usr")
_DAEMONS = ("authdaemond", "imapd", "imapd-ssl", "pop3d", "pop3d-ssl")
"""Programs of Debian's units; with ``service``, one that has just ended and is not reaped counts as running."""


def show_programs() -> None:
    """Let Courier's programs be where its packages have them; before anything else is mounted below /usr."""
    if not UNPACKED.is_dir():
        raise WorldError(f"{UNPACKED}: Courier is not there: run scripts/debian-packages")
    if not (_USR / "sbin" / "couriertcpd").exists():
        overlay(UNPACKED / "usr", _USR)


class Courier(Service):
    """IMAP on 143 and 993, POP3 on 110 and 995, as Debian configures it: POP3 takes four clients of an address at once.

    One file, which both servers read: certificate, key, chain. There is nothing to reload: each connection has a
    couriertls of its own, which reads the file. Nobody has a mailbox.
    """

    name = "courier"
    address = (layout.COURIER, 993)
    where = f"mail: {layout.COURIER}, ports 143, 993, 110, 995"

    @property
    def config_dir(self) -> Path:
        """Where its files are: ``imapd``, ``imapd-ssl``, ``pop3d``, ``pop3d-ssl``."""
        return ETC / "courier"

    @property
    def combined(self) -> Path:
        """The one file that it reads: certificate, key, chain."""
        return self.config_dir / "imapd.pem"

    @property
    def test(self) -> list[str]:
        """It has no such command; this one reads its certificate."""
        return ["openssl", "x509", "-noout", "-in", str(self.combined)]

    @property
    def reload(self) -> list[str]:
        return ["true"]

    @property
    def stop_command(self) -> list[str]:
        return _all("stop", *reversed(_DAEMONS))

    @property
    def start_command(self) -> list[str]:
        return _all("start", *_DAEMONS)

    def install(self, identity: Identity) -> None:
        write(self.combined, identity.leaf_pem + identity.key_pem + identity.issuer_pem, 0o600)
        shutil.chown(self.combined, "courier", "courier")

    def configure(self) -> None:
        shutil.copytree(UNPACKED / "etc", ETC, symlinks=True, dirs_exist_ok=True)
        _make_user("courier")
        for folder in VAR_LIB / "courier", RUN / "courier", RUN / "courier" / "authdaemon":
            folder.mkdir(exist_ok=True)
            shutil.chown(folder, "courier", "courier")
        self.install(self._identity)
        for daemon in "imapd", "pop3d":
            _set(self.config_dir / daemon, {"ADDRESS": layout.COURIER})
            _set(self.config_dir / f"{daemon}-ssl", {"SSLADDRESS": layout.COURIER, "TLS_CERTFILE": self.combined})

    def launch(self) -> None:
        """Start its five daemons, which go into the background by themselves."""
        if not (self.config_dir / "imapd").exists():
            self.configure()
        self.log.write_text(run(*self.start_command))  # what it says later goes to syslog

    @property
    def running(self) -> bool:
        return True  # `ready` says more

    def ready(self) -> bool:
        return all(speaks_tls(layout.COURIER, port) for port in (993, 995)) and all(
            greeting(layout.COURIER, port).startswith((b"* OK", b"+OK")) for port in (143, 110)
        )


def _all(action: str, *daemons: str) -> list[str]:
    return ["sh", "-c", " && ".join(f"/usr/sbin/{daemon} {action}" for daemon in daemons)]


def _set(path: Path, values: Mapping[str, object]) -> None:
    """Give variables of one of its files other values."""
    text = path.read_text()
    for name, value in values.items():
        text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        if count != 1:
            raise WorldError(f"{path}: found {name} {count} times, expected it once")
    write(path, text)


def _make_user(name: str) -> None:
    """Add a system user of that name, and its group, to the world's /etc."""
    passwd, group = ETC / "passwd", ETC / "group"
    lines = [line.split(":") for line in passwd.read_text().splitlines() + group.read_text().splitlines()]
    if any(fields[0] == name for fields in lines):
        return
    taken = {fields[2] for fields in lines if len(fields) > 2}
    number = next(str(number) for number in range(999, 100, -1) if str(number) not in taken)
    for path, line in (
        (passwd, f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin"),
        (group, f"{name}:x:{number}:"),
    ):
        write(path, f"{path.read_text()}{line}\n")
