"""TSIG keys in every form that administrators have lying about: ``key { … };`` files and the pairs of old tools."""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from world.server import write

ALGORITHMS = {
    "hmac-md5": (157, "HMAC_MD5", 16),
    "hmac-sha1": (161, "HMAC_SHA1", 20),
    "hmac-sha224": (162, "HMAC_SHA224", 28),
    "hmac-sha256": (163, "HMAC_SHA256", 32),
    "hmac-sha384": (164, "HMAC_SHA384", 48),
    "hmac-sha512": (165, "HMAC_SHA512", 64),
}
"""BIND's private numbers of them, the names in its private key files, and the octets of a good secret."""


@dataclass(frozen=True, slots=True)
class TsigKey:
    """One secret, written down twice.

    ``clause`` is BIND's ``key { … };`` file; ``public`` and ``private`` are the pair that dnssec-keygen wrote until
    BIND 9.13, and ``pair`` is their base name (``K<name>.+<algorithm>+<tag>``). All but ``public`` are 0600.
    """

    name: str
    algorithm: str
    clause: Path
    public: Path
    private: Path

    @property
    def pair(self) -> Path:
        """The base name of the pair, as ``nsupdate -k`` takes it."""
        return self.public.with_suffix("")


def make_tsig_key(name: str, algorithm: str, folder: Path) -> TsigKey:
    """Make a key and write all its files."""
    number, label, size = ALGORITHMS[algorithm]
    secret = base64.b64encode(secrets.token_bytes(size)).decode()
    public = f"512 3 {number} {secret}"
    rdata = dns.rdata.from_text("IN", dns.rdatatype.DNSKEY, public)
    assert isinstance(rdata, DNSKEY)
    base = f"K{name}.+{number}+{dns.dnssec.key_id(rdata):05}"
    folder.mkdir(exist_ok=True)
    private = f"Private-key-format: v1.3\nAlgorithm: {number} ({label})\nKey: {secret}\nBits: AAA=\n"
    clause = f'key "{name}" {{\n\talgorithm {algorithm};\n\tsecret "{secret}";\n}};\n'
    return TsigKey(
        name,
        algorithm,
        clause=write(folder / f"{name}.conf", clause, 0o600),
        public=write(folder / f"{base}.key", f"{name}. IN KEY {public}\n", 0o600),  # it holds the secret too
        private=write(folder / f"{base}.private", f"{private}Created: 20121110120000\n", 0o600),
    )
