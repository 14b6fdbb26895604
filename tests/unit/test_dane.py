"""danelaw.dane: records made, written, read, and held against chains."""

import hashlib
import timeit
from datetime import timedelta

import pytest
from cryptography import x509

from chains import HOST, NOW, Issued, issue, p256, rsa2048, three
from danelaw import dane, pki
from danelaw.dane.tlsa import association
from danelaw.errors import InputError
from danelaw.model import Chain, RecordSpec, TlsaRecord

ALL_SPECS = [RecordSpec(u, s, m) for u in range(4) for s in range(2) for m in range(3)]
EMPTY_DIGESTS = {hashlib.sha256(b"").digest(), hashlib.sha512(b"").digest()}


def chain_of(issued: Issued) -> Chain:
    return pki.chain_from_der(issued.chain_der)


def record(chain: Chain, *spec: int) -> TlsaRecord:
    return dane.tlsa_record(RecordSpec(*spec), chain)


def digest(data: bytes, matching_type: int) -> bytes:
    return {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[matching_type]


# --- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ALL_SPECS, ids=str)
def test_every_combination_takes_the_right_certificate_and_the_right_part_of_it(spec: RecordSpec) -> None:
    leaf, intermediate, root = three()
    pinned = leaf if spec.usage in {1, 3} else root
    part = pinned.der if spec.selector == 0 else pinned.spki_der
    expected = TlsaRecord(*spec, digest(part, spec.matching_type))
    assert dane.tlsa_record(spec, chain_of(leaf)) == expected
    shuffled = pki.chain_from_der([leaf.der, root.der, intermediate.der])
    assert dane.tlsa_record(spec, shuffled) == expected


@pytest.mark.parametrize("usage", [0, 2])
def test_each_ca_certificate_above_the_leaf_can_be_pinned_and_no_other(usage: int) -> None:
    leaf, intermediate, root = three()
    stranger, namesake = issue("Stranger", ca=True), issue("Root", ca=True)
    chain = pki.chain_from_der([leaf.der, stranger.der, root.der, intermediate.der, namesake.der])
    spec = RecordSpec(usage, 0, 0)
    assert dane.trust_anchors(chain) == (intermediate.der, root.der)
    assert [dane.tlsa_record(spec, chain, ta=n).data for n in (1, 2, None)] == [intermediate.der, root.der, root.der]
    assert dane.tlsa_record(spec, chain_of(intermediate), ta=1).data == intermediate.der  # a CA's chain: itself first
    for wrong in (0, 3, -1):
        with pytest.raises(InputError, match=r"leaf chains up to 1 CN=Intermediate, 2 CN=Root"):
            dane.tlsa_record(spec, chain, ta=wrong)


def test_what_no_record_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"would hold 65533 octets.*use a digest"):
        dane.tlsa_record(RecordSpec(3, 1, 0), spki_der=bytes(65533))
    assert len(dane.tlsa_record(RecordSpec(3, 1, 0), spki_der=bytes(65532)).data) == 65532


def test_generic_data() -> None:
    """The example of RFC 3597 section 5's form: length in octets, then all of them."""
    assert dane.generic(TlsaRecord(3, 1, 1, bytes(range(32)))) == f"\\# 35 030101{bytes(range(32)).hex()}"


@pytest.mark.parametrize("matching_type", [0, 1, 2])
@pytest.mark.parametrize("usage", [1, 3])
def test_a_bare_key_is_enough_for_selector_1(usage: int, matching_type: int) -> None:
    leaf, _, _ = three()
    spec = RecordSpec(usage, 1, matching_type)
    assert dane.tlsa_record(spec, spki_der=leaf.spki_der) == dane.tlsa_record(spec, chain_of(leaf))


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (RecordSpec(3, 0, 1), "whole certificate; found only a key"),
        (RecordSpec(2, 1, 1), "CA's certificate; found only a key"),
        (RecordSpec(0, 1, 1), "CA's certificate; found only a key"),
        (RecordSpec(4, 1, 1), "found TLSA parameters 4 1 1"),
        (RecordSpec(3, 2, 1), "found TLSA parameters 3 2 1"),
        (RecordSpec(3, 1, 3), "found TLSA parameters 3 1 3"),
    ],
)
def test_a_bare_key_is_not_enough_for_the_others(spec: RecordSpec, says: str) -> None:
    with pytest.raises(InputError, match=says):
        dane.tlsa_record(spec, spki_der=three()[0].spki_der)


