"""Whatever a CA says: it is read, or it is one clear error, never a stack trace."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from danelaw.acme.messages import parse_authorization, parse_directory, parse_order, usable_url
from danelaw.acme.problem import MalformedAnswer, parse_problem, plain, retry_after

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

MEMBERS = """
newNonce newAccount newOrder revokeCert meta termsOfService externalAccountRequired status authorizations finalize
certificate error identifier value wildcard challenges type url token detail instance subproblems
"""
KEYS = st.sampled_from(MEMBERS.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["https://ca.test/x", "http://ca.test/", "pending", "valid", "http-01", "urn:ietf:params:acme:error:dns"]
    )
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=8)
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=10)


@given(DOCUMENTS)
def test_any_object_is_read_or_malformed(document: dict[str, object]) -> None:
    readers: list[Callable[[], object]] = [
        lambda: parse_directory(document),
        lambda: parse_order(document, "https://ca.test/order"),
        lambda: parse_authorization(document, "https://ca.test/authz"),
    ]
    for read in readers:
        with suppress(MalformedAnswer):
            read()


@given(DOCUMENTS)
def test_any_problem_has_words_that_fit_a_terminal(document: dict[str, object]) -> None:
    words = str(parse_problem(json.loads(json.dumps(document))))
    assert words
    assert words.isprintable()


@given(
    st.text(max_size=40)
    | st.integers().map(str)
    | st.from_regex(r"(Mon|Tue), [0-9]{1,2} (Jan|Dec) [0-9]{1,4} [0-9:]{1,9}( GMT| [+-][0-9]{4})?", fullmatch=True)
)
def test_any_retry_after_is_an_instant_within_a_month_or_nothing(value: str) -> None:
    at = retry_after(value, NOW)
    assert at is None or NOW <= at <= NOW + timedelta(days=30)


@given(st.text(), st.integers(min_value=1, max_value=100))
def test_any_text_becomes_one_printable_bounded_line(text: str, limit: int) -> None:
    assert len(plain(text, limit)) <= limit
    assert plain(text, limit).isprintable()


@given(st.text(max_size=60) | st.text(alphabet="https:/[]@.#?%1a\r\n", max_size=40).map(lambda text: "https://" + text))
def test_a_url_that_may_be_asked_goes_to_nobody_unencrypted(url: str) -> None:
    if usable_url(url):
        assert url.lower().startswith(("https://", "http://127.", "http://localhost", "http://[::1]"))
        assert urlsplit(url).username is None
        assert not set(url) & set(" \r\n\t")
