"""The zones of the zoo: right ones of every kind, and each broken in a way of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdatatype
from dns.rdtypes.ANY.NSEC3 import NSEC3

from dnszoo import servers
from dnszoo.making import DIGEST, P256, Key, SignedZone, ZoneSpec, make_key

OWNER = "_25._tcp.mail"
TLSA = f"TLSA 3 1 1 {DIGEST}"
MAIL = f"@ MX 10 mail\nmail A 127.25.0.1\n{OWNER} {TLSA}"
WILD = f"@ A 127.80.0.1\nz A 127.25.0.1\n*.w A 127.25.0.1\n*.w {TLSA}"
KINDS = "\n".join(
    f"{OWNER} {record}"
    for record in (
        f"TLSA 0 0 1 {DIGEST}",
        f"TLSA 1 1 1 {DIGEST}",
        f"TLSA 2 0 1 {DIGEST}",
        f"TLSA 2 1 1 {DIGEST}",
        f"TLSA 3 0 1 {DIGEST}",
        f"TLSA 3 1 1 {DIGEST}",
        f"TLSA 3 1 2 {DIGEST}{DIGEST}",
        "TLSA 3 1 0 3059301306072a8648ce3d020106082a8648ce3d030107034200",
        f"TLSA 255 255 255 {DIGEST}",
        "TYPE52 \\# 7 03010100112233",  # 3 1 1 with four octets
    )
)
CHAINS = f"""{MAIL}
inner CNAME {OWNER}
secure CNAME {OWNER}.p384.test.
twice CNAME inner
insecure CNAME {OWNER}.plain.test.
bogus CNAME {OWNER}.flipped.test.
nowhere CNAME nothing.p384.test.
circle CNAME circus
circus CNAME circle
old DNAME p384.test.
gone DNAME plain.test.
unsigned CNAME {OWNER}
deep {TLSA}
"""


@dataclass(frozen=True)
class Keys:
    """The keys that the zones share."""

    one: Key
    other: Key
    revoked: Key
    p384: Key
    ed25519: Key
    ed448: Key
    rsa256: Key
    rsa512: Key
    rsa1: Key


def make_keys(folder: Path) -> Keys:
    """Make them; of the RSA keys one, which stands for all: it takes longest."""
    rsa = make_key(folder, "RSASHA256")
    return Keys(
        make_key(folder, P256),
        make_key(folder, P256),
        make_key(folder, P256).revoked(),
        make_key(folder, "ECDSAP384SHA384"),
        make_key(folder, "ED25519"),
        make_key(folder, "ED448"),
        rsa,
        rsa.of_algorithm(10, "RSASHA512"),
        rsa.of_algorithm(5, "RSASHA1"),
    )


def _wrong(ds: str) -> str:
    """Return a DS whose digest is not the key's."""
    return f"{ds[:-8]}00000000"


def iterate(zone: SignedZone, iterations: int) -> None:
    """Make the NSEC3 chain anew with other iterations (dnssec-signzone makes 150 at most)."""
    names = {name for owner in zone.zone.nodes for name in _upwards(owner, zone.origin)}
    was: dict[str, NSEC3] = {}
    for owner in list(zone.zone.nodes):
        rdataset = zone.zone.get_rdataset(owner, "NSEC3")
        if rdataset is not None:
            was[owner.labels[0].decode().upper()] = rdataset[0]
            zone.drop(owner.to_text(), "NSEC3")
    kept = {name: was[found] for name in names if (found := _hash(name, was)) in was}
    hashes = {dns.dnssec.nsec3_hash(name, "", iterations, 1): record for name, record in kept.items()}
    order = sorted(hashes)
    for place, digest in enumerate(order):
        record = hashes[digest].to_text().split()
        record[2], record[4] = str(iterations), order[(place + 1) % len(order)]
        zone.put(digest, "NSEC3", " ".join(record))
        zone.sign_as(digest, "NSEC3", like=("@", "SOA"))
    zone.put("@", "NSEC3PARAM", f"1 0 {iterations} -")
    zone.sign("@", "NSEC3PARAM")


def _hash(name: dns.name.Name, was: dict[str, NSEC3]) -> str:
    return dns.dnssec.nsec3_hash(name, "", next(iter(was.values())).iterations, 1)


def _upwards(name: dns.name.Name, origin: dns.name.Name) -> Sequence[dns.name.Name]:
    names = [name]
    while names[-1] != origin and names[-1].is_subdomain(origin):
        names.append(names[-1].parent())
    return names


