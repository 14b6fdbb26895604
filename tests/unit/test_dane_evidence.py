"""`dane.verify`: each record against a chain, and in which words it does not match."""

import hashlib
import timeit
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from chains import HOST, NOW, Issued, issue, p256, rsa2048, three
from danelaw import dane, pki
from danelaw.dane.evidence import _judged
from danelaw.errors import InputError
from danelaw.model import Chain, RecordSpec, RecordVerdict, TlsaRecord

OTHER = "other.example.com"
LATE = NOW + timedelta(days=99)
LEAF, INTERMEDIATE, ROOT = three()
CHAIN = pki.chain_from_der(LEAF.chain_der)


def pin(spec: tuple[int, int, int], of: Issued) -> TlsaRecord:
    """Return the record that pins a certificate."""
    part = of.der if spec[1] == 0 else of.spki_der
    return TlsaRecord(*spec, {0: part, 1: hashlib.sha256(part).digest(), 2: hashlib.sha512(part).digest()}[spec[2]])


def judge(
    record: TlsaRecord,
    chain: Chain = CHAIN,
    names: Sequence[str] = (HOST,),
    now: datetime | None = NOW,
    *,
    smtp: bool = False,
    roots: Sequence[Issued] = (),
) -> RecordVerdict:
    (verdict,) = dane.verify([record], chain, names, now, smtp=smtp, roots_der=[each.der for each in roots])
    assert verdict.record == record
    assert bool(verdict.why) is not verdict.matches
    return verdict


def presented(*certificates: Issued) -> Chain:
    return pki.chain_from_der([each.der for each in certificates])


# --- what matches, and at which depth -------------------------------------------------------------------------------


