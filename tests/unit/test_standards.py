"""docs/standards.md is true: it has every section that the code cites, and what it names is there."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE, TESTS, PAGE = ROOT / "src" / "danelaw", ROOT / "tests", ROOT / "docs" / "standards.md"

Section = tuple[int, str]
"""An RFC and a section of it, "" for the whole."""

NUMBER = r"(?:[A-Z]|\d+)(?:\.\d+)*"
CITATION = re.compile(
    rf"RFC (\d+)(?:(?: sections? | appendix )({NUMBER}(?:(?:, | and |, and )\d+(?:\.\d+)*)*)\b| (\d+(?:\.\d+)+))?"
)
HEADING = re.compile(r"^## .*$", re.MULTILINE)
TOKEN = re.compile(r"`([^`]+)`")


def cited(text: str) -> set[Section]:
    """Return what a source text cites, in comments that wrap too."""
    unwrapped = re.sub(r"\s*\n\s*(?:#\s?)?", " ", text)
    return {
        (int(found[1]), number)
        for found in CITATION.finditer(unwrapped)
        for number in re.findall(NUMBER, found[2] or found[3] or "") or [""]
    }


def rows(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield heading, first cell and the other cells of every row of every table."""
    for part in re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        for line in body.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("|") and cells[0] != "section" and not set(line) <= set("| -"):
                yield heading, cells[0], cells[1:]


def documented(page: str) -> set[Section]:
    """Return the sections that have a row; a heading or a row counts for its RFC as a whole."""
    result: set[Section] = {(int(rfc), "") for line in HEADING.findall(page) for rfc in re.findall(r"RFC (\d+)", line)}
    for heading, first, _ in rows(page):
        rfc = 0
        text = first if "RFC" in first else f"{heading[3:].partition(':')[0]} {first}"
        for found in re.finditer(rf"RFC (\d+)|whole|(?:appendix )?({NUMBER})", text):
            rfc = int(found[1] or rfc)
            result.add((rfc, found[2] or ""))
    return result


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names that a module defines: functions, classes, their methods, constants."""

    def defined(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[str]:
        for item in body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield prefix + item.name
            if isinstance(item, ast.ClassDef):
                yield from defined(item.body, f"{item.name}.")
            targets = item.targets if isinstance(item, ast.Assign) else []
            targets = [item.target] if isinstance(item, ast.AnnAssign) else targets
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))

    return frozenset(defined(ast.parse(path.read_text()).body))


def missing(token: str) -> str | None:
    """Return why a row's `module.py:name` or `test_module.py::test` is not there, None where it is."""
    file, is_test, name = token.partition("::")
    if not is_test:
        file, _, name = token.partition(":")
    path = (TESTS if is_test else SOURCE) / file
    if not path.is_file():
        return f"{token}: there is no {path.relative_to(ROOT)}"
    if name not in names_in(path) or (is_test and not name.startswith("test_")):
        return f"{token}: there is no {name!r} in {path.relative_to(ROOT)}"
    return None


def faults(page: str, citations: set[Section]) -> list[str]:
    """Return everything that is wrong with the page."""
    found = [
        f"RFC {rfc} {f'section {section}' if section else '(whole)'} is cited and has no row"
        for rfc, section in sorted(citations - documented(page))
    ]
    for heading, first, cells in rows(page):
        where = f"{heading[3:]}, {first}"
        if len(cells) != 3:
            found.append(f"{where}: {len(cells) + 1} cells; expected section, demands, obeyed in, shown by")
            continue
        modules, tests = TOKEN.findall(cells[1]), TOKEN.findall(cells[2])
        if not modules:
            found.append(f"{where}: no module")
        if not tests and "no test" not in cells[2]:
            found.append(f"{where}: no test, and it does not say so")
        found += [f"{where}: {token} is no test" for token in tests if "::" not in token]
        found += [f"{where}: {why}" for token in (*modules, *tests) if (why := missing(token))]
    return found


def all_cited() -> set[Section]:
    return {citation for path in SOURCE.rglob("*.py") for citation in cited(path.read_text())}


