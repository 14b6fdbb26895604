"""Services whose configuration no preset accepts any more: what deploys nothing works all the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from danelaw.config import load
from danelaw.deploy.services import RememberedSurvey
from danelaw.model import FileSpec, Service, ServiceSetup
from danelaw.run.compose import SERVICES
from fakes.config_site import make_site
from fakes.survey import ToldSurvey

CONFIG = """\
state_dir = "state"
[acme.letsencrypt]
agree_tos = true
[certificate."example.org"]
names = ["mail.example.org"]
[[certificate."example.org".deploy]]
services = ["courier-imap"]
"""
COURIER = ServiceSetup(
    Service("courier-imap"), (FileSpec("/srv/tls/imapd.pem", ("cert", "key", "chain")),), ((993, "imaps"),)
)


def danelaw(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "danelaw", *arguments], capture_output=True, check=False, timeout=60)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Return a config of a service that this host lacks."""
    return str(make_site(tmp_path, CONFIG))


def remember(config: str) -> None:
    """Let Courier have answered at an earlier run."""
    folder = Path(config).parent / "state"
    folder.mkdir()
    survey = RememberedSurvey(ToldSurvey({"courier-imap": COURIER}), folder / SERVICES)
    load(config, survey)
    assert survey.keep() == ""


@pytest.mark.parametrize("command", ["recover", "status"])
def test_a_service_that_is_refused_now_keeps_nothing_from_what_deploys_nothing(config: str, command: str) -> None:
    """A stopped web server is started, and what is stored is told."""
    remember(config)
    done = danelaw("--config", config, command)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_it_keeps_from_what_deploys(config: str, command: str) -> None:
    remember(config)
    done = danelaw("--config", config, command)
    assert done.returncode == 2
    assert b"/etc/courier/imapd: No such file or directory" in done.stderr


def test_one_that_never_answered_is_refused_everywhere(config: str) -> None:
    assert danelaw("--config", config, "status").returncode == 2