def good_zones(keys: Keys) -> list[ZoneSpec]:
    """Return the zones in which nothing is bogus."""
    one = (keys.one,)
    ds = keys.one.ds
    unknown = f"4711 200 2 {DIGEST}"
    grandchild = ZoneSpec("below.plain.test", MAIL, one)
    child = ZoneSpec("child.parent.test", MAIL, (keys.ed25519,))
    island = ZoneSpec("island.parent.test", MAIL, one, ds=())
    unsigned = ZoneSpec("unsigned.parent.test", MAIL)
    spans = [ZoneSpec("sub.optout.test", MAIL), ZoneSpec("signed.optout.test", MAIL, one)]
    return [
        ZoneSpec("p256.test", MAIL, one),
        ZoneSpec("p384.test", MAIL, (keys.p384,)),
        ZoneSpec("ed25519.test", MAIL, (keys.ed25519,)),
        ZoneSpec("ed448.test", MAIL, (keys.ed448,)),
        ZoneSpec("rsa256.test", MAIL, (keys.rsa256,)),
        ZoneSpec("rsa512.test", MAIL, (keys.rsa512,)),
        ZoneSpec("rsa1.test", MAIL, (keys.rsa1,)),
        ZoneSpec("nsec3.test", MAIL, one, ("-3", "-")),
        ZoneSpec("salted.test", MAIL, one, ("-3", "beef", "-H", "100")),
        ZoneSpec("iterated.test", MAIL, one, ("-3", "-"), lambda zone: iterate(zone, 151)),
        ZoneSpec("optout.test", _with(MAIL, *spans), one, ("-3", "-", "-A")),
        *spans,
        ZoneSpec("wild.test", WILD, one),
        ZoneSpec("wild3.test", WILD, one, ("-3", "-")),
        ZoneSpec("plain.test", _with(f"{MAIL}\nback CNAME {OWNER}.p256.test.", grandchild)),
        grandchild,
        ZoneSpec("parent.test", _with(MAIL, child, island, unsigned), one),
        child,
        island,
        unsigned,
        ZoneSpec("kinds.test", KINDS, one),
        ZoneSpec("nullmx.test", "@ MX 0 .", one),
        ZoneSpec("unknownds.test", MAIL, one, ds=(unknown,)),
        ZoneSpec("unknowndigest.test", MAIL, one, ds=(ds("unknowndigest.test").replace("13 2 ", "13 200 "),)),
        ZoneSpec("besideds.test", MAIL, one, ds=(unknown, ds("besideds.test"))),
        ZoneSpec("manyds.test", MAIL, one, ds=(keys.other.ds("manyds.test"), ds("manyds.test"))),
        ZoneSpec("twokeys.test", MAIL, (keys.one, keys.other)),
        ZoneSpec(
            "downgrade.test",
            MAIL,
            one,
            more=(keys.rsa256,),
            ds=(ds("downgrade.test"), keys.rsa256.ds("downgrade.test")),
        ),
        ZoneSpec("sha1wrong.test", MAIL, one, ds=(_wrong(ds("sha1wrong.test", "SHA1")), ds("sha1wrong.test"))),
        ZoneSpec("sha1only.test", MAIL, one, ds=(ds("sha1only.test", "SHA1"),)),
        ZoneSpec("sha384only.test", MAIL, one, ds=(ds("sha384only.test", "SHA384"),)),
        ZoneSpec("chains.test", CHAINS, one, edit=lambda zone: zone.drop_signature("unsigned", "CNAME")),
        ZoneSpec("tcpmissing.test", MAIL, one, servers=(servers.TCP_MISSING,)),
    ]


