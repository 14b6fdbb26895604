"""The zoo, whole: every animal's verdict is the one expected, and every tool that says something else has a reason."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from danelaw.model import Report
from world import World
from zoo import agreement, smtp_dane_verify, table
from zoo.__main__ import PAGE
from zoo.agreement import Zoo
from zoo.animal import everybody
from zoo.grounds import SERVICES, opened
from zoo.menagerie import ANIMALS
from zoo.oracles import TOOLS, Said
from zoo.reasons import REASONS

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def zoo() -> Iterator[Zoo]:
    smtp_dane_verify.install()  # before the world, which has no network
    with World(SERVICES) as world, opened(world, ANIMALS) as enclosures:
        yield agreement.look(world, enclosures)


def test_there_are_forty_and_more_and_each_is_different() -> None:
    assert len({animal.name for animal in ANIMALS}) == len(ANIMALS) >= 40
    assert len({animal.says for animal in ANIMALS}) == len(ANIMALS)


def test_danelaw_says_what_is_expected(zoo: Zoo) -> None:
    assert agreement.unexpected(zoo) == []


def test_every_disagreement_is_explained_and_no_other(zoo: Zoo) -> None:
    assert agreement.unexplained(zoo, REASONS) == []


def test_every_tool_accepts_and_refuses(zoo: Zoo) -> None:
    """A tool that fails to run at all would disagree, and one that always says the same judges nothing."""
    for tool in TOOLS:
        words = [zoo.said(animal, tool).word for animal in ANIMALS]
        assert words.count("accepts") >= 30, tool
        assert words.count("refuses") >= 15, tool
        assert words.count("no DANE") >= 2, tool


def test_the_page_says_what_was_found(zoo: Zoo) -> None:
    assert PAGE.read_text() == table.page(zoo, REASONS), "make zoo writes it"


def test_a_wrong_verdict_is_noticed(zoo: Zoo) -> None:
    mismatch = next(animal for animal in ANIMALS if animal.name == "mismatch")
    for other in (
        replace(mismatch, expected=everybody("authenticated")),
        replace(mismatch, status=0),
        replace(mismatch, codes=f"{mismatch.codes} no-such-code"),
    ):
        (line,) = agreement.unexpected(replace(zoo, animals=[other]))
        assert line.startswith("mismatch: expected ")


def test_a_disagreement_without_a_reason_is_noticed_and_a_reason_without_one(zoo: Zoo) -> None:
    names = {"mismatch", "incomplete-chain"}
    animals = [animal for animal in ANIMALS if animal.name in names]
    reasons = [reason for reason in REASONS if set(reason.animals) <= names]
    few = replace(zoo, animals=animals)
    assert agreement.unexplained(few, reasons) == []
    (line,) = agreement.unexplained(few, [])
    assert line.startswith("incomplete-chain: danelaw refuses, danetool no answer")
    changed = {**zoo.sayings, "mismatch": {**zoo.sayings["mismatch"], "s_client": Said("accepts", "Verification: OK")}}
    (line,) = agreement.unexplained(replace(few, sayings=changed), reasons)
    assert line == "mismatch: danelaw refuses, s_client accepts (Verification: OK)"
    agreeing = {**zoo.sayings, "incomplete-chain": zoo.sayings["mismatch"]}
    (line,) = agreement.unexplained(replace(few, sayings=agreeing), reasons)
    assert line.startswith("incomplete-chain: danetool agrees, so this is no longer needed")
    (line,) = agreement.unexplained(replace(few, animals=[]), reasons)
    assert line == "incomplete-chain: there is no such animal, and danetool has a reason for it"


DELIVERED_ALL_THE_SAME = {
    "injected": "it threw the plaintext away",
    "expired-pinned-ca": "its OpenSSL does not look at that date",
    "mx-literal": "it takes an address for a host",
}
"""Where Postfix delivers and danelaw says that it does not get through; docs/agreement.md says more."""


def test_postfix_delivers_where_danelaw_says_that_mail_gets_through(zoo: Zoo) -> None:
    """Not only is the worst of all hosts and addresses right, but whether mail gets through by any of them."""
    otherwise = set()
    tried = 0
    for animal in ANIMALS:
        word, delivers = zoo.said(animal, "Postfix").word, zoo.reports[animal.name].delivers.get("postfix")
        if delivers is not None and word in {"accepts", "no DANE", "refuses"}:
            tried += 1
            if delivers == (word == "refuses"):
                otherwise.add(animal.name)
    assert otherwise == set(DELIVERED_ALL_THE_SAME)
    assert tried > 80


def matches(report: Report) -> set[bool]:
    return {each.matches for endpoint in report.endpoints for one in endpoint.attempts for each in one.records}


def test_danelaw_saw_each_address_and_each_kind_of_certificate(zoo: Zoo) -> None:
    """What makes the verdict worse than that of tools that try one: the attempts are all there."""
    for name, addresses, kinds in (("one-address-mismatch", 2, {"ecdsa"}), ("rsa-mismatch", 1, {"rsa", "ecdsa"})):
        (endpoint,) = zoo.reports[name].endpoints
        shown = [attempt for attempt in endpoint.attempts if attempt.shaken.chain]
        assert len({attempt.address for attempt in shown}) == addresses
        assert {attempt.algorithm for attempt in shown} == kinds
        assert matches(zoo.reports[name]) == {True, False}
