"""Endpoints checked a second, beside what others manage on the same endpoints of one Postfix, in the same turns."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from bench.measure import Bench, Command, Runs
from danelaw import dane, pki
from world import World, layout
from world.tools import program
from zoo.smtp_dane_verify import install

HOSTS = 200
"""Hosts, each with an address and a TLSA record of its own name; they share one Postfix."""

DOMAIN = f"many.{layout.DOMAIN}"

THEIRS = """
import sys
from smtp_dane_verify.verification import verify
for host in sys.argv[1:]:
    if not verify(host).is_valid:
        sys.exit(host)
"""

# One handshake with each endpoint, with nothing looked up and nothing judged: what the server and Python's ssl allow.
BARE = """
import asyncio, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
gate = asyncio.Semaphore(8)
async def reply(reader):
    while (await reader.readline())[3:4] == b"-":
        pass
async def shake(host, address):
    async with gate:
        reader, writer = await asyncio.open_connection(address, 25)
        await reply(reader)
        for line in b"EHLO [127.0.0.1]\\r\\n", b"STARTTLS\\r\\n":
            writer.write(line)
            await reply(reader)
        await writer.start_tls(context, server_hostname=host)
        assert writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
async def main():
    pairs = [pair.split("=") for pair in sys.argv[1:]]
    await asyncio.gather(*(shake(host, address) for host, address in pairs))
asyncio.run(main())
"""


def measure(danelaw: str, folder: Path, runs: int, turn: Callable[[int], None], hosts: int = HOSTS) -> dict[str, Runs]:
    """Return the figures of ``danelaw``, ``openssl``, ``smtp-dane-verify`` and ``handshakes``, each over all hosts."""
    python = install()
    with World(("bind", "unbound", "postfix"), key_type="p256") as world:
        record = dane.tlsa_record(dane.parse_spec("3 1 1"), pki.parse_chain(world.initial.fullchain_pem))
        named = {f"mx{number}.{DOMAIN}": layout.MAIL[number % 2] for number in range(hosts)}
        adds = [f"add {host}. 300 A {address}" for host, address in named.items()]
        adds += [f"add _25._tcp.{host}. 300 TLSA {record}" for host in named]
        world.update(*adds)
        targets = folder / "targets.txt"
        targets.write_text("".join(f"{host}:25\n" for host in named))
        config = folder / "check.toml"
        config.write_text(
            f'[resolver]\ntrust_anchor = "{world.folder}/root.ds"\nroot_hints = "{world.folder}/root.hints"\n'
        )
        check = [danelaw, "--config", str(config), "-q", "check", "--file", str(targets), "--jsonl"]
        with Bench() as bench:
            return bench.in_turns(
                [
                    Command("danelaw", check),
                    Command("openssl", ["sh", "-c", _loop(named, str(record))]),
                    Command("smtp-dane-verify", [str(python), "-c", THEIRS, *named]),
                    Command("handshakes", [sys.executable, "-c", BARE, *(f"{h}={a}" for h, a in named.items())]),
                ],
                runs,
                turn,
            )


def _loop(named: dict[str, str], record: str) -> str:
    """Return a shell's loop that gives the record to `openssl s_client`, which looks nothing up."""
    openssl = shlex.quote(program("openssl"))
    pairs = " ".join(f"{host}={address}" for host, address in named.items())
    return (
        f"for pair in {pairs}; do {openssl} s_client -brief -starttls smtp -connect ${{pair#*=}}:25 "
        f"-dane_tlsa_domain ${{pair%=*}} -dane_ee_no_namechecks -dane_tlsa_rrdata '{record}' "
        "-verify_return_error < /dev/null 2>&1 | grep -q 'Verification: OK' || exit 1; done"
    )