def broken_zones(keys: Keys) -> list[ZoneSpec]:
    """Return the zones in which something is bogus, or gets no answer."""
    one, ds, other = (keys.one,), keys.one.ds, keys.other
    nothing = dns.name.from_text("p256.test")
    unproven = ZoneSpec("sub.noproof.test", MAIL)
    unproven3 = ZoneSpec("sub.noproof3.test", MAIL)
    below = ZoneSpec("sub.badds.test", MAIL, one)
    stale = ZoneSpec("sub.stale.test", MAIL, one)

    def change(zone: SignedZone) -> None:
        zone.put(OWNER, "TLSA", f"3 1 1 {DIGEST[2:]}cd")

    def strange_keys(zone: SignedZone) -> None:
        zone.sign("@", "DNSKEY", other)

    def lying(zone: SignedZone) -> None:
        zone.drop(OWNER, "TLSA")

    def other_zone(zone: SignedZone) -> None:
        zone.sign(OWNER, "TLSA", signer=nothing)

    def lying3(zone: SignedZone) -> None:
        """Let the NSEC3 of every name be that of another: the hashes are not those of any name."""
        for owner in [owner for owner in zone.zone.nodes if zone.zone.get_rdataset(owner, "NSEC3")]:
            record = zone.zone.get_rdataset(owner, "NSEC3")
            assert record
            text = record[0].to_text()
            zone.drop(owner.to_text(), "NSEC3")
            name = owner.labels[0].decode()
            moved = name.translate(
                str.maketrans("0123456789abcdefghijklmnopqrstuv", "123456789abcdefghijklmnopqrstuv0")
            )
            zone.put(moved, "NSEC3", text)
            zone.sign_as(moved, "NSEC3", like=("@", "SOA"))

    def unproven_edit(zone: SignedZone) -> None:
        """Leave the NSEC record of the apex, without which BIND takes the zone for unsigned."""
        zone.drop_all("NSEC", but="@")

    def unproven3_edit(zone: SignedZone) -> None:
        zone.drop_all("NSEC3")

    def old_denial(zone: SignedZone) -> None:
        was = zone.signature("mail", "NSEC")
        zone.sign("mail", "NSEC", inception=was.inception - 10**6, expiration=was.inception - 10**5)

    specs = [
        ZoneSpec("stale.test", _with(MAIL, stale), one, ("-s", "now-20d", "-e", "now-10d")),
        stale,
        ZoneSpec("early.test", MAIL, one, ("-s", "now+1d", "-e", "now+10d")),
        ZoneSpec("late.test", MAIL, one, ("-s", "now-20d", "-e", "now-600")),
        ZoneSpec("soon.test", MAIL, one, ("-s", "now+600", "-e", "now+10d")),
        ZoneSpec("nosig.test", MAIL, one, edit=lambda zone: zone.drop_signature(OWNER, "TLSA")),
        ZoneSpec("flipped.test", MAIL, one, edit=lambda zone: zone.flip(OWNER, "TLSA")),
        ZoneSpec("changed.test", MAIL, one, edit=change),
        ZoneSpec("wrongds.test", MAIL, one, ds=(_wrong(ds("wrongds.test")),)),
        ZoneSpec("lostkey.test", MAIL, one, ds=(other.ds("lostkey.test"),)),
        ZoneSpec("otheralgorithm.test", MAIL, one, ds=(keys.rsa256.ds("otheralgorithm.test"),)),
        ZoneSpec("sha2wrong.test", MAIL, one, ds=(ds("sha2wrong.test", "SHA1"), _wrong(ds("sha2wrong.test")))),
        ZoneSpec("keysunsigned.test", MAIL, one, edit=lambda zone: zone.drop_signature("@", "DNSKEY")),
        ZoneSpec("strangekey.test", MAIL, one, more=(other,), edit=strange_keys),
        ZoneSpec("keysflipped.test", MAIL, one, edit=lambda zone: zone.flip("@", "DNSKEY")),
        ZoneSpec("unlisted.test", MAIL, one, edit=lambda zone: zone.sign(OWNER, "TLSA", other)),
        ZoneSpec("revoked.test", MAIL, (keys.revoked,)),
        ZoneSpec("unsignedwithds.test", MAIL, ds=(ds("unsignedwithds.test"),)),
        ZoneSpec("nonsec.test", MAIL, one, edit=unproven_edit),
        ZoneSpec("nonsec3.test", MAIL, one, ("-3", "-"), edit=unproven3_edit),
        ZoneSpec("movednsec3.test", MAIL, one, ("-3", "-"), edit=lying3),
        ZoneSpec("lying.test", MAIL, one, edit=lying),
        ZoneSpec("lying3.test", MAIL, one, ("-3", "-"), edit=lying),
        ZoneSpec("nsecflipped.test", MAIL, one, edit=lambda zone: zone.flip("mail", "NSEC")),
        ZoneSpec("nsecstale.test", MAIL, one, edit=old_denial),
        ZoneSpec("mxflipped.test", MAIL, one, edit=lambda zone: zone.flip("@", "MX")),
        ZoneSpec("addressflipped.test", MAIL, one, edit=lambda zone: zone.flip("mail", "A")),
        ZoneSpec("soaunsigned.test", MAIL, one, edit=lambda zone: zone.drop_signature("@", "SOA")),
        ZoneSpec("wildunproven.test", WILD, one, edit=unproven_edit),
        ZoneSpec("wildunproven3.test", WILD, one, ("-3", "-"), edit=unproven3_edit),
        ZoneSpec("othersigner.test", MAIL, one, edit=other_zone),
        ZoneSpec("manylabels.test", MAIL, one, edit=lambda zone: zone.sign(OWNER, "TLSA", labels=9)),
        ZoneSpec("fewlabels.test", MAIL, one, edit=lambda zone: zone.sign(OWNER, "TLSA", labels=3)),
        ZoneSpec("noproof.test", _with(MAIL, unproven), one, edit=unproven_edit),
        unproven,
        ZoneSpec("noproof3.test", _with(MAIL, unproven3), one, ("-3", "-"), edit=unproven3_edit),
        unproven3,
        ZoneSpec("badds.test", _with(MAIL, below), one, edit=lambda zone: zone.flip("sub", "DS")),
        below,
    ]
    served = {
        "refusing.test": servers.REFUSING,
        "lame.test": servers.LAME,
        "silent.test": servers.SILENT,
        "closed.test": servers.CLOSED,
        "tlsafails.test": servers.TLSA_FAILS,
        "tlsadropped.test": servers.TLSA_DROPPED,
        "tlsamissing.test": servers.TLSA_MISSING,
    }
    specs += [ZoneSpec(name, MAIL, one, servers=(server,)) for name, server in served.items()]
    plain = {"plainfails.test": servers.TLSA_FAILS, "plainmissing.test": servers.TLSA_MISSING}
    return specs + [ZoneSpec(name, MAIL, servers=(server,)) for name, server in plain.items()]


def _with(body: str, *children: ZoneSpec) -> str:
    """Return the records of a zone with the delegation of others."""
    return "\n".join([body, *(line for child in children for line in child.delegation())])
