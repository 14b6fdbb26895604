"""Pebble, Let's Encrypt's small ACME server for tests: http-01 for real, through the world's DNS."""

import contextlib
import json
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from world import layout
from world.pki import Authority
from world.server import Server, write
from world.tools import program


class Pebble(Server):
    """The CA. ``options`` are its environment: ``PEBBLE_WFE_NONCEREJECT``, ``PEBBLE_AUTHZREUSE`` (percent), …."""

    name = "pebble"
    directory = f"https://{layout.CA}:{layout.CA_PORT}/dir"
    management = f"https://{layout.CA}:{layout.CA_MANAGEMENT_PORT}"
    where = f"the CA: {directory}, and {management}/roots/0"

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        super().__init__(folder)
        self.env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0", **options}
        self.ca_bundle = self.folder / "https-root.pem"

    def configure(self) -> None:
        authority = Authority("Root of Pebble's own HTTPS")
        own = authority.issue([layout.CA, "ca.test"])
        write(self.ca_bundle, authority.root_pem)
        config = {
            "listenAddress": f"{layout.CA}:{layout.CA_PORT}",
            "managementListenAddress": f"{layout.CA}:{layout.CA_MANAGEMENT_PORT}",
            "certificate": str(write(self.folder / "https.pem", own.fullchain_pem)),
            "privateKey": str(write(self.folder / "https.key", own.key_pem, 0o600)),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        write(self.folder / "pebble.json", json.dumps({"pebble": config}, indent=2))

    def argv(self) -> Sequence[str | Path]:
        return [
            program("pebble"),
            "-config",
            self.folder / "pebble.json",
            "-dnsserver",
            f"{layout.CA_RESOLVER}:53",
            "-strict",
        ]

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return b"newOrder" in self.get(self.directory)
        return False

    def get(self, url: str) -> bytes:
        """Fetch one of its pages."""
        context = ssl.create_default_context(cafile=str(self.ca_bundle))
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:  # noqa: S310 - always https
            page: bytes = answer.read()
        return page

    def roots(self) -> bytes:
        """Return the root of what it issues, PEM: another one each time it starts."""
        return self.get(f"{self.management}/roots/0") + self.get(f"{self.management}/intermediates/0")
