"""docs/config.md says what the code does: its examples load, and every option that the code knows has a row."""

import re
from pathlib import Path

import pytest

from danelaw.config import load
from danelaw.errors import ConfigError
from fakes import openssl_files
from fakes.config_site import EXAMPLE, make_site

DOCS = (Path(__file__).parents[3] / "docs" / "config.md").read_text()

PLACES = {
    'state_dir = "state"': "\nzzz = 1",
    'directory = "letsencrypt"': "\nzzz = 1",
    'type = "rfc2136"': "\nzzz = 1",
    'address = "127.0.0.1"': "\nzzz = 1",
    'proxies = ["127.0.0.1"]': "\nzzz = 1",
    "ttl = 3600": "\nzzz = 1",
    'timeout = "90s"': "\nzzz = 1",
    'timeout = "2m"': "\nzzz = 1",
    'subject = { common_name = "example.org"': ", zzz = 1",
    'listen = ["0.0.0.0:80", "[::]:80"]': ", zzz = 1",
    'path = "etc/postfix.pem"': ", zzz = 1",
    'protocol = "https"': ", zzz = 1",
}
"""Where an unknown key can stand: one place in each kind of table, and how it is added there."""


def test_every_option_that_the_code_knows_is_documented(tmp_path: Path) -> None:
    config = EXAMPLE
    for place, addition in PLACES.items():
        assert config.count(place) == 1, place
        config = config.replace(place, place + addition)
    with pytest.raises(ConfigError) as caught:
        load(make_site(tmp_path, config))
    assert len(caught.value.problems) == len(PLACES)
    for problem in caught.value.problems:
        assert problem.where.endswith("zzz")
        for option in problem.expected.removeprefix("one of ").split(", "):
            assert f"`{option}`" in DOCS or f"[{option}" in DOCS, option


def test_the_examples_load(tmp_path: Path) -> None:
    examples = "\n".join(re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL))
    (tmp_path / "var/www/html").mkdir(parents=True)
    (tmp_path / "etc/danelaw").mkdir(parents=True)
    (tmp_path / "etc/ssl/private").mkdir(parents=True)
    for name in ("etc/danelaw/Kexample.org.+165+12345.private", "etc/ssl/private/example_org.pem"):
        (tmp_path / name).write_text("not read by config\n")
        (tmp_path / name).chmod(0o600)
    config = load(make_site(tmp_path, re.sub(r'"/(etc|var)/', rf'"{tmp_path}/\1/', examples)))
    assert config.warnings == ()
    assert len(config.desired.certificates[0].deployments) == 2


def test_the_messages_shown_are_those_that_are_given(tmp_path: Path) -> None:
    """Each indented message of the page is a real one: its file part aside, some config gives it."""
    shown = set(re.findall(r"^ {4}(?:/etc/danelaw/danelaw\.toml: )?(\S.*: found .*)$", DOCS, re.MULTILINE))
    changes = [
        ("ttl = 3600", 'ttl = "1h"'),
        ('reload = ["postfix", "reload"]', 'reload = "postfix reload"'),
        ("agree_tos = true", ""),
        ('"mail.example.org:465", ', ""),
        ('subject = { common_name = "example.org", email = "igor@example.org" }', 'csr = "example.org.csr"'),
        ('parts = ["key", "cert", "chain"]', 'parts = ["cert", "chain"]'),
        ('rollover = "365d"', 'rollover = "365d"\nnext_key_public = "spare.pub"'),
    ]
    (tmp_path / "spare.pub").write_bytes(openssl_files.rsa())
    csr = openssl_files.csr(openssl_files.rsa(), subject="/CN=example.org", san="DNS:mail.example.org")
    (tmp_path / "example.org.csr").write_bytes(csr)
    given: set[str] = set()
    for old, new in changes:
        config = EXAMPLE.replace(old, new)
        # a rollover beside a CSR is another fault
        given |= messages(tmp_path, config if "csr" not in new else re.sub("(rollover|next_key) = .*", "", config))
    (tmp_path / "Kexample.org.+165+12345.key").chmod(0o644)
    given |= messages(tmp_path, EXAMPLE, remake=False)
    assert shown == {each.replace(str(tmp_path), "/etc/danelaw") for each in given}


def messages(folder: Path, config: str, *, remake: bool = True) -> set[str]:
    path = make_site(folder, config) if remake else str(folder / "danelaw.toml")
    Path(path).write_text(config)
    with pytest.raises(ConfigError) as caught:
        load(path)
    return {str(problem).removeprefix(f"{path}: ") for problem in caught.value.problems}
