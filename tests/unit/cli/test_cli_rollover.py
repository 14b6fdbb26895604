"""`rollover`, `revoke`, `withdraw` and `adopt` as a user meets them: the words, the JSON, the exit status.

The config is a file and the command line is parsed; the world behind the rings is in memory.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from danelaw.cli.arguments import parser
from danelaw.cli.session import COMMANDS
from danelaw.errors import DanelawError, InputError, LeaseHeld, Refused
from danelaw.pki.chain import chain_pem
from danelaw.run.rings import Rings
from danelaw.store import SqliteStore
from fakes.run_world import HOST, NAME, Machine, MailWorld
from local_state import chain_of

HOUR = timedelta(hours=1)

CONFIG = """
state_dir = "{folder}/state"
lookup_margin = "0s"
history = "0s"

[acme.ca]
directory = "letsencrypt-staging"
agree_tos = true

[dns.home]
type = "rfc2136"
server = "192.0.2.53"
"""

CERTIFICATE = """
[certificate."example.org"]
names = ["mail.example.org"]
http01 = {{ webroot = "{folder}" }}

[[certificate."example.org".tlsa]]
hosts = ["mail.example.org"]
ports = [25]
records = ["3 1 1"]
dns = "home"
ttl = 3600

[[certificate."example.org".deploy]]
combined = {{ path = "{folder}/mail.pem", parts = ["cert", "chain", "key"] }}
prove = ["mail.example.org:25"]
reload = ["true"]
"""


class Command:
    """The command line over a config in a folder and a world in memory."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = MailWorld()
        self.world.ca.anew = True
        self.folder = folder
        self.rings: Callable[[Rings], Rings] = lambda real: replace(self.world.rings, listener=real.listener)
        self._capsys = capsys
        self.write(managed=True)

    def write(self, *, managed: bool) -> None:
        text = CONFIG + (CERTIFICATE if managed else "")
        (self.folder / "danelaw.toml").write_text(text.format(folder=self.folder))

    def __call__(self, *words: str) -> tuple[int, list[str]]:
        """Run a command; return its exit status and the lines on standard output."""
        arguments = parser().parse_args(["--config", str(self.folder / "danelaw.toml"), *words])
        status = COMMANDS[arguments.command](arguments, self.rings)
        return status, self._capsys.readouterr().out.splitlines()

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        status, lines = self("--json", *words)
        return status, json.loads("\n".join(lines))

    def refused(self, *words: str) -> DanelawError:
        with pytest.raises(DanelawError) as caught:
            self(*words)
        return caught.value


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    made = Command(tmp_path, capsys)
    assert made("apply")[0] == 0
    made.world.clock.instant += 3 * HOUR
    return made


# --- rollover ---------------------------------------------------------------------------------------------------------


def test_rollover_does_what_is_safe_and_says_when_the_next_step_is_due(command: Command) -> None:
    status, lines = command("rollover", NAME)
    assert status == 0
    assert any(line.startswith("now ") and "make its next key" in line for line in lines)
    assert any(line.startswith("next  2026-03-01 17:00:00Z  the next key goes live once") for line in lines)
    assert "is in course" in str(command.refused("rollover", NAME))
    status, lines = command("rollover", NAME, "--cancel")
    assert status == 0
    assert "The rollover of example.org is cancelled: its key stays, and what went over goes back." in lines
    assert "nothing to cancel" in str(command.refused("rollover", NAME, "--cancel"))


def test_rollover_as_json(command: Command) -> None:
    status, found = command.json("rollover", NAME, "--emergency", "--accept-outage")
    assert (status, found["exit_status"], found["certificate"]) == (0, 0, NAME)
    (asked,) = found["asked"]
    assert (asked["kind"], asked["options"], asked["closed_at"]) == ("rollover", ["emergency", "accept-outage"], None)
    (cost,) = found["cost"]
    assert (cost["owner"], cost["until"]) == ("_25._tcp.mail.example.org.", "2026-03-01T17:00:00Z")
    assert "promote" in [step["step"] for step in found["steps"]]


def test_the_cost_of_an_outage_is_said_before_anything_is_done(command: Command) -> None:
    _, lines = command("rollover", NAME, "--emergency", "--accept-outage")
    assert lines[0].startswith("cost  senders that hold 3 1 1 ")
    assert "at _25._tcp.mail.example.org. do not deliver until 2026-03-01 17:00:00Z: 192.0.2.53 serves it" in lines[0]
    command.world.clock.instant += 3 * HOUR
    command("apply")
    text = (command.folder / "danelaw.toml").read_text().replace("http01 =", "next_key = true\nhttp01 =")
    (command.folder / "danelaw.toml").write_text(text)
    command("apply")
    command.world.clock.instant += 3 * HOUR
    _, lines = command("-q", "rollover", NAME, "--emergency", "--accept-outage")
    assert lines == ["cost  none: no sender can hold records that refuse the next key"]


def test_a_name_that_is_not_there_and_options_that_contradict(command: Command) -> None:
    assert isinstance(command.refused("rollover", "nobody"), InputError)
    for words in (["--accept-outage"], ["--cancel", "--emergency"], ["--cancel", "--accept-outage"]):
        assert isinstance(command.refused("rollover", NAME, *words), InputError)
    assert command.world.store.snapshot().intents == ()


