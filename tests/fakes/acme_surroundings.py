"""What stands around the ACME client in its tests: clocks, somebody who listens, a solver's memory, a CSR."""

import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


class JumpingClock:
    """Virtual time: sleeping moves it. ``slept`` holds every span that was slept."""

    def __init__(self, now: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._now = now
        self.slept: list[timedelta] = []
        self.stopped: BaseException | None = None  # raised in place of sleeping

    def now(self) -> datetime:
        return self._now

    def boot(self) -> tuple[str, float]:
        return "boot", (self._now - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()

    def sleep_until(self, at: datetime) -> None:
        if self.stopped is not None:
            raise self.stopped
        if at > self._now:
            self.slept.append(at - self._now)
            self._now = at


class RealClock:
    """The wall clock, for real servers."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boot(self) -> tuple[str, float]:
        return "boot", time.monotonic()

    def sleep_until(self, at: datetime) -> None:
        time.sleep(max(0.0, (at - self.now()).total_seconds()))


class Said:
    """Hears progress and remembers it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str) -> None:
        self.lines.append(text)


class MemorySolver:
    """Keeps answers in memory. ``events`` tells what was asked of it, in order."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], str] = {}
        self.events: list[str] = []

    def present(self, domain: str, token: str, key_authorization: str) -> None:
        self.events.append(f"present {domain}")
        self.answers[domain, token] = key_authorization

    def clean_up(self, domain: str, token: str) -> None:
        self.events.append(f"clean up {domain}")
        self.answers.pop((domain, token), None)

    def lookup(self, domain: str, token: str) -> str | None:
        return self.answers.get((domain, token))


def new_csr(*names: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> bytes:
    """Return a CSR over a new P-256 key (or ``key``) for DNS names, DER."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    signer = key or ec.generate_private_key(ec.SECP256R1())
    request = builder.add_extension(alternative, critical=False).sign(signer, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)
