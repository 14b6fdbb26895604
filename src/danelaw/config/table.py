"""Reading TOML tables key by key, and reporting everything that does not fit.

Written by hand where a library (cattrs) was measured first, for two reasons. A library gives no object where one value
is wrong, so a mistyped ttl would hide the undefined publisher beside it, and the user would meet the problems one after
the other. And nearly every value here needs words of its own (durations, octal modes, commands, paths, keys that are
known and not yet supported), so that hooks would have been all of the code. A `Table` is asked for each key once, by
the code that is the schema; what nobody asked for is unknown, and what was asked for is what it may have meant.
"""

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, overload

from danelaw.errors import Problem

T = TypeVar("T")

TOP_KEYS = ("state_dir", "lookup_margin", "history")
"""The keys that stand before the first table, where TOML makes it easy to write them behind it."""

NAMED = ("acme", "dns", "certificate")
"""Sections whose tables have names of the user's: several files may add some, each name stands in one file."""

WHOLE = ("resolver", "connect", "authoritative", "serve")
"""Sections that are one table, in one file."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Unfit(Exception):
    """One value that does not fit, without its place: what was found, and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(found, expected)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the config: a file, and a key with its table."""

    file: str
    where: str

    def key(self, name: str) -> "Spot":
        """Return the place of a key in the table at this place."""
        quoted = name if _BARE.fullmatch(name) else quote(name)
        return Spot(self.file, f"{self.where}.{quoted}" if self.where else quoted)

    def item(self, position: int) -> "Spot":
        """Return the place of an item in the list at this place."""
        return Spot(self.file, f"{self.where}[{position}]")


@dataclass(slots=True)
class Report:
    """The problems and warnings found so far, each once."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def problem(self, spot: Spot, found: str, expected: str) -> None:
        """Add a problem: the config is refused."""
        _add(self.problems, spot, found, expected)

    def warning(self, spot: Spot, found: str, expected: str) -> None:
        """Add a warning: the config is accepted."""
        _add(self.warnings, spot, found, expected)


def _add(problems: list[Problem], spot: Spot, found: str, expected: str) -> None:
    file = "".join(c if c.isprintable() else "?" for c in spot.file)  # a path may hold bytes that are no text
    problem = Problem(file, _safe(spot.where) or "the file", _safe(found), _safe(expected))
    if problem not in problems:
        problems.append(problem)


def _safe(text: str) -> str:
    """Return text that a terminal may show: short, without control characters, and without a private key.

    The last line of defence: what is found is quoted by many, and one of them will forget.
    """
    if "PRIVATE KEY" in text:
        return "a private key in the config itself (not shown)"
    shown = text if len(text) <= 400 else text[:397] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)


def describe(value: object) -> str:
    """Return a value in the words of a message, short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "…"


def quote(text: str) -> str:
    """Return text in quotes as TOML would write it, short; a private key shows no more than that it is one."""
    if "PRIVATE KEY" in text:
        text = "PRIVATE KEY"
    return json.dumps(text if len(text) <= 80 else text[:77] + "…", ensure_ascii=False)


def did_you_mean(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """Return a suggestion in words, with a leading blank, or nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


class Table:
    """One TOML table while it is read. Every key is asked for once; `finish` reports the rest as unknown.

    A value that does not fit is reported, and the default returned in its place: the config is refused then, and
    reading goes on only to find what else is wrong. `faulty` names the keys that did not fit.
    """

    def __init__(self, report: Report, spot: Spot, data: dict[str, object]) -> None:
        self.report = report
        self.spot = spot
        self.faulty: set[str] = set()
        self._data = data
        self._asked: list[str] = []
        self._not_yet: set[str] = set()

    def has(self, key: str) -> bool:
        """Return whether the key stands in the table, well-formed or not."""
        return key in self._data

    def peek(self, key: str) -> object:
        """Return a value as TOML gave it, without asking for it. None where it is absent."""
        return self._data.get(key)

    def raw(self, key: str) -> object:
        """Return a value as TOML gave it, and count it as asked for. None where it is absent."""
        self._asked.append(key)
        return self._data.get(key)

    def problem(self, key: str, found: str, expected: str) -> None:
        """Report a problem with a key."""
        self.faulty.add(key)
        self.report.problem(self.spot.key(key), found, expected)

    def warning(self, key: str, found: str, expected: str) -> None:
        """Report a warning about a key."""
        self.report.warning(self.spot.key(key), found, expected)

    @overload
    def get(self, key: str, kind: Callable[[object], T]) -> T | None: ...
    @overload
    def get(self, key: str, kind: Callable[[object], T], default: T) -> T: ...

    def get(self, key: str, kind: Callable[[object], T], default: T | None = None) -> T | None:
        """Return a value as ``kind`` makes it, the default where it is absent or does not fit."""
        value = self.raw(key)
        if value is None:
            return default
        try:
            return kind(value)
        except Unfit as unfit:
            self.problem(key, unfit.found, unfit.expected)
            return default

    def required(self, key: str, kind: Callable[[object], T], expected: str) -> T | None:
        """Return a value that has no default; None is already reported."""
        if key not in self._data:
            self._asked.append(key)
            self.problem(key, "nothing", expected)
            return None
        return self.get(key, kind)

    def items(
        self, key: str, kind: Callable[[object], T], example: str, *, empty: bool = False
    ) -> tuple[T, ...] | None:
        """Return the items of a list that fit; those that do not are reported each. None where the key is absent."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self.problem(key, describe(value), f"a list such as {example}")
            return ()
        if not value and not empty:
            self.problem(key, "an empty list", f"a list such as {example}")
        result = []
        for position, item in enumerate(value):
            try:
                result.append(kind(item))
            except Unfit as unfit:
                self.faulty.add(key)
                self.report.problem(self.spot.key(key).item(position), unfit.found, unfit.expected)
        return tuple(result)

    def table(self, key: str, example: str) -> "Table | None":
        """Return a table inside this one, None where it is absent or none."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.problem(key, describe(value), f"a table such as {example}")
            return None
        return Table(self.report, self.spot.key(key), value)

    def tables(self, key: str, example: str) -> "list[Table]":
        """Return the tables of an array of tables, empty where it is absent."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(key, describe(value), f"a list of tables, each headed {example}")
            return []
        found = []
        for position, item in enumerate(value):
            spot = self.spot.key(key).item(position)
            if isinstance(item, dict):
                found.append(Table(self.report, spot, item))
            else:
                self.faulty.add(key)
                self.report.problem(spot, describe(item), f"a table, headed {example}")
        return found

    def not_yet(self, instead: dict[str, str]) -> None:
        """Refuse keys that the design has and this version has not, each with what to do in their place."""
        for key, remedy in instead.items():
            self._asked.append(key)
            self._not_yet.add(key)
            if key in self._data:
                self.problem(key, f"{key}, which is not yet supported", remedy)

    @property
    def keys(self) -> list[str]:
        """Return the keys of a table whose keys are the user's own names."""
        return list(self._data)

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        for key in self._data:
            if key in TOP_KEYS and key not in self._asked:
                self.problem(key, "a key that is not this table's", "it before the first table of the main file")
            elif key not in self._asked:
                hint = did_you_mean(key, self._asked)
                self.problem(
                    key, f"an unknown key{hint}", "one of " + ", ".join(sorted(set(self._asked) - self._not_yet))
                )
