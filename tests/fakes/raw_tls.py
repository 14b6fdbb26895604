"""A TLS 1.2 server's messages, octet by octet, for servers that no TLS library would be.

At TLS 1.2 the certificates travel unencrypted, and a client reads them before it has checked anything.
"""

import socket

ALERT, HANDSHAKE = 21, 22
HELLO_REQUEST, SERVER_HELLO, CERTIFICATE, SERVER_HELLO_DONE = 0, 2, 11, 14


def records(kind: int, payload: bytes, size: int = 16384) -> bytes:
    """Wrap a payload in as many records of ``size`` octets as it needs (RFC 5246 section 6.2.1)."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    return b"".join(bytes([kind, 3, 3]) + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def message(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Make a handshake message; ``length`` is what it says, where that is a lie."""
    return bytes([kind]) + (len(body) if length is None else length).to_bytes(3, "big") + body


SECURE_RENEGOTIATION = b"\xff\x01\x00\x01\x00"


def server_hello(
    version: bytes = b"\x03\x03", cipher: bytes = b"\xc0\x2b", extensions: bytes = SECURE_RENEGOTIATION
) -> bytes:
    """Choose ECDHE-ECDSA-AES128-GCM-SHA256 (or ``cipher``), without a session."""
    body = version + b"\x11" * 32 + b"\x00" + cipher + b"\x00" + len(extensions).to_bytes(2, "big") + extensions
    return message(SERVER_HELLO, body)


def certificate(*certificates_der: bytes) -> bytes:
    """Present certificates, or what is none."""
    entries = b"".join(len(der).to_bytes(3, "big") + der for der in certificates_der)
    return message(CERTIFICATE, len(entries).to_bytes(3, "big") + entries)


def say(stream: socket.socket, *flights: bytes) -> None:
    """Read the ClientHello, say this, and wait until the client is gone."""
    stream.recv(10_000)
    for flight in flights:
        stream.sendall(flight)
    while stream.recv(10_000):
        pass
