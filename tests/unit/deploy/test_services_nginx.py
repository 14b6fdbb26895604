"""The preset for nginx, over what ``nginx -T`` of nginx 1.22 prints."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chains import p256, rsa2048
from danelaw.deploy.services import nginx
from danelaw.deploy.services.nginx_config import parse, read_dump
from danelaw.errors import Unsuited
from danelaw.model import FileSpec, KeyAlgorithm, ServiceSetup
from fakes.programs import Programs

RECORDED = r"""# configuration file /t/nginx.conf:
pid /t/pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  ssl_certificate c.pem;
  ssl_certificate_key k.pem;
  include site.conf;
  server { listen 8081; server_name plain.example.org; }
  server { listen 8444 ssl default_server; }
  server { listen unix:/t/s ssl; server_name u.example.org; }
}

# configuration file /t/site.conf:
# a comment { with braces
server {
    listen 192.0.2.1:8443 ssl; listen [::1]:8443 ssl http2;
    server_name example.org "www.example.org" *.example.net .example.com ~^a\{2\}$;
    ssl_certificate "/t/c.pem";   # one
    ssl_certificate_key k.pem;
    location / { return 200 "he said \"}\" # no comment\n"; }
    location ~ "\.(a|b){2}$" { deny all; }
    add_header X 'single ; quote';
}
map $host $x { default 0; a#b 1; }

"""
"""Printed by nginx 1.22.1 of such files, their folder's name made shorter."""

NAMES = ("example.org", "www.example.org", "mail.example.org")
TLS = "ssl_certificate /t/{0}.pem; ssl_certificate_key /t/{0}.key;"
SITE = (
    f"server {{ listen 443 ssl; listen [::]:443 ssl; server_name example.org www.example.org; {TLS.format('site')} }}"
)
OURS = (FileSpec("/t/site.pem", ("cert", "chain")), FileSpec("/t/site.key", ("key",)))


def survey(
    dump: str, names: tuple[str, ...] = NAMES, algorithm: KeyAlgorithm = "rsa", *, has_files: bool = False
) -> ServiceSetup:
    return nginx.survey(Programs({"nginx -T": dump}), names, algorithm, has_files=has_files)


def dump(http: str, top: str = "", **files: str) -> str:
    texts = {"nginx": f"events {{ }}\n{top}\nhttp {{\n{http}\n}}\n", **files}
    return "".join(f"# configuration file /t/{name}.conf:\n{text}\n" for name, text in texts.items())


def refused(text: str, **options: object) -> str:
    with pytest.raises(Unsuited) as error:
        survey(text, **options)  # type: ignore[arg-type]  # the caller's own
    return str(error.value)


def test_a_recorded_dump() -> None:
    setup = survey(RECORDED)
    assert setup.files == (FileSpec("/t/c.pem", ("cert", "chain")), FileSpec("/t/k.pem", ("key",)))
    assert (setup.hosts, setup.ports) == (("example.org", "www.example.org"), ((8443, "https"),))
    assert setup.service.test == ("nginx", "-t")
    assert [warning.rpartition(" reads ")[2] for warning in setup.warnings] == [
        "/t/c.pem too, and the certificate has none of its names"
    ]


def test_words_quotes_and_comments_as_nginx_reads_them() -> None:
    text = """a "b;\\"c" d#e 'f' ${g}h; # i\nj k\\;l; m {n;o}p q;}"""
    first, second, block = parse(text, "/x", "/")
    assert first.words == ("a", 'b;"c', "d#e", "f", "${g}h")
    assert second.words == ("j", "k\\;l")
    assert [each.words for each in block.block] == [("n",), ("o}p", "q")]
    assert (first.place, block.place) == ("/x:1", "/x:2")


def test_lua_is_passed_over() -> None:
    lua = """a_by_lua_block { -- }\n x = "}" y = '{' --[[ } ]] z = [=[ } ]=] t = { 1 } }\nb c;"""
    assert [each.words for each in parse(lua, "/x", "/")] == [("a_by_lua_block",), ("b", "c")]
    for endless in ("[[" * 200_000, '"\\"' * 200_000, "'", "--[["):
        assert len(parse(f"a_by_lua_block {{ {endless}", "/x", "/")) == 1


@pytest.mark.parametrize("text", ["a", "a {", "a; }", 'a "b', "a b }", "a {" * 30, "a \\"])
def test_what_nginx_would_not_read_is_refused(text: str) -> None:
    with pytest.raises(Unsuited, match=r"^/x"):
        parse(text, "/x", "/")


def test_several_servers_must_read_the_same() -> None:
    assert survey(dump(SITE)).files == OURS
    mail = f"server {{ listen 443 ssl; server_name mail.example.org; {TLS.format('mail')} }}"
    said = refused(dump(SITE + mail))
    assert "reads /t/site.pem and /t/site.key, and the server mail.example.org (/t/nginx.conf:4), /t/mail.pem" in said
    assert survey(dump(SITE + mail), ("example.org", "www.example.org")).files == OURS
    assert survey(dump(SITE + mail.replace("/t/mail", "/t/site"))).hosts == NAMES


def test_http_says_what_a_server_does_not() -> None:
    bare = SITE.replace(TLS.format("site"), "")
    assert survey(dump(f"{bare} {TLS.format('site')}")).files == OURS
    assert survey(dump(f"{TLS.format('other')} {SITE}")).files == OURS
    assert "without ssl_certificate" in refused(dump(bare))


def test_includes_are_read_where_they_stand() -> None:
    files = {"sites/a": "include tls.conf; listen 443 ssl; server_name example.org;", "tls": TLS.format("site")}
    whole = dump("server { include sites/*.conf; } include /t/mime.conf;", mime="types { a b; }", **files)
    assert survey(whole).files == OURS
    hidden = whole.replace("/t/sites/a.conf", "/t/sites/.a.conf")  # no * means it
    assert "which nothing includes" in refused(hidden)
    assert "includes itself" in refused(dump("include a.conf;", a="include a.conf; b;"))
    assert "includes itself" in refused(dump(SITE, "stream { include a.conf; }", a="b { include a.conf; }"))


def test_file_patterns_as_glob_has_them() -> None:
    for pattern, path in (("a[0-9].conf", "/t/a1.conf"), ("[!b]?.conf", "/t/a1.conf"), ("*/[a]*", "/t/s/a.conf")):
        name = path.removeprefix("/t/").removesuffix(".conf")
        assert survey(dump(f"include {pattern};", **{name: SITE})).files == OURS
    for pattern in ("a[2-9].conf", "*", "[z-a].conf", "s*a.conf"):
        assert "which nothing includes" in refused(dump(f"include {pattern};", **{"s/a": SITE}))
    assert "too many to compare" in refused(dump(f"include {'*a' * 20};", a=SITE))


def test_a_socket_speaks_tls_where_one_server_says_so() -> None:
    plain = f"server {{ listen 443; server_name mail.example.org; {TLS.format('site')} }}"
    assert survey(dump(SITE + plain)).hosts == NAMES
    assert survey(dump(SITE + plain.replace("443", "192.0.2.1:443"))).hosts == NAMES[:2]
    assert (
        survey(dump(SITE.replace(" ssl;", ";").replace("www.example.org;", "www.example.org; ssl on;"))).files == OURS
    )
    assert "no server with TLS" in refused(dump(SITE.replace(" ssl;", ";")))
    assert "no server with TLS" in refused(dump(SITE.replace(" ssl;", " quic;")))
    assert "no server with TLS" in refused(dump(SITE.replace("443", "unix:/s").replace("[::]:", "")))


def test_a_server_for_everybody_has_the_names_that_no_other_has() -> None:
    for name in ("", "server_name _;", 'server_name "";'):
        everybody = f"server {{ listen 443 ssl; {name} {TLS.format('site')} }}"
        assert survey(dump(everybody)).hosts == NAMES
        second = everybody.replace("443 ssl", "443 ssl default_server").replace("/t/site", "/t/default")
        assert survey(dump(everybody + second)).files[0].path == "/t/default.pem"
    assert "none of the certificate's names (other.test)" in refused(
        dump(SITE.replace("example.org www.example.org", "other.test"))
    )
    regex = SITE.replace("example.org www.example.org", "~example")
    assert "no regular expression" in refused(dump(regex))


def test_wildcards_as_nginx_chooses() -> None:
    def server(names: str, file: str) -> str:
        return f"server {{ listen 443 ssl; server_name {names}; {TLS.format(file)} }}"

    several = (
        server("www.*", "w") + server("*.org", "o") + server("*.example.org", "e") + server("www.example.org", "x")
    )
    assert survey(dump(several), ("www.example.org",)).files[0].path == "/t/x.pem"
    assert survey(dump(several), ("mail.example.org",)).files[0].path == "/t/e.pem"
    assert survey(dump(several), ("www.example.com",)).files[0].path == "/t/w.pem"
    assert survey(dump(server(".example.org", "e")), ("example.org", "*.example.org")).hosts == ("example.org",)
    alone = survey(dump(server("*.example.org", "e")), ("*.example.org",))
    assert (alone.hosts, alone.files[0].path) == ((), "/t/e.pem")


def test_ports_that_prove_all_hosts() -> None:
    more = f"server {{ listen 8443 ssl; server_name example.org; {TLS.format('site')} }}"
    setup = survey(dump(SITE + more))
    assert setup.ports == ((443, "https"),)
    assert setup.warnings == ("port 8443 does not serve www.example.org, and is not proven",)
    assert survey(dump(SITE + more), ("example.org",)).ports == ((443, "https"), (8443, "https"))
    assert survey(dump(SITE.replace(" ssl;", " ssl; listen 127.0.0.1:444 ssl;", 1))).ports == ((443, "https"),)
    proxied = SITE.replace(" ssl;", " ssl proxy_protocol;")
    assert "no port at which this nginx offers TLS" in refused(dump(proxied))
    beside = survey(dump(SITE.replace(" ssl;", " ssl; listen 444 ssl proxy_protocol;", 1)))
    assert beside.warnings == ("port 444 expects the PROXY protocol, and is not proven",)


def test_two_pairs_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    both = SITE.replace("}", f"{TLS.format('ec')} }}").replace("/t/", f"{tmp_path}/")
    assert "not clear which is the rsa key" in refused(dump(both))
    for name, key in (("site", rsa2048()), ("ec", p256())):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.key").write_bytes(pem)
    assert survey(dump(both)).files[1].path == f"{tmp_path}/site.key"
    assert survey(dump(both), algorithm="ecdsa").files[1].path == f"{tmp_path}/ec.key"


def test_one_file_for_both() -> None:
    assert survey(dump(SITE.replace("site.key", "site.pem"))).files == (
        FileSpec("/t/site.pem", ("cert", "chain", "key")),
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/ssl/certs/ssl-cert-snakeoil.pem", "Debian's self-signed example"),
        ("/etc/letsencrypt/live/x/fullchain.pem", "which certbot keeps"),
        ("/t/$ssl_server_name.pem", "ssl_certificate /t/$ssl_server_name.pem of the server example.org"),
        ("$cert", "decided for each connection"),
        ("data:-----BEGIN", "ssl_certificate data: of"),
    ],
)
def test_what_does_not_suit_is_refused_in_words(path: str, said: str) -> None:
    text = dump(SITE.replace("/t/site.pem", path))
    assert said in refused(text)
    assert survey(text, has_files=True).hosts == NAMES[:2]


