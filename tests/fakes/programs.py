"""Programs of a host that answer what they were told to: no program is run."""

from collections.abc import Mapping, Sequence

from danelaw.errors import Unsuited


class Programs:
    """A `danelaw.deploy.services.refusals.Ask`: answers by the first words of the command, the longest that fits.

    Who is not told of is not installed; an answer that is an `Unsuited` is raised. ``asked`` are the commands.
    """

    def __init__(self, answers: Mapping[str, str | Unsuited]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str]) -> str:
        command = " ".join(argv)
        self.asked.append(command)
        fitting = [words for words in self.answers if command == words or command.startswith(f"{words} ")]
        if not fitting:
            raise Unsuited(f"no program {argv[0]} on this host", "it installed")
        answer = self.answers[max(fitting, key=len)]
        if isinstance(answer, Unsuited):
            raise Unsuited(answer.found, answer.expected)
        return answer
