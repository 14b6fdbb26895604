"""The answers so far, and what is missed among them."""

from collections.abc import Mapping

from danelaw.model import (
    Answer,
    Authorities,
    Handshake,
    LookedUp,
    Lookup,
    LookupType,
    OwnerLook,
    PolicyFetch,
    PolicyFound,
    Question,
    Shaken,
)

Known = Mapping[Question, Answer]
"""All answers so far; each question's answer is of its own kind (`Lookup`: `LookedUp` and so on)."""


class Asking:
    """Gives answers that are known, and notes the questions that are not: those come next.

    Who gets None goes on as far as the other answers reach, so that one round asks all that can be asked by then.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self.missing: set[Question] = set()

    def lookup(self, name: str, rrtype: LookupType) -> LookedUp | None:
        """Return what a validated look-up brought."""
        answer = self._answer(Lookup(name, rrtype))
        return answer if isinstance(answer, LookedUp) else None

    def authorities(self, owner: str) -> OwnerLook | None:
        """Return what every authoritative server says about a TLSA owner name."""
        answer = self._answer(Authorities(owner))
        return answer if isinstance(answer, OwnerLook) else None

    def shake(self, handshake: Handshake) -> Shaken | None:
        """Return what a handshake brought."""
        answer = self._answer(handshake)
        return answer if isinstance(answer, Shaken) else None

    def policy(self, domain: str) -> PolicyFound | None:
        """Return a domain's MTA-STS policy."""
        answer = self._answer(PolicyFetch(domain))
        return answer if isinstance(answer, PolicyFound) else None

    def _answer(self, question: Question) -> Answer | None:
        answer = self._known.get(question)
        if answer is None:
            self.missing.add(question)
        return answer
