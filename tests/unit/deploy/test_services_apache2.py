"""The preset for Apache, over what apache2ctl of Apache 2.4 prints and files as Debian has them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chains import p256, rsa2048
from danelaw.deploy.services import apache2
from danelaw.errors import Unsuited
from danelaw.model import FileSpec, KeyAlgorithm, ServiceSetup
from fakes.programs import Programs

ONE = """\
VirtualHost configuration:
192.0.2.80:443         www.example.org ({folder}/site.conf:2)
ServerRoot: "{folder}"
Main DocumentRoot: "/var/www/html"
PidFile: "/run/apache2/apache2.pid"
Define: DUMP_VHOSTS
Define: DUMP_RUN_CFG
Define: tls={folder}/tls
User: name="www-data" id=33
"""

SEVERAL = """\
VirtualHost configuration:
*:80                   example.org ({folder}/plain.conf:1)
*:443                  is a NameVirtualHost
         default server example.org ({folder}/site.conf:2)
         port 443 namevhost example.org ({folder}/site.conf:2)
                 alias www.example.org
         port 443 namevhost blog.example.org ({folder}/blog.conf:1)
ServerRoot: "{folder}"
"""

SITE = """\
<IfModule mod_ssl.c>
<VirtualHost *:443>
    # SSLCertificateFile /nowhere.pem
    ServerName https://www.example.org:443
    ServerAlias example.org \\
        blog.example.org
    SSLEngine on
    SSLCertificateFile "{folder}/tls/site.pem"
    SSLCertificateKeyFile {folder}/tls/site.key
    <Directory /srv/www>
        Require all granted
    </Directory>
</VirtualHost>
</IfModule>
"""

BLOG = """\
<VirtualHost *:443>
    ServerName blog.example.org
    SSLEngine on
    SSLCertificateFile {folder}/tls/blog.pem
    SSLCertificateKeyFile {folder}/tls/blog.key
