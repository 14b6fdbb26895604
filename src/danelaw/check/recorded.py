"""Checks that were recorded: all answers as JSON, from which the same report comes again, without any network.

The JSON follows the fields of `model.outside`; of a chain it holds the certificates alone, the rest is read from them
again. Private keys never occur in answers.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from danelaw import pki
from danelaw.check.answers import question_of, unasked
from danelaw.dane.sender import Wishes, advance
from danelaw.errors import InputError
from danelaw.model import Answer, Chain, LookedUp, OwnerLook, PolicyFound, Question, Report, Shaken, Target

FORMAT = 1
"""The version of the form; another one is refused."""

LARGEST = 64 * 1024 * 1024
"""Characters that `loads` takes."""

_KINDS: Mapping[str, type[Answer]] = {
    "looked-up": LookedUp,
    "owner-look": OwnerLook,
    "shaken": Shaken,
    "policy": PolicyFound,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}

Json = Any


@dataclass(frozen=True, slots=True)
class Recording:
    """One check: what was asked about, when, what was wished for, and every answer.

    The wishes' CA certificates are not kept in JSON: they are this machine's, and many.
    """

    target: Target
    at: datetime
    answers: tuple[Answer, ...]
    wishes: Wishes = field(default_factory=Wishes)

    @property
    def known(self) -> dict[Question, Answer]:
        """Return the answers by their questions, as `advance` takes them."""
        return {question_of(answer): answer for answer in self.answers}


class Replay:
    """Answers from a recording. What is not in it is answered as something that could not be asked."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._known = {question_of(answer): answer for answer in answers}

    async def answer(self, question: Question) -> Answer:
        """Return the recorded answer."""
        return self.recorded(question)

    def recorded(self, question: Question) -> Answer:
        """Return the recorded answer, outside of any event loop."""
        return self._known.get(question) or unasked(question, "the recording has no answer to this")


def judge(recording: Recording, wishes: Wishes | None = None) -> Report:
    """Return the report on a recording, as it came at its instant; ``wishes`` replaces those that were recorded."""
    replay = Replay(recording.answers)
    known: dict[Question, Answer] = {}
    while isinstance(asked := advance(recording.target, known, recording.at, wishes or recording.wishes), frozenset):
        known.update({question: replay.recorded(question) for question in asked})
    return asked


def dumps(recording: Recording) -> str:
    """Return a recording as JSON text, the same one for the same recording."""
    answers = sorted(
        ({_NAMES[type(answer)]: _to_json(answer)} for answer in recording.answers),
        key=lambda each: json.dumps(each, sort_keys=True),
    )
    wishes = {name: value for name, value in _to_json(recording.wishes).items() if name != "roots_der"}
    document = {
        "danelaw-recording": FORMAT,
        "target": _to_json(recording.target),
        "at": _to_json(recording.at),
        "wishes": wishes,
        "answers": answers,
    }
    return json.dumps(document, indent=1) + "\n"


def loads(text: str, name: str = "the recording") -> Recording:
    """Return the recording in a JSON text. Raises `InputError`, which names the file, where it is none."""
    if len(text) > LARGEST:
        raise InputError(f"{name}: is larger than {LARGEST >> 20} MiB; expected a recording of a check")
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or "danelaw-recording" not in found:
            raise InputError(f'{name}: has no "danelaw-recording"; expected a file that a check was recorded in')
        if found["danelaw-recording"] != FORMAT:
            raise InputError(f"{name}: is a recording of form {found['danelaw-recording']!r:.20}; expected {FORMAT}")
        return Recording(
            _from_json(found["target"], Target),
            _from_json(found["at"], datetime),
            tuple(_answer(each) for each in found["answers"]),
            _from_json({"roots_der": [], **found["wishes"]}, Wishes),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise InputError(f"{name}: is not a recording of a check ({reason})") from None


def _answer(found: Json) -> Answer:
    ((kind, value),) = found.items()
    answer: Answer = _from_json(value, _KINDS[kind])
    return answer


def _to_json(value: object) -> Json:
    """Return a value of the model as JSON: dataclasses and named tuples as objects, bytes as base64."""
    if isinstance(value, Chain):
        return [_to_json(each) for each in value.certificates_der]
    if is_dataclass(value):
        return {each.name: _to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _to_json(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _to_json(value[key]) for key in sorted(value)}
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _from_json(value: Json, kind: Any) -> Any:
    """Return a value of a type of the model. Raises ValueError, TypeError or KeyError where JSON holds another."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        (inner,) = (each for each in arguments if each is not type(None))
        return None if value is None else _from_json(value, inner)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r:.40} where one of {', '.join(map(str, arguments))} was expected")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r:.40} where a list was expected")
        return tuple(_from_json(each, arguments[0]) for each in value)
    if origin is not None:  # Mapping
        return {str(key): _from_json(each, arguments[1]) for key, each in value.items()}
    return _plain(value, kind)


def _plain(value: Json, kind: Any) -> Any:
    if kind is Chain:
        return _chain(value)
    if kind is bytes:
        try:
            return b64decode(value, validate=True)
        except binascii.Error:
            raise ValueError(f"{value!r:.40} where base64 was expected") from None
    if kind is datetime:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError(f"{value} has no zone")
        return at
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = _hints(kind)
        return kind(**{name: _from_json(each, hints[name]) for name, each in value.items()})
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} where {kind.__name__} was expected")
    return value


def _chain(value: Json) -> Chain:
    try:
        return pki.chain_from_der(_from_json(value, tuple[bytes, ...]))
    except InputError as error:
        raise ValueError(str(error)) from None


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
