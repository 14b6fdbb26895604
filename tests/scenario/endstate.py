"""What a site looks like when all is done, judged from outside: servers, files, and SQLite by its own tools."""

import hashlib
import os
import re
import sqlite3
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from scenario.handshake import PLACES, answers_http, presented
from scenario.site import Site

PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True)
class EndState:
    """What is compared between a run that was disturbed and one that was not."""

    keys: int
    records: tuple[str, ...]
    presented_everywhere: bool
    issued_by_the_ca: bool
    modes: tuple[tuple[str, str], ...]
    leftovers: tuple[str, ...]
    web_server: bool
    open_effects: int
    live_leases: int
    sound: str


def end_state(site: Site, services: Iterable[str] = ("postfix", "apache")) -> EndState:
    """Look at everything that must be right in the end; the chain in the files is what every address presents."""
    files = list(deployed(site, services))
    leaves = {presented(*place) for service in services for place in PLACES[service]}
    on_disk = {leaf_der(path) for path in files if b"BEGIN CERTIFICATE" in path.read_bytes()}
    issuer = {x509.load_der_x509_certificate(der).issuer for der in leaves}
    pairs = {spki_of_key(path) for path in files if PRIVATE.search(path.read_bytes())}
    whole = len(leaves) == 1 and leaves == on_disk and pairs == {spki_of_leaf(der) for der in leaves}
    database = sqlite3.connect(f"file:{site.state_dir}/facts/facts.sqlite?mode=ro", uri=True)
    (open_effects,) = database.execute("SELECT count(*) FROM effect WHERE ended_at IS NULL").fetchone()
    (live_leases,) = database.execute("SELECT count(*) FROM lease").fetchone()
    (sound,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    return EndState(
        keys=len([path for path in (site.state_dir / "keys").glob("*.pem") if not path.is_symlink()]),
        records=tuple(sorted(records_at(site, site.owner))),
        presented_everywhere=whole,
        issued_by_the_ca=all("Pebble" in name.rfc4514_string() for name in issuer),
        modes=tuple((path.name, f"{stat.S_IMODE(path.stat().st_mode):04o}") for path in files),
        leftovers=tuple(leftovers(site)),
        web_server=answers_http(),
        open_effects=open_effects,
        live_leases=live_leases,
        sound=sound,
    )


def deployed(site: Site, services: Iterable[str]) -> Iterable[Path]:
    """Return the files that services read."""
    world = site.world
    for service in services:
        if service == "postfix":
            yield world.postfix.combined
        else:
            pair = world.dovecot if service == "dovecot" else world.apache
            yield from (pair.fullchain, pair.key)


def leftovers(site: Site) -> list[str]:
    """Return what a killed run may have left beside files and in the state, and in the web root."""
    world = site.world
    found = []
    for top in (world.postfix.folder, world.dovecot.folder, world.apache.folder, site.state_dir):
        for folder, folders, names in os.walk(top):
            found += [
                f"{folder}/{name}" for name in (*folders, *names) if name.startswith(".") and name != ".well-known"
            ]
    return found


def records_at(site: Site, owner: str) -> list[str]:
    """Return the TLSA records that the primary serves."""
    lines = site.world.dig(owner, "TLSA", "+short", server="127.53.1.1").splitlines()
    return [f"{' '.join(parts[:3])} {''.join(parts[3:]).lower()}" for parts in map(str.split, lines)]


def leaf_der(path: Path) -> bytes:
    """Return the first certificate of a PEM file."""
    return x509.load_pem_x509_certificates(path.read_bytes())[0].public_bytes(Encoding.DER)


def spki_of_leaf(der: bytes) -> str:
    """Return the digest of a certificate's key."""
    key = x509.load_der_x509_certificate(der).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def spki_of_key(path: Path) -> str:
    """Return the digest of the public half of the private key in a file."""
    block = PRIVATE.search(path.read_bytes())
    assert block, f"{path} has no private key"
    key = load_pem_private_key(block[0], password=None).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
