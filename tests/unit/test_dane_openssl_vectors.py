"""OpenSSL's own DANE test vectors, held against `dane.verify`: each verdict, and each depth, or the reason for another.

The files are those of OpenSSL's source package, fetched by scripts/openssl-vectors. A case is: TLSA records, a chain,
whether name checks are left out with DANE-EE, and the result and depth that OpenSSL expects, for the host
``example.com``, with the one CA certificate of danetest.pem trusted.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from danelaw import dane, pki
from danelaw.model import TlsaRecord

FOLDER = Path(__file__).parents[2] / ".debian" / "openssl"
NAME = "example.com"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
"""The certificates are valid for a thousand years, or never."""

OK = 0
HOSTNAME_MISMATCH = 62

CASES = 54

OTHER_VERDICTS = {
    # RFC 7671 section 5.1: the server MUST be considered authenticated whatever its certificate's names are. OpenSSL
    # checks them all the same, unless its caller sets DANE_FLAG_NO_DANE_EE_NAMECHECKS, as Postfix does.
    54: HOSTNAME_MISMATCH,
}
"""Cases that end otherwise here, with OpenSSL's error: here they match."""

NOT_PRESENTED = (
    "what the record pins is not presented: OpenSSL counts along the chain that it built, we along the other"
)
OTHER_RECORD = (
    "OpenSSL lets the certificate in the record 0 0 0 complete the way of the record 1 1 1 beside it; here each record "
    "stands for itself, and 0 0 0 matches"
)
OTHER_DEPTHS = {
    34: NOT_PRESENTED,  # 0 0 1, the trusted root
    35: NOT_PRESENTED,  # 0 1 1, the trusted root's key
    39: OTHER_RECORD,
    47: NOT_PRESENTED,  # 2 0 0, a CA certificate that stands in DNS alone
    48: NOT_PRESENTED,
    49: NOT_PRESENTED,  # 2 1 0, a CA key that stands in DNS alone: OpenSSL gives the depth of what it signed
    50: NOT_PRESENTED,
}
"""Cases whose depth is None here, and why."""


class Case(NamedTuple):
    number: int
    records: tuple[TlsaRecord, ...]
    chain_der: tuple[bytes, ...]
    expected: int
    depth: int


def vectors(name: str) -> str:
    path = FOLDER / name
    assert path.is_file(), (
        f"{path} is missing; run scripts/openssl-vectors (make test does), which needs a Debian mirror"
    )
    return path.read_text()


def cases() -> Iterator[Case]:
    """Read danetest.in: see its first lines."""
    lines = iter(vectors("danetest.in").splitlines())
    number = 0
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        head = re.fullmatch(r"(\d+) (\d+) [01] (\d+) (-?\d+)", line.strip())
        assert head, f"danetest.in has another form than it had: {line!r}"
        number += 1
        records, certificates, expected, depth = map(int, head.groups())
        yield Case(
            number,
            tuple(dane.parse_record(next(lines)) for _ in range(records)),
            tuple(certificate(lines) for _ in range(certificates)),
            expected,
            depth,
        )


def certificate(lines: Iterator[str]) -> bytes:
    """Read the next certificate. What stands before it is text to OpenSSL, as are three records beyond their count."""
    text = [next(line for line in lines if line == "-----BEGIN CERTIFICATE-----")]
    while text[-1] != "-----END CERTIFICATE-----":
        text.append(next(lines))
    (found,) = pki.certificates("\n".join([*text, ""]).encode())
    return found


@pytest.fixture(scope="module")
def root() -> bytes:
    (found,) = pki.certificates(vectors("danetest.pem").encode())
    return found


def test_every_case_ends_as_openssl_expects_or_as_is_explained(root: bytes) -> None:
    found = tuple(cases())
    assert len(found) == CASES
    for case in found:
        verdicts = dane.verify(
            case.records, pki.chain_from_der(case.chain_der), [NAME], NOW, smtp=False, roots_der=[root]
        )
        matched = [each for each in verdicts if each.counts and each.matches]
        if case.number in OTHER_VERDICTS:
            assert case.expected == OTHER_VERDICTS[case.number]
            assert matched, case.number
            continue
        assert bool(matched) is (case.expected == OK), f"case {case.number}: {verdicts}"
        assert all(each.why for each in verdicts if not each.matches)
        if case.expected == HOSTNAME_MISMATCH:
            assert "not for example.com" in verdicts[0].why
        depth = case.depth if case.depth >= 0 else None
        if case.number in OTHER_DEPTHS:
            assert [each.depth for each in matched] == [None]
            assert depth is not None
        else:
            assert {each.depth for each in matched or verdicts} == {depth}, f"case {case.number}: {verdicts}"


def test_no_case_needs_the_trusted_root_but_those_of_usages_0_and_1() -> None:
    """The twin: without it exactly they fail, and they say what they lack."""
    for case in cases():
        chain = pki.chain_from_der(case.chain_der)
        with_none = dane.verify(case.records, chain, [NAME], NOW, smtp=False)
        for each in with_none:
            if each.record.usage in {0, 1}:
                assert not each.matches
                assert "no trusted CAs" in each.why or "pins another" in each.why
        assert any(each.matches for each in with_none) is (
            (case.expected == OK or case.number in OTHER_VERDICTS) and case.records[0].usage in {2, 3}
        )


def test_at_port_25_only_usages_2_and_3_are_usable(root: bytes) -> None:
    for case in cases():
        verdicts = dane.verify(
            case.records, pki.chain_from_der(case.chain_der), [NAME], NOW, smtp=True, roots_der=[root]
        )
        assert all(each.usable is (each.record.usage in {2, 3}) for each in verdicts)
