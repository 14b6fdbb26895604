"""The mail server, Postfix, and the one that people read their mail at, Dovecot."""

import os
from collections.abc import Sequence
from pathlib import Path

from world import layout
from world.pki import Identity
from world.private import ETC
from world.server import greeting, speaks_tls, write
from world.services import PairService, Service
from world.tools import program, run

_MASTER_CF = """\
# type    private unpriv chroot wakeup maxproc command; nothing in a chroot
postlog   unix-dgram n - n - 1 postlogd
tlsmgr    unix - - n 1000? 1 tlsmgr
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
proxymap  unix - - n - - proxymap
showq     unix n - n - - showq
flush     unix n - n 1000? 0 flush
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
# The ports come last: an smtpd that does not find tlsmgr's socket goes on without TLS.
25        inet n - n - - smtpd
587       inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
465       inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
"""


class Postfix(Service):
    """The mail server: 25 with STARTTLS, 587 with STARTTLS required, 465 TLS at once. Mail it takes goes nowhere.

    It is configured in /etc/postfix, so that plain ``postconf`` and ``postfix reload`` mean it. Another one, with
    addresses of its own, stands for another machine.
    """

    name = "postfix"

    def __init__(self, folder: Path, identity: Identity, *elsewhere: str) -> None:
        if elsewhere:
            self.name = f"postfix-{elsewhere[0]}"
        super().__init__(folder, identity)
        self.addresses = elsewhere or layout.usable(*layout.MAIL, layout.COURIER, *layout.MAIL6)
        self.address = (self.addresses[0], 25)
        self.where = f"mail: {', '.join(self.addresses)}, ports 25, 587, 465"
        self.config_dir = self.folder / "etc" if elsewhere else ETC / "postfix"
        """What ``MAIL_CONFIG`` wants; main.cf uses the world's resolver with DANE for what it sends."""
        self.combined = self.config_dir / "tls.pem"
        """The one file that it reads: key, certificate, chain."""
        self.ecdsa_combined = self.config_dir / "tls-ecdsa.pem"
        """The same of a second identity, after `present_both`."""

    @property
    def test(self) -> list[str]:
        return self._command("check")

    @property
    def reload(self) -> list[str]:
        return self._command("reload")

    @property
    def stop_command(self) -> list[str]:
        return self._command("stop")

    @property
    def start_command(self) -> list[str]:
        return self._command("start")

    def _command(self, command: str) -> list[str]:
        elsewhere = [] if self.config_dir == ETC / "postfix" else ["-c", str(self.config_dir)]
        return [program("postfix"), *elsewhere, command]

    def install(self, identity: Identity) -> None:
        write(self.combined, identity.combined_pem, 0o600)

    @property
    def ecdsa_files(self) -> Sequence[Path]:
        return [self.ecdsa_combined]

    def install_ecdsa(self, identity: Identity) -> None:
        write(self.ecdsa_combined, identity.combined_pem, 0o600)

    def configure(self) -> None:
        self.config_dir.mkdir(exist_ok=True)
        self.install(self._identity)
        (self.folder / "queue").mkdir()
        run("install", "-d", "-o", "postfix", self.folder / "data")
        self.write_config()

    def write_config(self) -> None:
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "maillog_file": self.log,
            "maillog_file_prefixes": self.folder,
            "inet_interfaces": ", ".join(self.addresses),
            "inet_protocols": "all" if any(":" in address for address in self.addresses) else "ipv4",
            "myhostname": f"mail.{layout.DOMAIN}",
            "mydestination": f"{layout.DOMAIN}, mail.{layout.DOMAIN}",
            "mynetworks": "127.0.0.0/8 [fd00::]/8",
            "local_transport": "discard",
            "local_recipient_maps": "",
            "alias_maps": "",
            "smtpd_peername_lookup": "no",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_tls_chain_files": ", ".join(map(str, [self.combined, *(self.ecdsa_files if self._both else ())])),
            "smtpd_tls_security_level": "may",
            "smtpd_tls_loglevel": "1",
            "smtp_dns_support_level": "dnssec",
            "smtp_tls_security_level": "dane",
            "smtp_tls_loglevel": "1",
        }
        main_cf = write(self.config_dir / "main.cf", "".join(f"{key} = {value}\n" for key, value in settings.items()))
        os.utime(main_cf, (0, 0))  # Postfix takes two seconds to believe in a main.cf of just now
        write(self.config_dir / "master.cf", _MASTER_CF)

    def argv(self) -> Sequence[str | Path]:
        return self._command("start-fg")

    def ready(self) -> bool:
        return all(speaks_tls(address, 465) for address in self.addresses)


class Dovecot(PairService):
    """IMAP on 143 and 993, POP3 on 110 and 995. Everybody's password is ``secret``. Configured in /etc/dovecot."""

    name = "dovecot"
    address = (layout.MAIL[0], 993)
    where = f"mail: {', '.join(layout.usable(*layout.MAIL, *layout.MAIL6))}, ports 143, 993, 110, 995"
    fullchain = ETC / "dovecot" / "fullchain.pem"
    key = ETC / "dovecot" / "key.pem"

    @property
    def config(self) -> Path:
        """Its main file."""
        return ETC / "dovecot" / "dovecot.conf"

    @property
    def test(self) -> list[str]:
        return [program("doveconf"), "-n"]

    @property
    def reload(self) -> list[str]:
        return [program("doveadm"), "reload"]

    @property
    def stop_command(self) -> list[str]:
        return [program("doveadm"), "stop"]

    @property
    def start_command(self) -> list[str]:
        return [program("dovecot")]

    def configure(self) -> None:
        self.install(self._identity)
        self.write_config()

    def write_config(self) -> None:
        second = f"ssl_alt_cert = <{self.ecdsa_fullchain}\nssl_alt_key = <{self.ecdsa_key}\n" if self._both else ""
        write(
            self.config,
            f"""base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.log}
instance_name = danelaw-world
protocols = imap pop3
listen = {", ".join(layout.usable(*layout.MAIL, *layout.MAIL6))}
ssl = required
ssl_cert = <{self.fullchain}
ssl_key = <{self.key}
{second}mail_location = maildir:{self.folder}/mail/%u
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={self.folder}/mail/%u
}}
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return [*self.start_command, "-F"]

    def ready(self) -> bool:
        return all(greeting(layout.MAIL[0], port).startswith((b"* OK", b"+OK")) for port in (143, 110))
