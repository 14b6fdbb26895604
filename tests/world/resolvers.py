"""Unbound, validating from the world's own root."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.rcode

from world.nameservers import ask
from world.server import Server, write
from world.tools import run


class Resolver(Server):
    """A validating resolver. ``caching`` False: it forgets everything at once."""

    def __init__(self, folder: Path, name: str, address: str, hints: Path, anchor: Path, *, caching: bool) -> None:
        self.name, self.where = name, f"validating, {'' if caching else 'not '}caching: Unbound at {address}"
        super().__init__(folder)
        self.address, self._hints, self._anchor, self._caching = address, hints, anchor, caching

    def configure(self) -> None:
        lines = "cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n    aggressive-nsec: no\n    infra-host-ttl: 1\n"
        lines += "    unknown-server-time-limit: 50"  # ms: it forgets which server is dead, and the CA has no patience
        forgetting = "" if self._caching else lines
        write(
            self.folder / "unbound.conf",
            f"""server:
    directory: "{self.folder}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    interface: {self.address}
    outgoing-interface: {self.address}
    access-control: 127.0.0.0/8 allow
    do-ip6: no
    do-not-query-localhost: no
    # Unbound knows that there is no test. in the real Internet (RFC 6761 section 6.2); here is one.
    local-zone: "test." nodefault
    root-hints: "{self._hints}"
    trust-anchor-file: "{self._anchor}"
    module-config: "validator iterator"
    val-log-level: 2
    ede: yes
    serve-expired: no
    num-threads: 1
    msg-cache-size: 1m
    rrset-cache-size: 1m
    key-cache-size: 1m
    neg-cache-size: 512k
    {forgetting}
remote-control:
    control-enable: yes
    control-use-cert: no
    control-interface: "{self.folder}/control"
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return [self.own_copy("unbound"), "-d", "-p", "-c", self.folder / "unbound.conf"]

    def ready(self) -> bool:
        """Ask for what it knows by itself, so that nothing about the world is cached yet."""
        with contextlib.suppress(OSError, dns.exception.DNSException):
            return ask(self.address, "localhost", "A").rcode() == dns.rcode.NOERROR
        return False

    def flush(self, name: str = ".") -> None:
        """Forget all at and below a name, failures too."""
        run("unbound-control", "-c", self.folder / "unbound.conf", "flush_zone", name)
        run("unbound-control", "-c", self.folder / "unbound.conf", "flush_infra", "all")
