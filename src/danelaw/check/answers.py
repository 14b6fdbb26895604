"""Who answers a sender's questions, and what is answered where a question could not be put."""

from typing import Protocol

from danelaw.model import (
    Answer,
    Authorities,
    Handshake,
    LookedUp,
    Lookup,
    OwnerLook,
    PolicyFetch,
    PolicyFound,
    Question,
    Shaken,
)
from danelaw.names import format_host_port


class Answers(Protocol):
    """Somebody who answers every question: the real outside, a recording, a fake."""

    async def answer(self, question: Question) -> Answer:
        """Return the answer, which may be a failure, in bounded time.

        Raises `Refused` or `InputError` only for what is wrong with this machine or with what the user gave.
        """
        ...


def question_of(answer: Answer) -> Question:
    """Return the question that an answer is to."""
    match answer:
        case LookedUp():
            return answer.lookup
        case Shaken():
            return answer.handshake
        case PolicyFound():
            return answer.fetch
        case OwnerLook():
            return Authorities(answer.owner)


def is_ours(answer: Answer) -> bool:
    """Return whether an answer is a failure of this machine, which may be over in a moment."""
    match answer:
        case LookedUp() | PolicyFound():
            return answer.ours
        case Shaken():
            return answer.failure in {"no-route", "not-asked"}
        case OwnerLook():
            return False


def unasked(question: Question, why: str) -> Answer:
    """Return the answer to a question that was not put, or not to its end, because of us: ``why`` is a whole clause."""
    match question:
        case Lookup():
            return LookedUp(question, "indeterminate", "TIMEOUT", why=why, ours=True)
        case Handshake():
            where = format_host_port(question.address, question.port)
            return Shaken(question, failure="not-asked", detail=f"{where} was not asked: {why}")
        case PolicyFetch():
            return PolicyFound(question, None, why, ours=True)
        case Authorities():
            return OwnerLook(question.owner, "", question.owner, {}, (), problem=why)
