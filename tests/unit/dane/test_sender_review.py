"""dane.sender where the letter of the RFCs and ordinary practice part: aliases, names, several hosts, hostile sizes."""

import pytest

from chains import HOST, NOW, Issued, issue, rsa2048, three
from danelaw import dane, pki
from danelaw.dane.matching import MOST_IN_FULL, held, selects
from danelaw.dane.sender import Wishes, advance
from danelaw.dane.tlsa import association, select
from danelaw.errors import InputError
from danelaw.model import (
    Answer,
    FailureKind,
    Handshake,
    Lookup,
    Outcome,
    Question,
    Security,
    Sender,
    Shaken,
    Target,
    TlsaRecord,
)
from fakes.small_internet import SmallInternet, mail_domain, record

DOMAIN, ADDRESS, OWNER = "example.org", "192.0.2.1", "_25._tcp.mail.example.org"
HOSTED = "host.example.net"


@pytest.fixture(scope="module")
def ecdsa() -> Issued:
    return three()[0]


@pytest.fixture(scope="module")
def stranger() -> Issued:
    return issue(HOST)


def every(outcome: Outcome) -> dict[Sender, Outcome]:
    return {"postfix": outcome, "exim": outcome, "mox": outcome, "exchange": outcome}


def sni(internet: SmallInternet) -> set[str]:
    return {each.host for each in internet.asked if isinstance(each, Handshake)}


# --- aliases ---------------------------------------------------------------------------------------------------------


def test_a_name_is_expanded_for_sni_only_where_the_expanded_name_has_records(ecdsa: Issued) -> None:
    # www.example.org at a content network that knows it by its own name, and has no records
    internet = SmallInternet().host("www.example.org", ADDRESS, canonical=HOSTED).serve(ADDRESS, ecdsa, port=443)
    internet.say("www.example.org", "CNAME", canonical=HOSTED)
    report = internet.check(Target("www.example.org", 443, "https"))
    assert (sni(internet), report.endpoints[0].tlsa.kind) == ({"www.example.org"}, "none")
    assert report.endpoints[0].tlsa.reference_names == ("www.example.org",)
    internet.asked.clear()
    internet.tlsa(f"_443._tcp.{HOSTED}", record(ecdsa, "3 1 1"))
    assert internet.check(Target("www.example.org", 443, "https")).status == 0
    assert sni(internet) == {HOSTED}  # RFC 7671 section 7


def test_the_first_alias_is_asked_about_by_itself_only_below_insecure_addresses(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).host(HOST, ADDRESS, canonical=HOSTED)
    internet.say(HOST, "CNAME", "bogus", rcode="SERVFAIL")  # no sender asks this: all of the alias is secure
    report = internet.check(DOMAIN)
    assert dict(report.outcomes) == every("authenticated") | {"exim": "opportunistic"}
    assert report.endpoints[0].first_alias == "secure"
    assert Lookup(HOST, "CNAME") not in internet.asked
    internet.host(HOST, ADDRESS, canonical=HOSTED, security="insecure")
    assert dict(internet.check(DOMAIN).outcomes) == every("deferred")


def test_a_host_given_by_itself_may_bear_its_own_name_below_its_aliass_records() -> None:
    # RFC 7672 section 3.2.2: "TLSA records for non-MX hostnames"
    root = issue("Root", ca=True)
    internet = SmallInternet().host(HOST, ADDRESS, canonical=HOSTED).serve(ADDRESS, issue(HOST, root))
    internet.tlsa(f"_25._tcp.{HOSTED}", record(issue(HOST, root), "2 0 1"))
    report = internet.check(Target(HOST, 25))
    assert report.endpoints[0].tlsa.reference_names == (HOSTED, HOST)
    assert dict(report.outcomes) == every("authenticated") | {"exim": "deferred"}
    # RFC 7671 section 10.2: without more from the protocol the base domain is the one name
    internet.serve(ADDRESS, issue(HOST, root), port=443)
    internet.tlsa(f"_443._tcp.{HOSTED}", record(issue(HOST, root), "2 0 1"))
    assert dict(internet.check(Target(HOST, 443, "https")).outcomes) == {"client": "deferred"}


def test_of_an_mx_host_that_is_an_alias_its_own_name_is_none_that_the_leaf_may_bear() -> None:
    # RFC 7672 section 3.2.2: the base domain, the next-hop domain and its expansion
    root = issue("Root", ca=True)
    internet = mail_domain(issue(HOST, root)).host(HOST, ADDRESS, canonical=HOSTED)
    internet.tlsa(f"_25._tcp.{HOSTED}", record(issue(HOST, root), "2 0 1"))
    assert dict(internet.check(DOMAIN).outcomes) == every("deferred")
    internet.serve(ADDRESS, issue(HOSTED, root))
    assert dict(internet.check(DOMAIN).outcomes) == every("authenticated")


