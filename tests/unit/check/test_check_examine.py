"""From a target to its report: rounds, time limits, recordings, and that blocking, asyncio and replay agree."""

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest

from danelaw.check.answers import question_of, unasked
from danelaw.check.document import document
from danelaw.check.examine import MOST_ROUNDS, Next, converse, examine, examine_blocking
from danelaw.check.recorded import Recording, Replay, dumps, judge, loads
from danelaw.dane.sender import Known, Wishes
from danelaw.errors import InputError, Refused
from danelaw.model import (
    Answer,
    Authorities,
    Handshake,
    LookedUp,
    Lookup,
    PolicyFetch,
    PolicyFound,
    Question,
    Report,
    Shaken,
    Target,
)
from fakes import reports
from fakes.dns_clock import FixedClock
from fakes.outside import FakeOutside, answers_of

CLOCK = FixedClock(reports.AT)
TARGET = Target(reports.DOMAIN)
QUESTIONS: tuple[Question, ...] = (
    Lookup("example.org", "MX"),
    Authorities("_25._tcp.mail.example.org."),
    Handshake("mail.example.org", "192.0.2.1", 25, "smtp"),
    PolicyFetch("example.org"),
)


def good() -> FakeOutside:
    report = reports.report(policy=reports.policy(), beside=(reports.STS_RECORD, reports.TLSRPT_RECORD))
    extra = [
        reports.looked_up(f"_25._tcp.{reports.DOMAIN}", "TLSA"),
        reports.TCP_EXISTS,
        reports.looked_up(f"_tcp.{reports.OTHER}", "TLSA"),
    ]
    return FakeOutside([*answers_of(report), *extra])


def test_a_good_domain_gets_a_good_report_and_no_question_is_put_twice() -> None:
    outside = good()
    report = asyncio.run(examine(TARGET, outside, CLOCK))
    assert report.status == 0
    assert [endpoint.host for endpoint in report.endpoints] == [reports.HOST, reports.OTHER]
    assert len(outside.asked) == len(set(outside.asked))


def test_the_questions_of_a_round_are_put_all_at_once() -> None:
    outside = good()
    asyncio.run(examine(TARGET, outside, CLOCK))
    assert outside.at_once >= 4  # four addresses, as many handshakes
    assert outside.open == 0


def test_blocking_asyncio_and_replay_agree() -> None:
    known: dict[Question, Answer] = {}
    outside = good()
    blocking = examine_blocking(TARGET, outside, CLOCK, known=known)
    assert outside.entered == 1
    recording = loads(dumps(Recording(TARGET, CLOCK.at, tuple(known.values()))))
    assert blocking == asyncio.run(examine(TARGET, good(), CLOCK))
    assert blocking == judge(recording)
    assert blocking == asyncio.run(examine(TARGET, Replay(recording.answers), CLOCK))
    assert document(blocking) == document(judge(recording))


def test_what_is_known_is_not_asked_again() -> None:
    outside = good()
    known: dict[Question, Answer] = {}
    known[Lookup(reports.DOMAIN, "MX")] = reports.looked_up(reports.DOMAIN, "MX", rcode="NXDOMAIN")
    report = asyncio.run(examine(TARGET, outside, CLOCK, known=known))
    assert report.discovery.kind == "missing"
    assert Lookup(reports.DOMAIN, "MX") not in outside.asked


def test_there_is_a_report_when_the_time_is_over() -> None:
    outside = good()
    outside.silent = lambda question: isinstance(question, Handshake) and question.address == reports.V6
    report = asyncio.run(examine(TARGET, outside, CLOCK, time_limit=0.2))
    attempts = {attempt.address: attempt for attempt in report.endpoints[0].attempts}
    assert report.status == 4
    assert "had to end after 0.2 s" in attempts[reports.V6].shaken.detail
    assert set(attempts[reports.V6].outcomes.values()) == {"unknown"}
    assert "own-not-asked" in {finding.code for finding in report.findings}
    assert "own-port-25-blocked" not in {finding.code for finding in report.findings}
    assert outside.open == 0  # what was still asked is cancelled


def test_there_is_a_report_where_nothing_at_all_answers() -> None:
    outside = FakeOutside(silent=lambda _: True)
    report = asyncio.run(examine(TARGET, outside, CLOCK, time_limit=0.05))
    assert report.status == 4
    assert report.discovery.kind == "error"
    assert report.discovery.found is not None
    assert report.discovery.found.ours
    assert "had to end after 0.05 s" in report.discovery.found.why


