"""The authoritative servers: BIND for the root, ``test.`` and, in a process of its own, the primary; Knot beside it."""

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
from dns.rdtypes.ANY.SOA import SOA

from world import layout
from world.server import Server, wait_until, write
from world.tools import program, run
from world.tsig import TsigKey
from world.zones import POLICY, SELF_SIGNED, Kind, Times, Zone, make_key, sign_in_the_past

_PROGRESS = "TYPE65534"
"""Where BIND notes how far the signing of a zone is: algorithm, key tag, whether it removes, whether it is complete."""


def ask(server: str, name: str, rdtype: str, *, timeout: float = 2.0) -> dns.message.Message:
    """Ask one server over TCP, with DNSSEC records; raises OSError or `dns.exception.DNSException`."""
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    return dns.query.tcp(query, server, timeout=timeout)


def serial_at(server: str, zone: str) -> int | None:
    """Return the SOA serial that a server serves with authority; None where it does not."""
    with contextlib.suppress(OSError, dns.exception.DNSException):
        answer = ask(server, zone, "SOA")
        if answer.flags & dns.flags.AA:
            for rrset in answer.answer:
                if rrset.rdtype == dns.rdatatype.SOA and isinstance(soa := rrset[0], SOA):
                    return soa.serial
    return None


def serves(server: str, zone: str, kind: Kind) -> bool:
    """Return whether a server answers with authority for a zone, which is signed to its end where it should be."""
    with contextlib.suppress(OSError, dns.exception.DNSException):
        answer = ask(server, zone, _PROGRESS if kind in SELF_SIGNED else "SOA")
        if answer.flags & dns.flags.AA:
            rrsets = {rrset.rdtype: rrset for rrset in answer.answer}
            if kind not in SELF_SIGNED:
                return dns.rdatatype.SOA in rrsets
            progress = rrsets.get(dns.rdatatype.from_text(_PROGRESS), ())
            return bool(progress) and all(record.to_wire()[-1] == 1 for record in progress)
    return False


