"""A whole renewal in the test world: the same Pebble, name and web server for danelaw and for certbot.

danelaw orders, deploys to Postfix, reloads it, and proves by handshakes what it presents; certbot orders, and writes
its files.
"""

from collections.abc import Callable
from pathlib import Path

from bench import certbot
from bench.measure import Bench, Command, Runs
from scenario import Site
from world import World, layout

NAME = f"mail.{layout.DOMAIN}"


def measure(
    bare: Command, danelaw: str, program: Path, folder: Path, runs: int, turn: Callable[[int], None]
) -> dict[str, Runs]:
    """Return the figures of ``bare``, ``danelaw`` and ``certbot``. Raises RuntimeError where one did not renew."""
    with World(("bind", "unbound", "pebble", "postfix", "apache"), key_type="p256") as world:
        site = Site(world, folder, services=("postfix",), names=[NAME])
        site.json("apply", "--wait")
        live = folder / "certbot"
        env = {"REQUESTS_CA_BUNDLE": str(world.pebble.ca_bundle)}
        with Bench(env) as bench:
            bench.once(Command("certbot's first certificate", _first(program, live, world)))
            commands = [
                bare,
                Command("danelaw", [danelaw, "--config", str(site.config), "apply", "--force-renewal"]),
                Command("certbot", certbot.renew(program, live, "--force-renewal")),
            ]
            found = bench.in_turns(commands, runs, turn)
        numbers = [int(path.stem.removeprefix("cert")) for path in (live / "archive" / NAME).glob("cert*.pem")]
        counts = len(site.chains), max(numbers)  # certbot removes what is old
        if counts != (runs + 2, runs + 2):
            raise RuntimeError(f"danelaw has {counts[0]} certificates and certbot {counts[1]}, not {runs + 2} each")
        return found


def _first(program: Path, live: Path, world: World) -> list[str]:
    """Return the command that gives certbot an account and its first certificate."""
    return [
        *(str(program), "certonly", *certbot.folders(live), "--non-interactive", "--agree-tos"),
        *("--server", world.pebble.directory, "--email", f"admin@{layout.DOMAIN}", "--key-type", "ecdsa"),
        *("--webroot", "--webroot-path", str(world.apache.webroot), "--domain", NAME),
    ]
