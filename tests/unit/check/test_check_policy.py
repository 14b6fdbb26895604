"""MTA-STS policies over real TLS on loopback: what senders take, what they refuse, and what is only our blindness."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains import Issued, issue
from danelaw.check.policy import LARGEST_POLICY, PolicyFetcher
from danelaw.errors import InputError
from danelaw.model import LookedUp, Lookup, PolicyFetch, PolicyFound, Security
from fakes.peers import LIMIT, Peer

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.org\r\nmax_age: 604800\r\n"
HOST = "mta-sts.example.org"
QUESTION = PolicyFetch("example.org")

Speak = Callable[[ssl.SSLSocket, bytes], None]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[Issued, Path]:
    root = issue("Root", ca=True, at=_now())
    folder = tmp_path_factory.mktemp("ca")
    return root, root.write(folder, "root")[2]


@contextmanager
def server(folder: Path, leaf: Issued, speak: Speak) -> Iterator[Peer]:
    """Run an HTTPS server that reads a request and then does as ``speak`` does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain, key, _ = leaf.write(folder, "leaf")
    context.load_cert_chain(chain, key)

    def talk(stream: socket.socket, number: int) -> None:
        del number
        with context.wrap_socket(stream.dup(), server_side=True) as secured:
            secured.settimeout(LIMIT)
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += secured.recv(4096)
            speak(secured, request)

    with Peer(talk) as peer:
        yield peer


def answer(
    body: bytes = POLICY.encode(), status: str = "200 OK", headers: str = "Content-Type: text/plain", **framing: bool
) -> Speak:
    length = "" if framing.get("until_close") else f"Content-Length: {len(body)}\r\n"
    return lambda stream, _: stream.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n{length}\r\n".encode() + body)


def raw(data: bytes) -> Speak:
    return lambda stream, _: stream.sendall(data)


def fetch(
    ca: tuple[Issued, Path],
    folder: Path,
    speak: Speak,
    *,
    leaf: Issued | None = None,
    timeout: float = 5,
    may_reach: Callable[[str], bool] | None = None,
    addresses: tuple[str, ...] = ("192.0.2.80",),
    extra: Mapping[str, tuple[str, int]] | None = None,
) -> PolicyFound:
    """Fetch the policy from a server that answers as ``speak`` does, dialled in the place of 192.0.2.80."""
    with server(folder, leaf or issue(HOST, ca[0], at=_now()), speak) as peer:
        connect = {"192.0.2.80:443": peer.address, **(extra or {})}
        fetcher = PolicyFetcher(
            finder(addresses), connect=connect, may_reach=may_reach, roots=str(ca[1]), timeout=timeout
        )
        return asyncio.run(fetcher.fetch(QUESTION))


def finder(
    addresses: tuple[str, ...] = (), security: Security = "secure", rcode: str = "NOERROR", *, ours: bool = False
) -> Callable[[Lookup], "asyncio.Future[LookedUp]"]:
    async def find(lookup: Lookup) -> LookedUp:
        assert lookup.name == HOST
        found = tuple(address for address in addresses if (":" in address) == (lookup.rrtype == "AAAA"))
        return LookedUp(lookup, security, rcode, addresses=found, why="its signatures expired", ours=ours)

    return find  # type: ignore[return-value]  # a coroutine is awaited just the same


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize(
    "speak",
    [
        answer(),
        answer(until_close=True),
        answer(headers="content-type: TEXT/PLAIN; charset=utf-8; x=y"),
        raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\r\nContent-Type: text/plain\r\n\r\n" + POLICY.encode()),
        raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
            + f"{len(POLICY):x};ext=1\r\n{POLICY}\r\n0\r\n\r\n".encode()
        ),
    ],
    ids=["length", "until close", "parameters", "continue", "chunks"],
)
def test_a_policy_comes_in_every_framing(ca: tuple[Issued, Path], tmp_path: Path, speak: Speak) -> None:
    assert fetch(ca, tmp_path, speak) == PolicyFound(QUESTION, POLICY)


