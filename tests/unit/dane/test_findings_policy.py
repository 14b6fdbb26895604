"""MTA-STS and TLSRPT as domains write them (RFC 8461 sections 3.1, 3.2, 4.1; RFC 8460 section 3)."""

import pytest

from danelaw.dane.policy import (
    MAX_POLICY,
    Fault,
    StsPolicy,
    StsRecord,
    TlsReporting,
    lists,
    parse_sts_policy,
    parse_sts_record,
    parse_tls_reporting,
)

EXAMPLE = """version: STSv1
mode: enforce
mx: mail.example.com
mx: *.example.net
mx: backupmx.example.com
max_age: 604800
"""
"""The example of RFC 8461 section 3.2."""


def test_the_examples_of_the_rfcs() -> None:
    assert parse_sts_record(["v=STSv1; id=20160831085700Z;"]) == StsRecord("20160831085700Z")
    hosts = ("mail.example.com", "*.example.net", "backupmx.example.com")
    assert parse_sts_policy(EXAMPLE) == StsPolicy("enforce", hosts, 604800)
    assert parse_sts_policy(EXAMPLE.replace("\n", "\r\n")) == StsPolicy("enforce", hosts, 604800)
    assert parse_tls_reporting(["v=TLSRPTv1;rua=mailto:reports@example.com"]) == TlsReporting(
        ("mailto:reports@example.com",)
    )
    assert parse_tls_reporting(["v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"]) == TlsReporting(
        ("https://reporting.example.com/v1/tlsrpt",)
    )


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["v=spf1 -all"], None),
        (["v=STSv1; id=1"], StsRecord("1")),
        (["v=STSv1;id=1;"], StsRecord("1")),
        (["v=STSv1 ; id=1 ; "], StsRecord("1")),
        (["v=spf1 -all", "v=STSv1; id=abc"], StsRecord("abc")),
        (["v=STSv1; new-thing=x; id=1"], StsRecord("1")),
        (["v=STSv1; id=1; id=2"], StsRecord("1")),  # section 3.2: all but the first are ignored
        (["v=STSv1; id=1", "v=STSv1; id=1"], Fault("2 records begin with v=STSv1; where one may")),
        (["v=STSv1"], Fault("it does not begin with v=STSv1;")),
        (["v=STSv1, id=1"], Fault("it does not begin with v=STSv1;")),
        (["v=STSv1;"], Fault("it has no id")),
        (["v=STSv1; id="], Fault('its id "" is not 1 to 32 letters and digits')),
        (["v=STSv1; id=2026-06-01"], Fault('its id "2026-06-01" is not 1 to 32 letters and digits')),
        (["v=STSv1; id=" + "1" * 33], Fault(f'its id "{"1" * 33}" is not 1 to 32 letters and digits')),
        (["v=STSv1; id=1; ; x=y"], Fault('"" in it is not NAME=VALUE')),
        (["v=STSv1; hello; id=1"], Fault('"hello" in it is not NAME=VALUE')),
        (["V=STSv1; id=1"], None),  # %s: case counts
    ],
)
def test_sts_records(texts: list[str], expected: object) -> None:
    assert parse_sts_record(texts) == expected


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("version: STSv1\n", ""), "no version"),
        (("STSv1", "STSv2"), 'its version is "STSv2", not STSv1'),
        (("mode: enforce\n", ""), "no mode"),
        (("enforce", "Enforce"), 'its mode is "Enforce", not enforce, testing or none'),
        (("max_age: 604800\n", ""), "no max_age"),
        (("604800", "a week"), 'its max_age is "a week", not seconds'),
        (("604800", "-1"), 'its max_age is "-1", not seconds'),
        (("604800", "٣"), 'its max_age is "٣", not seconds'),
        (("604800", "60480000000"), 'its max_age is "60480000000", not seconds'),
        (("mode:", "mode"), 'line 2 is not KEY: VALUE but "mode enforce"'),
        (("mode: enforce", "<html>"), 'line 2 is not KEY: VALUE but "<html>"'),
        (("*.example.net", "*"), 'its mx "*" is neither a host name nor *. and a domain'),
        (
            ("*.example.net", "mail*.example.net"),
            'its mx "mail*.example.net" is neither a host name nor *. and a domain',
        ),
        (("*.example.net", ".example.net"), 'its mx ".example.net" is neither a host name nor *. and a domain'),
        (("*.example.net", "münchen.example"), 'its mx "münchen.example" is neither a host name nor *. and a domain'),
        (("*.example.net", "192.0.2.1"), 'its mx "192.0.2.1" is neither a host name nor *. and a domain'),
        (("*.example.net", ""), 'its mx "" is neither a host name nor *. and a domain'),
    ],
)
def test_policies_that_senders_ignore(change: tuple[str, str], why: str) -> None:
    assert parse_sts_policy(EXAMPLE.replace(*change)) == Fault(why)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EXAMPLE + "\r\n\r\n", 604800),
        (EXAMPLE + "max_age: 1\n", 604800),  # a second value is ignored
        (EXAMPLE.replace("max_age: ", "max_age:") + "x-new: ü\n", 604800),
        (EXAMPLE.replace("enforce", "enforce \t"), 604800),
        (EXAMPLE.rstrip("\n"), 604800),
        (EXAMPLE.replace("604800", "0"), 0),
    ],
)
def test_policies_that_senders_take(text: str, expected: int) -> None:
    policy = parse_sts_policy(text)
    assert isinstance(policy, StsPolicy)
    assert policy.max_age == expected
    assert policy.mode == "enforce"


