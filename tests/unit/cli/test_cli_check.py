"""What `danelaw check` says, to people and to machines, over a small internet."""

import io
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from chains import HOST, NOW, Issued, issue, rsa2048, three
from danelaw.check.many import Judged, NotJudged
from danelaw.check.recorded import Recording, dumps
from danelaw.cli import run_command_line
from danelaw.cli.check_monitor import metrics, monitor_line, monitor_status, write_whole
from danelaw.cli.check_tree import console, one_line, show, stages
from danelaw.errors import InputError
from danelaw.model import Finding, Report, Target
from fakes.small_internet import SmallInternet, mail_domain, record

DOMAIN, ADDRESS, OWNER = "example.org", "192.0.2.1", "_25._tcp.mail.example.org"


@pytest.fixture(scope="module")
def ecdsa() -> Issued:
    return three()[0]


@pytest.fixture(scope="module")
def good(ecdsa: Issued) -> Report:
    return mail_domain(ecdsa).check(DOMAIN)


@pytest.fixture(scope="module")
def bad(ecdsa: Issued) -> Report:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, "2001:db8::1").serve("2001:db8::1", issue(HOST))
    return internet.check(DOMAIN)


@pytest.fixture(scope="module")
def plain(ecdsa: Issued) -> Report:
    return mail_domain(ecdsa).tlsa(OWNER).check(DOMAIN)


@pytest.fixture(scope="module")
def blind(ecdsa: Issued) -> Report:
    return mail_domain(ecdsa).serve(ADDRESS, failure="timeout").check(DOMAIN)


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def told(report: Report, out: TextIO | None = None, *, verbose: bool = False) -> str:
    into = out or io.StringIO()
    show(report, console(into), verbose=verbose)
    assert isinstance(into, io.StringIO)
    return into.getvalue()


# --- for people ------------------------------------------------------------------------------------------------------


def test_a_good_domain_at_a_glance(good: Report, ecdsa: Issued) -> None:
    text = told(good)
    lines = text.splitlines()
    assert "protected by DANE" in lines[0]
    assert lines[1] == "  ✓ Postfix, Exim, mox, Exchange: delivers with DANE"
    assert "MX ✓ ─ address ✓ ─ TLSA ✓ ─ TLS ✓ ─ chain ✓" in text
    assert f"3 1 1 {record(ecdsa, '3 1 1').data.hex()[:16]}…  matches the leaf (ECDSA)" in text
    assert "\x1b" not in text


def test_what_is_wrong_stands_beside_what_is_right(bad: Report) -> None:
    text = told(bad)
    assert re.search(r"✓ 192\.0\.2\.1  ECDSA", text)
    assert re.search(r"✕ 2001:db8::1  ECDSA", text)
    assert "mail gets through elsewhere" in text


def test_colours_on_a_terminal_and_nowhere_else(good: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m✓" in told(good, _Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in told(good, _Terminal())


def test_findings_say_what_to_do_and_notes_wait_for_v(good: Report) -> None:
    found = (
        Finding(
            "mismatch", "error", "mail.example.org:25", "It presents another key.", "Publish it.", "RFC 7672 section 3"
        ),
        Finding("next-key", "good", OWNER, "A next key is published."),
    )
    report = replace(good, findings=found)
    text = told(report)
    assert "mismatch  mail.example.org:25\n  It presents another key.\n  → Publish it. (RFC 7672 section 3)" in text
    assert "next-key" not in text
    assert "1 further note: add -v" in text
    assert "next-key" in told(report, verbose=True)


def test_no_control_character_of_a_stranger_reaches_the_terminal(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).serve(ADDRESS, failure="not-spoken")
    report = internet.check(DOMAIN)
    attempt = report.endpoints[0].attempts[0]
    evil = replace(attempt, shaken=replace(attempt.shaken, detail="\x1b]0;owned\x07\u202e220 hello\nsecond"))
    endpoint = replace(report.endpoints[0], attempts=(evil,))
    text = told(replace(report, endpoints=(endpoint,), findings=()), verbose=True)
    assert not set(text) & set("\x1b\x07\u202e")
    assert "owned" in text


@pytest.mark.parametrize(
    ("told_by", "expected"),
    [
        ("good", ["good", "good", "good", "good", "good"]),
        ("plain", ["good", "good", "weak", "good", "weak"]),
        ("blind", ["good", "good", "good", "unknown", "plain"]),
        ("bad", ["good", "good", "good", "good", "bad"]),
    ],
)
def test_the_picture_in_a_line(told_by: str, expected: list[str], request: pytest.FixtureRequest) -> None:
    report: Report = request.getfixturevalue(told_by)
    assert [state for _, state in stages(report.endpoints[0], report)] == expected


def test_a_line_for_each_of_many(bad: Report) -> None:
    to = console(io.StringIO())
    assert DOMAIN in one_line(Judged(1, DOMAIN, bad), to).plain
    assert "line 7: no domain" in one_line(NotJudged(7, "??", "no domain"), to).plain


def test_signs_where_a_terminal_has_no_unicode(good: Report, bad: Report) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    show(good, console(out))
    show(bad, console(out))
    out.flush()
    text = raw.getvalue().decode("ascii")
    assert "MX + - address + - TLSA + - TLS + - chain +" in text
    assert "chain x" in text


# --- for monitors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told_by", "require_dane", "status"),
    [("plain", False, 1), ("plain", True, 2), ("bad", False, 2), ("blind", False, 3), ("blind", True, 3)],
)
def test_the_status_of_a_monitor(
    told_by: str,
    require_dane: bool,  # noqa: FBT001 (a table)
    status: int,
    request: pytest.FixtureRequest,
) -> None:
    assert monitor_status(request.getfixturevalue(told_by), require_dane=require_dane) == status


