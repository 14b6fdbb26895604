"""What a sender of mail does that obeys DANE (RFC 7672), and a client of another service (RFC 7671, RFC 7673). Pure.

::

    known = {}
    while isinstance(asked := advance(target, known, now), frozenset):
        known |= {question: answer(question) for question in asked}
    report = asked

`advance` is given all answers so far, and returns the questions that come next, which may be asked all at once, or the
`Report`. It holds no state: the same answers give the same report, today's or recorded.
"""

from danelaw.dane.sender.advancing import Wishes, advance
from danelaw.dane.sender.asking import Known

__all__ = ["Known", "Wishes", "advance"]
