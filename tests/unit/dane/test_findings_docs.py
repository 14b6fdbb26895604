"""docs/findings.md says of every finding what the code says."""

import re
from pathlib import Path

import pytest

from danelaw.dane.findings import CODES, SEVERITIES
from danelaw.dane.findings.codes import finding

PAGE = Path(__file__).parents[3] / "docs" / "findings.md"
ROW = re.compile(r"\| `([a-z0-9-]+)` \| ([a-z, ]+) \| (.+?) \| (.+?) \| (.*?) ?\|")


def rows(page: str) -> list[tuple[str, tuple[str, ...], str]]:
    """Return code, severities and RFC of every row."""
    return [
        (found[1], tuple(found[2].split(", ")), found[5]) for found in map(ROW.fullmatch, page.splitlines()) if found
    ]


def test_the_page_has_every_code_with_its_severities_and_rfc_in_the_order_of_the_table() -> None:
    assert rows(PAGE.read_text()) == [(each.code, each.severities, each.rfc) for each in CODES.values()]


def test_a_row_that_is_wrong_is_seen() -> None:
    assert rows("| `null-mx` | note | It takes no mail. | Nothing. | RFC 7505 section 3 |") == [
        ("null-mx", ("note",), "RFC 7505 section 3")
    ]
    assert rows("| `null-mx` | note | It takes no mail. | RFC 7505 section 3 |") == []


def test_the_table_is_in_order() -> None:
    for code, kind in CODES.items():
        assert code == kind.code
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
        assert kind.title
        assert list(kind.severities) == sorted(set(kind.severities), key=SEVERITIES.index)
        assert re.fullmatch(r"(RFC \d+ section \d+(\.\d+)*)?", kind.rfc)


def test_a_severity_that_is_not_declared_is_refused() -> None:
    assert finding("null-mx", "example.org", "takes no mail").severity == "note"
    with pytest.raises(ValueError, match="null-mx is declared as note, not as error"):
        finding("null-mx", "example.org", "takes no mail", severity="error")