class Named(Server):
    """One BIND process with zones that sign themselves.

    ``writers`` may change everything by dynamic update, and the first of them is rndc's key too; ``others`` are known
    and may change nothing.
    """

    def __init__(
        self,
        name: str,
        addresses: Sequence[str],
        folder: Path,
        *,
        what: str,
        times: Times,
        writers: Sequence[TsigKey],
        others: Sequence[TsigKey] = (),
        ipv6: Sequence[str] = (),
    ) -> None:
        self.name, self.where = name, f"{what}: BIND at {' and '.join(addresses)}"
        super().__init__(folder)
        self.addresses, self.times, self._writers, self._others = addresses, times, writers, others
        self._ipv6 = layout.usable(*ipv6)
        self._zones: dict[str, Kind] = {}
        self._transfers = "allow-transfer { none; }; notify no;"

    @property
    def policy(self) -> Path:
        """The file with the DNSSEC policy."""
        return self.folder / "policy.conf"

    def add(self, name: str, text: str, kind: Kind = "secure") -> Path | None:
        """Write down a zone and make its key; a running server needs `reconfigure`. Return the key's public half."""
        keys = self.folder / "keys"
        keys.mkdir(exist_ok=True)
        write(self.policy, self.times.policy())
        file = write(self.folder / self._file(name), text)
        self._zones[name] = kind
        if kind == "expired":
            return sign_in_the_past(name, keys, file)
        return make_key(name, keys, self.policy) if kind in SELF_SIGNED else None

    @staticmethod
    def _file(zone: str) -> str:
        return f"{zone.rstrip('.') or 'root'}.zone"

    def transfer_to(self, secondary: str, key: TsigKey) -> None:
        """Let a secondary have every zone, and tell it at once about every change."""
        self._transfers = (
            f'allow-transfer {{ key "{key.name}"; }}; notify explicit; notify-delay 0;'
            f' also-notify {{ {secondary} key "{key.name}"; }};'
            f" notify-source {self.addresses[0]}; notify-rate 1000; startup-notify-rate 1000;"
        )

    def configure(self) -> None:
        """Write named.conf from the zones known so far."""
        grants = " ".join(f'grant "{key.name}" zonesub ANY;' for key in self._writers)
        zones = "\n".join(
            f'zone "{name}" {{ type primary; file "{self._file(name)}";'
            + (f" update-policy {{ {grants} }};" if kind != "expired" else "")  # or named would sign it anew
            + (f' dnssec-policy "{POLICY}"; inline-signing no;' if kind in SELF_SIGNED else "")
            + " };"
            for name, kind in self._zones.items()
        )
        clauses = "\n".join(f'include "{key.clause}";' for key in (*self._writers, *self._others))
        write(
            self.folder / "named.conf",
            f"""{clauses}
include "{self.policy}";
options {{
    directory "{self.folder}"; key-directory "{self.folder}/keys";
    listen-on port 53 {{ {" ".join(f"{address};" for address in self.addresses)} }};
    listen-on-v6 port 53 {{ {" ".join(f"{address};" for address in self._ipv6 or ["none"])} }};
    pid-file "named.pid"; session-keyfile none; lock-file none; managed-keys-directory "{self.folder}";
    recursion no; dnssec-validation no; empty-zones-enable no; max-cache-size 4m;
    {self._transfers}
}};
controls {{ inet {self.addresses[0]} port 953 allow {{ any; }} keys {{ "{self._writers[0].name}"; }}; }};
{zones}
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return [self.own_copy("named"), "-g", "-n", "1", "-c", self.folder / "named.conf"]

    def ready(self) -> bool:
        return all(serves(self.addresses[-1], zone, kind) for zone, kind in self._zones.items())

    def reconfigure(self) -> None:
        """Let the running server know the zones added since it started."""
        self.configure()
        run("rndc", "-s", self.addresses[0], "-k", self._writers[0].clause, "reconfig")


class Secondary(Server):
    """Knot DNS, which follows the primary by NOTIFY and IXFR, and can be made to fail in the ways that they do."""

    name = "secondary"
    where = f"their ns2: Knot at {layout.NS2}"

    def __init__(self, folder: Path, key: TsigKey, zones: Mapping[str, Zone]) -> None:
        super().__init__(folder)
        self._key, self._zones = key, zones
        self._lagging: tuple[threading.Thread, threading.Event] | None = None
        self._catching_up = threading.Lock()
        self.frozen = False

    def configure(self) -> None:
        """Write knot.conf for the zones known so far."""
        (self.folder / "run").mkdir(exist_ok=True)
        secret = self._key.private.read_text().split("Key: ", 1)[1].split("\n", 1)[0]
        listed = "\n".join(f'  - domain: "{zone}"' for zone in self._zones)
        text = f"""server:
  listen: [{", ".join(f'"{address}@53"' for address in layout.usable(layout.NS2, layout.SERVERS6["ns2"]))}]
  rundir: "{self.folder}/run"
  udp-workers: 1
  tcp-workers: 2
  background-workers: 2
log:
  - target: stderr
    any: info
database:
  storage: "{self.folder}"
  journal-db-max-size: 50M
  timer-db-max-size: 5M
  kasp-db-max-size: 5M
key:
  - id: {self._key.name}
    algorithm: {self._key.algorithm}
    secret: {secret}
remote:
  - id: primary
    address: {layout.NS1}@53
    via: {layout.NS2}
    key: {self._key.name}
acl:
  - id: notify
    address: {layout.NS1}
    action: notify
    key: {self._key.name}
template:
  - id: default
    storage: "{self.folder}"
    master: primary
    acl: notify
zone:
{listed}
"""
        write(self.folder / "knot.conf", text, 0o600)

    def argv(self) -> Sequence[str | Path]:
        return [program("knotd"), "-c", self.folder / "knot.conf"]

    def ready(self) -> bool:
        return all(serves(layout.NS2, zone.name, zone.kind) for zone in self._zones.values())

    def start(self) -> None:
        """Start it again; it asks the primary at once, since nobody notifies it of what it missed."""
        super().start()
        self.control("zone-refresh")

    def control(self, *command: str) -> None:
        """Give it a command of knotc."""
        run("knotc", "-s", self.folder / "run" / "knot.sock", *command)

    def reconfigure(self) -> None:
        """Let the running server know the zones added since it started."""
        self.configure()
        self.control("reload")

    def freeze(self) -> None:
        """Take no updates from here on, and go on answering with what is there."""
        self.control("-b", "zone-freeze")  # else it is queued behind what the server does, and an update passes it
        self.frozen = True

    def thaw(self) -> None:
        """End `freeze` or `lag`: catch up with the primary at once."""
        self.end_lag()
        self.control("zone-thaw")
        self.control("zone-refresh")
        self.frozen = False

    def lag(self, seconds: float) -> None:
        """Take every update from here on about ``seconds`` late, until `thaw`."""
        self.freeze()
        over = threading.Event()
        thread = threading.Thread(target=self._lag, args=(seconds, over), name="lag", daemon=True)
        thread.start()
        self._lagging = thread, over

    def end_lag(self) -> None:
        """Stop taking updates late: take none."""
        if self._lagging:
            thread, over = self._lagging
            over.set()
            thread.join()
            self._lagging = None

    def _lag(self, seconds: float, over: threading.Event) -> None:
        since: dict[str, float] = {}
        while not over.wait(0.1):
            for zone in list(self._zones):
                if self._in_step(zone):
                    since.pop(zone, None)
                elif time.monotonic() - since.setdefault(zone, time.monotonic()) >= seconds:
                    with self._catching_up:
                        self.control("zone-thaw", zone)
                        self.control("zone-refresh", zone)
                        wait_until(partial(self._in_step, zone), f"the secondary lacks {zone}", self.last_words)
                        self.control("-b", "zone-freeze", zone)

    def in_step(self, zone: str) -> bool:
        """Return whether it serves the primary's serial of a zone; where it lags, it is frozen again then."""
        with self._catching_up:
            return self._in_step(zone)

    def _in_step(self, zone: str) -> bool:
        serial = serial_at(layout.NS1, zone)
        return serial is not None and serial_at(layout.NS2, zone) == serial
