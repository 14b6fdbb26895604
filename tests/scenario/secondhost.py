"""Another mail host, at an address of its own: SMTP with STARTTLS, as far as a probe needs it."""

import socket
import ssl
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from world.pki import Identity

IP_FREEBIND = 15
"""ip(7), of IPv6 sockets too: bind what no interface has; Python has no name for it."""


class SecondHost:
    """A context manager: it presents ``identity``, which may be changed, while it is open.

    No interface need have the address. ``connections`` counts those that came.
    """

    def __init__(self, address: str, identity: Identity, port: int = 25) -> None:
        self.address, self.port = address, port
        self.identity = identity
        self.connections = 0

    def __enter__(self) -> Self:
        self._listening = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        self._listening.bind((self.address, self.port))
        self._listening.listen(64)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            lines = connection.makefile("rb")
            connection.sendall(b"220 second.test ESMTP\r\n")
            while line := lines.readline(1000):
                verb = line.strip().upper()
                if verb.startswith(b"EHLO"):
                    connection.sendall(b"250-second.test\r\n250 STARTTLS\r\n")
                elif verb == b"STARTTLS":
                    connection.sendall(b"220 go ahead\r\n")
                    with self._context().wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)
                    return
                else:
                    connection.sendall(b"221 bye\r\n")
                    return

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(self.identity.combined_pem)
            context.load_cert_chain(file.name)
        return context
