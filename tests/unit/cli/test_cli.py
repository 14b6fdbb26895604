"""The command line as a user meets it where no server is needed: usage, errors, exit statuses, `tlsa`."""

import argparse
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from danelaw.cli.arguments import parser
from danelaw.cli.session import LOUD, listener
from danelaw.cli.words import is_to_do, outcome_lines, plan_lines, status_lines
from danelaw.run.rings import Event

KEY = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]


def danelaw(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "danelaw", *arguments], capture_output=True, check=False, input=stdin, timeout=60
    )


@pytest.fixture(scope="module")
def key_pem() -> bytes:
    return subprocess.run(KEY, capture_output=True, check=True).stdout


def spki_sha256(key_pem: bytes) -> str:
    """Return the digest by OpenSSL, the judge of `3 1 1`."""
    der = subprocess.run(
        ["openssl", "pkey", "-pubout", "-outform", "DER"], input=key_pem, capture_output=True, check=True
    )
    return hashlib.sha256(der.stdout).hexdigest()


def test_version_is_a_line() -> None:
    done = danelaw("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, b"danelaw")


def test_tlsa_prints_the_zone_line(key_pem: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(key_pem)
    done = danelaw("tlsa", str(path), "--endpoint", "Mail.Example.org:25", "--ttl", "1800")
    assert done.returncode == 0
    assert done.stdout.decode() == f"_25._tcp.mail.example.org. 1800 IN TLSA 3 1 1 {spki_sha256(key_pem)}\n"


def test_tlsa_reads_standard_input_and_several_records(key_pem: bytes) -> None:
    done = danelaw("--json", "tlsa", "-", "--record", "3 1 1", "--record", "3 1 0", stdin=key_pem)
    records = [row["record"] for row in json.loads(done.stdout)["records"]]
    assert records[0] == f"3 1 1 {spki_sha256(key_pem)}"
    assert records[1].startswith("3 1 0 3059")


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["tlsa", "/nowhere/at/all"], b"", "/nowhere/at/all: No such file or directory"),
        (["tlsa", "-"], b"not a certificate", "found neither PEM nor DER"),
        (["tlsa", "-", "--record", "9 9 9"], b"", "9 9 9"),
        (["tlsa", "-", "--endpoint", "mail.example.org"], b"", "--endpoint"),
        (["tlsa", "-"], b"x" * ((1 << 20) + 1), "larger than"),
        (["--config", "/nowhere.toml", "plan"], b"", "/nowhere.toml"),
        (["--config", "/nowhere.toml", "apply"], b"", "/nowhere.toml"),
        (["--config", "/nowhere.toml", "apply", "--staging"], b"", "not yet supported"),
        (["--config", "/nowhere.toml", "revoke"], b"", "NAME"),
        (["--config", "/nowhere.toml", "revoke", "x", "--cert", "y"], b"", "NAME"),
        (["--config", "/nowhere.toml", "rollover", "x"], b"", "/nowhere.toml"),
        (["rollover", "x", "--accept-outage"], b"", "--accept-outage goes with --emergency alone"),
        (["rollover", "x", "--cancel", "--emergency"], b"", "--cancel takes a rollover back"),
        (["rollover", "x", "--cancel", "--accept-outage"], b"", "--cancel takes a rollover back"),
    ],
)
def test_bad_usage_is_a_line_and_exit_status_2(arguments: list[str], stdin: bytes, said: str) -> None:
    done = danelaw(*arguments, stdin=stdin)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert any(said in line for line in lines)
    assert all(line.startswith("danelaw: ") for line in lines)
    assert done.stdout == b""


def test_selector_0_of_a_bare_key_is_refused(key_pem: bytes) -> None:
    done = danelaw("tlsa", "-", "--record", "3 0 1", stdin=key_pem)
    assert done.returncode == 2
    assert b"selector 0" in done.stderr