def test_a_good_domain_is_ok_and_with_a_warning_is_a_warning(good: Report) -> None:
    warned = replace(good, findings=(Finding("ttl-long", "warning", OWNER, "It is long."),))
    assert monitor_status(replace(good, findings=()), require_dane=True) == 0
    assert monitor_status(warned, require_dane=True) == 1


def test_one_line_with_performance_data(good: Report, bad: Report, plain: Report) -> None:
    line, status = monitor_line([replace(good, findings=())], require_dane=False, seconds=0.5)
    assert status == 0
    assert re.fullmatch(
        r"DANE OK: [^|]+ \| time=0\.50s;;;0 endpoints=1;;;0 errors=0;;;0 warnings=0;;;0 certificate_days=30\.0", line
    )
    line, status = monitor_line([good, plain, bad], require_dane=False, seconds=1)
    assert (status, line.startswith("DANE CRITICAL: "), "\n" in line) == (2, True, False)


def test_a_bar_in_a_strangers_words_does_not_end_the_line(bad: Report) -> None:
    evil = replace(bad, findings=(Finding("mismatch", "error", "a|b=9\nsecond", "t"),))
    line, _ = monitor_line([evil], require_dane=False, seconds=1)
    assert line.count("|") == 1
    assert "\n" not in line


def test_metrics(bad: Report) -> None:
    text = metrics([replace(bad, target=Target('a"\\b\n'))], NOW)
    assert 'danelaw_check_status{target="a\\"\\\\b "} 1\n' in text
    assert 'sender="postfix",outcome="deferred"} 1\n' in text
    assert re.search(r'certificate_expiry_seconds\{.*address="2001:db8::1",algorithm="ecdsa"\} \d+\n', text)
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z_]+(\{.*\})? -?[\d.e+]+", line)


def test_a_text_file_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "danelaw.prom"
    path.write_text("old")
    write_whole(str(path), "new")
    assert (path.read_text(), path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == ("new", 0o644, [path])
    with pytest.raises(InputError, match="cannot be written"):
        write_whole(str(tmp_path / "no" / "folder"), "new")


def test_only_a_file_is_ever_replaced(tmp_path: Path) -> None:
    kept, link, pipe = tmp_path / "kept", tmp_path / "link", tmp_path / "pipe"
    kept.write_text("old")
    link.symlink_to(kept)
    write_whole(str(link), "new")
    assert (link.is_symlink(), kept.read_text()) == (True, "new")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(str(pipe), "through")
    assert (os.read(reader, 100), stat.S_ISFIFO(pipe.stat().st_mode)) == (b"through", True)
    os.close(reader)
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for wrong in (circle, tmp_path, "a\0b"):
        with pytest.raises(InputError, match="cannot be written"):
            write_whole(str(wrong), "new")


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "check takes TARGETs"),
        (["a.example", "--file", "x"], "check takes TARGETs"),
        (["a.example", "--jsonl", "--json"], "contradict"),
        (["a.example", "--html", ""], "--html: is empty"),
        (["a.example", "b.example", "--html", "x"], "--html is a page about one target"),
        (["a.example", "b.example", "--record", "x"], "--record keeps the answers of one target"),
        (["a.example", "--require-dane"], "--require-dane is for --nagios"),
        (["--file", "x", "--json"], "--file streams"),
        (["a.example", "--jobs", "0"], "--jobs"),
        (["a.example", "--timeout", "0"], "--timeout: 0 is none"),
        (["a.example", "--timeout", "-1"], "--timeout"),
        (["a.example", "--timeout", "nan"], "--timeout: nan is none"),
        (["a.example", "--timeout", "inf"], "--timeout"),
        (["https://a.example/"], "a.example:443"),
        (["192.0.2.1"], "DANE is about names"),
        (["a.example:4711"], "--protocol"),
        (["--file", "/no/such/file"], "one target a line"),
        (["--replay", "/no/such/file"], "check --record"),
        ([f"a{number}.example" for number in range(65)], "--file FILE"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["check", *arguments]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert said in error


@pytest.fixture
def recording(tmp_path: Path, ecdsa: Issued) -> str:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, "2001:db8::1").serve("2001:db8::1", issue(HOST, key=rsa2048()))
    return kept(internet, tmp_path)