@pytest.mark.parametrize("matching_type", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("usage", [0, 1, 2, 3])
def test_every_combination_matches_what_it_pins_and_nothing_else(usage: int, selector: int, matching_type: int) -> None:
    pinned = [LEAF] if usage in {1, 3} else [INTERMEDIATE, ROOT]
    for one in (LEAF, INTERMEDIATE, ROOT, issue("Stranger", ca=True)):
        verdict = judge(pin((usage, selector, matching_type), one), roots=[ROOT])
        assert verdict.matches is (one in pinned)
        if one in pinned:
            assert verdict.depth == [LEAF, INTERMEDIATE, ROOT].index(one)


def test_the_verdicts_come_in_the_order_of_the_records_and_each_stands_for_itself() -> None:
    records = [pin((3, 1, 1), issue(HOST)), pin((3, 1, 1), LEAF), pin((2, 0, 1), ROOT), pin((3, 1, 1), LEAF)]
    verdicts = dane.verify(records, CHAIN, [HOST], NOW, smtp=True)
    assert [each.record for each in verdicts] == records
    assert [each.matches for each in verdicts] == [False, True, True, True]


@pytest.mark.parametrize("smtp", [True, False])
def test_a_client_accepts_where_a_verdict_counts_and_matches(smtp: bool) -> None:  # noqa: FBT001  (the table's answer)
    other = issue(HOST)
    for records in (
        [pin((3, 1, 1), LEAF)],
        [pin((3, 1, 1), LEAF), pin((3, 1, 2), other)],
        [pin((3, 1, 1), other), pin((2, 0, 1), ROOT)],
        [pin((3, 1, 1), other)],
        [],
    ):
        verdicts = dane.verify(records, CHAIN, [HOST], NOW, smtp=smtp)
        accepted = any(each.counts and each.matches for each in verdicts)
        assert accepted is dane.accepts(records, CHAIN, [HOST], NOW, smtp=smtp)


def test_a_weaker_digest_matches_and_does_not_count() -> None:
    """RFC 7671 section 9."""
    records = [pin((3, 1, 1), LEAF), pin((3, 1, 2), issue(HOST)), pin((3, 0, 1), LEAF)]
    verdicts = dane.verify(records, CHAIN, [HOST], NOW, smtp=True)
    assert [(each.counts, each.matches) for each in verdicts] == [(False, True), (True, False), (True, True)]
    without = dane.verify(records, CHAIN, [HOST], NOW, smtp=True, agility=False)
    assert [(each.counts, each.matches) for each in without] == [(True, True), (True, False), (True, True)]
    cut = [pin((3, 1, 1), LEAF), TlsaRecord(3, 1, 2, bytes(32))]
    assert [each.counts for each in dane.verify(cut, CHAIN, [HOST], NOW, smtp=True)] == [True, False]


def test_what_is_not_asked_is_not_judged() -> None:
    assert judge(pin((2, 0, 1), ROOT), names=()).matches
    assert judge(pin((2, 0, 1), ROOT), now=None).matches
    assert judge(pin((3, 1, 1), LEAF), names=(OTHER,), now=LATE).matches  # RFC 7671 section 5.1


def test_one_of_several_names_is_enough() -> None:
    """RFC 7672 section 3.2.2."""
    assert judge(pin((2, 0, 1), ROOT), names=(OTHER, HOST)).matches
    assert judge(pin((2, 0, 1), ROOT), names=(OTHER,)).why == f"the certificate is for {HOST}, not for {OTHER}"


def test_of_several_certificates_with_one_key_the_one_above_the_leaf_is_named() -> None:
    again = issue("Another", ca=True, key=ROOT.key)
    verdict = judge(pin((2, 1, 1), ROOT), presented(LEAF, again, INTERMEDIATE, ROOT))
    assert (verdict.matches, verdict.depth) == (True, 3)
    alone = judge(pin((2, 1, 0), ROOT), presented(LEAF, again, INTERMEDIATE))
    assert (alone.matches, alone.depth) == (True, None)  # RFC 7671 section 5.2.3: the record's key signed the topmost


# --- trust ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", [0, 1])
def test_usages_0_and_1_need_a_trusted_ca(usage: int) -> None:
    """RFC 7671 sections 5.3 and 5.4."""
    record = pin((usage, 1, 1), LEAF if usage else INTERMEDIATE)
    assert judge(record, roots=[ROOT]).matches
    assert "no trusted CAs were given" in judge(record).why
    assert "chain up to a trusted CA" in judge(record, roots=[issue("Root", ca=True)]).why
    without_root = presented(LEAF, INTERMEDIATE)
    assert judge(record, without_root, roots=[ROOT]).matches  # a trusted one need not be presented
    assert "expired on 2026-07-01" in judge(record, now=LATE, roots=[ROOT]).why
    assert f"not for {OTHER}" in judge(record, names=(OTHER,), roots=[ROOT]).why


def test_a_trusted_ca_that_is_pinned_need_not_be_presented() -> None:
    verdict = judge(pin((0, 0, 1), ROOT), presented(LEAF, INTERMEDIATE), roots=[ROOT])
    assert (verdict.matches, verdict.depth) == (True, None)
    assert not judge(pin((2, 0, 1), ROOT), presented(LEAF, INTERMEDIATE), roots=[ROOT]).matches


def test_the_way_goes_on_above_a_trusted_certificate() -> None:
    """RFC 7671 section 5.4: a client that trusts an intermediate finds the pinned root above it."""
    assert judge(pin((0, 0, 1), ROOT), roots=[INTERMEDIATE, ROOT]).matches
    assert not judge(pin((0, 0, 1), ROOT), roots=[INTERMEDIATE]).matches


def test_what_is_pinned_must_be_on_the_way_to_the_trusted_ca() -> None:
    other = issue("Other Root", ca=True)
    again = issue("Intermediate", other, ca=True, key=INTERMEDIATE.key)  # cross-signed
    chain = presented(LEAF, INTERMEDIATE, again, ROOT, other)
    assert judge(pin((0, 0, 1), ROOT), chain, roots=[ROOT]).matches
    assert not judge(pin((0, 0, 1), ROOT), chain, roots=[other]).matches
    assert judge(pin((0, 0, 1), other), chain, roots=[other]).matches
    assert judge(pin((0, 1, 1), INTERMEDIATE), chain, roots=[other]).matches
    assert not judge(pin((0, 0, 1), INTERMEDIATE), chain, roots=[other]).matches


def test_a_path_length_counts_also_above_what_is_pinned() -> None:
    root = issue("Root", ca=True, path_length=0)
    between = issue("Between", root, ca=True)
    chain = presented(issue(HOST, between), between, root)
    verdict = judge(pin((0, 0, 1), between), chain, roots=[root])
    assert verdict.why == "CN=Between, which it pins, does not chain up to a trusted CA"
    assert judge(pin((2, 0, 1), between), chain).matches


def test_a_trusted_leaf_is_trusted_while_it_is_valid() -> None:
    own = issue(HOST)
    assert judge(pin((1, 1, 1), own), presented(own), roots=[own]).matches
    assert not judge(pin((1, 1, 1), own), presented(own), roots=[own], now=LATE).matches
    assert not judge(pin((0, 1, 1), own), presented(own), roots=[own]).matches


# --- words ----------------------------------------------------------------------------------------------------------

EMPTY = hashlib.sha256(b"").digest()


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (TlsaRecord(4, 1, 1, bytes(32)), "usage 4 is not known"),
        (TlsaRecord(3, 2, 1, bytes(32)), "selector 2 is not known"),
        (TlsaRecord(3, 1, 3, bytes(32)), "matching type 3 is not known"),
        (TlsaRecord(3, 1, 1, bytes(20)), "digest of 20 octets, SHA-256 has 32"),
        (TlsaRecord(2, 0, 2, bytes(32)), "digest of 32 octets, SHA-512 has 64"),
        (TlsaRecord(3, 1, 0, b"x"), "its full data is no public key"),
        (TlsaRecord(2, 0, 0, b"x"), "its full data is no certificate"),
        (pin((1, 1, 1), LEAF), "usage 1 is not defined at port 25 (RFC 7672 section 3.1.3)"),
        (pin((0, 0, 1), ROOT), "usage 0 is not defined at port 25 (RFC 7672 section 3.1.3)"),
    ],
)
def test_why_a_record_is_unusable(record: TlsaRecord, why: str) -> None:
    verdict = judge(record, smtp=True)
    assert (verdict.usable, verdict.counts, verdict.matches, verdict.why) == (False, False, False, why)


