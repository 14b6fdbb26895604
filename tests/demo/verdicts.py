"""What tools that nobody here wrote say of the mail host: OpenSSL, Postfix, GnuTLS, BIND and ldns."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from world import World, layout

OWNER = f"_25._tcp.mail.{layout.DOMAIN}."
MAIL = f"mail.{layout.DOMAIN}"


@dataclass(frozen=True)
class Verdict:
    """One tool's word: whether it accepts the host, and the line that says so."""

    tool: str
    good: bool
    said: str


def verdicts(world: World) -> Iterator[Verdict]:
    """Ask every tool about port 25."""
    yield posttls_finger(world)
    for address in layout.MAIL:
        yield s_client(world, address)
    yield danetool()
    yield delv(world)


def posttls_finger(world: World, domain: str = MAIL) -> Verdict:
    """Ask Postfix's own client at level dane-only: `Verified` is its word; its exit status is always 0."""
    said = _output(
        ["posttls-finger", "-c", "-l", "dane-only", "-L", "summary", f"[{domain}]"],
        env={"MAIL_CONFIG": str(world.postfix.config_dir), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    line = _line(said, "TLS connection established", said.splitlines()[-1] if said else "it said nothing")
    line = line.removeprefix("posttls-finger: ").split(" with cipher")[0]
    return Verdict(f"posttls-finger -l dane-only [{domain}]", "Verified TLS connection" in said, line)


def s_client(world: World, address: str, port: int = 25, owner: str = OWNER) -> Verdict:
    """Ask OpenSSL with the records that the validating resolver gives."""
    records = world.dig(owner, "TLSA", "+short").splitlines()
    rrdata = [item for record in records for item in ("-dane_tlsa_rrdata", record)]
    argv = ["openssl", "s_client", "-starttls", "smtp", "-connect", f"{address}:{port}", "-brief"]
    argv.append("-dane_ee_no_namechecks")  # RFC 7671 section 5.1
    said = _output([*argv, "-dane_tlsa_domain", owner.split(".", 2)[2].rstrip("."), *rrdata])
    line = _line(said, "Verification", "no verdict")
    return Verdict(
        f"openssl s_client -dane_tlsa_rrdata {address}:{port}", bool(records) and "Verification: OK" in said, line
    )


def danetool() -> Verdict:
    """Ask GnuTLS, through the mirror: its libunbound lets nobody see ``test.``."""
    host = f"mail.{layout.MIRROR}"
    said = _output(["danetool", "--check", host, "--starttls-proto", "smtp", "--port", "25", "--local-dns"])
    line = _line(said, "Verification", said.splitlines()[-1] if said else "it said nothing")
    return Verdict(f"danetool --check {host}", "Certificate matches" in said, line)


def ldns_dane(world: World, host: str, port: int) -> Verdict:
    """Ask NLnet Labs' ldns about a port of TLS at once (it has no STARTTLS); it chases signatures itself."""
    said = _output(["ldns-dane", "-n", "-S", "-k", str(world.root_key), "verify", host, str(port)])
    lines = said.splitlines()
    good = bool(lines) and all("dane-validated successfully" in line for line in lines)
    return Verdict(f"ldns-dane verify {host} {port}", good, lines[-1] if lines else "it said nothing")


def delv(world: World, owner: str = OWNER) -> Verdict:
    """Ask BIND's validator."""
    said = _output(["delv", "-a", str(world.bind_keys), "+root=.", f"@{layout.RESOLVER}", owner, "TLSA"])
    line = _line(said, ";", said.splitlines()[0] if said else "it said nothing")
    return Verdict("delv TLSA", "; fully validated" in said, line)


def _output(argv: Sequence[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, input="QUIT\n", timeout=30, env=env)
    return done.stdout + done.stderr


def _line(text: str, mark: str, otherwise: str) -> str:
    return next((line.strip() for line in text.splitlines() if mark in line), otherwise)
