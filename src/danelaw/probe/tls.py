"""One TLS client: asks for a kind of certificate, verifies nothing, and hands over the whole chain as sent.

It is fed bytes and owns no socket, so that what it reads is counted: left alone with a socket, OpenSSL reads endless
HelloRequests for ever.
"""

from contextlib import suppress

from OpenSSL import SSL, crypto

from danelaw.errors import Refused
from danelaw.model import FailureKind, KeyAlgorithm
from danelaw.names import is_address
from danelaw.probe.dialogue import quote
from danelaw.probe.failures import Failed

MAX_HANDSHAKE = 256 * 1024
"""Octets from the server in one handshake. OpenSSL takes 100 KiB of certificates by itself."""

_PIECE = 16384

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
# OpenSSL's own list without those of post-quantum keys, which take a sixth of a handshake's time and make our first
# message too long for one segment. No server refuses the others.
_GROUPS = b"X25519:P-256:X448:P-384:P-521:ffdhe2048:ffdhe3072"
# OpenSSL's SSL_OP_LEGACY_SERVER_CONNECT, which pyOpenSSL has no name for: a server without RFC 5746 is to be seen too.
_LEGACY_SERVER_CONNECT = 4
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
    "data length too long",
    "record layer failure",
    "unsupported record",
    "bad record type",
)

# Beside errors of the X.509 and ASN.1 parts: how OpenSSL says that a certificate is none.
_BAD_CERTIFICATE = ("cert length mismatch", "unable to find public key parameters", "unknown certificate type")
_OLD = ("unsupported protocol", "unknown protocol", "wrong ssl version")

_ALERTS = ("tls alert", "ssl/tls alert", "sslv3 alert", "tlsv1 ", "tlsv13 ")
"""How the reasons of OpenSSL 1.1 to 4 begin where the peer sent an alert."""

_ALERT = 21
_RECORDS = frozenset({20, _ALERT, 22, 23})
"""How a TLS record begins (RFC 8446 section 5.1)."""


class HandshakeFailed(Failed):
    """The TLS handshake failed."""


class HungUp(HandshakeFailed):
    """The server closed the connection in the TLS handshake."""

    def __init__(self, how: str = "hung up in the TLS handshake") -> None:
        super().__init__("tls-failed", how)


def anonymous_context() -> SSL.Context:
    """Return a client context that speaks TLS without certificates alone, which ended with TLS 1.2."""
    made = _context(b"aNULL:@SECLEVEL=0")
    made.set_max_proto_version(SSL.TLS1_2_VERSION)
    return made


def context(algorithm: KeyAlgorithm | None) -> SSL.Context:
    """Return a client context that asks for one kind of certificate, or for any.

    Old versions are spoken too, so that a server that knows nothing else can be told apart from one that is broken;
    `Client.certificates` refuses them. Raises `Refused` where this OpenSSL cannot ask.
    """
    made = _context(_CIPHERS[algorithm])
    if algorithm is not None:
        _ask_for(made, _SIGNATURES[algorithm])
    return made


def _context(ciphers: bytes) -> SSL.Context:
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.set_min_proto_version(SSL.TLS1_VERSION)
    made.set_verify(SSL.VERIFY_NONE)
    made.set_cipher_list(ciphers)
    made.set_options(SSL.OP_NO_TICKET | _LEGACY_SERVER_CONNECT)
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    _call(made, "SSL_CTX_set1_curves_list", _GROUPS)
    return made


