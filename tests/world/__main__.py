"""The world for people: ``up``, ``shell``, ``down``. docs/world.md explains it."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from world.contained import WORKER, run_contained
from world.server import wait_until
from world.services import Service
from world.tools import WorldError
from world.world import ALL, EVERY, ServiceName, World

STATE = Path("/run/danelaw-world")
"""One file for each world that is up, by name."""


class Up(NamedTuple):
    """A world that is up: the process that keeps it, the first process inside, and its shell's environment."""

    pid: int
    first: int
    env: dict[str, str]


def main(argv: Sequence[str]) -> int:
    """Run a command; return its exit status."""
    arguments = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("world: it needs root, for its namespaces and for servers on port 25: use sudo", file=sys.stderr)
        return 1
    try:
        status: int = arguments.run(arguments)
    except WorldError as error:
        print(f"world: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="world", description="A small Internet of real servers on this machine.")
    parser.add_argument("--name", default="world", help="of several worlds at once (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start it and stay; or run COMMAND in a new one and take it down again")
    some = f"some of {', '.join(sorted(EVERY))} (default: all but {', '.join(sorted(EVERY - ALL))})"
    up.add_argument("--only", type=_services, default=ALL, metavar="A,B…", help=some)
    up.add_argument("--ttl", type=int, default=5, metavar="SECONDS", help="of every record (default: %(default)s)")
    up.add_argument("--key-type", choices=("rsa2048", "p256"), default="rsa2048", help="of the key already in use")
    up.add_argument("--pebble", type=_option, action="append", default=[], metavar="NAME=VALUE", help="PEBBLE_… option")
    up.add_argument("command", nargs="*", metavar="COMMAND", help="after --")
    up.set_defaults(run=_up)
    shell = commands.add_parser("shell", help="a shell, or COMMAND, inside the world that is up")
    shell.add_argument("command", nargs="*", metavar="COMMAND", help="after --")
    shell.set_defaults(run=_shell)
    down = commands.add_parser("down", help="take down the world that is up")
    down.set_defaults(run=_down)
    return parser


def _services(text: str) -> frozenset[ServiceName]:
    chosen = frozenset(text.split(","))
    if not chosen <= EVERY:
        raise argparse.ArgumentTypeError(f"found {text}, expected some of {','.join(sorted(EVERY))}")
    return frozenset(name for name in get_args(ServiceName) if name in chosen)


def _option(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"found {text}, expected NAME=VALUE")
    return name, value


# -- up ----------------------------------------------------------------------------------------------------------------


def _up(arguments: argparse.Namespace) -> int:
    """Without COMMAND the world has a name, under which ``shell`` and ``down`` find it."""
    state = STATE / f"{arguments.name}.json"
    named = not arguments.command
    if named and _read(state):
        raise WorldError(f'the world "{arguments.name}" is up already: shell enters it, down ends it; or use --name')
    reader, writer = os.pipe()

    def work() -> int:
        os.close(reader)
        return _keep(arguments, writer)

    def watch(first: int) -> None:
        os.close(writer)
        with os.fdopen(reader) as report:
            line = report.readline()
        if line and named:
            STATE.mkdir(mode=0o700, exist_ok=True)
            state.write_text(json.dumps(Up(os.getpid(), first, json.loads(line))))

    try:
        return run_contained(work, watch)
    finally:
        if named:
            state.unlink(missing_ok=True)


def _keep(arguments: argparse.Namespace, report: int) -> int:
    """Hold a world open, as the worker: until a signal, or until COMMAND ends. Its environment goes to ``report``."""
    began = time.monotonic()
    options = dict(arguments.pebble)
    world = World(arguments.only, ttl=arguments.ttl, key_type=arguments.key_type, pebble_options=options)
    try:
        with world:
            env = {**world.env, "PS1": "(world) \\w \\$ "}
            os.write(report, json.dumps(env).encode() + b"\n")
            os.close(report)
            if arguments.command:
                return _run(arguments.command, env)
            print(f"The world is up after {time.monotonic() - began:.1f} s.\n\n{describe(world)}", flush=True)
            while True:
                signal.pause()
    except WorldError as error:
        print(f"world: {error}", file=sys.stderr)
        return 1
    finally:
        sys.stdout.flush()


def _run(command: Sequence[str], env: dict[str, str]) -> int:
    interrupt = signal.signal(signal.SIGINT, lambda _number, _frame: None)  # Ctrl-C is the command's
    try:
        status = subprocess.run(command, env={**os.environ, **env}, check=False).returncode
    except OSError as error:
        raise WorldError(f"{command[0]}: {error.strerror}") from None
    finally:
        signal.signal(signal.SIGINT, interrupt)
    return status if status >= 0 else 128 - status


def describe(world: World) -> str:
    """Return a page that says what is where, and what can be done with it."""
    lines = [f"{server.name:12} {server.where}" for server in world.servers]
    files = {
        "logs": world.folder / "*" / "log",
        "root hints": world.root_hints,
        "trust anchor": world.root_ds,
        "TSIG keys": world.folder / "tsig",
        "key in use": world.initial_key,
        "CA's HTTPS": world.pebble.ca_bundle,
    }
    lines += ["", *(f"{what:12} {path}" for what, path in files.items()), ""]
    services = [server for server in world.servers if isinstance(server, Service)]
    lines += [f"{'reload':12} {shlex.join(service.reload)}" for service in services]
    key = world.keys["hmac-sha256"].clause
    lines += [
        f"{'update':12} nsupdate -k {key}",
        "",
        "In another terminal: scripts/world shell. There, dig example.test MX +dnssec works, and so do all the above.",
        "Ctrl-C, or scripts/world down, ends it.",
    ]
    return "\n".join(lines)


# -- shell and down ----------------------------------------------------------------------------------------------------


def _read(state: Path) -> Up | None:
    """Return the world that a state file speaks of, where it is still up."""
    try:
        up = Up(*json.loads(state.read_text()))
        parent = Path(f"/proc/{up.first}/stat").read_text().rsplit(")", 1)[1].split()[1]
    except (OSError, ValueError, TypeError):
        return None
    return up if int(parent) == up.pid else None


def _find(name: str) -> Up:
    if up := _read(STATE / f"{name}.json"):
        return up
    raise WorldError(f'no world "{name}" is up: start one with "up" in another terminal')


def _shell(arguments: argparse.Namespace) -> int:
    up = _find(arguments.name)
    command = arguments.command or ["bash", "--norc"]
    enter_processes = ["nsenter", "--target", str(up.first), "--pid", "--mount"]
    enter_network = ["nsenter", "--target", str(WORKER), "--net", "--mount"]
    there = ["env", f"--chdir={Path.cwd()}", *(f"{name}={value}" for name, value in up.env.items())]
    os.execvp("nsenter", [*enter_processes, *enter_network, *there, *command])  # noqa: S606 - no shell is the point


def _down(arguments: argparse.Namespace) -> int:
    up = _find(arguments.name)
    os.kill(up.pid, signal.SIGTERM)
    state = STATE / f"{arguments.name}.json"
    wait_until(lambda: _read(state) is None and not state.exists(), f'the world "{arguments.name}" does not end')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
