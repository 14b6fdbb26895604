import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from danelaw.config import Config, digest, head, load
from danelaw.config.certificate import SUBJECT_FIELDS
from danelaw.errors import ConfigError
from danelaw.model import Endpoint, FileSpec, Http01, RecordSpec, Service, TlsaRecord
from danelaw.pki import csr
from fakes.config_site import EXAMPLE, SCENARIO, SMALLEST, make_site


def test_the_example_of_the_design(tmp_path: Path) -> None:
    config = load(make_site(tmp_path))
    assert config.warnings == ()
    assert config.state_dir == str(tmp_path / "state")
    assert config.desired.lookup_margin == timedelta(minutes=15)
    assert config.desired.history == timedelta(days=1)
    ca = config.cas["letsencrypt"]
    assert ca.directory == "https://acme-v02.api.letsencrypt.org/directory"
    assert ca.contact == ("igor@example.org",)
    publisher = config.publishers["home"]
    assert (publisher.server, publisher.port, publisher.zone) == ("192.0.2.53", 5353, "example.org")
    assert config.resolver.trust_anchor == str(tmp_path / "root.ds")
    assert config.connect == {"mail.example.org:25": "127.0.0.25:2525", "203.0.113.7:25": "127.0.0.25:2525"}
    assert config.authoritative == {"example.org": ("127.0.53.1:53", "127.0.53.2:53")}

    (spec,) = config.desired.certificates
    assert spec.name == "example.org"
    assert spec.names == ("example.org", "mail.example.org", "www.example.org")
    assert spec.key == str(tmp_path / "private/example_org.pem")
    assert spec.subject == {"common_name": "example.org", "email": "igor@example.org"}
    assert spec.http01 == Http01(listen=(("0.0.0.0", 80), ("::", 80)))  # noqa: S104 - the example's own
    assert spec.post_challenge == ("systemctl", "start", "apache2")
    assert spec.timeout == timedelta(seconds=90)
    assert (spec.rollover, spec.next_key, spec.settle) == (timedelta(days=365), True, timedelta(hours=24))
    assert (spec.spare, spec.retired_keys, spec.intermediates) == (None, "archive", ())
    assert [(str(c.endpoint), c.endpoint.protocol) for c in spec.claims] == [
        ("mail.example.org:25", "smtp"),
        ("mail.example.org:465", "smtps"),
        ("mail.example.org:587", "smtp"),
        ("mail.example.org:993", "imaps"),
        ("mail.example.org:995", "pop3s"),
        ("mail.example.org:2525", "smtp"),
    ]
    assert {(c.records, c.publisher, c.ttl, c.prune, c.strict, c.external) for c in spec.claims} == {
        ((RecordSpec(3, 1, 1),), "home", 3600, True, True, False)
    }

    postfix, courier, prosody = spec.deployments
    assert postfix.files == (FileSpec(str(tmp_path / "etc/postfix.pem"), ("key", "cert", "chain"), 0o600, "root"),)
    assert postfix.endpoints[3] == Endpoint("mail.example.org", 2525, "smtp")  # its tlsa table says how
    assert courier.services == (Service("", None, ("systemctl", "restart", "courier-imap-ssl", "courier-pop-ssl")),)
    assert prosody.files == (
        FileSpec(str(tmp_path / "etc/example.org.pem"), ("cert", "chain")),
        FileSpec(str(tmp_path / "etc/live.key"), ("key",), 0o640, None, "ssl-cert"),
    )
    assert prosody.services[0].test == ("true",)
    assert prosody.timeout == timedelta(minutes=2)
    assert prosody.addresses == ("192.0.2.25",)
    assert prosody.endpoints == (
        Endpoint("example.org", 443, "https"),
        Endpoint("www.example.org", 8443, "https", "127.0.0.1"),
    )


