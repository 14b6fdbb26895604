"""Our own listener: tokens and nothing else, whoever talks to it; and who holds a port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from danelaw.acme import ListenerSolver
from danelaw.errors import Refused
from fakes import without_ipv6

TOKEN, ANSWER = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", "token.thumbprint"
ANY = "0.0.0.0"  # noqa: S104  (every IPv4 address is what the config's default asks for)
PATH = f"/.well-known/acme-challenge/{TOKEN}"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@pytest.fixture
def port() -> Iterator[int]:
    with ListenerSolver([("127.0.0.1", 0)]) as solver:
        solver.present("example.test", TOKEN, ANSWER)
        yield solver.bound[0][1]


def ask(port: int, request: bytes, address: str = "127.0.0.1") -> bytes:
    """Send a request and return everything that comes until the end; a reset fails."""
    with socket.create_connection((address, port), timeout=5) as sock:
        sock.sendall(request)
        answer = b""
        while chunk := sock.recv(4096):
            answer += chunk
    return answer


def get(port: int, path: str = PATH, address: str = "127.0.0.1") -> tuple[str, bytes]:
    head, _, body = ask(port, f"GET {path} HTTP/1.1\r\nHost: example.test\r\n\r\n".encode(), address).partition(
        b"\r\n\r\n"
    )
    return head.split(b"\r\n")[0].decode(), body


def test_a_presented_token_is_answered_until_it_is_cleaned_up() -> None:
    with ListenerSolver([("127.0.0.1", 0)]) as solver:
        port = solver.bound[0][1]
        assert get(port)[0] == "HTTP/1.1 404 Not Found"
        solver.present("example.test", TOKEN, ANSWER)
        solver.present("www.example.test", TOKEN, ANSWER)
        assert get(port) == ("HTTP/1.1 200 OK", ANSWER.encode())
        assert get(port, PATH + "?x=1") == ("HTTP/1.1 200 OK", ANSWER.encode())
        solver.clean_up("example.test", TOKEN)
        assert get(port)[0] == "HTTP/1.1 200 OK"
        solver.clean_up("www.example.test", TOKEN)
        solver.clean_up("www.example.test", TOKEN)
        assert get(port)[0] == "HTTP/1.1 404 Not Found"
    with pytest.raises(ConnectionRefusedError):
        get(port)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (f"GET {PATH} HTTP/1.0", "200 OK"),
        (f"HEAD {PATH} HTTP/1.1", "200 OK"),
        ("GET / HTTP/1.1", "404 Not Found"),
        ("GET /.well-known/acme-challenge/ HTTP/1.1", "404 Not Found"),
        ("GET /.well-known/acme-challenge/../../../etc/passwd HTTP/1.1", "404 Not Found"),
        (f"GET //{PATH} HTTP/1.1", "404 Not Found"),
        (f"POST {PATH} HTTP/1.1", "405 Method Not Allowed"),
        (f"GET {PATH}", "400 Bad Request"),
        (f"GET  {PATH} HTTP/1.1", "400 Bad Request"),
        ("\x16\x03\x01\x02", "400 Bad Request"),
        ("é", "400 Bad Request"),
    ],
)
def test_requests_that_are_something_else(port: int, request_line: str, status: str) -> None:
    answer = ask(port, request_line.encode() + b"\r\nHost: x\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status}\r\n".encode())
    assert (ANSWER.encode() in answer) == (request_line.startswith("GET") and status == "200 OK")


def test_endless_headers_end_and_do_not_lose_the_answer(port: int) -> None:
    assert ask(port, f"GET {PATH} HTTP/1.1\r\n".encode() + b"X: y\r\n" * 3000).startswith(b"HTTP/1.1 431 ")


def test_a_request_that_comes_in_drops_is_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in f"GET {PATH} HTTP/1.1\r\n\r\n".encode():
            sock.send(bytes([octet]))
        assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_clients_that_say_nothing_keep_nobody_waiting(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(300)]
    try:
        began = time.monotonic()
        assert get(port)[0] == "HTTP/1.1 200 OK"
        assert time.monotonic() - began < 3  # less than their patience lasts
    finally:
        for sock in silent:
            sock.close()


def test_a_client_that_goes_on_for_ever_is_hung_up_on() -> None:
    with (
        ListenerSolver([("127.0.0.1", 0)], patience=timedelta(seconds=0.2)) as solver,
        socket.create_connection(solver.bound[0], timeout=0.05) as sock,
    ):
        end = time.monotonic() + 5
        sock.sendall(b"GET / HTTP/1.1\r\n")
        ended = False
        while not ended and time.monotonic() < end:
            try:
                sock.sendall(b"X: y\r\n")
                ended = sock.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended


def test_a_client_that_resets_is_no_obstacle(port: int) -> None:
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        sock.sendall(b"GET / HT")
        sock.close()
    assert get(port)[0] == "HTTP/1.1 200 OK"


def test_ipv4_and_ipv6_stand_side_by_side_and_again_at_once() -> None:
    port = free_port()
    for _ in range(2):
        with ListenerSolver([(ANY, port), ("::", port)]) as solver:
            solver.present("example.test", TOKEN, ANSWER)
            assert get(port)[0] == get(port, address="::1")[0] == "HTTP/1.1 200 OK"


def test_ipv6_alone_is_both_families() -> None:
    port = free_port()
    with ListenerSolver([("::", port)]) as solver:
        assert get(port)[0] == get(port, address="::1")[0] == "HTTP/1.1 404 Not Found"
        assert solver.left_out == ()


def test_a_single_ipv6_address_is_no_wildcard() -> None:
    with ListenerSolver([("::1", 0)]) as solver:
        port = solver.bound[0][1]
        assert get(port, address="::1")[0] == "HTTP/1.1 404 Not Found"
        with pytest.raises(ConnectionRefusedError):
            get(port)


WITHOUT = """
import sys
from danelaw.acme import ListenerSolver
from danelaw.errors import Refused
port = int(sys.argv[1])
for addresses in (["0.0.0.0", "::"], ["::"], ["0.0.0.0", "::1"]):
    try:
        with ListenerSolver([(address, port) for address in addresses]) as solver:
            print(*solver.bound, *solver.left_out, sep="|")
    except Refused as refused:
        print(refused)
