"""Whatever bytes come: pki and dane answer or raise InputError; and the laws between covers, accepts and matches."""

import hashlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from chains import HOST, issue, three
from danelaw import dane, pki
from danelaw.errors import InputError
from danelaw.model import Chain, RecordSpec, TlsaRecord

LEAF, INTERMEDIATE, ROOT = three()
CHAINS = [pki.chain_from_der(three()[0].chain_der) for _ in range(3)]
SAMPLES = [
    LEAF.der,
    LEAF.spki_der,
    LEAF.key_pem,
    pki.cert_pem(LEAF.der).encode(),
    pki.chain_pem(CHAINS[0]).encode(),
    ROOT.der,
]
SPECS = [RecordSpec(u, s, m) for u in range(4) for s in range(2) for m in range(3)]


@st.composite
def damaged(draw: st.DrawFn, samples: list[bytes] = SAMPLES) -> bytes:
    """A sample with some octets replaced, cut off, or doubled."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[max(1, at) :]
            case _:
                data[at:at] = data[at : at + draw(st.integers(1, 16))]
    return bytes(data)


def refusal(read: Callable[[bytes], object], data: bytes) -> str | None:
    try:
        read(data)
    except InputError as error:
        return str(error)
    return None


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), damaged()))
def test_any_source_is_recognised_or_refused_in_words(data: bytes) -> None:
    for read in (pki.load_source, pki.parse_chain, pki.spki_of_csr, pki.spki_of_public_key, pki.check_public_key):
        words = refusal(read, data)
        assert words is None or (10 < len(words) < 400 and "\n" not in words)


@settings(max_examples=200, deadline=None)
@given(damaged([LEAF.der]), damaged([INTERMEDIATE.der]), st.sampled_from(SPECS))
def test_any_presented_chain_is_judged_without_an_error(leaf: bytes, above: bytes, spec: RecordSpec) -> None:
    whole = pki.chain_from_der(LEAF.chain_der)
    pinned = dane.tlsa_record(spec, whole)
    for certificates in ([leaf, INTERMEDIATE.der, ROOT.der], [LEAF.der, above, ROOT.der]):
        try:
            chain = pki.chain_from_der(certificates)
        except InputError:
            continue
        matched = dane.matches(pinned, chain, [HOST])
        if spec.usage == 3:
            assert dane.matches(dane.tlsa_record(spec, chain), chain)
        # A damaged leaf has no issuer. A damaged TA matches by its key all the same, or stands in the record in full.
        elif spec.usage != 1 and chain != whole and (chain.leaf_der != LEAF.der or spec[1:] in {(0, 1), (0, 2)}):
            assert not matched


@given(st.sampled_from(SPECS), st.sampled_from(CHAINS))
def test_a_record_made_of_a_chain_matches_it_and_survives_its_text(spec: RecordSpec, chain: Chain) -> None:
    record = dane.tlsa_record(spec, chain)
    assert dane.matches(record, chain)
    assert dane.usable(record, smtp=False)
    assert dane.parse_record(str(record)) == record
    assert record.data not in {b"", hashlib.sha256(b"").digest(), hashlib.sha512(b"").digest()}


records = st.builds(dane.tlsa_record, st.sampled_from(SPECS), st.sampled_from(CHAINS)) | st.builds(
    TlsaRecord, st.integers(0, 5), st.integers(0, 3), st.integers(0, 4), st.sampled_from([b"", bytes(32), bytes(64)])
)
rrsets = st.lists(records, max_size=6)


@settings(deadline=None)
@given(rrsets, st.sampled_from(CHAINS))
def test_what_is_covered_is_accepted_by_every_sender(rrset: list[TlsaRecord], chain: Chain) -> None:
    """The reason for `covers`: whatever combinations a sender understands, it then finds a match."""
    for smtp in (True, False):
        if dane.covers(rrset, chain) and any(dane.usable(record, smtp=smtp) for record in rrset):
            assert dane.accepts(rrset, chain, smtp=smtp)
        understood = [record for record in rrset if dane.usable(record, smtp=smtp)]
        if dane.covers(rrset, chain):
            for spec in {record.spec for record in understood}:
                assert dane.accepts([r for r in rrset if r.spec == spec], chain, smtp=smtp)


@settings(deadline=None)
@given(rrsets, rrsets, st.sampled_from(CHAINS))
def test_the_union_of_two_covering_rrsets_covers(one: list[TlsaRecord], two: list[TlsaRecord], chain: Chain) -> None:
    if dane.covers(one, chain) and dane.covers(two, chain):
        assert dane.covers(one + two, chain)


@settings(deadline=None)
@given(rrsets, st.sampled_from(CHAINS))
def test_covers_by_its_definition(rrset: list[TlsaRecord], chain: Chain) -> None:
    expected = all(any(r.spec == spec and dane.matches(r, chain) for r in rrset) for spec in {r.spec for r in rrset})
    assert dane.covers(rrset, chain) is expected
    assert dane.covers(list(reversed(rrset)), chain) is expected


def test_the_property_tests_have_something_to_bite_on() -> None:
    assert dane.covers([dane.tlsa_record(SPECS[-1], CHAINS[0])], CHAINS[0])
    assert not dane.covers([dane.tlsa_record(SPECS[-1], CHAINS[1])], CHAINS[0])
    assert issue(HOST).der != LEAF.der
