"""`HostSurvey`: the presets by name, and the one way in which they ask the programs of this host."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from danelaw.deploy import commands
from danelaw.deploy.services import apache2, courier, dovecot, nginx, postfix
from danelaw.deploy.services.refusals import Ask, Unanswered
from danelaw.errors import RetryLater, Unsuited
from danelaw.model import KeyAlgorithm, ServiceSetup

TIMEOUT = timedelta(seconds=20)
MOST_BYTES = 4 << 20
"""Of one program's output. A configuration of a thousand virtual hosts is smaller."""


class Preset(Protocol):
    """What each preset's module has as ``survey``."""

    def __call__(self, ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool) -> ServiceSetup:
        """Return the service's set-up; parameters and errors as of `model.Survey.look`."""
        ...


PRESETS: Mapping[str, Preset] = {
    "apache2": apache2.survey,
    "courier-imap": courier.survey_imap,
    "courier-pop": courier.survey_pop,
    "dovecot": dovecot.survey,
    "nginx": nginx.survey,
    "postfix": postfix.survey,
}
"""The presets of `danelaw.config.services.PRESETS`, each with its module's ``survey``."""


class HostSurvey:
    """The services of this host (`model.Survey`). Each question is asked once in its life."""

    def __init__(self, ask: Ask | None = None, presets: Mapping[str, Preset] = PRESETS) -> None:
        self._ask = ask or ask_program
        self._presets = presets
        self._answers: dict[tuple[str, ...], str | Unsuited] = {}

    def look(
        self, service: str, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False
    ) -> ServiceSetup:
        """Return what a service reads, how it is tested and reloaded, and where it offers TLS. Raises `Unsuited`."""
        preset = self._presets.get(service)
        if preset is None:
            known = ", ".join(sorted(self._presets))
            raise Unsuited(f"{service}, which is no preset", f"one of {known}; or its files, reload and prove by hand")
        return preset(self._asked, names, algorithm, has_files=has_files)

    def _asked(self, argv: Sequence[str]) -> str:
        question = tuple(argv)
        if question not in self._answers:
            try:
                self._answers[question] = self._ask(question)
            except Unsuited as unsuited:
                self._answers[question] = unsuited
        answer = self._answers[question]
        if isinstance(answer, Unsuited):
            raise type(answer)(answer.found, answer.expected)
        return answer


def ask_program(argv: Sequence[str]) -> str:
    """Ask a program of this host (`Ask`)."""
    try:
        return commands.read(argv, TIMEOUT, MOST_BYTES)
    except FileNotFoundError:
        raise Unsuited(
            f"no program {argv[0]} on this host", "it installed, or the files, reload and prove by hand"
        ) from None
    except RetryLater as failed:
        raise Unanswered("; ".join(str(failed).splitlines()), "a service whose configuration can be read") from None
