"""Private keys in files: recognised, opened, judged, and never quoted.

What a person calls "the key" may be a certificate, a key of a kind that no CA signs, a keystore, or two keys. Each is
refused by one sentence that says what was found and what to do. No error here is raised "from" another: what
`cryptography` says could quote the key.
"""

import math
import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from danelaw.errors import InputError
from danelaw.model import KeyAlgorithm
from danelaw.pki import der, pem
from danelaw.pki.keys import ACCEPTED, CSR_LABELS, EXPLICIT_CURVE, check_public_key, quiet

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MAX_BYTES = 1 << 16
"""An RSA key of 4096 bits takes 3.3 KiB; the rest is room for a chain beside it."""

MAX_PASSWORD_BYTES = 1023
"""What OpenSSL takes."""

MAX_WORK = 1 << 26
"""Of a key derivation: PBKDF2's iterations times the length of the key, or scrypt's N times r times p. Some seconds."""

EXPECTED = "expected one private key as PEM (PKCS#8, PKCS#1 or SEC 1)"

_PRIVATE = re.compile(rb"-----BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_READABLE = {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
_LABELS = {
    "an OpenSSH private key": ("OPENSSH PRIVATE KEY",),
    "a CSR": CSR_LABELS,
    "a certificate": ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"),
    "a public key": ("PUBLIC KEY", "RSA PUBLIC KEY"),
}

_DER_KEY = "what looks like DER of a private key"
_DER_LOCKED = "what looks like DER of an encrypted private key"
_DER = "what looks like DER"
_TO_PEM = "openssl pkey -inform DER -in OLD -out NEW turns it into PEM"
_FROM_SSH = "it is for SSH: let danelaw make a key, or turn a copy into PEM by ssh-keygen -p -m PEM -f COPY"
_WAYS = {
    "an OpenSSH private key": _FROM_SSH,
    "a PuTTY private key": _FROM_SSH,
    "a Java keystore": "keytool -importkeystore -srckeystore OLD -destkeystore NEW -deststoretype PKCS12 comes first",
    "a PKCS#12 container": "openssl pkcs12 -in OLD -nocerts -nodes -out NEW takes the key out",
    _DER_KEY: _TO_PEM,
    _DER_LOCKED: _TO_PEM,
    _DER: f"{_TO_PEM}, where it is a private key",
    "a certificate": "name the file of its key",
    "a certificate in DER": "name the file of its key",
    "a CSR": "name it as csr, and here the file of its key",
    "a CSR in DER": "name it as csr, and here the file of its key",
    "a public key": "name the file of its private half",
    "a private key that is cut off": "copy the file again",
}
"""What is no private key, and the way from it to one."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A private key that was opened. ``block`` is its PEM without a password, as it stood in the file if it had none.

    ``locked``: it needed the password.
    """

    private: PrivateKey = field(repr=False)
    block: bytes = field(repr=False)
    spki_der: bytes = field(repr=False)
    algorithm: KeyAlgorithm
    locked: bool


def open_private_key(data: bytes, password: bytes | None = None, *, whole: bool = True) -> Opened:
    """Return the one private key in a file, opened by the password where it has one; other PEM beside it is ignored.

    ``whole`` also has the parts of an RSA key checked against each other, some 40 ms of work. Raises `InputError`.
    """
    block, label = _only_block(data)
    locked = label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type:" in block
    if locked and password is None:
        raise InputError(
            "found a key with a password; name the file that holds it as key_password_file, "
            "or write the key without one: openssl pkey -in OLD -out NEW"
        )
    if not locked:
        refuse_odd_forms(block)
    elif label == "ENCRYPTED PRIVATE KEY":
        refuse_endless_derivation(block)
    key = password if locked else None
    private = _load(block, key, whole=False)
    spki_der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    algorithm = check_public_key(spki_der)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise InputError(f"found another kind of key; {ACCEPTED}")
    if whole and isinstance(private, rsa.RSAPrivateKey):  # after its size is known: 8192 bits take seconds
        _load(block, key, whole=True)
    if locked:
        block = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Opened(private, block, spki_der, algorithm, locked)


def password_line(data: bytes) -> bytes:
    """Return the password in a file, without the end of its line. Raises `InputError`, which never shows it."""
    password = data.removesuffix(b"\n").removesuffix(b"\r")
    if not password or b"\n" in password or len(password) > MAX_PASSWORD_BYTES:
        lines = password.count(b"\n") + 1
        found = f"{lines} line{'s' if lines > 1 else ''}, {len(password)} bytes" if password else "nothing"
        raise InputError(f"found {found}; expected a password on one line, of at most {MAX_PASSWORD_BYTES} bytes")
    return password


def what_is_found(data: bytes) -> str:
    """Return in words what a file holds that should hold something else: a certificate, a keystore, nothing."""
    labels = [label.decode("ascii") for label in dict.fromkeys(_LABEL.findall(data))]
    for label in labels:
        for words, known in _LABELS.items():
            if label in known:
                return words
    if any("PRIVATE KEY" in label for label in labels):
        return "a private key" if _PRIVATE.search(data) else "a private key that is cut off"
    if labels:
        return f"PEM of {', '.join(labels)}"
    if not data.strip():
        return "an empty file"
    if data[:4] in {b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"}:
        return "a Java keystore"
    if data.startswith(b"PuTTY-User-Key-File"):
        return "a PuTTY private key"
    return _what_der(data)


# --------------------------------------------------------------------------------------------------------------------


def _only_block(data: bytes) -> tuple[bytes, str]:
    """Return the PEM block of the one private key in a file, with its label."""
    if len(data) > MAX_BYTES:
        raise InputError(f"found more than {MAX_BYTES} bytes; {EXPECTED}")
    found = list(_PRIVATE.finditer(data))
    if len(found) > 1:
        raise InputError(f"found {len(found)} private keys; {EXPECTED}, each in a file of its own")
    label = found[0][1].decode("ascii") if found else ""
    if label not in _READABLE:
        what = what_is_found(data)
        raise InputError(f"found {what}; {EXPECTED}" + (f": {_WAYS[what]}" if what in _WAYS else ""))
    return found[0][0].replace(b"\r\n", b"\n") + b"\n", label


def _load(block: bytes, password: bytes | None, *, whole: bool) -> PrivateKey:
    try:
        with quiet():
            return load_pem_private_key(  # type: ignore[return-value] # the caller looks what it is
                block, password, unsafe_skip_rsa_key_validation=not whole
            )
    except UnsupportedAlgorithm:
        raise InputError(f"found a private key of an unknown kind or curve; {ACCEPTED}") from None
    except (ValueError, TypeError) as error:
        unknown = "nknown" in str(error)  # of the cipher; the text itself is not passed on
    if password is not None and unknown:
        raise InputError(
            "found a key encrypted by a cipher that danelaw does not know; "
            "write it anew: openssl pkey -in OLD -aes256 -out NEW"
        )
    if password is not None:
        raise InputError("found a key that the password in key_password_file does not open; correct the password")
    if whole:
        raise InputError("found an RSA key whose parts contradict each other; restore it from a backup")
    raise InputError(f"found a private key that cannot be read; {EXPECTED}: restore it from a backup")


def refuse_odd_forms(block: bytes) -> None:
    """Refuse what `cryptography` would read as a simpler key than it is: RSASSA-PSS, and curves by their parameters."""
    try:
        read = pem.blocks(block)
        fields = der.children(der.sequence(read[0].der))
        if read[0].label == "EC PRIVATE KEY":  # RFC 5915 section 3: version, key, [0] curve, [1] point
            parameters = [der.element(each.data, each.content, each.end) for each in fields[2:] if each.tag == 0xA0]
            explicit = any(each.tag != der.OBJECT_IDENTIFIER for each in parameters)
        elif read[0].label == "PRIVATE KEY":  # RFC 5208 section 5: version, algorithm, key
            algorithm, *parameters = der.children(fields[1])
            if algorithm.value == der.RSASSA_PSS:
                raise InputError(f"found an RSASSA-PSS key; {ACCEPTED}")
            explicit = algorithm.value == der.EC and any(each.tag != der.OBJECT_IDENTIFIER for each in parameters)
        else:
            return
    except (ValueError, IndexError):
        return  # it cannot be read, which is said where it is tried
    if explicit:
        raise InputError(EXPLICIT_CURVE)


def refuse_endless_derivation(block: bytes) -> None:
    """Refuse a key whose password would be worked on for hours, or with all memory (RFC 8018 appendix A, RFC 7914)."""
    try:
        whole = der.sequence(pem.blocks(block)[0].der)
        work = math.prod(_integers(der.children(whole)[0], depth=6))
    except (ValueError, IndexError, InputError):
        return  # it cannot be read, which is said where it is tried
    if work > MAX_WORK:
        raise InputError(
            "found a key whose password takes hours or all memory to try; "
            "write it anew: openssl pkey -in OLD -aes256 -out NEW"
        )


def _integers(parent: der.Element, depth: int) -> list[int]:
    found: list[int] = []
    for child in der.children(parent):
        if child.tag == der.INTEGER:
            found.append(int.from_bytes(child.value, "big"))
        elif child.tag == der.SEQUENCE and depth:
            found.extend(_integers(child, depth - 1))
    return found


def _what_der(data: bytes) -> str:
    """Name DER by its outline."""
    try:
        fields = der.children(der.sequence(data))
    except ValueError:
        return "no PEM"
    tags = [each.tag for each in fields]
    first = int.from_bytes(fields[0].value[:4], "big") if tags[:1] == [der.INTEGER] else None
    if first == 3 and tags[1:2] == [der.SEQUENCE]:  # RFC 7292 section 4: PFX, version 3
        return "a PKCS#12 container"
    if first in {0, 1} and len(tags) > 1:
        return _DER_KEY
    if tags == [der.SEQUENCE, 0x04]:
        return _DER_LOCKED
    if tags[:2] == [der.SEQUENCE, der.SEQUENCE] and len(tags) == 3:
        return "a CSR in DER" if _is_csr(data) else "a certificate in DER"
    return _DER


def _is_csr(data: bytes) -> bool:
    try:
        der.csr_spki(data)
    except ValueError:
        return False
    return True
