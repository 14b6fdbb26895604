"""Real TLS servers on a free port of 127.0.0.1, each with the certificates that a test gives it."""

import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from chains import Issued
from danelaw import pki
from fakes.running_clock import RunningClock

Address = tuple[str, int]

PROSODY = Path(__file__).parents[2] / ".debian" / "prosody"


@contextmanager
def openssl_server(
    folder: Path, *identities: Issued, presented: Sequence[bytes] = (), options: Sequence[str] = ()
) -> Iterator[Address]:
    """Serve one or two certificates with ``openssl s_server``; ``presented`` replaces the first one's chain."""
    argv = ["openssl", "s_server", "-quiet", *options]
    for prefix, identity in zip(("", "d"), identities, strict=False):
        chain_der = presented if presented and not prefix else identity.chain_der
        serial = identity.certificate.serial_number
        _, key, _ = identity.write(folder, str(serial))
        certificate, rest = folder / f"{serial}-served.pem", folder / f"{serial}-rest.pem"
        certificate.write_text(pki.cert_pem(chain_der[0]))
        rest.write_text("".join(pki.cert_pem(der) for der in chain_der[1:]))
        argv += [f"-{prefix}cert", str(certificate), f"-{prefix}key", str(key)]
        argv += [f"-{prefix}cert_chain", str(rest)] if chain_der[1:] else []
    port = _free_port()
    with _running([*argv, "-accept", f"127.0.0.1:{port}"], port) as address:
        yield address


@contextmanager
def gnutls_server(folder: Path, *identities: Issued, priority: str = "NORMAL") -> Iterator[Address]:
    """Serve any number of certificates with ``gnutls-serv``."""
    argv = ["gnutls-serv", "--quiet", "--priority", priority]
    for identity in identities:
        chain, key, _ = identity.write(folder, str(identity.certificate.serial_number))
        argv += ["--x509certfile", str(chain), "--x509keyfile", str(key)]
    port = _free_port()
    with _running([*argv, "--port", str(port)], port) as address:
        yield address


@contextmanager
def prosody_server(
    folder: Path, identity: Issued, domain: str, *, tls: bool = True
) -> Iterator[tuple[Address, Address]]:
    """Serve XMPP for a domain with Prosody; yield where clients and where other servers connect."""
    assert PROSODY.is_dir(), f"{PROSODY}: Prosody is not there: run scripts/debian-packages"
    chain, key, _ = identity.write(folder, str(identity.certificate.serial_number))
    data = folder / "prosody"
    data.mkdir()
    program = (PROSODY / "usr/bin/prosody").read_text()
    source = PROSODY / "usr/lib/prosody"
    places = {"SOURCEDIR": source, "CONFIGDIR": data, "PLUGINDIR": f"{source}/modules/", "DATADIR": data}
    for name, path in places.items():
        program = re.sub(f"^CFG_{name}=.*$", f"CFG_{name}='{path}';", program, flags=re.MULTILINE)
    (folder / "prosody.lua").write_text(program)
    clients, servers = _free_port(), _free_port()
    (folder / "prosody.cfg.lua").write_text(f"""
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {clients} }}
s2s_ports = {{ {servers} }}
run_as_root = true
modules_enabled = {{ "saslauth", {'"tls", ' if tls else ""}"dialback" }}
modules_disabled = {{ {'"tls", ' if not tls else ""}"s2s_auth_certs" }}
c2s_require_encryption = false
s2s_require_encryption = false
authentication = "internal_hashed"
ssl = {{ key = "{key}", certificate = "{chain}" }}
log = {{ error = "*console" }}
VirtualHost "{domain}"
""")
    lua, libraries = PROSODY / "usr/share/lua/5.4", PROSODY / "usr/lib/x86_64-linux-gnu"
    environment = {
        "LUA_PATH": f"{lua}/?.lua;{lua}/?/init.lua",
        "LUA_CPATH": f"{libraries}/lua/5.4/?.so",
        "LD_LIBRARY_PATH": str(libraries),
    }
    argv = [str(PROSODY / "usr/bin/lua5.4"), str(folder / "prosody.lua"), "--config", str(folder / "prosody.cfg.lua")]
    with _running([*argv, "-F"], clients, servers, environment=environment):
        yield ("127.0.0.1", clients), ("127.0.0.1", servers)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def _running(argv: Sequence[str], *ports: int, environment: Mapping[str, str] | None = None) -> Iterator[Address]:
    # Its standard input stays open: openssl s_server ends with it.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as server:
        try:
            for port in ports:
                _wait(server, port)
            yield "127.0.0.1", ports[0]
        finally:
            server.kill()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    clock = RunningClock()
    until = clock.now() + timedelta(seconds=15)
    while True:
        assert server.poll() is None, server.stderr.read() if server.stderr else ""
        assert clock.now() < until, f"{server.args!r} does not listen"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            clock.sleep_until(clock.now() + timedelta(seconds=0.05))
        else:
            return
