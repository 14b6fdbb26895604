"""The web service as an ASGI application: a field for a domain, the check as it runs, its result, and an API."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.resources import files
from math import ceil
from urllib.parse import parse_qs
from zlib import decompress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import ASGIApp

from danelaw.check.document import document
from danelaw.check.targets import PROTOCOLS, parse_target
from danelaw.errors import InputError, Refused
from danelaw.model import Report, Target
from danelaw.web.guard import Guard
from danelaw.web.jobs import RETRY, Full, Job, Jobs, Result
from danelaw.web.limits import LOOPBACK, Buckets, Networks, client_address, client_key
from danelaw.web.metrics import Metrics
from danelaw.web.page import page, render
from danelaw.web.timeline.pages import Managed, managed_page

MOST_BODY = 4096
"""Bytes of a form."""

MOST_RESULT = 8 << 20
"""Characters of a page and a document together; those of an ordinary domain take 100 KiB."""

MOST_TEXT = 300
"""Characters of a target."""

PULSE = 15.0
"""Seconds after which a stream without news shows that it lives."""

PATIENCE = 10.0
"""Seconds for a form to come."""


class Refusal(Exception):
    """A question that is not answered: the status, one line that says why, and when to ask again, in seconds."""

    def __init__(self, status: int, reason: str, text: str, retry: float = 0.0) -> None:
        self.status, self.reason, self.text, self.retry = status, reason, text, retry
        super().__init__(text)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that say when to ask again."""
        return {"Retry-After": str(ceil(self.retry))} if self.retry else {}


def result_of(report: Report, job_id: str) -> Result:
    """Return what is kept of a report: its page with the links of the service, and its document.

    Raises `Refused` where they are larger than anybody wants to be sent.
    """
    html = page(report, link=f"/r/{job_id}", home="/", again=again_of(report.target))
    told = json.dumps(document(report), indent=1) + "\n"
    if len(html) + len(told) > MOST_RESULT:
        raise Refused(f"the result is larger than {MOST_RESULT >> 20} MiB; danelaw check has no such limit")
    return Result.of(html, told, report.status)


def again_of(target: Target) -> dict[str, str]:
    """Return the fields of the form that asks for a target once more."""
    if target.port is not None:
        return {"target": str(target), "protocol": target.protocol}
    return {"target": target.name, "protocol": target.service if target.service in PROTOCOLS else ""}


