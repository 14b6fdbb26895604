"""The certificates that animals present and pin, made on the spot: a cast of characters by name, for each host."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from chains import Issued, issue, rsa2048
from zoo.animal import Pin

FILLERS = "filler"
"""``filler40`` stands for forty certificates of CAs that have nothing to do with the leaf."""


class Cast:
    """Certificates by name for one host of one domain, each made when it is first asked for.

    ``leaf`` (P-256) and ``rsa`` are issued by ``intermediate``, which ``root`` issued; ``cross`` is the root's key and
    name certified by ``old-root``. The others say of themselves what is wrong with them. ``mx1:leaf`` is the leaf of a
    sibling, another host of the same animal by label; ``others`` are there already.
    """

    def __init__(self, host: str, domain: str, siblings: Mapping[str, "Cast"], others: Mapping[str, Issued]) -> None:
        self._siblings = siblings
        self._now = datetime.now(UTC)
        self._made = dict(others)
        leaf = partial(self._leaf, host)
        self._makers: dict[str, Callable[[], Issued]] = {
            "root": partial(self._authority, "Root"),
            "old-root": partial(self._authority, "Root that was there before"),
            "intermediate": partial(self._authority, "Intermediate", "root"),
            "cross": lambda: issue(
                "Root", self["old-root"], key=self["root"].key, ca=True, at=self._now - timedelta(hours=1), days=60
            ),
            "leaf": leaf,
            "rsa": lambda: issue(host, self["intermediate"], key=rsa2048(), at=self._now),
            "second": leaf,
            "next": leaf,
            "renewed": lambda: issue(host, self["intermediate"], key=self["leaf"].key, at=self._now),
            "expired": partial(self._leaf, host, days=-0.5),
            "misnamed": partial(self._leaf, "somebody.example"),
            "domain-named": partial(self._leaf, domain),
            "wildcard": partial(self._leaf, f"*.{host.partition('.')[2]}"),
            "self-signed": lambda: issue(host, at=self._now),
            "from-tomorrow": lambda: issue(host, self["intermediate"], at=self._now + timedelta(days=2)),
            "common-name": lambda: issue(host, self["intermediate"], names=(), at=self._now),
            "part-wildcard": partial(self._leaf, f"{host[:2]}*.{host.partition('.')[2]}"),
            "ed25519": lambda: issue(host, self["intermediate"], key=Ed25519PrivateKey.generate(), at=self._now),
            "rsa1024": lambda: issue(host, self["intermediate"], key=_weak_key(), at=self._now),
            "expired-ca": lambda: issue("Expired CA", self["root"], ca=True, at=self._now, days=-0.5),
            "by-expired-ca": lambda: issue(host, self["expired-ca"], at=self._now),
            "no-ca": lambda: issue("No CA", self["root"], at=self._now),
            "by-no-ca": lambda: issue(host, self["no-ca"], at=self._now),
            "other-ca": lambda: issue(
                "CA for others", self["root"], ca=True, at=self._now, constraints=_only("somebody.example")
            ),
            "by-other-ca": lambda: issue(host, self["other-ca"], at=self._now),
        }

    def __getitem__(self, name: str) -> Issued:
        sibling, colon, own = name.partition(":")
        if colon:
            return self._siblings[sibling][own]
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def _leaf(self, name: str, days: float = 30) -> Issued:
        return issue(name, self["intermediate"], at=self._now, days=days)

    def _authority(self, name: str, issuer: str = "") -> Issued:
        return issue(name, self[issuer] if issuer else None, ca=True, at=self._now, days=60)

    def chain_der(self, names: Sequence[str]) -> tuple[bytes, ...]:
        """Return certificates in the order named, DER."""
        found: list[bytes] = []
        for name in names:
            if name.startswith(FILLERS):
                found += [_filler(number) for number in range(int(name.removeprefix(FILLERS)))]
            else:
                found.append(self[name].der)
        return tuple(found)

    def chain_pem(self, names: Sequence[str]) -> bytes:
        """Return certificates in the order named, PEM."""
        ders = self.chain_der(names)
        return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)

    def record(self, pin: Pin) -> str:
        """Return the TLSA data of a pin as zone files have it, worked out without danelaw's help."""
        if pin.data is not None:
            data = pin.data
        else:
            pinned = self[pin.of or ("root" if pin.usage in {0, 2} else "leaf")]
            data = pinned.der if pin.selector == 0 else pinned.spki_der
            digest = {1: "sha256", 2: "sha512"}.get(pin.matching_type)
            data = hashlib.new(digest, data).digest() if digest else data
        return f"{pin.usage} {pin.selector} {pin.matching_type} {data.hex()}"


def _only(name: str) -> x509.NameConstraints:
    return x509.NameConstraints([x509.DNSName(name)], None)


def _weak_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is weak is the point


_fillers: list[bytes] = []


def _filler(number: int) -> bytes:
    """Return the DER of one of the CAs that nobody asked for; all animals have the same ones."""
    while len(_fillers) <= number:
        _fillers.append(issue(f"Nobody's CA {len(_fillers)}", key=rsa2048(), ca=True, at=datetime.now(UTC)).der)
    return _fillers[number]
