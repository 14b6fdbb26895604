"""Findings that must not say more than the senders' verdicts beside them."""

import pytest

from chains import HOST, Issued, three
from danelaw.model import Security, Target, TlsaRecord
from fakes.small_internet import SmallInternet, mail_domain

DOMAIN, ADDRESS, OWNER = "example.org", "192.0.2.1", "_25._tcp.mail.example.org"


@pytest.fixture(scope="module")
def leaf() -> Issued:
    return three()[0]


def said(internet: SmallInternet, code: str) -> list[tuple[str, str]]:
    return [(each.severity, each.text) for each in internet.check(DOMAIN).findings if each.code == code]


def test_behind_an_insecure_mx_only_postfix_minds_that_no_record_can_be_used(leaf: Issued) -> None:
    internet = mail_domain(leaf).tlsa(OWNER, TlsaRecord(3, 1, 1, bytes(20)))
    assert [severity for severity, _ in said(internet, "all-unusable")] == ["error"]
    internet.mx(DOMAIN, (10, HOST), security="insecure")
    why = "its only TLSA record cannot be used: Postfix insists on TLS and authenticates nobody"
    assert said(internet, "all-unusable") == [("warning", why)]
    internet.serve(ADDRESS, failure="no-starttls")
    more = ", and Postfix does not deliver here, Exim, mox and Exchange do"
    assert said(internet, "all-unusable") == [("error", why + more)]


def test_a_policy_does_not_agree_with_a_host_without_tls(leaf: Issued) -> None:
    internet = mail_domain(leaf).say("_mta-sts.example.org", "TXT", texts=("v=STSv1; id=1;",))
    internet.policies[DOMAIN] = f"version: STSv1\nmode: enforce\nmx: {HOST}\nmax_age: 604800\n"
    assert said(internet, "mta-sts-enforced")
    internet.serve(ADDRESS, failure="no-starttls")
    assert not said(internet, "mta-sts-enforced")


@pytest.mark.parametrize(
    ("security", "says"),
    [
        ("bogus", "the SRV look-up is bogus, so validating clients get no answer and nobody connects"),
        ("indeterminate", "the SRV look-up fails (SERVFAIL), so clients do not connect"),
        ("insecure", "the SRV records are not signed, so a forged answer can lead clients to another host"),
    ],
)
def test_of_other_services_it_is_not_said_that_mail_comes_or_not(leaf: Issued, security: Security, says: str) -> None:
    internet = SmallInternet().host(HOST, ADDRESS).serve(ADDRESS, leaf, port=5222)
    name = "_xmpp-client._tcp.example.org"
    internet.srv(name, (5, 0, 5222, HOST), security=security)
    if security != "insecure":
        internet.say(name, "SRV", security, rcode="SERVFAIL", why="w")
    texts = [each.text for each in internet.check(Target(DOMAIN, None, "xmpp-client", "xmpp-client")).findings]
    assert [text for text in texts if text.startswith(says)]
    assert not [text for text in texts if " mail " in text]