@pytest.mark.parametrize(
    ("record", "why", "depth"),
    [
        (TlsaRecord(3, 1, 1, bytes(32)), "pins another key", None),
        (TlsaRecord(3, 0, 1, bytes(32)), "pins another certificate", None),
        (TlsaRecord(1, 1, 2, bytes(64)), "pins another key", None),
        (TlsaRecord(3, 1, 1, EMPTY), "the digest of an empty string", None),
        (TlsaRecord(2, 1, 1, EMPTY), "the digest of an empty string", None),
        (pin((3, 0, 1), ROOT), "pins the CA certificate CN=Root, which is for usage 2", 2),
        (pin((1, 1, 1), INTERMEDIATE), "pins the CA certificate CN=Intermediate, which is for usage 0", 1),
        (pin((2, 0, 1), LEAF), "pins the service's own certificate, which is for usage 3", 0),
        (pin((2, 0, 0), LEAF), "pins the service's own certificate, which is for usage 3", 0),
        (pin((0, 1, 1), LEAF), "pins the service's own certificate, which is for usage 1", 0),
        (
            TlsaRecord(3, 1, 1, hashlib.sha256(LEAF.der).digest()),
            "holds the digest of the whole certificate: its selector ought to be 0",
            None,
        ),
        (
            TlsaRecord(3, 0, 1, hashlib.sha256(LEAF.spki_der).digest()),
            "holds the digest of the key: its selector ought to be 1",
            None,
        ),
        (
            TlsaRecord(2, 1, 1, hashlib.sha256(ROOT.der).digest()),
            "holds the digest of the whole CA certificate: its selector ought to be 0",
            None,
        ),
        (
            TlsaRecord(2, 0, 1, hashlib.sha256(ROOT.spki_der).digest()),
            "holds the digest of the CA's key: its selector ought to be 1",
            None,
        ),
        (TlsaRecord(2, 0, 1, bytes(32)), "the CA certificate that it pins is not presented", None),
        (TlsaRecord(2, 1, 1, bytes(32)), "the CA key that it pins is not presented", None),
        (
            pin((2, 1, 0), issue("Stranger", ca=True)),
            "the CA key that it holds is not presented, and signed nothing of what is",
            None,
        ),
        (
            pin((2, 0, 0), issue("Stranger", ca=True)),
            "the certificate does not chain up to CN=Stranger, which it pins",
            None,
        ),
    ],
)
def test_why_a_record_does_not_match(record: TlsaRecord, why: str, depth: int | None) -> None:
    verdict = judge(record, roots=[ROOT])
    assert (verdict.usable, verdict.matches, verdict.why, verdict.depth) == (True, False, why, depth)


