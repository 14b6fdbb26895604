"""From a target and the answers so far to the next questions or the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from danelaw.model import Answer, Question, Report, Target

Known = Mapping[Question, Answer]
"""All answers so far; each question's answer is of its own kind (`Lookup`: `LookedUp` and so on)."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants beside the verdict.

    ``ttls`` is what the config asks for by owner name (with the final dot), in seconds. ``authorities``: ask every
    authoritative server about the TLSA records, too. ``policy``: look for MTA-STS and TLSRPT. ``roots_der``: the CA
    certificates that clients of usages 0 and 1 trust, DER.
    """

    ttls: Mapping[str, int] = field(default_factory=dict)
    authorities: bool = True
    policy: bool = True
    roots_der: tuple[bytes, ...] = field(default=(), repr=False)


def advance(target: Target, known: Known, now: datetime, wishes: Wishes | None = None) -> frozenset[Question] | Report:
    """Return what to ask next, never anything that is known, or the report (RFC 7672 section 2)."""
    raise NotImplementedError
