"""The tables that say how the outside is seen, read by themselves."""

from pathlib import Path

import pytest

from danelaw.config.views import load_views
from danelaw.errors import ConfigError
from danelaw.model import ResolverSpec, ServeSpec

MAIN = """
state_dir = 5
[resolver]
trust_anchor = "root.ds"
[certificate.broken]
names = "nonsense"
"""
BESIDE = """
[connect]
"mail.example.org:25" = "127.0.0.25:2525"
[authoritative]
"example.org" = ["127.0.53.1:53"]
[serve]
allow = ["127.0.0.0/8", "::1", "127.0.0.0/8"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "danelaw.toml"
    path.write_text(MAIN)
    (tmp_path / "root.ds").write_text(". IN DS 1 8 2 00\n")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "net.toml").write_text(BESIDE)
    return path


def test_these_tables_are_read_from_all_files_and_faults_of_others_are_nobody_s_concern(config: Path) -> None:
    views = load_views(str(config))
    assert views.resolver == ResolverSpec(trust_anchor=str(config.parent / "root.ds"))
    assert views.connect == {"mail.example.org:25": "127.0.0.25:2525"}
    assert views.authoritative == {"example.org": ("127.0.53.1:53",)}
    assert views.serve == ServeSpec(allow=("127.0.0.0/8", "::1/128"))
    assert views.certificates


def test_without_these_tables_the_defaults_hold(tmp_path: Path) -> None:
    path = tmp_path / "danelaw.toml"
    path.write_text("[certificate.broken]\n")
    views = load_views(str(path))
    assert (views.resolver, views.connect, views.authoritative) == (ResolverSpec(), {}, {})
    assert views.serve == ServeSpec()
    path.write_text("[acme.x]\n")
    assert not load_views(str(path)).certificates


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("[connect]\n'mail.example.org' = '127.0.0.1:1'\n", "connect"),
        ("[resolver]\naddress = '127.0.0.1'\n", "resolver: found a table that"),
        ("connect = 5\n", "connect: found 5; expected a table"),
        (
            "[conect]\n'mail.example.org:25' = '127.0.0.1:1'\n",
            r"conect: found an unknown key \(did you mean connect\?\)",
        ),
        (
            "[[certificates]]\n",
            r"certificates: found an unknown key \(did you mean certificate\?\); expected one of acme",
        ),
        ("statedir = '/srv'\n", r"statedir: found an unknown key \(did you mean state_dir\?\)"),
        ("[connect\n", "expected TOML"),
        ("\xff", "expected TOML"),
    ],
)
def test_faults_of_these_tables_are_said(config: Path, more: str, says: str) -> None:
    (config.parent / "conf.d" / "zz.toml").write_bytes(more.encode("latin-1"))
    with pytest.raises(ConfigError, match=says):
        load_views(str(config))


@pytest.mark.parametrize("section", ["resolver", "connect", "authoritative", "serve", "acme", "dns", "certificate"])
def test_the_sections_that_the_whole_config_has_are_known_here(tmp_path: Path, section: str) -> None:
    path = tmp_path / "danelaw.toml"
    path.write_text(f"state_dir = 'state'\nlookup_margin = '15m'\nhistory = '1d'\n[{section}]\n")
    assert load_views(str(path)).resolver == ResolverSpec()


def test_a_config_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"nowhere.toml: the file: found No such file or directory; expected a config"
    ):
        load_views(str(tmp_path / "nowhere.toml"))
