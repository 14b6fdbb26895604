"""The validated view: libunbound, by ctypes (unbound.h of libunbound.so.8).

It resolves from the root down, or through a forwarder, and validates in both cases; no AD bit of anybody is believed.
It reads no resolv.conf and no hosts file, only the few lines that `config_text` writes.

For `apply`, a `Context` is made for each look and thrown away after it (about 2 ms): a look must see the world as it is
now, and libunbound has no way to empty the cache of a context for names that are not known beforehand. For `check`, one
`lasting` context serves many look-ups, and remembers what it found for as long as its TTL allows.
"""

import asyncio
import ctypes
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from danelaw.dns import message as wire
from danelaw.dns.exchange import Address, parse_address
from danelaw.dns.message import Malformed, Message, Name
from danelaw.errors import InputError, Refused
from danelaw.model import ResolverSpec, Security
from danelaw.names import NOT_PUBLIC

LARGEST_ANCHORS = 1 << 20
"""Octets of a trust anchor file that are looked at; the root's own anchors take 250."""

_LIBRARY = "libunbound.so.8"
_NO_LIBRARY = "{}: cannot be loaded ({}); install Debian's package libunbound8 (`apt install libunbound8`)"


class _UbResult(ctypes.Structure):
    """``struct ub_result`` of unbound.h."""

    _fields_ = (
        ("qname", ctypes.c_char_p),
        ("qtype", ctypes.c_int),
        ("qclass", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_void_p),
        ("canonname", ctypes.c_char_p),
        ("rcode", ctypes.c_int),
        ("answer_packet", ctypes.c_void_p),
        ("answer_len", ctypes.c_int),
        ("havedata", ctypes.c_int),
        ("nxdomain", ctypes.c_int),
        ("secure", ctypes.c_int),
        ("bogus", ctypes.c_int),
        ("why_bogus", ctypes.c_char_p),
        ("was_ratelimited", ctypes.c_int),
        ("ttl", ctypes.c_int),
    )


_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_UbResult))


@dataclass(frozen=True, slots=True)
class Resolution:
    """What libunbound says of one name and type.

    ``rcode`` is ``TIMEOUT`` where it said nothing within the limit. ``message`` is the whole answer, where there is one
    that parses; ``why`` says why it is bogus or indeterminate; ``ttl`` is in seconds; ``canonical_name`` is where a
    CNAME chain ended ("" without an answer).
    """

    rcode: str
    security: Security
    why: str = ""
    message: Message | None = None
    havedata: bool = False
    ttl: int = 0
    canonical_name: str = ""


# As a library, Unbound has no more than 16 UDP questions and 2 TCP connections open at once unless it is told: then
# those to dead servers keep all others waiting.
_BRIEF = {
    "msg-cache-size": "1m",
    "rrset-cache-size": "1m",
    "key-cache-size": "256k",
    "neg-cache-size": "256k",
    "outgoing-range": "128",
    "outgoing-num-tcp": "16",
}
"""The caches of a context that serves one look, and how much it does at once."""

_LASTING = {
    "msg-cache-size": "8m",
    "rrset-cache-size": "16m",
    "key-cache-size": "2m",
    "neg-cache-size": "1m",
    "outgoing-range": "512",
    "outgoing-num-tcp": "64",
    # what was broken a minute ago may have been repaired since, by who checks it again
    "infra-host-ttl": "60",
    "val-bogus-ttl": "5",
    "cache-max-negative-ttl": "300",
}
"""The caches of one that serves thousands: bounded, and quick to forget what failed."""


def config_text(
    spec: ResolverSpec,
    *,
    validate: bool = True,
    lasting: bool = False,
    may_reach: Callable[[str], bool] | None = None,
) -> str:
    """Return the configuration of a context. Raises `InputError` where a file of ``spec`` cannot be used.

    ``may_reach`` says of an address whether it may be asked (`unreachable`); the resolver of ``spec`` always may.
    """
    lines = [
        "server:",
        f'  module-config: "{"validator iterator" if validate else "iterator"}"',
        # both are refused by default, and a test bench lives there
        "  do-not-query-localhost: no",
        '  local-zone: "test." nodefault',
        # a signature is good until it expires and not an hour or a day longer: what the strictest sender sees
        "  val-sig-skew-min: 0",
        "  val-sig-skew-max: 0",
        # each name by its own proof: else a denial of _tcp that does not hold for itself answers for what is below it,
        # with a verdict that goes by which name was asked for first
        "  harden-below-nxdomain: no",
        "  aggressive-nsec: no",
    ]
    lines += [f"  {option}: {value}" for option, value in (_LASTING if lasting else _BRIEF).items()]
    if spec.root_hints is not None:
        lines.append(f'  root-hints: "{_readable(spec.root_hints, "root hints")}"')
    if validate and spec.trust_anchor is not None:
        lines.append(f'  trust-anchor-file: "{_anchored(spec.trust_anchor)}"')
    elif validate:
        lines += [f'  trust-anchor: "{anchor}"' for anchor in _root_anchors()]
    if spec.address is None and may_reach is not None:
        lines += [f"  do-not-query-address: {network}" for network in unreachable(may_reach)]
    if spec.address is not None:
        address = parse_address(spec.address)
        lines += ["forward-zone:", '  name: "."', f"  forward-addr: {address.host}@{spec.port}"]
    return "\n".join(lines) + "\n"


