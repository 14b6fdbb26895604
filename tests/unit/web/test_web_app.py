"""The web service as its visitors meet it, without a server in between: pages, API, refusals, headers."""

import asyncio
import json
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from danelaw.errors import Refused
from danelaw.web.app import MOST_BODY, Site, result_of
from danelaw.web.jobs import Jobs, Limits
from danelaw.web.limits import Buckets, Networks
from danelaw.web.metrics import Metrics
from danelaw.web.timeline.pages import Managed
from fakes import reports, web_pages
from fakes.asgi import Answered, ask
from fakes.checks import FakeCheck

ReadsManaged = Callable[[], Managed] | None

HOSTILE = "\"'><script>alert(1)</script>"


class Visited:
    """A site over a fake check, and what its administrator heard."""

    def __init__(self, check: FakeCheck, limits: Limits, rate: int, managed: ReadsManaged) -> None:
        self.said: list[str] = []
        self.metrics = Metrics(self.said.append)
        self.jobs = Jobs(check, result_of, limits, self.metrics)
        self.site = Site(self.jobs, self.metrics, Buckets(rate, rate), Networks(["127.0.0.1"]), managed)
        self.app = self.site.asgi()

    async def ask(self, path: str, **options: Any) -> Answered:
        return await ask(self.app, path, **options)

    async def checked(self, target: str = "example.org") -> str:
        """Ask for a check by the form, and return where its result is, when it is there."""
        answered = await self.ask("/check", form={"target": target})
        assert answered.status == 303
        place = answered.headers["location"]
        job = self.jobs.find(place.removeprefix("/r/"))
        assert job is not None
        await job.ended()
        return place


def visit(
    story: Callable[[Visited], Coroutine[Any, Any, None]],
    check: FakeCheck | None = None,
    *,
    limits: Limits | None = None,
    rate: int = 100,
    managed: ReadsManaged = None,
) -> Visited:
    async def run() -> Visited:
        visited = Visited(check or FakeCheck(), limits or Limits(), rate, managed)
        async with asyncio.timeout(20):
            await story(visited)
        await visited.jobs.close()
        return visited

    return asyncio.run(run())


def test_the_form_leads_to_the_result() -> None:
    async def story(site: Visited) -> None:
        home = await site.ask("/")
        assert home.status == 200
        assert '<form class="ask" method="post" action="/check">' in home.text
        place = await site.checked()
        assert re.fullmatch(r"/r/[\w-]{22}", place)
        result = await site.ask(place)
        assert result.status == 200
        assert "<h1>Mail to example.org is protected by DANE.</h1>" in result.text
        assert f'href="{place}"' in result.text
        assert '<input type="hidden" name="target" value="example.org">' in result.text
        document = await site.ask(f"{place}.json")
        assert document.headers["content-type"] == "application/json"
        assert document.json["target"]["text"] == "example.org"

    check = FakeCheck()
    visited = visit(story, check)
    assert [str(target) for target in check.asked] == ["example.org"]
    assert visited.said == []


