"""Whatever stands in a key's or a CSR's file: it is read, or refused by one sentence that quotes nothing of it."""

import string
from collections.abc import Callable
from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from danelaw import pki
from danelaw.errors import InputError
from danelaw.pki import der, pem
from fakes import openssl_files as made

NAMES = st.text(string.ascii_letters + string.digits + ".-*_ \0é/@", max_size=40)


@cache
def csr_der() -> bytes:
    return made.csr(made.curve(), "-addext", "keyUsage=digitalSignature", "-outform", "DER")


@cache
def key_der() -> bytes:
    return made.openssl("pkey", "-outform", "DER", data=made.curve())


@cache
def rsa_der() -> bytes:
    return made.openssl("rsa", "-traditional", "-outform", "DER", data=made.rsa())


@cache
def locked_der() -> bytes:
    return made.locked(made.curve(), "-outform", "DER")


def damaged(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    result = bytearray(data)
    for at, value in changes:
        result[at % len(result)] = value
    return bytes(result[: len(result) - cut])


CHANGES = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=6)
CUT = st.sampled_from([0, 0, 0, 0, 1, 7, 100])


def refusal(action: Callable[[], object]) -> str | None:
    """Return the words in which something is refused, None where it is not; whatever else it raises is a defect."""
    try:
        action()
    except InputError as error:
        return "no words" if error.__cause__ else str(error)
    return None


def read(data: bytes) -> None:
    said = refusal(lambda: pki.read_csr(data))
    if said is not None:
        assert said.startswith("found ")
        assert said.isprintable()
        return
    found = pki.read_csr(data)
    assert found.spki_der == der.csr_spki(found.csr_der)
    assert found.names
    assert set(found.names) == set(pki.requested_names(found.csr_der))


@given(changes=CHANGES, cut=CUT)
@example(changes=[], cut=0)
def test_a_damaged_csr_is_read_or_refused_in_words(changes: list[tuple[int, int]], cut: int) -> None:
    data = damaged(csr_der(), changes, cut)
    read(data)
    read(pem.encode("CERTIFICATE REQUEST", data).encode())
    pki.csr_names(data)
    pki.csr_subject(data)
    pki.lone_common_name(data)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_no_csr_and_no_key(data: bytes) -> None:
    read(data)
    open_key(data, None)
    assert pki.what_is_found(data).isprintable()


def open_key(data: bytes, password: bytes | None) -> None:
    said = refusal(lambda: pki.open_private_key(data, password))
    if said is not None:
        assert said.startswith("found ")
        assert said.isprintable()
        return
    opened = pki.open_private_key(data, password)
    assert pki.open_private_key(opened.block).spki_der == opened.spki_der


@settings(max_examples=50)  # each whole RSA key costs 40 ms twice
@given(changes=CHANGES, cut=CUT)
@example(changes=[], cut=0)
def test_a_damaged_key_is_opened_or_refused_in_words(changes: list[tuple[int, int]], cut: int) -> None:
    for label, data in (("PRIVATE KEY", key_der()), ("EC PRIVATE KEY", key_der()), ("RSA PRIVATE KEY", rsa_der())):
        open_key(pem.encode(label, damaged(data, changes, cut)).encode(), None)


@given(changes=CHANGES, cut=CUT)
@example(changes=[], cut=0)
def test_a_damaged_locked_key_is_opened_or_refused_in_words(changes: list[tuple[int, int]], cut: int) -> None:
    data = pem.encode("ENCRYPTED PRIVATE KEY", damaged(locked_der(), changes, cut)).encode()
    open_key(data, made.PASSWORD.encode())
    open_key(data, None)


@given(
    label=st.sampled_from(["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]),
    head=NAMES,
    data=st.binary(max_size=90),
)
def test_headers_of_old_keys_are_hostile_too(label: str, head: str, data: bytes) -> None:
    body = pem.encode(label, data).split("\n", 1)[1]
    text = f"-----BEGIN {label}-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {head}\n\n{body}"
    open_key(text.encode(), b"secret")
    open_key(text.encode(), None)
