"""The JSON document: what a report holds stands in it, and docs/check-json.md names every field of it, and no other."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from chains import issue
from danelaw.check.document import MOST_CERTIFICATES, MOST_NAMES, SCHEMA, document
from danelaw.model import (
    Discovery,
    FailureKind,
    Finding,
    Lookup,
    LookupType,
    Report,
    SrvRecord,
    Target,
    TlsaKind,
)
from danelaw.pki import chain_from_der
from fakes import reports

PAGE = Path(__file__).parents[3] / "docs" / "check-json.md"
SENDERS = {"postfix", "exim", "mox", "exchange", "client"}
LOOKUPS = {"discovery.lookup", "beside[]", "endpoints[].lookups[]", "endpoints[].tlsa.lookup"}

OBJECTS = {"target", "discovery", "senders.*", "endpoints[].tlsa"}
"""Always there, and nothing but their fields: no row of their own."""


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of every field as the page writes it, those of look-ups without where they stand."""
    if isinstance(value, dict):
        before = f"{prefix}." if prefix and prefix not in LOOKUPS else ""
        for name, inner in value.items():
            path = f"{before}{'*' if name in SENDERS else name}"
            yield path
            yield from paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, f"{prefix}[]")


def documented() -> set[str]:
    return set(re.findall(r"^\| `([a-z_0-9.*\[\]]+)` \|", PAGE.read_text(), re.MULTILINE))


def everything() -> Iterable[Report]:
    """Reports in which every field of the document occurs."""
    whole = reports.endpoint()
    looks = reports.servers(whole.tlsa.owner, whole.tlsa.records, silent=[reports.SERVERS[1]])
    refused = reports.endpoint(
        "mx3.example.org", handshakes=[reports.shaken(reports.V4, failure="refused", host="mx3.example.org")]
    )
    yield replace(
        reports.report(replace(whole, tlsa=replace(whole.tlsa, authorities=looks)), refused),
        findings=(Finding("code", "warning", "it", "is so.", "Do that.", "RFC 7672 section 2.2"),),
        policy=reports.policy(),
        beside=(reports.STS_RECORD,),
    )
    yield reports.report(discovery=Discovery("null", reports.mx("")))
    yield reports.report(
        reports.endpoint("xmpp.example.org", 5222, protocol="xmpp-client", senders=("client",)),
        target=Target(reports.DOMAIN, None, "xmpp-client", "xmpp-client"),
        senders=("client",),
    )


def test_every_field_is_documented_and_every_documented_field_is_there() -> None:
    found = {path for report in everything() for path in paths(document(report))}
    assert found - OBJECTS == documented()


@pytest.mark.parametrize("kinds", [FailureKind, TlsaKind, LookupType])
def test_every_word_that_a_field_may_hold_is_documented(kinds: Any) -> None:
    text = PAGE.read_text()
    assert [kind for kind in get_args(kinds) if f"`{kind}`" not in text] == []


def test_the_schema_is_the_page_s() -> None:
    assert f"this page describes: schema {SCHEMA}." in PAGE.read_text()
    assert all(document(report)["schema"] == SCHEMA for report in everything())


def test_it_is_json_that_reads_back_the_same() -> None:
    for report in everything():
        made = document(report)
        assert json.loads(json.dumps(made)) == made


def test_what_a_good_report_says() -> None:
    made = document(reports.report())
    assert made["target"] == {
        "text": "example.org", "name": "example.org", "port": None, "protocol": "smtp", "service": None,
    }  # fmt: skip
    assert made["status"] == 0
    assert made["senders"]["mox"] == {"outcome": "authenticated", "delivers": True}
    assert made["discovery"]["lookup"]["records"] == ["10 mail.example.org", "10 mx2.example.org"]
    first = made["endpoints"][0]
    attempt = first["attempts"][0]
    chain = reports.chain(reports.HOST)
    assert attempt["records"][0] == {
        "record": f"3 1 1 {chain.spki_sha256}", "usable": True, "counts": True, "matches": True, "depth": 0, "why": "",
    }  # fmt: skip
    assert first["tlsa"]["records"] == [
        {"usage": 3, "selector": 1, "matching_type": 1, "data": chain.spki_sha256},
    ]
    leaf, issuer = attempt["chain"]
    assert (leaf["sha256"], leaf["spki_sha256"], leaf["names"]) == (
        chain.leaf_sha256, chain.spki_sha256, ["mail.example.org"],
    )  # fmt: skip
    assert leaf["not_after"] == f"{chain.not_after:%Y-%m-%dT%H:%M:%SZ}"
    assert issuer["sha256"] != leaf["sha256"]
    assert {server["server"]: server["rcode"] for server in first["tlsa"]["authorities"]["servers"]} == dict.fromkeys(
        reports.SERVERS, "NOERROR"
    )


def test_a_server_without_an_answer_is_told_apart_from_one_without_records() -> None:
    whole = reports.endpoint()
    look = reports.servers(whole.tlsa.owner, silent=[reports.SERVERS[1]])
    made = document(reports.report(replace(whole, tlsa=replace(whole.tlsa, authorities=look))))
    absent, silent = made["endpoints"][0]["tlsa"]["authorities"]["servers"]
    assert (absent["rcode"], absent["records"], absent["problem"]) == ("NOERROR", [], None)
    assert (silent["rcode"], silent["records"], silent["problem"]) == (None, [], "it gave no answer in 5 s")


def test_the_null_mx_and_a_service_that_is_not_there_are_dots() -> None:
    null = reports.mx("")
    srv = replace(null, lookup=Lookup("_imap._tcp.example.org", "SRV"), mx=(), srv=(SrvRecord(0, 0, 0, ""),))
    found = [document(reports.report(discovery=Discovery("null", each)))["discovery"] for each in (null, srv)]
    assert [each["lookup"]["records"] for each in found] == [["10 ."], ["0 0 0 ."]]


def test_what_a_peer_presents_in_place_of_certificates_spoils_nothing() -> None:
    good = reports.chain(reports.HOST)
    odd = chain_from_der([good.leaf_der, b"\x30\x03abc", b""])
    made = document(reports.report(reports.endpoint(presented=odd)))
    leaf, junk, empty = made["endpoints"][0]["attempts"][0]["chain"]
    assert leaf["sha256"] == good.leaf_sha256
    assert {key: value for key, value in junk.items() if value} == {"bytes": 5}
    assert (empty["subject"], empty["bytes"]) == (None, 0)


def test_a_certificate_of_many_names_does_not_flood_the_document() -> None:
    many = [f"n{number}.example.org" for number in range(MOST_NAMES + 50)]
    presented = chain_from_der([issue("many", names=many).der])
    made = document(reports.report(reports.endpoint(presented=presented)))
    assert made["endpoints"][0]["attempts"][0]["chain"][0]["names"] == many[:MOST_NAMES]


def test_a_chain_without_end_does_not_flood_the_document() -> None:
    good = reports.chain(reports.HOST)
    endless = chain_from_der([good.leaf_der, *[good.certificates_der[1]] * 99])
    made = document(reports.report(reports.endpoint(presented=endless)))
    assert len(made["endpoints"][0]["attempts"][0]["chain"]) == MOST_CERTIFICATES
