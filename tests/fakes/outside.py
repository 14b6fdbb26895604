"""Outsides for checks, without any network: answers that a test made, given slowly, badly or not at all."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Self

from danelaw.check.answers import question_of, unasked
from danelaw.model import Answer, Authorities, Handshake, Lookup, OwnerLook, Question, Report, Shaken


class FakeOutside:
    """`check.answers.Answers` from a table; what is not in it fails as something that nobody answers.

    ``asked`` are the questions in the order in which they came, ``at_once`` is how many were open at the most. Those
    that are ``silent`` never end. A context manager as the real one is: ``entered`` counts how often.
    """

    def __init__(self, answers: Iterable[Answer] = (), *, silent: Callable[[Question], bool] = lambda _: False) -> None:
        self.answers: Mapping[Question, Answer] = {question_of(answer): answer for answer in answers}
        self.silent = silent
        self.asked: list[Question] = []
        self.at_once = 0
        self.open = 0
        self.entered = 0

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question)
        self.open += 1
        self.at_once = max(self.at_once, self.open)
        try:
            await asyncio.sleep(0)
            if self.silent(question):
                await asyncio.Event().wait()
            return self.answers.get(question) or unasked(question, "nobody answers this")
        finally:
            self.open -= 1


def answers_of(report: Report) -> Iterator[Answer]:
    """Yield every answer that a report was made of; the kinds of certificate not shown anywhere are not offered."""
    looked = [report.discovery.found, *report.beside]
    for endpoint in report.endpoints:
        looked += [*endpoint.lookups, endpoint.tlsa.found]
        yield endpoint.tlsa.authorities or OwnerLook(endpoint.tlsa.owner, "", endpoint.tlsa.owner, {}, ())
        for attempt in endpoint.attempts:
            yield from _shaken(attempt.shaken)
    yield from (each for each in looked if each is not None)
    if report.policy is not None:
        yield report.policy


def _shaken(free: Shaken) -> Iterator[Answer]:
    asked = free.handshake
    yield free
    if free.chain is not None and asked.algorithm is None:
        for algorithm in ("rsa", "ecdsa"):
            shown = free.chain.algorithm == algorithm
            yield Shaken(
                replace(asked, algorithm=algorithm),
                free.chain if shown else None,
                None if shown else "not-offered",
                "" if shown else f"{asked.address} has no certificate of that kind",
                free.version if shown else "",
            )


def kinds(questions: Iterable[Question]) -> list[str]:
    """Return questions in short, sorted."""
    found = []
    for each in questions:
        match each:
            case Lookup():
                found.append(f"{each.rrtype} {each.name}")
            case Handshake():
                found.append(f"{each.host}:{each.port} at {each.address} {each.algorithm or 'any'}")
            case Authorities():
                found.append(f"servers {each.owner}")
            case _:
                found.append(f"policy {each.domain}")
    return sorted(found)
