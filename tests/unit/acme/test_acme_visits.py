"""What a CA would meet at an address, fetched over HTTP: redirects, silence, other answers; whoever answers."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from chains import three
from danelaw.acme import HttpVisits, ListenerSolver
from danelaw.model import Visit
from danelaw.names import format_host_port
from fakes.acme_surroundings import Said

NAME, PATH, ANSWER = "www.example.test", "/.well-known/acme-challenge/probe", b"probe.answer"
Answer = bytes | Callable[[bytes], bytes]


class Peer:
    """A server that answers each connection with the same bytes, or as a function of the request says."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._answer, self._context = answer, context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
                with connection:
                    self._talk(connection)
            except OSError:
                if self._socket.fileno() < 0:
                    return

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with self._context.wrap_socket(connection, server_side=True) if self._context else connection as stream:
            request = b""
            while b"\r\n\r\n" not in request and request[:1] != b"\x16" and (chunk := stream.recv(4096)):
                request += chunk
            self.requests.append(request)
            stream.sendall(self._answer(request) if callable(self._answer) else self._answer)


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    peer = Peer(answer, context)
    try:
        yield peer
    finally:
        peer.close()


def ok(body: bytes = ANSWER, head: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def moved(location: str, status: str = "301 Moved Permanently") -> bytes:
    return f"HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def visitor(*ports: int, hosts: Sequence[str] = (), limit: float = 5.0) -> HttpVisits:
    """Return visits that are led to ports of this machine: 80, then 443."""
    connect = {f"127.0.0.1:{at}": ("127.0.0.1", port) for at, port in zip((80, 443), ports, strict=False)}
    return HttpVisits(lambda host: ["127.0.0.1"] if host in hosts else [], connect, Said(), limit=limit)


def visit(found: HttpVisits) -> tuple[bytes | None, str, bool]:
    (visited,) = found.visit([Visit(NAME, "127.0.0.1", PATH)])
    return visited.body, visited.found, visited.silent


def test_an_answer_is_fetched_by_its_name_at_the_address() -> None:
    with serving(ok()) as peer:
        assert visit(visitor(peer.port))[0] == ANSWER
    (request,) = peer.requests
    assert request.startswith(f"GET {PATH} HTTP/1.1\r\nHost: {NAME}\r\n".encode())


def test_our_own_listener_answers_it() -> None:
    with ListenerSolver([("127.0.0.1", 0)]) as solver:
        solver.present(NAME, "probe", ANSWER.decode())
        assert visit(visitor(solver.bound[0][1]))[0] == ANSWER
        solver.clean_up(NAME, "probe")
        assert visit(visitor(solver.bound[0][1])) == (None, "answers 404 Not Found", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + ANSWER,
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + ANSWER,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nprobe\r\n7\r\n.answer\r\n0\r\n\r\n",
    ],
)
def test_however_it_is_framed(answer: bytes) -> None:
    with serving(answer) as peer:
        assert visit(visitor(peer.port))[0] == ANSWER


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answers 404 Not Found"),
        (b"HTTP/1.1 403 \x1b[31mForbidden\r\n\r\n", "answers 403 [31mForbidden"),
        (b"HTTP/1.1 500 \r\n\r\n", "answers 500"),
        (b"HTTP/1.1 301 Moved\r\n\r\n", "answers 301 Moved"),
        (b"220 mail.example.test ESMTP\r\n", "answers, and not by HTTP"),
        (b"\x00" * 100, "answers, and not by HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "answers 200 OK with another text"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "answers, and not by HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 20), "answers with more than is read of it"),
        (moved("https://127.0.0.1/x"), "redirects to where no CA follows: https://127.0.0.1/x"),
        (moved("ftp://www.example.test/"), "redirects to where no CA follows: ftp://www.example.test/"),
        (moved("http://[::1/"), "redirects to where no CA follows: http://[::1/"),
        (moved("http://www.example.test/a b"), "redirects to where no CA follows: /a b"),
        (moved("http://" + "x" * 300 + "/"), "redirects to where no CA follows: "),
        (moved("/again"), "redirects more than 10 times"),
    ],
)
def test_another_answer_is_told_in_words(answer: bytes, found: str) -> None:
    with serving(answer) as peer:
        body, words, silent = visit(visitor(peer.port))
    assert words.startswith(found)
    assert words.isprintable()
    assert body is None or ANSWER not in body
    assert not silent


def test_silence_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        assert visit(visitor(unheard.getsockname()[1], limit=0.1)) == (None, "does not answer within 0.1 s", True)
    port = unheard_port()
    assert visit(visitor(port)) == (None, "refuses the connection: nothing listens there", True)
    with serving(b"") as peer:
        assert visit(visitor(peer.port)) == (None, "closes the connection without an answer", True)
    assert visit(HttpVisits(lambda _: [], {"127.0.0.1:80": ("2001:db8::1", 80)}, Said(), limit=0.2))[2]


def unheard_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
    return port


