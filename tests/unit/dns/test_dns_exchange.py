import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator

import pytest

from danelaw.dns.exchange import Address, NoAnswer, ask, parse_address
from danelaw.dns.message import name_of
from danelaw.errors import InputError


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("192.0.2.53", Address("192.0.2.53", 53), "192.0.2.53"),
        ("192.0.2.53:53", Address("192.0.2.53", 53), "192.0.2.53"),
        ("127.0.53.1:5353", Address("127.0.53.1", 5353), "127.0.53.1:5353"),
        ("2001:DB8::53", Address("2001:db8::53", 53), "2001:db8::53"),
        ("[2001:db8::53]", Address("2001:db8::53", 53), "2001:db8::53"),
        ("[::1]:5353", Address("::1", 5353), "[::1]:5353"),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address, shown: str) -> None:
    assert parse_address(text) == address
    assert str(address) == shown
    assert parse_address(shown) == address


@pytest.mark.parametrize(
    "text",
    ["", "ns1.example.org", "192.0.2.53:", "192.0.2.53:0", "1.2.3.4:65536", "[::1", "[::1]5353", "1:2:3", "1.2.3.4:x"],
)
def test_text_that_is_no_address(text: str) -> None:
    with pytest.raises(InputError):
        parse_address(text)


@contextlib.contextmanager
def no_file_left() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_many_open_files_are_our_own_fault() -> None:
    async def run() -> NoAnswer:
        with no_file_left(), pytest.raises(NoAnswer, match="Too many open files") as caught:
            await ask(Address("127.0.0.1", 1), name_of("example.org"), 1)
        return caught.value

    assert asyncio.run(run()).ours


def test_a_port_where_nothing_listens_is_not() -> None:
    async def run() -> NoAnswer:
        with pytest.raises(NoAnswer, match="nothing listens there") as caught:
            await ask(Address("127.0.0.1", 1), name_of("example.org"), 1)
        return caught.value

    assert not asyncio.run(run()).ours
