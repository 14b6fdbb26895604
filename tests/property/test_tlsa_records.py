"""Whatever chain a file holds, in whatever order: the records that are printed match it, and no other chain."""

import tempfile
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO

from hypothesis import given, settings
from hypothesis import strategies as st

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw import dane, pki
from danelaw.cli.arguments import parser
from danelaw.cli.tlsa import tlsa
from danelaw.model import Chain, RecordSpec, TlsaRecord

SPECS = [RecordSpec(u, s, m) for u in range(4) for s in range(2) for m in range(3)]
STRANGERS = [issue("Stranger", ca=True), issue("CA 0", ca=True)]  # the second has the name of a root that is used


@cache
def identity(rsa_leaf: bool, cas: int, branch: int) -> Issued:  # noqa: FBT001  (drawn)
    """Return a leaf below some CAs; equal arguments give the same, others share no certificate with it."""
    above: Issued | None = None
    for number in range(cas):
        above = issue(f"CA {number}", above, ca=True)
    del branch
    # A leaf of its own key each time: RSA keys are slow to make, so its chain alone tells it from others.
    return issue(HOST, above, key=rsa2048() if rsa_leaf else p256())


identities = st.builds(identity, st.booleans(), st.integers(0, 4), st.integers(0, 1))


def printed(data: bytes, *options: str) -> tuple[TlsaRecord, ...]:
    """Return the records that the command prints of a file."""
    with tempfile.NamedTemporaryFile() as file, redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()):
        file.write(data)
        file.flush()
        assert tlsa(parser().parse_args(["tlsa", file.name, *options])) == 0
    return tuple(dane.parse_record(line) for line in said.getvalue().splitlines())


def chain_of(issued: Issued) -> Chain:
    return pki.chain_from_der(issued.chain_der)


@settings(max_examples=120, deadline=None)
@given(identities, st.sets(st.sampled_from(SPECS), min_size=1), st.data())
def test_the_records_of_a_file_match_its_chain_in_any_order_and_no_other_chain(
    one: Issued, specs: set[RecordSpec], data: st.DataObject
) -> None:
    cas = len(one.above)
    wanted = sorted(spec for spec in specs if cas or spec.usage in {1, 3}) or [RecordSpec(3, 1, 1)]
    strangers = data.draw(st.lists(st.sampled_from(STRANGERS), unique=True)) if cas else []
    ders = [*one.chain_der, *(each.der for each in strangers)]
    order = data.draw(st.permutations(ders))
    ta = data.draw(st.none() | st.integers(1, cas)) if cas and any(spec.usage in {0, 2} for spec in wanted) else None
    options = [option for spec in wanted for option in ("--record", str(spec))] + (["--ta", str(ta)] if ta else [])
    records = printed("".join(map(pki.cert_pem, order)).encode(), *options)

    chain = chain_of(one)
    assert [record.spec for record in records] == wanted
    assert all(dane.matches(record, chain, [HOST], one.certificate.not_valid_before_utc) for record in records)
    assert dane.covers(records, chain)

    other = data.draw(identities)
    for record in records:
        same_key = record.selector == 1 and record.usage in {1, 3} and other.spki_der == one.spki_der
        assert dane.matches(record, chain_of(other)) == (other is one or same_key)


@settings(max_examples=40, deadline=None)
@given(st.lists(identities, min_size=2, max_size=4, unique_by=id), st.data())
def test_the_records_of_several_identities_in_one_file_cover_each(several: list[Issued], data: st.DataObject) -> None:
    ders = dict.fromkeys(der for each in several for der in each.chain_der)
    order = data.draw(st.permutations(list(ders)))
    records = printed("".join(map(pki.cert_pem, order)).encode(), "--record", "3 0 1", "--record", "3 1 2")
    assert all(dane.covers(records, chain_of(each)) for each in several)
    assert len([record for record in records if record.selector == 0]) == len(several)
    assert not dane.covers(records, chain_of(issue(HOST)))