class Client:
    """One handshake, fed with bytes. ``done`` says that it succeeded."""

    def __init__(self, made: SSL.Context, host: str, algorithm: KeyAlgorithm | None) -> None:
        """Prepare a handshake; SNI is the TLSA base domain (RFC 7671 section 10.2).

        A host that is an address has no name to ask for (RFC 6066 section 3).
        """
        self._algorithm = algorithm
        self._connection = SSL.Connection(made, None)
        if not is_address(host):
            self._connection.set_tlsext_host_name(host.encode("ascii"))
        self._connection.set_connect_state()
        self._total = 0
        self._first: int | None = None  # the type of the first record
        self.done = False

    @property
    def heard(self) -> bool:
        """Return whether the server has said anything but an alert: Courier says close_notify and hangs up."""
        return self._first not in {None, _ALERT}

    @property
    def version(self) -> str:
        """Return the TLS version spoken, "" while it is not known."""
        return self._connection.get_protocol_version_name() if self.done else ""

    def begin(self) -> bytes:
        """Return our first message."""
        return self._step()

    def receive(self, data: bytes) -> bytes:
        """Take what the server sent; return what to send back, possibly nothing. Raises `HandshakeFailed`."""
        if self._first is None:
            self._first = data[0]
        if self._first not in _RECORDS:
            raise HandshakeFailed("not-tls", f"does not speak TLS where the handshake was expected: {quote(data)}")
        self._total += len(data)
        if self._total > MAX_HANDSHAKE:
            raise HandshakeFailed("tls-failed", f"sent more than {MAX_HANDSHAKE} octets in the TLS handshake")
        self._connection.bio_write(data)
        return self._step()

    def certificates(self) -> tuple[bytes, ...]:
        """Return the certificates that the server sent, DER, leaf first. Raises `HandshakeFailed`."""
        if self._connection.get_protocol_version() < SSL.TLS1_2_VERSION:
            # RFC 9325 section 3.1.1: what is older must not be used, and many senders refuse it.
            raise HandshakeFailed("old-tls", f"speaks {self.version} at most; expected TLS 1.2 or later")
        # Not as_cryptography: its parser refuses odd certificates that DANE-EE takes.
        chain = self._connection.get_peer_cert_chain() or []
        try:
            return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain)
        except crypto.Error:
            raise HandshakeFailed("bad-certificate", "presented a certificate that cannot be encoded") from None

    def last_words(self, farewell: bytes = b"") -> bytes:
        """Return the last bytes to send: the farewell and close_notify, or the alert that says what was wrong."""
        if self.done:
            with suppress(SSL.Error):
                if farewell:
                    self._connection.send(farewell)
                self._connection.shutdown()
        return self._drain()

    def _step(self) -> bytes:
        try:
            self._connection.do_handshake()
            self.done = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            raise failure(error, self._algorithm) from None
        return self._drain()

    def _drain(self) -> bytes:
        said = b""
        with suppress(SSL.Error):
            while len(piece := self._connection.bio_read(_PIECE)) == _PIECE:
                said += piece
            said += piece
        return said


def failure(error: SSL.Error, algorithm: KeyAlgorithm | None) -> HandshakeFailed:
    """Put an error of OpenSSL's into words."""
    if isinstance(error, SSL.ZeroReturnError):
        return HungUp()
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reasons = [str(entry[-1]) for entry in entries if entry[-1]]
    parts = {str(entry[0]) for entry in entries}
    reason = reasons[0] if reasons else "no reason given"
    if algorithm is not None and any(sign in reason for sign in _NOT_OFFERED):
        return not_offered(algorithm, reason)
    if any(sign in reason for sign in _NOT_TLS):
        return HandshakeFailed("not-tls", f"does not speak TLS where the handshake was expected ({reason})")
    if reason.startswith(_ALERTS):
        return HandshakeFailed("tls-refused", f"refused the TLS handshake: {reason}")
    return HandshakeFailed(_kind(reasons, parts), f"failed in the TLS handshake: {reason}")


def _kind(reasons: list[str], parts: set[str]) -> FailureKind:
    if any(reason.startswith(_OLD) for reason in reasons):
        return "old-tls"
    if any(reason.startswith(_BAD_CERTIFICATE) for reason in reasons) or parts & {
        "asn1 encoding routines",
        "x509 certificate routines",
    }:
        return "bad-certificate"
    return "tls-failed"


def not_offered(algorithm: KeyAlgorithm, found: str) -> HandshakeFailed:
    """Return the failure that says that the server has no certificate of the kind asked for."""
    return HandshakeFailed("not-offered", f"has no {_NAMES[algorithm]} certificate ({found})")


def _ask_for(made: SSL.Context, signatures: bytes) -> None:
    """Offer the server these signature schemes alone, at TLS 1.2 and 1.3. Raises `Refused` where that fails."""
    if not _call(made, "SSL_CTX_set1_sigalgs_list", signatures):
        raise Refused(
            f"this pyOpenSSL over {SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode('ascii', 'replace')} cannot ask for "
            "one kind of certificate; install the versions that danelaw was tested with (pyOpenSSL 25.1 or later)"
        )


def _call(made: SSL.Context, name: str, names: bytes) -> bool:
    """Call what pyOpenSSL has no public name for; return whether it is there and succeeded."""
    call = getattr(getattr(SSL, "_lib", None), name, None)
    handle = getattr(made, "_context", None)
    return call is not None and handle is not None and bool(call(handle, names) == 1)