def test_the_site_of_the_scenario(tmp_path: Path) -> None:
    config = load(make_site(tmp_path, SCENARIO))
    assert config.warnings == ()
    (spec,) = config.desired.certificates
    assert len(spec.names) == 5
    assert spec.http01 == Http01(webroots=(str(tmp_path / "www"),))
    assert spec.claims[0].prune == (TlsaRecord(3, 0, 1, bytes.fromhex("ab" * 32)),)
    assert spec.subject["country"] == "DE"
    assert "organization" not in spec.subject  # empty fields are left out


def test_connect_may_map_where_http_01_is_asked(tmp_path: Path) -> None:
    path = make_site(tmp_path, EXAMPLE.replace("[connect]\n", '[connect]\n"www.example.org:80" = "10.0.0.7:80"\n'))
    config = load(path)
    assert config.warnings == ()
    assert config.connect["www.example.org:80"] == "10.0.0.7:80"


def test_several_webroots(tmp_path: Path) -> None:
    """One for each virtual host with a document root of its own; which host has which name is nobody's to say."""
    path = make_site(tmp_path, SCENARIO.replace('webroot = "www"', 'webroot = ["www", "blog"]'))
    (tmp_path / "blog").mkdir()
    (spec,) = load(path).desired.certificates
    assert spec.http01 == Http01(webroots=(str(tmp_path / "www"), str(tmp_path / "blog")))


def test_what_nobody_has_to_write(tmp_path: Path) -> None:
    config = load(make_site(tmp_path, SMALLEST))
    assert config.state_dir == "/var/lib/danelaw"
    assert config.desired.lookup_margin == timedelta(minutes=15)
    assert config.desired.history == timedelta(days=1)
    assert config.cas["letsencrypt"].directory.startswith("https://acme-v02")
    assert config.resolver.address is None
    (spec,) = config.desired.certificates
    assert spec.ca == "letsencrypt"
    assert spec.key is None
    assert spec.key_type is None
    assert spec.http01.listen == (("0.0.0.0", 80), ("::", 80))  # noqa: S104 - the CA must reach it
    assert spec.timeout == timedelta(seconds=60)
    (claim,) = spec.claims
    assert claim.endpoint == Endpoint("mail.example.org", 25, "smtp")
    assert (claim.records, claim.publisher, claim.ttl, claim.prune) == ((RecordSpec(3, 1, 1),), "home", 3600, False)
    assert (claim.strict, claim.external) == (False, False)
    assert (spec.rollover, spec.next_key, spec.spare) == (None, False, None)
    assert (spec.settle, spec.retired_keys) == (timedelta(hours=24), "archive")


def test_names_become_a_labels_and_fold(tmp_path: Path) -> None:
    names = '["MÜNCHEN.de", "xn--mnchen-3ya.de", "mail.example.org."]'
    config = SMALLEST.replace('["mail.example.org"]', names, 1)
    config = config.replace(".tlsa]]", '.tlsa]]\nhosts = ["Mail.Example.Org"]')
    (spec,) = load(make_site(tmp_path, config)).desired.certificates
    assert spec.names == ("xn--mnchen-3ya.de", "mail.example.org")
    assert spec.claims[0].endpoint.host == "mail.example.org"


def test_a_ca_by_url_and_a_private_root(tmp_path: Path) -> None:
    config = SMALLEST.replace(
        "[acme.letsencrypt]", '[acme.pebble]\ndirectory = "https://127.0.0.1:14000/dir"\nca_bundle = "pebble.pem"'
    )
    ca = load(make_site(tmp_path, config)).cas["pebble"]
    assert ca.directory == "https://127.0.0.1:14000/dir"
    assert ca.ca_bundle == str(tmp_path / "pebble.pem")
    staging = SMALLEST.replace("[acme.letsencrypt]", '[acme.x]\ndirectory = "letsencrypt-staging"')
    assert "staging" in load(make_site(tmp_path, staging)).cas["x"].directory


