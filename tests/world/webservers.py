"""The web servers: Apache, which serves the site, and nginx."""

from collections.abc import Sequence
from pathlib import Path

from world import layout
from world.private import ETC, SRV
from world.server import speaks_tls, write
from world.services import PairService
from world.tools import program


class Apache(PairService):
    """The web server of ``www``, ``blog`` and the apex: 80, with a web root for http-01, and 443.

    Configured in /etc/apache2 as Debian does it: plain ``apache2ctl`` means it.
    """

    name = "apache"
    address = (layout.WEB, 80)
    where = f"www, blog and the apex: {layout.WEB}, ports 80, 443"
    fullchain = ETC / "ssl" / "certs" / "example_test.pem"
    key = ETC / "ssl" / "private" / "example_test.key"
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
        mail = (*layout.MAIL, layout.COURIER, *layout.MAIL6)
        listen = "\n".join(
            [f"Listen {address}:80" for address in _bracketed(layout.WEB, layout.WEB6, *mail)]
            + [f"Listen {address}:443" for address in _bracketed(layout.WEB, layout.WEB6)]
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
{listen}
DocumentRoot "/srv/www"
<Directory "/srv/www">
    Require all granted
</Directory>
IncludeOptional sites-enabled/*.conf
""",
        )
        _enable_only(self.site)
        self.write_config()

    def write_config(self) -> None:
        files = "\n".join(f"    SSLCertificateFile {cert}\n    SSLCertificateKeyFile {key}" for cert, key in self.pairs)
        addresses = " ".join(f"{address}:443" for address in _bracketed(layout.WEB, layout.WEB6))
        write(
            self.site,
            f"""<VirtualHost {addresses}>
    ServerName {layout.DOMAIN}
    ServerAlias www.{layout.DOMAIN} blog.{layout.DOMAIN} {layout.SHOP}
    SSLEngine on
{files}
</VirtualHost>
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return ["sh", "-c", f". /etc/apache2/envvars; exec {program('apache2')} -D FOREGROUND"]

    def ready(self) -> bool:
        return speaks_tls(layout.WEB, 443)


class Nginx(PairService):
    """Another web server, ``nginx``: 80, with a web root for http-01, and 443. Configured in /etc/nginx."""

    name = "nginx"
    address = (layout.NGINX, 80)
    where = f"nginx: {layout.NGINX}, ports 80, 443"
    fullchain = ETC / "ssl" / "certs" / "nginx_example_test.pem"
    key = ETC / "ssl" / "private" / "nginx_example_test.key"

    @property
    def config(self) -> Path:
        """Its main file."""
        return ETC / "nginx" / "nginx.conf"

    @property
    def site(self) -> Path:
        """Its servers."""
        return ETC / "nginx" / "sites-available" / "nginx_example_test"

    @property
    def webroot(self) -> Path:
        """What is served on port 80 and 443."""
        return SRV / "nginx"

    @property
    def test(self) -> list[str]:
        return [program("nginx"), "-q", "-t"]

    @property
    def reload(self) -> list[str]:
        return [program("nginx"), "-s", "reload"]

    @property
    def stop_command(self) -> list[str]:
        return [program("nginx"), "-s", "stop"]

    @property
    def start_command(self) -> list[str]:
        return [program("nginx")]

    def configure(self) -> None:
        self.install(self._identity)
        self.webroot.mkdir()
        write(self.webroot / "index.html", "<h1>The world's other web site</h1>\n")
        write(
            self.config,
            f"""user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log {self.log};
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    include /etc/nginx/sites-enabled/*;
}}
""",
        )
        _enable_only(self.site)
        self.write_config()

    def write_config(self) -> None:
        files = "\n".join(f"    ssl_certificate {cert};\n    ssl_certificate_key {key};" for cert, key in self.pairs)
        write(
            self.site,
            f"""server {{
    listen {layout.NGINX}:80;
    listen {layout.NGINX}:443 ssl;
    server_name nginx.{layout.DOMAIN};
    root {self.webroot};
{files}
}}
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return [program("nginx"), "-g", "daemon off;"]

    def ready(self) -> bool:
        return speaks_tls(layout.NGINX, 443)


def _enable_only(site: Path) -> None:
    """Let nothing but one site be served, by Debian's link in sites-enabled; the others are those of the host."""
    enabled = site.parents[1] / "sites-enabled"
    for other in enabled.iterdir():
        other.unlink()
    (enabled / site.name).symlink_to(Path("..", "sites-available", site.name))


def _bracketed(*addresses: str) -> list[str]:
    """Return the addresses that the kernel has, as they stand before a colon and a port."""
    return [f"[{address}]" if ":" in address else address for address in layout.usable(*addresses)]
