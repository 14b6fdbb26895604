"""Checks that were recorded: all answers as JSON, from which the same report comes again, without any network.

The JSON follows the fields of `model.outside`; of a chain it holds the certificates alone, the rest is read from them
again. Private keys never occur in answers.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
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
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{name}: {where} is no JSON ({error.msg}); expected a recording of a check") from None
    except RecursionError:
        raise InputError(f"{name}: is nested too deeply; expected a recording of a check") from None
    except ValueError:  # a number of thousands of digits
        raise InputError(f"{name}: holds a number without end; expected a recording of a check") from None
    if not isinstance(found, dict) or "danelaw-recording" not in found:
        raise InputError(f'{name}: has no "danelaw-recording"; expected a file that a check was recorded in')
    if found["danelaw-recording"] != FORMAT:
        form = _short(found["danelaw-recording"])
        raise InputError(f"{name}: is a recording of form {form}; expected {FORMAT}")
    try:
        return _recording(found)
    except _Unfit as unfit:
        reason = f"{unfit.where} has {unfit.found} where {unfit.expected} was expected"
        raise InputError(f"{name}: is not a recording of a check: {reason}") from None


class _Unfit(Exception):
    """Something in the JSON that is not what the model has there: where, what was found, and what was expected."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        self.where, self.found, self.expected = where, found, expected
        super().__init__(where, found, expected)


def _recording(found: dict[str, Json]) -> Recording:
    for key in ("target", "at", "answers", "wishes"):
        if key not in found:
            raise _Unfit("the file", f"no {key}", "one")
    answers = found["answers"]
    if not isinstance(answers, list):
        raise _Unfit("answers", _short(answers), "a list")
    wishes = found["wishes"]
    return Recording(
        _from_json(found["target"], Target, "target"),
        _from_json(found["at"], datetime, "at"),
        tuple(_answer(each, f"answers[{number}]") for number, each in enumerate(answers)),
        _from_json({"roots_der": [], **wishes} if isinstance(wishes, dict) else wishes, Wishes, "wishes"),
    )


def _answer(found: Json, where: str) -> Answer:
    kind = next(iter(found), "") if isinstance(found, dict) and len(found) == 1 else ""
    if kind not in _KINDS:
        raise _Unfit(where, _short(kind or found), f"an answer (one of {', '.join(_KINDS)})")
    answer: Answer = _from_json(found[kind], _KINDS[kind], f"{where}.{kind}")
    return answer


def _short(value: Json) -> str:
    """Return what was found, in few characters that a terminal may show."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


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


def _from_json(value: Json, kind: Any, where: str) -> Any:
    """Return a value of a type of the model. Raises `_Unfit` where JSON holds another."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        (inner,) = (each for each in arguments if each is not type(None))
        return None if value is None else _from_json(value, inner, where)
    if origin is Literal:
        if value not in arguments:
            raise _Unfit(where, _short(value), f"one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _Unfit(where, _short(value), "a list")
        return tuple(_from_json(each, arguments[0], f"{where}[{number}]") for number, each in enumerate(value))
    if origin is not None:  # Mapping
        if not isinstance(value, dict):
            raise _Unfit(where, _short(value), "an object")
        return {key: _from_json(each, arguments[1], f"{where}.{_key(key)}") for key, each in value.items()}
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        return _chain(value, where) if kind is Chain else _object(value, kind, where)
    return _plain(value, kind, where)


def _object(value: Json, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _Unfit(where, _short(value), "an object")
    hints = _hints(kind)
    unknown = next((name for name in value if name not in hints), None)
    if unknown is not None:
        raise _Unfit(where, f"the key {_key(unknown)}", f"one of {', '.join(hints)}")
    read = {name: _from_json(each, hints[name], f"{where}.{name}") for name, each in value.items()}
    missing = sorted(_needed(kind) - set(value))
    if missing:
        raise _Unfit(where, f"no {missing[0]}", "one")
    return kind(**read)


def _key(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:40])


_WORDS = {str: "text", int: "a whole number", bool: "true or false", bytes: "base64", datetime: "an instant in UTC"}


def _plain(value: Json, kind: Any, where: str) -> Any:
    unfit = _Unfit(where, _short(value), _WORDS[kind])
    if kind in {bytes, datetime}:
        if not isinstance(value, str):
            raise unfit
        try:
            read = b64decode(value, validate=True) if kind is bytes else datetime.fromisoformat(value)
        except ValueError:
            raise unfit from None
        if isinstance(read, datetime) and read.tzinfo is None:
            raise unfit
        return read
    if type(value) is not kind:
        raise unfit
    return value


def _chain(value: Json, where: str) -> Chain:
    try:
        return pki.chain_from_der(_from_json(value, tuple[bytes, ...], where))
    except InputError as error:
        raise _Unfit(where, str(error), "a chain of certificates") from None


@cache
def _needed(kind: Any) -> frozenset[str]:
    """Return the fields of a dataclass or named tuple that have no default."""
    if is_dataclass(kind):
        return frozenset(f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return frozenset(kind._fields) - frozenset(kind._field_defaults)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
