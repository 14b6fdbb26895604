"""The picture: what is connected with what, whole as XML, and the same however much there is."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from danelaw.model import Discovery, Target
from danelaw.web.picture import picture
from danelaw.web.scene import MOST_ADDRESSES, MOST_CHAINS, MOST_HOSTS, MOST_RECORDS, scene
from fakes import reports, web_pages

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", web_pages.REPORTS)
def test_each_is_one_svg_with_title_and_description(name: str, narrow: bool) -> None:  # noqa: FBT001 (a parameter)
    root = ET.fromstring(picture(web_pages.REPORTS[name](), narrow=narrow))  # noqa: S314 - what we wrote ourselves
    assert root.tag == f"{SVG}svg"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("role") == "img"
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        *("svg", "title", "desc", "style", "g", "rect", "circle", "path", "text"),
    }
    assert int(root.get("width") or 0) == (360 if narrow else 1000)
    edge = int(root.get("width") or 0)
    for box in root.iter(f"{SVG}rect"):
        assert int(box.get("x") or -1) >= 0
        assert int(box.get("x") or 0) + int(box.get("width") or 0) <= edge
        assert int(box.get("y") or 0) + int(box.get("height") or 0) <= int(root.get("height") or 0)


def test_the_scene_connects_addresses_chains_and_records() -> None:
    what = scene(web_pages.mismatching())
    assert [step.label for step in what.steps] == ["root", "example.org", "MX: 2 named"]
    first, second = what.bands
    assert (first.state, second.state) == ("bad", "good")
    assert [[row.chain for row in address.presents] for address in first.addresses] == [[0, 1], [0, None]]
    assert [[row.state for row in address.presents] for address in first.addresses] == [
        ["good", "bad"],
        ["good", "bad"],
    ]
    assert [chain.state for chain in first.chains] == ["good", "bad"]
    assert {record.note: record.pins for record in first.records} == {
        "pins the leaf of A": ((0, 0),),
        "matches nothing presented": (),
    }
    assert first.addresses[1].presents[1].note == "no STARTTLS"


def test_a_trust_anchor_is_pinned_where_it_stands_in_each_chain() -> None:
    one, other = reports.chain(), reports.chain(label="second")
    tlsa = reports.tlsa_state(reports.HOST, [reports.record(one, "2 1 1")])
    shaken = [reports.shaken(address, chain) for address, chain in zip(reports.ADDRESSES, (one, other), strict=True)]
    (band,) = scene(reports.report(reports.endpoint(tlsa=tlsa, handshakes=shaken))).bands
    assert band.records[0].pins == ((0, 1), (1, 1))
    assert band.records[0].note == "pins certificate 1 of A, B"
    assert [[row.state for row in chain.rows] for chain in band.chains] == [["plain", "good"], ["plain", "good"]]


def test_what_dns_says_decides_the_signs() -> None:
    bogus = scene(web_pages.bogus())
    assert [step.state for step in bogus.steps] == ["good", "weak", "weak"]
    assert bogus.bands[0].tlsa.state == "bad"
    none = scene(web_pages.without_dane())
    assert [(band.tlsa.state, band.tlsa.note) for band in none.bands] == [
        ("weak", "no records"),
        ("plain", "not asked: addresses insecure"),
    ]
    assert [band.found.state for band in none.bands] == ["good", "weak"]


def test_a_look_up_that_fails_on_our_side_is_not_the_targets_fault() -> None:
    found = reports.looked_up("_25._tcp.mail.example.org", "TLSA", "indeterminate", "TIMEOUT", ours=True)
    tlsa = reports.tlsa_state(reports.HOST, kind="error", found=found)
    (band,) = scene(reports.report(reports.endpoint(tlsa=tlsa))).bands
    assert band.tlsa.state == "unknown"


def test_one_endpoint_hangs_from_the_root() -> None:
    given = Discovery("given")
    what = scene(reports.report(reports.endpoint(preference=None), discovery=given))
    assert [step.label for step in what.steps] == ["root"]
    assert "preference" not in what.bands[0].found.label


def test_a_kind_that_is_not_offered_is_left_out_and_an_address_that_nobody_tried_is_not() -> None:
    shaken = [
        reports.shaken(reports.V4, reports.chain()),
        reports.shaken(reports.V4, None, "not-offered", algorithm="rsa"),
    ]
    (band,) = scene(reports.report(reports.endpoint(addresses=reports.ADDRESSES, handshakes=shaken))).bands
    assert [[row.label for row in address.presents] for address in band.addresses] == [["ECDSA"], ["not tried"]]


def test_a_host_without_addresses_has_none() -> None:
    report = reports.report(reports.endpoint(addresses=(), handshakes=[], why="mail.example.org has no address"))
    drawn = picture(report)
    assert ">none</text>" in drawn
    assert ">nothing</text>" in drawn
    assert ">none</text>" not in picture(web_pages.good())


def test_too_much_is_left_out_and_said() -> None:
    addresses = tuple(f"192.0.2.{n}" for n in range(MOST_ADDRESSES + 3))
    chains = [reports.chain(label=str(n)) for n in range(MOST_CHAINS + 1)]
    shaken = [reports.shaken(address, chain) for address, chain in zip(addresses, chains, strict=False)]
    records = [reports.stale(label=str(n)) for n in range(MOST_RECORDS + 2)]
    many = reports.endpoint(addresses=addresses, handshakes=shaken, records=records)
    what = scene(reports.report(*[many] * (MOST_HOSTS + 2)))
    assert len(what.bands) == MOST_HOSTS
    assert what.left_out == "2 more hosts are not shown"
    band = what.bands[0]
    assert (len(band.addresses), len(band.chains), len(band.records)) == (MOST_ADDRESSES, MOST_CHAINS, MOST_RECORDS)
    assert band.left_out == ("3 more addresses are not shown; 1 more chain is not shown; 2 more records are not shown")
    ET.fromstring(picture(reports.report(*[many] * (MOST_HOSTS + 2))))  # noqa: S314 - what we wrote ourselves


def test_what_is_cut_is_whole_in_its_tooltip() -> None:
    name = "a" * 60 + "." + "b" * 60 + "." + "c" * 60 + ".example.org"
    drawn = picture(reports.report(reports.endpoint(name, presented=reports.chain()), target=Target(name)))
    assert f"<title>{name}:25</title>" in drawn
    assert re.search(r"a+\.b*…[b.c]*\.example\.org:25</text>", drawn)


def test_text_of_other_scripts_is_told_how_wide_it_is() -> None:
    long = reports.report(reports.endpoint(addresses=("長" * 40,)))
    assert f'textLength="{37 * 10.4 * 0.606:.1f}" lengthAdjust="spacingAndGlyphs"' in picture(long)
    assert "textLength" not in picture(web_pages.huge())


def test_the_style_is_inside_unless_the_page_has_it() -> None:
    assert "<style>" in picture(web_pages.good())
    assert "<style>" not in picture(web_pages.good(), style=False)


def test_a_report_without_hosts_ends_with_dns() -> None:
    assert scene(web_pages.null_mx()).bands == ()
    missing = replace(reports.mx(), rcode="NXDOMAIN")
    what = scene(reports.report(discovery=Discovery("missing", missing)))
    assert [step.label for step in what.steps][-1] == "no such domain"
