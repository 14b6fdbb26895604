"""What the services whose certificates are at stake have in common."""

from collections.abc import Sequence
from pathlib import Path

from world.pki import Identity
from world.server import Server, listens, wait_until, write
from world.tools import run


class Service(Server):
    """A server that presents a certificate.

    ``test`` and ``reload`` are what its administrator runs after changing its files, ``stop_command`` and
    ``start_command`` what frees its ports and takes them again: plain commands, without a shell.
    """

    address: tuple[str, int]
    """One of its addresses and ports."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        super().__init__(folder)
        self._identity = identity
        self._both = False

    @property
    def test(self) -> list[str]:
        """The command that checks its configuration."""
        raise NotImplementedError

    @property
    def reload(self) -> list[str]:
        """The command that makes it read its files again."""
        raise NotImplementedError

    @property
    def stop_command(self) -> list[str]:
        """The command that ends it."""
        raise NotImplementedError

    @property
    def start_command(self) -> list[str]:
        """The command that starts it again, in the background."""
        raise NotImplementedError

    def listening(self) -> bool:
        """Return whether anybody listens on its port."""
        return listens(*self.address)

    def stop(self) -> None:
        """End it, whoever started it, and wait until its port is free."""
        if self.listening():
            run(*self.stop_command)
            wait_until(lambda: not self.listening(), f"{self.name} does not end", self.last_words)
        super().stop()

    def install(self, identity: Identity) -> None:
        """Write an identity to the files that it reads, and do not tell it."""
        raise NotImplementedError

    def present(self, identity: Identity) -> None:
        """Write an identity to its files and reload it; it presents no other."""
        self.install(identity)
        if self._both:
            self._both = False
            self.write_config()
            for file in self.ecdsa_files:
                file.unlink(missing_ok=True)
        run(*self.reload)

    @property
    def ecdsa_files(self) -> Sequence[Path]:
        """Its files of a second identity, beside those of the first."""
        return ()

    def present_both(self, rsa: Identity, ecdsa: Identity) -> None:
        """Write two identities to its files, let its configuration name all of them, and reload it."""
        self.install(rsa)
        self.install_ecdsa(ecdsa)
        if not self._both:
            self._both = True
            self.write_config()
        run(*self.reload)

    def install_ecdsa(self, identity: Identity) -> None:
        """Write a second identity to `ecdsa_files`, and do not tell it."""
        raise NotImplementedError

    def write_config(self) -> None:
        """Write its configuration, for one identity or for two."""
        raise NotImplementedError


class PairService(Service):
    """A server that reads a certificate with its chain, and a key, from two files."""

    fullchain: Path
    """The certificate and its chain."""
    key: Path
    """The private key."""

    @property
    def ecdsa_fullchain(self) -> Path:
        """The certificate and the chain of a second identity, after `present_both`."""
        return self.fullchain.with_stem(f"{self.fullchain.stem}-ecdsa")

    @property
    def ecdsa_key(self) -> Path:
        """Its private key."""
        return self.key.with_stem(f"{self.key.stem}-ecdsa")

    @property
    def ecdsa_files(self) -> Sequence[Path]:
        return [self.ecdsa_fullchain, self.ecdsa_key]

    @property
    def pairs(self) -> Sequence[tuple[Path, Path]]:
        """What its configuration is to name: certificate and key, of one identity or of two."""
        first, second = (self.fullchain, self.key), (self.ecdsa_fullchain, self.ecdsa_key)
        return [first, second] if self._both else [first]

    def install(self, identity: Identity) -> None:
        write(self.key, identity.key_pem, 0o600)
        write(self.fullchain, identity.fullchain_pem)

    def install_ecdsa(self, identity: Identity) -> None:
        write(self.ecdsa_key, identity.key_pem, 0o600)
        write(self.ecdsa_fullchain, identity.fullchain_pem)
