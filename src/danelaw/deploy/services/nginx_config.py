"""nginx's configuration as ``nginx -T`` prints it: every file once, its name before it, nothing included yet.

The grammar is that of nginx's own reader (ngx_conf_file.c): words, quotes, comments, blocks. What a directive means is
left to others, but for ``include``.
"""

# ruff: noqa: PTH118, PTH120 - paths are text here

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from danelaw.errors import Unsuited

MOST_DIRECTIVES = 200_000
"""A configuration of some thousands of servers has less; files that include each other end here."""
DEEPEST = 20
"""Blocks in blocks, and includes in includes."""
MOST_STARS = 6
"""In one file pattern: what it takes to compare a path grows by a factor of its length with each."""

_FILE = re.compile(r"^# configuration file (?P<path>/.*):\n", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\n]+|\#[^\n]*)
    |(?P<mark>[;{}])
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<word>(?!["'])(?:\$\{?|\\.|[^ \t\r\n;{\\$])+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([\"'\\trn])")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_LUA = re.compile(
    r"""(?P<long>(?:--)?\[(?P<level>=*)\[)|--[^\n]*
    |"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|(?P<brace>[{}])""",
    re.VERBOSE | re.DOTALL,
)
_PATHS = {"include", "ssl_certificate", "ssl_certificate_key"}
_NO_PATH = ("/", "data:", "engine:", "store:", "$")
_EXPECTED = "an nginx whose configuration can be read; or the files, reload and prove by hand"


@dataclass(slots=True)
class Directive:
    """A directive: its words, the directives of its block (empty without one), and its place (``FILE:LINE``)."""

    words: tuple[str, ...]
    place: str
    block: list["Directive"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the first word."""
        return self.words[0]


def read_dump(said: str) -> tuple[list[Directive], Mapping[str, list[Directive]]]:
    """Return the main file's directives, and those of every file by its path.

    Paths of certificates and includes become absolute, as nginx reads them: from the main file's folder. Raises
    `Unsuited` for what is no such dump, or one with a file that nothing includes: it would be read in the wrong place.
    """
    parts = _FILE.split(said)
    texts: dict[str, str] = {}
    for path, text in zip(parts[1::2], parts[2::2], strict=True):
        texts.setdefault(path, text)
    if not texts:
        raise Unsuited("an nginx -T that prints no configuration", _EXPECTED)
    main = next(iter(texts))
    folder = os.path.dirname(main)
    files = {path: parse(text, path, folder) for path, text in texts.items()}
    patterns = [_glob(text) for text in {text for lines in files.values() for text in _included(lines)}]
    for path in files:
        if path != main and not any(pattern.fullmatch(path) for pattern in patterns):
            raise Unsuited(f"{path} in what nginx -T prints, which nothing includes", _EXPECTED)
    return files[main], files


def expanded(lines: Iterable[Directive], files: Mapping[str, list[Directive]]) -> Iterator[Directive]:
    """Yield directives with those of the included files in the place of each ``include``; blocks stay as they are."""
    return _walk(lines, files, blocks=False)


def everything(lines: Iterable[Directive], files: Mapping[str, list[Directive]]) -> Iterator[Directive]:
    """Yield directives as `expanded` does, with those in their blocks, at any depth."""
    return _walk(lines, files, blocks=True)


def _walk(lines: Iterable[Directive], files: Mapping[str, list[Directive]], *, blocks: bool) -> Iterator[Directive]:
    left = MOST_DIRECTIVES
    inside = [iter(lines)]
    while inside:
        line = next(inside[-1], None)
        left -= 1
        if left < 0 or len(inside) > 2 * DEEPEST:
            raise Unsuited("an nginx configuration that includes itself or is too large to read", _EXPECTED)
        if line is None:
            inside.pop()
        elif line.name == "include" and len(line.words) > 1:
            inside.append(chain.from_iterable(files[path] for path in _meant(line.words[1], files)))
        else:
            yield line
            if blocks and line.block:
                inside.append(iter(line.block))


def parse(text: str, path: str, folder: str) -> list[Directive]:
    """Return a file's directives. Raises `Unsuited` with its place where nginx would not read it either."""
    top: list[Directive] = []
    inside = [top]
    words: list[str] = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or len(inside) > DEEPEST:
            raise Unsuited(f"{path}:{line}, which is not clear to danelaw", _EXPECTED)
        at = match.end()
        if (mark := match["mark"]) is None:
            if match["skip"] is None:
                words.append(_word(match))
        elif mark == "}":
            if words or len(inside) == 1:
                raise Unsuited(f"{path}:{line}, which is not clear to danelaw", _EXPECTED)
            inside.pop()
        elif words:
            inside[-1].append(found := Directive(_absolute(words, folder), f"{path}:{line}"))
            if mark == "{" and found.name.endswith("_by_lua_block"):
                end = _after_lua(text, at)
                line += text.count("\n", at, end)
                at = end
            elif mark == "{":
                inside.append(found.block)
            words = []
        line += match[0].count("\n")
    if words or len(inside) > 1:
        raise Unsuited(f"{path}, which ends within a directive or block", _EXPECTED)
    return top


def _word(match: re.Match[str]) -> str:
    text = match["word"] if match["quoted"] is None else match["quoted"][1:-1]
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), text)


def _absolute(words: list[str], folder: str) -> tuple[str, ...]:
    if len(words) > 1 and words[0] in _PATHS and not words[1].startswith(_NO_PATH):
        return (words[0], os.path.join(folder, words[1]), *words[2:])
    return tuple(words)


def _after_lua(text: str, at: int) -> int:
    """Return where the Lua code ends whose first brace is before ``at``."""
    depth = 1
    while depth and (match := _LUA.search(text, at)):
        at = match.end()
        if match["long"]:
            closing = f"]{match['level']}]"
            end = text.find(closing, at)
            at = len(text) if end < 0 else end + len(closing)
        depth += {"{": 1, "}": -1}.get(match["brace"] or "", 0)
    return len(text) if depth else at


def _included(lines: Iterable[Directive]) -> Iterator[str]:
    for line in lines:
        if line.name == "include" and len(line.words) > 1:
            yield line.words[1]
        yield from _included(line.block)


def _meant(include: str, files: Collection[str]) -> list[str]:
    """Return the files that an ``include`` names, in nginx's order."""
    if not set(include).intersection("*?[\\"):
        return [include] if include in files else []
    pattern = _glob(include)
    return sorted(path for path in files if pattern.fullmatch(path))


def _glob(pattern: str) -> re.Pattern[str]:
    """Return a file pattern (glob(7)) as one for paths: ``*`` and ``?`` match no slash, nor a leading dot."""
    if pattern.count("*") > MOST_STARS:
        raise Unsuited(f"include {pattern[:200]}, whose stars are too many to compare", _EXPECTED)
    out = ""
    for part in re.findall(r"\[[!^]?\]?[^]/]*\]|\\.|.", pattern, re.DOTALL):
        hidden = r"(?!\.)" if out.endswith("/") else ""
        if part in {"*", "?"}:
            out += hidden + ("[^/]*" if part == "*" else "[^/]")
        elif len(part) > 2 and part.startswith("["):
            inner = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            out += f"{hidden}(?![/])[{'^' + inner[1:] if inner[0] in '!^' else inner}]"
        else:
            out += re.escape(part[-1])
    try:
        return re.compile(out, re.DOTALL)
    except re.error:  # a range backwards: it names itself alone
        return re.compile(re.escape(pattern))
