"""What was resolved a moment ago is given again, and nothing else."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from danelaw.dns import message as wire
from danelaw.dns.message import Name, name_of, parse
from danelaw.dns.remembered import MOMENT, Remembered
from danelaw.dns.unbound import Resolution
from fakes.dns_answers import message, rr

NAME = name_of("_25._tcp.mail.example.org")
GOOD = Resolution(
    "NOERROR", "secure", message=parse(message(str(NAME), wire.TLSA, [rr(str(NAME), wire.TLSA, b"\3\1\1x")])), ttl=300
)


@dataclass
class Resolving:
    """Gives what it has got, and counts how often."""

    found: Resolution = GOOD
    asked: list[tuple[Name, int]] = field(default_factory=list)
    now: float = 100.0

    def begin(self, name: Name, rrtype: int) -> asyncio.Future[Resolution]:
        self.asked.append((name, rrtype))
        future: asyncio.Future[Resolution] = asyncio.get_running_loop().create_future()
        future.set_result(self.found)
        return future


async def resolved(remembered: Remembered, name: Name, rrtype: int) -> Resolution:
    found = await remembered.begin(name, rrtype)
    await asyncio.sleep(0)  # it is kept in the next turn of the loop
    return found


@pytest.fixture
def behind() -> Resolving:
    return Resolving()


def twice(behind: Resolving, later: float) -> int:
    """Ask the same twice, so many seconds apart; return how often it was resolved."""
    remembered = Remembered(behind, lambda: behind.now)
    assert asyncio.run(resolved(remembered, NAME, wire.TLSA)) == behind.found
    behind.now += later
    assert asyncio.run(resolved(remembered, NAME, wire.TLSA)) == behind.found
    return len(behind.asked)


def test_what_was_resolved_a_moment_ago_is_given_again(behind: Resolving) -> None:
    assert twice(behind, MOMENT - 1) == 1


def test_after_the_moment_it_is_resolved_anew(behind: Resolving) -> None:
    assert twice(behind, MOMENT) == 2


def test_no_longer_than_its_ttl(behind: Resolving) -> None:
    behind.found = replace(GOOD, ttl=1)
    assert twice(behind, 1) == 2
    behind.asked.clear()
    assert twice(behind, 0.5) == 1
    behind.found = replace(GOOD, ttl=0)
    behind.asked.clear()
    assert twice(behind, 0) == 2


@pytest.mark.parametrize(
    "failed",
    [
        replace(GOOD, security="bogus"),
        replace(GOOD, security="indeterminate", rcode="SERVFAIL"),
        replace(GOOD, message=None),
    ],
)
def test_a_failure_may_be_over_at_once(behind: Resolving, failed: Resolution) -> None:
    behind.found = failed
    assert twice(behind, 0) == 2


def test_other_names_and_types_are_other_questions(behind: Resolving) -> None:
    remembered = Remembered(behind, lambda: behind.now)
    questions = [(NAME, wire.TLSA), (NAME, wire.A), (name_of("mail.example.org"), wire.TLSA)]
    for question in questions:
        assert remembered.known(*question) is None
        asyncio.run(resolved(remembered, *question))
        assert remembered.known(*question) == GOOD
    assert behind.asked == questions


def test_what_is_kept_is_bounded(behind: Resolving) -> None:
    remembered = Remembered(behind, lambda: behind.now)
    names = [name_of(f"mx{number}.example.org") for number in range(600)]
    for name in names:
        asyncio.run(resolved(remembered, name, wire.A))
    assert [remembered.known(name, wire.A) is not None for name in names] == [False] * 88 + [True] * 512
    large = replace(GOOD, message=parse(message(str(NAME), wire.TLSA, [rr(str(NAME), wire.TLSA, bytes(4096))])))
    behind.found = large
    asyncio.run(resolved(remembered, NAME, wire.TLSA))
    assert remembered.known(NAME, wire.TLSA) is None
