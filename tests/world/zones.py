"""What stands in the zones, and the keys and policies that sign them."""

from dataclasses import dataclass
from pathlib import Path

from world import layout
from world.server import run, write

POLICY = "quick"


@dataclass(frozen=True, slots=True)
class Times:
    """``ttl`` of every record and ``negative_ttl`` of what is missing, in seconds."""

    ttl: int = 5
    negative_ttl: int = 1

    def soa(self, server: str) -> str:
        """Return the head of a zone file, up to and with its SOA and NS."""
        timers = f"1 3600 1 86400 {self.negative_ttl}"
        return f"$TTL {self.ttl}\n@ IN SOA {server} hostmaster.{layout.DOMAIN}. {timers}\n@ IN NS {server}\n"

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


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone below ``test.`` on the primary and the secondary. ``signed``: with a DNSSEC policy."""

    name: str
    signed: bool = True

    def text(self, times: Times) -> str:
        """Return the zone file: a mail host with two addresses, a web site, and two traps (wildcard and alias)."""
        mail = "\n".join(f"{{}} A {address}" for address in layout.MAIL)
        return f"""$ORIGIN {self.name}.
{times.soa(f"ns1.{self.name}.")}@ NS ns2
ns1 A {layout.NS1}
ns2 A {layout.NS2}
@ A {layout.WEB}
@ MX 10 mail
www A {layout.WEB}
blog A {layout.WEB}
{mail.format("mail", "mail")}
{mail.format("*.wild", "*.wild")}
{mail.format("alias", "alias")}
_25._tcp.alias CNAME _25._tcp.mail
"""

    def delegation(self, times: Times, ds: str = "") -> list[str]:
        """Return the records of the parent: NS, glue, and the DS where there is one."""
        ttl = times.ttl
        records = [
            f"{self.name}. {ttl} IN NS ns1.{self.name}.",
            f"{self.name}. {ttl} IN NS ns2.{self.name}.",
            f"ns1.{self.name}. {ttl} IN A {layout.NS1}",
            f"ns2.{self.name}. {ttl} IN A {layout.NS2}",
        ]
        return [*records, f"{self.name}. {ttl} IN DS {ds}"] if ds else records


def make_key(zone: str, folder: Path, policy: Path) -> Path:
    """Make the key of a zone for its policy; return its public half (a zone file line with the DNSKEY)."""
    folder.mkdir(exist_ok=True)
    base = run("dnssec-keygen", "-q", "-k", POLICY, "-l", policy, "-K", folder, zone).strip()
    return folder / f"{base}.key"


def ds_of(key: Path) -> str:
    """Return the SHA-256 DS of a key: tag, algorithm, digest type, digest."""
    return run("dnssec-dsfromkey", "-2", key).split(" DS ", 1)[1].strip()


def bogus_ds_of(key: Path) -> str:
    """Return a DS that looks right and matches no key."""
    head, digest = ds_of(key).rsplit(" ", 1)
    return f"{head} {'0' * len(digest)}"


def write_anchors(key: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Write the root's trust anchor as DNSKEY, as DS (both for Unbound), and as BIND's delv reads it."""
    ds = ds_of(key)
    dnskey = "\n".join(line for line in key.read_text().splitlines() if not line.startswith(";"))
    return (
        write(folder / "root.key", f"{dnskey}\n"),
        write(folder / "root.ds", f". IN DS {ds}\n"),
        write(folder / "bind.keys", 'trust-anchors {{ . static-ds {} {} {} "{}"; }};\n'.format(*ds.split())),
    )
