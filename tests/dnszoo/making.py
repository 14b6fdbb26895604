"""Zones made by BIND's dnssec-keygen and dnssec-signzone, and then spoilt by hand."""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssecalgs import get_algorithm_cls_from_dnskey
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG
from dns.rdtypes.dnskeybase import Flag

from world.tools import run

SERVER = "127.53.9.1"
"""Where BIND serves the zoo."""
DIGEST = "ab" * 32

Algorithm = Literal["RSASHA1", "RSASHA256", "RSASHA512", "ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519", "ED448"]
P256: Algorithm = "ECDSAP256SHA256"

Edit = Callable[["SignedZone"], None]


@dataclass(frozen=True)
class Key:
    """One key of BIND's, made once and lent to every zone that wants its algorithm: the tag does not tell the owner."""

    public: str
    private: str
    stem: str

    @cached_property
    def dnskey(self) -> DNSKEY:
        """The record."""
        data = self.public.split("DNSKEY", 1)[1]
        return cast(DNSKEY, dns.rdata.from_text("IN", "DNSKEY", data.strip()))

    @property
    def tag(self) -> int:
        """The key tag."""
        return dns.dnssec.key_id(self.dnskey)

    @cached_property
    def signer(self) -> ec.EllipticCurvePrivateKey:
        """The private half of a P-256 key."""
        number = next(line.split()[1] for line in self.private.splitlines() if line.startswith("PrivateKey:"))
        return ec.derive_private_key(int.from_bytes(base64.b64decode(number), "big"), ec.SECP256R1())

    def revoked(self) -> "Key":
        """Return the key with its REVOKE bit set (RFC 5011), which changes its tag."""
        changed = self.dnskey.replace(flags=self.dnskey.flags | Flag.REVOKE)
        return self._changed(cast(DNSKEY, changed))

    def of_algorithm(self, number: int, name: str) -> "Key":
        """Return an RSA key for another algorithm over the same numbers."""
        private = self.private.replace("8 (RSASHA256)", f"{number} ({name})")
        return self._changed(cast(DNSKEY, self.dnskey.replace(algorithm=number)), private)

    def _changed(self, dnskey: DNSKEY, private: str = "") -> "Key":
        tag = dns.dnssec.key_id(dnskey)
        return Key(f"DNSKEY {dnskey.to_text()}", private or self.private, f"+{dnskey.algorithm:03d}+{tag:05d}")

    def lend(self, zone: str, folder: Path) -> Path:
        """Write the pair down for a zone; return the public half."""
        base = folder / f"K{zone}.{self.stem}"
        base.with_name(f"{base.name}.private").write_text(self.private)
        public = base.with_name(f"{base.name}.key")
        public.write_text(f"{zone}. 300 IN DNSKEY {self.dnskey.to_text()}\n")
        return public

    def ds(self, zone: str, digest: str = "SHA256") -> str:
        """Return the DS data for a zone."""
        return dns.dnssec.make_ds(f"{zone}.", self.dnskey, digest, policy=dns.dnssec.allow_all_policy).to_text()


def make_key(folder: Path, algorithm: Algorithm, *options: str) -> Key:
    """Make a key that signs everything of a zone (flags 257)."""
    size = ("-b", "2048") if algorithm.startswith("RSA") else ()
    base = run("dnssec-keygen", "-q", "-a", algorithm, *size, "-f", "KSK", *options, "-K", folder, "key.test").split()[
        -1
    ]
    public = next(line for line in (folder / f"{base}.key").read_text().splitlines() if not line.startswith(";"))
    return Key(public, (folder / f"{base}.private").read_text(), base.removeprefix("Kkey.test."))