def test_every_command_of_the_contract_is_there() -> None:
    for command in ("plan", "apply", "recover", "status", "rollover"):
        assert parser().parse_args([command, *(["NAME"] if command == "rollover" else [])]).command == command


def test_an_unknown_command_is_bad_usage() -> None:
    assert danelaw("replace").returncode == 2


def test_plan_lines_say_when_what_and_why() -> None:
    step = {"now": True, "step": "publish", "does": "publish at X", "why": "add Y", "cached": {}}
    wait = {"at": "2026-01-01T00:00:00Z", "now": False, "wait": "cached", "subject": "X", "why": "Z", "until": "U"}
    hold = {"at": "2026-01-01T00:00:00Z", "now": True, "hold": "h", "subject": "X", "why": "Z", "remedy": "R"}
    lines = list(plan_lines({"plan": [step, wait, hold], "notes": []}))
    assert lines[0].split() == ["now", "publish", "at", "X:", "add", "Y"]
    assert lines[1].endswith("HOLD X: Z; to do: R")
    assert lines[2] == "U                     until then: Z"


def test_plan_lines_say_what_senders_may_hold_where_that_changes() -> None:
    def step(at: str, cached: dict[str, list[list[str]]]) -> dict[str, Any]:
        return {"at": at, "now": False, "step": "stage", "does": "D", "why": "W", "cached": cached}

    old, new = ["3 1 1 " + "aa" * 32], ["3 1 1 " + "aa" * 32, "3 1 1 " + "bb" * 32]
    wait = {
        "at": "1",
        "now": False,
        "wait": "cached",
        "subject": "X",
        "why": "Z",
        "until": "2",
        "cached": {"_25": [new]},
    }
    entries = [step("1", {"_25": [old, new], "_465": [old, new], "_587": []}), wait, step("3", {"_25": [new]})]
    lines = [line.strip() for line in plan_lines({"plan": [*entries, step("4", {"_25": [new]})], "notes": []})]
    a, b = "3 1 1 aaaaaaaaaaaaaaaa…", "3 1 1 bbbbbbbbbbbbbbbb…"
    assert lines[1] == f"senders may hold {{{a}}} or {{{a}, {b}}} at _25, _465"
    assert [line for line in lines if line.startswith("senders")][1:] == [f"senders may hold {{{a}, {b}}} at _25"]


@pytest.mark.parametrize(
    ("wait", "line"),
    [
        ({"wait": "renewal", "why": "W"}, "renew S: W"),
        ({"wait": "scheduled", "why": "W"}, "roll over S: W"),
        ({"wait": "retiring", "why": "until then W"}, "until then W"),
        ({"wait": "settling", "why": "W"}, "until then: W"),
    ],
)
def test_a_wait_that_holds_nothing_up_is_told_as_such(wait: dict[str, str], line: str) -> None:
    entry = {"at": "U", "now": False, "subject": "S", "until": "U", "cached": {}} | wait
    (told,) = plan_lines({"plan": [entry], "notes": []})
    assert told.split(maxsplit=1)[1] == line


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"now": True, "step": "publish"}, True),
        ({"now": False, "step": "publish"}, False),
        ({"now": True, "hold": "h"}, True),
        ({"now": True, "wait": "renewal"}, False),
        ({"now": True, "wait": "cached"}, False),
        ({"now": True, "wait": "backoff"}, True),
        ({"now": False, "wait": "backoff"}, True),
    ],
)
def test_what_is_to_do(entry: dict[str, Any], *, expected: bool) -> None:
    assert is_to_do({"plan": [{"now": True, "wait": "renewal"}, entry]}) is expected


def test_a_config_without_a_certificate_is_no_success(tmp_path: Path) -> None:
    """A truncated file must not stop renewals in silence."""
    config = tmp_path / "danelaw.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\n')
    for command in ("apply", "plan"):
        done = danelaw("--config", str(config), "-q", command)
        assert done.returncode == 2
        assert b"has no certificate, so nothing is managed" in done.stderr
    assert danelaw("--config", str(config), "status").returncode == 0


