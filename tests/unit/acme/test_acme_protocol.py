"""One signed request, and what networks and CAs do to it."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from danelaw.acme.messages import usable_url
from danelaw.acme.problem import AcmeProblem, MalformedAnswer
from danelaw.acme.protocol import Answer, Session
from danelaw.errors import Refused, RetryLater
from fakes.acme_ca import LOST, RESET, FakeCa, Reply, refused, said
from fakes.acme_surroundings import JumpingClock

HALF_A_MINUTE = timedelta(seconds=30)


@pytest.fixture
def session(ca: FakeCa, clock: JumpingClock) -> Iterator[Session]:
    key = ec.generate_private_key(ec.SECP256R1())
    running = Session(ca.directory, None, key, clock, "danelaw/test")
    yield running
    running.close()


def make_account(session: Session) -> Answer:
    return session.post(session.directory().new_account, {"termsOfServiceAgreed": True}, None)


def test_one_request_takes_one_nonce_and_the_next_takes_the_one_that_came_with_the_answer(
    ca: FakeCa, session: Session
) -> None:
    kid = make_account(session).location()
    session.post(kid, {"contact": []}, kid)
    assert ca.requests == ["GET dir", "HEAD nonce", "POST new-account", "POST acct"]


def test_bad_nonces_are_replaced_by_the_one_that_the_error_brings(ca: FakeCa, session: Session) -> None:
    make_account(session)
    ca.faults["new-account"] = [refused("badNonce", "again", Replay_Nonce=ca.new_nonce()) for _ in range(20)]
    before = ca.count("HEAD nonce")
    assert make_account(session).status == 200
    assert ca.count("HEAD nonce") == before


def test_a_bad_nonce_without_a_fresh_one_costs_a_look_for_one(ca: FakeCa, session: Session) -> None:
    ca.faults["new-account"] = [refused("badNonce", "again", Replay_Nonce="not base64url!")]
    assert make_account(session).status == 201


def test_nonces_that_are_always_bad_end(ca: FakeCa, session: Session) -> None:
    ca.faults["new-account"] = [refused("badNonce", "again") for _ in range(100)]
    with pytest.raises(RetryLater, match="refused 25 of its own nonces"):
        make_account(session)


@pytest.mark.parametrize(
    "fault", [RESET, LOST, Reply(500), Reply(502, b"<html>"), refused("serverInternal", "oh", 503)], ids=repr
)
@pytest.mark.parametrize("resource", ["dir", "nonce", "new-account"])
def test_troubles_are_repeated_with_growing_pauses(
    ca: FakeCa, session: Session, clock: JumpingClock, fault: Reply, resource: str
) -> None:
    ca.faults[resource] = [fault] * 3
    assert make_account(session).status in {200, 201}
    assert len(ca.accounts) == 1
    assert clock.slept == [timedelta(seconds=0.5), timedelta(seconds=1), timedelta(seconds=2)]


@pytest.mark.parametrize("fault", [RESET, Reply(500)], ids=["reset", "500"])
def test_trouble_that_does_not_end_is_said(ca: FakeCa, session: Session, clock: JumpingClock, fault: Reply) -> None:
    ca.faults["new-account"] = [fault] * 100
    with pytest.raises(RetryLater, match=r"127\.0\.0\.1:\d+ (cannot be reached: |is in trouble: HTTP status 500)"):
        make_account(session)
    assert len(clock.slept) == 5
    assert ca.count("POST new-account") == 6


def test_a_ca_that_is_not_there_is_said(clock: JumpingClock) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/dir"
        session = Session(url, None, ec.generate_private_key(ec.SECP256R1()), clock, "danelaw/test")
        with pytest.raises(RetryLater, match="cannot be reached: Connection refused"):
            session.directory()


@pytest.mark.parametrize("value", ["20", "Tue, 24 Nov 2026 12:00:20 GMT"])
def test_a_short_retry_after_is_waited_for(ca: FakeCa, session: Session, clock: JumpingClock, value: str) -> None:
    ca.faults["new-account"] = [Reply(503, headers={"Retry-After": value})]
    assert make_account(session).status == 201
    assert clock.slept == [timedelta(seconds=20)]


def test_a_long_retry_after_is_handed_to_the_caller(ca: FakeCa, session: Session, clock: JumpingClock) -> None:
    ca.faults["new-account"] = [Reply(503, headers={"Retry-After": "3600"})]
    with pytest.raises(RetryLater) as caught:
        make_account(session)
    assert caught.value.not_before == clock.now() + timedelta(hours=1)
    assert clock.slept == []


@pytest.mark.parametrize(
    "fault",
    [
        refused("rateLimited", "too many certificates", 429, Retry_After="3600"),
        refused("rateLimited", "too many certificates", 503, Retry_After="Tue, 24 Nov 2026 13:00:00 GMT"),
        Reply(429, b"too many certificates", {"Retry-After": "3600"}),
    ],
)
def test_a_rate_limit_says_when(ca: FakeCa, session: Session, fault: Reply) -> None:
    ca.faults["new-account"] = [fault]
    with pytest.raises(RetryLater, match=r"limits the rate: .*too many certificates") as caught:
        make_account(session)
    assert caught.value.not_before == datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert ca.count("POST new-account") == 1


def test_a_refusal_is_typed_and_carries_the_cas_words(ca: FakeCa, session: Session) -> None:
    problem = {
        "type": "urn:ietf:params:acme:error:userActionRequired",
        "detail": "terms have changed",
        "instance": "https://ca.test/agree",
    }
    ca.faults["new-account"] = [said(403, problem)]
    with pytest.raises(AcmeProblem, match=r"terms have changed \(https://ca.test/agree\)") as caught:
        make_account(session)
    assert (caught.value.kind, caught.value.problem.status) == ("userActionRequired", 403)


@pytest.mark.parametrize(
    ("resource", "reply"),
    [
        ("dir", Reply(200, b"<html>Please log in to the hotel's network</html>")),
        ("dir", Reply(200, b"[" * 100_000)),
        ("dir", Reply(200, b"\xff\xfe{}")),
        ("dir", said(200, [])),
        ("dir", said(200, {"newNonce": "http://elsewhere.test/nonce"})),
        ("dir", said(200, {"newNonce": 7})),
        ("dir", Reply(200, b"x" * ((1 << 20) + 1))),
        ("nonce", Reply(200, headers={"Replay-Nonce": "not base64url!"})),
        ("nonce", Reply(404)),
        ("new-account", Reply(302, headers={"Location": "/elsewhere"})),
    ],
)
def test_an_answer_that_is_not_acme_is_one_clear_error(
    ca: FakeCa, session: Session, resource: str, reply: Reply
) -> None:
    ca.faults[resource] = [reply]
    with pytest.raises(MalformedAnswer) as caught:
        make_account(session)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_an_answer_without_location_is_malformed(ca: FakeCa, session: Session) -> None:
    ca.faults["new-account"] = [said(201, {}), said(201, {}, Location="ftp://x/")]
    for _ in range(2):
        with pytest.raises(MalformedAnswer, match="Location"):
            make_account(session).location()


def test_a_directory_may_move_within_its_host_and_nowhere_else(ca: FakeCa, session: Session) -> None:
    ca.faults["dir"] = [Reply(301, headers={"Location": "/dir"})]
    assert session.directory().new_order == f"{ca.url}/new-order"
    other = Session(ca.directory, None, session.key, JumpingClock(), "danelaw/test")
    ca.faults["dir"] = [Reply(301, headers={"Location": "https://elsewhere.test/dir"})]
    with pytest.raises(Refused, match=r"redirects to https://elsewhere\.test/dir"):
        other.directory()
    ca.faults["dir"] = [Reply(302, headers={"Location": "/dir"})] * 10
    with pytest.raises(MalformedAnswer, match="redirects"):
        other.directory()
    other.close()


def test_an_answer_that_is_cut_short_is_asked_for_again(ca: FakeCa, session: Session) -> None:
    ca.faults["dir"] = [Reply(200, b"{", {"Content-Length": "5000", "Connection": "close"})]
    assert session.directory().new_order == f"{ca.url}/new-order"


@pytest.mark.parametrize(
    "url",
    [
        "https://acme-v02.api.letsencrypt.org/directory",
        "http://127.0.0.1:14000/dir",
        "http://[::1]/",
        "http://localhost:1/x",
    ],
)
def test_urls_that_may_be_asked(url: str) -> None:
    assert usable_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://ca.test/dir",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:secret@ca.test/",
        "https://ca.test/a b",
        "https://ca.test/\r\nHost: x",
        "https://ca.test/\u00e9",
        "https://ca.test:99999/",
        "https://[::1/",
        "https://ca.test/#x",
        "https://ca.test/" + "x" * 5000,
    ],
)
def test_urls_that_may_not(url: str, clock: JumpingClock) -> None:
    assert not usable_url(url)
    with pytest.raises(Refused, match="not an https URL"):
        Session(url, None, ec.generate_private_key(ec.SECP256R1()), clock, "danelaw/test")


def test_a_bundle_that_is_none_is_refused(clock: JumpingClock) -> None:
    with pytest.raises(Refused, match="correct ca_bundle"):
        Session("https://ca.test/", "/nonexistent.pem", ec.generate_private_key(ec.SECP256R1()), clock, "x")


def test_no_proxy_of_the_environment_is_used(ca: FakeCa, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    assert session.directory().new_order == f"{ca.url}/new-order"


def test_connections_are_kept_between_requests(ca: FakeCa, session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        counted: list[int] = []

        def relay() -> None:
            sock, _ = listening.accept()
            counted.append(1)
            with sock:
                for _ in range(2):
                    sock.recv(65536)
                    sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=relay)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/dir"
        other = Session(url, None, session.key, JumpingClock(), "danelaw/test")
        for _ in range(2):
            with pytest.raises(AcmeProblem, match="HTTP status 404"):
                other.directory()
        thread.join()
        other.close()
    assert counted == [1]
    assert ca.requests == []
