"""Values as columns and columns as values: instants, words from outside, records, files, endpoints."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from danelaw.model import Endpoint, TlsaRecord
from danelaw.store.agenda import EPOCH, instant

MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Return an instant as whole microseconds since 1970, UTC."""
    return (at - EPOCH) // MICROSECOND


def maybe_micros(at: datetime | None) -> int | None:
    """Return an instant as `micros` does, NULL for none."""
    return None if at is None else micros(at)


def maybe_instant(microseconds: int | None) -> datetime | None:
    """Return the instant of `maybe_micros`."""
    return None if microseconds is None else instant(microseconds)


def text(words: str) -> str:
    """Return words that SQLite can keep: what came from outside may hold lone surrogates, which UTF-8 has not."""
    return words if words.isascii() else words.encode("utf-8", "backslashreplace").decode("utf-8")


def maybe_text(words: str | None) -> str | None:
    """Return words as `text` does, NULL for none."""
    return None if words is None else text(words)


def records_text(rdatas: Sequence[TlsaRecord]) -> str:
    """Return records as people write them, one a line."""
    return "\n".join(str(record) for record in rdatas)


def read_records(lines: str) -> tuple[TlsaRecord, ...]:
    """Return the records of `records_text`."""
    return tuple(read_record(line) for line in lines.split("\n")) if lines else ()


def read_record(line: str) -> TlsaRecord:
    """Return the record that a line is of; raises ValueError where it is of none."""
    usage, selector, matching_type, data = line.split(" ")
    return TlsaRecord(int(usage), int(selector), int(matching_type), bytes.fromhex(data))


def files_json(files: Mapping[str, str]) -> str:
    """Return files' digests by path as a JSON object."""
    return json.dumps(dict(files), sort_keys=True)


def read_files(json_text: str) -> dict[str, str]:
    """Return the digests of `files_json`; raises ValueError or TypeError where it is no such object."""
    files = json.loads(json_text)
    if not isinstance(files, dict):
        raise TypeError("files is not an object")
    return {str(path): str(digest) for path, digest in files.items()}


def endpoint_columns(endpoint: Endpoint) -> tuple[str, int, str, str]:
    """Return an endpoint's host, port, protocol and pinned address ("" for none: it is part of keys)."""
    return (endpoint.host, endpoint.port, endpoint.protocol, endpoint.connect or "")


def read_endpoint(host: str, port: int, protocol: Any, connect: str) -> Endpoint:
    """Return the endpoint of `endpoint_columns`."""
    return Endpoint(host, port, protocol, connect or None)
