"""What findings say: whom they name, what they put together, and in which order they come."""

from dataclasses import replace

import pytest

from danelaw.dane.findings import SEVERITIES, find
from danelaw.dane.findings.seen import counted, duration, listed, reached, shown
from danelaw.model import Chain, Discovery, Finding, MxRecord, Report, Target
from fakes.finding_cases import EMPTY, failing, holding, nothing
from fakes.reports import (
    AT,
    DOMAIN,
    HOST,
    OTHER,
    SERVERS,
    STS_RECORD,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    mx,
    policy,
    record,
    report,
    servers,
    shaken,
    stale,
    tlsa_state,
)

MANY = tuple(f"192.0.2.{number}" for number in range(1, 13))


def of(code: str, whole: Report) -> Finding:
    """Return the one finding of a code."""
    (found,) = (each for each in find(whole) if each.code == code)
    return found


def codes(whole: Report) -> set[str]:
    return {each.code for each in find(whole)}


def grave(whole: Report) -> set[str]:
    """Return the codes of errors and warnings."""
    return {each.code for each in find(whole) if each.severity in {"error", "warning"}}


def test_a_good_domain_has_one_finding() -> None:
    assert [each.code for each in find(report())] == ["protected"]


def test_the_gravest_come_first_and_then_by_subject() -> None:
    whole = report(
        endpoint(OTHER, records=[stale(), stale("3 0 1")]), endpoint(records=[record(chain()), stale("3 0 1")])
    )
    found = find(whole)
    assert [each.code for each in found] == ["mail-stops", "mismatch", "stale-record"]
    keys = [(SEVERITIES.index(each.severity), each.subject) for each in found]
    assert keys == sorted(keys)
    assert len({each.severity for each in found}) > 1


def test_one_finding_for_all_addresses_that_show_the_same() -> None:
    whole = report(endpoint(addresses=MANY, records=[stale()]))
    assert of("mismatch", whole).subject == f"{HOST}:25"
    few = [
        shaken(each, None if each in MANY[:2] else chain(), "no-starttls" if each in MANY[:2] else None)
        for each in MANY
    ]
    assert (
        of("no-starttls-at-address", report(endpoint(handshakes=few))).subject
        == f"{HOST}:25 at 192.0.2.1 and 192.0.2.2"
    )
    most = [
        shaken(each, None if each != V4 else chain(), "no-starttls" if each != V4 else None) for each in (*MANY, V4)
    ]
    subject = of("no-starttls-at-address", report(endpoint(handshakes=most))).subject
    assert subject.endswith("192.0.2.8 and 4 more")


def test_addresses_that_this_machine_cannot_reach_do_not_make_the_others_some() -> None:
    whole = holding(stale(), handshakes=[shaken(V4, chain()), shaken(V6, None, "no-route")])
    assert of("mismatch", whole).subject == f"{HOST}:25"
    whole = holding(stale(), handshakes=[shaken(V4, chain()), shaken(V6, None, "refused")])
    assert of("mismatch", whole).subject == f"{HOST}:25 at {V4}"


def test_other_services_are_named_for_their_domain_too() -> None:
    """RFC 7673 section 4.1: the service domain is a reference name, and ordinary clients look at it alone."""
    for names, expected in ((DOMAIN, set()), ("www.example.net", {"name-mismatch"})):
        place = endpoint(port=5222, protocol="xmpp-client", senders=("client",), presented=chain(names))
        whole = report(place, target=Target(DOMAIN, service="xmpp-client"), senders=("client",))
        assert grave(whole) == expected
        assert of("protected", whole).text.startswith("every client")
    place = endpoint(port=5222, protocol="xmpp-client", senders=("client",), records=[stale()])
    whole = report(place, target=Target(DOMAIN, service="xmpp-client"), senders=("client",))
    assert of("mail-stops", whole).text == "clients that obey DANE get through by no host"
    assert of("mismatch", whole).text.endswith(": clients that obey DANE do not go on")


def test_hosts_that_show_the_same_share_a_finding() -> None:
    whole = report(
        endpoint(kind="not-asked", security="insecure"), endpoint(OTHER, kind="not-asked", security="insecure")
    )
    assert of("address-insecure", whole).subject == f"{HOST}:25 and {OTHER}:25"


def test_both_records_of_what_is_live_are_offered() -> None:
    both = [shaken(V4, chain(label="one")), shaken(V6, chain(label="two"))]
    found = of("mismatch", holding(stale(), handshakes=both))
    for label in ("one", "two"):
        assert f"`_25._tcp.{HOST}. IN TLSA 3 1 1 {chain(label=label).spki_sha256}`" in found.remedy