def test_without_mx_the_insecure_end_of_an_alias_is_no_name_that_the_leaf_may_bear() -> None:
    root = issue("Root", ca=True)
    internet = SmallInternet().host(DOMAIN, ADDRESS, canonical=HOSTED, security="insecure")
    internet.say(DOMAIN, "MX", "insecure", canonical=HOSTED).say(DOMAIN, "CNAME", canonical=HOSTED)
    internet.tlsa(f"_25._tcp.{DOMAIN}", record(issue(HOSTED, root), "2 0 1")).serve(ADDRESS, issue(HOSTED, root))
    assert dict(internet.check(DOMAIN).outcomes) == every("deferred") | {"exim": "opportunistic"}
    internet.serve(ADDRESS, issue(DOMAIN, root))
    assert dict(internet.check(DOMAIN).outcomes) == every("authenticated") | {"exim": "opportunistic"}


def test_without_mx_the_secure_end_of_an_alias_and_the_domain_are_names() -> None:
    root = issue("Root", ca=True)
    internet = SmallInternet().say(DOMAIN, "MX", canonical=HOSTED).host(DOMAIN, ADDRESS, canonical=HOSTED)
    internet.tlsa(f"_25._tcp.{HOSTED}", record(issue(DOMAIN, root), "2 0 1")).serve(ADDRESS, issue(DOMAIN, root))
    report = internet.check(DOMAIN)
    assert report.endpoints[0].tlsa.reference_names == (HOSTED, DOMAIN)
    assert dict(report.outcomes) == every("authenticated") | {"exim": "deferred"}


def test_without_srv_records_clients_go_on_without_dane(ecdsa: Issued, stranger: Issued) -> None:
    target = Target(DOMAIN, None, "xmpp-server", "xmpp-server")
    internet = SmallInternet().host(DOMAIN, ADDRESS).tlsa("_5269._tcp.example.org", record(ecdsa, "3 1 1"))
    for issued in (ecdsa, stranger):
        report = internet.serve(ADDRESS, issued, port=5269).check(target)
        assert (report.discovery.kind, dict(report.outcomes)) == ("implicit", {"client": "opportunistic"})
    internet.srv("_xmpp-server._tcp.example.org", (0, 0, 5269, DOMAIN))
    assert dict(internet.check(target).outcomes) == {"client": "deferred"}


# --- whose fault it is -----------------------------------------------------------------------------------------------


def test_a_bogus_address_is_theirs_though_our_other_look_up_failed(ecdsa: Issued) -> None:
    internet = mail_domain(ecdsa).say(HOST, "A", "bogus", rcode="SERVFAIL")
    internet.say(HOST, "AAAA", "indeterminate", rcode="TIMEOUT", ours=True)
    assert internet.check(DOMAIN).status == 1
    internet.say(HOST, "A", addresses=(ADDRESS,))
    assert internet.check(DOMAIN).status == 4


def test_without_trusted_cas_nothing_is_said_of_records_that_need_them(stranger: Issued) -> None:
    leaf, _, root = three()
    internet = SmallInternet().host(HOST, ADDRESS).serve(ADDRESS, leaf, port=443)
    target = Target(HOST, 443, "https")
    for spec in ("1 1 1", "0 0 1"):
        internet.tlsa("_443._tcp.mail.example.org", record(leaf, spec))
        assert internet.check(target).status == 4
        assert internet.check(target, Wishes(roots_der=(root.der,))).status == 0
    internet.tlsa("_443._tcp.mail.example.org", record(stranger, "1 1 1"))
    assert internet.check(target).status == 1  # that pins another leaf, whoever is trusted


# --- handshakes ------------------------------------------------------------------------------------------------------


class Particular(SmallInternet):
    """An internet whose servers fail where any certificate is asked for, or RSA."""

    fails: frozenset[str | None] = frozenset()
    how: FailureKind = "tls-failed"

    def _shake(self, handshake: Handshake) -> Shaken:
        if handshake.algorithm in self.fails:
            return Shaken(handshake, failure=self.how, detail="fails")
        return super()._shake(handshake)