# ---------------------------------------------------------------------------------------------------------------------
# Warnings
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "where", "found"),
    [
        ("ttl = 3600", "ttl = 60", "ttl", "60 s"),
        ("ttl = 3600", "ttl = 86400", "ttl", "86400 s"),
        ('records = ["3 1 1"]', 'records = ["3 1 2"]', "records", '"3 1 2" alone'),
        ('hosts = ["mail.example.org"]', 'hosts = ["mail.example.org", "example.net"]', "hosts", "not among names"),
        ('lookup_margin = "15m"', 'lookup_margin = "0s"', "lookup_margin", "0 s"),
        ('tsig_key = "Kexample.org.+165+12345.private"', "", "tsig_key", "not signed"),
        ('listen = ["0.0.0.0:80", "[::]:80"]', 'listen = ["0.0.0.0:8080"]', "listen", "port 8080"),
        ('listen = ["0.0.0.0:80", "[::]:80"]', 'webroot = "www"', "webroot", "pre_challenge beside it"),
        ('fullchain = "etc/example.org.pem"', 'cert = "etc/example.org.pem"', "chain", "no file that holds the chain"),
        ('"mail.example.org:25" = ', '"mail.example.net:25" = ', "connect", "which no prove"),
        ('prove = ["example.org:443"', 'prove = ["example.net:443"', "prove[0]", "not among names"),
    ],
)
def test_what_is_accepted_and_not_advised(tmp_path: Path, old: str, new: str, where: str, found: str) -> None:
    assert old in EXAMPLE
    config = EXAMPLE.replace(old, new)
    if "example.net" in new and "hosts" in new:
        config = config.replace(
            '"example.org:443"',
            '"example.org:443", '
            + ", ".join(
                f'{{ name = "example.net", port = {port}, protocol = "{protocol}" }}'
                for port, protocol in (
                    (25, "smtp"),
                    (465, "smtps"),
                    (587, "smtp"),
                    (993, "imaps"),
                    (995, "pop3s"),
                    (2525, "smtp"),
                )
            ),
        )
    warnings = load(make_site(tmp_path, config)).warnings
    assert any(where in w.where and found in w.found for w in warnings), warnings
    assert all(w.file and w.where and w.found and w.expected for w in warnings)


# ---------------------------------------------------------------------------------------------------------------------
# Several certificates
# ---------------------------------------------------------------------------------------------------------------------

BESIDE = """
[certificate.ecdsa]
names = ["mail.example.org"]

[[certificate.ecdsa.tlsa]]
hosts = ["mail.example.org"]
ports = [25]
wait = "strict"

[[certificate.ecdsa.deploy]]
combined = { path = "etc/postfix-ec.pem", parts = ["key", "cert", "chain"] }
reload = ["postfix", "reload"]
prove = ["mail.example.org:25"]
"""


def test_rsa_beside_ecdsa(tmp_path: Path) -> None:
    config = load(make_site(tmp_path, EXAMPLE + BESIDE))
    assert [c.name for c in config.desired.certificates] == ["example.org", "ecdsa"]
    assert config.desired.certificates[1].claims[0].endpoint == config.desired.certificates[0].claims[0].endpoint


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("etc/postfix-ec.pem", "etc/postfix.pem", 'which certificate."example.org".deploy[0].combined writes too'),
        ("etc/postfix-ec.pem", "private/example_org.pem", "which is never written"),
        ("etc/postfix-ec.pem", "Kexample.org.+165+12345.key", "the TSIG key of dns.home"),
        ("ports = [25]", "ports = [25]\nttl = 1800", "ttl 1800 for mail.example.org:25"),
        ("ports = [25]", 'ports = [25]\nrecords = ["3 1 1", "3 1 2"]', 'records "3 1 1" and "3 1 2" for'),
        ("ports = [25]", 'ports = [25]\ndns = "home2"', 'dns "home2" for mail.example.org:25, where'),
        ("ports = [25]", 'ports = [{ port = 25, protocol = "tls" }]', "tls at mail.example.org:25, where"),
        ('wait = "strict"', "", "no wait for mail.example.org:25, where"),
    ],
)
def test_certificates_that_contradict_each_other(tmp_path: Path, old: str, new: str, found: str) -> None:
    config = EXAMPLE + BESIDE.replace(old, new)
    if "home2" in new:
        config += "[dns.home2]\n"
    with pytest.raises(ConfigError) as caught:
        load(make_site(tmp_path, config))
    (problem,) = caught.value.problems
    assert found in problem.found
    assert problem.where.startswith("certificate.ecdsa")