def imaps(spec: str, presented: Chain) -> Report:
    """Return a service of clients with one record of what it presents."""
    place = endpoint(
        port=993,
        protocol="imaps",
        preference=None,
        senders=("client",),
        presented=presented,
        tlsa=tlsa_state(HOST, [record(presented, spec)], port=993, reference_names=(HOST,)),
    )
    return report(place, senders=("client",))


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (report, set()),
        (lambda: holding(record(chain(), "3 0 1"), record(chain())), set()),
        (lambda: holding(record(chain()), stale()), set()),
        (lambda: holding(record(chain()), stale(), stale(label="older")), set()),
        (lambda: holding(record(chain(), "2 1 1")), set()),
        (lambda: holding(record(chain(), "2 0 0")), set()),
        (lambda: holding(stale()), {"mail-stops", "mismatch"}),
        (
            lambda: holding(stale(), record(chain(authority="Old"), "2 1 1")),
            {"mail-stops", "mismatch", "ta-not-presented"},
        ),
        (lambda: holding(stale(), kind="insecure"), {"tlsa-insecure"}),
        (lambda: holding(record(chain()), stale("3 0 1"), stale(), kind="insecure"), {"tlsa-insecure"}),
        (lambda: holding(record(chain(authority="Old"), "2 0 0")), {"mail-stops", "mismatch"}),
        (lambda: holding(replace(EMPTY, usage=2)), {"mail-stops", "mismatch", "empty-digest"}),
        (lambda: imaps("1 1 1", chain(days=-3, age=40)), {"mail-stops", "certificate-expired"}),
        (lambda: imaps("1 1 1", chain("www.example.net")), {"mail-stops", "name-mismatch"}),
        (lambda: imaps("1 1 1", chain()), {"mail-stops", "mismatch"}),  # nothing is trusted here
        (lambda: failing("no-starttls"), {"mail-stops", "no-starttls"}),
        (lambda: failing("refused"), {"connection-refused"}),
        (lambda: failing("timeout"), {"own-port-25-blocked"}),
        (lambda: failing("forbidden"), {"own-forbidden"}),
        (lambda: failing("not-asked"), {"own-not-asked"}),
        (lambda: failing("no-route"), {"own-no-route"}),
        (
            lambda: replace(report(endpoint(), beside=(STS_RECORD,)), policy=policy(problem="-", ours=True)),
            {"own-fetch-failed"},
        ),
        (lambda: nothing("null", found=mx("")), set()),
        (lambda: nothing("missing", found=looked_up(DOMAIN, "MX", rcode="NXDOMAIN")), {"no-such-domain"}),
        (lambda: nothing("error", found=mx(security="bogus")), {"mx-bogus"}),
        (lambda: nothing("error", found=mx(security="bogus", ours=True)), {"own-lookup-failed"}),
        (
            lambda: report(
                endpoint(tlsa=tlsa_state(HOST, kind="error", found=looked_up("a", "TLSA", "bogus", ours=True)))
            ),
            {"own-lookup-failed"},
        ),
    ],
)
def test_nothing_grave_is_said_beside_it(whole: object, expected: set[str]) -> None:
    assert callable(whole)
    assert grave(whole()) == expected


def test_a_stale_record_of_the_weaker_digest_is_no_error() -> None:
    whole = holding(stale(), record(chain(), "3 1 2"))
    assert of("stale-record", whole).severity == "warning"
    assert "stale-stronger-record" not in codes(whole)


def test_a_mismatch_hides_what_stands_beside_it() -> None:
    """While nothing matches, nobody can tell a next key's record from a stale one."""
    assert not codes(holding(stale(), stale("3 0 1"))) & {"stale-record", "next-key-published"}


def test_a_server_s_odd_records_are_held_against_what_is_validated_not_against_the_majority() -> None:
    mine, old = record(chain()), stale()
    state = tlsa_state(HOST, [mine])
    readings = [*servers(state.owner, [old]).readings, *servers(state.owner, [mine]).readings[:1]]
    readings = [replace(each, server=f"192.0.2.{number}") for number, each in enumerate(readings, 1)]
    whole = report(endpoint(tlsa=replace(state, authorities=servers(state.owner, readings=readings))))
    assert of("servers-differ", whole).text.startswith("192.0.2.1 serves 3 1 1 " + old.data.hex()[:8])
    # Where validation went with the others' set, the odd one is the third.
    other = replace(state, records=(old,))
    whole = report(endpoint(tlsa=replace(other, authorities=servers(state.owner, readings=readings))))
    assert of("servers-differ", whole).text.startswith("192.0.2.3 serves")
    assert of("servers-differ", whole).severity == "warning"