@dataclass(slots=True)
class Site:
    """What the routes need. ``managed`` reads what is managed here; None: it is not shown."""

    jobs: Jobs
    metrics: Metrics
    buckets: Buckets
    proxies: Networks
    managed: Callable[[], Managed] | None = None
    wait: float = 150.0
    stopping: bool = False

    def asgi(self) -> ASGIApp:
        """Return the application."""
        routes = [
            Route("/", self.home),
            Route("/check", self.check, methods=["POST"]),
            Route("/r/{job}.json", self.json),
            Route("/r/{job}/events", self.events),
            Route("/r/{job}", self.result),
            Route("/api/v1/check", self.api),
            Route("/metrics", self.scrape),
            Route("/healthz", self.health),
            Route("/live.js", _static("live.js", "text/javascript")),
            Route("/icon.svg", _static("icon.svg", "image/svg+xml")),
            Route("/robots.txt", lambda _: PlainTextResponse("User-agent: *\nDisallow: /r/\nDisallow: /api/\n")),
        ]
        if self.managed is not None:
            routes += [Route("/managed", self.show_managed), Route("/api/v1/managed", self.tell_managed)]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._plain_error, Refusal: self._refuse})
        app.router.redirect_slashes = False  # it would lead to whatever host the request names
        return Guard(app, self.metrics)

    async def home(self, request: Request) -> Response:
        """The field."""
        return self._form(200, request.query_params.get("target", ""), request.query_params.get("protocol", ""))

    async def check(self, request: Request) -> Response:
        """Begin a check, and lead to where its result will be (POST, redirect, GET)."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise Refusal(403, "request", "another site asked for this check; ask for it here")
        fields = await _fields(request)
        text, protocol = fields.get("target", ""), fields.get("protocol", "")
        try:
            job = self._ask(request, text, protocol)
        except Refusal as refusal:
            self.metrics.refusals[refusal.reason] += 1
            return self._form(refusal.status, text, protocol, refusal.text, refusal.headers)
        return RedirectResponse(f"/r/{job.id}", 303)

    async def result(self, request: Request) -> Response:
        """The result, or how far it is."""
        job = self._job(request)
        if job is None:
            return self._form(404, problem="This result is not kept here, or no longer: check again.")
        if job.result is not None:
            return HTMLResponse(decompress(job.result.page))
        lines = [line for _, line in job.lines]
        text = render("progress.html", served=True, home="/", job=job, lines=lines, again=again_of(job.target))
        return HTMLResponse(text, *_ending(job)) if job.over else HTMLResponse(text)

    async def json(self, request: Request) -> Response:
        """The result's document."""
        job = self._job(request)
        if job is None:
            return _error(404, "this result is not kept here, or no longer")
        return self._document(job)

    async def events(self, request: Request) -> Response:
        """The progress as server-sent events (the HTML standard, section 9.2): lines, and at the end ``done``."""
        job = self._job(request)
        if job is None:
            raise HTTPException(404)
        unbuffered = {"X-Accel-Buffering": "no"}  # a proxy in front would keep the lines to itself (nginx)
        return StreamingResponse(self._stream(job), headers=unbuffered, media_type="text/event-stream")

    async def _stream(self, job: Job) -> AsyncIterator[str]:
        async for line in job.follow(PULSE):
            yield f"data: {line}\n\n" if line else ": still at it\n\n"
        yield f"event: done\ndata: {job.state}\n\n"

    async def api(self, request: Request) -> Response:
        """One check, answered when it is over."""
        query = request.query_params
        try:
            job = self._ask(request, query.get("target", ""), query.get("protocol", ""))
        except Refusal as refusal:
            self.metrics.refusals[refusal.reason] += 1
            return _error(refusal.status, refusal.text, refusal.headers)
        try:
            async with asyncio.timeout(self.wait):
                await job.ended()
        except TimeoutError:
            return _error(504, f"not over within {self.wait:g} s; its result will be at /r/{job.id}.json")
        return self._document(job)

    async def scrape(self, request: Request) -> Response:
        """What is counted, for Prometheus."""
        del request
        return PlainTextResponse(self.metrics.text(self.jobs.gauges()), media_type="text/plain; version=0.0.4")

    async def health(self, request: Request) -> Response:
        """Whether it serves."""
        del request
        return PlainTextResponse("stopping\n", 503) if self.stopping else PlainTextResponse("ok\n")

    async def show_managed(self, request: Request) -> Response:
        """What is managed here, as a page."""
        return HTMLResponse(managed_page(await self._managed(request), served=True, home="/"))

    async def tell_managed(self, request: Request) -> Response:
        """What is managed here: `danelaw --json status`."""
        return JSONResponse((await self._managed(request)).state)

    async def _managed(self, request: Request) -> Managed:
        """Return what is managed, to who sits at this machine.

        Not through a proxy, whoever it is; and not under another name: a page elsewhere whose name is made to lead
        here (DNS rebinding) would read it in the administrator's browser.
        """
        peer = request.client.host if request.client else ""
        forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "via"))
        host = re.sub(r":[0-9]+$", "", request.headers.get("host", ""))
        if peer not in LOOPBACK or forwarded or not (host == "localhost" or host.strip("[]") in LOOPBACK):
            raise Refusal(403, "request", "what is managed is shown on this machine only, at its loopback address")
        assert self.managed is not None  # noqa: S101 - there is no such route otherwise
        return await asyncio.to_thread(self.managed)

    def _job(self, request: Request) -> Job | None:
        return self.jobs.find(request.path_params["job"])

    def _ask(self, request: Request, text: str, protocol: str) -> Job:
        """Return the job for what a visitor typed. Raises `Refusal`."""
        try:
            target = parse_target(text[: MOST_TEXT + 1], protocol[:40] or None)
        except InputError as error:
            raise Refusal(400, "target", _for_the_web(str(error))) from None
        job = self.jobs.latest(target)
        if job is not None:
            return job  # costs nobody anything
        if self.stopping:
            raise Refusal(503, "stopping", f"the service is being stopped; ask again in {RETRY} s", RETRY)
        client = client_address(
            request.client.host if request.client else "", request.headers.getlist("x-forwarded-for"), self.proxies
        )
        wait = self.buckets.take(client_key(client), asyncio.get_running_loop().time())
        if wait:
            raise Refusal(429, "rate", f"too many checks from your address; ask again in {ceil(wait)} s", wait)
        try:
            return self.jobs.ask(target)
        except Full:
            raise Refusal(503, "full", f"too many checks wait already; ask again in {RETRY} s", RETRY) from None

    def _document(self, job: Job) -> Response:
        if job.result is not None:
            headers = {"Link": f'</r/{job.id}>; rel="alternate"; type="text/html"'}
            return Response(decompress(job.result.document), 200, headers, "application/json")
        if job.over:
            status, headers = _ending(job)
            return _error(status, job.problem, headers)
        return _error(404, f"the check is not over: it is {job.state}", {"Retry-After": "2"})

    def _form(
        self, status: int, text: str = "", protocol: str = "", problem: str = "", headers: dict[str, str] | None = None
    ) -> Response:
        html = render(
            "home.html",
            served=True,
            target=text[:MOST_TEXT],
            protocol=protocol,
            protocols=PROTOCOLS,
            problem=problem,
            managed=self.managed is not None,
        )
        return HTMLResponse(html, status, headers)

    async def _plain_error(self, request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, HTTPException)  # noqa: S101 - this is what it is registered for
        if error.status_code == 404:
            return self._form(404, problem="There is no such page.")
        return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers and dict(error.headers))

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)  # noqa: S101 - this is what it is registered for
        self.metrics.refusals[error.reason] += 1
        if request.url.path.startswith("/api/"):
            return _error(error.status, error.text, error.headers)
        return self._form(error.status, problem=error.text[:1].upper() + error.text[1:] + ".", headers=error.headers)


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a small form, each name's last value. Raises `Refusal`."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refusal(415, "request", "expected a form (application/x-www-form-urlencoded)")
    body = b""
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    raise Refusal(413, "request", f"a form of more than {MOST_BODY} bytes; expected a domain")
    except TimeoutError:
        raise Refusal(408, "request", "the form took too long to come") from None
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="replace")
    except ValueError:
        raise Refusal(400, "request", "a form that cannot be read") from None
    return {name: values[-1] for name, values in found.items()}


def _ending(job: Job) -> tuple[int, dict[str, str]]:
    """Return the status and headers of a check that brought no result: 503 where asking again later brings one."""
    return (503, {"Retry-After": str(RETRY)}) if job.stopped else (500, {})


def _for_the_web(text: str) -> str:
    """Say a message of the command line to somebody with a form: in one line, without options."""
    line = " ".join(text.split())
    return line.replace("--protocol: ", "").replace("give --protocol", "choose a protocol").replace("--", "")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)


def _static(name: str, kind: str) -> Callable[[Request], Response]:
    contents = files("danelaw.web").joinpath(f"static/{name}").read_bytes()
    return lambda _: Response(contents, headers={"Cache-Control": "public, max-age=3600"}, media_type=kind)