def particular(issued: Issued, *fails: str | None) -> Particular:
    made = mail_domain(issued)
    internet = Particular(answers=made.answers, servers=made.servers)
    internet.fails = frozenset(fails)
    return internet


def test_an_ordinary_handshake_that_fails_counts_though_a_restricted_one_succeeds(ecdsa: Issued) -> None:
    report = particular(ecdsa, None).check(DOMAIN)
    assert (dict(report.outcomes), report.status) == (every("deferred"), 1)
    assert [each.shaken.failure for each in report.endpoints[0].attempts if each.outcomes] == ["tls-failed", None]


def test_a_handshake_that_fails_for_one_kind_alone_is_said_once(ecdsa: Issued) -> None:
    rsa = three(key=rsa2048())[0]
    internet = particular(ecdsa, None, "ecdsa").serve(ADDRESS, rsa).tlsa(OWNER, record(rsa, "3 1 1"))
    report = internet.check(DOMAIN)
    assert [(each.algorithm, each.shaken.failure) for each in report.endpoints[0].attempts] == [
        ("rsa", None),
        ("ecdsa", "tls-failed"),
    ]
    assert dict(report.outcomes) == every("deferred")


def test_clients_insist_on_tls_where_records_stand_of_which_none_is_usable(ecdsa: Issued) -> None:
    # RFC 7673 section 4
    internet = SmallInternet().srv("_imap._tcp.example.org", (0, 0, 143, HOST)).host(HOST, ADDRESS)
    internet.tlsa("_143._tcp.mail.example.org", TlsaRecord(3, 1, 1, bytes(20))).serve(ADDRESS, ecdsa, port=143)
    target = Target(DOMAIN, None, "imap", "imap")
    assert internet.check(target).status == 3
    internet.serve(ADDRESS, port=143, failure="no-starttls")
    assert (internet.check(target).status, dict(internet.check(target).outcomes)) == (1, {"client": "deferred"})


@pytest.mark.parametrize(
    ("srv", "tlsa", "host", "server_name"),
    [
        ("secure", "usable", HOST, ""),
        ("secure", "unusable", HOST, DOMAIN),
        ("secure", "none", HOST, DOMAIN),
        ("insecure", "usable", HOST, DOMAIN),
        ("insecure", "none", HOST, DOMAIN),
    ],
)
def test_without_usable_records_clients_of_a_service_ask_for_its_domain(
    ecdsa: Issued, srv: Security, tlsa: str, host: str, server_name: str
) -> None:
    # RFC 7673 section 4.1: the service domain is the preferred name for SNI, be the SRV records secure or not
    internet = SmallInternet().srv("_imaps._tcp.example.org", (0, 0, 993, HOST), security=srv).host(HOST, ADDRESS)
    if tlsa != "none":
        held = record(ecdsa, "3 1 1") if tlsa == "usable" else TlsaRecord(3, 1, 1, bytes(20))
        internet.tlsa("_993._tcp.mail.example.org", held)
    internet.serve(ADDRESS, ecdsa, port=993).check(Target(DOMAIN, None, "imaps", "imaps"))
    asked = {(each.host, each.server_name) for each in internet.asked if isinstance(each, Handshake)}
    assert asked == {(host, server_name)}


def test_of_an_endpoint_that_is_named_and_of_an_mx_host_their_own_names_are_asked_for(ecdsa: Issued) -> None:
    internet = SmallInternet().mx(DOMAIN, (5, HOST)).host(HOST, ADDRESS).serve(ADDRESS, ecdsa)
    internet.serve(ADDRESS, ecdsa, port=993)
    for target in (Target(DOMAIN), Target(HOST, 993, "imaps")):
        internet.check(target)
    asked = {(each.host, each.port, each.server_name) for each in internet.asked if isinstance(each, Handshake)}
    assert asked == {(HOST, 25, ""), (HOST, 993, "")}


# --- several hosts ---------------------------------------------------------------------------------------------------


def test_nobody_gets_through_by_a_host_without_an_address(ecdsa: Issued, stranger: Issued) -> None:
    internet = mail_domain(ecdsa).mx(DOMAIN, (5, "gone.example.org"), (10, HOST)).serve(ADDRESS, stranger)
    report = internet.check(DOMAIN)
    assert (report.status, set(report.delivers.values())) == (1, {False})
    assert "mail-stops" in {each.code for each in report.findings}
    internet.serve(ADDRESS, failure="timeout")
    assert set(internet.check(DOMAIN).delivers.values()) == {None}