def test_names_that_the_certificate_lacks_and_its_files_are_presented_under() -> None:
    """Records there would refuse the new chain, by whatever server they are asked."""
    assert survey(dump(SITE)).beside == ()
    other = "server {{ listen 443 ssl; server_name other.example.net _ localhost; {} }}"
    assert survey(dump(SITE + other.format(TLS.format("other")))).beside == ()
    assert survey(dump(SITE + other.format(TLS.format("site")))).beside == ("other.example.net", "localhost")
    assert survey(dump(SITE), names=("example.org",)).beside == ("www.example.org",)


def test_files_given_by_hand_make_warnings_of_what_is_not_clear() -> None:
    by_hand = survey(dump(SITE.replace("/t/site.pem", "$cert")), has_files=True)
    assert by_hand.files == ()
    assert by_hand.warnings[0].endswith("what it reads is not known")


def test_mail_and_stream_servers_are_no_web_servers() -> None:
    for kind in ("mail", "stream"):
        top = f"{kind} {{ server {{ listen 993 ssl; server_name example.org; {TLS.format('site')} }} }}"
        assert "no server with TLS" in refused(dump("", top))
        setup = survey(dump(SITE, top))
        assert setup.ports == ((443, "https"),)
        assert setup.warnings == (f"{kind} servers of nginx read /t/site.pem too; prove is to name their ports",)
    assert not survey(dump(SITE, f"mail {{ server {{ {TLS.format('mail')} }} }}")).warnings


def test_a_certificate_that_is_missing_is_told_apart() -> None:
    found = 'nginx -T: exit status 1: nginx: [emerg] cannot load certificate "/t/site.pem": BIO_new_file() failed'
    with pytest.raises(Unsuited, match="some certificate and key there to begin with"):
        nginx.survey(Programs({"nginx -T": Unsuited(found, "x")}), NAMES, "rsa")
    with pytest.raises(Unsuited, match=r"^broken; x"):
        nginx.survey(Programs({"nginx -T": Unsuited("broken", "x")}), NAMES, "rsa")


def test_what_is_no_dump_is_refused() -> None:
    with pytest.raises(Unsuited, match="prints no configuration"):
        read_dump("nginx: configuration file is ok")
