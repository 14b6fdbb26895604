"""Every kind of finding is made where it ought to be, and not where it ought not to be."""

import re
from itertools import groupby

import pytest

from danelaw.dane.findings import CODES, find
from fakes.finding_cases import Case
from fakes.finding_cases_certificates import CERTIFICATES, OWN, POLICIES
from fakes.finding_cases_dns import HOSTS, NAMES, SERVERS_SAY
from fakes.finding_cases_tls import CONNECTIONS, RECORDS

ALL: tuple[Case, ...] = (
    *HOSTS,
    *NAMES,
    *SERVERS_SAY,
    *RECORDS,
    *CONNECTIONS,
    *CERTIFICATES,
    *POLICIES,
    *OWN,
)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_it_is_found(case: Case) -> None:
    found = [each for each in find(case.shows(), case.ttls) if each.code == case.code]
    assert [each.severity for each in found] == [case.severity], found
    assert re.search(case.says, found[0].text), found[0].text
    assert found[0].rfc == CODES[case.code].rfc


@pytest.mark.parametrize("case", ALL, ids=str)
def test_its_twin_has_it_not(case: Case) -> None:
    assert not [each for each in find(case.lacks()) if each.code == case.code and each.severity == case.severity]


def test_every_code_is_shown_with_each_of_its_severities() -> None:
    shown = {code: {case.severity for case in cases} for code, cases in groupby(sorted(ALL, key=_code), key=_code)}
    assert shown == {code: set(kind.severities) for code, kind in CODES.items()}


def _code(case: Case) -> str:
    return case.code