def test_a_value_that_does_not_fit_contradicts_nothing(tmp_path: Path) -> None:
    config = EXAMPLE.replace("ttl = 3600", "ttl = 1800") + BESIDE.replace("ports = [25]", 'ports = [25]\nttl = "1800"')
    with pytest.raises(ConfigError) as caught:
        load(make_site(tmp_path, config))
    assert [p.where for p in caught.value.problems] == ["certificate.ecdsa.tlsa[0].ttl"]


def test_two_ways_to_one_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("etc")
    with pytest.raises(ConfigError, match="writes too"):
        load(make_site(tmp_path, EXAMPLE + BESIDE.replace("etc/postfix-ec.pem", "link/postfix.pem")))


def test_files_that_are_links_into_the_state_are_still_two_files(tmp_path: Path) -> None:
    """After a first deployment of several files each path is a link; two of them may share a name below."""
    path = make_site(tmp_path, EXAMPLE + BESIDE)
    (tmp_path / "state").mkdir()
    for name in ("etc/postfix.pem", "etc/postfix-ec.pem"):
        (tmp_path / name).symlink_to("../state/live")
    assert len(load(path).desired.certificates) == 2


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------


def test_conf_d_adds_tables_in_order_of_name(tmp_path: Path) -> None:
    path = make_site(tmp_path)
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "20-b.toml").write_text(BESIDE.replace("ecdsa", "b").replace("postfix-ec", "b"))
    (folder / "10-a.toml").write_text(BESIDE.replace("ecdsa", "a").replace("postfix-ec", "a"))
    (folder / ".10-a.toml.swp.toml").write_text("not TOML")
    (folder / "README").write_text("not TOML")
    config = load(path)
    assert [c.name for c in config.desired.certificates] == ["example.org", "a", "b"]
    assert config.files == (path, str(folder / "10-a.toml"), str(folder / "20-b.toml"))
    assert config.desired.certificates[1].deployments[0].files[0].path == str(tmp_path / "etc/a.pem")


@pytest.mark.parametrize(
    ("addition", "where", "found"),
    [
        ('[certificate."example.org"]\nkey_type = "p384"\n', 'certificate."example.org"', "has too"),
        ('[[certificate."example.org".tlsa]]\n', 'certificate."example.org"', "has too"),
        ("[dns.home]\nport = 53\n", "dns.home", "has too"),
        ("[acme.letsencrypt]\nagree_tos = true\n", "acme.letsencrypt", "has too"),
        ("[resolver]\nport = 53\n", "resolver", "has too"),
        ("[connect]\n", "connect", "has too"),
        ('state_dir = "/elsewhere"\n', "state_dir", "outside the main file"),
        ("[certificates.x]\n", "certificates", "unknown key (did you mean certificate?)"),
        (BESIDE.replace("postfix-ec", "postfix"), "certificate.ecdsa.deploy[0].combined", "writes too"),
    ],
)
def test_conf_d_changes_nothing(tmp_path: Path, addition: str, where: str, found: str) -> None:
    path = make_site(tmp_path)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "more.toml").write_text(addition)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.file == str(tmp_path / "conf.d" / "more.toml")
    assert problem.where == where
    assert found in problem.found


@pytest.mark.parametrize(
    ("contents", "where", "found"),
    [
        (b"a = 1\nb = \n", "line 2, column 5", "invalid value"),
        (b"a = 1\na = 2\n", "line 2, column 6", "cannot overwrite a value"),
        (b'a = "\n', "line 1, column 6", "illegal character"),
        (b"a = [1,\n", "end of the file", "invalid value"),
        (b"a = 1\nb = '\xff'\n", "line 2", "the byte 0xff"),
        (b"a = " + b"[" * 100_000, "the file", "nested too deeply"),
        (b"a = " + b"9" * 100_000, "the file", "integer string conversion"),
    ],
)
def test_what_is_not_toml_is_shown_by_its_line(tmp_path: Path, contents: bytes, where: str, found: str) -> None:
    path = make_site(tmp_path)
    Path(path).write_bytes(contents)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert found in problem.found.lower()
    assert len(str(problem)) < 500


