"""Findings on reports as `dane.sender` makes them: the good is not complained of, the wrong not passed over."""

from datetime import timedelta

import pytest

from chains import HOST, NOW, Issued, issue, p256, rsa2048, three
from danelaw.model import OwnerLook, Reading, Report, Target, TlsaRecord
from fakes.small_internet import mail_domain, record

OWNER = f"_25._tcp.{HOST}"
NEWLY = {"mta-sts-missing", "tlsrpt-missing"}
"""Said of every domain here that is not given these."""


def codes(report: Report) -> set[str]:
    return {each.code for each in report.findings} - NEWLY


@pytest.fixture(scope="module")
def leaf() -> Issued:
    return three()[0]


def test_a_good_domain_is_protected(leaf: Issued) -> None:
    assert codes(mail_domain(leaf).check("example.org")) == {"protected"}
    assert codes(mail_domain(leaf, "2 1 1").check("example.org")) == {"protected"}
    assert codes(mail_domain(leaf, "3 1 1").check(Target(HOST, 25))) == {"protected"}


def test_a_self_signed_certificate_is_as_good_as_any_with_usage_3() -> None:
    alone = issue("anything", key=p256(), names=["anything.example"])
    internet = mail_domain(alone, "3 1 1")
    assert codes(internet.check("example.org")) == {"protected", "name-mismatch"}


def test_a_policy_that_agrees(leaf: Issued) -> None:
    internet = mail_domain(leaf)
    internet.say("_mta-sts.example.org", "TXT", texts=("v=STSv1; id=1;",))
    internet.say("_smtp._tls.example.org", "TXT", texts=("v=TLSRPTv1; rua=mailto:a@example.org",))
    internet.policies["example.org"] = f"version: STSv1\nmode: enforce\nmx: {HOST}\nmax_age: 604800\n"
    report = internet.check("example.org")
    assert {each.code for each in report.findings} == {"protected", "mta-sts-enforced", "tlsrpt-present"}
    internet.policies["example.org"] = "version: STSv1\nmode: enforce\nmx: old.example.org\nmax_age: 604800\n"
    assert codes(internet.check("example.org")) >= {"mta-sts-host-not-listed"}
    del internet.policies["example.org"]
    assert codes(internet.check("example.org")) >= {"mta-sts-unreadable"}


def test_the_certificate_was_replaced_before_dns(leaf: Issued) -> None:
    internet = mail_domain(leaf, "3 0 1").serve("192.0.2.1", issue(HOST, key=leaf.key))
    found = {each.code: each for each in internet.check("example.org").findings}
    assert set(found) - NEWLY == {"mismatch", "mail-stops"}
    assert "3 0 1 pins another certificate" in found["mismatch"].text


def test_the_second_kind_of_certificate_has_no_record(leaf: Issued) -> None:
    other = issue(HOST, key=rsa2048())
    both = mail_domain(leaf).serve("192.0.2.1", leaf, other)
    found = {each.code: each for each in both.check("example.org").findings}
    assert "RSA" in found["mismatch-of-algorithm"].text
    both.tlsa(OWNER, record(leaf, "3 1 1"), record(other, "3 1 1"))
    assert codes(both.check("example.org")) == {"protected"}


def test_below_unsigned_addresses_a_dropped_query_is_information(leaf: Issued) -> None:
    internet = mail_domain(leaf).host(HOST, "192.0.2.1", security="insecure")
    internet.say(OWNER, "TLSA", "indeterminate", rcode="TIMEOUT")
    severities = {each.code: each.severity for each in internet.check("example.org").findings}
    assert severities["address-insecure"] == "warning"
    assert severities["tlsa-dropped"] == "note"
    signed = mail_domain(leaf).say(OWNER, "TLSA", "indeterminate", rcode="TIMEOUT")
    severities = {each.code: each.severity for each in signed.check("example.org").findings}
    assert severities["tlsa-dropped"] == "error"


def test_an_expired_certificate_matters_to_exchange_alone() -> None:
    late = issue(HOST, at=NOW - timedelta(days=60), days=30)
    found = {each.code: each for each in mail_domain(late).check("example.org").findings}
    assert set(found) - NEWLY == {"certificate-expired", "mail-stops"}
    assert "Exchange does not deliver here, Postfix, Exim and mox do" in found["certificate-expired"].text


def test_a_name_of_the_domain_alone_is_not_enough_for_exim() -> None:
    _, intermediate, _ = three()
    named = issue("example.org", intermediate)
    found = {each.code: each for each in mail_domain(named, "2 1 1").check("example.org").findings}
    assert set(found) - NEWLY == {"name-mismatch", "mail-stops"}
    assert "Exim does not deliver here" in found["name-mismatch"].text


def test_an_insecure_mx_and_a_mismatch(leaf: Issued) -> None:
    internet = mail_domain(leaf).mx("example.org", (10, HOST), security="insecure")
    internet.tlsa(OWNER, TlsaRecord(3, 1, 1, bytes(32)))
    found = {each.code: each for each in internet.check("example.org").findings}
    assert found["mismatch"].text.endswith(": Postfix does not deliver here, Exim, mox and Exchange do")
    assert found["mx-insecure"].severity == "warning"


def test_a_secondary_that_lags(leaf: Issued) -> None:
    internet = mail_domain(leaf)
    good, old = record(leaf, "3 1 1"), TlsaRecord(3, 1, 1, bytes(32))
    readings = tuple(
        Reading(f"{OWNER}.", server, "NOERROR", (data,), 3600)
        for server, data in (("192.0.2.53", good), ("192.0.2.54", old))
    )
    owner = f"{OWNER}."
    internet.authorities[owner] = OwnerLook(owner, "example.org.", owner, {"192.0.2.53": 1, "192.0.2.54": 1}, readings)
    found = {each.code: each for each in internet.check("example.org").findings}
    assert found["servers-differ"].severity == "error"
    assert found["servers-differ"].text.startswith("192.0.2.54 serves 3 1 1 00000000…")


def test_no_such_name_above_the_records(leaf: Issued) -> None:
    internet = mail_domain(leaf).say(f"_tcp.{HOST}", "TLSA", rcode="NXDOMAIN")
    assert codes(internet.check("example.org")) == {"protected", "tcp-nxdomain"}


def test_records_at_the_domain_and_not_at_its_host(leaf: Issued) -> None:
    internet = mail_domain(leaf).tlsa("_25._tcp.example.org", record(leaf, "3 1 1")).tlsa(OWNER)
    assert codes(internet.check("example.org")) == {"tlsa-at-domain", "no-tlsa"}
