"""OpenSSL's own judgement of DANE, in this process: what SSL_dane_enable(3) makes of records and a chain.

It calls the system's libssl as a client does (s_client, Postfix), but for the handshake: the chain is handed over where
a handshake would have brought it. `tests/property/test_match_openssl.py` shows that s_client says the same.
"""

import ctypes
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_uint8, c_ulong, c_void_p
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from danelaw.model import TlsaRecord

NO_DANE_EE_NAMECHECKS = 1
NO_PARTIAL_WILDCARDS = 4


class Judged(NamedTuple):
    """``usable``: which of the records OpenSSL takes. ``error``: its verification result, 0 where all is well.

    ``depth``: of the match, counted along the chain that it built, -1 without one.
    """

    usable: tuple[bool, ...]
    error: int
    depth: int


@cache
def _library() -> Any:
    """Return both libraries' functions, with their types."""
    crypto, ssl = ctypes.CDLL("libcrypto.so.3"), ctypes.CDLL("libssl.so.3")
    types: dict[str, tuple[Any, list[Any]]] = {
        "d2i_X509": (c_void_p, [c_void_p, c_void_p, c_long]),
        "X509_free": (None, [c_void_p]),
        "OPENSSL_sk_new_null": (c_void_p, []),
        "OPENSSL_sk_push": (c_int, [c_void_p, c_void_p]),
        "OPENSSL_sk_free": (None, [c_void_p]),
        "X509_STORE_new": (c_void_p, []),
        "X509_STORE_free": (None, [c_void_p]),
        "X509_STORE_add_cert": (c_int, [c_void_p, c_void_p]),
        "X509_STORE_CTX_new": (c_void_p, []),
        "X509_STORE_CTX_free": (None, [c_void_p]),
        "X509_STORE_CTX_init": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p]),
        "X509_STORE_CTX_set_default": (c_int, [c_void_p, c_char_p]),
        "X509_STORE_CTX_get0_param": (c_void_p, [c_void_p]),
        "X509_STORE_CTX_set0_dane": (None, [c_void_p, c_void_p]),
        "X509_STORE_CTX_get_error": (c_int, [c_void_p]),
        "X509_VERIFY_PARAM_set1": (c_int, [c_void_p, c_void_p]),
        "X509_VERIFY_PARAM_set_time": (None, [c_void_p, c_long]),
        "X509_verify_cert": (c_int, [c_void_p]),
        "ERR_clear_error": (None, []),
        "TLS_client_method": (c_void_p, []),
        "SSL_CTX_new": (c_void_p, [c_void_p]),
        "SSL_CTX_dane_enable": (c_int, [c_void_p]),
        "SSL_new": (c_void_p, [c_void_p]),
        "SSL_free": (None, [c_void_p]),
        "SSL_set_connect_state": (None, [c_void_p]),
        "SSL_dane_enable": (c_int, [c_void_p, c_char_p]),
        "SSL_dane_set_flags": (c_ulong, [c_void_p, c_ulong]),
        "SSL_dane_tlsa_add": (c_int, [c_void_p, c_uint8, c_uint8, c_uint8, c_char_p, c_size_t]),
        "SSL_add1_host": (c_int, [c_void_p, c_char_p]),
        "SSL_set_hostflags": (None, [c_void_p, c_uint]),
        "SSL_get0_param": (c_void_p, [c_void_p]),
        "SSL_get0_dane": (c_void_p, [c_void_p]),
        "SSL_set_verify_result": (None, [c_void_p, c_long]),
        "SSL_get0_dane_authority": (c_int, [c_void_p, c_void_p, c_void_p]),
    }
    found = type("OpenSsl", (), {})()
    for name, (result, arguments) in types.items():
        function = getattr(ssl if name.startswith(("SSL", "TLS")) else crypto, name)
        function.restype, function.argtypes = result, arguments
        setattr(found, name, function)
    return found


@cache
def _context() -> int:
    """Return the one context of all: making it takes longer than anything else here."""
    lib = _library()
    context = int(lib.SSL_CTX_new(lib.TLS_client_method()))
    assert lib.SSL_CTX_dane_enable(context) == 1
    return context


def judge(
    records: Sequence[TlsaRecord],
    chain_der: Sequence[bytes],
    names: Sequence[str],
    now: datetime,
    roots_der: Sequence[bytes] = (),
) -> Judged:
    """Verify a chain by the records as a TLS client that follows RFC 7671 does: no name checks with DANE-EE."""
    lib = _library()
    certificates: list[int] = []
    roots, stack, store = lib.X509_STORE_new(), lib.OPENSSL_sk_new_null(), lib.X509_STORE_CTX_new()
    ssl = lib.SSL_new(_context())
    try:
        for der in roots_der:
            assert lib.X509_STORE_add_cert(roots, _certificate(der, certificates)) == 1
        lib.SSL_set_connect_state(ssl)
        assert lib.SSL_dane_enable(ssl, names[0].encode()) == 1
        for name in names[1:]:
            assert lib.SSL_add1_host(ssl, name.encode()) == 1
        lib.SSL_set_hostflags(ssl, NO_PARTIAL_WILDCARDS)
        lib.SSL_dane_set_flags(ssl, NO_DANE_EE_NAMECHECKS)
        usable = tuple(lib.SSL_dane_tlsa_add(ssl, *each.spec, each.data, len(each.data)) == 1 for each in records)
        lib.ERR_clear_error()
        for der in chain_der:
            lib.OPENSSL_sk_push(stack, _certificate(der, certificates))
        assert lib.X509_STORE_CTX_init(store, roots, certificates[len(roots_der)], stack) == 1
        lib.X509_STORE_CTX_set_default(store, b"ssl_server")
        parameters = lib.X509_STORE_CTX_get0_param(store)
        assert lib.X509_VERIFY_PARAM_set1(parameters, lib.SSL_get0_param(ssl)) == 1
        lib.X509_VERIFY_PARAM_set_time(parameters, int(now.timestamp()))
        lib.X509_STORE_CTX_set0_dane(store, lib.SSL_get0_dane(ssl))
        passed = lib.X509_verify_cert(store)
        error = lib.X509_STORE_CTX_get_error(store)
        assert (passed == 1) is (error == 0), (passed, error)
        lib.SSL_set_verify_result(ssl, 0)  # else the depth of a match is hidden after an error
        return Judged(usable, error, lib.SSL_get0_dane_authority(ssl, None, None))
    finally:
        lib.X509_STORE_CTX_free(store)
        lib.OPENSSL_sk_free(stack)
        lib.SSL_free(ssl)
        lib.X509_STORE_free(roots)
        for each in certificates:
            lib.X509_free(each)
        lib.ERR_clear_error()


def _certificate(der: bytes, kept: list[int]) -> int:
    data = ctypes.create_string_buffer(der, len(der))
    at = c_void_p(ctypes.addressof(data))
    found = _library().d2i_X509(None, ctypes.byref(at), len(der))
    assert found, "OpenSSL reads no certificate there"
    kept.append(int(found))
    return int(found)
