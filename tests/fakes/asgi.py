"""A browser's part of ASGI: one request, put to an application without a server in between."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message


@dataclass
class Answered:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGIApp,
    path: str,
    *,
    form: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    client: str = "198.51.100.7",
    method: str | None = None,
) -> Answered:
    """Ask for a path; with a form or a body it is a POST."""
    sent = urlencode(form).encode() if form is not None else body
    lines = {"host": "check.example.org", **({"content-type": "application/x-www-form-urlencoded"} if sent else {})}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method or ("GET" if sent is None else "POST"),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in {**lines, **(headers or {})}.items()],
        "client": (client, 40000),
        "server": ("127.0.0.1", 8053),
        "state": {},
    }
    answered = Answered()
    heard = False

    async def receive() -> Message:
        nonlocal heard
        if heard:
            await asyncio.Event().wait()  # it stays connected, and says no more
        heard = True
        return {"type": "http.request", "body": sent or b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answered.body += message.get("body", b"")

    await app(scope, receive, send)
    return answered