def test_an_answer_that_drips_ends() -> None:
    def drip(request: bytes) -> bytes:
        del request
        ended.wait(5)
        return b""

    ended = threading.Event()
    with serving(drip) as peer:
        assert visit(visitor(peer.port, limit=0.2))[1] == "does not answer within 0.2 s"
        ended.set()


def test_a_redirect_is_followed_over_https_whatever_is_presented(tmp_path: Path) -> None:
    """A certificate that has expired is what is about to be replaced; `https` is asked at the same address."""
    chain, key, _ = three("elsewhere.test")[0].write(tmp_path, "own")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with serving(ok(), context) as secure, serving(moved(f"https://{NAME}/x?y=1")) as peer:
        assert visit(visitor(peer.port, secure.port))[0] == ANSWER
        assert secure.requests[0].startswith(f"GET /x?y=1 HTTP/1.1\r\nHost: {NAME}\r\n".encode())
    with serving(ok()) as plain, serving(moved(f"https://{NAME}/x")) as peer:
        body, words, silent = visit(visitor(peer.port, plain.port))
    assert (body, silent) == (None, True)
    assert words.startswith(f"redirects to https://{NAME}/x, which fails at TLS (")


def test_a_redirect_to_another_host_is_looked_up() -> None:
    def answer(request: bytes) -> bytes:
        return ok() if b"Host: example.test\r\n" in request else moved("http://EXAMPLE.test/x", "302 Found")

    with serving(answer) as peer:
        assert visit(visitor(peer.port, hosts=["example.test"]))[0] == ANSWER
        assert visit(visitor(peer.port)) == (None, "redirects to example.test, which has no address", True)


def test_a_redirect_leads_to_no_other_port() -> None:
    """Else whoever answers for a name could have this host ask any server that only it can reach."""
    with serving(ok()) as inside, serving(moved(f"http://{NAME}:{inside.port}/shutdown")) as peer:
        body, words, silent = visit(visitor(peer.port))
        assert (body, silent) == (None, True)
        assert words.startswith(f"redirects to http://{NAME}:{inside.port}/shutdown, which is not asked")
        assert inside.requests == []
        mapped = {
            "127.0.0.1:80": ("127.0.0.1", peer.port),
            f"127.0.0.1:{inside.port}": ("127.0.0.1", inside.port),
        }
        assert visit(HttpVisits(lambda _: [], mapped, Said()))[0] == ANSWER


@pytest.mark.parametrize(
    ("start", "end", "led"),
    [
        ("9.9.9.9", ["127.0.0.1"], False),
        ("9.9.9.9", ["169.254.169.254"], False),
        ("9.9.9.9", ["10.0.0.1"], False),
        ("10.0.0.1", ["::1"], False),
        ("2620:fe::fe", ["10.0.0.1", "fd00::1"], False),
        ("9.9.9.9", ["10.0.0.1", "2620:fe::fe"], True),  # of several, one that is as open
    ],
)
def test_a_redirect_does_not_lead_from_the_internet_inside(start: str, end: list[str], led: bool) -> None:  # noqa: FBT001 (a parameter of pytest's)
    with serving(moved("http://inside.test/x")) as peer, serving(ok()) as goal:
        reached = {format_host_port(end[-1], 80): ("127.0.0.1", goal.port)} if led else {}
        connect = {format_host_port(start, 80): ("127.0.0.1", peer.port), **reached}
        (found,) = HttpVisits(lambda _: end, connect, Said()).visit([Visit(NAME, start, PATH)])
    assert (found.body == ANSWER) is led
    assert led or (found.silent and "inside.test, which is not asked" in found.found)


def test_within_one_network_a_redirect_is_followed() -> None:
    with serving(moved("http://inside.test/x")) as peer:
        found = HttpVisits(lambda _: ["127.0.0.9"], {"127.0.0.1:80": ("127.0.0.1", peer.port)}, Said())
        assert visit(found)[1].startswith("redirects to http://inside.test/x, which ")


def test_all_at_once_and_said_where_it_takes_long() -> None:
    said = Said()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as unheard, serving(ok()) as peer:
        slow = {f"127.0.1.{n}:80": unheard.getsockname() for n in range(1, 30)}
        found = HttpVisits(
            lambda _: [], {**slow, "127.0.0.1:80": ("127.0.0.1", peer.port)}, said, limit=0.5, patience=0.05
        )
        asked = [Visit(NAME, f"127.0.1.{n}", PATH) for n in range(1, 30)]
        results = found.visit([*asked, Visit(NAME, "127.0.0.1", PATH)])
    assert [visited.visit for visited in results] == [*asked, Visit(NAME, "127.0.0.1", PATH)]
    assert [visited.silent for visited in results] == [True] * 29 + [False]
    (line,) = said.lines
    assert line.startswith(f"asking over HTTP, as the CA will: {NAME} (127.0.1.1), ")
    assert line.endswith(" and 24 more")
    assert found.visit([]) == []