def kept(internet: SmallInternet, folder: Path) -> str:
    report = internet.check(DOMAIN)
    answers = tuple(internet.answer(question) for question in dict.fromkeys(internet.asked))
    path = folder / "recording.json"
    path.write_text(dumps(Recording(report.target, report.at, answers)))
    return str(path)


def test_what_was_recorded_is_judged_again_in_every_form(
    recording: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    prom = tmp_path / "danelaw.prom"
    assert run_command_line(["check", "--replay", recording, "--html", str(page), "--prometheus", str(prom)]) == 1
    assert "2001:db8::1" in capsys.readouterr().out
    assert "2001:db8::1" in page.read_text()
    assert 'danelaw_check_status{target="example.org"} 1' in prom.read_text()
    assert run_command_line(["--json", "check", "--replay", recording]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["schema"], value["status"], len(value["checks"])) == (1, 1, 1)
    assert run_command_line(["check", "--jsonl", "--replay", recording]) == 1
    assert json.loads(capsys.readouterr().out) == value["checks"][0]
    assert run_command_line(["check", "--nagios", "--replay", recording]) == 2
    assert capsys.readouterr().out.startswith("DANE CRITICAL: ")


def test_a_good_recording(tmp_path: Path, ecdsa: Issued, capsys: pytest.CaptureFixture[str]) -> None:
    path = kept(mail_domain(ecdsa), tmp_path)
    assert run_command_line(["check", "--replay", path]) == 0
    assert "is protected by DANE" in capsys.readouterr().out
    assert run_command_line(["-q", "check", "--replay", path]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("lines", ["", "\n# nothing but a comment\n\n"])
def test_a_file_that_names_nothing_is_no_success(
    lines: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "targets"
    path.write_text(lines)
    assert run_command_line(["check", "--file", str(path)]) == 2
    assert "names no target" in capsys.readouterr().err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_output_that_was_closed_goes_nowhere(closed: str, tmp_path: Path, ecdsa: Issued) -> None:
    path = kept(mail_domain(ecdsa), tmp_path)
    command = [sys.executable, "-m", "danelaw", "check", "--replay", path]
    shell = ["sh", "-c", f"{shlex.join(command)} {closed}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert ("is protected by DANE" in done.stdout) == (">&-" not in closed.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["a.example", "--jsonl", "--nagios"], "contradict"), (["https://a.example/"], "URL"), ([], "takes TARGETs")],
)
def test_what_is_refused_is_unknown_to_a_monitor(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["check", "--nagios", *arguments]) == 3
    out, error = capsys.readouterr()
    assert out.startswith("DANE UNKNOWN: ")
    assert (said in out, out.count("\n"), error) == (True, 1, "")


@pytest.mark.parametrize("before", [True, False])
def test_what_every_command_takes_stands_on_either_side_of_it(
    before: bool,  # noqa: FBT001 (a table)
    tmp_path: Path,
    ecdsa: Issued,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["check", "--replay", kept(mail_domain(ecdsa), tmp_path)]
    for option, shown in (("--json", '"checks"'), ("-v", "protected"), ("-q", "")):
        assert run_command_line([option, *command] if before else [*command, option]) == 0
        out = capsys.readouterr().out
        assert shown in out
        assert bool(out) == bool(shown)


def by_shell(redirected: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = shlex.join([sys.executable, "-m", "danelaw", *arguments])
    return subprocess.run(["sh", "-c", f"{command} {redirected}"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("form", "status"),
    [([], 4), (["--json"], 4), (["--jsonl"], 4), (["--nagios"], 3)],
    ids=["", "json", "jsonl", "nagios"],
)
def test_output_that_cannot_be_written_is_no_verdict(
    form: list[str], status: int, tmp_path: Path, ecdsa: Issued
) -> None:
    done = by_shell("> /dev/full", "check", "--replay", kept(mail_domain(ecdsa), tmp_path), *form)
    assert done.returncode == status
    assert done.stderr == "danelaw: what there is to say cannot be written: No space left on device\n"


def test_nobody_who_reads_on_changes_no_verdict(tmp_path: Path, ecdsa: Issued, recording: str) -> None:
    (tmp_path / "good").mkdir()
    for path, status in ((recording, 1), (kept(mail_domain(ecdsa), tmp_path / "good"), 0)):
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "danelaw", "check", "--replay", path]
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (status, "")


def test_a_page_that_cannot_be_written_takes_no_verdict_away(
    tmp_path: Path, ecdsa: Issued, capsys: pytest.CaptureFixture[str]
) -> None:
    path = kept(mail_domain(ecdsa), tmp_path)
    assert run_command_line(["check", "--replay", path, "--html", str(tmp_path / "no" / "page")]) == 2
    out, error = capsys.readouterr()
    assert "is protected by DANE" in out
    assert "cannot be written (No such file or directory)" in error


def test_standard_input_that_was_closed_names_nothing() -> None:
    done = by_shell("<&-", "check", "--file", "-")
    assert (done.returncode, done.stderr) == (2, "danelaw: -: names no target; expected one a line\n")
