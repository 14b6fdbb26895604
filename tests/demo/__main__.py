"""`make demo`: danelaw's main job on real servers, shown as it happens.

An administrator has Postfix, Dovecot, Apache and BIND, an RSA-2048 key in use, a certificate of a CA that browsers
stopped trusting, and the record `3 0 1` of it. danelaw takes over, renews, and revokes.
"""

import hashlib
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from demo.verdicts import verdicts
from scenario import Site
from world import World, layout
from world.contained import run_contained

OWNER = f"_25._tcp.mail.{layout.DOMAIN}."
MAIL = f"mail.{layout.DOMAIN}"


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def title(text: str) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    say(f"\n{bold}== {text}{plain}")


def shown(argv: Sequence[str], *, expected: int = 0) -> None:
    """Run a command of danelaw, its output going straight to the terminal; fail where it ends otherwise."""
    say(f"$ danelaw {shlex.join(argv[3:])}")
    status = subprocess.run(argv, check=False).returncode
    if status != expected:
        raise SystemExit(f"demo: danelaw ended with exit status {status}, expected {expected}")


def dig(world: World) -> None:
    say(f"$ dig +dnssec +multi {OWNER} TLSA")
    answer = world.dig(OWNER, "TLSA", "+dnssec", "+multi")
    kept = [line for line in answer.splitlines() if line.strip() and not line.startswith((";; Q", "; <<", ";; global"))]
    say("\n".join(kept))


def check(world: World) -> None:
    title("What the tools of others say")
    failed = False
    for verdict in verdicts(world):
        say(f"{'ok  ' if verdict.good else 'BAD '} {verdict.tool:<48} {verdict.said}")
        failed |= not verdict.good
    if failed:
        raise SystemExit("demo: another tool disagrees")


def demo(folder: Path) -> None:
    started = time.monotonic()
    with World() as world:
        site = Site(world, folder, ttl=5)
        leaf_der = world.initial.leaf.public_bytes(Encoding.DER)
        world.publish(OWNER, [f"3 0 1 {hashlib.sha256(leaf_der).hexdigest()}"], ttl=5)
        say(f"The world is up after {time.monotonic() - started:.1f} s: {', '.join(sorted(world.services))}.")
        title("Before: the key in use, the old certificate, the record `3 0 1` of it")
        dig(world)
        title("The config")
        say(site.config.read_text().strip())
        title("What danelaw would do")
        shown(site.argv("plan"))
        title("danelaw does it")
        shown(site.argv("apply", "--wait"))
        title("After")
        dig(world)
        check(world)
        title("How it stands")
        shown(site.argv("status"))
        serial = world.serial()
        title("A renewal over the same key: no DNS change")
        shown(site.argv("apply", "--force-renewal", "--wait"))
        if world.serial() != serial:
            raise SystemExit(f"demo: the SOA serial moved from {serial} to {world.serial()}")
        say(f"The SOA serial is {serial}, as before.")
        title("Nothing due")
        shown(site.argv("apply"))
        title("Revoke what is live, and its renewal is due at once")
        shown(site.argv("revoke", layout.DOMAIN, "--reason", "superseded"), expected=1)
        shown(site.argv("revoke", layout.DOMAIN, "--reason", "superseded", "--yes"))
        shown(site.argv("apply", "--wait"))
        check(world)
    say(f"\nAll in {time.monotonic() - started:.0f} s. Nothing is left running.")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="danelaw-demo-") as folder:
        demo(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(run_contained(main, lambda _first: None))