def test_why_a_chain_does_not_lead_to_what_is_pinned() -> None:
    stranger = issue("Stranger", ca=True)
    record = pin((2, 0, 1), stranger)
    beside = judge(record, presented(LEAF, INTERMEDIATE, stranger))
    assert (beside.why, beside.depth) == ("the certificate does not chain up to CN=Stranger, which it pins", 2)
    gap = judge(pin((2, 0, 1), ROOT), presented(LEAF, ROOT))
    assert gap.why == "the certificate does not chain up to CN=Root, which it pins"
    no_ca = issue("No CA")
    below = judge(pin((2, 0, 1), no_ca), presented(issue(HOST, no_ca), no_ca))
    assert below.why == "CN=No CA, which it pins, is no CA certificate"
    narrow = issue("Root", ca=True, constraints=x509.NameConstraints([x509.DNSName("example.com")], None))
    forbidden = judge(pin((2, 0, 1), narrow), presented(issue(HOST, narrow), narrow))
    assert forbidden.why.startswith("a CA certificate on the way to CN=Root, which it pins, may not issue this one")


def test_which_certificate_is_out_of_date_is_said() -> None:
    root = issue("Root", ca=True, days=3)
    chain = presented(issue(HOST, root), root)
    assert judge(pin((2, 0, 1), root), chain, now=NOW + timedelta(days=5)).why == "CN=Root expired on 2026-06-04"
    assert judge(pin((2, 0, 1), root), chain, now=LATE).why == "expired on 2026-07-01"
    assert judge(pin((2, 0, 1), root), chain, now=NOW - timedelta(days=9)).why == "not valid before 2026-05-31"


def test_a_certificate_without_names_or_for_other_purposes() -> None:
    nameless = issue("Mail Server", ROOT, names=[])
    assert judge(pin((2, 0, 1), ROOT), presented(nameless, ROOT)).why == (
        f"the certificate is for no DNS name, not for {HOST}"
    )
    many = issue(HOST, ROOT, names=[f"{letter}.example.net" for letter in "abcdef"])
    assert judge(pin((2, 0, 1), ROOT), presented(many, ROOT)).why == (
        f"the certificate is for a.example.net, b.example.net, c.example.net, …, not for {HOST}"
    )
    signs_only_crls = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    odd = issue(HOST, ROOT, key_usage=signs_only_crls)
    assert "do not allow a TLS server" in judge(pin((2, 0, 1), ROOT), presented(odd, ROOT)).why
    assert judge(pin((3, 0, 1), odd), presented(odd, ROOT)).matches


# --- hostile chains -------------------------------------------------------------------------------------------------


def test_an_extension_that_comes_twice_is_no_error() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "twice")])
    key = p256()
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(LATE)
    for number in (98, 99):
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"2.5.29.{number}"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=False)
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    der = der.replace(bytes([0x55, 0x1D, 98]), bytes([0x55, 0x1D, 99]))
    for chain in ([der], [LEAF.der, der], [der, ROOT.der]):
        found = pki.chain_from_der(chain)
        for record in (TlsaRecord(2, 0, 0, der), pin((2, 1, 0), ROOT), pin((1, 1, 1), LEAF)):
            assert not judge(record, found, roots=[ROOT]).matches
        assert dane.verify([TlsaRecord(3, 0, 0, chain[0])], found, [HOST], NOW, smtp=True)[0].matches


