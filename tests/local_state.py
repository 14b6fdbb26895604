"""What the tests of store and deploy share: a clock that stands still, keys and chains, and a way to be killed."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_public_key

from danelaw.model import Chain
from danelaw.pki import chain_from_der

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

FILE_SYSTEM_EVENTS = frozenset(
    {
        *("open", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.mkdir"),
        *("os.chmod", "os.chown", "os.utime", "os.truncate"),
    }
)


class StandingClock:
    """A `model.Clock` that moves only when it is told to. ``error`` is how far the wall clock is ahead of time."""

    def __init__(self, now: datetime = NOW, boot_id: str = "boot-1") -> None:
        self.instant = now
        self.boot_id = boot_id
        self.booted_at = now - timedelta(hours=1)
        self.error = timedelta(0)

    def now(self) -> datetime:
        return self.instant

    def boot(self) -> tuple[str, float]:
        return self.boot_id, (self.instant - self.error - self.booted_at).total_seconds()

    def step(self, by: timedelta) -> None:
        """Set the wall clock forward or back."""
        self.instant += by
        self.error += by

    def sleep_until(self, at: datetime) -> None:
        self.instant = max(self.instant, at)


@cache
def leaf_key() -> ec.EllipticCurvePrivateKey:
    """Return the key of every leaf that `chain_of` makes."""
    return ec.generate_private_key(ec.SECP256R1())


def write_leaf_key(path: Path) -> str:
    """Write `leaf_key` where a config could name it; return the path."""
    path.touch(mode=0o600)
    path.write_bytes(leaf_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


@cache
def chain_of(name: str, spki_der: bytes = b"") -> Chain:
    """Return a chain of a leaf for ``name`` over `leaf_key`, or the key given, and the CA that signed it."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])

    def certificate(subject: x509.Name, key: CertificatePublicKeyTypes, names: list[str]) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=89))
        )
        if names:
            san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(san, critical=False)
        return builder.sign(ca_key, SHA256()).public_bytes(Encoding.DER)

    leaf: CertificatePublicKeyTypes = leaf_key().public_key()
    if spki_der:
        leaf = load_der_public_key(spki_der)  # type: ignore[assignment] # the tests give what a certificate can hold
    return chain_from_der([certificate(x509.Name([]), leaf, [name]), certificate(ca_name, ca_key.public_key(), [])])


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a forked process; return its wait status: 0 where it finished, a signal's where it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking is the point; the child execs nothing
        pid = os.fork()
    if pid == 0:
        status = 99
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 -- whatever it is, this child must not return into pytest
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def killed_at(nth: int, work: Callable[[], object]) -> bool:
    """Run ``work`` in a process that is killed just before its ``nth`` file-system call; False where it got through."""
    left = nth

    def count(event: str, _: tuple[Any, ...]) -> None:
        nonlocal left
        if event in FILE_SYSTEM_EVENTS:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def child() -> None:
        sys.addaudithook(count)
        work()

    status = in_child(child)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed; its traceback is above"
    return False