def test_what_is_asked_for(ca: tuple[Issued, Path], tmp_path: Path) -> None:
    requests: list[bytes] = []

    def speak(stream: ssl.SSLSocket, request: bytes) -> None:
        requests.append(request)
        answer()(stream, request)

    fetch(ca, tmp_path, speak)
    assert requests[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.org\r\n")


def test_the_largest_policy_is_taken_and_one_octet_more_is_not(ca: tuple[Issued, Path], tmp_path: Path) -> None:
    largest = b"x" * LARGEST_POLICY
    assert fetch(ca, tmp_path, answer(largest)).text == largest.decode()
    for speak in (answer(largest + b"x"), answer(largest + b"x", until_close=True)):
        found = fetch(ca, tmp_path, speak)
        assert (found.text, found.problem) == (None, "the policy is larger than 64 KiB (RFC 8461 section 3.3)")


def endless(start: bytes, more: bytes) -> Speak:
    def speak(stream: ssl.SSLSocket, _: bytes) -> None:
        stream.sendall(start)
        while True:
            stream.sendall(more)

    return speak


TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("speak", "problem"),
    [
        (answer(status="404 Not Found"), "mta-sts.example.org answers with status 404 where 200 was expected"),
        (answer(status="301 Moved", headers="Location: /other"), "answers with a redirect (301), which no sender"),
        (answer(headers="Content-Type: text/html"), "sends the media type text/html where text/plain was expected"),
        (answer(headers="Content-Type: nonsense"), "sends the media type nonsense where text/plain was expected"),
        (answer(headers="X-Y: z"), "sends the media type none where text/plain was expected"),
        (answer(b"\xff\xfe"), "sends a policy that is not text (UTF-8)"),
        (raw(TEXT + b"Content-Length: 100\r\n\r\nshort"), "cut its answer short"),
        (raw(TEXT), "cut its answer short"),
        (raw(b""), "cut its answer short"),
        (raw(b"220 mail ESMTP\r\n\r\n"), "is not HTTP"),
        (raw(b"HTTP/1.1 abc\r\n\r\n"), "is not HTTP"),
        (raw(b"HTTP/1.1 2000\r\n\r\n"), "is not HTTP"),
        (raw(TEXT + b"Content-Length: -5\r\n\r\n"), "is not HTTP"),
        (raw(TEXT + b"Content-Length: 99999999999999999999999\r\n\r\n"), "is larger than 64 KiB"),
        (raw(TEXT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "is not HTTP"),
        (raw(TEXT + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n"), "is not HTTP"),
        (raw(TEXT + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcde"), "is not HTTP"),
        (raw(TEXT + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"), "is larger than 64 KiB"),
        (endless(TEXT + b"\r\n", b"x" * 1000), "is larger than 64 KiB"),
        (endless(TEXT, b"X-More: yes\r\n"), "is not HTTP"),
        (endless(TEXT + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 1000), "is not HTTP"),
        (endless(TEXT + b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"), "larger than 64"),
    ],
)
def test_what_is_no_policy_is_one_clear_problem_of_theirs(
    ca: tuple[Issued, Path], tmp_path: Path, speak: Speak, problem: str
) -> None:
    found = fetch(ca, tmp_path, speak)
    assert problem in found.problem
    assert (found.text, found.ours) == (None, False)


def test_a_server_that_says_nothing_is_given_up(ca: tuple[Issued, Path], tmp_path: Path) -> None:
    def silent(stream: ssl.SSLSocket, _: bytes) -> None:
        stream.recv(1)

    found = fetch(ca, tmp_path, silent, timeout=0.5)
    assert (found.problem, found.ours) == ("the policy did not come within 0.5 s", False)


def test_a_server_that_never_shakes_hands_is_given_up(ca: tuple[Issued, Path]) -> None:
    with Peer(lambda stream, _: stream.recv(10_000) and stream.recv(1)) as peer:
        fetcher = PolicyFetcher(
            finder(("192.0.2.80",)), connect={"192.0.2.80:443": peer.address}, roots=str(ca[1]), timeout=0.5
        )
        found = asyncio.run(fetcher.fetch(QUESTION))
    assert "does not answer within 0.25 s" in found.problem


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([HOST], ""),
        (["*.example.org"], ""),
        (["example.org", "www.example.org"], "is not valid: Hostname mismatch"),
        ([], "is not valid: Hostname mismatch"),  # the common name, which counts for nothing (RFC 8461 section 3.3)
        (["*.org"], "is not valid: Hostname mismatch"),
        (["mta-sts*.example.org"], "is not valid: Hostname mismatch"),
    ],
)
def test_the_certificate_is_for_the_policy_host(
    ca: tuple[Issued, Path], tmp_path: Path, names: list[str], problem: str
) -> None:
    found = fetch(ca, tmp_path, answer(), leaf=issue(HOST, ca[0], names=names, at=_now()))
    assert problem in found.problem
    assert (found.text is None) == bool(problem)


def test_the_certificate_is_trusted_and_has_not_expired(ca: tuple[Issued, Path], tmp_path: Path) -> None:
    stranger = fetch(ca, tmp_path, answer(), leaf=issue(HOST, issue("Other", ca=True, at=_now()), at=_now()))
    assert "self-signed certificate in certificate chain" in stranger.problem
    expired = fetch(ca, tmp_path, answer(), leaf=issue(HOST, ca[0], at=_now(), days=-0.5))
    assert "is not valid: certificate has expired" in expired.problem


def test_what_does_not_speak_tls_is_named(ca: tuple[Issued, Path]) -> None:
    with Peer(lambda stream, _: stream.sendall(b"HTTP/1.1 400 no TLS here\r\n\r\n")) as peer:
        fetcher = PolicyFetcher(finder(("192.0.2.80",)), connect={"192.0.2.80:443": peer.address}, roots=str(ca[1]))
        found = asyncio.run(fetcher.fetch(QUESTION))
    assert "the TLS handshake with mta-sts.example.org" in found.problem


def test_another_address_is_tried_where_one_refuses(ca: tuple[Issued, Path], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    found = fetch(ca, tmp_path, answer(), addresses=("192.0.2.79", "192.0.2.80"), extra={"192.0.2.79:443": nobody})
    assert found.text == POLICY
    alone = fetch(ca, tmp_path, answer(), addresses=("192.0.2.79",), extra={"192.0.2.79:443": nobody})
    assert alone.problem == f"127.0.0.1:{nobody[1]} cannot be reached: Connection refused"
    assert not alone.ours


def test_an_address_that_may_not_be_reached_is_not_dialled(ca: tuple[Issued, Path], tmp_path: Path) -> None:
    asked: list[str] = []

    def may_reach(address: str) -> bool:
        asked.append(address)
        return False

    found = fetch(ca, tmp_path, answer(), may_reach=may_reach)
    assert asked == ["127.0.0.1"]  # the very address that would be dialled, not the one in DNS
    assert (found.text, found.ours) == (None, True)
    assert "may not connect to" in found.problem


@pytest.mark.parametrize(
    ("find", "problem", "ours"),
    [
        (finder(), "mta-sts.example.org has no address", False),
        (finder(rcode="NXDOMAIN"), "mta-sts.example.org does not exist", False),
        (finder(("192.0.2.1",), "bogus"), "cannot be looked up: its signatures expired", False),
        (finder((), "indeterminate", ours=True), "cannot be looked up: its signatures expired", True),
    ],
)
def test_without_an_address_there_is_no_policy(find: object, problem: str, ours: bool) -> None:  # noqa: FBT001 - data
    found = asyncio.run(PolicyFetcher(find, connect={}).fetch(QUESTION))  # type: ignore[arg-type]  # as above
    assert problem in found.problem
    assert found.ours is ours


def test_a_domain_whose_policy_host_is_too_long_has_none() -> None:
    domain = ".".join(["a" * 61] * 4)
    found = asyncio.run(PolicyFetcher(finder(), connect={}).fetch(PolicyFetch(domain)))
    assert "too long for a name" in found.problem


def test_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "roots.pem"
    bad.write_text("no certificates here")
    for path in (bad, tmp_path / "missing.pem"):
        with pytest.raises(InputError, match=str(path)):
            PolicyFetcher(finder(), connect={}, roots=str(path))
