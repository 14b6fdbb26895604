"""What a live endpoint presents: every address and kind of key is asked for, and what cannot be learnt is said."""

from collections.abc import Sequence

from chains import issue, p256, rsa2048
from danelaw import pki
from danelaw.model import Chain, Endpoint, KeyAlgorithm, OwnerLook, ProbeRequest, ProbeResult, Security, Server
from danelaw.run.live import Outside, look_live
from local_state import StandingClock

HOST = "mail.example.org"
SMTP = Endpoint(HOST, 25, "smtp")
CLOCK = StandingClock()
ONE, TWO = "192.0.2.25", "2001:db8::25"
ECDSA, RSA, OLD = (pki.chain_from_der(issue(HOST, key=key).chain_der) for key in (p256(), rsa2048(), p256()))

Presents = dict[str, Sequence[Chain]]
"""What each address presents, by kind of key; an address that is missing is silent."""


class Dns:
    """`model.DnsView` that knows addresses alone."""

    def __init__(self, addresses: tuple[str, ...], security: Security = "secure", why: str = "") -> None:
        self.answer, self.asked = (addresses, security, why), 0

    def look(self, owners: Sequence[str], known: Sequence[Server]) -> Sequence[OwnerLook]:
        raise AssertionError((owners, known))

    def addresses(self, host: str) -> tuple[tuple[str, ...], Security, str]:
        assert host == HOST
        self.asked += 1
        return self.answer


class Servers:
    """`model.Prober`."""

    def __init__(self, presents: Presents) -> None:
        self.presents = presents
        self.asked: list[ProbeRequest] = []

    def probe(self, requests: Sequence[ProbeRequest]) -> Sequence[ProbeResult]:
        self.asked.extend(requests)
        return [self._result(request) for request in requests]

    def _result(self, request: ProbeRequest) -> ProbeResult:
        offered = self.presents.get(request.connect[0])
        if offered is None:
            return ProbeResult(request, (), problem=f"{request.connect[0]} is silent")
        found = [chain for chain in offered if request.algorithm in {None, chain.algorithm}]
        return ProbeResult(request, tuple(found[:1]), not_offered=not found)


def test_every_address_is_asked_for_every_kind() -> None:
    servers = Servers({ONE: [ECDSA, RSA], TWO: [ECDSA, RSA]})
    live = look_live(SMTP, Outside(CLOCK, Dns((ONE, TWO)), servers, {}))
    assert [(each.chain, each.addresses) for each in live.presented] == [(ECDSA, (ONE, TWO)), (RSA, (ONE, TWO))]
    assert live.problems == ()
    kinds: list[KeyAlgorithm | None] = [None, "rsa", "ecdsa"]
    assert [(r.connect, r.algorithm) for r in servers.asked] == [((a, 25), kind) for a in (ONE, TWO) for kind in kinds]


def test_an_address_that_lags_behind_is_seen() -> None:
    live = look_live(SMTP, Outside(CLOCK, Dns((ONE, TWO)), Servers({ONE: [ECDSA], TWO: [OLD]}), {}))
    assert [(each.chain, each.addresses) for each in live.presented] == [(ECDSA, (ONE,)), (OLD, (TWO,))]


def test_a_silent_address_is_a_problem_and_the_others_count() -> None:
    live = look_live(SMTP, Outside(CLOCK, Dns((ONE, TWO)), Servers({TWO: [RSA]}), {}))
    assert [each.addresses for each in live.presented] == [(TWO,)]
    assert live.problems == (f"{HOST}:25: {ONE} is silent",)  # once, and not for each kind


def test_addresses_that_are_not_to_be_had_are_problems() -> None:
    for security, says in (("bogus", "looked up (bogus): a word"), ("insecure", f"{HOST} has no address: a word")):
        servers = Servers({})
        live = look_live(SMTP, Outside(CLOCK, Dns((), security, "a word"), servers, {}))  # type: ignore[arg-type]  # a table
        assert len(live.problems) == 1
        assert says in live.problems[0]
        assert (live.presented, live.security, servers.asked) == ((), security, [])


def test_an_address_that_was_given_needs_no_dns() -> None:
    dns = Dns(())
    live = look_live(Endpoint(HOST, 25, "smtp", connect=ONE), Outside(CLOCK, dns, Servers({ONE: [RSA]}), {}))
    assert [(each.addresses, live.security, dns.asked) for each in live.presented] == [((ONE,), None, 0)]


def test_connect_maps_endpoints_and_addresses_and_is_shown() -> None:
    servers = Servers({"127.0.0.25": [RSA]})
    for connect in ({str(SMTP): ("127.0.0.25", 2525)}, {f"{ONE}:25": ("127.0.0.25", 2525)}):
        live = look_live(SMTP, Outside(CLOCK, Dns((ONE,)), servers, connect))
        assert [each.addresses for each in live.presented] == [("127.0.0.25:2525",)]
    assert {request.connect for request in servers.asked} == {("127.0.0.25", 2525)}
