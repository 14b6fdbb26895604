"""What the services said when last asked, for when one of them cannot be asked.

Somebody leaves a mistake in Apache's configuration, and the hourly run comes: Apache's own dump fails. Postfix's
renewal must not stop for that. So each answer is kept, and stands in where a program that is there fails; the service's
config test then decides whether anything is reloaded.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from danelaw.deploy import files
from danelaw.deploy.services.refusals import Unanswered
from danelaw.errors import DanelawError
from danelaw.model import FileSpec, KeyAlgorithm, Service, ServiceSetup, Survey

VERSION = 1


class RememberedSurvey:
    """A `model.Survey` that asks another one, and remembers in a file what it answered.

    ``path`` is the file, None where nothing is to be remembered. What cannot be read there was never remembered.
    ``prefers_last``: what is remembered is taken without asking, for who deploys nothing. A web server that an
    interrupted run stopped is started, and a certificate revoked, whatever became of a service's configuration since.
    """

    def __init__(self, asked: Survey, path: Path | None, *, prefers_last: bool = False) -> None:
        self._asked = asked
        self._path = path
        self._prefers_last = prefers_last
        self._last = _read(path)
        self._now: dict[str, ServiceSetup] = {}

    def look(
        self, service: str, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        """Return what the service says, or with a warning what it said last. Raises `Unsuited`."""
        question = json.dumps([service, *sorted(names), algorithm, has_files])
        if self._prefers_last and question in self._last:
            return self._last[question]
        try:
            setup = self._asked.look(service, names, algorithm, has_files=has_files)
        except Unanswered as unanswered:
            last = self._last.get(question)
            if last is None:
                raise
            setup = replace(last, warnings=(f"{unanswered.found}; what it said before that is taken",))
            self._now[question] = last
            return setup
        self._now[question] = setup
        return setup

    def keep(self) -> str:
        """Remember what was answered, by a rename, where it is new. Its folder must be there.

        Returns why it could not be kept, "" where it was: on a full disk a stopped web server is started all the same.
        """
        if self._path is None or self._now == self._last:
            return ""
        answers = {question: asdict(setup) for question, setup in self._now.items()}
        try:
            with files.explained(self._path):
                files.put_file(self._path, json.dumps({"version": VERSION, "answers": answers}, indent=1).encode())
        except DanelawError as error:
            return f"{error}; what the services said is not remembered"
        self._last = dict(self._now)
        return ""


def _read(path: Path | None) -> dict[str, ServiceSetup]:
    try:
        kept = json.loads(path.read_bytes()) if path else {}
        return {question: _setup(value) for question, value in kept["answers"].items()} if kept else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _setup(value: Mapping[str, Any]) -> ServiceSetup:
    service = value["service"]
    return ServiceSetup(
        service=Service(service["name"], _argv(service["test"]), _argv(service["reload"])),
        files=tuple(FileSpec(**{**each, "parts": tuple(each["parts"])}) for each in value["files"]),
        ports=tuple((port, protocol) for port, protocol in value["ports"]),
        hosts=tuple(value["hosts"]),
        warnings=tuple(value["warnings"]),
        beside=tuple(value.get("beside", ())),  # of an earlier danelaw's file
    )


def _argv(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
