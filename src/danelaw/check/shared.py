"""One answer for all who ask the same: many domains are served by the same hosts."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from danelaw.check.answers import Answers, is_ours
from danelaw.model import Answer, Question


@dataclass(slots=True)
class Shared:
    """Passes questions on to ``outside``, each once at a time, and remembers the last ``keep`` answers.

    An answer is given again for ``seconds`` and then asked for anew; one that is this machine's own failure is not
    remembered. Of a thousand domains behind one provider each server is asked as if they were one. Raises what
    ``outside`` raises, to all who wait for it.
    """

    outside: Answers
    keep: int = 8192
    seconds: float = 300.0
    _answers: OrderedDict[Question, tuple[float, Answer]] = field(default_factory=OrderedDict)
    _asking: dict[Question, asyncio.Task[Answer]] = field(default_factory=dict)
    _waiting: dict[Question, int] = field(default_factory=dict)

    async def answer(self, question: Question) -> Answer:
        """Return the answer to a question, remembered or asked for."""
        now = asyncio.get_running_loop().time()
        at, answer = self._answers.get(question, (0.0, None))
        if answer is not None and now - at < self.seconds:
            self._answers.move_to_end(question)
            return answer
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.ensure_future(self._ask(question))
        self._waiting[question] = self._waiting.get(question, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[question] -= 1
            if not self._waiting[question]:
                del self._waiting[question]
                if not task.done():  # nobody wants to know any more, and whoever comes now asks anew
                    self._forget(question, task)
                    task.cancel()

    def _forget(self, question: Question, task: "asyncio.Task[Answer] | None") -> None:
        if self._asking.get(question) is task:
            del self._asking[question]

    async def _ask(self, question: Question) -> Answer:
        try:
            answer = await self.outside.answer(question)
        finally:
            self._forget(question, asyncio.current_task())
        if is_ours(answer):
            return answer
        self._answers[question] = (asyncio.get_running_loop().time(), answer)
        self._answers.move_to_end(question)
        while len(self._answers) > self.keep:
            self._answers.popitem(last=False)
        return answer