def test_every_section_that_the_code_cites_has_a_row_and_what_a_row_names_is_there() -> None:
    assert faults(PAGE.read_text(), all_cited()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(RFC 7671 section 8.1)", {(7671, "8.1")}),
        ("(RFC 7671 sections 8, 8.4), stricter", {(7671, "8"), (7671, "8.4")}),
        ("RFC 8555 sections 7.3 and 7.4.", {(8555, "7.3"), (8555, "7.4")}),
        ("RFC 7671 section 8.1 asks for two TTLs", {(7671, "8.1")}),
        ("(RFC 4035\n    section 5.3.3)", {(4035, "5.3.3")}),
        ("    # RFC 8446 section\n    # 4.4.2.2) or", {(8446, "4.4.2.2")}),
        ("RFC 5280 5.3.1", {(5280, "5.3.1")}),
        ("RFC 5280 appendix A.1, upper", {(5280, "A.1")}),
        ("JWS: RFC 7515, RFC 7517 and RFC 7518.", {(7515, ""), (7517, ""), (7518, "")}),
        ("RFC 3339 has 4 digits", {(3339, "")}),
        ("section 8.1 of nothing", set()),
    ],
)
def test_citations_are_found(text: str, expected: set[Section]) -> None:
    assert cited(text) == expected


HEAD = "# Standards\n\n## RFC 6698: TLSA\n\n| section | demands | obeyed in | shown by |\n| --- | --- | --- | --- |\n"
MODULE, TEST = "`dane/tlsa.py:select`", "`unit/test_dane.py::test_usable`"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (f"| 2.1.2 | x | {MODULE} | {TEST} |", None),
        (f"| 2.1.2 | x | {MODULE} | no test |", None),
        (f"| 2.1.2, 9 | x | `dane/tlsa.py:DIGEST_LENGTHS` | {TEST} |", None),
        (f"| 2.1.3 | x | {MODULE} | {TEST} |", "RFC 6698 section 2.1.2 is cited and has no row"),
        (f"| RFC 7671 2.1.2 | x | {MODULE} | {TEST} |", "RFC 6698 section 2.1.2 is cited"),
        (f"| 2.1.2 | x | `dane/none.py:select` | {TEST} |", "there is no src/danelaw/dane/none.py"),
        (f"| 2.1.2 | x | `dane/tlsa.py:chose` | {TEST} |", "there is no 'chose' in"),
        (f"| 2.1.2 | x | `dane/tlsa.py` | {TEST} |", "there is no '' in"),
        (f"| 2.1.2 | x | somewhere | {TEST} |", "no module"),
        (f"| 2.1.2 | x | {MODULE} | `unit/test_none.py::test_usable` |", "there is no tests/unit/test_none.py"),
        (f"| 2.1.2 | x | {MODULE} | `unit/test_dane.py::test_none` |", "there is no 'test_none' in"),
        (f"| 2.1.2 | x | {MODULE} | `unit/test_dane.py::record` |", "there is no 'record' in"),
        (f"| 2.1.2 | x | {MODULE} | `dane/tlsa.py:select` |", "is no test"),
        (f"| 2.1.2 | x | {MODULE} | somehow |", "no test, and it does not say so"),
        (f"| 2.1.2 | x | {MODULE} |", "3 cells; expected"),
    ],
)
def test_the_checker_sees_what_is_wrong(row: str, says: str | None) -> None:
    found = faults(HEAD + row + "\n", {(6698, "2.1.2"), (6698, "")})
    assert found == [] if says is None else any(says in fault for fault in found), found


def test_an_rfc_without_a_section_needs_a_row_or_a_heading() -> None:
    assert faults(HEAD, {(6698, ""), (3339, "")}) == ["RFC 3339 (whole) is cited and has no row"]
    assert faults(f"{HEAD}| RFC 3339 | x | {MODULE} | {TEST} |\n", {(3339, "")}) == []


def test_the_code_cites_at_all() -> None:
    assert len(all_cited()) > 100
