"""What a complete run leaves behind for the next one: when to look again, and how files stood."""

from dataclasses import replace
from pathlib import Path

import pytest

from danelaw.config import Config, digest, load
from danelaw.run.agenda import keep_agenda
from danelaw.run.rings import Outcome
from danelaw.run.runner import apply
from danelaw.store.agenda import nothing_due, store_path
from danelaw.store.sqlite import SqliteStore
from fakes.run_world import NAME, MailWorld


class Run:
    """A run that has come to rest in a world in memory, whose config and store are files."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "danelaw.toml"
        self.path.write_text(f'state_dir = "{folder}/state"\n')
        self.world = MailWorld()
        self.world.store = SqliteStore(store_path(f"{folder}/state"), self.world.clock, "h")
        self.config: Config = replace(load(str(self.path)), desired=self.world.desired)
        self.outcome: Outcome = apply(self.world.desired, self.world.rings)

    @property
    def due(self) -> bool:
        """Keep the agenda, and tell whether a run a moment later would look."""
        keep_agenda(self.config, self.world.rings, self.world.store, self.outcome)
        state, paths = self.config.state_dir, self.config.files
        return nothing_due(state, paths, lambda: digest(str(self.path)), self.world.clock.now()) is None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_after_a_run_at_rest_nothing_is_due(run: Run) -> None:
    assert run.outcome.exit_status == 0
    assert not run.due


def test_a_deployed_file_that_changed_after_the_look_is_looked_at(run: Run) -> None:
    run.world.host.disk[run.world.deployment.id] = {"/etc/ssl/mail.pem": "somebody else's"}
    assert run.due


def test_a_config_that_changed_after_it_was_read_is_looked_at(run: Run) -> None:
    run.path.write_text(f"{run.path.read_text()}# a remark\n")
    assert run.due


def test_a_config_that_is_gone_after_it_was_read_is_looked_at(run: Run) -> None:
    run.path.unlink()
    assert run.due


def test_a_file_that_the_config_refers_to_is_watched(run: Run, tmp_path: Path) -> None:
    """A key, a CSR, the public half of a spare key, a CA's intermediates: another content may want another step.

    It is one that comes, since the time of one that changes is the real clock's, which is not this world's.
    """
    run.config = replace(run.config, references=(str(tmp_path / "intermediates.pem"),))
    keep_agenda(run.config, run.world.rings, run.world.store, run.outcome)
    state, paths, now = run.config.state_dir, run.config.files, run.world.clock.now()
    (tmp_path / "aside.pem").write_text("a CA certificate\n")
    assert nothing_due(state, paths, lambda: digest(str(run.path)), now) is not None
    (tmp_path / "intermediates.pem").write_text("a CA certificate\n")
    assert nothing_due(state, paths, lambda: digest(str(run.path)), now) is None


def test_what_failed_is_due_at_once(run: Run) -> None:
    run.outcome = replace(run.outcome, failed=(f"{NAME}: no",))
    assert run.due
