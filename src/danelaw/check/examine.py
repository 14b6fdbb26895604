"""One check from its first question to its report, in an event loop or blocking.

`dane.sender` says what to ask; here it is asked, all of a round at once, until there is a report. There always is one:
what is still open when the time is over gets an answer that says so.
"""

import asyncio
from collections.abc import Callable, MutableMapping
from contextlib import AbstractAsyncContextManager

from danelaw.check.answers import Answers, unasked
from danelaw.dane.sender import Known, Wishes, advance
from danelaw.model import Answer, Clock, Handshake, LookedUp, Lookup, Question, Report, Shaken, Target
from danelaw.names import format_host_port

TIME_LIMIT = 120.0
"""Seconds for one check as a whole; an ordinary one takes less than two."""

MOST_ROUNDS = 64
"""Rounds of questions; an ordinary check has five."""

MOST_AT_HAND = 100
"""Answers, records and KiB of certificates together that are judged in the event loop, which takes milliseconds."""

Next = Callable[[Known], frozenset[Question] | Report]
"""From all answers so far to what to ask next, or to the report."""

Tell = Callable[[str], None]
"""Hears a line of progress."""


async def examine(
    target: Target,
    outside: Answers,
    clock: Clock,
    wishes: Wishes | None = None,
    tell: Tell | None = None,
    *,
    known: MutableMapping[Question, Answer] | None = None,
    time_limit: float = TIME_LIMIT,
) -> Report:
    """Return the report on a target.

    ``tell`` hears a line for every round and every handshake. ``known`` is filled with all answers as they come (what
    it holds already is not asked again): kept, they are a recording. ``time_limit`` is in seconds.
    """
    at = clock.now()
    return await converse(
        lambda so_far: advance(target, so_far, at, wishes),
        outside,
        {} if known is None else known,
        (lambda text: tell(f"{target}: {text}")) if tell else None,
        time_limit,
    )


def examine_blocking(
    target: Target,
    outside: AbstractAsyncContextManager[Answers],
    clock: Clock,
    wishes: Wishes | None = None,
    tell: Tell | None = None,
    *,
    known: MutableMapping[Question, Answer] | None = None,
    time_limit: float = TIME_LIMIT,
) -> Report:
    """Do as `examine` does, in an event loop of its own; ``outside`` is entered for it and left again."""

    async def run() -> Report:
        async with outside as entered:
            return await examine(target, entered, clock, wishes, tell, known=known, time_limit=time_limit)

    return asyncio.run(run())


async def converse(
    next_of: Next,
    outside: Answers,
    known: MutableMapping[Question, Answer],
    tell: Tell | None = None,
    time_limit: float = TIME_LIMIT,
) -> Report:
    """Ask what ``next_of`` wants to know, round by round, until it returns a report."""
    deadline = asyncio.get_running_loop().time() + time_limit
    over = f"the check had to end after {time_limit:g} s, before this was answered"
    rounds = 0
    while isinstance(asked := await _next(next_of, known), frozenset):
        rounds += 1
        if not asked or not asked.isdisjoint(known) or rounds > 2 * MOST_ROUNDS:
            # a defect of ours, and nothing a target could do: rather a stack trace than a loop without end
            raise RuntimeError(f"the check asks for ever, or what it knows: {sorted(map(str, asked))[:5]}")
        if tell:
            tell(_summary(asked))
        if rounds <= MOST_ROUNDS:
            await _ask(asked, outside, known, deadline, tell)
        known.update({question: unasked(question, over) for question in asked if question not in known})
    return asked


async def _next(next_of: Next, known: Known) -> frozenset[Question] | Report:
    """Return what comes next. What a hostile domain presents takes seconds to judge, so that others do not wait."""
    if _size(known) <= MOST_AT_HAND:
        return next_of(known)
    return await asyncio.to_thread(next_of, known)


def _size(known: Known) -> int:
    records = sum(len(each.tlsa) for each in known.values() if isinstance(each, LookedUp))
    chains = (each.chain for each in known.values() if isinstance(each, Shaken) and each.chain)
    return len(known) + records + (sum(len(der) for chain in chains for der in chain.certificates_der) >> 10)


async def _ask(
    asked: frozenset[Question],
    outside: Answers,
    known: MutableMapping[Question, Answer],
    deadline: float,
    tell: Tell | None,
) -> None:
    """Ask all questions at once, and put into ``known`` what is answered by the deadline."""

    async def put(question: Question) -> None:
        known[question] = answer = await outside.answer(question)
        if tell and isinstance(answer, Shaken):
            tell(_heard(answer))

    limit = asyncio.timeout_at(deadline)
    here, *beside = asked  # many a round has a single one, which needs no task
    try:
        async with limit, asyncio.TaskGroup() as group:
            for question in beside:
                group.create_task(put(question))
            await put(here)
    except TimeoutError:
        if not limit.expired():
            raise
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # one is enough: they are all of this machine


def _summary(asked: frozenset[Question]) -> str:
    """Say what a round asks."""
    lookups = sorted(question for question in asked if isinstance(question, Lookup))
    handshakes = [question for question in asked if isinstance(question, Handshake)]
    parts = []
    if lookups:
        first = f"{lookups[0].rrtype} of {lookups[0].name}"
        parts.append(f"looking up {first}" + (f" and {len(lookups) - 1} more" if lookups[1:] else ""))
    if handshakes:
        hosts = len({(each.host, each.port) for each in handshakes})
        parts.append(f"{_count(len(handshakes), 'handshake')} at {_count(hosts, 'endpoint')}")
    others = len(asked) - len(lookups) - len(handshakes)
    if others:
        parts.append(f"{_count(others, 'further question')} to servers")
    return ", ".join(parts)


def _heard(shaken: Shaken) -> str:
    """Say what a handshake brought."""
    handshake = shaken.handshake
    place = f"{format_host_port(handshake.host, handshake.port)} at {handshake.address}"
    kind = f" ({handshake.algorithm.upper()} asked for)" if handshake.algorithm else ""
    if shaken.chain is None:
        return f"{place}{kind}: {shaken.failure or 'no chain'}"
    return f"{place}{kind}: {shaken.version or 'TLS'}, {shaken.chain.algorithm.upper()}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