def test_a_check_that_runs_shows_how_far_it_is_and_refreshes_itself() -> None:
    check = FakeCheck(lines=("looking up MX of example.org", HOSTILE))

    async def story(site: Visited) -> None:
        check.gate = asyncio.Event()
        place = (await site.ask("/check", form={"target": "example.org"})).headers["location"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running = await site.ask(place)
        assert running.status == 200
        assert "<h1>Checking example.org</h1>" in running.text
        assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in running.text
        assert '<script src="/live.js" defer></script>' in running.text
        assert "<li>looking up MX of example.org</li>" in running.text
        assert "<script>alert" not in running.text
        assert (await site.ask(f"{place}.json")).status == 404
        check.gate.set()

    visit(story, check)


def test_progress_is_streamed_and_ends_with_the_check() -> None:
    check = FakeCheck(lines=("one", "two\nevent: done"))

    async def story(site: Visited) -> None:
        check.gate = asyncio.Event()
        place = (await site.ask("/check", form={"target": "example.org"})).headers["location"]
        stream = asyncio.create_task(site.ask(f"{place}/events"))
        await asyncio.sleep(0.01)
        assert not stream.done()
        check.gate.set()
        answered = await stream
        assert answered.headers["content-type"].startswith("text/event-stream")
        assert answered.text == "data: one\n\ndata: two event: done\n\nevent: done\ndata: done\n\n"
        assert (await site.ask(f"{place}/events")).text == answered.text
        assert (await site.ask("/r/none/events")).status == 404

    visit(story, check)


def test_the_api_waits_for_the_document() -> None:
    async def story(site: Visited) -> None:
        answered = await site.ask("/api/v1/check?target=mail.example.org:25")
        assert answered.status == 200
        assert answered.json["target"] == {
            "text": "mail.example.org:25",
            "name": "mail.example.org",
            "port": 25,
            "protocol": "smtp",
            "service": None,
        }
        page = re.fullmatch(r'<(/r/[\w-]+)>; rel="alternate"; type="text/html"', answered.headers["link"])
        assert page is not None
        assert (await site.ask(page[1])).status == 200
        other = await site.ask("/api/v1/check?target=example.org:2525&protocol=smtp")
        assert other.json["target"]["port"] == 2525

    visit(story)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "is empty"),
        ("target=", "is empty"),
        ("target=a%20b", "is not letters, digits and inner hyphens"),
        ("target=192.0.2.1", "write HOST:PORT, or 192.0.2.1:PORT"),
        ("target=https://example.org/", "is a URL"),
        ("target=example.org:99999", "has no port from 1 to 65535"),
        ("target=example.org:2525", "does not say how TLS starts; choose a protocol"),
        ("target=example.org:25&protocol=gopher", "is not known"),
        ("target=" + "a." * 5000 + "b", "longer than"),
        ("target=%00%0d%0aX:1", "\\x0d"),
    ],
)
def test_what_is_no_target_is_refused_in_one_line(query: str, says: str) -> None:
    check = FakeCheck()

    async def story(site: Visited) -> None:
        answered = await site.ask(f"/api/v1/check?{query}")
        assert answered.status == 400
        (error,) = answered.json.values()
        assert "\n" not in error
        assert len(error) < 400
        assert "--" not in error
        assert says in error

    visited = visit(story, check)
    assert check.asked == []
    assert visited.metrics.refusals == {"target": 1}


def test_what_is_no_target_comes_back_in_the_form_as_text() -> None:
    async def story(site: Visited) -> None:
        answered = await site.ask("/check", form={"target": HOSTILE, "protocol": HOSTILE})
        assert answered.status == 400
        assert "<script>alert" not in answered.text
        assert 'value="&#34;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in answered.text
        assert 'role="alert"' in answered.text
        prefilled = await site.ask("/?target=%22%3E%3Cscript%3E&protocol=%3Cb%3E")
        assert "<script>" not in prefilled.text
        assert "<b>" not in prefilled.text

    visit(story)


def test_too_many_checks_of_one_client_are_refused_and_others_are_not() -> None:
    async def story(site: Visited) -> None:
        for n in range(2):
            assert (await site.ask(f"/api/v1/check?target=x{n}.example.org")).status == 200
        refused = await site.ask("/api/v1/check?target=x3.example.org")
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert "ask again in" in refused.json["error"]
        form = await site.ask("/check", form={"target": "x3.example.org"})
        assert form.status == 429
        assert form.headers["retry-after"]
        assert 'value="x3.example.org"' in form.text
        assert (await site.ask("/api/v1/check?target=x3.example.org", client="198.51.100.8")).status == 200
        assert (await site.ask("/api/v1/check?target=x1.example.org")).status == 200  # there already: costs nothing
        forged = {"x-forwarded-for": "203.0.113.1"}
        assert (await site.ask("/api/v1/check?target=x4.example.org", headers=forged)).status == 429
        behind = await site.ask("/api/v1/check?target=x4.example.org", headers=forged, client="127.0.0.1")
        assert behind.status == 200

    visited = visit(story, rate=2)
    assert visited.metrics.refusals == {"rate": 3}


