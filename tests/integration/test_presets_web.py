"""Presets on the real web servers at their Debian paths, and what their dumps say of configurations of many kinds."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from danelaw.deploy.services import HostSurvey
from danelaw.errors import Unsuited
from danelaw.model import KeyAlgorithm, ServiceSetup
from scenario import Site
from world import ServiceName, World, layout, make_private_key
from world.tools import run
from world.webservers import Apache, Nginx

pytestmark = pytest.mark.world

NEEDED: tuple[ServiceName, ...] = ("bind", "unbound", "pebble", "apache", "nginx")
NGINX_NAME = f"nginx.{layout.DOMAIN}"
HOSTS = (layout.DOMAIN, f"www.{layout.DOMAIN}", f"blog.{layout.DOMAIN}")
STATUS_BAD_CONFIG = 2
ALGORITHMS: tuple[KeyAlgorithm, ...] = ("rsa", "ecdsa")


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World(NEEDED, key_type="p256", ttl=1, pebble_options={"PEBBLE_AUTHZREUSE": "100"}) as world:
        yield world


def preset_site(world: World, folder: Path, service: str) -> Site:
    """A site with one line in its deploy table; nothing is published for it."""
    world.present(world.initial)
    names = layout.NAMES if service == "apache2" else (NGINX_NAME,)
    server = world.apache if service == "apache2" else world.nginx
    http01 = f'{{ webroot = "{server.webroot}" }}'
    site = Site(world, folder, services=(), ports=(), names=names, http01=http01, ttl=1)
    table = f'\n[[certificate."{layout.DOMAIN}".deploy]]\nservices = ["{service}"]\n'
    site.config.write_text(site.config.read_text() + table)
    return site


def leaf_at(address: str, name: str, port: int = 443) -> bytes:
    """Return the leaf, DER, that is presented for a name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        leaf_der = tls.getpeercert(binary_form=True)
    assert leaf_der
    return leaf_der


@contextmanager
def configured(server: Apache | Nginx, text: str) -> Iterator[None]:
    """Let a web server's site be another one, on disk alone."""
    before = server.site.read_text()
    server.site.write_text(text)
    try:
        yield
    finally:
        server.site.write_text(before)


def look(service: str, *names: str, algorithm: KeyAlgorithm = "ecdsa") -> ServiceSetup:
    return HostSurvey().look(service, names, algorithm)


@pytest.mark.parametrize(
    ("service", "address", "hosts"), [("apache2", layout.WEB, HOSTS), ("nginx", layout.NGINX, (NGINX_NAME,))]
)
def test_one_line_is_the_whole_deployment(
    shared: World, tmp_path: Path, service: str, address: str, hosts: tuple[str, ...]
) -> None:
    site = preset_site(shared, tmp_path, service)
    first = shared.initial.leaf
    outcome = site.json("apply", "--wait")
    assert (outcome["failed"], outcome["holds"]) == ([], [])
    (leaf,) = {leaf_at(address, host) for host in hosts}
    assert leaf != first.public_bytes(Encoding.DER)
    assert x509.load_der_x509_certificate(leaf).issuer != first.issuer
    # What went live as links of danelaw's own is read and written through them again.
    outcome = site.json("apply", "--wait", "--force-renewal")
    assert (outcome["failed"], outcome["holds"]) == ([], [])
    assert {leaf_at(address, host) for host in hosts}.isdisjoint({leaf, first.public_bytes(Encoding.DER)})


def test_an_nginx_that_is_stopped_is_not_started_by_its_reload(shared: World, tmp_path: Path) -> None:
    site = preset_site(shared, tmp_path, "nginx")
    site.json("apply", "--wait")
    shared.nginx.stop()
    try:
        failed = site.json("apply", "--force-renewal", status=1)
        assert "nginx -s reload: exit status 1" in json.dumps(failed)
        assert not shared.nginx.listening()
    finally:
        shared.nginx.start()


@pytest.mark.parametrize(("service", "setting"), [("apache2", "SSLCertificateFile"), ("nginx", "ssl_certificate")])
def test_debians_example_is_refused_with_what_to_set(shared: World, tmp_path: Path, service: str, setting: str) -> None:
    site = preset_site(shared, tmp_path, service)
    server = shared.apache if service == "apache2" else shared.nginx
    example = Path("/etc/ssl/certs/ssl-cert-snakeoil.pem")
    had = example.read_bytes() if example.exists() else None
    example.unlink(missing_ok=True)
    example.write_bytes(server.fullchain.read_bytes())
    try:
        with configured(server, server.site.read_text().replace(str(server.fullchain), str(example))):
            refused = site.danelaw("plan")
    finally:
        example.unlink()
        if had is not None:
            example.write_bytes(had)
    assert refused.status == STATUS_BAD_CONFIG
    assert f"deploy[0].services[0]: found {example} in {setting}, Debian's self-signed example" in refused.err
    assert f"a file of its own in {setting}" in refused.err
    assert site.danelaw("plan").status == 0


@pytest.mark.parametrize("service", ["apache2", "nginx"])
def test_of_two_pairs_that_of_the_algorithm_is_read(shared: World, service: str) -> None:
    server = shared.apache if service == "apache2" else shared.nginx
    name = layout.DOMAIN if service == "apache2" else NGINX_NAME
    server.present_both(shared.old_ca.issue([name], make_private_key("rsa2048")), shared.old_ca.issue([name]))
    try:
        rsa, ecdsa = (look(service, name, algorithm=algorithm) for algorithm in ALGORITHMS)
        assert [spec.path for spec in rsa.files] == [str(server.fullchain), str(server.key)]
        assert [spec.path for spec in ecdsa.files] == [str(server.ecdsa_fullchain), str(server.ecdsa_key)]
        server.ecdsa_key.write_bytes(server.key.read_bytes())
        with pytest.raises(Unsuited, match="not clear which is the rsa key"):
            look(service, name, algorithm="rsa")
    finally:
        server.present(shared.initial)