def test_a_dialogue_without_end_ends() -> None:
    outside = FakeOutside()

    def curious(known: Mapping[Question, Answer]) -> frozenset[Question] | Report:
        if len(known) == MOST_ROUNDS + 1:
            return reports.report()
        return frozenset({Lookup(f"n{len(known)}.example.org", "A")})

    assert asyncio.run(converse(curious, outside, {})).status == 0
    assert len(outside.asked) == MOST_ROUNDS


@pytest.mark.parametrize(
    "asks",
    [
        lambda known: frozenset({Lookup(f"n{len(known)}.example.org", "A")}),
        lambda _: frozenset({Lookup("same.example.org", "A")}),
        lambda _: frozenset(),
    ],
    ids=["for ever", "what it knows", "nothing"],
)
def test_a_sender_that_asks_for_ever_is_a_defect_and_no_endless_loop(asks: Next) -> None:
    with pytest.raises(RuntimeError, match="asks for ever"):
        asyncio.run(converse(asks, FakeOutside(), {}))


def test_progress_is_told_by_round_and_by_handshake() -> None:
    told: list[str] = []
    asyncio.run(examine(TARGET, good(), CLOCK, tell=told.append))
    assert told[0] == "example.org: looking up MX of example.org"
    assert "example.org: mail.example.org:25 at 192.0.2.25: TLSv1.3, ECDSA" in told
    assert "example.org: mail.example.org:25 at 192.0.2.25 (RSA asked for): not-offered" in told
    assert any("4 handshakes at 2 endpoints" in line for line in told)


def test_what_is_wrong_with_this_machine_ends_the_check() -> None:
    class Broken(FakeOutside):
        async def answer(self, question: Question) -> Answer:
            del question
            raise Refused("libunbound.so.8 cannot be loaded")

    with pytest.raises(Refused, match="libunbound"):
        examine_blocking(TARGET, Broken(), CLOCK)


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_could_not_be_asked_has_an_answer_of_its_own_kind_that_says_so(question: Question) -> None:
    answer = unasked(question, "because")
    assert question_of(answer) == question
    match answer:
        case LookedUp():
            assert (answer.failed, answer.ours, answer.why) == (True, True, "because")
        case Shaken():
            assert (answer.chain, answer.detail) == (None, "192.0.2.1:25 was not asked: because")
        case PolicyFound():
            assert (answer.text, answer.ours, answer.problem) == (None, True, "because")
        case _:
            assert (answer.readings, answer.problem) == ((), "because")


# --- recordings ------------------------------------------------------------------------------------------------------


def recording() -> Recording:
    known: dict[Question, Answer] = {}
    examine_blocking(TARGET, good(), CLOCK, known=known)
    look = reports.servers("_25._tcp.x.example.org.", [reports.stale()], silent=["192.0.2.53"], problem="odd")
    wishes = Wishes(ttls={"_25._tcp.mail.example.org.": 300}, policy=False)
    return Recording(TARGET, CLOCK.at, (*known.values(), look), wishes)


def test_every_answer_comes_back_from_json_as_it_was() -> None:
    made = recording()
    read = loads(dumps(made))
    assert {question: answer for question, answer in read.known.items() if made.known[question] != answer} == {}
    assert (read.target, read.at, read.wishes) == (made.target, made.at, made.wishes)
    assert {type(answer) for answer in read.answers} == {type(answer) for answer in made.answers}
    assert dumps(read) == dumps(made)


def test_the_roots_of_this_machine_are_not_recorded() -> None:
    made = replace(recording(), wishes=Wishes(roots_der=(b"root",)))
    assert loads(dumps(made)).wishes.roots_der == ()


def test_a_recording_is_judged_anew_with_other_wishes() -> None:
    made = recording()
    assert judge(made).policy is None
    assert judge(made, Wishes()).policy == reports.policy()


def test_what_a_recording_does_not_hold_could_not_be_asked() -> None:
    made = recording()
    without = replace(made, answers=tuple(each for each in made.answers if not isinstance(each, Shaken)))
    report = judge(without)
    assert report.status == 4
    assert "the recording has no answer to this" in report.endpoints[0].attempts[0].shaken.detail