@pytest.mark.parametrize("spec", ALL_SPECS, ids=str)
def test_there_is_no_record_of_nothing(spec: RecordSpec) -> None:
    for spki_der in (None, b""):
        with pytest.raises(InputError):
            dane.tlsa_record(spec, None, spki_der)
    with pytest.raises(ValueError, match="nothing to make"):
        association(b"", spec.matching_type)
    assert dane.tlsa_record(spec, chain_of(three()[0])).data not in EMPTY_DIGESTS


@pytest.mark.parametrize("usage", [0, 2])
def test_a_chain_without_its_issuer_pins_no_ca(usage: int) -> None:
    leaf, _, root = three()
    for certificates in ([leaf.der], [leaf.der, root.der], [leaf.der, issue("Intermediate", ca=True).der]):
        with pytest.raises(InputError, match=f"found none among the {len(certificates)} given"):
            dane.tlsa_record(RecordSpec(usage, 0, 1), pki.chain_from_der(certificates))


def test_a_ca_certificate_given_by_itself_is_what_usage_2_pins() -> None:
    _, intermediate, _ = three()
    made = dane.tlsa_record(RecordSpec(2, 0, 1), pki.chain_from_der([intermediate.der]))
    assert made.data == hashlib.sha256(intermediate.der).digest()


# --- text ------------------------------------------------------------------------------------------------------------


def test_a_zone_line() -> None:
    made = TlsaRecord(3, 1, 1, bytes(range(32)))
    line = f"_25._tcp.{HOST}. 3600 IN TLSA 3 1 1 {bytes(range(32)).hex()}"
    assert dane.zone_line(f"_25._tcp.{HOST}.", 3600, made) == line
    assert dane.zone_line(f"_25._tcp.{HOST}", 3600, made) == line


def test_records_are_read_as_zone_files_write_them() -> None:
    assert dane.parse_record("3 1 1 AB cd") == TlsaRecord(3, 1, 1, b"\xab\xcd")
    assert dane.parse_record(" 2 0 2 (\n  ABCD\n  EF01 ) ") == TlsaRecord(2, 0, 2, b"\xab\xcd\xef\x01")
    assert dane.parse_record("255 255 255 00") == TlsaRecord(255, 255, 255, b"\0")


@pytest.mark.parametrize(
    "text", ["", "3 1 1", "3 1 1 ", "3 1 1 abc", "3 1 1 xy", "a 1 1 ab", "256 1 1 ab", "-1 1 1 ab"]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="found"):
        dane.parse_record(text)


def test_specs_are_read() -> None:
    assert dane.parse_spec("3 1 1") == RecordSpec(3, 1, 1)
    assert dane.parse_spec(" 2  0 2 ") == RecordSpec(2, 0, 2)


