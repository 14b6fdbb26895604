"""Problem documents and Retry-After, as CAs write them and as nobody should."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from danelaw.acme.problem import AcmeProblem, failure, parse_problem, plain, retry_after
from danelaw.errors import Refused, RetryLater

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ERROR = "urn:ietf:params:acme:error:"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", NOW + timedelta(minutes=2)),
        (" 0 ", NOW),
        ("Tue, 24 Nov 2026 12:00:30 GMT", NOW + timedelta(seconds=30)),
        ("Tue, 24 Nov 2026 12:00:30", NOW + timedelta(seconds=30)),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", NOW + timedelta(seconds=30)),
        ("Tue Nov 24 12:00:30 2026", NOW + timedelta(seconds=30)),
        ("Tue, 24 Nov 2026 13:00:30 +0100", NOW + timedelta(seconds=30)),
        ("Mon, 23 Nov 2026 12:00:00 GMT", NOW),
        ("999999999999", NOW + timedelta(days=30)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", NOW + timedelta(days=30)),
    ],
)
def test_retry_after_in_both_its_forms(value: str, expected: datetime) -> None:
    assert retry_after(value, NOW) == expected


@pytest.fixture
def far_from_greenwich() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "XXX-9"
    time.tzset()
    yield
    del os.environ["TZ"]
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_a_date_without_a_zone_is_greenwichs_wherever_the_host_is() -> None:
    assert retry_after("Tue, 24 Nov 2026 12:00:30", NOW) == NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "-5", "1.5", "١٢", "9" * 40, "Tue, 99 Nov 2026 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 -0100"],
)
def test_a_retry_after_that_says_nothing(value: str | None) -> None:
    assert retry_after(value, NOW) is None


def test_a_problem_is_told_with_its_subproblems_names_and_what_to_do() -> None:
    problem = parse_problem(
        {
            "type": ERROR + "malformed",
            "detail": "Some of the identifiers\nwere rejected\x1b[31m",
            "subproblems": [
                {
                    "type": ERROR + "rejectedIdentifier",
                    "detail": "not for me",
                    "identifier": {"type": "dns", "value": "example.net"},
                    "subproblems": [{"type": "too deep"}],
                },
                "nonsense",
            ],
        },
        403,
    )
    assert str(problem) == (
        "malformed: Some of the identifiers were rejected [31m; example.net: rejectedIdentifier: not for me"
    )
    error = failure("ca.test refused /order", problem)
    assert isinstance(error, AcmeProblem)
    assert isinstance(error, Refused)
    assert str(error).endswith("take the name out of the certificate, or ask another CA")


@pytest.mark.parametrize("document", [{}, {"type": 5, "detail": [], "subproblems": {}, "identifier": 3}])
def test_a_problem_without_members_is_still_one(document: dict[str, object]) -> None:
    assert str(parse_problem(document)) == "about:blank"


def test_what_time_may_cure_is_tried_again_and_a_mixture_is_not() -> None:
    dns = {"type": ERROR + "dns", "detail": "SERVFAIL"}
    caa = {"type": ERROR + "caa", "detail": "forbidden"}
    assert isinstance(failure("x", parse_problem(dns), NOW), RetryLater)
    assert isinstance(failure("x", parse_problem({"type": ERROR + "compound", "subproblems": [dns, dns]})), RetryLater)
    assert isinstance(failure("x", parse_problem({"type": ERROR + "compound", "subproblems": [dns, caa]})), Refused)


def test_text_from_outside_is_one_bounded_line() -> None:
    assert plain("a\r\nb\x00c\u202ed") == "a  b c d"
    assert len(plain("x" * 10_000, 100)) == 100
    assert plain(None) == plain(5) == ""
