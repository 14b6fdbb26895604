"""A small DNS of our own for the tests of ``danelaw.dns``: a signed root and what hangs below it, on loopback.

``127.53.0.1`` serves the root and ``test.``; ``127.53.0.2`` (BIND, primary) and ``127.53.0.3`` (Knot, secondary) serve
the zones below. It stands in a network namespace of its own, since root hints know port 53 only.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query

ROOT, PRIMARY, SECONDARY, DEAD = "127.53.0.1", "127.53.0.2", "127.53.0.3", "127.53.0.9"
PEER, PRIVATE = "127.53.0.5", "10.53.0.5"
"""Where a test may be the name server of ``hostile.test.`` (unsigned), of ``proxied.test.`` (signed; the primary has it
too, for who passes questions on) and, at the private address, of ``private.test.`` (unsigned)."""
RESOLVER, RESOLVER_PORT = "127.53.0.4", 5300
GOOD = "a" * 64
TSIG_SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA=="  # noqa: S105 - of these servers only
ALGORITHMS = (
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha224",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
    "hmac-sha256-128",
)
"""The primary knows a key of each, named ``ALGORITHM.key``."""

CHILDREN = ("example.test", "insecure.test", "expired.test", "bogus.test", "lagging.test")


def key_clause(name: str, algorithm: str, secret: str = TSIG_SECRET) -> str:
    """Return a key in named.conf's syntax."""
    return f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};\n'


POLICY = "dnssec-policy one { keys { csk lifetime unlimited algorithm ecdsap256sha256; }; };\n"
SOA = "$TTL 300\n@ SOA ns1.example.test. hostmaster.example.test. 1 3600 600 86400 60\n"
NS = "@ NS ns1.example.test.\n@ NS ns2.example.test.\n"

ROOT_ZONE = f"$TTL 300\n@ SOA a.root. hostmaster.root. 1 3600 600 86400 60\n@ NS a.root.\na.root. A {ROOT}\n"
ROOT_ZONE += f"test. NS a.nic.test.\na.nic.test. A {ROOT}\n"
TEST_ZONE = f"""$TTL 300
@ SOA a.nic.test. hostmaster.nic.test. 1 3600 600 86400 60
@ NS a.nic.test.
a.nic A {ROOT}
example 7200 NS ns1.example
example 7200 NS ns2.example
example 7200 NS ns6.example
ns1.example A {PRIMARY}
ns2.example A {SECONDARY}
ns6.example AAAA 2001:db8::53
insecure NS ns1.example
knot NS ns2.example
adrift NS ns1.example
adrift NS nothing.example
adrift NS ns.deep.gone
bogus NS ns1.example
expired NS ns1.example
hashed NS ns1.example
gone NS ns.gone
ns.gone A {DEAD}
lagging NS ns1.example
lagging NS ns9.lagging
ns9.lagging A {DEAD}
hostile NS ns.hostile
ns.hostile A {PEER}
proxied NS ns.proxied
ns.proxied A {PEER}
private NS ns.private
ns.private A {PRIVATE}
"""
EXAMPLE_ZONE = f"""{SOA}{NS}@ NS ns6.example.test.
ns1 A {PRIMARY}
ns2 A {SECONDARY}
ns6 AAAA 2001:db8::53
mail A 127.0.0.25
mail AAAA ::1
_25._tcp.mail 600 TLSA 3 1 1 {GOOD}
_25._tcp.mail TYPE52 \\# 7 030101abcdef01
_25._tcp.mail TXT "somebody else's"
_465._tcp.mail 120 CNAME _tlsa.mail
_tlsa.mail 60 TLSA 3 1 1 {GOOD}
_587._tcp.mail 120 CNAME _tlsa.mail.insecure.test.
_993._tcp.mail CNAME _995._tcp.mail
_995._tcp.mail CNAME _993._tcp.mail
*.wild A 127.0.0.26
*.wild TLSA 3 1 1 {GOOD}
explicit.wild A 127.0.0.26
_tcp.deleg NS ns2
@ MX 10 Mail
@ TYPE15 \\# 22 0005066d78206f6464076578616d706c65036f726700
null MX 0 .
_imaps._tcp SRV 1 2 993 Mail
_pop3s._tcp SRV 0 0 0 .
txt TXT "v=TLSRPTv1; " "rua=\\195\\188\\\\"
txt TXT "second"
far CNAME near
near CNAME mail
lost CNAME nothing
away CNAME mail.insecure.test.
broken CNAME mail.bogus.test.
sub DNAME wild.example.test.
"""
INSECURE_ZONE = f"""{SOA}{NS}mail A 127.0.0.25
_25._tcp.mail TLSA 3 1 1 {GOOD}
_tlsa.mail 90 TLSA 3 1 1 {GOOD}
*.wild A 127.0.0.26
*.wild TLSA 3 1 1 {GOOD}
explicit.wild A 127.0.0.26
"""
PLAIN_ZONE = f"{SOA}{NS}mail A 127.0.0.25\n_25._tcp.mail TLSA 3 1 1 {GOOD}\n"
DELEGATED_ZONE = f"{SOA}@ NS ns2.example.test.\n_25 TLSA 3 1 1 {GOOD}\n"
ADRIFT_ZONE = f"{SOA}@ NS ns1.example.test.\n_25._tcp.mail TLSA 3 1 1 {GOOD}\n"
PROXIED_ZONE = f"{SOA}@ NS ns.proxied.test.\nns A {PEER}\nmail A 127.0.0.25\n_25._tcp.mail TLSA 3 1 1 {GOOD}\n"
LAGGING_ZONE = PLAIN_ZONE + f"@ NS ns9.lagging.test.\nns9 A {DEAD}\n"