def test_only_mode_none_needs_no_mx() -> None:
    bare = "version: STSv1\nmode: {}\nmax_age: 86400\n"
    assert parse_sts_policy(bare.format("none")) == StsPolicy("none", (), 86400)
    assert parse_sts_policy(bare.format("testing")) == Fault("no mx")


def test_what_is_endless_is_refused() -> None:
    assert parse_sts_policy(EXAMPLE + "x" * MAX_POLICY) == Fault(f"it is longer than {MAX_POLICY} characters")
    assert parse_sts_policy(EXAMPLE + "mx: a.example\n" * 1000) == Fault("1003 mx patterns")
    assert isinstance(parse_sts_policy(EXAMPLE + "mx: a.example\n" * 900), StsPolicy)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("mail.example.com", True),
        ("example.com", False),
        ("a.example.net", True),
        ("example.net", False),
        ("a.b.example.net", False),
        ("net", False),
        ("", False),
    ],
)
def test_patterns(host: str, expected: bool) -> None:  # noqa: FBT001 - a row of the table
    policy = parse_sts_policy(EXAMPLE)
    assert isinstance(policy, StsPolicy)
    assert lists(policy, host) is expected


def no_uri(text: str) -> Fault:
    return Fault(f'its rua "{text}" is neither mailto:ADDRESS nor https://…')


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], None),
        (["v=STSv1; id=1"], None),
        (
            ["v=TLSRPTv1; rua=mailto:a@example.org , https://example.org/x?a=b"],
            ("mailto:a@example.org", "https://example.org/x?a=b"),
        ),
        (["v=TLSRPTv1; x=y; rua=MAILTO:a@example.org;"], ("MAILTO:a@example.org",)),
        (["v=TLSRPTv1;"], Fault("it has no rua, so nobody knows where to send reports")),
        (["v=TLSRPTv1"], Fault("it does not begin with v=TLSRPTv1;")),
        (["v=TLSRPTv1; rua="], no_uri("")),
        (["v=TLSRPTv1; rua=a@example.org"], no_uri("a@example.org")),
        (["v=TLSRPTv1; rua=http://example.org"], no_uri("http://example.org")),
        (["v=TLSRPTv1; rua=mailto:a"], no_uri("mailto:a")),
        (["v=TLSRPTv1; rua=mailto:a@b!10m"], no_uri("mailto:a@b!10m")),
        (["v=TLSRPTv1; rua=mailto:a@b, "], no_uri("")),
        (["v=TLSRPTv1; rua=mailto:a@b"] * 2, Fault("2 records begin with v=TLSRPTv1; where one may")),
    ],
)
def test_tls_reporting(texts: list[str], expected: object) -> None:
    found = parse_tls_reporting(texts)
    assert (found.rua if isinstance(found, TlsReporting) else found) == expected
