"""One signed request to a CA, and what networks and CAs do to it (RFC 8555 section 6).

`Session.post` returns an answer that succeeded, or raises: `AcmeProblem` for what the CA refuses, `RetryLater` for rate
limits, for a CA that stays down, and (`MalformedAnswer`) for what is not ACME. In between it takes fresh nonces as
often as the CA wants, and repeats what a reset, a timeout or a 5xx swallowed: a request of ACME may be repeated, since
the flow looks at what became of it (a second newOrder is a second order, of which one is used).
"""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

from danelaw.acme.jws import AccountKey, AccountSigner, jwk, public_key, sign
from danelaw.acme.messages import Directory, parse_directory, usable_url
from danelaw.acme.problem import MalformedAnswer, Problem, failure, parse_problem, plain, retry_after
from danelaw.acme.transport import Exchange, Transport, Unreachable
from danelaw.errors import Refused, RetryLater
from danelaw.model import Clock, Progress, Signer

_TRIES = 6
_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=30)
_NONCE_TRIES = 25  # at a CA that refuses half of its own nonces, one request in thirty million fails
_POOLED_NONCES = 10
_NONCE = re.compile(r"[A-Za-z0-9_-]{1,1024}")  # RFC 8555 section 6.5.1
_REDIRECTS = 3
_WORTH_REPEATING = frozenset({408, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that succeeded. ``retry_after`` is the instant its header names, None without one."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    retry_after: datetime | None

    def document(self) -> dict[str, Any]:
        """Return the JSON object in the body, whatever its content type says. Raises `MalformedAnswer`."""
        document = _json_object(self.body)
        if document is None:
            start = plain(self.body[:60].decode("utf-8", "replace"))
            raise MalformedAnswer(f"{self.url}: the CA did not answer with a JSON object but with {start!r}")
        return document

    def location(self) -> str:
        """Return the URL of what was made (RFC 8555 sections 7.3 and 7.4). Raises `MalformedAnswer`."""
        location = urljoin(self.url, self.headers.get("location", ""))
        if "location" not in self.headers or not usable_url(location):
            raise MalformedAnswer(f"{self.url}: the CA's answer has no usable Location")
        return location


class Session:
    """Signed requests to one CA with one account key. The directory is read once per session, on first use.

    ``say`` hears who is waited for where the CA takes its time.
    """

    def __init__(
        self,
        directory_url: str,
        ca_bundle: str | None,
        account_key: AccountKey,
        clock: Clock,
        user_agent: str,
        say: Progress | None = None,
    ) -> None:
        if not usable_url(directory_url):
            raise Refused(f"{directory_url}: not an https URL; correct the CA's directory")
        self.directory_url = directory_url
        self.key = account_key
        self._account = AccountSigner(account_key)
        self._clock = clock
        self._transport = Transport(ca_bundle, user_agent, say=say)
        self._directory: Directory | None = None
        self._nonces: deque[str] = deque(maxlen=_POOLED_NONCES)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def directory(self) -> Directory:
        """Return the CA's directory (RFC 8555 section 7.1.1)."""
        if self._directory is None:
            self._directory = parse_directory(self._answer(self._get(self.directory_url)).document())
        return self._directory

    def post(self, url: str, payload: Mapping[str, Any] | None, kid: str | None, accept: str | None = None) -> Answer:
        """Send a request signed by the account's key; ``payload`` None is POST-as-GET (RFC 8555 section 6.3).

        ``kid`` is the account's URL; None signs with the key itself in the header, for newAccount (section 6.2).
        """
        identity: dict[str, Any] = {"jwk": jwk(self.key.public_key())} if kid is None else {"kid": kid}
        body = b"" if payload is None else json.dumps(payload).encode()
        return self._post(self._account, url, identity, body, accept)

    def post_as(self, signer: Signer, url: str, payload: Mapping[str, Any]) -> Answer:
        """Send a request signed by a certificate's own key, which is in the header: a revocation.

        RFC 8555 section 6.2: "jwk" for revokeCert by a certificate key, and never beside a "kid". Raises what `post`
        raises, and what the signer raises.
        """
        return self._post(signer, url, {"jwk": jwk(public_key(signer))}, json.dumps(payload).encode(), None)

    def _post(self, signer: Signer, url: str, identity: Mapping[str, Any], body: bytes, accept: str | None) -> Answer:
        self.directory()  # its own troubles, before those of the request
        nonce: str | None = None
        for _ in range(_NONCE_TRIES):
            exchange = self._send(signer, url, identity, body, nonce, accept)
            nonce = exchange.headers.get("replay-nonce")
            if nonce is not None and not _NONCE.fullmatch(nonce):
                nonce = None  # RFC 8555 section 6.5.1: MUST ignore invalid values
            if not 400 <= exchange.status < 500 or self._problem(exchange).kind != "badNonce":
                if nonce is not None:
                    self._nonces.append(nonce)
                return self._answer((url, exchange))
            # RFC 8555 section 6.5: when retrying, the client MUST use the nonce provided in the error response
        raise RetryLater(f"{self._host(url)} refused {_NONCE_TRIES} of its own nonces in a row", None)

    def _send(
        self,
        signer: Signer,
        url: str,
        identity: Mapping[str, Any],
        body: bytes,
        nonce: str | None,
        accept: str | None,
    ) -> Exchange:
        """Sign and send until an answer comes that is worth reading; ``nonce`` is for the first time."""

        def signed() -> Exchange:
            nonlocal nonce
            fresh = nonce or (self._nonces.popleft() if self._nonces else self._new_nonce())
            nonce = None  # one use each, also where the answer is lost
            header = {**identity, "nonce": fresh, "url": url}  # RFC 8555 section 6.4: the exact string
            return self._transport.exchange("POST", url, sign(signer, header, body), accept)

        return self._repeat(signed, url)

    def _new_nonce(self) -> str:
        """Ask for a nonce (RFC 8555 section 7.2); without repeating: what needs the nonce is repeated as a whole."""
        url = self.directory().new_nonce
        exchange = self._transport.exchange("HEAD", url)
        nonce = exchange.headers.get("replay-nonce", "")
        if exchange.status in _WORTH_REPEATING:
            raise Unreachable(f"newNonce answers with HTTP status {exchange.status}")
        if not _NONCE.fullmatch(nonce):
            raise MalformedAnswer(f"{url}: the CA's answer {exchange.status} has no usable Replay-Nonce")
        return nonce

    def _get(self, url: str) -> tuple[str, Exchange]:
        """Send an unsigned request, following redirects within the host."""
        first = url
        for _ in range(_REDIRECTS + 1):
            exchange = self._repeat(partial(self._transport.exchange, "GET", url), url)
            if exchange.status not in {301, 302, 303, 307, 308}:
                return url, exchange
            url = urljoin(url, exchange.headers.get("location", ""))
            if not usable_url(url) or urlsplit(url)[:2] != urlsplit(first)[:2]:
                raise Refused(f"{first} redirects to {plain(url, 120)}; if that is right, make it the CA's directory")
        raise MalformedAnswer(f"{first}: more than {_REDIRECTS} redirects")

    def _repeat(self, send: Callable[[], Exchange], url: str) -> Exchange:
        """Send until there is an answer that is not the CA being in trouble, with a growing, capped pause."""
        pause = _FIRST_PAUSE
        for attempt in range(1, _TRIES + 1):
            later: datetime | None = None
            try:
                exchange = send()
            except Unreachable as error:
                trouble = f"{self._host(url)} cannot be reached: {error}"
            else:
                if exchange.status not in _WORTH_REPEATING or self._problem(exchange).kind == "rateLimited":
                    return exchange
                trouble = f"{self._host(url)} is in trouble: {self._problem(exchange)}"
                later = retry_after(exchange.headers.get("retry-after"), self._clock.now())
            now = self._clock.now()
            if attempt == _TRIES or (later is not None and later - now > _LONGEST_PAUSE):
                break
            self._clock.sleep_until(max(later or now, now + pause))
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise RetryLater(trouble, later)

    def _answer(self, answered: tuple[str, Exchange]) -> Answer:
        """Return an answer that succeeded, or raise what the caller can do about it."""
        url, exchange = answered
        later = retry_after(exchange.headers.get("retry-after"), self._clock.now())
        if 200 <= exchange.status < 300:
            return Answer(url, exchange.status, exchange.headers, exchange.body, later)
        if exchange.status < 400:
            # the JWS names the URL (RFC 8555 section 6.4), so a signed request cannot follow
            raise MalformedAnswer(f"{url}: the CA answers a signed request with a redirect ({exchange.status})")
        problem = self._problem(exchange)
        if exchange.status == 429 or problem.kind == "rateLimited":  # RFC 8555 section 6.6
            raise RetryLater(f"{self._host(url)} limits the rate: {problem}", later)
        raise failure(f"{self._host(url)} refused {urlsplit(url).path}", problem, later)

    def _problem(self, exchange: Exchange) -> Problem:
        document = _json_object(exchange.body)
        if document is None or not isinstance(document.get("type"), str):
            start = plain(exchange.body[:120].decode("utf-8", "replace"))
            return Problem("about:blank", f"HTTP status {exchange.status} {start}".rstrip(), exchange.status)
        return parse_problem(document, exchange.status)

    @staticmethod
    def _host(url: str) -> str:
        return urlsplit(url).netloc


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return document if isinstance(document, dict) else None
