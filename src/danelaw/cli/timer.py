"""`danelaw timer`: what runs `apply` every hour, as systemd units or as a cron line.

The units are text below, filled with the path of this danelaw. `apply` with nothing due touches nothing, so an hour is
no burden; `Persistent=` makes up for what a machine that was off has missed; a random delay keeps the CA from meeting
everybody at the full hour.
"""

# ruff: noqa: PTH120 - paths are text here

import os
import shlex
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from danelaw.config import Config
from danelaw.config.files import DEFAULT_PATH
from danelaw.deploy import files
from danelaw.errors import InputError, Refused

READ_ONLY = ("/usr/", "/boot/", "/efi/")
"""What ``ProtectSystem=yes`` makes read-only (systemd.exec(5))."""

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
# A stop is told to danelaw alone, which lets a reload come to its end; what post_challenge started lives on.
KillMode=process

# danelaw runs your commands (reload, test, pre_challenge) in here, as root: what they need is left open. It writes
# below /etc, /var and its webroots, signals daemons, binds port 80, and reads /proc to know whether another run lives.
# A stricter ProtectSystem= would let `nginx -t` and `postfix check` fail, and each new path of the config.
NoNewPrivileges=yes
ProtectSystem=yes{writable}
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
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=~CAP_BLOCK_SUSPEND CAP_BPF CAP_LEASE CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE
CapabilityBoundingSet=~CAP_PERFMON CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_PACCT CAP_SYS_TTY_CONFIG
# A core dump would hold the keys.
LimitCORE=0
"""

_FAILED = """\
{mark}
[Unit]
Description=Mail to root: danelaw failed, or waits for a person

[Service]
Type=oneshot
# Where danelaw itself is what is broken, the mail goes out all the same.
ExecStart=/bin/sh -c '{{ echo "To: root"; echo "Subject: danelaw on %H needs a person"; \\
    echo "Auto-Submitted: auto-generated"; echo "MIME-Version: 1.0"; \\
    echo "Content-Type: text/plain; charset=utf-8"; echo "Content-Transfer-Encoding: 8bit"; echo; \\
    {danelaw_quoted} -q{config_quoted} status 2>&1; echo; \\
    systemctl status --no-pager --full --lines=50 danelaw.service 2>&1; }} | /usr/sbin/sendmail -i -t'
"""


def writable(config: Config) -> tuple[str, ...]:
    """Return the folders that a configuration wants written in what ``ProtectSystem=yes`` keeps from that."""
    places = [config.state_dir]
    for spec in config.desired.certificates:
        places += spec.http01.webroots
        for file in (file for deployment in spec.deployments for file in deployment.files):
            places.append(os.path.dirname(file.path))
    real = (os.path.realpath(place) for place in places)
    return tuple(sorted({place for place in real if f"{place}/".startswith(READ_ONLY)}))


def units(danelaw: Sequence[str], config: str, folders: Sequence[str] = ()) -> Mapping[str, str]:
    """Return each unit's text by its name.

    ``danelaw`` is the command that runs it, ``config`` an absolute path, ``folders`` what is `writable`. Raises
    `InputError` for a path that would end its line in a unit.
    """
    check_words([*danelaw, config, *folders])
    given = [] if config == DEFAULT_PATH else ["--config", config]
    words = {
        "mark": MARK,
        "danelaw": " ".join(map(quoted, danelaw)),
        "config": "".join(f" {quoted(word)}" for word in given),
        "writable": "".join(f"\nReadWritePaths={quoted(f'-{folder}')}" for folder in folders),
        "danelaw_quoted": _in_shell(danelaw),
        "config_quoted": f" {_in_shell(given)}" if given else "",
    }
    return {
        "danelaw.timer": _TIMER.format(**words),
        "danelaw.service": _SERVICE.format(**words),
        "danelaw-failed.service": _FAILED.format(**words),
    }


def check_words(words: Iterable[str]) -> None:
    """Refuse words with a line break or another control character: no unit and no crontab can hold them."""
    for word in words:
        if not word.isprintable():
            raise InputError(f"{word!r}: a path with a character that cannot stand in a unit or crontab; rename it")


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
    check_words([*danelaw, config])
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
    found = {name: _standing(folder / name) for name in wanted}
    for name, text in found.items():
        if text is not None and not text.startswith(MARK):
            raise Refused(f"{folder / name} is not of danelaw's writing; remove it, or take another --unit-dir")
    changed = [name for name, text in wanted.items() if found[name] != text]
    for name in changed:
        with files.explained(folder / name):
            files.put_file(folder / name, wanted[name].encode(), files.Ownership(0o644, os.geteuid(), os.getegid()))
    return changed


def _standing(path: Path) -> str | None:
    """Return what stands at a unit's path, None where nothing does."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return "" if path.is_symlink() else None  # a link to nowhere is somebody's
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; remove it, or take another --unit-dir") from None


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
