"""Checks of real servers, recorded (tests/recorded): the same code gives the same verdicts, without any of them."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from danelaw.check.document import document
from danelaw.check.examine import examine
from danelaw.check.recorded import Recording, Replay, dumps, judge, loads
from danelaw.model import MAIL_SENDERS, Answer, Outcome, Question, Sender, Shaken
from fakes.dns_clock import FixedClock

FOLDER = Path(__file__).parents[2] / "recorded"

Outcomes = Mapping[Sender, Outcome]


def all_do(outcome: Outcome) -> Outcomes:
    return dict.fromkeys(MAIL_SENDERS, outcome)


EXPECTED: dict[str, tuple[int, Outcomes]] = {
    "good": (0, all_do("authenticated")),
    "no-records": (3, all_do("opportunistic")),
    "stale": (1, all_do("deferred")),
    "stale-beside-good": (0, all_do("authenticated")),
    "digest-too-short": (1, {**all_do("encrypted"), "exim": "deferred"}),
    "null-mx": (3, {}),
    "nothing-listens": (4, all_do("unknown")),
    "second-mx-insecure": (3, all_do("opportunistic")),
    "imaps": (0, {"client": "authenticated"}),
    "unsigned": (3, all_do("opportunistic")),
    "bogus": (1, all_do("deferred")),
    "expired": (1, all_do("deferred")),
    "nowhere": (4, all_do("unknown")),
}


def read(name: str) -> Recording:
    return loads((FOLDER / f"{name}.json").read_text(), name)


def test_every_recording_has_its_verdict_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_verdict_is_the_one_that_the_servers_got(name: str) -> None:
    report = judge(read(name))
    assert (report.status, dict(report.outcomes)) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_in_an_event_loop_it_is_the_same(name: str) -> None:
    recording = read(name)
    again = asyncio.run(examine(recording.target, Replay(recording.answers), FixedClock(recording.at)))
    assert again == judge(recording)
    assert document(again) == document(judge(recording))


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_lost_in_writing_it_again(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert dumps(loads(text)) == text


@pytest.mark.parametrize("name", EXPECTED)
def test_every_question_of_today_has_its_answer(name: str) -> None:
    """Where this fails, a sender asks something new: `python -m recorded` records again."""
    recording = read(name)
    asked: list[object] = []

    class Watching(Replay):
        async def answer(self, question: Question) -> Answer:
            asked.append(question)
            return await super().answer(question)

    asyncio.run(examine(recording.target, Watching(recording.answers), FixedClock(recording.at)))
    assert set(asked) <= set(recording.known)


def test_without_its_handshakes_a_good_domain_is_not_good() -> None:
    recording = read("good")
    kept = tuple(each for each in recording.answers if not isinstance(each, Shaken))
    assert judge(Recording(recording.target, recording.at, kept)).status == 4
