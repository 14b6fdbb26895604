"""The services whose certificates are at stake: Postfix, Dovecot and Apache."""

import os
from collections.abc import Sequence
from pathlib import Path

from world import layout
from world.pki import Identity
from world.private import ETC, SRV
from world.server import Server, greeting, listens, speaks_tls, wait_until, write
from world.tools import program, run


class Service(Server):
    """A server that presents a certificate.

    ``test`` and ``reload`` are what its administrator runs after changing its files, ``stop_command`` and
    ``start_command`` what frees its ports and takes them again: plain commands, without a shell.
    """

    address: tuple[str, int]
    """One of its addresses and ports."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        super().__init__(folder)
        self._identity = identity

    @property
    def test(self) -> list[str]:
        """The command that checks its configuration."""
        raise NotImplementedError

    @property
    def reload(self) -> list[str]:
        """The command that makes it read its files again."""
        raise NotImplementedError

    @property
    def stop_command(self) -> list[str]:
        """The command that ends it."""
        raise NotImplementedError

    @property
    def start_command(self) -> list[str]:
        """The command that starts it again, in the background."""
        raise NotImplementedError

    def listening(self) -> bool:
        """Return whether anybody listens on its port."""
        return listens(*self.address)

    def stop(self) -> None:
        """End it, whoever started it, and wait until its port is free."""
        if self.listening():
            run(*self.stop_command)
            wait_until(lambda: not self.listening(), f"{self.name} does not end", self.last_words)
        super().stop()

    def install(self, identity: Identity) -> None:
        """Write an identity to the files that it reads, and do not tell it."""
        raise NotImplementedError

    def present(self, identity: Identity) -> None:
        """Write an identity to its files and reload it."""
        self.install(identity)
        run(*self.reload)


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

    It is configured in /etc/postfix, so that plain ``postconf`` and ``postfix reload`` mean it.
    """

    name = "postfix"
    address = (layout.MAIL[0], 25)
    where = f"mail: {', '.join((*layout.MAIL, layout.COURIER))}, ports 25, 587, 465"

    @property
    def config_dir(self) -> Path:
        """What ``MAIL_CONFIG`` wants; main.cf uses the world's resolver with DANE for what it sends."""
        return ETC / "postfix"

    @property
    def combined(self) -> Path:
        """The one file that it reads: key, certificate, chain."""
        return self.config_dir / "tls.pem"

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
        return [program("postfix"), command]

    def install(self, identity: Identity) -> None:
        write(self.combined, identity.combined_pem, 0o600)

    def configure(self) -> None:
        self.install(self._identity)
        (self.folder / "queue").mkdir()
        run("install", "-d", "-o", "postfix", self.folder / "data")
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "maillog_file": self.log,
            "maillog_file_prefixes": self.folder,
            "inet_interfaces": ", ".join((*layout.MAIL, layout.COURIER)),
            "inet_protocols": "ipv4",
            "myhostname": f"mail.{layout.DOMAIN}",
            "mydestination": f"{layout.DOMAIN}, mail.{layout.DOMAIN}",
            "mynetworks": "127.0.0.0/8",
            "local_transport": "discard",
            "local_recipient_maps": "",
            "alias_maps": "",
            "smtpd_peername_lookup": "no",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_tls_chain_files": "/etc/postfix/tls.pem",
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
        return all(speaks_tls(address, 465) for address in (*layout.MAIL, layout.COURIER))