def test_where_too_many_wait_it_says_when_to_come_again() -> None:
    check = FakeCheck()

    async def story(site: Visited) -> None:
        check.gate = asyncio.Event()
        for n in range(2):
            assert (await site.ask("/check", form={"target": f"x{n}.example.org"})).status == 303
        full = await site.ask("/check", form={"target": "x2.example.org"})
        assert full.status == 503
        assert full.headers["retry-after"] == "10"
        api = await site.ask("/api/v1/check?target=x2.example.org")
        assert (api.status, api.headers["retry-after"]) == (503, "10")
        check.gate.set()

    visited = visit(story, check, limits=Limits(at_once=1, waiting=1))
    assert visited.metrics.refusals == {"full": 2}


def test_an_answer_that_takes_too_long_says_where_it_will_be() -> None:
    check = FakeCheck()

    async def story(site: Visited) -> None:
        check.gate = asyncio.Event()
        site.site.wait = 0.01
        answered = await site.ask("/api/v1/check?target=example.org")
        assert answered.status == 504
        place = re.search(r"/r/[\w-]+\.json", answered.json["error"])
        assert place is not None
        assert (await site.ask(place[0])).status == 404
        check.gate.set()
        await asyncio.sleep(0.05)
        job = site.jobs.find(place[0].removeprefix("/r/").removesuffix(".json"))
        assert job is not None
        await job.ended()
        assert (await site.ask(place[0])).status == 200

    visit(story, check)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"body": b"x" * (MOST_BODY + 1)}, 413),
        ({"body": b"{}", "headers": {"content-type": "application/json"}}, 415),
        ({"body": b"a=1&" * 50}, 400),
        ({"body": b"target=\xff\xfe"}, 400),
        ({"body": b""}, 415),
        ({"form": {"target": "example.org"}, "headers": {"sec-fetch-site": "cross-site"}}, 403),
        ({"method": "GET"}, 405),
        ({"method": "DELETE"}, 405),
    ],
)
def test_a_request_that_is_no_form_begins_nothing(options: dict[str, Any], status: int) -> None:
    check = FakeCheck()

    async def story(site: Visited) -> None:
        answered = await site.ask("/check", **options)
        assert answered.status == status

    visit(story, check)
    assert check.asked == []


def test_every_answer_forbids_what_it_does_not_need() -> None:
    async def story(site: Visited) -> None:
        place = await site.checked()
        paths = ["/", place, f"{place}.json", "/none", "/r/none", "/metrics", "/healthz", "/live.js", "/icon.svg"]
        for path in [*paths, "/api/v1/check?target=x y", "/robots.txt"]:
            answered = await site.ask(path)
            policy = answered.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
            assert "*" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answered.headers["x-content-type-options"] == "nosniff"
            assert answered.headers["referrer-policy"] == "no-referrer"
            static = path in {"/live.js", "/icon.svg"}
            assert answered.headers["cache-control"] == ("public, max-age=3600" if static else "no-store")
            html = answered.headers["content-type"].startswith("text/html")
            assert not html or not re.search(r"<script(?! src=\"/live\.js\" defer>)|\son\w+=|style=\"", answered.text)

    visit(story)


def test_nothing_depends_on_the_host_that_a_request_names() -> None:
    async def story(site: Visited) -> None:
        answered = await site.ask("/", headers={"host": "evil.example"})
        assert answered.status == 200
        assert "evil" not in answered.text
        redirect = await site.ask("/check", form={"target": "example.org"}, headers={"host": "evil.example"})
        assert redirect.headers["location"].startswith("/r/")

    visit(story)


