"""The words of findings where they depend on more than the kind of thing found."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from danelaw.dane.findings import find
from danelaw.model import Chain, Discovery, Report, Shaken, Target, TlsaRecord, TlsaState
from danelaw.pki.chain import NEVER
from fakes.finding_cases import CLIENT, EMPTY, OWNER, UNKNOWN, answered, holding, nothing, one_server
from fakes.finding_cases_certificates import (
    asked,
    below_a_late_ca,
    leaf_alone,
    policy_text,
    presenting,
    self_signed,
    sts,
    texts,
)
from fakes.reports import (
    AT,
    DAY,
    HOST,
    OTHER,
    SERVERS,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    mx,
    reading,
    record,
    report,
    shaken,
    stale,
    tlsa_state,
)


def undated() -> Report:
    """Return a host whose certificate has no dates that can be read."""
    mine = replace(chain(), not_before=NEVER, not_after=NEVER)
    return holding(record(chain()), presented=mine)


def nameless() -> Report:
    """Return a host whose certificate has no names that can be read."""
    return holding(record(chain()), presented=replace(chain(), names=()))


def two_sets() -> Report:
    """Return a host where one name server has a record more."""
    mine = record(chain())
    more = reading(SERVERS[0], OWNER, [mine, stale()])
    return answered(more, reading(SERVERS[1], OWNER, [mine]))


def insecure_mx(*hosts: str) -> Report:
    places = [endpoint(host) for host in hosts] or [endpoint(kind="none")]
    return report(*places, discovery=Discovery("listed", mx(*hosts or (HOST,), security="insecure")))


def host_bogus() -> Report:
    found = looked_up(HOST, "A", "bogus", "SERVFAIL")
    place = endpoint(
        port=993, protocol="imaps", senders=CLIENT, addresses=(), handshakes=(), kind="not-asked", lookups=(found,)
    )
    return report(place, senders=CLIENT)


def two_ending() -> Report:
    place = endpoint(lookups=(looked_up(HOST, "A", addresses=(V4,), expires=AT + DAY),))
    return report(place, discovery=Discovery("listed", mx(HOST, expires=AT + DAY / 2)))


def both_at(address: str, *chains: Chain) -> list[Shaken]:
    return [shaken(address, each) for each in chains]


def one_kind_fails() -> Report:
    tried = [shaken(V4, chain()), shaken(V4, None, "tls-failed", algorithm="rsa"), shaken(V6, chain())]
    return holding(record(chain()), handshakes=tried)


SAID: list[tuple[str, Callable[[], Report], str]] = [
    ("certificate-expired", undated, "the certificate has no dates that can be read: Exchange does not deliver here"),
    ("certificate-expired", lambda: presenting(chain(days=-1.5, age=9), "3 1 1"), "2026-05-31, 1 day ago"),
    (
        "certificate-expires-soon",
        lambda: presenting(chain(days=0.5, age=89.5), "3 1 1"),
        "in 12 hours, and it is valid",
    ),
    ("certificate-expires-soon", lambda: presenting(chain(days=1.5, age=89.5), "3 1 1"), "in 36 hours"),
    ("certificate-expires-soon", lambda: presenting(chain(days=20, age=380), "3 1 1"), "in 20 days$"),
    ("name-mismatch", nameless, "for no DNS name, and not for this host"),
    (
        "name-mismatch",
        lambda: holding(record(chain(authority="Old"), "2 1 1"), presented=chain("www.example.net")),
        "records of usage 2 need better, and senders that go by MTA-STS refuse it",
    ),
    (
        "chain-incomplete",
        lambda: holding(record(leaf_alone(chain()), "3 1 1"), presented=leaf_alone(chain())),
        "records of usage 3 do not mind",
    ),
    (
        "chain-incomplete",
        lambda: holding(stale(), presented=leaf_alone(chain())),
        "CN=Root; senders that go by MTA-STS refuse such a chain$",
    ),
    (
        "name-mismatch",
        lambda: holding(TlsaRecord(2, 1, 7, b""), stale(), presented=chain("www.example.net")),
        "not for this host; senders that go by MTA-STS refuse it$",
    ),
    ("name-mismatch", lambda: holding(kind="none", presented=chain("www.example.net")), "; senders that go by MTA-STS"),
    (
        "name-mismatch",
        lambda: holding(port=993, protocol="imaps", senders=CLIENT, kind="none", presented=chain("www.example.net")),
        "; clients without DANE refuse it$",
    ),
    (
        "ta-not-presented",
        lambda: holding(record(chain(authority="Old"), "2 1 1"), presented=leaf_alone(chain())),
        "its own alone",
    ),
    ("mta-sts-max-age", lambda: sts(policy_text(max_age=86399)), "forgotten soon"),
    ("mta-sts-max-age", lambda: sts(policy_text(max_age=31557601)), "a year is the most"),
    ("mta-sts-certificate", lambda: sts(None, endpoint(presented=chain(age=-2))), "not valid before 2026-06-03: "),
    ("servers-differ", two_sets, "serves 3 1 1 .* and 3 1 1 .*; the others serve"),
    (
        "mx-insecure",
        lambda: insecure_mx(HOST, OTHER),
        "the TLSA records of mail.example.org and mx2.example.org are used",
    ),
    ("mx-insecure", insecure_mx, "can send mail to another host$"),
    ("tlsa-bogus", lambda: holding(tlsa=tlsa_state(HOST, kind="error")), "do not go on$"),
    (
        "tlsa-bogus",
        lambda: holding(tlsa=tlsa_state(HOST, kind="error", found=looked_up(HOST, "CNAME", "bogus", why="x"))),
        "^the look-up of CNAME at mail.example.org is bogus.*: x$",
    ),
    (
        "mismatch-at-address",
        lambda: holding(
            record(chain()), handshakes=[*both_at(V4, chain(), chain(rsa=True)), shaken(V6, chain(label="b"))]
        ),
        "; 192.0.2.25 presents what the records pin$",
    ),
    (
        "stale-stronger-record",
        lambda: holding(record(chain()), stale("3 1 2"), record(chain(authority="Old"), "2 0 1"), UNKNOWN),
        "^the 3 1 2 record pins something else, and sets aside the 3 1 1 record that matches",
    ),
    ("mismatch", lambda: holding(stale(), UNKNOWN), r"\(ECDSA key \w{16}…; 3 1 1 pins another key\)"),
    ("address-bogus", host_bogus, "so clients take the host for unreachable$"),
    ("signature-expires-soon", two_ending, "signatures over .* MX and mail.example.org A end, the first on"),
    ("next-key-published", lambda: holding(record(chain()), stale(), stale(label="b")), "there are 2 more of 3 1 1"),
    (
        "stale-record",
        lambda: holding(record(chain()), stale("3 0 1"), stale("3 0 2")),
        "^2 3 0 1 and 3 0 2 records match",
    ),
    ("own-port-25-blocked", lambda: report(endpoint(handshakes=[shaken(V4, None, "timeout")])), "at the only address"),
    ("tls-failed", one_kind_fails, "handshake fails for the RSA certificate"),
]


@pytest.mark.parametrize(("code", "whole", "says"), SAID, ids=lambda value: value if isinstance(value, str) else "")
def test_it_says(code: str, whole: Callable[[], Report], says: str) -> None:
    found = [each.text for each in find(whole()) if each.code == code]
    assert len(found) == 1, find(whole())
    assert re.search(says, found[0]), found[0]


REMEDIES: list[tuple[str, Callable[[], Report], str]] = [
    ("mta-sts-not-enforced", lambda: sts(policy_text("testing")), "^Nothing seen here speaks against"),
    ("mta-sts-not-enforced", lambda: sts(policy_text("testing", HOST)), "^$"),
    ("certificate-not-yet-valid", lambda: presenting(chain(age=-2), "2 1 1"), "clocks"),
    ("mismatch", lambda: holding(stale()), "^Put back the certificate"),
    (
        "mismatch-at-address",
        lambda: holding(record(chain()), handshakes=[shaken(V4, chain()), shaken(V6, chain(label="b"))]),
        "^Deploy the same certificate at every address",
    ),
    ("certificate-expired", lambda: presenting(chain(days=-3, age=40), "2 1 1"), "^Renew it over the same key"),
    ("certificate-expired", lambda: presenting(below_a_late_ca(), "2 1 1"), "below a CA certificate that is in date"),
    ("next-key-published", lambda: holding(record(chain()), stale(), stale(label="b")), "^Remove those of keys"),
    ("no-tlsa", lambda: holding(kind="none"), f"`danelaw tlsa {HOST}:25`"),
]


@pytest.mark.parametrize(("code", "whole", "says"), REMEDIES, ids=lambda value: value if isinstance(value, str) else "")
def test_it_advises(code: str, whole: Callable[[], Report], says: str) -> None:
    (found,) = (each.remedy for each in find(whole()) if each.code == code)
    assert re.search(says, found), found


@pytest.mark.parametrize(
    "whole",
    [
        lambda: asked(texts("_smtp._tls", security="bogus", ours=True)),
        lambda: asked(texts("_mta-sts", security="bogus", ours=True)),
        lambda: nothing("null", found=mx("")),
    ],
)
def test_what_was_not_learnt_is_not_judged(whole: Callable[[], Report]) -> None:
    assert not [each for each in find(whole()) if each.code.startswith(("mta-sts", "tlsrpt", "policy"))]


@pytest.mark.parametrize(
    "unknown", [TlsaRecord(4, 1, 1, bytes(32)), TlsaRecord(3, 2, 1, bytes(32)), TlsaRecord(3, 1, 3, b"")]
)
def test_each_parameter_can_be_unknown_and_that_alone_is_said(unknown: TlsaRecord) -> None:
    assert {each.code for each in find(holding(record(chain()), unknown))} == {"protected", "unusable-parameters"}


ABSENT: list[tuple[str, Callable[[], Report]]] = [
    ("wildcard-tlsa", lambda: one_server(wildcard=True, rdatas=())),  # a wildcard of another type: nothing is published
    ("signature-expired", lambda: one_server(rrsig_expires=AT - DAY, rdatas=())),
    ("signature-expired", lambda: one_server(rrsig_expires=AT)),
    ("servers-not-asked", lambda: answered(problem="left over")),  # servers did answer
    ("server-silent", answered),
]


@pytest.mark.parametrize(("code", "whole"), ABSENT)
def test_what_does_not_matter_is_not_said(code: str, whole: Callable[[], Report]) -> None:
    assert code not in {each.code for each in find(whole())}


def test_a_signature_that_ends_soon_everywhere_is_said_once() -> None:
    state = one_server(rrsig_expires=AT + DAY / 2).endpoints[0].tlsa
    assert state.found is not None
    for expires, several in ((AT + DAY / 2, 1), (AT + 5 * DAY, 1), (None, 1)):
        whole = holding(tlsa=replace(state, found=replace(state.found, expires=expires)))
        assert len([each for each in find(whole) if each.code == "signature-expires-soon"]) == several
    (found,) = (each for each in find(one_server(rrsig_expires=AT + 1.5 * DAY)) if each.severity == "note")
    assert found.code == "signature-expires-soon"


def test_of_many_odd_servers_some_are_named() -> None:
    mine = record(chain())
    odd = [reading(f"192.0.2.{number}", OWNER, [mine, stale(label=f"{number}")]) for number in range(6)]
    (found,) = (
        each for each in find(answered(*odd, reading("192.0.2.99", OWNER, [mine]))) if each.code == "servers-differ"
    )
    assert "192.0.2.3 serves" in found.text
    assert "; 2 more differ; the others serve" in found.text


def test_what_a_server_said_is_quoted_where_there_is_something() -> None:
    def text(**more: str) -> str:
        whole = report(endpoint(handshakes=[shaken(V4, None, "greylisted", **more)]))  # type: ignore[arg-type]
        return next(each.text for each in find(whole) if each.code == "greylisting-banner")

    assert text(banner="450 later").endswith(' ("450 later")')
    assert text(banner="", detail="192.0.2.25: 450").endswith(" (192.0.2.25: 450)")


def test_the_digest_of_nothing_is_no_next_key_s() -> None:
    assert {each.code for each in find(holding(record(chain()), EMPTY))} == {"protected", "empty-digest"}


def test_a_policy_without_hosts_to_agree_with_is_not_praised() -> None:
    whole = replace(sts(), endpoints=())
    assert "mta-sts-enforced" not in {each.code for each in find(whole)}


def test_an_endpoint_given_by_its_address_has_no_name_to_miss() -> None:
    place = endpoint(
        V4, tlsa=TlsaState("", "", "not-asked"), security="insecure", lookups=(), presented=chain("www.example.net")
    )
    assert not find(report(place, discovery=Discovery("given"), target=Target(V4, 25)))


def test_of_a_certificate_that_cannot_be_read_nobody_says_who_issued_it() -> None:
    mine = replace(chain(), certificates_der=(b"no certificate",))
    assert "chain-incomplete" not in {each.code for each in find(holding(record(chain()), presented=mine))}


def test_a_certificate_that_ends_at_this_instant_is_still_good() -> None:
    mine = replace(chain(), not_after=AT)
    assert "certificate-expired" not in {each.code for each in find(presenting(mine, "3 1 1"))}
    mine = replace(self_signed(), not_before=AT)
    assert "certificate-not-yet-valid" not in {each.code for each in find(presenting(mine, "3 1 1"))}
