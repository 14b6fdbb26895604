"""Lines from a file that may keep us waiting: a pipe whose other end is slow must not hold up what is being asked."""

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import IO

from danelaw.errors import InputError

LONGEST_LINE = 64 * 1024
"""Octets; a name has 253."""


async def lines_of(file: IO[str]) -> AsyncGenerator[str, None]:
    """Yield the lines of an open file, pipe or terminal from where it stands, while the event loop goes on.

    Octets that are not UTF-8 become U+FFFD. Of a line longer than `LONGEST_LINE` comes its beginning with "…" behind
    it, which is no target, and the next line after it. Raises `InputError` where reading fails.
    """
    rest, skipping = b"", False
    while data := await _read(file.fileno()):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if not skipping:
                yield _text(line)
            skipping = False
        if len(rest) > LONGEST_LINE and not skipping:
            yield _text(rest)
            skipping = True
        if skipping:
            rest = b""
    if rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    cut = line[:LONGEST_LINE].decode("utf-8", "replace")
    return cut if len(line) <= LONGEST_LINE else f"{cut}…"


async def _read(descriptor: int) -> bytes:
    """Return what is there, once something is; b"" at the end."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bytes] = loop.create_future()

    def ready() -> None:
        loop.remove_reader(descriptor)  # else it may be called once more, and then wait for what is not there
        if arrived.done():
            return
        try:
            arrived.set_result(os.read(descriptor, LONGEST_LINE))
        except OSError as error:
            arrived.set_exception(InputError(f"the targets cannot be read: {error.strerror}"))

    try:
        loop.add_reader(descriptor, ready)
    except PermissionError:  # a file on disk, which is always ready
        return os.read(descriptor, LONGEST_LINE)
    try:
        return await arrived
    finally:
        loop.remove_reader(descriptor)