def test_what_is_not_there_is_a_page_with_the_field() -> None:
    async def story(site: Visited) -> None:
        for path in ("/none", "/r/none", "/r/../etc/passwd", "/managed", "/check/", "/healthz/", "/r/none/"):
            answered = await site.ask(path)
            assert answered.status == 404
            assert 'action="/check"' in answered.text
        assert (await site.ask("/r/none.json")).json == {"error": "this result is not kept here, or no longer"}

    visit(story)


def test_a_check_that_failed_says_why() -> None:
    check = FakeCheck(failure=Refused("libunbound is missing; install libunbound8 <now>"))

    async def story(site: Visited) -> None:
        place = await site.checked()
        page = await site.ask(place)
        assert page.status == 500
        assert "Libunbound is missing; install libunbound8 &lt;now&gt;." in page.text
        assert "refresh" not in page.text
        assert (await site.ask(f"{place}.json")).json == {"error": "libunbound is missing; install libunbound8 <now>"}
        assert (await site.ask("/api/v1/check?target=example.org")).status == 500

    visit(story, check)


def test_a_check_that_the_end_of_the_service_breaks_off_is_worth_asking_again() -> None:
    check = FakeCheck()

    async def story(site: Visited) -> None:
        check.gate = asyncio.Event()
        place = (await site.ask("/check", form={"target": "example.org"})).headers["location"]
        asking = asyncio.create_task(site.ask("/api/v1/check?target=example.com"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(check.asked) == 2
        site.site.stopping = True
        await site.jobs.close()
        for answered in (await asking, await site.ask(f"{place}.json")):
            assert (answered.status, answered.headers["retry-after"]) == (503, "10")
            assert answered.json == {"error": "the service was stopped"}
        page = await site.ask(place)
        assert (page.status, page.headers["retry-after"]) == (503, "10")
        late = await site.ask("/api/v1/check?target=example.net")
        assert (late.status, late.headers["retry-after"]) == (503, "10")
        assert late.json == {"error": "the service is being stopped; ask again in 10 s"}
        assert len(check.asked) == 2

    assert visit(story, check).metrics.refusals == {"stopping": 1}


def test_a_defect_of_the_application_is_said_and_not_shown() -> None:
    def defect() -> Managed:
        raise KeyError("secret")

    async def story(site: Visited) -> None:
        answered = await site.ask("/managed", client="127.0.0.1", headers={"host": "127.0.0.1:8053"})
        assert answered.status == 500
        assert "secret" not in answered.text

    visited = visit(story, managed=defect)
    assert visited.said == ["GET '/managed' failed: KeyError: 'secret'"]
    assert visited.metrics.answers == {500: 1}


STATE: dict[str, Any] = {
    "schema": 1,
    "certificates": [
        {
            "name": "<b>example.org",
            "names": ["example.org"],
            "key": {"spki_sha256": "ab" * 32, "algorithm": "rsa", "origin": "made"},
            "certificate": {
                "leaf_sha256": "cd" * 32,
                "not_before": "2026-06-01T12:00:00Z",
                "not_after": "2026-09-01T12:00:00Z",
                "days_left": 60,
            },
            "next_renewal": "2026-08-01T12:00:00Z",
            "phase": "steady",
            "deployments": [
                {
                    "paths": ["/etc/ssl/x.pem"],
                    "state": "failed",
                    "generation": 2,
                    "leaf_sha256": "cd" * 32,
                    "live_since": None,
                    "proven_at": None,
                    "failure": "the reload failed",
                }
            ],
            "endpoints": [
                {
                    "endpoint": "mail.example.org:25",
                    "owner": "_25._tcp.mail.example.org.",
                    "dnssec": "secure",
                    "records": ["3 1 1 " + "ab" * 32],
                    "wanted": [],
                    "foreign": [],
                    "looked_at": "2026-06-01T12:00:00Z",
                    "left_out": [],
                    "unreachable": [],
                    "addresses": [
                        {
                            "address": "192.0.2.1",
                            "ours": True,
                            "presents": ["cd" * 32],
                            "silent_since": None,
                            "seen_at": None,
                        }
                    ],
                }
            ],
        }
    ],
    "due": [{"does": "renew", "why": "it is due", "step": "order"}],
    "waits": [{"wait": "caches", "subject": "x", "why": "caches expire", "until": "2026-06-01T13:00:00Z"}],
    "holds": [{"subject": "_25._tcp.x.", "why": "other records stand there", "remedy": "remove them"}],
    "owed": ["post_challenge of example.org"],
    "notes": [{"text": "a remark"}],
}


def test_what_is_managed_is_shown_on_this_machine() -> None:
    async def story(site: Visited) -> None:
        for host in ("127.0.0.1:8053", "localhost:8053", "[::1]:8053", "localhost", "[::1]"):
            shown = await site.ask("/managed", client="127.0.0.1", headers={"host": host})
            assert shown.status == 200, host
            for text in ("&lt;b&gt;example.org", "the reload failed", "remove them", "post_challenge", "a remark"):
                assert text in shown.text
        told = await site.ask("/api/v1/managed", client="::1", headers={"host": "[::1]:8053"})
        assert told.json == json.loads(json.dumps(STATE))
        assert "/managed" in (await site.ask("/")).text

    visit(story, managed=lambda: Managed(STATE, ()))


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("192.0.2.1", {"host": "127.0.0.1:8053"}),
        ("127.0.0.1", {"host": "127.0.0.1:8053", "x-forwarded-for": "192.0.2.1"}),
        ("127.0.0.1", {"host": "127.0.0.1:8053", "x-forwarded-for": "127.0.0.1"}),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"host": "rebound.example:8053"}),
        ("127.0.0.1", {"host": ""}),
        ("127.0.0.1", {"host": "127.0.0.1.example:8053"}),
    ],
)
def test_what_is_managed_is_shown_to_nobody_else(client: str, headers: dict[str, str]) -> None:
    async def story(site: Visited) -> None:
        for path in ("/managed", "/api/v1/managed"):
            refused = await site.ask(path, client=client, headers=headers)
            assert refused.status == 403
            assert "the reload failed" not in refused.text

    visit(story, managed=lambda: Managed(STATE, ()))


