"""The mail of `danelaw timer`'s failure unit, through the world's Postfix."""

import re
import subprocess

import pytest

from danelaw.cli.timer import units
from world import World
from world.server import wait_until

pytestmark = pytest.mark.world

BROKEN = "/nowhere/danelaw"


def command(danelaw: str, host: str) -> str:
    """Return what /bin/sh gets of the unit's ExecStart, as systemd makes it: lines joined, specifiers filled in."""
    unit = units([danelaw], "/etc/danelaw/it's 5%.toml")["danelaw-failed.service"]
    match = re.search(r"^ExecStart=/bin/sh -c '(.*)'$", unit, re.MULTILINE | re.DOTALL)
    assert match
    text = match[1].replace("\\\n", " ").replace("%H", host).replace("%%", "%").replace("$$", "$")
    return re.sub(r"\\(.)", r"\1", text)


def queued(world: World) -> list[str]:
    return re.findall(r"postfix/pickup\[\d+\]: (\w+): uid=\d+ from=<root>", world.postfix.log.read_text())


def test_root_is_mailed_also_where_danelaw_itself_is_broken(world: World) -> None:
    before = queued(world)
    argv = ["/bin/sh", "-c", command(BROKEN, "mail.example.test")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    wait_until(lambda: len(queued(world)) == len(before) + 1, "no mail", world.postfix.last_words)
    sent = re.compile(rf"{queued(world)[-1]}: to=<root@[^>]*>, orig_to=<root>.*relay=(discard|local|none)")
    wait_until(
        lambda: bool(sent.search(world.postfix.log.read_text())), "it is not delivered", world.postfix.last_words
    )


def test_what_is_mailed_says_what_is_wrong(world: World) -> None:
    assert world.postfix.running
    shown = command(BROKEN, "mail.example.test").replace("/usr/sbin/sendmail -i -t", "cat")
    done = subprocess.run(["/bin/sh", "-c", shown], capture_output=True, text=True, check=False)
    head, _, body = done.stdout.partition("\n\n")
    assert head.splitlines()[:2] == ["To: root", "Subject: danelaw on mail.example.test needs a person"]
    assert "Auto-Submitted: auto-generated" in head.splitlines()  # no vacation notice comes back
    assert "Content-Type: text/plain; charset=utf-8" in head.splitlines()
    assert f"{BROKEN}: not found" in body