@pytest.mark.parametrize("text", ["", "3 1", "3 1 1 ab", "4 1 1", "3 2 1", "3 1 3", "3,1,1", "311"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="as in '3 1 1'"):
        dane.parse_spec(text)


# --- matching one record ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ALL_SPECS, ids=str)
def test_every_combination_matches_its_own_chain_and_no_other(spec: RecordSpec) -> None:
    leaf, _, _ = three()
    other, _, _ = three()
    made = record(chain_of(leaf), *spec)
    assert dane.matches(made, chain_of(leaf), [HOST], NOW)
    assert not dane.matches(made, chain_of(other), [HOST], NOW)


@pytest.mark.parametrize(
    "odd",
    [(3, 2, 1), (3, 255, 1), (3, 1, 3), (3, 1, 255), (4, 1, 1), (255, 1, 1)],
)
def test_unknown_parameters_match_nothing(odd: tuple[int, int, int]) -> None:
    leaf, _, _ = three()
    assert not dane.matches(TlsaRecord(*odd, digest(leaf.spki_der, 1)), chain_of(leaf))


def test_data_that_is_cut_or_empty_matches_nothing() -> None:
    chain = chain_of(three()[0])
    for spec in ALL_SPECS:
        whole = record(chain, *spec)
        for data in (b"", whole.data[:-1], whole.data + b"\0"):
            assert not dane.matches(TlsaRecord(*spec, data), chain)


def test_dane_ee_ignores_names_and_dates_and_dane_ta_does_not() -> None:
    """RFC 7671 sections 5.1 and 5.2."""
    chain = chain_of(three()[0])
    late, elsewhere = NOW + timedelta(days=99), ["other.example.com"]
    ee, ta = record(chain, 3, 1, 1), record(chain, 2, 0, 1)
    assert dane.matches(ee, chain, elsewhere, late)
    assert dane.matches(ta, chain, [HOST], NOW)
    assert not dane.matches(ta, chain, elsewhere, NOW)
    assert not dane.matches(ta, chain, [HOST], late)
    assert dane.matches(ta, chain)  # neither was asked


def test_dane_ta_needs_one_of_several_names_only() -> None:
    chain = chain_of(three()[0])
    assert dane.matches(record(chain, 2, 1, 1), chain, ["example.net", HOST])


@pytest.mark.parametrize("usage", [0, 2])
def test_a_ta_must_be_presented(usage: int) -> None:
    leaf, intermediate, root = three()
    of_root = TlsaRecord(usage, 0, 1, digest(root.der, 1))
    assert dane.matches(of_root, chain_of(leaf), [HOST], NOW)
    assert not dane.matches(of_root, pki.chain_from_der([leaf.der, intermediate.der]), [HOST], NOW)


def test_a_ta_must_be_above_the_leaf_and_not_only_beside_it() -> None:
    leaf, intermediate, root = three()
    stranger = issue("Stranger", ca=True)
    beside = pki.chain_from_der([leaf.der, intermediate.der, stranger.der])
    assert not dane.matches(TlsaRecord(2, 0, 1, digest(stranger.der, 1)), beside)
    gap = pki.chain_from_der([leaf.der, root.der])
    assert not dane.matches(TlsaRecord(2, 0, 1, digest(root.der, 1)), gap)


def test_the_leaf_is_not_its_own_ta() -> None:
    selfsigned = issue(HOST, ca=True)
    twice = pki.chain_from_der([selfsigned.der, selfsigned.der])
    for usage in (0, 2):
        assert not dane.matches(TlsaRecord(usage, 0, 1, digest(selfsigned.der, 1)), twice)
    assert dane.matches(TlsaRecord(3, 0, 1, digest(selfsigned.der, 1)), twice)


def test_a_ta_in_full_may_stand_in_dns_alone() -> None:
    """RFC 7671 section 5.2.2."""
    leaf, intermediate, root = three()
    of_root = TlsaRecord(2, 0, 0, root.der)
    without_root = pki.chain_from_der([leaf.der, intermediate.der])
    assert dane.matches(of_root, without_root, [HOST], NOW)
    assert not dane.matches(of_root, without_root, ["other.example.com"], NOW)
    assert not dane.matches(of_root, without_root, [HOST], NOW + timedelta(days=99))
    assert not dane.matches(of_root, pki.chain_from_der([leaf.der]), [HOST], NOW)
    assert not dane.matches(TlsaRecord(2, 0, 0, issue("Root", ca=True).der), without_root, [HOST], NOW)
    assert not dane.matches(TlsaRecord(2, 0, 0, b"rubbish"), without_root)


def test_a_bare_ta_key_may_have_signed_the_topmost_certificate() -> None:
    """RFC 7671 section 5.2.3."""
    leaf, intermediate, root = three(key=rsa2048())
    of_root = TlsaRecord(2, 1, 0, root.spki_der)
    without_root = pki.chain_from_der([leaf.der, intermediate.der])
    assert dane.matches(of_root, without_root, [HOST], NOW)
    assert not dane.matches(of_root, without_root, ["other.example.com"], NOW)
    assert not dane.matches(of_root, without_root, [HOST], NOW + timedelta(days=99))
    assert not dane.matches(of_root, pki.chain_from_der([leaf.der]), [HOST], NOW)
    assert not dane.matches(TlsaRecord(2, 1, 0, issue("Root", ca=True).spki_der), without_root)
    by_intermediate, alone = TlsaRecord(2, 1, 0, intermediate.spki_der), pki.chain_from_der([leaf.der])
    assert dane.matches(by_intermediate, alone, [HOST], NOW)
    assert not dane.matches(by_intermediate, alone, [HOST], NOW + timedelta(days=99))


def test_an_issuer_of_another_algorithm_than_the_leaf() -> None:
    root = issue("Root", ca=True, key=rsa2048())
    chain = chain_of(issue(HOST, root, key=p256()))
    assert dane.matches(record(chain, 2, 1, 2), chain, [HOST], NOW)


def test_an_expired_issuer_ends_the_chain() -> None:
    root = issue("Root", ca=True, days=3)
    chain = chain_of(issue(HOST, root))
    ta = record(chain, 2, 1, 1)
    assert dane.matches(ta, chain, [HOST], NOW)
    assert not dane.matches(ta, chain, [HOST], NOW + timedelta(days=5))


def test_an_issuer_without_the_right_to_issue_ends_the_chain() -> None:
    not_a_ca = issue("Not a CA")
    leaf = issue(HOST, not_a_ca)
    assert not dane.matches(TlsaRecord(2, 0, 1, digest(not_a_ca.der, 1)), chain_of(leaf))


def test_name_constraints_of_the_ta_are_applied() -> None:
    for base, allowed in (("example.org", True), ("example.com", False)):
        root = issue("Root", ca=True, constraints=x509.NameConstraints([x509.DNSName(base)], None))
        chain = chain_of(issue(HOST, root))
        assert dane.matches(TlsaRecord(2, 0, 1, digest(root.der, 1)), chain, [HOST], NOW) is allowed


@pytest.mark.parametrize(
    ("reference", "presented", "expected"),
    [
        ("mail.example.org", ["mail.example.org"], True),
        ("MAIL.example.org.", ["mail.example.org"], True),
        ("mail.example.org", ["*.example.org"], True),
        ("a.mail.example.org", ["*.example.org"], False),  # one label only
        ("example.org", ["*.example.org"], False),
        ("mail.example.org", ["m*.example.org"], False),  # not a whole label
        ("mail.example.org", ["mail.*.org"], False),  # not the first label
        ("mail.example.org", ["*.*.org"], False),
        ("mail.example.org", ["*"], False),
        ("mail", ["*"], False),
        ("mail", ["*."], False),
        ("mail.example.org", ["example.org", "xmail.example.org"], False),
        ("mail.example.org", [], False),
    ],
)
def test_names(reference: str, presented: list[str], expected: bool) -> None:  # noqa: FBT001  (the table's answer)
    assert dane.name_matches(reference, presented) is expected


# --- usable ----------------------------------------------------------------------------------------------------------

LEAF = issue(HOST)


@pytest.mark.parametrize(
    ("found", "at_port_25", "elsewhere"),
    [
        (TlsaRecord(3, 1, 1, bytes(32)), True, True),
        (TlsaRecord(2, 0, 1, bytes(32)), True, True),
        (TlsaRecord(3, 1, 2, bytes(64)), True, True),
        (TlsaRecord(0, 0, 1, bytes(32)), False, True),
        (TlsaRecord(1, 1, 2, bytes(64)), False, True),
        (TlsaRecord(4, 1, 1, bytes(32)), False, False),
        (TlsaRecord(255, 1, 1, bytes(32)), False, False),
        (TlsaRecord(3, 2, 1, bytes(32)), False, False),
        (TlsaRecord(3, 1, 3, bytes(32)), False, False),
        (TlsaRecord(3, 1, 255, bytes(32)), False, False),
        (TlsaRecord(3, 1, 1, bytes(31)), False, False),
        (TlsaRecord(3, 1, 1, bytes(33)), False, False),
        (TlsaRecord(3, 1, 1, bytes(64)), False, False),
        (TlsaRecord(3, 1, 2, bytes(32)), False, False),
        (TlsaRecord(3, 1, 1, b""), False, False),
        (TlsaRecord(3, 0, 0, LEAF.der), True, True),
        (TlsaRecord(3, 1, 0, LEAF.spki_der), True, True),
        (TlsaRecord(3, 0, 0, LEAF.spki_der), False, False),
        (TlsaRecord(3, 1, 0, LEAF.der), False, False),
        (TlsaRecord(3, 1, 0, b""), False, False),
        (TlsaRecord(3, 0, 0, LEAF.der[:-1]), False, False),
        (TlsaRecord(1, 0, 0, LEAF.der), False, True),
    ],
)
def test_usable(found: TlsaRecord, at_port_25: bool, elsewhere: bool) -> None:  # noqa: FBT001  (the table's answers)
    assert dane.usable(found, smtp=True) is at_port_25
    assert dane.usable(found, smtp=False) is elsewhere


# --- RRsets ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live() -> Chain:
    return chain_of(three()[0])


@pytest.fixture(scope="module")
def other() -> Chain:
    return chain_of(three()[0])


def test_an_rrset_covers_a_chain_when_every_combination_has_a_match(live: Chain, other: Chain) -> None:
    ee, ee512, cert = record(live, 3, 1, 1), record(live, 3, 1, 2), record(live, 3, 0, 1)
    stale, stale512 = record(other, 3, 1, 1), record(other, 3, 1, 2)
    assert dane.covers([], live)  # absence refuses nothing
    assert dane.covers([ee], live)
    assert dane.covers([stale, ee], live)
    assert dane.covers([ee, ee512, cert, stale, stale512], live)
    assert not dane.covers([stale], live)
    assert not dane.covers([ee, stale512], live)  # RFC 7671 section 8.4: 3 1 2 matches only another chain
    assert not dane.covers([ee, record(other, 2, 0, 1)], live)
    assert dane.covers([ee, record(live, 2, 0, 1)], live)


def test_a_record_that_nobody_can_use_spoils_its_own_combination_only(live: Chain) -> None:
    ee, cut = record(live, 3, 1, 1), TlsaRecord(3, 1, 1, bytes(31))
    assert dane.covers([ee, cut], live)
    assert not dane.covers([cut], live)
    assert not dane.covers([ee, TlsaRecord(3, 1, 255, bytes(32))], live)


def test_names_and_dates_count_for_the_ta_combinations(live: Chain) -> None:
    both = [record(live, 3, 1, 1), record(live, 2, 1, 1)]
    assert dane.covers(both, live, [HOST], NOW)
    assert not dane.covers(both, live, [HOST], NOW + timedelta(days=99))
    assert not dane.covers(both, live, ["other.example.com"], NOW)
    assert dane.covers(both[:1], live, ["other.example.com"], NOW + timedelta(days=99))


def test_a_sender_needs_one_match(live: Chain, other: Chain) -> None:
    ee, stale = record(live, 3, 1, 1), record(other, 3, 1, 1)
    assert dane.accepts([ee], live)
    assert dane.accepts([stale, ee], live)
    assert dane.accepts([record(other, 2, 0, 1), ee], live)  # no cover, and yet accepted
    assert not dane.accepts([stale], live)
    assert not dane.accepts([], live)


def test_digest_agility(live: Chain, other: Chain) -> None:
    """RFC 7671 section 9: the weaker digest of one usage and selector does not count beside a stronger one."""
    ee, ee512, full = record(live, 3, 1, 1), record(live, 3, 1, 2), record(live, 3, 1, 0)
    stale, stale512, stale_full = record(other, 3, 1, 1), record(other, 3, 1, 2), record(other, 3, 1, 0)
    assert not dane.accepts([ee, stale512], live)  # Postfix refuses here
    assert dane.accepts([stale, ee512], live)
    assert dane.accepts([ee, stale512, full], live)  # full data always counts
    assert dane.accepts([ee, stale_full], live)
    assert not dane.accepts([stale512, stale_full, ee], live)
    assert dane.accepts([ee, TlsaRecord(3, 1, 2, bytes(32))], live)  # malformed ones are discarded first
    assert dane.accepts([ee, record(other, 3, 0, 2)], live)  # another selector is another matter
    assert dane.accepts([record(live, 2, 1, 1), stale512], live)  # and so is another usage


def test_usages_0_and_1_count_away_from_port_25_only(live: Chain) -> None:
    for usage in (0, 1):
        assert dane.accepts([record(live, usage, 0, 1)], live, smtp=False)
        assert not dane.accepts([record(live, usage, 0, 1)], live, smtp=True)


def test_names_and_dates_count_for_a_sender_with_dane_ta(live: Chain) -> None:
    ta = [record(live, 2, 1, 1)]
    assert dane.accepts(ta, live, [HOST], NOW)
    assert not dane.accepts(ta, live, [HOST], NOW + timedelta(days=99))
    assert not dane.accepts(ta, live, ["other.example.com"], NOW)


def test_what_was_computed_once_is_cheap_after(live: Chain, other: Chain) -> None:
    """A simulation asks millions of times; the bound is ten times what it takes."""
    rrset = (record(live, 3, 1, 1), record(other, 3, 1, 1))
    for ask in (lambda: dane.covers(rrset, live), lambda: dane.accepts(rrset, live)):
        assert min(timeit.repeat(ask, number=1000, repeat=5)) / 1000 < 25e-6