def test_health_and_metrics() -> None:
    async def story(site: Visited) -> None:
        assert (await site.ask("/healthz")).text == "ok\n"
        await site.checked()
        await site.ask("/api/v1/check?target=")
        scraped = await site.ask("/metrics")
        assert scraped.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples = dict(line.rsplit(" ", 1) for line in scraped.text.splitlines() if not line.startswith("#"))
        assert samples['danelaw_serve_checks_total{status="1"}'] == "1"
        assert samples['danelaw_serve_refused_total{reason="target"}'] == "1"
        assert samples['danelaw_serve_responses_total{code="303"}'] == "1"
        assert samples["danelaw_serve_results"] == "1"
        assert float(samples["danelaw_serve_result_bytes"]) > 1000
        for line in scraped.text.splitlines():
            assert re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+(\{\w+=\"\w+\"\})? [0-9.e+-]+", line), line
        site.site.stopping = True
        assert (await site.ask("/healthz")).status == 503

    visit(story, FakeCheck(web_pages.mismatching()))


def test_a_result_beyond_measure_is_refused() -> None:
    fed = replace(web_pages.good(), beside=(reports.looked_up("x", "TXT", texts=("x" * 9_000_000,)),))
    with pytest.raises(Refused, match="larger than 8 MiB"):
        result_of(fed, "abc")


@pytest.mark.parametrize("name", ["huge", "hostile"])
def test_the_largest_and_the_most_hostile_are_kept_small(name: str) -> None:
    report = web_pages.REPORTS[name]()
    result = result_of(report, "abc")
    assert result.size < 200_000
