"""Names of things: endpoints, TLSA records, chains."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

AppProtocol = Literal["smtp", "smtps", "imap", "imaps", "pop3", "pop3s", "https", "tls", "xmpp-client", "xmpp-server"]
"""How TLS starts at an endpoint: ``smtp``, ``imap``, ``pop3`` and XMPP's two by STARTTLS, the others at once."""

KeyAlgorithm = Literal["rsa", "ecdsa"]
KeyType = Literal["p256", "p384", "rsa2048", "rsa3072", "rsa4096"]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where a service is offered: what the TLSA owner name ``_25._tcp.mail.example.org.`` stands for.

    ``connect`` pins one address to look at (a ``prove`` table's ``connect``); None means every address of the host.
    """

    host: str
    port: int
    protocol: AppProtocol
    connect: str | None = None

    @property
    def owner(self) -> str:
        """Return the TLSA owner name (RFC 6698 section 3)."""
        return f"_{self.port}._tcp.{self.host}."

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class RecordSpec(NamedTuple):
    """The three parameters of a TLSA record (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching_type: int

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching_type}"


@dataclass(frozen=True, slots=True, order=True)
class TlsaRecord:
    """One TLSA record's data. Any parameters and any data length: what is unusable must be representable."""

    usage: int
    selector: int
    matching_type: int
    data: bytes

    @property
    def spec(self) -> RecordSpec:
        """Return usage, selector and matching type."""
        return RecordSpec(self.usage, self.selector, self.matching_type)

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching_type} {self.data.hex()}"


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate chain as presented or issued, leaf first; everything that the core asks about it, parsed once.

    ``algorithm`` is the leaf key's, ``"other"`` where it is neither RSA nor ECDSA. ``names`` are the leaf's DNS names.
    """

    certificates_der: tuple[bytes, ...] = field(repr=False)
    leaf_sha256: str
    spki_der: bytes = field(repr=False)
    spki_sha256: str
    algorithm: Literal["rsa", "ecdsa", "other"]
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]

    @property
    def leaf_der(self) -> bytes:
        """Return the leaf certificate, DER."""
        return self.certificates_der[0]
