"""`danelaw timer`: what runs `apply` every hour, as systemd units or as a cron line.

The units are text below, filled with the path of this danelaw. `apply` with nothing due touches nothing, so an hour is
no burden; `Persistent=` makes up for what a machine that was off has missed; a random delay keeps the CA from meeting
everybody at the full hour.
"""

import os
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from danelaw.config.files import DEFAULT_PATH
from danelaw.errors import InputError, Refused

UNIT_DIR = Path("/etc/systemd/system")
MARK = "# Written by `danelaw timer --install`, which writes it anew. Changes of your own: systemctl edit"
"""The first line of every unit: what has another one is not ours to write over."""

_TIMER = """\
{mark}
[Unit]
Description=Every hour: danelaw apply

[Timer]
OnCalendar=hourly
RandomizedDelaySec=50min
Persistent=true

[Install]
WantedBy=timers.target
"""

_SERVICE = """\
{mark}
[Unit]
Description=danelaw: key, certificate, TLSA records and live services in agreement
Wants=network-online.target
After=network-online.target nss-lookup.target
OnFailure=danelaw-failed.service

[Service]
Type=oneshot
ExecStart={danelaw} -q{config} apply
# What a run that was killed still owes: the web server that it stopped is started.
ExecStopPost={danelaw} -q{config} recover
# 75: another run is at work.
SuccessExitStatus=75
TimeoutStartSec=infinity

# danelaw runs your commands (reload, test, pre_challenge) in here, as root: what they need is left open. It writes
# below /etc, /var and its webroots, signals daemons, binds port 80, and reads /proc to know whether another run lives.
NoNewPrivileges=yes
ProtectSystem=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
"""

_FAILED = """\
{mark}
[Unit]
Description=Mail to root: danelaw failed, or waits for a person

[Service]
Type=oneshot
# Where danelaw itself is what is broken, the mail goes out all the same.
ExecStart=/bin/sh -c '{{ echo "To: root"; echo "Subject: danelaw on %H needs a person"; echo; \\
    {danelaw_quoted} -q{config_quoted} status 2>&1; echo; \\
    systemctl status --no-pager --full --lines=50 danelaw.service 2>&1; }} | /usr/sbin/sendmail -i -t'
"""


def units(danelaw: Sequence[str], config: str) -> Mapping[str, str]:
    """Return each unit's text by its name. ``danelaw`` is the command that runs it, ``config`` an absolute path."""
    given = [] if config == DEFAULT_PATH else ["--config", config]
    words = {
        "mark": MARK,
        "danelaw": " ".join(map(quoted, danelaw)),
        "config": "".join(f" {quoted(word)}" for word in given),
        "danelaw_quoted": _in_shell(danelaw),
        "config_quoted": f" {_in_shell(given)}" if given else "",
    }
    return {
        "danelaw.timer": _TIMER.format(**words),
        "danelaw.service": _SERVICE.format(**words),
        "danelaw-failed.service": _FAILED.format(**words),
    }


def quoted(word: str) -> str:
    """Return an argument as systemd reads it back: systemd.service(5), "Command lines", and systemd.unit(5), "%"."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = all(character.isalnum() or character in "/._+:=@,-" for character in word)
    return word if plain and word else f'"{escaped}"'


def _in_shell(words: Sequence[str]) -> str:
    """Return arguments for a shell's command line that stands in single quotes in a unit."""
    text = shlex.join(words)
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("%", "%%").replace("$", "$$")


def cron_line(danelaw: Sequence[str], config: str, host: str) -> str:
    """Return a line for /etc/cron.d; cron mails to root what ``-q`` says: what failed, and what needs a person.

    The minute is the host's own, always the same, so that not everybody asks the CA at once.
    """
    given = [] if config == DEFAULT_PATH else ["--config", config]
    command = shlex.join([*danelaw, "-q", *given, "apply"]).replace("%", "\\%")  # crontab(5): % is a newline
    return f"{zlib.crc32(host.encode()) % 60} * * * * root {command}"


def this_danelaw() -> list[str]:
    """Return the command that runs this danelaw from anywhere."""
    program = shutil.which(sys.argv[0]) or sys.argv[0]
    if Path(program).name == "danelaw" and os.access(program, os.X_OK):
        return [str(Path(program).absolute())]
    return [sys.executable, "-m", "danelaw"]


def install(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Write the units, each by a rename; return the names of those that changed. Raises `Refused`, `InputError`."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; --unit-dir names where systemd reads units")
    for name in wanted:
        with suppress(FileNotFoundError):
            if not (folder / name).read_text(errors="replace").startswith(MARK):
                raise Refused(f"{folder / name} is not of danelaw's writing; remove it, or take another --unit-dir")
    changed = []
    for name, text in wanted.items():
        path = folder / name
        if path.exists() and path.read_text(errors="replace") == text:
            continue
        staged = path.with_name(f".{name}.new")
        try:
            staged.write_text(text)
            staged.chmod(0o644)
            staged.replace(path)
        except OSError as error:
            raise Refused(f"{path} cannot be written: {error.strerror}; install needs root") from None
        changed.append(name)
    return changed


def start(folder: Path) -> str:
    """Let a running systemd read the units and start the timer; return what to do where that is a person's."""
    commands = [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "danelaw.timer"]]
    if folder != UNIT_DIR or not Path("/run/systemd/system").is_dir():
        return "to start it: " + " && ".join(map(shlex.join, commands))
    for argv in commands:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"{shlex.join(argv)} failed: {done.stderr.strip() or done.returncode}")
    return "danelaw.timer runs; systemctl list-timers danelaw.timer says when next"
