"""What pages say of a report, and how text of strangers is shown."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

from danelaw.model import MAIL_SENDERS, EndpointReport, FailureKind, Outcome, Report, Security, Sender, Severity

State = Literal["good", "weak", "bad", "unknown", "plain"]
"""How something stands: each has a colour and the shape of its sign, so that neither is needed alone."""

LONGEST = 600
"""Characters of a stranger's text that a page shows at once."""

MOST_MARKS = 2
"""Combining marks on one character, as many as any living script has."""

SENDER_NAMES: dict[Sender, str] = {
    "postfix": "Postfix",
    "exim": "Exim",
    "mox": "mox",
    "exchange": "Exchange",
    "client": "DANE clients",
}

OUTCOME_STATES: dict[Outcome, State] = {
    "authenticated": "good",
    "encrypted": "weak",
    "opportunistic": "weak",
    "deferred": "bad",
    "unknown": "unknown",
}

MAIL_OUTCOMES: dict[Outcome, str] = {
    "authenticated": "delivers with DANE",
    "encrypted": "encrypts, does not authenticate",
    "opportunistic": "delivers without DANE",
    "deferred": "does not deliver",
    "unknown": "cannot tell",
}

CLIENT_OUTCOMES: dict[Outcome, str] = {
    "authenticated": "authenticate with DANE",
    "encrypted": "encrypt, do not authenticate",
    "opportunistic": "do their ordinary checks only",
    "deferred": "refuse to connect",
    "unknown": "cannot tell",
}

SEVERITY_STATES: dict[Severity, State] = {"error": "bad", "warning": "weak", "note": "plain", "good": "good"}

SECURITY_STATES: dict[Security, State] = {
    "secure": "good",
    "insecure": "weak",
    "bogus": "bad",
    "indeterminate": "unknown",
}

FAILURES: dict[FailureKind, str] = {
    "no-route": "no route from here",
    "forbidden": "may not connect there",
    "not-asked": "not asked in time",
    "refused": "connection refused",
    "unreachable": "unreachable",
    "timeout": "no connection in time",
    "silent": "says nothing",
    "hung-up": "hung up before TLS",
    "turned-away": "turned away",
    "greylisted": "4xx before STARTTLS",
    "rejected": "5xx before STARTTLS",
    "not-spoken": "another protocol",
    "flood": "endless lines",
    "no-starttls": "no STARTTLS",
    "starttls-refused": "STARTTLS refused",
    "injected": "plaintext behind STARTTLS",
    "not-tls": "no TLS",
    "old-tls": "TLS too old",
    "no-certificate": "no certificate",
    "bad-certificate": "certificate unreadable",
    "tls-refused": "TLS refused",
    "tls-failed": "TLS failed",
    "not-offered": "not offered",
}

ALGORITHMS: dict[str | None, str] = {None: "any", "rsa": "RSA", "ecdsa": "ECDSA", "other": "other"}


def shown(text: object, limit: int = LONGEST) -> str:
    """Return text in one line that may be shown: short, and without what is invisible or turns its direction.

    Marks that pile up on one character are spelt out from the third on. It is not escaped: that is for whoever puts it
    into HTML or SVG.
    """
    words = str(text)
    if len(words) > limit:
        words = words[: max(limit - 1, 0)] + "…"
    if words.isascii() and words.isprintable():
        return words
    found: list[str] = []
    marks = 0
    for character in words:
        category = unicodedata.category(character)
        marks = marks + 1 if category.startswith("M") else 0
        plain = character == " " or (character.isprintable() and category != "Cf" and marks <= MOST_MARKS)
        found.append(character if plain else " " if character in "\t\r\n" else f"\\u{ord(character):04x}")
    return "".join(found)


def cells(text: str) -> int:
    """Return how many cells text takes in a font of equal widths: one a character, two an East Asian or a pictured one.

    (Unicode Standard Annex #11.)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def short(text: str, limit: int) -> str:
    """Return text of at most ``limit`` cells, without its middle where it is longer: both ends of a name count."""
    words = shown(text, 4 * LONGEST)
    if cells(words) <= limit:
        return words
    head = (limit - 1) // 2
    return f"{_first(words, head)}…{_first(words[::-1], limit - 1 - head)[::-1]}"


def _first(text: str, room: int) -> str:
    """Return as many of the first characters as there is room for."""
    for number, character in enumerate(text):
        room -= cells(character)
        if room < 0:
            return text[:number]
    return text


def worst(states: Iterable[State]) -> State:
    """Return the state that counts where several meet: bad, unknown, weak, good, and plain where there is no other."""
    found = set(states)
    order: tuple[State, ...] = ("bad", "unknown", "weak", "good")
    return next((state for state in order if state in found), "plain")


def outcome_words(outcome: Outcome, sender: Sender) -> str:
    """Return what a sender does, in its third person."""
    return (CLIENT_OUTCOMES if sender == "client" else MAIL_OUTCOMES)[outcome]


def outcomes_state(outcomes: Iterable[Outcome]) -> State:
    """Return the state of what several senders do."""
    return worst(OUTCOME_STATES[outcome] for outcome in outcomes)


def endpoint_words(endpoint: EndpointReport) -> str:
    """Return in a few words what happens at an endpoint: who does what, those who do not deliver first."""
    outcomes = endpoint.outcomes
    if not outcomes:
        return "nobody connects"
    words = CLIENT_OUTCOMES if "client" in outcomes else MAIL_OUTCOMES
    if len(set(outcomes.values())) == 1:
        return words[next(iter(outcomes.values()))]
    by_kind: dict[Outcome, list[str]] = {}
    for sender, outcome in outcomes.items():
        by_kind.setdefault(outcome, []).append(SENDER_NAMES[sender])
    order: tuple[Outcome, ...] = ("deferred", "unknown", "opportunistic", "encrypted", "authenticated")
    return "; ".join(f"{listed(by_kind[kind])}: {words[kind]}" for kind in order if kind in by_kind)


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: ``a, b and c``."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def report_state(report: Report) -> State:
    """Return the state of the whole: by the exit status, which is what decides everywhere."""
    states: dict[int, State] = {0: "good", 1: "bad", 3: "weak", 4: "unknown"}
    return states[report.status]


def headline(report: Report) -> str:
    """Return the verdict on the whole in one sentence."""
    name = shown(report.target, 300)
    mail = report.target.port is None and not report.target.service
    if report.discovery.kind == "missing":
        return f"There is no domain {name}."
    if report.discovery.kind == "null":
        return f"{name} takes no mail." if mail else f"{name} is not offered."
    if report.status == 0:
        return f"Mail to {name} is protected by DANE." if mail else f"{name} is protected by DANE."
    if report.status == 3:
        return f"Mail to {name} is not protected by DANE." if mail else f"{name} is not protected by DANE."
    if report.status == 4:
        return f"It cannot be told how {name} stands."
    refusing: list[Sender] = [sender for sender, outcome in report.outcomes.items() if outcome == "deferred"]
    if "client" in refusing:
        return f"Clients that obey DANE refuse {name}."
    if not refusing:
        return f"Not every sender that obeys DANE delivers to {name}."
    everybody = len(refusing) == len(MAIL_SENDERS)
    who = "Senders that obey DANE" if everybody else listed([SENDER_NAMES[sender] for sender in refusing])
    verb = "does not deliver" if len(refusing) == 1 else "do not deliver"
    if all(report.delivers.get(sender) for sender in refusing):
        return f"{who} {verb} to every host of {name}, but mail gets through by another."
    return f"No sender that obeys DANE delivers to {name}." if everybody else f"{who} {verb} to {name}."
