"""Whatever people type, web servers send and files hold: an answer or one clear refusal, never anything else."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from danelaw.check import policy
from danelaw.check.examine import examine_blocking
from danelaw.check.recorded import Recording, dumps, judge, loads
from danelaw.check.targets import PROTOCOLS, parse_target
from danelaw.errors import InputError
from danelaw.model import Answer, Question, Target
from fakes import reports
from fakes.dns_clock import FixedClock
from fakes.outside import FakeOutside, answers_of

# --- targets ---------------------------------------------------------------------------------------------------------

PIECES = [
    "example",
    ".",
    "org",
    ":",
    "25",
    "@",
    "[",
    "]",
    "2001:db8::1",
    "192.0.2.1",
    "://",
    "/",
    "_25._tcp.",
    "ü",
    "#",
]


@given(
    st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)),
    st.none() | st.sampled_from(PROTOCOLS) | st.text(max_size=10),
    st.none() | st.sampled_from(["imaps", "_xmpp-client._tcp", ""]) | st.text(max_size=10),
)
@example("a" * 70000, None, None)
@example("_9\u0663._tcp.example.org", None, None)
def test_any_text_is_a_target_or_one_clear_refusal(text: str, protocol: str | None, service: str | None) -> None:
    try:
        target = parse_target(text, protocol, service)
    except InputError as error:
        said = str(error)
        assert said.isprintable()
        assert len(said) < 700
        return
    assert target.name == target.name.lower()
    if target.port is not None:
        assert parse_target(str(target), target.protocol) == target
    elif not target.service:
        assert parse_target(str(target)) == target


# --- what a policy host sends ----------------------------------------------------------------------------------------

HEADS = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 301 Moved\r\n",
    b"HTTP/9 200\r\n",
    b"Content-Type: text/plain\r\n",
    b"Content-Type:\r\n",
    b"Content-Length: 7\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: \xb2\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b" folded\r\n",
    b"\r\n",
    b"7\r\npolicy!\r\n",
    b"0\r\n\r\n",
    b"+7\r\n",
    b"0x7\r\n",
    b"1_0\r\n",
    b"\r",
    b"\n",
]


@given(st.lists(st.sampled_from(HEADS) | st.binary(max_size=40), max_size=12).map(b"".join), st.integers(1, 60))
@example(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + b"X: y\r\n" * 200 + b"\r\npolicy", 1000)
@example(b"HTTP/1.1 200 OK\r\n" + b"X" * 100_000, 50_000)
@example(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, 1000)
def test_any_octets_are_a_policy_or_one_clear_problem(data: bytes, step: int) -> None:
    async def read() -> str:
        reader = asyncio.StreamReader(limit=policy._LARGEST_HEAD)
        answering = asyncio.ensure_future(policy._answer(reader, "mta-sts.example.org"))
        for start in range(0, len(data), step):
            reader.feed_data(data[start : start + step])
        reader.feed_eof()
        return await answering

    try:
        text = asyncio.run(read())
    except policy._Failed as failed:
        said = str(failed)
        assert said.isprintable()
        assert len(said) < 200
    except (ValueError, EOFError, asyncio.LimitOverrunError, HTTPException):
        pass  # what `PolicyFetcher` takes for an answer that is not HTTP
    else:
        assert len(text.encode()) <= policy.LARGEST_POLICY


# --- recordings ------------------------------------------------------------------------------------------------------


def _recorded() -> str:
    known: dict[Question, Answer] = {}
    whole = reports.report(policy=reports.policy(), beside=(reports.STS_RECORD, reports.TLSRPT_RECORD))
    target, clock = Target(reports.DOMAIN), FixedClock(reports.AT)
    examine_blocking(target, FakeOutside(answers_of(whole)), clock, known=known)
    return dumps(Recording(target, clock.at, tuple(known.values())))


TEXT = _recorded()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, (*path, key))


PLACES = list(_places(json.loads(TEXT)))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["secure", "bogus", "NXDOMAIN", "A", "", "192.0.2.1", "::1", "not-offered", "tls", "AAAA", "rsa"]),
    st.just([]),
    st.just({}),
    st.just("2026-06-01T12:00:00+00:00"),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_a_recording_that_was_tampered_with_is_judged_or_refused(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = json.loads(TEXT)
    for path, value in changes:
        inner = document
        with suppress(KeyError, IndexError, TypeError):  # an earlier change took it away
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
    try:
        recording = loads(json.dumps(document), "facts.json")
    except InputError as error:
        event("refused")
        said = str(error)
        assert said.startswith("facts.json: ")
        return
    assert judge(recording).status in {0, 1, 3, 4}