def unreachable(may_reach: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the networks of `names.NOT_PUBLIC` that libunbound must not ask, since ``may_reach`` refuses addresses.

    A network is kept open only where its first, its middle and its last address may all be asked, so that a part of it
    which is allowed opens nothing else.
    """
    closed = []
    for text in NOT_PUBLIC:
        network = ip_network(text)
        edges = (network[0], network[1], network[network.num_addresses // 2], network[-2], network[-1])
        if not all(may_reach(str(address)) for address in edges):
            closed.append(text)
    return tuple(closed)


def _anchored(path: str) -> str:
    """Return the trust anchor file's path. From one without records libunbound would trust nothing, and not say so."""
    absolute = _readable(path, "trust anchor")
    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST_ANCHORS).decode("ascii", "replace")
    except OSError as error:  # a folder
        raise InputError(f"{path}: the trust anchor file cannot be read ({error.strerror})") from None
    words = {word for line in text.upper().splitlines() for word in line.partition(";")[0].split()}
    if words.isdisjoint(("DS", "DNSKEY")):
        raise InputError(
            f"{path}: the trust anchor file has no DS or DNSKEY record; without trust_anchor, the root's own count"
        )
    return absolute


def _readable(path: str, what: str) -> str:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: the {what} file cannot be read ({error.strerror})") from None
    absolute = str(Path(path).absolute())
    if set(absolute) & set('"\\\n\r'):
        raise InputError(f"{path!r}: the {what} file's path may hold no quote, backslash or line end")
    return absolute


def _root_anchors() -> list[str]:
    lines = resources.files("danelaw.dns").joinpath("root.ds").read_text(encoding="ascii").splitlines()
    return [line for line in lines if line and not line.startswith(";")]


@cache
def load(name: str = _LIBRARY) -> Any:
    """Return libunbound with its functions declared. Raises `Refused`, naming the package, where it is missing."""
    try:
        lib = ctypes.CDLL(name)
    except OSError as error:
        raise Refused(_NO_LIBRARY.format(name, error)) from None
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    result_pointer = ctypes.POINTER(_UbResult)
    for function, returns, arguments in (
        ("ub_ctx_create", pointer, ()),
        ("ub_ctx_delete", None, (pointer,)),
        ("ub_ctx_config", number, (pointer, text)),
        ("ub_ctx_debugout", number, (pointer, pointer)),
        ("ub_ctx_async", number, (pointer, number)),
        ("ub_fd", number, (pointer,)),
        ("ub_process", number, (pointer,)),
        ("ub_cancel", number, (pointer, number)),
        ("ub_resolve_async", number, (pointer, text, number, number, pointer, _CALLBACK, ctypes.POINTER(number))),
        ("ub_resolve_free", None, (result_pointer,)),
        ("ub_strerror", text, (number,)),
    ):
        entry = getattr(lib, function)
        entry.restype, entry.argtypes = returns, arguments
    return lib