def test_help_names_no_option_that_is_not_yet_supported() -> None:
    done = danelaw("apply", "--help")
    assert done.returncode == 0
    assert b"--retry-now" in done.stdout
    assert b"staging" not in done.stdout
    assert b"not yet supported" not in done.stdout


def test_a_plan_for_a_name_that_is_not_there_is_bad_usage(tmp_path: Path) -> None:
    config = tmp_path / "danelaw.toml"
    config.write_text(
        f'state_dir = "{tmp_path}/state"\n[acme.x]\ndirectory = "letsencrypt"\nagree_tos = true\n'
        '[certificate."example.org"]\nnames = ["example.org"]\n'
    )
    done = danelaw("--config", str(config), "plan", "exampl.org")
    assert done.returncode == 2
    assert b"the config has example.org" in done.stderr


def test_an_empty_plan_says_so() -> None:
    assert list(plan_lines({"plan": [], "notes": []})) == ["Nothing to do, now or later."]


def test_outcome_lines_name_holds_with_what_to_do() -> None:
    outcome = {
        "holds": [{"hold": "h", "subject": "S", "why": "W", "remedy": "R"}],
        "failed": ["F", "F"],
        "waits": [{"wait": "renewal", "subject": "S", "why": "W", "until": "2026-01-01T00:00:00Z"}],
        "notes": [{"note": "foreign", "subject": "S", "text": "T"}],
    }
    assert list(outcome_lines(outcome)) == [
        "HOLD  S: W",
        "      to do: R",
        "FAILED  F",
        "next  2026-01-01 00:00:00Z  renew S: W",
        "note  T",
    ]


def test_what_was_told_when_it_failed_is_not_told_again() -> None:
    outcome = {"holds": [], "failed": ["F", "G"], "waits": [], "notes": []}
    assert list(outcome_lines(outcome, {"F"})) == ["FAILED  G"]


FAILURE = "sh reload: exit status 3: broken"


def waiting(subject: str, what: str = "generation 1 was not proven") -> dict[str, str]:
    why = f"{subject}: {what}: {FAILURE}"
    return {"wait": "backoff", "subject": subject, "why": why, "until": "2026-01-01T00:00:00Z"}


def test_a_failed_reload_is_spelt_out_once_however_many_wait_for_it() -> None:
    outcome = {"holds": [], "failed": [FAILURE], "waits": [waiting("A"), waiting("B")], "notes": []}
    waits = [f"again 2026-01-01 00:00:00Z  {name}: generation 1 was not proven" for name in "AB"]
    last = "again at once: danelaw apply --retry-now"
    assert list(outcome_lines(outcome, {FAILURE})) == [*waits, last]
    assert list(outcome_lines(outcome)) == [f"FAILED  {FAILURE}", *waits, last]
    outcome["failed"] = []  # another run's
    assert list(outcome_lines(outcome)) == [f"{waits[0]}: {FAILURE}", waits[1], last]
    assert list(outcome_lines(outcome, {"another failure"})) == [f"{waits[0]}: {FAILURE}", waits[1], last]


def test_an_order_that_failed_is_spelt_out_once_too() -> None:
    outcome = {"holds": [], "failed": [FAILURE], "waits": [waiting("A", "obtain of B failed")], "notes": []}
    again = "again 2026-01-01 00:00:00Z  A: obtain of B failed"
    assert again in outcome_lines(outcome, {FAILURE})
    assert again in outcome_lines(outcome, {"C"})
    outcome["failed"] = []
    assert f"{again}: {FAILURE}" in outcome_lines(outcome, {"C"})