def test_every_file_that_does_not_parse_is_named(tmp_path: Path) -> None:
    path = make_site(tmp_path, "a =\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "x.toml").write_text("b =\n")
    (tmp_path / "conf.d" / "y.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [Path(p.file).name for p in caught.value.problems] == ["y.toml", "danelaw.toml", "x.toml"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory; expected a config file, or another one with"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="no regular file"):
        load(str(tmp_path))
    with pytest.raises(ConfigError):
        load("a\0b")
    path = make_site(tmp_path)
    Path(path).chmod(0o666)
    with pytest.raises(ConfigError, match=r"everybody may write; expected chmod o-w"):
        load(path)
    Path(path).chmod(0o644)
    (tmp_path / "conf.d").write_text("a file\n")
    assert load(path).files == (path,)


# ---------------------------------------------------------------------------------------------------------------------
# The head and the digest
# ---------------------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_what_was_read(tmp_path: Path) -> None:
    path = make_site(tmp_path)
    config = load(path)
    assert digest(path) == config.digest
    (tmp_path / "conf.d").mkdir()
    assert digest(path) == config.digest
    (tmp_path / "conf.d" / "a.toml").write_text("")
    with_a = digest(path)
    assert with_a != config.digest
    (tmp_path / "conf.d" / "a.toml").rename(tmp_path / "conf.d" / "b.toml")
    assert digest(path) not in {config.digest, with_a}
    assert load(path).digest == digest(path)
    with pytest.raises(FileNotFoundError):
        digest(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('state_dir = "/srv/danelaw"\n[acme.x]\nbroken = ', "/srv/danelaw"),
        ('# [x]\nstate_dir = "state"\n', "{}/state"),
        ('history = "1d"\n', "/var/lib/danelaw"),
        ("", "/var/lib/danelaw"),
        ('[x]\nstate_dir = "/wrong"\n', "/var/lib/danelaw"),
        ('a = """\n[x]\nstate_dir = "/wrong"\n"""\nstate_dir = "/right"\n', None),
        ("state_dir = 1\n", None),
        ('state_dir = ""\n', None),
        ("state_dir = \n", None),
        ("\xff = 1\n", None),
        (None, None),
    ],
)
def test_head_reads_what_stands_before_the_first_table(tmp_path: Path, text: str | None, expected: str | None) -> None:
    path = tmp_path / "danelaw.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert head(str(path)) == (expected and expected.format(tmp_path))


def test_head_and_load_agree(tmp_path: Path) -> None:
    path = make_site(tmp_path)
    assert head(path) == load(path).state_dir
    smallest = make_site(tmp_path, SMALLEST)
    assert head(smallest) == load(smallest).state_dir


def test_the_head_of_a_plain_config_imports_nothing(tmp_path: Path) -> None:
    path = make_site(tmp_path)
    code = (
        "import sys, os, stat; before = set(sys.modules); from danelaw.config import head, digest;"
        f"assert head({path!r}); print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["danelaw", "danelaw.config", "danelaw.config.files"]


def test_loading_imports_no_library() -> None:
    code = (
        "import sys; from danelaw.config import load\ntry: load('/none')\nexcept Exception: pass\n"
        "print(*sorted({'cattrs', 'attr', 'cryptography', 'dns', 'idna', 'OpenSSL', 'urllib3'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []


def test_the_package_has_no_other_names() -> None:
    from danelaw import config  # noqa: PLC0415 - looked at as a module

    assert config.Config is Config
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        config.other  # noqa: B018 - the access is what is tested


def test_the_subjects_fields_are_those_of_the_csr() -> None:
    assert list(SUBJECT_FIELDS) == list(csr.SUBJECT_FIELDS)