class Context:
    """A fresh resolver with an empty cache, to be used with ``async with`` inside one event loop.

    ``validate`` False leaves the validator out, so that what stands in a bogus zone can be seen too. ``timeout`` is in
    seconds. ``lasting``: for many look-ups, with larger caches. ``may_reach`` as in `config_text`.
    """

    def __init__(
        self,
        spec: ResolverSpec,
        *,
        validate: bool = True,
        timeout: float = 10.0,
        lasting: bool = False,
        may_reach: Callable[[str], bool] | None = None,
    ) -> None:
        self._spec = spec
        self._timeout = timeout
        self._config = partial(config_text, spec, validate=validate, lasting=lasting, may_reach=may_reach)
        self._waiting: dict[int, asyncio.Future[Resolution]] = {}
        self._counter = 0
        self._ctx: Any = None
        self._fd = -1
        self._callback = _CALLBACK(self._arrived)

    async def __aenter__(self) -> Self:
        """Make the context. Raises `Refused` without libunbound, `InputError` where a file of the spec is unusable."""
        try:
            self._open()
        except BaseException:
            self._close()
            raise
        asyncio.get_running_loop().add_reader(self._fd, self._lib.ub_process, self._ctx)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Throw the context away with all that it still waits for, which gets its answer: none."""
        asyncio.get_running_loop().remove_reader(self._fd)
        self._close()
        for future in self._waiting.values():
            if not future.done():
                future.set_result(_CLOSED)

    def _close(self) -> None:
        if self._ctx is not None:
            ctx, self._ctx = self._ctx, None
            self._lib.ub_ctx_delete(ctx)

    def _open(self) -> None:
        self._lib = load()
        text = self._config()
        self._ctx = self._lib.ub_ctx_create()
        if not self._ctx:
            raise Refused("libunbound: no context could be made (out of memory)")
        self._lib.ub_ctx_debugout(self._ctx, None)
        with tempfile.TemporaryDirectory(prefix="danelaw-") as folder:  # 0700, and gone once it was read
            path = Path(folder, "unbound.conf")
            path.write_text(text, encoding="utf-8")
            self._check(self._lib.ub_ctx_config(self._ctx, str(path).encode()))
        self._check(self._lib.ub_ctx_async(self._ctx, 1))
        self._fd = self._lib.ub_fd(self._ctx)

    async def resolve(self, name: Name, rrtype: int, limit: float | None = None) -> Resolution:
        """Resolve a name; return within the context's time limit or a shorter one, whatever the network does."""
        return await self.begin(name, rrtype, limit)

    def begin(self, name: Name, rrtype: int, limit: float | None = None) -> "asyncio.Future[Resolution]":
        """Begin to resolve a name, as `resolve` does; who cancels what is returned gives it up."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Resolution] = loop.create_future()
        if self._ctx is None:
            future.set_result(_CLOSED)
            return future
        limit = self._timeout if limit is None else min(limit, self._timeout)
        self._counter += 1
        token = self._counter
        self._waiting[token] = future
        query = ctypes.c_int(0)
        error = self._lib.ub_resolve_async(
            self._ctx, wire.text_of(name).encode(), rrtype, wire.IN, token, self._callback, ctypes.byref(query)
        )
        timer = loop.call_later(limit, self._late, future, query, limit)
        future.add_done_callback(partial(self._over, token, timer, query))
        if error:
            self._settle(future, error, None)
        return future

    def _late(self, future: "asyncio.Future[Resolution]", query: ctypes.c_int, limit: float) -> None:
        if not future.done():
            future.set_result(Resolution("TIMEOUT", "indeterminate", f"no answer within {limit:g} s"))
            self._cancel(query)

    def _over(
        self, token: int, timer: asyncio.TimerHandle, query: ctypes.c_int, future: "asyncio.Future[Resolution]"
    ) -> None:
        timer.cancel()
        del self._waiting[token]
        if future.cancelled():
            self._cancel(query)

    def _cancel(self, query: ctypes.c_int) -> None:
        """Give up what nobody waits for any more, so that libunbound does not go on with it."""
        if self._ctx is not None:
            self._lib.ub_cancel(self._ctx, query)

    def _arrived(self, token: int | None, error: int, result: Any) -> None:
        """Take what libunbound found; called by ub_process, inside the event loop's thread."""
        try:
            future = self._waiting.get(token or 0)
            if future is not None and not future.done():
                self._settle(future, error, None if error else _resolution(result.contents))
        finally:
            if result:
                self._lib.ub_resolve_free(result)

    def _settle(self, future: "asyncio.Future[Resolution]", error: int, found: Resolution | None) -> None:
        try:
            future.set_result(found or self._failed(error))
        except InputError as unusable:
            future.set_exception(unusable)

    def _failed(self, error: int) -> Resolution:
        if error == -7:  # UB_INITFAIL: the files are read at the first query
            files = [f for f in (self._spec.trust_anchor, self._spec.root_hints) if f is not None]
            named = " or ".join(files) or "its built-in configuration"
            raise InputError(f"libunbound cannot start with {named}: {self._text(error)}")
        return Resolution("SERVFAIL", "indeterminate", f"libunbound: {self._text(error)}")

    def _check(self, error: int) -> None:
        if error:
            raise Refused(f"libunbound: {self._text(error)}")

    def _text(self, error: int) -> str:
        text: bytes = self._lib.ub_strerror(error)
        return text.decode("ascii", "replace")


_CLOSED = Resolution("TIMEOUT", "indeterminate", "it was given up before an answer came")


def _resolution(result: _UbResult) -> Resolution:
    message = None
    if result.answer_packet and result.answer_len > 0:
        try:
            message = wire.parse(ctypes.string_at(result.answer_packet, result.answer_len))
        except Malformed:
            message = None
    rcode = wire.rcode_name(result.rcode)
    why = (result.why_bogus or b"").decode("utf-8", "replace")
    security: Security = "insecure"
    if result.secure:
        security, why = "secure", ""
    elif result.bogus:
        security, why = "bogus", why or "validation failed"
    elif rcode not in {"NOERROR", "NXDOMAIN"}:
        security, why = "indeterminate", why or f"no server of the zone gave an answer ({rcode})"
    canonical = (result.canonname or result.qname or b"").decode("ascii", "replace")
    return Resolution(rcode, security, why, message, bool(result.havedata), max(result.ttl, 0), canonical)


def forwarder(spec: ResolverSpec) -> Address | None:
    """Return the resolver that ``spec`` asks through, None where it iterates."""
    return None if spec.address is None else Address(parse_address(spec.address).host, spec.port)
