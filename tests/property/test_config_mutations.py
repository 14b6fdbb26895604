"""Whatever a config is changed into, it loads or is refused in words: no other exception, no empty message."""

import copy
import json
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danelaw.config import Config, digest, head, load
from danelaw.errors import ConfigError, Problem
from danelaw.lifecycle.keys import obstacle
from danelaw.model import CertificateSpec
from fakes import openssl_files
from fakes.config_site import EXAMPLE, SCENARIO, SMALLEST, make_site

WORDS = st.sampled_from(
    [
        *("home", "letsencrypt", "example.org", "mail.example.org", "*.example.org", "münchen.de", "192.0.2.1", "::1"),
        *(
            "mail.example.org:25",
            "mail.example.org:2525",
            "127.0.0.1:25",
            "[::1]:25",
            "3 1 1",
            "3 1 2",
            "2 0 1",
            "0 1 1",
            "3 0 0",
            "smtp",
        ),
        *("etc/postfix.pem", "private/example_org.pem", "danelaw.toml", "state/x", "root.ds", "/", ".", "", "~", "\0"),
        *(
            "0640",
            "0644",
            "15m",
            "0s",
            "365d",
            "cert",
            "chain",
            "key",
            "fullchain",
            "http-01",
            "dns-01",
            "p256",
            "never",
            "20d",
            "strict",
            "shred",
            "spare.pub",
            "cas.pem",
            "live.csr",
        ),
        *("a" * 5000, "x/" * 3000, "3 0 1 ab", "systemctl stop apache2", "-----BEGIN PRIVATE KEY-----"),
    ]
)
KEYS = st.sampled_from(
    [
        *(
            "names",
            "key",
            "mode",
            "owner",
            "path",
            "parts",
            "prove",
            "connect",
            "name",
            "port",
            "protocol",
            "ttl",
            "dns",
        ),
        *("reload", "test", "tlsa", "deploy", "acme", "http01", "webroot", "listen", "certificate", "state_dir", "csr"),
        *("rollover", "next_key", "next_key_public", "settle", "retired_keys", "wait", "external", "records"),
        "intermediates",
    ]
) | st.text(max_size=8)
SCALARS = (
    st.integers(-1, 70000)
    | st.booleans()
    | st.floats()
    | st.dates().filter(lambda day: day.year >= 1000)
    | WORDS
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def toml(value: Any) -> str:
    """Return a value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def document(config: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in config.items())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (table or list, key or position) below a value."""
    if isinstance(value, dict):
        inside: list[tuple[Any, Any]] = [(value, key) for key in value]
    elif isinstance(value, list):
        inside = [(value, position) for position in range(len(value))]
    else:
        return []
    return inside + [place for holder, key in inside for place in places(holder[key])]


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """A valid config with a few keys deleted, replaced, added, or taken from elsewhere in it."""
    config: dict[str, Any] = tomllib.loads(draw(st.sampled_from([EXAMPLE, SCENARIO, SMALLEST])))
    for _ in range(draw(st.integers(1, 4))):
        at = places(config)
        if not at:
            break
        holder, key = draw(st.sampled_from(at))
        match draw(st.sampled_from(["delete", "replace", "transplant", "add", "repeat"])):
            case "delete":
                del holder[key]
            case "replace":
                holder[key] = draw(JUNK)
            case "transplant":
                other, there = draw(st.sampled_from(at))
                holder[key] = copy.deepcopy(other[there])
            case "add" if isinstance(holder, dict):
                holder[draw(KEYS)] = draw(JUNK)
            case _ if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that mutants may name beside those of the site."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "spare.pub").write_bytes(openssl_files.public(openssl_files.curve()))
    (folder / "cas.pem").write_bytes(openssl_files.certificate(openssl_files.curve()))
    (folder / "live.csr").write_bytes(openssl_files.csr(openssl_files.curve(), san="DNS:mail.example.org", subject="/"))
    return folder


def check(path: str) -> Config | None:
    try:
        config = load(path)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - most mutants are refused, and some are not
        for problem in error.problems:
            check_words(problem)
        return None
    for warning in config.warnings:
        check_words(warning)
    return config


def check_words(problem: Problem) -> None:
    for part in (problem.file, problem.where, problem.found, problem.expected):
        assert part
        assert part.isprintable()
    assert "PRIVATE KEY" not in str(problem)
    assert len(problem.found) < 500


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutants())
def test_a_mutant_loads_or_is_refused_in_words(folder: Path, config: dict[str, Any]) -> None:
    path = make_site(folder, document(config))
    loaded = check(path)
    if loaded is None:
        return
    assert loaded.digest == digest(path)
    assert head(path) == loaded.state_dir
    written = [file.path for c in loaded.desired.certificates for d in c.deployments for file in d.files]
    assert len(written) == len(set(written))
    for certificate in loaded.desired.certificates:
        proven = {(e.host, e.port) for d in certificate.deployments for e in d.endpoints if e.connect is None}
        claimed = {(c.endpoint.host, c.endpoint.port): c.external for c in certificate.claims}
        assert proven & set(claimed) == {at for at, external in claimed.items() if not external}
        for claim in certificate.claims:
            assert claim.records
            assert claim.endpoint.port != 25 or all(spec.usage in {2, 3} for spec in claim.records)
        check_keys_to_come(certificate)
        assert certificate.names
        assert all(each.services and each.services[0].reload for each in certificate.deployments)
        assert all(claim.publisher in loaded.publishers for claim in certificate.claims)
        assert certificate.ca in loaded.cas


def check_keys_to_come(certificate: CertificateSpec) -> None:
    """What asks for a rollover has all that the core needs for one, which holds otherwise."""
    assert certificate.settle >= timedelta(0)
    if certificate.rollover is not None:
        assert timedelta(days=1) <= certificate.rollover
        assert certificate.settle <= certificate.rollover
    if certificate.rollover is not None or certificate.next_key or certificate.spare is not None:
        assert obstacle(certificate) is None
    assert certificate.spare is None or certificate.next_key


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(EXAMPLE)), st.integers(0, 40), st.binary(max_size=10))
def test_a_damaged_file_loads_or_is_refused_in_words(folder: Path, start: int, length: int, insert: bytes) -> None:
    path = make_site(folder)
    contents = EXAMPLE.encode()
    Path(path).write_bytes(contents[:start] + insert + contents[start + length :])
    check(path)
    head(path)


def test_the_writer_of_these_tests_writes_what_it_read() -> None:
    for text in (EXAMPLE, SCENARIO, SMALLEST):
        config = tomllib.loads(text)
        assert tomllib.loads(document(config)) == config
