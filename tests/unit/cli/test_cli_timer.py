"""`danelaw timer`: the units and the cron line, and that nothing of another's is written over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from danelaw.cli.timer import MARK, cron_line, install, quoted, start, units, writable
from danelaw.config import load
from danelaw.config.files import DEFAULT_PATH
from danelaw.errors import InputError, Refused

DANELAW = ["/usr/local/bin/danelaw"]
AWKWARD = '/srv/it\'s 5% of "$HOME"\\x.toml'


def verified(folder: Path, wanted: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Let systemd's own parser judge units; their executable is one that is there."""
    for name, text in wanted.items():
        (folder / name).write_text(text)
    argv = ["systemd-analyze", "verify", "--man=no", *(str(folder / name) for name in wanted)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("config", [DEFAULT_PATH, "/srv/danelaw.toml", AWKWARD])
def test_systemd_accepts_the_units(tmp_path: Path, config: str) -> None:
    done = verified(tmp_path, dict(units(["/bin/true"], config)))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("danelaw.service", "ExecStart=/bin/true", "ExecStart=/nowhere/danelaw"),
        ("danelaw.service", "ProtectSystem=yes", "ProtectSystem=maybe"),
        ("danelaw.timer", "OnCalendar=hourly", "OnCalendar=sometimes"),
        ("danelaw-failed.service", "-i -t'", "-i -t"),
    ],
)
def test_systemd_refuses_broken_ones(tmp_path: Path, name: str, old: str, new: str) -> None:
    wanted = dict(units(["/bin/true"], DEFAULT_PATH))
    assert old in wanted[name]
    wanted[name] = wanted[name].replace(old, new)
    done = verified(tmp_path, wanted)
    assert done.returncode or done.stderr


def test_the_service_is_run_once_an_hour_and_pays_what_it_owes() -> None:
    wanted = units(DANELAW, DEFAULT_PATH)
    assert "OnCalendar=hourly\nRandomizedDelaySec=" in wanted["danelaw.timer"]
    assert "Persistent=true" in wanted["danelaw.timer"]
    service = wanted["danelaw.service"].splitlines()
    assert "ExecStart=/usr/local/bin/danelaw -q apply" in service
    assert "ExecStopPost=/usr/local/bin/danelaw -q recover" in service
    assert "SuccessExitStatus=75" in service
    assert "OnFailure=danelaw-failed.service" in service
    assert "--config" not in wanted["danelaw.service"]
    assert "-q --config /srv/danelaw.toml apply" in units(DANELAW, "/srv/danelaw.toml")["danelaw.service"]


@pytest.mark.parametrize(
    ("word", "unit"),
    [
        ("/usr/bin/x", "/usr/bin/x"),
        ("a b", '"a b"'),
        ("5%", '"5%%"'),
        ("$HOME", '"$$HOME"'),
        ('"', '"\\""'),
        ("", '""'),
    ],
)
def test_arguments_reach_the_program_as_they_are(word: str, unit: str) -> None:
    assert quoted(word) == unit


def test_the_cron_line_has_a_minute_of_the_hosts_own() -> None:
    one, other = (cron_line(DANELAW, AWKWARD, host) for host in ("mail.example.org", "mail.example.net"))
    assert one == cron_line(DANELAW, AWKWARD, "mail.example.org")
    assert one.split(" ", 1)[1] == other.split(" ", 1)[1]
    assert one != other
    assert 0 <= int(one.split()[0]) < 60
    assert "5\\% of" in one
    assert cron_line(DANELAW, DEFAULT_PATH, "x").endswith(" * * * * root /usr/local/bin/danelaw -q apply")


def test_units_are_written_once_and_renewed(tmp_path: Path) -> None:
    assert len(install(tmp_path, units(DANELAW, DEFAULT_PATH))) == 3
    assert install(tmp_path, units(DANELAW, DEFAULT_PATH)) == []
    assert install(tmp_path, units(DANELAW, "/srv/other.toml")) == ["danelaw.service", "danelaw-failed.service"]
    assert "/srv/other.toml" in (tmp_path / "danelaw.service").read_text()
    assert (tmp_path / "danelaw.timer").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(units(DANELAW, DEFAULT_PATH))


def test_what_another_wrote_is_left_alone_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "danelaw.timer").write_text("[Timer]\nOnCalendar=daily\n")
    with pytest.raises(Refused, match=r"danelaw\.timer is not of danelaw's writing"):
        install(tmp_path, units(DANELAW, DEFAULT_PATH))
    assert [path.name for path in tmp_path.iterdir()] == ["danelaw.timer"]
    (tmp_path / "danelaw.timer").write_text(f"{MARK}\n")
    assert len(install(tmp_path, units(DANELAW, DEFAULT_PATH))) == 3


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--unit-dir"):
        install(tmp_path / "missing", units(DANELAW, DEFAULT_PATH))