KNOT_ZONE = f"""{SOA.replace("ns1.example", "ns2.example")}@ NS ns2.example.test.
mail A 127.0.0.25
_25._tcp.mail 600 TLSA 3 1 1 {GOOD}
_25._tcp.mail TXT "somebody else's"
_465._tcp.mail CNAME _tlsa.mail
"""


class DnsServers:
    """The running servers and the files that a validator needs: ``trust_anchor`` and ``root_hints``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.zones = folder / "zones"
        self.trust_anchor = folder / "root.ds"
        self.root_hints = folder / "root.hints"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def build(self) -> None:
        """Write and sign every zone, and the configuration of every server."""
        self.zones.mkdir()
        self.root_hints.write_text(f". 3600 NS a.root.\na.root. 3600 A {ROOT}\n")
        (self.zones / "insecure.test").write_text(INSECURE_ZONE)
        (self.zones / "knot.test").write_text(KNOT_ZONE)
        (self.zones / "_tcp.deleg.example.test").write_text(DELEGATED_ZONE)
        (self.zones / "adrift.test.signed").write_text(ADRIFT_ZONE)
        (self.zones / "example.test").write_text(EXAMPLE_ZONE)
        self._sign("bogus.test", PLAIN_ZONE)
        policy = self.folder / "policy.conf"
        policy.write_text(POLICY)
        key = self._run("dnssec-keygen", "-q", "-l", str(policy), "-k", "one", "example.test").strip()
        delegations = [
            self._ds(key),
            self._ds(self._key("bogus.test")),  # of a key that the zone does not have
            self._sign("expired.test", PLAIN_ZONE, "-s", "now-86400", "-e", "now-600"),
            self._sign("lagging.test", LAGGING_ZONE),
            self._sign("proxied.test", PROXIED_ZONE),
            self._sign("hashed.test", PLAIN_ZONE, "-3", "ab", "-H", "12"),
        ]
        root = ROOT_ZONE + self._sign("test", TEST_ZONE + "".join(delegations))
        self.trust_anchor.write_text(self._sign(".", root))
        self._configure()

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=self.zones)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def _key(self, zone: str) -> str:
        return self._run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone).strip()

    def _ds(self, key: str) -> str:
        return self._run("dnssec-dsfromkey", "-2", f"{key}.key")

    def _sign(self, zone: str, text: str, *how: str) -> str:
        """Write a signed zone; return its DS record."""
        key = self._key(zone)
        name = "root" if zone == "." else zone
        (self.zones / name).write_text(f"{text}$INCLUDE {key}.key\n")
        self._run("dnssec-signzone", "-P", "-z", "-o", zone, *how, "-f", f"{name}.signed", name, key)
        return self._ds(key)

    def _configure(self) -> None:
        parents = "".join(_static(self.zones, zone) for zone in (".", "test"))
        self._named("root", ROOT, parents)
        keys = "".join(key_clause(f"{algorithm}.key", algorithm) for algorithm in ALGORITHMS)
        keys += key_clause("stranger.key", "hmac-sha256")
        allow = " ".join(f'key "{name}.key";' for name in ALGORITHMS)
        dynamic = f"allow-update {{ {allow} }}; also-notify {{ {SECONDARY}; }}; notify explicit; notify-delay 0;"
        signing = f'dnssec-policy one; inline-signing no; key-directory "{self.zones}";'
        children = (
            f'zone "example.test" {{ type primary; file "{self.zones}/example.test"; {signing} {dynamic} }};\n'
            f'zone "insecure.test" {{ type primary; file "{self.zones}/insecure.test"; {dynamic} }};\n'
        )
        children += "".join(
            _static(self.zones, zone) for zone in (*CHILDREN[2:], "adrift.test", "proxied.test", "hashed.test")
        )
        self._named("primary", PRIMARY, keys + POLICY + children)
        folder = self.folder / "knot"
        folder.mkdir()
        secondary = "".join(
            f"  - domain: {zone}\n    storage: {folder}\n    master: primary\n    acl: notify\n" for zone in CHILDREN
        )
        (self.folder / "knot.conf").write_text(
            f"server:\n  listen: {SECONDARY}@53\n  rundir: {folder}\n"
            f"log:\n  - target: {self.folder}/knot.log\n    any: info\n"
            f"database:\n  storage: {folder}\n"
            f"key:\n  - id: hmac-sha256.key\n    algorithm: hmac-sha256\n    secret: {TSIG_SECRET}\n"
            f"remote:\n  - id: primary\n    address: {PRIMARY}@53\n    via: {SECONDARY}\n"
            f"acl:\n  - id: notify\n    address: {PRIMARY}\n    action: notify\n"
            f"  - id: update\n    key: hmac-sha256.key\n    action: update\n"
            f"zone:\n{secondary}"
            f"  - domain: knot.test\n    storage: {self.zones}\n    file: knot.test\n    acl: update\n"
            f"  - domain: _tcp.deleg.example.test\n    storage: {self.zones}\n    file: _tcp.deleg.example.test\n"
        )

        (self.folder / "unbound.conf").write_text(
            f'server:\n  interface: {RESOLVER}@{RESOLVER_PORT}\n  do-daemonize: no\n  username: ""\n  chroot: ""\n'
            f'  directory: "{folder}"\n  pidfile: ""\n  use-syslog: no\n  num-threads: 1\n'
            f'  root-hints: "{self.root_hints}"\n  trust-anchor-file: "{self.trust_anchor}"\n'
            '  do-not-query-localhost: no\n  local-zone: "test." nodefault\n'
        )

    def _named(self, name: str, address: str, body: str) -> None:
        (self.folder / f"{name}.conf").write_text(
            f'options {{ directory "{self.folder}"; listen-on {{ {address}; }}; listen-on-v6 {{ none; }};\n'
            f'  pid-file "{self.folder}/{name}.pid"; session-keyfile "{self.folder}/{name}.session"; recursion no;\n'
            f"  query-source address {address}; notify-source {address}; transfer-source {address};\n"
            f'  dnssec-validation no; managed-keys-directory "{self.folder}"; allow-transfer {{ any; }};\n'
            f"  notify no; empty-zones-enable no; }};\ncontrols {{ }};\n{body}"
        )

    def start(self, name: str) -> None:
        """Start one of ``root``, ``primary``, ``secondary`` and ``resolver`` (validating, on a port of its own)."""
        if name == "resolver":
            argv = ["unbound", "-d", "-p", "-c", str(self.folder / "unbound.conf")]
        elif name == "secondary":
            argv = ["knotd", "-c", str(self.folder / "knot.conf")]
        else:
            argv = ["named", "-g", "-n", "1", "-U", "1", "-c", str(self.folder / f"{name}.conf")]
        with (self.folder / f"{name}.out").open("ab") as log:
            self._daemons[name] = subprocess.Popen(argv, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        """Stop a server."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def stop_all(self) -> None:
        """Stop every server."""
        for name in list(self._daemons):
            self.stop(name)

    def start_all(self) -> None:
        """Start every server, the secondary once there is something to transfer, and wait until all serve all."""
        self.start("root")
        self.start("primary")
        self.wait_for(PRIMARY, "mail.example.test", "NSEC", lambda answer: len(answer.answer) == 2)
        self.start("secondary")
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every zone is served everywhere, and signed where it is to be."""
        everywhere = [(server, zone) for server in (PRIMARY, SECONDARY) for zone in CHILDREN]
        for server, zone in ((ROOT, "test"), (SECONDARY, "knot.test"), *everywhere):
            self.wait_for(server, zone, "SOA", lambda answer: bool(answer.answer))
        for server in (PRIMARY, SECONDARY):
            self.wait_for(server, "mail.example.test", "NSEC", lambda answer: len(answer.answer) == 2)

    def wait_for(self, server: str, name: str, rrtype: str, good: Callable[[dns.message.Message], bool]) -> None:
        """Wait until a server's answer is good; fail with its log after ten seconds."""
        end = time.monotonic() + 10
        last: dns.message.Message | None = None
        while time.monotonic() < end:
            with contextlib.suppress(OSError, dns.exception.DNSException):
                last = self.dig(server, name, rrtype)
                if good(last):
                    return
            time.sleep(0.03)
        logs = "\n".join(p.read_text()[-2000:] for p in self.folder.glob("*.out"))
        raise AssertionError(f"{server} does not serve {name} {rrtype} as it should: {last}\n{logs}")

    def wait_for_resolver(self) -> None:
        """Wait until the resolver takes questions, and ask it none: it is to remember nothing."""
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((RESOLVER, RESOLVER_PORT), timeout=1).close()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.03)
            else:
                return

    def dig(self, server: str, name: str, rrtype: str) -> dns.message.Message:
        """Ask a server directly."""
        query = dns.message.make_query(name, rrtype, want_dnssec=True)
        return dns.query.udp(query, server, timeout=0.5, port=53)


def _static(zones: Path, zone: str) -> str:
    name = "root" if zone == "." else zone
    return f'zone "{zone}" {{ type primary; file "{zones}/{name}.signed"; }};\n'


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts, into a network namespace with nothing but loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before:
        assert libc.unshare(0x40000000) == 0, os.strerror(ctypes.get_errno())
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for address in (ROOT, PRIMARY, SECONDARY, RESOLVER, PEER, PRIVATE):
                subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
            yield
        finally:
            assert libc.setns(before.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())


@contextlib.contextmanager
def running(folder: Path, *, resolver: bool = True) -> Iterator[DnsServers]:
    """Build and start the servers, in a network of their own; the resolver too, unless it is left out."""
    with own_network():
        servers = DnsServers(folder)
        try:
            servers.build()
            servers.start_all()
            if resolver:
                servers.start("resolver")
                servers.wait_for_resolver()
            yield servers
        finally:
            servers.stop_all()
