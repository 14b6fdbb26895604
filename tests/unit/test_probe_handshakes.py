"""danelaw.probe: handshakes with servers on 127.0.0.1 that behave, and with servers that do not."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw.model import AppProtocol, Endpoint, KeyAlgorithm, ProbeRequest, ProbeResult
from danelaw.probe import Handshakes
from danelaw.probe.conversation import presented
from danelaw.probe.handshakes import GATE, MAX_OPEN
from danelaw.probe.tls import HandshakeFailed
from fakes.peers import Peer, reset, shake_hands, speak_smtp
from fakes.raw_tls import ALERT, records
from fakes.running_clock import RunningClock

ROOT = issue("Root", ca=True, key=rsa2048())
ECDSA, RSA = issue(HOST, ROOT, key=p256()), issue(HOST, ROOT, key=rsa2048())
LAST = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., ssl.SSLContext]:
    """Make a server's context of one or more certificates."""

    def make(*identities: Issued, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.num_tickets = 0
        for identity in identities:
            chain, key, _ = identity.write(tmp_path, str(identity.certificate.serial_number))
            context.load_cert_chain(chain, key)
        return context

    return make


def probe(
    address: tuple[str, int],
    protocol: AppProtocol = "tls",
    algorithm: KeyAlgorithm | None = None,
    handshakes: int = 1,
    timeout: float = 10.0,
) -> ProbeResult:
    prober = Handshakes(RunningClock(), timeout=timeout)
    request = ProbeRequest(Endpoint(HOST, 25, protocol), "192.0.2.1", address, algorithm, handshakes)
    (result,) = prober.probe([request])
    assert result.request == request
    return result


def problem(talk: Callable[[socket.socket, int], object], protocol: AppProtocol = "smtp", timeout: float = 5.0) -> str:
    with Peer(talk) as peer:
        result = probe(peer.address, protocol, timeout=timeout)
    assert not result.chains
    assert not result.not_offered
    assert result.problem is not None
    assert result.problem.startswith(f"127.0.0.1:{peer.address[1]} ")
    assert "\n" not in result.problem
    return result.problem


# --- what is presented -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", LAST, ids=lambda v: v.name)
def test_the_whole_chain_is_seen_as_sent(serving: Callable[..., ssl.SSLContext], version: ssl.TLSVersion) -> None:
    context = serving(ECDSA, version=version)
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        result = probe(peer.address)
    assert (result.problem, result.not_offered) == (None, False)
    assert [chain.certificates_der for chain in result.chains] == [(ECDSA.der, ROOT.der)]


@pytest.mark.parametrize("version", LAST, ids=lambda v: v.name)
def test_each_kind_of_certificate_is_seen_where_it_is_asked_for(
    serving: Callable[..., ssl.SSLContext], version: ssl.TLSVersion
) -> None:
    context = serving(ECDSA, RSA, version=version)
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        for algorithm, identity in (("rsa", RSA), ("ecdsa", ECDSA)):
            result = probe(peer.address, algorithm=algorithm)  # type: ignore[arg-type]  # literals in a tuple
            assert [chain.leaf_der for chain in result.chains] == [identity.der]


@pytest.mark.parametrize("version", LAST, ids=lambda v: v.name)
@pytest.mark.parametrize(("has", "asked"), [(RSA, "ecdsa"), (ECDSA, "rsa")], ids=["rsa", "ecdsa"])
def test_a_kind_that_is_not_offered_is_no_problem(
    serving: Callable[..., ssl.SSLContext], version: ssl.TLSVersion, has: Issued, asked: KeyAlgorithm
) -> None:
    context = serving(has, version=version)
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        result = probe(peer.address, algorithm=asked, handshakes=2)
    assert (result.chains, result.not_offered, result.problem) == ((), True, None)


def test_a_kind_that_only_some_workers_offer_is_a_problem(serving: Callable[..., ssl.SSLContext]) -> None:
    contexts = serving(RSA), serving(ECDSA)
    with Peer(lambda stream, number: shake_hands(stream, contexts[number % 2])) as peer:
        result = probe(peer.address, algorithm="rsa", handshakes=4)
    assert [chain.leaf_der for chain in result.chains] == [RSA.der, RSA.der]
    assert not result.not_offered
    assert result.problem is not None
    assert "has no RSA certificate" in result.problem
    assert "2 of 4 handshakes failed" in result.problem


@pytest.mark.parametrize("word", [b"", records(ALERT, b"\x01\x00")], ids=["Dovecot", "Courier"])
@pytest.mark.parametrize(("asked", "not_offered"), [("rsa", True), ("ecdsa", False)])
def test_hanging_up_may_be_how_a_server_says_that_a_kind_is_not_offered(
    serving: Callable[..., ssl.SSLContext],
    asked: KeyAlgorithm,
    not_offered: bool,  # noqa: FBT001  (the table's answer)
    word: bytes,
) -> None:
    """It does where any kind is answered and the kind asked for hangs up again. Courier says close_notify before."""
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number == 2:  # after two requests for one kind comes one for any
            shake_hands(stream, context)
        else:
            stream.recv(10_000)
            stream.sendall(word)

    with Peer(talk) as peer:
        result = probe(peer.address, algorithm=asked, handshakes=2)
    assert result.chains == ()
    assert result.not_offered is not_offered
    assert (result.problem is None) is not_offered


@pytest.mark.parametrize("answers", [{}, {2, 3}], ids=["never", "the second time"])
def test_hanging_up_for_another_reason_stays_a_problem(
    serving: Callable[..., ssl.SSLContext], answers: set[int]
) -> None:
    contexts = {2: serving(ECDSA), 3: serving(RSA)}

    def talk(stream: socket.socket, number: int) -> None:
        if number in answers:
            shake_hands(stream, contexts[number])
        else:
            stream.recv(10_000)

    with Peer(talk) as peer:
        result = probe(peer.address, algorithm="rsa", handshakes=2)
    assert (result.chains, result.not_offered) == ((), False)
    assert result.problem is not None
    assert "hung up in the TLS handshake (2 of 2" in result.problem


def test_an_old_worker_among_several_is_seen(serving: Callable[..., ssl.SSLContext]) -> None:
    old = issue(HOST, ROOT)
    contexts = serving(ECDSA), serving(old)
    with Peer(lambda stream, number: shake_hands(stream, contexts[number == 5])) as peer:
        result = probe(peer.address, handshakes=8)
    assert sorted(chain.leaf_der == old.der for chain in result.chains) == [False] * 7 + [True]


@pytest.mark.parametrize(("protocol", "most"), [("tls", 4), ("smtp", 4), ("tls", 3), ("smtp", 1)])
def test_a_server_that_takes_only_so_many_at_once_is_asked_again_with_so_many(
    serving: Callable[..., ssl.SSLContext], protocol: AppProtocol, most: int
) -> None:
    """It may take more where connections end while others come; not more than so many is what counts."""
    context, room, all_came = serving(ECDSA), threading.Semaphore(most), threading.Barrier(8)

    def talk(stream: socket.socket, number: int) -> None:
        welcome = room.acquire(blocking=False)
        if number < 8:
            all_came.wait(10)
        if not welcome:
            return
        try:
            if protocol == "smtp":
                speak_smtp(stream)
            shake_hands(stream, context)
        finally:
            room.release()

    with Peer(talk) as peer:
        result = probe(peer.address, protocol, "ecdsa", handshakes=8)
    assert result.problem is None
    assert result.at_once in range(1, 8)
    assert {chain.leaf_der for chain in result.chains} == {ECDSA.der}
    assert len(result.chains) > 8


def test_an_old_worker_among_those_asked_again_is_seen(serving: Callable[..., ssl.SSLContext]) -> None:
    old = issue(HOST, ROOT)
    contexts = serving(ECDSA), serving(old)

    def talk(stream: socket.socket, number: int) -> None:
        if not 4 <= number < 8:
            shake_hands(stream, contexts[number == 13])

    with Peer(talk) as peer:
        result = probe(peer.address, handshakes=8)
    assert sorted(chain.leaf_der == old.der for chain in result.chains) == [False] * 11 + [True]


def test_a_server_that_turns_away_as_many_again_has_another_reason(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number % 2:  # so is each second of eight, of four, of two, and then a single one
            shake_hands(stream, context)

    with Peer(talk) as peer:
        result = probe(peer.address, handshakes=8)
    assert result.at_once is None
    assert result.problem is not None
    assert "(4 of 8 handshakes failed)" in result.problem


@pytest.mark.parametrize("protocol", ["tls", "smtp"])
def test_all_connections_are_open_before_the_first_shakes_hands(
    serving: Callable[..., ssl.SSLContext], protocol: AppProtocol
) -> None:
    """The server answers no ClientHello before eight were sent, and each is sent once all eight are open."""
    context, together = serving(ECDSA), threading.Barrier(8)

    def talk(stream: socket.socket, _: int) -> None:
        if protocol == "smtp":
            speak_smtp(stream)
        together.wait(10)
        shake_hands(stream, context)

    with Peer(talk) as peer:
        result = probe(peer.address, protocol, handshakes=8)
    assert result.problem is None
    assert len(result.chains) == 8


def test_nobody_shakes_hands_while_another_is_not_ready(serving: Callable[..., ssl.SSLContext]) -> None:
    """The last one's STARTTLS is answered late: until then no ClientHello comes on any other connection."""
    context, others_ready, last_ready = serving(ECDSA), threading.Barrier(4), threading.Event()
    too_early: list[int] = []

    def talk(stream: socket.socket, number: int) -> None:
        if number == 3:
            speak_smtp(stream, b"")
            others_ready.wait(10)
            peer.over.wait(0.1)  # time for wrong code to go wrong in
            last_ready.set()
            stream.sendall(b"220 go\r\n")
        else:
            speak_smtp(stream)
            others_ready.wait(10)
            stream.recv(1, socket.MSG_PEEK)
            if not last_ready.is_set():
                too_early.append(number)
        shake_hands(stream, context)

    with Peer(talk) as peer:
        result = probe(peer.address, "smtp", handshakes=4)
    assert (result.problem, len(result.chains)) == (None, 4)
    assert too_early == []


def test_who_waits_for_another_to_end_does_not_hold_all_up(serving: Callable[..., ssl.SSLContext]) -> None:
    """Postfix, just reloaded, greets one only when another is over: so the others do not wait for it to the end."""
    context, freed = serving(ECDSA), threading.Event()

    def talk(stream: socket.socket, number: int) -> None:
        if number == 3:
            freed.wait(60)
        speak_smtp(stream)
        shake_hands(stream, context)
        freed.set()

    began = time.monotonic()
    with Peer(talk) as peer:
        request = ProbeRequest(Endpoint(HOST, 25, "smtp"), "192.0.2.1", peer.address, None, 4)
        (result,) = Handshakes(RunningClock(), timeout=60).probe([request])
    assert (result.problem, len(result.chains)) == (None, 4)
    assert time.monotonic() - began < GATE * 60


def test_only_so_many_connections_are_open_at_once() -> None:
    """All are silent, so those that had to wait for their turn end one timeout later."""
    began = time.monotonic()
    with Peer(lambda _stream, _: peer.over.wait(10)) as peer:
        request = ProbeRequest(Endpoint(HOST, 25, "smtp"), "192.0.2.1", peer.address, None, MAX_OPEN // 2)
        results = Handshakes(RunningClock(), timeout=0.4).probe([request] * 3)
        took = time.monotonic() - began
    assert all(result.problem and "did not bring its banner" in result.problem for result in results)
    assert took >= 0.8


def test_a_certificate_of_another_kind_than_asked_for_is_not_taken_for_it() -> None:
    """As from a server that sends what it has got (RFC 8446 section 4.4.2.2)."""
    with pytest.raises(HandshakeFailed, match="has no RSA certificate") as caught:
        presented((ECDSA.der,), "rsa")
    assert caught.value.kind == "not-offered"
    assert presented((ECDSA.der,), "ecdsa").leaf_der == ECDSA.der


def test_one_that_hangs_keeps_the_others_only_for_a_while(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA)

    def talk(stream: socket.socket, number: int) -> None:
        if number == 3:
            peer.over.wait(10)
            return
        speak_smtp(stream)
        shake_hands(stream, context)

    with Peer(talk) as peer:
        result = probe(peer.address, "smtp", handshakes=4, timeout=2)
    assert len(result.chains) == 3
    assert result.problem is not None
    assert "did not bring its banner within 2 s (1 of 4 handshakes failed)" in result.problem


def test_the_name_is_the_endpoint_s_and_not_the_address_s(serving: Callable[..., ssl.SSLContext]) -> None:
    context, asked = serving(ECDSA), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        assert probe(peer.address).chains
    assert asked == [HOST]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_is_no_name_to_ask_for(host: str, serving: Callable[..., ssl.SSLContext]) -> None:
    context, asked = serving(ECDSA), []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        request = ProbeRequest(Endpoint(host, 443, "https"), host, peer.address)
        (result,) = Handshakes(RunningClock()).probe([request])
    assert result.chains
    assert asked == [None]


def test_many_requests_keep_their_order(serving: Callable[..., ssl.SSLContext]) -> None:
    context, wanted = serving(ECDSA), 10
    with Peer(lambda stream, _: shake_hands(stream, context)) as peer:
        requests = [
            ProbeRequest(Endpoint(f"h{n}.example.org", 443, "https"), "192.0.2.1", peer.address, None, 8)
            for n in range(wanted)
        ]
        assert sum(request.handshakes for request in requests) > MAX_OPEN
        results = Handshakes(RunningClock(), timeout=10).probe(requests)
    assert [result.request for result in results] == requests
    assert [(len(result.chains), result.problem) for result in results] == [(8, None)] * wanted
    assert Handshakes(RunningClock()).probe([]) == []


# --- what goes wrong -------------------------------------------------------------------------------------------------


def greet(stream: socket.socket) -> None:
    stream.sendall(b"220 mx\r\n")
    assert stream.recv(100).startswith(b"EHLO ")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    result = probe(address, handshakes=2)
    assert result.chains == ()
    assert result.problem == (
        f"127.0.0.1:{address[1]} refuses the connection: nothing listens there (2 of 2 handshakes failed)"
    )


@pytest.mark.parametrize("address", ["mail.example.org", "", "127.0.0.1x"])
def test_a_name_is_never_looked_up(address: str) -> None:
    result = probe((address, 25))
    assert result.problem is not None
    assert "cannot be reached from here" in result.problem


@pytest.mark.parametrize(
    ("protocol", "says"),
    [
        ("smtp", "did not bring its banner within 0.3 s"),
        ("imap", "did not bring its greeting within 0.3 s"),
        ("pop3", "did not bring its greeting within 0.3 s"),
        ("smtps", "did not bring the end of the TLS handshake within 0.3 s"),
    ],
)
def test_a_server_that_never_speaks(protocol: AppProtocol, says: str) -> None:
    began = time.monotonic()
    with Peer(lambda _stream, _: peer.over.wait(10)) as peer:
        result = probe(peer.address, protocol, timeout=0.3)
    assert result.problem is not None
    assert says in result.problem
    assert time.monotonic() - began < 5


def test_a_server_that_dribbles_is_cut_off_in_time() -> None:
    def talk(stream: socket.socket, _: int) -> None:
        while not peer.over.wait(0.02):
            stream.sendall(b"220-x\r\n")

    began = time.monotonic()
    with Peer(talk) as peer:
        result = probe(peer.address, "smtp", timeout=0.5)
    assert result.problem is not None
    assert "did not bring its banner within 0.5 s" in result.problem
    assert time.monotonic() - began < 5


def test_a_server_that_floods_is_cut_off_by_size() -> None:
    def talk(stream: socket.socket, _: int) -> None:
        while True:
            stream.sendall(b"220-spam spam spam\r\n" * 500)

    assert "sent more than 65536 octets" in problem(talk)


def test_hanging_up_is_named_with_its_stage() -> None:
    assert "hung up where its banner was expected" in problem(lambda _stream, _: None)
    assert "hung up where its reply to EHLO was expected" in problem(lambda stream, _: greet(stream))
    assert "hung up in the TLS handshake" in problem(lambda stream, _: speak_smtp(stream))
    assert "hung up in the TLS handshake" in problem(lambda stream, _: stream.recv(1000), "smtps")


def test_a_reset_is_named_with_its_stage() -> None:
    def talk(stream: socket.socket, _: int) -> None:
        stream.sendall(b"220 mx\r\n")
        stream.recv(3)
        reset(stream)

    assert "broke the connection where its reply to EHLO was expected" in problem(talk)


def test_plaintext_behind_starttls_is_refused() -> None:
    said = problem(lambda stream, _: speak_smtp(stream, b"220 go\r\n250 injected\r\n"))
    assert "sent plaintext behind its reply to STARTTLS" in said


def test_what_is_not_tls_is_said_to_be_none() -> None:
    assert "does not speak TLS" in problem(lambda stream, _: stream.sendall(b"220 mx ESMTP\r\n" * 10), "smtps")
    assert "does not speak TLS" in problem(lambda stream, _: speak_http(stream))


def speak_http(stream: socket.socket) -> None:
    speak_smtp(stream)
    stream.recv(1000)
    stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_an_alert_is_quoted() -> None:
    def talk(stream: socket.socket, _: int) -> None:
        stream.recv(10_000)
        stream.sendall(bytes.fromhex("15030300020270"))  # unrecognized_name, RFC 6066 section 3
        stream.recv(1000)

    assert "refused the TLS handshake" in problem(talk, "https")
    assert "unrecognized name" in problem(talk, "https")


def test_an_alert_without_a_question_is_a_problem() -> None:
    def talk(stream: socket.socket, _: int) -> None:
        stream.recv(10_000)
        stream.sendall(bytes.fromhex("15030300020228"))  # handshake_failure
        stream.recv(1000)

    assert "refused the TLS handshake: " in problem(talk, "https")


def test_greylisting_is_named() -> None:
    assert "refuses for now in its banner" in problem(lambda stream, _: stream.sendall(b"451 4.7.1 later\r\n"))


def test_one_bad_request_does_not_touch_the_others(serving: Callable[..., ssl.SSLContext]) -> None:
    context = serving(ECDSA)
    with Peer(lambda stream, _: shake_hands(stream, context)) as good, Peer(lambda _stream, _: None) as bad:
        web, mail = Endpoint(HOST, 443, "https"), Endpoint(HOST, 25, "smtp")
        requests = [
            ProbeRequest(endpoint, "192.0.2.1", address)
            for endpoint, address in ((web, good.address), (mail, bad.address), (web, good.address))
        ]
        results = Handshakes(RunningClock(), timeout=5).probe(requests)
    assert [len(result.chains) for result in results] == [1, 0, 1]
    assert [result.problem is None for result in results] == [True, False, True]


def test_ehlo_says_our_end_or_what_it_was_told() -> None:
    said = []

    def talk(stream: socket.socket, _: int) -> None:
        stream.sendall(b"220 mx\r\n")
        said.append(stream.recv(100))

    with Peer(talk) as peer:
        request = ProbeRequest(Endpoint(HOST, 25, "smtp"), "192.0.2.1", peer.address)
        Handshakes(RunningClock(), timeout=5).probe([request])
        Handshakes(RunningClock(), timeout=5, ehlo_name="probe.example.org").probe([request])
    assert said == [b"EHLO [127.0.0.1]\r\n", b"EHLO probe.example.org\r\n"]
