"""MTA-STS and TLSRPT as a domain publishes them, read from text that anybody may have written (RFC 8461, RFC 8460).

What senders would ignore is a `Fault` that says why, never an exception.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from danelaw.names import BadName, a_label

MAX_POLICY = 65536
"""Characters of a policy that are read (RFC 8461 section 3.3 lets senders stop at 64 KiB)."""

MAX_AGE = 31557600
"""Seconds: the longest that a policy may be kept (RFC 8461 section 3.2)."""

_MAX_TEXT = 8192
_MAX_PATTERNS = 1000

_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_URI = re.compile(r"[\x22-\x2b\x2d-\x3a\x3c-\x7e]+")
"""What RFC 3986 allows, and RFC 8460 section 3: no comma, exclamation mark or semicolon."""

Mode = Literal["enforce", "testing", "none"]
_MODES: dict[str, Mode] = {"enforce": "enforce", "testing": "testing", "none": "none"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why senders ignore what was found, in words."""

    why: str


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """An MTA-STS policy. ``mx`` are patterns, lower-case A-labels, perhaps with a first label ``*``; ``max_age`` s."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int


@dataclass(frozen=True, slots=True)
class StsRecord:
    """The TXT record that announces a policy; ``id`` changes with it."""

    id: str


@dataclass(frozen=True, slots=True)
class TlsReporting:
    """Where a domain wants reports to be sent: ``mailto:`` and ``https:`` URIs."""

    rua: tuple[str, ...]


def parse_sts_record(texts: Iterable[str]) -> StsRecord | Fault | None:
    """Read the TXT records at ``_mta-sts``, None where there is none of MTA-STS (RFC 8461 section 3.1)."""
    fields = _fields(texts, "STSv1")
    if fields is None or isinstance(fields, Fault):
        return fields
    ids = [value for name, value in fields if name == "id"]
    if not ids:
        return Fault("it has no id")
    if not _ID.fullmatch(ids[0]):
        return Fault(f"its id {_quoted(ids[0])} is not 1 to 32 letters and digits")
    return StsRecord(ids[0])


def parse_tls_reporting(texts: Iterable[str]) -> TlsReporting | Fault | None:
    """Read the TXT records at ``_smtp._tls``, None where there is none of TLSRPT (RFC 8460 section 3)."""
    fields = _fields(texts, "TLSRPTv1")
    if fields is None or isinstance(fields, Fault):
        return fields
    found = next((value for name, value in fields if name == "rua"), None)
    if found is None:
        return Fault("it has no rua, so nobody knows where to send reports")
    uris = tuple(uri.strip(" \t") for uri in found.split(","))
    for uri in uris:
        if not _is_report_uri(uri):
            return Fault(f"its rua {_quoted(uri)} is neither mailto:ADDRESS nor https://…")
    return TlsReporting(uris)


def _is_report_uri(uri: str) -> bool:
    scheme, _, rest = uri.partition(":")
    if not _URI.fullmatch(uri):
        return False
    return (scheme.lower() == "mailto" and "@" in rest[1:-1]) or (scheme.lower() == "https" and len(rest) > 2)


def _fields(texts: Iterable[str], version: str) -> list[tuple[str, str]] | Fault | None:
    """Return the fields behind the version of the one record that begins with it."""
    begun = [text[:_MAX_TEXT] for text in texts if text.startswith(f"v={version}")]
    records = [text for text in begun if re.match(rf"v={version}[ \t]*;", text)]
    if not records:
        return Fault(f"it does not begin with v={version};") if begun else None
    if len(records) > 1:
        return Fault(f"{len(records)} records begin with v={version}; where one may")
    parts = [part.strip(" \t") for part in records[0].split(";")[1:]]
    if parts and not parts[-1]:
        parts.pop()
    for part in parts:
        # A rua holds what an extension may not: commas are followed by spaces, and URIs have "=" in their queries.
        if not _EXTENSION.fullmatch(part) and not part.startswith(("rua=", "id=")):
            return Fault(f"{_quoted(part)} in it is not NAME=VALUE")
    return [(name, value) for name, _, value in (part.partition("=") for part in parts)]


def parse_sts_policy(text: str) -> StsPolicy | Fault:
    """Read a policy file (RFC 8461 section 3.2). Unknown keys are ignored, and so is a key's second value."""
    if len(text) > MAX_POLICY:
        return Fault(f"it is longer than {MAX_POLICY} characters")
    values: dict[str, str] = {}
    patterns: list[str] = []
    for number, line in _lines(text):
        key, colon, value = line.partition(":")
        if not colon or not _KEY.fullmatch(key):
            return Fault(f"line {number} is not KEY: VALUE but {_quoted(line)}")
        if key == "mx":
            patterns.append(value.strip(" \t"))
        else:
            values.setdefault(key, value.strip(" \t"))
    mode, max_age = _MODES.get(values.get("mode", "")), values.get("max_age", "")
    if values.get("version") != "STSv1":
        return Fault(f"its version is {_quoted(values['version'])}, not STSv1" if "version" in values else "no version")
    if mode is None:
        return Fault(
            f"its mode is {_quoted(values['mode'])}, not enforce, testing or none" if "mode" in values else "no mode"
        )
    if not (max_age.isascii() and max_age.isdigit() and len(max_age) <= 10):
        return Fault(f"its max_age is {_quoted(max_age)}, not seconds" if max_age else "no max_age")
    if not patterns and mode != "none":
        return Fault("no mx")
    if len(patterns) > _MAX_PATTERNS:
        return Fault(f"{len(patterns)} mx patterns")
    hosts = tuple(_pattern(each) for each in patterns)
    wrong = next((each for each, host in zip(patterns, hosts, strict=True) if host is None), None)
    if wrong is not None:
        return Fault(f"its mx {_quoted(wrong)} is neither a host name nor *. and a domain")
    return StsPolicy(mode, tuple(host for host in hosts if host is not None), int(max_age))


def lists(policy: StsPolicy, host: str) -> bool:
    """Return whether a policy allows an MX host; ``*`` stands for one whole first label (RFC 8461 section 4.1)."""
    _, _, parent = host.partition(".")
    return host in policy.mx or (bool(parent) and f"*.{parent}" in policy.mx)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1; CR LF or LF ends them."""
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.removesuffix("\r").rstrip(" \t")
        if bare:
            yield number, bare


def _pattern(text: str) -> str | None:
    if not text.isascii():
        return None  # RFC 8461 section 3.2: A-labels it must be
    try:
        return a_label(text, wildcard=True)
    except BadName:
        return None


def _quoted(text: str) -> str:
    cut = text if len(text) <= 60 else f"{text[:59]}…"
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut) + '"'
