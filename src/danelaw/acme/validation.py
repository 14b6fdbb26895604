"""Prove control of an order's names by http-01 (RFC 8555 sections 7.5 and 8.3).

All answers are made available first, then the CA is told, then all authorizations are polled until none is pending, so
that one failure does not hide another; whatever happens, the answers are taken away again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from danelaw.acme.account import Account
from danelaw.acme.jws import AccountPublicKey, key_authorization
from danelaw.acme.messages import Authorization, Challenge, parse_authorization
from danelaw.acme.problem import AcmeProblem, MalformedAnswer, Problem, plain
from danelaw.errors import DanelawError, Refused, RetryLater
from danelaw.model import Clock, Progress, Solver

_LIMIT = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(seconds=0.025)
_LONGEST_PAUSE = timedelta(seconds=10)

_CHECKS = {
    "caa": "the CAA records of the name must allow this CA",
    "connection": "port 80 must be reachable from outside at every A and AAAA address of the name",
    "dns": "the name's A and AAAA records must resolve from outside, and its DNSSEC must be in order",
    "incorrectResponse": "http://{name}/.well-known/acme-challenge/ must be answered by this host, at every address",
    "tls": "a redirect of http://{name}/ must not lead to broken TLS",
    "unauthorized": "http://{name}/.well-known/acme-challenge/ must be answered by this host, at every address",
}


class Poll:
    """Waits between two looks at something that the CA works on, within a limit (RFC 8555 sections 7.4 and 7.5.1).

    The limit is measured by the boot clock: nobody sets that one back.
    """

    def __init__(self, clock: Clock, limit: timedelta, what: str) -> None:
        self._clock = clock
        self._ends = clock.boot()[1] + limit.total_seconds()
        self._pause = _FIRST_PAUSE
        self._what = what

    def wait(self, retry_after: datetime | None) -> None:
        """Wait until the CA's Retry-After, else a growing while. Raises `RetryLater` where that goes past the limit."""
        now = self._clock.now()
        until = max(retry_after or now, now + self._pause)
        if (until - now).total_seconds() > self._ends - self._clock.boot()[1]:
            raise RetryLater(f"{self._what}: the CA is not done yet", retry_after)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._clock.sleep_until(until)


@dataclass(frozen=True, slots=True)
class _Task:
    """A pending authorization and the challenge that we answer."""

    authorization: Authorization
    challenge: Challenge


def look(urls: Sequence[str], account: Account) -> list[Authorization]:
    """Look at every authorization of an order."""
    return [_look(account, url)[0] for url in urls]


def validate(
    authorizations: Sequence[Authorization],
    account: Account,
    key: AccountPublicKey,
    solver: Solver,
    clock: Clock,
    progress: Progress,
) -> None:
    """Make every pending authorization valid; what is not pending is left alone.

    Raises `RetryLater` where all that failed may pass by itself (connection, dns, tls, the CA's own trouble) or where
    the CA takes too long, else `Refused`; in both the CA's own words stand beside each name.
    """
    tasks = [_Task(item, _choose(item)) for item in authorizations if item.status == "pending"]
    if not tasks:
        return
    names = ", ".join(task.authorization.domain for task in tasks)
    progress(f"the CA validates {names}")
    presented: list[_Task] = []
    try:
        for task in tasks:
            presented.append(task)  # before: also what is half there is cleaned up
            token = task.challenge.token
            solver.present(task.authorization.domain, token, key_authorization(token, key))
        for task in tasks:
            if task.challenge.status == "pending":  # else we, or a run before us, said so already
                _respond(account, task)
        failed = _await([task.authorization.url for task in tasks], account, clock, names)
    finally:
        for task in presented:
            try:
                solver.clean_up(task.authorization.domain, task.challenge.token)
            except DanelawError as error:
                progress(f"{task.authorization.domain}: the answer to its challenge stays behind: {error}")
    error_found = failure_of(failed)
    if error_found is not None:
        raise error_found


def _look(account: Account, url: str) -> tuple[Authorization, datetime | None]:
    answer = account.fetch(url)
    return parse_authorization(answer.document(), url), answer.retry_after


def _choose(authorization: Authorization) -> Challenge:
    """Return the challenge that we answer. Types that we do not know are ignored (RFC 8555 section 8)."""
    name = f"*.{authorization.domain}" if authorization.wildcard else authorization.domain
    for challenge in authorization.challenges:
        if challenge.type == "http-01":
            # RFC 8555 section 8.3: nothing but base64url; a token becomes a file's name
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", challenge.token):
                raise MalformedAnswer(f"{name}: the CA's token {plain(challenge.token, 60)!r} is not base64url")
            return challenge
    offered = ", ".join(plain(challenge.type, 30) for challenge in authorization.challenges) or "nothing"
    raise Refused(f"{name}: the CA offers {offered}, not http-01, the only challenge that danelaw answers")


def _respond(account: Account, task: _Task) -> None:
    """Tell the CA that the answer is there (RFC 8555 section 7.5.1)."""
    try:
        account.post(task.challenge.url, {})
    except AcmeProblem:
        # a repeated response whose first answer was lost may be refused: what counts is what became of it
        found, _ = _look(account, task.authorization.url)
        ours = next((item for item in found.challenges if item.url == task.challenge.url), task.challenge)
        if found.status == "pending" and ours.status == "pending":
            raise


def _await(urls: Sequence[str], account: Account, clock: Clock, names: str) -> list[Authorization]:
    """Poll until none is pending; return those that failed."""
    poll = Poll(clock, _LIMIT, f"validation of {names}")
    waiting, failed = list(urls), []
    while True:
        still: list[str] = []
        later: datetime | None = None
        for url in waiting:
            found, retry_after = _look(account, url)
            if found.status == "pending":
                still.append(url)
                later = max(filter(None, (later, retry_after)), default=None)
            elif found.status != "valid":
                failed.append(found)
        if not still:
            return failed
        waiting = still
        poll.wait(later)


def failure_of(authorizations: Sequence[Authorization]) -> DanelawError | None:
    """Return why those of the authorizations that are neither pending nor valid failed; None where there are none."""
    lines, transient = [], True
    for authorization in authorizations:
        if authorization.status in {"pending", "valid"}:
            continue
        problem = next((item.problem for item in authorization.challenges if item.problem), None)
        problem = problem or Problem("about:blank", f"its authorization is {authorization.status}")
        kinds = [problem.kind, *(sub.kind for sub in problem.subproblems)]
        check = next((_CHECKS[kind] for kind in kinds if kind in _CHECKS), "").format(name=authorization.domain)
        lines.append(f"{authorization.domain}: {problem}" + (f" ({check})" if check else ""))
        transient = transient and problem.transient
    if not lines:
        return None
    words = "the CA could not validate " + "; ".join(lines)
    return RetryLater(words) if transient else Refused(words)
