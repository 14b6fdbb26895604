"""The world: all servers together, with what tests and people do to them."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

from world import layout
from world.ca import Pebble
from world.courier import Courier, show_programs
from world.mailservers import Dovecot, Postfix
from world.nameservers import Named, Secondary, serial_at
from world.namespace import Namespace, bind_mount
from world.pki import Authority, Identity, make_private_key
from world.private import ETC, make_private
from world.resolvers import Resolver
from world.server import Server, wait_until, write
from world.services import Service
from world.tools import WorldError, run
from world.tsig import ALGORITHMS, TsigKey, make_tsig_key
from world.webservers import Apache, Nginx
from world.zones import Kind, Times, Zone, ds_of, write_anchors

ServiceName = Literal["bind", "knot", "unbound", "pebble", "postfix", "dovecot", "apache", "courier", "nginx"]
EVERY: frozenset[ServiceName] = frozenset(get_args(ServiceName))
ALL: frozenset[ServiceName] = EVERY - {"courier", "nginx"}
"""What a world has unless it is told otherwise; the rest is asked for by name."""

BEGINNING: Mapping[str, Kind] = {
    layout.DOMAIN: "secure",
    "unsigned.test": "insecure",
    "bogus.test": "bogus",
    "expired.test": "expired",
}
"""The zones that are there when a world begins."""


class World:
    """A mail domain, ``example.test``, with all that it needs, in namespaces of its own.

    A context manager: the calling thread is inside while it is open. ``services`` says which servers start;
    ``ttl`` and ``negative_ttl`` are seconds; ``key_type`` (``rsa2048``, ``p256``) is of the key already in use;
    ``pebble_options`` is Pebble's environment; ``ipv6``: the zones that are there at once have IPv6 addresses. Raises
    `WorldError`.
    """

    def __init__(
        self,
        services: Iterable[ServiceName] = ALL,
        *,
        ttl: int = 5,
        negative_ttl: int = 1,
        key_type: str = "rsa2048",
        pebble_options: Mapping[str, str] | None = None,
        ipv6: bool = False,
    ) -> None:
        self.services = frozenset(services)
        self.times = Times(ttl, negative_ttl)
        self.zones: dict[str, Zone] = {}
        self.servers: list[Server] = []
        self._nameservers = {"ns1": layout.NS1} | ({"ns2": layout.NS2} if "knot" in self.services else {})
        self._key_type = key_type
        self._pebble_options = pebble_options or {}
        self._ipv6 = ipv6
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            self.folder = Path(tempfile.mkdtemp(prefix="world-"))
            self.folder.chmod(0o755)  # postfix, www-data and others find their own files in it
            ending.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.namespace = ending.enter_context(Namespace(self.folder, layout.ADDRESSES))
            self._make()
            ending.callback(self._end_servers)
            self._start()
            self._ending = ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.close()

    def _make(self) -> None:
        """Write down what servers share, then the servers themselves."""
        folder = self.folder
        resolv_conf = f"nameserver {layout.RESOLVER}\noptions edns0 trust-ad timeout:2 attempts:2\n"
        make_private(folder / "private")
        if "courier" in self.services:
            show_programs()
        write(ETC / "resolv.conf", resolv_conf)
        keys = folder / "tsig"
        self.owner_key = make_tsig_key("owner", "hmac-sha256", keys)
        """Changes everything everywhere: the world's own."""
        self.stranger_key = make_tsig_key("stranger", "hmac-sha256", keys)
        """Known to the primary, and allowed nothing."""
        self.keys: dict[str, TsigKey] = {
            algorithm: make_tsig_key(f"{algorithm}.{layout.DOMAIN}", algorithm, keys) for algorithm in ALGORITHMS
        }
        """Keys that may change everything in the zones of the primary, by algorithm."""
        transfer = self._transfer_key = make_tsig_key("transfer", "hmac-sha256", keys)

        writers = (self.owner_key, *self.keys.values())
        self.parents = Named(
            "parents",
            (layout.ROOT_NS, layout.TEST_NS),
            folder,
            what="the root and test.",
            times=self.times,
            writers=[self.owner_key],
        )
        self.primary = Named(
            "primary",
            (layout.NS1,),
            folder,
            what=f"{', '.join(BEGINNING)}: their ns1",
            times=self.times,
            writers=writers,
            others=(self.stranger_key, transfer),
            ipv6=[layout.SERVERS6["ns1"]],
        )
        self.primary.transfer_to(layout.NS2, transfer)
        self.secondary = Secondary(folder, transfer, self.zones)
        self._make_zones()

        hints, anchor = self.root_hints, self.root_ds
        self.resolver = Resolver(folder, "resolver", layout.RESOLVER, hints, anchor, caching=True)
        self._ca_resolver = Resolver(folder, "ca-resolver", layout.CA_RESOLVER, hints, anchor, caching=False)
        self.pebble = Pebble(folder, self._pebble_options)
        self.old_ca = Authority("A CA that browsers stopped trusting")
        self.initial: Identity = self.old_ca.issue(layout.NAMES, make_private_key(self._key_type))
        """The key and the certificate in use when the world begins."""
        self.initial_key = write(folder / "initial.key", self.initial.key_pem, 0o600)
        self.initial_cert = write(folder / "initial.pem", self.initial.fullchain_pem)
        self.postfix = Postfix(folder, self.initial)
        self.dovecot = Dovecot(folder, self.initial)
        self.apache = Apache(folder, self.initial)
        self.courier = Courier(folder, self.initial)
        self.nginx = Nginx(folder, self.initial)

    def _make_zones(self) -> None:
        times = self.times
        hosts = [f"ns.test. A {layout.TEST_NS}", f"ca.test. A {layout.CA}"]
        lines = [times.soa("ns.test."), "@ NS ns.test.", *hosts]
        for name, kind in BEGINNING.items():
            zone = self.zones[name] = Zone(name, kind, self._nameservers, ipv6=self._ipv6)
            key = self.primary.add(name, zone.text(times), kind)
            lines += zone.delegation(times, "" if key is None else ds_of(key, matching=kind != "bogus"))
        test_key = self.parents.add("test.", "\n".join([*lines, ""]))
        assert test_key
        root = [times.soa("a.root."), "@ NS a.root.", f"a.root. A {layout.ROOT_NS}"]
        delegation = ["test. NS ns.test.", hosts[0], f"test. DS {ds_of(test_key)}"]
        mirror_key = self.parents.add(f"{layout.MIRROR}.", "\n".join([*self._mirror(), ""]))
        assert mirror_key
        delegation += [f"{layout.MIRROR}. NS ns.test.", f"{layout.MIRROR}. DS {ds_of(mirror_key)}"]
        root_key = self.parents.add(".", "\n".join([*root, *delegation, ""]))
        assert root_key
        self.root_hints = write(
            self.folder / "root.hints", f". 3600 IN NS a.root.\na.root. 3600 IN A {layout.ROOT_NS}\n"
        )
        """Where the world's root is, as Unbound and libunbound read it."""
        self.root_key, self.root_ds, self.bind_keys = write_anchors(root_key, self.folder)
        bind_mount(self.root_key, Path("/usr/share/dns/root.key"))  # compiled into GnuTLS's danetool

    def _mirror(self) -> list[str]:
        """Return a zone that shows the mail host to tools on libunbound, which keeps ``test.`` from them."""
        owner = f"_25._tcp.mail.{layout.DOMAIN}."
        addresses = [f"mail A {address}" for address in layout.MAIL]
        return [self.times.soa("ns.test."), "@ NS ns.test.", *addresses, f"_25._tcp.mail CNAME {owner}"]

    def _start(self) -> None:
        """Start all at once; only who asks others at its start waits for them."""
        groups: dict[ServiceName, list[Server]] = {
            "bind": [self.parents, self.primary],
            "unbound": [self.resolver],
            "pebble": [self._ca_resolver, self.pebble],
            "postfix": [self.postfix],
            "dovecot": [self.dovecot],
            "apache": [self.apache],
            "courier": [self.courier],
            "nginx": [self.nginx],
        }
        self.servers = [server for name, group in groups.items() if name in self.services for server in group]
        for server in self.servers:
            server.launch()
        if "knot" in self.services:
            self.primary.wait()
            self.servers.append(self.secondary)
            self.secondary.launch()
        for server in self.servers:
            server.wait()

    def _end_servers(self) -> None:
        self.secondary.end_lag()
        for server in self.servers:
            server.kill()

    # -- DNS ---------------------------------------------------------------------------------------------------------

    def zone_of(self, name: str) -> str:
        """Return the zone that a name is in."""
        labels = name.rstrip(".").split(".")
        for start in range(len(labels)):
            if (zone := ".".join(labels[start:])) in self.zones:
                return zone
        raise WorldError(f"{name} is in none of {', '.join(self.zones)}; world.zone() makes another")

    def zone(
        self,
        name: str,
        *,
        mail: Sequence[str] = layout.MAIL,
        web: Sequence[str] = (layout.WEB,),
        ipv6: bool = False,
    ) -> Zone:
        """Make another signed zone below ``test.``, so that a test disturbs nobody; it is served when this returns.

        ``mail`` and ``web`` are the addresses of its mail host and of its web site, IPv6 or not, for tests with servers
        of their own; ``ipv6`` adds those of the world's, and of the name servers. It takes a tenth of a second.
        """
        for address in {*mail, *web} - set(layout.ADDRESSES):
            self.namespace.add_address(address)
        zone = Zone(name, "secure", self._nameservers, mail, web, ipv6)
        key = self.primary.add(name, zone.text(self.times))
        assert key
        self.primary.reconfigure()
        self.zones[name] = zone
        self.nsupdate(layout.TEST_NS, "test", [f"add {line}" for line in zone.delegation(self.times, ds_of(key))])
        wait_until(self.primary.ready, f"the primary does not serve {name}", self.primary.last_words)
        if self.secondary.running:
            self.secondary.reconfigure()
            wait_until(self.secondary.ready, f"the secondary does not serve {name}", self.secondary.last_words)
        if self.resolver.running:
            self.resolver.flush("test")  # it may have seen that the zone was missing
        return zone

    def nsupdate(self, server: str, zone: str, lines: Sequence[str], key: Path | None = None) -> None:
        """Send one dynamic update by BIND's nsupdate; ``lines`` are its own, without ``update``."""
        script = [f"server {server}", f"zone {zone}.", *(f"update {line}" for line in lines), "send", ""]
        run("nsupdate", "-k", key or self.owner_key.clause, "-v", stdin="\n".join(script))

    def update(self, *lines: str, zone: str = layout.DOMAIN, key: Path | None = None, settle: bool = True) -> None:
        """Change a zone at the primary (``add NAME TTL TYPE DATA``, ``delete NAME [TYPE [DATA]]``), and `settle`."""
        self.nsupdate(layout.NS1, zone, lines, key)
        if settle:
            self.settle(zone)

    def publish(self, owner: str, records: Sequence[str], ttl: int | None = None, *, settle: bool = True) -> None:
        """Make a TLSA RRset what ``records`` say (``3 1 1 ab…``; none: no RRset), as a person with nsupdate would."""
        name = f"{owner.rstrip('.')}."
        adds = [f"add {name} {self.times.ttl if ttl is None else ttl} TLSA {record}" for record in records]
        self.update(f"delete {name} TLSA", *adds, zone=self.zone_of(owner), settle=settle)

    def settle(self, zone: str = layout.DOMAIN) -> None:
        """Wait until the secondary has what the primary has, unless it was told not to."""
        if self.secondary.running and not self.secondary.frozen:
            wait_until(lambda: self.secondary.in_step(zone), f"the secondary lacks {zone}", self.secondary.last_words)

    def serial(self, zone: str = layout.DOMAIN, server: str = layout.NS1) -> int | None:
        """Return the serial that a server serves; None where it does not answer."""
        return serial_at(server, zone)

    def dig(self, name: str, rdtype: str, *options: str, server: str = layout.RESOLVER) -> str:
        """Return what dig prints; ``+short`` and the like are ``options``."""
        return run("dig", f"@{server}", "+time=5", "+tries=2", name, rdtype, *options)

    def transfer(self, zone: str) -> str:
        """Return all records of a zone as its primary has them, one a line."""
        return run(
            "dig", f"@{layout.NS1}", zone, "AXFR", "+onesoa", "+nocomments", "+nostats", "-k", self._transfer_key.clause
        )

    @property
    def env(self) -> dict[str, str]:
        """What helps people and tools inside: ``WORLD``, the folder, and ``MAIL_CONFIG`` for posttls-finger."""
        return {"WORLD": str(self.folder), "MAIL_CONFIG": str(self.postfix.config_dir)}

    # -- all services ------------------------------------------------------------------------------------------------

    def present(self, identity: Identity) -> None:
        """Let every service present an identity: files, then reloads."""
        for server in self.servers:
            if isinstance(server, Service):
                server.present(identity)

    def present_both(self, rsa: Identity, ecdsa: Identity) -> None:
        """Let every service but Courier present two identities: the client's algorithms decide which."""
        for server in self.servers:
            if isinstance(server, Service) and server is not self.courier:
                server.present_both(rsa, ecdsa)

    @contextmanager
    def other_mail_host(self, identity: Identity, address: str = layout.OTHER_MAIL) -> Iterator[Postfix]:
        """Run a second Postfix that presents an identity of its own: another machine that shares the mail name.

        It is no business of `present` and `reset`. ``world.zone(name, mail=[*layout.MAIL, layout.OTHER_MAIL])`` makes a
        zone whose mail host is at both.
        """
        self.namespace.add_address(address)
        other = Postfix(Path(tempfile.mkdtemp(prefix="other-", dir=self.folder)), identity, address)
        other.folder.parent.chmod(0o755)
        other.start()
        try:
            yield other
        finally:
            other.stop()

    def reset(self) -> None:
        """Let every service present the initial identity again."""
        self.present(self.initial)