# ------------------------------------------------------------------------------------------------------ the real dumps


def apache_site(shared: World, *blocks: str) -> str:
    files = f"SSLEngine on\nSSLCertificateFile {shared.apache.fullchain}\nSSLCertificateKeyFile {shared.apache.key}"
    return "\n".join(
        f"<VirtualHost {layout.WEB}:443>\n{block}\n</VirtualHost>".replace("TLS", files) for block in blocks
    )


def test_apaches_own_dump_of_named_virtual_hosts(shared: World) -> None:
    text = apache_site(
        shared,
        "ServerName other.test\nTLS",
        "<IfDefine !there>\nServerName ${site}\n</IfDefine>\nServerAlias *.example.org\nTLS",
    )
    with configured(shared.apache, f"Define site www.example.org\n{text}\nListen 127.0.0.1:8443\n"):
        setup = look("apache2", "www.example.org", "mail.example.org", "x.example.net")
        assert setup.hosts == ("www.example.org",)
        assert setup.ports == ((443, "https"),)
        assert [spec.path for spec in setup.files] == [str(shared.apache.fullchain), str(shared.apache.key)]
        assert "the virtual host other.test" in setup.warnings[0]
        with pytest.raises(Unsuited, match=r"have none of the certificate's names \(.*other\.test"):
            look("apache2", "x.example.net")


def test_apaches_own_dump_of_one_without_a_name(shared: World) -> None:
    with configured(shared.apache, apache_site(shared, "TLS")):
        assert look("apache2", "mail.example.org").hosts == ("mail.example.org",)
    with configured(shared.apache, apache_site(shared, "ServerName a.test\nTLS")), pytest.raises(Unsuited):
        look("apache2", "mail.example.org")


def test_a_macros_virtual_host_is_refused(shared: World) -> None:
    module = Path("/usr/lib/apache2/modules/mod_macro.so")
    block = apache_site(shared, "ServerName $name\nTLS")
    text = f"LoadModule macro_module {module}\n<Macro Site $name>\n{block}\n</Macro>\nUse Site m.example.org\n"
    with configured(shared.apache, text), pytest.raises(Unsuited, match=r"m\.example\.org") as refused:
        look("apache2", "m.example.org")
    assert "where no <VirtualHost> stands" in str(refused.value)


def test_a_certificate_that_is_missing_is_read_by_apache_and_not_by_nginx(shared: World) -> None:
    missing = "/etc/ssl/missing.pem"
    with configured(shared.apache, shared.apache.site.read_text().replace(str(shared.apache.fullchain), missing)):
        assert look("apache2", *layout.NAMES).files[0].path == missing
    with (
        configured(shared.nginx, shared.nginx.site.read_text().replace(str(shared.nginx.fullchain), missing)),
        pytest.raises(Unsuited, match="some certificate and key there to begin with") as refused,
    ):
        look("nginx", NGINX_NAME)
    assert missing in str(refused.value)


def test_a_configuration_that_is_broken_is_said(shared: World) -> None:
    for service, server in (("apache2", shared.apache), ("nginx", shared.nginx)):
        with configured(server, "Nonsense {"), pytest.raises(Unsuited, match="Nonsense"):
            look(service, *layout.NAMES, NGINX_NAME)


def test_nginx_dump_of_its_many_forms(shared: World) -> None:
    fragment = Path("/etc/nginx/snippets/tls of ours.conf")
    fragment.write_text(f"ssl_certificate {shared.nginx.fullchain};\nssl_certificate_key '{shared.nginx.key}';\n")
    text = f"""
map $host $found {{ default "}}{{;"; "~^a{{2}}" ${{host}}x; }}
server {{ # not this one }}
    listen {layout.NGINX}:443 ssl; server_name other.test; include "snippets/tls of*.conf";
    location ~ "^/a{{1,2}}$" {{ return 200 'it''s'; }}
}}
server {{
    listen {layout.NGINX}:443; listen 8443 ssl; listen unix:/run/nginx-test.sock ssl;
    server_name .example.org;
    ssl_certificate {shared.nginx.fullchain}; ssl_certificate_key {shared.nginx.key};
}}
""".replace("'it''s'", '"it\\"s"')
    try:
        with configured(shared.nginx, text):
            run("nginx", "-t")
            setup = look("nginx", "example.org", "www.example.org", "example.net")
    finally:
        fragment.unlink()
    assert setup.hosts == ("example.org", "www.example.org")
    assert setup.ports == ((443, "https"), (8443, "https"))
    assert [spec.path for spec in setup.files] == [str(shared.nginx.fullchain), str(shared.nginx.key)]
    assert "the server other.test (/etc/nginx/sites-enabled/nginx_example_test:3)" in setup.warnings[0]


def test_nginx_certificate_for_each_connection_is_refused(shared: World) -> None:
    text = shared.nginx.site.read_text().replace(str(shared.nginx.fullchain), "/etc/ssl/certs/$ssl_server_name.pem")
    with configured(shared.nginx, text), pytest.raises(Unsuited, match=r"/etc/ssl/certs/\$ssl_server_name\.pem"):
        look("nginx", NGINX_NAME)
