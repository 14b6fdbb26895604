"""Each reason for which a name is bogus is found, at its step; and where nothing is wrong nothing is said."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdatatype
import pytest

from danelaw.dns import signatures
from danelaw.dns.diagnosis import Remembering, Walk, explain
from danelaw.dns.sentences import in_our_words
from danelaw.model import ResolverSpec
from danelaw.model.outside import Lookup, LookupType
from fakes.dns_tree import BAD, DIGEST, NOW, OTHER, OWNER, REVOKED, ROOT, SOA, TEST, Key, Signed, Tree, rrset, signed
from fakes.dns_tree import signature as rrsig

TLSA = f"3 1 1 {DIGEST}"
ANCHOR = dns.rdata.from_text("IN", "DS", ROOT.ds("."))

Change = Callable[[Tree], None]


def diagnose(tree: Tree, name: str = OWNER, rrtype: LookupType = "TLSA", anchor: object = ANCHOR) -> str | None:
    async def walk() -> str | None:
        remembering = Remembering(tree)
        try:
            return await Walk(remembering, tree, [anchor], NOW).explain(Lookup(name, rrtype))  # type: ignore[list-item]  # a DS
        finally:
            await remembering.close()

    return asyncio.run(walk())


def after(change: Change) -> str | None:
    tree = Tree()
    change(tree)
    return diagnose(tree)


def tlsa(**how: object) -> Change:
    return lambda tree: tree.put(OWNER, "TLSA", signed("bad.test.", OWNER, "TLSA", TLSA, **how))


def dnskeys(*keys: Key, by: Key | None = BAD, **how: object) -> Change:
    def change(tree: Tree) -> None:
        records = rrset("bad.test.", "DNSKEY", *(key.dnskey.to_text() for key in keys))
        tree.put("bad.test.", "DNSKEY", [records, rrsig(records, "bad.test.", by, **how)] if by else [records])  # type: ignore[arg-type]

    return change


def ds(*data: str) -> Change:
    return lambda tree: tree.put("bad.test.", "DS", signed("test.", "bad.test.", "DS", *data))


def changed(tree: Tree) -> None:
    before, after = rrset(OWNER, "TLSA", TLSA), rrset(OWNER, "TLSA", f"3 1 1 {'cd' * 32}")
    tree.put(OWNER, "TLSA", [after, rrsig(before, "bad.test.")])


def both(*changes: Change) -> Change:
    def change(tree: Tree) -> None:
        for each in changes:
            each(tree)

    return change


def not_zone_key(tree: Tree) -> None:
    odd = Key(1006, flags=1)
    dnskeys(BAD, odd)(tree)
    tlsa(key=odd)(tree)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    tree = Tree()
    assert diagnose(tree) is None
    assert len(tree.asked) == len(set(tree.asked))  # each question once
    assert len(tree.asked) < 25


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            tlsa(ends=NOW - timedelta(minutes=1)),
            f"RRSIG over {OWNER} TLSA by key {BAD.tag} expired on 2026-11-24 at 11:59",
        ),
        (tlsa(begins=NOW + timedelta(minutes=1)), f"key {BAD.tag} is not valid before 2026-11-24 at 12:01 UTC"),
        (lambda tree: tree.put(OWNER, "TLSA", [rrset(OWNER, "TLSA", TLSA)]), f"{OWNER} TLSA has no RRSIG, though bad"),
        (changed, "does not verify: the records or the signature were changed after signing"),
        (tlsa(signature=b"\0" * 64), f"by key {BAD.tag} does not verify"),
        (tlsa(signature=b"short"), "does not verify"),
        (
            tlsa(key=OTHER),
            f"by key {OTHER.tag} (algorithm 13) cannot be checked: bad.test. has no such key ({BAD.tag})",
        ),
        (tlsa(signer=dns.name.from_text("test.")), "names test. as its signer, and not the zone bad.test."),
        (tlsa(labels=9), "says 9 labels, and its owner name has 5"),
        (tlsa(algorithm=200), "is of algorithm 200, which is not known here"),
        (both(dnskeys(BAD, REVOKED), tlsa(key=REVOKED)), "is by a key that bad.test. has revoked"),
        (not_zone_key, "is by a key that is no zone key (its flags are 1)"),
    ],
)
def test_a_signature_that_does_not_hold(change: Change, reason: str) -> None:
    assert reason in str(after(change))


def test_one_good_signature_is_enough() -> None:
    tree = Tree()
    records = rrset(OWNER, "TLSA", TLSA)
    old = rrsig(records, "bad.test.", ends=NOW - timedelta(days=1))
    tree.put(OWNER, "TLSA", [records, old, rrsig(records, "bad.test.")])
    assert diagnose(tree) is None


def test_of_several_that_do_not_hold_the_one_that_gets_furthest_is_named() -> None:
    tree = Tree()
    records = rrset(OWNER, "TLSA", TLSA)
    tree.put(
        OWNER,
        "TLSA",
        [records, rrsig(records, "bad.test.", OTHER), rrsig(records, "bad.test.", ends=NOW - timedelta(1))],
    )
    assert "expired" in str(diagnose(tree))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ds(OTHER.ds("bad.test.")),
            f"by its DS that bad.test. is signed with key {OTHER.tag} (algorithm 13), and bad.test. has no such key",
        ),
        (
            ds(f"{BAD.tag} 13 2 {'00' * 32}"),
            f"key {BAD.tag} (algorithm 13), and the digest there is not that of this key",
        ),
        (
            lambda tree: tree.put("bad.test.", "DNSKEY"),
            "bad.test. is signed, and bad.test. has no DNSKEY: sign the zone",
        ),
        (dnskeys(BAD, by=None), f"bad.test. DNSKEY has no RRSIG: sign the zone again, with key {BAD.tag}"),
        (
            dnskeys(BAD, OTHER, by=OTHER),
            f"bad.test. DNSKEY is signed by key {OTHER.tag} alone, and not by key {BAD.tag}, which the DS",
        ),
        (
            dnskeys(BAD, ends=NOW - timedelta(days=1)),
            f"RRSIG over bad.test. DNSKEY by key {BAD.tag} expired on 2026-11-23",
        ),
        (
            both(ds(REVOKED.ds("bad.test.")), dnskeys(REVOKED, by=REVOKED)),
            f"key {REVOKED.tag} of bad.test., which the DS at",
        ),
        (
            lambda tree: tree.put("bad.test.", "DS", [rrset("bad.test.", "DS", BAD.ds("bad.test."))]),
            "bad.test. DS has no RRSIG",
        ),
        (
            lambda tree: tree.put(
                "test.", "DNSKEY", signed("test.", "test.", "DNSKEY", TEST.dnskey.to_text(), signature=b"")
            ),
            f"RRSIG over test. DNSKEY by key {TEST.tag} does not verify",
        ),
    ],
)
def test_a_step_from_zone_to_zone_that_breaks(change: Change, reason: str) -> None:
    assert reason in str(after(change))


@pytest.mark.parametrize(
    "change",
    [
        both(ds(f"4711 200 2 {DIGEST}"), tlsa(signature=b"")),  # RFC 4035 section 5.2: unknown to all, so insecure
        both(ds(f"{BAD.tag} 13 200 {DIGEST}"), tlsa(signature=b"")),
        ds(f"4711 200 2 {DIGEST}", BAD.ds("bad.test.")),
        ds(OTHER.ds("bad.test."), BAD.ds("bad.test.")),
        dnskeys(BAD, OTHER),
    ],
)
def test_what_is_no_fault_in_the_steps(change: Change) -> None:
    assert after(change) is None


def test_the_root_is_a_matter_of_this_machine() -> None:
    tree = Tree()
    anchor = dns.rdata.from_text("IN", "DS", OTHER.ds("."))
    said = str(diagnose(tree, anchor=anchor))
    assert said.startswith(
        f"the trust anchor says that . is signed with key {OTHER.tag} (algorithm 13), and . has no such"
    )
    assert "trust anchor or clock of this machine are wrong; it is 2026-11-24 12:00 UTC here" in said
    assert diagnose(tree, anchor=ROOT.dnskey) is None
    tree.put(".", "DNSKEY", signed(".", ".", "DNSKEY", ROOT.dnskey.to_text(), ends=NOW - timedelta(days=400)))
    said = str(diagnose(tree))
    assert "RRSIG over . DNSKEY" in said
    assert "clock of this machine" in said


# -- absence -----------------------------------------------------------------------------------------------------------


def nsec(owner: str, following: str, *types: str, **how: object) -> Signed:
    return signed("bad.test.", owner, "NSEC", " ".join((following, "RRSIG NSEC", *types)), **how)


def hashed(name: str, iterations: int = 0) -> str:
    return dns.dnssec.nsec3_hash(name, "", iterations, 1)


def moved(digest: str, by: int) -> str:
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
    return digest[:-1] + letters[(letters.index(digest[-1]) + by) % 32]


def nsec3_at(name: str, *types: str, iterations: int = 0, flags: int = 0) -> Signed:
    digest = hashed(name, iterations)
    data = f"1 {flags} {iterations} - {moved(digest, 1)} {' '.join(types)}"
    return signed("bad.test.", f"{digest}.bad.test.", "NSEC3", data)


def nsec3_over(name: str, *, flags: int = 0) -> Signed:
    digest = hashed(name)
    data = f"1 {flags} 0 - {digest[:-4]}VVVV"
    return signed("bad.test.", f"{digest[:-4]}0000.bad.test.", "NSEC3", data)


NO_DATA = "bad.test. gives no proof that _25._tcp.mail.bad.test. has no TLSA: "
NO_NAME = "bad.test. gives no proof that _25._tcp.mail.bad.test. does not exist: "


@pytest.mark.parametrize(
    ("rcode", "proofs", "reason"),
    [
        (0, [], NO_DATA + "its answer has no NSEC or NSEC3 record"),
        (0, [nsec(OWNER, "ns.bad.test.", "TLSA")], NO_DATA + "its NSEC lists TLSA there"),
        (0, [nsec(OWNER, "ns.bad.test.", "CNAME")], NO_DATA + "its NSEC lists CNAME there"),
        (0, [nsec(OWNER, "ns.bad.test.", "NS")], NO_DATA + "its NSEC says that the name is in a zone below"),
        (0, [nsec("z.bad.test.", "bad.test.")], NO_DATA + "no NSEC is about it"),
        (0, [nsec("mail.bad.test.", "ns.bad.test.")], NO_DATA + "its NSEC says that it does not exist, and its answer"),
        (
            0,
            [nsec(OWNER, "ns.bad.test.", signature=b"")],
            f"the RRSIG over {OWNER} NSEC by key {BAD.tag} does not verify",
        ),
        (0, [nsec3_at(OWNER, "TLSA")], NO_DATA + "its NSEC3 lists TLSA there"),
        (0, [nsec3_at("z.bad.test.")], NO_DATA + "none of its NSEC3 records has the hash of a name above it"),
        (0, [nsec3_at("mail.bad.test."), nsec3_over("_tcp.mail.bad.test.")], NO_DATA + "no NSEC3 has its hash"),
        (0, [nsec3_at("mail.bad.test.")], NO_DATA + "no NSEC3 covers _tcp.mail.bad.test."),
        (0, [nsec3_at("mail.bad.test."), nsec3_at("_tcp.mail.bad.test.")], NO_DATA + "no NSEC3 covers it"),
        (3, [], NO_NAME + "its answer has no NSEC or NSEC3 record"),
        (3, [nsec(OWNER, "ns.bad.test.")], NO_NAME + "its NSEC there says that it exists"),
        (3, [nsec("mail.bad.test.", f"x.{OWNER}")], NO_NAME + "its NSEC shows names below it"),
        (3, [nsec("mail.bad.test.", "0.mail.bad.test.")], NO_NAME + "no NSEC covers it"),
        (
            3,
            [nsec("_24._tcp.mail.bad.test.", "_26._tcp.mail.bad.test.")],
            NO_NAME + "no NSEC shows that *._tcp.mail.bad.test.",
        ),
        (3, [nsec3_at(OWNER)], NO_NAME + "its NSEC3 says that it exists"),
        (3, [nsec3_at("mail.bad.test.")], NO_NAME + "no NSEC3 covers _tcp.mail.bad.test."),
        (
            3,
            [nsec3_at("mail.bad.test."), nsec3_over("_tcp.mail.bad.test.")],
            NO_NAME + "no NSEC3 shows that *.mail.bad.test.",
        ),
    ],
)
def test_absence_that_is_not_proven(rcode: int, proofs: list[Signed], reason: str) -> None:
    assert str(after(lambda tree: tree.deny(OWNER, "TLSA", *proofs, rcode=rcode))).startswith(reason)


@pytest.mark.parametrize(
    ("rcode", "proofs"),
    [
        (0, [nsec(OWNER, "ns.bad.test.", "A")]),
        (0, [nsec("mail.bad.test.", f"x.{OWNER}")]),  # an empty non-terminal
        (0, [nsec("*.mail.bad.test.", "ns.bad.test.", "A"), nsec("mail.bad.test.", "ns.bad.test.")]),
        (0, [nsec3_at(OWNER, "A")]),
        (0, [nsec3_at("mail.bad.test."), nsec3_over("_tcp.mail.bad.test."), nsec3_at("*.mail.bad.test.", "A")]),
        (0, [nsec3_at(OWNER, "TLSA", iterations=151)]),  # RFC 9276 section 3.2: insecure
        (3, [nsec("mail.bad.test.", "ns.bad.test.")]),  # covers the wildcard as well
        (3, [nsec("mail.bad.test.", "bad.test.")]),  # the last one of the zone
        (3, [nsec3_at("mail.bad.test."), nsec3_over("_tcp.mail.bad.test."), nsec3_over("*.mail.bad.test.")]),
        (3, [nsec3_at("mail.bad.test."), nsec3_over("_tcp.mail.bad.test.", flags=1), nsec3_over("*.mail.bad.test.")]),
    ],
)
def test_absence_that_is_proven(rcode: int, proofs: list[Signed]) -> None:
    assert after(lambda tree: tree.deny(OWNER, "TLSA", *proofs, rcode=rcode)) is None


def test_the_soa_record_of_a_denial_is_signed_too() -> None:
    tree = Tree()
    tree.put(OWNER, "TLSA", (), [rrset("bad.test.", "SOA", SOA), *nsec("mail.bad.test.", "ns.bad.test.")], rcode=3)
    assert "bad.test. SOA has no RRSIG" in str(diagnose(tree))


def by_wildcard(*proofs: Signed) -> Change:
    """Answer from *.mail.bad.test."""
    made = rrsig(rrset("*.mail.bad.test.", "TLSA", TLSA), "bad.test.")
    made.name = dns.name.from_text(OWNER)
    records = [rrset(OWNER, "TLSA", TLSA), made]
    return lambda tree: tree.put(OWNER, "TLSA", records, [part for proof in proofs for part in proof])


def test_a_wildcard_needs_proof_that_nothing_is_closer() -> None:
    beginning = f"{OWNER} comes from a wildcard, and bad.test. gives no proof that no closer name exists: "
    assert after(by_wildcard()) == beginning + "its answer has no NSEC or NSEC3 record"
    assert after(by_wildcard(nsec("z.bad.test.", "bad.test."))) == beginning + f"no NSEC covers {OWNER}"
    assert after(by_wildcard(nsec3_at("mail.bad.test."))) == beginning + "no NSEC3 covers _tcp.mail.bad.test."
    assert after(by_wildcard(nsec("*.mail.bad.test.", "ns.bad.test."))) is None
    assert after(by_wildcard(nsec3_over("_tcp.mail.bad.test."))) is None


def unsigned_below(*proofs: Signed, bare: bool = True) -> Change:
    """Let mail.bad.test. be a zone below, without DS."""

    def change(tree: Tree) -> None:
        tree.put("mail.bad.test.", "SOA", [rrset("mail.bad.test.", "SOA", SOA)])
        tree.deny("mail.bad.test.", "DS", *proofs)
        if bare:
            tree.put(OWNER, "TLSA", [rrset(OWNER, "TLSA", TLSA)])

    return change


def test_an_unsigned_zone_below_needs_proof_that_it_is_not_signed() -> None:
    assert after(unsigned_below()) == (
        "bad.test. gives no proof that mail.bad.test. has no DS: its answer has no NSEC or NSEC3 record:"
        " sign bad.test. again, so that it says that mail.bad.test. is not signed"
    )
    assert "its NSEC lists DS there" in str(after(unsigned_below(nsec("mail.bad.test.", "ns.bad.test.", "NS DS"))))
    assert after(unsigned_below(nsec("mail.bad.test.", "ns.bad.test.", "NS"))) is None
    assert after(unsigned_below(nsec3_at("mail.bad.test.", "NS"))) is None
    opted_out = (nsec3_at("bad.test.", "NS SOA"), nsec3_over("mail.bad.test.", flags=1))
    assert after(unsigned_below(*opted_out)) is None


# -- aliases -----------------------------------------------------------------------------------------------------------


def alias(name: str, target: str, **how: object) -> Change:
    return lambda tree: tree.put(name, "TLSA", signed("bad.test.", name, "CNAME", target, **how))


def test_aliases_are_followed_to_what_is_wrong() -> None:
    tree = Tree()
    both(alias("a.bad.test.", "b.bad.test."), alias("b.bad.test.", OWNER), tlsa(signature=b""))(tree)
    assert f"RRSIG over {OWNER} TLSA" in str(diagnose(tree, "a.bad.test"))
    tlsa()(tree)
    assert diagnose(tree, "a.bad.test") is None
    alias("b.bad.test.", OWNER, signature=b"")(tree)
    assert "RRSIG over b.bad.test. CNAME" in str(diagnose(tree, "a.bad.test"))


def test_aliases_that_do_not_end() -> None:
    tree = Tree()
    both(alias("a.bad.test.", "b.bad.test."), alias("b.bad.test.", "a.bad.test."))(tree)
    assert diagnose(tree, "a.bad.test") == "the CNAMEs from a.bad.test. run in a circle"
    for number in range(12):
        alias(f"c{number}.bad.test.", f"c{number + 1}.bad.test.")(tree)
    assert diagnose(tree, "c0.bad.test") == "the CNAMEs from c0.bad.test. are more than 8"


def test_a_cname_made_of_a_dname_is_not_signed_and_the_dname_is() -> None:
    tree = Tree()
    cname = rrset("x.old.bad.test.", "CNAME", OWNER)
    dname = signed("bad.test.", "old.bad.test.", "DNAME", "_tcp.mail.bad.test.")
    tree.put("x.old.bad.test.", "TLSA", [*dname, cname])
    assert diagnose(tree, "x.old.bad.test") is None
    tree.put("x.old.bad.test.", "TLSA", [dname[0], cname])
    assert "old.bad.test. DNAME has no RRSIG" in str(diagnose(tree, "x.old.bad.test"))
    tree.put("x.old.bad.test.", "TLSA", [cname])
    assert "x.old.bad.test. CNAME has no RRSIG" in str(diagnose(tree, "x.old.bad.test"))


# -- servers without an answer -----------------------------------------------------------------------------------------


def test_what_the_servers_say_is_said_where_there_is_no_answer() -> None:
    tree = Tree()
    tree.fail(OWNER, "TLSA", "no server of bad.test. answers")
    assert diagnose(tree) == "no server of bad.test. answers"
    tree = Tree()
    for rrtype in ("SOA", "DNSKEY"):
        tree.fail("bad.test.", rrtype, "no server of bad.test. answers for its keys")
    assert diagnose(tree) == "no server of bad.test. answers for its keys"


def test_a_parent_that_says_nothing_of_a_zone_below() -> None:
    tree = Tree()
    unsigned_below(nsec("mail.bad.test.", "ns.bad.test.", "NS"))(tree)
    tree.fail("mail.bad.test.", "DS", "no server of bad.test. answers for a DS")
    assert diagnose(tree) == "no server of bad.test. answers for a DS"


def test_a_server_that_answers_where_the_resolver_does_not_is_read() -> None:
    tree = Tree()
    tlsa(signature=b"")(tree)
    question = (dns.name.from_text(OWNER), int(dns.rdatatype.TLSA))
    tree.direct[question] = tree.replies[question]
    tree.fail(OWNER, "TLSA", "SERVFAIL")
    assert "does not verify" in str(diagnose(tree))


def test_a_lame_server_is_told_from_a_zone_without_keys() -> None:
    tree = Tree()
    tree.put("bad.test.", "DNSKEY", aa=False)
    tree.direct[dns.name.from_text("bad.test."), int(dns.rdatatype.DNSKEY)] = "the servers are lame"
    assert diagnose(tree) == "the servers are lame"


# -- hostile answers ---------------------------------------------------------------------------------------------------


def test_many_keys_of_one_tag_and_many_signatures_cost_little() -> None:
    """KeyTrap: every signature would be checked with every key."""
    tree = Tree()
    records = rrset(OWNER, "TLSA", TLSA)
    forged = [rrsig(records, "bad.test.", signature=bytes([number]) * 64) for number in range(100)]
    tree.put(OWNER, "TLSA", [records, *forged])
    assert "does not verify" in str(diagnose(tree))
    verifier = signatures.Verifier(NOW, most=3)
    zone = signatures.Zone(dns.name.from_text("bad.test."), (BAD.dnskey,))
    message = asyncio.run(tree.lookup(dns.name.from_text(OWNER), 52))
    (found,) = signatures.rrsets(message, message.answer)
    assert [verifier.fault(found, zone) != "" for _ in range(2)] == [False, False]  # it gave up, and says nothing


def test_names_that_are_none_and_names_without_end() -> None:
    assert diagnose(Tree(), "a..b") is None
    assert diagnose(Tree(), ".".join(["a"] * 100)) is None


# -- the whole ---------------------------------------------------------------------------------------------------------

CHAIN = "while building chain of trust"
WHY = f"validation failure <x.test. TLSA IN>: signature expired from 192.0.2.1 for key x.test. {CHAIN}"


def test_where_nothing_can_be_asked_libunbounds_sentence_is_said_in_our_words(tmp_path: Path) -> None:
    for spec in (
        ResolverSpec(trust_anchor=str(tmp_path / "missing")),
        ResolverSpec("not an address"),
    ):
        said = asyncio.run(explain(spec, Lookup("x.test", "TLSA"), NOW, WHY, limit=1))
        assert said == "an RRSIG over x.test. DNSKEY has expired: sign the zone again"


def test_a_resolver_that_is_down_is_named() -> None:
    said = asyncio.run(explain(ResolverSpec("127.0.0.1", 1), Lookup("x.test", "TLSA"), NOW, WHY, limit=3))
    assert "the resolver 127.0.0.1:1" in said


def test_the_time_is_bounded() -> None:
    spec = ResolverSpec("127.0.0.1", 1)
    said = asyncio.run(explain(spec, Lookup("x.test", "TLSA"), NOW, WHY, limit=0.0))
    assert said == "an RRSIG over x.test. DNSKEY has expired: sign the zone again"


@pytest.mark.parametrize(
    ("why", "ours"),
    [
        (
            "validation failure <a.test. TLSA IN>: no signatures from 192.0.2.1 and 192.0.2.2",
            "a.test. TLSA has no RRSIG",
        ),
        (
            f"validation failure <a.test. TLSA IN>: DS hash mismatches key from 192.0.2.1 for key test. {CHAIN}",
            "the digest in the DS of test. is not that of its key",
        ),
        (
            f"validation failure <a.test. TLSA IN>: no DNSSEC records from 192.0.2.1 for DS a.test. {CHAIN}",
            "there is no proof that a.test. is not signed",
        ),
        ("validation failure <a.test. TLSA IN>: something new from 192.0.2.1", "a.test. TLSA: something new"),
        ("no answer within 8 s", "no answer within 8 s"),
        ("x" * 1000, "x" * 400),
    ],
)
def test_libunbounds_sentences(why: str, ours: str) -> None:
    assert in_our_words(why) == ours
