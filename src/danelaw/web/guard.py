"""Around the whole application: headers that every answer has, counts, and failures that are said and not shown."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from danelaw.web.metrics import Metrics
from danelaw.web.page import style_source

POLICY = (
    f"default-src 'none'; style-src {style_source()}; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: nothing from elsewhere, no script and no style that is not ours (CSP Level 3)."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """ASGI around an application. An exception of it becomes a line for the administrator and a bare 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._metrics.answers[message["status"]] += 1
                headers = list(message.get("headers", []))
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*headers, *HEADERS]}
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the one place that lets no defect end the service
            self._metrics.complain(f"{scope['method']} {scope['path'][:80]!r} failed: {type(error).__name__}: {error}")
            if not started:
                failed = PlainTextResponse("A defect of danelaw itself; its administrator was told.\n", 500)
                await failed(scope, receive, answer)
