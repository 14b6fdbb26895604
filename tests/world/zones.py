"""What stands in the zones, and the keys and policies that sign them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from world import layout
from world.server import write
from world.tools import run

POLICY = "quick"


@dataclass(frozen=True, slots=True)
class Times:
    """``ttl`` of every record and ``negative_ttl`` of what is missing, in seconds."""

    ttl: int = 5
    negative_ttl: int = 1

    def soa(self, server: str) -> str:
        """Return the head of a zone file, up to and with its SOA."""
        timers = f"1 3600 1 86400 {self.negative_ttl}"
        return f"$TTL {self.ttl}\n@ IN SOA {server} hostmaster.{layout.DOMAIN}. {timers}"

    def policy(self) -> str:
        """Return the DNSSEC policy: one ECDSA P-256 key, no waiting for anybody's caches, signatures for a day."""
        return f"""dnssec-policy "{POLICY}" {{
    keys {{ csk lifetime unlimited algorithm ecdsap256sha256; }};
    dnskey-ttl {self.ttl};
    parent-ds-ttl {self.ttl};
    max-zone-ttl 1d;
    publish-safety 0; retire-safety 0; zone-propagation-delay 0; parent-propagation-delay 0;
    signatures-validity 1d; signatures-validity-dnskey 1d; signatures-refresh 12h;
}};
"""


Kind = Literal["secure", "insecure", "bogus", "expired"]
"""What a validating resolver says of a zone. ``expired`` is bogus too: its signatures ended days ago."""
SELF_SIGNED: frozenset[Kind] = frozenset({"secure", "bogus"})
"""Those that BIND signs as they change, by the DNSSEC policy."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone below ``test.``; ``servers`` are its name servers by first label, ``mail`` its mail host's addresses.

    ``web`` are those of its web site, and ``ipv6`` says whether each of all these hosts has its IPv6 addresses too.
    """

    name: str
    kind: Kind
    servers: Mapping[str, str]
    mail: Sequence[str] = layout.MAIL
    web: Sequence[str] = (layout.WEB,)
    ipv6: bool = False

    def _nameservers(self, ttl: int) -> str:
        """Return their NS and address records."""
        lines = []
        for label, address in self.servers.items():
            addresses = [address, *([layout.SERVERS6[label]] if self.ipv6 else ())]
            lines.append(f"{self.name}. {ttl} IN NS {label}.{self.name}.")
            lines += [f"{label}.{self.name}. {ttl} IN {_address(each)}" for each in addresses]
        return "\n".join(lines)

    def text(self, times: Times) -> str:
        """Return the zone file: a mail host with two addresses, a web site, and two traps (wildcard and alias)."""
        more_mail, more_web = (layout.MAIL6, (layout.WEB6,)) if self.ipv6 else ((), ())
        mail = _hosts(("mail", "*.wild", "alias"), (*self.mail, *more_mail))
        web = _hosts(("@", "www", "blog", "shop"), (*self.web, *more_web))
        return f"""$ORIGIN {self.name}.
{times.soa(f"ns1.{self.name}.")}
{self._nameservers(times.ttl)}
@ MX 10 mail
{web}
nginx A {layout.NGINX}
{mail}
_25._tcp.alias CNAME _25._tcp.mail
"""

    def delegation(self, times: Times, ds: str = "") -> list[str]:
        """Return the records of the parent: NS, glue, and the DS where there is one."""
        records = self._nameservers(times.ttl).splitlines()
        return [*records, f"{self.name}. {times.ttl} IN DS {ds}"] if ds else records


def _address(address: str) -> str:
    """Return type and data of the record of an address."""
    return f"{'AAAA' if ':' in address else 'A'} {address}"


def _hosts(names: Sequence[str], addresses: Sequence[str]) -> str:
    """Return the records of hosts that have the same addresses."""
    return "\n".join(f"{name} {_address(address)}" for name in names for address in addresses)


def make_key(zone: str, folder: Path, policy: Path) -> Path:
    """Make the key of a zone for its policy; return its public half (a zone file line with the DNSKEY)."""
    base = run("dnssec-keygen", "-q", "-k", POLICY, "-l", policy, "-K", folder, zone).strip()
    return folder / f"{base}.key"


def ds_of(key: Path, *, matching: bool = True) -> str:
    """Return the SHA-256 DS of a key (tag, algorithm, digest type, digest), or one that looks like it."""
    ds = run("dnssec-dsfromkey", "-2", key).split(" DS ", 1)[1].strip()
    return ds if matching else f"{ds[:-64]}{'0' * 64}"


def sign_in_the_past(zone: str, folder: Path, file: Path) -> Path:
    """Sign a zone file with signatures that ended ten days ago; return the key's public half."""
    key = folder / run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "-K", folder, zone).strip()
    public = key.with_name(f"{key.name}.key")
    file.write_text(f"{file.read_text()}\n{public.read_text()}")
    then = ("-s", "now-20d", "-e", "now-10d")
    run("dnssec-signzone", "-z", "-P", *then, "-K", folder, "-d", folder, "-o", zone, "-f", file, file, key)
    return public


def write_anchors(key: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Write the root's trust anchor as DNSKEY, as DS (both for Unbound), and as BIND's delv reads it."""
    ds = ds_of(key)
    dnskey = "\n".join(line for line in key.read_text().splitlines() if not line.startswith(";"))
    return (
        write(folder / "root.key", f"{dnskey}\n"),
        write(folder / "root.ds", f". IN DS {ds}\n"),
        write(folder / "bind.keys", 'trust-anchors {{ . static-ds {} {} {} "{}"; }};\n'.format(*ds.split())),
    )
