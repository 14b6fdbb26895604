"""A real CA for tests: Debian's Pebble on loopback, with an HTTPS certificate and a DNS of our own.

Pebble asks our DNS, which says ``127.0.0.1`` for every name (or nothing, for names below ``nowhere.test``), and then
really fetches ``http://name:http_port/.well-known/acme-challenge/…``.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE = 20.0


@dataclass(frozen=True)
class Pebble:
    """A running Pebble. ``roots_pem`` is the root that it issues from; ``ca_bundle`` trusts its own HTTPS."""

    directory: str
    ca_bundle: str
    http_port: int
    roots_pem: str
    log: Path
    management: str

    def status_of(self, serial: int) -> tuple[str, int | None]:
        """Return what the CA itself says of a certificate, "Valid" or "Revoked", and the reason."""
        said = json.loads(_fetch(f"{self.management}/cert-status-by-serial/{serial:x}", self.ca_bundle))
        return said["Status"], said.get("Reason")


@contextlib.contextmanager
def pebble(folder: Path, **environment: str) -> Iterator[Pebble]:
    """Run Pebble in ``folder``; by default it validates without sleeping, refuses no nonce and reuses nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    api_port, management_port, http_port, tls_port = _free_ports(4)
    _write_certificate(folder)
    (folder / "pebble.json").write_text(
        json.dumps(
            {
                "pebble": {
                    "listenAddress": f"127.0.0.1:{api_port}",
                    "managementListenAddress": f"127.0.0.1:{management_port}",
                    "certificate": str(folder / "server.pem"),
                    "privateKey": str(folder / "server.key"),
                    "httpPort": http_port,
                    "tlsPort": tls_port,
                    "ocspResponderURL": "",
                    "externalAccountBindingRequired": False,
                }
            }
        )
    )
    log = folder / "pebble.log"
    settings: Mapping[str, str] = {
        **os.environ,
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "0",
        "PEBBLE_AUTHZREUSE": "0",
        **environment,
    }
    with contextlib.ExitStack() as stack:
        dns_port = stack.enter_context(_dns())
        process = subprocess.Popen(
            ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns_port}"],
            stdin=subprocess.DEVNULL,
            stdout=stack.enter_context(log.open("wb")),
            stderr=subprocess.STDOUT,
            env=settings,
        )
        try:
            directory = f"https://127.0.0.1:{api_port}/dir"
            bundle = str(folder / "server.pem")
            _wait_until_answering(process, directory, bundle, log)
            management = f"https://127.0.0.1:{management_port}"
            roots = _fetch(f"{management}/roots/0", bundle)
            yield Pebble(directory, bundle, http_port, roots.decode(), log, management)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _wait_until_answering(process: "subprocess.Popen[bytes]", url: str, bundle: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            _fetch(url, bundle)
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"pebble does not answer: {error}\n{log.read_text()}") from error
            time.sleep(0.02)
        else:
            return


def _fetch(url: str, bundle: str) -> bytes:
    context = ssl.create_default_context(cafile=bundle)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(url, timeout=5) as response:
        content: bytes = response.read()
    return content


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pebble's own HTTPS")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@contextlib.contextmanager
def _dns() -> Iterator[int]:
    """Answer every A query with 127.0.0.1 over UDP; yield the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        thread = threading.Thread(target=_answer_queries, args=(sock,), daemon=True)
        thread.start()
        try:
            yield port
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            thread.join()


def _answer_queries(sock: socket.socket) -> None:
    while True:
        wire, client = sock.recvfrom(4096)
        if not wire:
            return
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        if question.name.to_text().endswith("nowhere.test."):
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "127.0.0.1"))
        sock.sendto(response.to_wire(), client)
