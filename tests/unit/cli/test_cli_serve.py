"""What `danelaw serve` refuses before it serves."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from danelaw.cli import run_command_line

CODE = """
import sys
sys.modules["uvicorn"] = None
from danelaw.cli import run_command_line
sys.exit(run_command_line(["serve"]))
"""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--listen", "8053"], '--listen: "8053" has no port; write ADDRESS:PORT, such as 127.0.0.1:8053'),
        (["--listen", "127.0.0.1"], '--listen: "127.0.0.1" has no port; write ADDRESS:PORT, such as 127.0.0.1:8053'),
        (["--listen", "[::1]"], '--listen: "[::1]" is an IPv6 address without a port; write [::1]:PORT'),
        (["--listen", "::1"], '--listen: "::1" is an IPv6 address without a port; write [::1]:PORT'),
        (
            ["--listen", "::1:x"],
            '--listen: "::1:x" has no port from 1 to 65535 behind its last colon; write ADDRESS:PORT',
        ),
        (["--listen", "x::1:80"], '"x::1:80" has more than one colon; write an IPv6 address as [ADDRESS]:PORT'),
        (
            ["--listen", "example.org:8053"],
            '"example.org" is not an IP address; write ADDRESS:PORT, such as 127.0.0.1:8053',
        ),
        (["--listen", "127.0.0.1:99999"], "has no port from 1 to 65535"),
        (["--jobs", "0"], "--jobs: 0 is none; expected 1 to 256"),
        (["--rate", "0"], "--rate: 0 is none; expected 1 to 6000 checks a minute"),
        (["--managed", "--listen", "0.0.0.0:8053"], "listen at a loopback address"),
        (["--managed", "--listen", "127.0.0.1:0", "--listen", "[::]:0"], "listen at a loopback address"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "danelaw.toml").touch()
    assert run_command_line(["--config", str(tmp_path / "danelaw.toml"), "serve", *options]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("; ") <= 1, "one advice"


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "danelaw.toml"
    config.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run_command_line(["--config", str(config), "serve", "--listen", place]) == 2
    assert capsys.readouterr().err == (
        f"danelaw: --listen {place}: Address already in use; give another address or port\n"
    )


def test_a_fault_of_its_tables_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "danelaw.toml"
    config.write_text('[serve]\nallow = ["all"]\n')
    assert run_command_line(["--config", str(config), "serve"]) == 2
    assert 'serve.allow[0]: found "all"; expected a network' in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "danelaw: serve needs uvicorn, which is not installed; install danelaw[web]\n"