</VirtualHost>
"""

PLAIN = "<VirtualHost *:80>\n    ServerName example.org\n</VirtualHost>\n"

NAMES = ("example.org", "www.example.org", "mail.example.org")

Survey = Callable[..., ServiceSetup]


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    def ask(
        dump: str = ONE,
        *,
        site: str = SITE,
        names: tuple[str, ...] = NAMES,
        algorithm: KeyAlgorithm = "rsa",
        has_files: bool = False,
        **files: str,
    ) -> ServiceSetup:
        (tmp_path / "tls").mkdir(exist_ok=True)
        for name, text in {"site": site, **files}.items():
            (tmp_path / f"{name}.conf").write_text(text.replace("{folder}", str(tmp_path)))
        programs = Programs({"apache2ctl -t -D DUMP_VHOSTS": dump.replace("{folder}", str(tmp_path))})
        return apache2.survey(programs, names, algorithm, has_files=has_files)

    return ask


def pair(folder: Path, name: str) -> tuple[FileSpec, ...]:
    certificate, key = f"{folder}/tls/{name}.pem", f"{folder}/tls/{name}.key"
    return (FileSpec(certificate, ("cert", "chain")), FileSpec(key, ("key",)))


def test_a_virtual_host_says_its_names_ports_and_files(survey: Survey, tmp_path: Path) -> None:
    setup = survey()
    assert setup.files == pair(tmp_path, "site")
    assert setup.ports == ((443, "https"),)
    assert setup.hosts == ("www.example.org", "example.org")
    assert setup.service.test == ("apache2ctl", "configtest")
    assert not setup.warnings


def test_names_that_the_certificate_has_not_are_no_hosts(survey: Survey) -> None:
    assert survey(names=("blog.example.org",)).hosts == ("blog.example.org",)
    with pytest.raises(Unsuited, match=r"none of the certificate's names \(blog\.example\.org"):
        survey(names=("mail.example.org",))


def test_a_wildcard_covers_hosts_and_a_wildcard_alias_serves_names(survey: Survey) -> None:
    assert survey(names=("*.example.org",)).hosts == ("www.example.org", "blog.example.org")
    aliased = SITE.replace("example.org \\\n        blog.example.org", "*.example.net")
    assert survey(site=aliased, names=("a.example.net",)).hosts == ("a.example.net",)


def test_several_virtual_hosts_must_read_the_same(survey: Survey, tmp_path: Path) -> None:
    assert survey(SEVERAL, blog=BLOG, plain=PLAIN).files == pair(tmp_path, "site")  # the blog is not this certificate's
    same = BLOG.replace("blog.pem", "site.pem").replace("blog.key", "site.key")
    both = survey(SEVERAL, blog=same, plain=PLAIN, names=("example.org", "blog.example.org"))
    assert both.hosts == ("example.org", "blog.example.org")
    with pytest.raises(Unsuited, match=r"site\.key, and the virtual host blog\.example\.org .*blog\.key"):
        survey(SEVERAL, blog=BLOG, plain=PLAIN, names=("example.org", "blog.example.org"))


def test_who_reads_the_files_and_is_not_named_is_warned_of(survey: Survey) -> None:
    other = BLOG.replace("blog.example.org", "other.example.net").replace("blog.pem", "site.pem")
    (warning,) = survey(SEVERAL.replace("blog.example.org", "other.example.net"), blog=other, plain=PLAIN).warnings
    assert "other.example.net" in warning


def test_names_that_the_certificate_lacks_and_its_files_are_presented_under(survey: Survey) -> None:
    """Records there would refuse the new chain, by whatever virtual host they are asked."""
    assert survey().beside == ("blog.example.org",)  # an alias
    assert survey(names=("*.example.org", "example.org")).beside == ()
    other = BLOG.replace("blog.pem", "site.pem").replace("blog.example.org", "other.example.net")
    sharing = survey(SEVERAL.replace("blog.example.org", "other.example.net"), blog=other, plain=PLAIN)
    assert sharing.beside == ("blog.example.org", "other.example.net")
    assert survey(SEVERAL, blog=BLOG.replace("blog.example.org", "x.example.net"), plain=PLAIN).beside == (
        "blog.example.org",
    )


def test_the_pair_of_our_algorithm_is_chosen(survey: Survey, tmp_path: Path) -> None:
    second = "SSLCertificateFile {folder}/tls/ec.pem\n    SSLCertificateKeyFile {folder}/tls/ec.key\n    <Directory"
    site = SITE.replace("<Directory", second)
    with pytest.raises(Unsuited, match="not clear which is the rsa key"):
        survey(site=site)
    for name, key in (("site", rsa2048()), ("ec", p256())):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / "tls" / f"{name}.key").write_bytes(pem)
    assert survey(site=site).files == pair(tmp_path, "site")
    assert survey(site=site, algorithm="ecdsa").files == pair(tmp_path, "ec")


def test_one_file_holds_the_key_too_where_none_is_named(survey: Survey, tmp_path: Path) -> None:
    site = SITE.replace("SSLCertificateKeyFile", "# SSLCertificateKeyFile")
    assert survey(site=site).files == (FileSpec(f"{tmp_path}/tls/site.pem", ("cert", "chain", "key")),)


def test_a_chain_file_of_old_is_written_too(survey: Survey, tmp_path: Path) -> None:
    site = SITE.replace("<Directory", "SSLCertificateChainFile {folder}/tls/chain.pem\n    <Directory")
    certificate, chain, key = survey(site=site).files
    assert certificate == FileSpec(f"{tmp_path}/tls/site.pem", ("cert",))
    assert chain == FileSpec(f"{tmp_path}/tls/chain.pem", ("chain",))
    assert key.parts == ("key",)


def test_what_is_included_and_defined_is_followed(survey: Survey, tmp_path: Path) -> None:
    site = SITE.replace('SSLCertificateFile "{folder}/tls/site.pem"', "IncludeOptional parts/*.conf")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.conf").write_text("SSLCertificateFile ${tls}/site.pem\n")
    assert survey(site=site).files == pair(tmp_path, "site")
    (tmp_path / "parts" / "one.conf").write_text("SSLCertificateFile ${unknown}/site.pem\n")
    with pytest.raises(Unsuited, match=r"\$\{unknown\} in the virtual host"):
        survey(site=site)


def test_files_that_include_themselves_come_to_an_end(survey: Survey, tmp_path: Path) -> None:
    assert survey(
        site=SITE.replace("<Directory", "Include {folder}/again.conf\n    <Directory"), again="Include again.conf"
    )
    assert (tmp_path / "again.conf").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SSLCertificateFile", "# none", "has no SSLCertificateFile of its own"),
        ("{folder}/tls/site.pem", "/etc/ssl/certs/ssl-cert-snakeoil.pem", "Debian's self-signed example"),
        ("{folder}/tls/site.pem", "/etc/letsencrypt/live/x/fullchain.pem", "which certbot keeps"),
        ("<VirtualHost *:443>", "#", "where no <VirtualHost> stands"),
        ("SSLEngine on", "<If true>\nSSLCertificateFile /x.pem\n</If>", "SSLCertificateFile in <if>"),
    ],
)
def test_what_does_not_suit_is_refused_in_words(survey: Survey, old: str, new: str, said: str) -> None:
    with pytest.raises(Unsuited) as refused:
        survey(site=SITE.replace(old, new))
    assert said in str(refused.value)


def test_files_given_by_hand_need_not_be_anybodys(survey: Survey) -> None:
    snakeoil = SITE.replace("{folder}/tls/site.pem", "/etc/ssl/certs/ssl-cert-snakeoil.pem")
    assert survey(site=snakeoil, has_files=True).hosts == ("www.example.org", "example.org")


def test_an_apache_without_tls_is_refused(survey: Survey) -> None:
    with pytest.raises(Unsuited, match="no virtual host with TLS"):
        survey("VirtualHost configuration:\n")


def test_the_first_without_a_name_answers_to_what_no_other_does(survey: Survey) -> None:
    nameless = SITE.replace("ServerName https://www.example.org:443", "").replace("ServerAlias", "# ServerAlias")
    nameless = nameless.replace("example.org \\\n        blog.example.org", "none")
    dumped = ONE.replace("www.example.org", "host.internal")
    assert survey(dumped, site=nameless).hosts == NAMES
    assert survey(dumped, site=nameless, names=("*.example.org",)).hosts == ()
    with pytest.raises(Unsuited, match=r"none of the certificate's names \(host\.internal\)"):
        survey(dumped, site=nameless.replace("# none", "").replace("SSLEngine", "ServerName host.internal\nSSLEngine"))
    behind = SEVERAL.replace("default server example.org", "default server other.test")
    behind = behind.replace(
        "default server other.test ({folder}/site.conf:2)", "default server o ({folder}/blog.conf:1)"
    )
    with pytest.raises(Unsuited, match=r"none of the certificate's names"):
        survey(
            behind.replace("namevhost example.org", "namevhost host.internal"), site=nameless, blog=BLOG, plain=PLAIN
        )


def test_a_wildcard_of_both_is_no_host(survey: Survey) -> None:
    wild = SITE.replace("https://www.example.org:443", "*.example.org").replace("blog.example.org", "x.test")
    assert survey(site=wild.replace("example.org \\", "y.test \\"), names=("*.example.org",)).hosts == ()


def test_what_only_this_host_reaches_is_no_port(survey: Survey) -> None:
    local = ONE.replace("192.0.2.80:443", "127.0.0.1:8443")
    with pytest.raises(Unsuited, match="no virtual host with TLS"):
        survey(local)
    both = local.replace("ServerRoot", "192.0.2.80:443  www.example.org ({folder}/site.conf:2)\nServerRoot")
    assert survey(both).ports == ((443, "https"),)
    with pytest.raises(Unsuited, match="no virtual host with TLS"):
        survey(SEVERAL.replace("*:443", "[::1]:443"), blog=BLOG, plain=PLAIN)


def test_conditions_hold_as_the_dump_says(survey: Survey, tmp_path: Path) -> None:
    def within(block: str) -> str:
        other = f"<{block}>\n SSLCertificateFile /other.pem\n</{block.partition(' ')[0]}>\n<Directory"
        return SITE.replace("<Directory", other)

    assert survey(site=within("IfDefine absent")).files == pair(tmp_path, "site")
    assert survey(site=within("IfDefine !tls")).files == pair(tmp_path, "site")
    for block in ("IfDefine tls", "IfDefine !absent", "IfModule ssl_module"):
        with pytest.raises(Unsuited, match=r"/other\.pem, where it is not clear"):
            survey(site=within(block))
    for block in ("IfModule !mod_ssl.c", "IfFile /x", "IfVersion >= 2.4"):
        with pytest.raises(Unsuited, match=f"SSLCertificateFile in <{block.split()[0].lower()}>"):
            survey(site=within(block))
    included = SITE.replace("<Directory", "<If true>\nInclude {folder}/x.conf\n</If>\n<Directory")
    with pytest.raises(Unsuited, match="SSLCertificateFile in <if>"):
        survey(site=included, x="SSLCertificateFile /x.pem")


def test_names_may_be_defined_elsewhere(survey: Survey) -> None:
    site = SITE.replace("https://www.example.org:443", "${name}")
    assert survey(ONE.replace("Define: tls", "Define: name=mail.example.org\nDefine: tls"), site=site).hosts[0] == (
        "mail.example.org"
    )
    assert survey(site=site).hosts == ("example.org",)


def test_files_given_by_hand_make_warnings_of_what_is_not_clear(survey: Survey) -> None:
    by_hand = survey(SEVERAL, blog=BLOG, plain=PLAIN, has_files=True, names=NAMES)
    assert not by_hand.warnings
    several = survey(SEVERAL, blog=BLOG, plain=PLAIN, has_files=True, names=("*.example.org", "example.org"))
    assert several.files == ()
    assert several.warnings[0].endswith("and what it reads is not known")
