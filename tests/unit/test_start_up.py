"""The command starts fast: what the cheap paths import is on a list."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from danelaw.config import digest
from danelaw.store import SqliteStore
from danelaw.store.agenda import store_path
from fakes.running_clock import RunningClock

SHOW = """
import json, sys
sys.argv = ["danelaw", *json.loads(sys.argv[1])]
from danelaw.__main__ import main
try:
    status = main()
finally:
    print(json.dumps(sorted(sys.modules)))
sys.exit(status)
"""

OURS = {"danelaw", "danelaw.__main__"}
NOTHING_DUE = OURS | {
    "danelaw.cli",
    "danelaw.cli.arguments",
    "danelaw.cli.fast",
    "danelaw.config",
    "danelaw.config.files",
    "danelaw.store",
    "danelaw.store.agenda",
}
HEAVY = {
    "asyncio",
    "cryptography",
    "OpenSSL",
    "dns",
    "urllib3",
    "dataclasses",
    "inspect",
    "subprocess",
    "ssl",
    "pathlib",
}


def run(*arguments: str) -> tuple[int, str, set[str]]:
    """Run the command in a bare interpreter; return its exit status, its words and the modules it imported."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW, json.dumps(arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    *said, modules = done.stdout.splitlines()
    return done.returncode, "\n".join(said), set(json.loads(modules))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "danelaw"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose last look was just now, with nothing due for a day."""
    path = tmp_path / "danelaw.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\n')
    now = datetime.now(UTC)
    store = SqliteStore(store_path(f"{tmp_path}/state"), RunningClock(), "h")
    store.set_agenda(digest(str(path)), now + timedelta(days=1), now)
    store.close()
    return path


def test_version_imports_nearly_nothing() -> None:
    status, said, modules = run("--version")
    assert status == 0
    assert said.startswith("danelaw ")
    assert ours(modules) == OURS
    assert not HEAVY & modules
    assert "argparse" not in modules


def test_nothing_due_imports_what_is_on_the_list(config: Path) -> None:
    status, said, modules = run("--config", str(config), "apply")
    assert status == 0
    assert said.startswith("Nothing is due until ")
    assert ours(modules) == NOTHING_DUE
    assert not HEAVY & modules
    assert {"argparse", "hashlib", "sqlite3", "tomllib"} <= modules


def test_a_look_imports_more(config: Path) -> None:
    """The twin: the list is not met by a run that looks."""
    _, said, modules = run("--config", str(config), "apply", "--retry-now")
    assert not said.startswith("Nothing is due")
    assert ours(modules) > NOTHING_DUE