@pytest.mark.parametrize("certificate", [LEAF, INTERMEDIATE, ROOT])
def test_a_certificate_with_any_octet_changed_is_judged_without_an_error(certificate: Issued) -> None:
    """Warnings are errors here, too. The tags that are put in have made `cryptography` raise what nobody expects."""
    for position, octet in enumerate(certificate.der):
        for other in {0x03, 0x06, 0x30, octet ^ 1} - {octet}:
            damaged = certificate.der[:position] + bytes([other]) + certificate.der[position + 1 :]
            ders = [damaged if each == certificate.der else each for each in LEAF.chain_der]
            try:
                chain = pki.chain_from_der(ders)
            except InputError:
                assert certificate == LEAF
                continue
            for record in (pin((2, 0, 1), ROOT), TlsaRecord(2, 0, 0, damaged), pin((2, 1, 0), ROOT)):
                # What stands outside of the signature may change: how many bits of its last octet do not count.
                assert not judge(record, chain).matches or certificate != LEAF or same_signed_part(damaged)


def same_signed_part(damaged: bytes) -> bool:
    found = pki.load(damaged)
    return found is not None and found.tbs_certificate_bytes == LEAF.certificate.tbs_certificate_bytes


def test_many_certificates_with_one_name_cost_a_bounded_number_of_signatures() -> None:
    """A hundred certificates that could all have issued each other: ten thousand signatures if all were verified."""
    cas = [issue("CA", ca=True) for _ in range(99)]
    chain = presented(issue(HOST, cas[-1]), *cas)
    before = pki.path.is_issued_by.cache_info()
    verdict = judge(pin((2, 0, 1), cas[-1]), chain)
    after = pki.path.is_issued_by.cache_info()
    assert verdict.matches
    asked = (after.hits + after.misses) - (before.hits + before.misses)
    assert asked <= 2 * pki.path.MAX_SIGNATURES


def test_a_key_that_makes_signatures_slow_issues_nothing() -> None:
    numbers = rsa2048().public_key().public_numbers()
    assert not pki.path.is_slow(rsa2048().public_key())
    assert pki.path.is_slow(type(numbers)((1 << 65) + 1, numbers.n).public_key())
    assert not pki.path.is_slow(p256().public_key())


def test_what_was_judged_once_is_cheap_after() -> None:
    """It is asked for each address; the bound is ten times what it takes."""
    records = [dane.tlsa_record(RecordSpec(usage, 1, 1), CHAIN) for usage in (2, 3)]
    once = timeit.repeat(lambda: dane.verify(records, CHAIN, (HOST,), NOW, smtp=True), number=200, repeat=5)
    assert min(once) / 200 < 150e-6


@pytest.mark.parametrize("usage", [0, 1, 2, 3])
@pytest.mark.parametrize("rooted", [True, False])
def test_of_a_thousand_records_only_what_a_chain_has_something_of_is_held_against_it(
    usage: int, *, rooted: bool
) -> None:
    """A hostile domain has a thousand for each of a thousand handshakes."""
    roots = [ROOT.der] if rooted else []
    strangers = [TlsaRecord(usage, number % 2, 1, hashlib.sha256(b"%d" % number).digest()) for number in range(998)]
    near = pin((usage, 1, 1), INTERMEDIATE if usage in {0, 2} else LEAF)
    empty = TlsaRecord(usage, 1, 1, hashlib.sha256(b"").digest())
    before = _judged.cache_info()
    verdicts = dane.verify([*strangers, near, empty], CHAIN, (HOST,), NOW, smtp=False, roots_der=roots)
    after = _judged.cache_info()
    assert after.hits + after.misses - before.hits - before.misses == 2
    assert [each.record for each in verdicts] == [*strangers, near, empty]
    assert [each.matches for each in verdicts[-2:]] == [usage in {2, 3} or rooted, False]
    for each in verdicts[:998]:
        alone = _judged(each.record, CHAIN, (HOST,), NOW, tuple(roots))
        assert (each.matches, each.depth, each.why) == alone
        assert each.why
    assert verdicts[-1].why == (
        f"usage {usage} needs a trusted CA, and no trusted CAs were given"
        if usage == 0 and not rooted
        else "the digest of an empty string"
    )