class Busy(SqliteStore):
    """A store whose leases another run holds."""

    def lease(self, component: str) -> None:  # type: ignore[override]
        raise LeaseHeld(f"{component} is held")


def test_what_is_asked_for_while_another_run_is_at_work_is_stored(command: Command) -> None:
    command.world.store.__class__ = Busy
    error = command.refused("rollover", NAME)
    assert isinstance(error, LeaseHeld)
    assert str(error).startswith("the rollover is asked for, and the next run sees to it: ")
    assert len(command.world.store.snapshot().intents) == 1
    assert str(command.refused("rollover", NAME, "--cancel")).startswith("the cancellation is stored, ")


# --- revoke -----------------------------------------------------------------------------------------------------------


def test_revoke_says_what_became_of_it(command: Command) -> None:
    status, lines = command("revoke", NAME, "--reason", "superseded")
    assert status == 0
    assert any(line.startswith("Revoked ") and line.endswith("of example.org.") for line in lines)
    status, lines = command("revoke", NAME, "--yes")
    assert lines[-1] == "It is live: its renewal is due at once; run danelaw apply."


def test_revoke_of_a_leaked_key_says_what_else_it_concerns(command: Command) -> None:
    command("apply", "--force-renewal")
    status, lines = command("revoke", NAME, "--reason", "keyCompromise")
    assert status == 0
    assert any("is live, and revoked once nothing presents it" in line for line in lines)
    (note,) = [line for line in lines if line.startswith("note  its key is in ")]
    assert note.endswith("valid until 2026-05-29 12:00:00Z; a CA may revoke it with this one")
    assert any(line.startswith("next  2026-03-01 17:00:00Z") for line in lines)


def test_revoke_as_json(command: Command) -> None:
    status, found = command.json("revoke", NAME, "--reason", "keyCompromise")
    assert (status, found["was_live"], found["revoked"], found["reason"]) == (0, True, False, "keyCompromise")
    assert (found["others"], found["replayable_until"]) == ([], None)
    assert "cached" in [wait["wait"] for wait in found["waits"]]


def test_revoke_by_file(command: Command) -> None:
    old = command.world.host.live_chains[HOST]
    assert old is not None
    command("apply", "--force-renewal")
    pem = command.folder / "old.pem"
    pem.write_text(chain_pem(old))
    status, found = command.json("revoke", "--cert", str(pem))
    assert (status, found["leaf_sha256"], found["was_live"], found["revoked"]) == (0, old.leaf_sha256, False, True)
    pem.write_text("")
    assert isinstance(command.refused("revoke", "--cert", str(pem)), InputError)


# --- withdraw ---------------------------------------------------------------------------------------------------------


def test_withdraw_says_when_to_come_again_and_then_what_is_free(command: Command) -> None:
    assert isinstance(command.refused("withdraw", NAME), Refused)
    command.write(managed=False)
    status, lines = command("withdraw", NAME)
    assert status == 0
    assert "Until then the services stay as they are; run danelaw withdraw example.org again after that." in lines
    assert any(line.startswith("next  2026-03-01 17:00:00Z") for line in lines)
    command.world.clock.instant += 2 * HOUR
    status, lines = command("withdraw", NAME)
    assert (status, lines) == (
        0,
        [
            f"{command.folder}/mail.pem: ordinary files, contents unchanged, and yours from now on.",
            "example.org is out of service; what is left of it here is kept, and used for nothing.",
        ],
    )
    assert "is in the state, and it is no endpoint either" in str(command.refused("withdraw", "nobody"))


def test_withdraw_as_json(command: Command) -> None:
    command.write(managed=False)
    status, found = command.json("withdraw", NAME, "--wait")
    assert status == 0
    assert [row["owner"] for row in found["withdrawn"]] == ["_25._tcp.mail.example.org."]
    assert found["let_go"] == [f"{command.folder}/mail.pem"]
    assert (found["waits"], found["holds"], found["failed"]) == ([], [], [])


# --- adopt ------------------------------------------------------------------------------------------------------------


def test_adopt_says_what_is_the_truth_now(command: Command) -> None:
    status, lines = command("adopt", NAME)
    assert (status, lines) == (0, ["What is live of example.org is what is known of it; nothing to adopt."])
    world = command.world
    stranger = Machine(world.clock.now).take_next_key(replace(world.spec, key_type="p256"), ())
    path = f"{command.folder}/mail.pem"
    world.host.disk[path] = {path: "theirs"}
    world.host.keys[NAME] = replace(stranger, origin="adopted")
    world.host.live_chains[HOST] = chain_of.__wrapped__(HOST, stranger.spki_der)
    status, lines = command("adopt", NAME)
    assert status == 0
    assert lines[0].startswith(f"The key {stranger.spki_sha256[:16]}… with the certificate ")
    assert lines[0].endswith("is the current one of example.org now.")
    assert lines[1] == "danelaw plan says what follows from that, and danelaw apply --retry-now does it."


def test_adopt_of_another_machine_s_state_as_json(command: Command) -> None:
    command.rings = lambda _: replace(command.world.rings, host_id="new")
    assert command("apply")[0] == 1
    status, found = command.json("adopt", NAME)
    assert status == 0
    (key,) = command.world.store.snapshot().keys
    assert found == {
        "schema": 1,
        "certificate": NAME,
        "key": None,
        "leaf_sha256": None,
        "moved": [key.spki_sha256],
    }
    assert command("apply")[0] == 0