def test_a_srv_target_listed_twice_is_looked_at_once(ecdsa: Issued) -> None:
    internet = SmallInternet().srv(
        "_imaps._tcp.example.org", (20, 0, 993, HOST), (10, 0, 993, HOST), (10, 5, 993, HOST)
    )
    internet.host(HOST, ADDRESS).tlsa("_993._tcp.mail.example.org", record(ecdsa, "3 1 1"))
    report = internet.serve(ADDRESS, ecdsa, port=993).check(Target(DOMAIN, None, "imaps", "imaps"))
    assert [(each.name, each.preference) for each in report.endpoints] == [("mail.example.org:993", 10)]


@pytest.mark.parametrize(
    ("four", "six", "looked_at"), [(30, 30, (8, 8)), (30, 3, (13, 3)), (2, 30, (2, 14)), (1, 1, (1, 1))]
)
def test_of_many_addresses_some_of_each_family_are_looked_at(
    ecdsa: Issued, four: int, six: int, looked_at: tuple[int, int]
) -> None:
    addresses = [f"192.0.2.{number}" for number in range(four)] + [
        f"2001:db8::{number:x}" for number in range(1, six + 1)
    ]
    report = mail_domain(ecdsa).host(HOST, *addresses).check(DOMAIN)
    seen = {each.address for each in report.endpoints[0].attempts}
    assert (len([each for each in seen if ":" not in each]), len([each for each in seen if ":" in each])) == looked_at
    assert len(report.endpoints[0].addresses) == four + six
    assert ("addresses-left-out" in {each.code for each in report.findings}) == (four + six > sum(looked_at))


# --- hostile sizes ---------------------------------------------------------------------------------------------------


def full_key(number: int) -> TlsaRecord:
    return TlsaRecord(2, 1, 0, public_key(number))


def public_key(number: int) -> bytes:
    """Return an Ed25519 key's SPKI (RFC 8410 section 4); nearly any 32 octets are a key."""
    return bytes.fromhex("302a300506032b6570032100") + number.to_bytes(32, "big")


def test_of_hundreds_of_ca_keys_in_full_the_first_are_tried() -> None:
    leaf, _, root = three()
    chain = pki.chain_from_der(leaf.chain_der)
    good = TlsaRecord(2, 1, 0, chain_key(root))
    many = [full_key(number) for number in range(2, 300)]
    before = dane.verify([*many[: MOST_IN_FULL - 1], good, *many], chain, [HOST], NOW, smtp=True)
    assert [each.record for each in before if each.matches] == [good]
    beyond = dane.verify([*many[:MOST_IN_FULL], good, *many], chain, [HOST], NOW, smtp=True)
    assert not any(each.matches or (each.counts and "not tried" in each.why) for each in beyond)
    assert sum("not tried" in each.why for each in beyond) == len(beyond) - 2 * MOST_IN_FULL
    assert not dane.accepts([*many, good], chain, [HOST], NOW)
    # What pins the leaf, or by a digest, costs nothing and is not bounded.
    digests = [record(leaf, "3 1 0"), *many, record(leaf, "2 1 1")]
    assert [each.record for each in dane.verify(digests, chain, [HOST], NOW, smtp=True) if each.matches] == [
        digests[0],
        digests[-1],
    ]


def chain_key(issued: Issued) -> bytes:
    return pki.spki_of_certificate(issued.der)


def test_each_certificate_presented_is_known_by_what_a_record_can_hold_of_it() -> None:
    leaf, _, root = three()
    ders = (*leaf.chain_der, root.der, b"no certificate")
    for position, der in enumerate(ders):
        for selector in (0, 1):
            for matching_type in (0, 1, 2):
                try:
                    data = association(select(der, selector), matching_type)
                except InputError:
                    assert (der, selector) == (b"no certificate", 1)
                    continue
                one = TlsaRecord(2, selector, matching_type, data)
                assert held(one, ders) == tuple(number for number, each in enumerate(ders) if selects(one, each))
                assert position in held(one, ders)
    assert held(TlsaRecord(2, 2, 1, bytes(32)), ders) == held(TlsaRecord(2, 1, 1, bytes(32)), ders) == ()


def test_a_check_takes_five_rounds(ecdsa: Issued) -> None:
    internet, rounds, known = mail_domain(ecdsa), 0, dict[Question, Answer]()
    while isinstance(asked := advance(Target(DOMAIN), known, NOW), frozenset):
        rounds += 1
        known |= {question: internet.answer(question) for question in asked}
    # MX; addresses; TLSA; a handshake for any certificate, and every name server; one for each other kind
    assert (rounds, asked.status) == (5, 0)