class Dovecot(Service):
    """IMAP on 143 and 993, POP3 on 110 and 995. Everybody's password is ``secret``. Configured in /etc/dovecot."""

    name = "dovecot"
    address = (layout.MAIL[0], 993)
    where = f"mail: {' and '.join(layout.MAIL)}, ports 143, 993, 110, 995"

    @property
    def config(self) -> Path:
        """Its main file."""
        return ETC / "dovecot" / "dovecot.conf"

    @property
    def fullchain(self) -> Path:
        """The certificate and its chain."""
        return ETC / "dovecot" / "fullchain.pem"

    @property
    def key(self) -> Path:
        """The private key."""
        return ETC / "dovecot" / "key.pem"

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

    def install(self, identity: Identity) -> None:
        write(self.key, identity.key_pem, 0o600)
        write(self.fullchain, identity.fullchain_pem)

    def configure(self) -> None:
        self.install(self._identity)
        write(
            self.config,
            f"""base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.log}
instance_name = danelaw-world
protocols = imap pop3
listen = {", ".join(layout.MAIL)}
ssl = required
ssl_cert = </etc/dovecot/fullchain.pem
ssl_key = </etc/dovecot/key.pem
mail_location = maildir:{self.folder}/mail/%u
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


class Apache(Service):
    """The web server of ``www``, ``blog`` and the apex: 80, with a web root for http-01, and 443.

    Configured in /etc/apache2 as Debian does it: plain ``apache2ctl`` means it.
    """

    name = "apache"
    address = (layout.WEB, 80)
    where = f"www, blog and the apex: {layout.WEB}, ports 80, 443"
    _modules = ("mpm_event", "authz_core", "mime", "dir", "alias", "socache_shmcb", "ssl")

    @property
    def config(self) -> Path:
        """Its main file."""
        return ETC / "apache2" / "apache2.conf"

    @property
    def site(self) -> Path:
        """Its virtual host with TLS."""
        return ETC / "apache2" / "sites-available" / "example_test.conf"

    @property
    def webroot(self) -> Path:
        """What is served on port 80 and 443: /srv/www."""
        return SRV / "www"

    @property
    def fullchain(self) -> Path:
        """The certificate and its chain."""
        return ETC / "ssl" / "certs" / "example_test.pem"

    @property
    def key(self) -> Path:
        """The private key."""
        return ETC / "ssl" / "private" / "example_test.key"

    @property
    def test(self) -> list[str]:
        return [program("apache2ctl"), "configtest"]

    @property
    def reload(self) -> list[str]:
        return [program("apache2ctl"), "graceful"]

    @property
    def stop_command(self) -> list[str]:
        return [program("apache2ctl"), "stop"]

    @property
    def start_command(self) -> list[str]:
        return [program("apache2ctl"), "start"]

    def install(self, identity: Identity) -> None:
        write(self.key, identity.key_pem, 0o600)
        write(self.fullchain, identity.fullchain_pem)

    def configure(self) -> None:
        self.install(self._identity)
        for folder in self.webroot, self.folder / "run", self.folder / "lock":
            folder.mkdir()
        write(self.webroot / "index.html", "<h1>The world's web site</h1>\n")
        write(
            self.config.with_name("envvars"),
            f"""export APACHE_RUN_USER=www-data APACHE_RUN_GROUP=www-data
export APACHE_PID_FILE={self.folder}/apache2.pid APACHE_RUN_DIR={self.folder}/run
export APACHE_LOCK_DIR={self.folder}/lock APACHE_LOG_DIR={self.folder} LANG=C
""",
        )
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in self._modules
        )
        write(
            self.config,
            f"""ServerRoot "/etc/apache2"
ServerName www.{layout.DOMAIN}
PidFile ${{APACHE_PID_FILE}}
DefaultRuntimeDir ${{APACHE_RUN_DIR}}
Mutex pthread
{modules}
User ${{APACHE_RUN_USER}}
Group ${{APACHE_RUN_GROUP}}
StartServers 1
ErrorLog "{self.log}"
TypesConfig /etc/mime.types
Listen {layout.WEB}:80
Listen {layout.WEB}:443
{"".join(f"Listen {address}:80{chr(10)}" for address in (*layout.MAIL, layout.COURIER))}DocumentRoot "/srv/www"
<Directory "/srv/www">
    Require all granted
</Directory>
IncludeOptional sites-enabled/*.conf
""",
        )
        enabled = ETC / "apache2" / "sites-enabled"
        for site in enabled.iterdir():  # what the host's Apache serves
            site.unlink()
        (enabled / self.site.name).symlink_to(Path("..", "sites-available", self.site.name))
        write(
            self.site,
            f"""<VirtualHost {layout.WEB}:443>
    ServerName {layout.DOMAIN}
    ServerAlias www.{layout.DOMAIN} blog.{layout.DOMAIN} {layout.SHOP}
    SSLEngine on
    SSLCertificateFile /etc/ssl/certs/example_test.pem
    SSLCertificateKeyFile /etc/ssl/private/example_test.key
</VirtualHost>
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return ["sh", "-c", f". /etc/apache2/envvars; exec {program('apache2')} -D FOREGROUND"]

    def ready(self) -> bool:
        return speaks_tls(layout.WEB, 443)
