"""dane.sender over a small internet: which questions are asked, and what the four senders make of the answers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chains import HOST, NOW, Issued, issue, rsa2048, three
from danelaw.dane.sender import Wishes
from danelaw.dane.sender.discovery import MAX_HOSTS
from danelaw.model import (
    Authorities,
    FailureKind,
    Handshake,
    Lookup,
    Outcome,
    PolicyFetch,
    Report,
    Sender,
    Target,
    TlsaRecord,
)
from fakes.small_internet import SmallInternet, mail_domain, record

DOMAIN, ADDRESS, OWNER = "example.org", "192.0.2.1", "_25._tcp.mail.example.org"
PLAIN = Wishes(authorities=False, policy=False)


@pytest.fixture(scope="module")
def ecdsa() -> Issued:
    return three()[0]


@pytest.fixture(scope="module")
def rsa() -> Issued:
    return three(key=rsa2048())[0]


@pytest.fixture(scope="module")
def stranger() -> Issued:
    return issue(HOST)


def of_all(report: Report) -> dict[Sender, Outcome]:
    return dict(report.outcomes)


def every(outcome: Outcome) -> dict[Sender, Outcome]:
    return {"postfix": outcome, "exim": outcome, "mox": outcome, "exchange": outcome}


# --- a good domain ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["3 1 1", "3 0 1", "3 1 2", "3 1 0", "3 0 0", "2 0 1", "2 1 1", "2 1 2", "2 0 0"])
def test_a_domain_whose_records_match_is_delivered_to_with_dane(ecdsa: Issued, spec: str) -> None:
    report = mail_domain(ecdsa, spec).check(DOMAIN)
    assert of_all(report) == every("authenticated")
    assert (report.status, set(report.delivers.values())) == (0, {True})


def test_what_is_asked_round_by_round(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa)
    internet.say("_mta-sts.example.org", "TXT", texts=("v=STSv1; id=1",))
    report = internet.check(DOMAIN)
    asked = internet.asked
    assert asked[0] == Lookup(DOMAIN, "MX")
    assert Authorities(OWNER + ".") in asked
    assert PolicyFetch(DOMAIN) in asked
    handshakes = [question for question in asked if isinstance(question, Handshake)]
    # The free one shows the ECDSA certificate, so that only an RSA one is asked for beside it.
    assert [(each.address, each.algorithm) for each in handshakes] == [(ADDRESS, None), (ADDRESS, "rsa")]
    assert {each.host for each in handshakes} == {HOST}
    assert len(asked) == len(set(asked))
    assert report.policy is not None
    addresses = asked.index(Lookup(HOST, "A"))
    assert asked.index(Lookup(OWNER, "TLSA")) > addresses  # RFC 7672 section 2.2.2: addresses come first


def test_wishes_leave_questions_out(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa)
    internet.check(DOMAIN, PLAIN)
    assert not [each for each in internet.asked if isinstance(each, Authorities | PolicyFetch)]
    assert Lookup("_mta-sts.example.org", "TXT") not in internet.asked


# --- how the hosts are found -----------------------------------------------------------------------------------------


def test_hosts_come_in_the_order_of_their_preference_each_once(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).mx(DOMAIN, (20, "b.example.org"), (10, "c.example.org"), (30, "c.example.org"))
    report = internet.check(DOMAIN)
    assert [(each.host, each.preference) for each in report.endpoints] == [("c.example.org", 10), ("b.example.org", 20)]


def test_no_more_than_so_many_hosts(ecdsa: Issued) -> None:
    hosts = [(number, f"mx{number}.example.org") for number in range(MAX_HOSTS + 2)]
    report = mail_domain(ecdsa).mx(DOMAIN, *hosts).check(DOMAIN)
    assert len(report.endpoints) == MAX_HOSTS
    assert report.discovery.left_out == (f"mx{MAX_HOSTS}.example.org", f"mx{MAX_HOSTS + 1}.example.org")


def test_without_mx_the_domain_is_its_own_host() -> None:
    named = issue("example.org")
    internet = SmallInternet().host(DOMAIN, ADDRESS).tlsa("_25._tcp.example.org", record(named, "3 1 1"))
    report = internet.serve(ADDRESS, named).check(DOMAIN)
    assert (report.discovery.kind, report.status) == ("implicit", 0)
    assert report.endpoints[0].host == DOMAIN


def test_a_domain_that_takes_no_mail() -> None:
    report = SmallInternet().mx("example.org", (0, "")).check(DOMAIN)
    assert (report.discovery.kind, report.status, dict(report.outcomes), report.endpoints) == ("null", 3, {}, ())


def test_no_such_domain() -> None:
    report = SmallInternet().check(DOMAIN)
    assert (report.discovery.kind, report.status) == ("missing", 4)


@pytest.mark.parametrize(("ours", "outcome", "status"), [(False, "deferred", 1), (True, "unknown", 4)])
def test_an_mx_look_up_that_fails(ours: bool, outcome: Outcome, status: int) -> None:  # noqa: FBT001 (a table)
    report = SmallInternet().say(DOMAIN, "MX", "bogus", rcode="SERVFAIL", ours=ours).check(DOMAIN)
    assert (report.discovery.kind, of_all(report), report.status) == ("error", every(outcome), status)


def test_behind_an_insecure_mx_postfix_alone_uses_dane(ecdsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(ecdsa).mx(DOMAIN, (10, HOST), security="insecure")
    report = internet.check(DOMAIN)
    assert of_all(report) == every("opportunistic") | {"postfix": "authenticated"}
    assert report.status == 3
    report = internet.serve(ADDRESS, stranger).check(DOMAIN)
    assert of_all(report) == every("opportunistic") | {"postfix": "deferred"}
    assert report.status == 1


def test_an_mx_that_is_an_address_is_no_host() -> None:
    report = SmallInternet().mx(DOMAIN, (10, "192.0.2.1")).check(DOMAIN)
    assert (report.status, of_all(report), report.endpoints[0].addresses) == (4, every("unknown"), ())


# --- addresses, aliases, base domains --------------------------------------------------------------------------------


def test_below_an_insecure_address_nobody_asks_for_records(ecdsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, security="insecure").serve(ADDRESS, stranger)
    report = internet.check(DOMAIN)
    assert (of_all(report), report.status) == (every("opportunistic"), 3)
    assert report.endpoints[0].tlsa.kind == "not-asked"
    # ... but what they would have met is worth knowing.
    assert next(each.lookup for each in report.beside if each.lookup.rrtype == "TLSA") == Lookup(OWNER, "TLSA")


@pytest.mark.parametrize("rrtype", ["A", "AAAA"])
def test_an_address_look_up_that_fails_makes_the_host_unreachable(ecdsa: Issued, rrtype: str) -> None:
    internet = mail_domain(ecdsa)
    internet.say(HOST, "A" if rrtype == "A" else "AAAA", "bogus", rcode="SERVFAIL", why="expired")
    report = internet.check(DOMAIN)
    assert (of_all(report), report.status, report.endpoints[0].why) == (every("deferred"), 1, "expired")
    assert not [each for each in internet.asked if isinstance(each, Handshake)]


def test_a_secure_alias_is_asked_at_its_end_and_then_at_its_name(ecdsa: Issued) -> None:
    other = "_25._tcp.host.example.net"
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, canonical="host.example.net")
    report = internet.check(DOMAIN)
    assert report.endpoints[0].tlsa.asked == (other + ".", OWNER + ".")
    assert report.endpoints[0].tlsa.base == HOST
    # Exim looks where the alias leads and nowhere else.
    assert (of_all(report), report.status) == (every("authenticated") | {"exim": "opportunistic"}, 3)
    internet.tlsa(other, record(ecdsa, "3 1 1"))
    report = internet.check(DOMAIN)
    assert (report.endpoints[0].tlsa.asked, report.endpoints[0].tlsa.base) == ((other + ".",), "host.example.net")
    internet.tlsa(other, security="bogus", rcode="SERVFAIL")
    report = internet.check(DOMAIN)  # an error stops: the original name is no way round it
    assert (report.endpoints[0].tlsa.asked, of_all(report)) == ((other + ".",), every("deferred"))


def test_a_secure_alias_into_an_insecure_zone_is_asked_at_its_own_name_only(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, security="insecure", canonical="host.example.net")
    internet.say(HOST, "CNAME", "secure", canonical="host.example.net")
    report = internet.check(DOMAIN)
    assert report.endpoints[0].tlsa.asked == (OWNER + ".",)
    assert of_all(report) == every("authenticated") | {"exim": "opportunistic"}
    internet.say(HOST, "CNAME", "insecure", canonical="host.example.net")
    report = internet.check(DOMAIN)
    assert (report.endpoints[0].tlsa.kind, of_all(report)) == ("not-asked", every("opportunistic"))
    internet.say(HOST, "CNAME", "bogus", rcode="SERVFAIL")
    assert of_all(internet.check(DOMAIN)) == every("deferred")


def test_an_alias_at_the_owner_name_does_not_change_the_base_domain(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).tlsa(OWNER, record(ecdsa, "2 0 1"), canonical="tlsa._dane.example.org")
    report = internet.check(DOMAIN)
    assert (report.endpoints[0].tlsa.base, report.status) == (HOST, 0)


def test_a_host_without_address_cannot_be_judged(ecdsa: Issued) -> None:
    report = mail_domain(ecdsa).host(HOST).check(DOMAIN)
    assert (of_all(report), report.status) == (every("unknown"), 4)


# --- records ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("security", "rcode", "outcome", "status"),
    [
        ("secure", "NOERROR", "opportunistic", 3),
        ("insecure", "NOERROR", "opportunistic", 3),
        ("bogus", "SERVFAIL", "deferred", 1),
        ("indeterminate", "TIMEOUT", "deferred", 1),
    ],
)
def test_no_records_and_a_failed_look_up_are_not_the_same(
    ecdsa: Issued, security: str, rcode: str, outcome: Outcome, status: int
) -> None:
    internet = mail_domain(ecdsa)
    internet.say(OWNER, "TLSA", security, rcode=rcode)  # type: ignore[arg-type]
    report = internet.check(DOMAIN)
    assert (of_all(report), report.status) == (every(outcome), status)


def test_a_tlsa_look_up_that_fails_because_of_us_is_no_fault_of_theirs(ecdsa: Issued) -> None:
    report = mail_domain(ecdsa).tlsa(OWNER, security="indeterminate", rcode="SERVFAIL", ours=True).check(DOMAIN)
    assert (of_all(report), report.status) == (every("unknown"), 4)


@pytest.mark.parametrize(
    "unusable",
    [TlsaRecord(1, 1, 1, bytes(32)), TlsaRecord(3, 1, 1, bytes(20)), TlsaRecord(3, 1, 9, bytes(32))],
    ids=str,
)
def test_records_of_which_none_is_usable_demand_tls_and_exim_defers(ecdsa: Issued, unusable: TlsaRecord) -> None:
    internet = mail_domain(ecdsa).tlsa(OWNER, unusable)
    report = internet.check(DOMAIN)
    assert of_all(report) == every("encrypted") | {"exim": "deferred"}
    assert report.status == 1
    report = internet.tlsa(OWNER, unusable, record(ecdsa, "3 1 1")).check(DOMAIN)
    assert (of_all(report), report.status) == (every("authenticated"), 0)
    report = internet.tlsa(OWNER, unusable).serve(ADDRESS, failure="no-starttls").check(DOMAIN)
    assert of_all(report) == every("deferred")


def test_records_that_are_too_short_to_be_any_still_demand_tls(ecdsa: Issued) -> None:
    report = mail_domain(ecdsa).tlsa(OWNER, malformed=1).check(DOMAIN)
    assert of_all(report) == every("encrypted") | {"exim": "deferred"}


def test_a_stale_stronger_digest_is_refused_by_those_who_know_agility(ecdsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(ecdsa).tlsa(OWNER, record(ecdsa, "3 1 1"), record(stranger, "3 1 2"))
    assert of_all(internet.check(DOMAIN)) == {
        "postfix": "deferred",
        "exim": "deferred",
        "mox": "authenticated",
        "exchange": "authenticated",
    }
    internet.tlsa(OWNER, record(ecdsa, "3 1 1"), record(stranger, "3 1 1"))
    assert of_all(internet.check(DOMAIN)) == every("authenticated")


def test_the_next_hop_domain_is_a_name_for_all_but_exim() -> None:
    root = issue("Root", ca=True)
    internet = mail_domain(issue(DOMAIN, root), "2 0 1")
    assert of_all(internet.check(DOMAIN)) == every("authenticated") | {"exim": "deferred"}
    internet = mail_domain(issue("elsewhere.example", root), "2 0 1")
    assert of_all(internet.check(DOMAIN)) == every("deferred")
    # Behind an insecure MX the host's name is the only one (RFC 7672 section 3.2.2).
    internet = mail_domain(issue(DOMAIN, root), "2 0 1").mx(DOMAIN, (10, HOST), security="insecure")
    assert of_all(internet.check(DOMAIN))["postfix"] == "deferred"


def test_exchange_wants_an_unexpired_certificate_whatever_pins_it() -> None:
    expired = issue(HOST, at=NOW - timedelta(days=90))
    report = mail_domain(expired).check(DOMAIN)
    assert of_all(report) == every("authenticated") | {"exchange": "deferred"}
    root = issue("Root", ca=True)
    report = mail_domain(issue(HOST, root, at=NOW - timedelta(days=90)), "2 0 1").check(DOMAIN)
    assert of_all(report) == every("deferred")


# --- handshakes ------------------------------------------------------------------------------------------------------


def test_each_kind_of_certificate_is_asked_for_and_counts(rsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(rsa).serve(ADDRESS, rsa, stranger)
    report = internet.check(DOMAIN)
    by_kind = {each.algorithm: each.outcomes["postfix"] for each in report.endpoints[0].attempts}
    assert by_kind == {"ecdsa": "deferred", "rsa": "authenticated"}
    # A sender that takes any kind is shown ECDSA.
    assert (report.status, report.delivers["postfix"]) == (1, False)
    report = internet.tlsa(OWNER, record(stranger, "3 1 1")).check(DOMAIN)
    assert (report.status, report.outcomes["postfix"], report.delivers["postfix"]) == (1, "deferred", True)
    internet.tlsa(OWNER, record(rsa, "3 1 1"), record(stranger, "3 1 1"))
    assert internet.check(DOMAIN).status == 0


def test_each_address_counts_and_mail_gets_through_by_the_other(ecdsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, "2001:db8::1").serve("2001:db8::1", stranger)
    report = internet.check(DOMAIN)
    assert (report.status, report.outcomes["postfix"], report.delivers["postfix"]) == (1, "deferred", True)
    report = internet.serve(ADDRESS, stranger).check(DOMAIN)
    assert (report.status, report.delivers["postfix"]) == (1, False)


def test_an_address_that_we_have_no_way_to_is_left_out_where_another_was_seen(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, "2001:db8::1").serve("2001:db8::1", failure="no-route")
    assert internet.check(DOMAIN).status == 0
    assert internet.serve(ADDRESS, failure="no-route").check(DOMAIN).status == 4


@pytest.mark.parametrize("failure", ["refused", "timeout", "greylisted", "rejected", "silent", "flood", "not-spoken"])
def test_a_server_that_cannot_be_asked_leaves_the_verdict_open(ecdsa: Issued, failure: FailureKind) -> None:
    internet = mail_domain(ecdsa).serve(ADDRESS, failure=failure)
    report = internet.check(DOMAIN)
    assert (of_all(report), report.status, set(report.delivers.values())) == (every("unknown"), 4, {None})
    assert len([each for each in internet.asked if isinstance(each, Handshake)]) == 1


@pytest.mark.parametrize("failure", ["no-starttls", "injected", "not-tls", "old-tls", "tls-refused", "bad-certificate"])
def test_a_server_without_tls_is_refused_where_there_are_records(ecdsa: Issued, failure: FailureKind) -> None:
    internet = mail_domain(ecdsa).serve(ADDRESS, failure=failure)
    report = internet.check(DOMAIN)
    assert (of_all(report), report.status) == (every("deferred"), 1)
    report = internet.tlsa(OWNER).check(DOMAIN)
    assert (of_all(report), report.status) == (every("opportunistic"), 3)


def test_two_hosts_of_which_one_is_broken(ecdsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(ecdsa).mx(DOMAIN, (10, "bad.example.org"), (20, HOST)).host("bad.example.org", "192.0.2.2")
    internet.tlsa("_25._tcp.bad.example.org", record(ecdsa, "3 1 1")).serve("192.0.2.2", stranger)
    report = internet.check(DOMAIN)
    assert (report.status, of_all(report), set(report.delivers.values())) == (1, every("deferred"), {True})


def test_two_hosts_of_which_one_is_not_protected(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).mx(DOMAIN, (10, "plain.example.org"), (10, HOST)).host("plain.example.org", ADDRESS)
    report = internet.check(DOMAIN)
    assert (report.status, of_all(report)) == (3, every("opportunistic"))


# --- other services --------------------------------------------------------------------------------------------------


def test_an_endpoint_by_itself(ecdsa: Issued) -> None:
    internet = SmallInternet().host(HOST, ADDRESS).tlsa("_993._tcp.mail.example.org", record(ecdsa, "3 1 1"))
    internet.serve(ADDRESS, ecdsa, port=993)
    report = internet.check(Target(HOST, 993, "imaps"))
    assert (report.status, dict(report.outcomes)) == (0, {"client": "authenticated"})
    assert internet.check(Target(HOST, 25)).status == 4  # nothing listens there
    assert set(internet.check(Target(HOST, 25)).outcomes) == {"postfix", "exim", "mox", "exchange"}


def test_a_client_trusts_a_public_ca_where_the_record_says_so() -> None:
    leaf, _, root = three()
    internet = SmallInternet().host(HOST, ADDRESS).serve(ADDRESS, leaf, port=443)
    internet.tlsa("_443._tcp.mail.example.org", record(leaf, "1 1 1"))
    target = Target(HOST, 443, "https")
    assert internet.check(target, Wishes(roots_der=(root.der,))).status == 0
    assert internet.check(target, Wishes(roots_der=(issue("Other", ca=True).der,))).status == 1


def test_a_client_that_finds_no_usable_record_goes_by_its_ordinary_checks(ecdsa: Issued) -> None:
    internet = SmallInternet().host(HOST, ADDRESS).serve(ADDRESS, ecdsa, port=993)
    internet.tlsa("_993._tcp.mail.example.org", TlsaRecord(3, 1, 1, bytes(20)))
    report = internet.check(Target(HOST, 993, "imaps"))
    assert (report.status, dict(report.outcomes)) == (3, {"client": "opportunistic"})


def test_xmpp_by_srv(ecdsa: Issued) -> None:
    target = Target(DOMAIN, None, "xmpp-client", "xmpp-client")
    internet = SmallInternet().srv("_xmpp-client._tcp.example.org", (5, 0, 5222, HOST)).host(HOST, ADDRESS)
    internet.tlsa("_5222._tcp.mail.example.org", record(ecdsa, "3 1 1")).serve(ADDRESS, ecdsa, port=5222)
    report = internet.check(target)
    assert (report.status, report.endpoints[0].port, report.endpoints[0].preference) == (0, 5222, 5)
    origins = {each.origin for each in internet.asked if isinstance(each, Handshake)}
    assert origins == {DOMAIN}
    internet.srv("_xmpp-client._tcp.example.org", (5, 0, 5222, HOST), security="insecure")
    assert dict(internet.check(target).outcomes) == {"client": "opportunistic"}  # RFC 7673 section 3.1
    internet.say("_xmpp-client._tcp.example.org", "SRV", "bogus", rcode="SERVFAIL")
    assert internet.check(target).status == 1


def test_a_service_without_srv_records() -> None:
    internet = SmallInternet().host(DOMAIN, ADDRESS)
    report = internet.check(Target(DOMAIN, None, "xmpp-server", "xmpp-server"))
    assert (report.discovery.kind, report.endpoints[0].name) == ("implicit", "example.org:5269")
    assert internet.check(Target(DOMAIN, None, "imaps", "imaps")).discovery.kind == "null"
    internet.srv("_xmpp-server._tcp.example.org", (0, 0, 0, ""))
    assert internet.check(Target(DOMAIN, None, "xmpp-server", "xmpp-server")).discovery.kind == "null"


def test_the_same_answers_give_the_same_report(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa)
    assert internet.check(DOMAIN) == internet.check(DOMAIN)
    later = replace(internet, now=NOW + timedelta(days=400))
    assert later.check(DOMAIN).outcomes["exchange"] == "deferred"