def test_a_run_tells_a_failure_once_and_then_refers_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    told: set[str] = set()
    listen = listener(argparse.Namespace(json=False, quiet=False, verbose=False), told)
    back = f"put generation 0 back: generation 1 was not proven: {FAILURE}"
    events = [("failed", FAILURE), ("step", back), ("failed", FAILURE), ("failed", "G"), ("step", f"{back}, too")]
    for kind, text in events:
        listen(Event(kind, datetime(2026, 1, 1, tzinfo=UTC), text))
    assert capsys.readouterr().out.splitlines() == [
        f"FAILED  00:00:00  {FAILURE}",
        "now   00:00:00  put generation 0 back: generation 1 was not proven",
        "FAILED  00:00:00  as above",
        "FAILED  00:00:00  G",
        f"now   00:00:00  {back}, too",
    ]
    assert told == {FAILURE, "G"}


def test_a_back_off_is_loud_and_says_the_way_past_it() -> None:
    wait = {"wait": "backoff", "subject": "S", "why": "it was refused", "until": "2026-01-01T00:00:00Z"}
    lines = list(outcome_lines({"holds": [], "failed": [], "waits": [wait], "notes": []}))
    assert lines == ["again 2026-01-01 00:00:00Z  it was refused", "again at once: danelaw apply --retry-now"]
    assert all(line.startswith(LOUD) for line in lines)


def test_status_lines_of_a_certificate_without_anything() -> None:
    state: dict[str, Any] = {
        "certificates": [
            {
                "name": "n",
                "names": ["a", "b"],
                "key": None,
                "keys": [],
                "certificate": None,
                "next_renewal": None,
                "rollover": {"phase": "steady", "why": None, "next": None, "scheduled_at": None},
                "deployments": [],
                "endpoints": [],
            }
        ],
        "due": [],
        "waits": [],
        "holds": [],
        "owed": [],
        "notes": [],
    }
    lines = ["n: a, b", "  key          none yet", "  certificate  none yet", "  renewal      due"]
    assert list(status_lines(state)) == lines
    key = {"algorithm": "ecdsa", "origin": "made", "spki_sha256": "ab" * 32, "compromised_at": None}
    state["certificates"][0]["keys"] = [
        key | {"state": "current", "since": "2026-01-01T00:00:00Z"},
        key | {"state": "next", "published_at": None, "ripe_at": None},
        key | {"state": "next", "published_at": "P", "ripe_at": None},
        key | {"state": "next", "published_at": "P", "ripe_at": "R"},
        key | {"state": "retired", "needed_until": "U", "compromised_at": "C"},
        key | {"state": "retired", "needed_until": None},
    ]
    state["certificates"][0]["rollover"] = {"phase": "settling", "why": "W", "next": "N", "scheduled_at": "S"}
    shown = "ecdsa abababababababab… (made)"
    assert list(status_lines(state))[1:8] == [
        f"  key          {shown}, since 2026-01-01 00:00:00Z",
        f"  next key     {shown}, not published yet",
        f"  next key     {shown}, published P, not ripe yet",
        f"  next key     {shown}, published P, ripe R",
        f"  retired key  {shown}, kept until U; COMPROMISED since C",
        f"  retired key  {shown}, nothing needs it now",
        "  rollover     the old key's records stay until another proof, W; next at N",
    ]
    state["certificates"][0] |= {"keys": [], "rollover": {"phase": "steady", "why": None, "scheduled_at": "S"}}
    assert list(status_lines(state))[2] == "  rollover     due S"
    state["certificates"][0]["rollover"]["scheduled_at"] = None
    state["due"] = [{"does": "D", "why": "W"}]
    state["holds"] = [{"hold": "h", "subject": "S", "why": "W", "remedy": "R"}]
    state["owed"] = ["post_challenge of n"]
    state["waits"] = [{"wait": "cached", "subject": "S", "why": "C", "until": "2026-01-01T00:00:00Z"}]
    assert list(status_lines(state))[4:] == [
        "OWED  post_challenge of n; danelaw recover runs it",
        "due   at the next run: D: W",
        "HOLD  S: W",
        "      to do: R",
        "next  2026-01-01 00:00:00Z  C",
    ]
