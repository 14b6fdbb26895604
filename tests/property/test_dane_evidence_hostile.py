"""Whatever a peer presents and DNS holds: a verdict for each record, in words, and no exception."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chains import HOST, NOW, issue, rsa2048, three
from danelaw import dane, pki
from danelaw.errors import InputError
from danelaw.model import TlsaRecord

LEAF, INTERMEDIATE, ROOT = three()
OTHERS = [issue("Root", ca=True), issue("Intermediate", ROOT, ca=True, key=rsa2048()), issue(HOST, ROOT)]
GOOD = [LEAF.der, INTERMEDIATE.der, ROOT.der, *(each.der for each in OTHERS)]
PARTS = [*GOOD, *(pki.spki_of_certificate(each) for each in GOOD)]


@st.composite
def damaged(draw: st.DrawFn, samples: list[bytes]) -> bytes:
    """A sample as it is, or with some octets replaced, cut off or doubled."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 3)):
            case 0 | 1:
                data[at] = draw(st.integers(0, 255))
            case 2:
                del data[max(1, at) :]
            case _:
                data[at:at] = data[at : at + draw(st.integers(1, 16))]
    return bytes(data)


hostile_records = st.builds(
    TlsaRecord,
    st.integers(0, 4),
    st.integers(0, 2),
    st.integers(0, 3),
    st.one_of(
        damaged(PARTS),
        st.binary(max_size=70),
        st.builds(dane.tlsa.association, st.sampled_from(PARTS), st.sampled_from([1, 2])),
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(damaged(GOOD), max_size=5),
    st.lists(hostile_records, max_size=4),
    st.lists(st.sampled_from([HOST, "", ".", "*", "a.example", "x" * 300]), max_size=2),
    st.sampled_from([None, NOW]),
    st.lists(damaged(GOOD), max_size=2),
    st.booleans(),
)
def test_any_chain_and_any_records_get_verdicts(
    presented: list[bytes],
    records: list[TlsaRecord],
    names: list[str],
    now: object,
    roots: list[bytes],
    smtp: bool,  # noqa: FBT001  (drawn)
) -> None:
    try:
        chain = pki.chain_from_der(presented)
    except InputError:
        return  # no leaf at all: nothing was presented
    at = NOW if now else None
    verdicts = dane.verify(records, chain, names, at, smtp=smtp, roots_der=roots)
    assert [each.record for each in verdicts] == records
    for each in verdicts:
        assert each.usable is dane.usable(each.record, smtp=smtp)
        assert each.usable or not (each.counts or each.matches)
        assert each.matches is not bool(each.why)
        assert len(each.why) < 600
        assert each.why.isprintable()
        assert each.depth is None or dane.selects(each.record, chain.certificates_der[each.depth])
    # One truth: what is judged here is what `matches` and `accepts` say.
    for each in verdicts:
        if each.record.usage in {2, 3}:
            assert each.matches is (each.usable and dane.matches(each.record, chain, names, at))
    if smtp:
        accepted = any(each.counts and each.matches for each in verdicts)
        assert accepted is dane.accepts(records, chain, names, at, smtp=True)


def test_the_property_has_something_to_bite_on() -> None:
    chain = pki.chain_from_der(LEAF.chain_der)
    record = TlsaRecord(2, 0, 0, ROOT.der)
    assert dane.verify([record], chain, [HOST], NOW, smtp=True)[0].matches
    assert not dane.verify([record], pki.chain_from_der([LEAF.der]), [HOST], NOW, smtp=True)[0].matches
