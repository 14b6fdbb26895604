"""What a client meets at a port, by Python's own ssl: nothing of danelaw is used."""

import smtplib
import socket
import ssl

from world import layout

PLACES = {
    "postfix": [(address, port) for address in layout.MAIL for port in (25, 465, 587)],
    "dovecot": [(address, port) for address in layout.MAIL for port in (993, 995)],
    "apache": [(layout.WEB, 443)],
}
"""Where each service of the world presents its certificate."""


def presented(address: str, port: int) -> bytes:
    """Return the leaf, DER. Raises `OSError` or `smtplib.SMTPException`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if port in {25, 587}:
        with smtplib.SMTP(address, port, timeout=5) as smtp:
            smtp.starttls(context=context)
            assert isinstance(smtp.sock, ssl.SSLSocket)
            leaf_der = smtp.sock.getpeercert(binary_form=True)
    else:
        with (
            socket.create_connection((address, port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=f"mail.{layout.DOMAIN}") as tls,
        ):
            leaf_der = tls.getpeercert(binary_form=True)
    assert leaf_der
    return leaf_der


def answers_http(address: str = layout.WEB) -> bool:
    """Return whether the web server answers on port 80."""
    try:
        with socket.create_connection((address, 80), timeout=2) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"world" in connection.makefile("rb").read()
    except OSError:
        return False