def test_elsewhere_nothing_is_started(tmp_path: Path) -> None:
    assert "systemctl enable --now danelaw.timer" in start(tmp_path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "danelaw", *arguments], capture_output=True, text=True, check=False)


def test_the_command_prints_installs_and_refuses(tmp_path: Path) -> None:
    assert "OnCalendar=hourly" in run("timer").stdout
    assert sorted(json.loads(run("--json", "timer").stdout)["units"]) == sorted(units(DANELAW, DEFAULT_PATH))
    assert run("timer", "--cron").stdout.startswith("PATH=")
    done = run("timer", "--install", "--unit-dir", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"wrote {tmp_path}/danelaw.service" in done.stdout
    assert run("timer", "--install", "--cron").returncode == 2


def test_what_the_sandbox_would_keep_from_being_written_is_let_through(tmp_path: Path) -> None:
    config = tmp_path / "danelaw.toml"
    config.write_text(
        """
state_dir = "/var/lib/danelaw"
[acme.x]
directory = "https://ca.example/"
agree_tos = true
[certificate.x]
names = ["www.example.org"]
http01 = { webroot = "/usr/share" }
[[certificate.x.deploy]]
fullchain = "/usr/local/etc/it is/tls.pem"
key = "/etc/ssl/private/tls.key"
reload = ["true"]
prove = ["www.example.org:443"]
"""
    )
    folders = writable(load(str(config)))
    assert folders == ("/usr/local/etc/it is", "/usr/share")
    wanted = dict(units(["/bin/true"], str(config), folders))
    assert 'ReadWritePaths="-/usr/local/etc/it is"\nReadWritePaths=-/usr/share\n' in wanted["danelaw.service"]
    done = verified(tmp_path, wanted)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ReadWritePaths" not in units(DANELAW, str(config))["danelaw.service"]
    assert "ReadWritePaths=-/usr/share" in run("--config", str(config), "timer").stdout


def test_a_config_with_faults_is_no_reason_to_have_no_timer(tmp_path: Path) -> None:
    config = tmp_path / "danelaw.toml"
    config.write_text("nonsense = 1\n")
    done = run("--config", str(config), "timer")
    assert done.returncode == 0
    assert "OnCalendar=hourly" in done.stdout
    assert "danelaw: warning: " in done.stderr


def exposed(folder: Path, text: str, threshold: int) -> int:
    """Let systemd rate how much of the system a service can reach: 0 where no more than the threshold (0 to 100)."""
    unit = folder / "danelaw.service"
    unit.write_text(text)
    argv = ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", "--no-pager", str(unit)]
    return subprocess.run(argv, capture_output=True, text=True, check=False).returncode


def test_the_service_is_confined_as_far_as_its_work_allows(tmp_path: Path) -> None:
    text = units(["/bin/true"], DEFAULT_PATH)["danelaw.service"]
    assert exposed(tmp_path, text, 45) == 0
    assert exposed(tmp_path, "[Service]\nType=oneshot\nExecStart=/bin/true\n", 90) != 0
    assert exposed(tmp_path, text.replace("NoNewPrivileges=yes", "").replace("SystemCallFilter", "X"), 45) != 0


@pytest.mark.parametrize("path", ["/srv/a\nExecStart=/bin/evil", "/srv/\x1b", "/srv/\u2028"])
def test_a_path_that_would_end_its_line_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="cannot stand in a unit or crontab"):
        units(DANELAW, path)
    with pytest.raises(InputError, match="cannot stand in a unit or crontab"):
        units([path], DEFAULT_PATH)
    with pytest.raises(InputError, match="cannot stand in a unit or crontab"):
        cron_line(DANELAW, path, "h")


def test_what_cannot_be_read_or_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "danelaw.service").symlink_to("/nowhere")
    with pytest.raises(Refused, match=r"danelaw\.service is not of danelaw's writing"):
        install(tmp_path, units(DANELAW, DEFAULT_PATH))
    (tmp_path / "danelaw.service").unlink()
    (tmp_path / "danelaw.service").mkdir()
    with pytest.raises(Refused, match=r"danelaw\.service cannot be read: Is a directory"):
        install(tmp_path, units(DANELAW, DEFAULT_PATH))
    assert [path.name for path in tmp_path.iterdir()] == ["danelaw.service"]
