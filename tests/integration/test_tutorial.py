"""docs/tutorial.md, every command of it, on the administrator's server as it stands before danelaw comes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from danelaw.deploy.services import HostSurvey
from demo.hand_made import OWNER, PAGE, SERVICES, environment, prepare
from demo.verdicts import delv, posttls_finger, s_client
from demo.walk import run, steps
from scenario import Watcher
from world import World, layout

pytestmark = pytest.mark.world


def test_every_command_of_the_tutorial_prints_what_the_page_shows(
    fresh_world: Callable[..., World], tmp_path: Path
) -> None:
    """And no sender that looks at DANE would have refused anything meanwhile."""
    world = fresh_world(SERVICES)
    prepare(world)
    env = environment(world)
    walked = list(steps(PAGE.read_text()))
    config = next(step.command for step in walked if "danelaw.toml <<" in step.command)
    assert len([line for line in config.splitlines()[1:-1] if line.strip()]) <= 30
    with Watcher(OWNER, addresses=(layout.COURIER,)) as watcher:
        for step in walked:
            run(step, env, tmp_path)
    assert len({sample.rrset for sample in watcher.samples}) == 2  # the old record, and then the new one
    assert len({sample.leaf_der for sample in watcher.samples}) > 2  # the old certificate, the new one, the renewals
    assert not watcher.invalid
    for verdict in posttls_finger(world), s_client(world, layout.COURIER), delv(world):
        assert verdict.good, verdict


def test_the_page_is_about_what_the_presets_read(fresh_world: Callable[..., World]) -> None:
    world = fresh_world(SERVICES)
    prepare(world)
    survey = HostSurvey()
    for service in "postfix", "courier-imap", "courier-pop", "apache2":
        for file in survey.look(service, layout.NAMES, "rsa").files:
            assert file.path in PAGE.read_text()