"""


def test_a_kernel_without_ipv6_listens_on_ipv4_and_says_so() -> None:
    """The wildcard is left out; alone, or as an address that was asked for, it is an error."""
    port = free_port()
    launcher = Path(without_ipv6.__file__)
    said = subprocess.run(
        [sys.executable, launcher, sys.executable, "-c", WITHOUT, str(port)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == [
        f"('{ANY}', {port})|[::]:{port} is not listened on: this host has no IPv6",
        f"[::]:{port} is not listened on: this host has no IPv6",
        f"[::1]:{port} cannot be listened on: Address family not supported by protocol; correct http01.listen",
    ]


def test_leaving_ends_open_connections_and_threads() -> None:
    with ListenerSolver([("127.0.0.1", 0)]) as solver:
        port = solver.bound[0][1]
        sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        assert get(port)[0] == "HTTP/1.1 404 Not Found"  # so the first connection has been accepted
    assert sock.recv(1) == b""
    sock.close()


@pytest.mark.parametrize("held", ["127.0.0.1", ANY, "::"])
def test_a_port_that_is_held_is_refused_by_its_holders_name(held: str) -> None:
    family = socket.AF_INET6 if ":" in held else socket.AF_INET
    with socket.socket(family) as holder:
        holder.bind((held, 0))
        holder.listen()
        port = holder.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        solver = ListenerSolver([("127.0.0.1", port)])
        with pytest.raises(Refused, match=rf"127\.0\.0\.1:{port} is held by {name} \(pid {os.getpid()}\); stop it"):
            solver.__enter__()
        assert name in (solver.check_free() or "")
    assert solver.check_free() is None


@pytest.mark.parametrize("held", ["127.0.0.1", "::1", ANY, "::"])
@pytest.mark.parametrize("wanted", [["::"], [ANY, "::"]])
def test_either_family_that_is_held_is_named_with_its_holder(held: str, wanted: list[str]) -> None:
    family = socket.AF_INET6 if ":" in held else socket.AF_INET
    with socket.socket(family) as holder:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        holder.bind((held, 0))
        holder.listen()
        port = holder.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        words = ListenerSolver([(address, port) for address in wanted]).check_free() or ""
        taken = f"[::]:{port}" if len(wanted) == 1 or ":" in held else f"{ANY}:{port}"
        assert words.startswith(f"{taken} is held by {name} (pid {os.getpid()}); stop it")


def test_another_processs_port_is_told_by_its_name() -> None:
    program = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        words = ListenerSolver([("127.0.0.1", port)]).check_free()
        assert f"(pid {process.pid})" in (words or "")
        assert process.stdin is not None
        process.stdin.close()


def test_one_address_that_cannot_be_had_frees_the_others() -> None:
    port = free_port()
    solver = ListenerSolver([("127.0.0.1", port), ("192.0.2.1", port)])
    with pytest.raises(Refused, match=r"192\.0\.2\.1:\d+ cannot be listened on: Cannot assign requested address"):
        solver.__enter__()
    assert ListenerSolver([("127.0.0.1", port)]).check_free() is None
