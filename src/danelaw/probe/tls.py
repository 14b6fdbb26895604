"""One TLS client: asks for a kind of certificate, verifies nothing, and hands over the whole chain as sent."""

from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL, crypto

from danelaw.errors import Refused
from danelaw.model import KeyAlgorithm
from danelaw.names import is_address

# TLS signature schemes by the server key that makes them (RFC 8446 section 4.2.3). SHA-1 is for TLS 1.2 servers alone
# that know nothing better.
_SIGNATURES: dict[KeyAlgorithm, bytes] = {
    "rsa": b"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:rsa_pss_pss_sha256:rsa_pss_pss_sha384:"
    b"rsa_pss_pss_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1",
    "ecdsa": b"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1",
}
# Up to TLS 1.2 the cipher suite decides too: RSA key exchange needs no signature and would slip through.
# SECLEVEL=0: a weak key is to be seen, not to be refused unseen.
_CIPHERS: dict[KeyAlgorithm | None, bytes] = {
    None: b"DEFAULT:@SECLEVEL=0",
    "rsa": b"aRSA:@SECLEVEL=0",
    "ecdsa": b"aECDSA:@SECLEVEL=0",
}
_NAMES: dict[KeyAlgorithm, str] = {"rsa": "RSA", "ecdsa": "ECDSA"}

# How a server says that it has no certificate of the kind asked for. An alert, handshake_failure or
# insufficient_security (RFC 8446 section 4.1.1); or a certificate of the other kind all the same (4.4.2.2), which
# OpenSSL then refuses.
_NOT_OFFERED = (
    "alert handshake failure",
    "alert insufficient security",
    "wrong signature type",
    "wrong certificate type",
    "bad signature algorithm",
)
_NOT_TLS = (
    "wrong version number",
    "packet length too long",
    "record layer failure",
    "unsupported record",
    "bad record type",
)

_ALERTS = ("tls alert", "ssl/tls alert", "sslv3 alert", "tlsv1 ", "tlsv13 ")
"""How the reasons of OpenSSL 1.1 to 4 begin where the peer sent an alert."""

_NOTHING_HEARD = (b"before SSL initialization", b"write client hello")
"""How OpenSSL's states end while the peer has said nothing."""


class HandshakeFailed(Exception):
    """The handshake failed; the text goes on from "192.0.2.1:25 " and says what was found.

    ``not_offered``: because the server has no certificate of the kind asked for. ``hung_up``: it closed the connection
    on our first message, without a word.
    """

    def __init__(self, message: str, *, not_offered: bool = False, hung_up: bool = False) -> None:
        self.not_offered = not_offered
        self.hung_up = hung_up
        super().__init__(message)


def context(algorithm: KeyAlgorithm | None) -> SSL.Context:
    """Return a client context that asks for one kind of certificate, or for any.

    Old versions are spoken too, so that a server that knows nothing else can be told apart from one that is broken;
    `peer_chain` refuses them. Raises `Refused` where this OpenSSL cannot ask.
    """
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.set_min_proto_version(SSL.TLS1_VERSION)
    made.set_verify(SSL.VERIFY_NONE)
    made.set_cipher_list(_CIPHERS[algorithm])
    if algorithm is not None:
        _ask_for(made, _SIGNATURES[algorithm])
    return made


def connection(made: SSL.Context, socket: Any, host: str) -> SSL.Connection:
    """Return a client connection over a connected socket; SNI is the TLSA base domain (RFC 7671 section 10.2).

    A host that is an address has no name to ask for (RFC 6066 section 3).
    """
    client = SSL.Connection(made, socket)
    if not is_address(host):
        client.set_tlsext_host_name(host.encode("ascii"))
    client.set_connect_state()
    return client


def peer_chain(client: SSL.Connection) -> Sequence[bytes]:
    """Return the certificates that the server sent, DER, leaf first. Raises `HandshakeFailed` for an old version."""
    version = client.get_protocol_version()
    if version < SSL.TLS1_2_VERSION:
        # RFC 9325 section 3.1.1: what is older must not be used, and many senders refuse it.
        raise HandshakeFailed(f"speaks {client.get_protocol_version_name()} at most; expected TLS 1.2 or later")
    # Not as_cryptography: its parser refuses odd certificates that DANE-EE takes.
    chain = client.get_peer_cert_chain() or []
    return [crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain]


def failure(error: SSL.Error, state: bytes, algorithm: KeyAlgorithm | None) -> HandshakeFailed:
    """Put an error of OpenSSL's into words, which came in a state of the handshake."""
    if isinstance(error, SSL.SysCallError | SSL.ZeroReturnError):
        return HandshakeFailed("hung up in the TLS handshake", hung_up=state.endswith(_NOTHING_HEARD))
    reasons = [str(entry[-1]) for entry in (error.args[0] if error.args else ()) if entry[-1]]
    reason = reasons[0] if reasons else "no reason given"
    if algorithm is not None and any(sign in reason for sign in _NOT_OFFERED):
        return not_offered(algorithm, reason)
    if any(sign in reason for sign in _NOT_TLS):
        return HandshakeFailed(f"does not speak TLS where the handshake was expected ({reason})")
    if reason.startswith(_ALERTS):
        return HandshakeFailed(f"refused the TLS handshake: {reason}")
    return HandshakeFailed(f"failed in the TLS handshake: {reason}")


def not_offered(algorithm: KeyAlgorithm, found: str) -> HandshakeFailed:
    """Return the failure that says that the server has no certificate of the kind asked for."""
    return HandshakeFailed(f"has no {_NAMES[algorithm]} certificate ({found})", not_offered=True)


def _ask_for(made: SSL.Context, signatures: bytes) -> None:
    """Offer the server these signature schemes alone, at TLS 1.2 and 1.3.

    pyOpenSSL has no public call for it. Raises `Refused` where the private one is gone or fails.
    """
    # A private name of pyOpenSSL's: nothing public reaches SSL_CTX_set1_sigalgs_list.
    library = getattr(SSL, "_lib", None)
    call = getattr(library, "SSL_CTX_set1_sigalgs_list", None)
    handle = getattr(made, "_context", None)
    if call is None or handle is None or call(handle, signatures) != 1:
        raise Refused(
            f"this pyOpenSSL over {SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode('ascii', 'replace')} cannot ask for "
            "one kind of certificate; install the versions that danelaw was tested with (pyOpenSSL 25.1 or later)"
        )