class SignedZone:
    """A signed zone's records, to be spoilt. Names are relative to the zone ("@" is its apex)."""

    def __init__(self, origin: str, text: str, key: Key) -> None:
        self.origin = dns.name.from_text(origin)
        self.key = key
        self.zone = dns.zone.from_text(text, self.origin, relativize=False, check_origin=False)

    def name(self, name: str) -> dns.name.Name:
        """Return a name in full."""
        return dns.name.from_text(name, self.origin)

    def drop(self, name: str, rrtype: str) -> None:
        """Take an RRset out, and its signatures."""
        self.zone.delete_rdataset(self.name(name), rrtype)
        self.drop_signature(name, rrtype)

    def drop_all(self, rrtype: str, but: str = "") -> None:
        """Take every RRset of a type out, and their signatures."""
        for name in list(self.zone.nodes):
            if not but or name != self.name(but):
                self.drop(name.to_text(), rrtype)

    def drop_signature(self, name: str, rrtype: str) -> None:
        """Take the signatures of an RRset out."""
        self.zone.delete_rdataset(self.name(name), "RRSIG", covers=rrtype)

    def signature(self, name: str, rrtype: str) -> RRSIG:
        """Return the first signature of an RRset."""
        return cast(RRSIG, self.zone.find_rdataset(self.name(name), "RRSIG", covers=rrtype)[0])

    def put_signature(self, name: str, rrtype: str, signature: RRSIG) -> None:
        """Put a signature in the place of those that an RRset has."""
        self.drop_signature(name, rrtype)
        ttl = signature.original_ttl
        self.zone.find_rdataset(self.name(name), "RRSIG", covers=rrtype, create=True).add(signature, ttl)

    def flip(self, name: str, rrtype: str) -> None:
        """Turn the bits of one octet in a signature."""
        was = self.signature(name, rrtype)
        octets = bytearray(was.signature)
        octets[20] ^= 0xFF
        self.put_signature(name, rrtype, cast(RRSIG, was.replace(signature=bytes(octets))))

    def put(self, name: str, rrtype: str, *data: str) -> None:
        """Put data in the place of an RRset's, below the old signatures."""
        node = self.zone.find_node(self.name(name), create=True)
        node.replace_rdataset(dns.rdataset.from_text("IN", rrtype, 300, *data))

    def sign(self, name: str, rrtype: str, key: Key | None = None, **changes: object) -> None:
        """Sign an RRset anew, with P-256; ``changes`` are of the RRSIG's fields, and are signed over."""
        key = key or self.key
        rrset = self.zone.find_rdataset(self.name(name), rrtype)
        fields = {"key_tag": key.tag, "algorithm": key.dnskey.algorithm, "signature": b"", **changes}
        template = cast(RRSIG, self.signature(name, rrtype).replace(**fields))
        head, owner = template.to_wire(), self.name(name).to_digestable()
        assert head
        data = head[:18] + template.signer.to_digestable()
        for rdata in sorted(rr.to_digestable() for rr in rrset):
            fixed = struct.pack("!HHIH", rrset.rdtype, rrset.rdclass, template.original_ttl, len(rdata))
            data += owner + fixed + rdata
        signature = get_algorithm_cls_from_dnskey(key.dnskey)(key=key.signer).sign(data)
        self.put_signature(name, rrtype, cast(RRSIG, template.replace(signature=signature)))

    def sign_as(self, name: str, rrtype: str, like: tuple[str, str]) -> None:
        """Sign an RRset that has no signature, for the time of another one's."""
        labels = len(self.name(name)) - 1
        copied = cast(RRSIG, self.signature(*like).replace(type_covered=dns.rdatatype.from_text(rrtype), labels=labels))
        self.put_signature(name, rrtype, copied)
        self.sign(name, rrtype)

    def text(self) -> str:
        """Return the zone file."""
        return str(self.zone.to_text(relativize=False))


def no_change(_: SignedZone) -> None:
    """Leave a zone as BIND signed it."""


@dataclass(frozen=True)
class ZoneSpec:
    """A zone to be made: what stands in it, how it is signed and spoilt, and what its parent says.

    ``keys`` sign everything, the first for the edits too; none: the zone is unsigned. ``ds`` is what the parent has:
    None the first key's own. ``servers`` are the addresses of its name servers. A zone whose parent is not ``test.`` is
    delegated by `delegation` in the parent's ``body``.
    """

    name: str
    body: str = ""
    keys: tuple[Key, ...] = ()
    options: tuple[str, ...] = ()
    edit: Edit = no_change
    ds: tuple[str, ...] | None = None
    servers: tuple[str, ...] = (SERVER,)
    more: tuple[Key, ...] = ()
    """Keys that stand in the zone too, and sign nothing."""

    def delegation(self) -> list[str]:
        """Return the records of the parent, one a line."""
        lines = []
        for number, address in enumerate(self.servers):
            server = f"ns{number}.{self.name}."
            lines += [f"{self.name}. 300 IN NS {server}", f"{server} 300 IN A {address}"]
        ds = [self.keys[0].ds(self.name)] if self.ds is None and self.keys else self.ds or ()
        return lines + [f"{self.name}. 300 IN DS {one}" for one in ds]

    def unsigned(self) -> str:
        """Return the zone file as it is before it is signed."""
        servers = [line for line in self.delegation() if " DS " not in line]
        keys = [f"{self.name}. 300 IN DNSKEY {key.dnskey.to_text()}" for key in (*self.keys, *self.more)]
        soa = f"$TTL 300\n$ORIGIN {self.name}.\n@ SOA ns0 hostmaster 1 3600 600 86400 300"
        return "\n".join([soa, *servers, *keys, self.body, ""])


def make_zone(spec: ZoneSpec, folder: Path) -> Path:
    """Make, sign and spoil a zone; return its file."""
    place = folder / spec.name
    place.mkdir()
    file = place / "zone"
    file.write_text(spec.unsigned())
    if not spec.keys:
        return file
    keys = [key.lend(spec.name, place) for key in spec.keys]
    options = ("-s", "now-2h", "-e", "now+20d", *spec.options)  # the last of two of a kind counts
    signed = place / "signed"
    run("dnssec-signzone", "-z", "-P", *options, "-K", place, "-d", place, "-o", spec.name, "-f", signed, file, *keys)
    if spec.edit is not no_change:
        zone = SignedZone(spec.name, signed.read_text(), spec.keys[0])
        spec.edit(zone)
        signed.write_text(zone.text())
    return signed


def make_zones(specs: Sequence[ZoneSpec], folder: Path) -> Mapping[str, Path]:
    """Make many zones, two at a time; return their files by name."""
    with ThreadPoolExecutor(2) as pool:
        files = list(pool.map(lambda spec: make_zone(spec, folder), specs))
    return dict(zip((spec.name for spec in specs), files, strict=True))