GOOD = dumps(Recording(TARGET, reports.AT, (reports.mx(reports.HOST),)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1, column 1 is no JSON (Expecting value); expected a recording of a check"),
        (GOOD[:-5], "is no JSON ("),
        ("[]", "danelaw-recording"),
        ("{}", "danelaw-recording"),
        ("[" * 100_000, "is nested too deeply"),
        ("1" * 10_000, "holds a number without end"),
        (GOOD.replace('"danelaw-recording": 1', '"danelaw-recording": 2'), "form 2; expected 1"),
        (GOOD.replace('"danelaw-recording": 1', '"danelaw-recording": {"a": 2}'), "form an object; expected 1"),
        (GOOD.replace('"target"', '"tarted"'), "the file has no target where one was expected"),
        (GOOD.replace('"secure"', '"certain"'), 'answers[0].looked-up.security has "certain" where one of secure, '),
        (GOOD.replace('"secure"', '{"secure": 1}'), "security has an object where one of secure, "),
        (GOOD.replace('"ttl": 3600', '"ttl": "3600"'), 'looked-up.ttl has "3600" where a whole number was expected'),
        (GOOD.replace('"ttl": 3600', '"tll": 3600'), "looked-up has the key tll where one of lookup, security, "),
        (GOOD.replace('"rrtype": "MX"', '"name": "a"'), "answers[0].looked-up.lookup has no rrtype where one was"),
        (GOOD.replace('"2026-06-01T12:00:00+00:00"', '"2026-06-01T12:00:00"'), "at has "),
        (GOOD.replace('"2026-06-01T12:00:00+00:00"', '"noon"'), 'at has "noon" where an instant in UTC was expected'),
        (GOOD.replace('"2026-06-01T12:00:00+00:00"', "5"), "at has 5 where an instant in UTC was expected"),
        (GOOD.replace('"looked-up"', '"looked-down"'), 'answers[0] has "looked-down" where an answer (one of '),
        (GOOD.replace('"answers": [', '"answers": [7, '), "answers[0] has 7 where an answer (one of looked-up, "),
        (GOOD.replace('"answers": [', '"answers": [{}, '), "answers[0] has an object where an answer "),
        (GOOD.replace('"ttls": {}', '"ttls": []'), "wishes.ttls has a list where an object was expected"),
        (GOOD.replace('"ttls": {}', '"ttls": {"a\\u001b": "x"}'), 'wishes.ttls.a? has "x" where a whole number was'),
    ],
)
def test_what_is_no_recording_is_refused_and_the_file_named(text: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        loads(text, "facts.json")
    said = str(refused.value)
    assert said.startswith("facts.json: ")
    assert says in said
    assert said.isprintable()
    assert "Error" not in said, "the name of an exception is nothing for people"


def test_a_chain_is_read_from_its_certificates_again() -> None:
    document = json.loads(dumps(Recording(TARGET, reports.AT, (reports.shaken(presented=reports.chain()),))))
    ((kind, shaken),) = document["answers"][0].items()
    assert kind == "shaken"
    assert len(shaken["chain"]) == 2
    shaken["chain"] = ["AAAA"]
    with pytest.raises(InputError, match="not a certificate"):
        loads(json.dumps(document))


@pytest.mark.parametrize(
    ("answers", "apart"),
    [
        ([reports.shaken(presented=reports.chain())], False),
        ([reports.shaken(f"192.0.2.{number}") for number in range(101)], True),
        ([reports.looked_up("_25._tcp.x", "TLSA", tlsa=(reports.stale(),) * 101)], True),
        ([reports.shaken(presented=replace(reports.chain(), certificates_der=(bytes(1 << 17),)))], True),
    ],
    ids=["ordinary", "many handshakes", "many records", "large chains"],
)
def test_what_takes_long_to_judge_holds_no_event_loop_up(answers: list[Answer], *, apart: bool) -> None:
    judged_by: list[int] = []

    def judged(known: Known) -> Report:
        judged_by.append(threading.get_ident())
        assert list(known.values()) == answers
        return reports.report()

    known = {question_of(each): each for each in answers}
    report = asyncio.run(converse(judged, FakeOutside([]), known))
    assert report == reports.report()
    assert (judged_by != [threading.get_ident()]) is apart
