"""What a CA says when it says no: problem documents (RFC 7807, RFC 8555 section 6.7) and Retry-After (RFC 9110).

A CA's words are shown to people, so they are cut to a bounded length and rid of control characters here, once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from danelaw.errors import DanelawError, Refused, RetryLater

_NAMESPACE = "urn:ietf:params:acme:error:"
_LONGEST_WAIT = timedelta(days=30)
_MOST_SUBPROBLEMS = 100

TRANSIENT = frozenset({"connection", "dns", "tls", "serverInternal", "rateLimited"})
"""Kinds of problems that time may cure: networks and name servers that fail now, a CA that is in trouble itself."""

_REMEDIES = {
    "badCSR": "look at the certificate's names and subject",
    "badPublicKey": "let danelaw make another key, of a type that this CA takes",
    "caa": "let the CAA records of the name allow this CA",
    "externalAccountRequired": "this CA wants an external account binding, which danelaw does not do yet",
    "invalidContact": "correct the CA's contact in the config",
    "rejectedIdentifier": "take the name out of the certificate, or ask another CA",
    "unsupportedContact": "correct the CA's contact in the config",
    "unsupportedIdentifier": "take the name out of the certificate, or ask another CA",
    "userActionRequired": "do what the CA asks there",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem document. ``identifier`` is the name that a subproblem is about ("" where none is given)."""

    type: str
    detail: str
    status: int = 0
    identifier: str = ""
    instance: str = ""
    subproblems: tuple["Problem", ...] = ()

    @property
    def kind(self) -> str:
        """Return the type without ACME's namespace: ``badNonce``."""
        return self.type.removeprefix(_NAMESPACE)

    @property
    def remedy(self) -> str:
        """Return what a person can do about it, "" where the CA's words must do."""
        kinds = [self.kind, *(sub.kind for sub in self.subproblems)]
        return next((_REMEDIES[kind] for kind in kinds if kind in _REMEDIES), "")

    @property
    def transient(self) -> bool:
        """Return whether time alone may cure it: each subproblem, where there are some, else the problem itself."""
        return all(sub.transient for sub in self.subproblems) if self.subproblems else self.kind in TRANSIENT

    def __str__(self) -> str:
        about = f"{self.identifier}: " if self.identifier else ""
        where = f" ({self.instance})" if self.instance else ""
        kind = "" if self.type == "about:blank" and self.detail else self.kind
        words = about + ": ".join(word for word in (kind, self.detail) if word) + where
        return "; ".join([words, *(str(sub) for sub in self.subproblems)])


class AcmeProblem(Refused):
    """The CA refused a request, with a problem document; a person is needed unless the flow knows the kind."""

    def __init__(self, message: str, problem: Problem) -> None:
        self.problem = problem
        super().__init__(message)

    @property
    def kind(self) -> str:
        """Return the problem's type without ACME's namespace."""
        return self.problem.kind


class Forgotten(AcmeProblem):
    """What was asked for does not exist (any more), or not for this account: a new order is needed."""


class MalformedAnswer(RetryLater):
    """The CA answered with something that RFC 8555 does not allow: a proxy's page, an object without its members."""


def parse_problem(document: Mapping[str, Any], status: int = 0, depth: int = 0) -> Problem:
    """Read a problem document; what it lacks stays empty, what it has beyond that is ignored."""
    subproblems = document.get("subproblems") if depth == 0 else None
    identifier = document.get("identifier")
    return Problem(
        type=plain(document.get("type")) or "about:blank",  # RFC 7807 section 3.1
        detail=plain(document.get("detail")),
        status=status,
        identifier=plain(identifier.get("value")) if isinstance(identifier, dict) else "",
        instance=plain(document.get("instance")),
        subproblems=tuple(
            parse_problem(sub, status, depth + 1)
            for sub in (subproblems if isinstance(subproblems, list) else [])[:_MOST_SUBPROBLEMS]
            if isinstance(sub, dict)
        ),
    )


def failure(message: str, problem: Problem, not_before: datetime | None = None) -> DanelawError:
    """Return the error that tells the caller what to do about a problem: `RetryLater` or `AcmeProblem`."""
    words = f"{message}: {problem}"
    if problem.transient:
        return RetryLater(words, not_before)
    return AcmeProblem(f"{words}; {problem.remedy}" if problem.remedy else words, problem)


def retry_after(value: str | None, now: datetime) -> datetime | None:
    """Read a Retry-After header in both its forms (RFC 9110 section 10.2.3); None where it is absent or unreadable.

    Never before ``now``, and never more than thirty days after it.
    """
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        return now + min(timedelta(seconds=int(value)), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)  # HTTP-dates are GMT, if they omit it
    except (ValueError, OverflowError):
        return None
    return min(max(at, now), now + _LONGEST_WAIT)


def plain(value: object, limit: int = 600) -> str:
    """Return text from outside fit for a terminal: one line, printable, bounded; "" for what is not text."""
    if not isinstance(value, str):
        return ""
    line = "".join(character if character.isprintable() else " " for character in value[: limit + 1])
    return line[: limit - 1] + "…" if len(line) > limit else line.strip()
