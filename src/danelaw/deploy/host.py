"""`LocalHost`: the machine that danelaw runs on, as the Protocol `model.Host`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from danelaw.deploy import commands, files, generations
from danelaw.deploy.addresses import interface_addresses, normal
from danelaw.deploy.generations import Generations
from danelaw.deploy.keys import Keys
from danelaw.errors import UnsafePlan
from danelaw.model import CertificateSpec, Chain, Clock, Deployment, Generation, KeyFact, Signer


class LocalHost:
    """This machine's keys and files, below ``state_dir``; ``connect_addresses`` count as its own (``[connect]``)."""

    def __init__(self, state_dir: str, host: str, clock: Clock, connect_addresses: Collection[str] = ()) -> None:
        folder = Path(state_dir).absolute()
        self._keys = Keys(folder, host, clock)
        self._generations = Generations(folder, host, clock)
        self._connect_addresses = frozenset(normal(address) for address in connect_addresses)

    def peek_key(self, spec: CertificateSpec) -> KeyFact | None:
        """Return what `take_key` would return, changing nothing; None where a key is still to be made."""
        return self._keys.peek(spec)

    def take_key(self, spec: CertificateSpec) -> KeyFact:
        """Adopt ``spec.key`` into the state, or make a key; on disk before this returns, and idempotent.

        Of a CSR without a key its public half is returned. Raises `Refused` that says what is wrong with the file,
        `RetryLater` where the disk is full.
        """
        return self._keys.take(spec)

    def take_next_key(self, spec: CertificateSpec, known: Sequence[KeyFact]) -> KeyFact:
        """Make a next key of ``spec.key_type``, or return ``spec.spare``; on disk before this returns.

        ``known``: the certificate's keys that the store knows; one made by a run that was killed before the store heard
        of it is found again. Raises `Refused` where the spare one is weak, an ACME account's or was current before,
        `RetryLater` where the disk is full.
        """
        return self._keys.take_next(spec, known)

    def put_away(self, key: KeyFact, how: Literal["archive", "shred"]) -> KeyFact:
        """Archive a key that nothing needs any more, or destroy it with the earlier generations over it. Idempotent.

        Raises `Refused`, and nothing is destroyed, where services read it; `StateCorrupt` where it is nowhere, and
        `RetryLater`.
        """
        return self._keys.put_away(key, how)

    def sign(self, key: KeyFact) -> Signer:
        """Return what signs with a key that is here. Raises `Refused` where it is elsewhere, `StateCorrupt`."""
        return self._keys.sign(key)

    def key_warnings(self, spec: CertificateSpec) -> Sequence[str]:
        """Return what is accepted of a certificate's key file and not advised, in words."""
        return self._keys.warnings(spec)

    def csr(self, key: KeyFact, spec: CertificateSpec) -> bytes:
        """Return the ready CSR byte for byte, or one over the key, DER, signed with SHA-256.

        Raises `Refused` where the ready one is over another key, `StateCorrupt` where the key is gone.
        """
        return self._keys.csr(key, spec)

    def stage(self, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
        """Write generation ``n`` where no service reads it, and generation 0 of what stands there at the first time.

        Idempotent. Raises `Refused`, `RetryLater`, `StateCorrupt`; `UnsafePlan` where the chain is not over the key: no
        service would start with the two.
        """
        if deployment.has_key and chain.spki_sha256 != key.spki_sha256:
            raise UnsafePlan(
                "a key is deployed with its own certificate",
                f"the certificate {chain.leaf_sha256[:16]}… is over another key than {key.path}",
            )
        return self._generations.stage(deployment, n, chain, self._keys.pem(key) if deployment.has_key else None)

    def generation(self, deployment: Deployment, n: int) -> Generation:
        """Return a generation as it is on disk, 0 included. Raises `StateCorrupt` where there is none."""
        return self._generations.generation(deployment, n)

    def activate(self, deployment: Deployment, generation: Generation) -> None:
        """Put a generation, a new one or an earlier one, where services read it, by one rename. Idempotent.

        Raises `Refused` where a path cannot be written, `RetryLater`, and `StateCorrupt` where the generation is not
        what was staged.
        """
        self._generations.activate(deployment, generation)

    def let_go(self, deployment: Deployment) -> None:
        """Make ordinary files of our own links at a deployment's paths, with their content, owner and mode. Idempotent.

        The generations stay where they are. Raises `Refused` where a path cannot be written, `RetryLater`.
        """
        self._generations.let_go(deployment)

    def generation_files(self, deployment: Deployment, n: int) -> Mapping[str, str]:
        """Return the digests of a generation's files by the paths they are for. Raises `StateCorrupt`."""
        return self._generations.generation(deployment, n).files

    def live(self, deployment: Deployment) -> Mapping[str, str]:
        """Return the digests of what stands at the paths now, absent files left out; "" for what cannot be read."""
        return generations.live(deployment)

    def writable(self, deployment: Deployment) -> Sequence[str]:
        """Return what would keep the files from being written or owned as asked, in words; changes nothing."""
        return self._generations.problems(deployment)

    def run(self, argv: Sequence[str], timeout: timedelta) -> str:
        """Run a command without a shell; return its output's tail. Raises `RetryLater` where it fails."""
        return commands.run(argv, timeout)

    def addresses(self) -> frozenset[str]:
        """Return the addresses of this host's interfaces, and those of ``[connect]``."""
        with files.explained("network interfaces"):
            return interface_addresses() | self._connect_addresses
