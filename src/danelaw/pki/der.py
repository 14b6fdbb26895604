"""Just enough DER (X.690) to take a certificate apart without judging it.

Peers present certificates that a strict parser refuses (old versions, odd extensions, unknown keys), and DANE-EE asks
of them only their bytes and their public key's bytes. Taking those by position also keeps the SPKI *as it was signed*:
parsing a key and encoding it again changes RSASSA-PSS keys and compressed points, and with them every digest.
"""

from datetime import UTC, datetime
from typing import NamedTuple

SEQUENCE = 0x30
INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
VERSION = 0xA0

RSA = bytes.fromhex("2a864886f70d010101")  # rsaEncryption, RFC 8017 appendix A.1
RSASSA_PSS = bytes.fromhex("2a864886f70d01010a")  # RFC 8017 appendix A.2.3
EC = bytes.fromhex("2a8648ce3d0201")  # id-ecPublicKey, RFC 5480 section 2.1.1


class Element(NamedTuple):
    """One tag, length and value inside ``data``: offsets of its tag, its content and its end."""

    data: bytes
    tag: int
    start: int
    content: int
    end: int

    @property
    def der(self) -> bytes:
        """Return the whole element, tag and length included."""
        return self.data[self.start : self.end]

    @property
    def value(self) -> bytes:
        """Return the content alone."""
        return self.data[self.content : self.end]


class CertificateFields(NamedTuple):
    """What is read of a certificate by position (RFC 5280 section 4.1). Dates are None where they are not dates."""

    issuer_der: bytes
    subject_der: bytes
    not_before: datetime | None
    not_after: datetime | None
    spki_der: bytes


def element(data: bytes, start: int = 0, limit: int | None = None) -> Element:
    """Read the element at ``start``, which must end by ``limit``. Raises ValueError."""
    limit = len(data) if limit is None else limit
    if start + 2 > limit:
        raise ValueError("it ends too early")
    tag, first = data[start], data[start + 1]
    content = start + 2
    length = first
    if first & 0x80:
        width = first & 0x7F
        if not 1 <= width <= 4 or content + width > limit:
            raise ValueError("a length in it is not DER")
        length = int.from_bytes(data[content : content + width], "big")
        content += width
    if content + length > limit:
        raise ValueError("it ends too early")
    return Element(data, tag, start, content, content + length)


def children(parent: Element) -> list[Element]:
    """Read the elements directly inside a constructed one. Raises ValueError."""
    found = []
    at = parent.content
    while at < parent.end:
        child = element(parent.data, at, parent.end)
        found.append(child)
        at = child.end
    return found


def sequence(data: bytes) -> Element:
    """Read ``data`` as exactly one SEQUENCE. Raises ValueError."""
    whole = element(data)
    if whole.tag != SEQUENCE:
        raise ValueError("it does not start with a SEQUENCE")
    if whole.end != len(data):
        raise ValueError(f"{len(data) - whole.end} bytes follow it")
    return whole


def certificate_fields(certificate_der: bytes) -> CertificateFields:
    """Take a certificate apart by position (RFC 5280 section 4.1). Raises ValueError where it is no certificate."""
    parts = children(sequence(certificate_der))
    if len(parts) != 3 or parts[0].tag != SEQUENCE:
        raise ValueError("it has not the three parts of a certificate")
    fields = children(parts[0])
    if fields and fields[0].tag == VERSION:
        fields = fields[1:]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
    if len(fields) < 6 or fields[0].tag != INTEGER or any(field.tag != SEQUENCE for field in fields[1:6]):
        raise ValueError("its fields are not those of a certificate")
    issuer, validity, subject, spki = fields[2:6]
    key_algorithm(spki.der)
    dates = children(validity)
    return CertificateFields(
        issuer.der,
        subject.der,
        _time(dates[0]) if dates else None,
        _time(dates[1]) if len(dates) > 1 else None,
        spki.der,
    )


def csr_spki(csr_der: bytes) -> bytes:
    """Take the SPKI out of a certification request (RFC 2986 section 4.1). Raises ValueError where it is none."""
    parts = children(sequence(csr_der))
    if len(parts) != 3 or parts[0].tag != SEQUENCE:
        raise ValueError("it has not the three parts of a CSR")
    fields = children(parts[0])
    # version, subject, subjectPKInfo, attributes
    if len(fields) < 3 or [field.tag for field in fields[:3]] != [INTEGER, SEQUENCE, SEQUENCE]:
        raise ValueError("its fields are not those of a CSR")
    key_algorithm(fields[2].der)
    return fields[2].der


def key_algorithm(spki_der: bytes) -> bytes:
    """Return the content of the OID that names the key's algorithm (RFC 5280 section 4.1.2.7). Raises ValueError."""
    parts = children(sequence(spki_der))
    if len(parts) != 2 or parts[0].tag != SEQUENCE:
        raise ValueError("it holds no SubjectPublicKeyInfo")
    oid = element(spki_der, parts[0].content, parts[0].end)
    if oid.tag != OBJECT_IDENTIFIER:
        raise ValueError("its public key names no algorithm")
    return oid.value


def names_its_curve(spki_der: bytes) -> bool:
    """Tell whether an elliptic curve's SPKI names the curve, as it must (RFC 5480 section 2.1.1). Raises ValueError."""
    algorithm = children(children(sequence(spki_der))[0])
    return [each.tag for each in algorithm] == [OBJECT_IDENTIFIER, OBJECT_IDENTIFIER]


def _time(time: Element) -> datetime | None:
    """Read a validity date (RFC 5280 section 4.1.2.5)."""
    text = time.value.decode("ascii", "replace")
    if time.tag == UTC_TIME:
        # RFC 5280 section 4.1.2.5.1: years from 50 on are in the 20th century.
        text = ("19" if text[:2] >= "50" else "20") + text
    elif time.tag != GENERALIZED_TIME:
        return None
    if len(text) != 15 or not text.endswith("Z"):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
