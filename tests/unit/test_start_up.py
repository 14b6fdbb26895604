"""The command starts fast: what the cheap paths import is on a list."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from danelaw.config import digest
from danelaw.store import SqliteStore
from danelaw.store.agenda import store_path, sure_stat
from fakes.running_clock import RunningClock

SHOW = """
import sys, json
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
    "danelaw.cli.fast",
    "danelaw.config",
    "danelaw.config.files",
    "danelaw.store",
    "danelaw.store.agenda",
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


def others(modules: set[str]) -> set[str]:
    return modules - ours(modules)


@pytest.fixture(scope="module")
def bare() -> set[str]:
    """The modules of an interpreter that does nothing, and of `run` itself."""
    code = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def database() -> set[str]:
    """What sqlite3 brings, the one thing that a run with nothing due cannot do without."""
    code = "import json, sqlite3, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose last look was just now, with nothing due for a day."""
    path = tmp_path / "danelaw.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"  # not the default\n[acme.x]\n')
    now = datetime.now(UTC)
    store = SqliteStore(store_path(f"{tmp_path}/state"), RunningClock(), "h")
    settings = [sure_stat(str(path), now + timedelta(hours=1))]
    store.set_agenda(digest(str(path)), now + timedelta(days=1), now, config=settings)
    store.close()
    return path


def test_version_imports_nothing(bare: set[str]) -> None:
    status, said, modules = run("--version")
    assert status == 0
    assert said.startswith("danelaw ")
    assert ours(modules) == OURS
    assert others(modules) == bare


@pytest.mark.parametrize("options", [(), ("-q",), ("-v",)])
def test_nothing_due_imports_sqlite_and_what_comes_with_it(
    config: Path, database: set[str], options: tuple[str, ...]
) -> None:
    status, said, modules = run(*options, "--config", str(config), "apply")
    assert status == 0
    assert said.startswith("Nothing is due until ") is ("-q" not in options)
    assert ours(modules) == NOTHING_DUE
    assert others(modules) == database


def test_a_config_that_was_written_anew_costs_its_digest(config: Path) -> None:
    config.write_text(config.read_text())
    status, said, modules = run("--config", str(config), "apply")
    assert status == 0
    assert said.startswith("Nothing is due until ")
    assert ours(modules) == NOTHING_DUE
    assert "hashlib" in modules


def test_a_look_imports_more(config: Path) -> None:
    """The twin: the list is not met by a run that looks."""
    _, said, modules = run("--config", str(config), "apply", "--retry-now")
    assert not said.startswith("Nothing is due")
    assert ours(modules) > OURS | {"danelaw.cli.arguments", "danelaw.cli.session"}


def test_a_changed_config_is_looked_at(config: Path) -> None:
    config.write_text(f"{config.read_text()}# a remark\n")
    _, said, _ = run("--config", str(config), "apply")
    assert not said.startswith("Nothing is due")