def test_a_ttl_without_the_servers_is_the_signed_one() -> None:
    """What a cache serves has counted down; the signature tells the whole TTL (RFC 4034 section 3.1.4)."""
    state = tlsa_state(HOST, [record(chain())])
    assert state.found is not None
    counted_down = replace(state, found=replace(state.found, ttl=7))
    assert "ttl-too-short" not in codes(report(endpoint(tlsa=counted_down)))
    short = replace(state, found=replace(state.found, ttl=7, original_ttl=60))
    assert "ttl-too-short" in codes(report(endpoint(tlsa=short)))


def test_an_asked_for_ttl_that_is_served_is_not_said() -> None:
    whole, owner = report(), f"_25._tcp.{HOST}."
    assert "ttl-unexpected" in {each.code for each in find(whole, {owner: 1800})}
    assert "ttl-unexpected" not in {each.code for each in find(whole, {owner: 3600})}
    assert "ttl-unexpected" not in {each.code for each in find(whole, {f"_993._tcp.{HOST}.": 1800})}


def test_port_25_is_blocked_for_all_or_not_at_all() -> None:
    blocked = report(
        *(endpoint(host, addresses=(V4,), handshakes=[shaken(V4, None, "timeout")]) for host in (HOST, OTHER))
    )
    assert codes(blocked) == {"own-port-25-blocked"}
    one = report(endpoint(addresses=(V4,), handshakes=[shaken(V4, None, "timeout")]), endpoint(OTHER))
    assert codes(one) == {"connection-timeout"}
    refused = failing("refused")
    assert "own-port-25-blocked" not in codes(refused)


def test_mail_gets_through_by_another_host() -> None:
    whole = report(endpoint(records=[stale()]), endpoint(OTHER))
    delivers = dict.fromkeys(whole.delivers, True)
    assert "mail-stops" not in codes(replace(whole, delivers=delivers))
    assert "mail-stops" in codes(whole)


def test_a_chain_that_takes_long_to_climb_is_climbed_twice_at_most() -> None:
    """Whoever presents it also says how many records pin what is in it, at how many addresses."""
    records = [record(chain("www.example.net"), f"2 {selector} {digest}") for selector in (0, 1) for digest in (1, 2)]
    whole = report(
        *(endpoint(host, addresses=MANY, presented=chain("www.example.net"), records=records) for host in (HOST, OTHER))
    )
    reached.cache_clear()
    assert "name-mismatch" in codes(whole)
    assert reached.cache_info().misses == 2


def test_what_strangers_write_is_short_and_printable() -> None:
    nasty = "a\x1b[31m\n" + "b" * 5000
    whole = replace(
        report(
            endpoint(
                handshakes=[shaken(V4, None, "greylisted", banner=nasty), shaken(V6, None, "tls-failed", detail=nasty)]
            ),
            discovery=Discovery("listed", replace(mx(HOST), mx=(MxRecord(1, HOST),), warnings=(nasty,))),
            beside=(looked_up(f"_mta-sts.{DOMAIN}", "TXT", texts=("v=STSv1; id=" + nasty,)),),
        ),
        at=AT,
    )
    for each in find(whole):
        for text in (each.subject, each.text, each.remedy):
            assert text.isprintable()
            assert len(text) < 900


def test_findings_read_as_sentences_behind_their_subject() -> None:
    from fakes.finding_cases_dns import HOSTS  # noqa: PLC0415 - only here

    for case in HOSTS:
        for each in find(case.shows(), case.ttls):
            assert each.text[-1] not in ".:;,"
            assert not each.remedy or (each.remedy[0].isupper() or each.remedy[0] == "`")
            assert not each.remedy or each.remedy[-1] in ".)`"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "a"], "a"),
        (["a", "b"], "a and b"),
        (list("abc"), "a, b and c"),
        (list("abcdefghij"), "a, b, c, d, e, f, g, h and 2 more"),
    ],
)
def test_lists(items: list[str], expected: str) -> None:
    assert listed(items) == expected


def test_figures() -> None:
    assert (counted(1, "record"), counted(2, "record"), counted(2, "entry", "entries")) == (
        "1 record",
        "2 records",
        "2 entries",
    )
    assert [duration(each) for each in (60, 7200, 172800)] == ["60 s", "7200 s (2 hours)", "172800 s (2 days)"]
    assert shown("x" * 20, 10) == "x" * 9 + "…"
    assert shown("a\tb") == "a\\x09b"


def test_the_builders_say_what_they_say() -> None:
    """Two name servers serve what is wanted, and every sender authenticates."""
    whole = report()
    assert whole.status == 0
    look = whole.endpoints[0].tlsa.authorities
    assert look is not None
    assert tuple(look.servers) == SERVERS
